"""What training and prediction cost, from ``benchmarks/results.json``; what was not measured has no row."""

import pandas as pd

from study.needs import LARGE, PER_FRAME, benchmarks, measured


def machines() -> pd.DataFrame:
    """What was measured on, a row a machine, and which parts."""
    entries = [
        {"device": device, "parts": part} | entry["machine"]
        for device, parts in benchmarks().items()
        for part, entry in parts.items()
    ]
    table = pd.DataFrame(entries).fillna("–")
    keys = list(table.columns.drop("parts"))
    return table.groupby(keys, sort=False)["parts"].agg("; ".join).reset_index()


def activations() -> pd.DataFrame:
    """What a training step keeps of each frame between its passes, a row a size and way, and gigabytes of 32 utterances
    of 15 s through all layers, which were not run: those that were measured are 1 and 3."""
    rows = measured().query("part == 'kept for the backward pass'")
    found = rows.pivot_table("estimate", ["device", "size", "way"], "measure", sort=False)
    found = found[list(PER_FRAME)].reset_index()
    layers = found["size"].str.removesuffix(", LoRA").map({size: layers for (*_, layers), size in LARGE.items()})
    total = found[PER_FRAME[0]] * layers + found[PER_FRAME[1]]
    return found.assign(**{"layers": layers, "GB of 32 x 15 s": total * 32 * 15 * 50 / 1e6})


def of_gpus() -> str:
    """Whether steps of large encoders were measured on a GPU, in a sentence."""
    if part := benchmarks().get("cuda", {}).get("msp_podcast"):
        return f"Steps at that scale were measured on one {part['machine']['gpu']}."
    return "No GPU was measured: `make benchmark` on one adds time, memory and utilisation of steps at that scale."
