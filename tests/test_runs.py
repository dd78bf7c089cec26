"""The tables of a study's results hold what its run folders hold."""

import contextlib

import numpy as np
import pandas as pd
import pytest
from conftest import furnish

from sercore import params, runs
from sercore.runs import PREDICTED
from sercore.training import train
from study import results

SMALL = {
    "heads": {"width": 16},
    "sampling": {"samples_per_emotion": 4, "validation_per_emotion": 2},
    "training": {"epochs": 2, "batch_size": 8},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tones):
    plain = SMALL | {"loss": {"gender": 0.0}}
    with contextlib.chdir(furnish(tmp_path_factory.mktemp("trained"))):
        return [
            train(params.load("embedded", "speech_only", 1, SMALL), tones).folder,
            train(params.load("embedded", "speech_gender_development_ambiguous", 1, plain), tones).folder,
        ]


def test_tables_read_back_as_the_runs(project, tones, folders):
    results.collect(folders, tones, project / "results")
    read = {run.system: run for run in results.read_runs(project / "results")}
    assert len(read) == 2
    assert (project / "results" / "samples" / "O.mp3").stat().st_size > 500
    for folder in folders:
        expected = runs.read(folder)
        run = read[expected.params.variant]
        assert run.folder is None
        assert run.params == expected.params
        assert run.metrics["ccc"] == {split: pytest.approx(values) for split, values in expected.metrics["ccc"].items()}
        assert {k: v for k, v in run.metrics.items() if k != "ccc"} == {
            k: v for k, v in expected.metrics.items() if k != "ccc"
        }
        pd.testing.assert_frame_equal(run.history, expected.history)
        ours, theirs = run.predictions.set_index("utterance"), expected.predictions.set_index("utterance")
        np.testing.assert_allclose(ours[PREDICTED], theirs[PREDICTED], atol=6e-4)
        pd.testing.assert_frame_equal(ours.drop(columns=PREDICTED), theirs.drop(columns=PREDICTED), check_dtype=False)


def test_the_probability_of_a_woman_is_kept_where_a_system_tells_it(project, tones, folders):
    gender = train(params.load("embedded", "fusion_gender", 1, SMALL), tones)
    assert gender.predictions["predicted_female"].between(0, 1).all()
    results.collect([*folders, gender.folder], tones, project / "results")
    for run in results.read_runs(project / "results"):
        kept = run.predictions.set_index("utterance")["predicted_female"]
        if run.params.loss.gender:
            expected = gender.predictions.set_index("utterance")["predicted_female"]
            np.testing.assert_allclose(kept[expected.index], expected, atol=6e-4)
        else:
            assert kept.isna().all()


def test_a_run_does_not_predict_what_it_was_trained_on(tones, folders):
    agreed = runs.read(folders[1]).predictions
    assert set(agreed.loc[agreed["split"] == "development", "emotion"]) == set("ASHUFDCN")
    every = runs.read(folders[0]).predictions
    assert set(every.loc[every["split"] == "development", "emotion"]) == set("ASHUFDCNOX")


@pytest.mark.parametrize("name", ["runs.csv", "history.csv", "predictions.parquet", "params.yaml", "corpus.parquet"])
def test_a_table_that_is_absent_or_cut_off_is_said(project, tones, folders, name):
    target = project / "results"
    results.collect(folders, tones, target)
    path = target / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(params.ParamsError, match=r"results is damaged or of another version .*: run `make study`\.$"):
        results.read_runs(target)
    path.unlink()
    with pytest.raises(params.ParamsError, match=f"missing {name}"):
        results.read_runs(target)


def test_systems_that_are_no_more_are_named(project, tones, folders):
    target = project / "results"
    results.collect(folders, tones, target)
    text = (target / "params.yaml").read_text()
    (target / "params.yaml").write_text(text.replace("variant: speech_only", "variant: forgotten"))
    with pytest.raises(params.ParamsError, match=r"runs of forgotten, not in params/variants\.yaml"):
        results.read_runs(target)


def test_a_new_run_needs_room(project):
    chosen = params.load("embedded", "speech_only", 1)
    with pytest.raises(OSError, match=r"model of a run take about 1\d+\.0 GB, and \d.* are free"):
        runs.require_room(chosen, {"corpus": "mine"}, 1e20)
    runs.partial_folder(chosen, {"corpus": "mine", "text": "cached"})
    runs.require_room(chosen, {"corpus": "mine"}, 1e20)  # what an interrupted run has taken is there
    with pytest.raises(OSError, match="are free"):
        runs.require_room(chosen, {"corpus": "another"}, 1e20)
