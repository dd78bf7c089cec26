"""Whether training on development utterances leaks into the validation set."""

from collections.abc import Sequence

import pandas as pd

from sercore.runs import Run


def validation_scores(runs: Sequence[Run], systems: Sequence[str]) -> pd.DataFrame:
    """Mean CCC on the validation set at the epoch that it chose, which is what the paper reports: a row a system,
    ``estimate`` the mean over seeds, ``low`` and ``high`` their range."""
    best = [(run.system, run.history.set_index("epoch").loc[run.metrics["best_epoch"], "mean"]) for run in runs]
    groups = pd.DataFrame(best, columns=["system", "ccc"]).groupby("system")["ccc"]
    rows = groups.agg(estimate="mean", low="min", high="max", seeds="size").loc[list(systems)].reset_index()
    return rows.assign(split="validation set", endpoint="mean")
