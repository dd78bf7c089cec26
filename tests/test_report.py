"""The report on made-up runs whose right answers are known from elsewhere."""

import json
import re
from pathlib import Path

import audmetric
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from matplotlib.figure import Figure

from sercore import ATTRIBUTES, figures, params, report, runs
from sercore.corpus import EMOTIONS, PRIMARY_EMOTIONS
from sercore.raters import PUBLISHED_CLASSES

QUALITY = {"speech_only": 1.0, "fusion": 0.6, "fusion_gender": 0.58}  # standard deviation of the predictions' error
PREDICTED = [f"predicted_{name}" for name in ATTRIBUTES]


def make_corpus(seed=0, per_speaker=10):
    """A corpus table without ``path``: 20 speakers in train, 8 in development, 12 in test3, the first two talkative."""
    rng = np.random.default_rng(seed)
    parts = []
    for split, speakers in (("train", 20), ("development", 8), ("test3", 12)):
        counts = np.full(speakers, per_speaker)
        counts[:2] *= 8
        n = counts.sum()
        codes = list(PRIMARY_EMOTIONS) if split == "test3" else list(EMOTIONS)
        emotion = rng.choice(codes, n)
        centre = pd.Series(emotion).map({code: 4 + np.sin(i) for i, code in enumerate(EMOTIONS)}).to_numpy()
        values = np.clip(centre[:, None] + rng.normal(0, 0.8, (n, 3)), 1, 7)
        table = pd.DataFrame(values, columns=list(ATTRIBUTES)).assign(
            split=split,
            emotion=emotion,
            speaker=np.repeat([f"{split}-{i}" for i in range(speakers)], counts),
            gender=np.repeat(np.resize(["Female", "Male"], speakers), counts),
            transcript="a sentence",
            duration=rng.gamma(20, 0.1, n),
        )
        parts.append(table.set_index(pd.Index([f"{split}_{i:04}" for i in range(n)], name="utterance")))
    return pd.concat(parts)


def make_run(root, variant, seed, table, rng, profile="embedded"):
    folder = root / variant / f"seed-{seed}"
    folder.mkdir(parents=True)
    predictions = table[["split", "speaker", "emotion", *ATTRIBUTES]].reset_index()
    errors = rng.normal(0.2, QUALITY[variant], (len(predictions), 3))
    predictions[PREDICTED] = np.clip(4 + 0.7 * (predictions[list(ATTRIBUTES)] - 4) + errors, 1, 7)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    curve = np.linspace(0.1, 0.6, 10)
    history = pd.DataFrame({"epoch": range(1, 11), "loss": 3 - 3 * curve, "mean": curve})
    history.assign(**dict.fromkeys(ATTRIBUTES, curve)).to_csv(folder / "history.csv", index=False)
    (folder / "params.yaml").write_text(params.dump(params.load(profile, variant, seed)))
    metrics = {"best_epoch": 9, "epochs": 10, "seconds": 10.4 + seed, "peak_memory_mb": 500}
    metrics["ccc"] = {"test3": {"mean": 0.5 + 0.1 * seed, "valence": 0.4}}
    (folder / "metrics.json").write_text(json.dumps(metrics | {"parameters": 120, "trainable_parameters": 100}))
    (folder / "environment.json").write_text("{}")


def make_results(root, seeds=2):
    """What `sercore.runs.collect` writes, for all variants, with noise in place of speech."""
    rng, corpus = np.random.default_rng(1), make_corpus()
    tested = corpus[corpus["split"] != "train"]
    for variant in QUALITY:
        for seed in range(seeds):
            make_run(root, variant, seed, tested, rng)
    corpus.to_parquet(root / "corpus.parquet")
    raters = [f"r{i % 7}" for i in range(5 * len(corpus))]
    ratings = corpus.loc[corpus.index.repeat(5), ["emotion", *ATTRIBUTES]].reset_index().assign(rater=raters)
    ratings[list(ATTRIBUTES)] = (ratings[list(ATTRIBUTES)] + rng.normal(0, 1, (len(ratings), 3))).round().clip(1, 7)
    ratings.assign(emotion=ratings["emotion"].replace("X", "N")).to_parquet(root / "ratings.parquet", index=False)
    (root / "samples").mkdir()
    for code in PRIMARY_EMOTIONS:
        soundfile.write(root / "samples" / f"{code}.flac", rng.normal(0, 0.1, 8000), 16000)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    make_results(root)
    return root


@pytest.fixture(scope="module")
def trained(results):
    return runs.read_all(results)


@pytest.fixture(scope="module")
def corpus(results):
    return pd.read_parquet(results / "corpus.parquet")


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
        runs.Run(run.folder, run.params, run.metrics, run.history, run.predictions.sample(frac=1, random_state=number))
        for number, run in enumerate(trained)
    ]
    pd.testing.assert_frame_equal(report.scores(shuffled), report.scores(trained))


def test_unknown_speakers_are_taken_together_by_their_show(tmp_path):
    corpus = make_corpus()
    corpus.loc[corpus["split"] == "test3", "speaker"] = None
    tested = corpus["split"] == "test3"
    corpus.index = [f"MSP-PODCAST_{i % 5:04}_{i:04}" if out else f"u{i}" for i, out in enumerate(tested)]
    make_run(tmp_path, "fusion", 0, corpus.rename_axis("utterance"), np.random.default_rng(2))
    scores = report.scores(runs.read_all(tmp_path))
    assert set(scores.loc[scores["split"] == "test3", "speakers"]) == {5}


def test_folds_are_pooled(tmp_path):
    """Three runs, each on speakers of its own: one CCC over all of them, with all speakers in the interval."""
    rng, corpus = np.random.default_rng(2), make_corpus()
    tested = corpus[corpus["split"] == "test3"]
    fold = tested["speaker"].str.extract(r"-(\d+)", expand=False).astype(int) % 3
    for seed in range(3):
        make_run(tmp_path, "fusion", seed, tested[fold == seed], rng)
    trained = runs.read_all(tmp_path)
    row = report.scores(trained).set_index("endpoint").loc["valence"]
    assert row["ccc"] == pytest.approx(ccc_of(pd.concat([run.predictions for run in trained]), "valence"))
    assert tuple(row[["seeds", "runs", "utterances", "speakers"]]) == (3, 1, len(tested), 12)
    assert "predictions of their folds pooled" in report.splits_table(report.scores(trained))
    assert "One trained run of each system" in report.splits_table(report.scores(trained[:1]))


def test_a_split_without_gold_values_is_not_reported(trained):
    hidden = trained[0].predictions.copy()
    hidden.loc[hidden["split"] == "test3", list(ATTRIBUTES)] = np.nan
    run = runs.Run(trained[0].folder, trained[0].params, trained[0].metrics, trained[0].history, hidden)
    assert report.reported_split(trained) == "test3"
    assert report.reported_split([run]) == "development"
    assert set(report.scores([run])["split"]) == {"development"}


def test_tables_show_the_scores_and_the_papers_figures(trained):
    scores = report.scores(trained)
    table = report.results_table(scores, "test3")
    best = scores[(scores["system"] == "fusion") & (scores["split"] == "test3")].set_index("endpoint").loc["mean"]
    assert f"{best.ccc:.3f}<br><small>[{best.low:.2f}, {best.high:.2f}]".replace("0.", ".") in table
    assert ">.6588<" in table  # MMWavLM's .6588, from the quoted figures
    assert "The paper's fusion_gender: one summary of the paper gives this mean for including O/X" in table
    assert re.search(r"\d+ utterances of 12 speakers\. CCC averaged over 2 trained runs", table)
    assert report.results_table(scores, "test3") == table  # nbval compares the text
    assert report.splits_table(scores).count("<small>") == len(scores)


def test_the_table_of_emotions_shows_the_mean_consensus_above_the_published(corpus, results):
    ratings = pd.read_parquet(results / "ratings.parquet")
    table = report.class_table(corpus, ratings)
    natural = corpus[corpus["split"].isin(["train", "development"])]
    for code, rows in natural.groupby("emotion"):
        published = f"{PUBLISHED_CLASSES.loc[code, 'mean arousal']:.2f}" if code in PUBLISHED_CLASSES.index else "–"
        assert f"{rows['arousal'].mean():.2f}<br><small>{published}</small>" in table
    assert report.class_table(corpus, None) == report.NO_RATINGS


def test_the_answer_follows_the_numbers(trained):
    """Speech alone is far worse by construction; the two others hardly differ."""
    lines = report.answer(report.scores(trained), "test3").split("\n")
    assert lines[0].startswith("- `fusion`, the default system")
    assert "`speech_only`" in lines[1]
    assert "the intervals do not overlap" in lines[1]
    assert "the same step is −.0194." in lines[1]
    assert "`fusion_gender`" in lines[2]
    assert "does not tell the two apart" in lines[2]
    assert "the same step is +.0017." in lines[2]


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
    assert "the figures repeat" in report.agreement(trained, results)
    make_run(tmp_path, "fusion", 0, make_corpus(), np.random.default_rng(0))
    metrics = json.loads((tmp_path / "fusion" / "seed-0" / "metrics.json").read_text())
    metrics["ccc"]["test3"]["valence"] = 0.3
    (tmp_path / "fusion" / "seed-0" / "metrics.json").write_text(json.dumps(metrics))
    assert "A CCC differs by 0.100" in report.agreement(trained, tmp_path)
    assert "no run of this" in report.agreement(trained[:2], tmp_path)  # speech_only
    assert "no run of this" in report.agreement(trained, tmp_path / "nowhere")


def test_raters(results):
    study = report.read("embedded", results)
    table = report.rater_table(study.corpus, study.ratings)
    assert "ICC(1,k)" in table
    assert ">0.62<" in table  # the published ICC(1,k) of arousal
    spread = study.ratings.merge(study.corpus[["split"]], on="utterance").query("split != 'test3'")["arousal"].std()
    assert f">{spread:.2f}<" in table
    assert "on test3: CCC ." in report.rater_sentence(study.corpus, study.ratings, "test3")
    assert report.rater_table(study.corpus, None) == report.rater_sentence(study.corpus, None, "test3")


def test_a_study_is_read_and_another_profile_refused(results, tmp_path):
    study = report.read("embedded", results)
    assert len(study.runs) == 6
    assert set(study.ratings["utterance"]) == set(study.corpus.index)
    with pytest.raises(params.ParamsError, match="holds runs of profile embedded, not of emotale"):
        report.read("emotale", results)
    with pytest.raises(params.ParamsError, match="holds no results of a study"):
        report.read("embedded", tmp_path)


def test_papers_means_are_the_mean_of_the_three_except_where_the_paper_errs():
    rows = report.paper_results()
    error = (rows["mean"] - rows[list(ATTRIBUTES)].mean(axis=1)).abs()
    two_digits = rows[["arousal", "mean"]].map(lambda value: round(value, 2) == value).all(axis=1)
    assert list(rows.index[error > np.where(two_digits, 0.0101, 0.000101)]) == ["Table 4, MMWavLM, whole dataset"]
    assert {entry["paper"] for entry in params.variants().values()} <= set(rows.index)


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


@pytest.mark.parametrize("reader", ["simulated", "emotale", "msp_podcast", "manifest"])
def test_every_reader_has_a_banner(reader):
    corpus = {"reader": reader, "path": "somewhere"}
    text = report.banner(params.load("embedded", "fusion", 0, {"corpus": corpus}))
    assert text.startswith('<div class="admonition')
    assert ("says nothing about human speech" in text) == (reader == "simulated")


def test_players_hold_the_sound(results, tmp_path):
    html = report.players(results / "samples")
    assert html.count("<audio") == len(PRIMARY_EMOTIONS)
    assert html.index("anger") < html.index("neutral")
    assert "<audio" not in report.players(tmp_path / "samples")


FIGURES = {
    "results": lambda r, c: figures.results(report.scores(r), "test3"),
    "learning": lambda r, c: figures.learning_curves(r),
    "density": lambda r, c: figures.predicted_against_gold(r[:2], "test3"),
    "emotions": lambda r, c: figures.emotion_errors(report.emotion_errors(r[:2], "test3")),
    "shares": lambda r, c: figures.emotion_shares(c),
    "skew": lambda r, c: figures.speaker_skew(c),
    "durations": lambda r, c: figures.durations(c),
    "attributes": lambda r, c: figures.attributes_by_emotion(c),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_on_white_and_name_their_axes(name, trained, corpus, tmp_path):
    figure = FIGURES[name](trained, corpus)
    assert isinstance(figure, Figure)
    assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes)
    figure.savefig(tmp_path / "figure.png")
    pixels = matplotlib.image.imread(tmp_path / "figure.png")
    assert pixels[0, 0] == pytest.approx([1, 1, 1, 1])
    assert pixels[..., :3].std() > 0.01


def test_the_results_figure_shows_the_scores(trained):
    scores = report.scores(trained)
    axes = figures.results(scores, "test3").axes[0]
    drawn = sorted(x for line in axes.get_lines() for x in np.atleast_1d(line.get_xdata()))
    shown = scores.query("split == 'test3'")[["ccc", "low", "high"]].to_numpy().ravel()
    np.testing.assert_allclose(drawn, np.sort(shown))


def test_quoted_figures_are_data_not_prose():
    """No page types a figure of the paper: they all come from the one file."""
    quoted = yaml.safe_load((params.project_root() / "book" / "paper_results.yaml").read_text())["rows"].values()
    texts = [f"{value:.4f}"[1:] for row in quoted for value in row.values() if isinstance(value, float)]
    for page in Path(params.project_root(), "book").glob("*.md"):
        assert not [text for text in texts if len(text) == 5 and text in page.read_text()], page
