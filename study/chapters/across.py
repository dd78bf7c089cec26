"""Trained on one corpus, tested on another: the CCC of all pairs of corpora, and what it lacks in ranking and in scale.

Conventions:

- A corpus is tested on the utterances on which its own study reports: those of its last labelled split, or all where
  the seed chooses the fold (EmoTale, IEMOCAP), each then predicted by the run that did not learn from its speaker. All
  systems that are tested on a corpus are tested on these same utterances.
- A system predicts from 0 to 1, which is mapped linearly to the scale of the corpus that it is tested on.
- Each run is tested elsewhere by itself, and CCC is averaged over runs: the runs of several folds are no ensemble. On
  their own corpus the predictions of folds are pooled.
- Releases of MSP-Podcast share utterances: what a system has trained on, or chosen its epoch by, it is not tested on. A
  pair of corpora of which that leaves fewer than two speakers is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercore import ATTRIBUTES, corpora, runs
from sercore.corpus import SPLITS
from sercore.evaluation import evaluate
from sercore.params import CorpusParams, MspPodcast, Params, resolve, with_corpus
from sercore.runs import PREDICTED, Run
from sercore.significance import ccc_interval, ccc_of, correlation_interval, correlation_of, difference_interval
from study.comparisons import ENDPOINTS, estimates, family, system_difference
from study.plan import question
from study.results import by_system, matched, reported_split

TABLES = ("matrix", "losses", "differences")
"""The files that `write` writes, without ``.csv``."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What a system that was trained on ``train`` predicts for ``test``.

    ``gold``: rows with ``utterance``, ``speaker`` and the attributes, in the order of the utterances; ``predicted``:
    shape (runs, utterances, attributes), in the scale of ``test``.
    """

    train: str
    test: str
    system: str
    gold: pd.DataFrame
    predicted: NDArray[np.float64]


def write(trained: Mapping[str, Sequence[Path]], tested: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Test every run on every corpus, and write `TABLES` as CSV: aggregates alone, no row of an utterance.

    ``matrix``: a row a pair of corpora, system and endpoint; ``train``, ``test``, ``system``, ``endpoint``, ``ccc``,
    ``low``, ``high`` (see `sercore.significance.ccc_interval`), ``aligned``, ``aligned_low``, ``aligned_high`` (the
    same after mean and standard deviation were aligned, see `sercore.significance.correlation_interval`),
    ``utterances``, ``speakers``, ``runs``.

    ``losses``: ``loss`` is ``scale``, what aligning gains, or ``ranking``, what the system trained on the test corpus
    itself has more after aligning; ``difference``, ``low``, ``high`` (see `sercore.significance.difference_interval`).

    ``differences``: of the question's pairs of systems, as in `study.comparisons.Comparison`, for each pair of
    corpora, all in one family.

    Args:
        trained: corpus -> folders of complete runs on it, of one system or more.
        tested: corpus -> its parameters.
        folder: made if need be.

    Raises:
        ParamsError: a folder holds no complete run, or parameters of a corpus are not valid.
        CorpusError: a corpus cannot be read.
        SignificanceError: the values give no interval.
    """
    known = {name: by_system([_read(path) for path in paths]) for name, paths in trained.items()}
    pairs = [
        _cell(train, test, system, of_system, corpus)
        for test, corpus in tested.items()
        for train, systems in known.items()
        for system, of_system in systems.items()
    ]
    cells = [cell for cell in pairs if cell is not None]
    tables = {"matrix": _matrix(cells), "losses": _losses(cells), "differences": _differences(cells)}
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        partial = folder / f".{name}.csv.partial"
        tables[name].to_csv(partial, index=False, float_format="%.6f", lineterminator="\n")
        partial.rename(folder / f"{name}.csv")


def read(folder: Path | str) -> dict[str, pd.DataFrame]:
    """The tables that `write` wrote, by name; a relative path is relative to the project's root."""
    return {name: pd.read_csv(resolve(Path(folder)) / f"{name}.csv") for name in TABLES}


# What is tested


def _read(folder: Path) -> Run:
    run = runs.read(folder)
    return replace(run, system=run.params.variant)


def _cell(train: str, test: str, system: str, trained: Sequence[Run], corpus: Mapping[str, Any]) -> Cell | None:
    """None where fewer than two speakers are left, of whom no interval can be had."""
    if train == test:
        return Cell(train, test, system, *matched(trained, reported_split(trained)))
    params = with_corpus(trained[0].params, corpus).corpus
    rows = _tested(params)
    if isinstance(params, MspPodcast) and isinstance(trained[0].params.corpus, MspPodcast):
        rows = rows.drop(_learnt(trained[0].params), errors="ignore")
    if rows["speaker"].nunique() < 2:
        return None
    elsewhere = [replace(run, predictions=_predictions(run, test, corpus, rows)) for run in trained]
    return Cell(train, test, system, *matched(elsewhere, "tested"))


def _tested(corpus: CorpusParams) -> pd.DataFrame:
    """The labelled rows on which a corpus is tested, whatever their split, as the split ``tested``."""
    table = corpora.read(corpus, 0).table.dropna(subset=list(ATTRIBUTES))
    if not hasattr(corpus, "folds"):
        table = table[table["split"] == max(table["split"], key=SPLITS.index)]
    return table.assign(split="tested")


def _learnt(params: Params) -> pd.Index:
    """Names of the utterances that have trained a run, or chosen its epoch."""
    table = corpora.read(params.corpus, params.seed).table
    return table.index[table["split"].isin(["train", "development"])]


def _predictions(run: Run, test: str, corpus: Mapping[str, Any], rows: pd.DataFrame) -> pd.DataFrame:
    predicted = pd.read_parquet(evaluate(run.folder, test, corpus)).set_index("utterance")[PREDICTED]
    return rows[["split", "speaker", "emotion", *ATTRIBUTES]].join(predicted, how="inner").reset_index()


# What follows


def _matrix(cells: Sequence[Cell]) -> pd.DataFrame:
    tables = []
    for cell in cells:
        values = cell.gold[list(ATTRIBUTES)], cell.predicted, cell.gold["speaker"]
        aligned = estimates(correlation_interval(*values))[["ccc", "low", "high"]]
        aligned.columns = ["aligned", "aligned_low", "aligned_high"]
        tables.append(_named(estimates(ccc_interval(*values)).join(aligned), cell))
    return pd.concat(tables, ignore_index=True)[
        ["train", "test", "system", "endpoint", "ccc", "low", "high", *aligned, "utterances", "speakers", "runs"]
    ]


def _losses(cells: Sequence[Cell]) -> pd.DataFrame:
    own = {(cell.test, cell.system): cell for cell in cells if cell.train == cell.test}
    tables = []
    for cell in cells:
        tables.append(_loss("scale", cell, cell, ccc_of))
        best = own.get((cell.test, cell.system))
        if best is not None and best is not cell:
            tables.append(_loss("ranking", best, cell, correlation_of))
    return pd.concat(tables, ignore_index=True)


def _loss(name: str, aligned: Cell, cell: Cell, statistic: Any) -> pd.DataFrame:
    """What `aligned` has after aligning, less the statistic of `cell`."""
    gold, a, b = _common(aligned, cell)
    difference, low, high = difference_interval(
        gold[list(ATTRIBUTES)], a, b, gold["speaker"], a_of=correlation_of, b_of=statistic
    )
    table = pd.DataFrame({"endpoint": ENDPOINTS, "difference": difference, "low": low, "high": high})
    return _named(table.assign(loss=name), cell)[
        ["train", "test", "system", "loss", "endpoint", "difference", "low", "high"]
    ]


def _differences(cells: Sequence[Cell]) -> pd.DataFrame:
    by_name = {(cell.train, cell.test, cell.system): cell for cell in cells}
    pairs, places, measured = [], [], []
    for train, test in dict.fromkeys((cell.train, cell.test) for cell in cells):
        for pair in question("", "cross_corpus").pairs:
            if any((train, test, system) not in by_name for system in pair):
                continue
            gold, a, b = _common(*(by_name[train, test, system] for system in pair))
            measured.append(system_difference(gold, a, b))
            pairs.append(pair)
            places += [(train, test)] * len(ENDPOINTS)
    return pd.concat([pd.DataFrame(places, columns=["train", "test"]), family(pairs, measured)], axis=1)


def _common(one: Cell, other: Cell) -> tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.float64]]:
    """Gold rows of the utterances that both predict, and their predictions."""
    shared = one.gold["utterance"].isin(other.gold["utterance"]).to_numpy()
    gold = one.gold[shared]
    return (
        gold,
        one.predicted[:, shared],
        other.predicted[:, pd.Index(other.gold["utterance"]).get_indexer(gold["utterance"])],
    )


def _named(table: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    return table.assign(train=cell.train, test=cell.test, system=cell.system)
