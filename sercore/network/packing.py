"""Transformers without padded frames: WavLM and its like, and Whisper's encoder.

`hidden_states` equals transformers' own modules on a padded batch, whose parameters it uses: everything but attention
runs on packed frames, and the positional convolution by FFT. `whisper_states` is Whisper's encoder on an utterance's
own length, without the silence that fills its window.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from operator import call
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from .attention import Packing, attend, distance_bias, recomputed

TYPES = ("data2vec-audio", "hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm", "whisper")
"""The ``model_type`` of the models that run here."""


def hidden_states(
    transformer: Any, features: Tensor, frames: Tensor, checkpoint: Callable[..., Tensor] | None = None
) -> Iterator[Tensor]:
    """All hidden states, one after the other, packed (frames, width): the first layer's input, and each layer's output.

    `transformer` is without its convolutional front-end, whose output `features` is packed (frames, channels); `frames`
    (utterances,) is the number of each. `checkpoint`, torch's, keeps of each layer its input alone for the backward
    pass; else only what is dear to keep is computed again, see `recomputed`.
    """
    packing, encoder, kind = Packing(frames), transformer.encoder, transformer.config.model_type
    projected = transformer.feature_projection(features)
    padded = packing.pad(projected if isinstance(projected, Tensor) else projected[0])
    valid = packing.valid.long()
    # HuBERT draws its masked spans over the padding too.
    drawn = {} if kind == "hubert" else {"attention_mask": valid}
    padded = transformer._mask_hidden_states(padded, **drawn) * valid[:, :, None]
    hidden = packing.pack(padded + _positions(encoder.pos_conv_embed, padded, frames))
    first_norm = getattr(transformer.config, "do_stable_layer_norm", False)
    hidden = encoder.dropout(hidden if first_norm else encoder.layer_norm(hidden))
    distances = distance_bias(encoder.layers[0].attention, packing.longest) if kind == "wavlm" else None
    block = partial(checkpoint, _block, call) if checkpoint else partial(_block, recomputed)
    for layer in encoder.layers:
        yield hidden
        hidden = block(layer, hidden, packing, distances, first_norm)
    yield hidden


def whisper_front_end(encoder: Any, spectrogram: Tensor, frames: Tensor) -> Tensor:
    """What the convolutions and positions of a ``WhisperEncoder`` make of each utterance, packed (frames, width).

    `spectrogram` is log-mel (utterances, columns, mel bins): of each, two columns a frame and, unless its window ends
    there, one more, the last that the convolutions see. `frames` is (utterances,).
    """
    packing = Packing(frames)
    exact = spectrogram.to(encoder.conv1.weight.dtype)  # which may be kept in half precision
    convolved = functional.gelu(encoder.conv1(exact.transpose(1, 2)))
    convolved = functional.gelu(encoder.conv2(convolved)).transpose(1, 2)[:, : packing.longest]
    return packing.pack(convolved + encoder.embed_positions.weight[: packing.longest])


def whisper_states(
    encoder: Any, features: Tensor, frames: Tensor, checkpoint: Callable[..., Tensor] | None = None
) -> Iterator[Tensor]:
    """`hidden_states` of a ``WhisperEncoder`` on each utterance's own length, from what `whisper_front_end` gives."""
    packing = Packing(frames)
    hidden = functional.dropout(features, encoder.dropout, encoder.training)
    block = partial(checkpoint, _whisper_block, call) if checkpoint else partial(_whisper_block, recomputed)
    for layer in encoder.layers:
        yield hidden
        hidden = block(layer, hidden, packing)
    yield encoder.layer_norm(hidden)


def _block(
    part: Callable[..., Tensor],
    layer: Any,
    hidden: Tensor,
    packing: Packing,
    distances: Tensor | None,
    first_norm: bool,
) -> Tensor:
    """A transformer's layer, normalised before its parts (as in the large models) or after them; `part` calls what is
    dear to keep for the backward pass, as `recomputed` or as it is."""
    if first_norm:
        hidden = hidden + layer.dropout(attend(layer.attention, layer.layer_norm(hidden), packing, distances, part))
        hidden = hidden + _feed_forward(layer.feed_forward, layer.final_layer_norm(hidden), part)
        adapter = getattr(layer, "adapter_layer", None)  # of a language, in MMS
        return hidden + adapter(hidden) if adapter else hidden
    hidden = layer.layer_norm(hidden + layer.dropout(attend(layer.attention, hidden, packing, distances, part)))
    return layer.final_layer_norm(hidden + _feed_forward(layer.feed_forward, hidden, part))


def _whisper_block(part: Callable[..., Tensor], layer: Any, hidden: Tensor, packing: Packing) -> Tensor:
    """A layer of Whisper's encoder; `part` as in `_block`."""
    drop = partial(functional.dropout, training=layer.training)

    def narrowed(wide: Tensor) -> Tensor:
        return layer.fc2(drop(layer.activation_fn(wide), layer.activation_dropout))

    attended = attend(layer.self_attn, layer.self_attn_layer_norm(hidden), packing, None, part)
    hidden = hidden + drop(attended, layer.dropout)
    return hidden + drop(part(narrowed, layer.fc1(layer.final_layer_norm(hidden))), layer.dropout)


def _feed_forward(module: Any, hidden: Tensor, part: Callable[..., Tensor]) -> Tensor:
    """transformers' own, but with `recomputed` only one of its wide tensors is kept for the backward pass."""

    def narrowed(wide: Tensor) -> Tensor:
        return module.output_dense(module.intermediate_dropout(module.intermediate_act_fn(wide)))

    return module.output_dropout(part(narrowed, module.intermediate_dense(hidden)))


def _positions(embedding: Any, padded: Tensor, frames: Tensor) -> Tensor:
    """The positional convolution of (utterances, longest, width), by FFT."""
    if hasattr(embedding, "layers"):  # data2vec's, of which the second would see what the first makes of padding
        alone = [embedding(one[None, :length])[0] for one, length in zip(padded, frames.tolist(), strict=True)]
        return pad_sequence(alone, batch_first=True)
    if padded.is_cuda or getattr(embedding, "batch_norm", None):  # cuDNN's own algorithms suit a GPU
        return embedding(padded)
    conv = embedding.conv
    return embedding.activation(recomputed(_convolved, padded, conv.weight, conv.bias)).transpose(1, 2)


def _convolved(padded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(utterances, longest, width), convolved over time: (utterances, width, longest)."""
    longest, (_, inputs, kernel) = padded.shape[1], weight.shape
    groups = padded.shape[2] // inputs
    around = functional.pad(padded.transpose(1, 2), (kernel // 2, kernel - 1 - kernel // 2))
    size = next(each for each in count(longest + kernel - 1) if 30**20 % each == 0)  # no factor but 2, 3 and 5
    signal = torch.fft.rfft(around, size).unflatten(1, (groups, inputs)).permute(3, 1, 0, 2)  # (F, G, B, I)
    filters = torch.fft.rfft(weight, size).unflatten(0, (groups, -1)).conj().permute(3, 0, 2, 1)  # (F, G, I, O)
    mixed = (signal @ filters).permute(2, 1, 3, 0).flatten(1, 2)  # (B, width, F)
    return torch.fft.irfft(mixed, size)[..., :longest] + bias[:, None]
