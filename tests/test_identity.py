"""Whose sound, whose labels, whose run: what a figure was computed from is what it is said to be."""

import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import soundfile
from faults import OVERRIDES, command, manifest, noise, sentence, table, wav

from sercore import corpora, disk, params, runs
from sercore.corpora import files
from sercore.corpus import CorpusError
from sercore.params import ParamsError


def loaded(path, **changes):
    chosen = {"corpus": {"reader": "manifest", "path": str(path)}} | params.parse_yaml(OVERRIDES, "here") | changes
    return params.load("embedded", "speech_only", 0, chosen)


def train(path, **changes):
    from sercore import training

    chosen = loaded(path, **changes)
    return training.train(chosen, corpora.read(chosen.corpus, chosen.seed))


def overwrite(path, seed):
    """Other sound of equal size and time of modification, in place."""
    before = path.stat()
    wav(path, noise(seed=seed))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)


@pytest.mark.parametrize("name", ["wav/u000.wav", "wav/u069.wav"])
def test_sound_that_is_overwritten_makes_another_run_and_spoils_none(project, name):
    path = manifest(project / "mine")
    first = train(path)
    overwrite(project / "mine" / name, seed=99)
    second = train(path)
    assert first.folder != second.folder
    assert not np.allclose(first.predictions["predicted_arousal"], second.predictions["predicted_arousal"])
    pd.testing.assert_frame_equal(runs.read(first.folder).predictions, first.predictions)


def test_two_corpora_of_equal_rows_sizes_and_times_have_a_run_each(project, monkeypatch):
    paths = [manifest(project / name, seed=seed) for seed, name in enumerate(("clean", "denoised"))]
    for path in project.rglob("*.wav"):
        os.utime(path, ns=(1, 1))
    found = [train(path) for path in paths]
    assert found[0].folder != found[1].folder
    assert not np.allclose(*(run.predictions["predicted_arousal"] for run in found))
    monkeypatch.setattr("sercore.training.AttributeTrainer", None)  # neither is trained again
    for path, run in zip(paths, found, strict=True):
        pd.testing.assert_frame_equal(train(path).predictions, run.predictions)
        chosen = loaded(path)
        assert runs.latest(chosen, corpora.read(chosen.corpus, 0).digest()) == run.folder
    moved = (project / "clean").rename(project / "elsewhere")
    assert train(moved / "corpus.csv").folder == found[0].folder


def torchrun(project, *arguments):
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return project / done.stdout.strip()


@pytest.mark.slow
def test_two_processes_make_another_run_than_one(project):
    path = manifest(project / "mine")
    changes = {"corpus": {"reader": "manifest", "path": str(path)}} | params.parse_yaml(OVERRIDES, "here")
    folder = torchrun(
        project, "-m", "sercore", "train", "embedded", "speech_only", "0", "--overrides", json.dumps(changes)
    )
    alone = train(path)
    assert folder.parent == alone.folder.parent
    assert not np.allclose(runs.read(folder).history["mean"], alone.history["mean"], rtol=1e-3)
    assert {path.stem for path in project.glob("runs/*/*/seed-0-*")} == {folder.name, alone.folder.name}
    inputs = [json.loads((one / "environment.json").read_text())["inputs"] for one in (folder, alone.folder)]
    assert inputs[0] == inputs[1] | {"processes": "2"}
    for processes, expected in ((None, alone.folder), (1, alone.folder), (2, folder)):
        training = {"epochs": 2, "batch_size": 8, "processes": processes}
        assert train(path, training=training).folder == expected
    with pytest.raises(ParamsError, match=r"training\.processes is 3, and 1 would .*torchrun --nproc-per-node 3"):
        train(path, training={"epochs": 2, "batch_size": 8, "processes": 3})


def test_the_kind_of_gpu_belongs_to_a_run_and_a_cpu_is_not_named(project, monkeypatch):
    import torch

    from sercore.training import _circumstances

    monkeypatch.setattr("sercore.training.processes", lambda: type("State", (), {"num_processes": 1}))
    assert _circumstances(loaded("mine")) == {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA X")
    assert _circumstances(loaded("mine")) == {"device": "NVIDIA X"}
    fast = loaded("mine", training={"epochs": 2, "batch_size": 8, "deterministic": False})
    assert _circumstances(fast) == {"device": "NVIDIA X", "deterministic": "false"}
    chosen, inputs = loaded("mine"), {"corpus": "c"}
    folders = {runs.run_folder(chosen, inputs | more) for more in ({}, {"device": "X"}, {"processes": "2"})}
    assert len(folders) == 3


def test_the_bare_name_of_a_run_stands_for_the_only_one(project):
    run = train(manifest(project / "mine"))
    bare = run.folder.with_name("seed-0")
    assert runs.located(bare) == runs.located(run.folder) == run.folder
    run.folder.with_name("seed-0-00000000").mkdir()
    with pytest.raises(ParamsError, match=r"seed-0 may be seed-0-\w+, seed-0-\w+, which differ by corpus or device"):
        runs.located(bare)


def test_a_simulated_run_goes_by_its_seed_until_another_identity_has_that_name(project, tones, small):
    from dataclasses import replace

    from sercore import training

    chosen = params.load("embedded", "speech_only", 0, small | {"training": {"epochs": 1, "batch_size": 8}})
    first = training.train(chosen, tones)
    assert first.folder.name == "seed-0"
    second = training.train(chosen, replace(tones, table=tones.table.assign(gender="Male")))
    assert second.folder.name.startswith("seed-0-")
    pd.testing.assert_frame_equal(runs.read(first.folder).predictions, first.predictions)
    assert training.train(chosen, tones).folder == first.folder
    shutil.rmtree(first.folder)
    assert training.train(chosen, replace(tones, table=tones.table.assign(gender="Male"))).folder == second.folder


def test_a_run_of_other_code_is_named_in_one_warning(project, monkeypatch):
    path = manifest(project / "mine")
    run = train(path)
    monkeypatch.setattr(runs, "code", lambda: "another")
    with pytest.warns(UserWarning, match=r"seed-0-\w+ was trained by another revision of sercore: remove it") as caught:
        assert train(path).folder == run.folder
    assert len([one for one in caught if "revision" in str(one.message)]) == 1


def test_the_second_of_two_processes_waits_for_the_run_of_the_first(project, capfd):
    chosen, inputs, order = loaded("mine/corpus.csv"), {"corpus": "c"}, []

    def second():
        with runs.claimed(chosen, inputs):
            order.append("second")

    with runs.claimed(chosen, inputs):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.3)
        order.append("first")
        with runs.claimed(chosen, {"corpus": "another"}):
            order.append("another corpus")
    waiting.join()
    assert order == ["first", "another corpus", "second"]
    assert "another process trains this run; waiting for it." in capfd.readouterr().err


def test_digests_are_of_contents_and_looked_at_once(project, monkeypatch):
    paths = [wav(project / f"{number}.wav", noise(seed=number)) for number in range(5)]
    first = disk.digests(paths)
    assert len(set(first)) == 5
    copies = [path.rename(path.with_suffix(".copy")) for path in paths]
    assert disk.digests(copies) == first
    monkeypatch.setattr(disk, "_digest", None)
    assert disk.digests(copies) == first
    monkeypatch.setattr(disk, "WHOLE", 0)
    parts = disk.digests(copies)
    assert len(set(parts)) == 5
    copies[0].write_bytes(copies[1].read_bytes()[::-1])
    assert [one == other for one, other in zip(disk.digests(copies), parts, strict=True)] == [False] + [True] * 4


def flac(path):
    samples, rate = soundfile.read(path)
    soundfile.write(path.with_suffix(".flac"), samples, rate)
    return path.with_suffix(".flac")


def with_another_header(path):
    copy = path.with_name("other header.wav")
    with soundfile.SoundFile(copy, "w", 16_000, 1) as file:
        file.title = "with a title"
        file.write(soundfile.read(path)[0])
    return copy


def copied(path):
    return wav(path.with_name("copy.wav"), soundfile.read(path)[0])


def linked(path):
    path.with_name("link.wav").symlink_to(path)
    return path.with_name("link.wav")


@pytest.mark.parametrize("again", [lambda path: path, copied, linked, with_another_header, flac])
def test_a_recording_in_two_splits_is_refused(project, again, monkeypatch, capsys):
    rows = table()
    path = manifest(project / "mine", rows)
    other = again(project / "mine" / rows["path"][0])
    rows.loc[[40, 50], "path"] = [str(other), rows["path"][1]]
    rows.to_csv(path, index=False)
    changed = f"{{corpus: {{reader: manifest, path: {path}}}, text: null}}"
    assert command(monkeypatch, "train", "embedded", "speech_only", 0, "--overrides", changed) == 1
    problem = (
        "corpus has 2 recordings in two splits: u000 (train) and u040 (development), u001 (train) and u050 (test1);"
    )
    sentence(capsys.readouterr().err, problem, "keep each in one")


def test_stems_that_two_folders_share_are_refused_unless_they_are_copies(project):
    one, other = (wav(project / folder / "a.b.wav", noise(seed=1)) for folder in ("wav", "wav_again"))
    assert files.by_stem(files.walk(project), ".wav") == {"a.b": one}
    wav(other, noise(seed=2))
    with pytest.raises(
        CorpusError,
        match=rf"{one} and {other} differ, though they have one name: move one folder elsewhere, or name each path",
    ):
        files.by_stem(files.walk(project), ".wav")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{training: {epochs: 1}, training: {batch_size: 16}}", "key 'training' is given twice"),
        ("{training: {epochs: 1, epochs: 2}}", "key 'epochs' is given twice"),
        ("{training: {epochs: '1'}}", "'training.epochs' is '1': input should be a valid integer"),
        ("{training: {epochs: 1.0}}", "'training.epochs' is 1.0: input should be a valid integer"),
        ("{training: {epochs: true}}", "'training.epochs' is True: input should be a valid integer"),
        ("{training: {epochs: 010}}", "'training.epochs' is '010': input should be a valid integer"),
        ("{training: {epochs: 1:30}}", "'training.epochs' is '1:30': input should be a valid integer"),
        ("{training: {exact_ccc: 1}}", "'training.exact_ccc' is 1: input should be a valid boolean"),
        ("{training: {exact_ccc: 'no'}}", "'training.exact_ccc' is 'no': input should be a valid boolean"),
        ("{training: {learning_rate: '0.1'}}", "'training.learning_rate' is '0.1': input should be a valid number"),
        ("{training: {learning_rate: .nan}}", "'training.learning_rate' is nan: input should be a finite number"),
        ("{speech: {encoder: 5}}", "'speech.encoder' is 5: input should be a valid string"),
        ("{corpus: {path: 5}}", "'corpus.path' is 5: input should be a valid string"),
        ("{loss: {attributes: arousal}}", "'loss.attributes' is 'arousal': input should be a valid array"),
    ],
)
def test_no_key_is_lost_and_no_type_is_guessed(project, text, problem, monkeypatch, capsys):
    status = command(monkeypatch, "train", "embedded", "fusion", 0, "--overrides", text)
    error = capsys.readouterr().err
    assert status == 1
    sentence(error, problem)


def test_numbers_may_have_an_exponent_without_a_point():
    assert params.parse_yaml("[1e-3, -2E+4, 1_000, 0x10, 0, 0.5, -7]", "here") == [1e-3, -2e4, 1000, 16, 0, 0.5, -7]


@pytest.mark.parametrize("name", ["embedded", "variants", "questions"])
def test_a_key_twice_in_a_file_is_refused(project, name):
    from study import plan

    folder = (project / "params").resolve()
    (project / "params").unlink()
    (project / "params").mkdir()
    for path in folder.glob("*.yaml"):
        (project / "params" / path.name).write_text(path.read_text())
    broken = project / "params" / f"{name}.yaml"
    first = next(line for line in broken.read_text().splitlines() if line and line[0] not in "# {-")
    broken.write_text(f"{broken.read_text()}\n{first.partition(':')[0]}: {{}}\n")
    with pytest.raises(ParamsError, match=rf"{name}\.yaml is not valid YAML: key '\w+' is given twice .*line \d+"):
        plan.question("embedded", "text") if name == "questions" else params.load("embedded", "fusion", 0)
