"""The first page: all systems ranked, every step by attribute, and what became of the paper's claims."""

import re
from collections.abc import Mapping

import pandas as pd

from sercore.params import project_root, reader
from sercore.report import forest, interval, number, signed
from study import comparisons, paper, results
from study.plan import Question, label, members, questions
from study.results import Study

EMOTALE = "EmoTale (human speech)"
# What stands on EmoTale for a step of the paper: the frozen encoder without text is the reference there.
ON_REAL_SPEECH = {
    ("fusion", "speech_only"): ("fusion", "speech_only"),
    ("fusion_speaker_embedding", "fusion"): ("speech_speaker_embedding", "speech_only"),
    ("fusion_speaker", "fusion"): ("speech_speaker", "speech_only"),
    ("fusion_gender", "fusion"): ("speech_gender", "speech_only"),
}


README = {
    "emotale": {
        "speech_only": "{encoder}, frozen, hidden states layer-normalised; our heads",
        "fusion": "the same with text: a control, since the sentences are neutral",
        "ridge_probe": "{encoder}, frozen, ridge regression",
        "egemaps_ridge": "eGeMAPS, ridge regression",
    },
    "embedded": {
        "fusion": "{encoder}, fine-tuned, and text",
        "fusion_gender": "the same, with gender prediction (the paper's + G Pred)",
        "speech_only": "{encoder}, fine-tuned",
        "baseline": "the challenge's baseline",
    },
}
"""Profile -> system -> what the README says of it."""


def leaderboard(study: Study) -> pd.DataFrame:
    """`study.comparisons.scores` of all systems of the paper's questions, the best mean CCC first, with ``label``, the
    paper's name, and ``cost``, the median time of a run, of an ensemble that of all members, as text."""
    asked = questions(study.params.profile).values()
    pairs = tuple(pair for question in asked for pair in question.pairs)
    table = comparisons.scores(study, Question("overview", "", pairs))
    order = comparisons.tested(table).sort_values("estimate", ascending=False)["system"]
    seconds = results.costs(study.runs)["seconds a run"]
    cost = {name: seconds.reindex(members(name)).sum() for name in order}
    table = table.set_index("system").loc[order].reset_index()
    texts = table["system"].map(cost).map(lambda value: f"{value:,.0f} s" if value else "–")
    named = [name for question in asked if comparisons.confirmatory(question) for name in question.compared]
    labels = {name: label(name) for name in named if label(name) != name}
    return table.assign(label=table["system"].map(lambda name: labels.get(name, "–")), cost=texts)


def steps(differences: pd.DataFrame) -> pd.DataFrame:
    """The confirmatory differences, or all where a study has none, with ``step``: systems by the paper's names."""
    confirmatory = differences["family"] == "confirmatory"
    rows = differences[confirmatory] if confirmatory.any() else differences
    return rows.assign(step=rows["system"].map(label) + " vs. " + rows["reference"].map(label))


def found(study: Study, real: Study) -> dict[str, pd.DataFrame]:
    """By kind of speech the `steps` of a study, and unless it is of the same profile, all differences on EmoTale."""
    own = {f"{reader(study.params.corpus.reader).KIND} speech": steps(comparisons.all_differences(study))}
    other = {} if study.params.profile == real.params.profile else {EMOTALE: comparisons.all_differences(real)}
    return own | other


def claims(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Each difference that the paper prints, and what was `found` on each kind of speech (on EmoTale that of
    `ON_REAL_SPEECH`), as text: differences with simultaneous intervals, and verdicts. A heading says where these are of
    the trained models alone."""
    first, *others = (comparisons.tested(table) for table in tables.values())
    quoted = first[first["paper"].notna()]
    pairs = list(zip(quoted["system"], quoted["reference"], strict=True))
    columns = {"the paper": [paper.stated_difference(*pair) for pair in pairs]}
    columns[next(iter(tables))] = [_told(row) for _, row in quoted.iterrows()]
    for table in others:
        rows = table.set_index(["system", "reference"])
        there = [ON_REAL_SPEECH.get(pair) for pair in pairs]
        columns[EMOTALE] = [_told(rows.loc[pair]) if pair in rows.index else "–" for pair in there]
    trained = {
        name: f"{name}, of these trained models" for name, table in tables.items() if comparisons.of_models(table)
    }
    return pd.DataFrame(columns, quoted["step"].rename("claim")).rename(columns=trained)


def _told(row: pd.Series) -> str:
    return f"{signed(row['estimate'])}<br><small>{interval(row, 3)}<br>{row['verdict']}</small>"


def write_readme() -> None:
    """Write the README's table of `README` into its place, and its figure, from the committed results."""
    studies = {profile: results.read(profile, f"results/{profile}/paper") for profile in README}
    lines = ["| speech | system | CCC [95 % interval] | what it is |", "|---|---|---|---|"]
    for profile, systems in README.items():
        table = comparisons.tested(leaderboard(studies[profile])).set_index("system")
        speech = f"{reader(studies[profile].params.corpus.reader).KIND} ({profile})"
        for name in [name for name in table.index if name in systems]:
            row = table.loc[name]
            cell = f"{number(row['estimate'])} {interval(row)}"
            lines.append(f"| {speech} | `{name}` | {cell} | {systems[name].format(encoder=row['encoder'])} |")
    path = project_root() / "README.md"
    before, after = re.split(r"(?<=<!-- results -->\n).*(?=<!-- end -->)", path.read_text("utf-8"), flags=re.DOTALL)
    path.write_text(before + "\n".join(lines) + "\n" + after, encoding="utf-8")
    grid = forest(comparisons.all_differences(studies["embedded"]), row="question")
    grid.savefig(project_root() / "book" / "_static" / "results.svg", metadata={"Date": None})
