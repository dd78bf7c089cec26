"""MSP-Podcast: one small corpus, written as each release lays it out, reads as the same table."""

import json
import re
from collections import Counter
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from sercore.corpora import msp_podcast
from sercore.corpus import Corpus, CorpusError

WORDS = dict(
    zip("ASHUFDCN", ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral"), strict=True)
)

# utterance: split, speaker, gender, transcript, its raters' votes
UTTERANCES = {
    "MSP-PODCAST_0003_0052": ("Train", "30", "Male", "NA", "A A N O O"),
    "MSP-PODCAST_4694_0021_0003": ("Train", "Unknown", "Unknown", "Oh,\nwell.\n", "H H H N S"),
    "006-040.1-2_13": ("Development", "7", "Female", None, "A A H H N"),
    "MSP-PODCAST_0001_0008": ("Test1", "12", "Male", "", "O O O N F C"),
    "MSP-PODCAST_0001_0009": ("Test2", "13", "Female", "naïve", "U U D N N N"),
}
FREE_TEXT = ["", "-so, so", '-what?; (really) & "truly"', "-A:1; V:2; D:3;", "-Dissapointed / tired."]
SECOND = ["Sad,Concerned", "", "Other-Proud;,Happy", "Neutral"]


def ratings() -> list[dict]:
    generator, rows = np.random.default_rng(0), []
    for name, (*_, votes) in UTTERANCES.items():
        for number, vote in enumerate(votes.split()):
            arousal, valence, dominance = (int(value) for value in generator.integers(1, 8, 3))
            primary = WORDS.get(vote, "Other" + FREE_TEXT[len(rows) % len(FREE_TEXT)])
            rows.append(
                {"name": name, "rater": f"WORKER{number:08d}", "vote": vote, "primary": primary}
                | {"second": SECOND[len(rows) % len(SECOND)], "A": arousal, "V": valence, "D": dominance}
            )
    return rows


RATINGS = ratings()


def consensus() -> list[dict]:
    """Plurality of the votes, and the plain mean of the ratings to 6 decimals; written out without pandas."""
    rows = []
    for name, (split, speaker, gender, _, votes) in UTTERANCES.items():
        (first, most), *others = Counter(votes.split()).most_common(2)
        means = {key: round(float(np.mean([row[key] for row in RATINGS if row["name"] == name])), 6) for key in "AVD"}
        rows.append(
            {"FileName": f"{name}.wav", "EmoClass": "X" if others and others[0][1] == most else first}
            | {"EmoAct": means["A"], "EmoVal": means["V"], "EmoDom": means["D"]}
            | {"SpkrID": speaker, "Gender": gender, "Split_Set": split}
        )
    return rows


CONSENSUS = consensus()


def detail(row: dict) -> str:
    second = f"{row['second']}; " if row["second"] != "" else ""
    return f"{row['primary']}; {second}A:{row['A']:.6f}; V:{row['V']:.6f}; D:{row['D']:.6f};"


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4))


def write_wave(path: Path, frames: int = 1600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.resize([0.1, -0.1], frames), 16_000)


def consensus_csv(folder: Path, name: str = "labels_consensus.csv", without: tuple[str, ...] = (), **renamed) -> None:
    rows = [{key: value for key, value in row.items() if key not in without} for row in CONSENSUS]
    for row in rows:
        if "Split_Set" in row:
            row["Split_Set"] = renamed.get(row["Split_Set"], row["Split_Set"])
    made_up.write_csv(folder / name, rows)


def consensus_json(folder: Path, name: str = "labels_consensus.json") -> None:
    order = ("EmoClass", "EmoAct", "EmoDom", "EmoVal", "SpkrID", "Gender", "Split_Set")
    write_json(folder / name, {row["FileName"]: {key: row[key] for key in order} for row in CONSENSUS})


def detailed_columns(folder: Path, rater: str, missing: bool = False) -> None:
    rows = [
        {"FileName": f"{row['name']}.wav", rater: row["rater"], "EmoClass_Major": row["primary"]}
        | {"EmoClass_Second": row["second"], "EmoAct": row["A"], "EmoVal": row["V"], "EmoDom": row["D"]}
        for row in RATINGS
    ]
    if missing:
        rows.insert(3, rows[3] | {rater: "WORKER99999999", "EmoAct": "NaN", "EmoVal": "NaN", "EmoDom": "NaN"})
        rows.insert(9, rows[9] | {rater: "WORKER99999998", "EmoAct": "", "EmoVal": "", "EmoDom": ""})
    made_up.write_csv(folder / "labels_detailed.csv", rows)


def detailed_text(folder: Path) -> None:
    rows = [{"FileName": f"{row['name']}.wav", "EmoDetail": f"{row['rater']}; {detail(row)}"} for row in RATINGS]
    made_up.write_csv(folder / "labels_detailed.csv", rows)


def detailed_json(folder: Path) -> None:
    content: dict = {}
    for row in RATINGS:
        content.setdefault(f"{row['name']}.wav", {})[row["rater"]] = {
            "EmoClass_Major": row["primary"],
            "EmoClass_Second": row["second"],
            "EmoAct": float(row["A"]),
            "EmoDom": float(row["D"]),
            "EmoVal": float(row["V"]),
        }
    write_json(folder / "labels_detailed.json", content)


def labels_txt(folder: Path) -> None:
    blocks = []
    for row in CONSENSUS:
        head = f"{row['FileName']}; {row['EmoClass']}; A:{row['EmoAct']:f}; V:{row['EmoVal']:f}; D:{row['EmoDom']:f};"
        of_file = [rating for rating in RATINGS if f"{rating['name']}.wav" == row["FileName"]]
        blocks.append("\n".join([head, *(f"{rating['rater']}; {detail(rating)}" for rating in of_file)]) + "\n\n")
    (folder / "labels.txt").write_text("".join(blocks))


def partitions(path: Path, **renamed) -> None:
    lines = [f"{renamed.get(split, split)}; {name}.wav" for name, (split, *_) in UTTERANCES.items()]
    path.write_text("\n".join(lines) + "\n")


def speaker_ids(path: Path) -> None:
    genders = {speaker: gender for _, speaker, gender, *_ in UTTERANCES.values() if speaker != "Unknown"}
    lines = [f"Speaker_{speaker}; {gender}" for speaker, gender in genders.items()]
    lines += ["", *(f"{name}.wav;{speaker}" for name, (_, speaker, *_) in UTTERANCES.items())]
    path.write_text("\n".join(lines) + "\n")


def sound_and_text(root: Path, audio: str = "Audios", transcripts: str = "Transcripts") -> None:
    for number, (name, (*_, transcript, _)) in enumerate(UTTERANCES.items()):
        write_wave(root / audio / f"{name}.wav", 1600 * (number + 1))
        if transcript is not None:
            (root / transcripts).mkdir(parents=True, exist_ok=True)
            (root / transcripts / f"{name}.txt").write_text(transcript)


def release_1_6(root: Path) -> None:
    sound_and_text(root)
    consensus_csv(root / "label", "labels_concensus.csv", without=("SpkrID", "Gender", "Split_Set"))
    detailed_columns(root / "label", "Workers")
    partitions(root / "Partitions.txt", Development="Validation")
    speaker_ids(root / "Speaker_ids.txt")


def release_1_8(root: Path) -> None:
    sound_and_text(root)
    consensus_csv(root / "Labels", "labels_concensus.csv", Development="Validation")
    detailed_text(root / "Labels")


def release_1_9(root: Path) -> None:
    sound_and_text(root, audio="Audio")
    consensus_json(root / "labels", "labels_concensus.json")
    detailed_json(root / "labels")


def release_1_11(root: Path) -> None:
    sound_and_text(root, audio="Audios/Audios", transcripts="Transcripts/Transcripts")
    consensus_csv(root / "Labels" / "Labels")
    consensus_json(root / "Labels" / "Labels")
    detailed_text(root / "Labels" / "Labels")
    partitions(root / "Partition.txt")
    (root / "__MACOSX" / "Labels").mkdir(parents=True)
    (root / "__MACOSX" / "Labels" / "labels_consensus.csv").write_text("resource fork")
    (root / "Audios" / "Audios" / "._MSP-PODCAST_0001_0008.wav").write_bytes(b"resource fork")


def release_1_12(root: Path) -> None:
    """Every Split_Set is the literal NA: Partitions.txt alone knows the splits."""
    sound_and_text(root)
    consensus_csv(root / "Labels", **dict.fromkeys(("Train", "Development", "Test1", "Test2"), "NA"))
    labels_txt(root / "Labels")
    partitions(root / "Partitions.txt")


def release_2_0(root: Path) -> None:
    sound_and_text(root)
    consensus_csv(root / "Labels")
    detailed_columns(root / "Labels", "WorkerID", missing=True)
    made_up.write_csv(root / "Labels" / "labels_detailed_aggregated.csv", [{"FileName": "made by a user"}])


RELEASES = [release_1_6, release_1_8, release_1_9, release_1_11, release_1_12, release_2_0]


@pytest.fixture(autouse=True)
def root(tmp_path_factory, monkeypatch):
    """A project for the cache of what was read."""
    root = tmp_path_factory.mktemp("project")
    (root / "params").mkdir()
    (root / "params" / "variants.yaml").write_text("fusion: {}\n")
    monkeypatch.chdir(root)
    return root


def read(path: Path, **options) -> Corpus:
    return msp_podcast.read(msp_podcast.Params(reader="msp_podcast", path=path, **options), 0)


@pytest.fixture
def release(tmp_path):
    release_1_8(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("write", RELEASES)
def test_every_release_reads_as_the_same_corpus(tmp_path, write):
    root = tmp_path / "MSP-PODCAST-Publish"
    root.mkdir()
    write(root)
    corpus = read(root)
    assert (corpus.name, corpus.scale) == ("MSP-PODCAST-Publish", (1, 7))
    assert list(corpus.table.index) == list(UTTERANCES)
    for number, (gold, row) in enumerate(zip(CONSENSUS, corpus.table.itertuples(), strict=True)):
        assert row.path.name == gold["FileName"]
        assert row.split == gold["Split_Set"].lower()
        assert row.emotion == gold["EmoClass"]
        assert (row.arousal, row.valence, row.dominance) == (gold["EmoAct"], gold["EmoVal"], gold["EmoDom"])
        assert (row.speaker if gold["SpkrID"] != "Unknown" else "Unknown") == gold["SpkrID"]
        assert (row.gender if gold["Gender"] != "Unknown" else "Unknown") == gold["Gender"]
        assert row.duration == pytest.approx(0.1 * (number + 1))
    unknown = corpus.table.loc["MSP-PODCAST_4694_0021_0003"]
    assert unknown[["speaker", "gender"]].isna().all()
    assert list(corpus.table["transcript"].fillna("-")) == ["NA", "Oh, well.", "-", "-", "naïve"]


@pytest.mark.parametrize("write", RELEASES)
def test_every_schema_reads_as_the_same_ratings(tmp_path, write):
    write(tmp_path)
    table = read(tmp_path).ratings
    gold = [(row["name"], row["rater"], row["vote"], row["A"], row["V"], row["D"]) for row in RATINGS]
    assert list(table.itertuples(index=False, name=None)) == gold


def test_plurality_no_agreement_and_other_are_all_in_the_example():
    assert [row["EmoClass"] for row in CONSENSUS] == ["X", "H", "X", "O", "N"]


def test_rows_of_the_real_format(tmp_path):
    """Rows quoted from MSP-Podcast's and WHiSER's label files, and the block that their readme shows."""
    for name in ("MSP-PODCAST_0001_0008", "MSP-PODCAST_0001_0009", "006-040.1-2_13"):
        write_wave(tmp_path / "Audios" / f"{name}.wav")
    (tmp_path / "Labels").mkdir()
    (tmp_path / "Labels" / "labels_consensus.csv").write_text(
        "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
        "MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1\n"
        "MSP-PODCAST_0001_0009.wav,N,3.777778,3.555556,3.777778,39,Male,Test1\n"
        "006-040.1-2_13.wav,H,4.2,4.8,5.0,Unknown,Unknown,NA\n"
    )
    (tmp_path / "Partitions.txt").write_text("Train; 006-040.1-2_13.wav\n")
    (tmp_path / "Labels" / "labels.txt").write_text(
        "006-040.1-2_13.wav; H; A:4.200000; V:4.800000; D:5.000000;\n"
        "WORKER00014325; Sad; Sad,Concerned; A:2.000000; V:4.000000; D:4.000000;\n"
        "WORKER00014332; Happy; Happy,Concerned; A:4.000000; V:6.000000; D:6.000000;\n"
        "WORKER00014342; Fear; Neutral,Concerned,Fear; A:5.000000; V:3.000000; D:5.000000;\n"
        "WORKER00014343; Happy; Happy,Concerned; A:5.000000; V:5.000000; D:5.000000;\n"
        "WORKER00014344; Happy; Happy; A:5.000000; V:6.000000; D:5.000000;\n\n"
    )
    corpus = read(tmp_path)
    first = corpus.table.loc["MSP-PODCAST_0001_0008"]
    assert (first.arousal, first.valence, first.dominance, first.speaker) == (2.2, 4.0, 2.6, "30")
    assert corpus.table.loc["006-040.1-2_13", "split"] == "train"
    assert "".join(corpus.ratings["emotion"]) == "SHFHH"
    assert list(corpus.ratings["dominance"]) == [4, 6, 5, 5, 5]


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (
            "WORKER00014332; Contempt; Contempt; A:4.000000; V:3.000000; D:4.000000;",
            ["WORKER00014332", "Contempt", "4.000000", "3.000000", "4.000000"],
        ),
        ("WORKER0000001; Sad; A:1.5; V:2; D:7;", ["WORKER0000001", "Sad", "1.5", "2", "7"]),
        ("WORKER00000001; Sad; ; A:1; V:2; D:7", ["WORKER00000001", "Sad", "1", "2", "7"]),
        ("WORKER00000001; Other-; ; A:1; V:2; D:7;\r", ["WORKER00000001", "Other-", "1", "2", "7"]),
    ],
)
def test_a_rating_as_text_is_taken_apart(line, fields):
    assert pd.Series([line]).str.extract(msp_podcast.RATING).iloc[0].tolist() == fields


FREE = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["; A:1; V:1; D:1;", " A:1.000000", ";;;", ", ?", "D:7;", "\n; Sad; A:2; V:2; D:2;\n", '"', "a; V:3"]
)


@given(FREE, FREE, st.tuples(*[st.integers(10, 70)] * 3), st.integers(0, 10**8 - 1))
def test_free_text_never_leaks_into_the_ratings(primary, second, tenths, rater):
    written = [f"{value / 10:.6f}" for value in tenths]
    line = "WORKER{:08d}; Other-{}; {}; A:{}; V:{}; D:{};".format(rater, primary, second, *written)
    read = pd.Series([line]).str.extract(msp_podcast.RATING).iloc[0].tolist()
    assert [read[0], *read[2:]] == [f"WORKER{rater:08d}", *written]
    assert read[1].startswith("Other-")


def test_a_rating_in_no_known_form_is_named_and_left_out(release):
    with (release / "Labels" / "labels_detailed.csv").open("a") as stream:
        stream.write("MSP-PODCAST_0001_0009.wav,lorem ipsum\n")
    with pytest.warns(UserWarning, match=r"1 ratings in .*labels_detailed\.csv .*MSP-PODCAST_0001_0009;"):
        assert len(read(release).ratings) == len(RATINGS)


def test_no_per_rater_file_is_no_ratings(release):
    (release / "Labels" / "labels_detailed.csv").unlink()
    assert read(release).ratings is None


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cell(release: Path, name: str, column: str, value: str) -> None:
    path = release / "Labels" / "labels_concensus.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col="FileName")
    table.loc[f"{name}.wav", column] = value
    table.to_csv(path)


@pytest.mark.parametrize(("offset", "warned"), [(2e-6, True), (0.5, True), (5e-7, False)])
def test_a_consensus_that_is_not_the_mean_of_its_ratings_is_named(release, offset, warned, recwarn):
    valence = CONSENSUS[4]["EmoVal"]
    cell(release, "MSP-PODCAST_0001_0009", "EmoVal", repr(valence + offset))
    read(release)
    messages = [str(warning.message) for warning in recwarn]
    assert bool(messages) == warned
    assert all(re.search(r"1 of 5 rated .* not the mean .*: MSP-PODCAST_0001_0009\.$", text) for text in messages)


@pytest.mark.filterwarnings("error")
def test_test3_is_built_from_its_audio_and_its_labels_are_hidden(release):
    for number in (2, 1):
        write_wave(release / "Audios" / f"MSP-PODCAST_test3_{number:04d}.wav")
    corpus = read(release)
    hidden = corpus.split("test3")
    assert list(hidden.index) == ["MSP-PODCAST_test3_0001", "MSP-PODCAST_test3_0002"]
    assert (
        hidden[["emotion", "arousal", "valence", "dominance", "speaker", "gender", "transcript"]].isna().all(axis=None)
    )
    assert list(hidden["duration"]) == [0.1, 0.1]
    assert len(corpus.table) == len(UTTERANCES) + 2


@pytest.mark.filterwarnings("error")
def test_labelled_rows_of_test3_are_read(release):
    path = release / "Labels" / "labels_concensus.csv"
    path.write_text(path.read_text() + "MSP-PODCAST_test3_0001.wav,D,2,3,4,99,Female,Test3\n")
    write_wave(release / "Audios" / "MSP-PODCAST_test3_0001.wav")
    row = read(release).split("test3").loc["MSP-PODCAST_test3_0001"]
    assert (row.emotion, row.arousal, row.valence, row.dominance, row.speaker) == ("D", 2, 3, 4, "99")


def test_rows_without_audio_are_counted_or_skipped(release):
    (release / "Audios" / "006-040.1-2_13.wav").unlink()
    (release / "Audios" / "MSP-PODCAST_0001_0008.wav").unlink()
    message = r"2 of 5 utterances in .*labels_concensus\.csv have no audio: 006-040\.1-2_13, MSP-PODCAST_0001_0008"
    with pytest.raises(CorpusError, match=f"{message}; .*missing_audio: skip"):
        read(release)
    with pytest.warns(UserWarning, match=message):
        corpus = read(release, missing_audio="skip")
    assert len(corpus.table) == 3
    assert set(corpus.ratings["utterance"]) == set(corpus.table.index)


def test_no_audio_at_all_is_an_error_even_where_it_may_be_skipped(release):
    for path in (release / "Audios").iterdir():
        path.unlink()
    with pytest.raises(CorpusError, match=r"5 of 5 utterances .* have no audio.*unpack or restore"):
        read(release, missing_audio="skip")


def test_audio_without_a_row_is_named_and_left_out(release):
    write_wave(release / "Audios" / "MSP-PODCAST_9999_0001.wav")
    with pytest.warns(UserWarning, match="1 audio files in .* have no label row: MSP-PODCAST_9999_0001"):
        assert len(read(release).table) == 5


@pytest.mark.parametrize("folder", ["A copy", "Z copy"])
def test_other_audio_of_the_same_name_is_refused(release, folder):
    write_wave(release / folder / "MSP-PODCAST_0001_0008.wav")
    with pytest.raises(CorpusError, match=r"MSP-PODCAST_0001_0008\.wav differ, though they have one name: move one"):
        read(release)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("EmoAct", "7.5", r"labels_concensus\.csv: arousal outside the scale 1 to 7: MSP-PODCAST_0001_0008 \(7\.5\)"),
        ("EmoVal", "high", r"labels_concensus\.csv: EmoVal is not a number: MSP-PODCAST_0001_0008 \(high\)"),
        ("EmoClass", "Q", r"labels_concensus\.csv: unknown emotion: MSP-PODCAST_0001_0008 \(Q\)"),
        ("Split_Set", "Test9", r"unknown split: MSP-PODCAST_0001_0008 \(test9\)"),
        ("Split_Set", "NA", r"1 of 5 utterances .* have no split .*'Train; MSP-PODCAST_0001_0008\.wav'"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*not the mean")
def test_a_wrong_value_is_refused_with_its_row(release, column, value, sentence):
    cell(release, "MSP-PODCAST_0001_0008", column, value)
    with pytest.raises(CorpusError, match=sentence):
        read(release)


def test_hidden_attributes_and_emotion_are_missing(release):
    for column in ("EmoClass", "EmoAct", "EmoVal", "EmoDom"):
        cell(release, "MSP-PODCAST_0001_0008", column, "NA" if column == "EmoClass" else "")
    row = read(release).table.loc["MSP-PODCAST_0001_0008"]
    assert row[["emotion", "arousal", "valence", "dominance"]].isna().all()


def test_a_duplicate_row_is_refused(release):
    path = release / "Labels" / "labels_concensus.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(CorpusError, match="duplicate utterance: MSP-PODCAST_0003_0052"):
        read(release)


def test_speakers_in_two_splits_are_read_but_refused_for_training(release):
    cell(release, "MSP-PODCAST_0001_0008", "SpkrID", "30")
    with pytest.raises(CorpusError, match=r"speakers in two splits: 30 \(train and test1\)"):
        read(release).require_disjoint_speakers()


def test_a_wrong_folder_says_what_was_looked_for(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            CorpusError, match=rf"{folder} is no release .* labels_consensus\.csv or \.json .*corpus\.path"
        ):
            read(folder)


def test_a_folder_of_two_releases_is_refused(tmp_path):
    release_1_8(tmp_path / "1.8")
    release_1_11(tmp_path / "1.11")
    with pytest.raises(
        CorpusError,
        match=r"is no release .* it holds .*\.csv, .*\.csv, not one; set corpus\.path",
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("EmoVal", "Valence", r"labels_concensus\.csv: missing columns EmoVal; it has FileName, EmoClass"),
        ("30,Male", "30,Male,Male,Male", r"row 1 \(MSP-PODCAST_0003_0052\.wav\) has 10 values, and the header has 8"),
        ("12,Male", "12,Male,Male,Male", r"row 4 \(MSP-PODCAST_0001_0008\.wav\) has 10 values, and the header has 8"),
    ],
)
def test_a_damaged_label_file_is_named(release, old, new, sentence):
    edit(release / "Labels" / "labels_concensus.csv", old, new)
    with pytest.raises(CorpusError, match=sentence):
        read(release)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a.wav": {"EmoClass"', "Expecting ':' delimiter"),
        ('{"a.wav": {}, "a.wav": {}}', "'a.wav' is there twice"),
        ('{"a.wav": 3}', "does not map each file's name to its labels"),
        ("[1, 2]", "does not map each file's name to its labels"),
    ],
)
def test_a_damaged_json_is_named(tmp_path, content, sentence):
    release_1_9(tmp_path)
    (tmp_path / "labels" / "labels_concensus.json").write_text(content)
    with pytest.raises(CorpusError, match=rf"labels_concensus\.json is no JSON of labels \(.*{sentence}.*\): copy"):
        read(tmp_path)


def test_a_rating_that_is_no_number_is_named_by_its_utterance(release):
    path = next((release / "Labels").glob("labels_detailed.csv"))
    edit(path, "; A:", "; A:x")
    with pytest.raises(CorpusError, match=r"labels_detailed\.csv: arousal is not a number: MSP-PODCAST_\d+_\d+ \(x"):
        read(release)


def test_a_relative_path_is_relative_to_the_projects_root(root, monkeypatch):
    (root / "notebooks").mkdir()
    release_1_8(root / "data" / "podcast")
    monkeypatch.chdir(root / "notebooks")
    assert len(read(Path("data/podcast")).table) == 5
