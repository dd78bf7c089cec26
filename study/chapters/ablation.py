"""One system in detail: how it learnt, what it gets wrong, and whether its figures repeat."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, training
from sercore.model import AttributeModel
from sercore.params import Params, resolve
from sercore.runs import Run
from study import results
from study.comparisons import ENDPOINTS
from study.plan import corpus_of


def train(chosen: Sequence[Params]) -> list[Run]:
    """Train the system of each of `chosen` on its corpus; a complete run is read instead."""
    return [training.train(params, corpus_of(params.corpus, params.seed)) for params in chosen]


def learning_curves(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run, epoch and endpoint, with ``measure`` (training loss, validation CCC) and ``value``."""
    table = pd.concat([run.history.assign(seed=run.params.seed) for run in runs])
    table = table.melt(["seed", "epoch"], ["loss", *ENDPOINTS], "endpoint", "value")
    return table.assign(measure=np.where(table["endpoint"] == "loss", "training loss", "validation CCC"))


def predictions(runs: Sequence[Run], split: str) -> pd.DataFrame:
    """A row an utterance, run and attribute of one system: ``endpoint``, ``gold``, ``predicted``, ``emotion``."""
    gold, predicted = results.matched(runs, split)
    tables = [
        pd.DataFrame({"endpoint": name, "gold": gold[name], "predicted": each[:, column], "emotion": gold["emotion"]})
        for each in predicted
        for column, name in enumerate(ATTRIBUTES)
    ]
    return pd.concat(tables, ignore_index=True)


def repeated(runs: Sequence[Run], folder: Path | str) -> pd.DataFrame:
    """CCCs of `runs` beside those of the same profile, system and seed in a folder of collected results: a row a run,
    split and endpoint with ``estimate`` and ``committed``; none where there is no such folder."""
    if not resolve(Path(folder)).is_dir():
        return pd.DataFrame(columns=["estimate", "committed"])
    tables, keys = [], ["profile", "system", "seed"]
    for name, each in {"estimate": runs, "committed": results.read_runs(folder)}.items():
        table = results.run_metrics(each).assign(profile=[run.params.profile for run in each])
        scores = [column for column in table if column.endswith(ENDPOINTS)]
        tables.append(table.melt(keys, scores, "endpoint", name).dropna(subset=name))
    return tables[0].merge(tables[1])


def summary(model: AttributeModel) -> pd.DataFrame:
    """Parameters of each part of a model, and how many of them are trained; the encoder's front-end stands apart."""
    parts = {
        "speech encoder: convolutional front-end": getattr(model.speech, "front_end", None),
        "speech encoder: transformer": model.speech.transformer,
        "text encoder": getattr(model, "text", None),
        "pointwise convolutions": model.convolutions,
        "attribute heads": model.attributes,
        "gender head": getattr(model, "gender", None),
        "speaker head": getattr(model, "speaker", None),
    }
    counts = {
        name: [sum(p.numel() for p in part.parameters()), sum(p.numel() for p in part.parameters() if p.requires_grad)]
        for name, part in parts.items()
        if part is not None
    }
    return pd.DataFrame.from_dict(counts, "index", columns=["parameters", "trained"]).rename_axis("part")
