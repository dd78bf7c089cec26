"""Frozen embeddings of words and of speakers; the encoders that are part of a model are in `sercore.network.encoders`.

Every name is a folder in the hub's format (relative to the project's root) or a model on the hub.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModelForAudioXVector

from sercore import ge2e
from sercore.audio import SAMPLE_RATE
from sercore.hub import encoder_config, pretrained
from sercore.network.encoders import AudioInputs, TextInputs, TextModel
from sercore.params import ParamsError

# Where frozen encoders compute, and predictions for files.
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_kernels(deterministic: bool) -> None:
    """Have a GPU choose no kernel by timing and, if `deterministic`, only those that give the same figures each time;
    for all that this process computes from now on."""
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without which cuBLAS is not deterministic
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads it
        torch.backends.cudnn.benchmark = False


class TextEncoder:
    """Frozen sentence embeddings of texts, see `TextModel`."""

    def __init__(self, name: str) -> None:
        self.inputs = pretrained(TextInputs, name)
        self.model = TextModel(encoder_config(name), finetune=False)
        pretrained(self.model.load_pretrained, name)
        self.model.eval().to(DEVICE)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str | None], batch_size: int = 64) -> np.ndarray:
        """Embeddings (texts, 1, width); zeros for a missing or empty one. Texts of similar length go together,
        `batch_size` at a time; what is beyond the encoder's longest input is cut."""
        tokens = self.inputs(texts)
        embeddings = np.zeros((len(texts), self.model.transformer.config.hidden_size), np.float32)
        by_length = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        for start in range(0, len(texts), batch_size):
            chosen = by_length[start : start + batch_size]
            lengths = torch.tensor([len(tokens[index]) for index in chosen], device=DEVICE)
            packed = torch.cat([tokens[index] for index in chosen]).to(DEVICE)
            embeddings[chosen] = self.model(packed, lengths).cpu().numpy()
        return embeddings[:, None]


class SpeakerEncoder:
    """Frozen speaker embedding, L2-normalised, of an x-vector model or `sercore.ge2e`."""

    def __init__(self, name: str) -> None:
        self.model: Any
        if name == ge2e.NAME:
            self.model = ge2e.GE2E()
        else:
            self.inputs = pretrained(AudioInputs, name)
            load = AutoModelForAudioXVector.from_pretrained
            self.model, loaded = pretrained(load, name, dtype=torch.float32, output_loading_info=True)
            if any(key.startswith("tdnn") for key in loaded["missing_keys"]):  # transformers would draw them at random
                problem = f"encoder {name!r} was not trained to tell speakers"
                raise ParamsError(f"{problem}: set speaker.encoder to an x-vector model, or to {ge2e.NAME}.")
        self.model.eval().to(DEVICE)

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Waveform (samples,) to its embedding of shape (1, width)."""
        if isinstance(self.model, ge2e.GE2E):
            return self.model(torch.from_numpy(waveform).to(DEVICE)).cpu().numpy()
        # The x-vector's time-delay layers need up to a second of frames: a shorter utterance is repeated.
        waveform = np.resize(waveform, max(len(waveform), SAMPLE_RATE))
        return functional.normalize(self.model(self.inputs(waveform)[None].to(DEVICE)).embeddings).cpu().numpy()
