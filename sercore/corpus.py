"""`Corpus`: one validated table, a row an utterance, and the table of single ratings where a release has one.

Columns of ``table`` (index ``utterance``, the file's stem):

- ``path``: the audio file, a `pathlib.Path`; ``duration``: its length in seconds;
- ``split``: one of `SPLITS`;
- ``emotion``: one of `EMOTIONS`, missing where hidden;
- ``arousal``, ``valence``, ``dominance``: in the corpus's own ``scale``, NaN where hidden;
- ``speaker``, ``gender`` (one of `GENDERS`), ``transcript``: missing where unknown.

Columns of ``ratings``, a row a rater and utterance: ``utterance``, ``rater``, ``emotion`` (the primary vote, a code of
`EMOTIONS` without X), ``arousal``, ``valence``, ``dominance``.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sercore import ATTRIBUTES, InputError
from sercore.disk import digest, digests
from sercore.network.conventions import GENDERS

SPLITS = ("train", "development", "test1", "test2", "test3")
_PRIMARY = ("anger", "sadness", "happiness", "surprise", "fear", "disgust", "contempt", "neutral")
PRIMARY_EMOTIONS = dict(zip("ASHUFDCN", _PRIMARY, strict=True))
EMOTIONS = PRIMARY_EMOTIONS | {"O": "other", "X": "no agreement"}
COLUMNS = ("path", "split", "emotion", *ATTRIBUTES, "speaker", "gender", "transcript", "duration")
RATING_COLUMNS = ("utterance", "rater", "emotion", *ATTRIBUTES)


class CorpusError(InputError):
    """A corpus that cannot be used; the message names the file, row or value and says what to do."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus that has passed every check of this module; `CorpusError` names what is not valid, or has no audio.

    ``name``: how reports call it. ``table`` and ``ratings``: as this module describes; missing values may be None or
    NaN. ``scale``: lowest and highest value of the attributes, e.g. (1, 7).
    """

    name: str
    table: pd.DataFrame
    scale: tuple[float, float]
    ratings: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        require_columns(self.table, COLUMNS, "corpus table", COLUMNS)
        if self.table.empty:
            raise CorpusError(f"corpus {self.name} has no utterance: check its path.")
        if nameless := int((self.table.index.isna() | (self.table.index == "")).sum()):
            raise CorpusError(f"{nameless} of {len(self.table)} rows have no utterance: name them or remove them.")
        if len(duplicates := self.table.index[self.table.index.duplicated()]):
            raise CorpusError(f"duplicate utterance: {some(duplicates)}; keep one row of each.")
        low, high = self.scale
        for name, known in {"split": SPLITS, "emotion": EMOTIONS, "gender": GENDERS}.items():
            given = self.table[name]
            wrong = ~given.isin(list(known)) & (given.notna() | (name == "split"))
            refuse(given[wrong], f"unknown {name}", f"valid are {', '.join(known)}")
        for name in ATTRIBUTES:
            given = self.table[name].dropna()
            wrong = ~pd.to_numeric(given, errors="coerce").between(low, high)
            refuse(given[wrong], f"{name} outside the scale {low:g} to {high:g}", "correct the rows")
        paths = self.table["path"]
        absent = paths[[not isinstance(path, Path) or not path.is_file() for path in paths]]
        refuse(absent, "utterances without audio", "path must be the Path of a file that exists")
        if self.ratings is not None:
            require_columns(self.ratings, RATING_COLUMNS, "table of ratings", RATING_COLUMNS)

    def split(self, name: str) -> pd.DataFrame:
        """Rows of one split, in the table's order; `CorpusError` if `name` is no split or has no utterance."""
        if name not in SPLITS:
            raise CorpusError(f"unknown split {name!r}; splits are {', '.join(SPLITS)}.")
        rows = self.table[self.table["split"] == name]
        if rows.empty:
            problem = f"corpus {self.name} has no utterance in split {name!r}"
            raise CorpusError(f"{problem}, only in {', '.join(self.splits())}.")
        return rows

    def splits(self) -> list[str]:
        """Splits that have utterances, in the order of `SPLITS`."""
        return [name for name in SPLITS if (self.table["split"] == name).any()]

    def __str__(self) -> str:
        counts = self.table.groupby("split")["speaker"].agg(["size", "nunique"]).loc[self.splits()].itertuples()
        parts = [f"{row.Index} {row.size:,} of {row.nunique:,} known speakers" for row in counts]
        return f"corpus {self.name}: {len(self.table):,} utterances: {', '.join(parts)}"

    def require_disjoint_speakers(self) -> None:
        """Raise `CorpusError`, which names them, if speakers of train or development are in another split too.

        Test splits may share speakers with each other, as MSP-Podcast's do, which a `UserWarning` says; nothing can be
        said of unknown speakers.
        """
        splits = self.table.groupby("speaker")["split"].unique()
        shared = splits[splits.map(len) > 1]
        listed = some([f"{speaker} ({' and '.join(names)})" for speaker, names in shared.items()])
        if any({"train", "development"} & set(names) for names in shared):
            raise CorpusError(f"speakers in two splits: {listed}; move or remove their utterances before training.")
        if len(shared):
            warnings.warn(f"{len(shared)} speakers are in two test splits: {listed}.", stacklevel=3)

    def digest(self) -> str:
        """Hexadecimal digest of rows, ratings and the content of the audio files, wherever these lie."""
        signed = [self.table.drop(columns="path").assign(sound=digests(self.table["path"]))]
        signed += [] if self.ratings is None else [self.ratings]
        return digest(str(pd.util.hash_pandas_object(table).to_numpy().tobytes()) for table in signed)


def require_columns(table: pd.DataFrame, required: Sequence[str], source: object, known: Sequence[str] = ()) -> None:
    """Raise `CorpusError`, naming the `source`, unless `table` has the columns `required`, and none but `known`."""
    if missing := [name for name in required if name not in table.columns]:
        raise CorpusError(f"{source}: missing columns {', '.join(missing)}; it has {', '.join(table.columns)}.")
    if known and (unknown := [name for name in table.columns if name not in known]):
        raise CorpusError(f"{source}: unknown columns {', '.join(unknown)}; known are {', '.join(known)}.")


def refuse(wrong: pd.Series, problem: str, remedy: str) -> None:
    """Raise `CorpusError`, naming the rows and values that are `wrong`, if there are any."""
    if len(wrong):
        raise CorpusError(f"{problem}: {some([f'{row} ({value})' for row, value in wrong.items()])}; {remedy}.")


def some(items: list[str] | pd.Index, most: int = 5) -> str:
    """The first few of a list for a message, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(str(item) for item in list(items)[:most]) + more
