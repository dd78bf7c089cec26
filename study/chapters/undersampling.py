"""How undersampling changes the errors of each emotion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS
from sercore.runs import Run
from study import results
from study.plan import Plan, Question
from study.sums import FEWEST


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `errors_by_emotion` of each compared system on the reported split as ``emotions.csv``."""
    runs = results.read(plan.profile, folder).runs
    split, systems = results.reported_split(runs), results.by_system(runs)
    tables = [errors_by_emotion(systems[name], split).assign(system=name) for name in question.compared]
    results.write_tables(folder, {"emotions": pd.concat(tables)})


def errors_by_emotion(runs: Sequence[Run], split: str) -> pd.DataFrame:
    """RMSE and bias (mean of prediction minus gold) of one system by emotion, in points of the corpus's scale: a row an
    emotion of `FEWEST` utterances or more (in the order of `EMOTIONS`), attribute and statistic."""
    gold, predicted = results.matched(runs, split)
    error = predicted - gold[list(ATTRIBUTES)].to_numpy()
    counts = gold["emotion"].value_counts()
    names = [code for code in EMOTIONS if counts.get(code, 0) >= FEWEST]
    square, bias = (
        pd.DataFrame(each.mean(axis=0), columns=list(ATTRIBUTES)).groupby(gold["emotion"]).mean().loc[names]
        for each in (error**2, error)
    )
    table = pd.concat({"RMSE": np.sqrt(square), "bias": bias}, names=["statistic"]).rename(index=EMOTIONS).reset_index()
    return table.melt(["statistic", "emotion"], var_name="endpoint", value_name="estimate")
