"""What is wrong with an audio file is said: cut, in another scale, clipped, silent, or with channels that cancel."""

import contextlib
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercore import audio
from sercore.corpora import emotale, files, manifest
from tests import faults

SECONDS = 0.5
CUTTABLE = [
    *[("WAV", subtype, endian) for subtype in ("PCM_16", "PCM_24", "FLOAT", "ULAW") for endian in ("LITTLE", "BIG")],
    *[("WAV", subtype, "FILE") for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16")],
    *[(name, "PCM_16", "FILE") for name in ("WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "NIST")],
    ("AU", "FLOAT", "LITTLE"),
    ("AIFF", "IMA_ADPCM", "FILE"),
    ("W64", "IMA_ADPCM", "FILE"),
    ("CAF", "ALAC_16", "FILE"),
    ("MP3", "MPEG_LAYER_III", "FILE"),
    ("OGG", "VORBIS", "FILE"),
    ("OGG", "OPUS", "FILE"),
]


def write(path: Path, samples: np.ndarray, form: str, subtype: str, endian: str = "FILE", rate: int = 16_000) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype, format=form, endian=endian)
    return path


def refused(path: Path, *words: str) -> None:
    """Both by its header and when it is loaded, in one sentence that names the file."""
    for use in (audio.duration, lambda path: audio.load(path, 15)):
        with pytest.raises(audio.AudioError) as error:
            use(path)
        message = str(error.value)
        assert str(path) in message
        assert message.endswith(".")
        assert "\n" not in message
        for word in words:
            assert word in message


def fuzzed(content: bytes, generator: np.random.Generator) -> list[bytes]:
    """A file without its end, cut at places that matter and by chance."""
    places = {*range(0, 60, 13), len(content) - 3, len(content) - 64, *generator.integers(0, len(content) - 2, 12)}
    return [content[:place] for place in sorted(places) if place >= 0]


def test_no_cut_file_has_a_length_in_silence(tmp_path):
    """Every format and coding that libsndfile writes, cut at places that matter and at random ones.

    Not seen are the loss of a chunk's padding byte, which is no sound, and cuts of what was written to a pipe, which
    promises nothing.
    """
    generator = np.random.default_rng(0)
    samples = faults.noise(SECONDS, 8000)
    whole, cut = 0, 0
    for form in soundfile.available_formats():
        for subtype in soundfile.available_subtypes(form):
            path = tmp_path / f"a.{form.lower()}"
            try:
                write(path, samples, form, subtype, rate=8000)
            except soundfile.LibsndfileError:
                continue
            try:
                seconds = audio.duration(path)
            except audio.AudioError:
                assert form not in audio.FORMATS
                continue
            whole += 1
            assert SECONDS <= seconds < SECONDS + 0.07, (form, subtype)  # codecs of blocks fill the last one
            for content in fuzzed(path.read_bytes(), generator):
                path.write_bytes(content)
                cut += 1
                with pytest.raises(audio.AudioError):
                    audio.duration(path)
                with pytest.raises(audio.AudioError):
                    audio.load(path, 15)
    assert whole > 60
    assert cut > 1000


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU", "CAF", "RF64", "W64", "FLAC", "MP3", "OGG", "NIST"])
def test_a_header_with_any_byte_changed_raises_nothing_but_audio_errors(tmp_path, form):
    path = write(tmp_path / "a", faults.noise(SECONDS), form, "VORBIS" if form == "OGG" else None)
    whole, generator = path.read_bytes(), np.random.default_rng(1)
    for place in generator.integers(0, min(200, len(whole)), 100):
        content = bytearray(whole)
        content[place] = generator.integers(256)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(audio.AudioError):
                assert len(audio.load(path, 15)) / 16_000 == pytest.approx(min(15, audio.duration(path)), abs=0.01)


@pytest.mark.parametrize(
    "content", [b"\n", b"RIFF", b"NIST_1A\n", b"ID3", b"\xff\xfb\x90\x00" * 9, b"OggS" + bytes(40)]
)
def test_a_few_bytes_are_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    refused(tmp_path / "a.wav")


@pytest.mark.parametrize(("form", "subtype", "endian"), CUTTABLE)
def test_a_whole_file_is_read_to_its_end_and_a_cut_one_is_truncated(tmp_path, form, subtype, endian):
    path = write(tmp_path / "a", faults.noise(3), form, subtype, endian)
    assert audio.duration(path) == pytest.approx(3, abs=0.07)
    assert len(audio.load(path, 15)) == round(16_000 * audio.duration(path))
    refused(faults.cut(path), "is truncated")


def test_a_cut_beyond_max_seconds_is_refused_too(tmp_path):
    path = faults.cut(write(tmp_path / "a.mp3", faults.noise(6), "MP3", None))
    with pytest.raises(audio.AudioError, match="is truncated"):
        audio.load(path, 1)


def test_a_long_header_hides_no_cut(tmp_path):
    """libsndfile's log, which tells of it, has 2,048 bytes."""
    path = faults.wav(tmp_path / "a.wav", faults.noise(3))
    content = path.read_bytes()
    extra = b"".join(b"note" + struct.pack("<I", 20) + bytes(20) for _ in range(200))
    path.write_bytes(content[:36] + extra + content[36:])
    assert audio.duration(path) == 3
    refused(faults.cut(path, 0.5), "promises 96,000 bytes")


@pytest.mark.parametrize("size", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_what_was_written_to_a_pipe_lasts_until_its_end(tmp_path, size):
    path = faults.wav(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)
    assert audio.duration(path) == 0.5


def test_what_a_header_does_not_promise_is_not_left_out(tmp_path):
    path = faults.wav(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 2000)
    path.write_bytes(content)
    refused(path, "is damaged (its header promises 2,000 bytes of sound and it holds 16,000)")
    path.write_bytes(write(tmp_path / "b", faults.noise(3), "MP3", None).read_bytes() * 2)
    refused(path, "is damaged (its header promises ")


def test_mp3_without_a_xing_header_is_refused(tmp_path):
    path = write(tmp_path / "a.mp3", faults.noise(3), "MP3", None)
    content = path.read_bytes()
    tag = b"ID3\4\0\0\0\0\1\0" + bytes(128)
    path.write_bytes(tag + content + b"TAG" + bytes(125))
    assert audio.duration(path) == pytest.approx(3, abs=0.15)
    assert len(audio.load(path, 15)) == round(16_000 * audio.duration(path))
    path.write_bytes(content[content.index(content[:2], 4) :])  # without its first frame
    refused(path, "is MP3 without a Xing header, in which a cut file would go unnoticed: convert it to WAV or FLAC.")


def test_flac_that_does_not_tell_its_length_is_refused(tmp_path):
    path = write(tmp_path / "a.flac", faults.noise(), "FLAC", None)
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    path.write_bytes(content)
    refused(path, "does not tell its length")


@pytest.mark.parametrize("name", ["speech.raw", "speech.RAW", "speech.txt", "speech.mp4", "speech.m4a", "speech"])
def test_what_has_no_header_of_sound_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\0\0\0 ftypM4A " + faults.noise().astype("<f4").tobytes())
    refused(tmp_path / name, "is not audio")


@pytest.mark.parametrize("name", ["speech.raw", "speech.mp3", os.fsdecode(b"\xff\xfe.wav")])
def test_the_content_counts_and_not_the_name(tmp_path, name):
    assert audio.duration(write(tmp_path / "a", faults.noise(), "WAV", None).rename(tmp_path / name)) == 0.5
    assert len(audio.load(tmp_path / name, 15)) == 8000


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "folder.wav").mkdir()
    refused(tmp_path / "pipe.wav", "is a folder or a device")
    refused(tmp_path / "folder.wav", "is a folder or a device")
    refused(tmp_path / "loop.wav")
    refused(tmp_path / ("a" * 300), "cannot be opened (File name too long)")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused(tmp_path):
    faults.wav(tmp_path / "a.wav").chmod(0)
    refused(tmp_path / "a.wav", "cannot be opened (Permission denied)")


@pytest.mark.parametrize("rate", [1, 100, 10_000_000])
def test_an_absurd_sampling_rate_is_refused(tmp_path, rate):
    refused(faults.wav(tmp_path / "a.wav", rate=rate), f"a sampling rate of {rate} Hz")


@pytest.mark.parametrize("peak", [8.5, 7607.0, 32_768.0, 1e30])
def test_another_scale_is_refused(tmp_path, peak):
    path = faults.wav(tmp_path / "a.wav", np.resize([0.1, -peak, 0.0], 8000), subtype="FLOAT")
    with pytest.raises(audio.AudioError, match=r"a\.wav has a peak of .*, where full scale is 1: scale its samples"):
        audio.load(path, 15)


STEREO = {
    "antiphase": ([1, -1], "cancel"),
    "almost": ([1, -0.8], "cancel"),
    "unequal four": ([1, -1, 1, -1], "cancel"),
    "one dead": ([1, 0], "1 silent of 2"),
    "one hardly alive": ([1, 0.001], "1 silent of 2"),
    "all dead": ([0, 0], "is silent"),
    "mono silence": ([0], "is silent"),
    "mono": ([1], None),
    "both": ([1, 1], None),
    "one quieter": ([1, 0.2], None),
}


@pytest.mark.parametrize(("gains", "problem"), STEREO.values(), ids=STEREO)
@pytest.mark.parametrize("offset", [0, 0.2])
def test_channels_are_never_averaged_into_silence(tmp_path, gains, problem, offset):
    sound = faults.noise()
    path = faults.wav(tmp_path / "a.wav", sound * gains + offset * np.eye(len(gains))[-1], subtype="FLOAT")
    if problem == "cancel":
        with pytest.raises(audio.AudioError, match="channels that cancel each other out"):
            audio.load(path, 15)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = audio.load(path, 15)
    assert [problem in str(one.message) for one in caught] == ([True] if problem else [])
    live = [gain for gain in gains if gain >= 0.1]
    if live:
        expected = sound[:, 0] * np.mean(live)
        np.testing.assert_allclose(loaded - loaded.mean(), expected - expected.mean(), atol=1e-5)


def test_unrelated_channels_are_averaged(tmp_path):
    channels = np.random.default_rng(0).normal(0, 0.1, (8000, 8))
    path = faults.wav(tmp_path / "a.wav", channels, subtype="FLOAT")
    np.testing.assert_allclose(audio.load(path, 15), channels.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(("gain", "clipped"), [(0.05, False), (0.3, False), (1.0, True)])
def test_clipping_is_told(tmp_path, gain, clipped):
    path = faults.wav(tmp_path / "a.wav", np.clip(faults.noise(level=gain), -1, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        audio.load(path, 15)
    assert ["is clipped" in str(one.message) for one in caught] == [True] * clipped


@pytest.fixture
def corpus(project):
    """A manifest of 70 utterances inside a clone."""
    return faults.manifest(project / "mine")


def read(path: Path, **options: str):
    return manifest.read(manifest.Params(reader="manifest", path=path, **options), 0)


def test_damaged_files_are_refused_with_their_number_or_left_out_and_listed(corpus):
    waves = corpus.parent / "wav"
    faults.cut(waves / "u003.wav")
    (waves / "u005.wav").write_text("a letter")
    with pytest.raises(
        audio.AudioError, match=r"^2 of 70 .*corpus\.csv are damaged .*corpus\.damaged: skip.*u003\.wav"
    ):
        read(corpus)
    with pytest.warns(UserWarning, match=r"2 of 70 .* left out: u003, u005; all are listed in (.*\.csv)") as caught:
        table = read(corpus, damaged="skip").table
    assert len(table) == 68
    assert table["duration"].tolist() == [0.5] * 68
    listed = pd.read_csv(str(caught[0].message).rpartition(" in ")[2].removesuffix("."))
    assert listed["utterance"].tolist() == ["u003", "u005"]
    assert listed["path"].tolist() == [str(waves / "u003.wav"), str(waves / "u005.wav")]
    assert listed["problem"].str.contains("truncated|not audio").all()


def test_a_corpus_of_damaged_files_alone_is_refused(corpus):
    for path in (corpus.parent / "wav").iterdir():
        path.write_bytes(b"")
    with pytest.raises(audio.AudioError, match=r"70 of 70 .*check corpus\.path.* is empty"):
        read(corpus, damaged="skip")


@pytest.mark.parametrize(
    ("gain", "problem"), [(1e-4, "far too quiet"), (100, "clipped"), (1, None), (2e4, "far too loud")]
)
def test_a_corpus_at_another_level_is_told_once(corpus, gain, problem):
    for path in (corpus.parent / "wav").iterdir():
        samples = gain * faults.noise()
        faults.wav(path, samples if gain > 1000 else np.clip(samples, -1, 1), subtype="FLOAT")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(corpus)
    assert [f"corpus.csv is {problem} (" in str(one.message) for one in caught] == [True] * bool(problem)


def test_a_file_that_fails_when_it_is_decoded_does_not_stop_the_look_at_levels(corpus):
    broken = faults.noise()
    broken[5] = np.nan
    faults.wav(corpus.parent / "wav" / "u000.wav", broken, subtype="FLOAT")
    assert len(read(corpus).table) == 70


def test_every_reader_takes_the_policy(tmp_path):
    for reader in (manifest, emotale):
        assert reader.Params(reader="x", path=tmp_path).damaged == "refuse"
    with pytest.raises(ValueError, match="damaged"):
        manifest.Params(reader="x", path=tmp_path, damaged="ignore")


def test_the_end_of_1000_files_is_looked_at_in_a_second(tmp_path):
    """116,000 files in a minute are 2 s for 4,000; here with room for a busy machine."""
    paths = [faults.wav(tmp_path / f"{number}.wav", faults.noise(0.1)) for number in range(100)] * 10
    table = pd.DataFrame({"path": paths})
    start = os.times().elapsed
    assert len(files.with_durations(table, "refuse", tmp_path)) == 1000
    assert os.times().elapsed - start < 5
