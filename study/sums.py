"""A study as sums by speaker, from which CCCs, intervals, tests and verdicts follow without any single utterance.

Conventions:

- A row a ``test`` (an evaluation set; empty: the corpus's own), ``split``, ``system``, ``speaker``, ``seed`` and
  ``attribute``: the number ``n`` of utterances, and sums ``x``, ``y``, ``xx``, ``yy``, ``xy`` of gold values x and
  predictions y, both less the middle of the corpus's scale, which is ``middle`` of the table's ``attrs``.
- The systems of a test and split are summed over the same utterances, those that all of them predict. Ensembles count
  as systems, and so do `FLOOR` and `CEILING`.
- ``seed`` is a run's, or, where folds are pooled, numbers the sets of predictions from 0.
- ``pooled`` is the number of speakers of a row: 1, or several where `pooled` takes them as one.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES
from sercore.params import ParamsError
from sercore.raters import mean_of_others
from sercore.sums import Array, utterance_sums

SUMS = ("n", "x", "y", "xx", "yy", "xy")
KEYS = ("test", "split", "system", "speaker", "seed", "attribute")
FLOOR = "floor: training mean plus noise"
CEILING = "raters: one vs. the mean of the others"
FEWEST = 5  # utterances of a speaker whose sums are written
POOLED = "several speakers"


def of_system(gold: pd.DataFrame, predicted: Array, seeds: Sequence[int], middle: float) -> pd.DataFrame:
    """Sums of one system by ``speaker``, ``seed`` and ``attribute``; `gold` has ``speaker`` and the attributes of each
    utterance, `predicted` is (sets, utterances, attributes). Sets are numbered unless they are as many as `seeds`."""
    seeds = seeds if len(seeds) == len(predicted) else range(len(predicted))
    terms = utterance_sums(gold[list(ATTRIBUTES)].to_numpy(np.float64), predicted, middle)
    labels, speakers = pd.factorize(gold["speaker"], sort=True)
    sums = np.zeros((len(speakers), *terms.shape[1:]))
    np.add.at(sums, labels, terms)
    index = pd.MultiIndex.from_product([speakers, seeds, ATTRIBUTES], names=KEYS[-3:])
    values = np.moveaxis(sums, 1, -1).reshape(-1, len(SUMS))
    return pd.DataFrame(values, index, list(SUMS)).astype({"n": int}).reset_index()


def arrays(table: pd.DataFrame, systems: Sequence[str]) -> dict[str, Array]:
    """Sums of each of `systems` as `sercore.significance` takes them, (speakers, 6, seeds, attributes), of the seeds
    that all of them have; `table` holds one test and split."""
    if missing := [name for name in systems if name not in set(table["system"])]:
        raise ParamsError(f"results: no run of {', '.join(missing)}. Run `make study` to train them.")
    rows = {name: table[table["system"] == name].set_index(list(KEYS[-3:])) for name in systems}
    seeds = sorted(set.intersection(*(set(each.index.unique("seed")) for each in rows.values())))
    if not seeds:
        raise ParamsError(f"{', '.join(systems)} have no seed in common: train them with the same ones.")
    found = {}
    for name, each in rows.items():
        index = pd.MultiIndex.from_product([each.index.unique("speaker").sort_values(), seeds, ATTRIBUTES])
        values = each.loc[index, list(SUMS)].to_numpy(np.float64).reshape(-1, len(seeds), len(ATTRIBUTES), len(SUMS))
        found[name] = np.moveaxis(values, -1, 1)
    return found


def pooled(speakers: pd.Series) -> pd.Series:
    """`speakers`, where those of fewer than `FEWEST` utterances are one, `POOLED`, whose sums tell of no utterance: if
    need be together with the next ones, until they have as many."""
    counts = speakers.value_counts().sort_index().sort_values(kind="stable")
    few = (counts < FEWEST) | (counts.cumsum() - counts < FEWEST)
    return speakers.mask(speakers.isin(counts.index[few]), POOLED) if counts.min() < FEWEST else speakers


def guessed(train: pd.DataFrame, utterances: int) -> Array:
    """What `FLOOR` predicts, 20 times (20, utterances, attributes): the training mean plus normal noise with the
    training set's standard deviation, of fixed seed."""
    values = train[list(ATTRIBUTES)]
    size = (20, utterances, len(ATTRIBUTES))
    return np.random.default_rng(0).normal(values.mean(), values.std(ddof=0), size)


def rated(gold: pd.DataFrame, ratings: pd.DataFrame) -> tuple[pd.DataFrame, Array]:
    """Each rating of the utterances of `gold` as a prediction (1, ratings, attributes) of `CEILING`, and as its gold
    row the mean of the utterance's other raters; no row without others."""
    others = mean_of_others(ratings).add_prefix("others ")
    rows = (
        ratings.join(others).merge(gold[["utterance", "speaker"]], on="utterance").dropna(subset=[*ATTRIBUTES, *others])
    )
    means = rows[[*others]].set_axis(list(ATTRIBUTES), axis=1)
    return means.assign(speaker=rows["speaker"]), rows[list(ATTRIBUTES)].to_numpy(np.float64)[None]
