"""How the hidden states of a frozen encoder are read out: validation and test CCC of each way."""

import numpy as np
import pandas as pd

from study import comparisons
from study.plan import Question
from study.results import Study


def scores(study: Study, question: Question) -> pd.DataFrame:
    """`study.comparisons.scores`, and before each system's test CCCs the ``validation`` CCC by which one chooses: the
    mean over its runs of the best epoch's (of a ridge regression, of the best penalty's)."""
    table = comparisons.scores(study, question)
    best = [{"system": run.system, "estimate": run.history["mean"].max()} for run in study.runs]
    validation = pd.DataFrame(best).groupby("system")["estimate"].mean()
    known = table.drop_duplicates("system").query("system in @validation.index")
    known = known.assign(endpoint="validation", estimate=known["system"].map(validation), low=np.nan, high=np.nan)
    place = {name: number for number, name in enumerate(dict.fromkeys(table["system"]))}
    return pd.concat([known, table]).sort_values("system", key=lambda names: names.map(place), kind="stable")
