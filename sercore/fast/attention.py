r"""Self-attention of WavLM, wav2vec 2.0, HuBERT and Whisper for packed frames, on torch's own kernels.

Equal to transformers' own modules, whose parameters it uses, in outputs and gradients. WavLM adds to the scores of head
h, from frame i to frame j, a bias of their distance that the querying frame gates (Chen et al. 2022, eq. 3 to 5):

.. math:: r_{ij} = g_i\, d_{j - i}, \quad g_i = \sigma(u \cdot q_i) (\sigma(w \cdot q_i)\, s - 1) + 2

The :math:`2 T - 1` distances are looked up once for each length, instead of :math:`T^2` pairs, and not once a head and
utterance.

Two kernels give the same: `padded` is ``scaled_dot_product_attention`` on padded batches, whose gated bias has the
shape (utterances, heads, longest, longest); `blocked` is FlexAttention on the packed frames, which has nothing of that
shape, where it runs, and without dropout. `kernel` chooses by trial. Neither keeps anything of that shape for the
backward pass.
"""

import warnings
from collections.abc import Callable
from functools import cached_property, lru_cache
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
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
        """(frames, ...) to (utterances, longest, ...), zeros where padded."""
        padded = packed.new_zeros(self.utterances * self.longest, *packed.shape[1:])
        return padded.index_copy(0, self.index, packed).unflatten(0, (self.utterances, self.longest))

    def pack(self, padded: Tensor) -> Tensor:
        """(utterances, longest, ...) to (frames, ...)."""
        return padded.flatten(0, 1).index_select(0, self.index)


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
    return _Padded.apply(joint, gate, distances, packing, dropout)


class _Padded(torch.autograd.Function):
    r"""`padded`, which keeps its arguments alone: the backward pass computes the weights again, a group at a time.

    torch's fused kernels know no gradient of a bias. That of the output, :math:`dO`, gives that of the weights,
    :math:`dP = dO\, V^\top`, and of the scores and thus the bias, :math:`dS_{ij} = P_{ij} (dP_{ij} - \sum_k P_{ik}
    dP_{ik})` (Dao et al. 2022, appendix B.2).
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, joint: Tensor, gate: Tensor | None, distances: Tensor | None, packing: Packing, dropout: float
    ) -> Tensor:
        ctx.save_for_backward(joint, gate, distances)
        ctx.packing, ctx.draws = packing, _Draws(dropout) if dropout else None
        kept = ctx.draws and ctx.draws.begin(joint.device)
        mixed = torch.empty_like(joint[:, 0])
        for rows, group in packing.groups:
            query, key, value = _heads(joint, rows, group)
            bias = _bias(joint, gate, distances, rows, group)
            if kept:
                weights = _weights(query, key, bias)
                output = (weights * kept(weights)) @ value
            else:
                output = functional.scaled_dot_product_attention(query, key, value, bias)
            mixed[rows] = group.pack(output.transpose(1, 2))
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, to_mixed: Tensor) -> tuple[Tensor | None, ...]:
        joint, gate, distances = ctx.saved_tensors
        kept = ctx.draws and ctx.draws.begin(joint.device)
        to_joint, to_gate, to_distances = (one if one is None else torch.zeros_like(one) for one in ctx.saved_tensors)
        for rows, group in ctx.packing.groups:
            query, key, value = _heads(joint, rows, group)
            dropped = weights = _weights(query, key, _bias(joint, gate, distances, rows, group))
            to_output = group.pad(to_mixed[rows]).transpose(1, 2)
            to_weights = to_output @ value.mT
            if kept:
                drawn = kept(weights)
                dropped, to_weights = weights * drawn, to_weights.mul_(drawn)
            to_value = dropped.mT @ to_output
            product = to_weights.mul_(weights)
            to_scores = product.addcmul_(weights, product.sum(3, keepdim=True), value=-1)
            scale = query.shape[3] ** -0.5
            to_heads = (to_scores @ key).mul_(scale), (to_scores.mT @ query).mul_(scale), to_value
            to_joint[rows] = group.pack(torch.stack(to_heads, 2).permute(0, 3, 2, 1, 4))
            if ctx.needs_input_grad[1]:
                by_frame = (to_scores * _toeplitz(_near(distances, group))).sum(3)
                to_gate[rows] = group.pack(by_frame.transpose(1, 2)).to(gate.dtype)
            if ctx.needs_input_grad[2]:
                by_pair = (to_scores * group.pad(gate[rows]).transpose(1, 2)[..., None]).sum(0)
                _near(to_distances, group).add_(_diagonals(by_pair))
        return to_joint, to_gate, to_distances, None, None


class _Draws:
    """What attention weights are multiplied by for dropout: drawn again alike as often as it begins."""

    def __init__(self, dropout: float) -> None:
        self.dropout, self.seed = dropout, int(torch.randint(2**62, ()))

    def begin(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """A function that draws for one group's weights after another's."""
        share, generator = 1 - self.dropout, torch.Generator(device).manual_seed(self.seed)
        return lambda weights: torch.empty_like(weights).bernoulli_(share, generator=generator).div_(share)


def _heads(joint: Tensor, rows: Tensor, group: Packing) -> Tensor:
    """Query, key and value of one group, whose packed frames are `rows`: (3, utterances, heads, longest, size)."""
    return group.pad(joint[rows]).permute(2, 0, 3, 1, 4)


def _bias(joint: Tensor, gate: Tensor | None, distances: Tensor | None, rows: Tensor, group: Packing) -> Tensor:
    """What is added to a group's scores, (utterances, heads, longest, longest) or to be broadcast to it."""
    bias = torch.zeros_like(group.valid, dtype=joint.dtype).masked_fill(~group.valid, -torch.inf)[:, None, None]
    if distances is None:
        return bias
    gates = group.pad(gate[rows]).transpose(1, 2)[..., None]  # (B, heads, T, 1)
    return torch.addcmul(bias, gates, _toeplitz(_near(distances, group))).to(joint.dtype)


def _weights(query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
    """Attention weights, (utterances, heads, longest, longest)."""
    scores = torch.baddbmm(
        bias.expand(*query.shape[:3], -1).flatten(0, 1),
        query.flatten(0, 1),
        key.flatten(0, 1).mT,
        alpha=query.shape[3] ** -0.5,
    )
    return scores.softmax(2).view(*query.shape[:3], -1)


def _near(distances: Tensor, group: Packing) -> Tensor:
    """Those of the distances, (heads, 2 T - 1), that occur in a group."""
    middle = distances.shape[1] // 2
    return distances[:, middle - group.longest + 1 : middle + group.longest]


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


def _diagonals(pairs: Tensor) -> Tensor:
    """(heads, T, T) to (heads, 2 T - 1): sums of what has the same distance, the transpose of `_toeplitz`."""
    longest = pairs.shape[1]
    skewed = functional.pad(pairs.flip(1), (0, longest)).flatten(1)[:, :-longest]  # each row a place further right
    return skewed.unflatten(1, (longest, -1)).sum(1)


def _gate(attention: nn.Module, hidden: Tensor) -> Tensor:
    """Each frame's gate of the bias, (frames, heads)."""
    by_head = hidden.unflatten(1, (attention.num_heads, attention.head_dim))
    one, other = torch.sigmoid(attention.gru_rel_pos_linear(by_head).unflatten(2, (2, 4)).sum(3)).unbind(2)
    return one * (other * attention.gru_rel_pos_const.view(-1) - 1) + 2
