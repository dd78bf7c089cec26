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
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, corpora, runs, verdicts
from sercore.corpus import SPLITS
from sercore.params import Params, load, reader, with_corpus
from sercore.predict import evaluate
from sercore.runs import PREDICTED, Run
from sercore.significance import difference
from sercore.sums import Array, correlation_of, speaker_sums
from study.plan import STUDY, Plan, Question, declared_corpora, margin
from study.results import by_system, matched, reported_split, write_tables

TABLES = ("matrix", "differences")

corpus_of = cache(corpora.read)

Cell = tuple[pd.DataFrame, Array]  # gold rows, and predictions (runs, utterances, attributes) in their scale


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `tables` of the question's systems on every corpus that is available on this machine."""
    trained = {name: plan.of(profile).run_folders(question, STUDY) for name, profile in plan.corpora.items()}
    chosen = {name: plan.of(profile).parameters("fusion").corpus for name, profile in plan.corpora.items()}
    tested = {name: each.model_dump(mode="json") for name, each in chosen.items()}
    declared = len(question.pairs) * len(declared_corpora(plan.profile)) ** 2
    write_tables(folder, tables(trained, tested, question.pairs, margin(plan.profile), declared))


def tables(
    trained: Mapping[str, Sequence[Path]],
    tested: Mapping[str, Mapping[str, Any]],
    compared: Sequence[tuple[str, str]],
    margin: float,
    comparisons: int | None = None,
) -> dict[str, pd.DataFrame]:
    """Test every run in the folders of `trained`, by corpus, on every corpus of `tested`: `TABLES`, aggregates alone.

    Both are tidy tables with ``train``, ``test``, ``system`` and ``endpoint``. ``matrix``: ``measure`` is ``CCC``,
    ``aligned CCC``, after the predictions were given mean and standard deviation of the gold values, ``calibration
    error``, what aligning gains, or ``ranking error``, what the system trained on the test corpus itself has more after
    aligning. ``differences``: the pairs `compared`, (system, reference), for each pair of corpora, all in one family of
    so many `comparisons` as are declared (by default its rows).
    """
    systems = {}
    for name, paths in trained.items():
        systems[name] = by_system([replace(run, system=run.params.variant) for run in map(runs.read, paths)])
    cells = {
        (train, test, system): cell
        for test, corpus in tested.items()
        for train, known in systems.items()
        for system, its in known.items()
        if (cell := matched(its, reported_split(its)) if train == test else _elsewhere(its, test, corpus))
    }
    matrix, differences = [], []
    for (train, test, system), cell in cells.items():
        keys = {"train": train, "test": test, "system": system}
        own = None if train == test else cells.get((test, test, system))
        matrix += [table.assign(measure=name, **keys) for name, table in _measured(cell, own).items()]
        for reference in [other for one, other in compared if one == system and (train, test, other) in cells]:
            both = _common(cell, cells[train, test, reference])
            found = verdicts.differences(dict(zip((system, reference), both, strict=True)), [(system, reference)])
            differences.append(found.assign(**keys))
    joined = [pd.concat(each, ignore_index=True) for each in (matrix, differences)]
    return {"matrix": joined[0], "differences": verdicts.judged(joined[1], margin, comparisons)}


def sizes(tables: Mapping[str, pd.DataFrame], profile: str) -> pd.DataFrame:
    """A row a declared corpus: its kind of speech; how many utterances and speakers systems are tested on, or 0."""
    measured = tables["matrix"].drop_duplicates("test").set_index("test")[["utterances", "speakers"]]
    named = {name: load(each, "fusion", 0).corpus.reader for name, each in declared_corpora(profile).items()}
    kinds = {name: reader(each).KIND for name, each in named.items()}
    return measured.reindex(named, fill_value=0).assign(kind=kinds).rename_axis("corpus")


def unseen(rows: pd.DataFrame, params: Params) -> pd.DataFrame:
    """`rows` of a corpus without those, by name and duration, that train a run or choose its epoch."""
    own = corpus_of(params.corpus, params.seed).table
    seen = own.loc[own["split"].isin(["train", "development"]), "duration"].reindex(rows.index)
    return rows[~np.isclose(rows["duration"], seen, rtol=0, atol=0.01)]


def _elsewhere(trained: Sequence[Run], test: str, corpus: Mapping[str, Any]) -> Cell | None:
    params = with_corpus(trained[0].params, corpus).corpus
    rows = corpus_of(params, 0).table.dropna(subset=list(ATTRIBUTES))
    if params.folds is None:
        rows = rows[rows["split"] == max(rows["split"], key=SPLITS.index)]
    rows = rows[["split", "speaker", "emotion", "duration", *ATTRIBUTES]].assign(split="tested")
    found = []
    for run in trained:
        assert run.folder is not None
        predicted = pd.read_parquet(evaluate(run.folder, test, corpus)).set_index("utterance")[PREDICTED]
        left = unseen(rows, run.params).join(predicted, how="inner").reset_index()
        found.append(replace(run, predictions=left))
    if pd.concat([run.predictions for run in found])["speaker"].nunique() < 2:
        return None
    return matched(found, "tested")


def _measured(cell: Cell, own: Cell | None) -> dict[str, pd.DataFrame]:
    """The measures of ``matrix``; the ranking error where there is a cell `own` of the system trained on the corpus."""
    [sums] = _common(cell)
    found = {
        "CCC": verdicts.scores({"": sums}),
        "aligned CCC": verdicts.scores({"": sums}, statistic=correlation_of),
        "calibration error": verdicts.contrasts(difference(sums, sums, a_of=correlation_of)),
    }
    if own:
        both = difference(*_common(own, cell), a_of=correlation_of, b_of=correlation_of)
        found["ranking error"] = verdicts.contrasts(both)
    columns = ["endpoint", "estimate", "low", "high"]
    size = {"utterances": len(cell[0]), "speakers": len(sums)}
    return {name: table[columns].assign(**size) for name, table in found.items()}


def _common(*cells: Cell) -> list[Array]:
    """Sums of each by speaker, over the utterances that all of them predict."""
    shared = set.intersection(*(set(gold["utterance"]) for gold, _ in cells))
    chosen = [(gold["utterance"].isin(shared), gold, predicted) for gold, predicted in cells]
    return [
        speaker_sums(gold.loc[rows, list(ATTRIBUTES)], predicted[:, rows], gold.loc[rows, "speaker"])
        for rows, gold, predicted in chosen
    ]
