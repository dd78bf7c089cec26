"""A trained run predicts for files what its trainer predicted, whatever is beside a file and however it is stored."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from conftest import ROOT, furnish
from scipy.signal import resample_poly

import sercore
from sercore import params, runs
from sercore.__main__ import _parser, main
from sercore.audio import AudioError
from sercore.encoders import TextEncoder
from sercore.params import ParamsError
from sercore.training import train

SYSTEMS = {
    "speech alone": ("speech_only", {}),
    "gender and speaker heads": ("fusion_gender", {"loss": {"speaker": 0.1}}),
    "speaker embedding": ("fusion_speaker_embedding", {}),
    "whisper": ("whisper_fusion", {}),
    "baseline": ("baseline", {}),
}
SMALL = {
    "sampling": {"samples_per_emotion": 2, "validation_per_emotion": 1},
    "training": {"epochs": 1, "batch_size": 8},
}
no_transcript = pytest.mark.filterwarnings("ignore:.*have no transcript")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tones):
    """The run of a system, trained once, in a project that is not the working directory of the tests."""
    home, found = furnish(tmp_path_factory.mktemp("home")), {}

    def run(system: str) -> runs.Run:
        if system not in found:
            variant, overrides = SYSTEMS[system]
            with contextlib.chdir(home):
                found[system] = train(params.load("embedded", variant, 0, {**SMALL, **overrides}), tones)
        return found[system]

    return run


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sharpened(run: runs.Run):
    """A predictor whose layers behind the encoder answer to the slightest difference, as hardly trained ones do not."""
    predictor = sercore.load(run)
    torch.manual_seed(0)
    for part in (predictor.model.convolutions, predictor.model.attributes):
        for layer in part.modules():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.kaiming_normal_(layer.weight)
    return predictor


@no_transcript
@pytest.mark.parametrize("system", SYSTEMS)
def test_files_get_what_the_trainer_predicted(trained, tones, system):
    run = trained(system)
    rows = tones.split("test3").iloc[::-1]
    found = sercore.load(run)(rows["path"], rows["transcript"] if run.params.text else None)
    expected = run.predictions.set_index("utterance").loc[rows.index, runs.PREDICTED]
    assert list(found.columns) == ["arousal", "valence", "dominance"]
    assert (found.index.name, list(found.index)) == ("utterance", list(rows.index))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@no_transcript
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_prediction_does_not_depend_on_the_files_beside_it(trained, tones, system):
    run = trained(system)
    predictor, rows = sharpened(run), tones.table.iloc[::7]
    texts = list(rows["transcript"]) if run.params.text else [None] * len(rows)
    together = predictor(list(rows["path"]), texts if run.params.text else None)
    assert len(rows) > 2 * 8
    assert together.std().min() > 0.05
    for utterance, path, text in zip(rows.index, rows["path"], texts, strict=True):
        alone = predictor([path], [text] if run.params.text else None)
        np.testing.assert_allclose(alone.iloc[0], together.loc[utterance], atol=1e-5)


def test_every_format_and_rate_is_the_same_speech(trained, tones, tmp_path):
    predictor, original = sharpened(trained("speech alone")), tones.split("test3")["path"].iloc[0]
    samples, rate = soundfile.read(original)
    soundfile.write(tmp_path / "same.flac", samples, rate)
    soundfile.write(tmp_path / "stereo.wav", np.stack([1.5 * samples, 0.5 * samples], 1), rate, subtype="FLOAT")
    soundfile.write(tmp_path / "studio.aiff", resample_poly(samples, 3, 1), 3 * rate, subtype="PCM_24")
    soundfile.write(tmp_path / "lossy.mp3", samples, rate)
    (expected,) = predictor([original]).to_numpy()
    found = predictor([tmp_path / name for name in ("same.flac", "stereo.wav", "studio.aiff", "lossy.mp3")])
    np.testing.assert_allclose(found.loc[["same", "stereo"]], [expected] * 2, atol=1e-5)
    np.testing.assert_allclose(found.loc["studio"], expected, atol=0.05)
    np.testing.assert_allclose(found.loc["lossy"], expected, atol=0.3)


def test_files_of_one_stem_go_by_their_paths(trained, tones, tmp_path):
    predictor, original = sercore.load(trained("speech alone")), tones.split("test3")["path"].iloc[0]
    files = [Path("anna") / "1.wav", Path("ben") / "1.wav", Path("ben") / "2.1-3.wav"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(original.read_bytes())
    assert list(predictor(files).index) == ["anna/1.wav", "ben/1.wav", "2.1-3"]
    with pytest.raises(AudioError, match=r"^the same file is given twice: ben/1\.wav; give each once\.$"):
        predictor([files[1], files[0], files[1]])


def test_no_file_gives_an_empty_table(trained):
    found = sercore.load(trained("speech alone"))([])
    assert found.shape == (0, 3)
    assert list(found.columns) == ["arousal", "valence", "dominance"]


def test_a_missing_text_is_a_vector_of_zeros_and_one_warning(trained, tones, monkeypatch):
    predictor, path = sharpened(trained("gender and speaker heads")), tones.split("test3")["path"].iloc[0]
    said = predictor(path, "I hate all of this.").to_numpy()
    with pytest.warns(UserWarning, match="1 of 1 utterances have no transcript") as caught:
        silent = predictor(path).to_numpy()
    assert sum("transcript" in str(one.message) for one in caught) == 1
    with pytest.warns(UserWarning, match="no transcript"):
        np.testing.assert_array_equal(predictor(path, " "), silent)
    monkeypatch.setattr(TextEncoder, "__call__", lambda _, texts: np.zeros((len(texts), 1, 384), np.float32))
    np.testing.assert_array_equal(predictor(path, "anything"), silent)
    assert abs(said - silent).max() > 0.05


def test_texts_that_the_system_does_not_take_are_told(trained, tones):
    predictor, path = sercore.load(trained("speech alone")), tones.split("test3")["path"].iloc[0]
    with pytest.warns(UserWarning, match="this system takes no text: the transcripts are not used"):
        found = predictor([path], ["What a day."])
    pd.testing.assert_frame_equal(found, predictor([path]))


def bad_files(folder: Path) -> dict[str, Path]:
    soundfile.write(folder / "click.wav", np.zeros(100), 16_000)
    (folder / "words.wav").write_text("no audio")
    (folder / "nothing.wav").touch()
    return {path.stem: path for path in folder.glob("*.wav")} | {"absent": folder / "absent.wav"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("click", r"^1 utterances are shorter than a frame of models/wavlm-nano \(0\.\d+ s\): click; remove them\.$"),
        ("words", r"words\.wav is not audio that libsndfile can read"),
        ("nothing", r"nothing\.wav is empty"),
        ("absent", r"absent\.wav does not exist"),
    ],
)
def test_audio_that_cannot_be_used_is_named(trained, tones, tmp_path, name, sentence):
    good = tones.split("test3")["path"].iloc[0]
    with pytest.raises(AudioError, match=sentence):
        sercore.load(trained("speech alone"))([good, bad_files(tmp_path)[name]])


def test_texts_must_be_as_many_as_files(trained, tones):
    with pytest.raises(ParamsError, match="2 texts for 1 files: give one for each"):
        sercore.load(trained("whisper"))([tones.split("test3")["path"].iloc[0]], ["one", "two"])


def test_what_has_no_model_is_refused_in_one_sentence(trained, tmp_path):
    advice = (
        r"since results/ keeps runs without their models; `python -m sercore train PROFILE VARIANT SEED` trains one"
    )
    with pytest.raises(ParamsError, match=f"^runs/no/such does not exist: .*{advice}"):
        sercore.load("runs/no/such")
    with pytest.raises(ParamsError, match=rf"^no/such is no folder, and not to be had from the hub \(.+\): .*{advice}"):
        sercore.load("no/such")
    with pytest.raises(ParamsError, match=f"^{re.escape(str(tmp_path))} holds no trained model: .*{advice}"):
        sercore.load(tmp_path)
    with pytest.raises(ParamsError, match=f"^a table of results holds no trained model: .*{advice}"):
        sercore.load(replace(trained("speech alone"), folder=None))
    (tmp_path / "model").mkdir()
    with pytest.raises(ParamsError, match=r"is not complete, missing params\.yaml"):
        sercore.load(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_model_is_named(trained, tmp_path, name):
    folder = trained("speech alone").folder
    for path in folder.rglob("*"):
        if path.is_file():
            copy = tmp_path / "run" / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes()[: 100 if path.name == name else None])
    with pytest.raises(
        ParamsError, match=r"run/model is damaged or of another version \(\w+\): remove the run"
    ) as error:
        sercore.load(tmp_path / "run")
    assert "\n" not in str(error.value)


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["sercore", *map(str, words)])
    main()


@no_transcript
def test_the_command_prints_the_table_and_nothing_else(trained, tones, monkeypatch, capfd):
    run, rows = trained("gender and speaker heads"), tones.split("test3")
    monkeypatch.chdir(run.folder.parent)
    command(monkeypatch, "predict", run.folder.name, *rows["path"], "--text", *rows["transcript"].fillna(""))
    printed = pd.read_csv(io.StringIO(capfd.readouterr().out), index_col="utterance")
    expected = sercore.load(run)(rows["path"], rows["transcript"])
    pd.testing.assert_frame_equal(printed, expected, check_dtype=False, atol=1e-6, check_index_type=False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict", "nowhere", "a.wav"], "error: nowhere does not exist: give"),
        (["train", "embedded", "fusion", "0"], r"error: no params/variants\.yaml in"),
    ],
)
def test_a_command_that_cannot_work_ends_with_one_sentence(monkeypatch, words, sentence):
    with pytest.raises(SystemExit, match=f"^{sentence}"):
        command(monkeypatch, *words)


@pytest.mark.parametrize("words", [[], ["predict", "run"], ["submission", "run"], ["embedded", "fusion", "0"]])
def test_an_incomplete_command_shows_its_usage(monkeypatch, capsys, words):
    with pytest.raises(SystemExit) as error:
        command(monkeypatch, *words)
    assert error.value.code == 2
    assert "usage: python -m sercore" in capsys.readouterr().err


def test_overrides_that_are_no_yaml_are_named(monkeypatch):
    with pytest.raises(
        SystemExit, match=r"^error: --overrides is not valid YAML: expected .* in line 1, column \d+\.$"
    ):
        command(monkeypatch, "train", "embedded", "fusion", 0, "--overrides", "{a: ")


@pytest.mark.parametrize("page", ["README.md", "book/your_corpus.md"])
def test_the_commands_that_are_written_down_are_commands(page):
    text = (ROOT / page).read_text().replace("\\\n", " ")
    found = re.findall(r"-m sercore ([^`\n]+)", text)
    assert found
    for words in found:
        given = _parser().parse_args(shlex.split(words, comments=True))
        assert given.command.__name__ == f"_{words.split()[0]}"


def test_the_command_trains_once_for_each_seed_and_names_the_runs_that_predict(project, tones, monkeypatch, capfd):
    table = tones.table.assign(path=tones.table["path"].map(str)).drop(columns="duration")
    table.to_csv(project / "tones.csv")
    overrides = SMALL | {"corpus": {"reader": "manifest", "path": "tones.csv"}}
    command(monkeypatch, "train", "embedded", "speech_only", 3, 1, "--overrides", overrides)
    folders = capfd.readouterr().out.split()
    assert [runs.read(Path(folder)).params.seed for folder in folders] == [3, 1]
    assert len(sercore.load(folders[0])(table["path"].head(2))) == 2


def test_help_lists_the_commands_of_the_module():
    done = subprocess.run([sys.executable, "-m", "sercore", "--help"], capture_output=True, text=True, check=True)
    found = re.findall(r"^    (\w+)", done.stdout, re.MULTILINE)
    assert found == ["train", "predict", "export", "compare", "submission"]


def test_the_package_itself_stays_light():
    code = "import sys, sercore; print('torch' in sys.modules, sercore.load.__module__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "sercore.predict", "True"]
    with pytest.raises(AttributeError, match="module 'sercore' has no attribute 'lode'"):
        sercore.lode  # noqa: B018
