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
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor
from torch.utils.benchmark import Timer
from tqdm import tqdm

from benchmarks.models import WAYS, autocast, batches, build, speech_config, step_memory, training_step, way
from sercore.encoders import DEVICE
from sercore.fast.exact_ccc import first_pass, second_pass
from sercore.significance import bootstrap_interval

TARGET = Path(__file__).with_name("results.json")
GPU = DEVICE.type == "cuda"
BATCH = {"small": 8, "base-plus": 4, "large, 4 layers": 4}
Row = dict[str, Any]


def timed(steps: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step, `rounds` times in turn, after one that warms up."""
    timers = {
        name: Timer("step()", globals={"step": step}, num_threads=torch.get_num_threads())
        for name, step in steps.items()
    }
    for timer in timers.values():
        timer.timeit(1)
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in tqdm(range(rounds), desc="rounds", leave=False):
        for name, timer in timers.items():
            found[name].append(timer.timeit(1).mean)
    return found


def ratios(found: Mapping[str, list[float]], reference: str, **keys: Any) -> list[Row]:
    """Rows of the seconds of each way, and how many times as fast as the reference it is, round by round."""
    rows = []
    for name, seconds in found.items():
        speed = np.divide(found[reference], seconds)
        rows.append(keys | {"way": name, "measure": "seconds"} | spread(seconds))
        rows.append(keys | {"way": name, "measure": "times as fast"} | spread(speed))
    return rows


def spread(values: Any) -> Row:
    """Median and range, to four digits."""
    numbers = {"value": np.median(values), "low": np.min(values), "high": np.max(values)}
    return {name: float(f"{number:.4g}") for name, number in numbers.items()}


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
        rows.append(
            keys | {"way": name, "measure": "difference of the loss"} | spread(abs(losses[name] - losses["plain"]))
        )
        rows.append(
            keys | {"way": name, "measure": "memory (MiB)"} | spread(step_memory(name, size, BATCH[size], lora))
        )
    return rows


def prediction(size: str, rounds: int = 5) -> list[Row]:
    """Prediction from the audio, the plain way and together."""
    models = {name: way(name, size).eval() for name in ("plain", "packed, own attention")}
    data = batches(size, 2 * BATCH[size], "audio", 1)[0]
    del data["attributes"]
    with torch.no_grad():
        found = timed({name: functools.partial(model, **data) for name, model in models.items()}, rounds)
    return ratios(found, "plain", size=size, precision="float32")


def exact_ccc() -> list[Row]:
    """Gradient of an update whose batch is spread over accumulation steps, beside that of the whole batch."""
    model, whole = build("small"), batches("small", 32, "features", 1)[0]
    ends = whole["frames"].cumsum(0)[7::8].tolist()
    starts = [0, *ends[:-1]]
    parts = [
        {"features": whole["features"][a:b], "frames": whole["frames"][8 * i : 8 * i + 8]}
        | {"attributes": whole["attributes"][8 * i : 8 * i + 8]}
        for i, (a, b) in enumerate(zip(starts, ends, strict=True))
    ]

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
        gradients[name] = torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])
        distance = (gradients[name] - gradients["one batch"]).norm() / gradients["one batch"].norm()
        rows.append({"size": "small", "way": name, "measure": "distance of the gradient"} | spread(float(distance)))
    return rows


def equality() -> list[Row]:
    """Output and gradients of all together beside the plain way's in float32, each in float32 and bfloat16."""
    rows = []
    for size in ("small", "large, 4 layers"):
        found = {
            (name, precision): _gradients(name, size, precision)
            for name in ("plain", "all together")
            for precision in (("float32", "bfloat16") if GPU else ("float32",))
        }
        for (name, precision), values in found.items():
            distance = (values - found["plain", "float32"]).norm() / found["plain", "float32"].norm()
            keys = {"size": size, "way": name, "precision": precision, "measure": "distance of the gradient"}
            rows.append(keys | spread(float(distance)))
    return rows


def _gradients(name: str, size: str, precision: str) -> Tensor:
    model, data = way(name, size), batches(size, 4, WAYS[name][0], 1)[0]
    with autocast(precision):
        loss = model(**data).loss
    loss.backward()
    parts = sorted((key.replace("speech.", ""), one) for key, one in model.named_parameters() if one.grad is not None)
    return torch.cat([one.grad.float().flatten() for _, one in parts if one.grad is not None])


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
        keys = {"size": "large", "precision": precision, "way": name}
        try:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            run = training_step(way(kind, "large"), batches("large", size, WAYS[kind][0], parts), precision, parts)
            seconds = timed({name: run}, 3)[name]
            peak = torch.cuda.max_memory_allocated() / 2**20
            rows.append(keys | {"measure": "seconds"} | spread(seconds))
            rows.append(keys | {"measure": "peak memory (MiB)"} | spread(peak))
        except torch.cuda.OutOfMemoryError:
            rows.append(keys | {"measure": "out of memory"} | spread(1))
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
    return [{"way": "killed and resumed", "measure": "largest difference of a prediction"} | spread(difference)]


def _project(root: Path) -> Path:
    """A project with a tiny encoder and a manifest of noise."""
    import soundfile
    from transformers import Wav2Vec2FeatureExtractor, WavLMModel

    (root / "params").mkdir(parents=True)
    shutil.copy("params/variants.yaml", root / "params")
    torch.manual_seed(0)
    WavLMModel(speech_config("tiny")).save_pretrained(root / "models" / "tiny")
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(root / "models" / "tiny")
    generator, rows = np.random.default_rng(0), []
    for number in range(160):
        split = ("train", "train", "development", "test1")[number % 4]
        values = generator.uniform(1, 7, 3).round(2)
        noise = generator.normal(0, 0.01 * values[0], int(16_000 * generator.uniform(1, 3)))
        soundfile.write(root / f"{number}.wav", noise, 16_000)
        keys = {"utterance": str(number), "path": f"{number}.wav", "split": split, "speaker": f"{split}{number % 20}"}
        rows.append(keys | dict(zip(("arousal", "valence", "dominance"), values, strict=True)))
    pd.DataFrame(rows).to_csv(root / "corpus.csv", index=False)
    profile = {
        "corpus": {"reader": "manifest", "path": str(root / "corpus.csv")},
        "encoders": {"wavlm": "models/tiny"},
        "speech": {"encoder": "wavlm", "finetune": True, "cache": True},
        "text": None,
        "speaker": None,
        "heads": {"width": 32},
        "loss": {},
        "sampling": {"samples_per_emotion": None, "validation_per_emotion": None},
        "training": {"epochs": 12, "batch_size": 16, "learning_rate": 1e-3},
    }
    (root / "params" / "benchmark.yaml").write_text(yaml.safe_dump(profile))
    return root


def _train(project: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "sercore", "train", "benchmark", "speech_only", "0"]
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

    ways: dict[str, tuple[int, Callable[[int], Any]]] = {
        "sercore.significance": (
            10_000,
            lambda n: bootstrap_interval(gold, predicted, speakers, generator=generator, resamples=n),
        ),
        "loop over audmetric": (20, loop),
        "confidence_intervals": (
            10,
            lambda n: evaluate_with_conf_int(predicted, mean_ccc, labels=gold, conditions=speakers, num_bootstraps=n),
        ),
    }
    found = timed({name: functools.partial(run, count) for name, (count, run) in ways.items()}, 3)
    scaled = {name: [each * 10_000 / ways[name][0] for each in seconds] for name, seconds in found.items()}
    return ratios(scaled, "confidence_intervals", size="400 speakers", precision="float64")


PARTS: dict[str, Callable[[], list[Row]]] = {
    "equality": equality,
    "exact CCC": exact_ccc,
    "step, small": functools.partial(step, "small"),
    "step, base-plus": functools.partial(step, "base-plus", rounds=3),
    "step, large": functools.partial(step, "large, 4 layers", rounds=3),
    "LoRA step, base-plus": functools.partial(step, "base-plus", lora=8, rounds=3),
    "prediction, small": functools.partial(prediction, "small"),
    "prediction, base-plus": functools.partial(prediction, "base-plus", rounds=3),
    "killed and resumed": resumed,
    **({"msp_podcast": msp_podcast} if GPU else {"intervals": intervals}),
}
"""All parts; those of the GPU alone and of the CPU alone last."""


def machine() -> dict[str, Any]:
    """Processor, cores, GPU and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found: dict[str, Any] = {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count()}
    found |= {"threads": torch.get_num_threads(), "python": platform.python_version()}
    for package in ("torch", "transformers", "numpy", "audmetric", "confidence_intervals"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | ({"gpu": torch.cuda.get_device_name()} if GPU else {})


def main() -> None:
    """Measure the chosen parts, and write the file after each."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, and write benchmarks/results.json."
    )
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
        TARGET.with_suffix(".partial").write_text(json.dumps(content, indent=1) + "\n")
        TARGET.with_suffix(".partial").rename(TARGET)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        print(pd.DataFrame(rows).to_string(), flush=True)


if __name__ == "__main__":
    main()
