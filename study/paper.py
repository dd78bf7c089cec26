"""What the paper prints, from ``book/paper_results.yaml`` alone."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import yaml

from sercore import ATTRIBUTES
from sercore.params import project_root, read_yaml
from sercore.report import number, signed
from study.plan import paper_row


def quoted(loader: type = yaml.SafeLoader) -> dict[str, Any]:
    """The whole file: ``source``, ``caveat``, ``data`` (what most rows were measured on), ``rows``."""
    return read_yaml(project_root() / "book" / "paper_results.yaml", loader)


def results(loader: type = yaml.SafeLoader) -> pd.DataFrame:
    """A row a system of the paper, named as ``paper`` in ``params/variants.yaml``: CCC of the attributes and ``mean``
    (NaN where not printed), ``data`` it was measured on, and ``note``. `yaml.BaseLoader` gives texts, with all digits
    in which a figure is known."""
    content = quoted(loader)
    table = pd.DataFrame.from_dict(content["rows"], orient="index")
    return table.assign(data=table["data"].fillna(content["data"])).rename_axis("system")


def difference(system: str, reference: str) -> tuple[float, int] | None:
    """Mean CCC of `system` minus that of `reference` in the paper, and the digits in which both are known; None where
    one of them is not in the paper, or they were measured on different data."""
    names = [paper_row(system), paper_row(reference)]
    if None in names:
        return None
    rows, texts = results().loc[names], results(yaml.BaseLoader).loc[names, "mean"]
    if len(set(rows["data"])) > 1 or rows["mean"].isna().any():
        return None
    return float(rows["mean"].iloc[0] - rows["mean"].iloc[1]), min(map(_digits, texts))


def stated_difference(system: str, reference: str) -> str:
    """HTML: `difference` as in `printed_scores`, or a dash."""
    found = difference(system, reference)
    return _stated(found[0], 10.0 ** -found[1], signed) if found else "–"


def printed_scores(systems: Iterable[str]) -> pd.DataFrame | None:
    """HTML: the paper's CCCs of `systems`, a row each, a dash where it has none; None where it has none of them. All
    have three decimals; where the paper prints fewer, it says how far they may be off. What was measured on other data
    than most of the paper's rows says so too."""
    rows = results(yaml.BaseLoader).reindex([paper_row(name) for name in systems])
    if rows["mean"].isna().all():
        return None
    elsewhere = rows["data"].notna() & (rows["data"] != quoted()["data"])
    names = [*ATTRIBUTES, "mean"]
    rows[names] = rows[names].map(lambda text: _stated(float(text), 0.5 / 10 ** _digits(text)), na_action="ignore")
    rows["mean"] = rows["mean"].where(~elsewhere, rows["mean"] + "<br><small>" + rows["data"].astype(str) + "</small>")
    return rows[names].fillna("–")


def _digits(text: str) -> int:
    return len(text.split(".")[1])


def _stated(value: float, off: float, form: Callable[[float], str] = number) -> str:
    return form(value) + (f"<br><small>± {number(off)}</small>" if off > 1e-3 else "")
