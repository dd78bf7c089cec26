"""Trained on one language of EmoTale, tested on unseen speakers of each."""

from pathlib import Path

import pandas as pd

from sercore import verdicts
from sercore.sums import ccc_of, correlation_of, from_table
from study import results


def scores(folder: Path | str, system: str = "speech_only") -> pd.DataFrame:
    """CCC of a system on unseen speakers of each language, trained on each (the conditions of the question
    ``languages``), and the CCC after the predictions were given mean and spread of the gold values (``aligned``)."""
    tables = []
    for condition, trained in (("study", "English"), ("danish", "Danish")):
        rows = results.read("emotale", folder, condition).sums.query("split == 'test1'")
        for test in ("english", "danish"):
            found = from_table(rows[rows["test"] == test], [system])
            for measure, statistic in (("CCC", ccc_of), ("aligned", correlation_of)):
                table = verdicts.scores(found, statistic=statistic)
                keys = {"trained on": trained, "tested on": test.capitalize(), "measure": measure}
                tables.append(table.assign(**keys))
    return pd.concat(tables, ignore_index=True)
