"""The gender's weight: accuracy against audmetric's and a literal jackknife, conditions, and what has no answer."""

from dataclasses import replace

import audmetric
import numpy as np
import pandas as pd
import pytest
from made_up import make_corpus, make_run, make_study, write_results
from scipy import stats

from sercore.params import ParamsError
from sercore.significance import SignificanceError
from study import plan as questions
from study.chapters import gender_weight, gender_weight_report


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    asked, root = questions.question("embedded", "gender_weight"), tmp_path_factory.mktemp("results")
    for condition in asked.conditions:
        (root / condition).mkdir()
        write_results(root / condition, make_study(asked.compared))
    return root


@pytest.fixture(scope="module")
def measured(results):
    return gender_weight.measure("embedded", results)


def test_the_weights_are_those_of_the_question(measured):
    assert [one.condition for one in measured] == ["study", "gender_linked"]
    for one in measured:
        assert sorted(one.weights.values()) == [0, 0.1, 0.5, 1, 2]
        assert one.weights["fusion"] == 0
        assert list(one.accuracy.index) == [name for name in one.weights if name != "fusion"]


def test_balanced_accuracy_is_audmetrics_average_recall(measured):
    study = measured[0].study
    rows = pd.concat([run.predictions for run in study.runs if run.system == "fusion_gender"])
    rows = rows[rows["split"] == "test3"]
    truth = rows["utterance"].map(study.corpus["gender"]) == "Female"
    told = measured[0].accuracy.loc["fusion_gender"]
    assert told["balanced"] == pytest.approx(audmetric.unweighted_average_recall(truth, rows["predicted_female"] > 0.5))
    assert told["accuracy"] == pytest.approx(((rows["predicted_female"] > 0.5) == truth).mean())
    assert told["majority"] == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    assert told["low"] < told["balanced"] < told["high"]


def test_its_interval_is_that_of_two_independent_means_where_speakers_say_equally_much():
    """Then each share is the mean of its speakers' shares, and its jackknife error the standard error of that mean."""
    rng = np.random.default_rng(0)
    corpus = pd.DataFrame({"gender": np.repeat(["Female", "Male"], [80, 60])}, [f"u{i}" for i in range(140)])
    rows = pd.DataFrame({"utterance": corpus.index, "split": "test3", "speaker": np.repeat(np.arange(14), 10)})
    rows["predicted_female"] = rng.uniform(0, 1, 140)
    run = replace(make_run("fusion_gender", 0, make_corpus(), rng), predictions=rows)
    told = gender_weight.gender_accuracy([run], corpus, "test3")
    right = (rows["predicted_female"] > 0.5) == (corpus["gender"].to_numpy() == "Female")
    shares = right.groupby(rows["speaker"]).mean().to_numpy()
    women, men = shares[:8], shares[8:]
    # Welch's interval of the difference of women's shares and men's turned round has the error of their sum.
    expected = stats.ttest_ind(women, -men, equal_var=False).confidence_interval()
    assert told["low"] == pytest.approx(expected.low / 2)
    assert told["high"] == pytest.approx(expected.high / 2)


def test_runs_that_do_not_tell_the_gender_or_one_gender_alone_are_refused():
    study = make_study(("fusion", "fusion_gender"))
    without = [run for run in study.runs if run.system == "fusion"]
    with pytest.raises(ParamsError, match="runs of fusion lack predicted_female"):
        gender_weight.gender_accuracy(without, study.corpus, "test3")
    runs = [run for run in study.runs if run.system == "fusion_gender"]
    with pytest.raises(SignificanceError, match=r"'Male': 0} speakers; gender accuracy needs two of each"):
        gender_weight.gender_accuracy(runs, study.corpus.assign(gender="Female"), "test3")


def test_equal_corpora_have_no_effect_of_the_link(measured):
    effects = gender_weight.link_effects(measured)
    assert list(effects) == [0.1, 0.5, 1, 2]
    for effect in effects.values():
        assert effect.difference == pytest.approx(0)
        assert effect.p == pytest.approx(1)
    assert gender_weight.link_effects(measured[:1]) == {}


def test_effects_of_the_link_add_the_errors_of_both_gains(measured):
    effect = gender_weight.link_effects(measured)[1.0]
    gain = measured[0].comparison.tested.set_index("system").loc["fusion_gender"]
    single = (gain["high"] - gain["low"]) / 2
    assert single < (effect.high - effect.low)[-1] / 2 < 2 * single


def test_gender_is_worth_something_where_there_is_a_link():
    plain, linked = gender_weight.reading(0.0), gender_weight.reading(1.0)
    assert plain[1] == pytest.approx(plain[0], abs=0.005)
    assert linked[1] == pytest.approx(plain[1], abs=0.02)
    assert linked[0] < plain[0] - 0.1


def test_the_page_shows_what_was_measured(measured):
    figure = gender_weight_report.figure(measured)
    assert [panel.get_title() for panel in figure.axes[:2]] == ["corpus as it is", "corpus with a gender link"]
    drawn = {line.get_label(): line for line in figure.axes[0].containers}
    rows = measured[0].comparison.differences.query("endpoint == 'mean'")["difference"]
    assert list(drawn["mean"].lines[0].get_ydata()) == pytest.approx([0, *rows])
    scores = gender_weight_report.scores_table(measured)
    assert scores.count("weight 0.5") == 2
    assert "with a gender link" in gender_weight_report.answer(measured)
    assert gender_weight_report.differences_table(measured).count("resolved") >= 8
    single = measured[:1]
    assert "simulation alone" in gender_weight_report.link_table(single)
    assert len(gender_weight_report.figure(single).axes) == 2
