"""The first page: all systems ranked, every step by attribute, and what became of the paper's claims."""

import pandas as pd

from sercore.report import interval, signed
from study import comparisons, paper, results
from study.plan import Question, label, members, questions
from study.results import Study

# What stands on EmoTale for a step of the paper: the frozen encoder without text is the reference there.
ON_REAL_SPEECH = {
    ("fusion", "speech_only"): ("fusion", "speech_only"),
    ("fusion_speaker_embedding", "fusion"): ("speech_speaker_embedding", "speech_only"),
    ("fusion_speaker", "fusion"): ("speech_speaker", "speech_only"),
    ("fusion_gender", "fusion"): ("speech_gender", "speech_only"),
}


def leaderboard(study: Study) -> pd.DataFrame:
    """`study.comparisons.scores` of all systems of the paper's questions, the best mean CCC first, with ``label``, the
    paper's name, and ``cost``, the median time of a run, of an ensemble that of all members, as text."""
    pairs = [pair for question in questions(study.params.profile).values() for pair in question.pairs]
    table = comparisons.scores(study, Question("overview", "", tuple(pairs)))
    order = comparisons.tested(table).sort_values("estimate", ascending=False)["system"]
    seconds = results.costs(study.runs)["seconds a run"]
    cost = {name: seconds.reindex(members(name)).sum() for name in order}
    table = table.set_index("system").loc[order].reset_index()
    texts = table["system"].map(cost).map(lambda value: f"{value:,.0f} s" if value else "–")
    return table.assign(label=table["system"].map(label), cost=texts)


def steps(differences: pd.DataFrame) -> pd.DataFrame:
    """The confirmatory differences, with ``step``, their systems by the paper's names."""
    rows = differences[differences["family"] == "confirmatory"]
    return rows.assign(step=rows["system"].map(label) + " vs. " + rows["reference"].map(label))


def claims(simulated: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Each difference that the paper prints, and what was found on simulated speech and on EmoTale (`ON_REAL_SPEECH`),
    as text: differences with simultaneous intervals, and verdicts."""
    found = comparisons.tested(real).set_index(["system", "reference"])
    rows = []
    for _, row in comparisons.tested(steps(simulated)).iterrows():
        pair = row["system"], row["reference"]
        there = ON_REAL_SPEECH.get(pair)
        rows.append(
            {
                "claim": row["step"],
                "the paper": signed(*(paper.difference(*pair) or (float("nan"), 3))),
                "simulated speech": _told(row),
                "EmoTale": _told(found.loc[there]) if there in found.index else "–",
            }
        )
    return pd.DataFrame(rows).set_index("claim")


def _told(row: pd.Series) -> str:
    return f"{signed(row['estimate'])} {interval(row, 3)}<br><small>{row['verdict']}</small>"
