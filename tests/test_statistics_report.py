"""The chapter on statistics says what its tables hold, for any study."""

import re

import audmetric
import made_up
import numpy as np
import pandas as pd
import pytest

from sercore import ATTRIBUTES, params
from sercore.significance import ccc_interval
from study import paper
from study import results as studies
from study.chapters import statistics_report as chapter


@pytest.fixture(scope="module")
def study():
    return made_up.make_study()


def texts(html):
    """Rows of cells without markup."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, flags=re.DOTALL)
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows
    ]


def test_committed_simulation_is_of_the_present_settings():
    """A constant that was changed without running the simulation again would be quoted beside the old figures."""
    from study.chapters import calibration

    found = chapter.outcomes()
    assert set(zip(found["family"], found["method"], strict=True)) == {
        (family, name) for family, (_, methods) in calibration.FAMILIES.items() for name in methods
    }
    assert set(found["speakers"]) == set(calibration.SPEAKERS)
    assert set(found["repetitions"]) == {calibration.REPETITIONS}
    table = chapter.simulated("power")
    assert set(table["correlation"]) == set(calibration.POWER_CORRELATIONS)
    assert set(table["speaker_share"]) == set(calibration.POWER_SHARES)
    assert set(table["repetitions"]) == {calibration.POWER_REPETITIONS}
    assert {name: (part["speakers"].iloc[0], part["utterances"].iloc[0]) for name, part in table.groupby("set")} == (
        calibration.SETS
    )


@pytest.mark.slow
def test_committed_power_repeats():
    from study.chapters import calibration

    found = [calibration.differences("Test3", 0.2, n) for n in range(calibration.POWER_REPETITIONS)]
    again = calibration.power(found, "Test3", 0.2)["error"].to_numpy()
    kept = chapter.simulated("power").query("set == 'Test3' and speaker_share == 0.2")["error"].to_numpy()
    np.testing.assert_allclose(again, kept, rtol=1e-5)


def test_rates_are_in_the_table_once_each():
    rows = texts(chapter.rates_table())[1:]
    found = chapter.outcomes().query("speakers == 30")["method"]
    assert [row[1].removesuffix(" ✓") for row in rows] == found.to_list()
    assert sum("✓" in row[1] for row in rows) == len(chapter.CHOSEN)


def test_steps_are_the_papers():
    steps = chapter.steps()
    assert steps["text"].to_list() == ["+.0194", "+.0017", "−.0009"]
    results = paper.results()["mean"]
    assert steps.loc["gender", "difference"] == pytest.approx(
        results["Table 3, MMWavLM + G Pred"] - results["Table 2, MMWavLM"]
    )


def test_power_rises_with_correlation_and_falls_with_the_speakers_share():
    table = chapter.powers()
    for (_, share), rows in table.groupby(["set", "speaker_share"]):
        assert rows["detectable"].is_monotonic_decreasing, share
        assert rows["text"].is_monotonic_increasing
    for _, rows in table.groupby(["set", "correlation"]):
        assert rows["detectable"].is_monotonic_increasing
    assert table[list(chapter.STEPS)].notna().all(axis=None)
    assert "nan" not in chapter.power_table()


def test_sentences_follow_the_table(monkeypatch):
    """Errors so small that all is detected, and so large that nothing is."""
    table = chapter.simulated("power")
    for factor, words in ((1e-4, "detectable at every correlation"), (100, "detectable at no correlation up to .99")):
        monkeypatch.setattr(
            chapter,
            "simulated",
            lambda name, factor=factor: table.assign(
                error=table["error"] * factor, detectable=table["detectable"] * factor
            ),
        )
        assert chapter.power_sentences().count(words) == len(chapter.STEPS)


def test_slips_are_found_by_arithmetic(monkeypatch):
    lines = chapter.slips().splitlines()
    assert len(lines) == 3
    assert "whole dataset: the printed mean is .5996, that of the three values .5976: +.0020" in lines[0]
    assert "G Pred" in lines[1]
    values, printed = paper.results(), paper.printed()
    values.loc["Table 2, WavLM", "mean"], printed.loc["Table 2, WavLM", "mean"] = 0.6395, ".6395"
    monkeypatch.setattr(paper, "results", lambda: values)
    monkeypatch.setattr(paper, "printed", lambda: printed)
    assert "Table 2, WavLM: the printed mean is .6395" in chapter.slips()


def test_sensitivity_hides_speakers(study):
    """Names that tell no show: hidden speakers become one unit, and all of them hidden leave no interval."""
    rows = [row for row in texts(chapter.sensitivity_table(study)) if row[0] == "test3"]
    known, some, everyone, alone = (row[2:] for row in rows)
    gold = study.corpus[study.corpus["split"] == "test3"]
    assert known[0] == str(gold["speaker"].nunique())
    assert 1 < int(some[0]) < int(known[0])
    assert everyone == ["1", *["–"] * 4]
    assert alone[0] == str(len(gold))
    predicted = studies.matched([run for run in study.runs if run.system == "fusion"], "test3")[1]
    expected = ccc_interval(gold.sort_index()[list(ATTRIBUTES)], predicted, gold.sort_index()["speaker"])
    assert known[1] == f"{expected.ccc[-1]:.3f}[{expected.low[-1]:.3f}, {expected.high[-1]:.3f}]".replace("0.", ".")


def test_shows_in_names_make_the_units(study):
    """Two speakers a show: hiding all speakers leaves half as many units."""
    order = study.corpus["speaker"].unique()
    show = study.corpus["speaker"].map({name: i // 2 for i, name in enumerate(order)})
    names = {old: f"MSP-PODCAST_{show[old]:04}_{i:04}" for i, old in enumerate(study.corpus.index)}
    runs = [
        studies.Run(
            run.system,
            run.params,
            run.metrics,
            run.history,
            run.predictions.assign(utterance=run.predictions["utterance"].map(names)),
            None,
        )
        for run in study.runs
    ]
    renamed = studies.Study(runs, study.corpus.rename(index=names), study.ratings, None)
    rows = [row for row in texts(chapter.sensitivity_table(renamed)) if row[0] == "test3"]
    assert int(rows[2][2]) == int(rows[0][2]) / 2


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_study_of_one_or_more_runs_has_its_sentences(seeds):
    one = made_up.make_study(seeds=seeds)
    assert len(chapter.error_sentences(one).splitlines()) == 2 + (seeds > 1)
    shown = chapter.error_sentences(one) + chapter.sensitivity_sentence(one) + chapter.sensitivity_table(one)
    assert "nan" not in shown


def test_error_correlation_and_share_of_speakers():
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(3000), rng.integers(1, 5, 3000))
    effect = rng.normal(0, np.sqrt(0.3), (3000, 3))[speakers]
    one = effect + rng.normal(0, np.sqrt(0.7), (2, len(speakers), 3))
    assert chapter._speaker_share([one], pd.Series(speakers)) == pytest.approx(0.3, abs=0.03)
    assert chapter._correlation(one[:1], one[1:]) == pytest.approx(0.3, abs=0.03)
    expected = np.mean([audmetric.pearson_cc(one[0, :, a], one[1, :, a]) for a in range(3)])
    assert chapter._correlation(one[:1], one[1:]) == pytest.approx(expected)


def test_benchmark_says_what_was_timed():
    rows = texts(chapter.benchmark_table())[1:]
    assert [row[0] for row in rows] == [one["way"] for one in chapter.benchmark()["results"]]
    assert rows[0][-1] == "1"
    assert not re.search(r"/(home|root|work|tmp)/", str(chapter.benchmark()))


@pytest.mark.parametrize("draw", [chapter.rates_figure, chapter.power_figure])
def test_figures_have_labelled_axes(draw):
    figure = draw()
    for panel in figure.axes:
        assert panel.get_xlabel()
        assert panel.get_ylabel()
        assert panel.get_legend() is not None


def test_profiles_that_exist_ask_something():
    assert all(chapter.questions(profile) for profile in params.profiles())
