r"""Self-attention of WavLM, wav2vec 2.0, HuBERT and Whisper for packed frames, on torch's own kernels.

Equal to transformers' own modules, whose parameters it uses, in outputs and gradients. WavLM adds to the scores of head
h, from frame i to frame j, a bias of their distance that the querying frame gates (Chen et al. 2022, eq. 3 to 5):

.. math:: r_{ij} = g_i\, d_{j - i}, \quad g_i = \sigma(u \cdot q_i) (\sigma(w \cdot q_i)\, s - 1) + 2

The :math:`2 T - 1` distances are looked up once for each length, instead of :math:`T^2` pairs, and not once a head and
utterance.

Two kernels give the same: `padded` is ``scaled_dot_product_attention`` on the padded batch, whose gated bias has the
shape (utterances, heads, longest, longest); `blocked` is FlexAttention on the packed frames, which keeps nothing of
that shape, where it runs, and without dropout. `kernel` chooses by trial.
"""

import warnings
from collections.abc import Callable
from functools import cached_property, lru_cache
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

SIMILAR = 0.8
"""Attention costs the square of the length: at most a third of it is spent on padding."""


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
        self.owner, self.place = self.index // self.longest, self.index % self.longest

    @cached_property
    def blocks(self) -> BlockMask:
        """Which packed frames see each other: those of the same utterance."""
        owner, count = self.owner, len(self.owner)
        return create_block_mask(
            lambda batch, head, one, other: owner[one] == owner[other], None, None, count, count, owner.device
        )

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
        chosen = [member == group for group in range(count)]
        return [(one[self.owner].nonzero().squeeze(1), Packing(frames[one])) for one in chosen]

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
        attention: transformers' ``WavLMAttention``, ``Wav2Vec2Attention``, ``HubertAttention`` or ``WhisperAttention``.
        hidden: packed frames (frames, width).
        packing: of `hidden`.
        distances: WavLM's bias of each distance, see `distance_bias`; None for the others.

    Returns:
        Packed frames (frames, width).
    """
    projections = (attention.q_proj(hidden), attention.k_proj(hidden), attention.v_proj(hidden))
    joint = torch.stack([one.unflatten(1, (attention.num_heads, attention.head_dim)) for one in projections], 1)
    gate = None if distances is None else _gate(attention, hidden)
    dropout = attention.dropout if attention.training else 0.0
    chosen = padded if dropout else kernel(hidden.device.type, attention.num_heads, attention.head_dim)
    return attention.out_proj(chosen(joint, packing, gate, distances, dropout).flatten(1))


def padded(joint: Tensor, packing: Packing, gate: Tensor | None, distances: Tensor | None, dropout: float) -> Tensor:
    """Attention on padded batches of utterances of similar length.

    Args:
        joint: query, key and value of each packed frame, (frames, 3, heads, size).
        packing: of `joint`.
        gate: of each frame and head, (frames, heads); None where there is no bias.
        distances: see `distance_bias`.
        dropout: of the weights.

    Returns:
        Packed frames (frames, heads, size).
    """
    mixed, furthest = [], packing.longest - 1
    for rows, group in packing.groups:
        near = None if distances is None else distances[:, furthest - group.longest + 1 : furthest + group.longest]
        mixed.append(_padded(joint[rows], group, None if gate is None else gate[rows], near, dropout))
    order = torch.cat([rows for rows, _ in packing.groups])
    return torch.cat(mixed)[order.argsort()]


def _padded(joint: Tensor, packing: Packing, gate: Tensor | None, distances: Tensor | None, dropout: float) -> Tensor:
    query, key, value = packing.pad(joint.flatten(1)).unflatten(2, joint.shape[1:]).permute(2, 0, 3, 1, 4)
    bias = torch.zeros_like(packing.valid, dtype=joint.dtype).masked_fill(~packing.valid, -torch.inf)[:, None, None]
    if distances is not None:
        gates = packing.pad(gate).transpose(1, 2)[..., None]  # (B, heads, T, 1)
        bias = (gates * _toeplitz(distances) + bias).to(joint.dtype)  # (B, heads, T, T)
    mixed = functional.scaled_dot_product_attention(query, key, value, bias, dropout)
    return packing.pack(mixed.transpose(1, 2).flatten(2)).unflatten(1, joint.shape[2:])


def blocked(joint: Tensor, packing: Packing, gate: Tensor | None, distances: Tensor | None, dropout: float) -> Tensor:
    """As `padded`, by FlexAttention on the packed frames; it knows no dropout."""
    assert not dropout
    place, furthest = packing.place, packing.longest - 1

    def biased(score: Tensor, batch: Tensor, head: Tensor, one: Tensor, other: Tensor) -> Tensor:
        distance = (place[other] - place[one]).clamp(-furthest, furthest) + furthest
        return score + gate[one, head] * distances[head, distance]

    query, key, value = joint.permute(1, 2, 0, 3)[:, None]  # each (1, heads, frames, size)
    flex = flex_attention if joint.device.type == "cpu" else _compiled()
    mixed = flex(query, key, value, None if distances is None else biased, packing.blocks)
    return mixed[0].transpose(0, 1)


@lru_cache
def _compiled() -> Callable:
    return torch.compile(flex_attention, dynamic=True)


@lru_cache
def kernel(device: str, heads: int, size: int) -> Callable:
    """`padded` or `blocked`: the faster one on this device, if both run there and agree.

    On a CPU it is `padded`, as FlexAttention has no backward pass there.
    """
    return padded if device == "cpu" else _faster(device, heads, size)


def _faster(device: str, heads: int, size: int) -> Callable:
    try:
        seconds = {}
        outcomes = [_trial(way, device, heads, size, seconds) for way in (padded, blocked)]
        for one, other in zip(*outcomes, strict=True):
            torch.testing.assert_close(one, other, atol=2e-2, rtol=2e-2)  # tensor cores round
    except Exception as error:  # whatever a device, driver or compiler has against it
        warnings.warn(f"FlexAttention is not used on this {device} device ({type(error).__name__}).", stacklevel=2)
        return padded
    return min(seconds, key=seconds.get)


def _trial(way: Callable, device: str, heads: int, size: int, seconds: dict[Callable, float]) -> list[Tensor]:
    """Output and gradients of one way on made-up frames of 12 utterances of 3 to 14 s; its time goes to `seconds`."""
    generator = torch.Generator().manual_seed(0)
    packing = Packing(torch.arange(150, 750, 50, device=device))
    count = len(packing.index)
    shapes = {"joint": (count, 3, heads, size), "gate": (count, heads), "distances": (heads, 2 * packing.longest - 1)}
    values = [torch.randn(shape, generator=generator).to(device).requires_grad_() for shape in shapes.values()]
    for _ in range(3):  # the first compiles
        _wait(device)
        start = perf_counter()
        output = way(values[0], packing, values[1], values[2], 0.0)
        gradients = torch.autograd.grad(output.square().sum(), values)
        _wait(device)
        seconds[way] = perf_counter() - start
    return [output.detach(), *gradients]


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


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
