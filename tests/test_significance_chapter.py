"""The simulation draws what it says, its tests are those of the books, and its figures repeat."""

import numpy as np
import pandas as pd
import pytest

from sercore.sums import ccc_of_runs, speaker_sums
from simulation import significance
from simulation.population import SKEW
from simulation.significance import METHODS, draw, speakers_of_utterances, true_ccc
from study import paper
from study.chapters.data import speaker_share
from study.chapters.significance import power


def test_true_ccc_is_the_papers():
    assert true_ccc().mean() == pytest.approx(paper.results().loc[significance.REFERENCE, "mean"], abs=5e-5)


def test_speakers_are_as_unequal_as_the_papers():
    labels = speakers_of_utterances(100_000, 3_000_000, np.random.default_rng(1))
    assert len(labels) == pytest.approx(3_000_000, rel=0.01)
    share = speaker_share(pd.Series(labels), SKEW["utterances"])
    assert share == pytest.approx(SKEW["speakers"], abs=0.01)


@pytest.mark.parametrize("runs", [1, 3])
def test_systems_have_the_true_ccc_and_errors_of_the_stated_correlation(runs):
    sample = draw(20_000, 200_000, runs, np.random.default_rng(2))
    for system in sample.predicted:
        ccc = ccc_of_runs(speaker_sums(sample.gold, system, sample.speakers).sum(axis=0))
        np.testing.assert_allclose(ccc[:, :3], np.tile(true_ccc(), (runs, 1)), atol=0.03)
    errors = sample.predicted[:, 0] - true_ccc() * sample.gold
    between = [np.corrcoef(errors[0, :, a], errors[1, :, a])[0, 1] for a in range(3)]
    np.testing.assert_allclose(between, significance.CORRELATION, atol=0.03)
    if runs == 1:
        np.testing.assert_allclose(errors.var(axis=1) / (1 - true_ccc() ** 2), 1, atol=0.05)


def test_speakers_hold_their_share_of_the_variance():
    """Analysis of variance with two utterances a speaker: the intraclass correlation, ICC(1)."""
    labels = np.repeat(np.arange(50_000), 2)
    values = significance.effects(labels, 0.3, (), np.random.default_rng(3)).reshape(-1, 2, 3)
    between, within = 2 * values.mean(axis=1).var(axis=0, ddof=1), values.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose((between - within) / (between + within), 0.3, atol=0.02)


def test_same_repetition_same_outcome():
    first, again, other = (significance.repeat(30, number) for number in (7, 7, 8))
    assert first == again
    assert first.keys() == other.keys() == METHODS.keys()


def test_every_method_sees_a_difference_that_is_there():
    """One system predicts well and the other not: a test that never rejects would pass the simulation of errors."""
    generator = np.random.default_rng(5)
    for (family, name), (runs, method) in METHODS.items():
        sample = draw(40, 800, runs, generator)
        sample.predicted[0] += 2 * generator.standard_normal(sample.predicted[0].shape)
        assert method(sample, generator) == (family != "coverage"), name


def test_power_follows_from_the_error():
    table = power().query("set == 'Test3'")
    np.testing.assert_allclose(table["detectable"] / table["standard_error"], 2.8122, rtol=1e-4)
    assert table["text"].is_monotonic_increasing


def test_errors_that_go_together_leave_a_smaller_difference():
    table = significance._power([significance._differences("Test3", n) for n in range(10)], "Test3")
    assert table["standard_error"].is_monotonic_decreasing


@pytest.mark.slow
def test_speakers_as_units_keep_the_promise_and_utterances_do_not():
    """300 samples of 30 speakers, as the chapter's simulation draws them."""
    table = significance._rates([significance.repeat(30, 10_000 + number) for number in range(300)], 30)
    rate = table.set_index(["family", "method"])["rate"]
    assert rate["coverage", "jackknife-t over speakers"] > 0.88
    assert rate["coverage", "bootstrap over utterances"] < 0.8
    for family, method in (
        ("two systems", "swaps within speakers"),
        ("two methods", "jackknife plus 5 seeds"),
    ):
        assert rate[family, method] < 0.09
    for family, method in (("two systems", "bootstrap over utterances"), ("two methods", "Welch's test on 5 seeds")):
        assert rate[family, method] > 0.12
