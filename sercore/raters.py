"""How raters behave: statistics of a corpus's single ratings, beside those of real ratings.

The published values are those of WHiSER's public label files (msplabresearch/WHiSER): the laboratory, scales, protocol
and format of MSP-Podcast; 5,427 utterances, 27,156 ratings of 33 raters, at least 5 an utterance. Its speech is less
emotional than MSP-Podcast's (64 % of it is neutral).
"""

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS, CorpusError

SOURCE = "WHiSER label files"

MINIMUM_RATINGS = 30
"""A rater's bias is estimated from this many ratings or more."""

PUBLISHED = {
    ("one rating: standard deviation", "arousal"): 1.16,
    ("one rating: standard deviation", "valence"): 0.91,
    ("one rating: standard deviation", "dominance"): 0.98,
    ("ratings of one utterance: standard deviation", "arousal"): 1.01,
    ("ratings of one utterance: standard deviation", "valence"): 0.82,
    ("ratings of one utterance: standard deviation", "dominance"): 0.88,
    ("bias of a rater: standard deviation", "arousal"): 0.58,
    ("bias of a rater: standard deviation", "valence"): 0.25,
    ("bias of a rater: standard deviation", "dominance"): 0.35,
    ("consensus: mean", "arousal"): 3.74,
    ("consensus: mean", "valence"): 3.76,
    ("consensus: mean", "dominance"): 4.09,
    ("consensus: standard deviation", "arousal"): 0.73,
    ("consensus: standard deviation", "valence"): 0.54,
    ("consensus: standard deviation", "dominance"): 0.58,
    ("ICC(1,1)", "arousal"): 0.25,
    ("ICC(1,1)", "valence"): 0.19,
    ("ICC(1,1)", "dominance"): 0.19,
    ("ICC(1,k)", "arousal"): 0.62,
    ("ICC(1,k)", "valence"): 0.55,
    ("ICC(1,k)", "dominance"): 0.55,
    ("CCC of one rater and the mean of the others", "arousal"): 0.35,
    ("CCC of one rater and the mean of the others", "valence"): 0.28,
    ("CCC of one rater and the mean of the others", "dominance"): 0.28,
    ("correlation of the consensus", "arousal, dominance"): 0.59,
    ("correlation of the consensus", "arousal, valence"): 0.16,
    ("correlation of the consensus", "valence, dominance"): 0.13,
    ("primary votes: share of the most frequent, mean", ""): 0.60,
    ("primary votes: share of the most frequent, standard deviation", ""): 0.18,
    ("primary votes: Fleiss' kappa", ""): 0.08,
    ("share of utterances", "no agreement (X)"): 0.169,
    ("share of utterances", "other (O)"): 0.009,
}

PUBLISHED_CLASSES = pd.DataFrame(
    {
        "N": (3492, 3.67, 3.80, 4.01, 0.68, 0.38, 0.55, 1.03, 0.77, 0.88),
        "H": (345, 4.21, 4.82, 4.47, 0.70, 0.49, 0.47, 0.92, 0.87, 0.77),
        "A": (293, 4.39, 3.06, 4.61, 0.55, 0.38, 0.40, 0.85, 0.89, 0.79),
        "S": (284, 3.08, 3.20, 3.66, 0.63, 0.31, 0.60, 1.02, 0.82, 1.02),
        "U": (33, 4.24, 3.89, 4.43, 0.65, 0.61, 0.46, 0.94, 1.02, 0.86),
        "C": (10, 3.84, 3.04, 4.30, 0.67, 0.44, 0.48, 1.05, 0.76, 1.02),
        "F": (6, 3.43, 3.27, 3.60, 1.05, 0.24, 0.74, 0.86, 0.97, 0.95),
        "O": (47, 4.17, 3.46, 4.34, 0.76, 0.52, 0.60, 1.04, 0.97, 0.91),
        "X": (916, 3.81, 3.63, 4.16, 0.75, 0.54, 0.58, 1.00, 0.93, 0.88),
    },
    index=["utterances", *(f"{kind} {name}" for kind in ("mean", "sd", "raters' sd") for name in ATTRIBUTES)],
).T
"""By consensus emotion: utterances, mean and standard deviation of the consensus, and that among raters."""


def published(statistic: str) -> np.ndarray:
    """The published values of one statistic, shape (attributes or pairs,), in `PUBLISHED`'s order."""
    return np.array([value for (name, _), value in PUBLISHED.items() if name == statistic])


def rater_statistics(
    table: pd.DataFrame, ratings: pd.DataFrame, splits: tuple[str, ...] = ("train", "development")
) -> pd.DataFrame:
    """Spread, bias and agreement of the raters of `splits`, beside the published values.

    Variances within and between utterances are those of a one-way analysis of variance (Shrout & Fleiss 1979, ICC(1,1)
    and ICC(1,k) with k the mean number of raters); a rater's bias is the mean distance to the mean of the utterance's
    other raters, over raters with `MINIMUM_RATINGS` or more; the CCC (Lin 1989) runs over all pairs of a rating and the
    mean of the others; kappa is that of Fleiss (1971) of pairs of votes.

    Args:
        table: of a corpus (see `sercore.corpus`), with or without paths.
        ratings: its single ratings.
        splits: by default those whose emotions have their natural shares.

    Returns:
        Index (statistic, attribute), as in `PUBLISHED`; columns ``measured`` and ``published``.
    """
    table, ratings = _chosen(table, ratings, splits)
    measured = _spread(ratings) | _correlations(ratings) | _votes(ratings)
    emotions = table["emotion"].value_counts(normalize=True)
    for code in ("X", "O"):
        measured["share of utterances", f"{EMOTIONS[code]} ({code})"] = emotions.get(code, 0.0)
    index = pd.MultiIndex.from_tuples(PUBLISHED, names=["statistic", "attribute"])
    return pd.DataFrame({"measured": [measured[key] for key in index], "published": PUBLISHED.values()}, index=index)


def class_statistics(
    table: pd.DataFrame, ratings: pd.DataFrame, splits: tuple[str, ...] = ("train", "development")
) -> pd.DataFrame:
    """Consensus and disagreement by emotion, in the columns of `PUBLISHED_CLASSES`; see `rater_statistics`."""
    table, ratings = _chosen(table, ratings, splits)
    emotion = ratings["utterance"].map(table["emotion"])
    values = ratings[list(ATTRIBUTES)]
    deviation = values - values.groupby(ratings["utterance"]).transform("mean")
    freedom = emotion.value_counts() - table["emotion"].value_counts()
    consensus = table.groupby("emotion")[list(ATTRIBUTES)]
    return pd.concat(
        [
            table["emotion"].value_counts().rename("utterances"),
            consensus.mean().add_prefix("mean "),
            consensus.std().add_prefix("sd "),
            np.sqrt(deviation.pow(2).groupby(emotion).sum().div(freedom, axis=0)).add_prefix("raters' sd "),
        ],
        axis=1,
    ).reindex([code for code in EMOTIONS if code in set(table["emotion"])])


def mean_of_others(ratings: pd.DataFrame) -> pd.DataFrame:
    """For each rating the mean of the utterance's other ratings, NaN where there is no other; rows as in `ratings`."""
    groups = ratings.groupby("utterance")[list(ATTRIBUTES)]
    others = groups.transform("count") - 1
    return (groups.transform("sum") - ratings[list(ATTRIBUTES)]) / others.where(others > 0)


def agreement_weights(ratings: pd.DataFrame | None, utterances: pd.Index) -> pd.DataFrame:
    """How much each consensus is worth: the inverse of its error variance plus a constant.

    The mean of k ratings with variance s^2 (unbiased) has the error variance v = s^2 / k. The weight 1 / (v + c), with
    c the mean of v over `utterances`, is that of Mai, Khamies & Paull (2021, arXiv 2107.04497, "Batch Inverse-Variance
    Weighting"), whose constant keeps the few utterances on which all raters agree by chance from outweighing the rest.
    They leave it open; the mean of v is our choice, by which no weight is more than twice that of average agreement.

    Args:
        ratings: a corpus's single ratings, or None where it has none.
        utterances: for which weights are wanted.

    Returns:
        A row for each of `utterances`, a column an attribute, of mean 1; 1 where there are fewer than two ratings.

    Raises:
        CorpusError: no utterance has two ratings.
    """
    variances = None if ratings is None else error_variances(ratings).reindex(utterances)
    if variances is None or variances.isna().all(axis=None):
        raise CorpusError(
            "no training utterance has two single ratings, which loss.weight: agreement needs; set it to none."
        )
    weights = 1 / (variances + variances.mean())
    return (weights / weights.mean()).fillna(1.0)


def error_variances(ratings: pd.DataFrame) -> pd.DataFrame:
    """Variance of each utterance's mean rating, s^2 / k; NaN where it has one rating. A row an utterance."""
    groups = ratings.groupby("utterance")[list(ATTRIBUTES)]
    return groups.var() / groups.count()


def _chosen(table: pd.DataFrame, ratings: pd.DataFrame, splits: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = table[table["split"].isin(splits)]
    return table, ratings[ratings["utterance"].isin(table.index)]


def _spread(ratings: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Statistics of each attribute that need no other."""
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
    distance = (values.mean() - others.mean()) ** 2
    statistics = {
        "one rating: standard deviation": values.std(),
        "ratings of one utterance: standard deviation": np.sqrt(within),
        "bias of a rater: standard deviation": biases.std(),
        "consensus: mean": consensus.mean(),
        "consensus: standard deviation": consensus.std(),
        "ICC(1,1)": (between - within) / (between + (raters - 1) * within),
        "ICC(1,k)": (between - within) / between,
        "CCC of one rater and the mean of the others": 2
        * covariance
        / (values.var(ddof=0) + others.var(ddof=0) + distance),
    }
    return {(name, attribute): value for name, row in statistics.items() for attribute, value in row.items()}


def _correlations(ratings: pd.DataFrame) -> dict[tuple[str, str], float]:
    matrix = ratings.groupby("utterance")[list(ATTRIBUTES)].mean().corr()
    pairs = (("arousal", "dominance"), ("arousal", "valence"), ("valence", "dominance"))
    return {("correlation of the consensus", f"{one}, {other}"): matrix.loc[one, other] for one, other in pairs}


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
