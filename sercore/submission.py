"""The challenge's file for Test3, whose labels are hidden: ``FileName,EmoAct,EmoVal,EmoDom``, a row an utterance.

Interspeech 2025 Speech Emotion Recognition in Naturalistic Conditions Challenge, Task 2.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sercore.corpora.msp_podcast import ATTRIBUTE_COLUMNS, SCALE
from sercore.corpus import some
from sercore.params import ParamsError
from sercore.runs import Run

COLUMNS = {f"predicted_{name}": column for column, name in ATTRIBUTE_COLUMNS.items()}


def write(runs: Sequence[Run], output: Path | str) -> pd.DataFrame:
    """Write the mean of the predictions of `runs` for Test3: of one run, or of an ensemble.

    Every run counts alike: an ensemble of systems with several seeds wants as many runs of each.

    Args:
        runs: complete runs on a corpus with Test3; with or without their models.
        output: the file; it appears, in place of an older one, only when it is complete.

    Returns:
        What was written: index ``FileName`` (with ``.wav``), sorted; columns EmoAct, EmoVal, EmoDom from 1 to 7.

    Raises:
        ParamsError: no run, a run without predictions for Test3, runs that do not predict the same utterances once
            each, another scale than 1 to 7, a prediction outside of it, or a file that cannot be written.
    """
    tables = [_predictions(run) for run in runs]
    if not tables:
        raise ParamsError("no run is given: a submission is made from the predictions of one run or more.")
    for run, table in zip(runs, tables, strict=True):
        other = table.index.symmetric_difference(tables[0].index)
        if len(other):
            raise ParamsError(
                f"{_name(run)} and {_name(runs[0])} predict different utterances of Test3, {some(other)}: "
                "an ensemble wants runs on the same corpus."
            )
    mean = sum(table.loc[tables[0].index] for table in tables) / len(tables)
    _write(mean.round(6), Path(output))
    return mean.round(6)


def _predictions(run: Run) -> pd.DataFrame:
    scale = tuple(getattr(run.params.corpus, "scale", SCALE))  # other corpora have no Test3
    if scale != SCALE:
        raise ParamsError(f"{_name(run)} predicts from {scale[0]:g} to {scale[1]:g}; the challenge's scale is 1 to 7.")
    rows = run.predictions[run.predictions["split"] == "test3"]
    if rows.empty:
        raise ParamsError(
            f"{_name(run)} has no prediction for Test3: its corpus, {run.params.corpus.path}, has no utterance of it."
        )
    table = rows.set_index(rows["utterance"] + ".wav")[list(COLUMNS)].rename(columns=COLUMNS)
    table = table.rename_axis("FileName").sort_index().astype(np.float64)
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise ParamsError(f"{_name(run)} predicts utterances of Test3 more than once: {some(repeated)}; make it again.")
    outside = table.index[~((table >= SCALE[0]) & (table <= SCALE[1])).all(axis=1)]
    if len(outside):
        raise ParamsError(f"{_name(run)} has predictions that are not from 1 to 7: {some(outside)}; make it again.")
    return table


def _name(run: Run) -> str:
    return str(run.folder or f"{run.system} seed {run.params.seed}")


def _write(table: pd.DataFrame, output: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", dir=output.parent, prefix=".", suffix=".csv", delete=False) as partial:
            table.to_csv(partial, float_format="%.6f", lineterminator="\n")
        os.chmod(partial.name, 0o644)
        os.replace(partial.name, output)
    except OSError as error:
        raise ParamsError(
            f"{output} cannot be written ({error.strerror}): give a file in a folder that exists."
        ) from None
