"""A simulated release in MSP-Podcast's own layout: synthetic speech, transcripts, and the votes of simulated raters.

`sercore.corpora.msp_podcast` reads it like a real one. `assumptions` lists what it is built on.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from filelock import FileLock
from pydantic import Field
from tqdm import tqdm

from sercore import ATTRIBUTES
from sercore.audio import SAMPLE_RATE
from sercore.corpora import msp_podcast
from sercore.corpus import PRIMARY_EMOTIONS, Corpus, CorpusError
from sercore.disk import complete
from sercore.params import CorpusParams, ParamsError, resolve
from simulation import grammar, population, whiser
from simulation.espeak import Prompt, synthesise
from simulation.population import CHANNELS, CODES, Speaker, Utterances

KIND = "simulated"
DESCRIPTION = (
    "Speech from a synthesiser, judged by simulated raters: figures show that the method runs and what an evaluation of"
    " this size can tell. They say nothing about human speech."
)
LICENCE = "MIT; made by this study"

RECIPE = 1  # raised when the same parameters give another release, so that releases of an older recipe are replaced
MARKER = "simulation.json"

SPELLING = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral", "Other")
"""How labels_detailed.csv spells `simulation.population.VOTES`."""

README = """This is a SIMULATED release: no human spoke or rated any of it.

The speech is eSpeak NG's, the texts are those of a small grammar, and the labels follow from simulated raters. Folders
and files are those of MSP-Podcast, so that what reads the one reads the other. Unlike there, Test3 has labels and
transcripts. The parameters are in {marker}.
"""


@dataclass(frozen=True)
class Split:
    """One split of a release: its utterances, speakers, and per utterance the file name, speaker and prompt."""

    name: str
    utterances: Utterances
    speakers: list[Speaker]
    first_speaker: int
    assigned: np.ndarray
    prompts: list[Prompt]

    @property
    def files(self) -> list[str]:
        """File names: by speaker and count within the speaker, or by number in Test3."""
        if self.name == "Test3":
            return [f"MSP-PODCAST_test3_{number:04d}.wav" for number in range(1, len(self.assigned) + 1)]
        segments = pd.Series(self.assigned).groupby(self.assigned).cumcount() + 1
        return [
            f"MSP-PODCAST_{self.first_speaker + speaker:04d}_{segment:04d}.wav"
            for speaker, segment in zip(self.assigned, segments, strict=True)
        ]


class Params(CorpusParams):
    """A simulated release, written to ``path`` if it is not there yet.

    ``skew``: share of the training utterances that the busiest 26 % of the speakers speak; the next 26 % speak that
    share of what is left, and so on. With 0 all speak alike.

    ``gender_link``: by how many standard deviations of arousal more than they feel women sound aroused, and men less.
    With 0 a sound means the same arousal whoever makes it; else it tells no more than a difference to how women or men
    usually sound, so a system that knows the speaker's gender reads arousal as well as without the link, and one that
    does not errs by it.
    """

    seed: int = 1
    train_utterances: int = Field(1600, ge=1)
    train_speakers: int = Field(40, ge=1)
    development_utterances: int = Field(600, ge=1)
    development_speakers: int = Field(40, ge=1)
    test_utterances_per_emotion: int = Field(200, ge=1)
    test_speakers: int = Field(256, ge=1)
    raters: int = Field(60, ge=5)
    raters_per_utterance: int = Field(5, ge=5)
    rater_noise: float = Field(1.0, ge=0, description="times the published deviations of raters' biases and residuals")
    ambiguous_noise: float = Field(1.0, ge=0, description="times the residuals, for utterances that come out as O or X")
    gender_link: float = 0.0
    skew: float = Field(0.80, ge=0, lt=1)


def read(params: Params, seed: int) -> Corpus:
    """`write` the release, and read it as `sercore.corpora.msp_podcast` does; errors as there."""
    release = msp_podcast.Params(reader="msp_podcast", path=write(params), damaged=params.damaged)
    return msp_podcast.read(release, seed)


def write(params: Params) -> Path:
    """Write the release that `params` describe, unless it is there already; its folder.

    A simulated release of other parameters at the same path is replaced; anything else there is left alone. The same
    parameters give the same bytes. Processes that ask at once wait for the one that writes.

    `CorpusError` if the path holds something that is no simulated release; `ParamsError` if a split has fewer
    utterances than speakers, or the pool fewer raters than an utterance needs; `RuntimeError` if eSpeak NG is not
    installed.
    """
    _check(params)
    folder = resolve(params.path).resolve()
    recipe = _recipe(params)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if _recipe_of(folder) != recipe:
            complete(folder, lambda partial: _write_release(list(_splits(params)), recipe, partial), replace=True)
    return folder


def assumptions() -> pd.DataFrame:
    """What the simulated corpus is built on: columns ``choice``, ``value``, ``source``."""
    paper, source, ours = "arXiv 2506.10930", whiser.SOURCE, "assumption"
    voice = "sign of arousal: Scherer 2003, Juslin & Laukka 2003; the rest: assumption"
    voices = sum(map(len, population.VARIANTS["study"].values()))
    skew, clarity = population.SKEW, f"{population.CLARITY:g}"
    arousal, valence, dominance = (_listed(CODES, column, ".2f") for column in population.prototypes().T)
    drawn_in = (
        f"{source}, drawn in (assumption): its class means, its spread of valence and MSP-Podcast's shares of emotions "
        "cannot all hold; here emotions explain as much of the variance of valence as they do in WHiSER"
    )
    rows = [
        ("emotions with a plurality, train and development", _listed(CODES, population.SHARES, ".1%"), paper),
        ("O and X together, train and development", f"{population.OTHER_OR_X:.1%}", f"{paper}; what the votes give"),
        ("emotions, Test3", "equally many of each by consensus; no O, no X", paper),
        ("skew of the training speakers", f"{skew['speakers']:.0%} speak {skew['utterances']:.0%}", paper),
        ("shape of that skew; skew of the other splits", "geometric; none", ours),
        ("women among the speakers", "50%", ours),
        ("women's and men's voices of the same arousal", "sound the same, but for corpora with a gender link", ours),
        ("voices", f"eSpeak NG, {voices} variants in {len(population.ACCENTS)} accents", ours),
        ("spread, bias and agreement of ratings; spread and correlation of the consensus", "as published", source),
        ("correlation of raters' biases and residuals", "that of the consensus", ours),
        ("arousal around which an emotion lies", arousal, f"{source}; D, missing there, as C (assumption)"),
        ("dominance around which an emotion lies", dominance, f"{source}; D, missing there, as C (assumption)"),
        ("valence around which an emotion lies", valence, drawn_in),
        ("share of raters who recognise the emotion", f"Beta({clarity}, {clarity}) over utterances", ours),
        ("raters who do not", f"{population.OTHER:.0%} say other, the rest an emotion by its frequency", ours),
        ("a rater's word and attributes", "independent, given the emotion", ours),
        ("sentences whose word tells the emotion", f"{grammar.EMOTION_WORD:.0%}", ours),
        ("sentences whose word tells how pleasant the matter is", f"{grammar.VALENCE_WORD:.0%}", ours),
        ("noise of such a word", f"{grammar.VALENCE_NOISE:g} standard deviations of valence", ours),
        ("words that training sentences know", "every second one of each list", ours),
    ]
    for channel, cues, noise in zip(CHANNELS, population.CUES, population.CUE_NOISE, strict=True):
        rows.append((f"{channel}: change by a standard deviation", _listed(ATTRIBUTES, cues, "+g"), voice))
        rows.append((f"{channel}: standard deviation within a speaker, whatever is felt", f"{noise:g}", ours))
    habits = ("pitch", "range", "rate in words a minute", "loudness in dB")
    rows.append(("speakers: mean", _listed(habits, population.SPEAKER_MEANS, "g"), ours))
    rows.append(("speakers: standard deviation", _listed(habits, population.SPEAKER_DEVIATIONS, "g"), ours))
    return pd.DataFrame(rows, columns=["choice", "value", "source"])


def _listed(names: Iterable[str], values: Iterable[float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in zip(names, values, strict=True))


def _check(params: Params) -> None:
    sizes = {
        "train": (params.train_utterances, params.train_speakers),
        "development": (params.development_utterances, params.development_speakers),
        "test": (len(PRIMARY_EMOTIONS) * params.test_utterances_per_emotion, params.test_speakers),
    }
    for split, (utterances, speakers) in sizes.items():
        if utterances < speakers:
            more = f"more than the {utterances} utterances they speak"
            raise ParamsError(f"corpus.{split}_speakers is {speakers}, {more}.")
    if params.raters < (needed := params.raters_per_utterance):
        raise ParamsError(f"corpus.raters is {params.raters}, fewer than the {needed} an utterance.")


def _recipe(params: Params) -> dict:
    return {"recipe": RECIPE, **params.model_dump(mode="json", exclude=set(CorpusParams.model_fields))}


def _recipe_of(folder: Path) -> dict | None:
    """What made the release in `folder`; None where there is none yet.

    A parameter that is younger than the release had its default.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        made = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return _recipe(Params(reader="simulation.release", path=folder)) | made
    except (OSError, ValueError, TypeError):
        raise CorpusError(
            f"{folder} exists and is no simulated release (it has no {MARKER}): set corpus.path to another folder."
        ) from None


def _splits(params: Params) -> Iterator[Split]:
    streams = np.random.SeedSequence(params.seed).spawn(4)
    generators = [np.random.default_rng(stream) for stream in streams]
    biases = population.draw_raters(generators[0], params.raters)
    noise = population.Noise(params.rater_noise, params.ambiguous_noise)
    balanced = np.append(np.full(len(CODES), params.test_utterances_per_emotion), 0)
    sizes = {
        "Train": (population.natural_quotas(params.train_utterances), params.train_speakers),
        "Development": (population.natural_quotas(params.development_utterances), params.development_speakers),
        "Test3": (balanced, params.test_speakers),
    }
    first = 1
    for (name, (quotas, speakers)), generator in zip(sizes.items(), generators[1:], strict=True):
        drawn = population.draw_quotas(generator, quotas, biases, params.raters_per_utterance, noise)
        training = name == "Train"
        voices = population.draw_speakers(generator, speakers)
        assigned = population.assign_speakers(generator, quotas.sum(), speakers, params.skew if training else 0)
        prompts = []
        for speaker, emotion, deviations in zip(assigned, drawn.intended, drawn.deviations, strict=True):
            text = grammar.sentence(generator, CODES[emotion], deviations[1], training)
            prompts.append(population.draw_prompt(generator, voices[speaker], text, deviations, params.gender_link))
        yield Split(name, drawn, voices, first, assigned, prompts)
        first += speakers


def _write_release(splits: list[Split], recipe: dict, folder: Path) -> None:
    for name in ("Audios", "Labels", "Transcripts"):
        (folder / name).mkdir(parents=True)
    consensus = pd.concat([_consensus(split) for split in splits])
    consensus.to_csv(folder / "Labels" / "labels_consensus.csv", index=False, float_format="%.6f")
    detailed = pd.concat([_detailed(split) for split in splits])
    detailed.to_csv(folder / "Labels" / "labels_detailed.csv", index=False)
    partitions = consensus["Split_Set"] + "; " + consensus["FileName"]
    _write_lines(folder / "Partitions.txt", partitions)
    genders = consensus.drop_duplicates("SpkrID").sort_values("SpkrID")
    genders = "Speaker_" + genders["SpkrID"].astype(str) + "; " + genders["Gender"]
    _write_lines(
        folder / "Speaker_ids.txt", [*genders, *(consensus["FileName"] + ";" + consensus["SpkrID"].astype(str))]
    )
    (folder / "readme.txt").write_text(README.format(marker=MARKER), encoding="utf-8")
    prompts = [prompt for split in splits for prompt in split.prompts]
    speech = tqdm(synthesise(prompts), total=len(prompts), desc="Speaking the simulated corpus", unit="utterance")
    for file, prompt, samples in zip(consensus["FileName"], prompts, speech, strict=True):
        soundfile.write(folder / "Audios" / file, samples, SAMPLE_RATE, subtype="PCM_16")
        _write_lines(folder / "Transcripts" / file.replace(".wav", ".txt"), [prompt.text])
    (folder / MARKER).write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")


def _consensus(split: Split) -> pd.DataFrame:
    arousal, valence, dominance = split.utterances.attributes.T
    return pd.DataFrame(
        {
            "FileName": split.files,
            "EmoClass": split.utterances.consensus,
            "EmoAct": arousal,
            "EmoVal": valence,
            "EmoDom": dominance,
            "SpkrID": split.first_speaker + split.assigned,
            "Gender": [split.speakers[speaker].gender for speaker in split.assigned],
            "Split_Set": split.name,
        }
    )


def _detailed(split: Split) -> pd.DataFrame:
    drawn = split.utterances
    lines = [
        f"WORKER{rater:08d}; {SPELLING[vote]}; {SPELLING[vote]}; A:{a:.6f}; V:{v:.6f}; D:{d:.6f};"
        for rater, vote, (a, v, d) in zip(
            drawn.raters.ravel() + 1, drawn.votes.ravel(), drawn.ratings.reshape(-1, 3), strict=True
        )
    ]
    return pd.DataFrame({"FileName": np.repeat(split.files, drawn.raters.shape[1]), "EmoDetail": lines})


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
