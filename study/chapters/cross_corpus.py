"""Trained on one corpus, tested on another: CCC of all pairs of corpora, and its ranking error and calibration error.

Conventions:

- A corpus is tested on the utterances on which its own study reports: those of its last labelled split, or all where
  the seed chooses the fold, each then predicted by the run that was not trained on its speaker. All systems that are
  tested on a corpus are tested on these same utterances.
- A system predicts from 0 to 1, which is mapped linearly to the scale of the corpus that it is tested on.
- Each run is tested elsewhere by itself, and CCC is averaged over runs. On their own corpus the predictions of folds
  are pooled.
- A run is not tested on what it was trained on or chose its epoch by: corpora may share utterances (of one name and
  duration), as releases of MSP-Podcast do. Pairs of corpora with fewer than two speakers left are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercore import ATTRIBUTES, corpora, runs
from sercore.corpus import SPLITS
from sercore.params import CorpusParams, load, reader, with_corpus
from sercore.predict import evaluate
from sercore.runs import PREDICTED, Run
from sercore.significance import ccc_interval, correlation_interval, difference
from sercore.sums import Array, ccc_of, correlation_of, speaker_sums
from study.comparisons import contrasts, estimates, family, system_difference
from study.plan import STUDY, Plan, Question, declared_corpora
from study.results import by_system, matched, reported_split, write_tables

TABLES = ("matrix", "errors", "differences")


@dataclass(frozen=True, eq=False)
class Cell:
    """What a system that was trained on ``train`` predicts for ``test``: gold rows (``utterance``, ``speaker``,
    attributes), and predictions (runs, utterances, attributes) in the scale of ``test``."""

    train: str
    test: str
    system: str
    gold: pd.DataFrame
    predicted: NDArray[np.float64]

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """`table` with the columns ``train``, ``test`` and ``system``."""
        return table.assign(train=self.train, test=self.test, system=self.system)


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `tables` of the question's systems on every corpus that is available on this machine."""
    trained = {name: plan.run_folders(question, STUDY, profile) for name, profile in plan.corpora.items()}
    corpora_of = {name: plan.parameters("fusion", profile=profile).corpus for name, profile in plan.corpora.items()}
    tested = {name: each.model_dump(mode="json") for name, each in corpora_of.items()}
    write_tables(folder, tables(trained, tested, question.pairs))


def tables(
    trained: Mapping[str, Sequence[Path]], tested: Mapping[str, Mapping[str, Any]], compared: Sequence[tuple[str, str]]
) -> dict[str, pd.DataFrame]:
    """Test every run in the folders of `trained`, by corpus, on every corpus of `tested`: `TABLES`, aggregates alone.

    All are tidy tables with ``train``, ``test``, ``system`` and ``endpoint``. ``matrix``: ``measure`` is ``CCC`` or
    ``aligned CCC``, after the predictions were given mean and standard deviation of the gold values. ``errors``:
    ``measure`` is ``calibration error``, what aligning gains, or ``ranking error``, what the system trained on the test
    corpus itself has more after aligning. ``differences``: the pairs `compared`, (system, reference), for each pair of
    corpora, all in one family.
    """
    read = {name: [runs.read(path) for path in paths] for name, paths in trained.items()}
    known = {name: by_system([replace(run, system=run.params.variant) for run in each]) for name, each in read.items()}
    pairs = [
        _cell(train, test, of_system, corpus)
        for test, corpus in tested.items()
        for train, systems in known.items()
        for of_system in systems.values()
    ]
    cells = [cell for cell in pairs if cell is not None]
    return {"matrix": _matrix(cells), "errors": _errors(cells), "differences": _differences(cells, compared)}


def sizes(tables: Mapping[str, pd.DataFrame], profile: str) -> pd.DataFrame:
    """A row a declared corpus: its kind of speech; how many utterances and speakers systems are tested on, or 0."""
    measured = tables["matrix"].drop_duplicates("test").set_index("test")[["utterances", "speakers"]]
    named = {name: load(each, "fusion", 0).corpus.reader for name, each in declared_corpora(profile).items()}
    return measured.reindex(named, fill_value=0).assign(kind={name: reader(each).KIND for name, each in named.items()})


def summary(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Of each system on a corpus of others, for the mean of the attributes (``measure`` tells which): its CCC, that of
    the same system trained on the test corpus, and its errors."""
    matrix = tables["matrix"].query("endpoint == 'mean' and measure == 'CCC'")
    own = matrix.query("train == test").drop(columns="train").assign(measure="CCC if trained there")
    elsewhere = matrix.query("train != test")
    keys = ["train", "test", "system"]
    known = elsewhere[keys].merge(own, on=["test", "system"])
    errors = tables["errors"].query("endpoint == 'mean' and train != test")
    return pd.concat([elsewhere, known, errors], ignore_index=True).sort_values(keys, kind="stable")


def _cell(train: str, test: str, trained: Sequence[Run], corpus: Mapping[str, Any]) -> Cell | None:
    """None where fewer than two speakers are left, of whom no interval can be had."""
    if train == test:
        return Cell(train, test, trained[0].system, *matched(trained, reported_split(trained)))
    rows = _tested(with_corpus(trained[0].params, corpus).corpus)
    predictions = [_predictions(run, test, corpus, rows) for run in trained]
    elsewhere = [replace(run, predictions=table) for run, table in zip(trained, predictions, strict=True)]
    if pd.concat(predictions)["speaker"].nunique() < 2:
        return None
    return Cell(train, test, trained[0].system, *matched(elsewhere, "tested"))


@cache
def _tested(corpus: CorpusParams) -> pd.DataFrame:
    """The labelled rows on which a corpus is tested, whatever their split, as the split ``tested``."""
    table = corpora.read(corpus, 0).table.dropna(subset=list(ATTRIBUTES))
    if corpus.folds is None:
        table = table[table["split"] == max(table["split"], key=SPLITS.index)]
    return table.assign(split="tested")


@cache
def _seen(corpus: CorpusParams, seed: int) -> pd.Series:
    """Durations of the utterances that train a run of this seed, or choose its epoch."""
    own = corpora.read(corpus, seed).table
    return own.loc[own["split"].isin(["train", "development"]), "duration"]


def _unseen(rows: pd.DataFrame, seen: pd.Series) -> pd.DataFrame:
    """`rows` without those of the name and duration of one of `seen`."""
    return rows[~np.isclose(rows["duration"], seen.reindex(rows.index), rtol=0, atol=0.01)]


def _predictions(run: Run, test: str, corpus: Mapping[str, Any], rows: pd.DataFrame) -> pd.DataFrame:
    assert run.folder is not None
    predicted = pd.read_parquet(evaluate(run.folder, test, corpus)).set_index("utterance")[PREDICTED]
    unseen = _unseen(rows, _seen(run.params.corpus, run.params.seed))
    return unseen[["split", "speaker", "emotion", *ATTRIBUTES]].join(predicted, how="inner").reset_index()


def _matrix(cells: Sequence[Cell]) -> pd.DataFrame:
    tables = []
    for cell in cells:
        values = cell.gold[list(ATTRIBUTES)], cell.predicted, cell.gold["speaker"]
        for measure, of in (("CCC", ccc_interval), ("aligned CCC", correlation_interval)):
            tables.append(cell.named(estimates(of(*values)).assign(measure=measure)))
    return pd.concat(tables, ignore_index=True)


def _errors(cells: Sequence[Cell]) -> pd.DataFrame:
    own = {(cell.test, cell.system): cell for cell in cells if cell.train == cell.test}
    tables = []
    for cell in cells:
        tables.append(_error("calibration error", cell, cell, ccc_of))
        best = own.get((cell.test, cell.system), cell)
        if best is not cell:
            tables.append(_error("ranking error", best, cell, correlation_of))
    return pd.concat(tables, ignore_index=True)


def _error(measure: str, aligned: Cell, cell: Cell, statistic: Any) -> pd.DataFrame:
    """What `aligned` has after aligning, less the statistic of `cell`."""
    a, b = _common(aligned, cell)
    found = difference(a, b, a_of=correlation_of, b_of=statistic)
    table = contrasts(found)[["endpoint", "estimate", "low", "high"]]
    return cell.named(table.assign(measure=measure, utterances=round(a[:, 0, 0, 0].sum()), speakers=len(a)))


def _differences(cells: Sequence[Cell], compared: Sequence[tuple[str, str]]) -> pd.DataFrame:
    by_name = {(cell.train, cell.test, cell.system): cell for cell in cells}
    tables = []
    for one, (system, reference) in product(cells, compared):
        other = by_name.get((one.train, one.test, reference))
        if one.system == system and other is not None:
            tables.append(one.named(system_difference(*_common(one, other))).assign(reference=reference))
    return family(pd.concat(tables, ignore_index=True))


def _common(one: Cell, other: Cell) -> list[Array]:
    """Sums of both by speaker, over the utterances that both predict."""
    shared = one.gold["utterance"].isin(other.gold["utterance"]).to_numpy()
    gold = one.gold[shared]
    positions = pd.Index(other.gold["utterance"]).get_indexer(gold["utterance"])
    predicted = one.predicted[:, shared], other.predicted[:, positions]
    return [speaker_sums(gold[list(ATTRIBUTES)], each, gold["speaker"]) for each in predicted]
