"""An audio file as mono float32 at 16 kHz, and its duration without decoding it."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000


class AudioError(ValueError):
    """A file that holds no usable audio; the message names the file and says what to do."""


def load(path: Path | str, max_seconds: float) -> np.ndarray:
    """Read one utterance, in any format that libsndfile reads: float32 (samples,) at 16 kHz.

    Channels are averaged, other sampling rates are resampled (soxr), and what lies beyond `max_seconds` is cut, which
    leaves 1 <= samples <= 16,000 * `max_seconds`.

    Raises:
        AudioError: the file is missing, empty, truncated or not audio, or its samples are none or not all finite.
    """
    info = _inspect(path)
    try:
        samples, rate = soundfile.read(path, frames=int(max_seconds * info.samplerate), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path} cannot be decoded ({error.error_string.rstrip('.')}): replace the file.") from error
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} has samples that are NaN or infinite: replace the file.")
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)[: int(max_seconds * SAMPLE_RATE)]
    if not len(mono):
        raise AudioError(f"{path} is shorter than one sample at 16 kHz: replace the file or remove its row.")
    return mono


def duration(path: Path | str) -> float:
    """Length of a file in seconds, from its header; raises `AudioError` as `load` does."""
    info = _inspect(path)
    return info.frames / info.samplerate


def durations(paths: Iterable[Path | str]) -> list[float]:
    """Lengths of many files in seconds, headers read in parallel; raises `AudioError` as `load` does."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(duration, paths))


def _inspect(path: Path | str) -> soundfile._SoundFileInfo:
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path} does not exist: restore the audio file or remove its row.")
    if path.stat().st_size == 0:
        raise AudioError(f"{path} is empty (0 bytes): replace the file.")
    try:
        info = soundfile.info(path, verbose=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise AudioError(f"{path} is not audio that libsndfile can read ({reason}): replace the file.") from error
    # libsndfile shortens a truncated WAV in silence; only its log tells ("data : 64000 (should be 1234)").
    # A header written to a pipe promises 0xFFFFFFFF bytes and means "until the end".
    promised = re.search(r"^data : (\d+) \(should be (\d+)\)", info.extra_info, re.MULTILINE)
    if promised and int(promised[2]) < int(promised[1]) < 0xFFFFFF00:
        raise AudioError(f"{path} is truncated (its header promises more audio than it holds): copy it again.")
    if info.frames == 0:
        raise AudioError(f"{path} has a header but no samples: replace the file or remove its row.")
    return info
