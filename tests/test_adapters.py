"""Adapted encoders against transformers' own modules whose weights hold what the adapters add; and what they train."""

import pytest
import torch
from tiny_encoders import MODELS, inputs, make, packed_average, padded_average, results
from torch.nn import functional
from transformers import BertConfig, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from sercore import params, predict, training
from sercore.cache import model_digest
from sercore.features import FrozenEncoders
from sercore.model import AttributeModel
from sercore.network.encoders import SpeechEncoder, TextModel
from sercore.training import train

RANK = 2
PREDICTED = ["predicted_arousal", "predicted_valence", "predicted_dominance"]


def awaken(model):
    """Have adapters add something: B begins at zero."""
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)


def merge_into(plain, model):
    """Give `plain` the weights of `model`, with alpha / r B A where it has adapters; the adapted layers by name."""
    state = {name.replace("base_layer.", ""): value for name, value in model.state_dict().items()}
    plain.load_state_dict({name: value for name, value in state.items() if "lora_" not in name})
    layers = {name: part for name, part in model.named_modules() if hasattr(part, "lora_A")}
    with torch.no_grad():
        for name, part in layers.items():
            plain.get_submodule(name).weight += 2 * part.lora_B["default"].weight @ part.lora_A["default"].weight
    return layers


def assert_gradients_follow(layers, plain):
    """By the chain rule: dL/dB = alpha / r dL/dW A^T, dL/dA = alpha / r B^T dL/dW."""
    for name, part in layers.items():
        a, b = part.lora_A["default"].weight, part.lora_B["default"].weight
        whole = plain.get_submodule(name).weight.grad
        for found, expected in ((b.grad, 2 * whole @ a.detach().T), (a.grad, 2 * b.detach().T @ whole)):
            assert expected.any(), name
            torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.parametrize("stable", [True, False])
@pytest.mark.parametrize("kind", MODELS)
def test_adapted_frames_and_gradients_are_those_of_merged_weights(kind, stable):
    """transformers' own WavLM takes the weights out of its projections, past the adapters; packed frames do not."""
    plain = make(kind, stable).train()
    model = SpeechEncoder(plain.config, True, RANK).double().train().transformer
    awaken(model)
    layers = merge_into(plain, model)
    reached = {name.rsplit(".", 1)[1] for name in layers}
    assert {"q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense"} <= reached
    (features, frames), weights = inputs([21, 5, 13]), torch.rand(4, dtype=torch.float64)
    ours = results(packed_average, model, features, frames, weights)
    theirs = results(padded_average, plain, features, frames, weights)
    for name in ("output", "features", "weights"):
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-9, rtol=1e-9)
    assert_gradients_follow(layers, plain)


@pytest.mark.parametrize("lora", [None, RANK])
def test_a_trained_whisper_is_transformers_own_where_speech_fills_its_window(lora, monkeypatch):
    """A constant stands for dropout, whose draws depend on the order of the frames in memory."""
    monkeypatch.setattr(functional, "dropout", lambda hidden, p, training: hidden * (1 - p) if training else hidden)
    sizes = {"d_model": 16, "encoder_layers": 2, "encoder_ffn_dim": 32, "encoder_attention_heads": 2}
    drops = {"dropout": 0.2, "activation_dropout": 0.3}
    config = WhisperConfig(**sizes, **drops, num_mel_bins=20, max_source_positions=50)
    torch.manual_seed(0)
    speech, plain = SpeechEncoder(config, True, lora).double().train(), WhisperEncoder(config).double().train()
    awaken(speech)
    layers = merge_into(plain, speech.transformer)
    spectrogram, weights = torch.randn(1, 20, 100, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    ours = speech(*speech.frozen_part(spectrogram.mT, torch.tensor([16_000])), weights)
    states = plain(spectrogram, output_hidden_states=True).hidden_states
    theirs = torch.einsum("l,lnw->nw", weights, torch.cat(states))
    ours.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    assert_gradients_follow(layers, plain)
    trained = {name: value for name, value in speech.transformer.named_parameters() if value.requires_grad}
    assert {name.split(".")[0] for name in trained} == ({"layers"} if lora else {"layers", "layer_norm"})
    for name, value in trained.items():
        if not lora:
            torch.testing.assert_close(value.grad, plain.get_parameter(name).grad, atol=1e-9, rtol=1e-9)


def test_adapted_words_are_those_of_merged_weights():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(**sizes, vocab_size=50)
    plain, model = TextModel(config, True).double().eval(), TextModel(config, True, RANK).double().eval()
    awaken(model)
    layers = merge_into(plain.transformer, model.transformer)
    tokens, lengths = torch.randint(1, 50, (9,)), torch.tensor([4, 0, 5])
    outputs = [one(tokens, lengths) for one in (model, plain)]
    for output in outputs:
        output[:, :3].sum().backward()
    assert not outputs[0][1].any()  # nothing was said
    torch.testing.assert_close(*outputs, atol=1e-7, rtol=1e-7)
    assert_gradients_follow(layers, plain.transformer)


@pytest.mark.parametrize("variant", ["fusion_lora", "whisper_lora", "fusion_text_lora"])
def test_adapters_are_trained_alone_saved_and_read_back(project, tones, small, variant):
    chosen = params.load("embedded", variant, 0, small)
    part = "text" if "text" in variant else "speech"
    before = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale).encoders()[part]
    run = train(chosen, tones)
    model = AttributeModel.from_pretrained(run.folder / "model")
    asked = {name for name, value in model.encoders()[part].named_parameters() if value.requires_grad}
    assert asked
    assert all("lora_" in name for name in asked)
    assert model.num_parameters(only_trainable=True) == run.metrics["trainable_parameters"]
    pretrained = dict(before.named_parameters())
    for name, value in model.encoders()[part].named_parameters():
        if "lora_" not in name:
            torch.testing.assert_close(value, pretrained[name], rtol=0, atol=0)
        elif "lora_B" in name:
            assert value.any(), name
    rows = tones.split("test3").head(3)
    found = predict.load(run)(list(rows["path"]), list(rows["transcript"]))
    expected = run.predictions.set_index("utterance").loc[rows.index, PREDICTED]
    assert found.to_numpy() == pytest.approx(expected.to_numpy(), abs=2e-3)


def test_a_fine_tuned_text_encoder_learns_and_is_saved(project, tones, small):
    chosen = params.load("embedded", "fusion_text_finetuned", 0, small)
    before = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
    run = train(chosen, tones)
    after = AttributeModel.from_pretrained(run.folder / "model")
    assert model_digest(after.text) != model_digest(before.text)
    rows = tones.split("test3").head(3)
    found = predict.load(run)(list(rows["path"]), list(rows["transcript"]))
    assert found.to_numpy() == pytest.approx(
        run.predictions.set_index("utterance").loc[rows.index, PREDICTED].to_numpy(), abs=2e-3
    )


def test_a_fine_tuned_text_encoder_begins_where_the_frozen_one_stays(project, tones, small):
    """Before the first step both make the same of the words, missing ones included."""
    outputs = []
    for variant in ("fusion", "fusion_text_lora"):
        chosen = params.load("embedded", variant, 0, small)
        model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale).eval()
        rows = tones.table.iloc[[0, 5, 9, 20]]
        features = FrozenEncoders(chosen, model.speech)(rows)
        if features.tokens is None:
            outputs.append(torch.stack([torch.tensor(one[0]) for one in features.text]))
        else:
            lengths = torch.tensor([len(one) for one in features.tokens])
            with torch.no_grad():
                outputs.append(model.text(torch.cat(features.tokens), lengths))
    assert not outputs[0].any(1).all()
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)


def test_adapted_and_fine_tuned_encoders_share_what_is_kept(project, tones, small):
    """The outputs of WavLM's convolutions, Whisper's spectrograms, and all hidden states of those that are frozen."""
    folders = {}
    for variant in ("fusion", "fusion_lora", "fusion_frozen", "whisper_fusion", "whisper_lora", "whisper_finetuned"):
        chosen = params.load("embedded", variant, 0, small | {"text": None})
        model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
        features = FrozenEncoders(chosen, model.speech)(tones.table.head(3))
        folders[variant] = (features.speech or features.spectrograms).folder
    assert folders["fusion"] == folders["fusion_lora"]
    assert folders["whisper_finetuned"] == folders["whisper_lora"]
    assert len(set(folders.values())) == 4


def test_an_encoder_may_have_a_learning_rate_of_its_own(project, tones, small, monkeypatch):
    seen = {}

    def keep(trainer, **_):
        optimizer, model = trainer.create_optimizer(), trainer.model
        rates = {part: group["lr"] for group in optimizer.param_groups for part in group["params"]}
        decays = {part: group["weight_decay"] for group in optimizer.param_groups for part in group["params"]}
        seen.update({name: (rates[part], decays[part]) for name, part in model.named_parameters() if part in rates})
        assert rates.keys() == {part for part in model.parameters() if part.requires_grad}
        raise InterruptedError

    monkeypatch.setattr(training.AttributeTrainer, "train", keep)
    rates = {"speech": {"lora": 4, "learning_rate": 3e-4}, "text": {"finetune": True, "learning_rate": 2e-5}}
    with pytest.raises(InterruptedError):
        train(params.load("embedded", "fusion", 0, small | rates), tones)
    expected = {"speech": 3e-4, "text": 2e-5, "attributes": 1e-3, "convolutions": 1e-3, "layer_weights": 1e-3}
    assert {name.split(".")[0]: rate for name, (rate, _) in seen.items()} == expected
    assert {decay for name, (_, decay) in seen.items() if name.endswith("bias")} == {0.0}
    assert {decay for name, (_, decay) in seen.items() if "lora_" in name} == {0.01}


def test_one_attribute_may_be_trained_alone(project, tones, small):
    chosen = params.load("embedded", "fusion_valence", 0, small)
    torch.manual_seed(0)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
    truth, predicted = torch.rand(6, 3), torch.rand(6, 3, requires_grad=True)
    loss = model.loss({"predictions": predicted}, {"attributes": truth})
    x, y = truth[:, 1], predicted[:, 1]
    cross = 2 * ((x - x.mean()) * (y - y.mean())).mean()
    expected = 1 - cross / (x.var(correction=0) + y.var(correction=0) + (x.mean() - y.mean()) ** 2)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, predicted)
    assert gradient.any(0).tolist() == [False, True, False]
    run = train(chosen, tones)
    assert run.metrics["best_epoch"] == run.history.loc[run.history["valence"].idxmax(), "epoch"]
    assert run.metrics["ccc"]["test3"]["mean"] == run.metrics["ccc"]["test3"]["valence"]
    assert (
        run.metrics["trainable_parameters"]
        < train(params.load("embedded", "fusion", 0, small), tones).metrics["trainable_parameters"]
    )
