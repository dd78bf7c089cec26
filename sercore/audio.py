"""An audio file as mono float32 at 16 kHz, and its duration without decoding it."""

import contextlib
import math
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from sercore import InputError
from sercore.containers import UNKNOWN, ogg_ends, promised_and_held
from sercore.network.conventions import SAMPLE_RATE

FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "FLAC", "MP3", "OGG")
"""Of those that libsndfile reads, the ones in which this module tells a cut file from a whole one."""
LOUDEST = 8.0  # the highest peak, where 1 is full scale: floating point may overshoot it, int16's range is 32,768
CLIPPED = 0.01  # the share of samples at full scale beyond which a recording is clipped
SILENT = 1e-4  # the standard deviation (-80 dB of full scale) below which a recording has no speech


class AudioError(InputError):
    """A file that holds no usable audio; the message names the file and says what to do."""


def load(path: Path | str, max_seconds: float = math.inf) -> np.ndarray:
    """Read one utterance, in any of `FORMATS`: float32 (samples,) at 16 kHz.

    Channels are averaged, without those 40 dB below the loudest; other sampling rates are resampled (soxr); what lies
    beyond `max_seconds` is cut: 1 <= samples <= 16,000 * `max_seconds`.

    `AudioError` if the file is missing, empty, truncated or not audio; if its samples are none, not all finite, beyond
    `LOUDEST`, or cancel each other out. `UserWarning` if it is clipped, silent, or has a silent channel.
    """
    samples, rate = _read(path, max_seconds)
    mono = _mono(samples, path)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    mono = mono[: int(min(len(mono), max_seconds * SAMPLE_RATE))]
    if not len(mono):
        raise AudioError(f"{path} is shorter than one sample at 16 kHz: replace the file or remove its row.")
    return mono


def duration(path: Path | str) -> float:
    """Length of a file in seconds, from its header and end; `AudioError` if it is cut, unless no length is promised."""
    frames, rate = _inspect(path)
    return frames / rate


def levels(path: Path | str, max_seconds: float = 15.0) -> tuple[float, float]:
    """Standard deviation of the loudest channel, where 1 is full scale, and share of clipped samples in the worst."""
    samples, _ = _read(path, max_seconds)
    return float(samples.std(axis=0).max()), float((np.abs(samples) >= 0.9999).mean(axis=0).max())


def _read(path: Path | str, max_seconds: float) -> tuple[np.ndarray, int]:
    """Samples (frames, channels), one or more, float32 and finite, and their rate."""
    frames, rate = _inspect(path)
    wanted = max(1, int(min(frames, max_seconds * rate)))
    try:
        with open(path, "rb", buffering=0) as file, _open(file) as sound:
            samples = sound.read(wanted, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path} cannot be decoded ({error.error_string.rstrip('.')}): replace the file.") from error
    if len(samples) < wanted:
        raise AudioError(f"{path} is truncated ({len(samples):,} of {wanted:,} samples are there): copy it again.")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} has samples that are NaN or infinite: replace the file.")
    return samples, rate


def _mono(samples: np.ndarray, path: Path | str) -> np.ndarray:
    """Mean (samples,) of the channels (samples, channels) that have sound."""
    if (peak := np.abs(samples).max()) > LOUDEST:
        remedy = "scale its samples to the range -1 to 1 (int16's by 1/32768)"
        raise AudioError(f"{path} has a peak of {peak:.5g}, where full scale is 1: {remedy}.")
    if (np.abs(samples) >= 0.9999).mean(axis=0).max() > CLIPPED:
        problem = f"is clipped: more than {CLIPPED:.0%} of its samples are at full scale"
        warnings.warn(f"{path} {problem}; record or export it lower.", stacklevel=3)
    power = samples.var(axis=0, dtype=np.float64)  # without what is constant
    if power.max() < SILENT**2:
        warnings.warn(f"{path} is silent: what is predicted for it means nothing.", stacklevel=3)
        return samples.mean(axis=1)
    live = power > 1e-4 * power.max()
    if not live.all():
        warnings.warn(f"{path} has {(~live).sum()} silent of {len(live)} channels, which are left out.", stacklevel=3)
    mono = samples[:, live].mean(axis=1)
    # Unrelated channels leave 1 / channels of their power.
    if mono.var(dtype=np.float64) < 0.2 * power[live].mean() / live.sum():
        raise AudioError(f"{path} has channels that cancel each other out: invert one of them, or keep only one.")
    return mono


def _inspect(path: Path | str) -> tuple[int, int]:
    """Samples of a channel and their rate, once it is certain that the end of the file is there."""
    try:
        if not Path(path).is_file():
            raise AudioError(f"{path} does not exist, or is a folder or a device: restore the file or remove its row.")
        with open(path, "rb", buffering=0) as file:
            return _length(path, file)
    except OSError as error:
        raise AudioError(f"{path} cannot be opened ({error.strerror}): correct path, permission or header.") from None


def _length(path: Path | str, file: BinaryIO) -> tuple[int, int]:
    if not file.seek(0, 2):
        raise AudioError(f"{path} is empty (0 bytes): replace the file.")
    if not ogg_ends(file.fileno()):
        raise AudioError(f"{path} is truncated (the end of its stream is missing): copy it again.")
    sizes = promised_and_held(file.fileno())
    if sizes and sizes[0] != sizes[1]:
        lengths = f"its header promises {sizes[0]:,} bytes of sound and it holds {sizes[1]:,}"
        raise AudioError(f"{path} is {'damaged' if sizes[0] < sizes[1] else 'truncated'} ({lengths}): copy it again.")
    try:
        with _open(file) as sound:
            frames, rate, form = sound.frames, sound.samplerate, sound.format
            if form != "MP3" and sound.subtype.startswith("MPEG"):
                form = f"MP3 in {form}"
    except soundfile.LibsndfileError as error:
        problem = f"is not audio that libsndfile can read ({error.error_string.rstrip('.')})"
        raise AudioError(f"{path} {problem}: replace it, or convert it to WAV.") from error
    if form == "MP3" and not sizes:
        form = "MP3 without a Xing header"
    if form not in FORMATS:
        raise AudioError(f"{path} is {form}, in which a cut file would go unnoticed: convert it to WAV or FLAC.")
    if not 4_000 <= rate <= 768_000:
        raise AudioError(f"{path} has a sampling rate of {rate} Hz: correct its header or replace the file.")
    if frames > UNKNOWN:
        raise AudioError(f"{path} does not tell its length (was it written to a pipe?): convert it to a new {form}.")
    if form == "FLAC" and not _ends(file, frames):
        raise AudioError(f"{path} is truncated (the end of its stream is missing): copy it again.")
    if frames == 0:
        raise AudioError(f"{path} has a header but no samples: replace the file or remove its row.")
    return frames, rate


def _open(file: BinaryIO) -> soundfile.SoundFile:
    """By number, not by name: soundfile believes a suffix .raw, and refuses a name that is not UTF-8."""
    file.seek(0)
    return soundfile.SoundFile(file.fileno(), closefd=False)


def _ends(file: BinaryIO, frames: int) -> bool:
    """Whether the last of the `frames` samples can be decoded."""
    last = min(frames, 4096)
    with contextlib.suppress(soundfile.SoundFileError), _open(file) as sound:
        sound.seek(frames - last)
        return len(sound.read(last)) == last
    return False
