"""Params: the published layout in miniature, its speaker-disjoint folds, and the corpus itself where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercore.corpora import emotale, read
from sercore.corpora.emotale import Params
from sercore.corpus import CorpusError
from tests import faults

GENDERS = {"001": "F", "003": "F", "004": "M", "005": "M", "006": "M", "007": "F", "008": "F"}
HEADER = "file,a1_A,a1_V,a1_D,a1_cat,a2_A,a2_V,a2_D,a2_cat,a3_A,a3_V,a3_D,a3_cat,gt_emotion"
PUBLISHED = "DK_001_A_1.wav,4.0,1.5,4.5,A,4.0,2.5,5.0,A,5.0,1.0,4.5,A,A"


def rows() -> list[str]:
    generator, lines = np.random.default_rng(0), [PUBLISHED]
    for language in ("DK", "EN"):
        for speaker in GENDERS:
            for emotion, sentence in (("A", 2), ("B", 1), ("N", 5)):
                ratings = ",".join(f"{a},{v},{d},{emotion}" for a, v, d in generator.integers(2, 11, (3, 3)) / 2)
                lines.append(f"{language}_{speaker}_{emotion}_{sentence}.wav,{ratings},{emotion}")
    return lines


@pytest.fixture
def clone(tmp_path):
    """Seven speakers in both languages, audio at various rates and channel counts."""
    (tmp_path / "annotations.csv").write_text("\n".join([HEADER, *rows()]) + "\n")
    speakers = "\n".join(f"{speaker},{gender},23" for speaker, gender in GENDERS.items())
    (tmp_path / "speaker_info.csv").write_text(f"speaker,gender,age\n{speakers}\n")
    (tmp_path / "audio").mkdir()
    for number, row in enumerate(rows()):
        shape = (4800, 2) if number % 2 else (1600,)
        soundfile.write(
            tmp_path / "audio" / row.split(",")[0],
            (0.1 + number / 1000) * np.resize([1, 1, -1, -1], shape),
            48_000 if number % 2 else 16_000,
        )
    return tmp_path


def params(path: Path, **changes) -> Params:
    return Params(**({"reader": "emotale", "path": path, "language": "both"} | changes))


def test_attributes_are_the_mean_of_the_three_raters(clone):
    corpus = emotale.read(params(clone), 0)
    assert corpus.scale == (1, 5)
    first = corpus.table.loc["DK_001_A_1"]
    assert first[["arousal", "valence", "dominance"]].tolist() == pytest.approx([13 / 3, 5 / 3, 14 / 3])
    assert (first.emotion, first.speaker, first.gender) == ("A", "001", "Female")
    of_first = corpus.ratings[corpus.ratings["utterance"] == "DK_001_A_1"].drop(columns="utterance")
    assert of_first.to_numpy().tolist() == [["a1", "A", 4, 1.5, 4.5], ["a2", "A", 4, 2.5, 5], ["a3", "A", 5, 1, 4.5]]


def test_boredom_is_other_for_the_actor_and_the_raters(clone):
    corpus = emotale.read(params(clone), 0)
    bored = corpus.table.index.str.contains("_B_")
    assert set(corpus.table["emotion"][bored]) == {"O"}
    assert set(corpus.table["emotion"][~bored]) == {"A", "N"}
    assert set(corpus.ratings["emotion"]) == {"A", "N", "O"}


def test_transcripts_are_the_readmes_sentences_without_the_misprint(clone):
    table = emotale.read(params(clone), 0).table
    assert table.loc["EN_003_B_1", "transcript"] == "The tablecloth is lying on the fridge."
    assert table.loc["EN_003_N_5", "transcript"] == "In seven hours it will be morning."
    assert table.loc["DK_003_B_1", "transcript"] == "Dugen ligger på køleskabet."
    assert table["transcript"].notna().all()


@pytest.mark.parametrize(("language", "count", "prefixes"), [("English", 21, {"EN"}), ("Danish", 22, {"DK"})])
def test_a_language_is_chosen_before_audio_is_looked_for(clone, language, count, prefixes):
    for path in (clone / "audio").iterdir():
        if path.name[:2] not in prefixes:
            path.unlink()
    table = emotale.read(params(clone, language=language), 0).table
    assert len(table) == count
    assert set(table.index.str[:2]) == prefixes


def test_a_table_cut_before_the_language_is_named(clone):
    kept = [row for row in (clone / "annotations.csv").read_text().splitlines() if not row.startswith("EN")]
    (clone / "annotations.csv").write_text("\n".join(kept))
    with pytest.raises(CorpusError, match=r"annotations\.csv has no row in English"):
        emotale.read(params(clone, language="English"), 0)


@pytest.mark.parametrize("folds", [3, 5, 7])
def test_folds_test_every_speaker_once_and_share_none(clone, folds):
    tested = []
    for fold in range(folds):
        corpus = emotale.read(params(clone, folds=folds), fold)
        corpus.require_disjoint_speakers()
        assert corpus.splits() == ["train", "development", "test1"]
        of_next = emotale.read(params(clone, folds=folds), (fold + 1) % folds).split("test1")
        assert set(corpus.split("development")["speaker"]) == set(of_next["speaker"])
        tested += corpus.split("test1")["speaker"].unique().tolist()
    assert sorted(tested) == sorted(GENDERS)


def test_folds_do_not_depend_on_the_order_of_the_rows_and_spread_the_genders(clone):
    before = emotale.read(params(clone, folds=3), 1).table
    lines = (clone / "annotations.csv").read_text().splitlines()
    (clone / "annotations.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    after = emotale.read(params(clone, folds=3), 1).table
    pd.testing.assert_frame_equal(after.loc[before.index], before)
    folds = [emotale.read(params(clone, folds=3), fold).split("test1") for fold in range(3)]
    assert [table.loc[table["gender"] == "Male", "speaker"].nunique() for table in folds] == [1, 1, 1]


def test_a_speaker_of_both_languages_is_in_the_same_split_in_both(clone):
    lines = (clone / "annotations.csv").read_text().splitlines()
    (clone / "annotations.csv").write_text("\n".join(line for line in lines if line[:6] not in ("EN_001", "EN_004")))
    english, danish = (emotale.read(params(clone, folds=3, language=one), 1).table for one in ("English", "Danish"))
    splits = [table.groupby("speaker")["split"].first() for table in (english, danish)]
    assert danish["speaker"].nunique() == english["speaker"].nunique() + 2 == 7
    assert splits[0].equals(splits[1][splits[0].index])


def test_the_published_corpus_is_fetched_to_its_home_and_nowhere_else(project, monkeypatch):
    asked = []
    monkeypatch.setattr(emotale, "clone", lambda *arguments: asked.append(arguments))
    for path in ("data/emotale", "data/other"):
        with pytest.raises(CorpusError, match=r"annotations\.csv does not exist"):
            emotale.read(params(Path(path)), 0)
    assert asked == [(emotale.URL, emotale.COMMIT, project / "data" / "emotale", "about 0.4 GB")]


def test_the_seed_chooses_the_fold(clone):
    seven, zero = (read(params(clone), seed).table for seed in (7, 0))
    pd.testing.assert_frame_equal(seven, zero)
    assert not read(params(clone), 1).table["split"].equals(zero["split"])


def test_any_rate_and_channel_count_has_its_duration(clone):
    assert set(emotale.read(params(clone), 0).table["duration"]) == {0.1}


def test_a_recording_in_two_folders_is_refused_unless_it_is_a_copy_or_a_published_original(clone):
    for name in ("copies", "denoised", emotale.ORIGINALS):
        (clone / name).mkdir()
    soundfile.write(clone / emotale.ORIGINALS / "EN_001_A_2.wav", np.zeros(48_000), 48_000)
    (clone / "copies" / "EN_001_A_2.wav").write_bytes((clone / "audio" / "EN_001_A_2.wav").read_bytes())
    assert emotale.read(params(clone), 0).table.loc["EN_001_A_2", "path"].parent == clone / "audio"
    soundfile.write(clone / "denoised" / "EN_001_A_2.wav", np.zeros(48_000), 48_000)
    message = r".*/audio/EN_001_A_2\.wav and .*/denoised/EN_001_A_2\.wav differ, though they have one name: move one"
    with pytest.raises(CorpusError, match=message):
        emotale.read(params(clone), 0)


def test_rows_without_audio_are_counted_or_skipped(clone):
    (clone / "audio" / "EN_001_A_2.wav").unlink()
    (clone / "audio" / "DK_001_A_2.wav").unlink()
    message = r"2 of 43 utterances in .*annotations\.csv have no audio: DK_001_A_2, EN_001_A_2"
    with pytest.raises(CorpusError, match=message):
        emotale.read(params(clone), 0)
    with pytest.warns(UserWarning, match=message):
        corpus = emotale.read(params(clone, missing_audio="skip"), 0)
    assert len(corpus.table) == 41
    assert len(corpus.ratings) == 3 * 41


def test_more_folds_than_speakers_are_refused(clone):
    with pytest.raises(CorpusError, match=r"7 speakers cannot be dealt to 8 folds"):
        emotale.read(params(clone, folds=8), 0)


def test_a_wrong_folder_says_what_was_looked_for(clone):
    with pytest.raises(CorpusError, match=r"audio/annotations\.csv does not exist .*: correct corpus\.path"):
        emotale.read(params(clone / "audio"), 0)
    (clone / "speaker_info.csv").unlink()
    with pytest.raises(CorpusError, match=r"speaker_info\.csv does not exist"):
        emotale.read(params(clone), 0)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("4.0,1.5,4.5,A", "loud,1.5,4.5,A", r"annotations\.csv: a1_A is not a number: DK_001_A_1 \(loud\)"),
        ("4.0,1.5,4.5,A", "44,1.5,4.5,A", r"annotations\.csv: arousal outside the scale 1 to 5: DK_001_A_1"),
        ("DK_001_A_1", "DK_001_A", r"annotations\.csv names files unlike EN_001_A_1\.wav: DK_001_A\.wav"),
        ("a3_V", "a4_V", r"annotations\.csv: missing columns a3_V; it has file, a1_A"),
        ("DK_001_A_2.wav", "DK_001_A_1.wav", r"duplicate utterance: DK_001_A_1"),
        ("A,A\n", "A,Z\n", r"unknown emotion: DK_001_A_1 \(Z\)"),
    ],
)
def test_a_wrong_value_is_refused_with_its_row(clone, old, new, sentence):
    text = (clone / "annotations.csv").read_text()
    assert old in text
    (clone / "annotations.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(CorpusError, match=sentence):
        emotale.read(params(clone), 0)


@pytest.mark.skipif("EMOTALE" not in os.environ, reason="EMOTALE names no folder with the corpus")
def test_the_real_corpus():
    corpora = [emotale.read(params(Path(os.environ["EMOTALE"]), language="English"), fold) for fold in range(7)]
    table = corpora[0].table
    assert len(table) == 350
    assert table["speaker"].nunique() == 14
    assert table["emotion"].value_counts().to_dict() == {"A": 70, "O": 70, "H": 70, "N": 70, "S": 70}
    assert len(corpora[0].ratings) == 3 * 350
    assert [corpus.split("test1")["speaker"].nunique() for corpus in corpora] == [2] * 7
    assert table["duration"].between(1, 7).all()


def test_damaged_files_are_left_out_and_leave_the_splits_alone(clone, project):
    whole = emotale.read(params(clone), 0)
    faults.cut(whole.table["path"].iloc[0])
    with pytest.warns(UserWarning, match=f"1 of {len(whole.table)} audio files .* left out: {whole.table.index[0]}"):
        left = emotale.read(params(clone, damaged="skip"), 0)
    pd.testing.assert_frame_equal(left.table, whole.table.iloc[1:])
    assert whole.table.index[0] not in set(left.ratings["utterance"])
