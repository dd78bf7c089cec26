"""A manifest: any corpus from one CSV, whose cells are taken literally."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercore import audio
from sercore.corpora import manifest
from sercore.corpora.manifest import Params
from sercore.corpus import CorpusError

FULL = """utterance,path,split,emotion,arousal,valence,dominance,speaker,gender,transcript,duration
a.b,sounds/a.wav,train,A,1,2,3,007,Female,NA,99
b,sounds/b.wav,development,X,4,5.5,7,nan,Male,"Oh, null",
c,sounds/c.wav,test3,,,,,,,,
"""
SHORT = """dominance,valence,arousal,split,path,utterance
3,2,1,train,sounds/a.wav,a.b
7,5.5,4,development,sounds/b.wav,b
,,,test3,sounds/c.wav,c
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sounds").mkdir()
    for number, name in enumerate("abc"):
        soundfile.write(tmp_path / "sounds" / f"{name}.wav", np.resize([0.1, -0.1], 1600 * (number + 1)), 16_000)
    (tmp_path / "mine.csv").write_text(FULL)
    return tmp_path


def read(folder, **changes):
    return manifest.read(Params(**({"reader": "manifest", "path": folder / "mine.csv"} | changes)), 0)


def test_cells_are_taken_literally_and_empty_ones_are_missing(folder):
    corpus = read(folder)
    assert (corpus.name, corpus.scale, corpus.ratings) == ("mine", (1, 7), None)
    table = corpus.table
    assert list(table.index) == ["a.b", "b", "c"]
    assert table.loc["a.b", ["speaker", "gender", "transcript", "emotion"]].tolist() == ["007", "Female", "NA", "A"]
    assert table.loc["b", ["arousal", "valence", "dominance"]].tolist() == [4, 5.5, 7]
    assert table.loc["b", ["speaker", "transcript"]].tolist() == ["nan", "Oh, null"]
    assert table.loc["c"].drop(["path", "split", "duration"]).isna().all()
    assert list(table["path"]) == [folder / "sounds" / f"{name}.wav" for name in "abc"]


def test_durations_are_measured_whatever_the_csv_says(folder):
    assert list(read(folder).table["duration"]) == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_columns_may_come_in_any_order_or_be_left_out(folder, encoding):
    full = read(folder).table
    (folder / "mine.csv").write_text(SHORT, encoding=encoding)
    short = read(folder).table
    same = ["path", "split", "arousal", "valence", "dominance", "duration"]
    pd.testing.assert_frame_equal(short[same], full[same])
    assert short[["emotion", "speaker", "gender", "transcript"]].isna().all(axis=None)


def test_a_corpus_written_as_a_manifest_reads_back_equal(folder):
    table = read(folder).table
    table.to_csv(folder / "mine.csv")
    pd.testing.assert_frame_equal(read(folder).table, table)


def test_the_scale_is_a_parameter(folder):
    with pytest.raises(CorpusError, match=r"valence outside the scale 1 to 5: b \(5\.5\)"):
        read(folder, scale=(1, 5))
    assert read(folder, scale=(0, 10)).scale == (0, 10)


def test_rows_without_audio_are_counted_or_skipped(folder):
    (folder / "sounds" / "b.wav").unlink()
    with pytest.raises(CorpusError, match=r"1 of 3 utterances in .*mine\.csv have no audio: b; .*missing_audio: skip"):
        read(folder)
    with pytest.warns(UserWarning, match=r"1 of 3 utterances in .*mine\.csv have no audio: b; left out"):
        assert list(read(folder, missing_audio="skip").table.index) == ["a.b", "c"]


def test_an_unusable_audio_file_is_named(folder):
    (folder / "sounds" / "b.wav").write_text("not a sound")
    with pytest.raises(audio.AudioError, match=r"b\.wav is not audio .*: replace it, or convert it to WAV\.$"):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("5.5,7", "5.5,7.5", r"dominance outside the scale 1 to 7: b \(7\.5\)"),
        ("5.5,7", "high,7", r"valence is not a number: b \(high\)"),
        ("development", "dev", r"unknown split: b \(dev\); valid are train, development"),
        ("development", "", r"unknown split: b"),
        (",X,", ",Happy,", r"unknown emotion: b \(Happy\); valid are A, S"),
        ("Female", "F", r"unknown gender: a\.b \(F\); valid are Female, Male"),
        ("\nb,", "\na.b,", r"duplicate utterance: a\.b"),
        ("\nb,", "\n,", r"1 of 3 rows have no utterance: name them"),
        ("dominance", "dominanz", r"missing columns dominance; it has utterance, path"),
        ("transcript", "transcripts", r"unknown columns transcripts; known are utterance, path"),
        ("4,5.5,7", "4,5.5,7,8", r"row 2 \(b\) has 12 values, and the header has 11"),
        ("sounds/b.wav", "", r"have no audio: b;"),
    ],
)
def test_what_is_wrong_is_named_with_the_csv(folder, old, new, sentence):
    assert old in FULL
    (folder / "mine.csv").write_text(FULL.replace(old, new, 1))
    with pytest.raises(CorpusError, match=rf"mine\.csv.*({sentence})") as error:
        read(folder)
    assert "\n" not in str(error.value)


def test_no_csv_says_so(folder):
    with pytest.raises(CorpusError, match="sounds does not exist or is a folder"):
        read(folder, path=folder / "sounds")


def test_an_empty_csv_says_so(folder):
    (folder / "mine.csv").write_text("")
    with pytest.raises(CorpusError, match=r"mine\.csv is empty: a CSV begins"):
        read(folder)
    (folder / "mine.csv").write_text(FULL.splitlines()[0] + "\n")
    with pytest.raises(CorpusError, match="no utterance"):
        read(folder)
