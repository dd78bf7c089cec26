"""The layers behind the encoders, against literal loops and torch's own modules."""

import numpy as np
import pytest
import torch
from torch import nn

from sercore import params
from sercore.model import AttributeModel
from sercore.network.model import AttentiveStatisticsPooling, MeanPooling


def ragged(lengths, width=5):
    torch.manual_seed(0)
    return torch.randn(sum(lengths), width, dtype=torch.float64), torch.tensor(lengths)


def test_attentive_statistics_are_a_weighted_mean_and_deviation():
    hidden, frames = ragged([7, 3, 1])
    pooling = AttentiveStatisticsPooling(5).double()
    pooled = pooling(hidden, frames).detach().numpy()
    first, _, last = pooling.attention
    for row, utterance in enumerate(hidden.split(frames.tolist())):
        utterance = utterance.numpy()
        scores = np.tanh(utterance @ first.weight.detach().numpy().T + first.bias.detach().numpy())
        weights = np.exp(scores @ last.weight.detach().numpy()[0])
        mean = np.average(utterance, axis=0, weights=weights)
        deviation = np.sqrt(np.maximum(np.average(utterance**2, axis=0, weights=weights) - mean**2, 0))
        np.testing.assert_allclose(pooled[row], [*mean, *deviation], atol=2e-5)


@pytest.mark.parametrize("pooling", [MeanPooling(), AttentiveStatisticsPooling(5).double()])
def test_an_utterance_is_pooled_by_itself(pooling):
    hidden, frames = ragged([4, 2, 6])
    hidden.requires_grad_()
    together = pooling(hidden, frames)
    alone = [pooling(one, torch.tensor([len(one)]))[0] for one in hidden.split(frames.tolist())]
    torch.testing.assert_close(together, torch.stack(alone))
    (gradient,) = torch.autograd.grad(together[1].sum(), hidden)
    assert torch.isfinite(gradient).all()
    assert gradient[4:6].any()
    assert not gradient[:4].any()
    assert not gradient[6:].any()


def test_mean_pooling_is_the_mean():
    hidden, frames = ragged([4, 2, 6])
    expected = torch.stack([one.mean(0) for one in hidden.split(frames.tolist())])
    torch.testing.assert_close(MeanPooling()(hidden, frames), expected)


def made(variant, project):
    torch.manual_seed(0)
    return AttributeModel.from_params(params.load("embedded", variant, 0), speakers=3, scale=(1, 7)).eval()


def test_pointwise_convolutions_are_torchs(project):
    model, hidden = made("fusion", project), torch.randn(9, 64)
    layers = []
    for layer in model.convolutions:
        if isinstance(layer, nn.Linear):
            convolution = nn.Conv1d(layer.in_features, layer.out_features, 1)
            convolution.load_state_dict({"weight": layer.weight[:, :, None], "bias": layer.bias})
            layers.append(convolution)
        else:
            layers.append(layer)
    assert sum(isinstance(layer, nn.Conv1d) for layer in layers) == 3
    expected = nn.Sequential(*layers).eval()(hidden.T[None])[0].T
    torch.testing.assert_close(model.convolutions(hidden), expected)


def test_the_baseline_hears_the_last_hidden_state_only(project):
    model = made("baseline", project)
    names = [name for name, _ in model.named_parameters() if not name.startswith("speech.")]
    assert {name.split(".")[0] for name in names} == {"pooling", "attributes"}
    assert model.attributes["arousal"][0].in_features == 2 * model.speech.config.hidden_size
    features, frames = torch.randn(14, model.speech.config.conv_dim[-1]), torch.tensor([9, 5])
    with torch.no_grad():
        last = model.speech(features, frames, torch.eye(model.speech.layers)[-1])
        pooled = model.pooling(last, frames)
        expected = torch.sigmoid(torch.cat([model.attributes[name](pooled) for name in model.attributes], 1))
        torch.testing.assert_close(model(features=features, frames=frames).predictions, expected)


def test_new_layers_are_scaled_to_their_inputs(project):
    """With transformers' own initialisation, of a fixed width, every prediction would begin at the middle."""
    model = made("fusion_gender", project)
    for layer in (*model.convolutions, *model.attributes["valence"], *model.gender):
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx((3 * layer.in_features) ** -0.5, rel=0.15)


def test_an_adversary_turns_the_gradient_below_the_speaker_head_and_not_within(project):
    """By linearity: gradient of the joint loss is that of the attributes, plus or minus that of the speaker's part."""
    models = {name: made(f"fusion{name}", project) for name in ("_speaker", "_speaker_adversarial", "")}
    for name in ("_speaker_adversarial", ""):
        models[name].load_state_dict(models["_speaker"].state_dict(), strict=False)
    torch.manual_seed(1)
    batch = {
        "features": torch.randn(14, models[""].speech.config.conv_dim[-1]),
        "frames": torch.tensor([9, 5]),
        "text": torch.randn(2, models[""].config.text_width),
        "attributes": torch.rand(2, 3),
        "speaker": torch.tensor([0, 2]),
    }
    gradients, outputs = {}, {}
    for name, model in models.items():
        outputs[name] = model(**batch)
        outputs[name].loss.backward()
        gradients[name] = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
    torch.testing.assert_close(outputs["_speaker"].speaker, outputs["_speaker_adversarial"].speaker)
    for key, plain in gradients[""].items():
        added = gradients["_speaker"][key] - plain
        torch.testing.assert_close(gradients["_speaker_adversarial"][key] - plain, -added, atol=1e-4, rtol=1e-3)
    assert (gradients["_speaker"]["convolutions.0.weight"] - gradients[""]["convolutions.0.weight"]).abs().max() > 1e-3
    for key in gradients["_speaker"].keys() - gradients[""].keys():
        assert key.startswith("speaker")
        torch.testing.assert_close(gradients["_speaker_adversarial"][key], gradients["_speaker"][key])
