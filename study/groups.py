"""Scores by gender, duration and emotion.

Conventions:

- Utterances whose gender or emotion is unknown are in no group of it; durations are cut into thirds. A group has
  `FEWEST` utterances or more, of two speakers or more.
- CCC, RMSE and bias (mean of prediction minus gold) are averaged over runs; of the endpoint ``mean`` they are the mean
  of the three attributes'. RMSE and bias are in points of the corpus's scale.
- `gold` has shape (utterances, 3), `predicted` (runs, utterances, 3), `speakers` (utterances,); `groups` are those of
  `memberships`. Tables hold aggregates alone: no utterance, no speaker.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercore import verdicts
from sercore.corpus import EMOTIONS, GENDERS
from sercore.sums import Array, speaker_sums, with_mean

FEWEST = 10  # utterances of a group

Groups = dict[str, dict[str, NDArray[np.bool_]]]


def memberships(gold: pd.DataFrame, corpus: pd.DataFrame) -> Groups:
    """Of each grouping the groups that are large enough, in the order of reports, with the rows of `gold` in them."""
    known, speakers = corpus.loc[gold["utterance"]], gold["speaker"].to_numpy()
    first, second = known["duration"].quantile([1 / 3, 2 / 3])
    spans = [f"up to {first:.1f} s", f"{first:.1f} to {second:.1f} s", f"above {second:.1f} s"]
    third = np.searchsorted([first, second], known["duration"])
    groupings = {
        "gender": pd.Categorical(known["gender"], GENDERS),
        "duration": pd.Categorical.from_codes(third, spans),
        "emotion": pd.Categorical(gold["emotion"].map(EMOTIONS), list(EMOTIONS.values())),
    }
    found = {}
    for name, values in groupings.items():
        members = {group: np.asarray(values == group) for group in values.categories}
        large = [group for group in members if members[group].sum() >= FEWEST]
        found[name] = {group: members[group] for group in large if len(np.unique(speakers[members[group]])) > 1}
    return found


def scores(gold: Array, predicted: Array, speakers: NDArray, groups: Groups) -> pd.DataFrame:
    """CCC, bias and error of each group, a row a group and endpoint, after the rows of all utterances. Columns
    ``grouping`` and ``group`` (or all), ``estimate`` (CCC), ``low``, ``high``, ``bias``, ``rmse``, ``deviation``
    (standard deviation of the gold values), ``utterances``, ``speakers``."""
    parts = []
    for grouping, members in {"all": {"all": np.full(len(gold), True)}, **groups}.items():
        for group, rows in members.items():
            error = predicted[:, rows] - gold[rows]  # (runs, utterances, 3)
            measured = {
                "bias": with_mean(error.mean(axis=(0, 1))),
                "rmse": with_mean(np.sqrt((error**2).mean(axis=1)).mean(axis=0)),
                "deviation": with_mean(gold[rows].std(axis=0)),
            }
            sums = speaker_sums(gold[rows], predicted[:, rows], speakers[rows])
            table = verdicts.scores({group: sums}).drop(columns=["system", "sets"])
            parts.append(table.assign(grouping=grouping, group=group, **measured))
    return pd.concat(parts, ignore_index=True)
