"""`ccc_interval` against other implementations of CCC, a literal jackknife, invariances, and its own promise."""

import audmetric
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional.regression import concordance_corrcoef

from sercore.significance import SignificanceError, ccc_interval


def simulate(rng, speakers=12, runs=2, utterances=None, shift=0.0):
    """Attributes with an effect of the speaker in gold and predictions, speakers of unequal size."""
    counts = utterances or rng.integers(3, 30, size=speakers)
    labels = np.repeat([f"s{i}" for i in range(speakers)], counts)
    effect = np.repeat(rng.normal(0, 0.5, (speakers, 3)), counts, axis=0)
    gold = 4 + effect + rng.normal(0, 0.7, (len(labels), 3))
    bias = np.repeat(rng.normal(0, 0.3, (speakers, 3)), counts, axis=0)
    predicted = 4 + shift + bias + 0.6 * (gold - 4) + rng.normal(0, 0.5, (runs, *gold.shape))
    return gold, predicted, labels


def seeds():
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def test_estimate_equals_audmetric_and_torchmetrics():
    gold, predicted, speakers = simulate(np.random.default_rng(1), runs=3)
    result = ccc_interval(gold, predicted, speakers)
    audeering = [[audmetric.concordance_cc(gold[:, a], run[:, a]) for a in range(3)] for run in predicted]
    lightning = [concordance_corrcoef(torch.tensor(run), torch.tensor(gold)).numpy() for run in predicted]
    np.testing.assert_allclose(result.ccc[:3], np.mean(audeering, axis=0), rtol=1e-12)
    unbiased = len(gold) / (len(gold) - 1)  # torchmetrics divides by n - 1, which only the offset of the means notices
    np.testing.assert_allclose(result.ccc[:3], np.mean(lightning, axis=0), rtol=unbiased - 1)
    assert result.ccc[3] == pytest.approx(result.ccc[:3].mean())
    assert (result.runs, result.utterances, result.speakers) == (3, len(gold), 12)


def test_limits_equal_a_literal_jackknife():
    gold, predicted, speakers = simulate(np.random.default_rng(2))

    def endpoint(keep):
        table = [[audmetric.concordance_cc(gold[keep, a], run[keep, a]) for a in range(3)] for run in predicted]
        each = np.mean(table, axis=0)
        return np.arctanh([*each, each.mean()])

    everyone = endpoint(np.full(len(gold), True))
    pseudo = []
    names = sorted(set(speakers))
    for name in names:
        pseudo.append(len(names) * everyone - (len(names) - 1) * endpoint(speakers != name))
    error = np.std(pseudo, axis=0, ddof=1) / np.sqrt(len(names))
    reach = stats.t(len(names) - 1).isf(0.05) * error
    result = ccc_interval(gold, predicted, speakers, level=0.9)
    np.testing.assert_allclose(result.low, np.tanh(everyone - reach), rtol=1e-9)
    np.testing.assert_allclose(result.high, np.tanh(everyone + reach), rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(rng=seeds())
def test_bounded_ordered_and_invariant(rng):
    gold, predicted, speakers = simulate(rng, speakers=int(rng.integers(2, 9)), runs=int(rng.integers(1, 4)))
    result = ccc_interval(gold, predicted, speakers)
    assert (result.low >= -1).all()
    assert (result.low <= result.ccc).all()
    assert (result.ccc <= result.high).all()
    assert (result.high <= 1).all()
    wider = ccc_interval(gold, predicted, speakers, level=0.99)
    assert (wider.low <= result.low).all()
    assert (result.high <= wider.high).all()

    order = rng.permutation(len(gold))
    names = dict(zip(np.unique(speakers), rng.permutation(1000), strict=False))
    scale, shift = rng.uniform(0.1, 10), rng.uniform(-1000, 1000)
    same = [
        ccc_interval(gold[order], predicted[:, order], speakers[order]),
        ccc_interval(gold, predicted[::-1], speakers),
        ccc_interval(gold, predicted, [names[name] for name in speakers]),
        ccc_interval(scale * gold + shift, scale * predicted + shift, speakers),
        ccc_interval(np.tile(gold, (2, 1)), np.tile(predicted, (1, 2, 1)), np.tile(speakers, 2)),
    ]
    for other in same:
        for name in ("ccc", "low", "high"):
            np.testing.assert_allclose(getattr(other, name), getattr(result, name), atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(rng=seeds())
def test_symmetric_in_gold_and_predicted(rng):
    gold, predicted, speakers = simulate(rng, runs=1, shift=0.5)
    one, two = ccc_interval(gold, predicted, speakers), ccc_interval(predicted[0], gold[None], speakers)
    np.testing.assert_allclose([one.ccc, one.low, one.high], [two.ccc, two.low, two.high], atol=1e-8)


def test_speakers_that_differ_widen_the_interval():
    """With a label for each utterance the speaker's effect is taken for noise, and the interval is too narrow."""
    gold, predicted, speakers = simulate(np.random.default_rng(3), speakers=20)
    clustered = ccc_interval(gold, predicted, speakers)
    naive = ccc_interval(gold, predicted, np.arange(len(gold)))
    assert ((clustered.high - clustered.low) > (naive.high - naive.low)).all()


def test_perfect_agreement():
    gold, _, speakers = simulate(np.random.default_rng(4))
    result = ccc_interval(gold, gold[None], speakers)
    np.testing.assert_allclose([result.ccc, result.low, result.high], 1, atol=1e-11)


def test_far_from_zero_nothing_is_lost():
    gold, predicted, speakers = simulate(np.random.default_rng(5))
    here, far = ccc_interval(gold, predicted, speakers), ccc_interval(gold + 1e6, predicted + 1e6, speakers)
    np.testing.assert_allclose(far.low, here.low, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, p, s: (g, p, ["s0"] * len(s)), "all utterances are of one speaker"),
        (lambda g, p, s: (g, p * 0, s), "all predicted values of an attribute are the same"),
        (lambda g, p, s: (np.full_like(g, 4), p, s), "all gold values of an attribute are the same"),
        (lambda g, p, s: (np.where(g == g[5], np.nan, g), p, s), "3 gold values are NaN or infinite"),
        (lambda g, p, s: (g, p + np.inf, s), "predicted values are NaN or infinite"),
        (lambda g, p, s: (g, p, [None, *s[1:]]), "1 utterances have no known speaker"),
        (lambda g, p, s: (g, p, s[1:]), "speakers; give one for each"),
        (lambda g, p, s: (g[1:], p, s[1:]), "they need"),
        (lambda g, p, s: (g, p[0], s), "they need"),
        (lambda g, p, s: (g[:0], p[:, :0], s[:0]), "they need"),
    ],
)
def test_degenerate_input_is_refused_in_one_sentence(change, message):
    with pytest.raises(SignificanceError, match=message) as error:
        ccc_interval(*change(*simulate(np.random.default_rng(6))))
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("level", [0, 1, 95])
def test_level_is_a_probability(level):
    with pytest.raises(SignificanceError, match="level of confidence"):
        ccc_interval(*simulate(np.random.default_rng(7)), level=level)


@pytest.mark.slow
def test_nineteen_of_twenty_intervals_hold_the_truth():
    """Speakers drawn anew 1,000 times, with effects of their own: the 95 % interval covers about 95 %."""
    rng = np.random.default_rng(8)
    gold, predicted, labels = simulate(rng, speakers=20_000, runs=1, utterances=15)
    truth = ccc_interval(gold, predicted, labels).ccc
    results = [ccc_interval(*simulate(rng, speakers=40, runs=1, utterances=15)) for _ in range(1000)]
    covered = np.mean([(r.low <= truth) & (truth <= r.high) for r in results], axis=0)
    assert (np.abs(covered - 0.95) < 0.025).all(), covered
