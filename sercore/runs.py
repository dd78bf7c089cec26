"""A run's folder, which appears under its final name only when it is complete.

``runs/<profile>/<system>/seed-<n>/`` holds ``params.yaml`` (complete, after merging), ``metrics.json``, ``history.csv``
(an epoch a row), ``predictions.parquet``, ``model/`` (``save_pretrained``) and ``environment.json``; with
``training.every_epoch`` also ``epochs.parquet``, what each epoch predicted of labelled utterances. A system is a
variant, or a variant with overrides.
"""

import contextlib
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

import numpy as np
import pandas as pd
import torch
import yaml
from pyarrow import parquet

from sercore import ATTRIBUTES
from sercore.cache import complete_file
from sercore.params import Params, ParamsError, dump, load, project_root, validate

PREDICTED = [f"predicted_{name}" for name in ATTRIBUTES]
PREDICTED_FEMALE = "predicted_female"
"""Probability that the speaker is a woman, of systems with a gender head."""

FILES = ("params.yaml", "metrics.json", "history.csv", "predictions.parquet", "environment.json")


@dataclass(frozen=True, eq=False)
class Run:
    """A complete run.

    ``system``: the variant's name, followed by a digest where there were overrides. ``metrics``: ``ccc`` (split ->
    attribute or ``mean`` -> CCC), ``best_epoch``, ``epochs``, ``seconds``, ``peak_memory_mb``, ``parameters``,
    ``trainable_parameters``. ``history``: epoch, training loss, validation CCCs. ``predictions``: utterance, split,
    speaker, emotion, the three attributes and the three ``predicted_...``, in the corpus's own scale, of all utterances
    outside the training split that the run was not trained on, and of those that ``sampling.held_out`` kept in it; and
    `PREDICTED_FEMALE`, missing or (in a study's tables) NaN without a gender head. ``folder``: None where the run was
    read from a study's tables.
    """

    system: str
    params: Params
    metrics: dict[str, Any]
    history: pd.DataFrame
    predictions: pd.DataFrame
    folder: Path | None


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
    if (folder / "model").is_dir() and _is_of(folder, params, inputs):
        with contextlib.suppress(ParamsError):
            return read(folder)
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


def keep_epoch(partial: Path, epoch: int, predictions: pd.DataFrame) -> None:
    """Keep the predictions after an epoch (from 1), to three decimals."""
    folder = partial / "epochs"
    folder.mkdir(exist_ok=True)
    rounded = predictions[PREDICTED].astype(np.float32).round(3)
    kept = predictions[["utterance", "split", *PREDICTED]].assign(epoch=epoch, **rounded)
    complete_file(folder / f"epoch-{epoch:02}.parquet", lambda partial: kept.to_parquet(partial, index=False))


def finish(partial: Path, metrics: Mapping[str, Any], history: pd.DataFrame, predictions: pd.DataFrame) -> Path:
    """Write the results into a partial run's folder and give it its final name, replacing an older run."""
    (partial / "metrics.json").write_text(json.dumps(metrics, indent=1))
    history.to_csv(partial / "history.csv", index=False)
    predictions.to_parquet(partial / "predictions.parquet", index=False, compression="zstd")
    if (epochs := partial / "epochs").is_dir():
        numbers = range(1, metrics["epochs"] + 1)
        joined = pd.concat([pd.read_parquet(epochs / f"epoch-{number:02}.parquet") for number in numbers])
        joined.to_parquet(partial / "epochs.parquet", index=False, compression="zstd")
        shutil.rmtree(epochs)
    final = partial.with_name(partial.name.removeprefix(".").removesuffix(".partial"))
    if final.is_dir():
        shutil.rmtree(final)
    return partial.rename(final)


def read(folder: Path) -> Run:
    """The run in `folder`, with or without its model; `ParamsError` names what is missing or damaged."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ParamsError(f"{folder} is no complete run, missing {', '.join(missing)}: train it again.")
    try:
        run = Run(
            folder.parent.name,
            _read_params(folder),
            json.loads((folder / "metrics.json").read_text()),
            pd.read_csv(folder / "history.csv"),
            pd.read_parquet(folder / "predictions.parquet"),
            folder,
        )
        if len(run.history) != run.metrics["epochs"]:
            raise ValueError(f"history.csv has {len(run.history)} of {run.metrics['epochs']} epochs")
        if run.params.training.every_epoch:
            parquet.read_metadata(folder / "epochs.parquet")
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        problem = f"{folder} is damaged or of another version ({reason})"
        raise ParamsError(f"{problem}: remove it and make it again.") from None
    return run


def _is_of(folder: Path, params: Params, inputs: Mapping[str, str]) -> bool:
    try:
        same_inputs = json.loads((folder / "environment.json").read_text())["inputs"] == dict(inputs)
        return same_inputs and _science(_read_params(folder)) == _science(params)
    except (OSError, ValueError, KeyError, yaml.YAMLError):  # absent, or cut off by an interruption
        return False


def _read_params(folder: Path) -> Params:
    return validate(yaml.safe_load((folder / "params.yaml").read_text()))


def _environment() -> dict[str, Any]:
    revision = ""
    with contextlib.suppress(OSError):  # no git on this machine
        git = ["git", "rev-parse", "HEAD"]
        revision = subprocess.run(git, capture_output=True, text=True, cwd=project_root(), check=False).stdout.strip()
    packages = ("torch", "transformers", "accelerate", "numpy", "pandas", "scipy")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "git_revision": revision or None,
    }
