"""Trained on one corpus, tested on another: what is tested, on a scale of its own, and what the chapter says of it."""

import re

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercore import ATTRIBUTES, corpora, params
from sercore.evaluation import evaluate
from sercore.runs import PREDICTED, read
from sercore.significance import ccc_interval
from sercore.training import train
from study import plan as questions
from study.chapters import across, across_report

pytestmark = pytest.mark.filterwarnings("ignore:.*no transcript")

EMOTALE = "file,a1_A,a1_V,a1_D,a1_cat,a2_A,a2_V,a2_D,a2_cat,a3_A,a3_V,a3_D,a3_cat,gt_emotion\n"


def manifest(project, name, table, scale):
    table.to_csv(project / f"{name}.csv")
    return {"reader": "manifest", "path": str(project / f"{name}.csv"), "scale": list(scale)}


def trained(corpus, small, seeds=(0,), systems=("speech_only", "fusion")):
    loaded = [params.load("embedded", name, seed, small | {"corpus": corpus}) for name in systems for seed in seeds]
    return [train(one, corpora.read(one.corpus, one.seed)).folder for one in loaded]


def mapped(table, low, factor):
    """The labels on another scale; names of its own, since the same recordings are another corpus here."""
    values = {name: low + factor * (table[name] - 1) for name in ATTRIBUTES}
    return table.assign(**values).rename("other {}".format)


def msp_podcast(folder, table):
    """Rows of a corpus as a release of MSP-Podcast."""
    (folder / "Labels").mkdir(parents=True)
    (folder / "Audios").mkdir()
    for name, path in table["path"].items():
        (folder / "Audios" / f"{name}.wav").symlink_to(path)
    names = {"emotion": "EmoClass", "arousal": "EmoAct", "valence": "EmoVal", "dominance": "EmoDom"}
    names |= {"speaker": "SpkrID", "gender": "Gender", "split": "Split_Set"}
    table = table.assign(gender=table["gender"].fillna("Unknown")).rename(columns=names)[list(names.values())]
    table.rename_axis("FileName").rename("{}.wav".format).to_csv(folder / "Labels" / "labels_consensus.csv")
    return {"reader": "msp_podcast", "path": str(folder), "missing_audio": "error"}


@pytest.fixture
def short(small):
    """Overrides for runs of which only the utterances count."""
    return small | {"training": {"epochs": 1, "batch_size": 4}}


@pytest.fixture
def spoken(tones):
    """`tones` with a test speaker an utterance: one alone has no interval."""
    table = tones.table.copy()
    test = table["split"] == "test3"
    table.loc[test, "speaker"] = [f"t{number}" for number in range(test.sum())]
    return table


@pytest.fixture
def emotale(project):
    """EmoTale with seven speakers and two noises of each."""
    generator, rows = np.random.default_rng(0), []
    (project / "emotale").mkdir()
    for speaker in range(1, 8):
        for emotion in "AN":
            name = f"EN_00{speaker}_{emotion}_1.wav"
            soundfile.write(project / "emotale" / name, generator.normal(0, 0.1 * generator.uniform(), 8000), 16_000)
            ratings = ",".join(f"{a},{v},{d},{emotion}" for a, v, d in generator.integers(2, 11, (3, 3)) / 2)
            rows.append(f"{name},{ratings},{emotion}\n")
    (project / "emotale" / "annotations.csv").write_text(EMOTALE + "".join(rows))
    people = "".join(f"00{speaker},{'FM'[speaker % 2]}\n" for speaker in range(1, 8))
    (project / "emotale" / "speaker_info.csv").write_text(f"speaker,gender\n{people}")
    return {"reader": "emotale", "path": str(project / "emotale"), "language": "English", "folds": 3}


@pytest.mark.slow
def test_a_corpus_that_differs_in_its_scale_alone_is_served_as_well_as_ones_own(project, spoken, small):
    own = manifest(project, "own", spoken, (1, 7))
    tested = {
        "own": own,
        "rescaled": manifest(project, "rescaled", mapped(spoken, -1, 0.5), (-1, 2)),
        "shifted": manifest(project, "shifted", mapped(spoken, 3, 0.5), (1, 7)),
    }
    folders = trained(own, small, (0, 1))
    across.write({"own": folders}, tested, project / "results")
    matrix = across.read(project / "results")["matrix"].set_index(["test", "system", "endpoint"])
    assert matrix.columns.tolist()[1:7] == ["ccc", "low", "high", "aligned", "aligned_low", "aligned_high"]
    measured = ["ccc", "low", "high", "aligned", "utterances", "speakers", "runs"]
    same, rescaled, shifted = (matrix.loc[name] for name in tested)
    pd.testing.assert_frame_equal(rescaled[measured], same[measured], atol=1e-4)
    np.testing.assert_allclose(shifted["aligned"], same["aligned"], atol=1e-4)
    assert (shifted["ccc"] - same["ccc"]).abs().max() > 0.05
    runs = [read(folder).predictions for folder in folders[:2]]
    rows = [table[table["split"] == "test3"] for table in runs]
    expected = ccc_interval(rows[0][list(ATTRIBUTES)], np.stack([one[PREDICTED] for one in rows]), [*"abcdefgh"])
    np.testing.assert_allclose(same.loc["speech_only", "ccc"], expected.ccc, atol=1e-5)
    assert not list((project / "results").glob(".*"))


def test_folds_are_pooled_at_home_tested_as_a_whole_elsewhere_and_each_run_by_itself(project, spoken, short, emotale):
    own = manifest(project, "own", spoken, (1, 7))
    sampling = {"samples_per_emotion": None, "validation_per_emotion": None}
    folds = trained(emotale, short | {"sampling": sampling}, range(3))
    across.write(
        {"own": trained(own, short, (0, 1)), "emotale": folds}, {"own": own, "emotale": emotale}, project / "results"
    )
    tables = across.read(project / "results")
    sizes = tables["matrix"].drop_duplicates(["train", "test"]).set_index(["train", "test"])
    assert sizes[["utterances", "speakers", "runs"]].T.to_dict("list") == {
        ("own", "own"): [8, 8, 2],
        ("emotale", "own"): [8, 8, 3],
        ("own", "emotale"): [14, 7, 2],
        ("emotale", "emotale"): [14, 7, 1],
    }
    losses = tables["losses"].drop_duplicates(["train", "test", "loss"])
    assert set(losses.loc[losses["loss"] == "ranking", "train"] + losses.loc[losses["loss"] == "ranking", "test"]) == {
        "emotaleown",
        "ownemotale",
    }
    assert len(tables["differences"]) == 4 * 4
    assert not [name for table in tables.values() for name in table.columns if name == "utterance"]
    # A run that has learnt from the folds' own files is tested on what it has not.
    danish = pd.read_parquet(evaluate(folds[0], "same", {"missing_audio": "skip"}))
    assert "train" not in set(danish["split"])


def test_what_a_system_has_learnt_from_in_one_release_it_is_not_tested_on_in_another(project, spoken, short):
    first = msp_podcast(project / "first", spoken)
    moved = spoken.index[spoken["speaker"].isin(["3", "4"])]  # of train and development
    table = spoken[~spoken["speaker"].isin(["3", "4"])]
    second = msp_podcast(project / "second", pd.concat([table, spoken.loc[moved].assign(split="test3")]))
    simulated = manifest(project, "simulated", spoken, (1, 7))
    folders = {"first": trained(first, short), "other": trained(simulated, short)}
    across.write(folders, {"second": second}, project / "results")
    matrix = across.read(project / "results")["matrix"].drop_duplicates("train").set_index("train")
    assert matrix["utterances"].to_dict() == {"first": 8, "other": 8 + len(moved)}
    third = msp_podcast(project / "third", spoken[spoken["split"] != "test3"])  # its development split is the first's
    across.write(folders, {"second": second, "third": third}, project / "results")
    tables = across.read(project / "results")
    pairs = {("first", "second"), ("other", "second"), ("other", "third")}
    assert {pair for table in tables.values() for pair in zip(table["train"], table["test"], strict=True)} == pairs


def test_corpora_that_are_not_on_the_machine_are_left_out(project):
    assert list(questions.at_hand("embedded", {})) == ["simulated"]
    (project / "data" / "emotale").mkdir(parents=True)
    assert list(questions.at_hand("embedded", {})) == ["simulated", "emotale"]
    found = questions.at_hand("iemocap", {"corpus": {"path": str(project)}})
    assert list(found) == ["simulated", "emotale", "iemocap"]
    assert found["iemocap"].corpus.path == project
    found = questions.at_hand("msp_podcast", {"corpus": {"path": str(project)}})
    assert {name: one.profile for name, one in found.items()} == {
        "msp_podcast": "msp_podcast",
        "simulated": "embedded",
        "emotale": "emotale",
    }


def made_up():
    """Two corpora and systems: elsewhere .2, aligned .5 of .6; ranking lost by `fusion` alone."""
    pairs = [(train, test, system) for test in "ab" for train in "ab" for system in ("speech_only", "fusion")]
    rows = [(*pair, endpoint) for pair in pairs for endpoint in (*ATTRIBUTES, "mean")]
    table = pd.DataFrame(rows, columns=["train", "test", "system", "endpoint"])
    own = table["train"] == table["test"]
    table = table.replace({"a": "simulated", "b": "emotale"})
    ccc, aligned = np.where(own, 0.55, 0.2), np.where(own, 0.6, 0.5)
    matrix = table.assign(ccc=ccc, low=ccc - 0.1, high=ccc + 0.1, aligned=aligned)
    matrix = matrix.assign(aligned_low=aligned - 0.1, aligned_high=aligned + 0.1, utterances=50, speakers=7, runs=3)
    scale = table.assign(loss="scale", difference=aligned - ccc, low=0.01, high=0.4)
    ranking = table[~own].assign(loss="ranking", difference=0.1)
    ranking["low"] = np.where(ranking["system"] == "fusion", 0.02, -0.05)
    differences = table[table["system"] == "fusion"].assign(
        reference="speech_only", difference=-0.3, low=-0.4, high=-0.2, p=0.001, holm=0.004, detectable=0.1
    )
    verdict = np.where(differences["train"] == "emotale", "resolved", "unresolved")
    losses = pd.concat([scale, ranking.assign(high=0.3)], ignore_index=True)
    return {"matrix": matrix, "losses": losses, "differences": differences.assign(verdict=verdict)}


def test_the_answer_tells_scale_from_ranking_and_what_is_unresolved():
    text = across_report.answer(made_up())
    assert text.count("\n") == 3
    assert (
        "- **simulated → emotale**, `fusion`: CCC .200 [.10, .30], where the one that learnt from emotale has .550"
        in text
    )
    assert (
        "Aligning gains .300 [.01, .40]. After that the latter still leads by +.100 [.02, .30]: ranking is lost."
        in text
    )
    assert text.count("whether ranking is lost is unresolved") == 2


def test_one_corpus_alone_has_a_chapter_too():
    alone = {
        name: table[(table["train"] == "emotale") & (table["test"] == "emotale")] for name, table in made_up().items()
    }
    assert "Only one corpus is at hand" in across_report.answer(alone)
    assert len(across_report.heat_map(alone).axes[0].texts) == 1
    assert "–" in across_report.losses_table(alone)
    assert across_report.limits(alone, "embedded").endswith(
        "Not at hand: simulated, iemocap; nothing is known of them here."
    )


def test_what_is_absent_is_said():
    assert across_report.limits(made_up(), "embedded") == (
        "All pairs of simulated and emotale were measured. Not at hand: iemocap; nothing is known of them here."
    )
    text = across_report.corpora_table(made_up(), "embedded")
    assert text.count(">absent<") == 2
    assert "enacted speech" in text


def test_only_resolved_differences_are_told():
    text = across_report.systems_answer(made_up())
    assert text.splitlines()[0] == "- emotale → simulated: `fusion` − `speech_only` −.300 [−.400, −.200]."
    assert "The other 2 are unresolved." in text


def test_each_cell_of_the_figure_has_its_number_and_its_interval():
    figure = across_report.heat_map(made_up())
    panels = figure.axes[:4]
    texts = [text.get_text() for panel in panels for text in panel.texts]
    assert texts.count(".20\n[.10, .30]") == 4
    assert texts.count(".60\n[.50, .70]") == 4
    assert [len(panel.patches) for panel in panels] == [2] * 4
    assert all(panel.get_xlabel() == "tested on" and panel.get_ylabel() == "trained on" for panel in panels)


@pytest.mark.parametrize("measure", ["ccc", "aligned"])
def test_tables_hold_every_endpoint_and_their_files(measure):
    tables = made_up()
    text = across_report.scores_table(tables, measure)
    assert len(re.findall(r"→", text.split("</table>")[0])) == 8
    assert f"across_{measure}.csv" in text
    assert "+.300<br><small>[.01, .40]</small>" in across_report.losses_table(tables)
    assert "resolved" in across_report.differences_table(tables)
