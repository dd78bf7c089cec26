"""CCC of systems, and the differences between them, as tidy tables: one row an estimate, all on the same utterances.

Conventions:

- ``endpoint`` is an attribute or ``mean``, the mean CCC of the three attributes. Only ``mean`` is tested.
- An ensemble's prediction of an attribute is the mean of its members' for that attribute, seed by seed.
- Columns, as far as they apply: ``question``, ``condition`` (how the systems were trained), ``split``, ``endpoint``,
  ``system``, ``reference``, ``estimate``, ``low``, ``high`` (95 % limits), ``standard_error``, ``df``, ``p``,
  ``p_holm``, ``detectable``, ``verdict``, ``seeds`` (trained runs of each system), ``sets`` (of predictions: fewer
  where folds are pooled), ``utterances``, ``speakers``, ``pooled`` (those of few utterances, which count as one).
- A system without runs, or systems without a common seed, raise `ParamsError`; values that give no interval,
  `SignificanceError`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, significance
from sercore.sums import Array
from study import paper
from study.plan import Question, baselines, members, questions
from study.results import Study, by_system
from study.sums import CEILING, FLOOR, arrays

ENDPOINTS = (*ATTRIBUTES, "mean")
ALPHA = 0.05  # family-wise error rate of a verdict


def scores(study: Study, question: Question, split: str | None = None, test: str = "") -> pd.DataFrame:
    """CCC of each system of `question`, of one rater (`CEILING`, if the split has ratings) and of guessing (`FLOOR`);
    by default on the reported split, and not on the evaluation set `test`. ``encoder``: of speech."""
    rows, keys, question = _rows(study, question, split, test)
    sums = arrays(rows, question.compared)
    for name in [name for name in (CEILING, FLOOR) if name in set(rows["system"])]:
        sums |= arrays(rows, [name])
    parts = [estimates(significance.interval(each)).assign(system=name) for name, each in sums.items()]
    table = pd.concat(parts, ignore_index=True)
    trained = table["system"].isin(question.compared)
    table = table.assign(**keys, utterances=table["utterances"].iloc[0])
    table = table.assign(seeds=table["seeds"].where(trained), sets=table["sets"].where(trained))
    heard = {run.system: Path(run.params.speech.encoder).name for run in study.runs}
    encoders = {name: ", ".join(sorted({heard[one] for one in members(name)})) for name in question.compared}
    return table.assign(encoder=table["system"].map(encoders).fillna("–"))


def differences(study: Study, question: Question, split: str | None = None, test: str = "") -> pd.DataFrame:
    """Differences of the pairs of `question` with the verdicts of one family, and the paper's differences (``paper``);
    of which utterances, see `scores`.

    With two or more runs a difference is that of two ways of training (`retrained_difference`); with one, or with folds
    pooled to one, that of two trained systems (`swapped_difference`, from a generator of fixed seed).
    """
    size = len(question.pairs)
    rows, keys, question = _rows(study, question, split, test)
    sums = arrays(rows, question.compared)
    tables = [
        system_difference(sums[one], sums[other]).assign(system=one, reference=other) for one, other in question.pairs
    ]
    table = family(pd.concat(tables, ignore_index=True), size)
    published = [(paper.difference(*pair) or [np.nan])[0] for pair in question.pairs]
    table["paper"] = np.where(table["endpoint"] == "mean", np.repeat(published, len(ENDPOINTS)), np.nan)
    return table.assign(**keys)


def _rows(
    study: Study, question: Question, split: str | None, test: str
) -> tuple[pd.DataFrame, dict[str, Any], Question]:
    """Sums of one split of a study, what its tables say of them, and the question without baselines that the study has
    not, since their package is optional."""
    split = split or study.splits(test)[-1]
    rows = study.sums[(study.sums["test"] == test) & (study.sums["split"] == split)]
    absent = baselines().keys() - set(rows["system"])
    question = replace(question, pairs=tuple(pair for pair in question.pairs if absent.isdisjoint(pair)))
    needed = {member for name in question.compared for member in members(name)}
    seeds = set.intersection(*({run.params.seed for run in study.runs if run.system == name} for name in needed))
    keys = {"question": question.name, "condition": study.condition, "split": split, "seeds": len(seeds)}
    pooled = rows["pooled"].max()
    return rows, keys | ({"pooled": pooled} if pooled > 1 else {}), question


def by_condition(
    measure: Callable[[Study, Question], pd.DataFrame], studies: Sequence[Study], question: Question
) -> pd.DataFrame:
    """`measure` (`scores` or `differences`) of each study; the differences of each condition are a family."""
    return pd.concat([measure(study, question) for study in studies], ignore_index=True)


def all_differences(study: Study) -> pd.DataFrame:
    """`differences` of every question of the paper that the study's profile answers, a family each."""
    asked = questions(study.params.profile).values()
    return pd.concat([differences(study, question) for question in asked], ignore_index=True)


def family(table: pd.DataFrame, size: int | None = None) -> pd.DataFrame:
    """`table` with ``p_holm``, ``detectable`` and ``verdict``, its rows of endpoint ``mean`` taken as one family, of
    `size` where some of what was declared is not there.

    ``p_holm``: p adjusted within the family (Holm 1979). ``verdict``: ``better`` or ``worse`` where ``p_holm`` lies
    below `ALPHA`, by the sign of the estimate, else ``inconclusive``. ``detectable``: the difference that such a study
    finds with 80 % power at Bonferroni's share of `ALPHA`; it is for planning and decides nothing.
    """
    table = table.assign(p_holm=np.nan, detectable=np.nan, verdict="")
    tested = (table["endpoint"] == "mean").to_numpy()
    rows = table[tested]
    size = size or len(rows)
    adjusted = significance.holm([*rows["p"], *[1.0] * (size - len(rows))])[: len(rows)]
    table.loc[tested, "p_holm"] = adjusted
    table.loc[tested, "detectable"] = significance.minimum_detectable_difference(
        rows["standard_error"], rows["df"], alpha=ALPHA, comparisons=size
    )
    sign = np.where(rows["estimate"] > 0, "better", "worse")
    table.loc[tested, "verdict"] = np.where(adjusted < ALPHA, sign, "inconclusive")
    return table


def tested(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table for the tested endpoint, one a pair."""
    return table[table["endpoint"] == "mean"]


def split_scores(study: Study) -> pd.DataFrame:
    """CCC of each system on each split that has gold values."""
    tables = []
    for system, trained in by_system(study.runs).items():
        for split in study.splits():
            rows = study.sums.query("test == '' and split == @split")
            table = estimates(significance.interval(arrays(rows, [system])[system]))
            tables.append(table.assign(system=system, split=split, seeds=len(trained)))
    return pd.concat(tables, ignore_index=True)


def system_difference(a: Array, b: Array) -> pd.DataFrame:
    """`retrained_difference` of sums a and b, each (speakers, 6, runs, attributes), or `swapped_difference` (of fixed
    seed) where one of them is of a single run: `contrasts` without a verdict."""
    if min(a.shape[2], b.shape[2]) > 1:
        found = significance.retrained_difference(a, b)
    else:
        found = significance.swapped_difference(a, b, generator=np.random.default_rng(0))
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
