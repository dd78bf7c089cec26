"""How certain a concordance correlation and a difference of two are, when a speaker's utterances are not independent.

Conventions:

- Arrays are ``gold`` (utterances, attributes), ``predicted`` (runs, utterances, attributes) and ``speakers``
  (utterances,), any labels; gold and predicted in one and the same scale. The runs are trainings of one system that
  differ by their seed; a ``predicted`` of shape (utterances, attributes) is one run.
- Results hold one value an attribute and, last, the mean of the attributes: the endpoint declared in advance.
- Speakers are the units: a speaker is left out, drawn or swapped with all utterances, in all runs.
- ``confidence`` is that of an interval, ``alpha`` the level of a test; both lie between 0 and 1.
- Predictions that are all the same have CCC 0 and no interval: its limits are NaN. Differences from them are finite.
- What is drawn at random comes from the given generator alone: the same seed, the same figures.

Everything follows from sums by speaker, (speakers, 6, runs, attributes): functions of utterances refuse what
`sercore.sums.speaker_sums` refuses, those of ``sums`` what `sercore.sums.require` refuses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sercore.sums import (
    Array,
    SignificanceError,
    Statistic,
    ccc_of,
    ccc_of_runs,
    constant,
    correlation_of,
    jackknife_error,
    redrawn,
    require,
    speaker_sums,
    swaps,
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
    degrees of freedom ``df`` of its ``standard_error``: arrays of one shape.
    """

    difference: Array
    low: Array
    high: Array
    p: Array
    standard_error: Array
    df: Array


@dataclass(frozen=True, eq=False)
class Difference(Contrast):
    """CCC of a system a minus that of a system b; arrays as in `Interval`, ``runs`` those of a and of b."""

    runs: tuple[int, int]
    utterances: int
    speakers: int


def ccc_interval(gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """CCC, averaged over runs, with a jackknife-t interval over speakers on Fisher's z.

    CCC = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2) with population moments (Lin, 1989). With z = artanh(CCC), z_(i)
    its value without speaker i of G, and their mean z_(.), the variance of z is (G - 1) / G * sum (z_(i) - z_(.))^2
    (Efron, 1982); the limits are z -+ t(G - 1) times its root, mapped back by tanh. The interval covers the sampling
    of speakers, with the trained models as they are.
    """
    return interval(speaker_sums(gold, predicted, speakers), confidence=confidence)


def correlation_interval(
    gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """As `ccc_interval`, with Pearson's correlation r instead of CCC (in the field ``ccc``).

    r is the CCC that predictions have once they are given the gold values' mean and standard deviation. No other map
    a + b * prediction with b > 0 gives a higher one, where r is positive: equal means leave 2 b s_xy / (s_x^2 + b^2
    s_y^2), which is largest at b = s_x / s_y. So 1 - r is an error that no change of the predictions' scale mends.
    """
    return interval(speaker_sums(gold, predicted, speakers), statistic=correlation_of, confidence=confidence)


def interval(sums: Array, *, statistic: Statistic = ccc_of, confidence: float = 0.95) -> Interval:
    """`ccc_interval`, or that of another statistic, of sums."""
    _require_probabilities(confidence=confidence)
    require(sums)
    total = sums.sum(axis=0)
    value = statistic(total)
    z = _fisher(value)
    reach = stats.t.ppf((1 + confidence) / 2, len(sums) - 1) * jackknife_error(_fisher(statistic(total - sums)))
    return _unless_constant(sums, value, np.minimum(np.tanh(z - reach), value), np.maximum(np.tanh(z + reach), value))


def bootstrap_interval(
    gold: ArrayLike,
    predicted: ArrayLike,
    speakers: ArrayLike,
    *,
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """CCC, averaged over runs, with a percentile interval of the bootstrap over speakers (Efron & Tibshirani, 1993).

    G speakers are drawn with replacement `resamples` times; the limits are the (1 -+ confidence) / 2 quantiles of CCC.
    With few speakers they are too narrow, so `ccc_interval` is this package's choice. A resample whose gold and
    predicted values are constant has CCC 0.
    """
    _require_probabilities(confidence=confidence)
    sums = speaker_sums(gold, predicted, speakers)
    drawn = np.concatenate([ccc_of(weigh(weights, sums)) for weights in redrawn(len(sums), resamples, generator)])
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return _unless_constant(sums, ccc_of(sums.sum(axis=0)), low, high)


def difference_interval(
    gold: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    speakers: ArrayLike,
    *,
    a_of: Statistic = ccc_of,
    b_of: Statistic = ccc_of,
    confidence: float = 0.95,
) -> Contrast:
    """A statistic, `a_of`, of trained system a minus one, `b_of`, of trained system b, on the same utterances.

    The standard error is the jackknife's over the G speakers (Efron, 1982), limits and p those of t(G - 1). The systems
    may have different numbers of runs.
    """
    sums = speaker_sums(gold, a, speakers), speaker_sums(gold, b, speakers)
    return difference(*sums, a_of=a_of, b_of=b_of, confidence=confidence)


def difference(
    sums_a: Array, sums_b: Array, *, a_of: Statistic = ccc_of, b_of: Statistic = ccc_of, confidence: float = 0.95
) -> Contrast:
    """`difference_interval` of sums."""
    require(sums_a, sums_b)
    total_a, total_b = sums_a.sum(axis=0), sums_b.sum(axis=0)
    error = jackknife_error(a_of(total_a - sums_a) - b_of(total_b - sums_b))
    return contrast(a_of(total_a) - b_of(total_b), [error**2], [len(sums_a) - 1], confidence=confidence)


def ccc_difference(
    gold: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    speakers: ArrayLike,
    *,
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Difference:
    """CCC of trained system a minus that of trained system b, on the same utterances, predictions of equal shape.

    Limits: those of `difference_interval`. p: the share of the ways to swap the two systems' predictions of whole
    speakers that give a difference as large, in absolute value (Fisher's randomisation). All 2^G ways where these are
    no more than `resamples`; else (1 + hits) / (1 + resamples) of as many random ways (Phipson & Smyth, 2010). It asks
    whether the two trained models differ on such speakers; what another training would give is the question of
    `method_difference`. `SignificanceError` if there are no resamples, or more runs of one system than of the other.
    """
    sums = speaker_sums(gold, a, speakers), speaker_sums(gold, b, speakers)
    return swapped_difference(*sums, generator=generator, confidence=confidence, resamples=resamples)


def swapped_difference(
    sums_a: Array, sums_b: Array, *, generator: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Difference:
    """`ccc_difference` of sums."""
    if (count := sums_a.shape[2]) != (other := sums_b.shape[2]):
        raise SignificanceError(f"the systems have {count} and {other} runs; swapping needs equal ones.")
    found = difference(sums_a, sums_b, confidence=confidence)
    runs, utterances, units = _size(sums_a)
    exact = units < 63 and 2**units <= resamples
    middle, half = (sums_a + sums_b).sum(axis=0) / 2, (sums_a - sums_b) / 2
    least, hits = np.abs(found.difference) - TIE, np.zeros_like(found.difference)
    for signs in swaps(units, None if exact else resamples, generator):
        swapped = weigh(signs, half)
        hits += (np.abs(ccc_of(middle + swapped) - ccc_of(middle - swapped)) >= least).sum(axis=0)
    p = hits / 2**units if exact else (1 + hits) / (1 + resamples)
    return Difference(**vars(found) | {"p": p}, runs=(runs, runs), utterances=utterances, speakers=units)


def method_difference(
    gold: ArrayLike, a_runs: ArrayLike, b_runs: ArrayLike, speakers: ArrayLike, *, confidence: float = 0.95
) -> Difference:
    """CCC of one way of training minus that of another, over other speakers and other seeds.

    The difference of the CCCs averaged over runs has the variance v = v_G + s_a^2 / R_a + s_b^2 / R_b: the jackknife's
    over the G speakers (Efron, 1982), and that of the seeds, s^2 being the variance of a system's R CCCs. Limits and p
    are those of `contrast`, with G - 1 and R - 1 degrees of freedom. The systems may have different numbers of runs;
    with fewer than two of either it is a `SignificanceError`.
    """
    sums = speaker_sums(gold, a_runs, speakers), speaker_sums(gold, b_runs, speakers)
    return retrained_difference(*sums, confidence=confidence)


def retrained_difference(sums_a: Array, sums_b: Array, *, confidence: float = 0.95) -> Difference:
    """`method_difference` of sums."""
    (runs_a, utterances, units), (runs_b, _, _) = _size(sums_a), _size(sums_b)
    if min(runs_a, runs_b) < 2:
        raise SignificanceError(f"the systems have {runs_a} and {runs_b} runs; how seeds vary needs 2 or more each.")
    found = difference(sums_a, sums_b)
    over_seeds = [ccc_of_runs(each.sum(axis=0)).var(axis=0, ddof=1) / each.shape[2] for each in (sums_a, sums_b)]
    dfs = [units - 1, runs_a - 1, runs_b - 1]
    tested = contrast(found.difference, [found.standard_error**2, *over_seeds], dfs, confidence=confidence)
    return Difference(**vars(tested), runs=(runs_a, runs_b), utterances=utterances, speakers=units)


def contrast(difference: ArrayLike, variances: ArrayLike, dfs: ArrayLike, *, confidence: float = 0.95) -> Contrast:
    """Limits and p of a difference (...) whose error adds up from independent parts, by Student's t.

    Its variance is the sum of v_i, `variances` (parts, ...), each estimated with f_i degrees of freedom, `dfs` (parts,)
    or (parts, ...); the sum has (sum v_i)^2 / sum (v_i^2 / f_i) of them (Satterthwaite, 1946). Without any variance
    these are f_1, and p is 1.
    """
    _require_probabilities(confidence=confidence)
    difference, variances = np.asarray(difference, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    dfs = np.asarray(dfs, dtype=np.float64)
    dfs = dfs.reshape(*dfs.shape, *[1] * (variances.ndim - dfs.ndim))
    total, first = variances.sum(axis=0), np.asarray(dfs[0] + np.zeros(variances.shape[1:]))
    df = np.divide(total**2, (variances**2 / dfs).sum(axis=0), out=first, where=total > 0)
    error = np.sqrt(total)
    t = np.divide(np.abs(difference), error, out=np.zeros_like(error), where=error > 0)
    reach = stats.t.ppf((1 + confidence) / 2, df) * error
    return Contrast(difference, difference - reach, difference + reach, 2 * stats.t.sf(t, df), error, df)


def holm(p: ArrayLike) -> Array:
    """p adjusted for a family of comparisons (Holm, 1979), in their order: reject what is at most alpha, and the chance
    of one or more false rejections is at most alpha, whatever the dependence.

    The i-th smallest of m is multiplied by m - i + 1, is at least the adjusted one before it, and at most 1. A p
    outside 0 to 1, NaN, or not of shape (comparisons,) is a `SignificanceError`.

    >>> holm([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise SignificanceError(f"Holm's procedure needs a list of p between 0 and 1, not {p.tolist()}.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def minimum_detectable_difference(
    standard_error: ArrayLike, df: ArrayLike, *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> Array:
    """The difference that a two-sided test at `alpha` finds with probability `power`, between 0 and 1.

    (t(1 - alpha / (2 comparisons)) + t(power)) * standard_error with quantiles of Student's t (Bloom, 1995), alpha
    divided by the number of comparisons, 1 or more (Bonferroni), which is the first and strictest step of `holm`. The
    standard error has any shape; its degrees of freedom, `df`, are one for all or of that shape.
    """
    _require_probabilities(alpha=alpha, power=power)
    if comparisons < 1:
        raise SignificanceError(f"a family has 1 comparison or more, not {comparisons}.")
    return (stats.t.ppf(1 - alpha / (2 * comparisons), df) + stats.t.ppf(power, df)) * np.asarray(standard_error)


def detection_power(difference: ArrayLike, standard_error: ArrayLike, df: ArrayLike, *, alpha: float = 0.05) -> Array:
    """Probability that a two-sided t-test at `alpha` finds a true `difference`, by the noncentral F distribution.

    The square of the test's t has it, with 1 and `df` degrees of freedom and noncentrality (difference /
    standard_error)^2; the three are of any shapes that fit.
    """
    _require_probabilities(alpha=alpha)
    shift = np.asarray(difference) / np.asarray(standard_error)
    return 1 - stats.ncf.cdf(stats.f.isf(alpha, 1, df), 1, df, shift**2)  # its sf is wrong at 0


def _unless_constant(sums: Array, value: Array, low: Array, high: Array) -> Interval:
    """Its limits are NaN for an attribute that all runs predict as a constant, and for the mean of such ones alone."""
    collapsed = constant(sums.sum(axis=0)).all(axis=-2)
    collapsed = np.append(collapsed, collapsed.all())
    low, high = np.where(collapsed, np.nan, (low, high))
    return Interval(value, low, high, *_size(sums))


def _fisher(ccc: Array) -> Array:
    return np.arctanh(np.clip(ccc, -1 + 1e-12, 1 - 1e-12))  # finite where the agreement is perfect


def _size(sums: Array) -> tuple[int, int, int]:
    """Runs, utterances and speakers."""
    return sums.shape[2], round(sums[:, 0, 0, 0].sum()), len(sums)


def _require_probabilities(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < 1:
            raise SignificanceError(f"{name} is {value}; it lies between 0 and 1.")
