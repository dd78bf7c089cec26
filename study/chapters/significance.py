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
from itertools import product
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
from study.plan import questions
from study.results import Study, aligned, reported_split, write_tables

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
POWER_SHARES = (0.0, 0.2, 0.4)
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
    """Gold (utterances, 3), predictions of two systems (2, runs, utterances, 3), speakers (utterances,), true CCC."""

    gold: Array
    predicted: Array
    speakers: np.ndarray
    ccc: Array

    @property
    def utterances(self) -> np.ndarray:
        """Each utterance as a unit of its own."""
        return np.arange(len(self.gold))


@cache
def true_ccc() -> Array:
    """The paper's CCC of arousal, valence and dominance for `REFERENCE`, shape (3,)."""
    return paper.results().loc[REFERENCE, list(ATTRIBUTES)].to_numpy(np.float64)


def draw(speakers: int, utterances: int, runs: int, ccc: Array, generator: np.random.Generator) -> Sample:
    """Two systems of the same true CCC (3,) on new speakers; with one run, nothing is the run's own."""
    labels = speakers_of_utterances(speakers, utterances, generator)
    gold = effects(labels, GOLD_SHARE, (), generator)
    common = effects(labels, ERROR_SHARE, (), generator)
    own, of_run = effects(labels, ERROR_SHARE, (2, 1), generator), np.zeros(())
    if runs > 1:
        own = mix(own, effects(labels, ERROR_SHARE, (2, runs), generator), RUN_SHARE)
        of_run = generator.normal(0, RUN_DEVIATION, (2, runs, 1, 1))
    return Sample(gold, predict(gold, mix(own, common, CORRELATION), ccc + of_run), labels, ccc)


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
    return bool(interval.low[-1] <= sample.ccc.mean() <= interval.high[-1])


def bootstrap_covers(sample: Sample, generator: np.random.Generator, units: str) -> bool:
    """Percentile bootstrap; `units` are ``speakers`` or ``utterances``."""
    given = sample.gold, sample.predicted[0], getattr(sample, units)
    interval = significance.bootstrap_interval(*given, generator=generator, resamples=RESAMPLES)
    return bool(interval.low[-1] <= sample.ccc.mean() <= interval.high[-1])


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


def williams_rejects(sample: Sample, generator: np.random.Generator) -> bool:
    """Williams' test of two dependent Pearson correlations (Steiger, 1980), those of the first attribute."""
    return williams(sample.gold[:, 0], *sample.predicted[:, 0, :, 0]) < ALPHA


def williams(gold: Array, a: Array, b: Array) -> float:
    """Two-sided p for equal correlations of `a` and `b` with `gold`, each of shape (utterances,).

    With n utterances, r_a, r_b, r_ab and the determinant D of their correlation matrix, t = (r_a - r_b)
    sqrt((n - 1)(1 + r_ab) / (2 D (n - 1) / (n - 3) + ((r_a + r_b) / 2)^2 (1 - r_ab)^3)), n - 3 degrees of freedom.
    """
    matrix, n = np.corrcoef([gold, a, b]), len(gold)
    (ra, rb), rab = matrix[0, 1:], matrix[1, 2]
    spread = 2 * np.linalg.det(matrix) * (n - 1) / (n - 3) + ((ra + rb) / 2) ** 2 * (1 - rab) ** 3
    return float(2 * stats.t.sf(abs(ra - rb) * np.sqrt((n - 1) * (1 + rab) / spread), n - 3))


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
    ("two systems", "Williams' test"): (1, williams_rejects),
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
    samples = {runs: draw(speakers, UTTERANCES * speakers, runs, true_ccc(), generator) for runs in (1, RUNS)}
    return {name: method(samples[runs], generator) for name, (runs, method) in METHODS.items()}


def _rates(outcomes: Sequence[dict[tuple[str, str], bool]], speakers: int) -> pd.DataFrame:
    """A row a family and method: in which share of the repetitions it says yes, and the share's standard error."""
    share = pd.DataFrame(outcomes).mean()
    table = pd.DataFrame(list(share.index), columns=["family", "method"]).assign(rate=share.to_numpy())
    error = np.sqrt(table["rate"] * (1 - table["rate"]) / len(outcomes))
    return table.assign(speakers=speakers, repetitions=len(outcomes), monte_carlo_error=error)


def _differences(name: str, share: float, repetition: int) -> Array:
    """Difference of two equal systems' mean CCC on a new set of the size of `SETS[name]`, by `POWER_CORRELATIONS`;
    `share` of the variance of the errors is an effect of the speaker."""
    generator = np.random.default_rng([SEED, *SETS[name], round(100 * share), repetition])
    labels = speakers_of_utterances(*SETS[name], generator)
    gold, ccc = effects(labels, GOLD_SHARE, (), generator), true_ccc()
    own, common = effects(labels, share, (2,), generator), effects(labels, share, (), generator)
    predicted = [predict(gold, mix(own, common, correlation), ccc) for correlation in POWER_CORRELATIONS]
    means = [ccc_of_runs(speaker_sums(gold, each, labels).sum(axis=0))[:, -1] for each in predicted]
    return np.array([a - b for a, b in means])


def _power(found: Sequence[Array], name: str, share: float) -> pd.DataFrame:
    """A row a correlation: the difference's standard error over repetitions, and the detectable difference."""
    speakers, utterances = SETS[name]
    error = np.std(found, axis=0, ddof=1)
    size = {"set": name, "speakers": speakers, "utterances": utterances, "speaker_share": share}
    detectable = significance.minimum_detectable_difference(error, speakers - 1, alpha=ALPHA)
    table = pd.DataFrame({"correlation": POWER_CORRELATIONS, "standard_error": error, "detectable": detectable})
    chance = error / np.sqrt(2 * (len(found) - 1))
    return table.assign(**size, df=speakers - 1, repetitions=len(found), monte_carlo_error=chance)


def simulate() -> None:
    """Repeat everything on all cores and write ``coverage.csv``, ``errors.csv`` and ``power.csv`` into `RESULTS`."""
    with ProcessPoolExecutor() as pool:

        def repeated(function: Callable, *given: Any, times: int) -> list:
            results = pool.map(partial(function, *given), range(times), chunksize=10)
            return list(tqdm(results, total=times, desc=f"{function.__name__} {given}", unit="sample"))

        outcomes = pd.concat([_rates(repeated(repeat, size, times=REPETITIONS), size) for size in SPEAKERS])
        given = list(product(SETS, POWER_SHARES))
        found = [_power(repeated(_differences, *each, times=POWER_REPETITIONS), *each) for each in given]
    covered = outcomes["family"] == "coverage"
    write_tables(RESULTS, {"coverage": outcomes[covered], "errors": outcomes[~covered], "power": pd.concat(found)})


def rates() -> pd.DataFrame:
    """Coverage and false rejections of each method by number of speakers, a row each; `USED` ones are marked by a tick.
    Columns ``family``, ``method``, ``speakers``, ``estimate``, ``low``, ``high`` (95 %, of the simulation's own
    chance), ``nominal``, ``repetitions``."""
    table = pd.concat([pd.read_csv(RESULTS / f"{name}.csv") for name in ("coverage", "errors")], ignore_index=True)
    half_width = stats.norm.ppf(0.975) * table["monte_carlo_error"]
    limits = {"estimate": table["rate"], "low": table["rate"] - half_width, "high": table["rate"] + half_width}
    nominal = np.where(table["family"] == "coverage", 1 - ALPHA, ALPHA)
    return table.assign(**limits, nominal=nominal, method=table["method"].replace({one: f"{one} ✓" for one in USED}))


def power() -> pd.DataFrame:
    """Detectable difference of two trained systems by set, share of the speaker and correlation of their errors, and
    for each of `STEPS` the power to detect the paper's difference, were it the true one."""
    table = pd.read_csv(RESULTS / "power.csv")
    sizes = {name: abs(found[0]) for name, pair in STEPS.items() if (found := paper.difference(*pair))}
    errors = table["standard_error"], table["df"]
    powers = {name: significance.detection_power(size, *errors, alpha=ALPHA) for name, size in sizes.items()}
    return table.assign(**powers)


def slips() -> pd.DataFrame:
    """Rows of the paper whose printed mean differs from that of the three printed CCCs by more than ``rounding``, what
    rounding can explain, or is doubted."""
    numbers, texts = paper.results(), paper.printed()
    rows = numbers.dropna(subset=[*ATTRIBUTES, "mean"])
    mean = rows[list(ATTRIBUTES)].mean(axis=1)
    digits = texts.loc[rows.index, [*ATTRIBUTES, "mean"]].map(lambda text: len(text.partition(".")[2]))
    rounding = 0.5 * 10.0 ** -digits["mean"] + 0.5 * (10.0 ** -digits[list(ATTRIBUTES)]).mean(axis=1)
    chosen = ((rows["mean"] - mean).abs() > rounding + 1e-9) | rows["note"].str.contains("mean", na=False)
    columns = {"printed": texts.loc[rows.index, "mean"], "mean of the three": mean.map("{:.4f}".format)}
    return rows.assign(**columns, rounding=rounding.map("{:.5f}".format))[chosen][[*columns, "rounding", "note"]]


def errors_of(study: Study) -> pd.DataFrame:
    """How the errors of the first compared pair of a study's systems go together on the reported split, averaged over
    attributes and runs: correlation of the two systems' errors, share of their variance that is the speaker's,
    correlation of two runs of one system (NaN with one run)."""
    pair = next(iter(questions(study.params.profile).values())).pairs[0]
    gold, predicted, _ = aligned(study.runs, pair, reported_split(study.runs))
    one, other = (predicted[name] - gold[list(ATTRIBUTES)].to_numpy() for name in pair)
    of_runs = stats.pearsonr(one[:-1], one[1:], axis=1).statistic.mean() if len(one) > 1 else np.nan
    quantities = {
        f"correlation of the errors of {' and '.join(pair)}": stats.pearsonr(one, other, axis=1).statistic.mean(),
        "share of the errors' variance that is the speaker's": _speaker_share([one, other], gold["speaker"]),
        f"correlation of the errors of two runs of {pair[0]}": of_runs,
    }
    return pd.DataFrame({"quantity": quantities.keys(), "value": quantities.values()})


def _speaker_share(errors: Sequence[np.ndarray], speakers: pd.Series) -> float:
    """Intraclass correlation of errors, each (runs, utterances, attributes), by analysis of variance (Donner, 1986)."""
    columns = pd.DataFrame(np.concatenate([np.concatenate(list(each), axis=1) for each in errors], axis=1))
    groups = columns.groupby(speakers.to_numpy())
    size = groups.size()
    total, count = len(columns), len(size)
    within = ((columns - groups.transform("mean")) ** 2).sum() / (total - count)
    between = (groups.mean() - columns.mean()).pow(2).mul(size, axis=0).sum() / (count - 1)
    typical = (total - (size**2).sum() / total) / (count - 1)
    return float(((between - within) / (between + (typical - 1) * within)).mean())


if __name__ == "__main__":
    simulate()
