"""The files that the page on comparing one's own systems reads: predictions and labels in the challenge's form."""

from pathlib import Path

import pandas as pd

from sercore.corpora.msp_podcast import ATTRIBUTE_COLUMNS
from sercore.params import project_root
from study import results

SYSTEMS = ("fusion", "speech_only")


def write_example(folder: Path | None = None) -> None:
    """Write the labels of the reported split, and what the run of seed 0 of each of `SYSTEMS` predicts for it, from the
    committed results, by default to ``results/compare``."""
    folder = folder or project_root() / "results" / "compare"
    study = results.read("embedded", "results/embedded/paper")
    split = study.splits()[-1]
    gold = study.corpus[study.corpus["split"] == split]
    labels = _submitted(gold, "", 4).assign(SpkrID=gold["speaker"].to_numpy(), Split_Set=split.capitalize())
    tables = {"labels": labels}
    for run in [run for run in study.runs if run.system in SYSTEMS and run.params.seed == 0]:
        tables[run.system] = _submitted(run.predictions.set_index("utterance").loc[gold.index], "predicted_", 3)
    results.write_tables(folder, tables)


def _submitted(rows: pd.DataFrame, prefix: str, digits: int) -> pd.DataFrame:
    values = {column: rows[prefix + name].map(f"{{:.{digits}f}}".format) for column, name in ATTRIBUTE_COLUMNS.items()}
    return pd.DataFrame(values).rename_axis("FileName").rename(index="{}.wav".format).reset_index()
