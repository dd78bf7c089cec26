"""Tidy tables as a page shows them, with links to the numbers (CSV) and to the table (LaTeX)."""

import base64
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from sercore.report import interval, latex, number, printed_differences, probability
from study import paper
from study.comparisons import of_models, tested

SYSTEM = ("system",)


def scores(
    table: pd.DataFrame, caption: str, *, rows: Sequence[str] = SYSTEM, columns: str = "endpoint", name: str = "scores"
) -> HTML:
    """Estimates with intervals, by default CCCs: a row a value of the columns `rows`, a column a value of `columns`;
    systems alone stand beside the paper's CCCs. What they rest on ends the caption; files are called `name`."""
    limits = [f"<br><small>{interval(row)}</small>" for _, row in table.iterrows()]
    known = table["low"].notna() | table["estimate"].eq(0)
    cells = table.assign(cell=table["estimate"].map(number) + np.where(known, limits, ""))
    systems = rows == SYSTEM and columns == "endpoint"
    index = [*rows, "encoder"] if systems and "encoder" in table else list(rows)
    shown = cells.pivot_table(index=index, columns=columns, values="cell", aggfunc="first", sort=False)
    shown = shown[list(dict.fromkeys(table[columns]))].fillna("–")
    quoted = paper.printed_scores(shown.index.get_level_values(0)) if systems else None
    if quoted is not None:
        shown = pd.concat({"this study": shown, "the paper": quoted.set_axis(shown.index)}, axis=1)
    return show(shown, f"{caption} {basis(table)}", name, table)


def differences(table: pd.DataFrame, caption: str, *, rows: tuple[str, ...] = (), name: str = "differences") -> HTML:
    """Differences of the tested endpoint with simultaneous interval, both adjusted p, verdict, the smallest margin at
    which the two would be equivalent, the detectable difference, and the paper's; `rows` are columns that name a row
    beside the pair, such as ``condition``. See `scores`."""
    shown = tested(table)
    text = (
        printed_differences(shown)
        .replace("< ", "&lt;&nbsp;", regex=True)
        .replace({"difference": r" \[(.*)\]"}, r"<br><small>[\1]</small>", regex=True)
    )
    if "paper" in shown and shown["paper"].notna().any():
        text["the paper"] = [paper.stated_difference(*pair) for pair in shown[["system", "reference"]].to_numpy()]
    names = [*(shown[row].map(str) for row in rows), text.index]
    text = text.set_axis(pd.MultiIndex.from_arrays(names) if rows else names[0])
    return show(text, f"{caption} {basis(shown)}", name, table)


def show(shown: pd.DataFrame, caption: str, name: str, numbers: pd.DataFrame | None = None) -> HTML:
    """A table of texts or numbers, its index only where it holds texts, with its caption and, as CSV, the `numbers`
    behind it (by default itself). All floats of a column have three decimals, or none where they are large, or an
    exponent where they are small. What names a row, its index or else its first column, is a header of that row, with a
    heading of its own. Classes: `name`, and of columns ``paper`` (its figures)."""
    shown, heads = shown.rename_axis(columns=[None] * shown.columns.nlevels), 1
    if not pd.api.types.is_numeric_dtype(shown.index):
        heads = shown.index.nlevels
        shown = shown.reset_index(col_level=-1)
    texts = shown.apply(_texts)
    quoted = np.where(shown.columns.to_frame().eq("the paper").any(axis=1), "paper", "")
    quoted[:heads] = "head"
    classes = pd.DataFrame([quoted] * len(shown), texts.index, texts.columns)
    style = Styler(texts, cell_ids=False).set_table_attributes(f'class="dataframe {name}"').hide(axis="index")
    csv = (shown if numbers is None else numbers).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    tex = latex(_with_index(texts.map(_plain).rename(columns=_plain)), caption)
    links = f"{_link(f'{name}.csv', 'text/csv', csv)} · {_link(f'{name}.tex', 'application/x-tex', tex)}"
    shown_caption = re.sub("`(.+?)`", r"<code>\1</code>", caption)
    # Without the Styler's ids, which would repeat where a page shows two tables.
    html = re.sub(r'(?s)<style.*?</style>\s*| id="T_[^"]*"', "", style.set_td_classes(classes).to_html())
    html = re.sub(r'<td class="[^"]* head" ?>(.*?)</td>', r'<th scope="row">\1</th>', html)
    html = re.sub(r'<th class="[^"]*"( colspan="\d+")? ?></th>', r"<td\1></td>", html)  # an empty cell is no heading
    return HTML(
        f'<div class="scroll" tabindex="0">{html}</div>'
        f'<p class="caption">{shown_caption}</p><p class="downloads">{links}</p>'
    )


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with its first column as index, whose name stands in the row of headings."""
    *above, name = np.atleast_1d(table.columns[0])
    return table.set_index([table.columns[0]]).rename_axis(index=None, columns=[*[None] * len(above), name])


def _texts(column: pd.Series) -> pd.Series:
    sizes = [abs(value) for value in column if isinstance(value, float) and np.isfinite(value)]
    largest = max(sizes, default=0)
    whole = largest >= 100 or (largest >= 2 and all(size.is_integer() for size in sizes))
    plain = "{:,.0f}".format if whole else "{:.0e}".format if 0 < largest < 5e-3 else number
    form = probability if column.name == "p" else plain
    return pd.Series([_text(value, form) for value in column], column.index, dtype=object)


def _text(value: object, form: Callable[[float], str]) -> str:
    if isinstance(value, float):
        return form(value).replace("< ", "&lt;&nbsp;") if np.isfinite(value) else "–"
    return f"{value:,}" if isinstance(value, int | np.integer) else _breakable(value)


def basis(table: pd.DataFrame) -> str:
    """What the estimates of a table rest on, from its columns ``utterances``, ``speakers``, ``seeds``, ``sets``,
    ``pooled`` and, where they are judged, ``family``, ``comparisons`` and ``margin``."""
    parts = [_counted(table[name]) for name in ("utterances", "speakers", "seeds") if name in table]
    if "pooled" in table:
        parts[1] += f" ({table['pooled'].max()} of few utterances count as one)"
    pooled = " (folds, pooled)" if {"sets", "seeds"} <= {*table} and (table["sets"] < table["seeds"]).any() else ""
    limits = "; [95 % interval]" if "low" in table else ""
    if "margin" in table:
        families = table.assign(family=table.get("family", "exploratory")).groupby("family", sort=False)["comparisons"]
        sizes = [f"{name} family of {', '.join(f'{size:.0f}' for size in some.unique())}" for name, some in families]
        margin = number(table["margin"].max(), 2)
        limits = f"{models(table)}; {', '.join(sizes)}; margin {margin}; [simultaneous 95 % interval]"
    return f"{', '.join(parts)}{pooled}{limits}." if parts else ""


def models(table: pd.DataFrame) -> str:
    """The end of a caption of differences that are of the trained models alone."""
    return "; of these trained models" if of_models(table) else ""


def _breakable(text: object) -> str:
    return str(text).replace("_", "_<wbr>")  # names of systems, which a narrow column may break


def _plain(text: object) -> str:
    return re.sub(r"<[^>]+>", "", str(text).replace("<br>", " ")).replace("&lt;", "<").replace("&nbsp;", " ")


def _counted(values: pd.Series) -> str:
    low, high = np.nanmin(values), np.nanmax(values)
    shown = f"{low:,.0f}" if low == high else f"{low:,.0f}–{high:,.0f}"
    return f"{shown} {values.name}".removesuffix("s" if high == 1 else "")


def _link(file: str, kind: str, content: str) -> str:
    data = base64.b64encode(content.encode()).decode()
    return f'<a download="{file}" href="data:{kind};base64,{data}">{file}</a>'
