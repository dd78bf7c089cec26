"""IEMOCAP: a miniature of the full release, with the traps that the real one holds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercore import audio, params
from sercore.corpora import iemocap, read
from sercore.corpora.iemocap import Params
from sercore.corpus import CorpusError
from tests import faults

FIRST = """\
% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.0000, 3.0000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Anger;\t()
C-E4:\tFrustration;\t(tired; A-E9:\tval 1; act 1; dom 1;)
C-F1:\tHappiness;\t()
A-E3:\tval 3; act 2; dom  2;\t()
A-E4:\tval 2; act 2; dom  4;\t(mildly aggravated but staying polite, attitude \xe9)
A-F1:\tval 5; act 5; dom  5;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[4.5000, 4.0000, 5.5000]
C-E2:\tExcited;\t()
A-E3:\tval 4; act 4; dom  5;\t()
A-E4:\tval 5; act 4; dom  6;\t()

[15.0000 - 46.5000]\tSes01F_impro01_F001\txxx\t[2.0000, 3.0000, 2.0000]
C-E2:\tOther;\t(confused)
A-E2:\tval 2; act 3; dom  ;\t()
A-E3:\tval 2; act 3; dom  2;\t()
"""
CODES = ("neu", "hap", "exc", "ang", "sad", "fru", "fea", "sur", "dis", "oth", "xxx")
MAPPED = ("N", "H", "H", "A", "S", "O", "F", "U", "D", "O", "X")
TRANSCRIPT = """\
Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me\x85 there.
M: Yeah.
Ses01F_impro01_M000 [010.0100-011.3925]: [LAUGHTER] Do you have your forms?
Ses01F_impro01_MXX0 [012.0000-013.0000]: [BREATHING]
Ses01F_impro01_F001 [015.0000-046.5000]:
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("\n", "\r\n").encode("latin-1"))


def block(utterance: str, code: str, triple: str) -> str:
    return f"[1.0000 - 2.0000]\t{utterance}\t{code}\t[{triple}]\nC-E2:\tOther;\t()\nA-E2:\tval ; act ; dom  ;\t()\n\n"


@pytest.fixture
def release(tmp_path):
    """Five sessions of one improvised and one scripted dialogue; the first is `FIRST`."""
    generator = np.random.default_rng(0)
    for session in range(1, 6):
        folder = tmp_path / f"Session{session}"
        labels = folder / "dialog" / "EmoEvaluation"
        impro, script = f"Ses0{session}F_impro01", f"Ses0{session}M_script01_1b"
        turns = [f"{script}_{letter}{number:03}" for letter in "FM" for number in range(len(CODES))]
        triples = [", ".join(f"{value:.4f}" for value in row) for row in generator.integers(2, 11, (22, 3)) / 2]
        blocks = [block(turn, code, triple) for turn, code, triple in zip(turns, CODES * 2, triples, strict=True)]
        write(labels / f"{script}.txt", "% header\n\n" + "".join(blocks))
        write(labels / f"{impro}.txt", FIRST.replace("Ses01", f"Ses0{session}"))
        write(labels / f"._{impro}.txt", "\x00\x05\x16\x07 [not a block")
        write(labels / "Attribute" / f"{impro}_e3_atr.txt", f"{impro}_F000 :act 2; :val 3; :dom  2; :()\n[broken\n")
        write(labels / "Self-evaluation" / f"{impro}_f1_atr.txt", "[broken\n")
        write(folder / "dialog" / "transcriptions" / f"{impro}.txt", TRANSCRIPT.replace("Ses01", f"Ses0{session}"))
        (folder / "dialog" / "wav").mkdir()
        soundfile.write(folder / "dialog" / "wav" / f"{impro}.wav", np.resize([0.1, -0.1], 800), 8000)
        for turn in (*turns, f"{impro}_F000", f"{impro}_M000", f"{impro}_F001"):
            wave = folder / "sentences" / "wav" / turn.rsplit("_", 1)[0] / f"{turn}.wav"
            wave.parent.mkdir(parents=True, exist_ok=True)
            frames = 8000 * 31 if turn == "Ses01F_impro01_F001" else 1600
            soundfile.write(wave, generator.normal(0, 0.1, frames), 8000)
            (wave.parent / f"._{turn}.wav").write_bytes(b"\x00\x05\x16\x07")
    return tmp_path


def settings(path: Path, **changes) -> Params:
    return Params(**({"reader": "iemocap", "path": path} | changes))


@pytest.fixture
def corpus(release):
    with pytest.warns(UserWarning, match="outside the scale"):
        return iemocap.read(settings(release), 0)


def labels(release: Path) -> Path:
    return release / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"


def replace(release: Path, old: str, new: str) -> None:
    text = labels(release).read_text("latin-1")
    assert old in text
    labels(release).write_text(text.replace(old, new, 1), "latin-1")


def test_the_triple_is_valence_activation_dominance(corpus):
    first = corpus.table.loc["Ses01F_impro01_F000"]
    assert corpus.scale == (1, 5)
    assert first[["valence", "arousal", "dominance"]].tolist() == [2.5, 2, 3]


def test_who_speaks_is_told_by_the_last_field_not_by_the_dialogue(corpus):
    table = corpus.table
    assert table.loc["Ses01F_impro01_M000", ["speaker", "gender"]].tolist() == ["Ses01M", "Male"]
    assert table.loc["Ses04M_script01_1b_F003", ["speaker", "gender"]].tolist() == ["Ses04F", "Female"]
    assert sorted(table["speaker"].unique()) == [f"Ses0{session}{letter}" for session in range(1, 6) for letter in "FM"]


@pytest.mark.parametrize(("code", "emotion"), list(zip(CODES, MAPPED, strict=True)))
def test_codes_of_the_consensus_become_those_of_the_project(corpus, code, emotion):
    chosen = corpus.table.loc[[f"Ses03M_script01_1b_{letter}{CODES.index(code):03}" for letter in "FM"]]
    assert chosen["emotion"].tolist() == [emotion, emotion]


def test_ratings_are_those_of_external_raters_that_are_complete(corpus):
    of_first = corpus.ratings[corpus.ratings["utterance"] == "Ses01F_impro01_F000"].set_index("rater")
    assert of_first.index.tolist() == ["E3", "E4"]
    assert of_first[["emotion", "arousal", "valence", "dominance"]].to_numpy().tolist() == [
        ["N", 2, 3, 2],
        ["O", 2, 2, 4],
    ]
    of_blank = corpus.ratings[corpus.ratings["utterance"] == "Ses01F_impro01_F001"]
    assert of_blank["rater"].tolist() == ["E3"]
    assert of_blank["emotion"].isna().all()
    assert len(corpus.ratings) == 5 * 5


def test_an_attribute_beyond_the_scale_is_set_to_its_end_with_one_warning(release):
    with pytest.warns(UserWarning, match="5 utterances in .* outside the scale 1 to 5: Ses01F_impro01_M000") as caught:
        table = iemocap.read(settings(release), 0).table
    assert table.loc["Ses01F_impro01_M000", ["valence", "arousal", "dominance"]].tolist() == [4.5, 4, 5]
    assert len(caught) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_swap_of_valence_and_activation_is_warned_of(release):
    replace(release, "[2.5000, 2.0000, 3.0000]", "[2.0000, 2.5000, 3.0000]")
    with pytest.warns(UserWarning, match=r"not the mean of their ratings: Ses01F_impro01_F000"):
        iemocap.read(settings(release), 0)


def test_transcripts_go_by_the_utterances_name_and_keep_what_looks_like_a_line_break(corpus):
    texts = corpus.table["transcript"]
    assert texts["Ses01F_impro01_F000"] == "Excuse me\x85 there."
    assert texts["Ses02F_impro01_M000"] == "[LAUGHTER] Do you have your forms?"
    assert pd.isna(texts["Ses01F_impro01_F001"])
    assert "Yeah." not in set(texts.dropna())
    assert not corpus.table.index.str.contains("XX").any()


def test_dialogues_and_hidden_files_are_no_utterances_and_long_ones_are_cut_when_loaded(corpus):
    assert len(corpus.table) == 5 * 25
    path, duration = corpus.table.loc["Ses01F_impro01_F001", ["path", "duration"]]
    assert duration == 31
    assert path.parts[-3:] == ("wav", "Ses01F_impro01", "Ses01F_impro01_F001.wav")
    assert len(audio.load(path, max_seconds=15)) == 15 * audio.SAMPLE_RATE


@pytest.mark.filterwarnings("ignore")
def test_folds_leave_one_session_out_and_develop_on_the_next(release):
    for seed in range(6):
        table = read(settings(release), seed).table
        sessions = table.groupby("split")["speaker"].agg(lambda speakers: sorted({name[:5] for name in speakers}))
        assert sessions["test1"] == [f"Ses0{seed % 5 + 1}"]
        assert sessions["development"] == [f"Ses0{(seed + 1) % 5 + 1}"]
        assert len(sessions["train"]) == 3


@pytest.mark.filterwarnings("ignore")
def test_a_release_of_two_sessions_can_be_tested_on_and_is_not_trained_on(release, tmp_path):
    for session in (1, 3, 4):
        (release / f"Session{session}").rename(tmp_path / f".Session{session}")
    corpus = read(settings(release), 1)
    assert corpus.table.groupby("split")["speaker"].unique().map(sorted).to_dict() == {
        "development": ["Ses02F", "Ses02M"],
        "test1": ["Ses05F", "Ses05M"],
    }
    with pytest.raises(CorpusError, match="corpus IEMOCAP has no utterance in split 'train'"):
        corpus.split("train")


@pytest.mark.filterwarnings("ignore")
def test_absent_audio_is_named_or_left_out(release):
    next(release.rglob("Ses01F_impro01_M000.wav")).unlink()
    with pytest.raises(CorpusError, match=r"1 of 125 utterances in .* have no audio: Ses01F_impro01_M000"):
        iemocap.read(settings(release), 0)
    corpus = iemocap.read(settings(release, missing_audio="skip"), 0)
    assert len(corpus.table) == 124
    assert "Ses01F_impro01_M000" not in set(corpus.ratings["utterance"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[2.5000, 2.0000, 3.0000]", "[2.5000, 2.0000]", r"Ses01F_impro01\.txt, line 3: .* is not of the form"),
        ("Ses01F_impro01_F000", "Ses01F_impro01", r"Ses01F_impro01\.txt, line 3: .* is not of the form"),
        ("[2.5000, 2.0000", "[2.5000, high", r"arousal is not a number: Ses01F_impro01_F000 \( high\)"),
        ("val 3; act 2", "val three; act 2", r"valence is not a number: Ses01F_impro01_F000 \(three\)"),
        ("[2.5000, 2.0000", "[2.5000, 20.000", r"arousal outside the scale 1 to 5: Ses01F_impro01_F000 \(20\.0\)"),
        ("\tneu\t", "\tbored\t", r"unknown emotion: Ses01F_impro01_F000 \(bored\)"),
        ("Ses01F_impro01_F001", "Ses01F_impro01_F000", r"duplicate utterance: Ses01F_impro01_F000"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_place(release, old, new, sentence):
    replace(release, old, new)
    with pytest.raises(CorpusError, match=sentence):
        iemocap.read(settings(release), 0)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"is not IEMOCAP: no folder EmoEvaluation in it .* set corpus\.path"):
        iemocap.read(settings(tmp_path), 0)


def test_the_profile_reads_it():
    chosen = params.load("iemocap", "fusion", 4)
    assert chosen.corpus == settings(Path("data/iemocap"))
    assert chosen.corpus.folds == 5
    assert pd.Series([chosen.sampling.samples_per_emotion, chosen.sampling.validation_per_emotion]).isna().all()


def test_damaged_files_are_left_out_and_leave_the_splits_alone(release, corpus, project):
    whole = corpus
    faults.cut(whole.table["path"].iloc[0])
    with pytest.warns(UserWarning, match=f"1 of {len(whole.table)} audio files .* left out: {whole.table.index[0]}"):
        left = iemocap.read(settings(release, damaged="skip"), 0)
    pd.testing.assert_frame_equal(left.table, whole.table.iloc[1:])
    assert whole.table.index[0] not in set(left.ratings["utterance"])
