"""A corpus that was read before: headers and transcripts of 120,000 utterances take a minute to read again."""

import contextlib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from sercore.corpora.files import walk
from sercore.corpus import Corpus
from sercore.disk import cache_folder, complete_file, digest, mark


def cached(root: Path, options: str, read: Callable[[], Corpus]) -> Corpus:
    """What `read` gives, from ``data/cache`` if no file of the corpus in `root` has changed since, by path and
    `sercore.disk.mark`; its warnings are repeated. `options` is all else that `read` depends on.
    """
    files = [folder / name for folder, names in walk(root) for name in names]
    key = digest([options, pd.__version__, *(f"{path} {mark(path)}" for path in files)])
    path = cache_folder() / f"corpus-{key}.pickle"
    corpus = None
    with contextlib.suppress(Exception):  # absent or damaged, on which pickle raises anything
        messages, *content = pickle.loads(path.read_bytes())
        corpus = Corpus(*content)
    if corpus is None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            corpus = read()
        messages = [(str(warning.message), warning.category) for warning in caught]
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = pickle.dumps((messages, corpus.name, corpus.table, corpus.scale, corpus.ratings))
        complete_file(path, lambda partial: partial.write_bytes(kept))
    for message, category in messages:
        warnings.warn(message, category, stacklevel=3)
    return corpus
