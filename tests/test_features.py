"""Cached features are those of the audio as it is, never stale or damaged; normalised ones, against numpy."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from sercore import params
from sercore.audio import AudioError
from sercore.batches import Utterances, collate
from sercore.cache import Ragged, stored
from sercore.disk import complete, complete_file
from sercore.failures import one_sentence
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


ARRAYS = [np.ones((2, 3)), np.zeros((0, 3)), np.full((4, 3), 2.0), np.full((1, 3), 3.0)]


def from_number(start):
    return iter(ARRAYS[start:])


@pytest.mark.parametrize("done", range(5))
@pytest.mark.parametrize("cut", [0, 5])
def test_an_interrupted_cache_is_no_cache_and_is_continued(tmp_path, done, cut):
    """At the last array that is there, since it may be cut off."""

    def broken(start):
        assert start == 0
        yield from ARRAYS[:done]
        raise Interrupted

    with pytest.raises(Interrupted):
        stored(tmp_path, ["key"], broken)
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".partial-")
    values = partial / "made" / "values"
    values.write_bytes(values.read_bytes()[: values.stat().st_size - cut])
    begun = []
    found = stored(tmp_path, ["key"], lambda start: begun.append(start) or from_number(start))
    assert isinstance(found, Ragged)
    assert len(list(tmp_path.iterdir())) == 1
    assert begun == [max((0, 0, 0, 2, 3)[done] - 1 if cut else done - 1, 0)]
    for ours, expected in zip(found, ARRAYS, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_one_process_computes_what_two_want(tmp_path):
    computed, begun = [], Barrier(2)

    def slow(start):
        computed.append(start)
        time.sleep(0.2)
        return from_number(start)

    def ask(_):
        begun.wait()
        return stored(tmp_path, ["key"], slow)

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(ask, range(2)):
            assert len(found) == len(ARRAYS)
    assert computed == [0]


def test_several_processes_and_batches_give_the_same_features(project, tones, small, monkeypatch):
    chosen = params.load("embedded", "fusion_speaker_embedding", 0, small)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
    table, found = pd.concat([tones.table] * 2, keys=["a", "b"]), []  # enough to be worth a process
    for cores, batch in ((1, 1), (2, 1), (2, 5)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: range(cores), raising=False)
        monkeypatch.setattr("sercore.features.BATCH", batch)
        features = FrozenEncoders(chosen, model.speech)(table)
        found.append([*map(np.array, features.speech), *map(np.array, features.speaker)])
        shutil.rmtree("data")
    for ours in found[1:]:
        for one, expected in zip(ours, found[0], strict=True):
            np.testing.assert_allclose(one, expected, atol=1e-5)


def test_an_unusable_file_is_named_by_whichever_process_reads_it(project, tones, small, monkeypatch):
    chosen = params.load("embedded", "speech_only", 0, small)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
    (project / "words.wav").write_text("no audio")
    paths = [*tones.table["path"][:-1], project / "words.wav"]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2), raising=False)
    with pytest.raises(
        AudioError, match=r"words\.wav is not audio that libsndfile can read \(.*\): replace it, or .*\.$"
    ):
        FrozenEncoders(chosen, model.speech)(tones.table.assign(path=paths))


@pytest.mark.parametrize("finetune", [True, False])
def test_a_training_in_half_precision_gets_the_features_that_are_kept(project, tones, small, finetune):
    """From sound in every step or from disk: the same numbers, in the same type."""
    changes = {"speech": {"finetune": finetune}, "training": {"precision": "bfloat16"}}
    chosen = params.load("embedded", "speech_only", 0, small | changes)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale).eval()
    encoders = FrozenEncoders(chosen, model.speech)
    kept, sound = encoders(tones.table), encoders(tones.table, cached=False)
    batch = collate([sound[index] for index in range(6)])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        features, _ = model.speech.frozen_part(batch["audio"], batch["samples"])
    expected = np.concatenate([kept.speech[index] for index in range(6)])
    assert features.numpy().dtype == expected.dtype == np.float16
    np.testing.assert_allclose(features, expected, rtol=2e-3, atol=1e-4)


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
    path = stored(tmp_path, ["key"], lambda _: arrays).folder / name
    path.write_bytes(path.read_bytes()[:kept])
    for ours, expected in zip(stored(tmp_path, ["key"], lambda _: arrays), arrays, strict=True):
        np.testing.assert_array_equal(ours, expected)
    path.unlink()
    assert len(stored(tmp_path, ["key"], lambda _: arrays)) == 2
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


def test_what_a_killed_process_left_is_replaced(tmp_path):
    """Of a file and of a folder: neither is mistaken for a result, and nothing stays behind."""
    for name in ("table.csv", "folder"):
        (tmp_path / f".partial-{name}" / name).mkdir(parents=True)
    (tmp_path / ".partial-folder" / "folder" / "half").touch()
    (tmp_path / ".partial-table.csv" / "table.csv").rmdir()
    (tmp_path / ".partial-table.csv" / "table.csv").write_text("half of it, and more")
    complete_file(tmp_path / "table.csv", lambda partial: partial.write_text("whole"))
    complete(tmp_path / "folder", lambda partial: (partial / "file").write_text("whole"))
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"table.csv": "whole", "folder/file": "whole"}
    assert len(list(tmp_path.iterdir())) == 2


def test_two_that_write_a_file_at_once_do_not_disturb_each_other(tmp_path):
    """As runs in parallel do that find no cache."""
    path, both = tmp_path / "table.csv", Barrier(2)

    def write(partial):
        assert not partial.exists()
        partial.write_text("half")
        time.sleep(0.1)
        partial.write_text("whole")

    def begin(_):
        both.wait()
        complete_file(path, write)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(begin, range(2)))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("table.csv", "whole")]


def test_a_full_disk_is_named_with_what_is_needed(tmp_path):
    def fill(partial):
        partial.symlink_to("/dev/full")
        partial.write_text("x")

    with pytest.raises(OSError, match="No space left on device") as error:
        complete_file(tmp_path / "table.csv", fill)
    assert error.value.filename == str(tmp_path / "table.csv")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"No space left on device, about 3\.0 GB are needed, and .* are free"):
        complete_file(tmp_path / "table.csv", fill, 3e9)


@pytest.mark.parametrize("replace", [True, False])
def test_weights_that_find_no_room_are_told_and_leave_the_older_folder(tmp_path, replace):
    def fill(partial):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    folder = tmp_path / "model"
    if replace:
        complete(folder, lambda partial: (partial / "file").write_text("older"))
    told = r"model: cannot be written \(.*28\)\), about 3\.0 GB are needed, and .* are free: make room"
    with pytest.raises(SystemExit, match=told), one_sentence():
        complete(folder, fill, 3e9, replace=replace)
    assert [path.read_text() for path in tmp_path.rglob("file")] == ["older"] * replace
    complete(folder, lambda partial: (partial / "file").write_text("newer"), replace=replace)
    assert [path.read_text() for path in tmp_path.rglob("file")] == ["newer"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_killed_processes_left_long_ago_is_removed(tmp_path):
    """Unless a process holds it, or it is of today."""
    for name in ("orphan", "fresh", "held"):
        (tmp_path / f".partial-{name}").mkdir()
        (tmp_path / f".partial-{name}" / "lock").touch()
        if name != "fresh":
            os.utime(tmp_path / f".partial-{name}" / "lock", (0, 0))
    with FileLock(tmp_path / ".partial-held" / "lock"):
        os.utime(tmp_path / ".partial-held" / "lock", (0, 0))
        stored(tmp_path, ["key"], from_number)
        assert {path.name for path in tmp_path.glob(".*")} == {".partial-fresh", ".partial-held"}


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
