"""Whisper's encoder from CTranslate2's format, in which packages carry it, to that of transformers.

A ``model.bin`` has a header, and then arrays, each behind its name, shape, type and size (CTranslate2's
``model_spec.py``, version 6). Query, key and value are one array there; Whisper's key has no bias.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

TYPES = ("<f4", "i1", "<i2", "<i4", "<f2")
NAMES = {  # CTranslate2's to transformers', replaced in this order
    "encoder/": "",
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn/out_proj",
    "self_attention": "self_attn",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
    "position_encodings/encodings": "embed_positions/weight",
    "layer_": "layers/",
    "layers/norm": "layer_norm",
    "gamma": "weight",
    "beta": "bias",
    "/": ".",
}


def write_encoder(binary: Path, folder: Path) -> None:
    """Write the encoder of a Whisper ``model.bin`` into `folder`, in the hub's format, in float32."""
    with binary.open("rb") as file:
        arrays = {name: array for name, array in _arrays(file) if name.startswith("encoder/")}
    weights = {}
    for name, array in arrays.items():
        for old, new in NAMES.items():
            name = name.replace(old, new)
        weights[name] = torch.tensor(array, dtype=torch.float32)
    heads = int(weights.pop("num_heads"))
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
    for layer in range(layers):
        attention = f"layers.{layer}.self_attn"
        for kind in ("weight", "bias"):
            parts = weights.pop(f"{attention}.linear_0.{kind}").chunk(3)
            named = {f"{attention}.{part}_proj.{kind}": one for part, one in zip("qkv", parts, strict=True)}
            weights |= {name: one for name, one in named.items() if not name.endswith("k_proj.bias")}
    width, mel_bins, _ = weights["conv1.weight"].shape
    config = WhisperConfig(
        d_model=width,
        num_mel_bins=mel_bins,
        encoder_layers=layers,
        encoder_attention_heads=heads,
        encoder_ffn_dim=len(weights["layers.0.fc1.weight"]),
        max_source_positions=len(weights["embed_positions.weight"]),
    )
    encoder = WhisperEncoder(config)
    encoder.load_state_dict(weights)
    encoder.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=mel_bins).save_pretrained(folder)


def _arrays(file: BinaryIO) -> Iterator[tuple[str, np.ndarray]]:
    def numbers(layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, file.read(struct.calcsize(layout)))

    def text() -> str:
        return file.read(*numbers("<H")).rstrip(b"\0").decode()

    numbers("<I"), text(), numbers("<I")  # version of the format, name and revision of the architecture
    for _ in range(*numbers("<I")):
        name, (rank,) = text(), numbers("<B")
        *shape, kind, size = numbers(f"<{rank}IBI")
        yield name, np.frombuffer(file.read(size), TYPES[kind]).reshape(shape)
