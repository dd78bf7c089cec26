"""What the readers share: finding a corpus's files, and reading its tables as text."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpus import Corpus, CorpusError, some

Tree = list[tuple[Path, list[str]]]


def walk(folder: Path) -> Tree:
    """Every folder below `folder` with the names of its files, parents first; hidden ones (``._x.wav``) left out.

    Links are followed, but for those to a folder that holds them; a folder that may not be read is an `OSError`.
    """
    tree: Tree = []
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        shown = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        folders[:] = [name for name in shown if not _holds_itself(Path(folder), Path(parent, name))]
        tree.append((Path(parent), sorted(name for name in names if not name.startswith("."))))
    return tree


def _holds_itself(root: Path, path: Path) -> bool:
    """Whether `path` is a link to a folder on the way from `root` to it, or to one that holds such a folder."""
    if not path.is_symlink():
        return False
    target, way = path.resolve(), [above for above in path.parents if above.is_relative_to(root)]
    return any(above.resolve().is_relative_to(target) for above in way)


def _refuse(error: OSError) -> None:
    raise error


def by_stem(tree: Tree, suffix: str) -> dict[str, Path]:
    """The files that end in `suffix`, by the name without it; of two with one name, that of the fuller folder.

    Only the suffix is cut off, since names may have dots: ``006-040.1-2_13.wav`` is ``006-040.1-2_13``.
    """
    kept = [(folder, [name for name in names if name.lower().endswith(suffix)]) for folder, names in tree]
    kept.sort(key=lambda item: (len(item[1]), item[0]))
    return {name[: -len(suffix)]: folder / name for folder, names in kept for name in names}


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as text: no value is taken for missing (``NA`` stays), no ``007`` becomes a number."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", encoding_errors="replace")
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise CorpusError(f"{path} cannot be read as CSV: {str(error).strip()}.") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus values for an index
        raise CorpusError(f"{path} has rows with more values than its header has columns: correct the file.")
    return table.fillna("")


def require_columns(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    """Raise `CorpusError`, naming the file and its columns, unless `table` has all of `columns`."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise CorpusError(f"{path}: missing columns {', '.join(missing)}; it has {', '.join(table.columns)}.")


def numbers(column: pd.Series, path: Path) -> pd.Series:
    """Text as float64, NaN where it is empty, ``NA`` or ``nan``; any other text is a `CorpusError`."""
    values = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = values.isna() & ~column.str.strip().str.lower().isin(["", "na", "nan"])
    if wrong.any():
        rows = [f"{row} ({text!r})" for row, text in column[wrong].items()]
        raise CorpusError(f"{path}: {column.name} is not a number for {some(rows)}; correct the rows.")
    return values


def in_numbers(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """`table` with its attributes as `numbers`."""
    return table.assign(**{name: numbers(table[name], path) for name in ATTRIBUTES})


def validated(path: Path, *content: Any) -> Corpus:
    """`Corpus` of `content`; its `CorpusError` names the file that the rows come from."""
    try:
        return Corpus(*content)
    except CorpusError as error:
        raise CorpusError(f"{path}: {error}") from None


def require_audio(table: pd.DataFrame, missing_audio: Literal["error", "skip"], path: Path) -> pd.DataFrame:
    """`table` if every row has a ``path``; else a `CorpusError`, or the rows that have one and a warning."""
    absent = table["path"].isna()
    if not absent.any():
        return table
    message = f"{absent.sum()} of {len(table)} utterances in {path} have no audio: {some(table.index[absent])}"
    if absent.all():
        raise CorpusError(f"{message}; check corpus.path, and that the audio is unpacked.")
    if missing_audio == "error":
        raise CorpusError(f"{message}; restore the files, or leave the rows out with missing_audio: skip.")
    warnings.warn(f"{message}; left out.", stacklevel=3)
    return table[~absent]


def warn_of_other_means(table: pd.DataFrame, ratings: pd.DataFrame | None, path: Path, tolerance: float) -> None:
    """Warn of rated utterances whose attributes are not the mean of their ratings, within `tolerance`."""
    if ratings is None:
        return
    means = ratings.groupby("utterance")[list(ATTRIBUTES)].mean()
    both = table.loc[table.index.isin(means.index), list(ATTRIBUTES)]
    other = both.index[((both - means.loc[both.index]).abs() > tolerance).any(axis=1)]
    if len(other):
        problem = f"the attributes of {len(other)} of {len(both)} rated utterances are not the mean of their ratings"
        warnings.warn(f"{path}: {problem}: {some(other)}.", stacklevel=3)
