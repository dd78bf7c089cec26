"""Performance by gender, duration, emotion and speaker, and the gaps between groups.

Conventions:

- Utterances whose gender or emotion is unknown are in no group of it; durations are cut into thirds. A group has
  `FEWEST` utterances or more, of two speakers or more.
- CCC, RMSE and bias (mean of prediction minus gold) are averaged over runs; of the endpoint ``mean`` they are the mean
  of the three attributes'. RMSE and bias are in points of the corpus's scale.
- Speakers are the units, as in `sercore.significance`; intervals are for the trained models as they are.
- `gold` has shape (utterances, 3), `predicted` (runs, utterances, 3), `speakers` (utterances,), `members` holds
  `memberships`. Tables hold aggregates alone: no utterance, no speaker.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS, GENDERS
from sercore.significance import Contrast, ccc_interval, contrast
from sercore.sums import Array, ccc_of, jackknife_error, speaker_sums, with_mean
from study import results
from study.comparisons import ENDPOINTS, contrasts, estimates, family
from study.plan import Plan, Question
from study.results import Study, aligned, reported_split

FEWEST = 10  # utterances of a group, and of a speaker whose own CCC counts
TABLES = ("groups", "gaps", "speakers")


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `tables` of the study whose collected results are in `folder`, as CSV."""
    results.write_tables(folder, tables(results.read(plan.profile, folder), question))


def tables(study: Study, question: Question) -> dict[str, pd.DataFrame]:
    """`scores` (``groups``), `gaps` (all of the mean CCC one family) and `speaker_spread` (``speakers``) of each system
    on the reported split, with ``condition`` (the profile), ``split``, ``seeds``, ``sets`` and ``system``."""
    split = reported_split(study.runs)
    gold, predictions, seeds = aligned(study.runs, question.compared, split)
    members = memberships(gold, study.corpus)
    known = study.corpus.loc[gold["utterance"], "speaker"].notna().to_numpy()
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for system, predicted in predictions.items():
        given = gold[list(ATTRIBUTES)].to_numpy(), predicted, gold["speaker"].to_numpy()
        spread = speaker_spread(given[0][known], predicted[:, known], given[2][known])
        for name, table in zip(TABLES, (scores(*given, members), gaps(*given, members), spread), strict=True):
            parts[name].append(table.assign(system=system, sets=len(predicted)))
    keys = {"condition": study.params.profile, "split": split, "seeds": len(seeds)}
    found = {name: pd.concat(each, ignore_index=True).assign(**keys) for name, each in parts.items()}
    return found | {"gaps": family(found["gaps"])}


def read(*folders: Path | str) -> dict[str, pd.DataFrame]:
    """The tables that `analyse` left in each folder, by name; of two folders of a profile the first counts."""
    each = {str(folder): results.read_tables(folder, TABLES) for folder in folders}
    first = {part["groups"]["condition"].iloc[0]: part for part in reversed(each.values())}
    return {name: pd.concat([part[name] for part in reversed(first.values())], ignore_index=True) for name in TABLES}


def memberships(gold: pd.DataFrame, corpus: pd.DataFrame) -> dict[str, pd.Categorical]:
    """The group of each row of `gold` in each grouping, NaN where it is unknown; the groups in the order of reports."""
    known = corpus.loc[gold["utterance"]]
    first, second = known["duration"].quantile([1 / 3, 2 / 3])
    spans = [f"up to {first:.1f} s", f"{first:.1f} to {second:.1f} s", f"above {second:.1f} s"]
    third = np.searchsorted([first, second], known["duration"])
    return {
        "gender": pd.Categorical(known["gender"], GENDERS),
        "duration": pd.Categorical.from_codes(third, spans),
        "emotion": pd.Categorical(gold["emotion"].map(EMOTIONS), list(EMOTIONS.values())),
    }


def scores(gold: Array, predicted: Array, speakers: NDArray, members: dict[str, pd.Categorical]) -> pd.DataFrame:
    """CCC, bias and error of each group, a row a group and endpoint, after the rows of all utterances. Columns
    ``grouping`` and ``group`` (or all), ``estimate`` (CCC), ``low``, ``high``, ``bias``, ``rmse``, ``deviation``
    (standard deviation of the gold values), ``utterances``, ``speakers``."""
    chosen = {("all", "all"): np.full(len(gold), True)}
    for grouping, groups in members.items():
        chosen |= {(grouping, group): rows for group, rows in _groups(groups, speakers).items()}
    parts = []
    for (grouping, group), rows in chosen.items():
        given = gold[rows], predicted[:, rows], speakers[rows]
        total = speaker_sums(*given).sum(axis=0)
        deviation = with_mean(gold[rows].std(axis=0))
        measured = {"bias": bias_of(total), "rmse": rmse_of(total), "deviation": deviation}
        parts.append(estimates(ccc_interval(*given)).assign(grouping=grouping, group=group, **measured))
    return pd.concat(parts, ignore_index=True)


def gaps(gold: Array, predicted: Array, speakers: NDArray, members: dict[str, pd.Categorical]) -> pd.DataFrame:
    """Each group's CCC minus that of its grouping's reference (men, the shortest utterances, neutral ones), a row a
    `gap` and endpoint; ``utterances`` and ``speakers`` of both groups together."""
    references = {"gender": "Male", "duration": members["duration"].categories[0], "emotion": EMOTIONS["N"]}
    parts = {}
    for grouping, reference in references.items():
        groups = _groups(members[grouping], speakers)
        for group in [name for name in groups if reference in groups and name != reference]:
            found = gap(gold, predicted, speakers, groups[group], groups[reference])
            both = groups[group] | groups[reference]
            table = contrasts(found)[["endpoint", "estimate", "low", "high", "p", "standard_error", "df"]]
            size = {"utterances": both.sum(), "speakers": len(np.unique(speakers[both]))}
            parts[grouping, group, reference] = table.assign(**size)
    return pd.concat(parts, names=["grouping", "group", "reference", None]).reset_index([0, 1, 2])


def gap(gold: Array, predicted: Array, speakers: NDArray, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Contrast:
    """CCC of the utterances `one` minus that of the utterances `other`, with a jackknife over speakers.

    Where no speaker is in both, the two are independent: their errors add up, with Satterthwaite's degrees of freedom.
    Else each speaker is left out of both at once (the paired jackknife), which has speakers - 1 degrees of freedom.
    """
    known = np.unique(speakers[one | other])
    sums = []
    for rows in (one, other):
        whole = np.zeros((len(known), 6, len(predicted), gold.shape[1]))
        whole[np.isin(known, speakers[rows])] = speaker_sums(gold[rows], predicted[:, rows], speakers[rows])
        sums.append(whole)
    totals = [each.sum(axis=0) for each in sums]
    difference = ccc_of(totals[0]) - ccc_of(totals[1])
    there = [each[:, 0, 0, 0] > 0 for each in sums]
    without = [ccc_of(total - each) for total, each in zip(totals, sums, strict=True)]
    if (there[0] & there[1]).any():
        return contrast(difference, [jackknife_error(without[0] - without[1]) ** 2], [len(known) - 1])
    errors = [jackknife_error(each[rows]) for each, rows in zip(without, there, strict=True)]
    return contrast(difference, np.square(errors), [rows.sum() - 1 for rows in there])


def speaker_spread(gold: Array, predicted: Array, speakers: NDArray) -> pd.DataFrame:
    """How CCC differs between speakers, a row an endpoint; none with fewer than two of `FEWEST` utterances or more.

    ``lowest``, ``highest`` and ``estimate`` (the median) with ``low`` and ``high`` (95 %, from order statistics:
    Conover, 1999); ``deviation`` of CCC over speakers, and ``true_deviation``, what remains of it without the error
    that so few utterances bring: the root of the variance less the speakers' mean squared jackknife error over
    utterances (rather too large: Efron & Stein, 1981), or 0.
    """
    names, counts = np.unique(speakers, return_counts=True)
    chosen = [speakers == name for name in names[counts >= FEWEST]]
    if len(chosen) < 2:
        return pd.DataFrame()
    sums = [speaker_sums(gold[rows], predicted[:, rows], np.arange(rows.sum())) for rows in chosen]
    found = np.array([ccc_of(each.sum(axis=0)) for each in sums])
    chance = np.mean([jackknife_error(ccc_of(each.sum(axis=0) - each)) ** 2 for each in sums], axis=0)
    low, high = np.transpose([stats.quantile_test(values, p=0.5).confidence_interval(0.95) for values in found.T])
    table = pd.DataFrame(found, columns=ENDPOINTS).agg(["min", "median", "max", "std"]).T
    table = table.set_axis(["lowest", "estimate", "highest", "deviation"], axis=1)
    remaining = np.sqrt(np.maximum(table["deviation"] ** 2 - chance, 0))
    table = table.assign(low=low, high=high, speakers=len(found), true_deviation=remaining)
    return table.rename_axis("endpoint").reset_index()


def bias_of(sums: Array) -> Array:
    """Mean of prediction minus gold from sums (..., 6, runs, 3), over runs, the mean last: (..., endpoints)."""
    n, x, y, *_ = np.moveaxis(sums, -3, 0)
    return with_mean(((y - x) / n).mean(axis=-2))


def rmse_of(sums: Array) -> Array:
    """Root of the mean squared error from sums (..., 6, runs, 3), over runs, the mean last: (..., endpoints)."""
    n, _, _, xx, yy, xy = np.moveaxis(sums, -3, 0)
    return with_mean(np.sqrt(np.maximum(xx + yy - 2 * xy, 0) / n).mean(axis=-2))


def _groups(groups: pd.Categorical, speakers: NDArray) -> dict[str, NDArray[np.bool_]]:
    """The utterances of each group that is large enough."""
    chosen = {group: np.asarray(groups == group) for group in groups.categories}
    return {
        group: rows for group, rows in chosen.items() if rows.sum() >= FEWEST and len(np.unique(speakers[rows])) > 1
    }
