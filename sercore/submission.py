"""The file for Test3, whose labels are hidden: ``FileName,EmoAct,EmoVal,EmoDom``, a row an utterance, of Task 2 of the
Interspeech 2025 Speech Emotion Recognition in Naturalistic Conditions Challenge."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sercore.corpora.msp_podcast import ATTRIBUTE_COLUMNS, SCALE
from sercore.corpus import some
from sercore.disk import complete_file
from sercore.params import ParamsError, dump
from sercore.runs import Run

COLUMNS = {f"predicted_{name}": column for column, name in ATTRIBUTE_COLUMNS.items()}


def write(runs: Sequence[Run], output: Path | str) -> pd.DataFrame:
    """Write the mean of the predictions of `runs`, with or without their models, for Test3.

    Every run counts alike: an ensemble of systems with several seeds wants as many runs of each. The result is what was
    written: index ``FileName`` (with ``.wav``), sorted; columns EmoAct, EmoVal, EmoDom from 1 to 7.

    `ParamsError` for no run, or one twice; a run without predictions for Test3; runs that do not predict the same
    utterances once each; another scale than 1 to 7; a prediction outside of it; or a file that cannot be written.
    `UserWarning` for gaps in the numbers of Test3's files, which are missing.
    """
    tables = [_predictions(run) for run in runs]
    if not tables:
        raise ParamsError("no run is given: a submission is made from the predictions of one run or more.")
    given = [dump(run.params) for run in runs]  # also of a copy, or by another path
    for place, run in enumerate(runs):
        if given[place] in given[:place]:
            problem = f"the same run is given twice: {_name(run)}"
            raise ParamsError(f"{problem}; give each once, since every run counts alike.")
        if len(other := tables[place].index.symmetric_difference(tables[0].index)):
            problem = f"{_name(run)} and {_name(runs[0])} predict different utterances of Test3, {some(other)}"
            raise ParamsError(f"{problem}: an ensemble wants runs on the same corpus.")
    mean = (sum(tables) / len(tables)).round(6)
    # Test3 is numbered from 1, and known by its audio alone: a lost file would go unnoticed.
    numbers = mean.index.str.extract(r"_test3_(\d+)\.wav$", expand=False).dropna().astype(int)
    if len(lost := pd.RangeIndex(1, max(numbers, default=1)).difference(numbers)):
        problem = f"{len(lost)} files of Test3 are missing from the corpus of these runs, number {some(lost)}"
        remedy = "the challenge wants a row for each; restore their audio and train again"
        warnings.warn(f"{problem}: {remedy}.", stacklevel=2)
    text = mean.to_csv(float_format="%.6f", lineterminator="\n")
    try:
        complete_file(Path(output), lambda partial: partial.write_text(text, encoding="utf-8", newline=""))
    except OSError as error:
        problem = f"{output} cannot be written ({error.strerror})"
        raise ParamsError(f"{problem}: name a file in a folder that exists.") from None
    return mean


def _predictions(run: Run) -> pd.DataFrame:
    scale = tuple(getattr(run.params.corpus, "scale", SCALE))  # other corpora have no Test3
    if scale != SCALE:
        raise ParamsError(f"{_name(run)} predicts from {scale[0]:g} to {scale[1]:g}; the challenge's scale is 1 to 7.")
    rows = run.predictions[run.predictions["split"] == "test3"]
    if rows.empty:
        corpus = run.params.corpus.path
        raise ParamsError(f"{_name(run)} has no prediction for Test3: its corpus, {corpus}, has no utterance of it.")
    table = rows.set_index(rows["utterance"] + ".wav")[list(COLUMNS)].rename(columns=COLUMNS)
    table = table.rename_axis("FileName").sort_index().astype(np.float64)
    if table.index.has_duplicates:
        repeated = some(table.index[table.index.duplicated()])
        raise ParamsError(f"{_name(run)} predicts utterances of Test3 more than once: {repeated}; make it again.")
    outside = table.index[~((table >= SCALE[0]) & (table <= SCALE[1])).all(axis=1)]
    if len(outside):
        raise ParamsError(f"{_name(run)} has predictions that are not from 1 to 7: {some(outside)}; make it again.")
    return table


def _name(run: Run) -> str:
    return str(run.folder or f"{run.system} seed {run.params.seed}")
