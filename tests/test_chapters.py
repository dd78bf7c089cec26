"""Chapters whose tables follow from runs: against plain loops over audmetric, and closed forms."""

from dataclasses import replace

import audmetric
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from made_up import make_corpus, make_study
from scipy import stats

from sercore import ATTRIBUTES, corpora, params
from sercore.params import ParamsError
from sercore.runs import PREDICTED
from sercore.training import train
from simulation.whiser import CLASSES
from study import comparisons, results
from study.chapters import adaptation, ambiguity_content, cross_corpus, efficiency, languages, transcripts
from study.plan import Plan, Question, question

PAIR = (("fusion", "speech_only"),)


def mean_ccc(gold, predicted):
    values = zip(gold[list(ATTRIBUTES)].to_numpy().T, np.asarray(predicted).T, strict=True)
    return np.mean([audmetric.concordance_cc(*each) for each in values])


@pytest.fixture
def two_corpora(project, small, tones):
    """Runs of two systems on two manifests of tones with two test speakers, which share all but training utterances."""
    one = tones.table.assign(speaker=tones.table["speaker"].mask(tones.table.index.str.match("test3.*1$"), "7"))
    two = one.rename(index=lambda name: f"other_{name}" if name.startswith("train") else name)
    two[list(ATTRIBUTES)] = (two[list(ATTRIBUTES)] - 1) / 2 + 1
    trained, tested = {}, {}
    for name, table, scale in (("one", one, [1, 7]), ("two", two, [1, 4])):
        table.to_csv(project / f"{name}.csv")
        tested[name] = {"reader": "manifest", "path": str(project / f"{name}.csv"), "scale": scale}
        overrides = small | {"corpus": tested[name]}
        chosen = [params.load("embedded", system, 0, overrides) for system in ("speech_only", "fusion")]
        trained[name] = [train(each, corpora.read(each.corpus, 0)).folder for each in chosen]
    return trained, tested


@pytest.mark.filterwarnings("ignore:.*no transcript")
def test_cross_corpus_tables_are_those_of_a_plain_loop(two_corpora, project):
    trained, tested = two_corpora
    found = cross_corpus.tables(trained, tested, PAIR, 0.02, 9)
    assert set(found) == set(cross_corpus.TABLES)
    matrix = found["matrix"].set_index(["train", "test", "system", "endpoint", "measure"])["estimate"].sort_index()
    for (train_on, folders), system in [(item, name) for item in trained.items() for name in ("speech_only", "fusion")]:
        run = next(path for path in folders if path.parent.name.startswith(system))
        for test in tested:
            if train_on == test:
                continue
            predicted = pd.read_parquet(run / "tests" / f"{test}.parquet").set_index("utterance")
            gold = pd.read_csv(project / f"{test}.csv", index_col="utterance").query("split == 'test3'")
            predicted = predicted.loc[gold.index, PREDICTED].to_numpy()
            assert matrix[train_on, test, system, "mean", "CCC"] == pytest.approx(mean_ccc(gold, predicted))
            pearson = [np.corrcoef(gold[name], predicted[:, i])[0, 1] for i, name in enumerate(ATTRIBUTES)]
            assert matrix[train_on, test, system, "mean", "aligned CCC"] == pytest.approx(np.mean(pearson))
            error = matrix[train_on, test, system, "mean"]
            own = matrix[test, test, system, "mean", "aligned CCC"]
            assert error["ranking error"] == pytest.approx(own - np.mean(pearson))
            assert error["calibration error"] == pytest.approx(np.mean(pearson) - mean_ccc(gold, predicted))
    mean = found["differences"].query("endpoint == 'mean'")
    assert len(mean) == 4
    assert mean["p_adjusted"].to_numpy() == pytest.approx(np.minimum(1, 9 * mean["p"]))


def test_the_family_is_all_pairs_of_declared_corpora_whichever_are_available(project, monkeypatch):
    given = []
    monkeypatch.setattr(cross_corpus, "tables", lambda *values: given.append(values[-1]) or {})
    for profile, corpora_declared in (("embedded", 3), ("msp_podcast", 4)):
        monkeypatch.setattr(Plan, "corpora", {})
        cross_corpus.analyse(Plan(profile), question(profile, "cross_corpus"), project)
        assert given.pop() == corpora_declared**2
    committed = pd.read_csv(ROOT / "results" / "embedded" / "cross_corpus" / "differences.csv")
    assert set(committed["comparisons"].dropna()) == {9}


def test_a_run_is_not_tested_on_what_it_was_trained_on(project, small, tones):
    """Utterances of one name and duration are the same; of one name alone they are not."""
    tones.table.to_csv(project / "one.csv")
    chosen = params.load("embedded", "speech_only", 0, small | {"corpus": {"reader": "manifest", "path": "one.csv"}})
    rows = tones.table.copy()
    assert set(cross_corpus.unseen(rows, chosen)["split"]) == {"test3"}
    rows["duration"] += 0.1
    assert len(cross_corpus.unseen(rows, chosen)) == len(rows)


def test_differences_on_an_evaluation_set_are_those_of_its_predictions():
    study = make_study(("speech_only", "fusion"))
    rates = pd.DataFrame({"name": ["words_00", "words_10", "missing_25"], "wer": [0, 0.1, 0], "missing": [0, 0, 0.25]})
    rows, rng = [], np.random.default_rng(0)
    for run in study.runs:
        for test in rates["name"]:
            noise = rng.normal(0, 0.5, (len(run.predictions), 3))
            predicted = run.predictions.copy()
            predicted[PREDICTED] += noise
            rows.append(predicted.assign(system=run.system, seed=run.params.seed, test=test))
    tests = pd.concat(rows)[["system", "seed", "test", "split", "utterance", *PREDICTED]]
    study = results.summed(replace(study, tests=tests))
    asked = Question("transcripts", "?", PAIR)
    gold = study.corpus.query("split == 'test3'")

    def mean_of(system, test):
        chosen = tests.query("system == @system and test == @test and split == 'test3'")
        by_seed = [one.set_index("utterance").loc[gold.index, PREDICTED] for _, one in chosen.groupby("seed")]
        return np.mean([mean_ccc(gold, each) for each in by_seed])

    found = comparisons.tested(transcripts.differences(study, asked, rates, ["words"])).set_index("evaluation")
    assert list(found.index) == ["words_00", "words_10"]
    assert list(found["wer"]) == [0, 0.1]
    for test in found.index:
        expected = mean_of("fusion", test) - mean_of("speech_only", test)
        assert found.loc[test, "estimate"] == pytest.approx(expected)
    assert set(found["comparisons"]) == {6}  # as many sets are declared
    heard = transcripts.differences(study, asked, rates, ["words", "recognised"])
    assert set(comparisons.tested(heard)["comparisons"]) == {7}  # without a recogniser, too
    scores = transcripts.scores(study, asked, rates).query("endpoint == 'mean'").set_index(["evaluation", "system"])
    assert scores.loc[("missing_25", "fusion"), "estimate"] == pytest.approx(mean_of("fusion", "missing_25"))
    assert scores.loc[("missing_25", "fusion"), "missing"] == 0.25


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize(
    ("helps", "said"),
    [
        ((0, 1, 2), "up to a word error rate of 20%;"),
        ((0, 1), "up to a word error rate of 10%;"),
        ((0, 2), "only at these word error rates: 0%, 20%;"),
        ((1,), "only at these word error rates: 10%;"),
        ((), "at none of the word error rates;"),
    ],
)
def test_the_answer_on_transcripts_is_true_of_any_verdicts_and_seeds(seeds, helps, said):
    rows = comparisons.tested(comparisons.differences(make_study(PAIR[0], seeds), Question("text", "?", PAIR)))
    rows = pd.concat([rows] * 3, ignore_index=True).assign(wer=[0.2, 0, 0.1], verdict="inconclusive")
    rows.loc[rows["wer"].isin([tenths / 10 for tenths in helps]), "verdict"] = "better, by less than the margin"
    models = "Of these trained models, " if seeds < 3 else ""
    assert (
        transcripts.answer(rows) == f"{models}`fusion` is better than `speech_only` {said} the highest tested is 20%."
    )


def test_means_of_kinds_have_the_jackknifes_limits():
    corpus = make_corpus()
    found = ambiguity_content.means(corpus).set_index(["kind", "endpoint"])
    speakers = corpus["speaker"].unique()
    for kind in ("agreed", "other", "no agreement"):
        rows = corpus[corpus["emotion"].map(ambiguity_content.KINDS) == kind]
        row, mean = found.loc[(kind, "arousal")], rows["arousal"].mean()
        without = np.array([rows.loc[rows["speaker"] != name, "arousal"].mean() for name in speakers])
        error = np.sqrt((len(speakers) - 1) * without.var())
        assert row["estimate"] == pytest.approx(mean)
        assert row["high"] - mean == pytest.approx(mean - row["low"])
        assert row["high"] - mean == pytest.approx(error * stats.t(len(speakers) - 1).isf(0.025))


def test_published_means_of_one_class_are_its_own():
    found = ambiguity_content.published().set_index(["kind", "endpoint"])["estimate"]
    for kind, code in (("other", "O"), ("no agreement", "X")):
        assert found[kind, "valence"] == pytest.approx(CLASSES.loc[code, "mean valence"])
    agreed = CLASSES.drop(["O", "X"])
    expected = np.average(agreed["mean arousal"], weights=agreed["utterances"])
    assert found["agreed", "arousal"] == pytest.approx(expected)


def test_languages_are_compared_on_the_same_speakers():
    asked, folder = question("emotale", "languages"), ROOT / "results" / "emotale" / "languages"
    scores = languages.scores("emotale", folder, asked).query("measure == 'CCC' and endpoint == 'mean'")
    known = scores.set_index(["system", "trained on", "tested on"])["estimate"]
    table = comparisons.tested(languages.differences("emotale", folder, asked))
    assert len(table) == 6 == table["comparisons"].iloc[0]
    for _, row in table.iterrows():
        tested = row["split"].removeprefix("unseen speakers, ")
        one, other = (row[name].rstrip(")").split(" (") for name in ("system", "reference"))
        assert row["estimate"] == pytest.approx(known[*one, tested] - known[*other, tested])


def test_costs_of_an_ensemble_are_sums_over_its_members():
    members = ("fusion_arousal", "fusion_valence", "fusion_dominance")
    study = make_study(("fusion", *members))
    found = adaptation.costs(study, Question("adaptation", "?", (("fusion_by_attribute", "fusion"),)))
    found = found.set_index("system")
    each = results.costs(study.runs)
    names = ["trained parameters", "seconds a run"]
    assert list(found.loc["fusion_by_attribute", names]) == list(each.loc[list(members), names].sum())
    assert found.loc["fusion_by_attribute", "peak memory (MB)"] == each.loc[list(members), "peak memory (MB)"].max()
    assert found.loc["fusion", "speech"] == "fine-tuned"
    assert found.loc["fusion", "text"] == "frozen"


@pytest.mark.parametrize(
    ("profile", "chapter", "sentence"),
    [
        ("embeded", "paper", "unknown profile 'embeded'; params/ has embedded, emotale"),
        ("embedded", "txt", "profile 'embedded' does not answer 'txt'; it answers text, auxiliary_tasks"),
        ("iemocap", "speakers", "profile 'iemocap' does not answer 'speakers'; it answers real_speech"),
    ],
)
def test_a_plan_of_nothing_known_is_refused_in_one_sentence(profile, chapter, sentence):
    with pytest.raises(ParamsError, match=sentence):
        _ = Plan(profile, chapter=chapter).parts


def test_a_missing_table_names_the_folder_and_the_table(tmp_path):
    results.write_tables(tmp_path, {"groups": pd.DataFrame({"a": [1.5]})})
    assert results.read_tables(tmp_path, ["groups"])["groups"]["a"].tolist() == [1.5]
    with pytest.raises(ParamsError, match=rf"{tmp_path}: missing gaps\. Run `make study`"):
        results.read_tables(tmp_path, ["groups", "gaps"])


def test_each_part_is_shown_with_the_machine_that_measured_it(monkeypatch):
    one, other = {"processor": "A", "threads": 2}, {"processor": "B", "threads": 1}
    parts = {"step": one, "reading": other, "release": other}
    known = {"cpu": {part: {"machine": machine, "rows": []} for part, machine in parts.items()}}
    known["cuda"] = {"step": {"machine": one | {"gpu": "H"}, "rows": []}}
    monkeypatch.setattr(efficiency, "benchmarks", lambda: known)
    assert efficiency.machines().to_dict("records") == [
        {"device": "cpu", **one, "gpu": "–", "parts": "step"},
        {"device": "cpu", **other, "gpu": "–", "parts": "reading; release"},
        {"device": "cuda", **one, "gpu": "H", "parts": "step"},
    ]
    assert efficiency.of_gpus().startswith("No GPU was measured")
