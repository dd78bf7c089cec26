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
from sercore.encoders import SpeechEncoder
from sercore.features import FrozenEncoders
from sercore.hub import encoder_config
from sercore.losses import ccc
from sercore.params import Params, ParamsError
from sercore.runs import PREDICTED, Run
from sercore.sampling import choose
from study.plan import Plan, Question, baselines, corpus_of

PENALTIES = 10.0 ** np.arange(7)


def runs(plan: Plan, asked: Sequence[Question], condition: str) -> list[Run]:
    """The baselines that `asked` compare, fitted for every seed, as runs without a folder; their ``history`` holds the
    validation CCC. One whose package is not installed is left out, with a warning."""
    found = []
    for name, entry in baselines().items():
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
                params = params.model_copy(
                    update={"speech": params.speech.model_copy(update={"encoder": "eGeMAPSv02"})}
                )
            found.append(ridge(name, features, corpus, params))
    return found


def states(params: Params, corpus: Corpus) -> NDArray[np.float32]:
    """Time averages of the hidden states of a system's frozen speech encoder: (utterances, layers, width)."""
    speech = SpeechEncoder(encoder_config(params.speech.encoder), finetune=False, states=params.speech.states)
    speech.load_pretrained(params.speech.encoder)
    features = FrozenEncoders(params, speech)(corpus.table).speech
    if features is None:
        raise ParamsError("a ridge on hidden states needs them on disk: set speech.cache: true.")
    return np.stack([each.mean(axis=0, dtype=np.float32) for each in features])


def egemaps(corpus: Corpus) -> NDArray[np.float32]:
    """The 88 functionals of eGeMAPS (Eyben et al. 2016) of each utterance, by the optional package opensmile."""
    import opensmile  # type: ignore[import-not-found, import-untyped, unused-ignore]

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)

    def functionals(path: Path) -> NDArray[np.float32]:
        sound = audio.load(path, max_seconds=audio.duration(path) + 1)
        return smile.process_signal(sound, audio.SAMPLE_RATE).to_numpy(np.float32)[0]

    return np.stack(kept("egemaps", corpus.table["path"], functionals))


def ridge(name: str, features: NDArray[np.float32], corpus: Corpus, params: Params) -> Run:
    """A ridge regression on standardised `features` (utterances, ...) of `corpus`, fitted on the utterances that
    `params` train on; of `PENALTIES` the one with the best validation CCC is taken."""
    start, rows = time.perf_counter(), choose(corpus, params)
    flat = pd.DataFrame(features.reshape(len(features), -1), corpus.table.index)
    train, validation, test = (flat.loc[part.index] for part in (rows.training, rows.validation, rows.predicted))
    fits = [make_pipeline(StandardScaler(), Ridge(each)).fit(train, rows.training[[*ATTRIBUTES]]) for each in PENALTIES]
    scores = [_ccc(rows.validation[[*ATTRIBUTES]], fit.predict(validation)) for fit in fits]
    best = fits[int(np.argmax([each.mean() for each in scores]))]
    history = pd.DataFrame([max(scores, key=np.mean)], columns=list(ATTRIBUTES)).assign(epoch=0, loss=np.nan)
    history = history.assign(mean=history[[*ATTRIBUTES]].mean(axis=1))
    predicted = pd.DataFrame(best.predict(test), rows.predicted.index, PREDICTED)
    table = rows.predicted[["split", "speaker", "emotion", *ATTRIBUTES]].join(predicted).reset_index()
    size = best[-1].coef_.size + len(ATTRIBUTES)
    metrics = {"ccc": {}, "best_epoch": 0, "epochs": 0, "seconds": round(time.perf_counter() - start, 2)}
    metrics |= {"peak_memory_mb": 0, "parameters": size, "trainable_parameters": size}
    return Run(name, params.model_copy(update={"variant": name}), metrics, history, table, None)


def _ccc(truth: pd.DataFrame, predicted: NDArray) -> NDArray:
    return ccc(torch.from_numpy(truth.to_numpy()), torch.from_numpy(predicted)).numpy()
