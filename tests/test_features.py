"""Cached features are those of the audio as it is, never stale or damaged; normalised ones, against numpy."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sercore import params
from sercore.batches import Utterances, collate
from sercore.cache import Ragged, stored
from sercore.disk import complete_file
from sercore.features import FrozenEncoders, SpeakerNormalised
from sercore.model import AttributeModel


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("variant", ["fusion", "whisper_finetuned", "whisper_fusion"])
def test_cached_features_give_the_predictions_of_raw_audio(project, tones, small, variant):
    """Of a frozen Whisper also where only its spectrograms have room; both are kept in half precision."""
    is_whisper, is_frozen = variant != "fusion", variant == "whisper_fusion"
    small["training"]["precision"] = "bfloat16" if is_frozen else "float32"
    cached = params.load("embedded", variant, 0, small)
    torch.manual_seed(0)
    model = AttributeModel.from_params(cached, speakers=4, scale=tones.scale).eval()
    outputs = []

    def predict(chosen):
        features = FrozenEncoders(chosen, model.speech)(tones.table)
        dataset = Utterances(tones, features, []).of(tones.split("test3"))
        with torch.no_grad():
            outputs.append(model(**collate([dataset[index] for index in range(len(dataset))])).predictions)
        return features

    if is_frozen:
        size = 2 * tones.table["duration"].sum() * model.speech.kept["hidden states"]
        free = type("Usage", (), {"free": 2 * size - 1})
        told = "hidden states take .* are free\\): log-mel spectrograms are kept instead"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shutil.disk_usage", lambda _: free)
            with pytest.warns(UserWarning, match=told):
                features = predict(cached)
            assert features.spectrograms is not None
    features = predict(cached)
    assert (features.speech is None) == (is_whisper and not is_frozen) == (features.spectrograms is not None)
    predict(params.load("embedded", variant, 0, small | {"speech": {"cache": False}}))
    for one in outputs[1:]:
        torch.testing.assert_close(one, outputs[0], atol=1e-3 if is_frozen else 1e-5, rtol=1e-5)


def test_a_changed_audio_text_or_model_is_never_served_stale(project, tones, small):
    chosen = params.load("embedded", "fusion", 0, small)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)

    def folders() -> set:
        features = FrozenEncoders(chosen, model.speech)(tones.table.head(3).assign(path=copies, transcript=texts))
        return {features.speech.folder.name, features.text.folder.name}

    texts, copies = ["one", "two", None], []
    for path in tones.table["path"].head(3):
        copies.append(project / path.name)
        copies[-1].write_bytes(path.read_bytes())
    first = folders()
    assert folders() == first
    copies[1].write_bytes(copies[0].read_bytes())
    audio_changed = folders()
    assert len(audio_changed & first) == 1
    texts[2] = "three"
    assert len(folders() & audio_changed) == 1
    with torch.no_grad():
        next(model.speech.front_end.parameters()).add_(1)
    assert not folders() & audio_changed


def test_an_interrupted_cache_is_no_cache(tmp_path):
    def broken():
        yield np.ones((2, 3))
        raise Interrupted

    with pytest.raises(Interrupted):
        stored(tmp_path, ["key"], broken)
    arrays = [np.ones((2, 3)), np.zeros((0, 3)), np.full((4, 3), 2.0)]
    found = stored(tmp_path, ["key"], lambda: arrays)
    assert isinstance(found, Ragged)
    assert len(list(tmp_path.iterdir())) == 1
    for ours, expected in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_features_of_a_run_in_half_precision_take_half_the_room(project, tones, small):
    sizes = {}
    for precision in ("float32", "bfloat16"):
        chosen = params.load("embedded", "speech_only", 0, small | {"training": {"precision": precision}})
        model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
        features = FrozenEncoders(chosen, model.speech)(tones.table).speech
        sizes[precision] = (features.folder / "values").stat().st_size
        (numbers,) = model.speech.kept.values()
        expected = numbers * tones.table["duration"].sum() * (4 if precision == "float32" else 2)
        assert 0.75 * expected < sizes[precision] <= expected  # the shorter the sound, the fewer frames a second
        if precision == "float32":
            exact = features[5]
    np.testing.assert_allclose(features[5], exact, rtol=1e-3, atol=1e-4)
    assert sizes["bfloat16"] == sizes["float32"] / 2


@pytest.mark.parametrize("name", ["values", "about.json"])
@pytest.mark.parametrize("kept", [0, 24, 25])
def test_a_damaged_cache_is_made_anew(tmp_path, name, kept):
    arrays = [np.ones((2, 3)), np.full((4, 3), 2.0)]
    path = stored(tmp_path, ["key"], lambda: arrays).folder / name
    path.write_bytes(path.read_bytes()[:kept])
    for ours, expected in zip(stored(tmp_path, ["key"], lambda: arrays), arrays, strict=True):
        np.testing.assert_array_equal(ours, expected)
    path.unlink()
    assert len(stored(tmp_path, ["key"], lambda: arrays)) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_utterances_without_a_transcript_are_counted(project, tones, small):
    table = tones.table.assign(transcript=["A word."] * (len(tones.table) - 3) + [None, np.nan, " "])
    chosen = params.load("embedded", "fusion", 0, small)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
    with pytest.warns(
        UserWarning, match=f"3 of {len(table)} utterances have no transcript: their text embeddings are zero"
    ):
        features = FrozenEncoders(chosen, model.speech)(table)
    assert [bool(features.text[index].any()) for index in range(-4, 0)] == [True, False, False, False]


def test_an_interrupted_file_leaves_the_older_one(tmp_path):
    def broken(partial):
        partial.write_text("half")
        raise Interrupted

    path = tmp_path / "table.csv"
    complete_file(path, lambda partial: partial.write_text("whole"))
    with pytest.raises(Interrupted):
        complete_file(path, broken)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("table.csv", "whole")]


def test_two_that_write_a_file_at_once_do_not_disturb_each_other(tmp_path):
    """As runs in parallel do that find no cache."""
    path, both = tmp_path / "table.csv", Barrier(2)

    def write(partial):
        partial.write_text("whole")
        both.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: complete_file(path, write), range(2)))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("table.csv", "whole")]


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
@given(owners=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=4, max_size=15), seed=st.integers(0, 99))
def test_each_speaker_gets_the_moments_of_all(shape, owners, seed):
    generator = np.random.default_rng(seed)
    features = [
        generator.normal(len(str(owner)), 2, (generator.integers(2, 9), *shape)).astype(np.float32) for owner in owners
    ]
    speakers = pd.Series(owners, dtype=object)
    found = list(SpeakerNormalised(features, speakers))
    known = np.flatnonzero(speakers.notna())
    if not len(known):
        known = []
    everyone = np.concatenate([features[row] for row in known] or [np.zeros((0, *shape))])
    for name in speakers.dropna().unique():
        own = np.concatenate([found[row] for row in np.flatnonzero(speakers == name)])
        np.testing.assert_allclose(own.mean(0), everyone.mean(0), atol=1e-4)
        np.testing.assert_allclose(own.std(0), everyone.std(0), atol=1e-4)
    for row in np.flatnonzero(speakers.isna()):
        np.testing.assert_array_equal(found[row], features[row])
    assert [one.dtype for one in found] == [np.float32] * len(owners)


def test_one_speaker_alone_stays_as_he_is_and_a_constant_channel_is_finite():
    features = [np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([[4.0, 5.0]])]
    for one, given_one in zip(SpeakerNormalised(features, pd.Series(["a", "a"])), features, strict=True):
        np.testing.assert_allclose(one, given_one)


def test_order_within_a_speaker_is_kept():
    """A shift and a positive scale: what was louder stays louder."""
    features = list(np.random.default_rng(0).normal(0, 1, (6, 7, 2)))
    found = SpeakerNormalised(features, pd.Series(list("aabbcc")))
    np.testing.assert_array_equal(np.argsort(found[2], axis=0), np.argsort(features[2], axis=0))
