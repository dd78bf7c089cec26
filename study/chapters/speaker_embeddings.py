"""How far a frozen encoder tells speakers apart: the authors' picture of ten speakers, and two numbers beside it.

The silhouette of an utterance is (b - a) / max(a, b), with its mean cosine distance a to the others of its speaker and
b to those of the nearest other speaker; their mean lies between -1 and 1, and near 0 where speakers do not cluster
(Rousseeuw, 1987). The equal-error rate is that of verification by the cosine of two embeddings, over all pairs of
utterances: at the threshold at which as many pairs of one speaker are rejected as pairs of two are accepted; .5 is
guessing.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.manifold import TSNE
from sklearn.metrics import roc_curve, silhouette_score
from tqdm import tqdm

from sercore import audio, corpora
from sercore.corpus import CorpusError
from sercore.encoders import SpeakerEncoder, quieten
from sercore.params import Params, ParamsError

SPEAKERS, UTTERANCES = 10, 100
"""The authors' choice: so many speakers, and utterances of each."""


def write(params: Params, folder: Path) -> None:
    """Write the tables of a corpus's speakers; nothing in them names a speaker or an utterance.

    ``counts.csv``: ``utterances`` of each known speaker, of all splits, the busiest first. ``embedding_2d.csv``: ``x``,
    ``y`` and the number ``speaker`` (from 1) of up to 100 random utterances of each of the ten busiest speakers, by
    t-SNE (van der Maaten & Hinton, 2008), in random order. ``embedding.csv``: of the same utterances, but on the whole
    embedding, ``measure`` (silhouette; equal-error rate), ``value``, ``low``, ``high``, ``speakers``, ``utterances``
    and ``encoder``; see `separation`.

    Args:
        params: with the corpus, and the speaker encoder, as of ``fusion_speaker_embedding``.
        folder: holds the tables, beside whatever else is there.

    Raises:
        ParamsError: no speaker encoder.
        CorpusError: fewer than two speakers have two utterances.
    """
    if params.speaker is None:
        raise ParamsError(f"variant {params.variant!r} has no speaker encoder: take fusion_speaker_embedding.")
    quieten()
    table = corpora.read(params.corpus, params.seed).table
    rows = choose(table, np.random.default_rng(0))
    encoder = SpeakerEncoder(params.speaker.encoder)
    paths = tqdm(rows["path"], "speaker embeddings", unit="utterance")
    embeddings = np.concatenate([encoder(audio.load(path, params.speech.max_seconds)) for path in paths])
    tables = {
        "counts": pd.DataFrame({"utterances": table["speaker"].value_counts().to_numpy()}),
        "embedding_2d": pd.DataFrame(project(embeddings).round(2), columns=["x", "y"]).assign(
            speaker=rows["number"].to_numpy()
        ),
        "embedding": separation(embeddings, rows["number"]).assign(encoder=params.speaker.encoder),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tables.items():
        partial = folder / f".{name}.csv.partial"
        content.to_csv(partial, index=False, float_format="%.4g")
        partial.rename(folder / f"{name}.csv")


def choose(table: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Random rows of the busiest speakers, in random order, with a random ``number`` (from 1) of each speaker.

    Raises:
        CorpusError: fewer than two speakers have two utterances.
    """
    shuffled = table.iloc[generator.permutation(len(table))]
    counts = shuffled["speaker"].value_counts()
    busiest = counts[counts >= 2].index[:SPEAKERS]
    if len(busiest) < 2:
        raise CorpusError("fewer than two known speakers have two utterances, so none can be told apart.")
    rows = shuffled[shuffled["speaker"].isin(busiest)].groupby("speaker").head(UTTERANCES)
    numbers = pd.Series(generator.permutation(len(busiest)) + 1, index=busiest)
    return rows.assign(number=rows["speaker"].map(numbers))


def project(embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Embeddings (utterances, width) on a plane (utterances, 2), near ones near each other; always the same."""
    perplexity = min(30, (len(embeddings) - 1) / 3)
    return TSNE(perplexity=perplexity, metric="cosine", random_state=0).fit_transform(embeddings)


def separation(embeddings: NDArray[np.float64], speakers: ArrayLike) -> pd.DataFrame:
    """Silhouette and equal-error rate, each with a 95 % jackknife-t interval over the speakers (Efron, 1982).

    Args:
        embeddings: shape (utterances, width), L2-normalised.
        speakers: shape (utterances,), any labels; three or more, each of two or more utterances.
    """
    speakers = np.asarray(speakers)
    similarity = np.clip(embeddings.astype(np.float64) @ embeddings.T.astype(np.float64), -1, 1)
    np.fill_diagonal(similarity, 1)
    measures = {"silhouette": (_silhouette, -1), "equal-error rate": (_verification_error, 0)}
    rows = [
        {"measure": name, **_interval(measure, similarity, speakers, lowest)}
        for name, (measure, lowest) in measures.items()
    ]
    return pd.DataFrame(rows).assign(speakers=len(set(speakers)), utterances=len(speakers))


def equal_error_rate(same: ArrayLike, scores: ArrayLike) -> float:
    """Share of both errors where they are equal, between two thresholds by linear interpolation.

    Args:
        same: whether a pair is of one speaker, shape (pairs,); both kinds occur.
        scores: higher for pairs that are thought to be, shape (pairs,).
    """
    accepted, found, _ = roc_curve(same, scores)
    return float(np.interp(0, accepted + found - 1, accepted))


def _verification_error(similarity: NDArray[np.float64], speakers: NDArray) -> float:
    one, other = np.triu_indices(len(speakers), 1)
    return equal_error_rate(speakers[one] == speakers[other], similarity[one, other])


def _silhouette(similarity: NDArray[np.float64], speakers: NDArray) -> float:
    return float(silhouette_score(1 - similarity, speakers, metric="precomputed"))


def _interval(measure: Callable, similarity: NDArray[np.float64], speakers: NDArray, lowest: float) -> dict[str, float]:
    names = np.unique(speakers)
    kept = [np.flatnonzero(speakers != name) for name in names]
    without = np.array([measure(similarity[np.ix_(rows, rows)], speakers[rows]) for rows in kept])
    error = np.sqrt((len(names) - 1) * without.var())
    value, reach = measure(similarity, speakers), stats.t.ppf(0.975, len(names) - 1) * error
    return {"value": value, "low": max(value - reach, lowest), "high": min(value + reach, 1)}
