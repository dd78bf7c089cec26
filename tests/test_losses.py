import audmetric
import numpy as np
import pytest
import torch
import torchmetrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers.models.wavlm.modeling_wavlm import AMSoftmaxLoss

from sercore.network.losses import (
    UNKNOWN,
    AdditiveAngularMargin,
    ccc,
    ccc_loss,
    classification_loss,
    reverse_gradient,
)

ratings = arrays(np.float64, st.tuples(st.integers(2, 40), st.just(3)), elements=st.floats(0, 1, width=32))


@given(ratings, st.randoms(use_true_random=False))
def test_ccc_equals_audmetric_column_by_column(truth, random):
    prediction = truth[:, ::-1].copy()
    prediction[random.randrange(len(truth))] += 0.5
    found = ccc(torch.tensor(truth), torch.tensor(prediction)).numpy()
    for column in range(3):
        spread = truth[:, column].var() + prediction[:, column].var()
        if spread > 1e-3:  # below, the epsilon shows
            expected = audmetric.concordance_cc(truth[:, column], prediction[:, column])
            assert found[column] == pytest.approx(expected, abs=1e-4)


def test_ccc_equals_torchmetrics_up_to_its_moments():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(5000, 3, generator=generator)
    prediction = 0.6 * truth + 0.3 * torch.rand(5000, 3, generator=generator)
    # torchmetrics divides by n - 1: the ratio of both conventions tends to 1
    metric = torchmetrics.ConcordanceCorrCoef(num_outputs=3)
    assert ccc(truth, prediction).tolist() == pytest.approx(metric(prediction, truth).tolist(), abs=1e-3)


def test_ccc_of_a_shift_is_the_closed_form():
    truth = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    variance, shift = 2 / 3, 0.5
    expected = 2 * variance / (2 * variance + shift**2)
    assert ccc(truth, truth + shift).item() == pytest.approx(expected, abs=1e-7)


@given(ratings)
def test_ccc_is_symmetric_bounded_and_blind_to_a_common_scale(truth):
    truth = torch.tensor(truth)
    prediction = truth.flip(0).sqrt()
    value = ccc(truth, prediction)
    assert ((value >= -1 - 1e-9) & (value <= 1 + 1e-9)).all()
    torch.testing.assert_close(value, ccc(prediction, truth))
    variances = truth.var(0, correction=0) + prediction.var(0, correction=0)
    seen = variances > 1e-2
    torch.testing.assert_close(value[seen], ccc(1 + 6 * truth, 1 + 6 * prediction)[seen], atol=1e-5, rtol=1e-5)


def test_half_precision_is_raised_before_it_is_summed():
    generator = torch.Generator().manual_seed(1)
    truth, noise = torch.rand(4000, 3, generator=generator), torch.rand(4000, 3, generator=generator)
    half = (truth.bfloat16(), (0.9 * truth + 0.05 * noise).bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        found = ccc(*half)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), ccc(half[0].double(), half[1].double()), atol=1e-5, rtol=1e-5)


def test_constant_predictions_get_the_gradient_of_their_covariance():
    truth = torch.tensor([[0.1], [0.5], [0.9]])
    prediction = torch.full((3, 1), 0.5, requires_grad=True)
    ccc_loss(truth, prediction).backward()
    assert torch.isfinite(prediction.grad).all()
    expected = -2 * (truth - truth.mean()) / 3 / truth.var(correction=0)
    torch.testing.assert_close(prediction.grad, expected, atol=1e-4, rtol=1e-4)


def test_two_equal_constants_give_zero_and_a_finite_gradient():
    prediction = torch.full((4, 3), 0.5, requires_grad=True)
    loss = ccc_loss(torch.full((4, 3), 0.5), prediction)
    loss.backward()
    assert loss.item() == 3
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((0, 3), (0, 3)), ((4,), (4,))])
def test_shapes_that_would_mix_columns_are_refused(shapes):
    with pytest.raises(ValueError, match=r"are not \(utterances, attributes\)"):
        ccc(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


@given(ratings, st.randoms(use_true_random=False))
def test_whole_weights_count_an_utterance_that_often(truth, random):
    truth = torch.tensor(truth)
    prediction = truth.flip(0).sqrt().requires_grad_()
    often = torch.tensor([random.randint(0, 3) for _ in truth])
    often[random.randrange(len(truth))] += 1
    weights = (random.uniform(0.1, 10) * often.double())[:, None].expand(-1, 3)
    repeated = prediction.repeat_interleave(often, 0)
    found, expected = ccc(truth, prediction, weights), ccc(truth.repeat_interleave(often, 0), repeated)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    gradients = [torch.autograd.grad((1 - value).sum(), prediction)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-4)  # the epsilon alone stands below constant values


def test_weights_of_one_attribute_leave_the_others_alone():
    generator = torch.Generator().manual_seed(0)
    truth, prediction = torch.rand(50, 3, generator=generator), torch.rand(50, 3, generator=generator)
    weights = torch.ones(50, 3)
    plain = ccc_loss(truth, prediction)
    torch.testing.assert_close(ccc_loss(truth, prediction, 7 * weights), plain)
    weights[:25, 1] = 0
    expected = torch.cat([ccc(truth[25:], prediction[25:])[1:2], ccc(truth, prediction)[::2]]).sum()
    torch.testing.assert_close(ccc_loss(truth, prediction, weights), 3 - expected)
    with pytest.raises(ValueError, match=r"weights \(50,\) are not"):
        ccc_loss(truth, prediction, weights[:, 0])


def test_classification_loss_ignores_unknown_labels():
    logits = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 1, UNKNOWN, 1, UNKNOWN, 0])
    expected = torch.nn.functional.cross_entropy(logits[labels >= 0], labels[labels >= 0])
    torch.testing.assert_close(classification_loss(logits, labels), expected)
    nothing = classification_loss(logits, torch.full((6,), UNKNOWN))
    nothing.backward()
    assert nothing.item() == 0
    assert not logits.grad.any()


def test_angular_margin_equals_its_formula():
    generator = torch.Generator().manual_seed(0)
    head = AdditiveAngularMargin(width=5, classes=4, margin=0.3, scale=20.0)
    embedding, labels = torch.randn(7, 5, generator=generator), torch.tensor([0, 1, 2, 3, 0, 1, UNKNOWN])
    found = head(embedding, labels)
    for row, label in enumerate(labels.tolist()):
        for column in range(4):
            cosine = torch.cosine_similarity(embedding[row], head.weight[column], dim=0)
            angle = torch.arccos(cosine) + (0.3 if column == label else 0.0)
            assert found[row, column].item() == pytest.approx(20 * torch.cos(angle).item(), abs=1e-3)


def test_without_margin_it_is_the_softmax_of_transformers():
    head = AdditiveAngularMargin(width=5, classes=4, margin=0.0, scale=30.0)
    theirs = AMSoftmaxLoss(input_dim=5, num_labels=4, scale=30.0, margin=0.0)
    theirs.weight.data = head.weight.data.T
    embedding, labels = (
        torch.randn(7, 5, generator=torch.Generator().manual_seed(2)),
        torch.tensor([0, 1, 2, 3, 0, 1, 2]),
    )
    ours = torch.nn.functional.cross_entropy(head(embedding, labels), labels)
    torch.testing.assert_close(ours, theirs(embedding, labels), atol=1e-4, rtol=1e-4)


@given(arrays(np.float32, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-1e6, 1e6, width=32)))
def test_a_reversed_gradient_leaves_the_values_and_turns_the_sign(values):
    given_values, weights = torch.tensor(values, requires_grad=True), torch.randn(3)
    reversed_values = reverse_gradient(given_values)
    torch.testing.assert_close(reversed_values, given_values, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad((reversed_values @ weights).sum(), given_values)
    torch.testing.assert_close(gradient, -weights.expand(len(values), 3))
