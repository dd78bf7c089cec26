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
from torch.utils.flop_counter import FlopCounterMode
from transformers import PretrainedConfig, WavLMConfig, WhisperConfig

from sercore import ATTRIBUTES
from sercore.batches import collate
from sercore.encoders import DEVICE
from sercore.exact_ccc import first_pass, second_pass
from sercore.model import AttributeModel
from sercore.network.attention import Packing
from sercore.network.encoders import WHISPER_STRIDE, SpeechEncoder
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
SIZES["whisper-large"] = {"d_model": 1280, "encoder_layers": 32, "encoder_attention_heads": 20, "encoder_ffn_dim": 5120}
SIZES["whisper-large"] |= {"num_mel_bins": 128}
LONGEST = [11.0]
"""Seconds of the longest utterance."""
RELEASE = [116_221]
"""Utterances of a release: those of the challenge that have labels."""


def shrink() -> None:
    """Make all sizes and utterances tiny, to try whether everything runs."""
    LONGEST[0], RELEASE[0] = 1.0, 300
    wavlm = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    whisper = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    for sizes in SIZES.values():
        sizes |= whisper if "d_model" in sizes else wavlm | {"conv_dim": (16,) * 7}


def build(
    size: str, lora: int | None = None, finetune: bool = True, layers: int | None = None, dropout: float = 0.0
) -> AttributeModel:
    """The study's model with a random WavLM or Whisper, of other `layers` than its size has, if given. WavLM's
    front-end has layer norms, which padding does not change; without `dropout` all ways give the same."""
    torch.manual_seed(0)
    rates: dict[str, Any] = dict.fromkeys(["attention_dropout", "activation_dropout"], dropout)
    speech: PretrainedConfig
    if "d_model" in SIZES[size]:
        changed = {"encoder_layers": layers} if layers else {}
        speech = WhisperConfig(**SIZES[size] | rates | {"dropout": dropout} | changed)
    else:
        rates |= dict.fromkeys(["hidden_dropout", "feat_proj_dropout"], dropout)
        rates |= {"layerdrop": 0.0, "mask_time_prob": 0.0, "feat_extract_norm": "layer"}
        speech = WavLMConfig(**SIZES[size] | rates | ({"num_hidden_layers": layers} if layers else {}))
    states = "raw" if finetune else "layer_normalised"
    section = Speech(encoder="", finetune=finetune, lora=lora, cache=True, states=states)
    sections = {"speech": section, "heads": Heads(dropout=dropout), "loss": Loss()}
    dumped: dict[str, Any] = {name: each.model_dump() for name, each in sections.items()}
    with DEVICE:  # draws the weights there
        config = AttributeConfig(**dumped, encoders={"speech": speech.to_dict()})
        return AttributeModel(config).to(DEVICE).train()  # type: ignore[arg-type]  # a decorator hides its type


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
    "with checkpointing": ("features", None),
}
"""What a batch holds, and what takes the place of the speech encoder."""


def way(name: str, size: str, lora: int | None = None, finetune: bool = True) -> AttributeModel:
    """The model of a size, run in one of `WAYS`."""
    model, (kind, encoder) = build(size, lora, finetune), WAYS[name]
    if encoder is not None:
        model.speech = encoder(model.speech, cached=kind == "features")  # type: ignore[assignment]
    if name == "with checkpointing":
        model.activation_checkpointing_enable()
    return model


def seconds_of(count: int, seed: int) -> list[float]:
    """Durations of `count` utterances, 2 to 11 s, gamma distributed around 5.7 s as in MSP-Podcast."""
    return (np.random.default_rng(seed).gamma(4, 5.7 / 4, count).clip(2, 11) / 11 * LONGEST[0]).tolist()


def batches(size: str, count: int, kind: str, number: int = 3, finetune: bool = True) -> list[dict[str, Tensor]]:
    """Batches of noise, with waveforms or spectrograms (``audio``) or the frozen part's output (``features``)."""
    speech, made = build(size, finetune=finetune).speech, []
    for seed in range(number):
        generator, rows = torch.Generator().manual_seed(seed), []
        for seconds in seconds_of(count, seed):
            length = int(seconds * 16_000)
            shape = (2 * -(-length // WHISPER_STRIDE) + 1, speech.config.num_mel_bins) if speech.is_whisper else length
            row = {"audio": torch.randn(shape, generator=generator), "samples": torch.tensor(length)}
            if kind == "features":
                inputs = row["audio"][None].to(DEVICE), row["samples"][None].to(DEVICE)
                row = {"features": speech.frozen_part(*inputs)[0].to("cpu")}
            rows.append(row | {"attributes": torch.rand(len(ATTRIBUTES), generator=generator)})
        made.append({name: tensor.to(DEVICE) for name, tensor in collate(rows).items()})
    return made


def training_step(
    model: AttributeModel, data: Sequence[dict[str, Tensor]], precision: str = "float32", parts: int = 1
) -> Callable[[], None]:
    """A function that takes one optimiser's step on the next `parts` batches of `data`, with the loss of all as one by
    `sercore.exact_ccc` where they are several."""
    optimiser = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-5)
    following = itertools.cycle(data)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        chosen = list(itertools.islice(following, parts))
        with autocast(precision):
            known = first_pass(model, model.loss, chosen, Tensor.clone, rank=0) if parts > 1 else [None]
        for batch, part in zip(chosen, known, strict=True):
            with autocast(precision):
                loss = second_pass(model, batch, part) if part else model(**batch).loss
            loss.backward()
        optimiser.step()

    return step


def autocast(precision: str) -> contextlib.AbstractContextManager:
    """The context in which a model computes in `precision`."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16")


def flops(model: AttributeModel, batch: dict[str, Tensor]) -> int:
    """Floating-point operations of a forward pass, without those of a CPU's attention, which torch does not count."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**batch)
    return counter.get_total_flops()


def kept_for_backward(size: str, lora: int | None, checkpointing: bool) -> tuple[float, float]:
    """Kilobytes that a forward pass in bfloat16 keeps for the backward pass, for each frame: by each layer, and by all
    else. Differences of 1 and 3 layers and of 2 x 100 and 2 x 300 frames leave out what does not grow with them. On a
    CPU, dropout (of 0.1) keeps its mask in the type of its input, on a GPU in a byte."""
    kept: dict[tuple[int, int], int] = {}
    for layers in (1, 3):
        model = build(size, lora, layers=layers, dropout=0.1)
        if checkpointing:
            model.activation_checkpointing_enable()
        config = model.speech.config
        width = config.hidden_size if model.speech.is_whisper else config.conv_dim[-1]
        own = {one.untyped_storage().data_ptr() for one in model.parameters()}
        for frames in (100, 300):
            found: dict[int, int] = {}

            def pack(tensor: Tensor, found: dict[int, int] = found, own: set[int] = own) -> Tensor:
                storage = tensor.untyped_storage()
                found |= {} if storage.data_ptr() in own else {storage.data_ptr(): storage.nbytes()}
                return tensor

            batch = {"features": torch.randn(2 * frames, width), "frames": torch.tensor([frames] * 2)}
            batch = {name: part.to(DEVICE) for name, part in (batch | {"attributes": torch.rand(2, 3)}).items()}
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast("bfloat16"):
                loss = model(**batch).loss  # which holds what was kept, so that no place in memory is used twice
            kept[layers, frames] = sum(found.values())
            del loss
    growth = {layers: (kept[layers, 300] - kept[layers, 100]) / 400 / 1000 for layers in (1, 3)}
    by_layer = (growth[3] - growth[1]) / 2
    return by_layer, growth[1] - by_layer


def step_memory(name: str, size: str, count: int, lora: int | None, precision: str) -> float:
    """MiB that a training step takes at most beyond what is there before it; for a process of its own."""
    step = training_step(way(name, size, lora), batches(size, count, WAYS[name][0], 2), precision)
    step()  # makes the optimiser's state
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        allocated = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - allocated) / 2**20
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
