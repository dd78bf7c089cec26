"""The gender's weight: accuracy against audmetric's and a literal jackknife, conditions, and what has no answer."""

from dataclasses import replace

import audmetric
import numpy as np
import pandas as pd
import pytest
from made_up import make_corpus, make_run, make_study
from scipy import stats

from sercore.params import ParamsError
from sercore.significance import SignificanceError
from study import comparisons, plan, show
from study.chapters import gender_weight

QUESTION = plan.question("embedded", "gender_weight")


@pytest.fixture(scope="module")
def studies():
    return [replace(make_study(QUESTION.compared), condition=condition) for condition in QUESTION.conditions]


def test_the_weights_are_those_of_the_question(studies):
    weights = gender_weight.weights(studies[0])
    assert sorted(weights.values()) == [0, 0.1, 0.5, 1, 2]
    assert weights["fusion"] == 0
    told = gender_weight.accuracies(studies, QUESTION)
    assert set(told["system"]) == set(weights) - {"fusion"}
    assert set(told["condition"]) == {"study", "gender_linked"}


def test_balanced_accuracy_is_audmetrics_average_recall(studies):
    runs = [run for run in studies[0].runs if run.system == "fusion_gender"]
    rows = pd.concat([run.predictions for run in runs])
    rows = rows[rows["split"] == "test3"]
    truth = rows["utterance"].map(studies[0].corpus["gender"]) == "Female"
    told = gender_weight.gender_accuracy(runs, studies[0].corpus, "test3")
    assert told["estimate"] == pytest.approx(audmetric.unweighted_average_recall(truth, rows["predicted_female"] > 0.5))
    assert told["accuracy"] == pytest.approx(((rows["predicted_female"] > 0.5) == truth).mean())
    assert told["majority"] == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    assert told["low"] < told["estimate"] < told["high"]


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
    with pytest.raises(ParamsError, match="runs of fusion: no predicted_female"):
        gender_weight.gender_accuracy(without, study.corpus, "test3")
    runs = [run for run in study.runs if run.system == "fusion_gender"]
    with pytest.raises(SignificanceError, match=r"'Male': 0} speakers; gender accuracy needs two of each"):
        gender_weight.gender_accuracy(runs, study.corpus.assign(gender="Female"), "test3")


def test_equal_corpora_have_no_effect_of_the_link(studies):
    effects = gender_weight.link_effects(studies, QUESTION)
    assert set(effects["weight"]) == {0.1, 0.5, 1, 2}
    assert effects["estimate"].to_numpy() == pytest.approx(0)
    assert effects["p"].to_numpy() == pytest.approx(1)
    gains = comparisons.differences(studies[0], QUESTION).query("endpoint == 'valence' and system == 'fusion_gender'")
    both = effects.query("endpoint == 'valence' and system == 'fusion_gender'")
    single, joint = ((each["high"] - each["low"]).item() for each in (gains, both))
    assert single < joint < 2 * single
    assert gender_weight.link_effects(studies[:1], QUESTION).empty


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_effects_of_few_seeds_are_of_the_trained_models(seeds):
    study = make_study(("fusion", "fusion_gender"), seeds)
    asked = plan.Question("gender_weight", "?", (("fusion_gender", "fusion"),))
    effects = gender_weight.link_effects([study, replace(study, condition="gender_linked")], asked)
    assert set(effects["sets"]) == {seeds}
    assert show.models(effects) == ("; of these trained models" if seeds < 3 else "")
