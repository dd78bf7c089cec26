"""What training and prediction cost, from ``benchmarks/results.json``; what was not measured has no row."""

import pandas as pd

from study.results import benchmarks


def measured() -> pd.DataFrame:
    """The rows of all devices: ``device``, ``part``, ``size``, ``way``, ``precision``, ``measure``, ``estimate`` (the
    median over rounds), ``low`` and ``high`` (their range)."""
    parts = [pd.DataFrame(entry["rows"]).assign(device=device) for device, entry in benchmarks().items()]
    return pd.concat(parts, ignore_index=True).rename(columns={"value": "estimate"})


def machines() -> pd.DataFrame:
    """What was measured on, a row a device."""
    return pd.DataFrame({device: entry["machine"] for device, entry in benchmarks().items()}).T.fillna("–")
