"""The simulated speech that the small encoders learn from, and how it is varied while they do.

Speakers, voices, texts and seed are others than the simulated corpus'. The speech is spoken once and kept in ``data/``.
"""

import math
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor
from tqdm import tqdm

from sercore.audio import SAMPLE_RATE
from sercore.disk import complete_file
from simulation.espeak import Prompt, synthesise
from simulation.grammar import pretraining_sentence
from simulation.population import Speaker, draw_speakers

SPEAKERS = 200
UTTERANCES_A_SPEAKER = 12
TRACT = 0.18  # largest change (ln) of all frequencies of a speaker: there are more speakers than voices
HELD_OUT = 5  # every fifth speaker is held out for measurement


@dataclass(frozen=True)
class Pool:
    """Utterances by speaker: float32 of shape (samples,) in -1 to 1 at 16 kHz."""

    speakers: dict[int, list[Tensor]]

    def split(self) -> tuple["Pool", "Pool"]:
        """The speakers to learn from, and those to measure on."""
        held_out = {number: each for number, each in self.speakers.items() if number % HELD_OUT == 0}
        learnt = {number: each for number, each in self.speakers.items() if number not in held_out}
        return Pool(learnt), Pool(held_out)

    def talk(self, rows: int, samples: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Audio (rows, samples) of randomly drawn speakers who fill a row each with their utterances end to end, and
        which of `speakers` speaks, int64 (rows,)."""
        chosen = torch.randint(len(self.speakers), (rows,), generator=draw)
        utterances = list(self.speakers.values())
        return torch.stack([_fill(utterances[index], samples, draw) for index in chosen]), chosen


def load(folder: Path, seed: int) -> Pool:
    """The pool that `seed` determines, from a file in `folder` if what is to be spoken is there already."""
    generator = np.random.default_rng(seed)
    speakers = draw_speakers(generator, SPEAKERS, "pretraining")
    prompts = [_prompt(generator, speaker) for speaker in speakers for _ in range(UTTERANCES_A_SPEAKER)]
    tracts = np.exp(generator.uniform(-TRACT, TRACT, SPEAKERS)).repeat(UTTERANCES_A_SPEAKER)
    digest = blake2b(repr((prompts, tracts.tolist())).encode(), digest_size=8).hexdigest()
    cache = folder / f"pretraining-{digest}.npz"
    if not cache.is_file():
        spoken = tqdm(synthesise(prompts), total=len(prompts), desc="speaking", unit="utterance")
        audio = [
            soxr.resample(samples, SAMPLE_RATE, SAMPLE_RATE * tract)
            for samples, tract in zip(spoken, tracts, strict=True)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        lengths = [len(samples) for samples in audio]
        complete_file(cache, lambda partial: np.savez(partial, samples=np.concatenate(audio), lengths=lengths))
    with np.load(cache) as content:
        samples = torch.from_numpy(content["samples"].astype(np.float32) / 32_768)
        utterances = samples.split(content["lengths"].tolist())
    starts = range(0, len(utterances), UTTERANCES_A_SPEAKER)
    return Pool({number: list(utterances[start : start + UTTERANCES_A_SPEAKER]) for number, start in enumerate(starts)})


def vary(audio: Tensor, draw: torch.Generator, speed: float, colour: float) -> tuple[Tensor, Tensor]:
    """Rows of `audio` (rows, samples) with speed and pitch together, colour and loudness changed at random, without and
    with noise, both of shape (rows, samples / exp(speed)).

    The ranges are wide, so that an encoder trained on one synthesiser accepts real recordings. `speed` is the largest
    change of the speed, as a natural logarithm; 0 keeps the voices as they are. `colour` is the standard deviation of
    each of the four waves of the frequency response, in dB.
    """
    clean = _equalise(_change_speed(audio, draw, speed), draw, colour)
    clean = (clean * 10 ** (_uniform(-18, 14, len(audio), draw) / 20)).clamp(-1, 1)
    return clean, clean + _noise(clean, draw)


def _prompt(generator: np.random.Generator, speaker: Speaker) -> Prompt:
    """Something said in a wider variety of ways than the corpus' speakers have."""
    return Prompt(
        text=pretraining_sentence(generator)[:-1] + ".?!"[generator.integers(3)],
        voice=speaker.voice,
        pitch=int(np.clip(generator.normal(speaker.pitch, 8), 0, 100)),
        range=int(generator.integers(5, 100)),
        rate=int(generator.integers(110, 290)),
        volume=int(generator.integers(25, 180)),
    )


def _fill(utterances: list[Tensor], samples: int, draw: torch.Generator) -> Tensor:
    """One row that begins anywhere in the first of random utterances."""
    first = utterances[int(torch.randint(len(utterances), (1,), generator=draw))]
    parts = [first[int(torch.randint(len(first), (1,), generator=draw)) :]]
    while sum(map(len, parts)) < samples:
        parts.append(utterances[int(torch.randint(len(utterances), (1,), generator=draw))])
    return torch.cat(parts)[:samples]


def _change_speed(audio: Tensor, draw: torch.Generator, speed: float) -> Tensor:
    """Linear interpolation at a rate of its own for each row, as of a tape that runs faster or slower."""
    samples = int(audio.shape[1] / math.exp(speed))
    places = torch.exp(_uniform(-speed, speed, len(audio), draw)) * torch.arange(samples)
    before = places.long().clamp(max=audio.shape[1] - 2)
    return torch.lerp(audio.gather(1, before), audio.gather(1, before + 1), (places - before).clamp(0, 1))


def _equalise(audio: Tensor, draw: torch.Generator, colour: float) -> Tensor:
    """A smooth random response, as microphones and rooms have; every third row loses its upper band as well."""
    frequency = torch.linspace(0, 1, audio.shape[1] // 2 + 1)
    waves = torch.cos(math.pi * torch.arange(1, 5)[:, None] * frequency.sqrt())
    decibels = colour * torch.randn(len(audio), 4, generator=draw) @ waves
    cut = torch.where(_uniform(0, 3, len(audio), draw) < 1, _uniform(0.4, 1, len(audio), draw), 2)
    decibels = decibels - 80 * ((frequency - cut) / 0.05).clamp(0, 1)
    return torch.fft.irfft(torch.fft.rfft(audio) * 10 ** (decibels / 20), n=audio.shape[1])


def _noise(audio: Tensor, draw: torch.Generator) -> Tensor:
    """Noise between white and pink, 5 to 50 dB below the rows of `audio`."""
    frequency = torch.linspace(0, 1, audio.shape[1] // 2 + 1)
    tilt = (frequency + 0.02) ** -_uniform(0, 0.7, len(audio), draw)
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn(audio.shape, generator=draw)) * tilt, n=audio.shape[1])
    level = audio.std(1, keepdim=True) * 10 ** (-_uniform(5, 50, len(audio), draw) / 20)
    return noise / noise.std(1, keepdim=True) * level


def _uniform(low: float, high: float, rows: int, draw: torch.Generator) -> Tensor:
    return torch.empty(rows, 1).uniform_(low, high, generator=draw)
