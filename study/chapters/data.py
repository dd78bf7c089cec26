"""What is in a corpus: its size, its speakers, and how far its raters agree, beside published statistics."""

from itertools import permutations

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS, SPLITS
from sercore.params import Params, reader
from sercore.raters import mean_of_others
from simulation import release
from simulation.whiser import RATERS

MINIMUM_RATINGS = 30  # from so many or more a rater's bias is estimated
NATURAL = ("train", "development")  # the splits whose emotions have their natural shares


def sizes(corpus: pd.DataFrame) -> pd.DataFrame:
    """A row a split: utterances, speakers, how many of them are in another split too, hours, median duration, share of
    O and X, and the smallest share of the speakers who together speak 80 % of the utterances."""
    groups = corpus.groupby("split")
    splits = corpus.groupby("speaker")["split"].nunique()
    columns = {
        "utterances": groups.size(),
        "speakers": groups["speaker"].nunique(),
        "in another split too": groups["speaker"].agg(lambda names: (splits[names.dropna().unique()] > 1).sum()),
        "hours": groups["duration"].sum() / 3600,
        "median duration (s)": groups["duration"].median(),
        "O and X": groups["emotion"].agg(lambda codes: codes.isin(["O", "X"]).mean()),
        "speakers with 80 % of the utterances": groups["speaker"].agg(speaker_share),
    }
    return pd.DataFrame(columns).reindex([split for split in SPLITS if split in groups.groups])


def speaker_share(speakers: pd.Series, carried: float = 0.8) -> float:
    """The smallest share of the speakers who together speak at least the share `carried` of the utterances."""
    counts = speakers.value_counts()
    return float((np.searchsorted(np.cumsum(counts) / counts.sum(), carried - 1e-12) + 1) / len(counts))


def talkativeness(corpus: pd.DataFrame) -> pd.DataFrame:
    """A row a known speaker of each split of `corpus`, the most talkative first: a Lorenz curve by ``speakers`` and
    ``spoken``, the cumulative shares of the split's speakers and of its utterances."""
    counts = corpus.groupby("split")["speaker"].value_counts().rename("utterances").reset_index()
    groups = counts.groupby("split")["utterances"]
    spoken = groups.cumsum() / groups.transform("sum")
    return counts.assign(speakers=(groups.cumcount() + 1) / groups.transform("size"), spoken=spoken)


def assumptions(params: Params) -> pd.DataFrame:
    """What a simulated corpus takes for granted, with the source of each; no row for real speech."""
    table = release.assumptions()
    return table if reader(params.corpus.reader) is release else table[:0]


def rater_statistics(
    table: pd.DataFrame, ratings: pd.DataFrame | None, splits: tuple[str, ...] = NATURAL
) -> pd.DataFrame:
    """Spread, bias and agreement of the raters of `splits`, beside the published values; no row without ratings.

    Variances within and between utterances are those of a one-way analysis of variance (Shrout & Fleiss 1979, ICC(1,1)
    and ICC(1,k) with k the mean number of raters); a rater's bias is the mean distance to the mean of the utterance's
    other raters, over raters with `MINIMUM_RATINGS` or more; the CCC (Lin 1989) runs over all pairs of a rating and the
    mean of the others; kappa is that of Fleiss (1971) of pairs of votes.

    Index (statistic, attribute), as in `simulation.whiser.RATERS`; columns ``measured`` and ``published``.
    """
    if ratings is None:
        return pd.DataFrame(columns=["measured", "published"], index=RATERS.index[:0])
    table, ratings = _chosen(table, ratings, splits)
    measured = _spread(ratings) | _votes(ratings)
    correlations = ratings.groupby("utterance")[list(ATTRIBUTES)].mean().corr()
    for one, other in permutations(ATTRIBUTES, 2):
        measured["correlation of the consensus", f"{one}, {other}"] = correlations.loc[one, other]
    emotions = table["emotion"].value_counts(normalize=True)
    for code in ("X", "O"):
        measured["share of utterances", f"{EMOTIONS[code]} ({code})"] = emotions.get(code, 0.0)
    index = RATERS.index
    return pd.DataFrame({"measured": [measured[key] for key in index], "published": RATERS.to_numpy()}, index=index)


def class_statistics(table: pd.DataFrame, ratings: pd.DataFrame | None) -> pd.DataFrame:
    """Consensus and disagreement by emotion, in the columns of `simulation.whiser.CLASSES`; see `rater_statistics`."""
    if ratings is None:
        return pd.DataFrame(index=pd.Index([], name="emotion", dtype=object))
    table, ratings = _chosen(table, ratings, NATURAL)
    emotion = ratings["utterance"].map(table["emotion"])
    values = ratings[list(ATTRIBUTES)]
    deviation = values - values.groupby(ratings["utterance"]).transform("mean")
    freedom = emotion.value_counts() - table["emotion"].value_counts()
    consensus = table.groupby("emotion")[list(ATTRIBUTES)]
    spread = np.sqrt(deviation.pow(2).groupby(emotion).sum().div(freedom, axis=0))
    parts = [consensus.mean().add_prefix("mean "), consensus.std().add_prefix("sd "), spread.add_prefix("raters' sd ")]
    statistics = pd.concat([table["emotion"].value_counts().rename("utterances"), *parts], axis=1)
    return statistics.reindex([code for code in EMOTIONS if code in statistics.index]).rename_axis("emotion")


def _chosen(table: pd.DataFrame, ratings: pd.DataFrame, splits: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = table[table["split"].isin(splits)]
    return table, ratings[ratings["utterance"].isin(table.index)]


def _spread(ratings: pd.DataFrame) -> dict[tuple[str, str], float]:
    values = ratings[list(ATTRIBUTES)]
    groups = values.groupby(ratings["utterance"])
    consensus, counts = groups.mean(), ratings.groupby("utterance").size()
    raters = counts.mean()
    others = mean_of_others(ratings)
    within = (values - groups.transform("mean")).pow(2).sum() / (len(values) - len(counts))
    between = (consensus - values.mean()).pow(2).mul(counts, axis=0).sum() / (len(counts) - 1)
    by_rater = (values - others).groupby(ratings["rater"])
    biases = by_rater.mean()[by_rater.size() >= MINIMUM_RATINGS]
    covariance = ((values - values.mean()) * (others - others.mean())).mean()
    spread = values.var(ddof=0) + others.var(ddof=0) + (values.mean() - others.mean()) ** 2
    statistics = {
        "one rating: standard deviation": values.std(),
        "ratings of one utterance: standard deviation": np.sqrt(within),
        "bias of a rater: standard deviation": biases.std(),
        "consensus: mean": consensus.mean(),
        "consensus: standard deviation": consensus.std(),
        "ICC(1,1)": (between - within) / (between + (raters - 1) * within),
        "ICC(1,k)": (between - within) / between,
        "CCC of one rater and the mean of the others": 2 * covariance / spread,
    }
    return {(name, attribute): value for name, row in statistics.items() for attribute, value in row.items()}


def _votes(ratings: pd.DataFrame) -> dict[tuple[str, str], float]:
    votes = pd.crosstab(ratings["utterance"], ratings["emotion"])
    counts = votes.sum(axis=1)
    plurality = votes.max(axis=1) / counts
    agreement = ((votes * (votes - 1)).sum(axis=1) / (counts * (counts - 1))).mean()
    chance = ((votes.sum() / counts.sum()) ** 2).sum()
    return {
        ("primary votes: share of the most frequent, mean", ""): plurality.mean(),
        ("primary votes: share of the most frequent, standard deviation", ""): plurality.std(),
        ("primary votes: Fleiss' kappa", ""): (agreement - chance) / (1 - chance),
    }
