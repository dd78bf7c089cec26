from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import make_study

from sercore import ATTRIBUTES, params
from sercore.runs import PREDICTED
from study import comparisons
from study.chapters import transcripts_report
from study.chapters.transcripts_report import answer, compare, differences_table, figure, rates_table
from study.plan import Question

SYSTEMS = ("speech_only", "fusion", "fusion_noisy_text")
PAIRS = (("fusion", "speech_only"), ("fusion_noisy_text", "speech_only"), ("fusion_noisy_text", "fusion"))
QUESTION = Question("transcripts", "?", PAIRS, open=True)
RATES = pd.DataFrame(
    {"split": "test3", "utterances": 260, "missing": [0, 0, 0, 0.5, 0, 0], "words": 900, "deletions": 0.1}
    | {"substitutions": 0.1, "insertions": 0.1, "wer": [0, 0.19, 0.48, 0, 0.41, 0.28]},
    index=pd.Index(["words_00", "words_20", "words_50", "missing_50", "recognised", "fusion_noisy_text"], name="name"),
)
ERRORS = {"words_00": 0.4, "words_20": 0.9, "words_50": 2.5, "missing_50": 0.6, "recognised": 2.0}
"""Standard deviation of what systems with text get wrong; speech alone has 1."""


@pytest.fixture(scope="module")
def study():
    made, rng, parts = make_study(SYSTEMS, seeds=3), np.random.default_rng(0), []
    for run in made.runs:
        rows = run.predictions[run.predictions["split"] == "test3"]
        alone = rng.normal(0, 1, (len(rows), 3))
        for test, error in ERRORS.items():
            noise = alone if run.system == "speech_only" else rng.normal(0, error, (len(rows), 3))
            table = rows[["utterance", "split"]].assign(system=run.system, seed=run.params.seed, test=test)
            table[PREDICTED] = np.clip(rows[list(ATTRIBUTES)].to_numpy() + noise, 1, 7)
            parts.append(table)
    return replace(made, tests=pd.concat(parts, ignore_index=True))


@pytest.fixture(scope="module")
def tested(study):
    return compare(study, QUESTION, RATES, ["words", "recognised"])


def test_a_test_is_compared_as_a_study_that_had_predicted_nothing_else(study, tested):
    rows = study.tests[study.tests["test"] == "words_20"].set_index(["system", "seed"])
    runs = []
    for run in study.runs:
        gold = run.predictions.drop(columns=PREDICTED)
        predictions = gold.merge(rows.loc[(run.system, run.params.seed), ["utterance", *PREDICTED]])
        runs.append(replace(run, predictions=predictions))
    expected = comparisons.compare(replace(study, runs=runs), QUESTION)
    one = tested.differences[tested.differences["test"] == "words_20"].reset_index(drop=True)
    columns = ["system", "reference", "endpoint", "difference", "low", "high", "p"]
    pd.testing.assert_frame_equal(one[columns], expected.differences[columns])
    scores = tested.scores[tested.scores["test"] == "words_20"].reset_index(drop=True)[["system", "endpoint", "ccc"]]
    pd.testing.assert_frame_equal(scores, expected.scores.head(len(scores))[["system", "endpoint", "ccc"]])


def test_all_tests_of_a_table_are_one_family(tested):
    steps = tested.differences[tested.differences["endpoint"] == "mean"]
    assert list(steps.groupby("test").size()) == [3, 3, 3, 3]
    assert np.allclose(np.sort(steps["holm"])[0], min(1, 12 * steps["p"].min()))
    assert tested.seeds == 3


def test_the_answer_names_measured_rates_above_and_below_speech_alone(tested):
    text = answer(tested)
    first = text.splitlines()[0]
    assert first.startswith("- `fusion` against `speech_only`, by word error rate: above at 0")
    assert "below at 48 %" in first
    assert "41" not in first  # the recogniser's errors are of another kind
    crossing = float(first.partition("passes zero at about ")[2].rstrip(" %."))
    assert 19 <= crossing < 48
    assert "`fusion` against `fusion_noisy_text`" not in text


def test_where_the_sign_never_changes_the_answer_says_so(study):
    rates = RATES.loc[["words_00", "missing_50"]]
    assert "The difference is positive throughout." in answer(compare(study, QUESTION, rates, ["words", "missing"]))


def test_tests_that_were_not_made_are_left_out(study):
    without = replace(study, tests=study.tests[study.tests["test"] != "recognised"])
    found = compare(without, QUESTION, RATES, ["words", "recognised"])
    assert set(found.scores["test"]) == {"words_00", "words_20", "words_50"}
    assert len(figure(found).axes[0].containers) == 2


def test_tables_and_figure_show_what_was_measured(study, tested):
    table = differences_table(tested)
    for text in ("errors of all kinds, 20 % asked for", "19 %", "a recogniser's words", "12 comparisons", "resolved"):
        assert text in table
    assert "50 %" in differences_table(compare(study, QUESTION, RATES, ["missing"]))
    assert "28 %" in rates_table(RATES)
    panels = figure(tested).axes
    assert [panel.get_title() for panel in panels] == ["mean of the three attributes", "valence"]
    for panel, name in zip(panels, ("mean", "valence"), strict=True):
        drawn = panel.containers[0].lines[0].get_ydata()  # fusion, by rising error rate
        rows = tested.scores[tested.scores["endpoint"] == name].query("system == 'fusion' and test != 'recognised'")
        assert list(drawn) == list(rows.sort_values("wer")["ccc"])
        assert len(panel.containers) == 4


def test_errors_are_measured_on_the_reported_split_and_on_what_systems_are_trained_on(project, tones):
    tones.table.to_csv(project / "tones.csv")
    corpus = {"corpus": {"reader": "manifest", "path": str(project / "tones.csv")}}
    trained = [params.load("embedded", name, 0, corpus) for name in SYSTEMS]
    tests = {
        "words_00": {"transcripts": {"errors": 0.0}},
        "deletions_30": {"transcripts": {"errors": 0.3, "kinds": ["deletions"]}},
        "missing_100": {"transcripts": {"errors": 0.0, "missing": 1.0}},
    }
    transcripts_report.write(trained, tests, project / "results")
    rates = transcripts_report.read(project / "results")
    assert list(rates.index) == [*tests, "fusion", "fusion_noisy_text"]
    assert list(rates["split"]) == 3 * ["test3"] + 2 * ["train"]
    spoken = tones.table["transcript"].notna()
    assert rates.loc["words_00", "utterances"] == (spoken & (tones.table["split"] == "test3")).sum()
    assert rates.loc["fusion", "utterances"] == (spoken & (tones.table["split"] == "train")).sum()
    assert rates.loc[["words_00", "fusion"], "wer"].tolist() == [0, 0]
    assert rates.loc["missing_100", "missing"] == 1
    assert rates.loc["deletions_30", "wer"] == rates.loc["deletions_30", "deletions"] > 0.1
    assert rates.loc["fusion_noisy_text", "wer"] == pytest.approx(0.28, abs=0.06)
    assert [path.name for path in (project / "results").iterdir()] == ["wer.csv"]
