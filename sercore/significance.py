"""How sure a concordance correlation and a difference of two are, when utterances of one speaker are not independent.

Conventions:

- Arrays are ``gold`` (utterances, attributes) and ``predicted`` (runs, utterances, attributes), in one and the same
  scale; the runs are trainings of one system that differ by their seed. A ``predicted`` of shape (utterances,
  attributes) is one run.
- Results hold one value an attribute and, last, the mean of the attributes: the endpoint declared in advance.
- Speakers are the units: whatever is left out, drawn again or swapped is a speaker with all utterances, in all runs.
- What is drawn at random comes from the given generator alone: the same seed, the same figures.

The concordance correlation coefficient (CCC) is a function of six sums (n, x, y, x^2, y^2, xy). They are taken once for
each speaker, in float64 and about the mean of the gold values. Leaving a speaker out is then a subtraction, and any
number of resamples is one matrix product, weights (resamples, speakers) @ sums.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

CHUNK = 2**22
"""Weights that are in memory at a time (32 MiB)."""

TIE = 1e-12
"""Differences of CCC that are as close as this are equal: they differ by rounding."""

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]


class SignificanceError(ValueError):
    """Values from which no interval follows; the message says which and why."""


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
    """A difference, arrays of one shape.

    ``low`` and ``high`` are confidence limits, ``p`` the two-sided probability of a difference as large where there is
    none, ``error`` the standard error, ``freedom`` its degrees of freedom.
    """

    difference: Array
    low: Array
    high: Array
    p: Array
    error: Array
    freedom: Array


@dataclass(frozen=True, eq=False)
class Difference(Contrast):
    """CCC of a system a minus that of a system b; arrays as in `Interval`, ``runs`` those of a and of b."""

    runs: tuple[int, int]
    utterances: int
    speakers: int


def ccc_interval(gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike, *, level: float = 0.95) -> Interval:
    """CCC, averaged over runs, with a jackknife-t interval over speakers on Fisher's z.

    CCC = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2) with population moments (Lin, 1989). With z = artanh(CCC), z_(i)
    its value without speaker i of G, and their mean z_(.), the variance of z is (G - 1) / G * sum (z_(i) - z_(.))^2
    (Efron, 1982); the limits are z -+ t(G - 1) times its root, mapped back by tanh. They tell how the CCC would vary
    over other speakers, with the trained models as they are.

    Args:
        gold: shape (utterances, attributes).
        predicted: shape (runs, utterances, attributes) or (utterances, attributes).
        speakers: shape (utterances,), any labels.
        level: of confidence, between 0 and 1.

    Raises:
        SignificanceError: shapes that do not fit, a value that is not finite, an unknown speaker, fewer than two
            speakers, or an attribute whose gold or predicted values are all the same.
    """
    return _interval(ccc_of, gold, predicted, speakers, level)


def correlation_interval(
    gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike, *, level: float = 0.95
) -> Interval:
    """As `ccc_interval`, with Pearson's correlation r in place of CCC (in the field ``ccc``).

    r is the CCC that predictions have once they are given the gold values' mean and standard deviation. No other map
    a + b * prediction with b > 0 gives a higher one, where r is positive: equal means leave 2 b s_xy / (s_x^2 + b^2
    s_y^2), which is largest at b = s_x / s_y. What r lacks to 1 is thus no matter of the predictions' scale.
    """
    return _interval(correlation_of, gold, predicted, speakers, level)


def bootstrap_interval(
    gold: ArrayLike,
    predicted: ArrayLike,
    speakers: ArrayLike,
    *,
    generator: np.random.Generator,
    level: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """CCC, averaged over runs, with a percentile interval of the bootstrap over speakers (Efron & Tibshirani, 1993).

    G speakers are drawn with replacement `resamples` times; the limits are the (1 -+ level) / 2 quantiles of CCC. With
    few speakers they are too narrow, so `ccc_interval` is this package's choice. A resample whose gold and predicted
    values are constant has CCC 0.

    Args:
        gold: shape (utterances, attributes).
        predicted: shape (runs, utterances, attributes) or (utterances, attributes).
        speakers: shape (utterances,), any labels.
        generator: draws the speakers.
        level: of confidence, between 0 and 1.
        resamples: 1 or more.

    Raises:
        SignificanceError: as for `ccc_interval`, or no resamples.
    """
    _check_level(level)
    sums = speaker_sums(gold, predicted, speakers)
    drawn = np.concatenate([ccc_of(weigh(weights, sums)) for weights in redrawn(len(sums), resamples, generator)])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(ccc_of(sums.sum(axis=0)), low, high, *_size(sums))


def difference_interval(
    gold: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    speakers: ArrayLike,
    *,
    a_of: Statistic | None = None,
    b_of: Statistic | None = None,
    level: float = 0.95,
) -> tuple[Array, Array, Array]:
    """A statistic of trained system a minus one of trained system b, on the same utterances, and its limits.

    The difference -+ t(G - 1) times its jackknife error over the G speakers (Efron, 1982), as in `ccc_difference`.

    Args:
        gold: shape (utterances, attributes).
        a: predictions, shape (utterances, attributes), or (runs, utterances, attributes) to average over runs.
        b: as `a`; it may have another number of runs.
        speakers: shape (utterances,), any labels.
        a_of: `ccc_of` (the default) or `correlation_of`.
        b_of: as `a_of`.
        level: of confidence, between 0 and 1.

    Raises:
        SignificanceError: as for `ccc_interval`.
    """
    _check_level(level)
    sums_a, sums_b = speaker_sums(gold, a, speakers), speaker_sums(gold, b, speakers)
    difference, error = _jackknife_difference(sums_a, sums_b, a_of or ccc_of, b_of or ccc_of)
    return difference, *_limits(difference, error, np.full_like(error, len(sums_a) - 1), level)


def ccc_difference(
    gold: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    speakers: ArrayLike,
    *,
    generator: np.random.Generator,
    level: float = 0.95,
    resamples: int = 10_000,
) -> Difference:
    """CCC of trained system a minus that of trained system b, on the same utterances.

    Limits: the difference -+ t(G - 1) times its jackknife error over the G speakers (Efron, 1982; see `ccc_interval`).
    p: the share of the ways to swap the two systems' predictions of whole speakers that give a difference as large, in
    absolute value (Fisher's randomisation). All 2^G ways where these are no more than `resamples`; else
    (1 + hits) / (1 + resamples) of as many random ways (Phipson & Smyth, 2010). It asks whether the two trained models
    differ on such speakers; what another training would give is the question of `method_difference`.

    Args:
        gold: shape (utterances, attributes).
        a: predictions, shape (utterances, attributes), or (runs, utterances, attributes) to average CCC over runs.
        b: as `a`, of the same shape.
        speakers: shape (utterances,), any labels.
        generator: draws the swaps.
        level: of confidence, between 0 and 1.
        resamples: 1 or more.

    Raises:
        SignificanceError: as for `ccc_interval`, no resamples, or a and b of different shapes.
    """
    _check_level(level)
    if np.shape(a) != np.shape(b):
        raise SignificanceError(f"the systems have shapes {np.shape(a)} and {np.shape(b)}; swapping needs equal ones.")
    sums_a, sums_b = speaker_sums(gold, a, speakers), speaker_sums(gold, b, speakers)
    difference, error = _jackknife_difference(sums_a, sums_b)
    middle, half = (sums_a + sums_b).sum(axis=0) / 2, (sums_a - sums_b) / 2
    hits = 0
    for signs in _swaps(len(sums_a), resamples, generator):
        swapped = weigh(signs, half)
        hits += (np.abs(ccc_of(middle + swapped) - ccc_of(middle - swapped)) >= np.abs(difference) - TIE).sum(axis=0)
    exact = _exact(len(sums_a), resamples)
    p = hits / 2 ** len(sums_a) if exact else (1 + hits) / (1 + resamples)
    freedom = np.full_like(error, len(sums_a) - 1)
    runs_a, utterances, count = _size(sums_a)
    low, high = _limits(difference, error, freedom, level)
    return Difference(difference, low, high, p, error, freedom, (runs_a, runs_a), utterances, count)


def method_difference(
    gold: ArrayLike, a_runs: ArrayLike, b_runs: ArrayLike, speakers: ArrayLike, *, level: float = 0.95
) -> Difference:
    """CCC of one way of training minus that of another, over other speakers and other seeds.

    The difference of the CCCs averaged over runs has the variance v = v_G + s_a^2 / R_a + s_b^2 / R_b: the jackknife's
    over the G speakers (Efron, 1982), and that of the seeds, s^2 being the variance of a system's R CCCs. Its degrees
    of freedom are v^2 / (v_G^2 / (G - 1) + sum (s^2 / R)^2 / (R - 1)) (Satterthwaite, 1946); limits and two-sided p
    are those of Student's t. Without any variance p is 1.

    Args:
        gold: shape (utterances, attributes).
        a_runs: predictions, shape (runs, utterances, attributes), 2 runs or more.
        b_runs: as `a_runs`; it may have another number of runs.
        speakers: shape (utterances,), any labels.
        level: of confidence, between 0 and 1.

    Raises:
        SignificanceError: as for `ccc_interval`, or fewer than two runs of a system.
    """
    _check_level(level)
    sums_a, sums_b = speaker_sums(gold, a_runs, speakers), speaker_sums(gold, b_runs, speakers)
    runs, (_, utterances, count) = (sums_a.shape[2], sums_b.shape[2]), _size(sums_a)
    if min(runs) < 2:
        raise SignificanceError(f"the systems have {runs[0]} and {runs[1]} runs; how seeds vary needs 2 or more each.")
    difference, error = _jackknife_difference(sums_a, sums_b)
    variances = [error**2, _seed_variance(sums_a), _seed_variance(sums_b)]
    tested = contrast(difference, variances, [count - 1, runs[0] - 1, runs[1] - 1], level=level)
    return Difference(
        difference, tested.low, tested.high, tested.p, tested.error, tested.freedom, runs, utterances, count
    )


def contrast(difference: ArrayLike, variances: ArrayLike, freedoms: ArrayLike, *, level: float = 0.95) -> Contrast:
    """Limits and p of a difference whose error adds up from independent parts, by Student's t.

    Its variance is the sum of v_i, each estimated with f_i degrees of freedom; the sum has (sum v_i)^2 / sum (v_i^2 /
    f_i) of them (Satterthwaite, 1946). Without any variance these are f_1, and p is 1.

    Args:
        difference: shape (...).
        variances: shape (parts, ...).
        freedoms: shape (parts,) or (parts, ...).
        level: of confidence, between 0 and 1.

    Raises:
        SignificanceError: a level outside 0 to 1.
    """
    _check_level(level)
    difference, variances = np.asarray(difference, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    freedoms = np.asarray(freedoms, dtype=np.float64)
    freedoms = freedoms.reshape(*freedoms.shape, *[1] * (variances.ndim - freedoms.ndim))
    total = variances.sum(axis=0)
    freedom = np.divide(
        total**2, (variances**2 / freedoms).sum(axis=0), out=freedoms[0] + np.zeros_like(total), where=total > 0
    )
    error = np.sqrt(total)
    t = np.divide(np.abs(difference), error, out=np.zeros_like(error), where=error > 0)
    return Contrast(difference, *_limits(difference, error, freedom, level), 2 * stats.t.sf(t, freedom), error, freedom)


def holm(p: ArrayLike) -> Array:
    """p adjusted for a family of comparisons (Holm, 1979): reject what is at most the level, and the chance of one or
    more false rejections is at most the level, whatever the dependence.

    The i-th smallest of m is multiplied by m - i + 1, is at least the adjusted one before it, and at most 1.

    Args:
        p: shape (comparisons,), each between 0 and 1.

    Returns:
        Shape (comparisons,), in the order of `p`.

    Raises:
        SignificanceError: a p outside 0 to 1, NaN, or not one dimension.
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise SignificanceError(f"Holm's procedure needs a list of p between 0 and 1, not {p.tolist()}.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def minimum_detectable_difference(
    error: ArrayLike, freedom: ArrayLike, *, level: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> Array:
    """The difference that a two-sided test at `level` finds with probability `power`.

    (t(1 - level / (2 comparisons)) + t(power)) * error with quantiles of Student's t (Bloom, 1995), the level divided
    by the number of comparisons (Bonferroni), which is the first and strictest step of `holm`.

    Args:
        error: standard error of the difference, any shape.
        freedom: its degrees of freedom, shape as `error` or one for all.
        level: of the test, between 0 and 1.
        power: between 0 and 1.
        comparisons: in the family, 1 or more.

    Raises:
        SignificanceError: a level or power outside 0 to 1, or no comparison.
    """
    _check_level(level)
    _check_level(power)
    if comparisons < 1:
        raise SignificanceError(f"a family has 1 comparison or more, not {comparisons}.")
    return (stats.t.ppf(1 - level / (2 * comparisons), freedom) + stats.t.ppf(power, freedom)) * np.asarray(error)


def detection_power(difference: ArrayLike, error: ArrayLike, freedom: ArrayLike, *, level: float = 0.05) -> Array:
    """Probability that a two-sided t-test at `level` finds a true difference, by the noncentral F distribution.

    The square of the test's t has it, with 1 and `freedom` degrees of freedom and noncentrality (difference / error)^2.

    Args:
        difference: the true one, any shape.
        error: its standard error, of a shape that fits.
        freedom: its degrees of freedom, of a shape that fits.
        level: of the test, between 0 and 1.

    Raises:
        SignificanceError: a level outside 0 to 1.
    """
    _check_level(level)
    shift = np.asarray(difference) / np.asarray(error)
    return 1 - stats.ncf.cdf(stats.f.isf(level, 1, freedom), 1, freedom, shift**2)  # its sf is wrong at 0


# Sums of speakers, and the CCC that follows from them


def speaker_sums(gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike) -> Array:
    """The six sums (n, x, y, x^2, y^2, xy) of each speaker about the mean of gold: (speakers, 6, runs, attributes).

    Raises:
        SignificanceError: as for `ccc_interval`.
    """
    gold, predicted, labels = _validate(gold, predicted, speakers)
    membership = sparse.csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))))
    return weigh(membership, utterance_sums(gold, predicted))


def utterance_sums(gold: Array, predicted: Array) -> Array:
    """What each utterance adds to the six sums of `speaker_sums`: (utterances, 6, runs, attributes)."""
    middle = gold.mean(axis=0)
    y = predicted - middle
    x = np.broadcast_to(gold - middle, y.shape)
    terms = np.stack([np.ones_like(y), x, y, x * x, y * y, x * y])  # (6, runs, utterances, attributes)
    return np.moveaxis(terms, 2, 0)


def ccc_of(sums: Array) -> Array:
    """CCC from sums (..., 6, runs, attributes), averaged over runs, with the mean last: (..., attributes + 1)."""
    return ccc_of_runs(sums).mean(axis=-2)


def ccc_of_runs(sums: Array) -> Array:
    """CCC of each run from sums (..., 6, runs, attributes), with the mean last: (..., runs, attributes + 1).

    It is 0 where gold and predicted are both constant.
    """
    n, x, y, xx, yy, xy = np.moveaxis(sums, -3, 0)
    mean_x, mean_y, square = x / n, y / n, (xx + yy) / n
    spread = square - 2 * mean_x * mean_y
    varies = spread > 1e-14 * square
    ccc = np.divide(2 * (xy / n - mean_x * mean_y), spread, out=np.zeros_like(spread), where=varies)
    return np.concatenate([ccc, ccc.mean(axis=-1, keepdims=True)], axis=-1)


def jackknife_error(without: Array) -> Array:
    """Standard error of a statistic from its values without each of the speakers, which are the first axis."""
    return np.sqrt((len(without) - 1) * without.var(axis=0))


def correlation_of(sums: Array) -> Array:
    """Pearson's correlation, in the shapes of `ccc_of`; 0 where gold or predicted values are constant."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -3, 0)
    variances = (xx / n - (x / n) ** 2) * (yy / n - (y / n) ** 2)
    varies = variances > 1e-14 * (xx / n) * (yy / n)
    scale = np.sqrt(variances, out=np.ones_like(variances), where=varies)
    correlation = np.where(varies, (xy / n - x * y / n**2) / scale, 0)
    return np.concatenate([correlation, correlation.mean(axis=-1, keepdims=True)], axis=-1).mean(axis=-2)


def redrawn(units: int, resamples: int, generator: np.random.Generator) -> Iterator[Array]:
    """How often each unit is drawn when as many are drawn with replacement: chunks (some resamples, units)."""
    for rows in _chunks(units, resamples):
        drawn = generator.integers(units, size=(rows, units), dtype=np.int32) + units * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def weigh(weights: Array | sparse.sparray, sums: Array) -> Array:
    """Totals of sums of speakers or utterances by weights (resamples, units): (resamples, 6, runs, attributes)."""
    return (weights @ sums.reshape(len(sums), -1)).reshape(-1, *sums.shape[1:])


# Steps of the above


def _validate(gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike) -> tuple[Array, Array, NDArray[np.intp]]:
    """The arrays in float64, predictions as runs, and speakers as numbers from 0."""
    gold, predicted = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if predicted.ndim == 2:
        predicted = predicted[None]
    if gold.ndim != 2 or predicted.ndim != 3 or predicted.shape[1:] != gold.shape or not predicted.size:
        raise SignificanceError(
            f"gold has shape {gold.shape} and predicted {predicted.shape};"
            " they need (utterances, attributes) and (runs, utterances, attributes)."
        )
    if np.shape(speakers) != gold.shape[:1]:
        raise SignificanceError(f"{len(gold)} utterances have {np.size(speakers)} speakers; give one for each.")
    for name, values in (("gold", gold), ("predicted", predicted)):
        wrong = ~np.isfinite(values)
        if wrong.any():
            raise SignificanceError(f"{wrong.sum()} {name} values are NaN or infinite; leave these utterances out.")
        if (np.ptp(values, axis=-2) == 0).any():
            raise SignificanceError(f"all {name} values of an attribute are the same, so its CCC has no interval.")
    labels, known = pd.factorize(pd.Series(speakers), sort=True)  # draws do not depend on the order of utterances
    if (labels < 0).any():
        raise SignificanceError(f"{(labels < 0).sum()} utterances have no known speaker; leave them out.")
    if len(known) < 2:
        raise SignificanceError("all utterances are of one speaker; an interval over speakers needs two or more.")
    return gold, predicted, labels


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise SignificanceError(f"the level of confidence, of a test or its power is {level}; it lies between 0 and 1.")


def _size(sums: Array) -> tuple[int, int, int]:
    """Runs, utterances and speakers."""
    return sums.shape[2], round(sums[:, 0, 0, 0].sum()), len(sums)


def _interval(
    statistic: Statistic, gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike, level: float
) -> Interval:
    _check_level(level)
    sums = speaker_sums(gold, predicted, speakers)
    total = sums.sum(axis=0)
    value = statistic(total)
    z = _fisher(value)
    reach = stats.t.ppf((1 + level) / 2, len(sums) - 1) * jackknife_error(_fisher(statistic(total - sums)))
    low, high = np.tanh(z - reach), np.tanh(z + reach)
    return Interval(value, np.minimum(low, value), np.maximum(high, value), *_size(sums))


def _fisher(ccc: Array) -> Array:
    return np.arctanh(np.clip(ccc, -1 + 1e-12, 1 - 1e-12))  # finite where the agreement is perfect


def _jackknife_difference(
    sums_a: Array, sums_b: Array, a_of: Statistic = ccc_of, b_of: Statistic = ccc_of
) -> tuple[Array, Array]:
    """The difference and its standard error over speakers, each (attributes + 1,)."""
    total_a, total_b = sums_a.sum(axis=0), sums_b.sum(axis=0)
    error = jackknife_error(a_of(total_a - sums_a) - b_of(total_b - sums_b))
    return a_of(total_a) - b_of(total_b), error


def _seed_variance(sums: Array) -> Array:
    """Variance of the mean over runs that comes from the seeds, (attributes + 1,)."""
    single = ccc_of_runs(sums.sum(axis=0))
    return single.var(axis=0, ddof=1) / len(single)


def _limits(difference: Array, error: Array, freedom: Array, level: float) -> tuple[Array, Array]:
    reach = stats.t.ppf((1 + level) / 2, freedom) * error
    return difference - reach, difference + reach


def _exact(units: int, resamples: int) -> bool:
    """Whether all ways to swap the units are no more than the resamples."""
    return units < 63 and 2**units <= resamples


def _swaps(units: int, resamples: int, generator: np.random.Generator) -> Iterator[Array]:
    """Signs -1 (swapped) and 1 of each unit, all of them or random ones, in chunks (some ways, units)."""
    start = 0
    for rows in _chunks(units, 2**units if _exact(units, resamples) else resamples):
        if _exact(units, resamples):
            bits = (np.arange(start, start + rows)[:, None] >> np.arange(units)) & 1
        else:
            bits = generator.integers(2, size=(rows, units), dtype=np.int8)
        start += rows
        yield 2.0 * bits - 1


def _chunks(units: int, resamples: int) -> Iterator[int]:
    """Numbers of resamples that keep the weights within `CHUNK`."""
    if resamples < 1:
        raise SignificanceError(f"there are {resamples} resamples; use 1 or more, e.g. 10000.")
    most = max(1, CHUNK // units)
    yield from (min(most, resamples - start) for start in range(0, resamples, most))
