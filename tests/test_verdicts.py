"""Verdicts against the formulas written out, against scipy's distributions, and against what they promise."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from sercore import verdicts
from sercore.significance import difference, retrained_difference, seed_variance, swapped_difference
from sercore.sums import SignificanceError, speaker_sums
from sercore.verdicts import VERDICTS, detectable_difference, detectable_equivalence, differences, judged, scores


def table(estimates, error=0.005, df=50.0, endpoint="mean"):
    rows = pd.DataFrame({"endpoint": endpoint, "estimate": estimates, "standard_error": error, "df": df})
    rows["p"] = 2 * stats.t.sf(rows["estimate"].abs() / rows["standard_error"], rows["df"])
    return rows.assign(low=-1.0, high=1.0)


@pytest.mark.parametrize(
    ("estimate", "error", "verdict"),
    [
        (0.05, 0.005, "better"),
        (-0.05, 0.005, "worse"),
        (0.010, 0.002, "better, by less than the margin"),
        (-0.010, 0.002, "worse, by less than the margin"),
        (0.002, 0.005, "equivalent"),
        (0.0, 0.0, "equivalent"),
        (0.015, 0.02, "inconclusive"),
    ],
)
def test_verdicts_by_hand(estimate, error, verdict):
    assert set(judged(table([estimate, estimate], error), 0.02)["verdict"]) == {verdict}


def test_each_column_is_its_formula():
    found = judged(table([0.013, -0.03], [0.004, 0.006], [20.0, 90.0]), 0.02, comparisons=5)
    for _, row in found.iterrows():
        t = stats.t(row["df"])
        size = abs(row["estimate"])
        equivalence = max(  # two one-sided tests, of which the larger p counts
            t.cdf((row["estimate"] - 0.02) / row["standard_error"]),
            t.sf((row["estimate"] + 0.02) / row["standard_error"]),
        )
        outer, inner = (row["standard_error"] * t.ppf(1 - alpha) for alpha in (0.005, 0.01))
        expected = {
            "comparisons": 5,
            "margin": 0.02,
            "p_adjusted": min(1, 5 * row["p"]),
            "p_equivalence": equivalence,
            "p_equivalence_adjusted": min(1, 5 * equivalence),
            "low": row["estimate"] - outer,
            "high": row["estimate"] + outer,
            "inner_low": row["estimate"] - inner,
            "inner_high": row["estimate"] + inner,
            "equivalent_within": size + inner,
        }
        assert dict(row[list(expected)]) == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-0.1, 0.1), st.floats(1e-4, 0.05), st.floats(1, 500), st.integers(1, 30), st.sampled_from([0.01, 0.02])
)
def test_picture_and_verdict_agree(estimate, error, df, size, margin):
    row = judged(table([estimate], error, df), margin, size).iloc[0]
    different = row["low"] > 0 or row["high"] < 0
    equivalent = row["inner_low"] > -margin and row["inner_high"] < margin
    names = {(True, False): ("better", "worse"), (False, True): ("equivalent",), (False, False): ("inconclusive",)}
    within = ("better, by less than the margin", "worse, by less than the margin")
    assert row["verdict"] in names.get((different, equivalent), within)
    assert equivalent == (row["equivalent_within"] < margin)
    assert row["verdict"] in VERDICTS


def test_rows_of_attributes_are_not_judged():
    rows = pd.concat([table([0.3], endpoint="valence"), table([0.3])], ignore_index=True)
    found = judged(rows, 0.02)
    assert list(found["verdict"]) == ["", "better"]
    assert found.loc[0, "low"] == -1
    assert found.iloc[0][["p_adjusted", "detectable", "comparisons"]].isna().all()
    again = judged(found, 0.02)
    pd.testing.assert_frame_equal(again[found.columns], found)


@pytest.mark.parametrize(("margin", "size"), [(0, 2), (-0.1, 2), (float("nan"), 2), (0.02, 1)])
def test_a_family_needs_a_margin_and_its_size(margin, size):
    with pytest.raises(SignificanceError, match="margin"):
        judged(table([0.1, 0.2]), margin, size)


@pytest.mark.parametrize(("df", "comparisons"), [(2, 1), (8, 1), (19, 11), (57.3, 1), (713, 5)])
def test_detectable_is_found_in_four_of_five(df, comparisons):
    """From scipy's noncentral t, both tails; its own sf fails at many arguments, so its density is integrated."""
    critical = stats.t.isf(0.025 / comparisons, df)

    def power(shift):
        """P(|Z + shift| > critical sqrt(chi^2 / df)), by integration over the chi-squared variable."""

        def given_spread(q):
            reach = critical * np.sqrt(stats.chi2.ppf(q, df) / df)
            return stats.norm.sf(reach - shift) + stats.norm.cdf(-reach - shift)

        return integrate.quad(given_spread, 0, 1, limit=200)[0]

    expected = optimize.brentq(lambda shift: power(shift) - 0.8, 0.5, 60)
    assert detectable_difference(1, df, comparisons=comparisons) == pytest.approx(expected, rel=2e-4)


def test_what_can_be_found_of_a_normal_error_is_that_of_the_textbook():
    assert detectable_difference(1, 1e6) == pytest.approx(1.959964 + 0.841621, abs=1e-4)
    assert detectable_equivalence(1, 1e6) == pytest.approx(1.644854 + 1.281552, abs=1e-4)
    np.testing.assert_allclose(detectable_difference([1, 2], [10, 10]) * 2, detectable_difference([2, 4], 10))


def study(rng, speakers=40, runs=3, utterances=12, effects=(0.0, 0.0, 0.0)):
    """Sums of systems that differ by seed, by speaker, and by `effects` on how closely they follow the gold values."""
    labels = np.repeat(np.arange(speakers), utterances)
    gold = rng.normal(0, 1, (len(labels), 3)) + rng.normal(0, 0.5, (speakers, 3))[labels]
    sums = {}
    for number, effect in enumerate(effects):
        by_speaker = rng.normal(0, 0.3, (speakers, 3))[labels]
        by_run = rng.normal(0.6 + effect, 0.02, (runs, 1, 1))
        predicted = by_run * gold + by_speaker + rng.normal(0, 0.4, (runs, *gold.shape))
        sums[f"system {number}"] = speaker_sums(gold, predicted, labels)
    return sums


def test_differences_and_scores_are_those_of_significance():
    sums = study(np.random.default_rng(0))
    pairs = [("system 1", "system 0"), ("system 2", "system 0")]
    found = differences(sums, pairs)
    for pair, rows in zip(pairs, (found[:4], found[4:]), strict=True):
        expected = retrained_difference(*(sums[name] for name in pair))
        for column, values in (("estimate", expected.difference), ("df", expected.df), ("p", expected.p)):
            np.testing.assert_allclose(rows[column], values)
        assert set(rows["system"] + " - " + rows["reference"]) == {" - ".join(pair)}
    assert set(found["utterances"]) == {480}
    assert set(found["speakers"]) == {40}
    assert list(found["endpoint"][:4]) == ["arousal", "valence", "dominance", "mean"]
    single = {name: each[:, :, :1] for name, each in sums.items()}
    expected = swapped_difference(single["system 1"], single["system 0"], generator=np.random.default_rng(0))
    np.testing.assert_allclose(differences(single, pairs[:1])["p"], expected.p)
    assert list(scores(sums)["system"].unique()) == list(sums)


def test_planning_pools_the_variance_over_seeds():
    """Each system once, by its degrees of freedom, though it may be in several pairs."""
    rng = np.random.default_rng(1)
    sums = study(rng, runs=4) | {"few": study(rng, runs=3)["system 0"]}
    sums["few"][:, [0, 1, 3]] = sums["system 0"][:, [0, 1, 3]][:, :, :3]
    pairs = [("system 1", "system 0"), ("few", "system 0")]
    rows = verdicts.differences(sums, pairs).query("endpoint == 'mean'")
    used = ("system 0", "system 1", "few")
    each = {name: seed_variance(sums[name])[-1] for name in used}
    pooled = (3 * each["system 0"] + 3 * each["system 1"] + 2 * each["few"]) / 8
    for (_, row), (one, other) in zip(rows.iterrows(), pairs, strict=True):
        speakers = difference(sums[one], sums[other]).standard_error[-1] ** 2
        seeds = pooled * (1 / sums[one].shape[2] + 1 / sums[other].shape[2])
        assert row["planned_error"] == pytest.approx(np.sqrt(speakers + seeds))


@pytest.mark.slow
def test_false_verdicts_in_a_family_are_rare():
    """Of 400 families of two comparisons, one true difference of nothing and one of just the margin, few hold a false
    verdict."""
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(400):
        estimates = rng.normal([0.0, 0.02], 0.004)
        spread = 0.004 * np.sqrt(rng.chisquare(30, 2) / 30)
        verdict = list(judged(table(estimates, spread, 30.0), 0.02)["verdict"])
        false += (
            verdict[0] not in ("equivalent", "inconclusive") or "margin" in verdict[1] or verdict[1] == "equivalent"
        )
    assert false / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def committed():
    """Every table of the committed pages that holds verdicts, from its download."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8").replace('\\"', "'")
        for name, data in re.findall(r"download='([^']+)\.csv' href='data:text/csv;base64,([^']+)", text):
            table = pd.read_csv(io.BytesIO(base64.b64decode(data)))
            if "verdict" in table:
                yield f"{path.stem} {name}", table[table["endpoint"] == "mean"]


def test_every_verdict_of_the_book_follows_from_its_table():
    """By Student's t of the printed difference, standard error and degrees of freedom alone."""
    seen = 0
    for source, table in committed():
        for _, row in table.iterrows():
            t, reach = stats.t(row["df"]), stats.t.isf(0.05 / row["comparisons"] / 2, row["df"]) * row["standard_error"]
            different = row["comparisons"] * 2 * t.sf(abs(row["estimate"]) / row["standard_error"]) < 0.05
            same = row["comparisons"] * t.sf((row["margin"] - abs(row["estimate"])) / row["standard_error"]) < 0.05
            signed = "better" if row["estimate"] > 0 else "worse"
            within = ", by less than the margin" if same else ""
            verdict = signed + within if different else "equivalent" if same else "inconclusive"
            assert row["verdict"] == verdict, f"{source}: {row['system']} - {row['reference']}"
            limits = row["estimate"] + np.array([-reach, reach])
            np.testing.assert_allclose([row["low"], row["high"]], limits, atol=1e-5)
            assert different == (row["low"] > 0 or row["high"] < 0)
            seen += 1
    assert seen > 100
