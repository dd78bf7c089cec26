"""What training and prediction cost, from ``benchmarks/results.json``; what was not measured has no row."""

import json
from typing import Any

import pandas as pd

from sercore.params import project_root


def measured() -> pd.DataFrame:
    """The rows of all devices: ``device``, ``part``, ``size``, ``way``, ``precision``, ``measure``, ``estimate`` (the
    median over rounds), ``low`` and ``high`` (their range)."""
    parts = [pd.DataFrame(entry["rows"]).assign(device=device) for device, entry in _benchmarks().items()]
    return pd.concat(parts, ignore_index=True).rename(columns={"value": "estimate"})


def machines() -> pd.DataFrame:
    """What was measured on, a row a device."""
    return pd.DataFrame({device: entry["machine"] for device, entry in _benchmarks().items()}).T.fillna("–")


def _benchmarks() -> dict[str, Any]:
    return json.loads((project_root() / "benchmarks" / "results.json").read_text(encoding="utf-8"))
