"""The tables and sentences that the notebooks show, from finished runs and the corpus table alone.

Conventions:

- ``runs`` are `sercore.runs.Run`; ``corpus`` is the corpus table, ``ratings`` the table of single ratings.
- Tables are returned as `pandas.DataFrame` or as HTML, sentences as Markdown.
"""

import base64
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS, SPLITS
from sercore.losses import ccc
from sercore.params import Params, resolve
from sercore.raters import PUBLISHED_CLASSES, SOURCE, class_statistics, rater_statistics
from sercore.runs import Run
from sercore.significance import ccc_interval
from simulation import release as simulated
from study.comparisons import ENDPOINTS, estimates
from study.results import by_split, by_system, labelled_splits, matched, read_results, reported_split
from study.show.tables import basis, breakable, cell, downloads, html, number, score_cells

NO_RATINGS = "This corpus comes without single ratings, so nothing is known of its raters."
BANNERS = {
    "simulated": (
        "Simulated speech",
        "All figures of ours here were measured on speech that a synthesiser spoke and that simulated raters judged."
        " This shows that the method runs and what it can resolve; it says nothing about human speech.",
    ),
    "emotale": (
        "Enacted speech",
        "All figures of ours here were measured on EmoTale: real voices, but emotions enacted on five sentences by"
        " few speakers. This does not tell how a system does on spontaneous speech.",
    ),
    "iemocap": (
        "Acted speech",
        "All figures of ours here were measured on IEMOCAP: real voices, but dialogues acted by ten speakers. This does"
        " not tell how a system does on spontaneous speech.",
    ),
    "msp_podcast": (
        "Naturalistic speech",
        "All figures of ours here were measured on a release of MSP-Podcast. This is comparable with the paper only"
        " as far as release, split and encoders are the same.",
    ),
    "manifest": ("Your corpus", "All figures of ours here were measured on the corpus of a manifest."),
}
RUN_METRICS = {
    "best_epoch": "chosen epoch",
    "seconds": "seconds",
    "peak_memory_mb": "memory (MB)",
}
"""What a run measured of itself, and how a table calls it."""


# What the runs measured


def scores(runs: Sequence[Run]) -> pd.DataFrame:
    """CCC with a 95 % interval over speakers for each system, split and endpoint.

    The predictions of a system's runs are matched by utterance. Where all runs predict the same utterances, CCC is
    averaged over them; where each predicts a fold of its own, the folds are pooled and CCC is computed once.

    Returns:
        Columns ``system``, ``split``, ``endpoint``, ``ccc``, ``low``, ``high``, ``seeds`` (trained runs), ``runs``
        (sets of predictions after pooling), ``utterances``, ``speakers``; splits without gold values are left out.

    Raises:
        SignificanceError: a split has an utterance of unknown speaker, or other values that give no interval.
    """
    tables = []
    for system, trained in by_system(runs).items():
        for split in labelled_splits(trained):
            gold, predicted = matched(trained, split)
            table = estimates(ccc_interval(gold[list(ATTRIBUTES)], predicted, gold["speaker"]))
            tables.append(table.assign(system=system, split=split, seeds=len(trained)))
    return pd.concat(tables, ignore_index=True)


def emotion_errors(runs: Sequence[Run], split: str) -> pd.DataFrame:
    """What a system gets wrong for each emotion, averaged over its runs.

    Args:
        runs: of one system.
        split: whose predictions are judged.

    Returns:
        A row an emotion that occurs (its name), in the order of `EMOTIONS`; column ``utterances``, and for each
        attribute ``<attribute> CCC`` within the emotion, ``<attribute> RMSE`` and ``<attribute> bias`` (mean of
        prediction minus gold), the last two in points of the corpus's scale.
    """
    gold, predicted = matched(runs, split)
    rows = {}
    for code, name in EMOTIONS.items():
        chosen = (gold["emotion"] == code).to_numpy()
        if chosen.any():
            truth = gold.loc[chosen, list(ATTRIBUTES)].to_numpy()
            rows[name] = {"utterances": chosen.sum()} | _errors(truth, predicted[:, chosen])
    return pd.DataFrame.from_dict(rows, orient="index").round(2)


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a system: trained runs, its parameters, and the median time, memory and chosen epoch of a run."""
    rows = {
        name: {
            "runs": len(trained),
            "parameters": int(trained[0].metrics["parameters"]),
            "trained parameters": int(trained[0].metrics["trainable_parameters"]),
            "seconds a run": _median(trained, "seconds"),
            "peak memory (MB)": _median(trained, "peak_memory_mb"),
            "chosen epoch": _median(trained, "best_epoch"),
            "epochs": int(trained[0].metrics["epochs"]),
        }
        for name, trained in by_system(runs).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def run_metrics(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run: ``system``, ``seed``, ``<split> <endpoint>`` (CCC), chosen and last epoch, seconds, memory, size."""
    rows = [
        {"system": run.system, "seed": run.params.seed}
        | {f"{split} {name}": run.metrics["ccc"][split][name] for split in labelled_splits([run]) for name in ENDPOINTS}
        | {name: run.metrics[name] for name in (*RUN_METRICS, "epochs", "parameters", "trainable_parameters")}
        for run in runs
    ]
    return pd.DataFrame(rows)


# Sentences and tables


def banner(params: Params) -> str:
    """HTML that tells on what kind of speech a page's figures were measured."""
    title, text = BANNERS[params.corpus.reader]
    return f'<div class="admonition warning"><p class="admonition-title">{title}</p><p>{text}</p></div>'


def splits_table(scores: pd.DataFrame) -> str:
    """HTML: one row a system and split, its CCCs with intervals."""
    table = score_cells(scores, ["system", "split", "utterances", "speakers"]).reset_index()
    selected = "The development split chose the epoch, so its figures are optimistic."
    return html(table, f"{_basis(scores)} {selected}", "splits")


def runs_table(runs: Sequence[Run]) -> str:
    """HTML: a row a run with its CCCs, chosen epoch, seconds and memory, and links to the table as a file."""
    numbers, split = run_metrics(runs), reported_split(runs)
    measured = [name for name in numbers if name.rpartition(" ")[2] in ENDPOINTS]
    shown = [name for name in measured if name.startswith(split) or name.endswith("mean")]
    texts = {name: numbers[name].map(number) for name in shown}
    texts |= {label: numbers[name].map("{:,.0f}".format) for name, label in RUN_METRICS.items()}
    table = numbers[["system", "seed"]].astype(str).assign(**texts, system=numbers["system"].map(breakable))
    caption = (
        "Concordance correlation (CCC) of each run by itself, without interval: where runs are folds, each has speakers"
        " of its own. The development split chose the epoch."
    )
    source = f"Every run of the study. {BANNERS[runs[0].params.corpus.reader][1]}"
    return html(table, caption, "runs") + downloads({"runs": (numbers, table)}, source)


def agreement(runs: Sequence[Run], results: Path | str, tolerance: float = 0.05) -> str:
    """Markdown: whether CCCs are those of the same runs (profile, system and seed) in a results folder.

    Args:
        runs: finished ones.
        results: a folder that `study.results.collect` wrote; a relative path is relative to the project's root.
        tolerance: largest difference of a CCC that counts as the same: training amplifies what processors round
            differently, and other seeds differ by about as much.
    """
    folder = resolve(Path(results))
    committed = {_identity(run): run for run in read_results(folder)} if folder.is_dir() else {}
    pairs = [(run, committed[_identity(run)]) for run in runs if _identity(run) in committed]
    if not pairs:
        return f"`{results}` has no run of this profile, system and seed to compare with."
    difference = max(
        abs(value - other.metrics["ccc"][split][endpoint])
        for run, other in pairs
        for split, values in run.metrics["ccc"].items()
        for endpoint, value in values.items()
    )
    if difference <= tolerance:
        return f"Every CCC lies within {tolerance} of that of the same run in `{results}`: the figures repeat."
    return f"A CCC differs by {difference:.3f} from that of the same run in `{results}`: **the figures do not repeat.**"


def sizes(corpus: pd.DataFrame) -> pd.DataFrame:
    """A row a split: utterances, speakers, hours, and the share that raters call other or do not agree on."""
    groups = corpus.groupby("split")
    table = pd.DataFrame(
        {
            "utterances": groups.size(),
            "speakers": groups["speaker"].nunique(),
            "hours": (groups["duration"].sum() / 3600).round(2),
            "seconds (median)": groups["duration"].median().round(2),
            "other or no agreement": groups["emotion"].agg(
                lambda codes: f"{100 * codes.isin(['O', 'X']).mean():.1f} %"
            ),
        }
    )
    return table.loc[[split for split in SPLITS if split in table.index]].rename_axis(None)


def speaker_share(corpus: pd.DataFrame, carried: float = 0.8) -> float:
    """The smallest share of the speakers who together speak at least the share `carried` of the utterances."""
    counts = corpus["speaker"].value_counts()
    return float((np.searchsorted(np.cumsum(counts) / counts.sum(), carried - 1e-12) + 1) / len(counts))


def speaker_sentence(corpus: pd.DataFrame) -> str:
    """Markdown: how few speakers carry most of each split."""
    parts = [
        f"{100 * speaker_share(part):.0f} % of the {part['speaker'].nunique()} speakers of {split}"
        for split, part in by_split(corpus)
    ]
    return f"80 % of the utterances come from {'; from '.join(parts)}."


def rater_table(corpus: pd.DataFrame, ratings: pd.DataFrame | None) -> str:
    """HTML: spread, bias and agreement of the raters of train and development, beside published ones."""
    if ratings is None:
        return NO_RATINGS
    table = rater_statistics(corpus, ratings).map("{:.2f}".format)
    single = table.index.get_level_values("attribute").isin(ATTRIBUTES)
    each = table[single].pivot_table(index="statistic", columns="attribute", aggfunc="first", sort=False)
    each = each.reindex(columns=list(product(("measured", "published"), ATTRIBUTES)))
    other = table[~single].set_axis([", ".join(filter(None, key)) for key in table[~single].index])
    caption = f"Single ratings of train and development. Published: {SOURCE}, on a scale from 1 to 7."
    return html(each, "", "raters") + html(other, caption, "votes")


def class_table(corpus: pd.DataFrame, ratings: pd.DataFrame | None) -> str:
    """HTML: mean consensus of each emotion, and how far its raters differ, above the published values."""
    if ratings is None:
        return NO_RATINGS
    measured = class_statistics(corpus, ratings)
    published = PUBLISHED_CLASSES.reindex(measured.index)
    cells = {
        (kind, name): [
            cell(f"{ours:.2f}", "–" if pd.isna(theirs) else f"{theirs:.2f}")
            for ours, theirs in zip(measured[f"{kind} {name}"], published[f"{kind} {name}"], strict=True)
        ]
        for kind, name in product(("mean", "raters' sd"), ATTRIBUTES)
    }
    table = pd.DataFrame(cells, index=[EMOTIONS[code] for code in measured.index])
    return html(table, f"Train and development; below each value the published one ({SOURCE}).", "classes")


def rater_sentence(corpus: pd.DataFrame, ratings: pd.DataFrame | None, split: str) -> str:
    """Markdown: CCC of one rater against the mean of the utterance's other raters."""
    if ratings is None:
        return NO_RATINGS
    row = rater_statistics(corpus, ratings, splits=(split,))["measured"].loc[
        "CCC of one rater and the mean of the others"
    ]
    values = ", ".join(f"{number(row[name], 2)} ({name})" for name in ATTRIBUTES)
    return f"One rater against the mean of the utterance's other raters, on {split}: CCC {values}."


def assumptions(params: Params) -> str:
    """HTML: what a simulated corpus takes for granted, with the source of each; a sentence for real speech."""
    if params.corpus.reader != "simulated":
        return "<p>Nothing is simulated here: the speech and its ratings are those of the corpus.</p>"
    return html(
        simulated.assumptions(), "What the simulation takes for granted, and where it comes from.", "assumptions"
    )


def players(folder: Path | str) -> str:
    """HTML: an audio player for each file ``<emotion code>.<mp3 or flac>`` of `folder`, the audio within the page."""
    folder = Path(folder)
    found = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in (".mp3", ".flac")}
    if not found:
        return f"<p>This copy of the results has no audio ({folder.name}/ is absent).</p>"
    style = "display:inline-block;width:15rem;max-width:100%;margin:.3rem .8rem .3rem 0"
    figures = []
    for code in [code for code in EMOTIONS if code in found]:
        kind = {".mp3": "mpeg", ".flac": "flac"}[found[code].suffix]
        sound = f"data:audio/{kind};base64,{base64.b64encode(found[code].read_bytes()).decode()}"
        player = (
            f'<audio controls preload="none" style="width:100%" aria-label="{EMOTIONS[code]}" src="{sound}"></audio>'
        )
        figures.append(f'<figure style="{style}"><figcaption>{EMOTIONS[code]}</figcaption>{player}</figure>')
    return f"<div>{''.join(figures)}</div>"


# Steps of the above


def _errors(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """CCC, RMSE and bias of each attribute, averaged over the runs."""
    agreement = np.mean([ccc(torch.tensor(gold), torch.tensor(run)).numpy() for run in predicted], axis=0)
    error = predicted - gold
    rmse, bias = np.sqrt((error**2).mean(axis=1)).mean(axis=0), error.mean(axis=(0, 1))
    measures = {"CCC": agreement, "RMSE": rmse, "bias": bias}
    return {f"{name} {kind}": values[i] for i, name in enumerate(ATTRIBUTES) for kind, values in measures.items()}


def _identity(run: Run) -> tuple[str, str, int]:
    return run.params.profile, run.system, run.params.seed


def _median(runs: Sequence[Run], metric: str) -> int:
    return round(float(np.median([run.metrics[metric] for run in runs])))


def _basis(scores: pd.DataFrame) -> str:
    """What a table of scores of one or more splits rests on."""
    first = scores.iloc[0]
    one_split = len(scores["split"].unique()) == 1
    size = f"{first['utterances']:,} utterances of {first['speakers']} speakers. " if one_split else ""
    return size + basis(scores["seeds"].max(), pooled=(scores["runs"] < scores["seeds"]).any())
