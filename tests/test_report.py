"""The report on made-up runs whose right answers are known from elsewhere."""

import re
from dataclasses import replace

import audmetric
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from made_up import QUALITY, make_corpus, make_run, make_study, write_results
from matplotlib.figure import Figure

from sercore import ATTRIBUTES, params
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.raters import PUBLISHED_CLASSES
from study import comparisons
from study import results as studies
from study.plan import Question
from study.show import figures, report


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def trained(study):
    return study.runs


@pytest.fixture(scope="module")
def corpus(study):
    return study.corpus


@pytest.fixture(scope="module")
def results(study, tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    (root / "study").mkdir()
    write_results(root / "study", study)
    return root


def ccc_of(rows, name):
    return audmetric.concordance_cc(rows[name].to_numpy(), rows[f"predicted_{name}"].to_numpy())


def test_scores_are_the_mean_over_seeds_of_audmetrics_ccc(trained):
    scores = report.scores(trained).set_index(["system", "split", "endpoint"])
    assert len(scores) == 3 * 2 * 4
    for variant in QUALITY:
        tables = [run.predictions for run in trained if run.params.variant == variant]
        for name in ATTRIBUTES:
            expected = np.mean([ccc_of(table[table["split"] == "test3"], name) for table in tables])
            row = scores.loc[(variant, "test3", name)]
            assert row["ccc"] == pytest.approx(expected)
            assert row["low"] < expected < row["high"]
            assert tuple(row[["seeds", "runs", "speakers"]]) == (2, 2, 12)


def test_the_order_of_rows_in_a_run_does_not_matter(trained):
    shuffled = [
        replace(run, predictions=run.predictions.sample(frac=1, random_state=number))
        for number, run in enumerate(trained)
    ]
    pd.testing.assert_frame_equal(report.scores(shuffled), report.scores(trained))


def test_unknown_speakers_are_taken_together_by_their_show():
    corpus = make_corpus()
    corpus.loc[corpus["split"] == "test3", "speaker"] = None
    tested = corpus["split"] == "test3"
    corpus.index = [f"MSP-PODCAST_{i % 5:04}_{i:04}" if out else f"u{i}" for i, out in enumerate(tested)]
    scores = report.scores([make_run("fusion", 0, corpus.rename_axis("utterance"), np.random.default_rng(2))])
    assert set(scores.loc[scores["split"] == "test3", "speakers"]) == {5}


def test_folds_are_pooled():
    """Three runs, each on speakers of its own: one CCC over all of them, with all speakers in the interval."""
    rng, corpus = np.random.default_rng(2), make_corpus()
    tested = corpus[corpus["split"] == "test3"]
    fold = tested["speaker"].str.extract(r"-(\d+)", expand=False).astype(int) % 3
    trained = [make_run("fusion", seed, tested[fold == seed], rng) for seed in range(3)]
    row = report.scores(trained).set_index("endpoint").loc["valence"]
    assert row["ccc"] == pytest.approx(ccc_of(pd.concat([run.predictions for run in trained]), "valence"))
    assert tuple(row[["seeds", "runs", "utterances", "speakers"]]) == (3, 1, len(tested), 12)
    assert "predictions of their folds pooled" in report.splits_table(report.scores(trained))
    assert "One trained run of each system" in report.splits_table(report.scores(trained[:1]))


def test_a_split_without_gold_values_is_not_reported(trained):
    hidden = trained[0].predictions.copy()
    hidden.loc[hidden["split"] == "test3", list(ATTRIBUTES)] = np.nan
    run = replace(trained[0], predictions=hidden)
    assert studies.reported_split(trained) == "test3"
    assert studies.reported_split([run]) == "development"
    assert set(report.scores([run])["split"]) == {"development"}


def test_the_table_of_splits_shows_the_scores(trained):
    scores = report.scores(trained)
    table = report.splits_table(scores)
    best = scores[(scores["system"] == "fusion") & (scores["split"] == "test3")].set_index("endpoint").loc["mean"]
    assert f"{best.ccc:.3f}<br><small>[{best.low:.2f}, {best.high:.2f}]".replace("0.", ".") in table
    assert re.search(r"CCC averaged over 2 trained runs", table)
    assert report.splits_table(scores) == table  # nbval compares the text
    assert table.count("<small>") == len(scores)


def test_the_table_of_runs_has_a_row_a_run(trained):
    numbers = report.run_metrics(trained)
    assert list(zip(numbers["system"], numbers["seed"], strict=True)) == [(r.system, r.params.seed) for r in trained]
    assert numbers["test3 mean"].tolist() == [0.5, 0.6] * 3
    table = report.runs_table(trained)
    assert table.count("<tr>") == 1 + len(trained)
    assert 'download="runs.csv"' in table


def test_the_table_of_emotions_shows_the_mean_consensus_above_the_published(study, corpus):
    table = report.class_table(corpus, study.ratings)
    natural = corpus[corpus["split"].isin(["train", "development"])]
    for code, rows in natural.groupby("emotion"):
        published = f"{PUBLISHED_CLASSES.loc[code, 'mean arousal']:.2f}" if code in PUBLISHED_CLASSES.index else "–"
        assert f"{rows['arousal'].mean():.2f}<br><small>{published}</small>" in table
    assert report.class_table(corpus, None) == report.NO_RATINGS


def test_emotion_errors_against_a_plain_loop(trained):
    fusion = [run for run in trained if run.params.variant == "fusion"]
    errors = report.emotion_errors(fusion, "test3")
    assert list(errors.index) == list(PRIMARY_EMOTIONS.values())
    for code, emotion in PRIMARY_EMOTIONS.items():
        tables = [run.predictions for run in fusion]
        tables = [table[(table["split"] == "test3") & (table["emotion"] == code)] for table in tables]
        assert errors.loc[emotion, "utterances"] == len(tables[0])
        for name in ATTRIBUTES:
            difference = [table[f"predicted_{name}"] - table[name] for table in tables]
            expected = {
                "CCC": np.mean([ccc_of(table, name) for table in tables]),
                "RMSE": np.mean([np.sqrt((d**2).mean()) for d in difference]),
                "bias": np.mean([d.mean() for d in difference]),
            }
            for measure, value in expected.items():
                assert errors.loc[emotion, f"{name} {measure}"] == pytest.approx(value, abs=0.00501)


def test_costs(trained):
    row = report.costs(trained).loc["fusion"]
    assert tuple(row) == (2, 120, 100, 11, 500, 9, 10)


def test_agreement_with_the_same_runs_elsewhere(results, trained, tmp_path):
    assert "the figures repeat" in report.agreement(trained, results / "study")
    metrics = trained[2].metrics | {"ccc": {"test3": {"valence": 0.3}}}
    assert "A CCC differs by 0.100" in report.agreement([replace(trained[2], metrics=metrics)], results / "study")
    other = replace(trained[0], system="speech_only-12345678")
    assert "no run of this" in report.agreement([other], results / "study")
    assert "no run of this" in report.agreement(trained, tmp_path / "nowhere")


def test_raters(study):
    table = report.rater_table(study.corpus, study.ratings)
    assert "ICC(1,k)" in table
    assert ">0.62<" in table  # the published ICC(1,k) of arousal
    spread = study.ratings.merge(study.corpus[["split"]], on="utterance").query("split != 'test3'")["arousal"].std()
    assert f">{spread:.2f}<" in table
    assert "on test3: CCC ." in report.rater_sentence(study.corpus, study.ratings, "test3")
    assert report.rater_table(study.corpus, None) == report.rater_sentence(study.corpus, None, "test3")


def test_a_study_is_read_and_another_profile_refused(results, tmp_path):
    study = studies.read("embedded", results)
    assert len(study.runs) == 6
    assert set(study.ratings["utterance"]) == set(study.corpus.index)
    with pytest.raises(params.ParamsError, match="holds runs of profile embedded, not of emotale"):
        studies.read("emotale", results)
    with pytest.raises(params.ParamsError, match="holds no results of a study"):
        studies.read("embedded", tmp_path)


@pytest.mark.parametrize(("counts", "share"), [([80, 10, 10], 1 / 3), ([25] * 4, 1.0), ([20] * 5, 0.8), ([1], 1.0)])
def test_speaker_share_by_hand(counts, share):
    corpus = pd.DataFrame({"speaker": np.repeat(np.arange(len(counts)), counts)})
    assert report.speaker_share(corpus) == pytest.approx(share)


def test_sizes_and_sentences(corpus):
    sizes = report.sizes(corpus)
    assert list(sizes.index) == ["train", "development", "test3"]
    assert sizes.loc["train", "utterances"] == 2 * 80 + 18 * 10
    assert sizes.loc["train", "speakers"] == 20
    assert sizes.loc["test3", "other or no agreement"] == "0.0 %"
    assert "of the 12 speakers of test3" in report.speaker_sentence(corpus)


@pytest.mark.parametrize("reader", ["simulated", "emotale", "iemocap", "msp_podcast", "manifest"])
def test_every_reader_has_a_banner(reader):
    corpus = {"reader": reader, "path": "somewhere"}
    text = report.banner(params.load("embedded", "fusion", 0, {"corpus": corpus}))
    assert text.startswith('<div class="admonition')
    assert ("says nothing about human speech" in text) == (reader == "simulated")


def test_players_hold_the_sound(results, tmp_path):
    html = report.players(results / "study" / "samples")
    assert html.count("<audio") == len(PRIMARY_EMOTIONS)
    assert html.index("anger") < html.index("neutral")
    assert "<audio" not in report.players(tmp_path / "samples")


TEXT = Question("text", "?", (("fusion", "speech_only"), ("fusion_gender", "fusion")))
FIGURES = {
    "forest": lambda s: figures.forest([comparisons.compare(s, TEXT)]),
    "learning": lambda s: figures.learning_curves(s.runs),
    "density": lambda s: figures.predicted_against_gold(s.runs[:2], "test3"),
    "emotions": lambda s: figures.emotion_errors(report.emotion_errors(s.runs[:2], "test3")),
    "shares": lambda s: figures.emotion_shares(s.corpus),
    "skew": lambda s: figures.speaker_skew(s.corpus),
    "durations": lambda s: figures.durations(s.corpus),
    "attributes": lambda s: figures.attributes_by_emotion(s.corpus),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_on_white_and_name_their_axes(name, study, tmp_path):
    figure = FIGURES[name](study)
    assert isinstance(figure, Figure)
    assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes)
    figure.savefig(tmp_path / "figure.png")
    pixels = matplotlib.image.imread(tmp_path / "figure.png")
    assert pixels[0, 0] == pytest.approx([1, 1, 1, 1])
    assert pixels[..., :3].std() > 0.01


@pytest.mark.parametrize("count", [1, 2])
def test_the_forest_shows_each_difference_its_interval_and_the_papers(study, count):
    compared = comparisons.compare(study, TEXT)
    axes = figures.forest([compared] * count).axes[0]
    drawn = np.concatenate([np.atleast_1d(line.get_xdata()) for line in axes.get_lines()])
    limits = np.concatenate([path.vertices[:, 0] for bars in axes.collections for path in bars.get_paths()])
    for row in compared.tested.itertuples():
        for value in (row.difference, row.paper):
            assert np.isclose(drawn, value).sum() == count
        for value in (row.low, row.high):
            assert np.isclose(limits, value).sum() == count
    faces = [line.get_markerfacecolor() for line in axes.get_lines() if line.get_marker() == "o"]
    assert faces == ["black", "white"] * count
    widths = [bar.get_width() / 2 for bar in axes.patches]
    np.testing.assert_allclose(widths, [*compared.differences["detectable"].dropna()] * count)
