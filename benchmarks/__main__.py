"""``python -m benchmarks [part ...]`` measures and writes ``benchmarks/results.json``; see `PARTS`. With ``--tiny`` it
tries with small models whether everything runs, and writes nothing.

The file has for each device, ``cpu`` and ``cuda``, and each part the ``machine`` that it was measured on and tidy
``rows``: ``size``, ``way``, ``precision``, ``measure``, ``value`` (the median over rounds), ``low`` and ``high`` (their
range). Parts that are not measured stay as they are. Ways of a part are timed in turn, so that what else the machine
does affects all.
"""

import argparse
import contextlib
import dataclasses
import functools
import gc
import json
import multiprocessing
import os
import platform
import re
import signal
import socket
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
from torch.utils.data import DataLoader
from tqdm import tqdm

from benchmarks import models
from benchmarks.models import WAYS, batches, build, step_memory, training_step, way
from sercore import ATTRIBUTES, corpora, params
from sercore.batches import collate
from sercore.disk import complete_file
from sercore.encoders import DEVICE
from sercore.exact_ccc import first_pass, second_pass
from sercore.features import Features, pretrained_features
from sercore.model import AttributeModel
from sercore.network.encoders import AudioInputs
from sercore.sums import speaker_sums
from simulation.significance import bootstrap_interval

TARGET = Path(__file__).with_name("results.json")
GPU = DEVICE.type == "cuda"
BATCH = {"small": 8, "base-plus": 4, "large, 4 layers": 4}
PEAKS = {"NVIDIA H200": 989e12, "NVIDIA H100 80GB HBM3": 989e12, "NVIDIA A100-SXM4-80GB": 312e12}
"""Floating-point operations a second in bfloat16, of dense matrices, by NVIDIA's data sheets."""
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
    return float(norm(one - other) / norm(other))


def step(size: str, lora: int | None = None, rounds: int = 5) -> list[Row]:
    """A training step in each of `WAYS`: time, memory, and how far its gradient is from the plain one in float32."""
    rows: list[Row] = []
    reference: dict[str, np.ndarray] = {}
    for precision in ("float32", "bfloat16") if GPU else ("float32",):
        keys = {"size": size, "precision": precision}
        built = {name: way(name, size, lora) for name in WAYS}
        data = {kind: batches(size, BATCH[size], kind) for kind in ("audio", "features")}
        steps = {name: training_step(built[name], data[kind], precision) for name, (kind, _) in WAYS.items()}
        for name, run in steps.items():
            run()
            if lora is None:  # transformers' WavLM reads past the adapters of its attention
                rows.append(row(name, "distance of the gradient", distance(built[name], reference), **keys))
            arguments = (name, size, BATCH[size], lora, precision)
            if GPU:  # which counts its memory itself
                memory = step_memory(*arguments)
            else:
                tiny = models.shrink if models.LONGEST[0] == 1 else None  # a new process has the sizes of the module
                with multiprocessing.get_context("spawn").Pool(1, tiny) as alone:
                    memory = alone.apply(step_memory, arguments)
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
    keys = {"size": "small", "precision": "float32"}
    rows: list[Row] = []
    reference: dict[str, np.ndarray] = {}
    for name, run in ways.items():
        model.zero_grad()
        run()
        rows.append(row(name, "distance of the gradient", distance(model, reference), **keys))
    return rows + ratios(timed(ways, 3), "one batch", **keys)


def kept_for_backward() -> list[Row]:
    """What a training step in bfloat16 keeps between its passes, at the width of large models with few layers."""
    rows = []
    for size, lora in (("large", None), ("large", 8), ("whisper-large", None), ("whisper-large", 8)):
        for name, checkpointing in (("all together", False), ("with checkpointing", True)):
            keys = {"size": size + (", LoRA" if lora else ""), "precision": "bfloat16"}
            by_layer, else_ = models.kept_for_backward(size, lora, checkpointing)
            rows.append(row(name, "kB a frame and layer", by_layer, **keys))
            rows.append(row(name, "kB a frame, all else", else_, **keys))
    return rows


def msp_podcast() -> list[Row]:
    """Steps at the sizes of ``params/msp_podcast.yaml``: 32 utterances, bfloat16. A step of LoRA has two thirds of the
    operations of fine-tuning, of a frozen encoder a third, whatever is computed again."""
    rows: list[Row] = []
    for lora in (None, 8):
        for name in ("all together", "with checkpointing", "packed", "plain", "exact_ccc, 4 parts")[: 2 if lora else 5]:
            rows += _at_scale("large", name, lora)
    for name in ("all together", "packed"):  # hidden states from disk, or computed from spectrograms in every step
        rows += _at_scale("whisper-large", name, None, finetune=False)
    return rows


def _at_scale(size: str, name: str, lora: int | None, finetune: bool = True) -> list[Row]:
    settings = yaml.safe_load(Path("params/msp_podcast.yaml").read_text())["training"]
    precision, count, parts = settings["precision"], settings["batch_size"], 4 if name == "exact_ccc, 4 parts" else 1
    kind = "all together" if parts > 1 else name
    keys = {"size": size + (", LoRA" if lora else "" if finetune else ", frozen"), "precision": precision}
    gc.collect()
    torch.cuda.empty_cache()  # nothing without a GPU
    try:
        model = way(kind, size, lora, finetune)
        data = batches(size, count // parts, WAYS[kind][0], max(parts, 3), finetune)
        run, peaks = training_step(model, data, precision, parts), []
        run()
        if GPU:
            torch.cuda.reset_peak_memory_stats()
        seconds = timed({name: run}, 3)[name]
        if GPU:
            peaks = [row(name, "peak memory (MiB)", torch.cuda.max_memory_allocated() / 2**20, **keys)]
        frames = sum(_frames(model, batch) for batch in data) * parts / len(data)
        rows = [row(name, "seconds", seconds, **keys), *peaks]
        rows.append(row(name, "frames a second", np.divide(frames, seconds), **keys))

        def predict() -> None:
            with torch.no_grad(), models.autocast(precision):
                model.eval()(**data[0])

        predicted = np.divide(_frames(model, data[0]), timed({name: predict}, 3)[name])
        rows.append(row(name, "predicted frames a second", predicted, **keys))
        if (kind == "all together") == finetune:  # what the encoder's layers compute, and each of them once
            every = sum(models.flops(model, batch) for batch in data) * parts / len(data)
            every *= (2 if lora else 3) if finetune else 1
            rows.append(row(name, "TFLOP/s", np.divide(every / 1e12, seconds), **keys))
            if peak := PEAKS.get(torch.cuda.get_device_name() if GPU else ""):
                rows.append(row(name, "share of the GPU's peak", np.divide(every / peak, seconds), **keys))
        return rows
    except torch.cuda.OutOfMemoryError:
        return [row(name, "out of memory", 1, **keys)]


def _frames(model: AttributeModel, batch: dict[str, torch.Tensor]) -> int:
    """Frames of the speech encoder in a batch."""
    if "frames" in batch:
        return int(batch["frames"].sum())
    return int(model.speech.frozen_part(batch["audio"], batch["samples"])[1].sum())


def reading() -> list[Row]:
    """Utterances a second that are read, or prepared for Whisper; transformers' own log-mel is that of 30 s."""
    from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    rows, generator = [], np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder, paths = Path(name), []
        for number, seconds in enumerate(models.seconds_of(256, 0)):
            paths.append(folder / f"{number}.wav")
            _record(paths[-1], seconds, generator)
        kinds = {"waveforms": Wav2Vec2FeatureExtractor(), "log-mel": WhisperFeatureExtractor(feature_size=128)}
        for kind, extractor in kinds.items():
            extractor.save_pretrained(folder / kind)
            features = Features(paths, 15.0, AudioInputs(str(folder / kind)))
            ways = {"1 process": _reader(features, 0)}
            if (os.cpu_count() or 1) >= 8:
                ways |= {"8 processes": _reader(dataclasses.replace(features, paths=paths * 8), 8)}
            if kind == "log-mel":
                whole = Features(paths, 15.0, functools.partial(_whole_window, extractor))  # type: ignore[arg-type]
                kept = [features[place]["audio"].numpy().astype(np.float16) for place in range(len(features))]
                np.concatenate(kept).tofile(folder / "values")
                ends = np.cumsum([len(each) for each in kept])
                mapped = np.memmap(folder / "values", np.float16, "r").reshape(-1, 128)
                spectrograms = [mapped[end - len(each) : end] for end, each in zip(ends, kept, strict=True)]
                ways |= {"transformers' own, 1 process": _reader(whole, 0)}
                ways |= {"kept, 1 process": _reader(dataclasses.replace(features, spectrograms=spectrograms), 0)}
            for name, taken in timed(ways, 1).items():
                count = len(paths) * (8 if name == "8 processes" else 1)
                rows.append(row(name, "utterances a second", np.divide(count, taken), size=kind))
    return rows


def _reader(features: Features, workers: int) -> Callable[[], Any]:
    loader = DataLoader(features, 32, collate_fn=collate, num_workers=workers)  # type: ignore[arg-type]
    return lambda: [None for _ in loader]


def _whole_window(extractor: Any, waveform: np.ndarray) -> torch.Tensor:
    return extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_features[0].mT


def release() -> list[Row]:
    """Reading a release as large as a real one, laid out with files of .3 s, and caching what a small encoder makes of
    it."""
    generator, count = np.random.default_rng(0), models.RELEASE[0]
    table = pd.DataFrame(generator.uniform(1, 7, (count, 3)).round(3), columns=["EmoAct", "EmoVal", "EmoDom"])
    table["SpkrID"], table["EmoClass"] = table.index % 1000, generator.choice(list("ASHUFDCNOX"), count)
    table["Split_Set"] = table["SpkrID"].map(lambda speaker: "Train" if speaker < 800 else "Development")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "Audios").mkdir()
        (root / "Labels").mkdir()
        for number in table.index:
            _record(root / "Audios" / f"{number:06}.wav", generator.uniform(0.25, 0.35), generator)
        table.assign(FileName=table.index.map("{:06}.wav".format)).to_csv(root / "Labels" / "labels_consensus.csv")
        _link(root)
        with contextlib.chdir(root):  # where the cache is then
            speech = {"encoder": "models/wavlm-nano", "finetune": True}
            run = params.load("msp_podcast", "speech_only", 0, {"corpus": {"path": name}, "speech": speech})
            found = []
            for again in ("", ", again"):
                start = time.perf_counter()
                corpus = corpora.read(run.corpus, run.seed)
                read = time.perf_counter()
                pretrained_features(run, corpus.table)
                found.append(row(f"read{again}", "seconds", read - start, size=f"{count:,} files"))
                found.append(row(f"cached{again}", "seconds", time.perf_counter() - read, size=f"{count:,} files"))
            return found


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
        return [row("killed and resumed", "largest difference of a prediction", _difference(*projects))]


def two_processes() -> list[Row]:
    """A training by two processes that share the device, each with half of every batch, beside one by one process."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        projects = [_project(Path(folder, name)) for name in ("one", "two")]
        free.bind(("", 0))
        found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
        free.close()
        _train(projects[0], "whisper_finetuned").wait()
        halves = "{batch_size: 8, exact_ccc: true, checkpointing: true}"
        both = [
            _train(projects[1], "whisper_finetuned", halves, found | {"RANK": rank, "LOCAL_RANK": "0"})
            for rank in ("0", "1")
        ]
        try:
            codes = [process.wait(timeout=240) for process in both]
        finally:
            for process in both:
                process.kill()
        if any(codes):
            raise RuntimeError(f"the processes ended with {codes}")
        return [row("two processes", "largest difference of a prediction", _difference(*projects))]


def _difference(*projects: Path) -> float:
    """Largest difference of the predictions of the runs of two projects."""
    tables = [pd.read_parquet(next(project.glob("runs/*/*/seed-0*/predictions.parquet"))) for project in projects]
    columns = [name for name in tables[0] if name.startswith("predicted_")]
    return float(np.abs(tables[0][columns].to_numpy() - tables[1][columns].to_numpy()).max())


def _project(root: Path) -> Path:
    """A project with this one's parameters and models, and a manifest of noise."""
    root.mkdir()
    _link(root)
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.uniform(1, 7, (160, 3)).round(2), columns=[*ATTRIBUTES])
    table["split"] = ["train", "train", "development", "test1"] * 40
    table["speaker"] = table["split"] + (table.index % 20).astype(str)
    for number, arousal in table["arousal"].items():
        _record(root / f"{number}.wav", generator.uniform(1, 3), generator, 0.01 * arousal)
    table.assign(path=table.index.map("{}.wav".format)).to_csv(root / "corpus.csv", index_label="utterance")
    return root


def _link(root: Path) -> None:
    """Make `root` a project with this one's parameters and models."""
    for name in ("params", "models"):
        (root / name).symlink_to(Path(name).resolve())


def _record(path: Path, seconds: float, generator: np.random.Generator, level: float = 0.1) -> None:
    """Write so many seconds of noise."""
    import soundfile

    soundfile.write(path, generator.normal(0, level, int(16_000 * seconds)), 16_000)


TRAIN = """
from functools import partial
from accelerate import PartialState
from torch.cuda import is_available
from sercore import __main__, training
PartialState(cpu=not is_available(), backend="gloo")  # NCCL wants a GPU for each process
training.TrainingArguments = partial(training.TrainingArguments, ddp_backend="gloo")
__main__.main()
"""


def _train(
    project: Path, variant: str = "speech_only", training: str = "{batch_size: 16}", others: Mapping[str, str] = {}
) -> subprocess.Popen:
    """A process that trains a system on noise; with `others` in its environment one of several that train it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    overrides = """{corpus: {reader: manifest, path: corpus.csv}, training: {epochs: 12}, heads: {dropout: 0.0},
        sampling: {samples_per_emotion: null, validation_per_emotion: null}}"""
    overrides = overrides.replace("{epochs: 12}", "{epochs: 12, " + training[1:])
    command = ["-c", TRAIN] if others else ["-m", "sercore"]
    command += ["train", "embedded", variant, "0", "--overrides", overrides]
    return subprocess.Popen([sys.executable, *command], cwd=project, env=environment | dict(others))


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
    "kept for the backward pass": kept_for_backward,
    "reading": reading,
    "release": release,
    "killed and resumed": resumed,
    "two processes": two_processes,
    "intervals": intervals,
    "msp_podcast": msp_podcast,
}
"""All parts; intervals and the release are of a CPU alone, the last is of a GPU, on which one call takes minutes."""


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
    parser.add_argument("--tiny", action="store_true", help="try all with small models, and write nothing")
    given = parser.parse_args()
    if given.tiny:
        models.shrink()
    torch.backends.cudnn.allow_tf32 = False  # with which float32 would have three digits
    of_others = set() if given.tiny else {"intervals", "release"} if GPU else {"msp_podcast"}
    chosen = given.parts or [name for name in PARTS if name not in of_others]
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"unknown part {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    failed = []
    for name in chosen:
        start = time.perf_counter()
        try:
            rows = PARTS[name]()
        except Exception as error:  # one part that fails costs no other
            rows = [{"measure": "failed", "way": f"{type(error).__name__}: {error}"}]
            failed.append(name)
        print(f"{name}: {time.perf_counter() - start:.0f} s\n{pd.DataFrame(rows).to_string()}", flush=True)
        if given.tiny:
            continue
        content = json.loads(TARGET.read_text()) if TARGET.is_file() else {}
        content.setdefault(DEVICE.type, {})[name] = {"machine": machine(), "rows": rows}
        complete_file(TARGET, methodcaller("write_text", json.dumps(content, indent=1) + "\n"))
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed, as the rows above say.")


if __name__ == "__main__":
    main()
