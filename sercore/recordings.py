"""What to predict for: files, folders of them, and CSVs that list them."""

import warnings
from collections.abc import Sequence
from os.path import isdir, isfile
from pathlib import Path

import pandas as pd

from sercore.audio import AudioError
from sercore.corpora import files
from sercore.corpus import CorpusError, some
from sercore.params import ParamsError

# Suffixes by which a folder's recordings are known; a file that is named itself may have any.
AUDIO = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".sph", ".w64", ".wav")


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
        found = files.walk(given)
        paths = [path for path in found if path.suffix.lower() in AUDIO]
        if not paths:
            raise AudioError(f"{given} has no recording ({', '.join(AUDIO)}): name another folder, or the files.")
        if others := [path.name for path in found if path.suffix.lower() not in AUDIO]:
            warnings.warn(f"{len(others)} of {len(found)} files in {given} are no audio: {some(others)}.", stacklevel=4)
    elif given.suffix.lower() == ".csv" and isfile(given):
        table = files.read_csv(given, ["path"])
        empty = [str(row + 2) for row in table.index[table["path"].str.strip() == ""]]
        if empty or table.empty:
            raise CorpusError(f"{given} has no path in line {some(empty or ['2'])}: name a file in each line.")
        paths, texts = [given.parent / name for name in table["path"]], table.get("transcript")
    return pd.DataFrame({"path": paths, "transcript": texts}, dtype=object)
