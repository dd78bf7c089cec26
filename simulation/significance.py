"""A simulation of whether intervals, tests and verdicts keep their promise, and of what a difference's error is.

Conventions:

- Everything is drawn by `draw`: it shows how methods behave, and nothing about speech.
- Gold values and predictions have mean 0 and variance 1, so that a system's true CCC is its correlation with gold: the
  paper's, for `REFERENCE`. All systems have the same one; each rejection of that is false.
- An error of prediction is the sum of a part that the systems share, a part of the system, and a part of its trained
  run; each is the sum of an effect of the speaker and a residual of the utterance.

Assumptions: the sizes of the speakers are lognormal, with the paper's skew; their effects follow Student's t with
`TAIL` degrees of freedom, which has heavier tails than a normal distribution; attributes are independent; and the
constants below that name no source. ``python -m study.chapters.significance`` writes ``results/significance``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from sercore import ATTRIBUTES, significance, verdicts
from sercore.params import project_root, read_yaml
from sercore.significance import Interval
from sercore.sums import Array, ccc_of, ccc_of_runs, chunks, require, speaker_sums, weigh
from sercore.verdicts import ALPHA, WITHIN
from simulation.population import SKEW

REFERENCE = "Table 2, MMWavLM"
SETS = {"development": (714, 31_961), "Test3": (256, 3_200)}  # speakers, utterances of the challenge (arXiv 2506.10930)
SPEAKERS = (20, 50, 100, 256)
UTTERANCES = 20  # of a speaker on average, between those of Test3 and of development
GOLD_SHARE = ERROR_SHARE = 0.2  # of the variance of gold values and of errors: effects of the speaker
TAIL = 5
CORRELATION = 0.8  # of two systems' errors
RUNS = (2, 3, 5)
MARGIN = 0.02
EFFECTS = (0.0, 0.0, MARGIN, -MARGIN)  # true differences in a family in which every verdict but "inconclusive" is false
RUN_SHARE = 0.5  # of a system's own error: the trained run's, where there are several
RUN_DEVIATION = 0.005  # standard deviation of the true CCC of the attributes over trained runs, where there are several
REPETITIONS, JUDGED, RESAMPLES = 400, 200, 500
POWER_CORRELATIONS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
SEED = 20250610


@dataclass(frozen=True, eq=False)
class Sample:
    """Gold (utterances, 3), predictions (systems, runs, utterances, 3), speakers (utterances,)."""

    gold: Array
    predicted: Array
    speakers: np.ndarray

    def sums(self, runs: int, units: str = "speakers") -> list[Array]:
        """Sums of each system over its first `runs`, by speaker, or with each of the ``utterances`` as a unit."""
        labels = self.speakers if units == "speakers" else np.arange(len(self.gold))
        return [speaker_sums(self.gold, predicted[:runs], labels) for predicted in self.predicted]


@cache
def true_ccc() -> Array:
    """The paper's CCC of arousal, valence and dominance for `REFERENCE`, shape (3,)."""
    row = read_yaml(project_root() / "book" / "paper_results.yaml")["rows"][REFERENCE]
    return np.array([row[name] for name in ATTRIBUTES], np.float64)


def draw(
    speakers: int, utterances: int, runs: int, generator: np.random.Generator, effects_on: Sequence[float] = (0, 0)
) -> Sample:
    """Systems of `true_ccc` plus their effect on new speakers; with one run, nothing is the run's own."""
    labels = speakers_of_utterances(speakers, utterances, generator)
    gold = effects(labels, GOLD_SHARE, (), generator)
    common = effects(labels, ERROR_SHARE, (), generator)
    own, of_run = effects(labels, ERROR_SHARE, (len(effects_on), 1), generator), np.zeros(())
    if runs > 1:
        own = mix(own, effects(labels, ERROR_SHARE, (len(effects_on), runs), generator), RUN_SHARE)
        of_run = generator.normal(0, RUN_DEVIATION, (len(effects_on), runs, 1, 1))
    ccc = true_ccc() + of_run + np.reshape(effects_on, (-1, 1, 1, 1))
    return Sample(gold, predict(gold, mix(own, common, CORRELATION), ccc), labels)


def speakers_of_utterances(speakers: int, utterances: int, generator: np.random.Generator) -> np.ndarray:
    """A speaker's number for each utterance; sizes are at least 1, and lognormal with the paper's skew: the largest
    share p of values of deviation s holds Phi(Phi^-1(p) + s) of their total (Lorenz curve)."""
    deviation = stats.norm.ppf(SKEW["utterances"]) - stats.norm.ppf(SKEW["speakers"])
    size = generator.lognormal(0, deviation, speakers)
    return np.repeat(np.arange(speakers), np.maximum(1, np.round(utterances * size / size.sum())).astype(int))


def effects(labels: np.ndarray, share: float, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Values ``(*shape, utterances, 3)`` of mean 0 and variance 1, of which `share` is an effect of the speaker."""
    of_speakers = generator.standard_t(TAIL, (*shape, labels[-1] + 1, 3)) * np.sqrt((TAIL - 2) / TAIL)
    return mix(generator.standard_normal((*shape, len(labels), 3)), of_speakers[..., labels, :], share)


def mix(one: Array, other: Array, share: float) -> Array:
    """The sum of two independent parts of variance 1, again of variance 1, of which `share` is the other's."""
    return np.sqrt(1 - share) * one + np.sqrt(share) * other


def predict(gold: Array, error: Array, ccc: Array) -> Array:
    """Predictions of mean 0 and variance 1 whose true CCC is `ccc`."""
    return ccc * gold + np.sqrt(1 - ccc**2) * error


def bootstrap_interval(sums: Array, *, generator: np.random.Generator, resamples: int = 10_000) -> Interval:
    """CCC, averaged over runs, with a percentile interval of the bootstrap over speakers (Efron & Tibshirani, 1993).

    G speakers are drawn with replacement `resamples` times; the limits are the .025 and .975 quantiles of CCC.
    With few speakers they are too narrow, so `sercore.significance.interval` is this package's choice. A resample whose
    gold and predicted values are constant has CCC 0.
    """
    require(sums)
    drawn = np.concatenate([ccc_of(weigh(weights, sums)) for weights in _redrawn(len(sums), resamples, generator)])
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return significance.unless_constant(sums, ccc_of(sums.sum(axis=0)), low, high)


def _redrawn(units: int, resamples: int, generator: np.random.Generator) -> Iterator[Array]:
    for rows in map(len, chunks(units, resamples)):
        drawn = generator.integers(units, size=(rows, units), dtype=np.int32) + units * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def _bootstrap_covers(sample: Sample, generator: np.random.Generator, units: str) -> bool:
    return _covers(bootstrap_interval(sample.sums(1, units)[0], generator=generator, resamples=RESAMPLES))


def _jackknife_covers(sample: Sample, generator: np.random.Generator) -> bool:
    return _covers(significance.interval(sample.sums(1)[0]))


def _covers(interval: Interval) -> bool:
    return bool(interval.low[-1] <= true_ccc().mean() <= interval.high[-1])


def _bootstrap_rejects(sample: Sample, generator: np.random.Generator, units: str) -> bool:
    """The percentile interval of the difference leaves out 0; runs are drawn again as well (crossed)."""
    a, b = sample.sums(sample.predicted.shape[1], units)
    drawn = []
    for weights in _redrawn(len(a), RESAMPLES, generator):
        ccc = np.stack([ccc_of_runs(weigh(weights, sums))[..., -1] for sums in (a, b)], axis=1)  # (resamples, 2, runs)
        runs = np.concatenate(list(_redrawn(ccc.shape[2], 2 * len(ccc), generator))).reshape(ccc.shape)
        drawn.append((ccc * runs).mean(axis=2))
    low, high = np.quantile(np.diff(np.concatenate(drawn)), [ALPHA / 2, 1 - ALPHA / 2])
    return bool(not low <= 0 <= high)


def _swaps_reject(sample: Sample, generator: np.random.Generator) -> bool:
    found = significance.swapped_difference(*sample.sums(1), generator=generator, resamples=RESAMPLES - 1)
    return bool(found.p[-1] <= ALPHA)


def _welch_rejects(sample: Sample, generator: np.random.Generator) -> bool:
    a, b = (ccc_of_runs(sums.sum(axis=0))[:, -1] for sums in sample.sums(max(RUNS)))
    return bool(stats.ttest_ind(a, b, equal_var=False).pvalue < ALPHA)


def _retrained_rejects(sample: Sample, generator: np.random.Generator, runs: int) -> bool:
    return bool(significance.retrained_difference(*sample.sums(runs)).p[-1] < ALPHA)


METHODS: dict[tuple[str, str], tuple[int, Callable[[Sample, np.random.Generator], bool]]] = {
    ("coverage", "bootstrap over utterances"): (1, partial(_bootstrap_covers, units="utterances")),
    ("coverage", "bootstrap over speakers"): (1, partial(_bootstrap_covers, units="speakers")),
    ("coverage", "jackknife-t over speakers"): (1, _jackknife_covers),
    ("two systems", "bootstrap over utterances"): (1, partial(_bootstrap_rejects, units="utterances")),
    ("two systems", "bootstrap over speakers"): (1, partial(_bootstrap_rejects, units="speakers")),
    ("two systems", "swaps within speakers"): (1, _swaps_reject),
    ("two methods", "Welch's test on 5 seeds"): (max(RUNS), _welch_rejects),
    ("two methods", "bootstrap over 5 seeds and speakers"): (max(RUNS), partial(_bootstrap_rejects, units="speakers")),
    **{
        ("two methods", f"jackknife plus {runs} seeds"): (max(RUNS), partial(_retrained_rejects, runs=runs))
        for runs in RUNS
    },
}
"""By family and method: runs of a system, and whether the method's interval of the mean CCC covers the truth
(``coverage``), or its test rejects that two systems, or two ways of training (``methods``), have the same mean CCC."""


def repeat(speakers: int, repetition: int) -> dict[tuple[str, str], bool]:
    """What each of `METHODS` says of a new sample of its runs."""
    generator = np.random.default_rng([SEED, speakers, repetition])
    samples = {runs: draw(speakers, UTTERANCES * speakers, runs, generator) for runs in (1, max(RUNS))}
    return {name: method(samples[runs], generator) for name, (runs, method) in METHODS.items()}


def _rates(outcomes: Sequence[dict[tuple[str, str], bool]], speakers: int) -> pd.DataFrame:
    share = pd.DataFrame(outcomes).mean()
    table = pd.DataFrame(list(share.index), columns=["family", "method"])
    return table.assign(rate=share.to_numpy(), speakers=speakers, repetitions=len(outcomes))


def judge(size: tuple[int, int], effects_on: Sequence[float], margin: float, repetition: int) -> pd.DataFrame:
    """Verdicts on systems of true differences `effects_on` from a reference, on a new sample of so many speakers and
    runs (`size`)."""
    speakers, runs = size
    generator = np.random.default_rng([SEED, *size, round(1e6 * max(effects_on)), repetition])
    sample = draw(speakers, UTTERANCES * speakers, runs, generator, (0, *effects_on))
    sums = dict(zip(("reference", *map(str, range(len(effects_on)))), sample.sums(runs), strict=True))
    table = verdicts.differences(sums, [(name, "reference") for name in list(sums)[1:]])
    return verdicts.judged(table, margin).query("endpoint == 'mean'")


def _false(table: pd.DataFrame) -> bool:
    """Whether a family of `EFFECTS` has a false verdict."""
    wrong = "better|worse", "better|worse", f"worse|equivalent|{WITHIN}", f"better|equivalent|{WITHIN}"
    return any(re.search(*pair) for pair in zip(wrong, table["verdict"], strict=True))


def _judged(pool: ProcessPoolExecutor, *size: int) -> dict[str, float]:
    families = _repeated(pool, JUDGED, judge, size, EFFECTS, MARGIN)
    planned = pd.concat(families)[["detectable", "detectable_equivalence"]].median()
    different = _repeated(pool, JUDGED, judge, size, [planned["detectable"]] * len(EFFECTS), MARGIN)
    equal = _repeated(pool, JUDGED, judge, size, [0.0] * len(EFFECTS), planned["detectable_equivalence"])
    found, alike = (pd.concat(each)["verdict"] for each in (different, equal))
    return {
        "speakers": size[0],
        "runs": size[1],
        "false": float(np.mean([_false(each) for each in families])),
        "detectable": planned["detectable"],
        "power": found.str.startswith("better").mean(),
        "detectable_equivalence": planned["detectable_equivalence"],
        "equivalence_power": alike.isin(["equivalent", f"better{WITHIN}", f"worse{WITHIN}"]).mean(),
    }


def _differences(name: str, repetition: int) -> Array:
    """Difference of two equal systems' mean CCC on a new set of the size of `SETS[name]`, by `POWER_CORRELATIONS`."""
    generator = np.random.default_rng([SEED, *SETS[name], round(100 * ERROR_SHARE), repetition])
    labels = speakers_of_utterances(*SETS[name], generator)
    gold, ccc = effects(labels, GOLD_SHARE, (), generator), true_ccc()
    own, common = effects(labels, ERROR_SHARE, (2,), generator), effects(labels, ERROR_SHARE, (), generator)
    predicted = [predict(gold, mix(own, common, correlation), ccc) for correlation in POWER_CORRELATIONS]
    means = [ccc_of_runs(speaker_sums(gold, each, labels).sum(axis=0))[:, -1] for each in predicted]
    return np.array([a - b for a, b in means])


def _power(found: Sequence[Array], name: str) -> pd.DataFrame:
    table = pd.DataFrame({"correlation": POWER_CORRELATIONS, "standard_error": np.std(found, axis=0, ddof=1)})
    return table.assign(set=name, speakers=SETS[name][0], utterances=SETS[name][1], repetitions=len(found))


def _repeated(pool: ProcessPoolExecutor, times: int, function: Callable, *given: Any) -> list:
    results = pool.map(partial(function, *given), range(times), chunksize=10)
    return list(tqdm(results, total=times, desc=f"{function.__name__} {given[0]}", unit="sample"))


def simulate() -> dict[str, pd.DataFrame]:
    """Repeat everything on all cores: tables ``rates``, ``power`` and ``verdicts``."""
    with ProcessPoolExecutor() as pool:
        outcomes = [_rates(_repeated(pool, REPETITIONS, repeat, size), size) for size in SPEAKERS]
        powers = [_power(_repeated(pool, JUDGED, _differences, name), name) for name in SETS]
        judged = [_judged(pool, speakers, runs) for speakers in SPEAKERS for runs in (1, *RUNS)]
    tables = {"rates": pd.concat(outcomes), "power": pd.concat(powers)}
    return tables | {"verdicts": pd.DataFrame(judged).assign(repetitions=JUDGED)}
