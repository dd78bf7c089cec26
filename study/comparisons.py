"""The numbers that answer a question: CCC of each system, and the declared differences, all on the same utterances.

Conventions:

- Arrays as in `sercore.significance`; the endpoint that is tested is the mean CCC of the three attributes.
- An ensemble's prediction of an attribute is the mean of its members' for that attribute, seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercore import ATTRIBUTES
from sercore.params import Params, ParamsError
from sercore.raters import mean_of_others
from sercore.runs import Run
from sercore.significance import (
    Difference,
    Interval,
    ccc_difference,
    ccc_interval,
    holm,
    method_difference,
    minimum_detectable_difference,
)
from study import paper
from study.plan import Question, members, members_by_attribute, questions
from study.results import Study, by_system, matched, reported_split

ENDPOINTS = (*ATTRIBUTES, "mean")
LEVEL = 0.05
"""A difference is resolved where Holm's p lies below this."""

FLOOR = "floor: training mean plus noise"
CEILING = "raters: one against the others"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a study measured for a question on one split.

    ``scores``: a row a system, then `CEILING` (where the split has ratings) and `FLOOR`, and endpoint; columns
    ``system``, ``endpoint``, ``ccc``, ``low``, ``high``, ``runs``, ``utterances``, ``speakers``.

    ``differences``: a row a declared pair and endpoint; columns ``system``, ``reference``, ``endpoint``,
    ``difference``, ``low``, ``high``, ``p``, and for the endpoint ``mean`` ``holm`` (p adjusted within the question's
    family), ``detectable`` (at 80 % power, after Bonferroni's share of the level) and ``verdict``: ``resolved`` where
    ``holm`` lies below `LEVEL` and the difference is no smaller than the detectable one, else ``unresolved``; and
    ``paper``, the paper's difference (see `study.paper.difference`).

    ``seeds``: trained runs of each system; ``runs``: sets of predictions, fewer where the runs' folds are pooled.
    ``params``: of the study's first run.
    """

    question: Question
    split: str
    scores: pd.DataFrame
    differences: pd.DataFrame
    seeds: int
    runs: int
    params: Params

    @property
    def tested(self) -> pd.DataFrame:
        """The rows of ``differences`` for the endpoint declared in advance, one a pair."""
        return self.differences[self.differences["endpoint"] == "mean"]


def compare(study: Study, question: Question, split: str | None = None) -> Comparison:
    """Answer `question` on the utterances of `split` (by default the reported one) that all its systems predict.

    With two or more runs a difference is that of two ways of training (`method_difference`); with one, or with folds
    pooled to one, that of two trained systems (`ccc_difference`, from a generator of fixed seed).

    Raises:
        ParamsError: a system of the question has not been run, or no seed is common to all.
        SignificanceError: the values give no interval.
    """
    split = split or reported_split(study.runs)
    gold, predictions, seeds = aligned(study.runs, question.compared, split)
    truth, speakers = gold[list(ATTRIBUTES)], gold["speaker"]
    intervals = {name: ccc_interval(truth, each, speakers) for name, each in predictions.items()}
    train = study.corpus[study.corpus["split"] == "train"]
    bounds = {CEILING: ceiling(gold, study.ratings), FLOOR: floor(gold, train, np.random.default_rng(0))}
    intervals |= {name: interval for name, interval in bounds.items() if interval is not None}
    scores = pd.concat(
        [estimates(interval).assign(system=name) for name, interval in intervals.items()], ignore_index=True
    )
    pairs = [system_difference(gold, predictions[one], predictions[other]) for one, other in question.pairs]
    runs = len(next(iter(predictions.values())))
    differences = family(question.pairs, pairs)
    differences["paper"] = [_printed(row) for _, row in differences.iterrows()]
    return Comparison(question, split, scores, differences, seeds, runs, study.runs[0].params)


def compare_all(study: Study) -> list[Comparison]:
    """`compare` for each question that the study's profile answers."""
    return [compare(study, question) for question in questions(study.runs[0].params.profile).values()]


def aligned(
    runs: Sequence[Run], names: Sequence[str], split: str
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float64]], int]:
    """Gold rows of the utterances that all systems `names` predict, and their predictions, of the seeds they share.

    Returns:
        Rows with ``utterance``, ``speaker``, ``emotion`` and the attributes; for each system predictions (runs,
        utterances, attributes); and the number of seeds.

    Raises:
        ParamsError: a system has not been run, or no seed is common to all.
    """
    trained = by_system(runs)
    needed = list(dict.fromkeys(member for name in names for member in members(name)))
    missing = [name for name in needed if name not in trained]
    if missing:
        raise ParamsError(f"these results have no run of {', '.join(missing)}: `make study` trains what is missing.")
    seeds = set.intersection(*({run.params.seed for run in trained[name]} for name in needed))
    if not seeds:
        raise ParamsError(f"{', '.join(needed)} have no seed in common: train them with the same ones.")
    parts = {name: matched([run for run in trained[name] if run.params.seed in seeds], split) for name in needed}
    common = sorted(set.intersection(*(set(gold["utterance"]) for gold, _ in parts.values())))
    chosen = {
        name: predicted[:, pd.Index(gold["utterance"]).get_indexer(common)] for name, (gold, predicted) in parts.items()
    }
    gold = parts[needed[0]][0].set_index("utterance").loc[common].reset_index()
    return gold, {name: _joined(name, chosen) for name in names}, len(seeds)


def _joined(system: str, predictions: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """A system's predictions, (runs, utterances, attributes), from those of its members."""
    means = [
        np.mean([predictions[member][..., column] for member in names], axis=0)
        for column, names in enumerate(members_by_attribute(system).values())
    ]
    return np.stack(means, axis=-1)


def floor(gold: pd.DataFrame, train: pd.DataFrame, generator: np.random.Generator, draws: int = 20) -> Interval:
    """CCC of guessing: the training mean plus normal noise with the training set's standard deviation, 20 times."""
    values = train[list(ATTRIBUTES)]
    guesses = generator.normal(values.mean(), values.std(ddof=0), (draws, len(gold), len(ATTRIBUTES)))
    return ccc_interval(gold[list(ATTRIBUTES)], guesses, gold["speaker"])


def ceiling(gold: pd.DataFrame, ratings: pd.DataFrame | None) -> Interval | None:
    """CCC of one rater against the mean of the utterance's other raters, over all ratings of the utterances of `gold`.

    None where there are no ratings of them. Speakers are the units here too.
    """
    if ratings is None:
        return None
    others = mean_of_others(ratings)
    rows = ratings.join(others.add_prefix("others ")).merge(gold[["utterance", "speaker"]], on="utterance")
    rows = rows.dropna(subset=[*ATTRIBUTES, *(f"others {name}" for name in ATTRIBUTES)])
    if rows.empty:
        return None
    return ccc_interval(rows[[f"others {name}" for name in ATTRIBUTES]], rows[list(ATTRIBUTES)], rows["speaker"])


def estimates(interval: Interval) -> pd.DataFrame:
    """An interval as a table, a row an endpoint: ``endpoint``, ``ccc``, ``low``, ``high``, and what it rests on."""
    values = {"endpoint": ENDPOINTS, "ccc": interval.ccc, "low": interval.low, "high": interval.high}
    return pd.DataFrame(values).assign(runs=interval.runs, utterances=interval.utterances, speakers=interval.speakers)


def system_difference(gold: pd.DataFrame, a: NDArray[np.float64], b: NDArray[np.float64]) -> Difference:
    """`method_difference` of predictions a and b; `ccc_difference` (of fixed seed) where one of them is a single run.

    Args:
        gold: rows with ``speaker`` and the attributes.
        a, b: shape (runs, utterances, attributes).
    """
    truth, speakers = gold[list(ATTRIBUTES)], gold["speaker"]
    if min(len(a), len(b)) > 1:
        return method_difference(truth, a, b, speakers)
    return ccc_difference(truth, a, b, speakers, generator=np.random.default_rng(0))


def _printed(row: pd.Series) -> float:
    """The paper's difference of the two systems of a row, where that is of the mean."""
    printed = paper.difference(row["system"], row["reference"]) if row["endpoint"] == "mean" else None
    return printed[0] if printed else np.nan


def family(pairs: Sequence[tuple[str, str]], differences: Sequence[Difference]) -> pd.DataFrame:
    """The table of `Comparison.differences` without the column ``paper``; all pairs are one family."""
    tables = []
    adjusted = holm([one.p[-1] for one in differences])
    for (system, reference), one, p in zip(pairs, differences, adjusted, strict=True):
        detectable = float(
            minimum_detectable_difference(one.error[-1], one.freedom[-1], level=LEVEL, comparisons=len(pairs))
        )
        resolved = p < LEVEL and abs(one.difference[-1]) >= detectable
        values = {name: getattr(one, name) for name in ("difference", "low", "high", "p")}
        table = pd.DataFrame({"system": system, "reference": reference, "endpoint": ENDPOINTS} | values)
        last = table["endpoint"] == "mean"
        table["holm"], table["detectable"] = np.where(last, p, np.nan), np.where(last, detectable, np.nan)
        table["verdict"] = np.where(last, "resolved" if resolved else "unresolved", "")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
