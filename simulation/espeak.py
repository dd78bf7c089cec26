"""Speech by eSpeak NG, called through the library that the package ``espeakng-loader`` ships.

eSpeak NG keeps state from one utterance to the next. Here every utterance is spoken by a process of its own, forked
from one that has initialised the library and never spoken: its samples depend on its prompt alone, whatever was spoken
before it and however many processes share the work. The calling process neither loads the library nor is forked, so
that notebooks and programs with threads can call `synthesise`.
"""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from sercore.audio import SAMPLE_RATE

UNSTABLE_VARIANTS = ("Alicia", "f2", "f3", "f5", "Reed", "sandro", "victor")
"""Variants of eSpeak NG's voices that sound different in every process; `Prompt` refuses them."""

_LIMITS = {"pitch": (0, 100), "range": (0, 100), "rate": (80, 450), "volume": (0, 200)}

# Constants of eSpeak NG's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4}
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Prompt:
    """One utterance to speak; `ValueError` for a number outside its range, or one of `UNSTABLE_VARIANTS`."""

    text: str
    voice: str  # eSpeak NG's voice with its variant, e.g. en-us+m3
    pitch: int  # base pitch, 0 to 100 (eSpeak NG's default is 50)
    range: int  # of the intonation, 0 (monotone) to 100 (default 50)
    rate: int  # words a minute, 80 to 450 (default 175)
    volume: int  # amplitude in per cent of eSpeak NG's default, 0 to 200

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} {getattr(self, name)} of {self.text!r} is not in {low} to {high}.")
        if self.voice.partition("+")[2] in UNSTABLE_VARIANTS:
            raise ValueError(f"voice {self.voice!r} sounds different in every process: choose another variant.")


def synthesise(prompts: Sequence[Prompt], processes: int | None = None) -> Iterator[np.ndarray]:
    """Speak `prompts`: an int16 array of shape (samples,) at 16 kHz for each, in their order.

    So many `processes` share the work, by default one a core; the samples do not depend on it. `RuntimeError` if
    ``espeakng-loader`` is not installed, a voice is unknown, or eSpeak NG failed.
    """
    count = min(processes or os.cpu_count() or 1, len(prompts))
    servers = [_start_server(prompts[first::count]) for first in range(count)]
    try:
        for number in range(len(prompts)):
            yield _receive(servers[number % count])
    finally:
        for server in servers:
            server.kill()
            for pipe in filter(None, (server.stdout, server.stderr)):
                pipe.close()


def _start_server(prompts: Sequence[Prompt]) -> subprocess.Popen:
    pipe = subprocess.PIPE
    server = subprocess.Popen([sys.executable, "-P", __file__], stdin=pipe, stdout=pipe, stderr=pipe)
    assert server.stdin
    with server.stdin:
        server.stdin.write(json.dumps([asdict(prompt) for prompt in prompts]).encode())
    return server


def _receive(server: subprocess.Popen) -> np.ndarray:
    assert server.stdout
    assert server.stderr
    size = int.from_bytes(server.stdout.read(4), "little")
    content = server.stdout.read(size)
    if not size or len(content) < size:
        reason = server.stderr.read().decode(errors="replace").strip().splitlines()
        raise RuntimeError(reason[-1] if reason else "eSpeak NG ended without a word.")
    return np.frombuffer(content, dtype=np.int16)


def _serve() -> None:
    """Read prompts from standard input and write, for each, the number of bytes (uint32) and the samples."""
    prompts = json.load(sys.stdin)
    try:
        import espeakng_loader
    except ImportError:
        sys.exit("eSpeak NG's library is not installed: pip install 'sercore[embedded]'.")
    data = Path(espeakng_loader.get_data_path())
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data), 0)
    if rate <= 0:
        sys.exit(f"eSpeak NG cannot read its data in {data}: reinstall espeakng-loader.")
    library.espeak_ListVoices(None)  # reads the voices' files once, instead of in every child
    for prompt in prompts:
        # eSpeak NG takes an unknown variant for none.
        if not (data / "voices" / "!v" / prompt["voice"].partition("+")[2]).exists():
            sys.exit(f"eSpeak NG has no voice {prompt['voice']!r}.")
        child = os.fork()
        if child == 0:
            _answer(prompt, library, rate)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit(f"eSpeak NG could not speak {prompt['text']!r} with the voice {prompt['voice']!r}.")


def _answer(prompt: dict, library: ctypes.CDLL, rate: int) -> None:
    """Speak one prompt, write it, and end this process."""
    chunks = []

    @_CALLBACK
    def keep(samples: Any, count: int, _events: int) -> int:  # a pointer to 16-bit samples
        if samples and count:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    text = prompt["text"].encode()
    library.espeak_SetSynthCallback(keep)
    failed = library.espeak_SetVoiceByName(prompt["voice"].encode())
    for name, number in _PARAMETERS.items():
        failed = failed or library.espeak_SetParameter(number, prompt[name], 0)
    failed = failed or library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _CHARS_UTF8, None, None)
    if failed:
        os._exit(1)
    samples = soxr.resample(np.frombuffer(b"".join(chunks), dtype=np.int16), rate, SAMPLE_RATE)
    sys.stdout.buffer.write(samples.nbytes.to_bytes(4, "little") + samples.tobytes())
    sys.stdout.flush()
    os._exit(0 if len(samples) else 1)


if __name__ == "__main__":
    _serve()
