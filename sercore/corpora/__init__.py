"""One reader a corpus; `read` chooses it from the parameters."""

from sercore.corpora import emotale, manifest, msp_podcast, simulated
from sercore.corpus import Corpus
from sercore.params import CorpusParams, EmoTale, Manifest, MspPodcast, Simulated


def read(params: CorpusParams, seed: int) -> Corpus:
    """The corpus that `params` describe; where it has no official split, `seed` chooses the fold.

    Raises:
        CorpusError: the folder or file is not what the reader expects, or the corpus is not valid.
        AudioError: an audio file is not usable.
    """
    match params:
        case MspPodcast():
            return msp_podcast.read(params.path, missing_audio=params.missing_audio)
        case EmoTale():
            return emotale.read(params, fold=seed % params.folds)
        case Manifest():
            return manifest.read(params)
        case Simulated():
            return msp_podcast.read(simulated.write(params))
