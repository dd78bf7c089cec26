"""What is in a table is what was meant, or the file, row and key are named."""

import warnings

import numpy as np
import pandas as pd
import pytest
from faults import OVERRIDES, command, manifest, sentence, table
from hypothesis import given, settings
from hypothesis import strategies as st

from sercore import ATTRIBUTES, corpora, params, significance, training
from sercore.corpora import files
from sercore.corpus import CorpusError
from sercore.sums import SignificanceError, speaker_sums
from study.plan import corpus_of


def loaded(path, **changes):
    return params.load("embedded", "speech_only", 0, {"corpus": {"reader": "manifest", "path": str(path)}} | changes)


def read(path):
    return corpora.read(loaded(path).corpus, 0)


QUIRKS = {
    "a quotation mark that opens": ('"Oh', 'I said"', r"row 3 \(.*\) has a line break in transcript"),
    "a quotation mark that is not closed": ('"Oh', "I said", r"line \d+: unexpected end of data"),
    "a quotation mark within quotation marks": ('"Oh" she said', "x", r"line 4: ',' expected after '\"'"),
    "a line break": ('"Oh,\nwell"', "x", r"row 3 \(.*\) has a line break in transcript"),
    "a carriage return": ('"Oh,\rwell"', "x", r"row 3 \(.*\) has a line break in transcript"),
    "a zero byte": ("Oh\0", "x", r"(row 3 .* has a line break in transcript|line contains NUL)"),
    "a comma": ("Oh, well", "x", r"row 3 \(.*\) has 9 values, and the header has 8"),
}


@pytest.mark.parametrize(("first", "second", "problem"), QUIRKS.values(), ids=QUIRKS)
def test_no_row_is_swallowed(project, first, second, problem, monkeypatch, capsys):
    path = manifest(project)
    lines = path.read_text().splitlines()
    lines = [f"{lines[0]},transcript", *(f"{line}," for line in lines[1:])]
    lines[3] += first
    lines[20] += second
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorpusError, match=rf"corpus\.csv.*{problem}"):
        read(path)
    chosen = "{corpus: {reader: manifest, path: corpus.csv}}"
    assert command(monkeypatch, "train", "embedded", "fusion", 0, "--overrides", chosen) == 1
    sentence(capsys.readouterr().err, "corpus.csv")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda lines: [lines[0], lines[1].rpartition(",")[0], *lines[2:]],
            r"row 1 \(.*\) has 6 values, and the header has 7",
        ),
        (lambda lines: [lines[0] + ",arousal", *(line + ",1" for line in lines[1:])], "has a column twice: arousal"),
        (lambda lines: [], "is empty: a CSV begins with the names of its columns"),
        (lambda lines: [line.replace(",", ";") for line in lines], "missing columns utterance, path"),
        (lambda lines: [*lines, lines[1]], "duplicate utterance: u000"),
    ],
)
def test_rows_and_columns_are_counted(project, change, problem):
    path = manifest(project)
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(CorpusError, match=problem):
        read(path)


@pytest.mark.parametrize(("encoding", "byte"), [("cp1252", "0xfc"), ("latin-1", "0xfc"), ("utf-16", "0xff")])
def test_what_is_not_utf_8_is_refused_with_line_and_byte(project, encoding, byte):
    rows = table()
    rows["speaker"] = rows["speaker"].replace({"s5": "Müller", "s6": "Möller"})
    path = manifest(project, rows)
    text = path.read_text(encoding="utf-8")
    for valid in ("utf-8", "utf-8-sig"):
        path.write_text(text, encoding=valid)
        assert {"Müller", "Möller"} < set(read(path).table["speaker"])
    path.write_text(text, encoding=encoding)
    line = 1 if encoding == "utf-16" else 52
    with pytest.raises(CorpusError, match=rf"corpus\.csv is not UTF-8: line {line} has the byte {byte}; save it"):
        read(path)


def test_one_speaker_in_two_ways_of_writing_is_one(project):
    rows = table()
    rows["speaker"] = rows["speaker"].replace({"s5": "Mu\u0308ller", "s6": "M\u00fcller"})
    assert (read(manifest(project, rows)).table["speaker"] == "Müller").sum() == 20


texts = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=20)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=8))
def test_any_text_that_is_written_as_csv_is_read_as_it_is(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    expected = pd.DataFrame(rows, columns=["a", "b", "c"], dtype="str")
    expected.to_csv(path, index=False)
    pd.testing.assert_frame_equal(files.read_csv(path), expected)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(['"', ",", "a", "\n", " ", "1"]), max_size=40).map("".join))
def test_each_line_is_a_row_or_the_table_is_refused(tmp_path_factory, body):
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    path.write_text(f"a,b\n{body}")
    try:
        found = files.read_csv(path)
    except CorpusError:
        return
    assert len(found) == len([line for line in body.split("\n") if line])


def test_rows_that_lack_what_is_not_trained_are_trained_on(project):
    rows = table()
    rows.loc[5:29, "dominance"] = np.nan
    path, left_out = manifest(project, rows), {}
    for attributes in (["arousal", "valence"], list(ATTRIBUTES)):
        changes = params.parse_yaml(OVERRIDES, "here") | {"loss": {"attributes": attributes}}
        chosen = loaded(path, **changes | {"training": {"epochs": 2, "batch_size": 5}})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run = training.train(chosen, read(path))
        left_out[len(attributes)] = [str(one.message) for one in caught if "left out" in str(one.message)]
        assert np.isfinite(run.predictions[[f"predicted_{name}" for name in ATTRIBUTES]]).all(axis=None)
        assert np.isfinite(run.history[["loss", "mean", *attributes]]).all(axis=None)
    assert left_out[2] == []
    lacking = "25 of 30 utterances of split 'train' lack one of arousal, valence, dominance, which are trained"
    assert left_out[3][0].startswith(lacking)


def test_a_corpus_without_speakers_is_refused_before_training(project):
    rows = table()
    path = manifest(project, rows.drop(columns="speaker"))
    with pytest.raises(CorpusError, match=r"names fewer than two speakers \(.+\) in split \w+, over which"):
        corpus_of(loaded(path).corpus, 0)
    manifest(project, rows.assign(speaker=rows["speaker"].mask(rows["split"] == "train")))
    corpus_of(loaded(path).corpus, 1)


@pytest.fixture
def labelled():
    generator = np.random.default_rng(0)
    names = pd.Index([f"u{number:02}" for number in range(40)], name="utterance")
    gold = pd.DataFrame(generator.normal(4, 1, (40, 3)), names, list(ATTRIBUTES))
    predicted = gold + generator.normal(0, [0.3, 1, 2], gold.shape)
    return gold, predicted, pd.Series(np.repeat([*"abcdefgh"], 5), names)


def measures(gold, predicted, other, speakers):
    a, b = (speaker_sums(gold, each, speakers) for each in (predicted, other))
    yield significance.interval(a).low
    yield significance.difference(a, b).low
    yield speaker_sums(gold, [predicted, other], speakers)


def test_tables_are_matched_by_their_labels_in_every_function(labelled):
    gold, predicted, speakers = labelled
    shuffled = predicted.sample(frac=1, random_state=0)[["dominance", "arousal", "valence"]]
    arrays = [each.to_numpy() for each in (gold, predicted, predicted + 0.5, speakers)]
    ours = measures(gold, shuffled, shuffled.iloc[::-1] + 0.5, speakers.sample(frac=1, random_state=1))
    for one, other in zip(ours, measures(*arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda table: table.rename(columns={"valence": "predicted_valence"}),
            "columns of gold and predicted differ: valence",
        ),
        (lambda table: table.rename(index={"u03": "u99"}), "index of gold and predicted differ: u03, u99"),
        (lambda table: table.iloc[1:], "index of gold and predicted differ: u00"),
        (lambda table: table.rename(index={"u03": "u04"}), "index of gold or predicted has a label twice"),
        (lambda table: table.reset_index(drop=True), "index of gold and predicted differ"),
        (lambda table: table.assign(valence="high"), "predicted values are no table of numbers"),
        (lambda table: table.astype("Float64").mask(table > 6), "predicted values are NaN or infinite"),
        (lambda table: np.ma.masked_greater(table.to_numpy(), 6), "predicted values are masked"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(labelled, change, problem):
    gold, predicted, speakers = labelled
    predicted.iloc[0, 0] = 6.5
    with pytest.raises(SignificanceError, match=problem):
        speaker_sums(gold, change(predicted), speakers)


@pytest.mark.parametrize("change", [lambda table: table[1:], lambda table: table.reset_index(drop=True)])
def test_speakers_of_other_utterances_are_refused(labelled, change):
    gold, predicted, speakers = labelled
    with pytest.raises(SignificanceError, match="index of gold and speakers differ: u00"):
        speaker_sums(gold, predicted, change(speakers))
