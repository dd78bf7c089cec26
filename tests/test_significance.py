"""Intervals and tests against other implementations, literal loops, closed forms, invariances, and their promise."""

import subprocess
import sys

import audmetric
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional.regression import concordance_corrcoef

from sercore.significance import (
    SignificanceError,
    difference,
    interval,
    retrained_difference,
    swapped_difference,
)
from sercore.sums import correlation_of, speaker_sums
from simulation.significance import bootstrap_interval as bootstrap_of


def ccc_interval(gold, predicted, speakers, **options):
    return interval(speaker_sums(gold, predicted, speakers), **options)


def correlation_interval(gold, predicted, speakers):
    return ccc_interval(gold, predicted, speakers, statistic=correlation_of)


def bootstrap_interval(gold, predicted, speakers, **options):
    return bootstrap_of(speaker_sums(gold, predicted, speakers), **options)


def ccc_difference(gold, a, b, speakers, **options):
    return swapped_difference(*(speaker_sums(gold, each, speakers) for each in (a, b)), **options)


def method_difference(gold, a, b, speakers, **options):
    return retrained_difference(*(speaker_sums(gold, each, speakers) for each in (a, b)), **options)


def kish(speakers):
    """Degrees of freedom of as many speakers of equal size."""
    sizes = np.unique(speakers, return_counts=True)[1]
    return 1 / ((sizes / sizes.sum()) ** 2).sum() - 1


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
    reach = stats.t(kish(speakers)).isf(0.05) * error
    result = ccc_interval(gold, predicted, speakers, confidence=0.9)
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
    wider = ccc_interval(gold, predicted, speakers, confidence=0.99)
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
        (lambda g, p, s: (np.full_like(g, 4), p, s), "all gold values of an attribute are the same"),
        (lambda g, p, s: (np.where(g == g[5], np.nan, g), p, s), "3 gold values are NaN or infinite"),
        (lambda g, p, s: (g, p + np.inf, s), "predicted values are NaN or infinite"),
        (lambda g, p, s: (g, p, [None, *s[1:]]), "1 utterances have no known speaker"),
        (lambda g, p, s: (g, p, s[1:]), "speakers; give one for each"),
        (lambda g, p, s: (g[1:], p, s[1:]), "they need"),
        (lambda g, p, s: (g, p[0, 0], s), "they need"),
        (lambda g, p, s: (g[:0], p[:, :0], s[:0]), "they need"),
    ],
)
def test_degenerate_input_is_refused_in_one_sentence(change, message):
    with pytest.raises(SignificanceError, match=message) as error:
        ccc_interval(*change(*simulate(np.random.default_rng(6))))
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_is_a_probability(confidence):
    with pytest.raises(SignificanceError, match=f"confidence is {confidence}; it lies between 0 and 1"):
        ccc_interval(*simulate(np.random.default_rng(7)), confidence=confidence)


def pair(rng, **sizes):
    """Two systems that differ, one run each: gold, a, b, speakers."""
    gold, predicted, speakers = simulate(rng, runs=2, **sizes)
    return gold, predicted[0] + 0.3 * (gold - 4), predicted[1], speakers


def literal_ccc(gold, predicted):
    each = [audmetric.concordance_cc(gold[:, a], predicted[:, a]) for a in range(gold.shape[1])]
    return np.array([*each, np.mean(each)])


def speaker_rows(speakers):
    return [np.flatnonzero(speakers == name) for name in np.unique(speakers)]


def arrays(result):
    return [value for value in vars(result).values() if isinstance(value, np.ndarray)]


def same(one, two, atol=0):
    for first, second in zip(arrays(one), arrays(two), strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=atol)


def test_one_run_needs_no_axis_of_its_own():
    gold, predicted, speakers = simulate(np.random.default_rng(10), runs=1)
    same(ccc_interval(gold, predicted[0], speakers), ccc_interval(gold, predicted, speakers))


def test_bootstrap_equals_that_of_scipy():
    """Both draw speakers; 20,000 resamples each leave limits that differ by the chance of the draws alone."""
    gold, predicted, speakers = simulate(np.random.default_rng(11), runs=1)
    rows = speaker_rows(speakers)

    def mean_ccc(drawn):
        chosen = np.concatenate([rows[int(i)] for i in drawn])
        return literal_ccc(gold[chosen], predicted[0, chosen])[3]

    theirs = stats.bootstrap(
        (np.arange(len(rows)),), mean_ccc, n_resamples=2000, method="percentile", vectorized=False, rng=1
    )
    ours = bootstrap_interval(gold, predicted, speakers, generator=np.random.default_rng(1), resamples=20_000)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low[3] == pytest.approx(theirs.confidence_interval.low, abs=0.05 * width)
    assert ours.high[3] == pytest.approx(theirs.confidence_interval.high, abs=0.05 * width)
    np.testing.assert_allclose(ours.ccc, literal_ccc(gold, predicted[0]), rtol=1e-12)


def test_bootstrap_of_two_speakers_is_known():
    """One of four draws is twice the first speaker, one twice the second: the outer quantiles are these two."""
    gold, predicted, speakers = simulate(np.random.default_rng(12), speakers=2, runs=1)
    alone = [literal_ccc(gold[rows], predicted[0, rows]) for rows in speaker_rows(speakers)]
    both = [*alone, literal_ccc(gold, predicted[0])]
    result = bootstrap_interval(gold, predicted, speakers, generator=np.random.default_rng(2), resamples=500)
    np.testing.assert_allclose(result.low, np.min(both, axis=0), rtol=1e-9)
    np.testing.assert_allclose(result.high, np.max(both, axis=0), rtol=1e-9)


@pytest.mark.parametrize("resamples", [256, 255])
def test_swaps_equal_those_of_scipy(resamples):
    """8 speakers: 256 ways to swap are taken one by one, as scipy does; with one resample fewer they are drawn."""
    gold, a, b, speakers = pair(np.random.default_rng(13), speakers=8)
    rows = speaker_rows(speakers)

    def difference(first, second):
        """Of the two systems, `first` telling for each speaker whose prediction (0: a, 1: b) counts as the first's."""
        one, two = a.copy(), b.copy()
        for chosen, other in zip(rows, first, strict=True):
            if other:
                one[chosen], two[chosen] = b[chosen], a[chosen]
        return literal_ccc(gold, one)[3] - literal_ccc(gold, two)[3]

    theirs = stats.permutation_test(
        (np.zeros(8), np.ones(8)), difference, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    assert len(theirs.null_distribution) == 256
    extreme = (np.abs(theirs.null_distribution) >= abs(theirs.statistic) - 1e-12).mean()
    ours = ccc_difference(gold, a, b, speakers, generator=np.random.default_rng(3), resamples=resamples)
    assert ours.difference[3] == pytest.approx(theirs.statistic)
    if resamples == 256:
        assert ours.p[3] == extreme
    else:
        assert ours.p[3] == pytest.approx(extreme, abs=4 * np.sqrt(extreme * (1 - extreme) / resamples) + 1 / resamples)
        assert (ours.p * 256 == np.round(ours.p * 256)).all()  # (1 + hits) / (1 + resamples)


def test_drawn_swaps_approach_all_swaps():
    gold, a, b, speakers = pair(np.random.default_rng(14), speakers=12)
    exact, drawn = (
        ccc_difference(gold, a, b, speakers, generator=np.random.default_rng(4), resamples=r).p for r in (4096, 4095)
    )
    assert (np.abs(exact - drawn) < 0.03).all()


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.6])
def test_limits_exclude_0_where_swapping_finds_a_difference(shift):
    """At any level, also where p is the smallest that there is; else Student's t has the same p."""
    rng = np.random.default_rng(round(10 * shift))
    for _ in range(20):
        gold, [a, b], speakers = simulate(rng, speakers=8)
        for confidence in (0.8, 0.95):
            found = ccc_difference(gold, a + shift * (gold - a), b, speakers, generator=rng, confidence=confidence)
            np.testing.assert_array_equal((found.low > 0) | (found.high < 0), found.p < 1 - confidence)
        p = 2 * stats.t.sf(np.abs(found.difference) / found.standard_error, found.df)
        told = (found.p > 2 / 2**8) & (found.p <= 0.5)
        np.testing.assert_allclose(found.p[told], p[told], rtol=1e-9)


def test_difference_equals_a_literal_jackknife():
    gold, a, b, speakers = pair(np.random.default_rng(15))
    everyone = literal_ccc(gold, a) - literal_ccc(gold, b)
    pseudo, count = [], 12
    for name in np.unique(speakers):
        keep = speakers != name
        pseudo.append(
            count * everyone - (count - 1) * (literal_ccc(gold[keep], a[keep]) - literal_ccc(gold[keep], b[keep]))
        )
    result = difference(*(speaker_sums(gold, each, speakers) for each in (a, b)), confidence=0.9)
    low, high = stats.t(kish(speakers), everyone, stats.sem(pseudo, axis=0)).interval(0.9)
    np.testing.assert_allclose(result.difference, everyone, rtol=1e-9)
    np.testing.assert_allclose(result.standard_error, stats.sem(pseudo, axis=0), rtol=1e-8)
    np.testing.assert_allclose([result.low, result.high], [low, high], rtol=1e-8)
    np.testing.assert_allclose(result.df, kish(speakers), rtol=1e-12)


def test_methods_equal_the_formulas_one_by_one():
    gold, runs, speakers = simulate(np.random.default_rng(16), runs=7)
    a, b = runs[:4] + 0.05 * (gold - 4), runs[4:]
    result = method_difference(gold, a, b, speakers, confidence=0.9)
    ccc_a, ccc_b = (np.array([literal_ccc(gold, run) for run in system]) for system in (a, b))
    over_speakers = difference(*(speaker_sums(gold, each, speakers) for each in (a, b)))
    parts = [over_speakers.standard_error**2, ccc_a.var(axis=0, ddof=1) / 4, ccc_b.var(axis=0, ddof=1) / 3]
    error = np.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / kish(speakers) + parts[1] ** 2 / 3 + parts[2] ** 2 / 2)
    found = ccc_a.mean(axis=0) - ccc_b.mean(axis=0)
    np.testing.assert_allclose(result.difference, found, rtol=1e-9)
    np.testing.assert_allclose(result.standard_error, error, rtol=1e-9)
    np.testing.assert_allclose(result.df, freedom, rtol=1e-9)
    np.testing.assert_allclose(result.p, 2 * stats.t(freedom).cdf(-np.abs(found) / error), rtol=1e-9)
    np.testing.assert_allclose([result.low, result.high], stats.t(freedom, found, error).interval(0.9), rtol=1e-9)


def test_without_speaker_variance_the_seeds_are_compared_as_by_welch():
    """Speakers who are copies of one another: what varies is the seed, and Satterthwaite's formula is Welch's."""
    gold, runs, _ = simulate(np.random.default_rng(17), runs=6)
    copies, names = 40, np.repeat(np.arange(40), len(gold))
    a, b = (np.tile(part, (1, copies, 1)) for part in (runs[:3] + 0.1 * (gold - 4), runs[3:]))
    result = method_difference(np.tile(gold, (copies, 1)), a, b, names)
    each = [np.array([literal_ccc(gold, run) for run in part]) for part in (runs[:3] + 0.1 * (gold - 4), runs[3:])]
    welch = stats.ttest_ind(*each, equal_var=False)
    np.testing.assert_allclose(result.p, welch.pvalue, rtol=1e-6)
    np.testing.assert_allclose(result.df, welch.df, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(rng=seeds())
def test_differences_are_repeatable_signed_and_without_order(rng):
    gold, a, b, speakers = pair(rng, speakers=int(rng.integers(2, 16)))
    runs_a, runs_b = np.stack([a, a + rng.normal(0, 0.2, a.shape)]), np.stack([b, b + rng.normal(0, 0.2, b.shape)])
    order = rng.permutation(len(gold))

    def swap(gold, a, b, speakers):
        return ccc_difference(gold, a, b, speakers, generator=np.random.default_rng(7), resamples=200)

    for method, first, second in ((swap, a, b), (method_difference, runs_a, runs_b)):
        result = method(gold, first, second, speakers)
        same(result, method(gold, first, second, speakers))
        same(result, method(gold[order], first[..., order, :], second[..., order, :], speakers[order]), atol=1e-9)
        back = method(gold, second, first, speakers)
        np.testing.assert_allclose(
            [-back.difference, -back.high, -back.low], [result.difference, result.low, result.high]
        )
        np.testing.assert_allclose([back.p, back.standard_error], [result.p, result.standard_error])
        assert ((result.p > 0) & (result.p <= 1)).all()
        assert ((result.low <= result.difference) & (result.difference <= result.high)).all()

    one, two, other = (
        bootstrap_interval(gold[o], a[o], speakers[o], generator=np.random.default_rng(8), resamples=200)
        for o in (slice(None), slice(None), order)
    )
    same(one, two)
    same(one, other, atol=1e-9)


def test_equal_systems_do_not_differ():
    gold, runs, speakers = simulate(np.random.default_rng(18), runs=3)
    for size in (slice(None), speakers < "s3"):
        args = gold[size], runs[0, size], runs[0, size], speakers[size]
        trained = ccc_difference(*args, generator=np.random.default_rng(9), resamples=300)
        method = method_difference(gold[size], runs[:, size], runs[:, size], speakers[size])
        single = method_difference(gold[size], runs[[0, 0]][:, size], runs[[0, 0]][:, size], speakers[size])
        for result in (trained, method, single):
            assert (result.difference == 0).all()
            assert (result.p == 1).all()
            assert all(np.isfinite(values).all() for values in arrays(result))
        assert (single.standard_error == 0).all()


def test_systems_that_differ_in_one_attribute_differ_in_that_alone():
    gold, a, _, speakers = pair(np.random.default_rng(19), speakers=40)
    b = a.copy()
    b[:, 1] = 4 + np.random.default_rng(20).normal(size=len(b))
    result = ccc_difference(gold, a, b, speakers, generator=np.random.default_rng(10))
    assert (result.p[[0, 2]] == 1).all()
    assert (result.standard_error[[0, 2]] == 0).all()
    assert result.p[1] == result.p[3] == 1 / 10_001
    assert result.low[1] > 0


def test_what_is_constant_once_drawn_has_no_nan():
    """All but one speaker have one gold value and one prediction: most resamples and swaps of them hold constants."""
    gold, a, b = np.full((30, 3), 4.1), np.full((30, 3), 3.3), np.full((30, 3), 3.3)
    rng = np.random.default_rng(21)
    gold[:2], a[:2], b[:2] = rng.normal(4, 1, (3, 2, 3))
    speakers = np.repeat(np.arange(15), 2)
    generator = np.random.default_rng(11)
    results = [
        ccc_interval(gold, a, speakers),
        bootstrap_interval(gold, a, speakers, generator=generator, resamples=500),
        ccc_difference(gold, a, b, speakers, generator=generator, resamples=500),
        method_difference(gold, np.stack([a, b]), np.stack([b, a]), speakers),
    ]
    for result in results:
        assert all(np.isfinite(values).all() for values in arrays(result))
    equal = np.where(np.arange(30)[:, None] < 2, a, gold)  # drawn without the first speaker: gold and the same constant
    assert np.isfinite(bootstrap_interval(gold, equal, speakers, generator=generator, resamples=500).low).all()


@pytest.mark.parametrize("value", [0.0, 4.1, 1e4])
@pytest.mark.parametrize("attributes", [[1], [0, 1, 2]])
def test_constant_predictions_have_a_ccc_of_0_and_no_interval(value, attributes):
    """Of the other attributes everything stays; a difference from a constant is that from 0."""
    gold, a, b, speakers = pair(np.random.default_rng(40), speakers=9)
    collapsed = a.copy()
    collapsed[:, attributes] = value
    gone = np.isin(np.arange(4), attributes) | (len(attributes) == 3)
    generators = [np.random.default_rng(seed) for seed in (0, 1)]
    for found, plain in (
        (ccc_interval(gold, collapsed, speakers), ccc_interval(gold, a, speakers)),
        (correlation_interval(gold, collapsed, speakers), correlation_interval(gold, a, speakers)),
        tuple(
            bootstrap_interval(gold, each, speakers, generator=one, resamples=100)
            for each, one in zip((collapsed, a), (np.random.default_rng(2), np.random.default_rng(2)), strict=True)
        ),
    ):
        assert (found.ccc[attributes] == 0).all()
        assert found.ccc[3] == pytest.approx(found.ccc[:3].mean())
        kept = ~gone[:3]
        for name in ("ccc", "low", "high"):
            np.testing.assert_allclose(getattr(found, name)[:3][kept], getattr(plain, name)[:3][kept])
        for limit in (found.low, found.high):
            np.testing.assert_array_equal(np.isnan(limit), gone)
    difference = ccc_difference(gold, b, collapsed, speakers, generator=generators[0], resamples=500)
    assert all(np.isfinite(values).all() for values in arrays(difference))
    np.testing.assert_allclose(difference.difference[attributes], ccc_interval(gold, b, speakers).ccc[attributes])
    equal = ccc_difference(gold, collapsed, collapsed + 1, speakers, generator=generators[1], resamples=500)
    np.testing.assert_array_equal(equal.p[attributes], 1)
    np.testing.assert_array_equal(equal.difference[attributes], 0)
    runs = np.stack([a, b]), np.stack([collapsed, collapsed])
    assert all(np.isfinite(values).all() for values in arrays(method_difference(gold, *runs, speakers)))


def test_one_run_that_collapsed_counts_as_0():
    gold, a, _, speakers = pair(np.random.default_rng(41), speakers=9)
    found = ccc_interval(gold, np.stack([a, np.full_like(a, 3.3)]), speakers)
    np.testing.assert_allclose(found.ccc, ccc_interval(gold, a, speakers).ccc / 2)
    assert np.isfinite(found.low).all()


def test_many_resamples_of_a_large_set_stay_small(monkeypatch):
    """In chunks of any size the statistics are those of all draws together."""
    gold, a, b, speakers = pair(np.random.default_rng(22), speakers=9)
    exact = ccc_difference(gold, a, b, speakers, generator=np.random.default_rng(12))
    monkeypatch.setattr("sercore.sums.CHUNK", 50)
    chunked = ccc_difference(gold, a, b, speakers, generator=np.random.default_rng(13))
    same(exact, chunked)
    few = bootstrap_interval(gold, a, speakers, generator=np.random.default_rng(14), resamples=7)
    assert np.isfinite(few.low).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, a, b, s: (g, a[0], b[0], s), "1 and 1 runs"),
        (lambda g, a, b, s: (g, a[:1], b[:2], s), "1 and 2 runs"),
        (lambda g, a, b, s: (g, a, b, ["s0"] * len(s)), "all utterances are of one speaker"),
        (lambda g, a, b, s: (g, a, b * np.nan, s), "predicted values are NaN"),
        (lambda g, a, b, s: (g, a, b, [None, *s[1:]]), "no known speaker"),
    ],
)
def test_degenerate_systems_are_refused_in_one_sentence(change, message):
    gold, runs, speakers = simulate(np.random.default_rng(23), runs=4)
    with pytest.raises(SignificanceError, match=message) as error:
        method_difference(*change(gold, runs[:2], runs[2:], speakers))
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_swapping_needs_systems_of_one_shape_and_resamples():
    gold, runs, speakers = simulate(np.random.default_rng(24), runs=3)
    generator = np.random.default_rng(15)
    with pytest.raises(SignificanceError, match="swapping needs equal ones"):
        ccc_difference(gold, runs[:2], runs[2:], speakers, generator=generator)
    with pytest.raises(SignificanceError, match="0 resamples"):
        ccc_difference(gold, runs[0], runs[1], speakers, generator=generator, resamples=0)
    with pytest.raises(SignificanceError, match="0 resamples"):
        bootstrap_interval(gold, runs, speakers, generator=generator, resamples=0)


def test_sums_of_one_speaker_or_of_other_utterances_are_refused():
    gold, runs, speakers = simulate(np.random.default_rng(25), runs=3)
    a, b, other = (speaker_sums(gold, each, speakers) for each in (runs[:2], runs[2:], runs[:2] + 0.1))
    same(retrained_difference(a, other), method_difference(gold, runs[:2], runs[:2] + 0.1, speakers))
    with pytest.raises(SignificanceError, match="all utterances are of one speaker"):
        interval(a[:1])
    with pytest.raises(SignificanceError, match="the systems have 2 and 1 runs; swapping needs equal ones"):
        swapped_difference(a, b, generator=np.random.default_rng(0))
    spread = a * np.array([1, 1, 1, 1.1, 1, 1])[:, None, None]  # other gold values
    for wrong in (a[1:], spread):
        with pytest.raises(SignificanceError, match="the systems' sums are of different utterances"):
            difference(a, wrong)


@pytest.mark.slow
def test_nineteen_of_twenty_intervals_hold_the_truth():
    """Speakers drawn anew 1,000 times, with effects of their own: the 95 % interval covers about 95 %."""
    rng = np.random.default_rng(8)
    gold, predicted, labels = simulate(rng, speakers=20_000, runs=1, utterances=15)
    truth = ccc_interval(gold, predicted, labels).ccc
    results = [ccc_interval(*simulate(rng, speakers=40, runs=1, utterances=15)) for _ in range(1000)]
    covered = np.mean([(r.low <= truth) & (truth <= r.high) for r in results], axis=0)
    assert (np.abs(covered - 0.95) < 0.025).all(), covered


@pytest.mark.slow
def test_one_of_twenty_equal_systems_is_called_different():
    """Two systems whose errors differ by chance alone, speaker by speaker: both tests reject at 5 % about 5 %."""
    rng = np.random.default_rng(25)
    swaps, methods = [], []
    for _ in range(1000):
        gold, runs, speakers = simulate(rng, speakers=30, runs=6)
        effects = rng.normal(0, 0.3, (2, 30, 3))[:, np.unique(speakers, return_inverse=True)[1]]
        runs += effects.repeat(3, axis=0)
        swaps.append(ccc_difference(gold, runs[0], runs[3], speakers, generator=rng, resamples=199).p <= 0.05)
        methods.append(method_difference(gold, runs[:3], runs[3:], speakers).p <= 0.05)
    for rejected in (np.mean(swaps, axis=0), np.mean(methods, axis=0)):
        assert (rejected < 0.075).all(), rejected
        assert (rejected > 0.025).all(), rejected


@settings(max_examples=30, deadline=None)
@given(seeds(), st.floats(-3, 3), st.floats(-20, 20))
def test_the_correlation_is_the_highest_ccc_that_a_change_of_scale_gives(rng, logarithm, offset):
    gold, predicted, speakers = simulate(rng)
    aligned = correlation_interval(gold, predicted, speakers).ccc
    expected = np.mean([[stats.pearsonr(gold[:, a], run[:, a])[0] for a in range(3)] for run in predicted], axis=0)
    np.testing.assert_allclose(aligned, [*expected, expected.mean()], rtol=1e-9)
    z = (predicted - predicted.mean(axis=1, keepdims=True)) / predicted.std(axis=1, keepdims=True)
    standardised = ccc_interval(gold, gold.mean(axis=0) + gold.std(axis=0) * z, speakers).ccc
    np.testing.assert_allclose(aligned, standardised, rtol=1e-9)
    assert (ccc_interval(gold, offset + np.exp(logarithm) * predicted, speakers).ccc <= aligned + 1e-12).all()


def test_limits_of_a_correlation_and_of_a_difference_equal_a_literal_jackknife():
    gold, predicted, speakers = simulate(np.random.default_rng(5))

    def correlations(keep):
        each = np.mean(
            [[np.corrcoef(gold[keep, a], run[keep, a])[0, 1] for a in range(3)] for run in predicted], axis=0
        )
        return np.array([*each, each.mean()])

    def lost(keep):
        table = [[audmetric.concordance_cc(gold[keep, a], run[keep, a]) for a in range(3)] for run in predicted]
        each = np.mean(table, axis=0)
        return correlations(keep) - np.array([*each, each.mean()])

    everyone, each = np.full(len(gold), True), [speakers != one for one in np.unique(speakers)]
    quantile, factor = stats.t.ppf(0.975, kish(speakers)), np.sqrt(11 / 12)
    z = np.arctanh([correlations(keep) for keep in each])
    reach = quantile * factor * np.sqrt(((z - z.mean(axis=0)) ** 2).sum(axis=0))
    found = correlation_interval(gold, predicted, speakers)
    middle = np.arctanh(correlations(everyone))
    np.testing.assert_allclose([found.low, found.high], np.tanh([middle - reach, middle + reach]), rtol=1e-8)

    without = np.array([lost(keep) for keep in each])
    reach = quantile * factor * np.sqrt(((without - without.mean(axis=0)) ** 2).sum(axis=0))
    expected = lost(everyone)
    sums = speaker_sums(gold, predicted, speakers)
    found = difference(sums, sums, a_of=correlation_of)
    np.testing.assert_allclose(
        [found.difference, found.low, found.high], [expected, expected - reach, expected + reach], rtol=1e-8
    )


def test_statistics_need_neither_torch_nor_transformers():
    """They come with the package's bare install."""
    code = "import sys; import sercore.significance; print({'torch', 'transformers', 'soundfile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
