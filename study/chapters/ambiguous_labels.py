"""Whether training on development utterances leaks into the validation set."""

from collections.abc import Sequence

import pandas as pd

from sercore.runs import Run
from study.results import by_system


def validation_scores(runs: Sequence[Run], systems: Sequence[str]) -> pd.DataFrame:
    """Mean CCC on the validation set at the epoch that it chose, which is what the paper reports.

    Returns:
        A row a system: ``system``, ``split``, ``endpoint``, ``estimate`` (mean over seeds), ``low`` and ``high`` (their
        range), ``seeds``.
    """
    trained = by_system(runs)
    best = {
        name: [run.history.set_index("epoch").loc[run.metrics["best_epoch"], "mean"] for run in trained[name]]
        for name in systems
    }
    rows = pd.DataFrame(
        [(name, sum(each) / len(each), min(each), max(each), len(each)) for name, each in best.items()],
        columns=["system", "estimate", "low", "high", "seeds"],
    )
    return rows.assign(split="validation set", endpoint="mean")
