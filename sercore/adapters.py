r"""Low-rank adapters (LoRA, Hu et al. 2022) in a transformer whose own weights stay as they are.

To each linear map :math:`W`, of attention and feed-forward layers alike (as Dettmers et al. 2023 advise),
:math:`\frac{\alpha}{r} B A` is added, where :math:`A` has r rows and :math:`B` r columns. :math:`B` begins at zero, and
:math:`\alpha = 2 r`, as Hu et al. have it for RoBERTa-Large with r = 8.
"""

from peft import LoraConfig, inject_adapter_in_model
from torch import nn


def add_lora(transformer: nn.Module, rank: int) -> None:
    """Add adapters of `rank` to every linear map of a transformers model, in place."""
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"), transformer)


def train_adapters_alone(transformer: nn.Module) -> None:
    """Ask for gradients in the adapters, and nowhere else."""
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad_("lora_" in name)
