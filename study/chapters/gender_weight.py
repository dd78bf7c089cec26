"""How much the speaker's gender should weigh in the loss: what each weight does, and how well systems tell the gender.

Conventions:

- The weight is alpha, of the gender head's cross-entropy; a system of alpha 0 has no such head.
- A condition is ``study``, the corpus as it is, or ``gender_linked``, the simulation with a link between gender and
  the sound of arousal (see `sercore.params.Simulated`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sercore.corpus import GENDERS
from sercore.params import ParamsError
from sercore.runs import PREDICTED_FEMALE, Run
from sercore.significance import Contrast, SignificanceError, contrast, jackknife_error
from simulation import population
from study.comparisons import Comparison, aligned, compare, system_difference
from study.plan import question
from study.results import Study, by_system, read

FLOOR = 0.5
"""Balanced accuracy of whoever always says the same gender."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured under one condition.

    ``weights``: alpha of each system, the reference first. ``accuracy``: a row a system with a gender head, see
    `gender_accuracy`.
    """

    condition: str
    study: Study
    comparison: Comparison
    weights: dict[str, float]
    accuracy: pd.DataFrame


def measure(profile: str, results: Path | str) -> list[Measured]:
    """Answer the question `gender_weight` from `results` under each of its conditions.

    Raises:
        ParamsError: a condition or system has not been run.
        SignificanceError: the values give no interval.
    """
    asked = question(profile, "gender_weight")
    found = []
    for condition in asked.conditions:
        study = read(profile, results, condition)
        comparison = compare(study, asked)
        systems = {name: runs for name, runs in by_system(study.runs).items() if name in asked.compared}
        weights = {name: systems[name][0].params.loss.gender for name in asked.compared}
        accuracy = {
            name: gender_accuracy(systems[name], study.corpus, comparison.split)
            for name, weight in weights.items()
            if weight
        }
        found.append(Measured(condition, study, comparison, weights, pd.DataFrame.from_dict(accuracy, "index")))
    return found


def gender_accuracy(runs: Sequence[Run], corpus: pd.DataFrame, split: str) -> dict[str, float]:
    """How well a system tells the speaker's gender: it says Female where the probability is above a half.

    Balanced accuracy is the mean of the shares of women's and of men's utterances that are told right, over all runs
    together. A gender is a speaker's, so speakers are the units: each share has a jackknife error over the speakers of
    that gender; the errors add up, with Satterthwaite's degrees of freedom. Limits are cut at 0 and 1.

    Args:
        runs: of one system.
        corpus: the corpus table, for ``gender``.
        split: whose utterances count; those of unknown gender or speaker do not.

    Returns:
        ``balanced`` with ``low`` and ``high`` (95 %), ``accuracy``, ``majority`` (that of always saying the more
        frequent gender), ``utterances``, ``speakers``.

    Raises:
        ParamsError: the runs do not say what gender they predict.
        SignificanceError: there are not two women and two men.
    """
    rows = pd.concat([run.predictions for run in runs])
    rows = rows[rows["split"] == split]
    if PREDICTED_FEMALE not in rows or rows[PREDICTED_FEMALE].isna().any():
        raise ParamsError(f"runs of {runs[0].system} lack {PREDICTED_FEMALE}: remove them and train them again.")
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
        "balanced": float(balanced.difference),
        "low": max(0.0, float(balanced.low)),
        "high": min(1.0, float(balanced.high)),
        "accuracy": rows["right"].mean(),
        "majority": rows["gender"].value_counts(normalize=True).max(),
        "utterances": rows["utterance"].nunique(),
        "speakers": counts.sum(),
    }


def link_effects(measured: Sequence[Measured]) -> dict[float, Contrast]:
    """What each weight gains with the gender link minus what it gains without, by weight; arrays over endpoints.

    The errors of the two gains are taken as independent and add up, with Satterthwaite's degrees of freedom.
    """
    if len(measured) < 2:
        return {}
    gains = []
    for one in measured:
        asked, study = one.comparison.question, one.study
        gold, predictions, _ = aligned(study.runs, asked.compared, one.comparison.split)
        gains.append([system_difference(gold, predictions[a], predictions[b]) for a, b in asked.pairs])
    effects = [
        contrast(
            linked.difference - plain.difference, [plain.error**2, linked.error**2], [plain.freedom, linked.freedom]
        )
        for plain, linked in zip(*gains, strict=True)
    ]
    names = [system for system, _ in measured[0].comparison.question.pairs]
    return {measured[0].weights[name]: effect for name, effect in zip(names, effects, strict=True)}


def reading(link: float, utterances: int = 5000, speakers: int = 500) -> tuple[float, float]:
    """How well simulated arousal can be read off the voice, without and with the speaker's gender.

    Both are correlations of true arousal with its best linear reading from pitch, range, rate and loudness, in a
    simulation of numbers alone (of fixed seed).

    Args:
        link: `sercore.params.Simulated.gender_link`.
        utterances, speakers: how many.
    """
    generator = np.random.default_rng(0)
    drawn = population.draw_utterances(generator, utterances, population.draw_raters(generator, 60), 5)
    people = population.draw_speakers(generator, speakers)
    voices, female = [], []
    for place, deviations in enumerate(drawn.deviations):
        speaker = people[place % speakers]
        prompt = population.draw_prompt(generator, speaker, "", deviations, link)
        voices.append([1, prompt.pitch, prompt.range, prompt.rate, np.log(prompt.volume)])
        female.append(speaker.gender == "Female")
    alone, arousal = np.array(voices), drawn.deviations[:, 0]
    known = np.column_stack([alone, female])
    return tuple(np.corrcoef(x @ np.linalg.lstsq(x, arousal)[0], arousal)[0, 1] for x in (alone, known))
