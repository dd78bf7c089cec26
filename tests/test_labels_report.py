"""The chapter on ambiguous labels, against literal transcriptions of what its tables say."""

import numpy as np
import pandas as pd
import pytest
from made_up import make_corpus, make_ratings, make_study
from scipy import stats

from sercore import ATTRIBUTES, params
from sercore.corpus import Corpus
from sercore.raters import PUBLISHED_CLASSES, class_statistics
from simulation import population
from study import comparisons
from study.chapters import labels_report
from study.chapters.labels_report import DOSE_0, DOSES, KINDS
from study.plan import Question

SYSTEMS = (*DOSES, DOSE_0, "fusion_fewer_agreed", "fusion_other_only", "fusion_soft")
PAIRS = (*((name, DOSE_0) for name in DOSES), ("fusion_soft", "fusion"))


@pytest.fixture(scope="module")
def study():
    return make_study(SYSTEMS, seeds=2)


@pytest.fixture(scope="module")
def compared(study):
    return {"study": comparisons.compare(study, Question("labels", "What do they carry?", PAIRS))}


@pytest.fixture(scope="module")
def described():
    corpus = make_corpus()
    return corpus, make_ratings(corpus, np.random.default_rng(0))


def value(table, kind, statistic, attribute, column="value"):
    rows = table.set_index(["kind", "statistic", "attribute"])
    return rows.loc[(kind, statistic, attribute), column]


def test_kinds_are_described_as_their_definitions_say(described):
    corpus, ratings = described
    table = labels_report.described(corpus, ratings)
    expected = class_statistics(corpus, ratings, ("train", "development", "test3"))
    for attribute in ATTRIBUTES:
        for kind, code in (("other", "O"), ("no agreement", "X")):
            for statistic in labels_report.STATISTICS:
                found = value(table, kind, statistic, attribute)
                assert found == pytest.approx(expected.loc[code, f"{statistic} {attribute}"])
        agreed = corpus.loc[~corpus["emotion"].isin(["O", "X"]), attribute]
        assert value(table, "agreed", "mean", attribute) == pytest.approx(agreed.mean())
        assert value(table, "agreed", "sd", attribute) == pytest.approx(agreed.std())
        assert value(table, "agreed", "mean", attribute, "difference high") == 0
    assert value(table, "other", "mean", "arousal", "utterances") == (corpus["emotion"] == "O").sum()


@pytest.mark.parametrize("statistic", ["mean", "sd"])
def test_intervals_are_the_jackknife_over_speakers(described, statistic):
    corpus, ratings = described
    measure = {"mean": pd.Series.mean, "sd": pd.Series.std}[statistic]

    def difference(rows):
        agreed = ~rows["emotion"].isin(["O", "X"])
        return measure(rows.loc[rows["emotion"] == "X", "valence"]) - measure(rows.loc[agreed, "valence"])

    speakers = corpus["speaker"].unique()
    without = np.array([difference(corpus[corpus["speaker"] != speaker]) for speaker in speakers])
    count = len(speakers)
    error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    reach = stats.t.ppf(0.975, count - 1) * error
    found = [
        value(labels_report.described(corpus, ratings), "no agreement", statistic, "valence", f"difference {end}")
        for end in ("low", "high")
    ]
    assert found == pytest.approx([difference(corpus) - reach, difference(corpus) + reach])


def test_what_has_no_interval_is_left_out(described):
    corpus, _ = described
    one_speaker = corpus[(corpus["emotion"] != "O") | (corpus["speaker"] == "train-0")]
    table = labels_report.described(one_speaker, None)
    assert set(table["kind"]) == {"agreed", "no agreement"}
    assert table.loc[table["statistic"] == "raters' sd", "value"].isna().all()
    assert table.loc[table["statistic"] != "raters' sd", "low"].notna().all()
    labels_report.kinds_table({"this study": table})
    labels_report.kinds_figure({"this study": table}, "mean")


def test_published_moments_are_those_of_the_classes_together():
    table = labels_report.published()
    generator, parts = np.random.default_rng(0), []
    for code in KINDS["agreed"]:
        if code in PUBLISHED_CLASSES.index:
            row = PUBLISHED_CLASSES.loc[code]
            sample = generator.normal(size=int(row["utterances"]))
            sample = (sample - sample.mean()) / sample.std() * row["sd valence"] + row["mean valence"]
            parts.append(sample)
    together = np.concatenate(parts)
    assert value(table, "agreed", "mean", "valence") == pytest.approx(together.mean())
    assert value(table, "agreed", "sd", "valence") == pytest.approx(together.std())
    assert value(table, "no agreement", "raters' sd", "valence") == PUBLISHED_CLASSES.loc["X", "raters' sd valence"]
    expected = PUBLISHED_CLASSES.loc["O", "mean valence"] - together.mean()
    assert value(table, "other", "mean", "valence", "difference") == pytest.approx(expected)


def test_votes_give_the_consensus_of_the_simulation():
    generator = np.random.default_rng(0)
    drawn = population.draw_utterances(generator, 500, population.draw_raters(generator, 20), 5)
    ratings = pd.DataFrame(
        {"utterance": np.repeat(np.arange(500), 5), "emotion": population.VOTES[drawn.votes.ravel()]}
    )
    assert labels_report.voted(ratings).tolist() == drawn.consensus.tolist()


def test_what_is_written_holds_no_utterance(tmp_path, described, monkeypatch):
    corpus, ratings = described
    ratings = ratings.assign(emotion=corpus["emotion"].loc[ratings["utterance"]].replace("X", "N").to_numpy())
    (tmp_path / "a.wav").touch()
    whole = Corpus("made up", corpus.assign(path=tmp_path / "a.wav"), (1, 7), ratings)
    monkeypatch.setattr("sercore.corpora.read", lambda *_: whole)
    labels_report.write(params.load("emotale", "fusion", 0), tmp_path / "labels")
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["kinds.csv"]
    written = pd.read_csv(tmp_path / "labels" / "kinds.csv")
    expected = labels_report.described(corpus.assign(emotion=corpus["emotion"].replace("X", "N")), ratings)
    pd.testing.assert_frame_equal(written, expected, atol=1e-4)
    assert len(written) < 30


def test_doses_are_those_of_the_runs(study, compared):
    doses = labels_report.dose_response(compared, {"study": study})
    assert doses["share"].tolist() == [0, 0.25, 0.5, 1]
    steps = compared["study"].tested.set_index("system")
    assert doses["difference"].tolist()[1:] == steps.loc[list(DOSES), "difference"].tolist()
    (panel,) = labels_report.dose_figure(doses).axes
    assert "share" in panel.get_xlabel()
    assert "95 % interval" in panel.get_ylabel()
    assert len(panel.get_legend().get_texts()) == 1


def test_training_sets_say_what_a_run_draws(study):
    table = labels_report.training_sets(study, SYSTEMS)
    train = study.corpus.query("split == 'train'")["emotion"].value_counts()
    assert table.count(f">{train['X']:,}<") >= 3  # fusion, soft, fewer agreed
    assert f">{round(train['X'] / 4):,}<" in table
    # A quarter of this corpus's O and X is too few for a sixth batch of 32; 5 batches in 24 epochs are 120 updates too.
    assert (table.count(">100<"), table.count(">120<")) == (1, len(SYSTEMS) - 1)
    assert "chosen epoch" in table


def test_tables_name_conditions_and_verdicts(study, compared):
    assert "raters' noise as published" in labels_report.conditions_table(compared)
    assert labels_report.conditions_table(compared).count("resolved") >= len(PAIRS)
    noise = labels_report.noise_table({"study": study}, compared)
    assert "one rater" in noise
    settings = {"rater_noise": 2.0}, {"ambiguous_noise": 3.0}
    names = [labels_report.condition_name(params.load("embedded", "fusion", 0, {"corpus": each})) for each in settings]
    assert names == ["raters' noise × 2", "raters' noise × 3 on O and X"]


def test_the_figures_show_every_source(study):
    sources = labels_report.sources(study)
    assert {"this study", "WHiSER label files, real, published"} <= set(sources)
    for statistic in ("mean", "raters' sd"):
        figure = labels_report.kinds_figure(sources, statistic)
        assert len(figure.axes) == 3 * len(sources)
        assert all(panel.get_xlabel() for panel in figure.axes[-3:])
