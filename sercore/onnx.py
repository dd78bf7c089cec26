"""A network as an ONNX graph of one utterance, from waveform to attributes, for runtimes without torch.

Packed frames have no shape that a graph can state: encoders run by transformers' own modules, equal on one utterance.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sercore import ATTRIBUTES
from sercore.network.conventions import SAMPLE_RATE
from sercore.network.encoders import WHISPER_STRIDE, AudioInputs, TextInputs
from sercore.network.model import AttributeNetwork


class Utterance(nn.Module):
    """Waveform (1, samples) at 16 kHz, and tokens (1, tokens) of a network with text, to attributes (1, 3) in the scale
    of the corpus. No more tokens than an empty text has stand for no transcript."""

    def __init__(self, network: AttributeNetwork, audio: AudioInputs, words: TextInputs | None) -> None:
        super().__init__()
        self.network, self.extractor = network.eval(), audio.extractor
        self.special = words.tokenizer.num_special_tokens_to_add() if words else 0

    def forward(self, waveform: Tensor, tokens: Tensor | None = None) -> Tensor:
        """See the class."""
        network, speech = self.network, self.network.speech
        waveform = waveform[:, : int(network.config.speech["max_seconds"] * SAMPLE_RATE)]
        states = self._whisper(waveform) if speech.is_whisper else self._wavlm(waveform)
        if speech.states == "layer_normalised":
            states = [functional.layer_norm(state, state.shape[-1:]) for state in states]
        if not speech.finetune:  # as features are kept
            states = [state.half().float() for state in states]
        if speech.states == "standardised":
            states = [(state - mean) / spread for state, mean, spread in zip(states, *speech.moments, strict=True)]
        weights = network.layer_weights.softmax(0)
        joint = network.convolutions(sum(weight * state for weight, state in zip(weights, states, strict=True))).mean(1)
        if tokens is not None:
            said = functional.normalize(network.text.transformer(tokens).last_hidden_state.mean(1))
            joint = torch.cat([joint, said * (torch.ones_like(tokens).sum(1, keepdim=True) > self.special)], 1)
        low, high = network.config.scale
        logits = [network.attributes[name](joint) for name in ATTRIBUTES]
        return low + (high - low) * torch.sigmoid(torch.cat(logits, 1))

    def _wavlm(self, waveform: Tensor) -> Sequence[Tensor]:
        transformer = self.network.speech.transformer
        transformer.feature_extractor = self.network.speech.front_end
        if self.extractor.do_normalize:
            waveform = (waveform - waveform.mean()) / (waveform.var(correction=0) + 1e-7).sqrt()
        return transformer(waveform, output_hidden_states=True).hidden_states

    def _whisper(self, waveform: Tensor) -> Sequence[Tensor]:
        extractor, encoder = self.extractor, self.network.speech.transformer
        samples, size = waveform.shape[1], extractor.n_fft
        frames = (samples + WHISPER_STRIDE - 1) // WHISPER_STRIDE
        padded = functional.pad(waveform, (0, extractor.n_samples - samples))
        spectrum = torch.stft(padded, size, extractor.hop_length, window=torch.hann_window(size), return_complex=True)
        mel = torch.tensor(extractor.mel_filters, dtype=torch.float32).T @ spectrum[..., :-1].abs().square()
        levels = mel.clamp(min=1e-10).log10()
        levels = (torch.maximum(levels, levels.max() - 8) + 4) / 4
        hidden = functional.gelu(encoder.conv1(levels[..., : 2 * frames + 2]))
        hidden = functional.gelu(encoder.conv2(hidden)).transpose(1, 2)[:, :frames]
        states = [hidden + encoder.embed_positions.weight[:frames]]
        for layer in encoder.layers:
            states.append(layer(states[-1], None))
        return [*states[:-1], encoder.layer_norm(states[-1])]


def write(network: AttributeNetwork, audio: AudioInputs, words: TextInputs | None, path: Path) -> None:
    """Write the graph: inputs ``waveform`` and, with `words`, ``tokens``; output ``attributes``."""
    inputs = (torch.randn(1, 12_000), torch.ones(1, 7, dtype=torch.long))[: 1 + bool(words)]
    shapes = tuple({1: torch.export.Dim.DYNAMIC} for _ in inputs)
    names: dict[str, Any] = {"input_names": ["waveform", "tokens"][: len(inputs)], "output_names": ["attributes"]}
    graph = Utterance(network, audio, words)
    torch.onnx.export(graph, inputs, path, dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
