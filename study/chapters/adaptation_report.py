"""What adaptation costs and gives: a system's CCC beside what it trains, how long that takes and what memory it needs.

Conventions as in `study.show.chapters`; of an ensemble, the systems that it is made of are trained one after the other.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sercore import ATTRIBUTES
from sercore.params import AdaptedEncoder
from sercore.runs import Run
from study.comparisons import Comparison
from study.plan import members
from study.results import by_system
from study.show.figures import panels
from study.show.report import BANNERS
from study.show.tables import basis, breakable, cell, downloads, html, interval, number, signed

COSTS = {
    "trained parameters": "trained parameters",
    "seconds": "seconds of training",
    "memory (MB)": "peak memory (MB)",
}
"""Columns of `costs` that are a price, and how an axis calls them."""

MARKERS = "osD^vP*Xhpd<>"
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#777777", "#882255")


def adaptation(encoder: AdaptedEncoder | None) -> str:
    """How an encoder is adapted, in words; a dash where there is none."""
    if encoder is None:
        return "–"
    if not encoder.finetune:
        return "frozen"
    return f"LoRA, rank {encoder.lora}" if encoder.lora else "fine-tuned"


def costs(comparison: Comparison, runs: Sequence[Run]) -> pd.DataFrame:
    """A row a compared system: how it is adapted, its mean CCC, and its price.

    Args:
        comparison: of the systems.
        runs: of the same study.

    Returns:
        Index: system. Columns ``speech`` and ``text`` (see `adaptation`); ``ccc``, ``low``, ``high`` of the mean CCC;
        ``trained parameters``, ``seconds`` and ``memory (MB)``. The last two are medians over the seeds; of an
        ensemble, parameters and seconds are sums, memory is the most that one of its members needs.
    """
    trained = by_system(runs)
    mean = comparison.scores[comparison.scores["endpoint"] == "mean"].set_index("system")
    rows = {}
    for system in comparison.question.compared:
        parts = pd.DataFrame([_price(trained[name]) for name in members(system)])
        params = trained[members(system)[0]][0].params
        rows[system] = {
            "speech": adaptation(params.speech),
            "text": adaptation(params.text),
            **mean.loc[system, ["ccc", "low", "high"]],
            **parts[["trained parameters", "seconds"]].sum(),
            "memory (MB)": parts["memory (MB)"].max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _price(runs: Sequence[Run]) -> dict[str, float]:
    names = {"trained parameters": "trainable_parameters", "seconds": "seconds", "memory (MB)": "peak_memory_mb"}
    return {price: float(np.median([run.metrics[name] for run in runs])) for price, name in names.items()}


def costs_table(comparison: Comparison, runs: Sequence[Run]) -> str:
    """`costs` as HTML, with links to files."""
    table = costs(comparison, runs)
    shown = pd.DataFrame(
        {
            "speech": table["speech"],
            "text": table["text"],
            "mean CCC": [cell(number(row["ccc"]), interval(row)) for _, row in table.iterrows()],
            **{name: table[name].map("{:,.0f}".format) for name in COSTS},
        }
    ).rename(index=breakable)
    caption = (
        f"{basis(comparison.seeds, pooled=comparison.runs < comparison.seeds)} Seconds: median training time of a run,"
        " validation included, without what frozen parts compute once for all runs. Memory: of the accelerator where"
        " there is one, else of the whole process: Python, its libraries, and what it has read of the files that hold"
        " frozen features, which are large where all of an encoder is frozen; the seeds of a system share a process."
        " Where each attribute has its own system,"
        " parameters and seconds are added up, and the memory is that of one after the other."
    )
    source = BANNERS[comparison.params.corpus.reader][1]
    numbers = table.rename_axis("system").reset_index()
    return html(shown, caption, "costs") + downloads({"adaptation-costs": (numbers, shown)}, source)


def costs_figure(comparison: Comparison, runs: Sequence[Run]) -> Figure:
    """Mean CCC with its interval against each price, parameters on a logarithmic axis; one mark a system."""
    table = costs(comparison, runs)
    figure, axes = panels(1, len(COSTS), (8.6, 4.2), sharey=True)
    for panel, (name, label) in zip(axes, COSTS.items(), strict=True):
        for place, (system, row) in enumerate(table.iterrows()):
            style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            reach = [[row["ccc"] - row["low"]], [row["high"] - row["ccc"]]]
            panel.errorbar(row[name], row["ccc"], reach, **style, linestyle="", capsize=2, label=system)
        panel.set_xlabel(label)
    axes[0].set_xscale("log")
    axes[0].set_ylabel(f"mean CCC on {comparison.split}\n(bars: 95 % interval)")
    figure.legend(
        *axes[0].get_legend_handles_labels(), ncols=3, loc="outside upper center", frameon=False, fontsize=8.5
    )
    return figure


def attributes_table(comparison: Comparison) -> str:
    """The differences of each pair, attribute by attribute, as HTML."""
    rows = {
        f"{breakable(system)} − {breakable(reference)}": {
            row["endpoint"]: cell(signed(row["difference"]), interval(row, 3)) for _, row in part.iterrows()
        }
        for (system, reference), part in comparison.differences.groupby(["system", "reference"], sort=False)
    }
    caption = (
        "Difference of CCC with 95 % interval. Only the mean is tested; the attributes are shown to be read beside it,"
        " and their intervals are not adjusted for being many."
    )
    table = pd.DataFrame.from_dict(rows, orient="index")[[*ATTRIBUTES, "mean"]]
    return html(table, caption, "attributes")
