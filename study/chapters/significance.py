"""Whether intervals and tests keep their promise, by simulation, and which difference a test can detect.

Conventions of the simulation:

- Everything is drawn by `draw`: it shows how methods behave, and nothing about speech.
- Gold values and predictions have mean 0 and variance 1, so that a system's true CCC is its correlation with gold: the
  paper's, for `REFERENCE`. All systems have the same one; each rejection of that is false.
- An error of prediction is the sum of a part that the systems share, a part of the system, and a part of its trained
  run; each is the sum of an effect of the speaker and a residual of the utterance.

Assumptions: the sizes of the speakers are lognormal, with the paper's skew; their effects follow Student's t with
`TAIL` degrees of freedom, which has heavier tails than a normal distribution; attributes are independent; and the
constants below that name no source. ``python -m study.chapters.significance`` writes ``results/significance``.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from sercore import ATTRIBUTES, significance
from sercore.params import project_root
from sercore.sums import Array, ccc_of_runs, redrawn, speaker_sums, weigh
from simulation.population import SKEW
from study import paper
from study.comparisons import ALPHA
from study.results import write_tables

RESULTS = project_root() / "results" / "significance"
REFERENCE = "Table 2, MMWavLM"
SETS = {"development": (714, 31_961), "Test3": (256, 3_200)}  # speakers, utterances of the challenge (arXiv 2506.10930)
SPEAKERS = (30, 100, 400)
UTTERANCES = 20  # of a speaker on average, between those of Test3 and of development
GOLD_SHARE = ERROR_SHARE = 0.2  # of the variance of gold values and of errors: effects of the speaker
TAIL = 5
CORRELATION = 0.8  # of two systems' errors
RUNS = 5
RUN_SHARE = 0.5  # of a system's own error: the trained run's, where there are several
RUN_DEVIATION = 0.005  # standard deviation of the true CCC of the attributes over trained runs, where there are several
REPETITIONS, POWER_REPETITIONS, RESAMPLES = 1000, 200, 500
POWER_CORRELATIONS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
SEED = 20250610

# The paper's differences that the chapter weighs, as systems of params/variants.yaml.
STEPS = {
    "text": ("fusion", "speech_only"),
    "gender": ("fusion_gender", "fusion"),
    "without O and X": ("fusion_without_ambiguous", "fusion"),
}
# The methods of `sercore.significance` that this study uses.
USED = ("jackknife-t over speakers", "swaps within speakers", "jackknife over speakers plus seeds")


@dataclass(frozen=True, eq=False)
class Sample:
    """Gold (utterances, 3), predictions of two systems (2, runs, utterances, 3), speakers (utterances,)."""

    gold: Array
    predicted: Array
    speakers: np.ndarray

    @property
    def utterances(self) -> np.ndarray:
        """Each utterance as a unit of its own."""
        return np.arange(len(self.gold))


@cache
def true_ccc() -> Array:
    """The paper's CCC of arousal, valence and dominance for `REFERENCE`, shape (3,)."""
    return paper.results().loc[REFERENCE, list(ATTRIBUTES)].to_numpy(np.float64)


def draw(speakers: int, utterances: int, runs: int, generator: np.random.Generator) -> Sample:
    """Two systems of the same `true_ccc` on new speakers; with one run, nothing is the run's own."""
    labels = speakers_of_utterances(speakers, utterances, generator)
    gold = effects(labels, GOLD_SHARE, (), generator)
    common = effects(labels, ERROR_SHARE, (), generator)
    own, of_run = effects(labels, ERROR_SHARE, (2, 1), generator), np.zeros(())
    if runs > 1:
        own = mix(own, effects(labels, ERROR_SHARE, (2, runs), generator), RUN_SHARE)
        of_run = generator.normal(0, RUN_DEVIATION, (2, runs, 1, 1))
    return Sample(gold, predict(gold, mix(own, common, CORRELATION), true_ccc() + of_run), labels)


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


def jackknife_covers(sample: Sample, generator: np.random.Generator) -> bool:
    """Jackknife-t over speakers on Fisher's z."""
    interval = significance.ccc_interval(sample.gold, sample.predicted[0], sample.speakers)
    return bool(interval.low[-1] <= true_ccc().mean() <= interval.high[-1])


def bootstrap_covers(sample: Sample, generator: np.random.Generator, units: str) -> bool:
    """Percentile bootstrap; `units` are ``speakers`` or ``utterances``."""
    given = sample.gold, sample.predicted[0], getattr(sample, units)
    interval = significance.bootstrap_interval(*given, generator=generator, resamples=RESAMPLES)
    return bool(interval.low[-1] <= true_ccc().mean() <= interval.high[-1])


def bootstrap_rejects(sample: Sample, generator: np.random.Generator, units: str) -> bool:
    """The percentile interval of the difference leaves out 0; runs are drawn again as well (crossed)."""
    a, b = (speaker_sums(sample.gold, predicted, getattr(sample, units)) for predicted in sample.predicted)
    drawn = []
    for weights in redrawn(len(a), RESAMPLES, generator):
        ccc = np.stack([ccc_of_runs(weigh(weights, sums))[..., -1] for sums in (a, b)], axis=1)  # (resamples, 2, runs)
        runs = np.concatenate(list(redrawn(ccc.shape[2], 2 * len(ccc), generator))).reshape(ccc.shape)
        drawn.append((ccc * runs).mean(axis=2))
    low, high = np.quantile(np.diff(np.concatenate(drawn)), [ALPHA / 2, 1 - ALPHA / 2])
    return bool(not low <= 0 <= high)


def swaps_reject(sample: Sample, generator: np.random.Generator) -> bool:
    """Permutation that swaps the two systems within speakers."""
    given = sample.gold, sample.predicted[0], sample.predicted[1], sample.speakers
    result = significance.ccc_difference(*given, generator=generator, resamples=RESAMPLES - 1)
    return bool(result.p[-1] <= ALPHA)


def welch_rejects(sample: Sample, generator: np.random.Generator) -> bool:
    """Welch's t-test of the runs' CCCs."""
    totals = [speaker_sums(sample.gold, predicted, sample.speakers).sum(axis=0) for predicted in sample.predicted]
    a, b = (ccc_of_runs(total)[:, -1] for total in totals)
    return bool(stats.ttest_ind(a, b, equal_var=False).pvalue < ALPHA)


def method_rejects(sample: Sample, generator: np.random.Generator) -> bool:
    """Jackknife over speakers plus variance of the seeds, Satterthwaite's degrees of freedom."""
    a, b = sample.predicted
    return bool(significance.method_difference(sample.gold, a, b, sample.speakers).p[-1] < ALPHA)


METHODS: dict[tuple[str, str], tuple[int, Callable[[Sample, np.random.Generator], bool]]] = {
    ("coverage", "bootstrap over utterances"): (1, partial(bootstrap_covers, units="utterances")),
    ("coverage", "bootstrap over speakers"): (1, partial(bootstrap_covers, units="speakers")),
    ("coverage", "jackknife-t over speakers"): (1, jackknife_covers),
    ("two systems", "bootstrap over utterances"): (1, partial(bootstrap_rejects, units="utterances")),
    ("two systems", "bootstrap over speakers"): (1, partial(bootstrap_rejects, units="speakers")),
    ("two systems", "swaps within speakers"): (1, swaps_reject),
    ("two methods", "Welch's test on seeds"): (RUNS, welch_rejects),
    ("two methods", "bootstrap over seeds and speakers"): (RUNS, partial(bootstrap_rejects, units="speakers")),
    ("two methods", "jackknife over speakers plus seeds"): (RUNS, method_rejects),
}
"""By family and method: runs of a system, and whether the method's interval of the mean CCC covers the truth
(``coverage``), or its test rejects that two systems, or two ways of training (``methods``), have the same mean CCC."""


def repeat(speakers: int, repetition: int) -> dict[tuple[str, str], bool]:
    """What each of `METHODS` says of a new sample of its runs."""
    generator = np.random.default_rng([SEED, speakers, repetition])
    samples = {runs: draw(speakers, UTTERANCES * speakers, runs, generator) for runs in (1, RUNS)}
    return {name: method(samples[runs], generator) for name, (runs, method) in METHODS.items()}


def _rates(outcomes: Sequence[dict[tuple[str, str], bool]], speakers: int) -> pd.DataFrame:
    """A row a family and method: in which share of the repetitions it says yes (``rate``)."""
    share = pd.DataFrame(outcomes).mean()
    table = pd.DataFrame(list(share.index), columns=["family", "method"])
    return table.assign(rate=share.to_numpy(), speakers=speakers, repetitions=len(outcomes))


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
    """A row a correlation: the difference's standard error over repetitions."""
    table = pd.DataFrame({"correlation": POWER_CORRELATIONS, "standard_error": np.std(found, axis=0, ddof=1)})
    return table.assign(set=name, speakers=SETS[name][0], utterances=SETS[name][1], repetitions=len(found))


def simulate() -> None:
    """Repeat everything on all cores and write ``rates.csv`` and ``power.csv`` into `RESULTS`."""
    with ProcessPoolExecutor() as pool:

        def repeated(function: Callable, given: Any, times: int) -> list:
            results = pool.map(partial(function, given), range(times), chunksize=10)
            return list(tqdm(results, total=times, desc=f"{function.__name__} {given}", unit="sample"))

        outcomes = [_rates(repeated(repeat, size, REPETITIONS), size) for size in SPEAKERS]
        powers = [_power(repeated(_differences, name, POWER_REPETITIONS), name) for name in SETS]
    write_tables(RESULTS, {"rates": pd.concat(outcomes), "power": pd.concat(powers)})


def rates() -> pd.DataFrame:
    """Coverage and false rejections of each method by number of speakers, a row each; `USED` ones are marked by a tick.
    Columns ``family``, ``method``, ``speakers``, ``estimate``, ``low``, ``high`` (95 %, of the simulation's own
    chance), ``repetitions``."""
    table = pd.read_csv(RESULTS / "rates.csv").rename(columns={"rate": "estimate"})
    rate, names = table["estimate"], {one: f"{one} ✓" for one in USED}
    half_width = stats.norm.ppf(0.975) * np.sqrt(rate * (1 - rate) / table["repetitions"])
    return table.assign(low=rate - half_width, high=rate + half_width, method=table["method"].replace(names))


def power() -> pd.DataFrame:
    """Detectable difference of two trained systems by set and correlation of their errors, and for each of `STEPS` the
    power to detect the paper's difference, were it the true one."""
    table = pd.read_csv(RESULTS / "power.csv")
    errors = table["standard_error"], table["speakers"] - 1
    table["detectable"] = significance.minimum_detectable_difference(*errors, alpha=ALPHA)
    for name, pair in STEPS.items():
        if found := paper.difference(*pair):
            table[name] = significance.detection_power(abs(found[0]), *errors, alpha=ALPHA)
    return table


if __name__ == "__main__":
    simulate()
