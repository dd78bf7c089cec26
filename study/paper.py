"""What the paper prints, from ``book/paper_results.yaml`` alone."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
import yaml

from sercore import ATTRIBUTES
from sercore.params import project_root, read_yaml
from study.plan import paper_row


def quoted(loader: type = yaml.SafeLoader) -> dict[str, Any]:
    """The whole file: ``source``, ``caveat``, ``data`` (what most rows were measured on), ``rows``."""
    return read_yaml(project_root() / "book" / "paper_results.yaml", loader)


def results(loader: type = yaml.SafeLoader) -> pd.DataFrame:
    """A row a system of the paper, named as ``paper`` in ``params/variants.yaml``: CCC of the attributes and ``mean``
    (NaN where not printed), ``data`` it was measured on, and ``note``."""
    content = quoted(loader)
    table = pd.DataFrame.from_dict(content["rows"], orient="index")
    return table.assign(data=table["data"].fillna(content["data"]))


def printed() -> pd.DataFrame:
    """`results` as text, each figure with the digits in which it is known (`yaml.BaseLoader` keeps trailing zeros)."""
    return results(yaml.BaseLoader)


def difference(system: str, reference: str) -> tuple[float, int] | None:
    """Mean CCC of `system` minus that of `reference` in the paper, and the digits in which both are known; None where
    one of them is not in the paper, or they were measured on different data."""
    names = [paper_row(system), paper_row(reference)]
    if None in names:
        return None
    rows, texts = results().loc[names], printed().loc[names, "mean"]
    if len(set(rows["data"])) > 1 or rows["mean"].isna().any():
        return None
    return float(rows["mean"].iloc[0] - rows["mean"].iloc[1]), min(len(text.split(".")[1]) for text in texts)


def printed_scores(systems: Iterable[str]) -> pd.DataFrame | None:
    """The paper's CCCs of `systems` as text, a row each, a dash where it has none; None where it has none of them. What
    was measured on other data than most of the paper's rows says so."""
    rows = printed().reindex([paper_row(name) for name in systems])
    if rows["mean"].isna().all():
        return None
    elsewhere = rows["data"].notna() & (rows["data"] != quoted()["data"])
    rows["mean"] = rows["mean"].where(~elsewhere, rows["mean"] + "<br><small>" + rows["data"].astype(str) + "</small>")
    return rows[[*ATTRIBUTES, "mean"]].fillna("–")
