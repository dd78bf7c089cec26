"""What the encoders of a system compute from each utterance and no training step changes: once, kept on disk.

`FrozenEncoders` gives `Features` of the rows of a table; `sercore.batches` adds labels and collates them.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sercore import audio
from sercore.cache import Ragged, stored
from sercore.corpus import some
from sercore.disk import cache_folder, readable
from sercore.encoders import DEVICE, SpeakerEncoder, TextEncoder, choose_kernels
from sercore.hub import encoder_config, pretrained, quieten
from sercore.network.encoders import HIDDEN_STATES, SPECTROGRAMS, WHISPER_STRIDE, AudioInputs, SpeechEncoder, TextInputs
from sercore.params import Params, ParamsError

SMALLEST = 1e-5  # standard deviation below which a channel counts as constant
BATCH = 1 if DEVICE.type == "cpu" else 16  # utterances whose speech features are computed at once, to be kept


@dataclass(frozen=True)
class Features(Dataset[dict[str, Tensor]]):
    """For each row of a table, in its order, the arguments of `AttributeModel.forward` that are not labels.

    ``speech``: output of the speech encoder's frozen part, as on disk (frames, ...) a row; if None, every step computes
    it, from Whisper's ``spectrograms`` (columns, mel bins) a row, or from the audio of ``paths``, cut after
    ``max_seconds`` and prepared by ``inputs``. ``text``, ``speaker``: an embedding (1, width) a row. ``tokens``: what a
    fine-tuned text encoder takes in place of ``text``, (tokens,) a row.
    """

    paths: list[Path]
    max_seconds: float
    inputs: AudioInputs
    speech: Sequence[np.ndarray] | None = None
    spectrograms: Sequence[np.ndarray] | None = None
    text: Sequence[np.ndarray] | None = None
    tokens: list[Tensor] | None = None
    speaker: Sequence[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        example = {}
        if self.speech is not None:
            example["features"] = torch.tensor(self.speech[index])
        elif self.spectrograms is not None:
            spectrogram = torch.tensor(self.spectrograms[index])
            example |= {"audio": spectrogram, "samples": torch.tensor(len(spectrogram) // 2 * WHISPER_STRIDE)}
        else:
            waveform = audio.load(self.paths[index], self.max_seconds)
            example |= {"audio": self.inputs(waveform), "samples": torch.tensor(len(waveform))}
        if self.tokens is not None:
            example["tokens"] = self.tokens[index]
        embeddings = {"text": self.text, "speaker_embedding": self.speaker}
        return example | {name: torch.tensor(of[index][0]) for name, of in embeddings.items() if of is not None}

    @property
    def workers(self) -> int:
        """Processes that prepare audio while a GPU computes; none where it is on disk as it is needed."""
        prepared = DEVICE.type == "cpu" or self.speech is not None or self.spectrograms is not None
        return 0 if prepared else min(8, os.cpu_count() or 1, len(self) // 64)

    def digests(self) -> dict[str, str]:
        """Digest of what each cached embedding was computed from: another encoder, text or audio gives another one."""
        cached = {"text": self.text, "speaker": self.speaker}
        return {name: part.folder.name for name, part in cached.items() if isinstance(part, Ragged)}


class FrozenEncoders:
    """A system's encoders: called with a table, they give its `Features`; `ParamsError` if one cannot be loaded."""

    def __init__(self, params: Params, speech: SpeechEncoder) -> None:
        self.params, self.speech = params, speech
        self.inputs = pretrained(AudioInputs, params.speech.encoder)
        self.text: TextInputs | TextEncoder | None = None
        if params.text:
            name = params.text.encoder
            self.text = pretrained(TextInputs, name) if params.text.finetune else TextEncoder(name)
        self.speaker = SpeakerEncoder(params.speaker.encoder) if params.speaker else None

    def __call__(self, table: pd.DataFrame, *, cached: bool = True) -> Features:
        """The features of each row of a table with a corpus's ``path``, ``duration``, ``transcript`` and, only to
        normalise each speaker, ``speaker``; `cached`: kept in ``data/cache``, or read from there.

        `ParamsError` if each speaker is to be normalised, but the features are not kept; `AudioError` if a file cannot
        be used, or is too short for the speech encoder. `UserWarning` if utterances are longer than
        ``speech.max_seconds``, if a system with text gets none for some, or if the disk has no room for what is best
        kept of speech; in its place is what `SpeechEncoder.kept` names next, or every step computes it.
        """
        self.require_frames(table["duration"])
        paths, seconds = list(table["path"]), self.params.speech.max_seconds
        if len(long := table.index[table["duration"] > seconds]):
            problem = f"{len(long)} of {len(table)} utterances are longer than {seconds:g} s"
            remedy = "predict with windows, or train with a larger speech.max_seconds, to use all"
            warnings.warn(f"{problem}, and only that much is used of each: {some(long)}; {remedy}.", stacklevel=2)
        root = cache_folder() if cached else None
        text, tokens, speaker = None, None, None
        name, kept = self._kept(table, root) if root and self.params.speech.cache else ("", None)
        if self.params.speech.per_speaker:
            best = kept if name == next(iter(self.speech.kept)) else None
            kept = SpeakerNormalised(require_kept(best, "speech.per_speaker"), table["speaker"])
        speech, spectrograms = (None, kept) if name == SPECTROGRAMS else (kept, None)
        texts = [text if isinstance(text, str) and text.strip() else None for text in table["transcript"]]
        if self.text and None in texts:
            count = f"{texts.count(None)} of {len(texts)} utterances"
            warnings.warn(f"{count} have no transcript: their text embeddings are zero.", stacklevel=2)
        if isinstance(self.text, TextInputs):
            tokens = self.text(texts)
        elif encoder := self.text:
            key = ["text", encoder.model.transformer, *(text or "" for text in texts)]
            text = stored(root, key, lambda start: encoder(texts)[start:])
        if x_vector := self.speaker:
            key = ["speaker", x_vector.model, str(seconds), *paths]
            load, compute = partial(audio.load, max_seconds=seconds), partial(map, x_vector)
            speaker = stored(root, key, lambda start: _computed("speaker embeddings", paths, start, load, compute))
        return Features(paths, seconds, self.inputs, speech, spectrograms, text, tokens, speaker)

    @property
    def beside(self) -> dict[str, nn.Module]:
        """Those that are no part of the model, by the section that names them."""
        frozen = {"text": self.text, "speaker": self.speaker}
        return {name: one.model for name, one in frozen.items() if not isinstance(one, TextInputs | None)}

    def require_frames(self, durations: pd.Series) -> None:
        """Raise `AudioError`, which names them, if utterances are too short for the speech encoder; index: names."""
        shortest = self.speech.shortest / audio.SAMPLE_RATE
        if len(short := durations.index[durations < shortest]):
            problem = f"{len(short)} utterances are shorter than a frame of {self.params.speech.encoder}"
            raise audio.AudioError(f"{problem} ({shortest:.3f} s): {some(short)}; remove them.")

    def _kept(self, table: pd.DataFrame, root: Path) -> tuple[str, Sequence[np.ndarray] | None]:
        """What is kept of speech, the first of `SpeechEncoder.kept` for which there is room, and its name."""
        params, speech, paths = self.params.speech, self.speech, list(table["path"])
        seconds = table["duration"].clip(upper=params.max_seconds).sum()
        settings = [str(params.finetune), params.encoder, str(params.max_seconds)]
        settings += [] if params.finetune else [str(speech.states == "layer_normalised"), "frames, layers, width"]
        names = list(speech.kept)
        for name, instead in zip(names, [*names[1:], ""], strict=True):
            key: list[str | nn.Module] = ["packed speech", speech.frozen, *settings]
            if name == SPECTROGRAMS:
                key = ["log-mel", self.inputs.extractor.to_json_string(), str(params.max_seconds)]
            kind = kept_as(name, self.params)
            size = speech.kept[name] * seconds * np.dtype(kind).itemsize
            kept = stored(root, [*key, *paths], partial(self._speech, name, paths), kind, size)
            if kept is not None:
                return name, kept
            free = f"{root} ({readable(shutil.disk_usage(root).free)} are free)"
            remedy = f"{instead} are kept instead" if instead else "every step computes them"
            warnings.warn(f"{name} take about {readable(size)}, too much for {free}: {remedy}.", stacklevel=3)
        return "", None

    def _speech(self, name: str, paths: Sequence[Path], start: int) -> Iterator[np.ndarray]:
        """Of each of `paths`, from number `start` on, what `SpeechEncoder.kept` calls `name`."""
        speech = self.speech.eval().to(DEVICE)

        def read(path: Path) -> tuple[np.ndarray, int]:
            waveform = audio.load(path, self.params.speech.max_seconds)
            return self.inputs(waveform).numpy(), len(waveform)

        def compute(batch: Sequence[tuple[np.ndarray, int]]) -> Iterable[np.ndarray]:
            if name == SPECTROGRAMS:
                return [spectrogram for spectrogram, _ in batch]
            inputs = pad_sequence([torch.from_numpy(one) for one, _ in batch], batch_first=True).to(DEVICE)
            features, frames = speech.frozen_part(inputs, torch.tensor([count for _, count in batch], device=DEVICE))
            return [one.numpy() for one in features.cpu().split(frames.tolist())]

        return _computed(name, paths, start, read, compute)


def kept_as(name: str, params: Params) -> str:
    """The type of the numbers of what `SpeechEncoder.kept` calls `name`. A frozen encoder gives half precision, which
    keeps more digits than the bfloat16 in which other runs compute."""
    exact = name != HIDDEN_STATES and params.training.precision == "float32"
    return "float32" if exact else "float16"


def _computed(
    what: str, paths: Sequence[Path], start: int, read: Callable[[Path], Any], compute: Callable[[list], Iterable]
) -> Iterator[np.ndarray]:
    """The array that `compute`, given a batch of what `read` gives, makes of each of `paths`, from number `start` on;
    `what` names them in the progress bar. Processes, one a core, read; without a GPU they compute as well."""

    def prepared(batch: Sequence[Path]) -> Any:
        contents = [read(path) for path in batch]
        return list(compute(contents)) if DEVICE.type == "cpu" else contents

    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    workers = min(cores, len(paths) // 100) if cores > 1 else 0  # which take a while to start
    options: dict[str, Any] = {"multiprocessing_context": "fork"} if workers else {}
    files: Any = paths[start:]
    with tqdm(total=len(paths), initial=start, desc=what) as bar:
        for batch in DataLoader(files, BATCH, collate_fn=prepared, num_workers=workers, **options):
            for array in batch if DEVICE.type == "cpu" else compute(batch):
                yield array
                bar.update()


class SpeakerNormalised(Sequence[np.ndarray]):
    r"""Features of which each channel has, over all frames of a speaker, the mean and spread that all speech has.

    .. math:: x' = \mu + \sigma \frac{x - \mu_s}{\sigma_s}

    with mean and standard deviation of the channel over the frames of speaker :math:`s`, and over those of all
    utterances of known speakers, so that an encoder still gets the numbers that it knows. It is transductive: what an
    utterance becomes depends on the other utterances of its speaker, of the test split too, though on no label. Of a
    speaker of one utterance the mean of the utterance is lost. Unknown speakers' utterances stay as they are.

    `features` has an array (frames, ...) for each utterance; `speakers` is missing where unknown.
    """

    def __init__(self, features: Sequence[np.ndarray], speakers: pd.Series) -> None:
        self.features, (self.owner, names) = features, pd.factorize(speakers)
        rows = [np.flatnonzero(self.owner == owner).tolist() for owner in range(len(names))]
        own = [moments(features[row] for row in each) for each in rows]
        mean, deviation = moments(features[row] for each in rows for row in each)
        self.scale = [np.where(each > SMALLEST, deviation / each, 1.0) for _, each in own]
        self.shift = [mean - scale * each for scale, (each, _) in zip(self.scale, own, strict=True)]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # nobody slices
        owner, values = self.owner[index], self.features[index]
        return values if owner < 0 else (values * self.scale[owner] + self.shift[owner]).astype(values.dtype)


def require_kept(speech: Sequence[np.ndarray] | None, option: str) -> Sequence[np.ndarray]:
    """`speech` features; `ParamsError`, which names the `option` that takes moments of them, if they were not kept."""
    if speech is None:
        remedy = "set speech.cache: true, and make room in data/cache where its disk is full"
        raise ParamsError(f"{option} takes moments of all features, so they must be kept: {remedy}.")
    return speech


def moments(features: Iterable[np.ndarray]) -> np.ndarray:
    """Mean and standard deviation, at least `SMALLEST`, of each channel over all frames of (frames, ...): (2, ...)."""
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for values in features:
        count += len(values)
        total = total + values.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(values, dtype=np.float64).sum(axis=0)
    mean = total / max(count, 1)
    return np.stack([mean, np.sqrt(np.maximum(squares / max(count, 1) - mean**2, SMALLEST**2))])


def pretrained_features(params: Params, table: pd.DataFrame) -> Features:
    """The features of the rows of a corpus's table before any training, kept in ``data/cache``."""
    quieten()
    choose_kernels(params.training.deterministic)
    speech = SpeechEncoder(encoder_config(params.speech.encoder), params.speech.finetune, states=params.speech.states)
    pretrained(speech.load_pretrained, params.speech.encoder)
    return FrozenEncoders(params, speech)(table)
