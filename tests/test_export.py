"""A published model needs neither `sercore` nor a clone: transformers loads it, and it predicts what its run does."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from conftest import ROOT, furnish
from huggingface_hub import ModelCard
from test_predict import SMALL, command
from transformers import AutoTokenizer

import sercore
from sercore import ATTRIBUTES, hub, params, predict, runs
from sercore.encoders import SpeakerEncoder
from sercore.export import export
from sercore.params import ParamsError
from sercore.significance import interval
from sercore.sums import speaker_sums
from sercore.training import train

pytestmark = pytest.mark.filterwarnings("ignore:.*no transcript")
FAST = {"training": {**SMALL["training"], "learning_rate": 0.01}}  # so that adapters add something
SYSTEMS = {
    "wavlm": ("speech_only", {}),
    "wavlm and text": ("fusion_gender", {"loss": {"speaker": 0.1}}),
    "frozen whisper": ("whisper_only", {"speech": {"states": "standardised"}}),
    "frozen whisper and local text": ("whisper_fusion", {"text": {"encoder": "words", "finetune": False}}),
    "adapters": ("fusion_lora", FAST),
    "adapters of text": ("fusion_text_lora", FAST),
}
ALONE = """
import json, sys
for name in ("sercore", "simulation", "study", "pandas", "peft", "pydantic", "scipy", "soxr"):
    sys.modules[name] = None  # cannot be imported
import soundfile
from transformers import AutoModel
spoken = json.loads(sys.argv[1])
for folder in sys.argv[2:]:
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    takes_text = model.config.text is not None
    waveforms = [soundfile.read(path, dtype="float32")[0] for path, _ in spoken]
    texts = [[text] if takes_text else [] for _, text in spoken]
    print(json.dumps([model.predict(waveform, *text) for waveform, text in zip(waveforms, texts)]))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tones):
    """Runs in a project, and beside each the folder to which it is exported, which lies elsewhere."""
    home, found = tmp_path_factory.mktemp("home"), {}
    furnish(home)
    (home / "words").symlink_to(hub.locate("sentence-transformers/all-MiniLM-L6-v2"))
    out = tmp_path_factory.mktemp("published")
    for name, (variant, overrides) in SYSTEMS.items():
        with contextlib.chdir(home):
            run = train(params.load("embedded", variant, 0, {**SMALL, **overrides}), tones)
        folder = out / name.replace(" ", "-")
        with contextlib.chdir(out):
            export(run.folder, folder, f"someone/{folder.name}")
        found[name] = run, folder
    return found


@pytest.fixture(scope="module")
def spoken(tones):
    rows = tones.split("test3").iloc[:3]
    return list(rows["path"]), ["What a day that was.", None, "This is terrible."]


@pytest.fixture(scope="module")
def expected(exported, spoken):
    """What each run predicts, (utterances, 3)."""
    files, texts = spoken
    predictors = {name: sercore.load(run) for name, (run, _) in exported.items()}
    return {name: each(files, texts if each.model.config.text else None) for name, each in predictors.items()}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_transformers_alone_loads_and_predicts_the_same(exported, spoken, expected, tmp_path):
    """In a process of its own that can import nothing of this repository, nor peft, and has the hub's text encoder."""
    kept = tmp_path / "hf" / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2"
    for part in ("refs", "snapshots"):
        (kept / part).mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    (kept / "snapshots" / ("0" * 40)).symlink_to(hub.locate("sentence-transformers/all-MiniLM-L6-v2"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    pairs = json.dumps([*zip(map(str, spoken[0]), spoken[1], strict=True)])
    folders = [str(folder) for _, folder in exported.values()]
    assert len({path.stat().st_mode for folder in map(Path, folders) for path in folder.iterdir()}) == 1  # all may read
    command = [sys.executable, "-P", "-c", ALONE, pairs, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name, line in zip(exported, done.stdout.splitlines(), strict=True):
        found = pd.DataFrame(json.loads(line))
        assert list(found) == ["arousal", "valence", "dominance"]
        np.testing.assert_allclose(found, expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_command_predicts_with_the_folder_from_anywhere(exported, spoken, expected, system, monkeypatch, capsys):
    files, texts = spoken
    monkeypatch.setattr("builtins.input", None)  # nobody is asked whether to run its code
    written = ["--output", "found.csv", "--embeddings", "found.parquet"]
    words = ["--text", *(text or "" for text in texts)] if exported[system][0].params.text else []
    Path("folder").mkdir()
    for wrong, said in ((["--output", "folder"], "is a folder"), (["--output", "f", "--embeddings", "f"], "two names")):
        with pytest.raises(SystemExit, match=said):
            command(monkeypatch, "predict", exported[system][1], *files, *wrong)
    command(monkeypatch, "predict", exported[system][1], *files, *written, *words)
    assert capsys.readouterr().out == ""
    found = pd.read_csv("found.csv", index_col="utterance")
    pd.testing.assert_frame_equal(found, expected[system], check_dtype=False, atol=2e-6, check_index_type=False)
    if not words:  # the heads make of the embeddings what is predicted
        vectors = torch.tensor(pd.read_parquet("found.parquet").loc[found.index].to_numpy())
        heads = sercore.load(exported[system][0]).model.attributes
        for name in ATTRIBUTES:
            values = 1 + 6 * torch.sigmoid(heads[name](vectors))[:, 0].detach().numpy()
            np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_a_folder_holds_what_is_on_no_hub_and_no_path_of_this_machine(exported):
    for system, (run, folder) in exported.items():
        text = (folder / "config.json").read_text()
        assert not re.search(r'"[^"]*/home|"/|"models/', text), system
        config = json.loads(text)
        assert config["id2label"] == {"0": "arousal", "1": "valence", "2": "dominance"}
        named = {name: source["encoder"] for name, source in config["frozen"].items()}
        on_hub = {"text": "sentence-transformers/all-MiniLM-L6-v2"} if system in ("wavlm and text", "adapters") else {}
        assert named == on_hub
        assert ((folder / "model.safetensors").stat().st_size > 80e6) == (bool(run.params.text) and not named)
    assert json.loads((exported["adapters"][1] / "config.json").read_text())["speech"]["encoder"] == "wavlm-nano"


def test_the_card_tells_what_is_predicted_and_how_well(exported):
    run, folder = exported["wavlm and text"]
    card = ModelCard.load(folder / "README.md")
    assert card.data.base_model == ["sentence-transformers/all-MiniLM-L6-v2"]
    values = {(one.dataset_split, one.metric_name): one.metric_value for one in card.data.eval_results}
    trained = run.metrics["ccc"]["development"]["valence"]
    assert values["development", "CCC, valence"] == pytest.approx(trained, abs=1e-4)
    assert "**arousal, valence and dominance**, in this order, each from 1 (low) to 7 (high)" in card.content
    assert 'AutoModel.from_pretrained("someone/wavlm-and-text", trust_remote_code=True)' in card.content
    rows = run.predictions.query("split == 'development'")
    sums = speaker_sums(rows[[*ATTRIBUTES]].to_numpy(), rows[runs.PREDICTED].to_numpy(), rows["speaker"].to_numpy())
    (shown,) = re.findall(r"\| development \| 40 \| 2 \| (\S+) \[(\S+), (\S+)\]", card.content)
    found = [float(each.replace("−", "-")) for each in shown]
    limits = interval(sums)
    np.testing.assert_allclose(found, [limits.ccc[0], limits.low[0], limits.high[0]], atol=0.006)


def test_a_published_model_is_fetched_by_its_name(exported, spoken, expected, monkeypatch):
    _, folder = exported["wavlm"]
    monkeypatch.setattr(predict, "snapshot_download", lambda name, **_: {"someone/wavlm": str(folder)}[name])
    pd.testing.assert_frame_equal(sercore.load("someone/wavlm")(spoken[0]), expected["wavlm"])


def test_what_cannot_be_exported_or_sent_is_one_sentence(exported, tmp_path, monkeypatch):
    run, folder = exported["wavlm"]
    with pytest.raises(SystemExit, match=r"^error: .* exists: name another folder, or remove it\.$"):
        command(monkeypatch, "export", run.folder, folder)
    with pytest.raises(ParamsError, match="wavlm is exported already: give a run's folder"):
        export(folder, tmp_path / "again", "again")
    monkeypatch.setattr("sercore.export.hub_answers", lambda: False)
    with pytest.raises(SystemExit, match=r"^error: new is complete, but .* login`, then `hf upload me/mine new`\.$"):
        command(monkeypatch, "export", run.folder, "new", "--push-to", "me/mine")
    assert (tmp_path / "new" / "README.md").read_text().count("me/mine") == 4
    predictor = sercore.load(run)
    predictor.encoders.speaker = SpeakerEncoder("Resemblyzer")
    monkeypatch.setattr("sercore.export.load", lambda _: predictor)
    with pytest.raises(ParamsError, match="takes embeddings of a speaker encoder, which is not exported"):
        export(run.folder, tmp_path / "no", "no")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_damaged_folder_is_named(exported, tmp_path, name):
    shutil.copytree(exported["wavlm"][1], tmp_path / "copy")
    (tmp_path / "copy" / name).write_bytes((tmp_path / "copy" / name).read_bytes()[:100])
    with pytest.raises(ParamsError, match=r"copy (is damaged|holds no usable model)") as error:
        sercore.load(tmp_path / "copy")
    assert "\n" not in str(error.value)


def test_another_model_is_named():
    with pytest.raises(ParamsError, match=r"wavlm-nano is damaged, or no model that was exported here"):
        sercore.load(ROOT / "models" / "wavlm-nano")


@pytest.mark.slow
@pytest.mark.parametrize("system", ["adapters of text", "frozen whisper"])
def test_a_graph_predicts_the_same_in_onnxruntime(exported, spoken, system, monkeypatch, tmp_path):
    """Of a file that is longer than ``speech.max_seconds``, too."""
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    command(monkeypatch, "export", exported[system][0].folder, "graph", "--onnx")
    session, predictor = onnxruntime.InferenceSession("graph/model.onnx"), sercore.load("graph")
    soundfile.write("long.wav", np.random.default_rng(0).normal(0, 0.1, 17 * 16_000), 16_000)
    files, texts = [*spoken[0], Path("long.wav")], [*spoken[1], "So long."]
    expected = predictor(files, texts if predictor.model.config.text else None)
    for row, (path, text) in enumerate(zip(files, texts, strict=True)):
        inputs = {"waveform": soundfile.read(path, dtype="float32")[0][None]}
        if exported[system][0].params.text:
            inputs["tokens"] = AutoTokenizer.from_pretrained("graph")(text or "", return_tensors="np")["input_ids"]
        assert {one.name for one in session.get_inputs()} == inputs.keys()
        (values,) = session.run(["attributes"], inputs)
        np.testing.assert_allclose(values[0], expected.iloc[row], atol=1e-4)
    assert expected.std().max() > 0.1  # the files differ


def test_a_graph_that_cannot_be_made_is_one_sentence(exported, monkeypatch):
    monkeypatch.setattr("sercore.export.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^error: a graph needs packages that are missing: `pip install onnx onnxscr"):
        command(monkeypatch, "export", exported["wavlm"][0].folder, "graph", "--onnx")
