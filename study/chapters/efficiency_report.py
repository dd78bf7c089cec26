"""The tables, figures and sentences of the chapter on efficiency.

Conventions:

- What was measured is read from ``benchmarks/efficiency.json``, which ``benchmarks/efficiency.py`` writes, and from the
  study's own runs; nothing is typed here. What was not measured has no row.
- A ratio is the plain way's median time by that of another; in brackets, its range over the rounds.
- Tables are HTML, sentences are Markdown.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sercore.params import project_root
from study.results import Study
from study.show.figures import panels
from study.show.report import costs
from study.show.tables import breakable, cell, html

PLAIN, ALL = "plain", "all together"
WORK = {
    "step_small": "training step, {small}",
    "step_base": "training step, {base}",
    "lora": "training step of adapters (LoRA), {base}",
    "evaluation_small": "prediction, {small}",
    "evaluation_base": "prediction, {base}",
    "run": "a whole run of `fusion`, embedded scale",
}
"""The parts of the benchmark that are work which a study has to do."""

MODULES = {
    "positions_256": "positional convolution by FFT, width 256",
    "positions_768": "positional convolution by FFT, width 768",
    "attention_256": "attention by torch's own kernel, width 256",
    "attention_768": "attention by torch's own kernel, width 768",
    "distances": "distances looked up once",
}
"""The parts that measure a module by itself, forward and backward."""

AXES = {
    "utterances": "utterances in a batch",
    "duration": "duration of each (s)",
    "width": "width of the transformer",
    "layers": "layers of the transformer",
}
LINES = {PLAIN: ("#D55E00", "s", "--"), ALL: ("#0072B2", "o", "-")}
"""Colours of Okabe and Ito (2008), each with a marker and a line of its own."""

NAMES = {PLAIN: "plain", ALL: "this package"}
DEVICES = {"cpu": "CPU", "cuda": "GPU"}


def benchmark() -> dict[str, Any]:
    """``benchmarks/efficiency.json``: device -> ``machine``, ``settings``, ``parts``."""
    return json.loads((project_root() / "benchmarks" / "efficiency.json").read_text(encoding="utf-8"))


def machines() -> str:
    """What was measured on; and that nothing was on a GPU, unless it was."""
    found = benchmark()
    lines = []
    for device, measured in found.items():
        about = measured["machine"]
        hardware = f"{about['processor']}, {about['cores']} cores, {about['threads']} threads"
        versions = ", ".join(f"{name} {about[name]}" for name in about if name not in HARDWARE)
        gpu = f"{about['gpu']}; " if "gpu" in about else ""
        lines.append(f"- {DEVICES[device]}: {gpu}{hardware}; {versions}.")
    if "cuda" not in found:
        lines.append(
            "- **Nothing here was measured on a GPU.** `python benchmarks/efficiency.py` on one adds its columns,"
            " with bfloat16 and `torch.compile`, to these tables. Ratios on a CPU do not foretell those on a GPU."
        )
    return "\n".join(lines)


HARDWARE = {"processor", "cores", "threads", "gpu"}


# All together


def totals_table() -> str:
    """Time and memory of each piece of work, the plain way and this package's."""
    blocks = {}
    for (device, setting), rows in _comparisons(WORK).groupby(["device", "setting"], sort=False):
        by_way = {way: part.set_index("part") for way, part in rows.groupby("way")}
        plain, ours = by_way[PLAIN], by_way[ALL]
        blocks[f"{DEVICES[device]}, {setting}"] = pd.DataFrame(
            {
                "plain (s)": plain["seconds"].map(_seconds),
                "this package (s)": ours["seconds"].map(_seconds),
                "times as fast": _ratios(ours),
                "its memory": _memory(ours, plain),
            }
        )
    first = next(iter(benchmark().values()))["settings"]
    caption = (
        f"{first['batch']['small']} utterances in a batch ({first['batch']['base']} for the larger model), of"
        f" {first['shortest']:g} to {first['longest']:g} s, {first['mean_seconds']:g} s on average (gamma distributed)."
        " Plain: transformers' modules on padded batches in random order, everything computed from the audio and the"
        " words in every step; for adapters, as `peft` leaves the front-end. Medians of rounds in turn, in brackets"
        " the range of the rounds' ratios. Memory: what a"
        " step takes at most beyond weights, the optimiser's state and data, in a process of its own, whose allocator"
        " is set as in the `Makefile`. The cache was there, as it is for all runs but the first."
    )
    return html(_named(pd.concat(blocks, axis=1), WORK), caption, "totals")


def tricks_table() -> str:
    """What each change brings by itself, and all together."""
    table = _comparisons(WORK).query("way != @PLAIN")
    blocks = {}
    for (device, setting), rows in table.groupby(["device", "setting"], sort=False):
        index = pd.MultiIndex.from_frame(rows[["part", "way"]])
        values = rows.set_index(index)
        blocks[f"{DEVICES[device]}, {setting}"] = pd.DataFrame(
            {"seconds": values["seconds"].map(_seconds), "times as fast": _ratios(values), "memory": _memory(values)}
        )
    joint = pd.concat(blocks, axis=1).fillna("–")
    works = [f"{_work(part)}" for part, _ in joint.index]
    shown = ["" if place and works[place - 1] == name else name for place, name in enumerate(works)]
    joint.insert(0, ("", "work"), shown)
    joint.insert(1, ("", "changed"), [way for _, way in joint.index])
    caption = "Against the plain way in the same rounds; memory by that of the plain way."
    return html(joint.reset_index(drop=True), caption, "tricks")


def modules_table() -> str:
    """Modules by themselves, against transformers'."""
    blocks = {}
    for (device, _), rows in _comparisons(MODULES).groupby(["device", "setting"], sort=False):
        by_way = {way: part.set_index("part") for way, part in rows.groupby("way")}
        plain, ours = by_way[PLAIN], by_way[ALL]
        blocks[DEVICES[device]] = pd.DataFrame(
            {
                "transformers (ms)": (1000 * plain["seconds"]).map(_seconds),
                "this package (ms)": (1000 * ours["seconds"]).map(_seconds),
                "times as fast": _ratios(ours),
            }
        )
    first = next(iter(benchmark().values()))["settings"]
    caption = (
        f"Forward and backward, {first['batch']['small']} utterances of {first['mean_seconds']:g} s each, so without"
        " padding; medians of rounds in turn, in brackets the range of the rounds' ratios."
    )
    return html(_named(pd.concat(blocks, axis=1), MODULES), caption, "modules")


def tricks_figure() -> Figure:
    """Speed of a training step with each change, against the plain way; a panel a size of model."""
    table = _comparisons(["step_small", "step_base"]).query("way != @PLAIN and device == device.iloc[0]")
    table = table[table["setting"] == table["setting"].iloc[0]]
    parts = list(table["part"].unique())
    figure, axes = panels(1, len(parts), (8.4, 2.6), sharey=True)
    for panel, part in zip(axes, parts, strict=True):
        rows = table[table["part"] == part]
        places = np.arange(len(rows))
        reach = np.abs(rows[["lowest_ratio", "highest_ratio"]].to_numpy().T - rows["ratio"].to_numpy())
        panel.barh(places, rows["ratio"], 0.6, xerr=reach, color="#56B4E9", edgecolor="black", linewidth=0.5, capsize=3)
        panel.axvline(1, color="black", linewidth=1)
        panel.set_yticks(places, rows["way"])
        panel.set_title(_work(part).removeprefix("training step, "), fontsize=10)
        panel.set_xlabel("times as fast as plain (bars: range)")
    axes[0].invert_yaxis()
    axes[0].set_ylabel("changed")
    return figure


def agreement() -> str:
    """How far the ways' values are apart, and what the cache took."""
    table = _comparisons([*WORK, *MODULES]).query("way != @PLAIN")
    table = table[table["setting"] == "float32"]
    steps = table[table["part"] != "run"]["deviation"].max()
    filling = table["cache_seconds"].dropna().unique() if "cache_seconds" in table else []
    text = (
        "Before they were timed, all ways gave the same: losses, gradients and predictions at most"
        f" {steps:.1e} apart, relative to the largest"
    )
    run = table[table["part"] == "run"]["deviation"]
    after = f"; the CCCs of whole runs, at most {run.max():.1e}." if len(run) else "."
    cache = "".join(f" The cache of the whole run took {_seconds(value)} s, once for all runs." for value in filling)
    return f"{text}{after} Dropout and SpecAugment were off.{cache}"


# Growth


def scaling_figure() -> Figure:
    """Seconds of a training step against utterances, duration, width and layers."""
    table = _part("scaling")
    figure, axes = panels(1, 4, (9.6, 2.9))
    for panel, (against, label) in zip(axes, AXES.items(), strict=True):
        for way, rows in table[table["against"] == against].groupby("way", sort=False):
            colour, marker, line = LINES[way]
            panel.plot(rows["value"], rows["seconds"], color=colour, marker=marker, linestyle=line, label=NAMES[way])
        panel.set(xlabel=label, xlim=(0, None), ylim=(0, None))
    axes[0].set_ylabel("seconds of a training step")
    axes[0].legend(frameon=False, fontsize=8.5)
    return figure


def scaling_sentences() -> str:
    """By what power of each size the time of this package's step grows."""
    table = _part("scaling").query("way == @ALL")
    lines = []
    for against, label in AXES.items():
        rows = table[table["against"] == against]
        power = np.polyfit(np.log(rows["value"]), np.log(rows["seconds"]), 1)[0]
        first, last = rows.iloc[0], rows.iloc[-1]
        lines.append(
            f"- {label}: {last['value'] / first['value']:.2g} times as much takes"
            f" {last['seconds'] / first['seconds']:.2g} times as long (a power of {power:.2f} over the range)."
        )
    return "\n".join(lines)


def products_table() -> str:
    """The share of the machine's rate of matrix products that a training step reaches."""
    rows = _part("matmul")
    table = pd.DataFrame(
        {
            "model": [_size(name) for name in rows["model"]],
            "way": rows["way"].map(NAMES),
            "GFLOP a step": rows["gflop_a_step"].map("{:,.0f}".format),
            "machine (GFLOP/s)": rows["machine_gflop_s"].map("{:,.0f}".format),
            "share": rows["share"].map(_percent),
            "highest round": rows["highest_share"].map(_percent),
        }
    )
    caption = (
        "Operations of matrix products and convolutions that torch counts, forward and backward, by the step's time,"
        " against a large square product with the same threads. Computing less lowers the count: a high share is no"
        " merit of its own."
    )
    return html(table, caption, "products")


# What is computed in another way, and what is computed once


def exact_table() -> str:
    """What an update's gradient and time are when its batch is spread over accumulation steps."""
    rows = _part("exact_ccc")
    table = pd.DataFrame(
        {
            "the update": rows["way"],
            "steps": rows["steps"],
            "distance of its gradient": rows["distance"].map(_percent),
            "cosine": rows["cosine"].map("{:.3f}".format),
            "seconds": rows["seconds"].map(_seconds),
        }
    )
    caption = (
        f"An update of {rows['batch'].iloc[0]} utterances, {_size('small')}: distance from the gradient of the whole"
        " batch, by its length, and the angle between the two. `exact_ccc` passes each step twice, once without"
        " gradients."
    )
    return html(table, caption, "exact")


def whisper_sentence() -> str:
    """How far Whisper's states are from those with the silence of its window, and the ratio of times."""
    row = _part("whisper").iloc[0]
    return (
        f"On utterances of {row['seconds_of_speech']:.1f} s its states are computed {row['ratio']:.1f} times as fast"
        f" as with silence up to its window of {row['window']:.0f} s. They are not the same: frames no longer attend to"
        f" the silence. The input of the first layer differs by at most {row['first_layer']:.1e} of its largest value,"
        f" a later state by up to {row['largest']:.2f} of it; the last states correlate by {row['correlation']:.3f}."
    )


def batch_table() -> str:
    """Utterances a second in prediction, by model and number of utterances in a batch."""
    table = _part("batch_sizes").pivot_table("utterances_a_second", "model", "batch", sort=False)
    table.columns = [f"{count} in a batch" for count in table.columns]
    caption = "Utterances predicted a second, from cached front-end outputs. No prediction depends on its batch."
    return html(table.map(_seconds).rename(index=_size), caption, "batches")


# Systems


def systems_table(study: Study) -> str:
    """Size, time and memory of each system of a study."""
    table = costs(study.runs)
    minute = _part("systems").set_index("system")["seconds_a_minute"].reindex(table.index)
    shown = pd.DataFrame(
        {
            "parameters": table["parameters"].map("{:,}".format),
            "trained": table["trained parameters"].map("{:,}".format),
            "seconds an epoch": (table["seconds a run"] / table["epochs"]).map(_seconds),
            "peak memory (MB)": table["peak memory (MB)"].map("{:,.0f}".format),
            "seconds to predict a minute": [_seconds(value) for value in minute],
        }
    )
    caption = (
        "Parameters without the frozen encoders of text and speakers. Seconds an epoch, with its validation, and peak"
        " memory, of the whole process: medians of the system's runs, while others ran beside them. Prediction: from"
        " files to a table, embedded scale, nothing cached; –: not measured."
    )
    return html(shown.rename(index=breakable), caption, "systems")


# Estimate


def estimate_table() -> str:
    """Hours of a run on MSP-Podcast with one GPU: an estimate."""
    found = next(iter(benchmark().values()))["parts"]["estimate"]
    rows = pd.DataFrame(found["rows"])
    rows["cell"] = rows["hours"].map("{:.1f}".format)
    rows["column"] = [f"{gpu}, {_percent(share)}" for gpu, share in zip(rows["gpu"], rows["share"], strict=True)]
    hours = rows.pivot_table(index="system", columns="column", values="cell", aggfunc="first", sort=False)
    about = rows.drop_duplicates("system").set_index("system")
    table = pd.concat(
        {
            "a run": pd.DataFrame(
                {
                    "utterances an epoch": about["utterances_an_epoch"].map("{:,}".format),
                    "epochs": about["epochs"].astype(str),
                    "EFLOP": about["exaflop"].map("{:.2f}".format),
                }
            ),
            "hours": hours,
        },
        axis=1,
    )
    peaks = ", ".join(f"{gpu} {peak}" for gpu, peak in rows[["gpu", "peak_tflop_s"]].drop_duplicates().to_numpy())
    caption = (
        f"An estimate, not a measurement. WavLM-Large: {found['front_end_gflop_a_second']:.1f} GFLOP for a second"
        f" of speech in the front-end, {found['transformer_gflop_a_second']:.1f} in the transformer, counted on its"
        " architecture; a backward pass taken for twice the forward one, none in the front-end; utterances of"
        f" {found['mean_seconds']:g} s, an assumption. Columns: the share of the GPU's peak (dense bfloat16, TFLOP/s by"
        f" its data sheet: {peaks}) that a run is assumed to reach. Reading audio, encoding texts and gaps between"
        " steps are left out."
    )
    return html(table.rename(index=breakable), caption, "estimate")


# Steps of the above


def _part(name: str) -> pd.DataFrame:
    """The rows of a part, on the first device that has it."""
    return pd.DataFrame(next(one["parts"][name] for one in benchmark().values() if name in one["parts"]))


def _comparisons(parts: Any) -> pd.DataFrame:
    """The rows of several parts on all devices, with columns ``device`` and ``part``."""
    tables = [
        pd.DataFrame(measured["parts"][part]).assign(device=device, part=part)
        for device, measured in benchmark().items()
        for part in parts
        if part in measured["parts"]
    ]
    return pd.concat(tables, ignore_index=True)


def _size(name: str) -> str:
    sizes = next(iter(benchmark().values()))["settings"]["sizes"][name]
    return f"{sizes['num_hidden_layers']} layers of width {sizes['hidden_size']}"


def _work(part: str) -> str:
    return WORK[part].format(small=_size("small"), base=_size("base")).replace("`", "")


def _named(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    order = [part for part in names if part in table.index]
    return table.loc[order].rename(index=lambda part: _work(part) if names is WORK else names[part])


def _ratios(rows: pd.DataFrame) -> list[str]:
    columns = ("ratio", "lowest_ratio", "highest_ratio")
    return [cell(f"{one:.2f}", f"[{low:.2f}, {high:.2f}]") for one, low, high in rows[list(columns)].to_numpy()]


def _memory(rows: pd.DataFrame, plain: pd.DataFrame | None = None) -> list[str]:
    """Share of the plain way's memory, and in small letters the sizes where `plain` is given."""
    shares = rows.reindex(columns=["memory_share"])["memory_share"]
    if plain is None:
        return ["–" if pd.isna(share) else _percent(share) for share in shares]
    sizes = zip(plain.reindex(columns=["memory_mb"])["memory_mb"], rows.get("memory_mb", shares), strict=True)
    return [
        "–" if pd.isna(share) else cell(_percent(share), f"{ours:,.0f} of {theirs:,.0f} MB")
        for share, (theirs, ours) in zip(shares, sizes, strict=True)
    ]


def _seconds(value: float) -> str:
    """Three significant digits."""
    return "–" if pd.isna(value) else f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
