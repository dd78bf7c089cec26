"""Who speaks in the simulated corpus, what they feel, what their raters make of it, and how it sounds: numbers only.

Each utterance has an intended emotion and true attributes around that emotion's prototype. Raters add a bias of their
own and a residual, and name the emotion or another word; the consensus follows from what they say. Voice and text know
the true attributes, never the ratings. The constants come from the sources beside them, or are assumptions that were
made before any model was run.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from sercore.corpus import PRIMARY_EMOTIONS
from simulation.espeak import Prompt
from simulation.whiser import CLASSES, published

Pool = Literal["study", "pretraining"]

CODES = tuple(PRIMARY_EMOTIONS)
VOTES = np.array([*CODES, "O"])  # what a rater can say: one of the eight emotions, or other

TRAINING_COUNTS = {"A": 6700, "S": 6400, "H": 16650, "U": 3000, "F": 1120, "D": 1400, "C": 2500, "N": 29243}
"""Utterances of each consensus emotion in the challenge's training split (arXiv 2506.10930, partly rounded)."""

SHARES = np.array([TRAINING_COUNTS[code] for code in CODES]) / sum(TRAINING_COUNTS.values())
"""Shares of the intended emotions, in the order of `CODES`, and of the consensus emotions that are neither O nor X."""

OTHER_OR_X = 0.2246  # share of the training split that has no such emotion (arXiv 2506.10930)

DISGUST = (3.84, 3.04, 4.30)
"""Arousal, valence and dominance of disgust, which WHiSER lacks: those of contempt, its neighbour (assumption)."""

PUBLISHED_RATERS = 5  # ratings behind a published consensus

CLARITY = 4.0
"""The share of raters who recognise an utterance's emotion varies between utterances as Beta(4, 4) (assumption: with
`OTHER`, it gives the 19 % X and 3.5 % O of MSP-Podcast and WHiSER's share of the most frequent vote)."""

OTHER = 0.2
"""Of the raters who do not, the share that say "other"; the rest name emotions by their frequency (assumption)."""

SKEW = {"speakers": 0.26, "utterances": 0.80}
"""That share of the training speakers carries that share of the utterances (arXiv 2506.10930)."""

CHANNELS = ("pitch", "range", "rate in per cent", "loudness in dB")
"""What the voice shows feelings by: pitch and range in eSpeak NG's units (0 to 100)."""

CUES = np.array([[8.0, 1.0, -2.0], [10.0, 3.0, 0.0], [8.0, 0.0, 0.0], [2.0, 0.0, 2.5]])
"""What one standard deviation of arousal, valence and dominance (columns) adds to each of `CHANNELS` (rows). Signs:
arousal raises all four (Scherer 2003; Juslin & Laukka 2003). The rest is assumption: sizes, dominance loud and low,
valence a weak cue."""

CUE_NOISE = np.array([6.0, 8.0, 8.0, 2.0])
"""Standard deviation of each of `CHANNELS` from one utterance to the next, whatever is felt (assumption)."""

SPEAKER_MEANS = np.array([50.0, 50.0, 165.0, -8.0])
SPEAKER_DEVIATIONS = np.array([7.0, 7.0, 12.0, 1.5])
"""Base pitch and range (eSpeak NG's units), rate in words a minute and loudness in dB over speakers (assumption; the
loudness is one at which excited speech does not clip)."""

ACCENTS = ("en-us", "en-us-nyc", "en-gb-x-rp", "en-gb-scotland")

VARIANTS: dict[Pool, dict[str, tuple[str, ...]]] = {
    "study": {
        "Female": ("Annie", "aunty", "f1", "grandma", "linda", "steph"),
        "Male": ("m1", "m3", "m4", "m7", "Andy", "Lee", "Michael", "gustave", "john", "max", "miguel", "norbert"),
    },
    "pretraining": {
        "Female": ("Andrea", "anika", "f4"),
        "Male": ("m2", "m5", "m6", "Gene", "Mario", "boris", "kaukovalta", "marcelo", "pablo", "travis"),
    },
}
"""eSpeak NG's voices: none of the study's is used to pretrain an encoder."""


@dataclass(frozen=True)
class Speaker:
    """A voice and its habits: pitch and range in eSpeak NG's units, rate in words a minute, loudness in dB."""

    voice: str
    gender: str
    pitch: float
    range: float
    rate: float
    loudness: float


@dataclass(frozen=True)
class Utterances:
    """Some utterances before they are spoken, and what k raters say of each."""

    intended: np.ndarray  # index of the intended emotion in `CODES`, shape (utterances,)
    true: np.ndarray  # arousal, valence and dominance, shape (utterances, 3)
    raters: np.ndarray  # who rated, shape (utterances, k)
    votes: np.ndarray  # index of each rater's word in `VOTES`, shape (utterances, k)
    ratings: np.ndarray  # integers 1 to 7, shape (utterances, k, 3)

    def __add__(self, more: "Utterances") -> "Utterances":
        pairs = zip(vars(self).values(), vars(more).values(), strict=True)
        return Utterances(*(np.concatenate(pair) for pair in pairs))

    def __getitem__(self, rows: np.ndarray) -> "Utterances":
        return Utterances(*(values[rows] for values in vars(self).values()))

    @property
    def consensus(self) -> np.ndarray:
        """The word said most often, or X where two are; shape (utterances,)."""
        return plurality(self.votes)

    @property
    def attributes(self) -> np.ndarray:
        """Mean of the ratings, shape (utterances, 3)."""
        return self.ratings.mean(axis=1)

    @property
    def deviations(self) -> np.ndarray:
        """True attributes in standard deviations from the mean of natural speech, shape (utterances, 3)."""
        return (self.true - SHARES @ prototypes()) / np.sqrt(np.diag(_true_covariance()))


@dataclass(frozen=True)
class Noise:
    """What the published deviations of ratings are multiplied by; 1 leaves them as they are."""

    raters: float = 1.0  # for all residuals and biases
    ambiguous: float = 1.0  # for the residuals of utterances whose consensus is O or X, in addition


AS_PUBLISHED = Noise()


def draw_raters(generator: np.random.Generator, count: int) -> np.ndarray:
    """Biases of a pool of `count` raters, shape (count, 3), with exactly the published deviations and mean 0."""
    biases = generator.standard_normal((count, 3))
    biases -= biases.mean(axis=0)
    root = np.linalg.cholesky(np.cov(biases.T))
    return np.linalg.solve(root, biases.T).T @ np.linalg.cholesky(_covariance("bias of a rater: standard deviation")).T


def draw_utterances(
    generator: np.random.Generator, count: int, biases: np.ndarray, raters: int, noise: Noise = AS_PUBLISHED
) -> Utterances:
    """`count` utterances, each judged by `raters` of the pool behind `biases`; emotions, O and X as they come.

    `biases` have shape (pool, 3). The same draws are behind another `noise`: utterances, raters and votes stay, and
    only the ratings change.
    """
    intended = generator.choice(len(CODES), count, p=SHARES)
    centred = partial(generator.multivariate_normal, np.zeros(3), method="cholesky")
    true = prototypes()[intended] + centred(_true_covariance() - np.cov(prototypes().T, aweights=SHARES, ddof=0), count)
    judges = np.argsort(generator.random((count, len(biases))), axis=1)[:, :raters]
    # Of a rating around true value and bias; rounding to whole numbers adds 1/12 (Sheppard's correction).
    within = _covariance("ratings of one utterance: standard deviation")
    of_residuals = within - _covariance("bias of a rater: standard deviation") - np.eye(3) / 12
    residuals = centred(of_residuals, judges.shape)
    votes = _votes(generator, intended, raters)
    factor = np.where(np.isin(plurality(votes), ["O", "X"]), noise.ambiguous, 1.0)[:, None, None]
    felt = true[:, None] + noise.raters * (biases[judges] + factor * residuals)
    ratings = np.clip(np.rint(felt), 1, 7).astype(int)
    return Utterances(intended, true, judges, votes, ratings)


def draw_quotas(
    generator: np.random.Generator, quotas: np.ndarray, biases: np.ndarray, raters: int, noise: Noise = AS_PUBLISHED
) -> Utterances:
    """Of as many utterances as it takes, the first whose consensus fills `quotas`, in random order; see
    `draw_utterances`.

    `quotas` say how many of each consensus emotion of `CODES`, then how many of O or X as they come, shape (9,).
    """
    expected = np.append(SHARES * (1 - OTHER_OR_X), OTHER_OR_X)
    count = int(1.5 * (quotas / expected).max()) + 100
    drawn = draw_utterances(generator, count, biases, raters, noise)
    while True:
        group = [CODES.index(code) if code in CODES else len(CODES) for code in drawn.consensus]
        kept = np.concatenate([np.flatnonzero(np.equal(group, code))[:quota] for code, quota in enumerate(quotas)])
        if len(kept) == quotas.sum():
            return drawn[generator.permutation(kept)]
        drawn = drawn + draw_utterances(generator, count, biases, raters, noise)


def natural_quotas(count: int) -> np.ndarray:
    """Quotas of `count` utterances with the shares of the challenge's training split, shape (9,)."""
    return apportion(np.append(SHARES * (1 - OTHER_OR_X), OTHER_OR_X), count)


def draw_speakers(generator: np.random.Generator, count: int, pool: Pool = "study") -> list[Speaker]:
    """`count` speakers, every second one a woman; the voices of the two pools are disjoint."""
    habits = SPEAKER_MEANS + SPEAKER_DEVIATIONS * np.clip(generator.standard_normal((count, 4)), -2, 2)
    speakers = []
    for number, habit in enumerate(habits):
        gender = ("Female", "Male")[number % 2]
        voice = f"{generator.choice(ACCENTS)}+{generator.choice(VARIANTS[pool][gender])}"
        speakers.append(Speaker(voice, gender, *map(float, habit)))
    return speakers


def assign_speakers(generator: np.random.Generator, count: int, speakers: int, skew: float) -> np.ndarray:
    """Index of each utterance's speaker, shape (count,); everyone speaks at least once.

    Counts fall geometrically: the busiest 26 % speak the share `skew`, the next 26 % that share of what is left, and so
    on; with 0 they are even.
    """
    weights = (1 - skew) ** (np.arange(speakers) / (SKEW["speakers"] * speakers))
    counts = 1 + apportion(weights / weights.sum(), count - speakers)
    return generator.permutation(np.repeat(np.arange(speakers), counts))


def draw_prompt(
    generator: np.random.Generator, speaker: Speaker, text: str, deviations: np.ndarray, gender_link: float = 0.0
) -> Prompt:
    """How `speaker` says `text`, given `Utterances.deviations` of one utterance, shape (3,).

    A woman sounds as if her arousal were `gender_link` standard deviations higher than it is, a man as if his were
    lower; valence and dominance sound as they are.
    """
    sound = deviations + np.array([gender_link if speaker.gender == "Female" else -gender_link, 0, 0])
    pitch, spread, rate, loudness = CUES @ sound + CUE_NOISE * generator.standard_normal(4)
    return Prompt(
        text=text,
        voice=speaker.voice,
        pitch=_round(speaker.pitch + pitch, 0, 100),
        range=_round(speaker.range + spread, 0, 100),
        rate=_round(speaker.rate * (1 + rate / 100), 80, 450),
        volume=_round(100 * 10 ** ((speaker.loudness + loudness) / 20), 5, 200),
    )


def plurality(votes: np.ndarray) -> np.ndarray:
    """The word said most often, or X where two are: votes (utterances, raters) to codes (utterances,)."""
    counts = (votes[:, :, None] == np.arange(len(VOTES))).sum(axis=1)
    most = counts.max(axis=1, keepdims=True)
    return np.where((counts == most).sum(axis=1) > 1, "X", VOTES[counts.argmax(axis=1)])


def apportion(shares: np.ndarray, count: int) -> np.ndarray:
    """Whole numbers that add up to `count` and are nearest to ``shares * count`` (largest remainders)."""
    exact = shares * count
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: count - whole.sum()]] += 1
    return whole


def _votes(generator: np.random.Generator, intended: np.ndarray, raters: int) -> np.ndarray:
    shape = (len(intended), raters)
    clear = generator.random(shape) < generator.beta(CLARITY, CLARITY, (len(intended), 1))
    frequency = SHARES * (1 - np.eye(len(CODES)))
    # Emotions, then "other", by those who do not recognise an emotion: (emotions, words).
    named = (1 - OTHER) * frequency / frequency.sum(axis=1, keepdims=True)
    confusion = np.column_stack([named, np.full(len(CODES), OTHER)])
    words = (generator.random((*shape, 1)) > confusion.cumsum(axis=1)[intended][:, None, :-1]).sum(axis=2)
    return np.where(clear, intended[:, None], words)


def prototypes() -> np.ndarray:
    """Mean attributes of each intended emotion, shape (8, 3).

    They are WHiSER's class means; but as MSP-Podcast's shares hold more emotion, these would spread valence wider than
    the raters' table allows, so valence is drawn in until emotions explain as much of its variance as in WHiSER.
    """
    columns = ["mean arousal", "mean valence", "mean dominance"]
    means = np.array([DISGUST if code == "D" else CLASSES.loc[code, columns] for code in CODES], dtype=float)
    weights = CLASSES["utterances"] / CLASSES["utterances"].sum()
    wanted = np.cov(CLASSES["mean valence"], aweights=weights, ddof=0)
    given = np.cov(means[:, 1], aweights=SHARES, ddof=0)
    centre = SHARES @ means[:, 1]
    means[:, 1] = centre + np.sqrt(wanted / given) * (means[:, 1] - centre)
    return means


def _covariance(statistic: str) -> np.ndarray:
    """Of arousal, valence, dominance, from published deviations; all correlate as the consensus does (assumption)."""
    deviations = published(statistic)
    dominance, valence, both = published("correlation of the consensus")
    correlation = np.array([[1, valence, dominance], [valence, 1, both], [dominance, both, 1]])
    return correlation * np.outer(deviations, deviations)


def _true_covariance() -> np.ndarray:
    """Of the true attributes: what the consensus varies more than the mean of its ratings errs."""
    within = _covariance("ratings of one utterance: standard deviation")
    return _covariance("consensus: standard deviation") - within / PUBLISHED_RATERS


def _round(value: float, low: int, high: int) -> int:
    return int(np.clip(np.rint(value), low, high))
