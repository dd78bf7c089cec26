"""What the readers share: finding a corpus's files, and reading its tables as text; and which files to predict for."""

import contextlib
import csv
import io
import os
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, audio
from sercore.corpus import COLUMNS, Corpus, CorpusError, refuse, require_columns, some
from sercore.disk import cache_folder, complete_file, digest, digests, kept, mark
from sercore.params import ParamsError

BREAK = re.compile(r"[\n\r\0]")
ROW = re.compile(r"[\n\r][^\n\r,]*\.wav\"?,")  # in a cell that has swallowed it
# Suffixes by which a folder's recordings are known; a file that is named itself may have any.
AUDIO = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".sph", ".w64", ".wav")


def walk(folder: Path) -> list[Path]:
    """Every file below `folder`, sorted, those of a folder before those below; hidden ones (``._x.wav``) left out.

    Links are followed, but for those to a folder that holds them; a folder that may not be read is an `OSError`.
    """
    found: list[Path] = []
    errors: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=errors.append, followlinks=True):
        shown = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        folders[:] = [name for name in shown if not _holds_itself(Path(parent, name))]
        found += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    if errors and folder.is_dir():
        raise errors[0]
    return found


def _holds_itself(path: Path) -> bool:
    """Whether `path` is a link to a folder on the way to it, or to one that holds such a folder."""
    return path.is_symlink() and any(above.resolve().is_relative_to(path.resolve()) for above in path.parents)


def by_stem(paths: Sequence[Path], suffix: str) -> dict[str, Path]:
    """The files that end in `suffix`, by the name without it; `CorpusError` if two of one name have another content.

    Only the suffix is cut off, since names may have dots: ``006-040.1-2_13.wav`` is ``006-040.1-2_13``.
    """
    found: dict[str, Path] = {}
    ending = [path for path in paths if path.name.lower().endswith(suffix)]
    pairs = [(found.setdefault(path.name[: -len(suffix)], path), path) for path in ending]
    twins = [pair for pair in pairs if pair[0] != pair[1]]
    contents = digests(path for pair in twins for path in pair)
    for place, (one, other) in enumerate(twins):
        if contents[2 * place] != contents[2 * place + 1]:
            remedy = "move one folder elsewhere, or name each path in a manifest (reader: manifest)"
            raise CorpusError(f"{one} and {other} differ, though they have one name: {remedy}.")
    return found


def read_text(path: Path) -> str:
    """A file in UTF-8, with or without a byte order mark; `CorpusError` if there is none, or it is not UTF-8."""
    if not path.is_file():
        raise CorpusError(f"{path} does not exist or is a folder: correct corpus.path, or restore the file.")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = f"{path} is not UTF-8: line {line} has the byte 0x{content[error.start]:02x}"
        raise CorpusError(f"{problem}; save it as UTF-8 (it may be in cp1252 or UTF-16).") from None


def read_csv(path: Path, required: Sequence[str] = (), typed: str | None = None) -> pd.DataFrame:
    """A CSV as text: no value is taken for missing (``NA`` stays), no ``007`` becomes a number, and a row is a line.

    Only in the column `typed`, for what raters typed, cells may have line breaks. `CorpusError` names the line of a row
    with a break, a quotation mark not doubled, or more or fewer values than the header, and missing `required` columns.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace") if typed else read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        remedy = "put a cell with quotation marks into quotation marks, and double those within"
        raise CorpusError(f"{path} cannot be read as CSV: line {reader.line_num}: {error}; {remedy}.") from None
    if not rows:
        raise CorpusError(f"{path} is empty: a CSV begins with the names of its columns.")
    header = rows.pop(0)
    if twice := {name for name in header if header.count(name) > 1}:
        raise CorpusError(f"{path} has a column twice: {', '.join(sorted(twice))}; remove one.")
    for number, row in enumerate(rows, 1):
        where = f"{path}: row {number} ({row[0][:40]})"
        if len(row) != len(header):
            raise CorpusError(f"{where} has {len(row)} values, and the header has {len(header)}; correct the row.")
        for name, cell in zip(header, row, strict=True):
            if BREAK.search(cell) and (name != typed or ROW.search(cell)):
                raise CorpusError(f"{where} has a line break in {name}; remove it, and double each quotation mark.")
    table = pd.DataFrame(rows, columns=header, dtype="str")
    require_columns(table, required, path)
    return table


def numbers(table: pd.DataFrame, path: Path, columns: Iterable[str] = ATTRIBUTES) -> pd.DataFrame:
    """`table` with `columns` of text as float64, NaN where empty, ``NA`` or ``nan``; other text is a `CorpusError`."""
    values = table[list(columns)].apply(pd.to_numeric, errors="coerce").astype("float64")
    for name, column in values.items():
        given = table.loc[column.isna(), name]
        wrong = given[~given.str.strip().str.lower().isin(["", "na", "nan"])]
        refuse(wrong, f"{path}: {name} is not a number", "correct the rows")
    return table.assign(**values)


def corpus(
    source: Path, params: Any, name: str, table: pd.DataFrame, scale: tuple, ratings: Any = None, **late: Callable
) -> Corpus:
    """`Corpus` of the rows that have audio, with their durations and `ratings`.

    A missing ``path`` is a `CorpusError`, or the row is left out with a warning where ``missing_audio`` is ``skip``;
    for damaged files see `with_durations`. `late` are columns that depend on which rows have audio, as
    `pandas.DataFrame.assign` takes them. `CorpusError`, which names the `source`, if what is left is not valid.
    """
    absent = table["path"].isna()
    if absent.any():
        problem = f"{absent.sum()} of {len(table)} utterances in {source} have no audio: {some(table.index[absent])}"
        if absent.all() or params.missing_audio == "error":
            raise CorpusError(f"{problem}; unpack or restore it, or leave single rows out with missing_audio: skip.")
        warnings.warn(f"{problem}; left out.", stacklevel=3)
    table = with_durations(table[~absent].assign(**late), params.damaged, source)
    if ratings is not None:
        ratings = ratings[ratings["utterance"].isin(table.index)]
    try:
        return Corpus(name, table[list(COLUMNS)], scale, ratings)
    except CorpusError as error:
        raise CorpusError(f"{source}: {error}") from None


def with_durations(table: pd.DataFrame, damaged: Literal["refuse", "skip"], source: Path) -> pd.DataFrame:
    """`table` with the ``duration`` in seconds of each file of ``path``, and without the files that are damaged.

    `AudioError` if files are damaged and `damaged` is ``refuse``, or all of them are. `UserWarning` if files are left
    out, which ``data/cache/damaged-*.csv`` then lists, or if the median of about 50 files is clipped or far from the
    level of speech. `source` names the corpus.
    """
    durations = pd.Series(kept("durations", table["path"], partial(_tried, audio.duration)), table.index, dtype=object)
    errors = durations[[isinstance(one, audio.AudioError) for one in durations]]
    if len(errors):
        problem = f"{len(errors)} of {len(table)} audio files in {source} are damaged"
        if damaged == "refuse" or len(errors) == len(table):
            remedy = "check corpus.path, or leave single files out with corpus.damaged: skip"
            raise audio.AudioError(f"{problem} ({remedy}): {errors.iloc[0]}")
        path = cache_folder() / f"damaged-{digest([str(source)], 4)}.csv"
        complete_file(path, table.loc[errors.index, ["path"]].assign(problem=errors.map(str)).to_csv)
        warnings.warn(f"{problem} and left out: {some(errors.index)}; all are listed in {path}.", stacklevel=4)
    table = table.assign(duration=durations).drop(index=errors.index).astype({"duration": "float64"})
    levels = kept("levels", table["path"].iloc[:: len(table) // 50 + 1], partial(_tried, audio.levels))
    levels = [each for each in levels if isinstance(each, tuple)]  # an error is raised again when the file is used
    level, clipped = np.median(levels, axis=0) if levels else (1, 0)
    if not 10 * audio.SILENT <= level <= 1:
        quiet = "quiet" if level < 1 else "loud"
        problem = f"far too {quiet} (a root mean square of {level:.2g}, where full scale is 1): scale its samples"
        warnings.warn(f"the audio of {source} is {problem}.", stacklevel=4)
    elif clipped > audio.CLIPPED:
        problem = f"clipped ({clipped:.1%} of the samples are at full scale)"
        warnings.warn(f"the audio of {source} is {problem}: look for the original recordings.", stacklevel=4)
    return table


def _tried(look: Callable[[Path], Any], path: Path) -> Any:
    try:
        return look(path)
    except audio.AudioError as error:
        return error


def warn_of_other_means(table: pd.DataFrame, ratings: pd.DataFrame, path: Path, tolerance: float) -> None:
    """Warn of rated utterances whose attributes are not the mean of their ratings, within `tolerance`."""
    means = ratings.groupby("utterance")[list(ATTRIBUTES)].mean()
    both = table.loc[table.index.isin(means.index), list(ATTRIBUTES)]
    if len(other := both.index[((both - means.loc[both.index]).abs() > tolerance).any(axis=1)]):
        problem = f"the attributes of {len(other)} of {len(both)} rated utterances are not the mean of their ratings"
        warnings.warn(f"{path}: {problem}: {some(other)}.", stacklevel=3)


def dealt(table: pd.DataFrame, keys: Any, fold: int, folds: int | None = None) -> pd.Series:
    """The split of each row: speakers, or what else `keys` (of `pandas.DataFrame.groupby`) tell apart, are dealt in
    turn to `folds` groups, of which `fold` is test1, the next one development. By default each has its own group."""
    member = table.groupby(keys, dropna=False).ngroup()
    folds = folds or member.nunique()
    if member.nunique() < folds:
        raise CorpusError(f"{member.nunique()} speakers cannot be dealt to {folds} folds: lower corpus.folds.")
    return (member % folds).map({(fold + 1) % folds: "development", fold % folds: "test1"}).fillna("train")


def cached(root: Path, options: str, read: Callable[[], Corpus]) -> Corpus:
    """What `read` gives, from ``data/cache`` if no file of the corpus in `root`, wherever that lies, has changed since,
    by its name there and `sercore.disk.mark`; its warnings are repeated. `options` is all else that `read` depends on.
    """
    here = f"{root}/"
    names = (f"{str(path).removeprefix(here)} {mark(path)}" for path in walk(root))
    path = cache_folder() / f"corpus-{digest([options, root.name, pd.__version__, *names])}.pickle"
    corpus = None
    with contextlib.suppress(Exception):  # absent or damaged, on which pickle raises anything
        messages, name, table, *rest = pickle.loads(path.read_bytes())
        corpus = Corpus(name, table.assign(path=[Path(root, each) for each in table["path"]]), *rest)
    if corpus is None:
        with warnings.catch_warnings(record=True, action="always") as caught:
            corpus = read()
        messages = [(str(warning.message).replace(str(root), "\0"), warning.category) for warning in caught]
        table = corpus.table.assign(path=[str(each).removeprefix(here) for each in corpus.table["path"]])
        entry = pickle.dumps((messages, *(vars(corpus) | {"table": table}).values()))
        complete_file(path, lambda partial: partial.write_bytes(entry), len(entry))
    for message, category in messages:
        warnings.warn(message.replace("\0", str(root)), category, stacklevel=3)
    return corpus


def listed(given: Sequence[Path | str], texts: Sequence[str] | None = None) -> pd.DataFrame:
    """The recordings that files, folders and CSVs name: ``path`` and ``transcript`` (missing where unknown), in order.

    A folder stands for all recordings below it, sorted; a CSV for those of its column ``path``, relative to its folder,
    with the transcripts of a column ``transcript`` if it has one. `texts` are the transcripts where no CSV has them.

    `AudioError` if a folder has no recording; `CorpusError` if a CSV cannot be read, or has no column ``path`` or no
    path in a row; `ParamsError` if there is not one text for each recording, a text is the name of a file, or texts are
    given twice. `UserWarning` if files of a folder are left out, since their suffixes are none of `AUDIO`.
    """
    table = pd.concat([_listed(Path(each)) for each in given], ignore_index=True)
    if texts is None:
        return table
    if swallowed := [text for text in texts if isfile(text)]:
        problem = f"the transcript {swallowed[0]!r} is the name of a file"
        raise ParamsError(f"{problem}: put all files before --text, which takes what follows it.")
    if len(texts) != len(table):
        raise ParamsError(f"{len(texts)} texts for {len(table)} files: give one for each, empty where it has none.")
    if table["transcript"].notna().any():
        raise ParamsError("texts are given, and a CSV has a column transcript: leave one of them out.")
    return table.assign(transcript=list(texts))


def _listed(given: Path) -> pd.DataFrame:
    paths, texts = [given], None
    if isdir(given):
        found = walk(given)
        paths = [path for path in found if path.suffix.lower() in AUDIO]
        if not paths:
            raise audio.AudioError(f"{given} has no recording ({', '.join(AUDIO)}): name another folder, or the files.")
        if others := [path.name for path in found if path.suffix.lower() not in AUDIO]:
            warnings.warn(f"{len(others)} of {len(found)} files in {given} are no audio: {some(others)}.", stacklevel=4)
    elif given.suffix.lower() == ".csv" and isfile(given):
        table = read_csv(given, ["path"])
        empty = [str(row + 2) for row in table.index[table["path"].str.strip() == ""]]
        if empty or table.empty:
            raise CorpusError(f"{given} has no path in line {some(empty or ['2'])}: name a file in each line.")
        paths, texts = [given.parent / name for name in table["path"]], table.get("transcript")
    return pd.DataFrame({"path": paths, "transcript": texts}, dtype=object)
