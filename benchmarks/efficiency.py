"""What this package's way to train and predict costs, against the plain way to do the same arithmetic.

Plain: transformers' own modules on padded batches in random order, the convolutional front-end computed from the audio
in every step, all hidden states stacked. All ways of a part have the same weights and batches and must give the same
values before they are timed. They are timed in turn, so that what else the machine does falls on all of them.

``make benchmark``, or ``python benchmarks/efficiency.py [part ...]`` for some parts, writes ``efficiency.json`` beside
this file, in which other parts stay as they are, and prints what it measured. Where there is a GPU, it is used,
bfloat16 and `torch.compile` join in, and the results stand beside those of the CPU.
"""

import contextlib
import copy
import ctypes
import gc
import io
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import soundfile
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.flop_counter import FlopCounterMode
from transformers import WavLMConfig, WavLMModel, WhisperConfig, WhisperModel
from transformers.models.wavlm.modeling_wavlm import WavLMAttention, WavLMPositionalConvEmbedding

from sercore import ATTRIBUTES, audio, batches, corpora, features, params, predict, training
from sercore.batches import collate
from sercore.corpus import EMOTIONS, PRIMARY_EMOTIONS
from sercore.encoders import DEVICE, WHISPER_STRIDE, AudioInputs, TextEncoder, frames_mask
from sercore.fast import attention as wavlm_attention
from sercore.fast import packing
from sercore.fast.exact_ccc import first_pass, second_pass
from sercore.losses import ccc_loss
from sercore.model import AttributeConfig, AttributeModel, AttributeOutput

TARGET = Path(__file__).with_suffix(".json")
ROOT = Path(__file__).parents[1]
GPU = DEVICE.type == "cuda"
SETTINGS = ("float32", "bfloat16", "bfloat16, compiled") if GPU else ("float32",)
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "bfloat16, compiled": 0.1}

BATCHES = {"small": 8, "base": 4}
"""Utterances in a batch."""
MEAN_SECONDS, SHORTEST, LONGEST = 5.7, 2.0, 11.0
"""Their durations: gamma distributed, cut."""

# Nothing random, so that all ways give the same; a front-end with layer norms, which padding does not change.
STILL = dict.fromkeys(
    ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop", "mask_time_prob"),
    0.0,
)
SIZES = {
    "small": {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 1024},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
}
SIZES["small"] |= {"do_stable_layer_norm": True, "conv_dim": (256,) * 7}  # a front-end in proportion
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
LARGE |= {"do_stable_layer_norm": True}

EPOCHS = 5
CORPUS = {"train": 84_260, "development": 31_961, "test3": 3_200}
"""Utterances of MSP-Podcast as the challenge of 2025 split it (arXiv 2506.10930)."""
PEAKS = {"A100": 312, "H100": 989}
"""Dense matrix products of bfloat16 in TFLOP/s, as NVIDIA's data sheets print them."""
SHARES = (0.2, 0.4)

Step = Callable[[int], tuple[Tensor, ...]]
"""One step on the batch of a number, and what it computed."""


@dataclass(frozen=True)
class Comparison:
    """Several ways to the same values; the first is the plain one, and each is built only where it is needed."""

    ways: dict[str, Callable[[], Step]]
    rounds: int
    memory: bool = True


# Models and batches


def build(**sizes: Any) -> AttributeModel:
    """The study's model with a random WavLM, whose transformer is trained."""
    torch.manual_seed(0)
    config = WavLMConfig(**STILL, feat_extract_norm="layer", **sizes)
    return AttributeModel(AttributeConfig(speech=config.to_dict(), dropout=0.0)).to(DEVICE).train()


def durations(seed: int, count: int) -> np.ndarray:
    """Seconds of random utterances."""
    return np.random.default_rng(seed).gamma(4, MEAN_SECONDS / 4, count).clip(SHORTEST, LONGEST)


def examples(model: AttributeModel, seconds: Sequence[float], seed: int = 0) -> list[dict[str, Tensor]]:
    """Noise: the waveform, what the front-end makes of it, and attributes."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for length in (np.asarray(seconds) * 16_000).astype(int).tolist():
        audio, samples = torch.randn(length, generator=generator), torch.tensor(length)
        features = model.speech.frozen_part(audio[None].to(DEVICE), samples[None].to(DEVICE))[0].cpu()
        attributes = torch.rand(len(ATTRIBUTES), generator=generator)
        made.append({"audio": audio, "samples": samples, "features": features, "attributes": attributes})
    return made


def batches_of(model: AttributeModel, size: int) -> Callable[[int], list[dict[str, Tensor]]]:
    """Three random batches, given in turn by the number of the step."""
    drawn = [examples(model, durations(seed, size), seed) for seed in range(3)]
    return lambda number: drawn[number % len(drawn)]


def batch(utterances: Sequence[dict[str, Tensor]], *names: str) -> dict[str, Tensor]:
    """What a step gets of utterances, on the device."""
    chosen = [{name: utterance[name] for name in names} for utterance in utterances]
    return {name: tensor.to(DEVICE) for name, tensor in collate(chosen).items()}


class Padded(nn.Module):
    """The same model on padded batches, by transformers' modules."""

    def __init__(self, model: AttributeModel, cached: bool = False, fft: bool = False) -> None:
        super().__init__()
        self.model, self.wavlm = model, model.speech.transformer
        if not cached:
            self.wavlm.feature_extractor = model.speech.front_end
            self.wavlm.feature_extractor._freeze_parameters()
        if fft:
            self.wavlm.encoder.pos_conv_embed.forward = partial(packing._positions, self.wavlm.encoder.pos_conv_embed)

    def forward(
        self,
        samples: Tensor,
        audio: Tensor | None = None,
        features: Tensor | None = None,
        frames: Tensor | None = None,
        attributes: Tensor | None = None,
    ) -> AttributeOutput:
        """As `AttributeModel.forward`."""
        if audio is None:
            audio = pad_sequence(features.split(frames.tolist()), batch_first=True)
        mask = frames_mask(samples, int(samples.max())).long()
        states = torch.stack(self.wavlm(audio, attention_mask=mask, output_hidden_states=True).hidden_states)
        average = (self.model.layer_weights.softmax(0)[:, None, None, None] * states).sum(0)
        frames = self.wavlm._get_feat_extract_output_lengths(samples)
        valid = frames_mask(frames, average.shape[1])[:, :, None]
        pooled = (self.model.convolutions(average) * valid).sum(1) / frames[:, None]
        predictions = torch.cat([self.model.attributes[name](pooled.float()) for name in ATTRIBUTES], 1).sigmoid()
        loss = None if attributes is None else ccc_loss(attributes, predictions)
        return AttributeOutput(loss=loss, predictions=predictions)


class Convolved(nn.Module):
    """The package's own model, but for its positional convolution."""

    def __init__(self, model: AttributeModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: Tensor) -> AttributeOutput:
        """As `AttributeModel.forward`."""
        with patch.object(packing, "_positions", lambda embedding, padded: embedding(padded)):
            return self.model(**inputs)


# Steps


def trainer(module: nn.Module, data: Callable[[int], Sequence[dict]], *names: str, setting: str = "float32") -> Step:
    """A training step: batch, loss, gradients, AdamW; step 0 also gives the norm of each parameter's gradient."""
    optimiser = torch.optim.AdamW([value for value in module.parameters() if value.requires_grad], lr=1e-5)
    run = compiled(module, setting)

    def step(number: int) -> tuple[Tensor, ...]:
        with precision(setting):
            loss = run(**batch(data(number), *names, "attributes")).loss
        loss.backward()
        gradients = [value.grad for value in module.parameters() if value.grad is not None and number == 0]
        norms = [torch.stack([gradient.norm() for gradient in gradients])] if gradients else []
        optimiser.step()
        optimiser.zero_grad()
        return loss.detach(), *norms

    return step


def predictor(module: nn.Module, data: Sequence[dict], size: int, *names: str, setting: str = "float32") -> Step:
    """Prediction of all utterances, so many at a time."""
    run = compiled(module.eval(), setting)

    @torch.no_grad()
    def step(number: int) -> tuple[Tensor, ...]:
        with precision(setting):
            parts = [run(**batch(data[start : start + size], *names)) for start in range(0, len(data), size)]
        return (torch.cat([part.predictions for part in parts]),)

    return step


def compiled(module: nn.Module, setting: str) -> Callable:
    """The module as it is, or compiled."""
    return torch.compile(module, dynamic=True) if "compiled" in setting else module


def precision(setting: str) -> contextlib.AbstractContextManager:
    """Automatic mixed precision, or none."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled="bfloat16" in setting)


def training_step(setting: str, name: str, rounds: int) -> Comparison:
    """A step of full fine-tuning; another of three batches in each round."""
    model = build(**SIZES[name])
    drawn = batches_of(model, BATCHES[name])

    def step(module: nn.Module, *names: str) -> Step:
        return trainer(module, drawn, *names, setting=setting)

    return Comparison(
        {
            "plain": lambda: step(Padded(copy.deepcopy(model)), *AUDIO),
            "cached front-end alone": lambda: step(Padded(copy.deepcopy(model), cached=True), *CACHED, "samples"),
            "packed frames alone": lambda: step(Convolved(copy.deepcopy(model)), *AUDIO),
            "FFT convolution alone": lambda: step(Padded(copy.deepcopy(model), fft=True), *AUDIO),
            "all together": lambda: step(copy.deepcopy(model), *CACHED),
        },
        rounds,
    )


AUDIO, CACHED = ("audio", "samples"), ("features",)


def lora_step(setting: str) -> Comparison:
    """A step that trains adapters of rank 8 in the feed-forward layers; plain as `peft` and transformers leave it."""
    from peft import LoraConfig, inject_adapter_in_model

    model = build(**SIZES["base"])
    drawn = batches_of(model, BATCHES["base"])
    adapters = LoraConfig(r=8, target_modules=["intermediate_dense", "output_dense"])
    inject_adapter_in_model(adapters, model.speech.transformer)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:  # begins at zero, so that a wrong adapter would not be seen
                value.copy_(0.01 * torch.randn(value.shape, generator=generator))

    def step(module: nn.Module, *names: str) -> Step:
        return trainer(module, drawn, *names, setting=setting)

    def plain() -> Step:
        padded = Padded(copy.deepcopy(model))
        # transformers lets the waveform ask for a gradient unless told otherwise, and `peft` does not tell it.
        padded.wavlm.feature_extractor._requires_grad = True
        return step(padded, *AUDIO)

    ways = {
        "plain": plain,
        "no gradient in the front-end": lambda: step(Padded(copy.deepcopy(model)), *AUDIO),
        "all together": lambda: step(copy.deepcopy(model), *CACHED),
    }
    return Comparison(ways, rounds=3)


def evaluation(setting: str, name: str, rounds: int) -> Comparison:
    """Prediction of three batches of utterances in random order."""
    model, size = build(**SIZES[name]), BATCHES[name]
    data = examples(model, durations(0, 3 * size))

    def step(module: nn.Module, size: int, *names: str) -> Step:
        return predictor(module, data, size, *names, setting=setting)

    return Comparison(
        {
            "plain": lambda: step(Padded(copy.deepcopy(model)), size, *AUDIO),
            "plain, one at a time": lambda: step(Padded(copy.deepcopy(model)), 1, *AUDIO),
            "packed frames alone": lambda: step(copy.deepcopy(model), size, *AUDIO),
            "all together": lambda: step(copy.deepcopy(model), size, *CACHED),
        },
        rounds,
        memory=False,
    )


# Parts of the model by themselves

UTTERANCES = BATCHES["small"]


def backward(output: Tensor) -> tuple[Tensor, ...]:
    """The gradient of everything; gives the output."""
    output.square().mean().backward()
    return (output.detach(),)


def positional(setting: str, width: int) -> Comparison:
    """The positional convolution of a padded batch, forward and backward."""
    torch.manual_seed(0)
    embedding = WavLMPositionalConvEmbedding(WavLMConfig(hidden_size=width)).to(DEVICE)
    hidden = torch.randn(UTTERANCES, frames_of(MEAN_SECONDS), width, device=DEVICE, requires_grad=True)
    ways = {
        "plain": lambda: lambda number: backward(embedding(hidden)),
        "all together": lambda: lambda number: backward(packing._positions(embedding, hidden)),
    }
    return Comparison(ways, 15, memory=False)


def attention(setting: str, width: int, heads: int) -> Comparison:
    """Self-attention of utterances of one length, forward and backward, where the distances are known."""
    torch.manual_seed(0)
    module, longest = WavLMAttention(width, heads).to(DEVICE), frames_of(MEAN_SECONDS)
    hidden = torch.randn(UTTERANCES, longest, width, device=DEVICE, requires_grad=True)
    packed = wavlm_attention.Packing(torch.full((UTTERANCES,), longest, device=DEVICE))
    distances = wavlm_attention.distance_bias(module, longest).detach()
    bias = module.compute_bias(longest, longest).repeat(UTTERANCES, 1, 1).detach()

    def ours(number: int) -> tuple[Tensor, ...]:
        return backward(wavlm_attention.attend(module, hidden.flatten(0, 1), packed, distances).view_as(hidden))

    ways = {"plain": lambda: lambda number: backward(module(hidden, None, bias)[0]), "all together": lambda: ours}
    return Comparison(ways, 15)


def lookup(setting: str, heads: int) -> Comparison:
    """The bias of all distances as attention takes it, forward and backward."""
    torch.manual_seed(0)
    module, longest = WavLMAttention(16 * heads, heads).to(DEVICE), frames_of(MEAN_SECONDS)

    def plain(number: int) -> tuple[Tensor, ...]:
        bias = module.compute_bias(longest, longest).unsqueeze(0).repeat(UTTERANCES, 1, 1, 1)
        return (backward(bias)[0][0],)

    def ours(number: int) -> tuple[Tensor, ...]:
        return backward(wavlm_attention._toeplitz(wavlm_attention.distance_bias(module, longest)))

    return Comparison({"plain": lambda: plain, "all together": lambda: ours}, 15, memory=False)


def frames_of(seconds: float) -> int:
    """Frames of an utterance."""
    return int(seconds * 50)


# A run of the study


@contextlib.contextmanager
def still_project() -> Iterator[None]:
    """A copy of the project without its runs, and without anything random in its encoder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name in ("params", "models"):
            shutil.copytree(ROOT / name, name)
        Path("data").mkdir()
        Path("data/simulated").symlink_to(ROOT / "data" / "simulated")
        config = Path("models/wavlm-nano/config.json")
        config.write_text(json.dumps(json.loads(config.read_text()) | STILL))
        yield


@contextlib.contextmanager
def recomputed(texts: bool) -> Iterator[None]:
    """transformers' modules on padded batches, and texts encoded in each step where `texts`."""

    class Encoders(features.FrozenEncoders):
        def __call__(self, table: pd.DataFrame, *, cached: bool = True) -> features.Features:
            found = super().__call__(table, cached=cached)
            return replace(found, text=Words(self.params, table)) if texts else found

    with (
        patch.object(packing, "supports", lambda transformer: False),
        patch.object(training, "FrozenEncoders", Encoders),
        patch.object(training, "collate", words_collate if texts else batches.collate),
    ):
        yield


class Words:
    """Stands for the cached embeddings of texts: gives the number of the row, of which `words_collate` makes them."""

    encoder: TextEncoder
    texts: list

    def __init__(self, chosen: params.Params, table: pd.DataFrame) -> None:
        Words.encoder, Words.texts = TextEncoder(chosen.text.encoder), list(table["transcript"])

    def __getitem__(self, position: int) -> np.ndarray:
        return np.array([[position]])


def words_collate(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """`collate`, with the texts encoded."""
    collated = batches.collate(rows)
    texts = [Words.texts[position] for position in collated["text"].flatten().tolist()]
    return collated | {"text": torch.from_numpy(np.concatenate(list(Words.encoder(texts))))}


def study_run(setting: str) -> Comparison:
    """A run of `fusion` at the embedded scale, from the parameters to the predictions of all splits."""
    still = {"heads": {"dropout": 0.0}, "training": {"epochs": EPOCHS}}
    fast = params.load("embedded", "fusion", 0, still)
    plain = params.load("embedded", "fusion", 0, still | {"speech": {"cache": False}})
    corpus = corpora.read(fast.corpus, 0)

    def run(chosen: params.Params) -> tuple[Tensor, ...]:
        shutil.rmtree("runs", ignore_errors=True)
        found = training.train(chosen, corpus).metrics["ccc"]
        return (torch.tensor([list(values.values()) for values in found.values()]),)

    def way(chosen: params.Params, texts: bool) -> Step:
        def step(number: int) -> tuple[Tensor, ...]:
            with recomputed(texts):
                return run(chosen)

        return step

    ways = {
        "plain": lambda: way(plain, texts=True),
        "plain, but texts encoded once": lambda: way(plain, texts=False),
        "all together": lambda: lambda number: run(fast),
    }
    return Comparison(ways, 2, memory=False)


# Measuring


def measure(make: Callable[[str], Comparison]) -> list[dict[str, Any]]:
    """A row a way and setting."""
    return [row for setting in SETTINGS for row in measure_setting(make, setting)]


def measure_setting(make: Callable[[str], Comparison], setting: str) -> list[dict[str, Any]]:
    """Time all ways of a comparison in turn, once they gave the same, and their memory in a process each."""
    comparison = make(setting)
    steps = {name: way() for name, way in comparison.ways.items()}
    first = {name: step(0) for name, step in steps.items()}
    deviations = {name: deviation(value, first["plain"]) for name, value in first.items()}
    if max(deviations.values()) > TOLERANCE[setting]:
        raise SystemExit(f"these ways do not compute the same: {deviations}")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(1, comparison.rounds + 1):
        for name, step in steps.items():
            seconds[name].append(timed(partial(step, number)))
    rows = []
    for name, times in seconds.items():
        ratios = np.array(seconds["plain"]) / np.array(times)
        rows.append(
            {
                "way": name,
                "setting": setting,
                "rounds": comparison.rounds,
                "seconds": digits(np.median(times)),
                "fastest": digits(min(times)),
                "slowest": digits(max(times)),
                "ratio": digits(np.median(seconds["plain"]) / np.median(times)),
                "lowest_ratio": digits(ratios.min()),
                "highest_ratio": digits(ratios.max()),
                "deviation": digits(deviations[name]),
            }
        )
    if comparison.memory:
        del steps, first
        gc.collect()
        peaks = [apart(peak_memory, make, setting, row["way"]) for row in rows]
        for row, peak in zip(rows, peaks, strict=True):
            row |= {"memory_mb": digits(peak / 2**20), "memory_share": digits(peak / peaks[0])}
    return rows


def deviation(values: Sequence[Tensor], references: Sequence[Tensor]) -> float:
    """Largest difference, relative to the largest value."""
    pairs = zip(values, references, strict=True)
    return max(float((value - reference).abs().max() / reference.abs().max()) for value, reference in pairs)


def timed(run: Callable[[], Any]) -> float:
    """Seconds until the device is done."""
    gc.collect()
    synchronize()
    start = perf_counter()
    run()
    synchronize()
    return perf_counter() - start


def synchronize() -> None:
    """Wait for the GPU where there is one."""
    if GPU:
        torch.cuda.synchronize()


def apart(function: Callable, *arguments: Any) -> Any:
    """What a function returns in a process of its own, where nothing was allocated before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory(make: Callable[[str], Comparison], setting: str, name: str) -> int:
    """Bytes that a step takes at most, beyond what is there before it: weights, the optimiser's state, the data."""
    step = make(setting).ways[name]()
    step(0)  # the optimiser's state is made in the first step
    gc.collect()
    if GPU:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(1)
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    step(1)
    return resident("VmHWM") - before


def resident(name: str) -> int:
    """A size of this process in bytes, from the kernel."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def digits(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


# What is no comparison


def scaling() -> list[dict[str, Any]]:
    """Seconds of a training step against utterances in a batch, their duration, and the model's width and layers."""
    small = {name: value for name, value in SIZES["small"].items() if name != "intermediate_size"}
    few = BATCHES["base"]
    points = [("utterances", count, MEAN_SECONDS, count, small) for count in (2, 4, 8, 16)]
    points += [("duration", seconds, seconds, few, small) for seconds in (1.0, 2.0, 4.0, 8.0, 15.0)]
    widths = [small | {"hidden_size": width, "num_attention_heads": width // 64} for width in (128, 256, 512, 768)]
    points += [("width", size["hidden_size"], MEAN_SECONDS, few, size) for size in widths]
    points += [
        ("layers", layers, MEAN_SECONDS, few, small | {"num_hidden_layers": layers}) for layers in (3, 6, 12, 24)
    ]
    rows = []
    for name, value, seconds, count, sizes in points:
        model = build(**sizes, intermediate_size=4 * sizes["hidden_size"])
        parameters = sum(value.numel() for value in model.parameters())
        data = examples(model, [seconds] * count if name == "duration" else durations(1, count))
        steps = {
            "plain": trainer(Padded(copy.deepcopy(model)), lambda number, data=data: data, *AUDIO),
            "all together": trainer(model, lambda number, data=data: data, *CACHED),
        }
        times: dict[str, list[float]] = {way: [] for way in steps}
        for number in range(3):
            for way, step in steps.items():
                times[way].append(timed(partial(step, number)))
        point = {"against": name, "value": value, "parameters": parameters}
        point["seconds_of_speech"] = digits(sum(len(one["audio"]) for one in data) / 16_000)
        rows += [point | {"way": way, "seconds": digits(np.median(found[1:]))} for way, found in times.items()]
    return rows


def whisper() -> list[dict[str, Any]]:
    """How far Whisper's states on an utterance's own length are from those on its whole window, and what they cost.

    Padded to its window, as transformers computes it, an utterance's frames attend to the silence behind them.
    """
    config = WhisperConfig.from_pretrained(ROOT / "models" / "whisper-nano", dropout=0.0)
    encoder = WhisperModel.from_pretrained(ROOT / "models" / "whisper-nano").encoder.to(DEVICE).eval()
    inputs = AudioInputs("models/whisper-nano")
    table = corpora.read(params.load("embedded", "fusion", 0).corpus, 0).table.query("split == 'test3'")
    waveforms = [audio.load(path, 15.0) for path in table["path"].iloc[:16]]
    spectrograms = torch.stack([inputs(waveform) for waveform in waveforms]).to(DEVICE)
    frames = torch.tensor([-(-len(waveform) // WHISPER_STRIDE) for waveform in waveforms], device=DEVICE)

    @torch.no_grad()
    def plain() -> Tensor:
        states = encoder(spectrograms, output_hidden_states=True).hidden_states
        return torch.cat([torch.stack(states, 2)[i, :count] for i, count in enumerate(frames.tolist())])

    @torch.no_grad()
    def ours() -> Tensor:
        features = packing.whisper_front_end(encoder, spectrograms, frames)
        return torch.stack(list(packing.whisper_states(encoder, features, frames)), 1)

    values, times = [plain(), ours()], {plain: [], ours: []}
    for _ in range(5):
        for way, taken in times.items():
            taken.append(timed(way))
    scale = values[0].abs().amax(dim=(0, 2))
    apart_by = ((values[1] - values[0]).abs().amax(dim=(0, 2)) / scale).tolist()
    correlation = torch.corrcoef(torch.stack([value[:, -1].flatten() for value in values]))[0, 1]
    return [
        {
            "window": 2 * config.max_source_positions / 100,
            "seconds_of_speech": digits(sum(map(len, waveforms)) / 16_000 / len(waveforms)),
            "first_layer": digits(apart_by[0]),
            "largest": digits(max(apart_by)),
            "correlation": digits(float(correlation)),
            "ratio": digits(np.median(times[plain]) / np.median(times[ours])),
        }
    ]


def exact_ccc() -> list[dict[str, Any]]:
    """Gradient and time of an update whose batch is spread over accumulation steps, by that of the whole batch."""
    model, count = build(**SIZES["small"]), 4 * BATCHES["small"]
    drawn = examples(model, durations(0, count))
    labels = {"gender": torch.tensor(0), "speaker": torch.tensor(0)}
    drawn = [labels | {name: one[name] for name in ("features", "attributes")} for one in drawn]

    def on_device(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: value.to(DEVICE) for name, value in collate(rows).items()}

    whole = on_device(drawn)
    parts = [on_device(drawn[at : at + BATCHES["small"]]) for at in range(0, count, BATCHES["small"])]

    def one_batch() -> None:
        model(**whole).loss.backward()

    def averaged() -> None:
        for part in parts:
            (model(**part).loss / len(parts)).backward()

    def exact() -> None:
        known = first_pass(model, model.loss, parts, lambda tensor: tensor.clone(), rank=0)
        for part, one in zip(parts, known, strict=True):
            second_pass(model, part, one).backward()

    ways = {"one batch": one_batch, "averaged over steps": averaged, "exact_ccc": exact}
    gradients, times = {}, {way: [] for way in ways}
    for _ in range(4):
        for way, run in ways.items():
            model.zero_grad()
            times[way].append(timed(run))
            gradients[way] = torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])
    expected = gradients["one batch"]
    return [
        {
            "way": way,
            "batch": count,
            "steps": 1 if way == "one batch" else len(parts),
            "distance": digits(float((gradients[way] - expected).norm() / expected.norm())),
            "cosine": digits(float(torch.cosine_similarity(gradients[way], expected, dim=0))),
            "seconds": digits(np.median(taken[1:])),
        }
        for way, taken in times.items()
    ]


def batch_sizes() -> list[dict[str, Any]]:
    """Utterances a second in prediction, by the number of utterances in a batch."""
    counts = (1, 4, 16, 64)
    model = build(**SIZES["small"]).eval()
    data = examples(model, durations(0, max(counts)))
    steps = {count: predictor(model, data, count, *CACHED) for count in counts}
    times: dict[int, list[float]] = {count: [] for count in counts}
    for number in range(3):
        for count, step in steps.items():
            times[count].append(timed(partial(step, number)))
    return [
        {"model": "small", "batch": count, "utterances_a_second": digits(len(data) / np.median(taken))}
        for count, taken in times.items()
    ]


def release() -> list[dict[str, Any]]:
    """Processor seconds to read labels, ratings, transcripts and durations of a release of MSP-Podcast's size."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(ROOT / "params", "params")
        _write_release(Path("release"), UTTERANCES_OF_A_RELEASE)
        chosen = params.MspPodcast(reader="msp_podcast", path=Path("release"))
        seconds = []
        for _ in range(2):
            start = process_time()
            table = corpora.read(chosen, 0).table
            seconds.append(process_time() - start)
    return [{"utterances": len(table), "first": digits(seconds[0]), "again": digits(seconds[1])}]


UTTERANCES_OF_A_RELEASE = 120_000
"""About as many as the challenge's release has."""


def _write_release(root: Path, count: int) -> None:
    """A release with all its files: one sound, five ratings of each."""
    for name in ("Audios", "Labels", "Transcripts"):
        (root / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    files = [f"MSP-PODCAST_{number // 50:04d}_{number % 50:04d}.wav" for number in range(count)]
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(1600), 16_000, format="WAV")
    for file in files:
        (root / "Audios" / file).write_bytes(sound.getvalue())
        (root / "Transcripts" / file.replace(".wav", ".txt")).write_text("some words that were said\n")
    ratings = generator.integers(1, 8, (count, 5, 3))
    consensus = pd.DataFrame(ratings.mean(1), columns=["EmoAct", "EmoVal", "EmoDom"]).round(6)
    consensus.insert(0, "FileName", files)
    consensus.insert(1, "EmoClass", "N")
    speakers = np.arange(count) // 50
    splits = np.where(speakers % 4 == 0, "Development", "Train")
    consensus = consensus.assign(SpkrID=speakers, Gender=np.resize(["Female", "Male"], count // 50 + 1)[speakers])
    consensus.assign(Split_Set=splits).to_csv(root / "Labels" / "labels_consensus.csv", index=False)
    details = [
        f"WORKER{rater:08d}; Neutral; Neutral; A:{a}.000000; V:{v}.000000; D:{d}.000000;"
        for each in ratings.tolist()
        for rater, (a, v, d) in enumerate(each)
    ]
    detailed = pd.DataFrame({"FileName": np.repeat(files, 5), "EmoDetail": details})
    detailed.to_csv(root / "Labels" / "labels_detailed.csv", index=False)


def product_rate() -> float:
    """Floating-point operations a second of a large matrix product."""
    size, kind = (8192, torch.bfloat16) if GPU else (2048, torch.float32)
    factors = torch.randn(2, size, size, device=DEVICE, dtype=kind)
    return 2 * size**3 / min(timed(lambda: factors[0] @ factors[1]) for _ in range(3))


def matmul() -> list[dict[str, Any]]:
    """How much of the machine's rate of matrix products a training step reaches."""
    rows = []
    setting = "bfloat16" if GPU else "float32"
    for name in SIZES:
        comparison = training_step(setting, name, rounds=3)
        for way in ("plain", "all together"):
            step = comparison.ways[way]()
            step(0)
            shares, rates = [], []
            for number in range(1, comparison.rounds + 1):
                rates.append(product_rate())
                with FlopCounterMode(display=False) as counter:
                    seconds = timed(partial(step, number))
                shares.append(counter.get_total_flops() / seconds / rates[-1])
            rows.append(
                {
                    "model": name,
                    "way": way,
                    "setting": setting,
                    "gflop_a_step": digits(counter.get_total_flops() / 1e9),
                    "machine_gflop_s": digits(np.median(rates) / 1e9),
                    "share": digits(np.median(shares)),
                    "highest_share": digits(max(shares)),
                }
            )
    return rows


def systems() -> list[dict[str, Any]]:
    """Seconds to predict a minute of speech, from files to a table, at the embedded scale; weights are untrained."""
    rows = []
    table = corpora.read(params.load("embedded", "fusion", 0).corpus, 0).table.query("split == 'test3'")
    chosen = table[table["duration"].cumsum() <= 60]
    for name in ("speech_only", "fusion", "whisper_fusion", "fusion_speaker_embedding"):
        loaded = params.load("embedded", name, 0)
        model = AttributeModel.from_params(loaded, speakers=0, scale=(1.0, 7.0)).eval()
        ready = predict.Predictor(loaded, model)
        texts = chosen["transcript"] if loaded.text else [None] * len(chosen)
        run = partial(ready, list(chosen["path"]), list(texts))
        run()
        seconds = np.median([timed(run) for _ in range(5)]) * 60 / chosen["duration"].sum()
        rows.append({"system": name, "files": len(chosen), "seconds_a_minute": digits(seconds)})
    return rows


def estimate() -> dict[str, Any]:
    """Hours to fine-tune WavLM-Large on MSP-Podcast with one GPU, from the operations that it takes."""
    with torch.device("meta"):
        model = WavLMModel(WavLMConfig(**STILL, **LARGE, feat_extract_norm="layer"))
        with FlopCounterMode(display=False) as counter:
            features = model.feature_extractor(torch.empty(1, int(MEAN_SECONDS * 16_000)))
        front_end = counter.get_total_flops() / MEAN_SECONDS
        model.feature_extractor = nn.Identity()
        with FlopCounterMode(display=False) as counter:
            model(features)
        transformer = counter.get_total_flops() / MEAN_SECONDS
    rows = []
    for name in ("fusion", "fusion_whole_data"):
        loaded = params.load("msp_podcast", name, 0)
        each = loaded.sampling.samples_per_emotion
        epoch = CORPUS["train"] if each is None else each * len(EMOTIONS)
        validation = loaded.sampling.validation_per_emotion * len(PRIMARY_EMOTIONS)
        epochs = loaded.training.epochs
        once = CORPUS["development"] + CORPUS["test3"] + epochs * validation
        # The backward pass takes two products for each of the forward pass; the front-end has none.
        trained = epochs * epoch * MEAN_SECONDS * (front_end + 3 * transformer)
        total = trained + once * MEAN_SECONDS * (front_end + transformer)
        rows += [
            {
                "system": name,
                "utterances_an_epoch": epoch,
                "epochs": epochs,
                "exaflop": digits(total / 1e18),
                "gpu": gpu,
                "peak_tflop_s": peak,
                "share": share,
                "hours": digits(total / (peak * 1e12 * share) / 3600),
            }
            for gpu, peak in PEAKS.items()
            for share in SHARES
        ]
    rates = {"front_end_gflop_a_second": front_end / 1e9, "transformer_gflop_a_second": transformer / 1e9}
    return {name: digits(rate) for name, rate in rates.items()} | {"mean_seconds": MEAN_SECONDS, "rows": rows}


def run_of_the_study() -> list[dict[str, Any]]:
    """`study_run`, in a copy of the project."""
    with still_project():
        filling = digits(timed(lambda: features.prepare(params.load("embedded", "fusion", 0))))
        return [row | {"cache_seconds": filling} for row in measure(study_run)]


# By the name of its part


def compare_with(make: Callable[..., Comparison], **options: Any) -> Callable[[], list[dict[str, Any]]]:
    """A part that measures a comparison."""
    return partial(measure, partial(make, **options))


PARTS: dict[str, Callable[[], Any]] = {
    "step_small": compare_with(training_step, name="small", rounds=7),
    "step_base": compare_with(training_step, name="base", rounds=3),
    "lora": compare_with(lora_step),
    "evaluation_small": compare_with(evaluation, name="small", rounds=5),
    "evaluation_base": compare_with(evaluation, name="base", rounds=3),
    "run": run_of_the_study,
    "positions_256": compare_with(positional, width=256),
    "positions_768": compare_with(positional, width=768),
    "attention_256": compare_with(attention, width=256, heads=4),
    "attention_768": compare_with(attention, width=768, heads=12),
    "distances": compare_with(lookup, heads=12),
    "scaling": scaling,
    "matmul": matmul,
    "systems": systems,
    "whisper": whisper,
    "exact_ccc": exact_ccc,
    "batch_sizes": batch_sizes,
    "release": release,
    "estimate": estimate,
}


def machine() -> dict[str, str | int]:
    """Processor, cores, threads and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found = {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count() or 1}
    found |= {"gpu": torch.cuda.get_device_name()} if GPU else {}
    found |= {"threads": torch.get_num_threads(), "python": platform.python_version()}
    for name in ("torch", "transformers", "peft", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def write(part: str, content: Any) -> None:
    """Put a part's results into the file, beside the others."""
    known = json.loads(TARGET.read_text()) if TARGET.is_file() else {}
    device = known.setdefault(DEVICE.type, {"parts": {}})
    device["machine"] = machine()
    settings = {"batch": BATCHES, "mean_seconds": MEAN_SECONDS, "shortest": SHORTEST, "longest": LONGEST}
    device["settings"] = settings | {"sizes": SIZES, "epochs": EPOCHS, "corpus": CORPUS}
    device["parts"][part] = content
    ordered = {name: device["parts"][name] for name in PARTS if name in device["parts"]}
    device["parts"] = ordered
    partial_file = TARGET.with_suffix(".partial")
    partial_file.write_text(json.dumps(known, indent=1) + "\n")
    partial_file.rename(TARGET)


def main() -> None:
    """Measure the parts named, or all of them."""
    unknown = set(sys.argv[1:]) - set(PARTS)
    if unknown:
        raise SystemExit(f"unknown parts {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}.")
    torch.backends.cudnn.allow_tf32 = False
    for part in sys.argv[1:] or PARTS:
        content = PARTS[part]()
        write(part, content)
        rows = content["rows"] if isinstance(content, dict) else content
        print(f"\n{part}\n{pd.DataFrame(rows).to_string(index=False)}", flush=True)


if __name__ == "__main__":
    main()
