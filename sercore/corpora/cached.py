"""A corpus that was read before, as long as none of its files has changed: headers and transcripts of 120,000
utterances take a minute to read again."""

import json
import shutil
import warnings
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pandas as pd
from pyarrow import ArrowInvalid

from sercore.cache import complete, file_key
from sercore.corpora.files import walk
from sercore.corpus import Corpus
from sercore.params import project_root


def cached(root: Path, options: str, read: Callable[[], Corpus]) -> Corpus:
    """What `read` gives, from ``data/cache`` if it was read before from the same files with the same options.

    A file counts as the same by its name, size and time of modification. The warnings of the first reading are given
    again.

    Args:
        root: folder of the corpus.
        options: all else that `read` depends on.
        read: reads it.
    """
    key = blake2b(
        "\n".join([options, *file_key(folder / name for folder, names in walk(root) for name in names)]).encode(),
        digest_size=16,
    ).hexdigest()
    folder = project_root() / "data" / "cache" / f"corpus-{key}"
    if not folder.is_dir():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            corpus = read()
        complete(folder, lambda partial: _write(partial, corpus, [str(warning.message) for warning in caught]))
        for warning in caught:
            warnings.warn(warning.message, warning.category, stacklevel=3)
        return corpus
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        table = pd.read_parquet(folder / "table.parquet")
        ratings = pd.read_parquet(folder / "ratings.parquet") if about["ratings"] else None
    except (OSError, ValueError, KeyError, ArrowInvalid):  # damaged: read it again
        shutil.rmtree(folder)
        return cached(root, options, read)
    for message in about["warnings"]:
        warnings.warn(message, stacklevel=3)
    paths = [Path(path) for path in table["path"]]
    return Corpus(about["name"], table.assign(path=paths), tuple(about["scale"]), ratings)


def _write(partial: Path, corpus: Corpus, messages: list[str]) -> None:
    corpus.table.assign(path=corpus.table["path"].map(str)).to_parquet(partial / "table.parquet")
    if corpus.ratings is not None:
        corpus.ratings.to_parquet(partial / "ratings.parquet")
    about = {"name": corpus.name, "scale": corpus.scale, "ratings": corpus.ratings is not None, "warnings": messages}
    (partial / "about.json").write_text(json.dumps(about), encoding="utf-8")
