"""On real speech: which layers of a frozen encoder a system weighs, and what a ridge regression reads from each."""

from pathlib import Path

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, verdicts
from sercore.model import AttributeModel
from sercore.runs import PREDICTED
from sercore.sums import speaker_sums
from study import baselines, results
from study.comparisons import tested
from study.plan import Plan, Question, corpus_of, run_folder


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write ``layers.csv`` of the question's first system, whose speech encoder is frozen: a row a hidden state (number
    ``layer``, from 0) and ``measure``: its learned ``weight``, the mean over runs with their standard deviation as
    limits, and the mean CCC of a ``ridge`` on it alone, with its interval over speakers."""
    weights, predictions, states = [], [], None
    for seed in plan.seeds():
        params = plan.parameters(question.pairs[0][0], seed=seed)
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
    results.write_tables(folder, {"layers": pd.concat(tables)[["layer", "measure", "estimate", "low", "high"]]})
