"""What each run measured, and what a system costs."""

from collections.abc import Sequence

import pandas as pd

from sercore.runs import Run

COSTS = {
    "parameters": "parameters",
    "trainable_parameters": "trained parameters",
    "seconds": "seconds a run",
    "peak_memory_mb": "peak memory (MB)",
    "best_epoch": "chosen epoch",
    "epochs": "epochs",
}
"""Metrics of a run, and how a table names them."""


def metrics(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run: ``system``, ``seed``, ``<split> <endpoint>`` (CCC), and the columns of `COSTS`."""
    rows = [
        {"system": run.system, "seed": run.params.seed}
        | {f"{split} {name}": value for split, values in run.metrics["ccc"].items() for name, value in values.items()}
        | {label: run.metrics[name] for name, label in COSTS.items()}
        for run in runs
    ]
    return pd.DataFrame(rows)


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a system: ``runs``, and the median over its runs of each column of `COSTS`."""
    groups = metrics(runs).groupby("system", sort=False)
    return groups[list(COSTS.values())].median().round().astype(int).assign(runs=groups.size())
