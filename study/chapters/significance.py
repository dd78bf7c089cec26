"""Whether intervals and tests keep their promise, and which difference a test can detect, from what
`simulation.significance` found. ``python -m study.chapters.significance`` writes ``results/significance``."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special, stats

from sercore import verdicts
from sercore.params import project_root
from sercore.verdicts import ALPHA
from simulation.significance import RUNS, simulate
from study import paper
from study.results import read_tables, write_tables

RESULTS = project_root() / "results" / "significance"

# The paper's differences that the chapter weighs, as systems of params/variants.yaml.
STEPS = {
    "text": ("fusion", "speech_only"),
    "gender": ("fusion_gender", "fusion"),
    "without O and X": ("fusion_without_ambiguous", "fusion"),
}
# The methods of `sercore.significance` that this study uses.
USED = ("jackknife-t over speakers", "swaps within speakers", *(f"jackknife plus {runs} seeds" for runs in RUNS[1:]))


def rates(folder: Path | str = RESULTS) -> pd.DataFrame:
    """Coverage and false rejections of each method by number of speakers, a row each; `USED` ones are marked by a tick.
    Columns ``family``, ``method``, ``speakers``, ``estimate``, ``low``, ``high`` (95 %, of the simulation's own
    chance), ``repetitions``."""
    table = read_tables(folder, ["rates"])["rates"].rename(columns={"rate": "estimate"})
    rate, names = table["estimate"], {one: f"{one} ✓" for one in USED}
    half_width = stats.norm.ppf(0.975) * np.sqrt(rate * (1 - rate) / table["repetitions"])
    return table.assign(low=rate - half_width, high=rate + half_width, method=table["method"].replace(names))


def power(folder: Path | str = RESULTS) -> pd.DataFrame:
    """Detectable difference of two trained systems by set and correlation of their errors, and for each of `STEPS` the
    power to detect the paper's difference, were it the true one."""
    table = read_tables(folder, ["power"])["power"]
    errors = table["standard_error"], table["speakers"] - 1
    table["detectable"] = verdicts.detectable_difference(*errors)
    for name, pair in STEPS.items():
        if found := paper.difference(*pair):
            noncentrality = abs(found[0]) / table["standard_error"]
            table[name] = special.nctdtr(errors[1], noncentrality, -(reach := stats.t.isf(ALPHA / 2, errors[1])))
            table[name] += 1 - special.nctdtr(errors[1], noncentrality, reach)
    return table


if __name__ == "__main__":
    write_tables(RESULTS, simulate())
