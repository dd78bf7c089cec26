"""The weight of the gender loss: what each weight does to the CCC, and how well the gender is recognised.

The weight is alpha, of the gender head's cross-entropy; a system of weight 0 has no such head. Under the condition
``gender_linked`` of the simulation, gender and the sound of arousal are linked.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sercore.corpus import GENDERS
from sercore.params import ParamsError
from sercore.runs import PREDICTED_FEMALE, Run
from sercore.significance import SignificanceError, contrast
from sercore.sums import jackknife_error
from study.comparisons import by_condition, differences
from study.plan import Question
from study.results import Study, by_system, reported_split


def weights(study: Study) -> dict[str, float]:
    """The weight of the gender loss of each system."""
    return {run.system: run.params.loss.gender for run in study.runs}


def accuracies(studies: Sequence[Study], question: Question) -> pd.DataFrame:
    """`gender_accuracy` of each system with a gender head, a row a condition and system, with its ``weight``."""
    rows = [
        {"condition": study.condition, "system": system, "weight": weights(study)[system]}
        | gender_accuracy(runs, study.corpus, reported_split(study.runs))
        for study in studies
        for system, runs in by_system(study.runs).items()
        if system in question.compared and weights(study)[system]
    ]
    return pd.DataFrame(rows)


def gender_accuracy(runs: Sequence[Run], corpus: pd.DataFrame, split: str) -> dict[str, float]:
    """How well a system recognises gender on `split`: it says Female where the probability is above a half.

    ``estimate`` is balanced accuracy, the mean of the recalls of women's and of men's utterances, over all runs
    together, ``majority`` the accuracy of always saying the more frequent gender. A gender is a speaker's, so speakers
    are the units: each recall has a jackknife error over the speakers of that gender; the errors add up, with
    Satterthwaite's degrees of freedom. Limits (95 %) are cut at 0 and 1. Utterances of unknown gender or speaker do not
    count; fewer than two women or two men raise `SignificanceError`.
    """
    rows = pd.concat([run.predictions for run in runs])
    rows = rows[rows["split"] == split]
    if PREDICTED_FEMALE not in rows or rows[PREDICTED_FEMALE].isna().any():
        raise ParamsError(f"runs of {runs[0].system}: no {PREDICTED_FEMALE}. Remove them and train them again.")
    rows = rows.assign(gender=rows["utterance"].map(corpus["gender"])).dropna(subset=["gender", "speaker"])
    rows["right"] = (rows[PREDICTED_FEMALE] > 0.5) == (rows["gender"] == "Female")
    by_speaker = rows.groupby(["gender", "speaker"])["right"].agg(["sum", "size"])
    counts = by_speaker.groupby("gender").size().reindex(GENDERS, fill_value=0)
    if counts.min() < 2:
        raise SignificanceError(f"{split} has {counts.to_dict()} speakers; gender accuracy needs two of each.")
    recalls, variances = [], []
    for gender in GENDERS:
        right, size = by_speaker.loc[gender].to_numpy().T
        recalls.append(right.sum() / size.sum())
        variances.append(jackknife_error((right.sum() - right) / (size.sum() - size)) ** 2)
    balanced = contrast(np.mean(recalls), np.array(variances) / 4, counts.to_numpy() - 1)
    return {
        "estimate": float(balanced.difference),
        "low": max(0.0, float(balanced.low)),
        "high": min(1.0, float(balanced.high)),
        "accuracy": rows["right"].mean(),
        "majority": rows["gender"].value_counts(normalize=True).max(),
        "utterances": rows["utterance"].nunique(),
        "speakers": counts.sum(),
        "seeds": len(runs),
    }


def link_effects(studies: Sequence[Study], question: Question) -> pd.DataFrame:
    """What each weight gains with the gender link minus what it gains without, the errors of the two taken as
    independent (Satterthwaite's degrees of freedom), and ``sets``; no row without two conditions."""
    table = by_condition(differences, studies, question)
    table["weight"] = table["system"].map(weights(studies[0]))
    parts = [rows.reset_index() for _, rows in table.groupby("condition", sort=False)]
    if len(parts) < 2:
        return table[:0]
    plain, linked = parts[:2]
    variances = [rows["standard_error"] ** 2 for rows in (plain, linked)]
    effect = contrast(linked["estimate"] - plain["estimate"], variances, [plain["df"], linked["df"]])
    limits = {"low": effect.low, "high": effect.high, "p": effect.p, "sets": np.minimum(plain["sets"], linked["sets"])}
    return plain[["system", "weight", "endpoint"]].assign(estimate=effect.difference, **limits)
