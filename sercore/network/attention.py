r"""Self-attention within each utterance of packed frames, by torch's own ``scaled_dot_product_attention``.

WavLM adds a bias to the score of frames i and j, a learnt value of their distance times a gate of frame i (Chen et al.
2022, eq. 4 to 6):

.. math:: b_{ij} = g_i \, d_{j - i}, \quad g_i = \sigma(u \cdot q_i) (\sigma(w \cdot q_i)\, s - 1) + 2

The :math:`2 T - 1` distances are looked up once for each length, instead of :math:`T^2` pairs. The bias is the mask of
torch's kernel; activation checkpointing computes it again in the backward pass, so that nothing of the shape
(utterances, heads, T, T) is kept.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

SIMILAR = 0.8
"""Attention costs the square of the length: at most a third of it is spent on padding."""


class Packing:
    """Where the valid frames of a padded batch are, from the `frames` of each utterance, shape (utterances,).

    Packed, the frames of all utterances stand behind each other, (frames, width); padded, (utterances, longest, width).
    """

    def __init__(self, frames: Tensor) -> None:
        self.utterances, self.longest = len(frames), int(frames.max())
        self.valid = torch.arange(self.longest, device=frames.device) < frames[:, None]  # (B, T)
        self.index = self.valid.flatten().nonzero().squeeze(1)

    @cached_property
    def groups(self) -> list[tuple[Tensor, "Packing"]]:
        """Utterances of similar length: which packed frames are theirs, and where these are in a batch of their own.

        On a CPU the shortest of a group has more than `SIMILAR` of the longest's frames; elsewhere one group holds all.
        """
        frames = self.valid.sum(1)
        if frames.is_cuda:
            return [(torch.arange(len(self.index), device=frames.device), self)]
        member, count, longest = torch.empty_like(frames), 0, 0
        for utterance in frames.argsort(descending=True).tolist():
            if frames[utterance] <= SIMILAR * longest or not longest:
                longest, count = int(frames[utterance]), count + 1
            member[utterance] = count - 1
        owner = self.index // self.longest
        chosen = [member == group for group in range(count)]
        return [(one[owner].nonzero().squeeze(1), Packing(frames[one])) for one in chosen]

    @cached_property
    def order(self) -> Tensor:
        """Where each packed frame stands once the groups are put behind each other."""
        return torch.cat([rows for rows, _ in self.groups]).argsort()

    def pad(self, packed: Tensor) -> Tensor:
        """(frames, ...) to (utterances, longest, ...), zeros where padded."""
        padded = packed.new_zeros(self.utterances * self.longest, *packed.shape[1:])
        return padded.index_copy(0, self.index, packed).unflatten(0, (self.utterances, self.longest))

    def pack(self, padded: Tensor) -> Tensor:
        """(utterances, longest, ...) to (frames, ...)."""
        return padded.flatten(0, 1).index_select(0, self.index)


def attend(
    attention: Any, hidden: Tensor, packing: Packing, distances: Tensor | None, part: Callable[..., Tensor]
) -> Tensor:
    """Multi-head self-attention within each utterance, from packed frames (frames, width) to the same.

    Args:
        attention: transformers' ``WavLMAttention``, ``WhisperAttention`` or the like.
        distances: WavLM's bias of each distance, see `distance_bias`; None for the others.
        part: calls what is dear to keep for the backward pass: `recomputed` or ``operator.call``.
    """
    if torch.is_autocast_enabled(hidden.device.type):  # else each projection would cast, and keep, a copy of its own
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    projections = (attention.q_proj(hidden), attention.k_proj(hidden), attention.v_proj(hidden))
    joint = torch.stack([one.unflatten(1, (attention.num_heads, attention.head_dim)) for one in projections], 1)
    gate = None if distances is None else _gate(attention, hidden)
    dropout = attention.dropout if attention.training else 0.0
    parts = [
        part(_attended, joint[rows], None if gate is None else gate[rows], distances, group, dropout)
        for rows, group in packing.groups
    ]
    return attention.out_proj(torch.cat(parts)[packing.order].flatten(1))


def recomputed(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """A function's value, of which only arguments are kept; the backward pass repeats the rest, with the same draws."""
    if torch.is_grad_enabled() and any(isinstance(one, Tensor) and one.requires_grad for one in arguments):
        return checkpoint(function, *arguments, use_reentrant=False)
    return function(*arguments)


def distance_bias(attention: Any, longest: int) -> Tensor:
    """WavLM's bias of each distance -(longest - 1) to longest - 1, from its first layer: (heads, 2 * longest - 1)."""
    distances = torch.arange(1 - longest, longest, device=attention.rel_attn_embed.weight.device)
    return attention.rel_attn_embed(attention._relative_positions_bucket(distances)).T


def _attended(joint: Tensor, gate: Tensor | None, distances: Tensor | None, group: Packing, dropout: float) -> Tensor:
    """Attention of one group: query, key and value (frames, 3, heads, size) to (frames, heads, size)."""
    query, key, value = group.pad(joint).permute(2, 0, 3, 1, 4)  # (B, heads, T, size) each
    bias = torch.zeros_like(group.valid, dtype=joint.dtype).masked_fill(~group.valid, -torch.inf)[:, None, None]
    if gate is not None and distances is not None:
        middle, reach = distances.shape[1] // 2, group.longest - 1
        pairs = distances[:, middle - reach : middle + reach + 1].unfold(1, group.longest, 1).flip(1)  # (heads, T, T)
        bias = torch.addcmul(bias, group.pad(gate).transpose(1, 2)[..., None], pairs).to(joint.dtype)
    mixed = functional.scaled_dot_product_attention(query, key, value, bias, dropout)
    return group.pack(mixed.transpose(1, 2))


def _gate(attention: Any, hidden: Tensor) -> Tensor:
    """Each frame's gate of the bias, (frames, heads)."""
    by_head = hidden.unflatten(1, (attention.num_heads, attention.head_dim))
    one, other = torch.sigmoid(attention.gru_rel_pos_linear(by_head).unflatten(2, (2, 4)).sum(3)).unbind(2)
    return one * (other * attention.gru_rel_pos_const.view(-1) - 1) + 2
