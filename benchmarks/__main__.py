"""``python -m benchmarks [part ...]`` measures and writes ``benchmarks/results.json``; see `PARTS`.

The file has an entry for each device, ``cpu`` and ``cuda``, with the ``machine`` and tidy ``rows``: ``part``, ``size``,
``way``, ``precision``, ``measure``, ``value`` (the median over rounds), ``low`` and ``high`` (their range). Parts that
are not measured stay as they are. Ways of a part are timed in turn, so that what else the machine does affects all.
"""

import argparse
import functools
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor
from torch.utils.benchmark import Timer
from tqdm import tqdm

from benchmarks.models import WAYS, autocast, batches, build, step_memory, training_step, way
from sercore.cache import complete_file
from sercore.encoders import DEVICE
from sercore.fast.exact_ccc import first_pass, second_pass
from sercore.model import AttributeModel
from sercore.significance import bootstrap_interval

TARGET = Path(__file__).with_name("results.json")
GPU = DEVICE.type == "cuda"
BATCH = {"small": 8, "base-plus": 4, "large, 4 layers": 4}
Row = dict[str, Any]


def timed(steps: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step, `rounds` times in turn, after one that warms up."""
    threads = torch.get_num_threads()
    timers = {name: Timer("step()", globals={"step": step}, num_threads=threads) for name, step in steps.items()}
    turns = [[timer.timeit(1).mean for timer in timers.values()] for _ in tqdm(range(rounds + 1), desc="rounds")]
    return {name: [turn[place] for turn in turns[1:]] for place, name in enumerate(timers)}


def ratios(found: Mapping[str, list[float]], reference: str, **keys: Any) -> list[Row]:
    """Rows of the seconds of each way, and how many times as fast as the reference it is, round by round."""
    rows = []
    for name, seconds in found.items():
        rows.append(row(name, "seconds", seconds, **keys))
        rows.append(row(name, "times as fast", np.divide(found[reference], seconds), **keys))
    return rows


def row(way: str, measure: str, values: Any, **keys: Any) -> Row:
    """A row with median and range of `values`, to four digits."""
    numbers = {"value": np.median(values), "low": np.min(values), "high": np.max(values)}
    return keys | {"way": way, "measure": measure} | {name: float(f"{one:.4g}") for name, one in numbers.items()}


def gradient(model: AttributeModel) -> Tensor:
    """All gradients, behind each other by the names of the parameters."""
    found = {name.replace("speech.", ""): one.grad for name, one in model.named_parameters()}
    return torch.cat([found[name].float().flatten() for name in sorted(found) if found[name] is not None])


def distance(one: Tensor, other: Tensor) -> float:
    """Distance of two gradients, relative to the other's length."""
    return float((one - other).norm() / other.norm())


# Parts


def step(size: str, lora: int | None = None, rounds: int = 5) -> list[Row]:
    """A training step in each of `WAYS`: time, memory, and how far the loss is from the plain one."""
    keys = {"size": size, "precision": "float32"}
    steps = {
        name: training_step(way(name, size, lora), batches(size, BATCH[size], kind)) for name, (kind, _) in WAYS.items()
    }
    losses = {name: float(each()) for name, each in steps.items()}
    rows = ratios(timed(steps, rounds), "plain", **keys)
    for name in WAYS:
        rows.append(row(name, "difference of the loss", abs(losses[name] - losses["plain"]), **keys))
        rows.append(row(name, "memory (MiB)", step_memory(name, size, BATCH[size], lora), **keys))
    return rows


def exact_ccc() -> list[Row]:
    """Gradient of an update whose batch is spread over accumulation steps, beside that of the whole batch."""
    model, parts = build("small"), batches("small", 8, "features", 4)
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def averaged() -> None:
        for part in parts:
            (model(**part).loss / len(parts)).backward()

    def exact() -> None:
        known = first_pass(model, model.loss, parts, torch.Tensor.clone, rank=0)
        for part, one in zip(parts, known, strict=True):
            second_pass(model, part, one).backward()

    ways = {"one batch": lambda: model(**whole).loss.backward(), "averaged over steps": averaged, "exact_ccc": exact}
    gradients, rows = {}, ratios(timed(ways, 3), "one batch", size="small", precision="float32")
    for name, run in ways.items():
        model.zero_grad()
        run()
        gradients[name] = gradient(model)
        off = distance(gradients[name], gradients["one batch"])
        rows.append(row(name, "distance of the gradient", off, size="small", precision="float32"))
    return rows


def equality() -> list[Row]:
    """Gradients of the plain way and of all together, in float32 and bfloat16, beside the plain way's in float32."""
    rows = []
    for size in ("small", "large, 4 layers"):
        reference = torch.empty(0)
        for name, precision in product(("plain", "all together"), ("float32", "bfloat16") if GPU else ("float32",)):
            model, data = way(name, size), batches(size, 4, WAYS[name][0], 1)[0]
            with autocast(precision):
                loss = model(**data).loss
            loss.backward()
            found = gradient(model)
            reference = reference if len(reference) else found
            off = distance(found, reference)
            rows.append(row(name, "distance of the gradient", off, size=size, precision=precision))
    return rows


def msp_podcast() -> list[Row]:
    """A step at the sizes of ``params/msp_podcast.yaml``: WavLM-Large, 32 utterances, bfloat16."""
    rows, settings = [], yaml.safe_load(Path("params/msp_podcast.yaml").read_text())["training"]
    precision, count = settings["precision"], settings["batch_size"]
    for name, (size, parts) in {
        "all together": (count, 1),
        "8 utterances, 4 steps": (count // 4, 4),
        "plain": (count, 1),
    }.items():
        kind = "plain" if name == "plain" else "all together"
        keys = {"size": "large", "precision": precision}
        try:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            run = training_step(way(kind, "large"), batches("large", size, WAYS[kind][0], parts), precision, parts)
            seconds = timed({name: run}, 3)[name]
            peak = torch.cuda.max_memory_allocated() / 2**20
            rows += [row(name, "seconds", seconds, **keys), row(name, "peak memory (MiB)", peak, **keys)]
        except torch.cuda.OutOfMemoryError:
            rows.append(row(name, "out of memory", 1, **keys))
    return rows


def resumed() -> list[Row]:
    """A short training that is killed after its first checkpoint and resumed, beside one that is not interrupted."""
    with tempfile.TemporaryDirectory() as folder:
        projects = [_project(Path(folder, name)) for name in ("whole", "killed")]
        _train(projects[0]).wait()
        first = _train(projects[1])
        while first.poll() is None and not list(projects[1].glob("runs/*/*/.*/checkpoints/*/trainer_state.json")):
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        _train(projects[1]).wait()
        tables = [pd.read_parquet(next(project.glob("runs/*/*/seed-0/predictions.parquet"))) for project in projects]
    columns = [name for name in tables[0] if name.startswith("predicted_")]
    difference = float(np.abs(tables[0][columns].to_numpy() - tables[1][columns].to_numpy()).max())
    return [row("killed and resumed", "largest difference of a prediction", difference)]


def _project(root: Path) -> Path:
    """A project with this one's parameters and models, and a manifest of noise."""
    import soundfile

    root.mkdir()
    for name in ("params", "models"):
        (root / name).symlink_to(Path(name).resolve())
    generator, rows = np.random.default_rng(0), []
    for number in range(160):
        split = ("train", "train", "development", "test1")[number % 4]
        values = generator.uniform(1, 7, 3).round(2)
        noise = generator.normal(0, 0.01 * values[0], int(16_000 * generator.uniform(1, 3)))
        soundfile.write(root / f"{number}.wav", noise, 16_000)
        keys = {"utterance": str(number), "path": f"{number}.wav", "split": split, "speaker": f"{split}{number % 20}"}
        rows.append(keys | dict(zip(("arousal", "valence", "dominance"), values, strict=True)))
    pd.DataFrame(rows).to_csv(root / "corpus.csv", index=False)
    return root


def _train(project: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    overrides = """{corpus: {reader: manifest, path: corpus.csv}, training: {epochs: 12, batch_size: 16},
        sampling: {samples_per_emotion: null, validation_per_emotion: null}}"""
    command = [sys.executable, "-m", "sercore", "train", "embedded", "speech_only", "0", "--overrides", overrides]
    return subprocess.Popen(command, cwd=project, env=environment)


def intervals() -> list[Row]:
    """10,000 resamples of 400 speakers, 3 attributes: sums beside other ways, extrapolated from fewer resamples."""
    import audmetric
    from confidence_intervals import evaluate_with_conf_int

    generator, speakers = np.random.default_rng(0), np.repeat(np.arange(400), 75)
    gold = generator.normal(4, 1, (len(speakers), 3))
    predicted = gold + generator.normal(0, 1, gold.shape)
    by_speaker = np.arange(len(gold)).reshape(400, 75)

    def mean_ccc(y: np.ndarray, x: np.ndarray) -> float:
        return float(np.mean([audmetric.concordance_cc(x[:, column], y[:, column]) for column in range(3)]))

    def loop(resamples: int) -> None:
        for _ in range(resamples):
            chosen = by_speaker[generator.integers(400, size=400)].ravel()
            mean_ccc(predicted[chosen], gold[chosen])

    def sums(resamples: int) -> None:
        bootstrap_interval(gold, predicted, speakers, generator=generator, resamples=resamples)

    def library(resamples: int) -> None:
        evaluate_with_conf_int(predicted, mean_ccc, labels=gold, conditions=speakers, num_bootstraps=resamples)

    ways = {"sercore.significance": sums, "loop over audmetric": loop, "confidence_intervals": library}
    counts = dict(zip(ways, (10_000, 20, 10), strict=True))
    found = timed({name: functools.partial(run, counts[name]) for name, run in ways.items()}, 3)
    scaled = {name: [each * 10_000 / counts[name] for each in seconds] for name, seconds in found.items()}
    return ratios(scaled, "confidence_intervals", size="400 speakers", precision="float64")


PARTS: dict[str, Callable[[], list[Row]]] = {
    "equality": equality,
    "exact CCC": exact_ccc,
    "step, small": functools.partial(step, "small"),
    "step, base-plus": functools.partial(step, "base-plus", rounds=3),
    "step, large": functools.partial(step, "large, 4 layers", rounds=3),
    "LoRA step, base-plus": functools.partial(step, "base-plus", lora=8, rounds=3),
    "killed and resumed": resumed,
    **({"msp_podcast": msp_podcast} if GPU else {"intervals": intervals}),
}
"""All parts; those of the GPU alone and of the CPU alone last."""


def machine() -> dict[str, Any]:
    """Processor, GPU and versions."""
    information = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    named = re.search(r"^model name\s*: (.+)$", information, re.MULTILINE)
    found = {"processor": named[1] if named else platform.machine(), "cores": os.cpu_count()}
    found |= {"threads": torch.get_num_threads(), "python": platform.python_version()}
    found |= {package: version(package) for package in ("torch", "transformers", "numpy")}
    return found | ({"gpu": torch.cuda.get_device_name()} if GPU else {})


def main() -> None:
    """Measure the chosen parts, and write the file after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and write results.json.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; by default all")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"unknown part {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    for name in chosen:
        start = time.perf_counter()
        try:
            rows = PARTS[name]()
        except Exception as error:  # one part that fails costs no other
            rows = [{"measure": "failed", "way": f"{type(error).__name__}: {error}"}]
        content = json.loads(TARGET.read_text()) if TARGET.is_file() else {}
        entry = content.get(DEVICE.type, {"rows": []})
        kept = [row for row in entry["rows"] if row["part"] != name]
        content[DEVICE.type] = {"machine": machine(), "rows": kept + [{"part": name} | row for row in rows]}
        text = json.dumps(content, indent=1) + "\n"
        complete_file(TARGET, lambda partial, text=text: partial.write_text(text))
        print(f"{name}: {time.perf_counter() - start:.0f} s\n{pd.DataFrame(rows).to_string()}", flush=True)


if __name__ == "__main__":
    main()
