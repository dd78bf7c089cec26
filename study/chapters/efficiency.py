"""What training and prediction cost, from ``benchmarks/results.json``; what was not measured has no row."""

import pandas as pd

from study.needs import benchmarks, measured

__all__ = ["machines", "measured"]


def machines() -> pd.DataFrame:
    """What was measured on, a row a device."""
    return pd.DataFrame({device: entry["machine"] for device, entry in benchmarks().items()}).T.fillna("–")
