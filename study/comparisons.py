"""CCC of systems, and the differences between them, as tidy tables: one row an estimate, all on the same utterances.

Conventions:

- ``endpoint`` is an attribute or ``mean``, the mean CCC of the three attributes. Only ``mean`` is tested.
- An ensemble's prediction of an attribute is the mean of its members' for that attribute, seed by seed.
- Columns, as far as they apply: ``question``, ``condition`` (how the systems were trained), ``split``, ``endpoint``,
  ``system``, ``reference``, ``estimate``, ``low``, ``high`` (95 % limits), ``standard_error``, ``df``, ``p``,
  ``p_holm``, ``detectable``, ``verdict``, ``seeds`` (trained runs of each system), ``sets`` (of predictions: fewer
  where folds are pooled), ``utterances``, ``speakers``.
- A system without runs, or systems without a common seed, raise `ParamsError`; values that give no interval,
  `SignificanceError`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, significance
from sercore.params import ParamsError
from sercore.raters import mean_of_others
from sercore.runs import Run
from sercore.sums import Array
from study import paper
from study.plan import Question, members, members_by_attribute, questions
from study.results import Study, by_system, labelled_splits, matched, reported_split

ENDPOINTS = (*ATTRIBUTES, "mean")
ALPHA = 0.05  # family-wise error rate of a verdict
FLOOR = "floor: training mean plus noise"
CEILING = "raters: one vs. the mean of the others"


def scores(study: Study, question: Question, split: str | None = None) -> pd.DataFrame:
    """CCC of each system of `question`, of one rater (`CEILING`, if the split has ratings) and of guessing (`FLOOR`);
    by default on the reported split."""
    split = split or reported_split(study.runs)
    gold, predictions, seeds = aligned(study.runs, question.compared, split)
    truth, speakers = gold[list(ATTRIBUTES)], gold["speaker"]
    intervals: dict[str, significance.Interval | None] = {
        name: significance.ccc_interval(truth, predicted, speakers) for name, predicted in predictions.items()
    }
    train = study.corpus[study.corpus["split"] == "train"]
    intervals |= {CEILING: ceiling(gold, study.ratings), FLOOR: floor(gold, train, np.random.default_rng(0))}
    parts = [estimates(one).assign(system=name) for name, one in intervals.items() if one is not None]
    table = pd.concat(parts, ignore_index=True)
    trained = table["system"].isin(predictions)
    table = table.assign(question=question.name, condition=study.condition, split=split, utterances=len(gold))
    return table.assign(seeds=np.where(trained, seeds, np.nan), sets=table["sets"].where(trained))


def differences(study: Study, question: Question, split: str | None = None) -> pd.DataFrame:
    """Differences of the pairs of `question` with the verdicts of one family, and the paper's differences (``paper``).

    With two or more runs a difference is that of two ways of training (`method_difference`); with one, or with folds
    pooled to one, that of two trained systems (`ccc_difference`, from a generator of fixed seed).
    """
    split = split or reported_split(study.runs)
    gold, predictions, seeds = aligned(study.runs, question.compared, split)
    tables = [
        system_difference(gold, predictions[one], predictions[other]).assign(system=one, reference=other)
        for one, other in question.pairs
    ]
    table = family(pd.concat(tables, ignore_index=True))
    published = [(paper.difference(*pair) or [np.nan])[0] for pair in question.pairs]
    table["paper"] = np.where(table["endpoint"] == "mean", np.repeat(published, len(ENDPOINTS)), np.nan)
    return table.assign(question=question.name, condition=study.condition, split=split, seeds=seeds)


def by_condition(
    measure: Callable[[Study, Question], pd.DataFrame], studies: Sequence[Study], question: Question
) -> pd.DataFrame:
    """`measure` (`scores` or `differences`) of each study; the differences of each condition are a family."""
    return pd.concat([measure(study, question) for study in studies], ignore_index=True)


def all_differences(study: Study) -> pd.DataFrame:
    """`differences` of every question of the paper that the study's profile answers, a family each."""
    asked = questions(study.params.profile).values()
    return pd.concat([differences(study, question) for question in asked], ignore_index=True)


def family(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with ``p_holm``, ``detectable`` and ``verdict``, its rows of endpoint ``mean`` taken as one family.

    ``p_holm``: p adjusted within the family (Holm 1979). ``verdict``: ``better`` or ``worse`` where ``p_holm`` lies
    below `ALPHA`, by the sign of the estimate, else ``inconclusive``. ``detectable``: the difference that such a study
    finds with 80 % power at Bonferroni's share of `ALPHA`; it is for planning and decides nothing.
    """
    table = table.assign(p_holm=np.nan, detectable=np.nan, verdict="")
    tested = (table["endpoint"] == "mean").to_numpy()
    rows = table[tested]
    table.loc[tested, "p_holm"] = adjusted = significance.holm(rows["p"])
    table.loc[tested, "detectable"] = significance.minimum_detectable_difference(
        rows["standard_error"], rows["df"], alpha=ALPHA, comparisons=len(rows)
    )
    sign = np.where(rows["estimate"] > 0, "better", "worse")
    table.loc[tested, "verdict"] = np.where(adjusted < ALPHA, sign, "inconclusive")
    return table


def tested(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table for the tested endpoint, one a pair."""
    return table[table["endpoint"] == "mean"]


def split_scores(runs: Sequence[Run]) -> pd.DataFrame:
    """CCC of each system on each split that has gold values, whatever the other systems predict."""
    tables = []
    for system, trained in by_system(runs).items():
        for split in labelled_splits(trained):
            gold, predicted = matched(trained, split)
            table = estimates(significance.ccc_interval(gold[list(ATTRIBUTES)], predicted, gold["speaker"]))
            tables.append(table.assign(system=system, split=split, seeds=len(trained)))
    return pd.concat(tables, ignore_index=True)


def aligned(runs: Sequence[Run], names: Sequence[str], split: str) -> tuple[pd.DataFrame, dict[str, Array], int]:
    """Gold rows of the utterances that all systems `names` predict (``utterance``, ``speaker``, ``emotion``,
    attributes), by system the predictions (runs, utterances, attributes) of the seeds that all share, and how many
    these are."""
    trained = by_system(runs)
    needed = list(dict.fromkeys(member for name in names for member in members(name)))
    missing = [name for name in needed if name not in trained]
    if missing:
        raise ParamsError(f"results: no run of {', '.join(missing)}. Run `make study` to train them.")
    seeds = set.intersection(*({run.params.seed for run in trained[name]} for name in needed))
    if not seeds:
        raise ParamsError(f"{', '.join(needed)} have no seed in common: train them with the same ones.")
    parts = {name: matched([run for run in trained[name] if run.params.seed in seeds], split) for name in needed}
    common = sorted(set.intersection(*(set(gold["utterance"]) for gold, _ in parts.values())))
    places = {name: pd.Index(gold["utterance"]).get_indexer(common) for name, (gold, _) in parts.items()}
    chosen = {name: predicted[:, places[name]] for name, (_, predicted) in parts.items()}
    gold = parts[needed[0]][0].set_index("utterance").loc[common].reset_index()
    return gold, {name: _joined(name, chosen) for name in names}, len(seeds)


def _joined(system: str, predictions: Mapping[str, Array]) -> Array:
    """A system's predictions, (runs, utterances, attributes), from those of its members."""
    means = [
        np.mean([predictions[member][..., column] for member in names], axis=0)
        for column, names in enumerate(members_by_attribute(system).values())
    ]
    return np.stack(means, axis=-1)


def floor(gold: pd.DataFrame, train: pd.DataFrame, generator: np.random.Generator) -> significance.Interval:
    """CCC of guessing: the training mean plus normal noise with the training set's standard deviation, 20 times."""
    values = train[list(ATTRIBUTES)]
    guesses = generator.normal(values.mean(), values.std(ddof=0), (20, len(gold), len(ATTRIBUTES)))
    return significance.ccc_interval(gold[list(ATTRIBUTES)], guesses, gold["speaker"])


def ceiling(gold: pd.DataFrame, ratings: pd.DataFrame | None) -> significance.Interval | None:
    """CCC of one rater and the mean of the utterance's other raters, over all ratings of the utterances of `gold`, with
    speakers as units; None where there are no ratings of them."""
    if ratings is None:
        return None
    others = mean_of_others(ratings).add_prefix("others ")
    rows = ratings.join(others).merge(gold[["utterance", "speaker"]], on="utterance")
    rows = rows.dropna(subset=[*ATTRIBUTES, *others])
    if rows.empty:
        return None
    return significance.ccc_interval(rows[[*others]], rows[[*ATTRIBUTES]].to_numpy(), rows["speaker"])


def system_difference(gold: pd.DataFrame, a: Array, b: Array) -> pd.DataFrame:
    """`method_difference` of predictions a and b, each (runs, utterances, attributes), for gold rows with ``speaker``,
    or `ccc_difference` (of fixed seed) where one of them is a single run: `contrasts` without a verdict."""
    given = gold[list(ATTRIBUTES)], a, b, gold["speaker"]
    if min(len(a), len(b)) > 1:
        found = significance.method_difference(*given)
    else:
        found = significance.ccc_difference(*given, generator=np.random.default_rng(0))
    table = contrasts(found)
    return table.assign(sets=min(found.runs), utterances=found.utterances, speakers=found.speakers)


def estimates(interval: significance.Interval) -> pd.DataFrame:
    """An interval as a tidy table, a row an endpoint."""
    values = {"endpoint": ENDPOINTS, "estimate": interval.ccc, "low": interval.low, "high": interval.high}
    return pd.DataFrame(values).assign(sets=interval.runs, utterances=interval.utterances, speakers=interval.speakers)


def contrasts(found: significance.Contrast) -> pd.DataFrame:
    """A difference as a tidy table, a row an endpoint (see `family`)."""
    values = {name: getattr(found, name) for name in ("low", "high", "standard_error", "df", "p")}
    return pd.DataFrame({"endpoint": ENDPOINTS, "estimate": found.difference} | values)
