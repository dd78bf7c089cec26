"""One reader a corpus; `read` chooses it from the parameters."""

from importlib import import_module
from pathlib import Path
from typing import Literal

from sercore import transcripts
from sercore.corpora import emotale, iemocap, manifest, msp_podcast
from sercore.corpora.cached import cached
from sercore.corpus import Corpus
from sercore.params import CorpusParams, EmoTale, Iemocap, Manifest, MspPodcast, Simulated, resolve


def read(params: CorpusParams, seed: int) -> Corpus:
    """The corpus that `params` describe; where it has no official split, `seed` chooses the fold.

    Raises:
        CorpusError: the folder or file is not what the reader expects, or the corpus is not valid.
        AudioError: an audio file is not usable.
        ParamsError: the recogniser of its transcripts is not there.
    """
    return transcripts.changed(_as_it_is(params, seed), params.transcripts)


def _as_it_is(params: CorpusParams, seed: int) -> Corpus:
    match params:
        case MspPodcast():
            return _release(params.path, params.missing_audio)
        case EmoTale():
            return emotale.read(params, fold=seed % params.folds)
        case Iemocap():
            return iemocap.read(params, fold=seed % params.folds)
        case Manifest():
            return manifest.read(params)
        case Simulated():
            return _release(import_module("simulation.release").write(params), "error")


def _release(path: Path, missing_audio: Literal["error", "skip"]) -> Corpus:
    root = resolve(path)
    return cached(root, f"MSP-Podcast, {missing_audio}", lambda: msp_podcast.read(root, missing_audio=missing_audio))
