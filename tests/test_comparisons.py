"""Comparisons of systems of noise, against plain loops over audmetric, and against what the files declare."""

import shutil
from dataclasses import replace

import audmetric
import numpy as np
import pandas as pd
import pytest
import yaml
from made_up import make_corpus, make_ratings, make_run, make_study

from sercore import ATTRIBUTES, params, significance
from sercore.runs import PREDICTED
from sercore.sums import SignificanceError, speaker_sums
from study import comparisons, paper
from study import plan as questions
from study.chapters.data import rater_statistics
from study.comparisons import CEILING, FLOOR
from study.plan import Question
from study.results import Study, aligned, matched, reported_split, summed
from study.sums import guessed

TEXT = Question("text", "?", (("fusion", "speech_only"), ("fusion_gender", "fusion")))
ENSEMBLE = ("speech_gender_development_ambiguous", "whisper_fusion")


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def scores(study):
    return comparisons.scores(study, TEXT)


@pytest.fixture(scope="module")
def differences(study):
    return comparisons.differences(study, TEXT)


def audmetrics_mean(run, utterances):
    rows = run.predictions.set_index("utterance").loc[utterances]
    return np.mean([audmetric.concordance_cc(rows[name], rows[f"predicted_{name}"]) for name in ATTRIBUTES])


def by_pair(table):
    return comparisons.tested(table).set_index(["system", "reference"])


def test_differences_are_those_of_audmetrics_means_over_seeds(study, scores, differences):
    utterances = list(study.corpus.index[study.corpus["split"] == "test3"])
    mean = {
        system: np.mean([audmetrics_mean(run, utterances) for run in study.runs if run.system == system])
        for system in TEXT.compared
    }
    rows = by_pair(differences)
    for one, other in TEXT.pairs:
        assert rows.loc[(one, other), "estimate"] == pytest.approx(mean[one] - mean[other])
    found = scores.query("endpoint == 'mean'").set_index("system")["estimate"]
    assert dict(found[list(TEXT.compared)]) == pytest.approx(mean)


def test_each_family_has_the_size_that_is_declared(differences):
    """Speech alone is far worse by construction. The paper prints both differences: they are confirmatory."""
    rows = by_pair(differences)
    assert list(rows["verdict"]) == ["better", "inconclusive"]
    assert set(rows["family"]) == {"confirmatory"}
    declared = [pair for one in questions.questions("embedded").values() for pair in one.pairs]
    printed = [pair for pair in declared if paper.difference(*pair)]
    assert set(rows["comparisons"]) == {len(printed)}
    assert set(rows["margin"]) == {0.02}


def test_what_the_paper_does_not_print_is_exploratory(study):
    open_one = comparisons.differences(study, replace(TEXT, open=True))
    assert set(open_one["family"]) == {"exploratory"}
    assert set(open_one["comparisons"].dropna()) == {2}
    assert comparisons.confirmatory(questions.questions("embedded")["text"]) == [("fusion", "speech_only")]
    assert comparisons.confirmatory(questions.questions("emotale")["real_speech"]) == []


def test_one_run_of_each_is_compared_as_two_trained_systems(study):
    single = summed(replace(study, runs=[run for run in study.runs if run.params.seed == 0]))
    table = comparisons.differences(single, TEXT)
    assert set(table["seeds"]) == set(table["sets"]) == {1}
    gold, a = matched([run for run in single.runs if run.system == "fusion"], "test3")
    _, b = matched([run for run in single.runs if run.system == "speech_only"], "test3")
    sums = [speaker_sums(gold[list(ATTRIBUTES)], each[0], gold["speaker"]) for each in (a, b)]
    expected = significance.swapped_difference(*sums, generator=np.random.default_rng(0))
    rows = table.query("system == 'fusion'")
    np.testing.assert_allclose(rows["p"], expected.p)
    np.testing.assert_allclose(rows["estimate"], expected.difference)
    pd.testing.assert_frame_equal(comparisons.differences(single, TEXT), table)


def test_folds_are_pooled_to_one_set_of_two_trained_systems(study):
    tables = study.corpus[study.corpus["split"] == "test3"]
    fold = tables["speaker"].str.extract(r"-(\d+)", expand=False).astype(int) % 3
    rng = np.random.default_rng(0)
    runs = [make_run(name, seed, tables[fold == seed], rng) for name in TEXT.compared for seed in range(3)]
    pooled = comparisons.scores(summed(replace(study, runs=runs)), TEXT)[:12]
    assert [set(pooled[name]) for name in ("seeds", "sets", "utterances")] == [{3}, {1}, {len(tables)}]


def test_an_ensemble_is_the_mean_of_its_members_seed_by_seed():
    study = make_study(ENSEMBLE, seeds=2)
    gold, predictions, seeds = aligned(study.runs, ["ensemble_two", *ENSEMBLE], "test3")
    assert seeds == [0, 1]
    for seed in range(2):
        tables = [run.predictions for run in study.runs if run.params.seed == seed]
        tables = [table.set_index("utterance").loc[gold["utterance"], PREDICTED].to_numpy() for table in tables]
        np.testing.assert_allclose(predictions["ensemble_two"][seed], (tables[0] + tables[1]) / 2)


def test_only_seeds_that_all_systems_have_are_compared(study):
    fewer = [run for run in study.runs if (run.system, run.params.seed) != ("fusion", 0)]
    _, predictions, seeds = aligned(fewer, TEXT.compared, "test3")
    assert seeds == [1]
    assert {len(each) for each in predictions.values()} == {1}
    other = [run for run in study.runs if run.params.seed == (run.system == "fusion")]
    with pytest.raises(params.ParamsError, match="no seed in common"):
        aligned(other, TEXT.compared, "test3")


def test_systems_are_compared_on_the_utterances_that_none_was_trained_on():
    study = make_study(("fusion", "fusion_development_ambiguous"))
    question = Question("ambiguous", "?", (("fusion_development_ambiguous", "fusion"),))
    scores = comparisons.scores(study, question, "development")
    development = study.corpus[study.corpus["split"] == "development"]
    assert set(scores["utterances"][:8]) == {(~development["emotion"].isin(["O", "X"])).sum()}
    with pytest.raises(SignificanceError, match="no run of fusion_gender"):
        comparisons.differences(study, Question("other", "?", (("fusion_gender", "fusion"),)))


def test_guessing_is_worth_nothing(study, scores):
    floor = scores[scores["system"] == FLOOR]
    assert floor["estimate"].abs().max() < 0.05
    train = study.corpus[study.corpus["split"] == "train"]
    guesses = guessed(train, 10_000)
    np.testing.assert_array_equal(guesses, guessed(train, 10_000))
    np.testing.assert_allclose(guesses.mean(axis=(0, 1)), train[list(ATTRIBUTES)].mean(), atol=0.01)
    np.testing.assert_allclose(guesses.std(axis=(0, 1)), train[list(ATTRIBUTES)].std(), atol=0.01)


def test_the_ceiling_is_the_ccc_of_one_rater_and_the_others(study, scores):
    expected = rater_statistics(study.corpus, study.ratings, splits=("test3",))["measured"]
    expected = expected.loc["CCC of one rater and the mean of the others"]
    ceiling = scores[scores["system"] == CEILING].set_index("endpoint")
    assert dict(ceiling.loc[list(ATTRIBUTES), "estimate"]) == pytest.approx(dict(expected))
    assert ceiling["speakers"].eq(12).all()


def test_no_ceiling_without_ratings(study):
    elsewhere = study.ratings[~study.ratings["utterance"].str.startswith("test3")]
    single = study.ratings.drop_duplicates("utterance")  # one rater has no others
    for ratings in (None, elsewhere, single):
        assert CEILING not in set(comparisons.scores(summed(replace(study, ratings=ratings)), TEXT)["system"])


def test_an_ensemble_may_take_each_attribute_from_another_system():
    alone = ["fusion_arousal", "fusion_valence", "fusion_dominance"]
    study = make_study(["fusion", *alone])
    gold, joined, _ = aligned(study.runs, ["fusion_by_attribute"], "test3")
    assert questions.members("fusion_by_attribute") == tuple(alone)
    for column, name in enumerate(alone):
        runs = [run for run in study.runs if run.system == name]
        for found, run in zip(joined["fusion_by_attribute"], runs, strict=True):
            expected = run.predictions.set_index("utterance").loc[gold["utterance"], PREDICTED[column]]
            np.testing.assert_array_equal(found[:, column], expected)


# What is declared


def test_every_declared_system_is_a_variant_or_an_ensemble_of_variants():
    asked = questions.questions("embedded")
    assert list(asked) == ["text", "auxiliary_tasks", "undersampling", "ambiguous_labels", "ensembles"]
    asked |= questions.questions("embedded", open=True) | questions.questions("emotale")
    assert set(questions.systems(asked.values())) == set(params.variants())
    assert questions.members("fusion") == ("fusion",)
    assert all(len(set(question.pairs)) == len(question.pairs) for question in asked.values())


def test_a_profile_may_answer_some_questions():
    asked = questions.questions("iemocap")
    assert list(asked) == ["real_speech", "auxiliary_tasks"]
    assert "speech_finetuned" in questions.systems(asked.values())
    assert "baseline" not in questions.systems(asked.values())
    assert questions.question("iemocap", "auxiliary_tasks") == asked["auxiliary_tasks"]
    with pytest.raises(params.ParamsError, match="does not answer 'ensembles'; it answers real_speech, auxiliary"):
        questions.question("iemocap", "ensembles")


@pytest.fixture
def declare(project, tmp_path_factory, monkeypatch):
    """Write ``params/questions.yaml`` as a function changes it, in a copy of the project's parameters."""
    copy = tmp_path_factory.mktemp("declared")
    shutil.copytree(project / "params", copy / "params")
    monkeypatch.chdir(copy)

    def write(change):
        declared = yaml.safe_load((project / "params" / "questions.yaml").read_text())
        change(declared)
        (copy / "params" / "questions.yaml").write_text(yaml.safe_dump(declared))

    return write


def test_an_unknown_system_is_named(declare):
    declare(lambda declared: declared["ensembles"]["ensemble_two"].update(members=["fusion", "fussion"]))
    with pytest.raises(params.ParamsError, match="compares fussion in 'ensembles'"):
        questions.questions("embedded")


def test_an_open_question_has_conditions_and_tests(declare):
    longer = {"training": {"epochs": 3}}
    entry = {
        "sentence": "?",
        "comparisons": [["fusion", "speech_only"]],
        "conditions": ["study", "crowded", "longer"],
        "tests": ["elsewhere"],
    }

    def change(declared):
        declared["open"] = {"new": entry}
        declared["conditions"] = {
            "longer": longer,
            "crowded": {"only": "simulation.release", "corpus": {"train_speakers": 80}},
        }
        declared["tests"] = {"elsewhere": {"path": "data/other"}}
        declared["readers"]["emotale"] = ["text", "new"]

    declare(change)
    assert questions.question("embedded", "new").conditions == ("study", "crowded", "longer")
    assert questions.question("emotale", "new").conditions == ("study", "longer")  # the simulation's is left out
    assert questions.questions("embedded", open=True)["new"].tests == ("elsewhere",)
    assert "new" not in questions.questions("embedded")
    assert questions.overrides("longer") == longer
    assert questions.overrides("crowded") == {"corpus": {"train_speakers": 80}}
    assert questions.overrides("study") == {}
    assert questions.tested_on("elsewhere") == {"path": "data/other"}
    entry["conditions"] = ["crowded"]
    declare(change)
    assert list(questions.questions("embedded", open=True)) == ["new"]
    assert not questions.questions("emotale", open=True)  # all its conditions are for another corpus
    with pytest.raises(params.ParamsError, match="unknown profile 'embeded'; params/ has embedded,"):
        questions.questions("embeded")
    entry["tests"] = ["nowhere"]
    declare(change)
    with pytest.raises(params.ParamsError, match="asks 'new' for nowhere: add it under tests there"):
        questions.question("embedded", "new")


# The paper


def test_papers_means_are_the_mean_of_the_three_except_where_the_paper_errs():
    rows = paper.results().dropna(subset=list(ATTRIBUTES))
    error = (rows["mean"] - rows[list(ATTRIBUTES)].mean(axis=1)).abs()
    digits = paper.results(yaml.BaseLoader).loc[rows.index, "arousal"].str.len() - 1
    assert list(rows.index[error > 1.01 / 10.0**digits]) == ["Table 4, MMWavLM, whole dataset"]
    entries = [*params.variants(), "ensemble_two", "ensemble_three"]
    assert {questions.paper_row(name) for name in entries} - {None} <= set(paper.results().index)


def test_the_papers_differences_come_from_rows_on_the_same_data(differences):
    rows = yaml.safe_load((params.project_root() / "book" / "paper_results.yaml").read_text())["rows"]
    step = rows["Table 2, MMWavLM"]["mean"] - rows["Table 2, WavLM"]["mean"]
    assert by_pair(differences).loc[("fusion", "speech_only"), "paper"] == pytest.approx(step)
    assert paper.difference("fusion", "speech_only") == pytest.approx((step, 4))
    assert paper.difference("ensemble_two", "baseline")[1] == 3  # the baseline is known in three digits
    assert paper.difference("fusion_development_ambiguous", "fusion")[1] == 2
    assert paper.difference("baseline", "speech_only") is None  # Test3 and the validation set
    assert paper.difference("whisper_only", "speech_only") is None


def test_quoted_figures_are_data_not_prose():
    """No page or notebook types a figure of the paper: they all come from the one file."""
    printed = paper.results(yaml.BaseLoader)[[*ATTRIBUTES, "mean"]]
    texts = {text for text in printed.to_numpy().ravel() if len(str(text)) == 5}
    pages = [*(params.project_root() / "book").glob("*.md"), *(params.project_root() / "notebooks").glob("*.py")]
    assert len(pages) > 10
    for page in pages:
        assert not [text for text in texts if text in page.read_text()], page


def test_the_ceiling_takes_unknown_speakers_by_their_show():
    corpus = make_corpus()
    known = np.where(corpus["split"] == "test3", None, corpus["speaker"])
    names = [f"MSP-PODCAST_{i % 5:04}_{i:04}" for i in range(len(corpus))]
    corpus = corpus.assign(speaker=known).set_axis(pd.Index(names, name="utterance"))
    rng = np.random.default_rng(0)
    runs = [make_run(name, seed, corpus, rng) for name in TEXT.compared for seed in range(2)]
    scores = comparisons.scores(summed(Study(runs, corpus, make_ratings(corpus, rng))), TEXT)
    assert set(scores["speakers"]) == {5}


def test_what_a_run_was_trained_on_is_left_out_for_all():
    """Each seed lends other development utterances to training; what all of them predict is compared."""
    study = make_study(("fusion",), seeds=3)
    lent = [set(run.predictions["utterance"].iloc[number::7]) for number, run in enumerate(study.runs)]
    runs = [
        replace(run, predictions=run.predictions[~run.predictions["utterance"].isin(one)])
        for run, one in zip(study.runs, lent, strict=True)
    ]
    gold, predicted = matched(runs, "development")
    everyone = study.runs[0].predictions.query("split == 'development'")["utterance"]
    assert list(gold["utterance"]) == sorted(set(everyone) - set.union(*lent))
    assert predicted.shape == (3, len(gold), 3)
    for run, ours in zip(study.runs, predicted, strict=True):
        expected = run.predictions.set_index("utterance").loc[gold["utterance"], PREDICTED]
        np.testing.assert_array_equal(ours, expected)


# Splits, one system at a time


def test_scores_of_splits_are_the_mean_over_seeds_of_audmetrics_ccc(study):
    found = comparisons.split_scores(study).set_index(["system", "split", "endpoint"])
    assert len(found) == 3 * 2 * 4
    tables = [run.predictions.query("split == 'test3'") for run in study.runs if run.system == "fusion"]
    for name in ATTRIBUTES:
        expected = np.mean([audmetric.concordance_cc(table[name], table[f"predicted_{name}"]) for table in tables])
        row = found.loc[("fusion", "test3", name)]
        assert row["estimate"] == pytest.approx(expected)
        assert row["low"] < expected < row["high"]


def test_the_order_of_rows_in_a_run_does_not_matter(study):
    shuffled = [replace(run, predictions=run.predictions.sample(frac=1, random_state=1)) for run in study.runs]
    again = summed(replace(study, runs=shuffled), middle=4)
    pd.testing.assert_frame_equal(comparisons.split_scores(again), comparisons.split_scores(study))


def test_a_split_without_gold_values_is_not_reported(study):
    hidden = study.runs[0].predictions.copy()
    hidden.loc[hidden["split"] == "test3", list(ATTRIBUTES)] = np.nan
    run = replace(study.runs[0], predictions=hidden)
    assert reported_split(study.runs) == "test3"
    assert reported_split([run]) == "development"
    assert set(comparisons.split_scores(summed(Study([run])))["split"]) == {"development"}
