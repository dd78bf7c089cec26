"""Readers: one module a corpus. A profile names it, ``reader: emotale``, or by a dotted name one from anywhere.

A reader has:

- ``Params``: a `sercore.params.CorpusParams` with the corpus's own options, and ``folds`` without an official split;
- ``read(params, seed)``: gives a `sercore.corpus.Corpus`; ``seed`` chooses the fold where there are folds;
- ``KIND``: simulated, enacted, acted, naturalistic, or unspecified;
- ``DESCRIPTION``: one sentence for a reader of the book, on which speech its figures were measured;
- ``LICENCE``, if it likes: how the corpus may be used, for model cards.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from sercore import audio, transcripts
from sercore.corpus import Corpus, CorpusError, some
from sercore.disk import digest, digests, kept
from sercore.params import CorpusParams, reader

COMPARED = 2000  # utterances of equal length, in different splits, whose sound is compared, not their bytes alone


def read(params: CorpusParams, seed: int) -> Corpus:
    """The corpus that `params` describe; where it has no official split, `seed` chooses the fold.

    `CorpusError` if the folder or file is not what the reader expects, the corpus is not valid, or two splits share a
    recording; `AudioError` if audio is damaged, not skipped; `ParamsError` if a recogniser of transcripts is absent.
    """
    corpus = reader(params.reader).read(params, seed)
    table = corpus.table
    content = pd.Series(digests(table["path"]), table.index)
    lengths = table["split"].groupby(table["duration"]).transform("nunique")
    if 0 < (lengths > 1).sum() <= COMPARED:
        content[lengths > 1] = kept("sound", table["path"][lengths > 1], _sound)
    shared = table["split"].groupby(content).transform("nunique") > 1
    if shared.any():
        splits = table.loc[shared, "split"].groupby(content[shared], sort=False)
        named = [" and ".join(f"{row} ({one})" for row, one in each.drop_duplicates().items()) for _, each in splits]
        problem = f"corpus {corpus.name} has {len(named)} recordings in two splits: {some(named, 2)}"
        raise CorpusError(f"{problem}; keep each in one of them.")
    return transcripts.changed(corpus, params.transcripts)


def _sound(path: Path) -> str:
    return digest([str(np.rint(32_768 * audio.load(path)).astype(int).tobytes())])
