"""A study with noise in place of speech: a corpus table, ratings, and runs of any systems."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import yaml

from sercore import ATTRIBUTES, params
from sercore.corpus import EMOTIONS, PRIMARY_EMOTIONS
from sercore.runs import PREDICTED, PREDICTED_FEMALE, Run
from study.results import Study, summed, write_sums

QUALITY = {"speech_only": 1.0, "fusion": 0.6, "fusion_gender": 0.58}
"""Standard deviation of the predictions' error: speech alone is far worse, the two others hardly differ."""


def make_corpus(seed=0, per_speaker=10):
    """A corpus table without ``path``: 20 speakers in train, 8 in development, 12 in test3, the first two talkative."""
    rng = np.random.default_rng(seed)
    parts = []
    for split, speakers in (("train", 20), ("development", 8), ("test3", 12)):
        counts = np.full(speakers, per_speaker)
        counts[:2] *= 8
        n = counts.sum()
        codes = list(PRIMARY_EMOTIONS) if split == "test3" else list(EMOTIONS)
        emotion = rng.choice(codes, n)
        centre = pd.Series(emotion).map({code: 4 + np.sin(i) for i, code in enumerate(EMOTIONS)}).to_numpy()
        values = np.clip(centre[:, None] + rng.normal(0, 0.8, (n, 3)), 1, 7)
        table = pd.DataFrame(values, columns=list(ATTRIBUTES)).assign(
            split=split,
            emotion=emotion,
            speaker=np.repeat([f"{split}-{i}" for i in range(speakers)], counts),
            gender=np.repeat(np.resize(["Female", "Male"], speakers), counts),
            transcript="a sentence",
            duration=rng.gamma(20, 0.1, n),
        )
        parts.append(table.set_index(pd.Index([f"{split}_{i:04}" for i in range(n)], name="utterance")))
    return pd.concat(parts)


def make_ratings(corpus, rng):
    """Five ratings of each utterance, each the consensus plus noise of its own."""
    raters = [f"r{i % 7}" for i in range(5 * len(corpus))]
    ratings = corpus.loc[corpus.index.repeat(5), ["emotion", *ATTRIBUTES]].reset_index().assign(rater=raters)
    ratings[list(ATTRIBUTES)] = (ratings[list(ATTRIBUTES)] + rng.normal(0, 1, (len(ratings), 3))).round().clip(1, 7)
    return ratings.assign(emotion=ratings["emotion"].replace("X", "N"))


def make_run(variant, seed, table, rng, profile="embedded"):
    """A run that predicts `table`, without the ambiguous development utterances where the variant trains on them."""
    predictions = table[["split", "speaker", "emotion", *ATTRIBUTES]].reset_index()
    if "development_ambiguous" in variant:
        predictions = predictions[~(predictions["emotion"].isin(["O", "X"]) & (predictions["split"] == "development"))]
        predictions = predictions.reset_index(drop=True)
    errors = rng.normal(0.2, QUALITY.get(variant, 0.6), (len(predictions), 3))
    predictions[PREDICTED] = np.clip(4 + 0.7 * (predictions[list(ATTRIBUTES)] - 4) + errors, 1, 7)
    curve = np.linspace(0.1, 0.6, 10)
    history = pd.DataFrame({"epoch": range(1, 11), "loss": 3 - 3 * curve, "mean": curve})
    metrics = {"best_epoch": 9, "epochs": 10, "seconds": 10.4 + seed, "peak_memory_mb": 500}
    metrics |= {"parameters": 120, "trainable_parameters": 100}
    metrics["ccc"] = {
        split: {"arousal": 0.3, "valence": 0.4, "dominance": 0.2, "mean": 0.5 + 0.1 * seed}
        for split in ("development", "test3")
    }
    loaded = params.load(profile, variant, seed)
    if loaded.loss.gender:
        told = predictions["utterance"].map(table["gender"]).map({"Female": 0.7, "Male": 0.3})
        predictions[PREDICTED_FEMALE] = np.clip(told + np.random.default_rng(seed).normal(0, 0.2, len(told)), 0, 1)
    return Run(variant, loaded, metrics, history.assign(**dict.fromkeys(ATTRIBUTES, curve)), predictions, None)


def make_study(systems=tuple(QUALITY), seeds=2, profile="embedded"):
    rng, corpus = np.random.default_rng(1), make_corpus()
    tested = corpus[corpus["split"] != "train"]
    runs = [make_run(variant, seed, tested, rng, profile) for variant in systems for seed in range(seeds)]
    return summed(Study(runs, corpus, make_ratings(corpus, rng)), middle=4)


def write_results(root, study):
    """What `study.results.collect` writes of such runs."""
    keys = [(run.system, run.params.seed) for run in study.runs]
    rows = pd.json_normalize([run.metrics for run in study.runs], sep=" ")
    pd.concat([pd.DataFrame(keys, columns=["system", "seed"]), rows], axis=1).to_csv(root / "runs.csv", index=False)
    for name in ("history", "predictions"):
        table = pd.concat([getattr(run, name) for run in study.runs], keys=keys, names=["system", "seed"])
        table = table.reset_index(["system", "seed"])
        if name == "history":
            table.to_csv(root / "history.csv", index=False)
        else:
            kept = table.columns.intersection(["system", "seed", "utterance", "split", *PREDICTED, PREDICTED_FEMALE])
            table[kept].to_parquet(root / "predictions.parquet")
    saved = {run.system: run.params.model_dump(mode="json") for run in study.runs}
    (root / "params.yaml").write_text(yaml.safe_dump(saved, sort_keys=False))
    study.corpus.to_parquet(root / "corpus.parquet")
    study.ratings.to_parquet(root / "ratings.parquet", index=False)
    (root / "samples").mkdir()
    for code in PRIMARY_EMOTIONS:
        noise = np.random.default_rng(0).normal(0, 0.1, 8000)
        soundfile.write(root / "samples" / f"{code}.flac", noise, 16_000)
    write_sums(root, middle=4)


def write_csv(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
