"""What the chapter on speakers computes: closed forms of the Lorenz curve, and made-up studies of known differences."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import QUALITY, make_corpus, make_ratings, make_run

from sercore import params
from study import plan as questions
from study.chapters import speakers, speakers_report
from study.chapters.speakers import HEARD, NEW, changes, differences
from study.comparisons import compare
from study.results import Study, busiest_share, lorenz

SYSTEMS = ("fusion", "fusion_speaker_embedding", "fusion_speaker_capped")
QUESTION = questions.Question("speakers", "Who?", tuple((name, "fusion") for name in SYSTEMS[1:]), ("even", "skewed"))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=200))
def test_a_lorenz_curve_from_the_top_rises_ever_less(counts):
    x, y = lorenz(counts)
    assert (x[0], y[0], x[-1]) == (0, 0, 1)
    assert y[-1] == pytest.approx(1)
    steps = np.diff(y)
    assert (steps > 0).all()
    assert (np.diff(steps) <= 1e-12).all()
    assert (y >= x - 1e-12).all()


@given(st.integers(4, 500), st.integers(1, 50), st.floats(0, 1))
def test_an_even_curve_is_the_diagonal(count, each, share):
    assert busiest_share([each] * count, share) == pytest.approx(share)


def test_a_geometric_curve_has_its_closed_form():
    """Of counts c q^i the first k of n speak (1 - q^k) / (1 - q^n)."""
    q, n = 0.9, 50
    _, y = lorenz(q ** np.arange(n)[::-1])
    np.testing.assert_allclose(y, (1 - q ** np.arange(n + 1)) / (1 - q**n))
    assert busiest_share(q ** np.arange(n), 0.26) == pytest.approx((1 - q**13) / (1 - q**n))


@pytest.fixture
def found(monkeypatch):
    """Two conditions: even and skewed training speakers; every fifth training utterance is held out."""
    monkeypatch.setitem(QUALITY, "fusion_speaker_embedding", 1.2)
    studies = {}
    for name in QUESTION.conditions:
        rng, corpus = np.random.default_rng(1), make_corpus()
        if name == "even":
            train = corpus.index[corpus["split"] == "train"]
            corpus.loc[train, "speaker"] = [f"train-{number % 20}" for number in range(len(train))]
        held = corpus.index.isin(corpus.index[corpus["split"] == "train"][::5])
        tested = corpus[(corpus["split"] != "train") | held]
        runs = [make_run(system, seed, tested, rng) for system in SYSTEMS for seed in range(3)]
        studies[name] = Study(runs, corpus, make_ratings(corpus, rng), None)
    return studies


def test_heard_and_new_speakers_are_scored_apart(found):
    measured = speakers.measure(found, QUESTION)
    assert list(measured) == [(name, kind) for name in QUESTION.conditions for kind in (HEARD, NEW)]
    table = differences(found, measured)
    assert len(table) == 8
    skew = table.groupby("condition")["skew"].first()
    assert skew["even"] == pytest.approx(0.26)
    assert skew["skewed"] > 0.5
    one = compare(found["even"], QUESTION, "train").tested
    chosen = table[(table["condition"] == "even") & (table["speakers"] == HEARD)]
    np.testing.assert_allclose(chosen["difference"], one["difference"])
    worse = table[table["system"] == "fusion_speaker_embedding"]
    assert (worse["difference"] < -0.05).all()


def test_without_held_out_utterances_there_are_new_speakers_alone(found):
    found = {
        name: replace(
            study, runs=[replace(run, predictions=run.predictions.query("split != 'train'")) for run in study.runs]
        )
        for name, study in found.items()
    }
    measured = speakers.measure(found, QUESTION)
    assert [kind for _, kind in measured] == [NEW, NEW]
    assert speakers_report.difference_figure(found, measured).axes[0].get_title() == NEW


def test_a_change_adds_the_variances_of_both_ends():
    rows = [("a", 0.26, 0.01, 0.03), ("a", 0.8, 5.0, 1.0), ("a", 0.95, 0.05, 0.04)]
    table = pd.DataFrame(rows, columns=["system", "skew", "difference", "reach"]).assign(speakers=NEW)
    table = table.assign(low=table["difference"] - table["reach"], high=table["difference"] + table["reach"])
    (row,) = changes(table.sample(frac=1, random_state=0)).to_dict("records")
    assert row["difference"] == pytest.approx(0.04)
    assert row["high"] - row["difference"] == pytest.approx(0.05)
    assert row["difference"] - row["low"] == pytest.approx(0.05)


def test_tables_and_sentences_hold_what_was_measured(found):
    measured = speakers.measure(found, QUESTION)
    table = differences(found, measured)
    answer = speakers_report.answer(found, measured)
    for kind, rows in table.groupby("speakers"):
        resolved = (rows["verdict"] == "resolved").sum()
        assert f"**{kind.capitalize()}**: of 4 differences {resolved} are resolved." in answer
    assert "`fusion_speaker_embedding` is lower than `fusion`" in answer
    standing = speakers_report.standing(found, measured)
    assert "- `fusion_speaker_embedding` harms: −" in standing
    assert standing.count("told apart from 0") == 2
    page = speakers_report.difference_table(found, measured)
    assert page.count("resolved<") == 8
    assert 'download="speakers-differences.csv"' in page
    scores = speakers_report.scores_table(measured)
    assert "skewed, new speakers: " in scores
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page + scores)


def test_one_condition_has_no_change(found):
    one = {"skewed": found["skewed"]}
    measured = speakers.measure(one, QUESTION)
    assert "Change:" not in speakers_report.difference_table(one, measured)
    assert "told apart" not in speakers_report.standing(one, measured)


def test_figures_show_each_system_and_corpus(found):
    panels = speakers_report.difference_figure(found, speakers.measure(found, QUESTION)).axes
    assert [panel.get_title() for panel in panels] == [HEARD, NEW]
    for panel in panels:
        assert panel.get_legend_handles_labels()[1] == list(SYSTEMS[1:])
    embedded = speakers_report.embeddings("results/embedded/speakers", "simulated")
    curves = speakers_report.counts(found, embedded)
    assert set(curves) == {"even", "skewed", "EmoTale (human speech)"}
    (panel,) = speakers_report.lorenz_figure(curves).axes
    lines = {line.get_label(): line for line in panel.get_lines()}
    np.testing.assert_allclose(lines["skewed"].get_ydata(), 100 * lorenz(curves["skewed"])[1])
    paper = lines["MSP-Podcast, as the paper says"]
    assert (paper.get_xdata()[0], paper.get_ydata()[0]) == (26, 80)
    assert len(speakers_report.embedding_figure(embedded).axes) == 2
    for name, tables in embedded.items():
        assert tables["embedding_2d"]["speaker"].nunique() == 10
        assert name in speakers_report.embedding_table(embedded)
        assert f"- {name}: " in speakers_report.embedding_sentences(embedded)


def test_absent_tables_are_named(tmp_path):
    with pytest.raises(params.ParamsError, match=r"lacks counts\.csv, embedding_2d\.csv, embedding\.csv"):
        speakers_report.embeddings(tmp_path, "simulated")


@pytest.mark.parametrize("profile", ["embedded", "emotale", "msp_podcast"])
def test_every_profile_has_conditions_that_hold_utterances_out(profile):
    for condition in questions.question(profile, "speakers").conditions:
        loaded = params.load(profile, "fusion_speaker_capped", 0, questions.overrides(condition))
        assert loaded.sampling.held_out
    assert questions.question(profile, "speakers").conditions
