"""Self-attention of WavLM, wav2vec 2.0 and HuBERT on torch's ``scaled_dot_product_attention``, for packed frames.

Equal to transformers' own modules, whose parameters it uses, in outputs and gradients. WavLM adds to the scores of head
h, from frame i to frame j, a bias of their distance that the querying frame gates (Chen et al. 2022, eq. 3 to 5):

.. math:: r_{ij} = g_i\\, d_{j - i}, \\quad g_i = \\sigma(u \\cdot q_i) (\\sigma(w \\cdot q_i)\\, s - 1) + 2

The :math:`2 T - 1` distances are looked up once for each length, instead of :math:`T^2` pairs, and not once a head and
utterance.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional


class Packing:
    """Where the valid frames of a padded batch are.

    Packed, the frames of all utterances stand behind each other, (frames, width); padded, they have the shape
    (utterances, longest, width).

    Args:
        frames: of each utterance, shape (utterances,).
    """

    def __init__(self, frames: Tensor) -> None:
        self.utterances, self.longest = len(frames), int(frames.max())
        self.valid = torch.arange(self.longest, device=frames.device) < frames[:, None]  # (B, T)
        self.index = self.valid.flatten().nonzero().squeeze(1)

    def pad(self, packed: Tensor) -> Tensor:
        """(frames, width) to (utterances, longest, width), zeros where padded."""
        padded = packed.new_zeros(self.utterances * self.longest, packed.shape[1])
        return padded.index_copy(0, self.index, packed).view(self.utterances, self.longest, -1)

    def pack(self, padded: Tensor) -> Tensor:
        """(utterances, longest, width) to (frames, width)."""
        return padded.reshape(-1, padded.shape[-1]).index_select(0, self.index)


def attend(attention: nn.Module, hidden: Tensor, packing: Packing, distances: Tensor | None) -> Tensor:
    """Multi-head self-attention within each utterance.

    Args:
        attention: transformers' ``WavLMAttention``, ``Wav2Vec2Attention`` or ``HubertAttention``.
        hidden: packed frames (frames, width).
        packing: of `hidden`.
        distances: WavLM's bias of each distance, see `distance_bias`; None for the others.

    Returns:
        Packed frames (frames, width).
    """
    heads, size = attention.num_heads, attention.head_dim
    joint = torch.cat([attention.q_proj(hidden), attention.k_proj(hidden), attention.v_proj(hidden)], 1)
    query, key, value = packing.pad(joint).unflatten(2, (3, heads, size)).permute(2, 0, 3, 1, 4)  # (B, heads, T, size)
    bias = torch.zeros_like(packing.valid, dtype=hidden.dtype).masked_fill(~packing.valid, -torch.inf)[:, None, None]
    if distances is not None:
        gate = packing.pad(_gate(attention, hidden)).transpose(1, 2)[..., None]  # (B, heads, T, 1)
        bias = gate * _toeplitz(distances) + bias  # (B, heads, T, T)
    dropout = attention.dropout if attention.training else 0.0
    mixed = functional.scaled_dot_product_attention(query, key, value, bias, dropout)
    return attention.out_proj(packing.pack(mixed.transpose(1, 2).flatten(2)))


def distance_bias(attention: nn.Module, longest: int) -> Tensor:
    """WavLM's bias of each distance -(longest - 1) to longest - 1, from its first layer: (heads, 2 * longest - 1)."""
    buckets = _buckets(longest, attention.num_buckets, attention.max_distance)
    return attention.rel_attn_embed(buckets.to(attention.rel_attn_embed.weight.device)).T


@lru_cache(maxsize=1024)
def _buckets(longest: int, count: int, furthest: int) -> Tensor:
    """Bucket of each distance: exact up to a quarter of `count`, then logarithmic (Raffel et al. 2020); by sign."""
    distance = torch.arange(1 - longest, longest)
    half, near = count // 2, count // 4
    far = torch.log(distance.abs().clamp(min=1).float() / near) / torch.log(torch.tensor(furthest / near))
    far = (near + far * (half - near)).long().clamp(max=half - 1)
    return torch.where(distance.abs() < near, distance.abs(), far) + half * (distance > 0)


def _toeplitz(distances: Tensor) -> Tensor:
    """(heads, 2 T - 1) to (heads, T, T): row i, column j holds the distance j - i."""
    longest = (distances.shape[1] + 1) // 2
    return distances.unfold(1, longest, 1).flip(1)


def _gate(attention: nn.Module, hidden: Tensor) -> Tensor:
    """Each frame's gate of the bias, (frames, heads)."""
    by_head = hidden.unflatten(1, (attention.num_heads, attention.head_dim))
    one, other = torch.sigmoid(attention.gru_rel_pos_linear(by_head).unflatten(2, (2, 4)).sum(3)).unbind(2)
    return one * (other * attention.gru_rel_pos_const.view(-1) - 1) + 2
