"""A study as sums by speaker, from which CCCs, intervals, tests and verdicts follow without any single utterance.

Conventions, beside those of `sercore.sums`:

- ``test`` is an evaluation set, empty for the corpus's own; ``split`` one of its splits.
- The systems of a test and split are summed over the same utterances, those that all of them predict. Ensembles count
  as systems, and so do `FLOOR` and `CEILING`.
- ``seed`` is a run's, or, where folds are pooled, numbers the sets of predictions from 0.
- ``pooled`` is the number of speakers of a row: 1, or several where `pooled` takes them as one.
"""

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES
from sercore.raters import mean_of_others
from sercore.sums import Array

FLOOR = "floor: training mean plus noise"
CEILING = "raters: one vs. the mean of the others"
FEWEST = 5  # utterances of a speaker whose sums are written
POOLED = "several speakers"


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
    rows = ratings.join(others).merge(gold[["utterance", "speaker"]], on="utterance")
    rows = rows.dropna(subset=[*ATTRIBUTES, *others])
    means = rows[[*others]].set_axis(list(ATTRIBUTES), axis=1)
    return means.assign(speaker=rows["speaker"]), rows[list(ATTRIBUTES)].to_numpy(np.float64)[None]
