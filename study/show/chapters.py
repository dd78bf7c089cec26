"""What a chapter says of its question: tables and sentences from a `study.comparisons.Comparison` alone.

Conventions:

- Tables are HTML, sentences are Markdown; a difference is that of the mean CCC of the three attributes.
- The paper's figures stand in columns of their own, and none of ours is said to confirm or refute one of them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sercore.runs import Run
from study import paper
from study.comparisons import CEILING, ENDPOINTS, FLOOR, LEVEL, Comparison
from study.plan import paper_row
from study.show.report import BANNERS
from study.show.tables import (
    basis,
    breakable,
    cell,
    downloads,
    html,
    interval,
    number,
    probability,
    score_cells,
    signed,
)

FINDINGS = {
    "simulated": "Our figures come from simulated speech: they neither confirm nor refute what the paper found.",
    "emotale": "Our figures come from enacted sentences of few speakers: they neither confirm nor refute what the paper"
    " found on spontaneous speech.",
    "iemocap": "Our figures come from acted dialogues of ten speakers: they neither confirm nor refute what the paper"
    " found on spontaneous speech.",
    "msp_podcast": "A step stands for the paper's only as far as release, split and encoders are the same.",
    "manifest": "Our figures come from another corpus: they neither confirm nor refute what the paper found.",
}
"""What a figure of ours says about the paper's, by the corpus's reader."""

# Tables


def scores_table(comparison: Comparison) -> str:
    """CCCs of each system, of one rater and of guessing, with intervals; beside them the paper's; links to files."""
    quoted = dict.fromkeys(filter(None, map(paper_row, comparison.question.compared)))
    notes = paper.results().loc[list(quoted), "note"].dropna()
    caption = [
        f"Concordance correlation (CCC) on the {_size(comparison)} that all these systems predict.",
        basis(comparison.seeds, pooled=comparison.runs < comparison.seeds),
        "The floor guesses, with mean and spread of the training set.",
    ]
    if CEILING in set(comparison.scores["system"]):
        caption.append(
            "One rater is held against the mean of the utterance's other raters. A system is held against the mean of"
            " all of them, which errs less, so a good one may lie above."
        )
    caption += [paper.quoted()["caveat"], *(f"{name}: {note}." for name, note in notes.items())]
    return html(_scores(comparison), " ".join(caption), "scores") + files([comparison], "scores")


def differences_table(comparison: Comparison) -> str:
    """Each declared difference with interval, p, Holm's p, detectable difference and verdict; links to files."""
    count = len(comparison.question.pairs)
    test = (
        "two trained systems, on other speakers: jackknife over speakers, and p from swapping the two within speakers;"
        " what another training would give is not known"
        if comparison.runs == 1
        else "two ways of training, on other speakers and with other seeds: jackknife over speakers plus variance of"
        " the seeds, Student's t with Satterthwaite's degrees of freedom"
    )
    caption = (
        "Difference of the mean CCC of the three attributes, the endpoint declared in advance, with 95 % interval and"
        f" p, between {test}. {_size(comparison)}; trained runs of each system: {comparison.seeds}. Holm's p holds the"
        f" family of the {count} comparisons of this table together. Detectable: what such a test finds in four of five"
        f" studies of this size, at a level of {LEVEL:g} shared by the family. Resolved: Holm's p below {LEVEL:g} and a"
        f" difference no smaller than the detectable one. Unresolved does not mean equal. {paper.quoted()['caveat']}"
    )
    return html(_differences(comparison), caption, "differences") + files([comparison], "differences")


def overview_table(comparisons: Sequence[Comparison]) -> str:
    """The declared differences of all questions, a row each, with verdict and the paper's difference."""
    parts = [
        _differences(one)[["difference", "verdict", "the paper"]].assign(question=one.question.name)
        for one in comparisons
    ]
    table = pd.concat(parts)[["question", "difference", "verdict", "the paper"]]
    caption = (
        "Difference of the mean CCC with 95 % interval; Holm's procedure holds each question's comparisons together."
        f" {paper.quoted()['caveat']}"
    )
    return html(table, caption, "overview")


def leak_table(runs: Sequence[Run], comparisons: Sequence[Comparison]) -> str:
    """Mean CCC of each system on its validation set at the chosen epoch, and with its difference on several splits.

    Args:
        runs: of the study.
        comparisons: of the same question, one on each split.
    """
    systems = list(comparisons[0].question.compared)
    best = {name: [_validation(run) for run in runs if run.system == name] for name in systems}
    cells = {name: cell(number(np.mean(values)), f"seeds: {_range(values)}") for name, values in best.items()}
    blocks = {"validation set": pd.DataFrame({"mean CCC": cells})}
    for one in comparisons:
        scores = one.scores[one.scores["endpoint"] == "mean"]
        steps = one.tested
        blocks[one.split] = pd.DataFrame(
            {
                "mean CCC": score_cells(scores, ["system"])["mean"],
                "difference": pd.Series(_steps(steps), index=steps["system"].to_numpy()),
            }
        )
    table = pd.concat(blocks, axis=1).loc[systems].fillna("–").rename(index=breakable)
    sizes = "; ".join(f"{one.split}: {_size(one)}" for one in comparisons)
    caption = (
        "Mean CCC on the validation set at the epoch that it chose is what the paper reports: averaged over the seeds,"
        " with their range. On the splits: mean CCC, and difference to"
        f" {comparisons[0].question.pairs[0][1]}, with 95 % intervals. {sizes}. The validation set is part of the"
        " development split. Differences on that are shown to be read beside the others, not tested."
    )
    return html(table, caption, "leak")


def _validation(run: Run) -> float:
    """Mean CCC of the validation set at the chosen epoch."""
    return float(run.history.set_index("epoch").loc[run.metrics["best_epoch"], "mean"])


def _range(values: Sequence[float]) -> str:
    return f"{number(min(values), 2)} to {number(max(values), 2)}"


def quoted_table(data: str) -> str:
    """The paper's figures that were measured on `data`."""
    rows = paper.printed().query("data == @data").fillna("–")
    return html(rows[list(ENDPOINTS)], f"{paper.quoted()['source']}, on {data}. {paper.quoted()['caveat']}", "quoted")


def files(comparisons: Sequence[Comparison], *kinds: str) -> str:
    """Links to the tables of `comparisons` as CSV (the numbers, of all endpoints) and LaTeX (as the page shows them).

    Args:
        comparisons: of one study.
        kinds: ``scores``, ``differences``.
    """
    shown = {"scores": _scores, "differences": _differences}
    tables = {
        f"{one.question.name}-{kind}": (getattr(one, kind), shown[kind](one)) for one in comparisons for kind in kinds
    }
    return downloads(tables, f"{BANNERS[comparisons[0].params.corpus.reader][1]} {paper.quoted()['caveat']}")


# Sentences


def contents(comparisons: Sequence[Comparison]) -> str:
    """A link to the chapter of each question."""
    return "\n".join(f"- [{one.question.sentence}](/notebooks/{one.question.name})" for one in comparisons)


def answer(comparison: Comparison) -> str:
    """How many differences are resolved, and each in words."""
    steps = comparison.tested
    resolved = int((steps["verdict"] == "resolved").sum())
    lines = [f"Of {len(steps)} differences declared in advance, {resolved} resolved on {comparison.split}:", ""]
    for _, row in steps.iterrows():
        size = f"{signed(row['difference'])} {interval(row, 3)}, Holm's p {probability(row['holm'])}"
        if row["verdict"] == "resolved":
            what = f"{'higher' if row['difference'] > 0 else 'lower'} than `{row['reference']}`: {size}; resolved."
        else:
            what = (
                f"not told apart from `{row['reference']}`: {size}; a study of this size finds differences from"
                f" {number(row['detectable'])} on."
            )
        lines.append(f"- `{row['system']}` is {what}")
    return "\n".join(lines)


def against_the_paper(comparison: Comparison) -> str:
    """Whether each step that the paper prints has the same sign here, and what that is worth."""
    steps = comparison.tested
    lines = [_beside(row) for _, row in steps.dropna(subset="paper").iterrows()]
    lacking = [f"`{row['system']}` − `{row['reference']}`" for _, row in steps[steps["paper"].isna()].iterrows()]
    if lacking:
        lines.append(f"- The paper prints no figure for {', '.join(lacking)}.")
    caveat = "The paper tells neither intervals nor tests, so how sure its own differences are is not known from it."
    return "\n".join([*lines, "", f"{FINDINGS[comparison.params.corpus.reader]} {caveat}"])


# Steps of the above


def _scores(comparison: Comparison) -> pd.DataFrame:
    """Texts of `scores_table`."""
    ours = score_cells(comparison.scores, ["system"])
    rows = [paper_row(system) for system in comparison.question.compared]
    theirs = paper.printed().reindex(rows).set_axis(list(comparison.question.compared))
    measured = theirs["data"].dropna()
    data = measured.iloc[0] if len(set(measured)) == 1 else paper.quoted()["data"]
    elsewhere = measured.index[measured != data]
    theirs.loc[elsewhere, "mean"] = [cell(*pair) for pair in theirs.loc[elsewhere, ["mean", "data"]].to_numpy()]
    theirs = theirs[list(ENDPOINTS)].reindex(ours.index).fillna("–")
    table = pd.concat({f"this study: {comparison.split}": ours, f"the paper: {data}": theirs}, axis=1)
    bounds = [name for name in (CEILING, FLOOR) if name in table.index]
    return table.loc[[*comparison.question.compared, *bounds]].rename(index=breakable)


def _differences(comparison: Comparison) -> pd.DataFrame:
    """Texts of `differences_table`."""
    steps = comparison.tested
    table = pd.DataFrame(
        {
            "difference": _steps(steps),
            "p": steps["p"].map(probability),
            "Holm's p": steps["holm"].map(probability),
            "detectable": steps["detectable"].map(number),
            "verdict": steps["verdict"],
            "the paper": [_printed(*pair) for pair in comparison.question.pairs],
        }
    )
    names = [f"{breakable(one)} − {breakable(other)}" for one, other in comparison.question.pairs]
    return table.set_axis(names)


def _steps(steps: pd.DataFrame) -> list[str]:
    return [cell(signed(row["difference"]), interval(row, 3)) for _, row in steps.iterrows()]


def _printed(system: str, reference: str) -> str:
    found = paper.difference(system, reference)
    return signed(*found) if found else "–"


def _beside(row: pd.Series) -> str:
    printed = _printed(row["system"], row["reference"])
    step = f"- `{row['system']}` − `{row['reference']}`: {printed} in the paper;"
    if row["verdict"] == "unresolved":
        return f"{step} unresolved here, so not even its sign is known."
    if not set(printed) & set("123456789"):
        return f"{step} {signed(row['difference'])} here, where the paper's two digits show no sign."
    same = (row["paper"] > 0) == (row["difference"] > 0)
    return f"{step} {signed(row['difference'])} here, of {'the same' if same else 'the opposite'} sign."


def _size(comparison: Comparison) -> str:
    first = comparison.scores.iloc[0]
    return f"{first['utterances']:,} utterances of {first['speakers']} speakers"
