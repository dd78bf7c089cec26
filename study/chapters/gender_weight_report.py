"""The tables, figure and sentences of the chapter on the gender's weight, from `gender_weight.measure` alone.

Tables are HTML, sentences are Markdown.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sercore import ATTRIBUTES
from study.chapters.gender_weight import FLOOR, Measured, link_effects, reading
from study.comparisons import ENDPOINTS, Comparison
from study.plan import STUDY, overrides
from study.show import chapters
from study.show.figures import COLOURS, LINES, MARKERS, panels
from study.show.report import BANNERS
from study.show.tables import basis, cell, downloads, html, interval, number, probability, score_cells, signed

TITLES = {STUDY: "as it is", "gender_linked": "with a gender link"}
"""How tables and figures call the corpus of a condition."""


def answer(measured: Sequence[Measured]) -> str:
    """For each condition how many differences are resolved, and each in words."""
    return "\n\n".join(f"**The corpus {TITLES[one.condition]}.** {chapters.answer(one.comparison)}" for one in measured)


def figure(measured: Sequence[Measured]) -> Figure:
    """Difference of CCC to weight 0, and gender accuracy, against the weight: a column a condition."""
    size = (1.4 + 3.6 * len(measured), 5.6)
    result, drawn = panels(2, len(measured), size, sharex=True, sharey="row", height_ratios=(2, 1))
    axes = np.reshape(drawn, (2, -1))
    for one, (upper, lower) in zip(measured, axes.T, strict=True):
        _differences_panel(upper, one)
        _accuracy_panel(lower, one)
    axes[0][0].set_ylabel("difference of CCC to weight 0\n")
    axes[1][0].set_ylabel("gender:\nbalanced accuracy")
    result.legend(*axes[0][0].get_legend_handles_labels(), ncols=4, loc="outside upper center", frameon=False)
    return result


def differences_table(measured: Sequence[Measured]) -> str:
    """Each declared difference under each condition, with interval, Holm's p, detectable difference and verdict."""
    blocks = {}
    for one in measured:
        steps = one.comparison.tested
        values = {
            "difference": [cell(signed(row["difference"]), interval(row, 3)) for _, row in steps.iterrows()],
            "Holm's p": steps["holm"].map(probability).to_numpy(),
            "detectable": steps["detectable"].map(number).to_numpy(),
            "verdict": steps["verdict"].to_numpy(),
        }
        blocks[f"corpus {TITLES[one.condition]}"] = pd.DataFrame(
            values, [_weight(one, name) for name in steps["system"]]
        )
    first = measured[0].comparison
    caption = (
        f"Mean CCC of each weight minus that of weight 0, with 95 % interval, on {_size(first)}; trained runs of each"
        f" system: {first.seeds}. {_test(first)} Holm's p holds the {len(first.question.pairs)} differences of a corpus"
        " together. Detectable: what such a test finds in four of five studies of this size. Unresolved does not mean"
        " equal."
    )
    table = pd.concat(blocks, axis=1)
    numbers = pd.concat([one.comparison.differences.assign(condition=one.condition) for one in measured])
    return html(table, caption, "weights") + downloads({"gender_weight-differences": (numbers, table)}, _source(first))


def scores_table(measured: Sequence[Measured]) -> str:
    """CCC of each weight under each condition, and how well it tells the gender."""
    tables, numbers = [], []
    for one in measured:
        scores = one.comparison.scores.query("system in @one.weights")
        told = one.accuracy.reindex(list(one.weights))
        table = score_cells(scores, ["system"]).loc[list(one.weights), [*ATTRIBUTES, "mean"]]
        table["gender, balanced"] = [
            cell(number(row["balanced"]), interval(row)) if row["balanced"] == row["balanced"] else "–"
            for _, row in told.iterrows()
        ]
        table["gender, accuracy"] = told["accuracy"].map(number)
        table["majority"] = told["majority"].map(number)
        table.index = [f"{TITLES[one.condition]}: {_weight(one, name)}" for name in one.weights]
        tables.append(table)
        numbers.append(
            scores.assign(condition=one.condition).merge(told["balanced"], left_on="system", right_index=True)
        )
    table, first = pd.concat(tables), measured[0].comparison
    caption = (
        f"CCC on {_size(first)}. {basis(first.seeds, pooled=first.runs < first.seeds)} Gender: share of utterances told"
        " right, and balanced (the mean over women and men, whose floor is .5) with a 95 % interval, jackknife over"
        f" speakers; majority: accuracy of always saying the more frequent gender. {_perfect(measured)}"
    )
    return html(table, caption, "weight-scores") + downloads(
        {"gender_weight-scores": (pd.concat(numbers), table)}, _source(first)
    )


def link_table(measured: Sequence[Measured]) -> str:
    """What the link changes in what each weight gains; a sentence where there is no such condition."""
    effects = link_effects(measured)
    if not effects:
        return "<p>The link between gender and sound can be turned in the simulation alone.</p>"
    cells = {
        f"weight {weight:g}": [
            cell(signed(value), f"[{number(low, 3)}, {number(high, 3)}], p {probability(p)}")
            for value, low, high, p in zip(one.difference, one.low, one.high, one.p, strict=True)
        ]
        for weight, one in effects.items()
    }
    caption = (
        "What a weight gains over weight 0 with the gender link, minus what it gains without, by endpoint, with 95 %"
        " interval and p, not adjusted. The errors of the two gains are taken as independent."
    )
    return html(pd.DataFrame.from_dict(cells, "index", columns=list(ENDPOINTS)), caption, "links")


def reading_table(measured: Sequence[Measured]) -> str:
    """What knowing the gender is worth under each condition of the simulation."""
    if measured[0].comparison.params.corpus.reader != "simulated":
        return "<p>What knowing the gender is worth can be computed in the simulation alone.</p>"
    rows = {}
    for one in measured:
        link = overrides(one.condition).get("corpus", {}).get("gender_link", 0.0)
        rows[f"corpus {TITLES[one.condition]}"] = [f"{link:g}", *(number(value, 2) for value in reading(link))]
    columns = ["link (standard deviations)", "voice alone", "voice and gender"]
    caption = (
        "Correlation of true arousal with its best linear reading from the four channels of the simulated voice, and"
        " from these and the speaker's gender: computed from the numbers behind the simulation, without sound."
    )
    return html(pd.DataFrame.from_dict(rows, "index", columns=columns), caption, "reading")


# Steps of the above


def _differences_panel(panel: Axes, one: Measured) -> None:
    weights = list(one.weights.values())
    for offset, endpoint in zip((-0.18, -0.06, 0.06, 0.18), ENDPOINTS, strict=True):
        rows = one.comparison.differences.query("endpoint == @endpoint").set_index("system")
        rows = rows.reindex(list(one.weights)).fillna({"difference": 0.0})
        reach = np.abs(rows[["low", "high"]].to_numpy().T - rows["difference"].to_numpy())
        style = {"color": COLOURS[endpoint], "marker": MARKERS[endpoint], "linestyle": LINES[endpoint]}
        panel.errorbar(
            np.arange(len(weights)) + offset,
            rows["difference"],
            reach,
            label=endpoint,
            capsize=2,
            markersize=5,
            **style,
        )
    panel.axhline(0, color="black", linewidth=1)
    panel.set_title(f"corpus {TITLES[one.condition]}", fontsize=10)


def _accuracy_panel(panel: Axes, one: Measured) -> None:
    weights = list(one.weights.values())
    where = [weights.index(one.weights[name]) for name in one.accuracy.index]
    reach = np.abs(one.accuracy[["low", "high"]].to_numpy().T - one.accuracy["balanced"].to_numpy())
    panel.errorbar(where, one.accuracy["balanced"], reach, color="#CC79A7", marker="^", capsize=2)
    panel.axhline(FLOOR, color="#777777", linestyle="--", linewidth=1)
    panel.annotate("always the same gender", (0.02, FLOOR), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    panel.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    panel.set(xlabel="weight of the gender loss (bars: 95 % interval)", ylim=(0.4, 1.03))


def _weight(one: Measured, system: str) -> str:
    return f"weight {one.weights[system]:g}"


def _size(comparison: Comparison) -> str:
    first = comparison.scores.iloc[0]
    return f"{first['utterances']:,} utterances of {first['speakers']} speakers ({comparison.split})"


def _test(comparison: Comparison) -> str:
    if comparison.runs == 1:
        return "Two trained systems: jackknife over speakers, and p from swapping the two within speakers."
    return "Jackknife over speakers plus variance of the seeds, Student's t with Satterthwaite's degrees of freedom."


def _perfect(measured: Sequence[Measured]) -> str:
    """What an interval without width leaves open."""
    speakers = [row["speakers"] for one in measured for _, row in one.accuracy.iterrows() if row["balanced"] == 1]
    if not speakers:
        return ""
    return (
        "Where all is told right the interval has no width; by the rule of three, no more than"
        f" {3 / min(speakers):.0%} of all speakers are then told wrong, with 95 % confidence."
    )


def _source(comparison: Comparison) -> str:
    return BANNERS[comparison.params.corpus.reader][1]
