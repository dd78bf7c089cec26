"""How unequally speakers talk, and what a use of the speaker is worth for those whom a system has heard and for others.

Conventions:

- Speakers are *heard* whose utterances a system was trained on, though not with those that it is scored on
  (``sampling.held_out`` of `sercore.params.Sampling`); all others are *new*.
- The skew of a corpus is the share of the training utterances that the busiest 26 % of the speakers speak.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from study import results as studies
from study.comparisons import Comparison, compare
from study.plan import Question
from study.results import Study, busiest_share, labelled_splits, reported_split

HEARD, NEW = "speakers heard in training", "new speakers"

Measured = Mapping[tuple[str, str], Comparison]
"""Comparisons by condition and by `HEARD` or `NEW`."""


def training_counts(study: Study) -> pd.Series:
    """Utterances of each known training speaker of a study."""
    return study.corpus.loc[study.corpus["split"] == "train", "speaker"].value_counts()


def read(profile: str, results: Path | str, question: Question) -> dict[str, Study]:
    """The study under each condition of `question`, the least skewed first; `ParamsError` where one is absent."""
    found = {condition: studies.read(profile, results, condition) for condition in question.conditions}
    return dict(sorted(found.items(), key=lambda item: busiest_share(training_counts(item[1]))))


def measure(found: Mapping[str, Study], question: Question) -> Measured:
    """`question` answered for heard and for new speakers under each condition, a family of comparisons each.

    A condition of which no training utterance was held out tells of new speakers alone.
    """
    measured = {}
    for condition, study in found.items():
        if "train" in labelled_splits(study.runs):
            measured[condition, HEARD] = compare(study, question, "train")
        measured[condition, NEW] = compare(study, question, reported_split(study.runs))
    return measured


def differences(found: Mapping[str, Study], measured: Measured) -> pd.DataFrame:
    """A row a condition, kind of speakers and declared pair, with the skew of the condition.

    Columns ``condition``, ``skew``, ``speakers`` (`HEARD` or `NEW`), and those of `Comparison.tested`.
    """
    tables = [
        one.tested.assign(condition=condition, skew=busiest_share(training_counts(found[condition])), speakers=speakers)
        for (condition, speakers), one in measured.items()
    ]
    return pd.concat(tables, ignore_index=True)


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """How much each difference changes from the least to the most skewed condition: a row a kind of speakers and pair.

    The limits take the two differences for independent. On the same test speakers they are not, and what these share
    falls out of the change, so the interval is rather too wide.

    Args:
        table: of `differences`, of two or more conditions.
    """
    keys = ["speakers", "system"]
    ordered = table.sort_values("skew", kind="stable").groupby(keys, sort=False)
    first, last = ordered.nth(0).set_index(keys), ordered.nth(-1).set_index(keys)
    change = last["difference"] - first["difference"]
    reach = np.hypot(*((each["high"] - each["low"]) / 2 for each in (first, last)))
    return pd.DataFrame({"difference": change, "low": change - reach, "high": change + reach}).reset_index()
