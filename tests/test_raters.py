"""Statistics of raters, against literal transcriptions of their definitions and another library's CCC."""

from itertools import pairwise, permutations

import audmetric
import numpy as np
import pandas as pd
import pytest

from sercore import ATTRIBUTES
from sercore.corpus import CorpusError
from sercore.raters import agreement_weights
from simulation import whiser
from study.chapters.data import class_statistics, rater_statistics

RATERS = 4
"""How many rate each utterance; each column of scores is one of them."""


def corpus(scores: np.ndarray, words: np.ndarray, emotions: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`scores` of shape (utterances, RATERS, 3), `words` of shape (utterances, RATERS)."""
    names = pd.Index([f"u{number}" for number in range(len(scores))])
    table = pd.DataFrame(scores.mean(axis=1), index=names, columns=ATTRIBUTES)
    ratings = pd.DataFrame(scores.reshape(-1, 3), columns=ATTRIBUTES)
    ratings = ratings.assign(
        utterance=np.repeat(names, RATERS), rater=np.tile(list("abcd"), len(names)), emotion=words.ravel()
    )
    return table.assign(emotion=emotions, split="train"), ratings


@pytest.fixture(scope="module")
def made():
    generator = np.random.default_rng(3)
    truth = generator.normal(4, 1, (50, 1, 3))
    bias = np.array([-1.0, 0.0, 0.5, 0.5])[None, :, None]
    scores = np.clip(np.rint(truth + bias + generator.normal(0, 1, (50, RATERS, 3))), 1, 7)
    words = generator.choice(["N", "H", "O"], (50, RATERS), p=[0.6, 0.3, 0.1])
    return scores, words, corpus(scores, words, list(generator.choice(["N", "X"], 50)))


def measured(made, statistic, attribute):
    return rater_statistics(*made[2]).loc[(statistic, attribute), "measured"]


@pytest.mark.parametrize("column", range(3))
def test_spread_and_agreement(made, column):
    scores, attribute = made[0][:, :, column], ATTRIBUTES[column]
    within = np.mean([np.var(row, ddof=1) for row in scores])
    between = RATERS * np.var([np.mean(row) for row in scores], ddof=1)
    single = (between - within) / (between + (RATERS - 1) * within)
    assert measured(made, "one rating: standard deviation", attribute) == pytest.approx(np.std(scores, ddof=1))
    assert measured(made, "ratings of one utterance: standard deviation", attribute) == pytest.approx(within**0.5)
    assert measured(made, "ICC(1,1)", attribute) == pytest.approx(single)
    # Spearman and Brown: what the mean of k raters is worth, given one rater's worth.
    stepped_up = RATERS * single / (1 + (RATERS - 1) * single)
    assert measured(made, "ICC(1,k)", attribute) == pytest.approx(stepped_up)


@pytest.mark.parametrize("column", range(3))
def test_one_rater_against_the_others(made, column):
    scores, attribute = made[0][:, :, column], ATTRIBUTES[column]
    ones, others = [], []
    for row in scores:
        for rater in range(RATERS):
            ones.append(row[rater])
            others.append(np.mean(np.delete(row, rater)))
    expected = audmetric.concordance_cc(ones, others)
    assert measured(made, "CCC of one rater and the mean of the others", attribute) == pytest.approx(expected)
    biases = [np.mean([row[rater] - np.mean(np.delete(row, rater)) for row in scores]) for rater in range(RATERS)]
    assert measured(made, "bias of a rater: standard deviation", attribute) == pytest.approx(np.std(biases, ddof=1))


def test_votes(made):
    words = made[1]
    shares = [max(np.mean(row == word) for word in "NHO") for row in words]
    agreeing = np.mean([np.mean([one == other for one, other in permutations(row, 2)]) for row in words])
    chance = sum(np.mean(words == word) ** 2 for word in "NHO")
    assert measured(made, "primary votes: share of the most frequent, mean", "") == pytest.approx(np.mean(shares))
    assert measured(made, "primary votes: Fleiss' kappa", "") == pytest.approx((agreeing - chance) / (1 - chance))


def test_table_keeps_published_values_and_order(made):
    table = rater_statistics(*made[2])
    assert table["published"].to_dict() == whiser.RATERS.to_dict()
    assert table["measured"].notna().all()
    icc = table.xs("arousal", level="attribute")["published"]
    assert all(low < high for low, high in pairwise(icc[["ICC(1,1)", "ICC(1,k)"]]))


def test_classes(made):
    scores, _, given = made
    rows = (given[0]["emotion"] == "X").to_numpy()
    row = class_statistics(*given).loc["X"]
    assert row["utterances"] == rows.sum()
    assert row["mean valence"] == pytest.approx(scores[rows].mean(axis=1)[:, 1].mean())
    assert row["raters' sd arousal"] ** 2 == pytest.approx(scores[rows][:, :, 0].var(axis=1, ddof=1).mean())


def test_only_wanted_splits_count(made):
    scores, words, given = made
    table, ratings = corpus(np.full_like(scores, 7), words, ["N"] * 50)
    table.index = [f"t{number}" for number in range(50)]
    ratings["utterance"] = "t" + ratings["utterance"].str[1:]
    both = (
        pd.concat([given[0], table.assign(split="test3")]),
        pd.concat([given[1], ratings], ignore_index=True),
    )
    pd.testing.assert_frame_equal(rater_statistics(*both), rater_statistics(*given))


def test_weights_are_the_inverse_of_what_a_consensus_errs(made):
    scores, _, (table, ratings) = made
    chosen = table.index[10:40]
    found = agreement_weights(ratings, chosen)
    assert list(found.index) == list(chosen)
    for column, attribute in enumerate(ATTRIBUTES):
        errors = [np.var(row, ddof=1) / RATERS for row in scores[10:40, :, column]]
        expected = np.array([1 / (error + np.mean(errors)) for error in errors])
        np.testing.assert_allclose(found[attribute], expected / expected.mean())


def test_a_single_rating_weighs_as_the_average_and_none_at_all_is_refused(made):
    table, ratings = made[2]
    single = ratings[(ratings["utterance"] != "u3") | (ratings["rater"] == "a")]
    assert (agreement_weights(single, table.index).loc["u3"] == 1).all()
    assert (agreement_weights(ratings.assign(**dict.fromkeys(ATTRIBUTES, 4.0)), table.index) == 1).all(axis=None)
    for lacking in (None, ratings.drop_duplicates("utterance")):
        with pytest.raises(CorpusError, match=r"no training utterance has two ratings, which loss\.weight"):
            agreement_weights(lacking, table.index)
