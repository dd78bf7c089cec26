"""One theme for all figures, and the few kinds that several chapters draw; a chapter's others call seaborn themselves.

Every figure is a seaborn call on a tidy table with ``estimate``, ``low`` and ``high``, to which ``options`` go. Limits
are drawn by handing seaborn all three values of a row: their median is the estimate, and they span the interval. Colour
is never the only cue: marks and lines differ as well.
"""

import textwrap
from typing import Any

import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib_inline.backend_inline import set_matplotlib_formats

from sercore.report import WIDTH, interval, number

MARKERS = ["o", "s", "D", "^", "v", "P", "X", "*"]
INTERVAL: dict[str, Any] = {"estimator": "median", "errorbar": ("pi", 100)}  # draws the intervals of `spread` rows

sns.set_theme(
    context="paper",
    style="ticks",
    palette="colorblind",
    font_scale=1.2,
    rc={"axes.grid": True, "grid.alpha": 0.4, "axes.axisbelow": True, "legend.frameon": False, "svg.hashsalt": "study"},
)
if get_ipython():
    set_matplotlib_formats("svg", metadata={"Date": None})


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Three rows an estimate: low, estimate and high as ``value``; an estimate without limits has one."""
    limits = [name for name in ("low", "estimate", "high") if name in table]
    return table.melt(table.columns.drop(limits), limits, "limit", "value").dropna(subset="value")


def points(table: pd.DataFrame, y: str, label: str, **options: Any) -> sns.FacetGrid:
    """Estimates with their intervals as points and bars, a row a value of `y`; `label` is the horizontal axis's."""
    hues = table[options["hue"]].nunique() if "hue" in options else 1
    style: dict[str, Any] = {"linestyle": "none", "capsize": 0.2, "err_kws": {"linewidth": 1.3}}
    style |= {"dodge": 0.4 if hues > 1 else False, "markers": MARKERS[:hues]}
    style |= {"height": 1 + 0.3 * table[y].nunique() * max(1, hues / 2)} | options
    style |= {"aspect": _aspect(table, style["height"], options)}
    grid = sns.catplot(spread(table), kind="point", x="value", y=y, **INTERVAL, **style)
    return legend_above(_titled(grid.set_axis_labels(label, "")))


def curves(table: pd.DataFrame, x: str, labels: tuple[str, str], **options: Any) -> sns.FacetGrid:
    """Estimates with their intervals as lines and bars against the numbers `x`; `labels` of both axes."""
    style: dict[str, Any] = {"style": options.get("hue"), "markers": "hue" in options, "height": 3.2}
    style |= {"err_style": "bars", "err_kws": {"capsize": 3}} | options
    style |= {"aspect": _aspect(table, style["height"], options)}
    return relplot(spread(table), x, "value", labels, kind="line", **INTERVAL, **style)


def relplot(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str], **options: Any) -> sns.FacetGrid:
    """seaborn's own, which tells hues apart by marks or dashes as well; `labels` of both axes."""
    grid = sns.relplot(table, x=x, y=y, **{"style": options.get("hue")} | options)
    return legend_above(_titled(grid.set_axis_labels(*labels)))


def heatmap(table: pd.DataFrame, y: str, x: str, labels: tuple[str, str], **options: Any) -> sns.FacetGrid:
    """Estimates as colours, each with its interval in figures, by two columns of categories; `labels` of both axes."""
    texts = [f"{number(row['estimate'], 2)}\n{interval(row)}" for _, row in table.iterrows()]
    cells = table.assign(text=texts, **{y: table[y].map(lambda name: textwrap.fill(str(name), 26))})
    size = {"height": 1 + 0.7 * table[y].nunique(), "sharex": False, "sharey": False} | options
    grid = sns.FacetGrid(cells, **size | {"aspect": _aspect(table, size["height"], options)})
    low, high = -table["estimate"].abs().max() if (table["estimate"] < 0).any() else 0, table["estimate"].abs().max()
    grid.map_dataframe(_draw_heatmap, y, x, cmap="RdBu" if low else "Blues", vmin=low, vmax=high)
    return _titled(grid.set_axis_labels(*labels))


def legend_above(grid: sns.FacetGrid) -> sns.FacetGrid:
    """`grid` with its legend above the panels, where it takes no width from them."""
    if grid.legend is not None:
        letters = max(len(text.get_text()) for text in grid.legend.get_texts())
        sns.move_legend(grid, "lower center", bbox_to_anchor=(0.5, 1), ncol=max(1, 75 // (letters + 5)), title=None)
    return grid


def _draw_heatmap(y: str, x: str, *, data: pd.DataFrame, color: Any, **options: Any) -> None:
    values, texts = (data.pivot_table(name, y, x, aggfunc="first", sort=False) for name in ("estimate", "text"))
    order = {"index": list(dict.fromkeys(data[y])), "columns": list(dict.fromkeys(data[x]))}
    annotated = {"annot": texts.reindex(**order), "annot_kws": {"size": 10}, "fmt": ""}
    sns.heatmap(values.reindex(**order), cbar=False, linewidths=1, **annotated, **options)


def _titled(grid: sns.FacetGrid) -> sns.FacetGrid:
    """`grid` whose panels are headed by the values that they show alone."""
    both = {"template": "{row_name}: {col_name}"} if grid.row_names and grid.col_names else {}
    return grid.set_titles(**both or {"row_template": "{row_name}", "col_template": "{col_name}"})


def _aspect(table: pd.DataFrame, height: float, options: dict[str, Any]) -> float:
    """Width of a panel over its height, such that all columns together have the width of a figure."""
    columns = table[options["col"]].nunique() if "col" in options else 1
    return options.get("aspect", WIDTH / min(columns, options.get("col_wrap", columns)) / height)
