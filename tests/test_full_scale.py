"""The paper's scale without its data: a miniature release, and the hub's models with fewer and narrower layers.

The profile `msp_podcast` is used as it is, but for the sizes: files, formats, architectures and front-ends are those of
the real ones, so that what runs here runs there.
"""

import contextlib
import csv
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from made_up import write_csv
from safetensors.torch import load_file
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizerFast,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMForXVector,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

import sercore
from sercore import corpora, params, runs
from sercore.__main__ import main
from sercore.corpus import Corpus
from sercore.model import AttributeModel
from sercore.sampling import choose
from study import needs, results
from study import plan as questions
from study.__main__ import main as study_main

WORDS = {"A": "Angry", "S": "Sad", "H": "Happy", "U": "Surprise", "F": "Fear", "D": "Disgust", "C": "Contempt"}
WORDS |= {"N": "Neutral", "O": "Other-tense"}
NARROW = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES = (
    "{sampling: {samples_per_emotion: 2, validation_per_emotion: 1}, training: {epochs: 1, batch_size: 4}, "
    "heads: {width: 16}}"
)
SYSTEMS = ("fusion", "whisper_fusion", "fusion_speaker_embedding", "speech_gender_development_ambiguous", "baseline")
SYSTEMS += ("fusion_lora", "whisper_lora", "whisper_finetuned", "fusion_text_lora")


def write_wavlm_large(folder: Path) -> None:
    """As on the hub: pickled weights, of which one is still in the old form of weight normalisation."""
    config = WavLMConfig(**NARROW, conv_dim=(8,) * 7, feat_extract_norm="layer", do_stable_layer_norm=True)
    config.save_pretrained(folder)
    state = WavLMModel(config).state_dict()
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        state = {name.replace(new, old): value for name, value in state.items()}
    torch.save(state, folder / "pytorch_model.bin")
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)


def write_whisper_large(folder: Path) -> None:
    """As on the hub: with its decoder, in half precision, for spectrograms of 30 s with 128 mel bands."""
    narrow = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = {"vocab_size": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
    config = WhisperConfig(**narrow, **heads, **tokens, num_mel_bins=128, max_source_positions=1500)
    WhisperForConditionalGeneration(config).half().save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=128, chunk_length=30).save_pretrained(folder)


def write_roberta_large(folder: Path) -> None:
    """As on the hub: a masked language model without pooler, and a byte-level BPE."""
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(["What a lovely day. This is terrible."] * 4, vocab_size=300, special_tokens=special)
    folder.mkdir(parents=True)
    tokenizer.save_model(str(folder))
    RobertaTokenizerFast.from_pretrained(folder, model_max_length=512).save_pretrained(folder)
    config = RobertaConfig(**NARROW, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=514)
    RobertaForMaskedLM(config).save_pretrained(folder)


def write_speaker_encoder(folder: Path) -> None:
    config = WavLMConfig(**NARROW, conv_dim=(8,) * 7, tdnn_dim=(8, 8, 8, 8, 24), xvector_output_dim=8)
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


def write_release(root: Path, tones: Corpus) -> None:
    """The challenge's release: Test3 is audio alone, without labels, speakers, transcripts or an entry anywhere."""
    generator, consensus, detailed = np.random.default_rng(0), [], []
    for folder in ("Audios/Audios", "Transcripts"):
        (root / folder).mkdir(parents=True)
    hidden = 0
    shuffled = tones.table.astype(object).where(tones.table.notna(), None).sample(frac=1, random_state=0)
    for number, row in enumerate(shuffled.to_dict("records")):
        if row["split"] == "test3":
            hidden += 1
            (root / "Audios/Audios" / f"MSP-PODCAST_test3_{hidden:04d}.wav").symlink_to(row["path"])
            continue
        name = f"MSP-PODCAST_{int(row['speaker']):04d}_{number:04d}"
        (root / "Audios/Audios" / f"{name}.wav").symlink_to(row["path"])
        if row["transcript"]:
            (root / "Transcripts" / f"{name}.txt").write_text(row["transcript"])
        ratings = np.clip(np.rint([row[name] for name in sercore.ATTRIBUTES] + generator.normal(0, 1, (5, 3))), 1, 7)
        means = dict(zip(("EmoAct", "EmoVal", "EmoDom"), ratings.mean(0).round(6), strict=True))
        consensus.append(
            {"FileName": f"{name}.wav", "EmoClass": row["emotion"], **means, "SpkrID": row["speaker"]}
            | {"Gender": row["gender"] or "Unknown", "Split_Set": row["split"].title()}
        )
        votes = [row["emotion"]] * 5 if row["emotion"] != "X" else list("AASSN")
        for rater, (vote, (a, v, d)) in enumerate(zip(votes, ratings, strict=True)):
            detail = f"WORKER{rater:08d}; {WORDS[vote]}; {WORDS[vote]}; A:{a:.6f}; V:{v:.6f}; D:{d:.6f};"
            detailed.append({"FileName": f"{name}.wav", "EmoDetail": detail})
    write_csv(root / "Labels" / "labels_consensus.csv", consensus)
    write_csv(root / "Labels" / "labels_detailed.csv", detailed)


@pytest.fixture(scope="module")
def podcast(tmp_path_factory, tones) -> Path:
    """A project with the study's parameters, the miniature release where the profile looks for it, and the models."""
    root = tmp_path_factory.mktemp("podcast")
    for name in ("params", "benchmarks"):
        (root / name).symlink_to(ROOT / name)
    write_release(root / "data" / "MSP-Podcast", tones)
    torch.manual_seed(0)
    write_wavlm_large(root / "microsoft" / "wavlm-large")
    write_whisper_large(root / "openai" / "whisper-large-v3")
    write_roberta_large(root / "FacebookAI" / "roberta-large")
    write_speaker_encoder(root / "microsoft" / "wavlm-base-plus-sv")
    return root


@pytest.fixture(scope="module")
def trained(podcast) -> dict[str, runs.Run]:
    return {system: train(podcast, system) for system in SYSTEMS}


def train(project: Path, system: str) -> runs.Run:
    command(project, "train", "msp_podcast", system, "0", "--overrides", SIZES)
    (folder,) = (project / "runs" / "msp_podcast").glob(f"{system}-????????/seed-0-????????")
    return runs.read(folder)


def command(project: Path, *words: object) -> None:
    with contextlib.chdir(project), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sercore", *map(str, words)])
        main()


def test_the_profile_is_the_papers_scale_in_every_system(podcast, monkeypatch):
    monkeypatch.chdir(podcast)
    for variant in questions.systems(questions.questions("msp_podcast").values()):
        chosen = params.load("msp_podcast", variant, 0)
        training = chosen.training
        assert (training.learning_rate, training.epochs, training.precision) == (1e-5, 20, "bfloat16")
        assert training.batch_size * training.accumulation == 32
        assert chosen.speech.max_seconds == 15
        whisper = "whisper" in variant
        assert chosen.speech.encoder == ("openai/whisper-large-v3" if whisper else "microsoft/wavlm-large")
        assert chosen.speech.finetune != whisper
        assert chosen.text is None or chosen.text.encoder == "FacebookAI/roberta-large"
        assert chosen.speaker is None or chosen.speaker.encoder == "microsoft/wavlm-base-plus-sv"
        assert (chosen.heads.width, chosen.heads.dropout) == (256, 0.1)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_kind_of_system_trains_and_predicts_the_hidden_test(trained, tones, system):
    run = trained[system]
    assert np.isfinite(run.history).all(axis=None)
    assert set(run.metrics["ccc"]) == {"development"}
    hidden = run.predictions[run.predictions["split"] == "test3"]
    assert sorted(hidden["utterance"]) == [f"MSP-PODCAST_test3_{number:04d}" for number in range(1, 9)]
    assert hidden[list(sercore.ATTRIBUTES)].isna().all(axis=None)
    assert hidden[runs.PREDICTED].apply(lambda column: column.between(1, 7)).all(axis=None)


def test_a_prediction_in_half_precision_is_finer_than_half_precision(podcast, monkeypatch):
    monkeypatch.chdir(podcast)
    torch.manual_seed(0)
    model = AttributeModel.from_params(params.load("msp_podcast", "fusion", 0), speakers=2, scale=(1, 7)).eval()
    batch = {"audio": torch.randn(8, 8000), "samples": torch.full((8,), 8000), "text": torch.randn(8, 16)}
    with torch.no_grad():
        for head in model.attributes.values():
            torch.nn.init.kaiming_normal_(head[0].weight)
            torch.nn.init.kaiming_normal_(head[-1].weight)
        exact = model(**batch).predictions
        with torch.autocast("cpu", torch.bfloat16):
            found = model(**batch).predictions
    assert exact.std() > 0.05
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=5e-4, rtol=0)  # between .5 and 1, bfloat16 has steps of .004


def test_the_hubs_weights_are_what_training_starts_from(podcast, trained):
    """The convolutional front-end stays as it was, the transformer moves a little."""
    published = torch.load(podcast / "microsoft" / "wavlm-large" / "pytorch_model.bin")
    speech = AttributeModel.from_pretrained(trained["fusion"].folder / "model").speech
    for name, weight in speech.front_end.state_dict().items():
        torch.testing.assert_close(weight, published[f"feature_extractor.{name}"], atol=0, rtol=0)
    moved = {}
    for name, weight in speech.transformer.state_dict().items():
        old = name.replace("parametrizations.weight.original0", "weight_g")
        old = old.replace("parametrizations.weight.original1", "weight_v")
        if old in published:
            moved[name] = (weight - published[old]).abs().max().item()
    assert len(moved) > 30
    assert any("original0" in name for name in moved)
    assert 0 < max(moved.values()) < 1e-3  # steps of 1e-5


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.filterwarnings("ignore:.*have no transcript")
def test_files_get_the_predictions_of_the_run(podcast, trained, system):
    run = trained[system]
    rows = run.predictions.set_index("utterance").sample(12, random_state=0)
    folder = podcast / "data" / "MSP-Podcast"
    words = [folder / "Transcripts" / f"{name}.txt" for name in rows.index]
    texts = [path.read_text() if path.is_file() else None for path in words] if run.params.text else None
    found = sercore.load(run)([folder / "Audios/Audios" / f"{name}.wav" for name in rows.index], texts)
    # The trainer's encoder computed in bfloat16, which has three digits.
    np.testing.assert_allclose(found, rows[runs.PREDICTED], atol=5e-3)


def test_the_submitted_ensemble_becomes_the_challenges_file(podcast, trained):
    members = [trained["speech_gender_development_ambiguous"], trained["whisper_fusion"]]
    command(podcast, "submission", *[run.folder for run in members], "--output", "answer.csv")
    with (podcast / "answer.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["FileName", "EmoAct", "EmoVal", "EmoDom"]
    tables = [run.predictions.set_index("utterance")[runs.PREDICTED] for run in members]
    assert [name for name, *_ in rows] == [f"MSP-PODCAST_test3_{number:04d}.wav" for number in range(1, 9)]
    for name, *values in rows:
        expected = sum(table.loc[name.removesuffix(".wav")] for table in tables) / 2
        assert [float(value) for value in values] == pytest.approx(list(expected), abs=1e-6)


def test_results_are_collected_without_the_hidden_labels(podcast, trained, monkeypatch):
    monkeypatch.chdir(podcast)
    chosen = params.load("msp_podcast", "fusion", 0)
    corpus = corpora.read(chosen.corpus, 0)
    results.collect([run.folder for run in trained.values()], corpus, podcast / "results")
    collected = {run.system: run for run in results.read_runs(podcast / "results")}
    assert len(collected) == len(SYSTEMS)
    for run in trained.values():
        again = collected[run.params.variant]
        assert again.metrics["ccc"]["development"] == pytest.approx(run.metrics["ccc"]["development"])
        merged = run.predictions.merge(again.predictions, on="utterance", suffixes=("", "_again"))
        assert len(merged) == len(run.predictions)
        again = merged[[f"{name}_again" for name in runs.PREDICTED]].to_numpy()
        np.testing.assert_allclose(again, merged[runs.PREDICTED], atol=6e-4)
        assert merged.loc[merged["split"] == "test3", "arousal_again"].isna().all()
    assert isinstance(pd.read_parquet(podcast / "results" / "ratings.parquet"), pd.DataFrame)


CHANGES = "sampling.samples_per_emotion=2 sampling.validation_per_emotion=1 training.batch_size=4 heads.width=16"


def test_what_a_study_needs_is_what_it_writes(podcast, trained, monkeypatch):
    monkeypatch.chdir(podcast)
    plan = questions.Plan("msp_podcast", count=2, changes=CHANGES)
    table, sizes = needs.needs(plan)
    found = table.set_index("system")
    assert set(found["runs"]) == {2}
    for system in {*SYSTEMS} & {*found.index}:
        weights = load_file(trained[system].folder / "model" / "model.safetensors").values()
        size = 2 * sum(one.numel() * one.element_size() for one in weights)
        assert found.loc[system, "models (GB)"] * 1e9 == pytest.approx(size, rel=0.01)
    assert found.loc["whisper_fusion", "keeps of speech"] == "hidden states"
    assert found.loc["whisper_fusion", "checkpoints (GB)"] < found.loc["fusion", "checkpoints (GB)"] / 2
    assert set(found["to train"]) == {2}
    values = [path.stat().st_size for path in (podcast / "data" / "cache").glob("*/values")]
    once = found.groupby("keeps of speech")["features (GB)"].first() * 1e9
    assert len(once) == 2
    for size in once:
        assert min(abs(size / value - 1) for value in values) < 0.3  # the shorter the sound, the fewer frames a second
    assert sizes["features"] == sizes["downloads"] == 0  # which are there
    assert table["hours"].isna().all()
    (podcast / "data" / "cache").rename(podcast / "away")
    assert needs.needs(plan)[1]["features"] * 1e9 == pytest.approx(once.sum())
    shutil.rmtree(podcast / "data" / "cache")
    (podcast / "away").rename(podcast / "data" / "cache")


def test_what_a_study_has_written_is_not_to_be_written_again(podcast, trained, monkeypatch):
    """What other studies have written is no room for this one."""
    monkeypatch.chdir(podcast)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**9}))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    plan = questions.Plan("msp_podcast", count=1, changes=CHANGES + " training.epochs=1")
    foreign = [podcast / "runs" / "another" / "fusion" / "seed-0" / "model", podcast / "data" / "cache" / "another"]
    for folder in foreign:
        folder.mkdir(parents=True)
        (folder / "values").write_bytes(bytes(10**6))
    table, sizes = needs.needs(plan)
    found = table.set_index("system")
    assert sizes["free"] == 1
    assert {system for system in found.index if not found.loc[system, "to train"]} == {*SYSTEMS} & {*found.index}
    wanted = found[found["to train"] == 1]
    assert sizes["models"] == pytest.approx(wanted["models (GB)"].sum())
    assert sizes["checkpoints"] == pytest.approx(wanted["checkpoints (GB)"].nlargest(2).sum())
    monkeypatch.setenv("CLUSTER", "slurm")
    assert needs.needs(plan)[1]["checkpoints"] == pytest.approx(wanted["checkpoints (GB)"].sum())
    kept = [folder.rename(folder.with_name(f".{folder.name}.partial")) for folder in [trained["fusion"].folder]]
    (kept[0] / "checkpoints").mkdir()
    (kept[0] / "checkpoints" / "weights").write_bytes(bytes(10**5))
    partial = sum(path.stat().st_size for path in kept[0].rglob("*") if path.is_file()) / 1e9
    expected = wanted["checkpoints (GB)"].sum() + found.loc["fusion", "checkpoints (GB)"] - partial
    assert needs.needs(plan)[1]["checkpoints"] == pytest.approx(max(0, expected))
    shutil.rmtree(kept[0] / "checkpoints")
    kept[0].rename(trained["fusion"].folder)
    for folder in foreign:
        shutil.rmtree(folder)


def test_a_gpu_that_is_too_small_is_refused(podcast, monkeypatch):
    table = pd.DataFrame({"system": ["fusion", "speech_only"], "GPU memory (GB)": [20.0, 10.0]})
    sizes, memory = {"free": 1.0, "models": 0.5}, {0: 24e9, 1: 16e9}
    needs.require_room(table, sizes)
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(memory))
    properties = {gpu: type("Properties", (), {"total_memory": size}) for gpu, size in memory.items()}
    monkeypatch.setattr("torch.cuda.get_device_properties", properties.get)
    told = r"^fusion takes about 20\.0 GB of a GPU, which has 16\.0 GB: set training\.checkpointing=true"
    with pytest.raises(params.ParamsError, match=told):
        needs.require_room(table, sizes)
    monkeypatch.setenv("CLUSTER", "slurm")  # whose GPUs are others
    needs.require_room(table, sizes)


def test_a_disk_that_is_too_small_is_refused_before_anything_starts(podcast, trained, monkeypatch, capsys):
    monkeypatch.chdir(podcast)
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    monkeypatch.setattr(needs, "room", lambda model, checkpoints=1: checkpoints * 1e12)
    monkeypatch.setattr(sys, "argv", ["study", "--profile", "msp_podcast", "--set", CHANGES, "plan"])
    with pytest.raises(SystemExit) as ended:
        study_main()
    none = r"0\.0 MB"
    told = rf"^error: this study writes about [\d.]+ GB \(features {none}, models {none}, checkpoints [\d.]+ GB, "
    told += rf"downloads {none}\) where {none} are free: make room, or .* speech\.cache=false\.$"
    assert re.match(told, ended.value.code)
    assert "fusion_gender" in capsys.readouterr().out


def test_hours_follow_from_measured_steps(podcast, monkeypatch):
    """50 frames a second: 2 epochs of steps, as many predictions of the validation set, and all other splits once."""
    monkeypatch.chdir(podcast)
    keys = {"size": "large", "way": "all together"}
    rates = (("frames a second", 10.0), ("predicted frames a second", 40.0))
    measured = [keys | {"measure": name, "value": value} for name, value in rates]
    known = needs.benchmarks() | {"cuda": {"msp_podcast": {"machine": {"gpu": "H"}, "rows": measured}}}
    monkeypatch.setattr(needs, "benchmarks", lambda: known)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H")
    monkeypatch.setattr(needs, "LARGE", {("wavlm", 16, 2): "large"})
    plan = questions.Plan("msp_podcast", chapter="adaptation", count=1, changes=CHANGES + " training.epochs=2")
    found = needs.needs(plan)[0].set_index("system")["hours"]
    rows = choose(corpora.read(plan.parameters("fusion").corpus, 0), plan.parameters("fusion"))
    train, other, rest = (part["duration"] for part in (rows.training, rows.validation, rows.predicted))
    steps = 2 * len(rows.sampler) * train.mean() * 50
    expected = steps / 10 + 50 * (2 * other.sum() + rest.sum()) / 40
    assert found["fusion"] * 3600 == pytest.approx(expected)
    assert found[["fusion_frozen", "fusion_lora"]].isna().all()
    measured[:] = [keys | {"measure": "out of memory", "value": 1}]
    assert needs.needs(plan)[0]["hours"].isna().all()
