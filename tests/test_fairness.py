"""Groups and gaps against literal loops, audmetric and scipy's own tests."""

import audmetric
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import make_study
from scipy import stats

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS
from study.chapters import fairness
from study.plan import question

SPEAKERS = np.repeat([f"s{i}" for i in range(9)], [12, 30, 5, 14, 9, 25, 11, 18, 40])


def drawn(rng, runs=2, shift=0.0):
    gold = 4 + rng.normal(0, 0.7, (len(SPEAKERS), 3))
    return gold, 4 + shift + 0.6 * (gold - 4) + rng.normal(0, 0.5, (runs, *gold.shape))


def literal(gold, predicted):
    """CCC of each attribute and their mean, averaged over runs."""
    each = np.mean([[audmetric.concordance_cc(gold[:, a], run[:, a]) for a in range(3)] for run in predicted], axis=0)
    return np.array([*each, each.mean()])


def literal_rmse(gold, predicted):
    each = np.mean([np.sqrt(((run - gold) ** 2).mean(axis=0)) for run in predicted], axis=0)
    return np.array([*each, each.mean()])


def test_a_gap_of_groups_with_common_speakers_leaves_each_speaker_out_of_both():
    rng = np.random.default_rng(0)
    gold, predicted = drawn(rng)
    one = rng.random(len(gold)) < 0.4
    one[SPEAKERS == "s3"] = False  # in one group alone
    found = fairness.gap(gold, predicted, SPEAKERS, one, ~one)

    def difference(kept):
        return literal(gold[one & kept], predicted[:, one & kept]) - literal(
            gold[~one & kept], predicted[:, ~one & kept]
        )

    left_out = np.array([difference(name != SPEAKERS) for name in np.unique(SPEAKERS)])
    error = np.sqrt(8 / 9 * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(found.difference, difference(np.full(len(gold), True)), rtol=1e-9)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-9)
    np.testing.assert_allclose(found.low, found.difference - stats.t(8).isf(0.025) * error, rtol=1e-9)
    np.testing.assert_allclose(found.p, 2 * stats.t(8).sf(np.abs(found.difference) / error), rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(rng=st.integers(0, 2**32 - 1).map(np.random.default_rng), paired=st.booleans())
def test_a_gap_turns_its_sign_with_the_groups_and_forgets_names(rng, paired):
    gold, predicted = drawn(rng)
    one = rng.random(len(gold)) < 0.5 if paired else SPEAKERS < "s4"
    found = fairness.gap(gold, predicted, SPEAKERS, one, ~one)
    order = rng.permutation(len(gold))
    turned = fairness.gap(gold[order], predicted[:, order], SPEAKERS[order], ~one[order], one[order])
    np.testing.assert_allclose(turned.difference, -found.difference, atol=1e-12)
    np.testing.assert_allclose(turned.low, -found.high, atol=1e-9)
    np.testing.assert_allclose(turned.p, found.p, atol=1e-9)
    assert ((found.low <= found.difference) & (found.difference <= found.high)).all()


def test_gaps_that_are_none_are_rarely_found():
    rng = np.random.default_rng(2)
    p = [fairness.gap(*drawn(rng, runs=1), SPEAKERS, SPEAKERS < "s4", SPEAKERS >= "s4").p[3] for _ in range(300)]
    assert 0.01 < np.mean(np.less(p, 0.05)) < 0.1


def test_bias_and_error_equal_their_definitions():
    gold, predicted = drawn(np.random.default_rng(3), shift=0.3)
    table = fairness.scores(gold, predicted, SPEAKERS, {})
    np.testing.assert_allclose(table["rmse"], literal_rmse(gold, predicted), rtol=1e-9)
    bias = (predicted - gold).mean(axis=(0, 1))
    np.testing.assert_allclose(table["bias"], [*bias, bias.mean()], rtol=1e-9)


@pytest.fixture(scope="module")
def study():
    return make_study(("speech_only", "fusion"))


@pytest.fixture
def written(study):
    return fairness.tables(study, question("embedded", "fairness"))


def test_tables_hold_each_group_with_its_own_ccc(study, written):
    tested = study.corpus[study.corpus["split"] == "test3"]
    table = written["groups"].set_index(["system", "grouping", "group", "endpoint"]).sort_index()
    run = [run.predictions.set_index("utterance") for run in study.runs if run.system == "fusion"]

    def mean(rows):
        truth = tested.loc[rows, list(ATTRIBUTES)].to_numpy()
        predicted = [one.loc[rows, [f"predicted_{name}" for name in ATTRIBUTES]].to_numpy() for one in run]
        return literal(truth, predicted)[3]

    for group in ("Female", "Male"):
        rows = tested.index[tested["gender"] == group]
        assert table.loc[("fusion", "gender", group, "mean"), "estimate"] == pytest.approx(mean(rows), abs=1e-5)
    for code in "ASN":
        rows = tested.index[tested["emotion"] == code]
        assert table.loc[("fusion", "emotion", EMOTIONS[code], "mean"), "estimate"] == pytest.approx(
            mean(rows), abs=1e-5
        )
    thirds = written["groups"].query("grouping == 'duration' and system == 'fusion' and endpoint == 'mean'")
    assert thirds["utterances"].sum() == len(tested)
    assert np.ptp(thirds["utterances"]) <= 2
    assert table.loc[("fusion", "all", "all", "mean"), "estimate"] == pytest.approx(mean(tested.index), abs=1e-5)
    assert not table.index.has_duplicates


def test_groupings_are_the_means_of_their_groups(written):
    groups = written["groups"].query("system == 'fusion' and endpoint == 'mean'")
    found = fairness.by_grouping(groups).loc["embedded"]
    assert list(found["groups"]) == [1, 3, 8, 2]
    women, men = (groups.set_index("group").loc[name] for name in ("Female", "Male"))
    assert found.loc["gender", "RMSE"] == pytest.approx((women["rmse"] + men["rmse"]) / 2)
    assert found.loc["gender", "lowest bias"] == min(women["bias"], men["bias"])
    assert found.loc["gender", "fewest speakers"] == min(women["speakers"], men["speakers"])


def test_the_gaps_of_all_systems_are_one_family(written):
    tested = written["gaps"].query("endpoint == 'mean'")
    assert len(tested) == 2 * (1 + 2 + 7)
    smallest = tested.loc[tested["p"].idxmin()]
    assert smallest["p_adjusted"] == pytest.approx(min(1, 20 * smallest["p"]), abs=1e-4)
    assert written["gaps"].drop(tested.index)[["p_adjusted", "detectable"]].isna().all(axis=None)


def test_what_is_unknown_or_too_small_is_in_no_group(study):
    gold = study.runs[0].predictions.query("split == 'test3'")
    corpus = study.corpus.copy()
    corpus.loc[gold["utterance"].iloc[:50], "gender"] = None
    groups = fairness.memberships(gold.assign(emotion=["D"] * 9 + ["N"] * (len(gold) - 9)), corpus)
    truth = gold[list(ATTRIBUTES)].to_numpy()
    table = fairness.scores(truth, truth[None] + 0.1, gold["speaker"].to_numpy(), groups)
    assert "disgust" not in set(table["group"])
    counts = table[table["endpoint"] == "mean"].set_index("group")["utterances"]
    assert counts["Female"] + counts["Male"] == len(gold) - 50
    assert counts["neutral"] == len(gold) - 9
