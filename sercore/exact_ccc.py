"""The loss of an update's whole batch, where it is spread over accumulation steps and devices.

The concordance correlation of a batch is no mean over utterances, so gradients of parts do not add up to that of the
whole. By the chain rule they do once the gradient of the loss with respect to each output is known: a first pass
without gradients gives all outputs, from which the loss and its gradient :math:`\\partial L / \\partial y` follow; a
second pass, part by part with the same random draws, back-propagates :math:`\\sum y\\, \\partial L / \\partial y`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LABELS = ("attributes", "gender", "speaker", "weights")


@dataclass(frozen=True)
class Part:
    """What the second pass of a part needs: the gradient of each of its outputs, the loss, and the random state."""

    gradients: dict[str, Tensor]
    loss: Tensor
    state: tuple[Any, Tensor, list[Tensor]]


def first_pass(
    model: nn.Module,
    loss: Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor],
    batches: Sequence[dict[str, Tensor]],
    gather: Callable[[Tensor], Tensor],
    rank: int,
) -> list[Part]:
    """The `loss` of all `batches` of all devices as one, and its gradient with respect to the outputs of each.

    `batches` are those of one update on this device, of this `rank`, with labels; `gather` joins the devices' tensors
    of equal shape along the first axis, in order of their rank.
    """
    states, outputs = [], []
    with torch.no_grad():
        for batch in batches:
            states.append((np.random.get_state(), torch.get_rng_state(), torch.cuda.get_rng_state_all()))  # noqa: NPY002
            outputs.append(model(**batch).outputs())
    sizes = [len(batch["attributes"]) for batch in batches]
    here = {name: torch.cat([output[name] for output in outputs]) for name in outputs[0]}
    joint = {name: gather(value).requires_grad_() for name, value in here.items()}
    labels = {name: gather(torch.cat([batch[name] for batch in batches])) for name in LABELS if name in batches[0]}
    with torch.enable_grad():
        total = loss(joint, labels)
        gradients = torch.autograd.grad(total, list(joint.values()))
    own = slice(rank * sum(sizes), (rank + 1) * sum(sizes))
    parts = [gradient[own].split(sizes) for gradient in gradients]
    by_batch = [dict(zip(joint, each, strict=True)) for each in zip(*parts, strict=True)]
    return [Part(each, total.detach(), state) for each, state in zip(by_batch, states, strict=True)]


def second_pass(model: nn.Module, batch: dict[str, Tensor], part: Part) -> Tensor:
    """A scalar with the gradient of the whole loss with respect to the parameters, as far as it runs through `batch`.

    Summed over all parts, its gradient is that of the whole batch; its value is the whole batch's loss.
    """
    numpy, cpu, cuda = part.state
    np.random.set_state(numpy)  # noqa: NPY002  of which SpecAugment draws
    torch.set_rng_state(cpu)
    torch.cuda.set_rng_state_all(cuda)
    outputs = model(**batch).outputs()
    through = sum((outputs[name] * gradient).sum() for name, gradient in part.gradients.items())
    return through + (part.loss - through.detach())
