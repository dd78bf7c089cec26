"""The layers behind the encoders, against literal loops and torch's own modules."""

import numpy as np
import pytest
import torch
from torch import nn

from sercore import params
from sercore.model import AttentiveStatisticsPooling, AttributeModel, MeanPooling


def ragged(lengths, width=5):
    torch.manual_seed(0)
    hidden = torch.randn(len(lengths), max(lengths), width, dtype=torch.float64)
    mask = torch.arange(max(lengths))[None, :, None] < torch.tensor(lengths)[:, None, None]
    return hidden, mask


def test_attentive_statistics_are_a_weighted_mean_and_deviation():
    lengths = [7, 3, 1]
    hidden, mask = ragged(lengths)
    pooling = AttentiveStatisticsPooling(5).double()
    pooled = pooling(hidden, mask).detach().numpy()
    first, _, last = pooling.attention
    for row, length in enumerate(lengths):
        frames = hidden[row, :length].numpy()
        scores = np.tanh(frames @ first.weight.detach().numpy().T + first.bias.detach().numpy())
        weights = np.exp(scores @ last.weight.detach().numpy()[0])
        mean = np.average(frames, axis=0, weights=weights)
        deviation = np.sqrt(np.average(frames**2, axis=0, weights=weights) - mean**2)
        np.testing.assert_allclose(pooled[row], [*mean, *deviation], atol=1e-5)


@pytest.mark.parametrize("pooling", [MeanPooling(), AttentiveStatisticsPooling(5).double()])
def test_what_is_padded_changes_neither_value_nor_gradient(pooling):
    hidden, mask = ragged([4, 2])
    other = torch.where(mask, hidden, 1e3).requires_grad_()
    torch.testing.assert_close(pooling(other, mask), pooling(torch.where(mask, hidden, 0), mask))
    pooling(other, mask).square().sum().backward()
    assert torch.isfinite(other.grad).all()
    assert not (other.grad * ~mask).any()


def test_mean_pooling_is_the_mean_of_the_valid_frames():
    hidden, mask = ragged([4, 2, 6])
    expected = torch.stack([row[: int(valid.sum())].mean(0) for row, valid in zip(hidden, mask, strict=True)])
    torch.testing.assert_close(MeanPooling()(hidden, mask), expected)


def made(variant, project):
    torch.manual_seed(0)
    return AttributeModel.from_params(params.load("embedded", variant, 0), speakers=3, scale=(1, 7)).eval()


def test_pointwise_convolutions_are_torchs(project):
    model, hidden = made("fusion", project), torch.randn(2, 9, 64)
    layers = []
    for layer in model.convolutions:
        if isinstance(layer, nn.Linear):
            convolution = nn.Conv1d(layer.in_features, layer.out_features, 1)
            convolution.load_state_dict({"weight": layer.weight[:, :, None], "bias": layer.bias})
            layers.append(convolution)
        else:
            layers.append(layer)
    assert sum(isinstance(layer, nn.Conv1d) for layer in layers) == 3
    expected = nn.Sequential(*layers).eval()(hidden.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(model.convolutions(hidden), expected)


def test_the_baseline_hears_the_last_hidden_state_only(project):
    model = made("baseline", project)
    names = [name for name, _ in model.named_parameters() if not name.startswith("speech.")]
    assert {name.split(".")[0] for name in names} == {"pooling", "attributes"}
    assert model.attributes["arousal"][0].in_features == 2 * model.speech.config.hidden_size
    features, frames = torch.randn(2, 9, model.speech.config.conv_dim[-1]), torch.tensor([9, 5])
    with torch.no_grad():
        states = model.speech(features, frames)
        mask = torch.arange(9)[None, :, None] < frames[:, None, None]
        pooled = model.pooling(states[-1], mask)
        expected = torch.sigmoid(torch.cat([model.attributes[name](pooled) for name in model.attributes], 1))
        torch.testing.assert_close(model(features=features, frames=frames).predictions, expected)


def test_new_layers_are_scaled_to_their_inputs(project):
    """With transformers' own initialisation, of a fixed width, every prediction would begin at the middle."""
    model = made("fusion_gender", project)
    for layer in (*model.convolutions, *model.attributes["valence"], *model.gender):
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx((3 * layer.in_features) ** -0.5, rel=0.15)
