"""CCC of systems, and the differences between them, as tidy tables: one row an estimate, all on the same utterances.

Conventions:

- ``endpoint`` is an attribute or ``mean``, the mean CCC of the three attributes. Only ``mean`` is tested.
- An ensemble's prediction of an attribute is the mean of its members' for that attribute, seed by seed.
- Columns, as far as they apply: ``question``, ``condition`` (how the systems were trained), ``split``, those of
  `sercore.verdicts`, ``seeds`` (trained runs of each system; fewer ``sets`` of predictions where folds are pooled) and
  ``pooled`` (speakers of few utterances, which count as one).
- A system without runs, or systems without a common seed, raise `ParamsError`; values that give no interval,
  `SignificanceError`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sercore import verdicts
from sercore.sums import from_table
from sercore.verdicts import CLAIMING, ENDPOINTS
from study import paper
from study.plan import REAL, Question, declarations, margin, members, questions
from study.results import Study, by_system
from study.sums import CEILING, FLOOR


def scores(study: Study, question: Question, split: str | None = None, test: str = "") -> pd.DataFrame:
    """CCC of each system of `question`, of one rater (`CEILING`, if the split has ratings) and of guessing (`FLOOR`);
    by default on the reported split, and not on the evaluation set `test`. ``encoder``: of speech."""
    rows, keys, question = _rows(study, question, split, test)
    sums = from_table(rows, question.compared)
    for name in [name for name in (CEILING, FLOOR) if name in set(rows["system"])]:
        sums |= from_table(rows, [name])
    table = verdicts.scores(sums).assign(**keys)
    table[["seeds", "sets"]] = table[["seeds", "sets"]].where(table["system"].isin(question.compared))
    heard = {run.system: Path(run.params.speech.encoder).name for run in study.runs}
    encoders = {name: ", ".join(sorted({heard[one] for one in members(name)})) for name in question.compared}
    return table.assign(encoder=table["system"].map(encoders).fillna("–"))


def differences(study: Study, question: Question, split: str | None = None, test: str = "") -> pd.DataFrame:
    """Differences of the pairs of `question` with the verdicts of one family, and the paper's differences (``paper``);
    of which utterances, see `scores`.

    ``family``: the confirmatory one is all differences of the study that the paper prints; what else a question asks
    is an exploratory one of its own. A family's size follows from what is declared. Folds, pooled, are one run.
    """
    profile, declared = study.params.profile, question
    rows, keys, question = _rows(study, question, split, test)
    table = verdicts.differences(from_table(rows, question.compared), question.pairs)
    published = [(paper.difference(*pair) or [np.nan])[0] for pair in question.pairs]
    table["paper"] = np.where(table["endpoint"] == "mean", np.repeat(published, len(ENDPOINTS)), np.nan)
    confirming = confirmatory(declared)
    families = ["confirmatory" if pair in confirming else "exploratory" for pair in question.pairs]
    table["family"] = np.repeat(families, len(ENDPOINTS))
    size = sum(len(confirmatory(one)) for one in questions(profile).values())
    sizes = {"confirmatory": size, "exploratory": len(declared.pairs) - len(confirming)}
    groups = table.groupby("family", sort=False)
    judged = [verdicts.judged(rows, margin(profile), sizes[name]) for name, rows in groups]
    return pd.concat(judged).sort_index().assign(**keys)


def confirmatory(question: Question) -> list[tuple[str, str]]:
    """The pairs of a question of the paper, asked of the corpus as the paper asks it, whose difference it prints."""
    return [pair for pair in question.pairs if paper.difference(*pair) and not (question.open or question.name == REAL)]


def _rows(study: Study, question: Question, split: str | None, test: str) -> tuple[pd.DataFrame, dict, Question]:
    """Sums of one split of a study, what its tables say of them, and the question without baselines not installed."""
    split = split or study.splits(test)[-1]
    rows = study.sums[(study.sums["test"] == test) & (study.sums["split"] == split)]
    absent = declarations()["baselines"].keys() - set(rows["system"])
    question = replace(question, pairs=tuple(pair for pair in question.pairs if absent.isdisjoint(pair)))
    needed = {member for name in question.compared for member in members(name)}
    seeds = set.intersection(*({run.params.seed for run in study.runs if run.system == name} for name in needed))
    keys = {"question": question.name, "condition": study.condition, "split": split, "seeds": len(seeds)}
    pooled = rows["pooled"].max()
    return rows, keys | ({"pooled": pooled} if pooled > 1 else {}), question


def by_condition(measure: Callable[..., pd.DataFrame], studies: Sequence[Study], question: Question) -> pd.DataFrame:
    """`measure` (`scores` or `differences`) of each study; the differences of each condition are a family."""
    return pd.concat([measure(study, question) for study in studies], ignore_index=True)


def all_differences(study: Study) -> pd.DataFrame:
    """`differences` of every question of the paper that the study's profile answers, a family each."""
    asked = questions(study.params.profile).values()
    return pd.concat([differences(study, question) for question in asked], ignore_index=True)


def tested(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table for the tested endpoint, one a pair."""
    return table[table["endpoint"] == "mean"]


def of_models(table: pd.DataFrame) -> bool:
    """Whether differences, or some of them, are of the trained models alone: of a system too few runs were trained."""
    return "sets" in table and table["sets"].min() < CLAIMING


def validation_scores(study: Study, question: Question) -> pd.DataFrame:
    """Mean CCC on the validation set at the epoch (of a ridge regression, the penalty) that it chose, by which one
    chooses a system: a row a system with runs, ``estimate`` the mean over seeds, ``low`` and ``high`` their range."""
    best = [(run.system, run.history.set_index("epoch").loc[run.metrics["best_epoch"], "mean"]) for run in study.runs]
    groups = pd.DataFrame(best, columns=["system", "ccc"]).groupby("system")["ccc"]
    rows = groups.agg(estimate="mean", low="min", high="max", seeds="size").reindex(question.compared).dropna()
    return rows.reset_index().assign(split="validation set", endpoint="mean")


def split_scores(study: Study) -> pd.DataFrame:
    """CCC of each system on each split that has gold values."""
    tables = []
    for system, trained in by_system(study.runs).items():
        for split in study.splits():
            rows = study.sums.query("test == '' and split == @split")
            tables.append(verdicts.scores(from_table(rows, [system])).assign(split=split, seeds=len(trained)))
    return pd.concat(tables, ignore_index=True)
