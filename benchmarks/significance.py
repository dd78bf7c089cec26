"""How long 10,000 resamples of speakers take: this package's sums against three other ways to the same interval.

Each way finds the percentile interval of the mean CCC of two systems and three attributes. The others are timed on
fewer resamples, and their times are extrapolated, as they grow with the number of resamples. `confidence_intervals`
draws the utterances of a drawn speaker as well; all speakers say equally much, which scipy needs to be vectorised.

``pip install confidence_intervals==0.0.3``, then ``python benchmarks/significance.py`` writes ``significance.json``
beside this file. One thread a process: set OMP_NUM_THREADS=1.
"""

import json
import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import process_time

import audmetric
import numpy as np
from confidence_intervals import evaluate_with_conf_int
from scipy import stats
from tqdm import tqdm

from sercore.significance import bootstrap_interval

SPEAKERS, EACH, SYSTEMS, ATTRIBUTES = 400, 75, 2, 3
RESAMPLES = 10_000
ROUNDS = 5
PACKAGES = ("numpy", "scipy", "audmetric", "confidence_intervals", "scikit-learn")

generator = np.random.default_rng(0)
speakers = np.repeat(np.arange(SPEAKERS), EACH)
gold = generator.normal(4, 1, (len(speakers), ATTRIBUTES))
predicted = gold + generator.normal(0, 1, (SYSTEMS, *gold.shape))
flat = predicted.transpose(1, 0, 2).reshape(len(gold), -1)  # (utterances, systems * attributes)
truth = np.tile(gold, SYSTEMS)
by_speaker = [array.reshape(SPEAKERS, EACH, -1) for array in (truth, flat)]


def mean_ccc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean CCC of (..., utterances, columns)."""
    mean_x, mean_y = x.mean(axis=-2), y.mean(axis=-2)
    covariance = (x * y).mean(axis=-2) - mean_x * mean_y
    return (2 * covariance / (x.var(axis=-2) + y.var(axis=-2) + (mean_x - mean_y) ** 2)).mean(axis=-1)


def sums(resamples: int) -> None:
    """This package."""
    bootstrap_interval(gold, predicted, speakers, generator=np.random.default_rng(0), resamples=resamples)


def scipy_bootstrap(resamples: int) -> None:
    """scipy over the numbers of the speakers, in batches of {batch}."""

    def statistic(drawn: np.ndarray, axis: int) -> np.ndarray:
        x, y = (array[drawn].reshape(*drawn.shape[:-1], len(gold), -1) for array in by_speaker)
        return mean_ccc(x, y)

    numbers = (np.arange(SPEAKERS),)
    stats.bootstrap(numbers, statistic, n_resamples=resamples, method="percentile", vectorized=True, batch=10, rng=0)


def audmetric_loop(resamples: int) -> None:
    """A plain loop over `audmetric.concordance_cc`."""
    draws = np.random.default_rng(0)
    rows = np.arange(len(gold)).reshape(SPEAKERS, EACH)
    values = []
    for _ in range(resamples):
        chosen = rows[draws.integers(SPEAKERS, size=SPEAKERS)].ravel()
        columns = range(flat.shape[1])
        values.append(np.mean([audmetric.concordance_cc(truth[chosen, i], flat[chosen, i]) for i in columns]))
    np.quantile(values, [0.025, 0.975])


def package(resamples: int) -> None:
    """`confidence_intervals` with speakers as conditions."""
    evaluate_with_conf_int(flat, mean_ccc, labels=truth, conditions=speakers, num_bootstraps=resamples)


WAYS: dict[str, tuple[Callable[[int], None], int]] = {
    "sercore.significance": (sums, RESAMPLES),
    "scipy.stats.bootstrap": (scipy_bootstrap, 50),
    "loop over audmetric": (audmetric_loop, 50),
    "confidence_intervals": (package, 20),
}


def machine() -> dict[str, str | int]:
    """Processor, cores and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found = {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count() or 1}
    return found | {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def main() -> None:
    """Time all ways in turn, so that what else the machine does falls on all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in tqdm(range(ROUNDS), desc="rounds"):
        for name, (way, resamples) in WAYS.items():
            start = process_time()
            way(resamples)
            seconds[name].append((process_time() - start) * RESAMPLES / resamples)
    ours = np.median(seconds["sercore.significance"])
    results = [
        {
            "way": name,
            "resamples timed": WAYS[name][1],
            "seconds": round(float(np.median(times)), 3),
            "fastest": round(min(times), 3),
            "slowest": round(max(times), 3),
            "ratio": round(float(np.median(times) / ours), 1),
        }
        for name, times in seconds.items()
    ]
    sizes = {"resamples": RESAMPLES, "utterances": len(gold), "speakers": SPEAKERS, "systems": SYSTEMS}
    content = {"machine": machine(), "sizes": sizes | {"attributes": ATTRIBUTES, "rounds": ROUNDS}, "results": results}
    target = Path(__file__).with_suffix(".json")
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.rename(target)


if __name__ == "__main__":
    main()
