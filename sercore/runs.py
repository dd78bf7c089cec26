"""A run's folder: it appears under its final name only when it is complete.

``runs/<profile>/<variant>/seed-<n>/`` holds ``params.yaml`` (complete, after merging), ``metrics.json``,
``history.csv`` (an epoch a row), ``predictions.parquet``, ``model/`` (``save_pretrained``) and ``environment.json``.
"""

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile
import torch
import yaml

from sercore import audio
from sercore.corpus import Corpus
from sercore.params import Params, ParamsError, dump, load, project_root, validate, variants

FILES = ("params.yaml", "metrics.json", "history.csv", "predictions.parquet", "environment.json")


@dataclass(frozen=True, eq=False)
class Run:
    """A complete run.

    ``metrics``: ``ccc`` (split -> attribute or ``mean`` -> CCC), ``best_epoch``, ``epochs``, ``seconds``,
    ``peak_memory_mb``, ``parameters``, ``trainable_parameters``. ``history``: epoch, training loss, validation CCCs.
    ``predictions``: utterance, split, speaker, emotion, the three attributes and the three ``predicted_...``, in the
    corpus's own scale.
    """

    folder: Path
    params: Params
    metrics: dict[str, Any]
    history: pd.DataFrame
    predictions: pd.DataFrame


def run_folder(params: Params) -> Path:
    """Where the run of `params` belongs; a variant with overrides gets a folder of its own, named by their digest."""
    name = params.variant
    if _science(params) != _science(load(params.profile, params.variant, params.seed)):
        name += "-" + blake2b(_science(params).encode(), digest_size=4).hexdigest()
    return project_root() / "runs" / params.profile / name / f"seed-{params.seed}"


def _science(params: Params) -> str:
    """The parameters as text, without where the corpus lies on this machine."""
    return dump(params.model_copy(update={"corpus": params.corpus.model_copy(update={"path": Path()})}))


def find(params: Params, inputs: Mapping[str, str]) -> Run | None:
    """The run of just these parameters and `inputs` (digests of corpus and encoder); None if absent or damaged."""
    folder = run_folder(params)
    if not (folder / "model").is_dir() or not _is_of(folder, params, inputs):
        return None
    try:
        return read(folder)
    except ParamsError:
        return None


def partial_folder(params: Params, inputs: Mapping[str, str]) -> Path:
    """Folder for a run in progress: what an interrupted run of the same parameters and inputs left, else empty."""
    folder = run_folder(params)
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.is_dir() and not _is_of(partial, params, inputs):
        shutil.rmtree(partial)
    if not partial.is_dir():
        partial.mkdir(parents=True)
        (partial / "params.yaml").write_text(dump(params))
        (partial / "environment.json").write_text(json.dumps(_environment() | {"inputs": dict(inputs)}, indent=1))
    return partial


def finish(partial: Path, metrics: Mapping[str, Any], history: pd.DataFrame, predictions: pd.DataFrame) -> Path:
    """Write the results into a partial run's folder and give it its final name, in place of an older run."""
    (partial / "metrics.json").write_text(json.dumps(metrics, indent=1))
    history.to_csv(partial / "history.csv", index=False)
    predictions.to_parquet(partial / "predictions.parquet", index=False, compression="zstd")
    final = partial.with_name(partial.name.removeprefix(".").removesuffix(".partial"))
    if final.is_dir():
        shutil.rmtree(final)
    return partial.rename(final)


def read(folder: Path) -> Run:
    """The run in `folder`, with or without its model.

    Raises:
        ParamsError: the folder is no complete run, or damaged; the message names what is missing or wrong.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ParamsError(f"{folder} is no complete run, it lacks {', '.join(missing)}: train it again.")
    try:
        run = Run(
            folder,
            _read_params(folder),
            json.loads((folder / "metrics.json").read_text()),
            pd.read_csv(folder / "history.csv"),
            pd.read_parquet(folder / "predictions.parquet"),
        )
        if len(run.history) != run.metrics["epochs"]:
            raise ValueError(f"history.csv has {len(run.history)} of {run.metrics['epochs']} epochs")
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        raise ParamsError(
            f"{folder} is damaged or of another version ({reason}): remove it and make it again."
        ) from None
    return run


def read_all(root: Path) -> list[Run]:
    """All complete runs ``root/<variant>/seed-<n>``, in the order of ``params/variants.yaml``, then by seed.

    Raises:
        ParamsError: there is none.
    """
    order = list(variants())
    found = [read(path.parent) for path in root.glob("*/seed-*/metrics.json")]
    if not found:
        raise ParamsError(f"{root} holds no run: `make study` makes them.")
    unknown = sorted({run.params.variant for run in found} - set(order))
    if unknown:
        raise ParamsError(f"{root} holds runs of {', '.join(unknown)}, which params/variants.yaml lacks: remove them.")
    return sorted(found, key=lambda run: (order.index(run.params.variant), run.folder.parent.name, run.params.seed))


def collect(folders: list[Path], corpus: Corpus, results: Path) -> None:
    """Write what the chapters read: each run without its model, the corpus table, the ratings, a sample an emotion.

    `results` is replaced as a whole, once everything is written.
    """
    partial = results.with_name(f".{results.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for folder in folders:
        target = partial / folder.parent.name / folder.name
        target.mkdir(parents=True)
        for name in FILES:
            shutil.copy(folder / name, target)
    corpus.table.drop(columns="path").to_parquet(partial / "corpus.parquet")
    if corpus.ratings is not None:
        corpus.ratings.to_parquet(partial / "ratings.parquet", index=False)
    (partial / "samples").mkdir()
    heard = corpus.table[corpus.table["split"] != "train"].drop_duplicates("emotion").dropna(subset=["emotion"])
    for emotion, path in zip(heard["emotion"], heard["path"], strict=True):
        waveform = audio.load(path, max_seconds=15)
        soundfile.write(partial / "samples" / f"{emotion}.mp3", waveform, audio.SAMPLE_RATE)
    shutil.rmtree(results, ignore_errors=True)
    partial.rename(results)


def _is_of(folder: Path, params: Params, inputs: Mapping[str, str]) -> bool:
    try:
        same_inputs = json.loads((folder / "environment.json").read_text())["inputs"] == dict(inputs)
        return same_inputs and _science(_read_params(folder)) == _science(params)
    except (OSError, ValueError, KeyError, yaml.YAMLError):  # absent, or cut off by an interruption
        return False


def _read_params(folder: Path) -> Params:
    return validate(yaml.safe_load((folder / "params.yaml").read_text()))


def _environment() -> dict[str, Any]:
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=project_root(), check=False)
    packages = ("torch", "transformers", "accelerate", "numpy", "pandas", "scipy")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "git_revision": git.stdout.strip() or None,
    }
