"""The losses: concordance correlation, additive angular margin, and their multi-task sum."""

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-8
UNKNOWN = -100  # label of an utterance whose gender or speaker is not known, as in torch's cross-entropy


def ccc(truth: Tensor, prediction: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Concordance correlation coefficient of each column: (attributes,), from -1 to 1.

    .. math:: \rho_c = \frac{2 s_{xy}}{s_x^2 + s_y^2 + (\bar x - \bar y)^2}

    with population moments (Lin 1989, Biometrics 45, eq. 1, for a sample), computed in float32 or better. A small
    constant in the denominator makes the coefficient of two equal constants 0, and gives constant predictions the
    gradient of their covariance. With weights each moment is the weighted mean of what the formula averages, so that
    whole numbers count an utterance that often.

    Args:
        truth, prediction: shape (utterances, attributes), any one scale.
        weights: same shape, 0 or more, and more than 0 for some utterance of each attribute; None weighs all alike.

    Raises:
        ValueError: the shapes differ, or there is no utterance.

    >>> ccc(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [1.0]])).round(decimals=3)
    tensor([0.6670])
    """
    weights = torch.ones_like(truth) if weights is None else weights
    if not truth.shape == prediction.shape == weights.shape or truth.ndim != 2 or len(truth) == 0:
        shapes = f"{tuple(truth.shape)}, prediction {tuple(prediction.shape)} and weights {tuple(weights.shape)}"
        raise ValueError(f"truth {shapes} are not (utterances, attributes).")
    precision = torch.promote_types(torch.promote_types(truth.dtype, prediction.dtype), torch.float32)
    truth, prediction = truth.to(precision), prediction.to(precision)
    shares = weights.to(precision) / weights.sum(0, dtype=precision)
    truth_mean, prediction_mean = (shares * truth).sum(0), (shares * prediction).sum(0)
    x, y = truth - truth_mean, prediction - prediction_mean
    covariance, variances = (shares * x * y).sum(0), (shares * (x.square() + y.square())).sum(0)
    return 2 * covariance / (variances + (truth_mean - prediction_mean).square() + EPSILON)


def ccc_loss(truth: Tensor, prediction: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum over the attributes of 1 - CCC (the paper's regression loss); arguments as in `ccc`, returns a scalar."""
    return (1 - ccc(truth, prediction, weights)).sum()


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the utterances whose label is known; 0, with a gradient of 0, where none is.

    `logits` (utterances, classes); `labels` (utterances,), class indices or `UNKNOWN`.
    """
    total = functional.cross_entropy(logits.float(), labels, ignore_index=UNKNOWN, reduction="sum")
    return total / (labels != UNKNOWN).sum().clamp(min=1)


def reverse_gradient(values: Tensor) -> Tensor:
    r"""`values` unchanged, with a gradient of the opposite sign (Ganin & Lempitsky 2015, eq. 13 and 14, lambda 1).

    Behind it a classifier learns as ever, while what lies before it learns to make the classifier fail.
    """
    return 2 * values.detach() - values


class AdditiveAngularMargin(nn.Module):
    r"""Logits of the additive-angular-margin softmax (Deng et al. 2019, "ArcFace", eq. 3).

    The logit of class :math:`j` is :math:`s \cos(\theta_j)`, that of the true class :math:`s \cos(\theta_j + m)`, with
    the angle :math:`\theta_j` between embedding and class's weights, the `scale` s and the `margin` m in radians.
    """

    def __init__(self, width: int, classes: int, margin: float, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, width))
        nn.init.xavier_uniform_(self.weight)
        self.margin, self.scale = margin, scale

    def forward(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Logits (utterances, classes); utterances labelled `UNKNOWN` get no margin."""
        weight = functional.normalize(self.weight.float())
        cosine = functional.normalize(embedding.float()) @ weight.T  # (B, classes)
        angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
        true_class = functional.one_hot(labels.clamp(min=0), len(weight)).bool() & (labels != UNKNOWN)[:, None]
        return self.scale * torch.where(true_class, torch.cos(angle + self.margin), cosine)
