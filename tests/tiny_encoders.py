"""Tiny speech encoders of transformers, and what its own modules give on a padded batch."""

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from sercore.network import packing

MODELS = ("wavlm", "wav2vec2", "hubert", "unispeech", "unispeech-sat")


def make(kind, stable, heads=2, kernel=6, dtype=torch.float64, **options):
    sizes = {"hidden_size": 8 * heads, "num_hidden_layers": 3, "num_attention_heads": heads, "intermediate_size": 24}
    front_end = {"conv_dim": (8, 8), "conv_kernel": (4, 3), "conv_stride": (3, 2), "num_feat_extract_layers": 2}
    position = {"num_conv_pos_embeddings": kernel, "num_conv_pos_embedding_groups": 2}
    still = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)
    buckets = {"num_buckets": 8, "max_bucket_distance": 12} if kind == "wavlm" else {}
    masks = {"mask_time_prob": 0.3, "mask_time_length": 2} | ({} if kind == "wavlm" else {"mask_feature_prob": 0.2})
    settings = sizes | front_end | position | still | buckets | masks | {"layerdrop": 0.0, "mask_feature_length": 2}
    torch.manual_seed(0)
    made = AutoModel.from_config(AutoConfig.for_model(kind, do_stable_layer_norm=stable, **(settings | options)))
    made.feature_extractor = torch.nn.Identity()
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "gru_rel_pos" in name or "rel_attn" in name or "adapter_layer" in name:
                value.normal_()  # transformers begins them at values that hide a wrong bias
    return made.to(dtype)


def inputs(frames, width=8, dtype=torch.float64):
    torch.manual_seed(1)
    frames = torch.tensor(frames)
    return torch.randn(int(frames.sum()), width, dtype=dtype), frames


def packed_average(model, features, frames, weights):
    states = packing.hidden_states(model, features, frames)
    return sum(weight * state for weight, state in zip(weights, states, strict=True))


def padded_average(model, features, frames, weights):
    """What transformers' own modules give: all hidden states of a padded batch, weighted, without the padding."""
    batch = torch.nn.utils.rnn.pad_sequence(features.split(frames.tolist()), batch_first=True)
    samples = frames
    for kernel, stride in zip(model.config.conv_kernel[::-1], model.config.conv_stride[::-1], strict=True):
        samples = (samples - 1) * stride + kernel
    mask = (torch.arange(int(samples.max())) < samples[:, None]).long()
    states = model(batch.transpose(1, 2), attention_mask=mask, output_hidden_states=True).hidden_states
    valid = torch.arange(batch.shape[1]) < frames[:, None]
    return sum(weight * state for weight, state in zip(weights, states, strict=True))[valid]


def results(average, model, features, frames, weights):
    """Output, and the gradient of everything that has one."""
    np.random.seed(0)  # noqa: NPY002  where transformers draws its masks
    model.zero_grad()
    features, weights = features.clone().requires_grad_(), weights.clone().requires_grad_()
    output = average(model, features, frames, weights)
    torch.manual_seed(2)
    (output * torch.randn_like(output)).sum().backward()
    gradients = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    return {"output": output.detach(), "features": features.grad, "weights": weights.grad} | gradients
