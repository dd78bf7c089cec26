"""Packed frames through a transformer, against transformers' own modules on a padded batch."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoders import MODELS, inputs, make, packed_average, padded_average, results
from transformers import WhisperConfig

from sercore.network import attention, packing
from sercore.network.encoders import SpeechEncoder

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def assert_same(model, features, frames, training):
    weights = torch.rand(model.config.num_hidden_layers + 1, dtype=features.dtype).softmax(0)
    model.train(training)
    ours = results(packed_average, model, features, frames, weights)
    theirs = results(padded_average, model, features, frames, weights)
    assert set(ours) == set(theirs)
    largest = max(value.abs().max() for value in theirs.values()).item()
    for name, value in theirs.items():
        torch.testing.assert_close(
            ours[name], value, atol=TOLERANCE[features.dtype] * largest, rtol=TOLERANCE[features.dtype], msg=name
        )


@pytest.mark.parametrize(("kind", "stable", "training"), list(product(MODELS, [True, False], [True, False])))
def test_outputs_and_gradients_are_those_of_transformers(kind, stable, training):
    """SpecAugment's spans included: both draw them alike."""
    assert_same(make(kind, stable), *inputs([21, 5, 13]), training)


OPTIONS = [("wav2vec2", {"adapter_attn_dim": 4}), ("hubert", {"conv_pos_batch_norm": True}), ("data2vec-audio", {})]


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_options_of_some_checkpoints_are_followed(kind, options):
    assert_same(make(kind, kind == "wav2vec2", **options), *inputs([13, 13]), training=True)


@settings(max_examples=25, deadline=None)
@given(
    frames=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    heads=st.integers(1, 3),
    kernel=st.integers(2, 9),
    stable=st.booleans(),
    kind=st.sampled_from(MODELS),
    dtype=st.sampled_from(sorted(TOLERANCE, key=str)),
)
def test_any_lengths_heads_and_kernels(frames, heads, kernel, stable, kind, dtype):
    kernel += (heads * 8) % 2
    assert_same(make(kind, stable, 2 * heads, kernel, dtype), *inputs(frames, dtype=dtype), training=False)


def kept_for_backward(model, trained):
    """How many tensors autograd keeps when only `trained` parts of the model ask for gradients; and who gets one."""
    model.requires_grad_(False).zero_grad()
    for part in trained:
        part.requires_grad_(True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        output = packed_average(model, *inputs([9, 4]), torch.ones(4, dtype=torch.float64))
    if output.requires_grad:
        output.sum().backward()
    return len(kept), {name for name, value in model.named_parameters() if value.grad is not None}


def test_nothing_is_kept_for_a_backward_pass_of_a_frozen_part():
    model = make("wavlm", True).train()
    assert kept_for_backward(model, []) == (0, set())
    last, names = kept_for_backward(model, [model.encoder.layers[2]])
    assert {name.rsplit("layers.")[1][0] for name in names} == {"2"}
    adapted, names = kept_for_backward(model, [layer.feed_forward for layer in model.encoder.layers[1:]])
    assert {name.rsplit("layers.")[1][0] for name in names} == {"1", "2"}
    everything, _ = kept_for_backward(model, [model])
    assert last < 0.45 * everything
    assert adapted < 0.75 * everything


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_no_tensor_of_pairs_of_frames_is_kept(dropout):
    """Of transformers' own attention one is, so that the count would see it."""
    model = make("wavlm", True, attention_dropout=dropout, mask_time_prob=0.0).train()
    arguments, sizes = (model, *inputs([150, 140]), torch.ones(4, dtype=torch.float64)), {}
    for average in (packed_average, padded_average):
        kept = sizes.setdefault(average, [])
        with torch.autograd.graph.saved_tensors_hooks(lambda one, kept=kept: kept.append(one.numel()), lambda one: one):
            average(*arguments)
    assert max(sizes[packed_average]) < 150**2 < max(sizes[padded_average])


def test_what_is_computed_again_is_dropped_alike(monkeypatch):
    """Gradients with dropout everywhere are those of keeping everything, drawn with the same seed."""
    rates = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.2)
    model = make("wavlm", True, **rates).train()
    arguments = (model, *inputs([21, 5, 13]), torch.ones(4, dtype=torch.float64))
    gradients = []
    for _ in range(2):
        torch.manual_seed(3)
        gradients.append(results(packed_average, *arguments))
        monkeypatch.setattr(attention, "checkpoint", lambda function, *values, **options: function(*values))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def adapted_whisper():
    """Adapters alone are trained, so that the first layer's input asks for no gradient."""
    sizes = {"d_model": 16, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
    rates = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop"), 0.2)
    encoder = SpeechEncoder(WhisperConfig(**sizes, **rates), finetune=True, lora=2)
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:  # which begins at zero, so that A would have no gradient
            torch.nn.init.normal_(parameter)
    return encoder.transformer


@pytest.mark.parametrize("kind", ["wavlm, stable", "wavlm", "whisper"])
def test_layers_that_are_computed_again_have_the_same_gradients(kind):
    """In float32, with dropout everywhere and layer drop asked for, drawn with the same seed; and less is kept."""
    rates = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.2)
    is_whisper, gradients, kept = kind == "whisper", [], []
    model = adapted_whisper() if is_whisper else make("wavlm", "stable" in kind, dtype=torch.float32, **rates)
    states = packing.whisper_states if is_whisper else packing.hidden_states
    arguments = (model.train(), *inputs([21, 5, 13], 16 if is_whisper else 8, torch.float32))
    for checkpoint in (None, partial(torch.utils.checkpoint.checkpoint, use_reentrant=False)):
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002  of which SpecAugment draws
        model.zero_grad()
        kept.append(0)

        def count(tensor):
            kept[-1] += 1
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            output = sum(state.square().sum() for state in states(*arguments, checkpoint))
        output.backward()
        gradients.append({name: one.grad for name, one in model.named_parameters() if one.grad is not None})
    assert kept[1] < 0.5 * kept[0]
    assert len(gradients[0]) > 30
    largest = max(value.abs().max() for value in gradients[0].values()).item()
    torch.testing.assert_close(*gradients, atol=1e-5 * largest, rtol=1e-5)
