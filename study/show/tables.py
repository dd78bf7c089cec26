"""How numbers and tables are written: in pages, as CSV, and in LaTeX."""

import base64
import re
from collections.abc import Mapping

import pandas as pd


def number(value: float, digits: int = 3) -> str:
    """A coefficient without its leading zero, as the paper prints them; a dash where it is unknown."""
    return "–" if pd.isna(value) else re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}").replace("-", "−")


def signed(difference: float, digits: int = 3) -> str:
    """`number` with its sign."""
    return f"{'+' if difference >= 0 else ''}{number(difference, digits)}"


def probability(p: float) -> str:
    """A p in three digits, or that it is less."""
    return "&lt; .001" if p < 0.001 else number(p)


def interval(row: pd.Series, digits: int = 2) -> str:
    """The limits ``low`` and ``high`` of a row, in brackets."""
    return f"[{number(row['low'], digits)}, {number(row['high'], digits)}]"


def cell(value: str, small: str) -> str:
    """HTML: a value, and in small letters below it what belongs to it."""
    return f"{value}<br><small>{small}</small>"


def breakable(name: str) -> str:
    """HTML: a system's name that a narrow column may break after an underscore."""
    return name.replace("_", "_<wbr>")


def score_cells(scores: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Scores as HTML cells: a row for each combination of `keys`, a column an endpoint; the order is kept."""
    cells = scores.assign(cell=[cell(number(row["ccc"]), interval(row)) for _, row in scores.iterrows()])
    return cells.pivot_table(index=keys, columns="endpoint", values="cell", aggfunc="first", sort=False)


def basis(seeds: int, *, pooled: bool) -> str:
    """What a table of scores rests on: trained runs, whether their folds are pooled, and which interval."""
    if seeds == 1:
        runs = "One trained run of each system, so what another training would give is not known"
    elif pooled:
        runs = f"{seeds} trained runs of each system, predictions of their folds pooled"
    else:
        runs = f"CCC averaged over {seeds} trained runs of each system, which differ by their seed"
    return (
        f"{runs}. In brackets: 95 % interval, jackknife over speakers on Fisher's z, with the trained models as "
        "they are. A constant prediction has CCC 0."
    )


def html(table: pd.DataFrame, caption: str, name: str) -> str:
    """HTML of a table of texts; the index is shown where it holds texts. `name` is its id for the style sheet."""
    table = table.rename_axis(index=None, columns=[None] * table.columns.nlevels)
    style = table.style.set_table_attributes('class="dataframe"').set_uuid(name)
    shown = style if isinstance(table.index[0], str) else style.hide(axis="index")
    return f'{shown.to_html()}<p class="caption">{caption}</p>'


def downloads(tables: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], source: str) -> str:
    """HTML: links that hold tables as files, by the files' name: the numbers as CSV, what a page shows as LaTeX.

    Args:
        tables: name -> (numbers, texts as for `html`).
        source: a comment at the top of the LaTeX file: what was measured, and on what speech.
    """
    links = []
    for name, (numbers, shown) in tables.items():
        csv = numbers.to_csv(index=False, float_format="%.4f", lineterminator="\n")
        links += [
            _link(f"{name}.csv", "text/csv", csv),
            _link(f"{name}.tex", "application/x-tex", latex(shown, source)),
        ]
    return f'<p class="downloads">{" · ".join(links)}</p>'


def latex(table: pd.DataFrame, source: str) -> str:
    """A table of texts as LaTeX with booktabs' rules, on one line a row; HTML in its cells is taken out."""
    plain = table.rename_axis(index=None, columns=[None] * table.columns.nlevels)
    plain = plain.map(_plain).rename(index=_plain, columns=_plain)
    style = plain.style.format(escape="latex").format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
    text = style.to_latex(hrules=True, multicol_align="c")
    text = text.replace("−", "$-$").replace("–", "--").replace("<", "$<$")
    return f"% {source}\n% \\usepackage{{booktabs,multirow}}\n{text}"


def _plain(text: str) -> str:
    spaced = re.sub(r"<br>", " ", str(text))
    return re.sub(r"<[^>]+>", "", spaced).replace("&lt;", "<").replace("&shy;", "")


def _link(file: str, kind: str, content: str) -> str:
    data = base64.b64encode(content.encode()).decode()
    return f'<a download="{file}" href="data:{kind};base64,{data}">{file}</a>'
