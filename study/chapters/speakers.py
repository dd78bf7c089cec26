"""Speakers: how unequally they talk, whether an encoder separates them, and what speaker information is worth.

Conventions:

- Speakers are *seen* whose utterances a system was trained on, though not with those that it is scored on
  (``sampling.held_out`` of `sercore.sections.Sampling`); all others are *unseen*.
- The skew of a corpus is the share of the training utterances that the most talkative 26 % of the speakers speak.
- The silhouette of an utterance is (b - a) / max(a, b), with its mean cosine distance a to the others of its speaker
  and b to those of the nearest other speaker; their mean is near 0 where speakers do not cluster (Rousseeuw, 1987).
- The equal-error rate is that of verification by the cosine of embeddings, over all pairs of utterances (.5: guessing).
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import roc_curve, silhouette_score
from tqdm import tqdm

from sercore import audio, corpora
from sercore.corpus import CorpusError
from sercore.encoders import SpeakerEncoder
from sercore.hub import quieten
from sercore.params import resolve
from sercore.significance import contrast
from sercore.sums import jackknife_error
from simulation.population import SKEW
from study import comparisons, results
from study.plan import Plan, Question
from study.results import Study

SPEAKERS, UTTERANCES = 10, 100  # the authors' choice: so many speakers, and utterances of each
PLANE = "embedding_2d"  # a row an utterance
TABLES = ("counts", PLANE, "embedding")


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write the tables of a corpus's speakers; nothing in them names a speaker or an utterance.

    ``counts.csv``: ``utterances`` of each known speaker, of all splits, the most talkative first. ``embedding_2d.csv``:
    ``x``, ``y`` and the number ``speaker`` (from 1) of up to 100 random utterances of each of the ten most talkative
    speakers, by t-SNE (van der Maaten & Hinton, 2008), in random order. ``embedding.csv``: `separation` of the same
    utterances in the whole embedding, with the ``encoder``.
    """
    quieten()
    params = plan.parameters("fusion_speaker_embedding")
    assert params.speaker
    table = corpora.read(params.corpus, params.seed).table
    rows = choose(table, np.random.default_rng(0))
    encoder = SpeakerEncoder(params.speaker.encoder)
    paths = tqdm(rows["path"], "speaker embeddings", unit="utterance")
    embeddings = np.concatenate([encoder(audio.load(path, params.speech.max_seconds)) for path in paths])
    projection = TSNE(perplexity=min(30, (len(rows) - 1) / 3), metric="cosine", random_state=0)
    plane = pd.DataFrame(projection.fit_transform(embeddings).round(2), columns=["x", "y"])
    tables = {
        "counts": pd.DataFrame({"utterances": table["speaker"].value_counts().to_numpy()}),
        PLANE: plane.assign(speaker=rows["number"].to_numpy()),
        "embedding": separation(embeddings, rows["number"]).assign(encoder=params.speaker.encoder),
    }
    results.write_tables(folder, tables)


def read(folders: dict[str, str]) -> dict[str, pd.DataFrame]:
    """The tables that `analyse` wrote into folders, by the corpus's name, which is the column ``corpus``. All but the
    first folder may lack `PLANE`, which of human speech is not committed."""
    each: dict[str, dict[str, pd.DataFrame]] = {}
    for name, folder in folders.items():
        whole = not each or (resolve(Path(folder)) / f"{PLANE}.csv").is_file()
        each[name] = results.read_tables(folder, [table for table in TABLES if whole or table != PLANE])
    known = {table: {name: part[table] for name, part in each.items() if table in part} for table in TABLES}
    return {table: pd.concat([rows.assign(corpus=name) for name, rows in of.items()]) for table, of in known.items()}


def skews(studies: Sequence[Study], counts: pd.DataFrame) -> pd.DataFrame:
    """Speakers, utterances and share of the most talkative 26 %: of each condition's training split, of the other
    corpora of `counts`, and last the paper's own share."""
    spoken = {one.condition: _spoken(one) for one in studies}
    spoken |= dict(list(counts[counts["corpus"] != counts["corpus"].iloc[0]].groupby("corpus")["utterances"]))
    rows = {name: [len(each), each.sum(), _busiest_share(each)] for name, each in spoken.items()}
    rows["MSP-Podcast, from the paper"] = [np.nan, np.nan, SKEW["utterances"]]
    table = pd.DataFrame.from_dict(rows, "index", columns=["speakers", "utterances", "share"])
    return table.rename_axis("condition or corpus")


def _skew(study: Study) -> float:
    return _busiest_share(_spoken(study))


def _busiest_share(counts: ArrayLike) -> float:
    spoken = np.append(0, np.sort(np.asarray(counts))[::-1].cumsum())
    return float(np.interp(SKEW["speakers"], np.linspace(0, 1, len(spoken)), spoken / spoken[-1]))


def differences(studies: Sequence[Study], question: Question) -> pd.DataFrame:
    """`study.comparisons.differences` for seen and for unseen speakers (``kind``) under each condition, a family each,
    the least skewed condition first; without held-out training utterances for unseen speakers alone."""
    tables = []
    for study in sorted(studies, key=_skew):
        for kind, split in {"seen": "train", "unseen": study.splits()[-1]}.items():
            if split in study.splits():
                tables.append(comparisons.differences(study, question, split).assign(kind=kind, skew=_skew(study)))
    return pd.concat(tables, ignore_index=True).drop(columns="paper")


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """How much each tested difference changes from the least to the most skewed condition, a row a kind and system, its
    95 % limits and ``sets``. Errors of the two differences are taken as independent (Satterthwaite's degrees of
    freedom); on the same test speakers what these share cancels in the change, so the interval is rather too wide."""
    keys = ["kind", "system"]
    ordered = comparisons.tested(table).sort_values("skew", kind="stable").groupby(keys, sort=False)
    first, last = ordered.nth(0).set_index(keys), ordered.nth(-1).set_index(keys)
    variances = [each["standard_error"] ** 2 for each in (first, last)]
    found = contrast(last["estimate"] - first["estimate"], variances, [first["df"], last["df"]])
    limits = {"estimate": found.difference, "low": found.low, "high": found.high}
    return pd.DataFrame(limits | {"sets": np.minimum(first["sets"], last["sets"])}, first.index).reset_index()


def choose(table: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Random rows of the busiest speakers, in random order, with a random ``number`` (from 1) of each speaker."""
    shuffled = table.iloc[generator.permutation(len(table))]
    counts = shuffled["speaker"].value_counts()
    busiest = counts[counts >= 2].index[:SPEAKERS]
    if len(busiest) < 2:
        raise CorpusError("fewer than two known speakers have two utterances, so none can be distinguished.")
    rows = shuffled[shuffled["speaker"].isin(busiest)].groupby("speaker").head(UTTERANCES)
    numbers = pd.Series(generator.permutation(len(busiest)) + 1, index=busiest)
    return rows.assign(number=rows["speaker"].map(numbers))


def separation(embeddings: NDArray[np.float64], speakers: ArrayLike) -> pd.DataFrame:
    """Silhouette and equal-error rate with 95 % jackknife-t intervals over the speakers (Efron, 1982), of L2-normalised
    ``embeddings`` (utterances, width); three speakers or more have two utterances or more each."""
    speakers = np.asarray(speakers)
    distance = 1 - np.clip(embeddings.astype(np.float64) @ embeddings.T.astype(np.float64), -1, 1)
    np.fill_diagonal(distance, 0)
    silhouette: Callable = partial(silhouette_score, metric="precomputed")
    names, rows = np.unique(speakers), []
    kept = [np.flatnonzero(speakers != name) for name in names]
    for name, measure, lowest in (("silhouette", silhouette, -1), ("equal-error rate", _verification_error, 0)):
        without = np.array([measure(distance[np.ix_(rest, rest)], speakers[rest]) for rest in kept])
        found = contrast(measure(distance, speakers), [jackknife_error(without) ** 2], [len(names) - 1])
        limits = {"low": max(found.low, lowest), "high": min(found.high, 1)}
        rows.append({"measure": name, "estimate": float(found.difference)} | limits)
    return pd.DataFrame(rows).assign(speakers=len(names), utterances=len(speakers))


def equal_error_rate(same: ArrayLike, scores: ArrayLike) -> float:
    """Share of both errors where they are equal, by linear interpolation between thresholds: ``same`` says whether a
    pair is of one speaker (both kinds occur), ``scores`` is the similarity, both (pairs,)."""
    accepted, found, _ = roc_curve(same, scores)
    return float(np.interp(0, accepted + found - 1, accepted))


def _spoken(study: Study) -> pd.Series:
    return study.corpus.loc[study.corpus["split"] == "train", "speaker"].value_counts()


def _verification_error(distance: NDArray[np.float64], speakers: NDArray) -> float:
    one, other = np.triu_indices(len(speakers), 1)
    return equal_error_rate(speakers[one] == speakers[other], -distance[one, other])
