"""Sums by speaker give what predictions give, tell of no single utterance, and are enough for the paper's chapters."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from made_up import make_corpus, make_ratings, make_run, make_study, write_results

from sercore import ATTRIBUTES, significance, verdicts
from sercore.params import ParamsError
from sercore.sums import SUMS, SignificanceError, speaker_sums
from study import comparisons, plan, show
from study.__main__ import commit
from study.plan import Plan, Question, pooled
from study.results import KEYS, Study, aligned, read, reported_split, summed, write_tables
from study.sums import CEILING, FEWEST, FLOOR, POOLED

TEXT = Question("text", "?", (("fusion", "speech_only"), ("fusion_gender", "fusion")))
MEMBERS = ("speech_gender_development_ambiguous", "whisper_fusion")
ENSEMBLE = Question("ensembles", "?", (("ensemble_two", "whisper_fusion"), ("ensemble_two", MEMBERS[0])))
ALONE = ("fusion_arousal", "fusion_valence", "fusion_dominance")
ATTRIBUTE = Question("adaptation", "?", (("fusion_by_attribute", "fusion"),))


def in_folds(systems, seeds, folds):
    """Run n tests the speakers of fold n % `folds`."""
    corpus, rng = make_corpus(), np.random.default_rng(3)
    rows = corpus[corpus["split"] == "test3"]
    fold = rows["speaker"].str.extract(r"-(\d+)", expand=False).astype(int) % folds
    runs = [make_run(name, seed, rows[fold == seed % folds], rng) for name in systems for seed in range(seeds)]
    return summed(Study(runs, corpus, make_ratings(corpus, rng)), middle=4)


CASES = {
    "three seeds": (lambda: make_study(TEXT.compared, 3), TEXT, "test3"),
    "one seed": (lambda: make_study(TEXT.compared, 1), TEXT, "test3"),
    "folds": (lambda: in_folds(TEXT.compared, 3, 3), TEXT, "test3"),
    "folds, twice": (lambda: in_folds(TEXT.compared, 6, 3), TEXT, "test3"),
    "an ensemble": (lambda: make_study(MEMBERS, 2), ENSEMBLE, "test3"),
    "an ensemble of folds": (lambda: in_folds(MEMBERS, 3, 3), ENSEMBLE, "test3"),
    "not all utterances": (lambda: make_study(MEMBERS, 2), ENSEMBLE, "development"),
    "a system an attribute": (lambda: make_study(("fusion", *ALONE), 2), ATTRIBUTE, "test3"),
}


@pytest.mark.parametrize("case", CASES)
def test_sums_give_what_the_predictions_give(case):
    make, question, split = CASES[case]
    study = make()
    gold, predictions, seeds = aligned(study.runs, question.compared, split)
    given = gold[list(ATTRIBUTES)], gold["speaker"]
    table = comparisons.scores(study, question, split)
    for system, predicted in predictions.items():
        interval = significance.interval(speaker_sums(given[0], predicted, given[1]))
        rows = table[table["system"] == system]
        for column, expected in (("estimate", interval.ccc), ("low", interval.low), ("high", interval.high)):
            np.testing.assert_allclose(rows[column], expected, rtol=0, atol=1e-12)
        assert set(rows["seeds"]) == {len(seeds)}
        assert set(rows["sets"]) == {len(predicted)}
        assert set(rows["utterances"]) == {len(gold)}
    direct = {name: speaker_sums(given[0], each, given[1]) for name, each in predictions.items()}
    expected = verdicts.judged(verdicts.differences(direct, question.pairs), 0.02)
    table = comparisons.differences(study, replace(question, open=True), split)
    assert list(table["verdict"]) == list(expected["verdict"])
    for column in ("estimate", "low", "high", "standard_error", "p", "p_adjusted", "p_equivalence", "detectable"):
        np.testing.assert_allclose(table[column], expected[column], rtol=0, atol=1e-12)
    np.testing.assert_allclose(table["df"], expected["df"], rtol=1e-11)


def test_each_sum_is_that_of_its_speaker_about_the_middle(tmp_path):
    """As predictions are written: a mean of the gold values, and one of the predictions, can be told."""
    study = make_study()
    (tmp_path / "study").mkdir()
    write_results(tmp_path / "study", study)
    table = read("embedded", tmp_path).sums
    assert table.attrs == {"middle": 4}
    assert list(table) == [*KEYS, "pooled", *SUMS]
    assert set(table["pooled"]) == {1}
    table = table.set_index(["split", "system", "seed", "speaker", "attribute"])
    written = pd.read_parquet(tmp_path / "study" / "predictions.parquet").join(study.corpus["speaker"], on="utterance")
    rows = written.query("system == 'fusion' and seed == 1 and speaker == 'test3-1'")
    row = table.loc[("test3", "fusion", 1, "test3-1", "valence")]
    assert row["n"] == len(rows)
    assert row["y"] / row["n"] + 4 == pytest.approx(rows["predicted_valence"].mean(), abs=1e-12)
    gold = study.corpus.loc[rows["utterance"], "valence"] - 4
    products = {"x": gold, "xx": gold**2, "xy": gold * (rows["predicted_valence"].to_numpy() - 4)}
    for name, each in products.items():
        assert row[name] == pytest.approx(each.sum(), abs=1e-9)


# Speakers of few utterances


@pytest.mark.parametrize(
    ("counts", "together"),
    [
        ({"a": 1, "b": 2, "c": 4, "d": 5, "e": 30}, "abc"),
        ({"a": 1, "b": 40, "c": 6, "d": 7}, "ac"),  # one utterance alone is no sum
        ({"a": 2, "b": 2, "c": 9, "d": 8}, "abd"),
        ({"a": 5, "b": 6}, ""),
        ({"a": 1, "b": 1}, "ab"),
    ],
)
def test_speakers_of_few_utterances_are_taken_as_one(counts, together):
    speakers = pd.Series(np.repeat(list(counts), list(counts.values()))).sample(frac=1, random_state=0)
    found = pooled(speakers)
    assert set(speakers[found == POOLED]) == set(together)
    assert (found[found != POOLED] == speakers[found != POOLED]).all()
    assert sum(counts.values()) < FEWEST or found.value_counts().min() >= FEWEST


def few_utterances(profile):
    """A study in which two speakers of test3 have two utterances each."""
    corpus, rng = make_corpus(), np.random.default_rng(4)
    place = corpus.groupby("speaker").cumcount()
    corpus = corpus[~(corpus["speaker"].isin(["test3-10", "test3-11"]) & (place > 1))]
    runs = [make_run(name, seed, corpus, rng, profile) for name in TEXT.compared for seed in range(2)]
    return Study(runs, corpus, make_ratings(corpus, rng))


def test_a_licensed_corpus_has_no_sum_of_few_utterances_and_pages_say_so():
    study = summed(few_utterances("iemocap"))
    assert study.sums["n"].min() >= FEWEST
    rows = study.sums[study.sums["speaker"] == POOLED]
    assert set(rows["split"]) == {"test3"}
    assert set(rows["pooled"]) == {3}  # the next larger speaker makes it five utterances
    plain = summed(few_utterances("embedded"))
    assert plain.sums["n"].min() == 2
    keys = ["split", "system", "seed", "attribute"]
    for system in (*TEXT.compared, FLOOR, CEILING):
        ours, theirs = (
            each.sums[each.sums["system"] == system].groupby(keys)[list(SUMS)].sum() for each in (study, plain)
        )
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    said = "10 speakers (3 of few utterances count as one), 2 seeds"
    assert said in show.scores(comparisons.scores(study, TEXT), "What.").data
    assert said in show.differences(comparisons.differences(study, TEXT), "What.").data
    assert said in show.answer(comparisons.differences(study, TEXT)).data
    assert "count as one" not in show.scores(comparisons.scores(plain, TEXT), "What.").data


# Results without a single utterance


@pytest.fixture
def published(project, monkeypatch):
    """The profile IEMOCAP's study as it is built, and what is committed of it."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    (project / "book").symlink_to(ROOT / "book")
    asked = plan.questions("iemocap")
    corpus, rng = make_corpus(), np.random.default_rng(5)
    tested = corpus[corpus["split"] != "train"]
    runs = [make_run(n, seed, tested, rng, "iemocap") for n in plan.systems(asked.values()) for seed in range(2)]
    folder = Path("build/iemocap/results/paper")
    (folder / "study").mkdir(parents=True)
    write_results(folder / "study", Study(runs, corpus, make_ratings(corpus, rng)))
    write_tables(folder, {name: pd.DataFrame({"estimate": [1.0]}) for name in ("emotions", "embedding_2d")})
    (folder / "study" / "environment.json").write_text("{}")
    commit(Plan("iemocap"))
    return read("iemocap", project / folder), read("iemocap", project / "results/iemocap/paper")


def test_of_a_licensed_corpus_no_utterance_is_committed(published, project):
    files = {path.relative_to(project / "results").as_posix() for path in (project / "results").rglob("*.*")}
    names = ("history.csv", "runs.csv", "sums.parquet", "params.yaml", "environment.json")
    assert files == {"iemocap/paper/emotions.csv", *(f"iemocap/paper/study/{name}" for name in names)}
    built, found = published
    assert found.ratings is found.tests is found.table is None
    with pytest.raises(ParamsError, match="these results hold sums alone, and this needs single utterances"):
        _ = found.corpus
    with pytest.raises(ParamsError, match="these results hold sums alone"):
        reported_split(found.runs)
    known = {*built.corpus.index}
    text = b"".join(path.read_bytes() for path in (project / "results").rglob("*.*"))
    assert not [name for name in known if name.encode() in text]


def test_sums_alone_give_every_table_of_the_papers_questions(published):
    built, found = published
    pd.testing.assert_frame_equal(comparisons.all_differences(found), comparisons.all_differences(built))
    for question in plan.questions("iemocap").values():
        scores = comparisons.scores(found, question)
        pd.testing.assert_frame_equal(scores, comparisons.scores(built, question))
        assert {FLOOR, CEILING} <= set(scores["system"])
    pd.testing.assert_frame_equal(comparisons.split_scores(found), comparisons.split_scores(built))


@pytest.mark.parametrize(
    "name", ["overview", "text", "auxiliary_tasks", "undersampling", "ambiguous_labels", "ensembles", "runs"]
)
def test_notebooks_of_the_papers_questions_need_no_utterance(name, tmp_path):
    """The committed results, without their utterances, run through each script."""
    source = ROOT / "results" / "embedded" / "paper"
    utterances = shutil.ignore_patterns("corpus.parquet", "predictions.parquet", "ratings.parquet", "samples")
    shutil.copytree(source, tmp_path / "paper", ignore=utterances)
    script = (ROOT / "notebooks" / f"{name}.py").read_text()
    moved = script.replace('"results/embedded/paper"', repr(str(tmp_path / "paper")))
    assert moved != script
    exec(compile(moved, name, "exec"), {"In": []})
    plt.close("all")


@pytest.mark.parametrize(
    "damage",
    [
        lambda table: table[1:],
        lambda table: pd.concat([table, table[:1]]),
        lambda table: table.assign(xy=np.nan),
        lambda table: table.drop(columns="yy"),
        lambda table: table.drop(columns="test"),
    ],
)
def test_damaged_or_missing_sums_are_said_in_one_sentence(damage, tmp_path):
    (tmp_path / "study").mkdir()
    write_results(tmp_path / "study", make_study(("fusion",)))
    path = tmp_path / "study" / "sums.parquet"
    table = pd.read_parquet(path)
    damage(table).to_parquet(path)
    with pytest.raises(ParamsError, match=r"study is damaged or of another version \(.*\): run `make study`\.$"):
        read("embedded", tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ParamsError, match=r"study is damaged or of another version \(.*\): run `make study`\.$"):
        read("embedded", tmp_path)
    os.unlink(path)
    with pytest.raises(ParamsError, match=r"study is not complete, missing sums\.parquet: run `make study`\.$"):
        read("embedded", tmp_path)


def test_sums_without_a_system_or_a_common_seed_are_said():
    study = make_study(("fusion", "speech_only"))
    asked = Question("text", "?", (("fusion", "speech_only"),))
    lacking = replace(study, sums=study.sums[study.sums["system"] != "fusion"])
    with pytest.raises(SignificanceError, match="no run of fusion"):
        comparisons.scores(lacking, asked)
    apart = study.sums[study.sums["seed"] == (study.sums["system"] == "fusion")]
    with pytest.raises(SignificanceError, match="no seed in common"):
        comparisons.scores(replace(study, sums=apart), asked)
