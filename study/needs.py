"""What a study needs before anything starts: room on the disk, memory of a GPU, hours. See ``python -m study plan``.

Sizes follow from the encoders' configurations, the corpus's durations and what ``benchmarks`` measured. Hours are known
only where steps of that encoder were measured on this machine's kind of GPU. For a cluster, which ``CLUSTER`` in the
environment says, all systems are trained at once, on GPUs that are not known.
"""

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from transformers import AutoModel

from sercore import ge2e
from sercore.audio import SAMPLE_RATE
from sercore.cache import Ragged
from sercore.corpus import Corpus
from sercore.disk import cache_folder, readable
from sercore.features import kept_as
from sercore.hub import encoder_config, locate, quieten
from sercore.model import AttributeModel, room
from sercore.network.encoders import HIDDEN_STATES, SPECTROGRAMS
from sercore.params import Params, ParamsError, project_root
from sercore.sampling import choose
from study.plan import Plan, begun_runs, corpus_of, used_encoders

GB = 1e9
PER_FRAME = ("kB a frame and layer", "kB a frame, all else")
LARGE = {("wavlm", 1024, 24): "large", ("whisper", 1280, 32): "whisper-large"}  # how `benchmarks` calls encoders


def benchmarks() -> dict[str, Any]:
    """The content of ``benchmarks/results.json``: for each device and part its ``machine`` and ``rows``."""
    return json.loads((project_root() / "benchmarks" / "results.json").read_text(encoding="utf-8"))


def measured() -> pd.DataFrame:
    """The rows of all devices: ``device``, ``part``, ``size``, ``way``, ``precision``, ``measure``, ``estimate`` (the
    median over rounds), ``low`` and ``high`` (their range)."""
    parts = [
        pd.DataFrame(entry["rows"]).assign(device=device, part=part)
        for device, each in benchmarks().items()
        for part, entry in each.items()
    ]
    return pd.concat(parts, ignore_index=True).rename(columns={"value": "estimate"})


def needs(plan: Plan) -> tuple[pd.DataFrame, dict[str, float]]:
    """A row a condition and system of the plan; and of all together gigabytes that are ``free`` and, by kind, still to
    be written, without what this study has left. Not counted are corpora of other profiles, and small files."""
    quieten()
    free = shutil.disk_usage(cache_folder()).free + _bytes(cache_folder().glob(".partial-*"))
    kept: dict[Any, float] = dict.fromkeys(_kept_before(), 0)
    rows, encoders, seeds, partial = [], set(), plan.seeds(), set[Path]()
    for condition, variant in dict.fromkeys((condition, variant) for _, condition, variant in plan.jobs()):
        run = plan.parameters(variant, condition)
        corpus = corpus_of(run.corpus, run.seed)
        config = AttributeModel.configured(run, speakers=1, scale=corpus.scale)
        with torch.device("meta"):  # shapes alone
            model = AttributeModel(config)
        durations = corpus.table["duration"].clip(upper=run.speech.max_seconds)
        name, size = _kept(model, run, durations, kept, free)
        trained = sum(one.nbytes for one in model.parameters() if one.requires_grad)
        saved = room(model, checkpoints=0)
        copies = 3.5 if run.training.precision == "bfloat16" else 3  # gradients, Adam's moments, and autocast's own
        memory = sum(one.nbytes for one in model.parameters()) + copies * trained + _activations(model, run, durations)
        sizes = {"features (GB)": size, "models (GB)": len(seeds) * saved, "GPU memory (GB)": memory}
        sizes["checkpoints (GB)"] = room(model) - saved
        begun = [begun_runs(plan.parameters(variant, condition, seed)) for seed in seeds]
        partial |= {folder for folders in begun for folder in folders if folder.name.startswith(".")}
        missing = sum(partial.issuperset(folders) for folders in begun)
        row = {"condition": condition, "system": variant, "runs": len(seeds), "to train": missing}
        row["keeps of speech"] = name
        row |= {name: size / GB for name, size in sizes.items()}
        rows.append(row | {"hours": len(seeds) * _seconds(model, run, corpus, name) / 3600})
        encoders |= set(used_encoders(run))
    table, at_once = pd.DataFrame(rows), torch.cuda.device_count() or os.cpu_count() or 1  # as the graph trains
    wanted = table[table["to train"] > 0]
    checkpoints = wanted["checkpoints (GB)"].nlargest(len(wanted) if os.environ.get("CLUSTER") else at_once).sum()
    total = {"free": free / GB, "features": sum(kept.values()) / GB}
    total["models"] = (table["models (GB)"] * table["to train"] / table["runs"]).sum()
    total["checkpoints"] = max(0, checkpoints - _bytes(partial) / GB)
    return table, total | {"downloads": _downloads(encoders) / GB}


def require_room(table: pd.DataFrame, sizes: Mapping[str, float]) -> None:
    """Raise `ParamsError` if a study writes more than is free, or a system takes more memory than a GPU of this machine
    has, by what `needs` gives."""
    written = {name: GB * size for name, size in sizes.items() if name != "free"}
    if (total := sum(written.values())) > GB * sizes["free"]:
        parts = ", ".join(f"{name} {readable(size)}" for name, size in written.items())
        problem = f"this study writes about {readable(total)} ({parts}) where {readable(GB * sizes['free'])} are free"
        raise ParamsError(f"{problem}: make room, or ask for one CHAPTER, fewer SEEDS or speech.cache=false.")
    gpus = () if os.environ.get("CLUSTER") else range(torch.cuda.device_count())
    smallest = min((torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus), default=math.inf)
    largest = table.loc[table["GPU memory (GB)"].idxmax()]
    if (need := GB * largest["GPU memory (GB)"]) > smallest:
        problem = f"{largest['system']} takes about {readable(need)} of a GPU, which has {readable(smallest)}"
        remedy = "set training.checkpointing=true, or a smaller training.batch_size with accumulation and exact_ccc"
        raise ParamsError(f"{problem}: {remedy}.")


def _bytes(folders: Iterable[Path]) -> float:
    files = (file for folder in folders for file in folder.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _kept_before() -> set[tuple[str, int, int]]:
    """Of all that is in the cache: type, utterances, and numbers a frame."""
    found = set()
    for folder in cache_folder().iterdir():
        with contextlib.suppress(OSError, ValueError):
            values = Ragged(folder)
            found.add((values.values.dtype.name, len(values), math.prod(values.values.shape[1:])))
    return found


def _kept(
    model: AttributeModel, run: Params, durations: pd.Series, kept: dict[Any, float], free: float
) -> tuple[str, float]:
    """What of speech goes into the cache, and its bytes, by the rule of `sercore.features`; `kept` has what is there
    (`_kept_before`), and what others of the study are still to write."""
    corpus, speech = run.corpus.model_dump_json(exclude={"transcripts"}), model.speech
    for name, numbers in speech.kept.items() if run.speech.cache else ():
        kind, states = kept_as(name, run), run.speech.states if name == HIDDEN_STATES else ""
        size = numbers * durations.sum() * np.dtype(kind).itemsize
        key = (name, kind, states, run.speech.encoder, run.speech.max_seconds, corpus)
        by_frame = round(numbers * speech.stride / SAMPLE_RATE) // (2 if name == SPECTROGRAMS else 1)
        is_there = (kind, len(durations), by_frame) in kept
        if key in kept or is_there or 2 * size <= free - sum(kept.values()):
            kept[key] = 0 if is_there else size
            return name, size
    return "nothing", 0.0


def _activations(model: AttributeModel, run: Params, durations: pd.Series) -> float:
    """Bytes that a step keeps of a batch of the longest utterances until its backward pass, by what was measured for
    large encoders, in proportion to the width; of a frozen encoder its hidden states, in half and single precision."""
    speech, training = model.speech, run.training
    width, layers = speech.config.hidden_size, speech.layers
    frames = durations.nlargest(training.batch_size).sum() * SAMPLE_RATE / speech.stride
    if not speech.finetune:
        return 6 * frames * layers * width
    size, large = ("whisper-large", 1280) if speech.is_whisper else ("large", 1024)
    way = "with checkpointing" if training.checkpointing else "all together"
    size += ", LoRA" if speech.lora else ""
    by_layer, else_ = _estimates(part="kept for the backward pass", size=size, way=way)[list(PER_FRAME)]
    precision = 1 if training.precision == "bfloat16" else 2
    return 1000 * frames * (by_layer * (layers - 1) + else_) * precision * width / large


def _seconds(model: AttributeModel, run: Params, corpus: Corpus, kept: str) -> float:
    speech, here = model.speech, torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    size = LARGE.get((speech.config.model_type, speech.config.hidden_size, speech.layers - 1), "another")
    size += ", frozen" if not speech.finetune else ", LoRA" if speech.lora else ""
    way = "packed" if kept in (SPECTROGRAMS, "nothing") else "all together"
    if run.training.checkpointing and speech.finetune:
        way = "with checkpointing"
    rates = _estimates(device="cuda", part="msp_podcast", size=size, way=way)
    known = {"frames a second", "predicted frames a second"} <= {*rates.index}  # not where memory was too small
    if not known or benchmarks()["cuda"]["msp_podcast"]["machine"]["gpu"] != here:
        return np.nan
    chosen, longest = choose(corpus, run), run.speech.max_seconds
    mean = chosen.training["duration"].clip(upper=longest).mean()
    validation, others = (part["duration"].clip(upper=longest).sum() for part in (chosen.validation, chosen.predicted))
    trained = run.training.epochs * len(chosen.sampler) * mean / rates["frames a second"]
    predicted = (run.training.epochs * validation + others) / rates["predicted frames a second"]
    return (trained + predicted) * SAMPLE_RATE / speech.stride


def _estimates(**keys: str) -> pd.Series:
    """What was measured of these keys, by measure; of several devices on the last."""
    rows = measured()
    return rows[(rows[list(keys)] == pd.Series(keys)).all(axis=1)].groupby("measure")["estimate"].last()


def _downloads(encoders: Iterable[str]) -> float:
    """Bytes of the models that come from the hub and are not on this machine, about."""
    try:
        here = {repository.repo_id: repository.size_on_disk for repository in scan_cache_dir().repos}
    except CacheNotFound:
        here = {}
    total = 0.0
    for name in encoders:
        if name != ge2e.NAME and not Path(locate(name)).is_dir():
            config = encoder_config(name)
            with torch.device("meta"):
                model = AutoModel.from_config(config)
            stored = torch.finfo(model.config.dtype or torch.float32).bits / 8
            total += max(0, stored * sum(one.numel() for one in model.parameters()) - here.get(name, 0))
    return total
