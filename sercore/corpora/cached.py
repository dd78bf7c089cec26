"""A corpus that was read before: headers and transcripts of 120,000 utterances take a minute to read again."""

import contextlib
import pickle
import warnings
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pandas as pd

from sercore.cache import complete_file, file_key
from sercore.corpora.files import walk
from sercore.corpus import Corpus
from sercore.params import project_root


def cached(root: Path, options: str, read: Callable[[], Corpus]) -> Corpus:
    """What `read` gives, from ``data/cache`` if no file of the corpus in `root` has changed since, by name, size or
    time of modification; its warnings are repeated. `options` is all else that `read` depends on.
    """
    files = file_key(folder / name for folder, names in walk(root) for name in names)
    key = blake2b("\n".join([options, pd.__version__, *files]).encode(), digest_size=16).hexdigest()
    path = project_root() / "data" / "cache" / f"corpus-{key}.pickle"
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
