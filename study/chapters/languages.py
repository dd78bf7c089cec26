"""Trained on one language of EmoTale, tested on unseen speakers of each."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sercore import verdicts
from sercore.sums import Array, ccc_of, correlation_of, from_table
from study import results
from study.plan import STUDY, Question, margin

TRAINED = {"English": STUDY, "Danish": "danish"}  # language -> condition of the question


def _sums(profile: str, folder: Path | str, systems: Sequence[str]) -> dict[tuple[str, str], dict[str, Array]]:
    """Sums of each system, for each language of training and of test."""
    found = {}
    for trained, condition in TRAINED.items():
        rows = results.read(profile, folder, condition).sums.query("split == 'test1'")
        for tested in TRAINED:
            found[trained, tested] = from_table(rows[rows["test"] == tested.lower()], systems)
    return found


def scores(profile: str, folder: Path | str, question: Question) -> pd.DataFrame:
    """CCC of each system of the question ``languages`` on unseen speakers of each language, trained on each, and the
    CCC after the predictions were given mean and spread of the gold values (``aligned``)."""
    tables = []
    for (trained, tested), sums in _sums(profile, folder, question.compared[::-1]).items():
        for measure, statistic in (("CCC", ccc_of), ("aligned", correlation_of)):
            table = verdicts.scores(sums, statistic=statistic)
            tables.append(table.assign(**{"trained on": trained, "tested on": tested, "measure": measure}))
    return pd.concat(tables, ignore_index=True)


def differences(profile: str, folder: Path | str, question: Question) -> pd.DataFrame:
    """On each language (``split``) the first system trained on it against the same trained on the other one, and the
    pairs of the question trained on each; all one family."""
    tables, each = [], _sums(profile, folder, question.compared)
    for tested in TRAINED:
        sums = {f"{name} ({trained})": one for trained in TRAINED for name, one in each[trained, tested].items()}
        own, other = sorted(TRAINED, key=lambda trained: trained != tested)
        first = question.pairs[0][0]
        pairs = [(f"{first} ({own})", f"{first} ({other})")]
        pairs += [(f"{a} ({trained})", f"{b} ({trained})") for trained in (own, other) for a, b in question.pairs]
        tables.append(verdicts.differences(sums, pairs).assign(condition=STUDY, split=f"unseen speakers, {tested}"))
    return verdicts.judged(pd.concat(tables, ignore_index=True), margin(profile))
