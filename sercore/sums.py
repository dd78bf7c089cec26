"""Sums by speaker of which the concordance correlation coefficient (CCC) is a function: what resampling needs.

CCC and Pearson's correlation are functions of six sums over utterances: n, x, y, x^2, y^2, xy, of gold values x and
predictions y. They are taken once for each speaker, in float64 and about the mean of the gold values. Leaving a speaker
out is then a subtraction, and any number of resamples is one matrix product, weights (resamples, speakers) @ sums.

As a table they have a row a ``system``, ``speaker``, ``seed`` and ``attribute``, with columns ``n``,
``x``, ``y``, ``xx``, ``yy``, ``xy``: of a licensed corpus it tells of no single utterance, and others can test with it.

Shapes: gold (utterances, attributes); predicted (runs, utterances, attributes), where runs are trainings of one system
that differ by their seed; sums (..., 6, runs, attributes). Statistics have one value an attribute, and last their mean.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from sercore import ATTRIBUTES, InputError

SUMS = ("n", "x", "y", "xx", "yy", "xy")
KEYS = ("speaker", "seed", "attribute")
CHUNK = 2**22  # weights that are in memory at a time (32 MiB)

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]


class SignificanceError(InputError):
    """Values from which no interval follows; the message says which and why."""


def speaker_sums(gold: ArrayLike, predicted: ArrayLike, speakers: ArrayLike, middle: float | None = None) -> Array:
    """The six sums of each speaker, about `middle`, or the gold means: (speakers, 6, runs, attributes).

    `predicted` may also be (utterances, attributes), of one run; `speakers` (utterances,) are any labels. What comes in
    tables is matched with a table of gold values by its index and columns, whatever their order.
    `SignificanceError` for shapes or labels that do not fit, a masked or not finite value, or an unknown speaker.
    """
    given = predicted if isinstance(predicted, list | tuple) else [predicted]
    runs = [_numbers(_ordered_as(gold, one, "predicted"), "predicted") for one in given]
    labelled, truth = _ordered_as(gold, speakers, "speakers"), _numbers(gold, "gold")
    values = np.stack(runs) if given is predicted else runs[0]
    if values.ndim == 2:
        values = values[None]
    if truth.ndim != 2 or values.ndim != 3 or values.shape[1:] != truth.shape or not values.size:
        needed = "(utterances, attributes) and (runs, utterances, attributes)"
        raise SignificanceError(f"gold has shape {truth.shape} and predicted {values.shape}; they need {needed}.")
    if np.shape(labelled) != truth.shape[:1]:
        raise SignificanceError(f"{len(truth)} utterances have {np.size(labelled)} speakers; give one for each.")
    for name, each in (("gold", truth), ("predicted", values)):
        if wrong := (~np.isfinite(each)).sum():
            raise SignificanceError(f"{wrong} {name} values are NaN or infinite; leave these utterances out.")
    labels, _ = pd.factorize(pd.Series(labelled), sort=True)  # draws do not depend on the order of utterances
    if (labels < 0).any():
        raise SignificanceError(f"{(labels < 0).sum()} utterances have no known speaker; leave them out.")
    membership = sparse.csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))))
    return weigh(membership, utterance_sums(truth, values, middle))


def as_table(sums: Array, speakers: Iterable[str], seeds: Iterable[int]) -> pd.DataFrame:
    """`speaker_sums` of a system as a table; `speakers` are those of its utterances, `seeds` those of its runs."""
    index = pd.MultiIndex.from_product([sorted(set(speakers)), seeds, ATTRIBUTES], names=KEYS)
    values = np.moveaxis(sums, 1, -1).reshape(-1, len(SUMS))
    return pd.DataFrame(values, index, list(SUMS)).astype({"n": int}).reset_index()


def from_table(table: pd.DataFrame, systems: Sequence[str]) -> dict[str, Array]:
    """Sums of each of `systems`, (speakers, 6, runs, attributes), of the seeds that all of them have;
    `SignificanceError` if `table` lacks one, or they have no seed in common."""
    if missing := [name for name in systems if name not in set(table["system"])]:
        raise SignificanceError(f"results: no run of {', '.join(missing)}. Run `make study` to train them.")
    rows = {name: table[table["system"] == name].set_index(list(KEYS)) for name in systems}
    if twice := [name for name, each in rows.items() if each.index.has_duplicates]:
        raise SignificanceError(f"sums of {', '.join(twice)} have a speaker, seed and attribute twice: give each once.")
    seeds = sorted(set.intersection(*(set(each.index.unique("seed")) for each in rows.values())))
    if not seeds:
        raise SignificanceError(f"{', '.join(systems)} have no seed in common: train them with the same ones.")
    found = {}
    for name, each in rows.items():
        index = pd.MultiIndex.from_product([each.index.unique("speaker").sort_values(), seeds, ATTRIBUTES])
        values = each.loc[index, list(SUMS)].to_numpy(np.float64).reshape(-1, len(seeds), len(ATTRIBUTES), len(SUMS))
        found[name] = np.moveaxis(values, -1, 1)
    return found


def require(*systems: Array) -> None:
    """`SignificanceError` for sums of fewer than two speakers, of an attribute whose gold values are all the same, or
    of systems on different utterances; each (speakers, 6, runs, attributes)."""
    gold = [each[:, [0, 1, 3], 0] for each in systems]  # n, x, x^2
    n, x, xx = gold[0].sum(axis=0)
    if (xx / n - (x / n) ** 2 <= 1e-12 * xx / n).any():
        raise SignificanceError("all gold values of an attribute are the same, so its CCC has no interval.")
    if len(gold[0]) < 2:
        raise SignificanceError("all utterances are of one speaker; an interval over speakers needs two or more.")
    if any(each.shape != gold[0].shape or not np.allclose(each, gold[0]) for each in gold):
        raise SignificanceError("the systems' sums are of different utterances; take the same, about one middle.")


def utterance_sums(gold: Array, predicted: Array, middle: float | None = None) -> Array:
    """What each utterance adds to the six sums about `middle`, or the gold means: (utterances, 6, runs, attributes)."""
    middle = gold.mean(axis=0) if middle is None else middle
    y = predicted - middle
    x = np.broadcast_to(gold - middle, y.shape)
    terms = np.stack([np.ones_like(y), x, y, x * x, y * y, x * y])  # (6, runs, utterances, attributes)
    return np.moveaxis(terms, 2, 0)


def units(utterances: pd.Index, speakers: pd.Series) -> pd.Series:
    """Speakers as the units of statistics: unknown ones count as one, or one a show of MSP-Podcast that names tell."""
    show = utterances.str.extract(r"^MSP-PODCAST_(\d+)_", expand=False).fillna("none")
    return speakers.fillna(pd.Series("unknown, of show " + show, speakers.index))


def ccc_of(sums: Array) -> Array:
    """CCC averaged over runs: (..., attributes + 1)."""
    return ccc_of_runs(sums).mean(axis=-2)


def ccc_of_runs(sums: Array) -> Array:
    """CCC of each run, (..., runs, attributes + 1); 0 where the predicted values, or both, are constant."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -3, 0)
    mean_x, mean_y, square = x / n, y / n, (xx + yy) / n
    spread = square - 2 * mean_x * mean_y
    varies = (spread > 1e-14 * square) & ~constant(sums)
    return with_mean(np.divide(2 * (xy / n - mean_x * mean_y), spread, out=np.zeros_like(spread), where=varies))


def constant(sums: Array) -> NDArray[np.bool_]:
    """Where the predictions of a run are all the same, but for rounding: (..., runs, attributes)."""
    n, _, y, _, yy, _ = np.moveaxis(sums, -3, 0)
    return yy / n - (y / n) ** 2 <= 1e-12 * (yy / n)


def correlation_of(sums: Array) -> Array:
    """Pearson's correlation averaged over runs: (..., attributes + 1); 0 where either values are constant."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -3, 0)
    variances = (xx / n - (x / n) ** 2) * (yy / n - (y / n) ** 2)
    varies = variances > 1e-14 * (xx / n) * (yy / n)
    scale = np.sqrt(variances, out=np.ones_like(variances), where=varies)
    return with_mean(np.where(varies, (xy / n - x * y / n**2) / scale, 0)).mean(axis=-2)


def with_mean(values: Array) -> Array:
    """Values of attributes (..., attributes), and last their mean: (..., attributes + 1)."""
    return np.concatenate([values, values.mean(axis=-1, keepdims=True)], axis=-1)


def jackknife_error(without: Array) -> Array:
    """Standard error of a statistic from its values without each of the speakers, which are the first axis."""
    return np.sqrt((len(without) - 1) * without.var(axis=0))


def weigh(weights: Array | sparse.sparray, sums: Array) -> Array:
    """Totals of sums of speakers or utterances by weights (resamples, units): (resamples, 6, runs, attributes)."""
    return (weights @ sums.reshape(len(sums), -1)).reshape(-1, *sums.shape[1:])


def chunks(units: int, resamples: int) -> Iterator[range]:
    """Parts of the resamples that keep the weights within `CHUNK`."""
    if resamples < 1:
        raise SignificanceError(f"there are {resamples} resamples; use 1 or more, e.g. 10000.")
    most = max(1, CHUNK // units)
    yield from (range(resamples)[start : start + most] for start in range(0, resamples, most))


def _ordered_as(gold: Any, values: Any, name: str) -> Any:
    """Rows and columns of a table, or of a series of speakers, in the order of those of gold."""
    if not isinstance(gold, pd.DataFrame) or not isinstance(values, pd.DataFrame | pd.Series):
        return values
    for axis in ("index", "columns")[: values.ndim]:
        ours, theirs = getattr(gold, axis), getattr(values, axis)
        if ours.has_duplicates or theirs.has_duplicates:
            raise SignificanceError(f"the {axis} of gold or {name} has a label twice; keep one of each.")
        if len(other := ours.symmetric_difference(theirs, sort=False)):
            problem = f"the {axis} of gold and {name} differ: {', '.join(map(str, other[:5]))}"
            raise SignificanceError(f"{problem}; give both the same labels, or arrays in the same order.")
        values = values.reindex(ours, axis=axis)
    return values


def _numbers(values: Any, name: str) -> Array:
    if np.ma.is_masked(values):
        raise SignificanceError(f"{name} values are masked; leave these utterances out.")
    if isinstance(values, pd.DataFrame):
        values = values.astype(object).where(values.notna(), np.nan)
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SignificanceError(f"{name} values are no table of numbers ({error}); correct them.") from None
