"""The challenge's file, read back by the csv module and compared with sums written out."""

import csv
import sys

import numpy as np
import pandas as pd
import pytest

from sercore import params, submission
from sercore.__main__ import main
from sercore.params import ParamsError
from sercore.runs import Run
from sercore.training import train

NAMES = ["MSP-PODCAST_test3_0002", "MSP-PODCAST_test3_0010", "MSP-PODCAST_test3_0001", "006-040.1-2_13"]
GAPS = pytest.mark.filterwarnings("ignore:.* files of Test3 are missing")


def run(values: list[list[float]], names: list[str] = NAMES, seed: int = 0, **corpus) -> Run:
    """A run that predicted `values` for Test3, in the order of `names`, and one utterance of development."""
    chosen = params.load("embedded", "fusion", seed, {"corpus": corpus} if corpus else None)
    rows = pd.DataFrame(values, columns=["predicted_arousal", "predicted_valence", "predicted_dominance"])
    rows = rows.assign(utterance=names, split="test3", speaker=None, emotion=None)
    rows = rows.assign(arousal=np.nan, valence=np.nan, dominance=np.nan)
    rows = pd.concat([rows, rows.head(1).assign(utterance="another", split="development")])
    return Run("fusion", chosen, {}, pd.DataFrame(), rows, None)


FIRST = [[1, 2, 3], [4, 5, 6], [7, 6.5, 5.5], [2.25, 3.5, 4.75]]
SECOND = [[2, 4, 3], [4, 6, 7], [7, 1, 1], [3, 3, 3]]


def read(path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


@GAPS
def test_one_run_gives_a_row_an_utterance_sorted_by_name(project):
    written = submission.write([run(FIRST)], project / "answer.csv")
    header, rows = read(project / "answer.csv")
    assert header == ["FileName", "EmoAct", "EmoVal", "EmoDom"]
    expected = sorted(zip([f"{name}.wav" for name in NAMES], FIRST, strict=True))
    assert [(name, [float(value) for value in values]) for name, *values in rows] == expected
    assert list(written.index) == [name for name, *_ in rows]


@GAPS
def test_an_ensemble_is_the_mean_whatever_the_order_of_its_rows(project):
    submission.write([run(FIRST), run(SECOND[::-1], NAMES[::-1], seed=1), run(FIRST, seed=2)], project / "answer.csv")
    rows = {name: [float(value) for value in values] for name, *values in read(project / "answer.csv")[1]}
    for name, first, second in zip(NAMES, FIRST, SECOND, strict=True):
        assert rows[f"{name}.wav"] == pytest.approx([(2 * a + b) / 3 for a, b in zip(first, second, strict=True)])


def test_a_lost_file_of_test3_is_told_by_its_number(project):
    with pytest.warns(UserWarning, match="7 files of Test3 are missing from .*, number 3, 4, 5, 6, 7 and 2 more"):
        submission.write([run(FIRST)], project / "answer.csv")


@pytest.mark.filterwarnings("error")
def test_no_warning_where_all_are_there(project):
    submission.write([run(FIRST[:2], NAMES[::2][::-1])], project / "answer.csv")


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (lambda: [], "no run is given"),
        (lambda: [run([], [])], r"fusion seed 0 has no prediction for Test3: its corpus, data/simulated, has no"),
        (
            lambda: [run(FIRST), run(SECOND[:3], NAMES[:3], seed=1)],
            r"seed 1 and .* seed 0 .* Test3, 006-040.1-2_13.wav:",
        ),
        (lambda: [run(FIRST, [*NAMES[:3], NAMES[0]])], "predicts utterances of Test3 more than once: .*_0002.wav"),
        (lambda: [run([*FIRST[:3], [1, 7.001, 2]])], "not from 1 to 7: 006-040.1-2_13.wav"),
        (lambda: [run([[0.999, 2, 3], *FIRST[1:]])], "not from 1 to 7: MSP-PODCAST_test3_0002.wav"),
        (lambda: [run([[1, float("nan"), 3], *FIRST[1:]])], "not from 1 to 7: MSP-PODCAST_test3_0002.wav"),
        (lambda: [run(FIRST, reader="manifest", path="a.csv", scale=[1, 5])], "from 1 to 5; the challenge's scale is"),
    ],
)
def test_what_is_no_submission_is_refused_in_one_sentence(project, runs, sentence):
    (project / "answer.csv").write_text("an older one")
    with pytest.raises(ParamsError, match=sentence) as error:
        submission.write(runs(), project / "answer.csv")
    assert "\n" not in str(error.value)
    assert (project / "answer.csv").read_text() == "an older one"


@GAPS
def test_nothing_half_written_is_left(project, monkeypatch):
    (project / "folder").mkdir()
    before = set(project.iterdir())
    with pytest.raises(ParamsError, match=r"absent/answer\.csv cannot be written \(No such file or directory\)"):
        submission.write([run(FIRST)], project / "absent" / "answer.csv")
    with pytest.raises(ParamsError, match=r"folder cannot be written \(Is a directory\)"):
        submission.write([run(FIRST)], project / "folder")

    def full(self, text, **_):
        self.write_bytes(b"FileName")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(ParamsError, match="No space left"):
        submission.write([run(FIRST)], project / "answer.csv")
    assert set(project.iterdir()) == before


def test_the_command_writes_what_the_runs_predicted(project, tones, small, monkeypatch, capfd):
    small = small | {"training": {"epochs": 1, "batch_size": 8}}
    trained = [train(params.load("embedded", "speech_only", seed, small), tones) for seed in (0, 1)]
    folders = [str(one.folder.relative_to(project)) for one in trained]
    monkeypatch.setattr(sys, "argv", ["sercore", "submission", *folders, "--output", "answer.csv"])
    main()
    assert "answer.csv: 8 utterances" in capfd.readouterr().out
    rows = {name: float(valence) for name, _, valence, _ in read(project / "answer.csv")[1]}
    for name in tones.split("test3").index:
        pair = [one.predictions.set_index("utterance").loc[name, "predicted_valence"] for one in trained]
        assert rows[f"{name}.wav"] == pytest.approx(sum(pair) / 2, abs=1e-6)
    monkeypatch.setattr(sys, "argv", ["sercore", "submission", "nowhere", "--output", "answer.csv"])
    with pytest.raises(SystemExit, match=r"^error: nowhere is not complete, missing params\.yaml"):
        main()
