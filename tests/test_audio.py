"""Audio: what is read is mono at 16 kHz, and every unusable file is refused in one sentence that names it."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sercore import audio


def sine(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def test_16_khz_pcm_is_read_exactly(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 4000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    np.testing.assert_array_equal(audio.load(tmp_path / "a.wav", 15), samples.astype(np.float32) / 2**15)


def test_stereo_at_44_1_khz_becomes_the_mean_channel_at_16_khz(tmp_path):
    left, right = sine(1.0, 44_100, 440), sine(1.0, 44_100, 1000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 44_100, subtype="FLOAT")
    loaded = audio.load(tmp_path / "a.wav", 15)
    expected = (sine(1.0, 16_000, 440) + sine(1.0, 16_000, 1000)) / 2
    assert loaded.dtype == np.float32
    assert loaded.shape == expected.shape
    np.testing.assert_allclose(loaded[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_34_seconds_are_cut_at_15(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", sine(34, rate), rate)
    assert audio.load(tmp_path / "a.wav", 15).shape == (15 * 16_000,)
    assert audio.duration(tmp_path / "a.wav") == 34


@given(
    rate=st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    frames=st.integers(3, 60_000),
    max_seconds=st.floats(0.01, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_length_is_within_a_sample_of_the_shorter_of_file_and_limit(tmp_path, rate, frames, max_seconds):
    soundfile.write(tmp_path / "a.wav", np.zeros(frames), rate)
    length = len(audio.load(tmp_path / "a.wav", max_seconds))
    assert abs(length - 16_000 * min(frames / rate, max_seconds)) < 16_000 / rate + 1
    assert length in range(1, int(16_000 * max_seconds) + 1)


def test_less_than_one_sample_at_16_khz_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(1), 48_000)
    with pytest.raises(audio.AudioError, match=r"a\.wav is shorter than one sample"):
        audio.load(tmp_path / "a.wav", 15)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_duration_needs_no_decoding_and_knows_other_formats(tmp_path, name):
    soundfile.write(tmp_path / name, sine(1.25, 16_000), 16_000)
    assert audio.duration(tmp_path / name) == pytest.approx(1.25)


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def not_audio(path: Path) -> None:
    path.write_text("This is a letter, not a sound.\n" * 100)


def header_alone(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 16_000)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (missing, "does not exist"),
        (empty, "is empty"),
        (truncated, "is truncated"),
        (not_audio, "is not audio"),
        (header_alone, "is not audio|is truncated|no samples"),
        (no_samples, "no samples"),
    ],
)
def test_a_damaged_file_is_refused_by_name_whether_loaded_or_measured(tmp_path, damage, sentence):
    path = tmp_path / "damaged.wav"
    soundfile.write(path, sine(1, 16_000), 16_000)
    damage(path)
    for use in (audio.duration, lambda path: audio.load(path, 15)):
        with pytest.raises(audio.AudioError, match=rf"damaged\.wav.*({sentence})") as error:
            use(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    samples = sine(1, 16_000)
    samples[100] = value
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(audio.AudioError, match=r"a\.wav has samples that are NaN or infinite"):
        audio.load(tmp_path / "a.wav", 15)


def test_a_wav_written_to_a_pipe_is_whole(tmp_path):
    """Its header promises 0xFFFFFFFF bytes, since the length was not known when it was written."""
    path = tmp_path / "piped.wav"
    soundfile.write(path, sine(1, 16_000), 16_000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert audio.duration(path) == pytest.approx(1.0)
