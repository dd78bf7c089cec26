"""Reference systems that train no network: ridge regression on one vector of features an utterance."""

import time
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sercore import ATTRIBUTES, audio
from sercore.corpus import Corpus
from sercore.disk import kept
from sercore.features import pretrained_features, require_kept
from sercore.network.losses import ccc
from sercore.params import Params
from sercore.runs import PREDICTED, Run
from sercore.sampling import choose
from study.plan import Plan, Question, corpus_of, declarations

PENALTIES = 10.0 ** np.arange(7)


def runs(plan: Plan, asked: Sequence[Question], condition: str) -> list[Run]:
    """The baselines that `asked` compare, fitted for every seed, as runs without a folder; their ``history`` holds the
    validation CCC. One whose package is not installed is left out, with a warning."""
    found = []
    for name, entry in declarations()["baselines"].items():
        if not any(name in one.compared for one in asked):
            continue
        if entry["features"] == "egemaps" and not find_spec("opensmile"):
            warnings.warn(f"{name} is left out: `pip install opensmile` (for research only) brings it.", stacklevel=2)
            continue
        features = None
        for seed in plan.seeds():
            params = plan.parameters(entry["as"], condition, seed)
            corpus = corpus_of(params.corpus, seed)
            if features is None:
                features = egemaps(corpus) if entry["features"] == "egemaps" else states(params, corpus)
            if entry["features"] == "egemaps":
                speech = params.speech.model_copy(update={"encoder": "eGeMAPSv02"})
                params = params.model_copy(update={"speech": speech})
            found.append(ridge(name, features, corpus, params))
    return found


def states(params: Params, corpus: Corpus) -> pd.DataFrame:
    """Time averages of the hidden states of a system's frozen speech encoder: a row an utterance; columns are ``layer``
    and ``channel``, from 0."""
    speech = require_kept(pretrained_features(params, corpus.table).speech, "a ridge regression on hidden states")
    means = np.stack([each.mean(axis=0, dtype=np.float32) for each in speech])  # (utterances, layers, width)
    columns = pd.MultiIndex.from_product(map(range, means.shape[1:]), names=["layer", "channel"])
    return pd.DataFrame(means.reshape(len(means), -1), corpus.table.index, columns)


def egemaps(corpus: Corpus) -> pd.DataFrame:
    """The 88 functionals of eGeMAPS (Eyben et al. 2016), a row an utterance, by the optional package opensmile."""
    import opensmile  # type: ignore[import-not-found, import-untyped, unused-ignore]

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)

    def functionals(path: Path) -> NDArray[np.float32]:
        sound = audio.load(path, max_seconds=audio.duration(path) + 1)
        return smile.process_signal(sound, audio.SAMPLE_RATE).to_numpy(np.float32)[0]

    return pd.DataFrame(kept("egemaps", corpus.table["path"], functionals), corpus.table.index)


def ridge(name: str, features: pd.DataFrame, corpus: Corpus, params: Params) -> Run:
    """A ridge regression on standardised `features` of the utterances of `corpus`, fitted on those that `params` train
    on; of `PENALTIES` the one with the best validation CCC is taken."""
    start, rows = time.perf_counter(), choose(corpus, params)
    parts = (rows.training, rows.validation, rows.predicted)
    train, validation, test = (features.loc[part.index].to_numpy() for part in parts)
    fits = [make_pipeline(StandardScaler(), Ridge(each)).fit(train, rows.training[[*ATTRIBUTES]]) for each in PENALTIES]
    truth = torch.from_numpy(rows.validation[[*ATTRIBUTES]].to_numpy())
    scores = [ccc(truth, torch.from_numpy(fit.predict(validation))).numpy() for fit in fits]
    best = fits[int(np.argmax([each.mean() for each in scores]))]
    history = pd.DataFrame([max(scores, key=np.mean)], columns=list(ATTRIBUTES)).assign(epoch=0, loss=np.nan)
    history = history.assign(mean=history[[*ATTRIBUTES]].mean(axis=1))
    predicted = pd.DataFrame(best.predict(test), rows.predicted.index, PREDICTED)
    table = rows.predicted[["split", "speaker", "emotion", *ATTRIBUTES]].join(predicted).reset_index()
    size = best[-1].coef_.size + len(ATTRIBUTES)
    metrics = {"ccc": {}, "best_epoch": 0, "epochs": 0, "seconds": round(time.perf_counter() - start, 2)}
    metrics |= {"peak_memory_mb": 0, "parameters": size, "trainable_parameters": size}
    return Run(name, params.model_copy(update={"variant": name}), metrics, history, table, None)
