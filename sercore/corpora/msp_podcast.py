"""A release of MSP-Podcast (1.6 to 2.0, and the Interspeech 2025 challenge) as its archives unpack.

Folders may be nested (``Audios/Audios``) and are found by what they hold. Columns are read by name: the CSV's order is
arousal, valence, dominance and the JSON's arousal, dominance, valence. ``Unknown``, ``NA`` and nothing are missing.
"""

import json
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpora import files
from sercore.corpus import RATING_COLUMNS, Corpus, CorpusError, require_columns, some
from sercore.disk import kept
from sercore.params import CorpusParams, resolve

KIND = "naturalistic"
DESCRIPTION = "A release of MSP-Podcast: figures compare with the paper's as far as release, split and encoders agree."
LICENCE = "by agreement with UT Dallas; ask whether yours covers publishing a model"
SCALE = (1.0, 7.0)
ATTRIBUTE_COLUMNS = {"EmoAct": "arousal", "EmoVal": "valence", "EmoDom": "dominance"}
SPEAKER_COLUMNS = {"SpkrID": "speaker", "Gender": "gender", "Split_Set": "split"}
WORDS = ("angry", "sad", "happy", "surprise", "fear", "disgust", "contempt", "neutral")
VOTES = dict(zip(WORDS, "ASHUFDCN", strict=True))
MISSING = ["", "NA", "Unknown"]
TOLERANCE = 1e-6  # of the consensus, which releases round to 6 decimals

# One rating as text: "WORKER00014332; Contempt; Contempt; A:4.000000; V:3.000000; D:4.000000;". What raters typed after
# "Other-" may hold anything, also ";" and "A:", so that only the last three fields can be trusted.
RATING = re.compile(
    r"\A\s*(?P<rater>[^;]+?)\s*;\s*(?P<emotion>[^;]*?)\s*;(?:.*;)?"
    r"\s*A:(?P<arousal>[^;]*);\s*V:(?P<valence>[^;]*);\s*D:(?P<dominance>[^;]*);?\s*\Z",
    re.DOTALL,
)


class Params(CorpusParams):
    """The folder of a release, and whether label rows without audio are an error or are left out with a warning."""

    missing_audio: Literal["error", "skip"] = "error"


def read(params: Params, seed: int) -> Corpus:
    """Read a release; once read, it is kept in ``data/cache`` as long as none of its files changes. `seed` is not used.

    Audio named ``MSP-PODCAST_test3_*`` that no label row names is Test3, whose labels are hidden. Other audio without a
    row is left out with a warning. Attributes are from 1 to 7. ``ratings`` hold each rater's primary emotion (any word
    but the eight is O, other) and attributes, without ratings of which an attribute is missing.

    `UserWarning` if the mean of an utterance's ratings is not its consensus (within `TOLERANCE`).
    """
    root = resolve(params.path)
    return files.cached(root, f"MSP-Podcast, {params.missing_audio}, {params.damaged}", lambda: _release(root, params))


def _release(root: Path, params: Params) -> Corpus:
    tree = files.walk(root)
    labels = _labels(tree, root)
    table = _consensus(labels)
    ratings = _ratings(labels)
    if ratings is not None:
        files.warn_of_other_means(table, ratings, labels, TOLERANCE)
        ratings = ratings.dropna(subset=list(ATTRIBUTES))
    waves = files.by_stem(tree, ".wav")
    unlabelled = pd.Index(waves, dtype="str").difference(table.index)
    hidden = unlabelled[unlabelled.str.contains("_test3_")]
    if len(stray := unlabelled.difference(hidden)):
        warnings.warn(f"{len(stray)} audio files in {root} have no label row: {some(stray)}; left out.", stacklevel=3)
    table = pd.concat([table, pd.DataFrame({"split": "Test3"}, index=hidden)]).rename_axis("utterance")
    table = _with_side_files(table, tree)
    if len(without := table.index[table["split"].isna()]):
        problem = f"{len(without)} of {len(table)} utterances in {labels} have no split (Split_Set): {some(without)}"
        line = f"Train; {without[0]}.wav"
        raise CorpusError(f"{problem}; add a Partitions.txt to the release with a line such as '{line}' for each.")
    table = table.assign(path=[waves.get(name) for name in table.index])
    table["transcript"] = _transcripts(table.index, tree, root)
    return files.corpus(labels, params, root.name, table, SCALE, ratings)


def _labels(tree: list[Path], root: Path) -> Path:
    found = [path for path in tree if re.fullmatch(r"labels_con[sc]ensus\.(csv|json)", path.name.lower())]
    found = [path for path in found if path.suffix.lower() == ".csv"] or found
    if len(found) != 1:
        names = "labels_consensus.csv or .json (labels_concensus up to release 1.9)"
        problem = f"{root} is no release of MSP-Podcast: of {names} it holds {some(found) or 'none'}, not one"
        raise CorpusError(f"{problem}; set corpus.path to the folder that holds Labels and Audios.")
    return found[0]


def _consensus(path: Path) -> pd.DataFrame:
    """Emotion, attributes, speaker, gender and split as the label file gives them; missing where it does not."""
    table = _table(path)
    require_columns(table, ["EmoClass", *ATTRIBUTE_COLUMNS], path)
    table = table.reindex(columns=["EmoClass", *ATTRIBUTE_COLUMNS, *SPEAKER_COLUMNS], fill_value="")
    table = files.numbers(table.apply(lambda column: column.str.strip()), path, ATTRIBUTE_COLUMNS)
    table = table.rename(columns={"EmoClass": "emotion", **ATTRIBUTE_COLUMNS, **SPEAKER_COLUMNS})
    return table.mask(table.isin(MISSING))


def _ratings(labels: Path) -> pd.DataFrame | None:
    """The table of ratings beside the consensus labels, from the first of CSV, JSON and labels.txt that is there."""
    there = {path.name.lower(): path for path in labels.parent.iterdir()}
    names = ("labels_detailed.csv", "labels_detailed.json", "labels.txt")
    path = next((there[name] for name in names if name in there), None)
    if path is None:
        return None
    table = _table(path)
    if "EmoDetail" in table:
        table = table["EmoDetail"].str.extract(RATING)
        if len(unread := table.index[table["rater"].isna()]):
            problem = f"{len(unread)} ratings in {path} are in no known form"
            warnings.warn(f"{problem}: {some(unread)}; left out.", stacklevel=3)
        table = table.dropna(subset="rater")
    else:
        rater = "Workers" if "Workers" in table else "WorkerID"  # releases 1.6 and 2.0
        require_columns(table, [rater, "EmoClass_Major", *ATTRIBUTE_COLUMNS], path)
        table = table.rename(columns={rater: "rater", "EmoClass_Major": "emotion", **ATTRIBUTE_COLUMNS})
    words = table["emotion"].str.strip().str.lower()
    votes = words.map(VOTES).fillna("O").mask(words.isin(["", "nan"]))
    return files.numbers(table.assign(emotion=votes), path).reset_index()[list(RATING_COLUMNS)]


def _table(path: Path) -> pd.DataFrame:
    """A file of labels as text, a row a line, JSON object or rating; its index is the column FileName without .wav."""
    if path.suffix.lower() == ".csv":
        table = files.read_csv(path, typed="EmoDetail" if "detailed" in path.name.lower() else None)
    elif path.suffix.lower() == ".json":
        table = _table_of_json(path)
    else:  # blocks of one line with the file's name and consensus, then one line a rater
        lines = pd.Series(path.read_text(encoding="utf-8-sig", errors="replace").split("\n"), dtype="str")
        lines = lines[lines.str.strip() != ""]
        names = lines.str.partition(";")[0].str.strip()
        header = names.str.lower().str.endswith(".wav")
        table = pd.DataFrame({"FileName": names.where(header).ffill(), "EmoDetail": lines})[~header]
    require_columns(table, ["FileName"], path)
    return table.set_index(table["FileName"].map(_stem).rename("utterance"))


def _table_of_json(path: Path) -> pd.DataFrame:
    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(content := dict(pairs)) < len(pairs):
            raise ValueError(f"{Counter(name for name, _ in pairs).most_common(1)[0][0]!r} is there twice")
        return content

    text = files.read_text(path)
    try:
        entries = json.loads(text, object_pairs_hook=once_each)
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise ValueError("it does not map each file's name to its labels")
    except ValueError as error:
        raise CorpusError(f"{path} is no JSON of labels ({error}): copy it again.") from None
    if "detailed" in path.name.lower():
        pairs = [(name, *pair) for name, ratings in entries.items() for pair in ratings.items()]
        records = [{"FileName": name, "WorkerID": rater, **rating} for name, rater, rating in pairs]
    else:
        records = [{"FileName": name, **entry} for name, entry in entries.items()]
    return pd.DataFrame(records, dtype="str").fillna("")


def _stem(name: str) -> str:
    """A file's name without ``.wav``; what else looks like a suffix belongs to the name."""
    name = name.strip()
    return name[:-4] if name.lower().endswith(".wav") else name


def _with_side_files(table: pd.DataFrame, tree: list[Path]) -> pd.DataFrame:
    """`table` with splits, speakers and genders completed from the files in which old releases keep them."""

    def completed(column: str, keys: pd.Index | pd.Series, facts: dict[str, str]) -> pd.Series:
        return table[column].fillna(pd.Series(keys.map(facts), index=table.index, dtype="str"))

    splits = {name: split for split, name in _pairs(tree, "partitions.txt", "partition.txt")}
    # "Speaker_30; Male" tells the gender of a speaker, "MSP-PODCAST_0001_0008.wav;30" the speaker of a file.
    facts = dict(_pairs(tree, "speaker_ids.txt"))
    split = completed("split", table.index, splits).str.lower().replace("validation", "development")
    speaker = completed("speaker", table.index, facts).str.removeprefix("Speaker_")
    return table.assign(split=split, speaker=speaker, gender=completed("gender", speaker, facts))


def _pairs(tree: list[Path], *wanted: str) -> list[tuple[str, str]]:
    """Lines "left; right" of the files so named, in any case, without ``Speaker_``, ``.wav`` and what is `MISSING`."""
    lines = [line for path in tree if path.name.lower() in wanted for line in files.read_text(path).splitlines()]
    halves = [[_stem(half.strip(" ;")).removeprefix("Speaker_") for half in line.partition(";")[::2]] for line in lines]
    return [(left, right) for left, right in halves if right not in MISSING]


def _transcripts(names: pd.Index, tree: list[Path], root: Path) -> list[str | None]:
    """One line of text for each name; None where the file is absent or empty."""

    def read(path: Path) -> str | None:
        return " ".join(path.read_text(encoding="utf-8-sig", errors="replace").split()) or None

    below = [path for path in tree if "/transcript" in f"/{path.parent.relative_to(root)}".lower()]
    texts = files.by_stem(below, ".txt")
    spoken = dict(zip(texts, kept("texts", texts.values(), read), strict=True))
    if lossy := [name for name in names if "\ufffd" in (spoken.get(name) or "")]:
        problem = f"{len(lossy)} transcripts in {root} are not UTF-8 and lose characters"
        warnings.warn(f"{problem}: {some(lossy)}.", stacklevel=3)
    return [spoken.get(name) for name in names]
