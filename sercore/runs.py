"""A run's folder, which appears under its final name only when it is complete.

``runs/<profile>/<system>/seed-<n>/`` holds `FILES`, of which ``params.yaml`` is complete, after merging, and ``model/``
(``save_pretrained``); with ``training.every_epoch`` also ``epochs.parquet``, what each epoch predicted of labelled
utterances. A system is a variant, or a variant with overrides, whose digest its name then ends in.

A run's identity is its parameters, the content of its corpus, wherever that lies, its encoders, and what else its
figures depend on: the kind of GPU, the number of processes, features that were not kept (``inputs`` of
``environment.json``; one process on a CPU is not named). On a corpus that is not simulated the folder's name ends in a
digest of it, ``seed-<n>-<digest>``. A simulated corpus follows from the parameters, so its run goes by its seed alone,
unless a run of another identity is there.
"""

import ast
import contextlib
import errno
import glob
import json
import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from filelock import FileLock, Timeout
from pyarrow import parquet

from sercore import ATTRIBUTES
from sercore.corpus import some
from sercore.disk import complete_file, digest, readable
from sercore.params import Params, ParamsError, dump, load, project_root, reader, validate

PREDICTED = [f"predicted_{name}" for name in ATTRIBUTES]
PREDICTED_FEMALE = "predicted_female"  # probability that the speaker is a woman, of systems with a gender head
FILES = ("params.yaml", "metrics.json", "history.csv", "predictions.parquet", "environment.json")
MODULES = (
    *("audio", "batches", "cache", "encoders", "exact_ccc", "features", "ge2e", "model"),
    *("raters", "sampling", "training"),
    *(f"network/{name}" for name in ("attention", "conventions", "encoders", "losses", "model", "packing")),
)  # on which a run's figures depend; what readers do is in the digest of its corpus


@dataclass(frozen=True, eq=False)
class Run:
    """A complete run.

    ``metrics``: ``ccc`` (split -> attribute or ``mean`` -> CCC), ``best_epoch``, ``epochs``, ``seconds``,
    ``peak_memory_mb``, ``parameters``, ``trainable_parameters``. ``history``: epoch, training loss, validation CCCs.
    ``predictions``: utterance, split, speaker, emotion, the three attributes and the three ``predicted_...``, in the
    corpus's own scale, of what `sercore.sampling.choose` has predicted; and `PREDICTED_FEMALE`, missing or (in a
    study's tables) NaN without a gender head. ``folder``: None where the run was read from a study's tables.
    """

    system: str
    params: Params
    metrics: dict[str, Any]
    history: pd.DataFrame
    predictions: pd.DataFrame
    folder: Path | None


def run_folder(params: Params, inputs: Mapping[str, str]) -> Path:
    """Where the run of `params` and `inputs` (digests of corpus and encoders, GPU, processes) belongs."""
    plain, identity = _by_seed(params), _identity(params, inputs)
    named = plain.with_name(f"{plain.name}-{digest(identity, 4)}")
    if identity in (_identity_of(named), _identity_of(_partial(named))):
        return named
    free = all(_identity_of(folder) in (None, identity) for folder in (plain, _partial(plain)))
    if reader(params.corpus.reader).KIND == "simulated" and free:
        return plain
    return named


def find(params: Params, inputs: Mapping[str, str]) -> Run | None:
    """The complete run of just these parameters and inputs, see `run_folder`; None if it is absent or damaged.
    `UserWarning` if it was trained by other code."""
    folder = run_folder(params, inputs)
    if not (folder / "model").is_dir() or _identity_of(folder) != _identity(params, inputs):
        return None
    with contextlib.suppress(ParamsError):
        run = read(folder)
        if is_of_other_code(folder):
            problem = f"{folder} was trained by another revision of sercore"
            warnings.warn(f"{problem}: remove it to train it again.", stacklevel=3)
        _tidy(folder)
        with contextlib.suppress(OSError):  # a run that may only be read
            os.utime(folder)  # see `latest`
        return run
    return None


def latest(params: Params, corpus: str) -> Path:
    """The folder of the complete run of these parameters on the corpus of this digest that `find` gave, or training
    made, last; `ParamsError` if there is none."""
    found = [folder for folder in begun(params, {"corpus": corpus}) if not folder.name.startswith(".")]
    if not found:
        raise ParamsError(f"no run of {_by_seed(params).parent.name}, seed {params.seed}, on this corpus: train it.")
    return max(found, key=lambda folder: folder.stat().st_mtime_ns)


def begun(params: Params, inputs: Mapping[str, str]) -> list[Path]:
    """The folders of runs of these parameters and, among others, these inputs; if not complete, with a dot in front."""
    plain, wanted = _by_seed(params), {*_identity(params, inputs)}
    patterns = (plain.name, f"{plain.name}-*", f".{plain.name}.partial", f".{plain.name}-*.partial")
    folders = (folder for pattern in patterns for folder in plain.parent.glob(pattern))
    return [folder for folder in folders if wanted <= {*(_identity_of(folder) or [])}]


def located(folder: Path) -> Path:
    """`folder`, or the one run that is named so and by its identity: ``seed-0`` is ``seed-0-1c2f90aa`` if there is no
    other; `ParamsError` if there are several."""
    named = sorted(folder.parent.glob(f"{glob.escape(folder.name)}-*")) if not folder.exists() else []
    if len(named) > 1:
        problem = f"{folder} may be {some([one.name for one in named])}"
        raise ParamsError(f"{problem}, which differ by corpus or device: name one.")
    return named[0] if named else folder


@contextlib.contextmanager
def claimed(params: Params, inputs: Mapping[str, str]) -> Iterator[None]:
    """Hold the folder of a run, for which another process that wants to train the same one waits."""
    system = _by_seed(params).parent
    system.mkdir(parents=True, exist_ok=True)
    with FileLock(system / ".lock"):
        folder = run_folder(params, inputs)
        if find(params, inputs) is None:
            partial_folder(params, inputs)  # so that no run of another identity takes this place
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        print(f"{folder}: another process trains this run; waiting for it.", file=sys.stderr, flush=True)
        held = lock.acquire()
    with held:
        yield


def require_room(params: Params, inputs: Mapping[str, str], size: float) -> None:
    """Raise `OSError` where the disk has no room for a new run, which takes `size` bytes; `inputs`: those known yet."""
    system = _by_seed(params).parent
    system.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(system).free
    if free < size and not begun(params, inputs):
        problem = f"the checkpoints and the model of a run take about {readable(size)}, and {readable(free)} are free"
        raise OSError(errno.ENOSPC, problem, str(system))


def partial_folder(params: Params, inputs: Mapping[str, str]) -> Path:
    """Folder for a run in progress: what an interrupted run of the same parameters and inputs left, else empty."""
    partial = _partial(run_folder(params, inputs))
    if _identity_of(partial) is None:  # absent, or cut off by an interruption
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        environment = json.dumps(_environment() | {"inputs": dict(inputs)}, indent=1)
        complete_file(partial / "params.yaml", lambda path: path.write_text(dump(params)))
        complete_file(partial / "environment.json", lambda path: path.write_text(environment))
    return partial


def keep_epoch(partial: Path, epoch: int, predictions: pd.DataFrame) -> None:
    """Keep the predictions after an epoch (from 1), to three decimals."""
    folder = partial / "epochs"
    folder.mkdir(exist_ok=True)
    rounded = predictions[PREDICTED].astype(np.float32).round(3)
    kept = predictions[["utterance", "split", *PREDICTED]].assign(epoch=epoch, **rounded)
    complete_file(folder / f"epoch-{epoch:02}.parquet", lambda partial: kept.to_parquet(partial, index=False))


def finish(partial: Path, metrics: Mapping[str, Any], history: pd.DataFrame, predictions: pd.DataFrame) -> Path:
    """Write the results into a partial run's folder, give it its final name, replacing an older run, and only then
    remove what an interrupted training would need."""
    (partial / "metrics.json").write_text(json.dumps(metrics, indent=1))
    history.to_csv(partial / "history.csv", index=False)
    predictions.to_parquet(partial / "predictions.parquet", index=False, compression="zstd")
    if (epochs := partial / "epochs").is_dir():
        numbers = range(1, metrics["epochs"] + 1)
        joined = pd.concat([pd.read_parquet(epochs / f"epoch-{number:02}.parquet") for number in numbers])
        joined.to_parquet(partial / "epochs.parquet", index=False, compression="zstd")
    final = partial.with_name(partial.name.removeprefix(".").removesuffix(".partial"))
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    _tidy(final)
    return final


def _tidy(folder: Path) -> None:
    for name in ("checkpoints", "epochs"):  # which a training leaves until its run is complete
        shutil.rmtree(folder / name, ignore_errors=True)


@contextlib.contextmanager
def sound(folder: Path, names: Sequence[str], remedy: str) -> Iterator[None]:
    """`ParamsError`, with what to do, if `folder` lacks one of the files `names`, or reading them fails."""
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ParamsError(f"{folder} is not complete, missing {', '.join(missing)}: {remedy}.")
    try:
        yield
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        problem = f"{folder} is damaged or of another version ({' '.join(str(error).split()).removesuffix('.')})"
        raise ParamsError(f"{problem}: {remedy}.") from None


def read(folder: Path) -> Run:
    """The run in `folder`, with or without its model; `ParamsError` names what is missing or damaged."""
    with sound(folder, FILES, "train it again"):
        params, metrics = _read_params(folder), json.loads((folder / "metrics.json").read_text())
        history, predictions = pd.read_csv(folder / "history.csv"), pd.read_parquet(folder / "predictions.parquet")
        if len(history) != metrics["epochs"]:
            raise ValueError(f"history.csv has {len(history)} of {metrics['epochs']} epochs")
        if params.training.every_epoch:
            parquet.read_metadata(folder / "epochs.parquet")
        return Run(folder.parent.name, params, metrics, history, predictions, folder)


@cache
def code() -> str:
    """Hexadecimal digest of what `MODULES` do; comments and layout do not count."""
    folder = Path(__file__).parent
    return digest(ast.dump(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))) for name in MODULES)


def is_of_other_code(folder: Path) -> bool:
    """Whether the run in `folder` was trained by another revision than `code`; False where that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "environment.json").read_text()).get("code") != code()
    return False


def _by_seed(params: Params) -> Path:
    """``runs/<profile>/<system>/seed-<n>``, by which the name of a run begins."""
    name = params.variant
    unseeded = _science(params.model_copy(update={"seed": 0}))
    if unseeded != _science(load(params.profile, params.variant, 0)):
        name += f"-{digest([unseeded], 4)}"
    return project_root() / "runs" / params.profile / name / f"seed-{params.seed}"


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def _science(params: Params) -> str:
    """The parameters as text, without where the corpus lies on this machine and what a run's inputs tell."""
    values = params.model_dump(mode="json", exclude={"training": {"checkpointing", "processes", "deterministic"}})
    return yaml.safe_dump(values | {"corpus": values["corpus"] | {"path": "."}}, sort_keys=False)


def _identity(params: Params, inputs: Mapping[str, str]) -> list[str]:
    return [_science(params), *(f"{name} {value}" for name, value in sorted(inputs.items()))]


def _identity_of(folder: Path) -> list[str] | None:
    """`_identity` of the run in a folder, complete or not; None where it cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, yaml.YAMLError):
        return _identity(_read_params(folder), json.loads((folder / "environment.json").read_text())["inputs"])
    return None


def _read_params(folder: Path) -> Params:
    return validate(yaml.safe_load((folder / "params.yaml").read_text()))


def _environment() -> dict[str, Any]:
    import torch  # only now, since it takes seconds, and who looks for runs need not wait

    commit, git = None, ["git", "rev-parse", "HEAD"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):  # no git on this machine, or no clone
        commit = subprocess.check_output(git, stderr=subprocess.DEVNULL, text=True, cwd=project_root()).strip()
    packages = ("torch", "transformers", "accelerate", "numpy", "pandas", "scipy")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "code": code(),
        "git_revision": commit,
    }
