"""`Corpus` accepts what its module describes, and refuses everything else in a sentence that names the row."""

import numpy as np
import pandas as pd
import pytest

from sercore.corpus import COLUMNS, RATING_COLUMNS, SPLITS, Corpus, CorpusError


@pytest.fixture
def table(tmp_path):
    names = ["a", "b", "c", "d"]
    for name in names:
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    return pd.DataFrame(
        {
            "path": [tmp_path / f"{name}.wav" for name in names],
            "split": ["train", "train", "development", "test3"],
            "emotion": ["A", "X", "N", None],
            "arousal": [1.0, 7.0, 4.0, np.nan],
            "valence": [1.0, 7.0, 4.0, np.nan],
            "dominance": [1.0, 7.0, 4.0, np.nan],
            "speaker": ["1", "1", "2", None],
            "gender": ["Female", "Female", "Male", None],
            "transcript": ["yes", None, "no", None],
            "duration": [1.0, 2.0, 3.0, 4.0],
        },
        index=pd.Index(names, name="utterance"),
    )


def corpus(table: pd.DataFrame, **changes) -> Corpus:
    return Corpus(**({"name": "mine", "table": table, "scale": (1.0, 7.0)} | changes))


def test_a_valid_table_with_hidden_labels_is_accepted_unchanged(table):
    pd.testing.assert_frame_equal(corpus(table.copy()).table, table)


def test_splits_are_those_with_utterances_in_their_usual_order(table):
    mine = corpus(table.iloc[::-1])
    assert mine.splits() == ["train", "development", "test3"]
    assert list(mine.split("train").index) == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "sentence"), [("test1", "no utterance in split 'test1', only in train"), ("dev", ", ".join(SPLITS))]
)
def test_a_split_without_utterances_and_an_unknown_one_are_refused(table, name, sentence):
    with pytest.raises(CorpusError, match=sentence):
        corpus(table).split(name)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("split", "validation", r"unknown split: b \(validation\); valid are train, development"),
        ("split", None, r"unknown split: b"),
        ("emotion", "Q", r"unknown emotion: b \(Q\); valid are A, S"),
        ("emotion", "Angry", r"unknown emotion: b \(Angry\)"),
        ("gender", "female", r"unknown gender: b \(female\); valid are Female, Male"),
        ("arousal", 7.01, r"arousal outside the scale 1 to 7: b \(7.01\)"),
        ("valence", 0.99, r"valence outside the scale 1 to 7: b \(0.99\)"),
        ("dominance", np.inf, r"dominance outside the scale 1 to 7: b \(inf\)"),
        ("dominance", "high", r"dominance outside the scale 1 to 7: b \(high\)"),
        ("path", None, r"utterances without audio: b"),
        ("path", "b.wav", r"utterances without audio: b \(b\.wav\)"),
    ],
)
def test_a_wrong_value_is_refused_with_its_row(table, column, value, sentence):
    values = list(table[column])
    values[1] = value
    with pytest.raises(CorpusError, match=sentence) as error:
        corpus(table.assign(**{column: pd.Series(values, index=table.index, dtype=object)}))
    assert "\n" not in str(error.value)


def test_a_duplicate_utterance_is_refused(table):
    with pytest.raises(CorpusError, match="duplicate utterance: b;"):
        corpus(table.rename(index={"c": "b"}))


def test_an_empty_table_is_refused(table):
    with pytest.raises(CorpusError, match="mine has no utterance"):
        corpus(table.iloc[:0])


def test_missing_audio_is_counted(table):
    table["path"].iloc[2].unlink()
    with pytest.raises(CorpusError, match=r"utterances without audio: c \(.*c\.wav\)"):
        corpus(table)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(table, column):
    with pytest.raises(CorpusError, match=rf"corpus table: missing columns {column}; it has"):
        corpus(table.drop(columns=column))


def test_unknown_columns_and_wrong_ratings_are_named(table):
    with pytest.raises(CorpusError, match="unknown columns age; known are path"):
        corpus(table.assign(age=3))
    ratings = pd.DataFrame(columns=list(RATING_COLUMNS)).drop(columns="rater")
    with pytest.raises(CorpusError, match="table of ratings: missing columns rater"):
        corpus(table, ratings=ratings)


def test_long_lists_are_cut_short(table):
    twelve = pd.concat([table.iloc[[0]]] * 12).set_axis([f"u{number}" for number in range(12)]).assign(split="nowhere")
    with pytest.raises(CorpusError, match=r"u4 \(nowhere\) and 7 more; valid"):
        corpus(twelve)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train", "development"),
        ("train", "test1"),
        ("train", "test3"),
        ("development", "test1"),
        ("test2", "development"),
    ],
)
def test_a_speaker_of_train_or_development_in_another_split_is_named(table, one, other):
    mine = corpus(table.assign(split=[one, other, "train", "train"], speaker=["007", "007", "2", None]))
    with pytest.raises(CorpusError, match=rf"speakers in two splits: 007 \({one} and {other}\)"):
        mine.require_disjoint_speakers()


def test_test_splits_may_share_speakers_and_unknown_speakers_pass(table):
    shared = table.assign(split=["test1", "test2", "train", "development"], speaker=["1", "1", None, None])
    corpus(shared).require_disjoint_speakers()
    corpus(table.assign(speaker=None)).require_disjoint_speakers()


def test_digest_follows_labels_and_audio_but_not_the_folder(table, tmp_path):
    digest = corpus(table).digest()
    assert corpus(table.copy()).digest() == digest
    assert corpus(table.assign(arousal=[1.0, 7.0, 4.5, np.nan])).digest() != digest
    assert corpus(table.assign(transcript=["Yes", None, "no", None])).digest() != digest
    moved = tmp_path.rename(tmp_path.with_name("elsewhere"))
    elsewhere = table.assign(path=[moved / path.name for path in table["path"]])
    assert corpus(elsewhere).digest() == digest
    (moved / "a.wav").write_bytes(b"RIFFX")
    assert corpus(elsewhere).digest() != digest
