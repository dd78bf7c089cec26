"""Performance by gender, duration and emotion, and the gaps between groups.

Conventions:

- Groups, their scores and the shapes of arrays are those of `study.groups`.
- Speakers are the units, as in `sercore.significance`; intervals are for the trained models as they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercore import ATTRIBUTES, verdicts
from sercore.corpus import EMOTIONS
from sercore.significance import Contrast, contrast
from sercore.sums import Array, ccc_of, jackknife_error, speaker_sums
from study import results
from study.groups import Groups, memberships, scores
from study.plan import Plan, Question, margin
from study.results import Study, aligned, reported_split

TABLES = ("groups", "gaps")


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `tables` of the study whose collected results are in `folder`, as CSV."""
    results.write_tables(folder, tables(results.read(plan.profile, folder), question))


def tables(study: Study, question: Question) -> dict[str, pd.DataFrame]:
    """`scores` (``groups``) and `gaps` (all of the mean CCC one family) of each system on the reported split, with
    ``condition`` (the profile), ``split``, ``seeds``, ``sets`` and ``system``."""
    split = reported_split(study.runs)
    gold, predictions, seeds = aligned(study.runs, question.compared, split)
    groups, parts = memberships(gold, study.corpus), []
    for system, predicted in predictions.items():
        given = gold[list(ATTRIBUTES)].to_numpy(), predicted, gold["speaker"].to_numpy(), groups
        keys = {"condition": study.params.profile, "split": split, "seeds": len(seeds), "sets": len(predicted)}
        parts.append([each.assign(system=system, **keys) for each in (scores(*given), gaps(*given))])
    of_groups, of_gaps = (pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True))
    return {"groups": of_groups, "gaps": verdicts.judged(of_gaps, margin(study.params.profile))}


def read(*folders: Path | str) -> dict[str, pd.DataFrame]:
    """The tables that `analyse` left in each folder, by name; of two folders of a profile the first counts."""
    first: dict[str, dict[str, pd.DataFrame]] = {}
    for each in (results.read_tables(folder, TABLES) for folder in folders):
        first.setdefault(each["groups"]["condition"].iloc[0], each)
    return {name: pd.concat([each[name] for each in first.values()], ignore_index=True) for name in TABLES}


def by_grouping(groups: pd.DataFrame) -> pd.DataFrame:
    """Rows of `scores` of one system and endpoint by condition and grouping: how many groups, speakers of the smallest,
    means of CCC, RMSE and the gold values' standard deviation, lowest and highest bias."""
    columns = {
        "groups": ("group", "size"),
        "fewest speakers": ("speakers", "min"),
        "mean CCC": ("estimate", "mean"),
        "RMSE": ("rmse", "mean"),
        "sd of gold values": ("deviation", "mean"),
        "lowest bias": ("bias", "min"),
        "highest bias": ("bias", "max"),
    }
    return groups.groupby(["condition", "grouping"]).agg(**columns)


def gaps(gold: Array, predicted: Array, speakers: NDArray, groups: Groups) -> pd.DataFrame:
    """Each group's CCC minus that of its grouping's reference (men, the shortest utterances, neutral ones), a row a
    `gap` and endpoint; ``utterances`` and ``speakers`` of both groups together."""
    references = {"gender": "Male", "duration": next(iter(groups["duration"]), ""), "emotion": EMOTIONS["N"]}
    parts = []
    for grouping, reference in references.items():
        members = groups[grouping]
        for group in [name for name in members if reference in members and name != reference]:
            both = members[group] | members[reference]
            size = {"utterances": both.sum(), "speakers": len(np.unique(speakers[both]))}
            table = verdicts.contrasts(gap(gold, predicted, speakers, members[group], members[reference]))
            parts.append(table.assign(grouping=grouping, group=group, reference=reference, **size))
    return pd.concat(parts, ignore_index=True)


def gap(gold: Array, predicted: Array, speakers: NDArray, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Contrast:
    """CCC of the utterances `one` minus that of the utterances `other`, with a jackknife over speakers.

    Where no speaker is in both, the two are independent: their errors add up, with Satterthwaite's degrees of freedom.
    Else each speaker is left out of both at once (the paired jackknife), which has speakers - 1 degrees of freedom.
    """
    known = np.unique(speakers[one | other])
    sums = []
    for rows in (one, other):
        whole = np.zeros((len(known), 6, len(predicted), gold.shape[1]))
        whole[np.isin(known, speakers[rows])] = speaker_sums(gold[rows], predicted[:, rows], speakers[rows])
        sums.append(whole)
    totals = [each.sum(axis=0) for each in sums]
    difference = ccc_of(totals[0]) - ccc_of(totals[1])
    there = [each[:, 0, 0, 0] > 0 for each in sums]
    without = [ccc_of(total - each) for total, each in zip(totals, sums, strict=True)]
    if (there[0] & there[1]).any():
        return contrast(difference, [jackknife_error(without[0] - without[1]) ** 2], [len(known) - 1])
    errors = [jackknife_error(each[rows]) for each, rows in zip(without, there, strict=True)]
    return contrast(difference, np.square(errors), [rows.sum() - 1 for rows in there])
