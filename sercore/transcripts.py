"""Transcripts that err: with wrong words at a chosen rate, missing, or as a recogniser hears them.

The errors of an utterance follow from its name and do not depend on other utterances; errors at a low rate occur at a
higher one too. Only inserted and substituted words depend on the corpus.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

import jiwer
import numpy as np
import pandas as pd

from sercore import ATTRIBUTES
from sercore.asr import recognised
from sercore.corpus import SPLITS, Corpus
from sercore.sections import Transcripts

WORD = re.compile(r"\w+(?:['’-]\w+)*")


def changed(corpus: Corpus, params: Transcripts) -> Corpus:
    """`corpus` with the transcripts that `params` ask for: recognised, then with errors, then some missing.

    `ParamsError` if the recogniser is not there, `AudioError` if an audio file that it is to hear is not usable.
    """
    if not (params.recogniser or params.errors or params.missing):
        return corpus
    texts = corpus.table["transcript"].copy()
    chosen = corpus.table.index if params.splits == "all" else reported(corpus.table).index
    if params.recogniser:
        texts[chosen] = recognised(corpus.table.loc[chosen, "path"], params.recogniser)
    vocabulary = sorted(word for text in texts.dropna() for word in WORD.findall(text.lower()))
    texts[chosen] = [_changed(name, text, params, vocabulary) for name, text in texts[chosen].items()]
    return replace(corpus, table=corpus.table.assign(transcript=texts))


def reported(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the split that a study reports: the last of `SPLITS` that has labels."""
    labelled = table.dropna(subset=list(ATTRIBUTES))["split"]
    return table[table["split"] == max(labelled, key=SPLITS.index)]


def with_errors(
    text: str, rate: float, kinds: Sequence[str], vocabulary: Sequence[str], generator: np.random.Generator
) -> str:
    """`text` in which each word has an error with probability `rate`, from 0 to 1; punctuation and other words stay.

    A word is replaced by another one, left out, or followed by another one, by a random one of `kinds`
    (``substitutions``, ``deletions``, ``insertions``). Others are drawn from `vocabulary`, all words of some texts in
    alphabetical order; in place of the word itself comes the next one. The expected word error rate is at most `rate`,
    since it counts the fewest edits. Each word takes as many random numbers, wrong or not. Without words, the text is
    empty.
    """

    def heard(match: re.Match) -> str:
        wrong, kind = generator.random() < rate, kinds[int(generator.integers(len(kinds)))]
        other = vocabulary[int(generator.random() * len(vocabulary))]
        if other == match[0].lower():
            other = vocabulary[bisect_right(vocabulary, other) % len(vocabulary)]
        if not wrong:
            return match[0]
        return {"substitutions": other, "deletions": "", "insertions": f"{match[0]} {other}"}[kind]

    erred = WORD.sub(heard, text)
    return re.sub(r"\s+", " ", erred).strip() if WORD.search(erred) else ""


def error_rates(said: Iterable[str | None], written: Iterable[str | None]) -> dict[str, float]:
    """How far transcripts are from what was said, by the fewest edits of words (`jiwer`).

    Letters' case and punctuation do not count. Utterances without a reference transcript are left out.

    Keys: ``utterances``; ``missing``, the share of them without a transcript; of the others ``words``, the number said;
    ``substitutions``, ``deletions``, ``insertions`` and their sum ``wer``, shares of ``words`` (NaN without words).
    """
    texts = pd.DataFrame({"said": list(said), "written": list(written)}, dtype=object).map(_words, na_action="ignore")
    texts = texts[texts["said"].fillna("") != ""]
    heard = texts.dropna()
    found = jiwer.process_words(list(heard["said"]), list(heard["written"]))
    words = found.hits + found.substitutions + found.deletions
    kinds = ("substitutions", "deletions", "insertions")
    rates = {name: getattr(found, name) / words if words else np.nan for name in kinds}
    shares = {"missing": texts["written"].isna().mean(), "words": words}
    return {"utterances": len(texts)} | shares | rates | {"wer": sum(rates.values())}


def _changed(utterance: str, text: str | None, params: Transcripts, vocabulary: Sequence[str]) -> str | None:
    digest = blake2b(str(utterance).encode(), digest_size=8).digest()
    generator = np.random.default_rng(int.from_bytes(digest))
    if generator.random() < params.missing or not isinstance(text, str):
        return None
    return with_errors(text, params.errors, params.kinds, vocabulary, generator) if params.errors else text


def _words(text: str) -> str:
    return " ".join(WORD.findall(text.lower()))
