"""What cannot work ends in one sentence and exit status 1; what can, is not lost with it."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from conftest import ROOT, furnish
from faults import OVERRIDES, command, manifest, noise, recordings, sentence, table, unnamed, wav
from made_up import make_study
from safetensors import SafetensorError

import sercore
from sercore import params, submission
from sercore.corpora import emotale, files
from sercore.corpus import CorpusError
from sercore.failures import one_sentence
from sercore.params import ParamsError, merge
from sercore.runs import PREDICTED
from study import comparisons, plan, show
from study.__main__ import features
from study.__main__ import main as study_main
from study.results import summed

PYTHON = str(Path(sys.executable).parent)


def overrides(**changes: dict) -> dict:
    """Those of a run on the manifest of a project, with `changes`."""
    return merge(yaml.safe_load(OVERRIDES), {"corpus": {"reader": "manifest", "path": "corpus.csv"}, **changes})


def train(monkeypatch: pytest.MonkeyPatch, variant: str = "speech_only", **changes: dict) -> int:
    return command(monkeypatch, "train", "embedded", variant, 0, "--overrides", json.dumps(overrides(**changes)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with the run of a system that takes text."""
    home = furnish(tmp_path_factory.mktemp("trained"))
    manifest(home)
    text = {"encoder": "sentence-transformers/all-MiniLM-L6-v2", "finetune": False}
    changes = json.dumps(overrides(text=text, training={"epochs": 1}))
    done = subprocess.run(
        [sys.executable, "-m", "sercore", "train", "embedded", "fusion", "0", "--overrides", changes],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return home / done.stdout.strip()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of good and bad recordings, as working directory."""
    monkeypatch.chdir(recordings(tmp_path / "all").parent)
    return tmp_path / "all"


def predicted(capsysbinary) -> tuple[pd.DataFrame, str]:
    printed = capsysbinary.readouterr()
    text = printed.out.decode(errors="surrogateescape")
    return pd.read_csv(io.StringIO(text), index_col="utterance"), printed.err.decode()


BAD = {
    "click": "shorter than a frame",
    "words": "is not audio",
    "nothing": "is empty",
    "broken": "does not exist",
    "gone": "does not exist",
    "x" * 300: "name",
}


@pytest.mark.filterwarnings("ignore:.*(no transcript|longer than)")
def test_bad_files_cost_no_row_of_the_good_ones(trained, folder, monkeypatch, capsysbinary):
    names = ["a", "click", "words", "b", "nothing", "broken", "gone", "x" * 300]
    assert command(monkeypatch, "predict", trained, *[folder / f"{name}.wav" for name in names]) == 1
    table, stderr = predicted(capsysbinary)
    assert list(table.index) == ["a", "b"]
    assert np.isfinite(table.to_numpy()).all()
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(BAD)
    for (name, problem), line in zip([(one, BAD[one]) for one in names if one in BAD], lines, strict=True):
        assert f"{name}.wav" in line
        assert problem in line
    sentence(stderr)
    alone = sercore.load(trained)([folder / "a.wav", folder / "b.wav"])
    np.testing.assert_allclose(table, alone, atol=2e-6)


@pytest.mark.filterwarnings("ignore:.*no transcript")
def test_a_folder_stands_for_its_recordings_and_names_what_is_left_out(trained, folder, monkeypatch, capsysbinary):
    for name in ("click", "words", "nothing", "broken"):
        (folder / f"{name}.wav").unlink()
    wav(folder / "deep" / "c.flac")
    for link in ("latest", "v1", "deep/up"):
        (folder / link).symlink_to(folder)
    with pytest.warns(UserWarning, match="are no audio") as caught:
        assert command(monkeypatch, "predict", trained, f"{folder}/") == 0
    assert list(predicted(capsysbinary)[0].index) == ["a", "b", "l", "c"]
    told = [str(one.message) for one in caught]
    assert any("1 of 5 files in" in text and "are no audio: notes.txt" in text for text in told)
    assert any("1 of 4 utterances are longer than 15 s" in text and ": l;" in text for text in told)


def test_a_list_has_paths_beside_it_and_perhaps_transcripts(trained, folder, monkeypatch, capsysbinary):
    (folder / "list.csv").write_text("transcript,path,more\nWhat a day.,a.wav,1\nNo.,b.wav,2\n")
    assert command(monkeypatch, "predict", trained, folder / "list.csv") == 0
    given = sercore.load(trained)([folder / "a.wav", folder / "b.wav"], ["What a day.", "No."])
    np.testing.assert_allclose(predicted(capsysbinary)[0], given, atol=2e-6)


@pytest.mark.filterwarnings("ignore:.*(no transcript|longer than)")
@pytest.mark.parametrize("windows", [[], ["--windows"]])
def test_names_that_are_no_utf8_are_predicted_and_printed_as_they_are(
    trained, tmp_path, monkeypatch, capsysbinary, windows
):
    path = unnamed(tmp_path / "old")
    soundfile.write(os.fsencode(path), noise(20), 16_000, format="WAV")
    for given in (path, path.parent):
        assert command(monkeypatch, "predict", trained, given, *windows) == 0
        assert capsysbinary.readouterr().out.splitlines()[1].startswith(b"caf\xe9,")


@pytest.mark.filterwarnings("ignore:.*no transcript")
def test_long_files_are_told_or_averaged_over_windows(trained, folder):
    predictor = sercore.load(trained)
    samples, rate = soundfile.read(folder / "l.wav")
    halves = [wav(folder / f"half{number}.wav", part) for number, part in enumerate((samples[: 15 * rate], samples))]
    soundfile.write(folder / "two.wav", samples[: 30 * rate], rate)
    soundfile.write(halves[1], samples[15 * rate : 30 * rate], rate)
    with pytest.warns(UserWarning, match=r"1 of 1 utterances are longer than 15 s, .* of each: two; predict with"):
        cut = predictor([folder / "two.wav"])
    parts = predictor(halves)
    np.testing.assert_allclose(cut, parts.iloc[[0]], atol=1e-6)
    np.testing.assert_allclose(predictor([folder / "two.wav"], windows=True), [parts.mean()], atol=1e-6)
    short = [folder / "b.wav", folder / "a.wav", *halves]
    pd.testing.assert_frame_equal(predictor(short, windows=True), predictor(short), check_exact=True)
    assert predictor([], windows=True).shape == (0, 3)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["all/a.wav", "--text", "hi", "there"], ["2 texts for 1 files"]),
        (["all/a.wav", "--text", "all/b.wav"], ["'all/b.wav' is the name of a file", "before --text"]),
        (["--text", "hi", "all/a.wav"], ["leaves no file", "put the files before it"]),
        (["all/list.csv", "--text", "hi"], ["a CSV has a column transcript"]),
        (["all/hole.csv"], ["hole.csv has no path in line 3"]),
        (["all/empty.csv"], ["empty.csv has no path in line 2"]),
        (["all/other.csv"], ["other.csv: missing columns path; it has file"]),
        (["nothing"], ["nothing has no recording"]),
        (["all/a.wav", "all/a.wav"], ["the same file is given twice"]),
    ],
)
def test_wrong_files_and_texts_are_refused(trained, folder, monkeypatch, capsys, words, wanted):
    (folder.parent / "nothing").mkdir()
    for name, text in {"list": "path,transcript\na.wav,hi\n", "hole": "path,x\na.wav,1\n,2\n"}.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "empty.csv").write_text("path\n")
    (folder / "other.csv").write_text("file\na.wav\n")
    assert command(monkeypatch, "predict", trained, *words) == 1
    sentence(capsys.readouterr().err, *wanted)


def test_each_file_is_listed_as_it_was_given(folder):
    found = files.listed([folder / "words.wav", "gone.csv", "x" * 300])
    assert list(found["path"]) == [folder / "words.wav", Path("gone.csv"), Path("x" * 300)]
    assert found["transcript"].isna().all()


@pytest.mark.parametrize("run", ["all/a.wav", "gone", "all/broken.wav"])
def test_what_is_no_run_is_refused(folder, monkeypatch, capsys, run):
    assert command(monkeypatch, "predict", run, folder / "a.wav") == 1
    sentence(capsys.readouterr().err, run, "python -m sercore train")


def test_a_model_that_predicts_nan_is_refused(trained, folder, monkeypatch, capsys):
    from sercore.model import AttributeModel

    usual = AttributeModel.from_pretrained

    def damaged(*arguments, **options):
        model = usual(*arguments, **options)
        model.attributes["valence"][0].weight.data.fill_(torch.nan)
        return model

    monkeypatch.setattr(AttributeModel, "from_pretrained", damaged)
    assert command(monkeypatch, "predict", trained, folder / "a.wav", "--text", "hi") == 1
    sentence(capsys.readouterr().err, "predicts NaN for 1 of 1 utterances")


def test_one_run_is_not_counted_twice(project):
    from test_submission import FIRST, SECOND, run

    for folders in ([None, None], [Path("one"), Path("copy")]):
        twice = [replace(run(FIRST), folder=folder) for folder in folders]
        with pytest.raises(ParamsError, match="the same run is given twice: ") as error:
            submission.write([run(SECOND, seed=1), *twice], project / "answer.csv")
        assert "\n" not in str(error.value)
    assert not (project / "answer.csv").exists()


# Training


@pytest.mark.parametrize("changes", [{}, {"exact_ccc": True, "accumulation": 2}])
def test_the_first_epoch_of_nan_ends_the_training(project, monkeypatch, capsys, changes):
    manifest(project)
    training = {"learning_rate": 1e30, "epochs": 3, **changes}
    assert train(monkeypatch, training=training) == 1
    sentence(capsys.readouterr().err, "epoch 1 of speech_only", "training.learning_rate", "training.precision")
    assert not list(project.glob("runs/*/*/seed-*"))


def test_nan_through_the_graph_is_one_sentence(project, monkeypatch, capsys):
    manifest(project)
    (project / "notebooks").symlink_to(ROOT / "notebooks")
    values = json.dumps({"variant": "speech_only", "overrides": overrides(training={"learning_rate": 1e30})})
    assert study(monkeypatch, "execute", "notebooks/ablation.ipynb", "out.ipynb", values) == 1
    sentence(capsys.readouterr().err, "out.ipynb failed: ParamsError: epoch 1 of speech_only", "learning_rate")


def test_nan_after_the_last_epoch_enters_no_run(project, monkeypatch, capsys):
    from sercore.training import AttributeTrainer

    manifest(project)
    usual = AttributeTrainer.predict

    def damaged(self, *arguments, **options):
        found = usual(self, *arguments, **options)
        found.predictions[3] = np.nan
        return found

    monkeypatch.setattr(AttributeTrainer, "predict", damaged)
    assert train(monkeypatch) == 1
    sentence(capsys.readouterr().err, "predicts NaN for 1 of", "with the model of its best epoch")
    assert not list(project.glob("runs/*/*/seed-*"))


def test_a_machine_without_git_trains(project, monkeypatch, capsys):
    manifest(project)
    monkeypatch.setenv("PATH", str(project))
    assert train(monkeypatch) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert '"git_revision": null' in (folder / "environment.json").read_text()


def test_a_corpus_whose_names_are_no_utf8_is_refused(project, monkeypatch, capsys, tones):
    from sercore import corpora

    monkeypatch.setattr(corpora, "read", lambda *_: tones.table.rename(index=lambda name: f"{name}_caf\udce9"))
    manifest(project)
    assert train(monkeypatch) == 1
    sentence(capsys.readouterr().err, "_caf", "not UTF-8: rename the file")


def link(name: str):
    return lambda project: (project / name).symlink_to("/nowhere/at/all")


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda project: (project / "runs").touch(), ["runs", "Not a directory", "remove the file"]),
        (lambda project: (project / "data").touch(), ["data", "Not a directory", "remove the file"]),
        (link("runs"), ["runs", "File exists", "broken link"]),
        (link("data"), ["data", "File exists", "broken link"]),
    ],
)
def test_what_is_in_the_way_is_named(project, monkeypatch, capsys, spoil, wanted):
    manifest(project)
    spoil(project)
    assert train(monkeypatch) == 1
    sentence(capsys.readouterr().err, *wanted)


@pytest.mark.parametrize(
    ("place", "error", "wanted"),
    [
        ("pathlib.Path.mkdir", OSError(30, "Read-only file system", "/x/runs"), ["/x/runs", "Read-only", "written"]),
        ("pathlib.Path.mkdir", PermissionError(13, "Permission denied", "/x/runs"), ["/x/runs", "permissions"]),
        (
            "pathlib.Path.write_text",
            OSError(28, "No space left"),
            ["data/cache", "No space left, about", "are needed", "make room"],
        ),
        (
            "torch.save",
            RuntimeError("unexpected pos 64 vs 0"),
            [".partial", "cannot be written", "MB are needed", "make room"],
        ),
        (
            "transformers.modeling_utils.safe_save_file",
            SafetensorError("No space left"),
            [".partial", "cannot be written", "MB are needed", "make room"],
        ),
    ],
)
def test_a_disk_that_takes_nothing_is_told(project, monkeypatch, capsys, place, error, wanted):
    manifest(project)

    def refuse(*_, **__):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(place, refuse)
        status = train(monkeypatch)
    assert status == 1
    sentence(capsys.readouterr().err, *wanted)


def test_what_cannot_work_is_told_before_the_first_feature(project, monkeypatch, capsys):
    """By the command that trains, and by the graph's that caches features."""
    manifest(project, table().assign(emotion=list("ASHUFDCNOX") * 7))
    many = {"samples_per_emotion": 50, "validation_per_emotion": None}
    text = {"encoder": "no/such", "finetune": False}
    small = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("sercore.network.encoders.SpeechEncoder.frozen_part", None)
    for changes, wanted in (({"sampling": many}, "samples_per_emotion 50"), ({"text": text}, "'no/such'"), ({}, "MB")):
        monkeypatch.setattr("shutil.disk_usage", lambda _: small) if not changes else None
        assert train(monkeypatch, **changes) == 1
        sentence(capsys.readouterr().err, wanted)
    sets = f"{{corpus: {{reader: manifest, path: {project / 'corpus.csv'}}}, sampling: {json.dumps(many)}}}"
    plain = plan.asked_for("embedded", None, "paper", 1, None)
    monkeypatch.setattr(plan.Plan, "changed", lambda *_, **__: params.parse_yaml(sets, "here"))
    with pytest.raises(CorpusError, match="samples_per_emotion 50"):
        features(plain, "embedded", "fusion", "study")


def test_links_to_what_holds_them_are_not_followed(tmp_path):
    for path in ("a/1.wav", "b/2.wav", "real/3.wav"):
        wav(tmp_path / "corpus" / path)
    wav(tmp_path / "outside" / "4.wav")
    links = {"latest": ".", "v1": ".", "up": "..", "a/b": "../b", "b/a": "../a", "self": "self", "out": "../outside"}
    for name, target in links.items():
        (tmp_path / "corpus" / name).symlink_to(target)
    (tmp_path / "outside" / "back").symlink_to(tmp_path / "corpus")
    found = sorted(str(path.relative_to(tmp_path / "corpus")) for path in files.walk(tmp_path / "corpus"))
    assert found == ["a/1.wav", "a/b/2.wav", "b/2.wav", "b/a/1.wav", "out/4.wav", "real/3.wav", "self"]


def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path, monkeypatch):
    wav(tmp_path / "secret" / "1.wav")
    usual = os.scandir

    def refuse(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="secret"):
        files.walk(tmp_path)


# Statistics of a system that collapsed


def collapsed(system: str, columns: list[str]):
    """A study one of whose systems predicts constants."""
    made, constant = make_study(), dict.fromkeys(columns, 4.001)
    tables = [run.predictions.assign(**(constant if run.system == system else {})) for run in made.runs]
    changed = [replace(run, predictions=table) for run, table in zip(made.runs, tables, strict=True)]
    return made, replace(made, runs=changed)


@pytest.mark.parametrize("columns", [PREDICTED, PREDICTED[:1]])
@pytest.mark.parametrize("system", ["fusion", "speech_only"])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_collapsed_system_costs_the_others_nothing(system, columns, seeds):
    asked = plan.Question("q", "?", (("fusion", "speech_only"), ("fusion_gender", "fusion")))
    both = collapsed(system, columns)
    studies = [summed(replace(one, runs=[run for run in one.runs if run.params.seed < seeds])) for one in both]
    plain, found = (comparisons.scores(one, asked).set_index(["system", "endpoint"]) for one in studies)
    gone = [name.removeprefix("predicted_") for name in columns] + ["mean"] * (len(columns) == 3)
    assert (found.loc[[(system, name) for name in gone], "estimate"] == 0).all()
    assert found[found["low"].isna()].index.tolist() == [(system, name) for name in gone]
    rest = [key for key in plain.index if key[0] != system or key[1] not in [*gone, "mean"]]
    pd.testing.assert_frame_equal(found.loc[rest], plain.loc[rest])
    differences = comparisons.differences(studies[1], asked)
    assert np.isfinite(differences[["estimate", "low", "high", "p"]].to_numpy()).all()
    assert np.isfinite(comparisons.tested(differences)["p_adjusted"]).all()
    assert "no interval" in show.scores(found.reset_index(), "What.").data
    show.differences(differences, "What.")
    show.answer(differences)
    show.forest(differences).savefig(io.BytesIO(), format="svg")
    show.points(found.reset_index(), "system", "CCC", hue="endpoint").savefig(io.BytesIO(), format="svg")


# The graph


def study(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit status of ``python -m study`` in this process."""
    monkeypatch.setattr(sys, "argv", ["python -m study", *map(str, arguments)])
    try:
        study_main()
    except SystemExit as stopped:
        print(stopped.code, file=sys.stderr)
        return 1 if isinstance(stopped.code, str) else int(stopped.code or 0)
    return 0


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["analyse", "nothing"], ["'nothing' is no part", "paper"]),
        (["analyse"], ["analyse takes part"]),
        (["prepare", "nothing", "study"], ["'nothing' is no part"]),
        (["features", "embedded", "nothing", "study"], ["unknown variant 'nothing'"]),
        (["features", "embedded", "fusion", "nothing"], ["unknown condition 'nothing'", "every_epoch"]),
        (["features", "nothing", "fusion", "study"], ["unknown profile 'nothing'"]),
        (["test", "paper", "study", "nothing"], ["unknown variant 'nothing'"]),
        (["execute", "nothing.ipynb", "out.ipynb", "{}"], ["nothing.ipynb", "No such file"]),
        (["execute", "nothing.ipynb", "out.ipynb", "{"], ["'{' is not JSON"]),
        (["commit"], ["build/embedded/results/paper", "No such file"]),
        (["pages", "more"], ["pages takes no value"]),
        (["--profile", "nothing", "pages"], ["unknown profile 'nothing'"]),
        (["--chapter", "nothing", "pages"], ["does not answer 'nothing'"]),
        (["--seeds", "0", "pages"], ["seeds is 0", "1 or more"]),
    ],
)
def test_a_command_of_the_graph_that_cannot_work_says_so(project, monkeypatch, capsys, words, wanted):
    assert study(monkeypatch, *words) == 1
    sentence(capsys.readouterr().err, *wanted)


@pytest.fixture
def editable(tmp_path, monkeypatch):
    """A project whose parameters may be changed: a function that replaces a text in one of their files."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / "params").mkdir()
    for path in (ROOT / "params").iterdir():
        (tmp_path / "params" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)

    def change(name: str, old: str, new: str) -> None:
        path = tmp_path / "params" / f"{name}.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


WRONG = [
    ({"set": "epochs"}, ["SET has 'epochs'", "KEY=VALUE"]),
    ({"set": "epochs='1"}, ["No closing quotation", "close the quotation mark"]),
    ({"set": "training.epoch=3"}, ["'training.epoch'"]),
    ({"set": "training.epochs={"}, ["the value of training.epochs", "not valid YAML"]),
    ({"profile": "nothing"}, ["unknown profile 'nothing'", "embedded"]),
    ({"profile": None}, ["unknown profile None"]),
    ({"chapter": "nothing"}, ["does not answer 'nothing'"]),
    *[({"seeds": value}, ["seeds is", "1 or more"]) for value in ("x", 0, -1, 2.5, True, "1 2")],
    ({"profile": "emotale", "data": "/no/such"}, ["/no/such/annotations.csv", "corpus.path"]),
    ({"profile": "emotale"}, ["data/emotale", "EmoTale"]),
    ({"profile": "msp_podcast", "data": "params/variants.yaml"}, ["params/variants.yaml"]),
    ({"profil": "embedded"}, ["unknown profil", "valid are profile, data, chapter, seeds and set"]),
]


@pytest.mark.parametrize(("config", "wanted"), WRONG)
def test_a_wrong_value_of_the_graph_is_refused(editable, capsys, monkeypatch, config, wanted):
    monkeypatch.setattr(emotale, "URL", "file:///nowhere/EmoTale")
    with pytest.raises(SystemExit) as stopped:
        plan.planned(**config)
    sentence(str(stopped.value), *wanted)


@pytest.mark.parametrize(
    ("change", "chapter", "wanted"),
    [
        (("variants", "speech_only:     {", "speech_only:     {txt: 1, "), "paper", ["unknown parameter 'txt'"]),
        (("variants", "loss: {speaker: 0.1}", "loss: {speakr: 0.1}"), "paper", ["'loss.speakr'"]),
        (("embedded", "training: {", "training: {epoch: 3, "), "paper", ["'training.epoch'"]),
        (("embedded", "training: {", "trainings: {"), "paper", ["'trainings'"]),
        (("embedded", "  speaker:", "  speakr:"), "paper", ["encoders of profile 'embedded'", "speakr"]),
        (("questions", "conditions:\n", "condition:\n"), "paper", ["the file has unknown keys condition"]),
        (("questions", "comparisons:", "comparison:"), "paper", ["text has unknown keys comparison"]),
        (("questions", "members:", "member:"), "paper", ["ensemble_two has unknown keys member"]),
        (("questions", "{training: {every_epoch", "{training: {each_epoch"), "open", ["'training.each_epoch'"]),
        (("questions", "{transcripts: {errors: 0.0}}", "{transcript: {errors: 0.0}}"), "open", ["'corpus.transcript'"]),
        (("variants", "fusion:", "fusion: 3\nfusion_old:"), "paper", ["params/variants.yaml: fusion is 3"]),
    ],
)
def test_a_misspelt_key_is_refused_before_any_job(editable, capsys, change, chapter, wanted):
    editable(*change)
    with pytest.raises(SystemExit) as stopped:
        plan.planned(chapter=chapter)
    sentence(str(stopped.value), *wanted)


def test_snakemake_ends_with_the_sentence_even_where_nothing_is_to_be_done(editable):
    editable("variants", "speech_only:     {", "speech_only:     {txt: 1, ")
    target = Path("done")
    target.touch()
    words = ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1", str(target), "--quiet", "host"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *words], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 1
    sentence(done.stderr, "unknown parameter 'txt'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_good_plan_is_given_back(editable):
    assert plan.planned(chapter="open", seeds=2).seeds() == [0, 1]


def test_too_little_memory_on_a_gpu_is_one_sentence():
    said = r"^error: the GPU's memory is too small \(CUDA out of memory\): set training"
    with pytest.raises(SystemExit, match=said), one_sentence():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with pytest.raises(RuntimeError, match="another"), one_sentence():
        raise RuntimeError("another")
