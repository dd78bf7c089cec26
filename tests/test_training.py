import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from conftest import ROOT
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

import sercore
from sercore import ATTRIBUTES, params, runs, training
from sercore.audio import AudioError
from sercore.batches import Utterances, collate
from sercore.corpus import GENDERS, Corpus, CorpusError
from sercore.features import Features, FrozenEncoders
from sercore.hub import locate
from sercore.model import AttributeModel, make_whole
from sercore.significance import interval
from sercore.sums import speaker_sums
from sercore.training import train
from tests import faults


class Interrupted(Exception):
    pass


def interrupt(monkeypatch, moment, epoch):
    """End a training at this moment of this epoch."""
    original = getattr(training.AttributeTrainer, moment)

    def interrupting(trainer, *arguments, **options):
        if trainer.state.epoch >= epoch:
            raise Interrupted
        return original(trainer, *arguments, **options)

    monkeypatch.setattr(training.AttributeTrainer, moment, interrupting)


def test_a_run_leaves_its_folder(project, tones, small):
    run = train(params.load("embedded", "fusion_gender", 0, small), tones)
    assert {path.name for path in run.folder.iterdir()} == {*runs.FILES, "model"}
    assert run.folder.parent.parent == project / "runs" / "embedded"
    assert len(run.history) == 4
    assert run.metrics["best_epoch"] == run.history.loc[run.history["mean"].idxmax(), "epoch"]
    others = tones.table[tones.table["split"] != "train"]
    assert list(run.predictions["utterance"]) == list(others.index)
    np.testing.assert_allclose(run.predictions["arousal"], others["arousal"])
    predicted = run.predictions[["predicted_arousal", "predicted_valence", "predicted_dominance"]]
    assert predicted.to_numpy().min() >= 1
    assert predicted.to_numpy().max() <= 7
    for split, rows in run.predictions.groupby("split"):
        predicted = rows[["predicted_arousal", "predicted_valence", "predicted_dominance"]].to_numpy()
        expected = interval(
            speaker_sums(rows[["arousal", "valence", "dominance"]], predicted[None], rows["utterance"])
        ).ccc
        assert list(run.metrics["ccc"][split].values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_what_is_held_out_is_not_trained_on_but_predicted(project, tones, small):
    sampling = small["sampling"] | {"held_out": 0.2, "samples_per_emotion": 2}
    chosen = small | {"sampling": sampling, "training": {"epochs": 1, "batch_size": 8}}
    held = [
        frame.loc[frame["split"] == "train", ["utterance", "speaker", "arousal"]]
        for frame in (train(params.load("embedded", "fusion", seed, chosen), tones).predictions for seed in (0, 1))
    ]
    pd.testing.assert_frame_equal(*held)  # the same whatever the seed
    assert held[0]["speaker"].value_counts().to_dict() == dict.fromkeys("0123", 4)
    # Labels of what is held out change nothing that is learnt.
    table = tones.table.copy()
    table.loc[held[0]["utterance"], "valence"] = 1.0
    changed = train(params.load("embedded", "fusion", 0, chosen), replace(tones, table=table))
    first = train(params.load("embedded", "fusion", 0, chosen), tones)
    columns = ["predicted_arousal", "predicted_valence", "predicted_dominance"]
    pd.testing.assert_frame_equal(changed.predictions[columns], first.predictions[columns])


def test_a_system_that_normalises_speakers_keeps_features_and_predicts_no_single_file(project, tones, small):
    once = small | {"training": {"epochs": 1, "batch_size": 8}}
    run = train(params.load("embedded", "fusion_speaker_normalised", 0, once), tones)
    with pytest.raises(params.ParamsError, match="normalises each speaker by all utterances of a corpus"):
        sercore.load(run)
    with pytest.raises(params.ParamsError, match=r"speech\.per_speaker .* set speech\.cache: true"):
        train(params.load("embedded", "fusion_speaker_normalised", 0, once | {"speech": {"cache": False}}), tones)


WITHOUT = (
    *(
        "adaptive_",
        "avg_pool3d",
        "bincount",
        "ctc_loss",
        "cumsum",
        "embedding_bag",
        "fractional_",
        "grid_sampler",
        "histc",
    ),
    *("kthvalue", "max_unpool", "median", "nanmedian", "nll_loss2d", "put", "reflection_pad", "resize_", "upsample_"),
)
"""Beginnings of the names of what raises an error on a GPU with `torch.use_deterministic_algorithms`."""


class Operators(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.names.add(function._schema.name.removeprefix("aten::").removesuffix("_backward").lstrip("_"))
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("variant", ["fusion_gender", "fusion_speaker_adversarial", "baseline", "fusion_text_lora"])
def test_every_operator_of_a_step_has_a_deterministic_kernel_on_a_gpu(project, tones, small, variant):
    chosen = params.load("embedded", variant, 0, small)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale).train()
    rows = Utterances(tones, FrozenEncoders(chosen, model.speech)(tones.table, cached=False), list("0123"))
    batch = collate([rows[index] for index in range(4)])
    with Operators() as operators:
        model(**batch).loss.backward()
    assert {"index_add", "index_select"} <= operators.names  # they have another, which is slower
    assert not [name for name in operators.names if name.startswith(WITHOUT)]


@pytest.mark.slow
def test_loudness_is_learnt_and_carries_over_to_other_speakers(project, tones, small):
    longer = small | {"training": {"epochs": 25, "batch_size": 8}}
    assert train(params.load("embedded", "speech_only", 0, longer), tones).metrics["ccc"]["test3"]["arousal"] > 0.5


def test_training_ends_when_validation_has_not_improved_for_so_many_epochs(project, tones, small):
    patient = small | {"training": {"epochs": 30, "batch_size": 8, "patience": 2}}
    run = train(params.load("embedded", "fusion", 0, patient), tones)
    best = run.history["mean"].to_numpy().argmax() + 1
    assert len(run.history) == run.metrics["epochs"] == best + 2 < 30
    assert run.metrics["best_epoch"] == best


def test_of_several_gpus_a_process_trains_on_one(project, tones, small, monkeypatch):
    """transformers is told of two GPUs, for which it would double the batch and have torch cut it into halves."""
    chosen, options = params.load("embedded", "fusion", 0, small), training.TrainingArguments
    plain = train(chosen, tones)
    shutil.rmtree(plain.folder)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(training, "TrainingArguments", lambda **given: options(**given | {"use_cpu": False}))
    pd.testing.assert_frame_equal(train(chosen, tones).predictions, plain.predictions)


FROZEN = {"encoder": "models/whisper-nano", "finetune": False}


@pytest.mark.parametrize("states", ["raw", "layer_normalised", "standardised"])
def test_a_frozen_encoder_is_named_and_not_saved_again(project, tones, small, states):
    run = train(params.load("embedded", "speech_only", 0, small | {"speech": FROZEN | {"states": states}}), tones)
    (saved,) = (run.folder / "model").glob("*.safetensors")
    assert not [name for name in load_file(saved) if name.startswith(("speech.transformer", "speech.front_end"))]
    assert saved.stat().st_size < (project / "models" / "whisper-nano" / "model.safetensors").stat().st_size / 2
    rows = tones.split("test3")
    found = sercore.load(run)(list(rows["path"]))  # from the audio, not from what is cached
    np.testing.assert_allclose(found, run.predictions.set_index("utterance").loc[rows.index, runs.PREDICTED], atol=2e-3)


@pytest.mark.parametrize("speech", [FROZEN, {"lora": 2}], ids=str)
def test_a_model_is_saved_without_what_it_borrows_and_not_loaded_with_another(project, tones, small, speech):
    (project / "models").unlink()
    shutil.copytree(ROOT / "models", project / "models")
    chosen = params.load("embedded", "speech_only", 0, small | {"speech": speech})
    run = train(chosen, tones)
    name = chosen.speech.encoder
    saved = load_file(run.folder / "model" / "model.safetensors")
    model = AttributeModel.from_pretrained(run.folder / "model")
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained <= set(saved)
    assert not [name for name in saved if name.startswith("speech.") and "lora_" not in name]
    source = json.loads((run.folder / "model" / "config.json").read_text())["frozen"]["speech"]
    assert (source["encoder"], source["revision"], len(source["digest"])) == (name, None, 32)
    whole = shutil.copytree(run.folder / "model", project / "whole")
    make_whole(whole)
    weights = load_file(project / name / "model.safetensors")
    changed = {
        name: value + 1e-3 if "fc1.weight" in name or "q_proj" in name else value for name, value in weights.items()
    }
    save_file(changed, project / name / "model.safetensors", {"format": "pt"})
    again = AttributeModel.from_pretrained(whole)  # needs it no more
    for (name, value), expected in zip(again.state_dict().items(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=0, msg=name)
    with pytest.raises(params.ParamsError, match=f"{source['encoder']!r} is not the one with which"):
        sercore.load(run)


def test_a_run_is_not_loaded_with_another_text_encoder(project, tones, small):
    words = shutil.copytree(locate("sentence-transformers/all-MiniLM-L6-v2"), project / "words")
    run = train(params.load("embedded", "fusion", 0, small | {"text": {"encoder": "words", "finetune": False}}), tones)
    assert sercore.load(run)
    weights = load_file(words / "model.safetensors")
    name = next(name for name in weights if "LayerNorm.bias" in name)
    save_file(weights | {name: weights[name] + 1e-3}, words / "model.safetensors", {"format": "pt"})
    with pytest.raises(params.ParamsError, match="'words' is not the one with which the run was trained: restore it"):
        sercore.load(run)


def test_a_model_that_lacks_weights_of_its_own_is_refused(project, tones, small):
    run = train(params.load("embedded", "speech_only", 0, small | {"speech": FROZEN}), tones)
    path = run.folder / "model" / "model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "valence" not in name}, path, {"format": "pt"})
    with pytest.raises(params.ParamsError, match="model is damaged or of another version"):
        sercore.load(run)


def test_states_are_standardised_only_where_they_are_kept(project, tones, small):
    speech = FROZEN | {"states": "standardised", "cache": False}
    with pytest.raises(params.ParamsError, match="standardised takes moments of all features, so they must be kept"):
        train(params.load("embedded", "speech_only", 0, small | {"speech": speech}), tones)


@pytest.mark.parametrize(
    "speech", [{}, FROZEN | {"states": "standardised"}, {"lora": 2, "learning_rate": 1e-2}], ids=str
)
def test_an_interrupted_run_ends_with_the_same_figures(project, tones, small, monkeypatch, speech):
    small = small | {"speech": speech, "training": {"epochs": 6, "batch_size": 8, "patience": 2}}
    chosen = params.load("embedded", "fusion_gender", 3, small)
    whole = train(chosen, tones)
    whole.folder.rename(project / "whole")
    interrupt(monkeypatch, "training_step", 2)
    with pytest.raises(Interrupted):
        train(chosen, tones)
    assert not whole.folder.exists()
    monkeypatch.undo()
    monkeypatch.chdir(project)
    resumed, whole = train(chosen, tones), runs.read(project / "whole")
    pd.testing.assert_frame_equal(resumed.history, whole.history)
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)


def restore(monkeypatch, project):
    """End an interruption."""
    monkeypatch.undo()
    monkeypatch.chdir(project)


@pytest.fixture
def worsening(tones):
    """The tones, rated the other way round in the development split: the more is learnt, the worse, from the start."""
    table = tones.table.copy()
    table.loc[table["split"] == "development", [*ATTRIBUTES]] *= -1
    table.loc[table["split"] == "development", [*ATTRIBUTES]] += 8
    return replace(tones, table=table)


WORSENING = {"epochs": 4, "learning_rate": 0.01}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("patience", [None, 2])
def test_a_run_that_lacks_only_its_predictions_is_not_trained_any_more(
    project, worsening, small, monkeypatch, patience, precision
):
    """Also where an earlier epoch was the best, and where patience has ended it."""
    small["training"] |= WORSENING | {"patience": patience, "precision": precision}
    chosen = params.load("embedded", "fusion_gender", 0, small)
    whole = train(chosen, worsening)
    assert whole.metrics["best_epoch"] < whole.metrics["epochs"]
    whole.folder.rename(project / "whole")
    interrupt(monkeypatch, "predicted", 1)
    with pytest.raises(Interrupted):
        train(chosen, worsening)
    restore(monkeypatch, project)
    interrupt(monkeypatch, "training_step", 0)
    resumed, whole = train(chosen, worsening), runs.read(project / "whole")
    pd.testing.assert_frame_equal(resumed.history, whole.history)
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)
    assert {path.name for path in resumed.folder.iterdir()} == {*runs.FILES, "model"}


def shorten(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "begun"),
    [
        (lambda last, best: shorten(last / "model.safetensors"), "best"),
        (lambda last, best: shorten(last / "optimizer.pt"), "best"),
        (lambda last, best: (last / "rng_state.pth").unlink(), "best"),
        (lambda last, best: (last / "sums.json").unlink(), "best"),
        (lambda last, best: shorten(best / "model.safetensors"), None),
    ],
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(project, worsening, small, monkeypatch, damage, begun):
    small["training"] |= WORSENING
    chosen = params.load("embedded", "fusion_gender", 0, small)
    whole = train(chosen, worsening)
    best, steps = whole.metrics["best_epoch"], 5  # 10 emotions, 4 of each, 8 a step
    whole.folder.rename(project / "whole")
    interrupt(monkeypatch, "training_step", best + 1)
    with pytest.raises(Interrupted):
        train(chosen, worsening)
    restore(monkeypatch, project)
    folder = whole.folder.with_name(".seed-0.partial") / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {f"checkpoint-{steps * epoch}" for epoch in (best, best + 1)}
    damage(*(folder / f"checkpoint-{steps * epoch}" for epoch in (best + 1, best)))
    resumed, steps_done = [], training.AttributeTrainer.train
    monkeypatch.setattr(
        training.AttributeTrainer,
        "train",
        lambda trainer, **options: resumed.append(options["resume_from_checkpoint"]) or steps_done(trainer, **options),
    )
    pd.testing.assert_frame_equal(train(chosen, worsening).history, runs.read(project / "whole").history)
    assert resumed == [str(folder / f"checkpoint-{steps * best}") if begun else None]


def test_what_a_complete_run_still_holds_of_its_training_is_removed(project, tones, small, monkeypatch):
    small["training"] = {"epochs": 1, "batch_size": 8, "every_epoch": True}
    chosen = params.load("embedded", "speech_only", 0, small)

    def killed(folder):
        raise Interrupted

    monkeypatch.setattr(runs, "_tidy", killed)
    with pytest.raises(Interrupted):
        train(chosen, tones)
    restore(monkeypatch, project)
    (folder,) = (project / "runs" / "embedded").glob("*/seed-0")
    assert {"checkpoints", "epochs"} < {path.name for path in folder.iterdir()}
    monkeypatch.setattr(training, "AttributeTrainer", None)
    assert train(chosen, tones).folder == folder
    assert {path.name for path in folder.iterdir()} == {*runs.FILES, "model", "epochs.parquet"}


def test_whoever_may_read_a_run_may_read_its_model(project, tones, small):
    run = train(params.load("embedded", "speech_only", 0, small | {"training": {"epochs": 1, "batch_size": 8}}), tones)
    modes = {path.stat().st_mode for path in run.folder.rglob("*") if path.is_file()}
    assert len(modes) == 1
    assert modes.pop() & 0o040


def kept(run):
    return pd.read_parquet(run.folder / "epochs.parquet")


def test_what_every_epoch_predicts_is_kept_and_changes_nothing(project, tones, small):
    plain = train(params.load("embedded", "fusion_gender", 3, small), tones)
    small["training"]["every_epoch"] = True
    run = train(params.load("embedded", "fusion_gender", 3, small), tones)
    assert run.folder.parent != plain.folder.parent
    assert not (run.folder / "epochs").exists()
    pd.testing.assert_frame_equal(run.history, plain.history)
    pd.testing.assert_frame_equal(run.predictions, plain.predictions)
    epochs = kept(run)
    assert epochs.groupby("epoch").size().to_dict() == dict.fromkeys(range(1, 5), len(run.predictions))
    assert (epochs[runs.PREDICTED].dtypes == np.float32).all()
    best = epochs[epochs["epoch"] == run.metrics["best_epoch"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(best[["utterance", "split"]], run.predictions[["utterance", "split"]])
    np.testing.assert_allclose(best[runs.PREDICTED], run.predictions[runs.PREDICTED], atol=6e-4)
    others = epochs[epochs["epoch"] != run.metrics["best_epoch"]]
    assert not np.allclose(others.groupby("epoch")[runs.PREDICTED].mean(), best[runs.PREDICTED].mean(), atol=6e-4)


@pytest.mark.parametrize(("moment", "epoch"), [("_save_checkpoint", 2), ("training_step", 2.2)])
def test_an_interrupted_run_keeps_what_its_earlier_epochs_predicted(project, tones, small, monkeypatch, moment, epoch):
    """Once between an epoch's predictions and its checkpoint, once in the midst of an epoch."""
    small["training"]["every_epoch"] = True
    chosen = params.load("embedded", "fusion_gender", 3, small)
    whole = train(chosen, tones)
    whole.folder.rename(project / "whole")
    interrupt(monkeypatch, moment, epoch)
    with pytest.raises(Interrupted):
        train(chosen, tones)
    monkeypatch.undo()
    monkeypatch.chdir(project)
    partial = whole.folder.with_name(".seed-3.partial")
    assert sorted(path.name for path in (partial / "epochs").iterdir()) == ["epoch-01.parquet", "epoch-02.parquet"]
    (partial / "epochs" / ".partial-epoch-03.parquet").mkdir()
    (partial / "epochs" / ".partial-epoch-03.parquet" / "epoch-03.parquet").write_bytes(b"cut off")
    pd.testing.assert_frame_equal(kept(train(chosen, tones)), kept(runs.read(project / "whole")))


def test_a_run_without_the_predictions_of_its_epochs_is_made_anew(project, tones, small):
    small["training"] |= {"every_epoch": True, "epochs": 2}
    chosen = params.load("embedded", "speech_only", 0, small)
    run = train(chosen, tones)
    first = kept(run)
    truncate(run.folder / "epochs.parquet")
    with pytest.raises(params.ParamsError, match=r"seed-0 is damaged or of another version \("):
        runs.read(run.folder)
    pd.testing.assert_frame_equal(kept(train(chosen, tones)), first)


def test_a_complete_run_is_read_and_a_changed_one_is_trained_again(project, tones, small, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    chosen = params.load("embedded", "fusion", 0, small)
    first = train(chosen, tones)
    monkeypatch.setattr(training, "AttributeTrainer", refuse)
    pd.testing.assert_frame_equal(train(chosen, tones).predictions, first.predictions)
    table = tones.table.copy()
    table.loc[table.index[0], "arousal"] += 0.1
    with pytest.raises(AssertionError, match="trained again"):
        train(chosen, replace(tones, table=table))
    with pytest.raises(AssertionError, match="trained again"):
        train(params.load("embedded", "fusion", 0, small | {"heads": {"width": 8}}), tones)
    with pytest.raises(AssertionError, match="trained again"):
        train(chosen, replace(tones, table=tones.table.assign(transcript="Other words.")))
    (first.folder / "metrics.json").unlink()
    with pytest.raises(AssertionError, match="trained again"):
        train(chosen, tones)


def test_a_saved_model_predicts_what_the_run_says_one_utterance_at_a_time(project, tones, small):
    run = train(params.load("embedded", "fusion_gender", 0, small), tones)
    model = AttributeModel.from_pretrained(run.folder / "model").eval()
    assert model.num_parameters(only_trainable=True) == run.metrics["trainable_parameters"] < model.num_parameters()
    rows = tones.split("test3")
    dataset = Utterances(tones, FrozenEncoders(run.params, model.speech)(tones.table), ["0"]).of(rows)
    with torch.no_grad():
        outputs = [model(**collate([dataset[index]])) for index in range(len(dataset))]
    single = [output.predictions[0] * 6 + 1 for output in outputs]
    expected = run.predictions.set_index("utterance").loc[rows.index]
    female = [output.gender[0].softmax(0)[GENDERS.index("Female")] for output in outputs]
    np.testing.assert_allclose(female, expected["predicted_female"], atol=1e-4)
    np.testing.assert_allclose(
        torch.stack(single), expected[["predicted_arousal", "predicted_valence", "predicted_dominance"]], atol=1e-4
    )


@pytest.mark.parametrize(
    "variant", [name for name in params.variants() if not {"disjoint", "soft"} & {*name.split("_")}]
)
def test_every_system_trains(project, tones, small, variant):
    """Each variant has the parts that its name says, whatever the precision; gradients reach all that is trained."""
    chosen = params.load("embedded", variant, 0, small | {"training": {"epochs": 1, "batch_size": 8}})
    run = train(chosen, tones)
    assert np.isfinite(run.history["loss"]).all()
    before = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
    after = AttributeModel.from_pretrained(run.folder / "model")
    assert hasattr(after, "gender") == ("gender" in variant)
    assert hasattr(after, "speaker_margin") == (
        variant in ("fusion_speaker", "fusion_speaker_adversarial", "speech_speaker")
    )
    assert bool(after.config.speaker_width) == variant.endswith("_speaker_embedding")
    assert bool(after.config.text_width) == (chosen.text is not None)
    frozen = dict(before.speech.named_parameters())
    for name, value in after.speech.named_parameters():
        if not value.requires_grad:
            torch.testing.assert_close(value, frozen[name], rtol=0, atol=0)
    assert chosen.speech.finetune == any(value.requires_grad for value in after.speech.parameters())


def test_rater_disagreement_weighs_the_loss(project, tones, small):
    chosen = params.load("embedded", "fusion_soft", 0, small)
    with pytest.raises(CorpusError, match=r"two ratings, which loss\.weight: agreement needs"):
        train(chosen, tones)
    rated = tones.table.loc[tones.table.index.repeat(2)].reset_index()[["utterance", "emotion", *ATTRIBUTES]]
    rated = rated.assign(rater=["a", "b"] * len(tones.table))
    alike = train(chosen, replace(tones, ratings=rated))
    plain = train(params.load("embedded", "fusion", 0, small), tones)
    pd.testing.assert_frame_equal(alike.history, plain.history, atol=1e-3)
    rated.loc[::2, "arousal"] += np.random.default_rng(0).normal(0, 2, len(tones.table))
    weighted = train(chosen, replace(tones, ratings=rated))  # not the run above, although the table is the same
    assert abs(weighted.history["loss"] - plain.history["loss"]).max() > 0.005


def test_half_precision_and_accumulation_train(project, tones, small):
    everything = small | {
        "speaker": {"encoder": "models/speaker-nano"},
        "loss": {"gender": 1.0, "speaker": 0.1},
        "training": {"epochs": 1, "batch_size": 8, "accumulation": 2, "precision": "bfloat16"},
    }
    run = train(params.load("embedded", "fusion", 0, everything), tones)
    assert np.isfinite(run.history["loss"]).all()


@pytest.mark.parametrize("variant", ["fusion", "whisper_lora", "fusion_text_finetuned"])
def test_checkpointing_changes_no_figure(project, tones, small, variant):
    found = []
    for checkpointing in (False, True):
        small["training"] = {"epochs": 2, "batch_size": 8, "checkpointing": checkpointing}
        found.append(train(params.load("embedded", variant, 0, small), tones).history)
    pd.testing.assert_frame_equal(*found, atol=1e-4, rtol=1e-4)


def test_features_that_the_disk_cannot_hold_are_computed_in_every_step(project, tones, small, monkeypatch):
    usual, full = shutil.disk_usage, type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full if folder.name == "cache" else usual(folder))
    told = r"convolutions take about \d+\.\d MB, too much for .*: every step computes them"
    with pytest.warns(UserWarning, match=told):
        run = train(params.load("embedded", "speech_only", 0, small), tones)
    restore(monkeypatch, project)
    assert json.loads((run.folder / "environment.json").read_text())["inputs"]["speech.cache"] == "no room"
    run.folder.rename(project / "computed")
    pd.testing.assert_frame_equal(
        train(params.load("embedded", "speech_only", 0, small), tones).history,
        runs.read(project / "computed").history,
        atol=1e-4,
        rtol=1e-3,
    )


def test_audio_that_other_processes_prepare_gives_the_same_run(project, tones, small, monkeypatch):
    small["training"]["precision"] = "bfloat16"
    chosen = params.load("embedded", "whisper_fusion", 0, small | {"speech": FROZEN | {"cache": False}})
    alone = train(chosen, tones)
    alone.folder.rename(project / "alone")
    monkeypatch.setattr(Features, "workers", 2)
    pd.testing.assert_frame_equal(train(chosen, tones).predictions, alone.predictions)
    broken = project / "broken.wav"
    faults.wav(broken, np.full(8000, np.nan), subtype="FLOAT")
    table = tones.table.assign(path=[broken, *tones.table["path"][1:]])
    with pytest.raises(AudioError, match=rf"^{broken} has samples that are NaN or infinite: replace the file\.$"):
        train(params.load("embedded", "speech_only", 0, small), replace(tones, table=table))


def test_speakers_in_two_splits_are_refused(project, tones, small):
    table = tones.table.copy()
    table.loc[table["speaker"] == "4", "speaker"] = "0"
    with pytest.raises(CorpusError, match=r"speakers in two splits: 0 \(train and development\)"):
        train(params.load("embedded", "fusion", 0, small), replace(tones, table=table))


@pytest.mark.parametrize("name", ["gender", "speaker"])
def test_a_loss_without_its_labels_is_refused(project, tones, small, name):
    chosen = params.load("embedded", "fusion", 0, small | {"loss": {name: 1.0}})
    with pytest.raises(CorpusError, match=f"no training utterance has a {name}, which loss.{name} needs"):
        train(chosen, replace(tones, table=tones.table.assign(**{name: None})))


@pytest.mark.parametrize("cache", [True, False])
def test_an_utterance_without_a_frame_is_named(project, tones, small, cache):
    click, table = project / "click.wav", tones.table.copy()
    soundfile.write(click, np.zeros(100), 16_000)
    table.loc[table.index[-1], ["path", "duration"]] = click, 100 / 16_000
    chosen = params.load("embedded", "fusion", 0, small | {"speech": {"cache": cache}})
    with pytest.raises(AudioError, match=rf"^1 utterances are shorter than a frame .*: {table.index[-1]}; remove"):
        train(chosen, replace(tones, table=table))


def test_unlabelled_splits_are_refused_or_left_without_ccc(project, tones, small):
    hidden = tones.table.copy()
    hidden.loc[hidden["split"] == "test3", ["arousal", "valence", "dominance"]] = np.nan
    run = train(params.load("embedded", "fusion", 0, small), Corpus("hidden", hidden, (1, 7)))
    assert set(run.metrics["ccc"]) == {"development"}
    assert (run.predictions["split"] == "test3").any()
    hidden.loc[hidden["split"] == "train", "arousal"] = np.nan
    with pytest.raises(CorpusError, match="no utterance of split 'train' has all of arousal, valence, dominance"):
        train(params.load("embedded", "fusion", 0, small), Corpus("hidden", hidden, (1, 7)))


def test_an_incomplete_run_is_named(tmp_path, project):
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "metrics.json").write_text(json.dumps({}))
    with pytest.raises(params.ParamsError, match=r"missing params\.yaml, history\.csv"):
        runs.read(tmp_path / "seed-0")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", runs.FILES)
def test_a_damaged_run_is_named_and_made_anew(project, tones, small, name):
    chosen = params.load("embedded", "speech_only", 0, small | {"training": {"epochs": 2, "batch_size": 8}})
    first = train(chosen, tones)
    truncate(first.folder / name)
    if name != "environment.json":  # which results are read without
        with pytest.raises(params.ParamsError, match=r"seed-0 is damaged or of another version \(.*train it again\.$"):
            runs.read(first.folder)
    again = train(chosen, tones)
    pd.testing.assert_frame_equal(again.predictions, first.predictions)
    pd.testing.assert_frame_equal(runs.read(first.folder).history, first.history)


@pytest.mark.parametrize("name", ["params.yaml", "environment.json"])
def test_a_damaged_beginning_is_begun_anew(project, tones, small, name):
    chosen, inputs = params.load("embedded", "speech_only", 0, small), {"corpus": "c", "speech": "s"}
    partial = runs.partial_folder(chosen, inputs)
    truncate(partial / name)
    (partial / "checkpoints").mkdir()
    assert not list(runs.partial_folder(chosen, inputs).glob("checkpoints"))
