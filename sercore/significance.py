"""How sure a concordance correlation is, when utterances of one speaker are not independent.

Conventions:

- Arrays are ``gold`` (utterances, attributes) and ``predicted`` (runs, utterances, attributes), in one and the same
  scale; the runs are trainings of one system that differ by their seed.
- Results hold one value an attribute and, last, the mean of the attributes: the endpoint declared in advance.
- Speakers are the units: whatever is left out or drawn again is a speaker with all utterances, in all runs.

The concordance correlation coefficient (CCC) is a function of six sums (n, x, y, x^2, y^2, xy). They are taken once for
each speaker, in float64 and about the mean of the gold values, so leaving a speaker out is a subtraction.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats


class SignificanceError(ValueError):
    """Values from which no interval follows; the message says which and why."""


@dataclass(frozen=True, eq=False)
class Interval:
    """CCCs and their confidence limits, float64 arrays of shape (attributes + 1,), the mean of the attributes last."""

    ccc: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    runs: int
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
        predicted: shape (runs, utterances, attributes).
        speakers: shape (utterances,), any labels.
        level: of confidence, between 0 and 1.

    Raises:
        SignificanceError: shapes that do not fit, a value that is not finite, an unknown speaker, fewer than two
            speakers, or an attribute whose gold or predicted values are all the same.
    """
    gold, predicted, labels = _validate(gold, predicted, speakers)
    if not 0 < level < 1:
        raise SignificanceError(f"the level of confidence is {level}; it lies between 0 and 1, e.g. 0.95.")
    sums = _speaker_sums(gold, predicted, labels)
    total = sums.sum(axis=0)
    ccc = _endpoints(_ccc(total))
    z = _fisher(ccc)
    without = _fisher(_endpoints(_ccc(total - sums)))  # (speakers, attributes + 1)
    count = len(sums)
    error = np.sqrt((count - 1) * without.var(axis=0))
    reach = stats.t.ppf((1 + level) / 2, count - 1) * error
    low, high = np.tanh(z - reach), np.tanh(z + reach)
    return Interval(ccc, np.minimum(low, ccc), np.maximum(high, ccc), len(predicted), len(gold), count)


def _validate(
    gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """The arrays in float64, and speakers as numbers from 0."""
    gold, predicted = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
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
    labels, known = pd.factorize(pd.Series(speakers))
    if (labels < 0).any():
        raise SignificanceError(f"{(labels < 0).sum()} utterances have no known speaker; leave them out.")
    if len(known) < 2:
        raise SignificanceError("all utterances are of one speaker; an interval over speakers needs two or more.")
    return gold, predicted, labels


def _speaker_sums(
    gold: NDArray[np.float64], predicted: NDArray[np.float64], labels: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The six sums of each speaker, shape (speakers, 6, runs, attributes)."""
    middle = gold.mean(axis=0)
    y = predicted - middle
    x = np.broadcast_to(gold - middle, y.shape)
    terms = np.stack([np.ones_like(y), x, y, x * x, y * y, x * y])  # (6, runs, utterances, attributes)
    by_utterance = np.moveaxis(terms, 2, 0)
    membership = sparse.csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))))
    return (membership @ by_utterance.reshape(len(labels), -1)).reshape(-1, *by_utterance.shape[1:])


def _ccc(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """CCC from sums of shape (..., 6, runs, attributes); shape (..., runs, attributes), 0 where both are constant."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -3, 0)
    mean_x, mean_y = x / n, y / n
    spread = xx / n - mean_x**2 + yy / n - mean_y**2 + (mean_x - mean_y) ** 2
    covariance = xy / n - mean_x * mean_y
    return np.divide(2 * covariance, spread, out=np.zeros_like(spread), where=spread > 0)


def _endpoints(ccc: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over runs of (..., runs, attributes), with the mean of the attributes appended."""
    over_runs = ccc.mean(axis=-2)
    return np.concatenate([over_runs, over_runs.mean(axis=-1, keepdims=True)], axis=-1)


def _fisher(ccc: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arctanh(np.clip(ccc, -1 + 1e-12, 1 - 1e-12))  # finite where the agreement is perfect
