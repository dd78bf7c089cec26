"""How the hidden states of a frozen encoder are read out: validation and test CCC of each way."""

import numpy as np
import pandas as pd

from study import comparisons
from study.plan import Question
from study.results import Study


def scores(study: Study, question: Question) -> pd.DataFrame:
    """`study.comparisons.scores`, and before each system's test CCCs the mean ``validation`` CCC of its runs."""
    table = comparisons.scores(study, question)
    validation = comparisons.validation_scores(study, question).set_index("system")["estimate"]
    known = table.drop_duplicates("system").query("system in @validation.index")
    known = known.assign(endpoint="validation", estimate=known["system"].map(validation), low=np.nan, high=np.nan)
    place = {name: number for number, name in enumerate(dict.fromkeys(table["system"]))}
    return pd.concat([known, table]).sort_values("system", key=lambda names: names.map(place), kind="stable")
