"""Readers: one module a corpus. A profile names it, ``reader: emotale``, or by a dotted name one from anywhere.

A reader has:

- ``Params``: a `sercore.params.CorpusParams` with the corpus's own options, and ``folds`` without an official split;
- ``read(params, seed)``: gives a `sercore.corpus.Corpus`; ``seed`` chooses the fold where there are folds;
- ``KIND``: simulated, enacted, acted, naturalistic, or unspecified;
- ``DESCRIPTION``: one sentence for a reader of the book, on which speech its figures were measured.
"""

from sercore import transcripts
from sercore.corpus import Corpus
from sercore.params import CorpusParams, reader


def read(params: CorpusParams, seed: int) -> Corpus:
    """The corpus that `params` describe; where it has no official split, `seed` chooses the fold.

    Raises:
        CorpusError: the folder or file is not what the reader expects, or the corpus is not valid.
        AudioError: an audio file is damaged, unless these are skipped.
        ParamsError: the recogniser of its transcripts is not there.
    """
    return transcripts.changed(reader(params.reader).read(params, seed), params.transcripts)
