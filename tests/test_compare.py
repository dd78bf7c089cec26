"""`compare` on files as people have them: what it prints is audmetric's, and no slip passes in silence."""

import shutil
import subprocess
import sys
import time
import warnings

import audmetric
import numpy as np
import pandas as pd
import pytest

from sercore import ATTRIBUTES, InputError
from sercore.compare import PREDICTED, Options, compare, paragraph, write
from sercore.sums import SUMS, as_table, speaker_sums

EMO = ["EmoAct", "EmoVal", "EmoDom"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Labels as MSP-Podcast's, with a split of its own and hidden labels, and predictions as submissions."""
    rng = np.random.default_rng(0)
    names = [f"MSP-PODCAST_{100 + number // 10}_{number:04}.wav" for number in range(400)]
    gold = rng.uniform(1.5, 6.5, (400, 3))
    gold[:, 2] = gold[:, 0] + rng.normal(0, 0.1, 400)
    labels = pd.DataFrame(gold, columns=EMO).clip(1, 7).round(4)
    labels.insert(0, "FileName", names)
    labels["SpkrID"] = np.repeat(np.arange(20), 20).astype(str)
    labels["Split_Set"] = "Test1"
    other = labels.assign(FileName="x" + labels["FileName"], Split_Set="Train")
    pd.concat([labels, other]).to_csv(tmp_path / "labels.csv", index=False)
    for name, noise in (("mine", 0.5), ("base", 1.0)):
        for seed in range(3):
            drawn = 4 + 0.6 * (gold - 4) + noise * np.random.default_rng(seed).normal(0, 0.5, gold.shape)
            table = pd.DataFrame(drawn.clip(1.2, 6.8), columns=EMO)
            table.insert(0, "FileName", names)
            table.sample(frac=1, random_state=seed).to_csv(tmp_path / f"{name}-{seed}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder, gold="labels.csv", mine="mine-*.csv", **options):
    systems = {"mine": mine, "base": "base-*.csv"}
    return compare(systems, folder / gold if gold else None, Options(**options))


def changed(file, change):
    table = pd.read_csv(file)
    change(table).to_csv(file, index=False)


def said(folder, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run(folder, **options)
    return found, [str(one.message) for one in caught]


def test_scores_are_audmetrics_in_any_order_of_rows(folder):
    (scores, differences), told = said(folder)
    assert told == []
    gold = pd.read_csv("labels.csv").set_index("FileName")
    each = []
    for seed in range(3):
        table = pd.read_csv(f"mine-{seed}.csv").set_index("FileName")
        each.append([audmetric.concordance_cc(gold.loc[table.index, name], table[name]) for name in EMO])
    found = scores[scores["system"] == "mine"].set_index("endpoint")["estimate"]
    assert list(found[list(ATTRIBUTES)]) == pytest.approx(np.mean(each, axis=0))
    assert found["mean"] == pytest.approx(np.mean(each))
    assert differences.query("endpoint == 'mean'")["verdict"].item() == "better"
    assert set(scores["utterances"]) == {400}
    assert set(scores["speakers"]) == {20}


def test_all_is_written_and_printed(folder):
    command = ["mine=mine-*.csv", "base=base-0.csv", "--gold", "labels.csv", "--output", "out"]
    done = subprocess.run(
        [sys.executable, "-m", "sercore", "compare", *command], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "Of these trained models, mine is" in done.stdout
    assert "Lakens (2017)" in done.stdout
    written = {path.name for path in (folder / "out").iterdir()}
    tables = {f"{name}.{suffix}" for name in ("scores", "differences") for suffix in ("csv", "tex")}
    assert written == tables | {"forest.svg", "forest.png", "paragraph.txt"}
    table = pd.read_csv(folder / "out" / "differences.csv").query("endpoint == 'mean'")
    assert {"standard_error", "df", "p", "p_equivalence", "comparisons", "margin"} <= set(table)
    assert r"\toprule" in (folder / "out" / "differences.tex").read_text()
    assert (folder / "out" / "paragraph.txt").read_text().strip() in done.stdout


def test_other_names_parquet_and_gold_in_the_same_file_give_the_same(folder):
    expected = run(folder)[0]["estimate"]
    gold = pd.read_csv("labels.csv").set_index("FileName")
    for path in [*folder.glob("mine-*.csv"), *folder.glob("base-*.csv")]:
        table = pd.read_csv(path).set_index("FileName")
        predicted = table.set_axis([f"predicted_{name}" for name in ATTRIBUTES], axis=1)
        own = gold.loc[table.index, EMO].set_axis(list(ATTRIBUTES), axis=1)
        joined = predicted.join(own).assign(who=gold.loc[table.index, "SpkrID"])
        joined.index = joined.index.str.removesuffix(".wav")
        joined.rename_axis("clip").reset_index().to_parquet(path.with_suffix(".parquet"))
    systems = {"mine": "mine-*.parquet", "base": "base-*.parquet"}
    found = compare(systems, None, Options(utterance="clip", speaker="who"))[0]["estimate"]
    np.testing.assert_allclose(found, expected)


def test_gold_values_in_the_systems_own_files_are_taken_together(folder):
    """One file lacks three utterances, another has them, with gold values."""
    gold = pd.read_csv("labels.csv")
    for name in ("mine-0", "base-0"):
        predicted = pd.read_csv(f"{name}.csv").rename(columns=dict(zip(EMO, PREDICTED, strict=True)))
        predicted.merge(gold, on="FileName")[3 * (name == "mine-0") :].to_csv(f"{name}.csv", index=False)
    with pytest.warns(UserWarning, match=r"^mine-0\.csv: missing 3 utterances"):
        scores, _ = compare({"mine": "mine-0.csv", "base": "base-0.csv"}, None, Options())
    assert set(scores["utterances"]) == {397}


def test_one_system_has_scores_alone(folder):
    command = [sys.executable, "-m", "sercore", "compare", "mine=mine-*.csv", "--gold", "labels.csv", "--output", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "(95 % intervals, jackknife over speakers): mine ." in done.stdout
    assert "Lakens" not in done.stdout
    assert {path.name for path in (folder / "out").iterdir()} == {"scores.csv", "scores.tex", "paragraph.txt"}


@pytest.mark.parametrize(("seeds", "said", "unsaid"), [("*", "Satterthwaite", "Phipson"), ("0", "Phipson", "Satterth")])
def test_the_paragraph_names_the_method_that_was_used(folder, seeds, said, unsaid):
    systems = {name: f"{name}-{seeds}.csv" for name in ("mine", "base")}
    text = paragraph(*compare(systems, folder / "labels.csv", Options()))
    assert said in text
    assert unsaid not in text


def test_numbers_with_a_decimal_comma_are_none(folder):
    changed("labels.csv", lambda t: t.assign(EmoAct=t["EmoAct"].astype(str).str.replace(".", ",")))
    with pytest.raises(InputError, match=r"labels\.csv has no row with three numbers as gold values"):
        run(folder)


def test_sums_by_speaker_give_what_predictions_give(folder):
    expected = run(folder)
    gold = pd.read_csv("labels.csv").query("Split_Set == 'Test1'").set_index("FileName")
    parts = []
    for name in ("mine", "base"):
        tables = [pd.read_csv(f"{name}-{seed}.csv").set_index("FileName").loc[gold.index] for seed in range(3)]
        speakers = gold["SpkrID"].astype(str)
        sums = speaker_sums(gold[EMO], tables, speakers, 4.0)
        parts.append(as_table(sums, speakers, range(3)).assign(system=name, split="test1", test=""))
    pd.concat(parts).to_parquet("sums.parquet")
    assert {*SUMS} <= set(pd.read_parquet("sums.parquet"))
    found = compare({"mine": "sums.parquet", "base": "sums.parquet"}, None, Options())
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one["estimate"], other["estimate"])
        np.testing.assert_allclose(one["low"], other["low"])
    twice = {"mine": "sums*.parquet", "base": "sums.parquet"}
    pd.concat([part.assign(system=part["system"].map({"mine": "base", "base": "mine"})) for part in parts]).to_parquet(
        "other.parquet"
    )
    each_its_own = compare({"mine": "sums.parquet", "base": "other.parquet"}, None, Options())
    assert list(each_its_own[0]["estimate"][:4]) == list(each_its_own[0]["estimate"][4:])
    with pytest.raises(InputError, match=r"sums\.parquet has no sums of nobody, only of mine, base"):
        compare({"nobody": "sums.parquet", "base": "sums.parquet"}, None, Options())
    shutil.copy("sums.parquet", "sums-again.parquet")
    with pytest.raises(InputError, match="sums of mine have a speaker, seed and attribute twice"):
        compare(twice, None, Options())
    with pytest.raises(InputError, match="compare sums with sums"):
        compare({"mine": "sums.parquet", "base": "base-*.csv"}, folder / "labels.csv", Options())


REFUSED = {
    "a row twice": (lambda t: pd.concat([t, t[:2]]), r"mine-1\.csv has 2 utterances \(.*\) twice"),
    "NaN": (lambda t: t.assign(EmoVal=t["EmoVal"].where(t.index > 2)), r"mine-1\.csv has no number for 3 utterances"),
    "a word": (lambda t: t.assign(EmoVal="high"), r"mine-1\.csv has no number for 400 utterances"),
    "0 to 1": (
        lambda t: t.assign(**{name: (t[name] - 1) / 6 for name in EMO}),
        r"mine-1\.csv: 400 utterances .* of 400 lie outside the gold scale .*--scale LOW HIGH",
    ),
    "no attribute": (lambda t: t.drop(columns="EmoDom"), r"mine-1\.csv has no column dominance"),
    "no names": (lambda t: t.drop(columns="FileName"), r"mine-1\.csv has no column FileName or utterance.*--id"),
    "other names": (lambda t: t.assign(FileName=range(len(t))), "no utterance is in all of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_slips_are_refused_with_file_and_count(folder, case):
    change, message = REFUSED[case]
    changed("mine-1.csv", change)
    with pytest.raises(InputError, match=message) as error:
        run(folder)
    assert "\n" not in str(error.value)


SAID = {
    "fewer rows": (lambda t: t[5:], r"mine-1\.csv: missing 5 utterances .* of other files"),
    "attributes exchanged": (
        lambda t: t.rename(columns={"EmoVal": "EmoAct", "EmoAct": "EmoVal"}),
        r"mine-1\.csv: its columns correlate as if .* exchanged",
    ),
    "a constant among exchanged ones": (
        lambda t: t.rename(columns={"EmoAct": "EmoVal", "EmoVal": "EmoAct"}).assign(EmoDom=4.0),
        r"mine-1\.csv: its columns correlate as if arousal with valence",
    ),
    "another scale within the gold's": (
        lambda t: t.assign(**{name: 2 + t[name] / 20 for name in EMO}),
        r"mine-1\.csv: its predictions lie from 2\..* to 2\..*, where gold values lie .* another scale",
    ),
    "a constant": (lambda t: t.assign(EmoVal=4.0), "mine: constant predictions in 1 files"),
    "a little outside": (lambda t: t.assign(EmoVal=t["EmoVal"].mask(t.index < 4, 7.1)), "4 utterances .* lie outside"),
}


@pytest.mark.parametrize("case", SAID)
@pytest.mark.filterwarnings("error:invalid value encountered")
def test_slips_are_said_aloud_with_file_and_count(folder, case):
    change, message = SAID[case]
    changed("mine-1.csv", change)
    with pytest.warns(UserWarning, match=message):
        run(folder)


def test_gold_and_predictions_swapped(folder):
    with pytest.raises(InputError, match="are the two swapped"):
        run(folder, gold="mine-0.csv", mine="labels.csv")
    shutil.copy("labels.csv", "mine-0.csv")
    with pytest.raises(InputError, match=r"mine-0\.csv holds the gold values"):
        run(folder, mine="mine-0.csv", split="test1")


def test_gold_values_that_differ_between_files(folder):
    for path in [*folder.glob("mine-*.csv"), *folder.glob("base-*.csv")]:
        table = pd.read_csv(path)
        gold = pd.read_csv("labels.csv").set_index("FileName").loc[table["FileName"]].reset_index(drop=True)
        table = table.rename(columns=dict(zip(EMO, [f"predicted_{name}" for name in ATTRIBUTES], strict=True)))
        table[[*EMO, "SpkrID"]] = gold[[*EMO, "SpkrID"]]
        table.to_csv(path, index=False)
    run(folder, gold=None)
    changed("base-1.csv", lambda table: table.assign(EmoVal=table["EmoVal"] + (table.index < 7)))
    with pytest.raises(InputError, match="other gold values of 7 utterances"):
        run(folder, gold=None)


@pytest.mark.parametrize(("choice", "speakers"), [("show", 19 + 2), ("alone", 19 + 20)])
def test_unknown_speakers_are_counted_as_chosen(folder, choice, speakers):
    """Those of one speaker are of two shows of ten utterances each."""
    changed(
        "labels.csv",
        lambda table: table.assign(SpkrID=table["SpkrID"].astype(object).where(table["SpkrID"] != 3, "Unknown")),
    )
    (scores, _), told = said(folder, unknown=choice)
    assert set(scores["speakers"]) == {speakers}
    assert "20 utterances" in told[0]
    assert "--unknown" in told[0]


def test_hidden_gold_values_are_left_out(folder):
    changed("labels.csv", lambda table: table.assign(EmoVal=table["EmoVal"].where(table.index >= 30)))
    (scores, _), told = said(folder)
    assert set(scores["utterances"]) == {370}
    assert "30 utterances" in told[0]
    assert "no gold values of" in told[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gold": "nowhere.csv"}, r"nowhere\.csv cannot be read"),
        ({"mine": "nobody-*.csv"}, r"nobody-\*\.csv: no such file"),
        ({"gold": None}, "no gold values: give --gold FILE"),
        ({"speaker": "Sprecher"}, r"no column speaker: name it with --speaker"),
        ({"split": "test9"}, r"has no row of split 'test9' \(it has Test1, Train\)"),
        ({"margin": 0.0}, "margin"),
        ({"scale": (0.0, 1.0)}, r"gold values lie from 1\.\d+ to 6\.\d+, outside --scale 0 1"),
    ],
)
def test_wrong_arguments_are_one_sentence(folder, options, message):
    with pytest.raises(InputError, match=message) as error:
        run(folder, **options)
    assert "\n" not in str(error.value)


def test_names_of_systems_are_needed(folder):
    for given in (["mine-0.csv", "base-0.csv"], ["a=mine-0.csv", "a=base-0.csv"]):
        command = [sys.executable, "-m", "sercore", "compare", *given, "--gold", "labels.csv"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr == "error: give each system as NAME=FILE, with a name of its own.\n"


def test_it_needs_neither_torch_nor_soundfile_and_is_fast(folder):
    code = (
        "import sys; from sercore.compare import *; from pathlib import Path;"
        "compare({'mine': 'mine-0.csv', 'base': 'base-0.csv'}, Path('labels.csv'), Options());"
        "print({'torch', 'transformers', 'soundfile', 'yaml', 'filelock', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_large_comparison_takes_no_two_seconds(tmp_path):
    """3,200 utterances of 256 speakers, 10,000 ways to swap them."""
    rng = np.random.default_rng(0)
    gold = pd.DataFrame(rng.uniform(1, 7, (3200, 3)), columns=list(ATTRIBUTES)).rename_axis("utterance")
    for name in ("a", "b"):
        (gold * 0.5 + 2 + rng.normal(0, 0.5, (3200, 3))).reset_index().to_csv(tmp_path / f"{name}.csv", index=False)
    gold.assign(speaker=np.arange(3200) % 256).reset_index().to_csv(tmp_path / "gold.csv", index=False)
    start = time.process_time()
    systems = {name: str(tmp_path / f"{name}.csv") for name in "ab"}
    scores, differences = compare(systems, tmp_path / "gold.csv", Options())
    assert time.process_time() - start < 2
    write(scores, differences, tmp_path / "out")


def test_without_the_extra_other_commands_say_what_is_missing(folder):
    code = "import sys; sys.modules['torch'] = None; sys.argv[1:] = ['predict', '.', 'a.wav']"
    code += "; from sercore.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 1
    assert done.stderr == "error: the package 'torch' is missing: run `pip install 'sercore[train]'`, or install it.\n"
