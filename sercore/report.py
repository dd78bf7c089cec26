"""How scores and differences are printed and drawn: texts, sentences, LaTeX and the forest plot.

CCCs and p are printed without their leading zero. Tables are those of `sercore.verdicts`.
"""

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sercore.verdicts import CLAIMING, POWER, VERDICTS, WITHIN

if TYPE_CHECKING:
    from seaborn import FacetGrid

WIDTH = 6.8  # inches of a figure, at which its text has 9 points or more on a page
MARKERS = dict(zip(VERDICTS, (">", "^", "s", "o", "v", "<"), strict=True))
COLOURS = dict(zip(VERDICTS, ("C0", "C0", "C2", "C7", "C3", "C3"), strict=True))


def number(value: float, digits: int = 3) -> str:
    """A coefficient without its leading zero; a dash where it is unknown.

    >>> number(0.5), number(-0.0123)
    ('.500', '−.012')
    """
    return "–" if pd.isna(value) else re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}").replace("-", "−")


def signed(difference: float, digits: int = 3) -> str:
    """`number` with its sign."""
    return f"{'+' if difference >= 0 else ''}{number(difference, digits)}"


def probability(p: float) -> str:
    """A p with three digits, or that it is smaller."""
    return "< .001" if p < 0.001 else number(p)


def interval(row: pd.Series, digits: int = 2, limits: tuple[str, str] = ("low", "high")) -> str:
    """The `limits` of a row, in brackets."""
    low, high = row[list(limits)]
    return "no interval" if pd.isna(low) else f"[{number(low, digits)}, {number(high, digits)}]"  # of a constant


def sentence(row: pd.Series) -> str:
    """What a judged difference shows; names in backquotes."""
    retrained = row["sets"] >= CLAIMING
    a, b = (f"`{row[name]}`" for name in ("system", "reference"))
    a = a if retrained else f"Of these trained models, {a}"
    margin = number(row["margin"], 2)
    match row["verdict"].removesuffix(WITHIN):
        case "inconclusive":
            seeds = f"{row['sets']:.0f} runs of each and " if retrained else ""
            found = f"{number(row['detectable'])} would be found with about {100 * POWER:.0f} % probability"
            limits = f"differences from {signed(row['low'])} to {signed(row['high'])} are compatible with the data"
            size = f"with {seeds}{row['speakers']:.0f} speakers"
            return f"{a} against {b}: inconclusive; {limits} ({size}, a true difference of {found})."
        case "equivalent":
            limits = interval(row, 3, ("inner_low", "inner_high"))
            return f"{a} and {b} differ by less than {margin}: {signed(row['estimate'])} (equivalence limits {limits})."
        case better:
            within = f", by less than {margin}" if row["verdict"].endswith(WITHIN) else ""
            ends = sorted(row[["low", "high"]] * np.sign(row["estimate"]))
            size, low, high = map(number, (abs(row["estimate"]), *ends))
            return f"{a} is {better} than {b}{within}: by {size} [{low}, {high}]."


def printed_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Texts of `sercore.verdicts.scores`: a row a system, a column an endpoint."""
    texts = table.assign(text=[f"{number(row['estimate'])} {interval(row)}" for _, row in table.iterrows()])
    return texts.pivot_table("text", "system", "endpoint", aggfunc="first", sort=False).rename_axis(None, axis=1)


def printed_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Texts of the tested rows of `sercore.verdicts.judged`, a row a pair."""
    rows = table[table["endpoint"] == "mean"]
    columns = {
        "difference": [f"{signed(row['estimate'])} {interval(row, 3)}" for _, row in rows.iterrows()],
        "p": rows["p_adjusted"].map(probability).to_numpy(),
        "p (equivalence)": rows["p_equivalence_adjusted"].map(probability).to_numpy(),
        "verdict": rows["verdict"].to_numpy(),
        "equivalent within": rows["equivalent_within"].map(number).to_numpy(),
        "detectable": rows["detectable"].map(number).to_numpy(),
    }
    return pd.DataFrame(columns, (rows["system"] + " − " + rows["reference"]).rename("pair"))


def latex(texts: pd.DataFrame, source: str) -> str:
    """A table of texts as LaTeX with booktabs' rules; `source` is a comment at its top."""
    style = texts.style.format(escape="latex").format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
    text = style.to_latex(hrules=True, multicol_align="c")
    text = text.replace("−", "$-$").replace("–", "--").replace("<", "$<$").replace("±", r"$\pm$")
    return f"% {source}\n% \\usepackage{{booktabs,multirow}}\n{text}"


def forest(table: pd.DataFrame, row: str | None = None) -> "FacetGrid":
    """The tested differences of `judged` tables, a line a pair: a thin bar that is clear of 0 where there is a
    difference, and a thick one that lies within the shaded margin where there is equivalence. A cross is the difference
    of a column ``paper``. `row` is a column that divides the pairs into panels."""
    import matplotlib.pyplot as plt  # takes a second, and tables need none
    import seaborn as sns

    def draw(data: pd.DataFrame, **_: object) -> None:
        plt.axvspan(-data["margin"].max(), data["margin"].max(), color="0.92", zorder=0)
        plt.axvline(0, color="black", linewidth=0.8)
        for limits, look in ((["inner_low", "inner_high"], ("0.75", 7)), (["low", "high"], ("0.2", 1.2))):
            bars = data.melt("pair", limits)
            style = dict(zip(("color", "linewidth"), look, strict=True))
            sns.lineplot(bars, x="value", y="pair", units="pair", estimator=None, solid_capstyle="butt", **style)
        style = {"hue_order": shown_verdicts, "style_order": shown_verdicts, "palette": COLOURS, "markers": MARKERS}
        sns.scatterplot(data, x="estimate", y="pair", hue="verdict", style="verdict", s=70, zorder=3, **style)
        if "paper" in data:
            sns.scatterplot(data, x="paper", y="pair", marker="x", color="black", s=45, linewidth=1.5, zorder=4)
        plt.gca().margins(y=0.5 / data["pair"].nunique())
        plt.locator_params(axis="x", nbins=6)

    shown = table[table["endpoint"] == "mean"]
    shown_verdicts = [name for name in VERDICTS if name in set(shown["verdict"])]
    shown = shown.assign(pair=shown["system"].map(_broken) + "\n− " + shown["reference"].map(_broken))
    lines = shown["pair"].str.count("\n") + 1.5
    panels = lines.groupby(shown[row] if row else lines.map(bool), sort=False)
    heights = panels.size() * panels.max()  # rows of a panel have equal heights
    height = (0.9 + 0.2 * heights.sum()) / len(heights)
    style = {"row": row, "sharey": False, "gridspec_kws": {"height_ratios": [*heights]}}
    grid = sns.FacetGrid(shown, height=height, aspect=WIDTH / height, **style).map_dataframe(draw)
    grid.add_legend(label_order=shown_verdicts)
    sns.move_legend(grid, "lower center", bbox_to_anchor=(0.5, 1), ncol=2, title=None)
    where = f" on {', '.join(shown['split'].unique())}" if "split" in shown else ""
    return grid.set_titles(row_template="{row_name}").set_axis_labels(f"difference of mean CCC{where}", "")


def _broken(system: str) -> str:
    """A system's name on lines of some 25 letters, broken after an underscore."""
    return "\n".join(textwrap.wrap(system.replace("_", "_ "), 27)).replace("_ ", "_")
