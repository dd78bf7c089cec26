"""eSpeak NG: the samples of an utterance depend on its prompt alone, and follow it."""

import random
import subprocess
import sys

import numpy as np
import pytest

from sercore.audio import SAMPLE_RATE
from simulation import espeak
from simulation.espeak import Prompt, synthesise

VOICES = ("en-us+m3", "en-us+f4", "en-gb-x-rp+Annie", "en-us+klatt2")
PROMPTS = [
    Prompt(f"We waited {number} days for the letter.", voice, 20 + 9 * number, 12 * number, 120 + 20 * number, 100)
    for voice in VOICES
    for number in range(5)
]


def speak(**changes) -> np.ndarray:
    prompt = {"text": "Why did nobody tell me?", "voice": "en-us+m3", "pitch": 50, "range": 50} | changes
    return next(synthesise([Prompt(**({"rate": 170, "volume": 100} | prompt))]))


def pitch(samples: np.ndarray) -> float:
    """Median over frames of the highest peak of the autocorrelation between 60 and 500 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 1024)[::256]
    loud = frames[frames.std(axis=1) > 0.5 * samples.std()]
    power = np.abs(np.fft.rfft(loud - loud.mean(axis=1, keepdims=True), 4096)) ** 2
    correlation = np.fft.irfft(power)[:, 32:267]
    return float(np.median(SAMPLE_RATE / (32 + correlation.argmax(axis=1))))


def test_samples_depend_neither_on_order_nor_on_processes():
    order = random.Random(0).sample(range(len(PROMPTS)), len(PROMPTS))
    alone = [next(synthesise([prompt])) for prompt in PROMPTS]
    together = list(synthesise(PROMPTS, processes=1))
    shuffled = list(synthesise([PROMPTS[number] for number in order], processes=3))
    for number, samples in enumerate(alone):
        assert np.array_equal(samples, together[number])
        assert np.array_equal(samples, shuffled[order.index(number)])


def test_speech_follows_its_prompt():
    assert pitch(speak(pitch=80)) > 1.3 * pitch(speak(pitch=20))
    assert len(speak(rate=300)) < 0.75 * len(speak(rate=150))
    assert speak(volume=50).std() < 0.7 * speak(volume=100).std()
    assert pitch(speak(voice="en-us+f4")) > 1.2 * pitch(speak(voice="en-us+m3"))
    assert not np.array_equal(speak(), speak(text="Why did nobody tell us?"))


def test_speech_is_audible_and_does_not_clip():
    for samples in synthesise(PROMPTS):
        assert samples.dtype == np.int16
        assert 0.5 < len(samples) / SAMPLE_RATE < 6
        assert 100 < np.abs(samples.astype(int)).max() < 32_767


@pytest.mark.parametrize("changes", [{"pitch": 101}, {"rate": 79}, {"volume": -1}, {"voice": "en-us+f2"}])
def test_prompt_refuses_what_espeak_cannot_do_reproducibly(changes):
    with pytest.raises(ValueError, match=r"is not in|different in every process"):
        speak(**changes)


@pytest.mark.parametrize("voice", ["xx-nowhere+m1", "en-us+nobody"])
def test_unknown_voice_is_named(voice):
    with pytest.raises(RuntimeError, match=voice.replace("+", r"\+")):
        speak(voice=voice)


def test_absent_library_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"pip install 'sercore\[embedded\]'"):
        speak()


def test_server_loads_no_heavy_library():
    script = f"import sys, runpy; runpy.run_path({espeak.__file__!r}); print({{'torch', 'pandas'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"


def test_no_prompts_is_no_speech():
    assert list(synthesise([])) == []
