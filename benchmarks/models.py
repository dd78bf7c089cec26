"""The model at several sizes, the plain way to run it, and steps on batches of noise.

Plain: transformers' own modules on padded batches, the convolutional front-end computed from the audio in every step,
all hidden states stacked. All ways have the same weights and batches.
"""

import contextlib
import ctypes
import gc
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import WavLMConfig

from sercore import ATTRIBUTES
from sercore.batches import collate
from sercore.encoders import DEVICE
from sercore.model import AttributeModel
from sercore.network.attention import Packing
from sercore.network.encoders import SpeechEncoder
from sercore.network.model import AttributeConfig
from sercore.sections import Heads, Loss, Speech

SIZES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 1024},
    "base-plus": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
SIZES["small"] |= {"do_stable_layer_norm": True, "conv_dim": (256,) * 7}  # a front-end in proportion
SIZES["large"] |= {"do_stable_layer_norm": True}
SIZES["large, 4 layers"] = SIZES["large"] | {"num_hidden_layers": 4}


def build(size: str, lora: int | None = None) -> AttributeModel:
    """The study's model with a random WavLM, whose transformer is trained; its front-end has layer norms, which padding
    does not change, and nothing is random in training, so that all ways give the same."""
    torch.manual_seed(0)
    random = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop")
    still = dict.fromkeys([*random, "mask_time_prob"], 0.0)
    speech = WavLMConfig(feat_extract_norm="layer", **still, **SIZES[size])
    section = Speech(encoder="", finetune=True, lora=lora, cache=True)
    sections = {"speech": section, "heads": Heads(dropout=0.0), "loss": Loss()}
    dumped = {name: each.model_dump() for name, each in sections.items()}
    config = AttributeConfig(**dumped, encoders={"speech": speech.to_dict()})
    return AttributeModel(config).to(DEVICE).train()


class PlainSpeech(nn.Module):
    """`SpeechEncoder` by transformers' modules on padded batches, from audio or (`cached`) its front-end's output."""

    def __init__(self, speech: SpeechEncoder, cached: bool) -> None:
        super().__init__()
        self.transformer, self.layers, self.cached = speech.transformer, speech.layers, cached
        if not cached:
            self.transformer.feature_extractor = speech.front_end

    def frozen_part(self, audio: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """The audio as it is, and the frames of each utterance."""
        return audio, self.transformer._get_feat_extract_output_lengths(samples)

    def forward(self, features: Tensor, frames: Tensor, weights: Tensor) -> Tensor:
        """Weighted sum of all hidden states, packed (frames, width)."""
        inputs = features
        if self.cached:
            inputs = pad_sequence(features.split(frames.tolist()), batch_first=True).transpose(1, 2)
        samples = frames
        config = self.transformer.config
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
            samples = (samples - 1) * stride + kernel
        mask = Packing(samples).valid.long()
        states = torch.stack(self.transformer(inputs, attention_mask=mask, output_hidden_states=True).hidden_states)
        average = (weights[:, None, None, None] * states).sum(0)  # (B, T, width)
        return average[Packing(frames).valid]


WAYS = {
    "plain": ("audio", PlainSpeech),
    "cached front-end": ("features", PlainSpeech),
    "packed": ("audio", None),
    "all together": ("features", None),
}
"""What a batch holds, and what takes the place of the speech encoder."""


def way(name: str, size: str, lora: int | None = None) -> AttributeModel:
    """The model of a size, run in one of `WAYS`."""
    model, (kind, encoder) = build(size, lora), WAYS[name]
    if encoder is not None:
        model.speech = encoder(model.speech, cached=kind == "features")
    return model


def batches(size: str, count: int, kind: str, number: int = 3) -> list[dict[str, Tensor]]:
    """Batches of noise of 2 to 11 s (gamma distributed), with the waveforms (``audio``) or the front-end's output
    (``features``)."""
    front_end, made = build(size).speech, []
    for seed in range(number):
        generator, rows = torch.Generator().manual_seed(seed), []
        seconds = np.random.default_rng(seed).gamma(4, 5.7 / 4, count).clip(2, 11)
        for length in (seconds * 16_000).astype(int).tolist():
            row = {"audio": torch.randn(length, generator=generator), "samples": torch.tensor(length)}
            if kind == "features":
                inputs = row["audio"][None].to(DEVICE), row["samples"][None].to(DEVICE)
                row = {"features": front_end.frozen_part(*inputs)[0].to("cpu")}
            rows.append(row | {"attributes": torch.rand(len(ATTRIBUTES), generator=generator)})
        made.append({name: tensor.to(DEVICE) for name, tensor in collate(rows).items()})
    return made


def training_step(
    model: AttributeModel, data: Sequence[dict[str, Tensor]], precision: str = "float32", parts: int = 1
) -> Callable[[], Tensor]:
    """A function that takes one optimiser's step on the next `parts` batches of `data` and returns the loss."""
    optimiser = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-5)
    following = itertools.cycle(data)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        for batch in itertools.islice(following, parts):
            with autocast(precision):
                loss = model(**batch).loss / parts
            loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def autocast(precision: str) -> contextlib.AbstractContextManager:
    """The context in which a model computes in `precision`."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16")


def step_memory(name: str, size: str, count: int, lora: int | None, precision: str) -> float:
    """MiB that a training step takes at most beyond what is there before it; for a process of its own."""
    step = training_step(way(name, size, lora), batches(size, count, WAYS[name][0], 2), precision)
    step()  # makes the optimiser's state
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps is not in use
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _resident("VmRSS")
    step()
    return _resident("VmHWM") - before


def _resident(name: str) -> float:
    """A size of this process in MiB, from Linux's kernel."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))
