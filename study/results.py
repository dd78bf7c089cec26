"""A study as its chapters read it: runs, corpus, and the predictions of a system's runs matched by utterance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sercore import ATTRIBUTES
from sercore.corpus import SPLITS
from sercore.params import ParamsError, resolve
from sercore.runs import PREDICTED, Run, read_results
from simulation.population import SKEW
from study.plan import STUDY


@dataclass(frozen=True, eq=False)
class Study:
    """What `sercore.runs.collect` left of a study: its runs, the corpus table, single ratings or None, and samples.

    ``tests``: what the runs predicted on other corpora, with ``system``, ``seed``, ``test``, ``utterance``,
    ``predicted_...``; None where they were not tested so.
    """

    runs: list[Run]
    corpus: pd.DataFrame
    ratings: pd.DataFrame | None
    samples: Path
    tests: pd.DataFrame | None = None


def read(profile: str, results: Path | str, condition: str = STUDY) -> Study:
    """Read what a folder holds of one condition; a relative path is relative to the project's root.

    Raises:
        ParamsError: the folder holds no complete study, or runs of another profile.
    """
    folder = resolve(Path(results)) / condition
    runs = read_results(folder)
    others = {run.params.profile for run in runs} - {profile}
    if others:
        raise ParamsError(f"{folder} holds runs of profile {', '.join(sorted(others))}, not of {profile}.")
    ratings, tests = (
        pd.read_parquet(path) if path.is_file() else None
        for path in (folder / "ratings.parquet", folder / "tests.parquet")
    )
    return Study(runs, pd.read_parquet(folder / "corpus.parquet"), ratings, folder / "samples", tests)


def by_system(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their system, in the order in which they come."""
    systems: dict[str, list[Run]] = {}
    for run in runs:
        systems.setdefault(run.system, []).append(run)
    return systems


def labelled_splits(runs: Sequence[Run]) -> list[str]:
    """The splits of which gold values are known, in the order of `SPLITS`."""
    labelled = {split for run in runs for split in run.predictions.dropna(subset=list(ATTRIBUTES))["split"].unique()}
    return [split for split in SPLITS if split in labelled]


def reported_split(runs: Sequence[Run]) -> str:
    """The split that the study reports: the last of `SPLITS` of which the gold values are known."""
    return labelled_splits(runs)[-1]


def by_split(corpus: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each split that occurs, in the order of `SPLITS`."""
    parts = dict(list(corpus.groupby("split")))
    return [(split, parts[split]) for split in SPLITS if split in parts]


def matched(runs: Sequence[Run], split: str) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Gold rows (utterances) and predictions (runs, utterances, attributes) of one system.

    The r-th prediction of each utterance belongs to set r: one for each run, of the utterances that all predict (what a
    run was trained on, it does not predict); a single one where each run predicts a fold of its own. Utterances of
    unknown speakers are taken together by the show of MSP-Podcast that their name tells, or else all together, as if a
    speaker.
    """
    predictions = pd.concat([run.predictions for run in runs])
    rows = predictions[predictions["split"] == split].dropna(subset=list(ATTRIBUTES))
    show = rows["utterance"].str.extract(r"^MSP-PODCAST_(\d+)_", expand=False).fillna("none")
    rows["speaker"] = rows["speaker"].fillna("unknown, of show " + show)
    rows = rows.assign(set=rows.groupby("utterance").cumcount())
    counts = rows.groupby("utterance")["set"].transform("size")
    complete = len(runs) if counts.max() == len(runs) else counts.min()
    rows = rows[(rows["set"] < complete) & (counts >= complete)].sort_values(["set", "utterance"])
    gold = rows[rows["set"] == 0]
    return gold, rows[PREDICTED].to_numpy(np.float64).reshape(complete, len(gold), len(ATTRIBUTES))


def lorenz(counts: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lorenz curve from the top: shares of the speakers, busiest first, and of the utterances that they speak.

    Args:
        counts: utterances of each speaker, in any order.

    Returns:
        Two arrays of shape (speakers + 1,), from 0 to 1.
    """
    spoken = np.append(0, np.sort(np.asarray(counts))[::-1].cumsum())
    return np.linspace(0, 1, len(spoken)), spoken / spoken[-1]


def busiest_share(counts: ArrayLike, speakers: float = SKEW["speakers"]) -> float:
    """Share of the utterances that the busiest share `speakers` speaks, on the Lorenz curve."""
    return float(np.interp(speakers, *lorenz(counts)))
