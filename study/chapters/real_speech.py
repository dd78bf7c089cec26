"""On real speech: which layers of a frozen encoder a system weighs, what a ridge regression reads from each, and how a
system does by gender and emotion."""

from pathlib import Path

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, verdicts
from sercore.model import AttributeModel
from sercore.runs import PREDICTED
from sercore.sums import speaker_sums
from study import baselines, results
from study.comparisons import tested
from study.groups import memberships, scores
from study.plan import Plan, Question, corpus_of, run_folder, systems
from study.results import Study


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `layers` and `groups`, as CSV."""
    tables = {"layers": layers(plan, question), "groups": groups(results.read(plan.profile, folder), question)}
    results.write_tables(folder, tables)


def groups(study: Study, question: Question) -> pd.DataFrame:
    """`study.groups.scores` of the question's first system on the reported split."""
    system = question.pairs[0][0]
    gold, predictions, _ = results.aligned(study.runs, [system], results.reported_split(study.runs))
    given = gold[[*ATTRIBUTES]].to_numpy(), predictions[system], gold["speaker"].to_numpy()
    return scores(*given, memberships(gold, study.corpus))


def layers(plan: Plan, question: Question) -> pd.DataFrame:
    """Of the question's first system with a frozen speech encoder a row a hidden state (number ``layer``, from 0) and
    ``measure``: its learned ``weight``, the mean over runs with their standard deviation as limits, and the mean CCC
    of a ``ridge`` on it alone, with its interval over speakers."""
    system = next(name for name in systems([question]) if not plan.parameters(name).speech.finetune)
    weights, predictions, states = [], [], None
    for seed in plan.seeds():
        params = plan.parameters(system, seed=seed)
        weights.append(AttributeModel.from_pretrained(run_folder(params) / "model").layer_weights.softmax(0).tolist())
        corpus = corpus_of(params.corpus, seed)
        states = baselines.states(params, corpus) if states is None else states
        for layer in states.columns.unique("layer"):
            fitted = baselines.ridge(f"layer {layer}", states[layer], corpus, params)
            predictions.append(fitted.predictions.assign(layer=layer))
    mean, spread = np.mean(weights, axis=0), np.std(weights, axis=0, ddof=1)
    learned = pd.DataFrame({"estimate": mean, "low": mean - spread, "high": mean + spread})
    tables = [learned.assign(measure="weight").rename_axis("layer").reset_index()]
    for layer, rows in pd.concat(predictions).query("split == 'test1'").groupby("layer"):
        sums = speaker_sums(rows[[*ATTRIBUTES]].to_numpy(), rows[PREDICTED].to_numpy(), rows["speaker"].to_numpy())
        tables.append(tested(verdicts.scores({"ridge": sums})).assign(measure="ridge", layer=layer))
    return pd.concat(tables)[["layer", "measure", "estimate", "low", "high"]]
