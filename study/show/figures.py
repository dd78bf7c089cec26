"""The figures that the notebooks show, with labelled axes and units.

A colour never stands alone: the attributes also differ in their marker and line, the splits in their line or hatch.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS, SPLITS
from sercore.runs import Run
from study.comparisons import ENDPOINTS, Comparison
from study.results import by_split, lorenz, matched

COLOURS = dict(zip(ENDPOINTS, ("#D55E00", "#0072B2", "#009E73", "#000000"), strict=True))  # Okabe and Ito (2008)
MARKERS = dict(zip(ENDPOINTS, "osD*", strict=True))
LINES = dict(zip(ENDPOINTS, (":", "--", "-.", "-"), strict=True))
SPLIT_COLOURS = dict(zip(SPLITS, ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00"), strict=True))
SPLIT_LINES = dict(zip(SPLITS, ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), ":"), strict=True))
SPLIT_HATCHES = dict(zip(SPLITS, ("", "///", "...", "xxx", "\\\\\\"), strict=True))
STYLE = {
    "figure.dpi": 130,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.pad_inches": 0.15,
    "font.size": 10,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}


def forest(comparisons: Sequence[Comparison]) -> Figure:
    """The declared differences of each question: a row a pair, with its interval.

    A mark is filled where the difference is resolved. The grey band holds what is too small to be detected; an open
    diamond is the paper's difference, where it prints one.
    """
    count = sum(len(one.question.pairs) for one in comparisons)
    figure, axes = panels(1, 1, (7.6, 1.1 + 0.36 * (count + len(comparisons) - 1)))
    panel, place, names = axes[0], 0, {}
    for one in comparisons:
        if len(comparisons) > 1:
            panel.annotate(
                one.question.name,
                (0, place - 0.8),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                style="italic",
            )
        for _, row in one.tested.iterrows():
            names[place] = f"{row['system']}\n− {row['reference']}"
            panel.barh(place, 2 * row["detectable"], 0.8, -row["detectable"], color="#DDDDDD", zorder=0)
            reach = np.abs(row[["low", "high"]].to_numpy(float) - row["difference"])[:, None]
            face = "black" if row["verdict"] == "resolved" else "white"
            panel.errorbar(
                row["difference"], place, xerr=reach, fmt="o", color="black", markerfacecolor=face, capsize=3
            )
            panel.plot(row["paper"], place, "D", color="#D55E00", fillstyle="none", markersize=7, markeredgewidth=1.5)
            place += 1
        place += 1
    panel.axvline(0, color="black", linewidth=1)
    panel.use_sticky_edges = False  # a margin beside the widest band
    panel.autoscale()
    panel.set_yticks(list(names), list(names.values()), fontsize=7.5)
    panel.set_ylim(place - 1.3, -1.3 if len(comparisons) > 1 else -0.7)
    panel.set_xlabel(f"difference of mean CCC on {comparisons[0].split} (bars: 95 % interval)")
    panel.legend(
        handles=_forest_legend(), ncols=2, loc="lower center", bbox_to_anchor=(0.35, 1), frameon=False, fontsize=8.5
    )
    return figure


def learning_curves(runs: Sequence[Run]) -> Figure:
    """Training loss and validation CCC against the epoch, a line a run; a ring marks each run's chosen epoch."""
    figure, axes = panels(1, 2, (8, 3.2))
    for number, run in enumerate(runs):
        history, best = run.history.set_index("epoch"), run.metrics["best_epoch"]
        axes[0].plot(history["loss"], color="#555555")
        for endpoint in ENDPOINTS:
            label = None if number else endpoint
            axes[1].plot(history[endpoint], color=COLOURS[endpoint], linestyle=LINES[endpoint], label=label)
        axes[1].plot(best, history.loc[best, "mean"], marker="o", markersize=9, color="black", fillstyle="none")
    axes[0].set(xlabel="epoch", ylabel="training loss")
    axes[1].set(xlabel="epoch (ring: the one chosen)", ylabel="CCC on validation utterances")
    axes[1].legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, fontsize=8, columnspacing=1)
    return figure


def predicted_against_gold(runs: Sequence[Run], split: str) -> Figure:
    """Density of predictions against gold values, all runs of one system together, one panel an attribute."""
    gold, predicted = matched(runs, split)
    low, high = np.floor(gold[list(ATTRIBUTES)].min().min()), np.ceil(gold[list(ATTRIBUTES)].max().max())
    figure, axes = panels(1, 3, (8.4, 3), sharey=True)
    for number, (panel, name) in enumerate(zip(axes, ATTRIBUTES, strict=True)):
        x, y = np.tile(gold[name], len(predicted)), predicted[:, :, number].ravel()
        extent = (low, high, low, high)
        density = panel.hexbin(x, y, gridsize=25, extent=extent, mincnt=1, cmap="viridis_r", linewidths=0)
        panel.axline((low, low), slope=1, color="black", linewidth=1, linestyle="--")
        panel.set(title=name, xlabel="gold", xlim=(low, high), ylim=(low, high), aspect="equal")
        panel.set(xticks=np.arange(low, high + 1), yticks=np.arange(low, high + 1))
    axes[0].set_ylabel("predicted")
    figure.colorbar(density, ax=axes, label="utterances", shrink=0.8)
    return figure


def emotion_errors(errors: pd.DataFrame) -> Figure:
    """RMSE and bias of each attribute by emotion, from `emotion_errors`."""
    figure, axes = panels(1, 2, (8, 0.9 + 0.36 * len(errors)), sharey=True)
    for offset, name in zip((-0.2, 0, 0.2), ATTRIBUTES, strict=True):
        for panel, measure in zip(axes, ("RMSE", "bias"), strict=True):
            where = np.arange(len(errors)) + offset
            panel.plot(errors[f"{name} {measure}"], where, MARKERS[name], color=COLOURS[name], label=name, markersize=5)
    axes[0].set_yticks(range(len(errors)), [f"{name} ({n})" for name, n in errors["utterances"].items()])
    axes[0].set_ylim(len(errors) - 0.5, -0.5)
    axes[0].set(xlabel="RMSE (points of the scale)", xlim=(0, None))
    axes[1].axvline(0, color="black", linewidth=1)
    axes[1].set_xlabel("bias: predicted − gold (points)")
    axes[0].legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, fontsize=9)
    return figure


def emotion_shares(corpus: pd.DataFrame) -> Figure:
    """Share of each emotion in each split."""
    splits = by_split(corpus)
    figure, axes = panels(1, 1, (8, 3.2))
    width = 0.8 / len(splits)
    for number, (split, part) in enumerate(splits):
        shares = 100 * part["emotion"].value_counts(normalize=True).reindex(list(EMOTIONS), fill_value=0)
        where = np.arange(len(EMOTIONS)) + (number - (len(splits) - 1) / 2) * width
        axes[0].bar(where, shares, width, label=split, **_bar_style(split))
    axes[0].set_xticks(range(len(EMOTIONS)), [name.replace(" ", "\n") for name in EMOTIONS.values()], fontsize=8.5)
    axes[0].set_ylabel("share of utterances (%)")
    axes[0].legend(ncols=len(splits), loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return figure


def speaker_skew(corpus: pd.DataFrame) -> Figure:
    """Share of utterances that come from the most talkative speakers (a Lorenz curve from the top), by split."""
    figure, axes = panels(1, 1, (5.2, 3.6))
    for split, part in by_split(corpus):
        x, y = lorenz(part["speaker"].value_counts())
        axes[0].plot(100 * x, 100 * y, label=split, **_line_style(split))
    axes[0].axhline(80, color="#777777", linewidth=0.8)
    axes[0].set(xlabel="speakers, most talkative first (%)", ylabel="utterances (%)", xlim=(0, 100), ylim=(0, 101))
    axes[0].legend(frameon=False, loc="lower right")
    return figure


def durations(corpus: pd.DataFrame) -> Figure:
    """Distribution of the utterances' lengths, by split."""
    figure, axes = panels(1, 1, (6.4, 3))
    bins = np.histogram_bin_edges(corpus["duration"], bins=30)
    for split, part in by_split(corpus):
        axes[0].hist(part["duration"], bins, density=True, histtype="step", label=split, **_line_style(split))
    axes[0].set(xlabel="duration (s)", ylabel="density (1/s)")
    axes[0].legend(frameon=False)
    return figure


def attributes_by_emotion(corpus: pd.DataFrame) -> Figure:
    """Consensus of each attribute by emotion: median, quartiles, and whiskers to the 5th and 95th percentile."""
    present = [code for code in EMOTIONS if (corpus["emotion"] == code).any()]
    figure, axes = panels(1, 3, (8.4, 0.9 + 0.3 * len(present)), sharey=True)
    for panel, name in zip(axes, ATTRIBUTES, strict=True):
        values = [corpus.loc[corpus["emotion"] == code, name].dropna() for code in present]
        boxes = panel.boxplot(
            values, orientation="horizontal", whis=(5, 95), showfliers=False, patch_artist=True, widths=0.6
        )
        plt.setp(boxes["boxes"], facecolor=COLOURS[name], alpha=0.6)
        plt.setp(boxes["medians"], color="black", linewidth=1.5)
        panel.set(title=name, xlabel="points of the scale")
    axes[0].set_yticks(range(1, len(present) + 1), [EMOTIONS[code] for code in present])
    axes[0].invert_yaxis()
    return figure


def _forest_legend() -> list[Line2D | Patch]:
    point = {"color": "black", "marker": "o"}
    return [
        Line2D([], [], **point, label="resolved"),
        Line2D([], [], **point, markerfacecolor="white", label="unresolved"),
        Patch(color="#DDDDDD", label="too small to be detected"),
        Line2D(
            [], [], color="#D55E00", marker="D", linestyle="", fillstyle="none", label="the paper, without interval"
        ),
    ]


def _bar_style(split: str) -> dict:
    return {"facecolor": SPLIT_COLOURS[split], "hatch": SPLIT_HATCHES[split], "edgecolor": "black", "linewidth": 0.5}


def _line_style(split: str) -> dict:
    return {"color": SPLIT_COLOURS[split], "linestyle": SPLIT_LINES[split], "linewidth": 1.8}


def panels(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `size` (inches) that is shown only where it is returned, and its panels, row by row.

    The options are those of `matplotlib.pyplot.subplots`, such as ``sharey``.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    plt.close(figure)
    return figure, list(axes.ravel())
