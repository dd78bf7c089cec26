"""A corpus read again is the same corpus, until one of its files changes."""

import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

from sercore import audio, corpora, params
from sercore.corpora import files, msp_podcast
from tests import faults

TINY = yaml.safe_load("""
    corpus: {path: release, train_utterances: 30, train_speakers: 3, development_utterances: 20,
             development_speakers: 2, test_utterances_per_emotion: 2, test_speakers: 4}
""")


@pytest.fixture
def tiny(project) -> params.Params:
    chosen = params.load("embedded", "fusion", 0, TINY)
    corpora.read(chosen.corpus, 0)
    return chosen


def refuse(*_, **__):
    raise AssertionError("read again")


def test_it_is_read_once(tiny, project, monkeypatch):
    as_it_is = msp_podcast.Params(reader="msp_podcast", path=project / "release")
    first = corpora.read(as_it_is, 0)
    monkeypatch.setattr(files, "with_durations", refuse)
    for one in (tiny.corpus, as_it_is):
        again = corpora.read(one, 0)
        pd.testing.assert_frame_equal(again.table, first.table)
        pd.testing.assert_frame_equal(again.ratings, first.ratings)
        assert (again.name, again.scale) == (first.name, first.scale)
        assert all(isinstance(path, Path) for path in again.table["path"])
    with pytest.raises(AssertionError, match="read again"):
        corpora.read(as_it_is.model_copy(update={"missing_audio": "skip"}), 0)


def test_it_is_known_at_another_place(tiny, project, monkeypatch):
    """With its warnings, which name files where they are now; its features are of its content."""
    (project / "release" / "Audios" / "MSP-PODCAST_9999_0001.wav").write_bytes(b"")
    here = msp_podcast.Params(reader="msp_podcast", path=project / "release")
    with pytest.warns(UserWarning, match="have no label row"):
        first = corpora.read(here, 0)
    content = first.digest()
    (project / "mnt").mkdir()
    moved = (project / "release").rename(project / "mnt" / "release")
    monkeypatch.setattr(files, "with_durations", refuse)
    monkeypatch.setattr("sercore.disk._digest", refuse)
    with pytest.warns(UserWarning, match=f"audio files in {moved} have no label row"):
        again = corpora.read(here.model_copy(update={"path": moved}), 0)
    assert again.digest() == content
    assert all(path.is_file() and path.is_relative_to(moved) for path in again.table["path"])
    pd.testing.assert_frame_equal(again.table.drop(columns="path"), first.table.drop(columns="path"))


@pytest.mark.parametrize("pattern", ["Labels/labels_consensus.csv", "Audios/*.wav", "Transcripts/*.txt"])
def test_a_changed_file_is_noticed(tiny, project, monkeypatch, pattern):
    changed = next((project / "release").rglob(pattern.rpartition("/")[2]))
    os.utime(changed, ns=(1, 1))
    monkeypatch.setattr(files, "with_durations", refuse)
    with pytest.raises(AssertionError, match="read again"):
        corpora.read(tiny.corpus, 0)


@pytest.mark.parametrize("kept", [0, 20, 2000])
def test_what_is_damaged_is_read_again(tiny, project, kept):
    (path,) = (project / "data" / "cache").glob("corpus-*")
    expected, whole = corpora.read(tiny.corpus, 0).table, path.read_bytes()
    path.write_bytes(whole[:kept])
    pd.testing.assert_frame_equal(corpora.read(tiny.corpus, 0).table, expected)
    assert path.read_bytes() == whole


def test_warnings_are_given_again(tiny, project):
    stray = project / "release" / "Audios" / "MSP-PODCAST_9999_0001.wav"
    stray.write_bytes(next(stray.parent.glob("*.wav")).read_bytes())
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 audio files in .* have no label row: MSP-PODCAST_9999_0001"):
            corpora.read(msp_podcast.Params(reader="msp_podcast", path=project / "release"), 0)


def test_damaged_files_are_left_out_and_told_each_time(tiny, project):
    whole = corpora.read(tiny.corpus, 0).table
    faults.cut(whole["path"].iloc[0])
    with pytest.raises(audio.AudioError, match="is truncated"):
        corpora.read(tiny.corpus, 0)
    for _ in range(2):
        with pytest.warns(UserWarning, match=f"1 of {len(whole)} audio files .* left out: {whole.index[0]}"):
            left = corpora.read(tiny.corpus.model_copy(update={"damaged": "skip"}), 0)
        pd.testing.assert_frame_equal(left.table, whole.iloc[1:])
        assert whole.index[0] not in set(left.ratings["utterance"])
