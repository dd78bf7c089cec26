"""``python -m benchmarks [part ...]`` measures and writes ``benchmarks/results.json``; see `PARTS`.

The file has an entry for each device, ``cpu`` and ``cuda``, with the ``machine`` and tidy ``rows``: ``part``, ``size``,
``way``, ``precision``, ``measure``, ``value`` (the median over rounds), ``low`` and ``high`` (their range). Parts that
are not measured stay as they are. Ways of a part are timed in turn, so that what else the machine does affects all.
"""

import argparse
import functools
import json
import multiprocessing
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
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.linalg import norm
from torch.utils.benchmark import Timer
from tqdm import tqdm

from benchmarks.models import WAYS, batches, build, step_memory, training_step, way
from sercore import ATTRIBUTES
from sercore.disk import complete_file
from sercore.encoders import DEVICE
from sercore.fast.exact_ccc import first_pass, second_pass
from sercore.model import AttributeModel
from sercore.sums import speaker_sums
from study.chapters.significance import bootstrap_interval

TARGET = Path(__file__).with_name("results.json")
GPU = DEVICE.type == "cuda"
BATCH = {"small": 8, "base-plus": 4, "large, 4 layers": 4}
Row = dict[str, Any]


def timed(steps: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step, `rounds` times in turn; a timer warms up each time."""
    threads = torch.get_num_threads()
    timers = {name: Timer("step()", globals={"step": step}, num_threads=threads) for name, step in steps.items()}
    turns = [[timer.timeit(1).mean for timer in timers.values()] for _ in tqdm(range(rounds), desc="rounds")]
    return {name: [turn[place] for turn in turns] for place, name in enumerate(timers)}


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


def distance(model: AttributeModel, reference: dict[str, np.ndarray]) -> float:
    """Distance of a model's gradient from `reference`, which is filled if it is empty, relative to its length."""
    named = ((name.replace("speech.", ""), one.grad) for name, one in model.named_parameters())
    found = {name: grad.float().flatten().cpu().numpy() for name, grad in named if grad is not None}
    reference.update({} if reference else found)
    one, other = (np.concatenate([each[name] for name in reference]) for each in (found, reference))
    return norm(one - other) / norm(other)


def step(size: str, lora: int | None = None, rounds: int = 5) -> list[Row]:
    """A training step in each of `WAYS`: time, memory, and how far its gradient is from the plain one in float32."""
    rows, reference = [], {}
    for precision in ("float32", "bfloat16") if GPU else ("float32",):
        keys = {"size": size, "precision": precision}
        models = {name: way(name, size, lora) for name in WAYS}
        data = {kind: batches(size, BATCH[size], kind) for kind in ("audio", "features")}
        steps = {name: training_step(models[name], data[kind], precision) for name, (kind, _) in WAYS.items()}
        for name, run in steps.items():
            run()
            if lora is None:  # transformers' WavLM reads past the adapters of its attention
                rows.append(row(name, "distance of the gradient", distance(models[name], reference), **keys))
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                memory = alone.apply(step_memory, (name, size, BATCH[size], lora, precision))
            rows.append(row(name, "memory (MiB)", memory, **keys))
        rows += ratios(timed(steps, rounds), "plain", **keys)
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
    rows, reference, keys = [], {}, {"size": "small", "precision": "float32"}
    for name, run in ways.items():
        model.zero_grad()
        run()
        rows.append(row(name, "distance of the gradient", distance(model, reference), **keys))
    return rows + ratios(timed(ways, 3), "one batch", **keys)


def msp_podcast() -> list[Row]:
    """A step at the sizes of ``params/msp_podcast.yaml``: WavLM-Large, 32 utterances, bfloat16."""
    settings = yaml.safe_load(Path("params/msp_podcast.yaml").read_text())["training"]
    precision, count = settings["precision"], settings["batch_size"]
    ways = {"in 4 parts": ("all together", count // 4, 4)}
    ways |= {name: (name, count, 1) for name in ("all together", "plain")}
    rows, keys = [], {"size": "large", "precision": precision}
    for name, (kind, size, parts) in ways.items():
        try:
            torch.cuda.reset_peak_memory_stats()
            run = training_step(way(kind, "large"), batches("large", size, WAYS[kind][0], parts), precision, parts)
            rows.append(row(name, "seconds", timed({name: run}, 3)[name], **keys))
            rows.append(row(name, "peak memory (MiB)", torch.cuda.max_memory_allocated() / 2**20, **keys))
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
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.uniform(1, 7, (160, 3)).round(2), columns=[*ATTRIBUTES])
    table["split"] = ["train", "train", "development", "test1"] * 40
    table["speaker"] = table["split"] + (table.index % 20).astype(str)
    for number, arousal in table["arousal"].items():
        noise = generator.normal(0, 0.01 * arousal, int(16_000 * generator.uniform(1, 3)))
        soundfile.write(root / f"{number}.wav", noise, 16_000)
    table.assign(path=table.index.map("{}.wav".format)).to_csv(root / "corpus.csv", index_label="utterance")
    return root


def _train(project: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    overrides = """{corpus: {reader: manifest, path: corpus.csv}, training: {epochs: 12, batch_size: 16},
        sampling: {samples_per_emotion: null, validation_per_emotion: null}}"""
    command = [sys.executable, "-m", "sercore", "train", "embedded", "speech_only", "0", "--overrides", overrides]
    return subprocess.Popen(command, cwd=project, env=environment)


def intervals() -> list[Row]:
    """10,000 resamples of 400 speakers, 3 attributes: sums beside a loop, extrapolated from 20 resamples."""
    import audmetric

    generator, speakers = np.random.default_rng(0), np.repeat(np.arange(400), 75)
    gold = generator.normal(4, 1, (len(speakers), 3))
    predicted = gold + generator.normal(0, 1, gold.shape)

    def loop() -> None:
        for _ in range(20):
            chosen = np.arange(len(gold)).reshape(400, 75)[generator.integers(400, size=400)].ravel()
            [audmetric.concordance_cc(gold[chosen, column], predicted[chosen, column]) for column in range(3)]

    ways = {
        "sums": lambda: bootstrap_interval(speaker_sums(gold, predicted, speakers), generator=generator),
        "loop over audmetric": loop,
    }
    found = timed(ways, 3)
    found["loop over audmetric"] = [500 * seconds for seconds in found["loop over audmetric"]]
    return ratios(found, "loop over audmetric", size="400 speakers", precision="float64")


PARTS: dict[str, Callable[[], list[Row]]] = {
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
    name = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    found = {"processor": name[1] if name else platform.machine(), "cores": os.cpu_count()}
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
        complete_file(TARGET, methodcaller("write_text", json.dumps(content, indent=1) + "\n"))
        print(f"{name}: {time.perf_counter() - start:.0f} s\n{pd.DataFrame(rows).to_string()}", flush=True)


if __name__ == "__main__":
    main()
