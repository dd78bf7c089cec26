"""Whom a system serves: its CCC, bias and error within groups of utterances, the gaps between groups, and its speakers.

Conventions:

- Groups are the speaker's gender, thirds of the utterances by duration, and the emotion; utterances of which one of
  these is unknown are in no group of it. A group has `FEWEST` utterances or more, of two speakers or more.
- CCC, RMSE and bias (mean of prediction minus gold) are averaged over runs; a value of the endpoint ``mean`` is the
  mean of the three attributes'. RMSE and bias are in points of the corpus's scale.
- Speakers are the units, as in `sercore.significance`; intervals are for the trained models as they are.
- Tables hold aggregates alone: no utterance, no speaker.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS, GENDERS
from sercore.params import ParamsError, resolve
from sercore.significance import (
    Contrast,
    ccc_interval,
    ccc_of,
    contrast,
    holm,
    jackknife_error,
    minimum_detectable_difference,
    speaker_sums,
)
from study.comparisons import ENDPOINTS, LEVEL, aligned, estimates
from study.plan import question
from study.results import Study, reported_split

FEWEST = 10
"""Utterances of a group, and of a speaker whose own CCC counts."""

TABLES = ("groups", "gaps", "speakers")

Array = NDArray[np.float64]


def write(study: Study, folder: Path) -> None:
    """Write ``groups.csv``, ``gaps.csv`` and ``speakers.csv`` of the systems of the question `groups`.

    They hold what `scores`, `gaps` and `speaker_spread` return, for the utterances of the reported split, after the
    columns ``profile``, ``reader`` (of the corpus), ``split``, ``seeds`` (trained runs) and ``system``. ``gaps.csv``
    has in addition, where ``measure`` is ccc and ``endpoint`` mean, ``holm`` (p adjusted for all of these gaps of all
    systems), ``detectable`` and ``verdict``, as in `study.comparisons.Comparison`.

    Raises:
        ParamsError: a system has not been run.
        SignificanceError: the values give no interval.
    """
    params, split = study.runs[0].params, reported_split(study.runs)
    gold, predictions, seeds = aligned(study.runs, question(params.profile, "fairness").compared, split)
    members = memberships(gold, study.corpus)
    keys = {"profile": params.profile, "reader": params.corpus.reader, "split": split, "seeds": seeds}
    made = {name: [] for name in TABLES}
    for system, predicted in predictions.items():
        given = (gold[list(ATTRIBUTES)].to_numpy(), predicted, gold["speaker"].to_numpy())
        found = (scores(*given, members), gaps(*given, members), speaker_spread(*_of_known(given, study.corpus, gold)))
        for name, table in zip(TABLES, found, strict=True):
            made[name].append(pd.DataFrame(keys | {"system": system}, table.index).join(table))
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in made.items()}
    tables["gaps"] = _family(tables["gaps"])
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        partial = folder / f".{name}.csv.partial"
        table.to_csv(partial, index=False, float_format="%.5f", lineterminator="\n")
        partial.rename(folder / f"{name}.csv")


def read(results: Path | str, *others: Path | str) -> dict[str, pd.DataFrame]:
    """The tables that `write` left in `results` and, where they are there, in `others`, by name.

    A profile that a former folder has is not read again; a relative path is relative to the project's root.

    Raises:
        ParamsError: `results` lacks a table.
    """
    folders = [resolve(Path(folder)) for folder in (results, *others)]
    missing = [name for name in TABLES if not (folders[0] / f"{name}.csv").is_file()]
    if missing:
        raise ParamsError(f"{folders[0]} has no {', '.join(missing)}: `make study CHAPTER=fairness` makes them.")
    there = [folder for folder in folders if all((folder / f"{name}.csv").is_file() for name in TABLES)]
    parts = [{name: pd.read_csv(folder / f"{name}.csv") for name in TABLES} for folder in there]
    first = {}
    for place, part in enumerate(parts):
        for profile in part["groups"]["profile"].unique():
            first.setdefault(profile, place)
    kept = {
        name: [part[name][part[name]["profile"].map(first) == place] for place, part in enumerate(parts)]
        for name in TABLES
    }
    return {name: pd.concat(tables, ignore_index=True) for name, tables in kept.items()}


def memberships(gold: pd.DataFrame, corpus: pd.DataFrame) -> dict[str, pd.Categorical]:
    """The group of each row of `gold` in each grouping, NaN where it is unknown; the groups in the order of reports.

    Args:
        gold: rows with ``utterance`` and ``emotion``.
        corpus: the corpus table, for ``gender`` and ``duration``.
    """
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
    """What a system makes of each group.

    Args:
        gold: shape (utterances, 3).
        predicted: shape (runs, utterances, 3).
        speakers: shape (utterances,).
        members: as `memberships` gives them.

    Returns:
        A row a group and endpoint, after the rows of all utterances (``grouping`` and ``group``: all): ``ccc`` with
        ``low`` and ``high`` (see `sercore.significance.ccc_interval`), ``bias``, ``rmse``, ``deviation`` (standard
        deviation of the gold values), ``runs``, ``utterances``, ``speakers``.
    """
    chosen = {("all", "all"): np.full(len(gold), True)}
    for grouping, groups in members.items():
        chosen |= {(grouping, group): rows for group, rows in _groups(groups, speakers).items()}
    tables = []
    for (grouping, group), rows in chosen.items():
        given = gold[rows], predicted[:, rows], speakers[rows]
        total = speaker_sums(*given).sum(axis=0)
        deviation = gold[rows].std(axis=0)
        measured = {"bias": bias_of(total), "rmse": rmse_of(total), "deviation": [*deviation, deviation.mean()]}
        table = estimates(ccc_interval(*given)).assign(**measured)
        table.insert(0, "grouping", grouping)
        table.insert(1, "group", group)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def gaps(gold: Array, predicted: Array, speakers: NDArray, members: dict[str, pd.Categorical]) -> pd.DataFrame:
    """Each group's CCC and RMSE minus those of its grouping's reference: men, the shortest utterances, neutral ones.

    See `gap` for the interval; arguments as for `scores`.

    Returns:
        A row a gap, ``measure`` (ccc, rmse) and ``endpoint``: ``grouping``, ``group``, ``reference``, ``difference``,
        ``low``, ``high``, ``p``, ``error``, ``freedom``, ``utterances`` and ``speakers`` (of both groups together).
    """
    references = {"gender": "Male", "duration": members["duration"].categories[0], "emotion": EMOTIONS["N"]}
    tables = []
    for grouping, reference in references.items():
        groups = _groups(members[grouping], speakers)
        for group in groups if reference in groups else []:
            if group == reference:
                continue
            for measure, statistic in (("ccc", ccc_of), ("rmse", rmse_of)):
                found = gap(gold, predicted, speakers, groups[group], groups[reference], statistic)
                both = groups[group] | groups[reference]
                about = {"grouping": grouping, "group": group, "reference": reference, "measure": measure}
                size = {"utterances": both.sum(), "speakers": len(np.unique(speakers[both]))}
                tables.append(pd.DataFrame(about | {"endpoint": ENDPOINTS} | vars(found) | size))
    return pd.concat(tables, ignore_index=True)


def gap(
    gold: Array,
    predicted: Array,
    speakers: NDArray,
    one: NDArray[np.bool_],
    other: NDArray[np.bool_],
    statistic: Callable[[Array], Array],
) -> Contrast:
    """A statistic of the utterances `one` minus that of the utterances `other`, with a jackknife over speakers.

    Where no speaker is in both, the two are independent: their errors add up, with Satterthwaite's degrees of freedom.
    Else each speaker is left out of both at once (the paired jackknife), which has speakers - 1 degrees of freedom.

    Args:
        gold, predicted, speakers: as for `scores`.
        one, other: whether an utterance belongs to the group, shape (utterances,).
        statistic: of sums (..., 6, runs, 3), as of `sercore.significance.speaker_sums`; gives (..., endpoints).
    """
    known = np.unique(speakers[one | other])
    sums = []
    for rows in (one, other):
        whole = np.zeros((len(known), 6, len(predicted), gold.shape[1]))
        whole[np.searchsorted(known, np.unique(speakers[rows]))] = speaker_sums(
            gold[rows], predicted[:, rows], speakers[rows]
        )
        sums.append(whole)
    totals = [each.sum(axis=0) for each in sums]
    difference = statistic(totals[0]) - statistic(totals[1])
    present = [each[:, 0, 0, 0] > 0 for each in sums]
    without = [statistic(total - each) for total, each in zip(totals, sums, strict=True)]
    if (present[0] & present[1]).any():
        return contrast(difference, [jackknife_error(without[0] - without[1]) ** 2], [len(known) - 1])
    errors = [jackknife_error(each[there]) for each, there in zip(without, present, strict=True)]
    return contrast(difference, np.square(errors), [there.sum() - 1 for there in present])


def speaker_spread(gold: Array, predicted: Array, speakers: NDArray) -> pd.DataFrame:
    """How CCC differs between speakers, over those with `FEWEST` utterances or more; arguments as for `scores`.

    Returns:
        A row an endpoint, none with fewer than two such speakers: ``speakers``, ``lowest``, ``quarter``, ``median``
        with ``low`` and ``high`` (95 %, from order statistics: Conover, 1999), ``three_quarters``, ``highest``;
        ``below_zero``, the share of speakers with a negative CCC, with ``below_low`` and ``below_high`` (Clopper &
        Pearson, 1934); ``deviation`` of CCC over speakers, and ``true_deviation``, what remains of it without the error
        that so few utterances bring: the root of the variance less the speakers' mean squared jackknife error over
        utterances (rather too large: Efron & Stein, 1981), or 0.
    """
    found, errors = _of_speakers(gold, predicted, speakers)
    if len(found) < 2:
        return pd.DataFrame()
    below = (found < 0).sum(axis=0)
    places = dict(
        zip(("lowest", "quarter", "median", "three_quarters", "highest"), (0, 0.25, 0.5, 0.75, 1), strict=True)
    )
    table = pd.DataFrame({"endpoint": ENDPOINTS, "speakers": len(found)})
    table = table.assign(**{name: np.quantile(found, place, axis=0) for name, place in places.items()})
    limits = [stats.quantile_test(values, p=0.5).confidence_interval(0.95) for values in found.T]
    shares = [stats.binomtest(int(count), len(found)).proportion_ci(0.95) for count in below]
    chance = (errors**2).mean(axis=0)
    return table.assign(
        low=[one.low for one in limits],
        high=[one.high for one in limits],
        below_zero=below / len(found),
        below_low=[one.low for one in shares],
        below_high=[one.high for one in shares],
        deviation=found.std(axis=0, ddof=1),
        true_deviation=np.sqrt(np.maximum(found.var(axis=0, ddof=1) - chance, 0)),
    )


def bias_of(sums: Array) -> Array:
    """Mean of prediction minus gold from sums (..., 6, runs, 3), over runs, the mean last: (..., endpoints)."""
    n, x, y, *_ = np.moveaxis(sums, -3, 0)
    return _with_mean(((y - x) / n).mean(axis=-2))


def rmse_of(sums: Array) -> Array:
    """Root of the mean squared error from sums (..., 6, runs, 3), over runs, the mean last: (..., endpoints)."""
    n, _, _, xx, yy, xy = np.moveaxis(sums, -3, 0)
    return _with_mean(np.sqrt(np.maximum(xx + yy - 2 * xy, 0) / n).mean(axis=-2))


def _of_speakers(gold: Array, predicted: Array, speakers: NDArray) -> tuple[Array, Array]:
    """CCC of each speaker with enough utterances, and its jackknife error over these, each (speakers, endpoints)."""
    _, labels, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    enough = counts[labels] >= FEWEST
    labels = np.unique(labels[enough], return_inverse=True)[1]
    if not len(labels):
        return np.empty((0, len(ENDPOINTS))), np.empty((0, len(ENDPOINTS)))
    each = speaker_sums(gold[enough], predicted[:, enough], np.arange(len(labels)))
    totals = np.zeros((labels.max() + 1, *each.shape[1:]))
    np.add.at(totals, labels, each)
    without = ccc_of(totals[labels] - each)
    return ccc_of(totals), np.array([jackknife_error(without[labels == label]) for label in range(len(totals))])


def _with_mean(values: Array) -> Array:
    return np.concatenate([values, values.mean(axis=-1, keepdims=True)], axis=-1)


def _of_known(
    given: tuple[Array, Array, NDArray], corpus: pd.DataFrame, gold: pd.DataFrame
) -> tuple[Array, Array, NDArray]:
    """Truth, predictions and speakers of the utterances whose speaker the corpus knows."""
    known = corpus.loc[gold["utterance"], "speaker"].notna().to_numpy()
    truth, predicted, speakers = given
    return truth[known], predicted[:, known], speakers[known]


def _groups(groups: pd.Categorical, speakers: NDArray) -> dict[str, NDArray[np.bool_]]:
    """The utterances of each group that is large enough."""
    chosen = {group: np.asarray(groups == group) for group in groups.categories}
    return {
        group: rows for group, rows in chosen.items() if rows.sum() >= FEWEST and len(np.unique(speakers[rows])) > 1
    }


def _family(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with Holm's p, detectable difference and verdict of the gaps of the declared endpoint."""
    tested = (table["measure"] == "ccc") & (table["endpoint"] == "mean")
    rows = table[tested]
    adjusted = holm(rows["p"])
    detectable = minimum_detectable_difference(rows["error"], rows["freedom"], level=LEVEL, comparisons=len(rows))
    resolved = (adjusted < LEVEL) & (rows["difference"].abs() >= detectable)
    table.loc[tested, "holm"], table.loc[tested, "detectable"] = adjusted, detectable
    table.loc[tested, "verdict"] = np.where(resolved, "resolved", "unresolved")
    return table
