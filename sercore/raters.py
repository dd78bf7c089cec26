"""Single ratings: the mean of an utterance's other raters, and how far the mean of all of them can be relied on."""

import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpus import CorpusError


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

    A row for each of `utterances`, a column an attribute, of mean 1; 1 where there are fewer than two ratings.
    `CorpusError` if no utterance has two.
    """
    errors = None if ratings is None else ratings.groupby("utterance")[list(ATTRIBUTES)].sem().reindex(utterances)
    if errors is None or errors.isna().all(axis=None):
        raise CorpusError("no training utterance has two ratings, which loss.weight: agreement needs; set it to none.")
    weights = 1 / (errors**2 + (errors**2).mean())
    return (weights / weights.mean()).fillna(1.0)
