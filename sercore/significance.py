"""How certain a concordance correlation and a difference of two are, when a speaker's utterances are not independent.

Conventions:

- All follow from sums by speaker, (speakers, 6, runs, attributes), as `sercore.sums.speaker_sums` takes them from gold
  values, predictions and speakers, in arrays or labelled tables. The runs are trainings of one system that differ by
  their seed. What `sercore.sums.require` refuses is refused here too.
- Results hold one value an attribute and, last, the mean of the attributes: the tested endpoint.
- Speakers are the units: a speaker is left out, drawn or swapped with all utterances, in all runs.
- Degrees of freedom over speakers are those of as many speakers of equal size, (sum n)^2 / sum n^2 of their numbers of
  utterances n (Kish, 1965), less one: with speakers of unequal size those of all speakers give intervals that are too
  narrow.
- ``confidence`` is that of an interval, ``alpha`` the level of a test; both lie between 0 and 1.
- Predictions that are all the same have CCC 0 and no interval: its limits are NaN. Differences from them are finite.
- What is drawn at random comes from the given generator alone: the same seed, the same figures.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sercore.sums import (
    Array,
    SignificanceError,
    Statistic,
    ccc_of,
    ccc_of_runs,
    chunks,
    constant,
    jackknife_error,
    require,
    weigh,
)

TIE = 1e-12  # differences of CCC that are as close as this are equal: they differ by rounding


@dataclass(frozen=True, eq=False)
class Interval:
    """CCCs and their confidence limits, float64 arrays of shape (attributes + 1,), the mean of the attributes last."""

    ccc: Array
    low: Array
    high: Array
    runs: int
    utterances: int
    speakers: int


@dataclass(frozen=True, eq=False)
class Contrast:
    """A difference, its confidence limits, the two-sided probability ``p`` of one as large where there is none, and the
    degrees of freedom ``df`` of its ``standard_error``: arrays of one shape."""

    difference: Array
    low: Array
    high: Array
    p: Array
    standard_error: Array
    df: Array


def interval(sums: Array, *, statistic: Statistic = ccc_of, confidence: float = 0.95) -> Interval:
    """CCC, averaged over runs, with a jackknife-t interval over speakers on Fisher's z.

    CCC = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2) with population moments (Lin, 1989). With z = artanh(CCC), z_(i)
    its value without speaker i of G, and their mean z_(.), the variance of z is (G - 1) / G * sum (z_(i) - z_(.))^2
    (Efron, 1982); the limits are z -+ t times its root, mapped back by tanh. The interval covers the sampling of
    speakers, with the trained models as they are.

    Another `statistic` is `sercore.sums.correlation_of`: Pearson's correlation r (in the field ``ccc``), the CCC that
    predictions have once they are given the gold values' mean and standard deviation. No other map a + b * prediction
    with b > 0 gives a higher one, where r is positive: equal means leave 2 b s_xy / (s_x^2 + b^2 s_y^2), which is
    largest at b = s_x / s_y. So 1 - r is an error that no change of the predictions' scale mends.
    """
    require(sums)
    total = sums.sum(axis=0)
    value = statistic(total)
    z = _fisher(value)
    reach = _quantile(confidence, _df(sums)) * jackknife_error(_fisher(statistic(total - sums)))
    return unless_constant(sums, value, np.minimum(np.tanh(z - reach), value), np.maximum(np.tanh(z + reach), value))


def difference(
    sums_a: Array, sums_b: Array, *, a_of: Statistic = ccc_of, b_of: Statistic = ccc_of, confidence: float = 0.95
) -> Contrast:
    """A statistic, `a_of`, of trained system a minus one, `b_of`, of trained system b, on the same utterances.

    The standard error is the jackknife's over speakers (Efron, 1982), limits and p Student's; numbers of runs may vary.
    """
    require(sums_a, sums_b)
    total_a, total_b = sums_a.sum(axis=0), sums_b.sum(axis=0)
    error = jackknife_error(a_of(total_a - sums_a) - b_of(total_b - sums_b))
    return contrast(a_of(total_a) - b_of(total_b), [error**2], [_df(sums_a)], confidence=confidence)


def swapped_difference(
    sums_a: Array, sums_b: Array, *, generator: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Contrast:
    """CCC of trained system a minus that of trained system b, of equally many runs.

    p: the share of the ways to swap the two systems' predictions of whole speakers that give a difference as large, in
    absolute value (Fisher's randomisation). All 2^G ways where these are no more than `resamples`; else (1 + hits) /
    (1 + resamples) of as many random ways (Phipson & Smyth, 2010). The standard error is the one with which Student's t
    has this p (test-based: Miettinen, 1976), so that limits exclude 0 where the test does; that of `difference` where p
    is above 1/2 and tells little of it, and where it is smaller while p is the smallest that there is. It asks whether
    the two trained models differ on such speakers; what another training would give is the question of
    `retrained_difference`. `SignificanceError` if there are no resamples, or more runs of one system than of the other.
    """
    if (count := sums_a.shape[2]) != (other := sums_b.shape[2]):
        raise SignificanceError(f"the systems have {count} and {other} runs; swapping needs equal ones.")
    found, units = difference(sums_a, sums_b, confidence=confidence), len(sums_a)
    exact = units < 63 and 2**units <= resamples
    middle, half = (sums_a + sums_b).sum(axis=0) / 2, (sums_a - sums_b) / 2
    least, hits = np.abs(found.difference) - TIE, np.zeros_like(found.difference)
    for part in chunks(units, 2**units if exact else resamples):
        if exact:  # the number of a way, in bits, tells who is not swapped
            stays = (np.array(part)[:, None] >> np.arange(units)) & 1
        else:
            stays = generator.integers(2, size=(len(part), units), dtype=np.int8)
        swapped = weigh(np.where(stays, 1.0, -1.0), half)
        hits += (np.abs(ccc_of(middle + swapped) - ccc_of(middle - swapped)) >= least).sum(axis=0)
    p = hits / 2**units if exact else (1 + hits) / (1 + resamples)
    least_p = 2 / 2**units if exact else 1 / (1 + resamples)
    error, t = found.standard_error, stats.t.isf(p / 2, found.df)
    based = np.divide(np.abs(found.difference), t, out=error.copy(), where=p <= 0.5)
    error = np.where(p <= least_p, np.minimum(based, error), based)
    reach = _quantile(confidence, found.df) * error
    return replace(found, low=found.difference - reach, high=found.difference + reach, p=p, standard_error=error)


def retrained_difference(sums_a: Array, sums_b: Array, *, confidence: float = 0.95) -> Contrast:
    """CCC of one way of training minus that of another, over other speakers and other seeds.

    The difference of the CCCs averaged over runs has the variance v = v_G + s_a^2 / R_a + s_b^2 / R_b: the jackknife's
    over the G speakers (Efron, 1982), and that of the seeds, s^2 being the variance of a system's R CCCs. Limits and p
    are those of `contrast`, with the speakers' and R - 1 degrees of freedom. The systems may have different numbers of
    runs; with fewer than two of either it is a `SignificanceError`.
    """
    runs = sums_a.shape[2], sums_b.shape[2]
    if min(runs) < 2:
        raise SignificanceError(f"the systems have {runs[0]} and {runs[1]} runs; how seeds vary needs 2 or more each.")
    found = difference(sums_a, sums_b)
    over_seeds = [seed_variance(each) / each.shape[2] for each in (sums_a, sums_b)]
    dfs = [_df(sums_a), *(count - 1 for count in runs)]
    return contrast(found.difference, [found.standard_error**2, *over_seeds], dfs, confidence=confidence)


def seed_variance(sums: Array) -> Array:
    """Variance of the CCCs of a system's runs."""
    return ccc_of_runs(sums.sum(axis=0)).var(axis=0, ddof=1)


def contrast(difference: ArrayLike, variances: ArrayLike, dfs: ArrayLike, *, confidence: float = 0.95) -> Contrast:
    """Limits and p of a difference (...) whose error adds up from independent parts, by Student's t.

    Its variance is the sum of v_i, `variances` (parts, ...), each estimated with f_i degrees of freedom, `dfs` (parts,)
    or (parts, ...); the sum has (sum v_i)^2 / sum (v_i^2 / f_i) of them (Satterthwaite, 1946). Without any variance
    these are f_1, and p is 1.
    """
    difference, variances = np.asarray(difference, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    dfs = np.asarray(dfs, dtype=np.float64)
    dfs = dfs.reshape(*dfs.shape, *[1] * (variances.ndim - dfs.ndim))
    total, first = variances.sum(axis=0), np.asarray(dfs[0] + np.zeros(variances.shape[1:]))
    df = np.divide(total**2, (variances**2 / dfs).sum(axis=0), out=first, where=total > 0)
    error = np.sqrt(total)
    t = np.divide(np.abs(difference), error, out=np.zeros_like(error), where=error > 0)
    reach = _quantile(confidence, df) * error
    return Contrast(difference, difference - reach, difference + reach, 2 * stats.t.sf(t, df), error, df)


def unless_constant(sums: Array, value: Array, low: Array, high: Array) -> Interval:
    """Its limits are NaN for an attribute that all runs predict as a constant, and for the mean of such ones alone."""
    collapsed = constant(sums.sum(axis=0)).all(axis=-2)
    collapsed = np.append(collapsed, collapsed.all())
    low, high = np.where(collapsed, np.nan, (low, high))
    return Interval(value, low, high, sums.shape[2], utterances(sums), len(sums))


def utterances(sums: Array) -> int:
    """How many utterances sums are of."""
    return round(sums[:, 0, 0, 0].sum())


def _df(sums: Array) -> float:
    """Degrees of freedom over speakers, see the module's conventions; 1 or more."""
    sizes = sums[:, 0, 0, 0]
    return max(1.0, sizes.sum() ** 2 / (sizes**2).sum() - 1)


def _fisher(ccc: Array) -> Array:
    return np.arctanh(np.clip(ccc, -1 + 1e-12, 1 - 1e-12))  # finite where the agreement is perfect


def _quantile(confidence: float, df: float | Array) -> Array:
    """Student's t beyond which, on either side, lies what is not within the `confidence`."""
    if not 0 < confidence < 1:
        raise SignificanceError(f"confidence is {confidence}; it lies between 0 and 1.")
    return stats.t.ppf((1 + confidence) / 2, df)
