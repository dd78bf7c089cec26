"""The tables and sentences that the notebooks show, from finished runs and the corpus table alone.

Conventions:

- ``runs`` are `sercore.runs.Run`; ``corpus`` is the corpus table, ``ratings`` the table of single ratings.
- Tables are returned as `pandas.DataFrame` or as HTML, sentences as Markdown.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray

from sercore import ATTRIBUTES
from sercore.corpora import simulated
from sercore.corpus import EMOTIONS, SPLITS
from sercore.losses import ccc
from sercore.params import Params, ParamsError, project_root, resolve, variants
from sercore.raters import PUBLISHED_CLASSES, SOURCE, class_statistics, rater_statistics
from sercore.runs import PREDICTED, Run, read_results
from sercore.significance import ccc_interval

ENDPOINTS = (*ATTRIBUTES, "mean")
DEFAULT_SYSTEM = "fusion"
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
    "msp_podcast": (
        "Naturalistic speech",
        "All figures of ours here were measured on a release of MSP-Podcast. This is comparable with the paper only"
        " as far as release, split and encoders are the same.",
    ),
    "manifest": ("Your corpus", "All figures of ours here were measured on the corpus of a manifest."),
}


@dataclass(frozen=True, eq=False)
class Study:
    """What `sercore.runs.collect` left of a study: its runs, the corpus table, single ratings or None, and samples."""

    runs: list[Run]
    corpus: pd.DataFrame
    ratings: pd.DataFrame | None
    samples: Path


def read(profile: str, results: Path | str) -> Study:
    """Read a results folder; a relative path is relative to the project's root.

    Raises:
        ParamsError: the folder holds no complete study, or runs of another profile.
    """
    folder = resolve(Path(results))
    runs = read_results(folder)
    others = {run.params.profile for run in runs} - {profile}
    if others:
        raise ParamsError(f"{folder} holds runs of profile {', '.join(sorted(others))}, not of {profile}.")
    ratings = folder / "ratings.parquet"
    table = pd.read_parquet(folder / "corpus.parquet")
    return Study(runs, table, pd.read_parquet(ratings) if ratings.is_file() else None, folder / "samples")


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
    rows = []
    for system, trained in _systems(runs).items():
        for split in _labelled_splits(trained):
            gold, predicted = matched(trained, split)
            interval = ccc_interval(gold[list(ATTRIBUTES)], predicted, gold["speaker"])
            size = {"seeds": len(trained), "runs": interval.runs}
            size |= {"utterances": interval.utterances, "speakers": interval.speakers}
            for endpoint, *values in zip(ENDPOINTS, interval.ccc, interval.low, interval.high, strict=True):
                estimate = dict(zip(("ccc", "low", "high"), values, strict=True))
                rows.append({"system": system, "split": split, "endpoint": endpoint} | estimate | size)
    return pd.DataFrame(rows)


def reported_split(runs: Sequence[Run]) -> str:
    """The split that the study reports: the last of `SPLITS` of which the gold values are known."""
    return _labelled_splits(runs)[-1]


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
            "parameters": trained[0].metrics["parameters"],
            "trained parameters": trained[0].metrics["trainable_parameters"],
            "seconds a run": _median(trained, "seconds"),
            "peak memory (MB)": _median(trained, "peak_memory_mb"),
            "chosen epoch": _median(trained, "best_epoch"),
            "epochs": trained[0].metrics["epochs"],
        }
        for name, trained in _systems(runs).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def paper_results() -> pd.DataFrame:
    """The paper's figures, CCC: a row a system, named as ``paper`` in ``params/variants.yaml``."""
    return pd.DataFrame.from_dict(_paper()["rows"], orient="index")


# Sentences and tables


def banner(params: Params) -> str:
    """HTML that tells on what kind of speech a page's figures were measured."""
    title, text = BANNERS[params.corpus.reader]
    return f'<div class="admonition warning"><p class="admonition-title">{title}</p><p>{text}</p></div>'


def results_table(scores: pd.DataFrame, split: str) -> str:
    """HTML: one row a system, its CCCs with intervals, beside them the paper's row, and where its sources disagree."""
    ours = scores[scores["split"] == split]
    table = _cells(ours, ["system"])
    known = variants()
    paper = paper_results().reindex([known.get(name, {}).get("paper") for name in table.index]).set_index(table.index)
    quoted = paper[list(ENDPOINTS)].dropna().apply(_as_printed, axis=1).reindex(table.index).fillna("–")
    notes = [f"The paper's {name}: {note}." for name, note in paper["note"].dropna().items()]
    both = pd.concat({f"this study: {split}": table, f"the paper: {_paper()['data']}": quoted}, axis=1)
    caption = ["Concordance correlation (CCC).", _basis(ours), _paper()["caveat"], *notes]
    return _html(both, " ".join(caption), "results")


def splits_table(scores: pd.DataFrame) -> str:
    """HTML: one row a system and split, its CCCs with intervals."""
    table = _cells(scores, ["system", "split", "utterances", "speakers"]).reset_index()
    selected = "The development split chose the epoch, so its figures are optimistic."
    return _html(table, f"{_basis(scores)} {selected}", "splits")


def answer(scores: pd.DataFrame, split: str) -> str:
    """Markdown: CCC of the default system, and how each other system differs from it, here and in the paper."""
    ours = scores[scores["split"] == split].set_index(["endpoint", "system"])
    means = ours.loc["mean"]
    name = DEFAULT_SYSTEM if DEFAULT_SYSTEM in means.index else means.index[0]
    default = means.loc[name]
    each = {
        system: ", ".join(f"{attribute} {_number(ours.loc[(attribute, system), 'ccc'])}" for attribute in ATTRIBUTES)
        for system in means.index
    }
    lines = [f"- `{name}`, the default system: mean CCC {_estimate(default)} on {split} ({each[name]})."]
    for system, row in means.drop(index=name).iterrows():
        overlap = row["low"] <= default["high"] and default["low"] <= row["high"]
        verdict = "overlap, so this table alone does not tell the two apart" if overlap else "do not overlap"
        lines.append(
            f"- `{system}`: {_estimate(row)}, which is {_signed(row['ccc'] - default['ccc'])} from `{name}`"
            f" ({each[system]}); the intervals {verdict}.{_paper_step(system, name)}"
        )
    return "\n".join(lines)


def agreement(runs: Sequence[Run], results: Path | str, tolerance: float = 0.05) -> str:
    """Markdown: whether CCCs are those of the same runs (profile, system and seed) in a results folder.

    Args:
        runs: finished ones.
        results: as for `read`.
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
    return _html(each, "", "raters") + _html(other, caption, "votes")


def class_table(corpus: pd.DataFrame, ratings: pd.DataFrame | None) -> str:
    """HTML: mean consensus of each emotion, and how far its raters differ, above the published values."""
    if ratings is None:
        return NO_RATINGS
    measured = class_statistics(corpus, ratings)
    published = PUBLISHED_CLASSES.reindex(measured.index)
    cells = {
        (kind, name): [
            f"{ours:.2f}<br><small>{'–' if pd.isna(theirs) else f'{theirs:.2f}'}</small>"
            for ours, theirs in zip(measured[f"{kind} {name}"], published[f"{kind} {name}"], strict=True)
        ]
        for kind, name in product(("mean", "raters' sd"), ATTRIBUTES)
    }
    table = pd.DataFrame(cells, index=[EMOTIONS[code] for code in measured.index])
    return _html(table, f"Train and development; below each value the published one ({SOURCE}).", "classes")


def rater_sentence(corpus: pd.DataFrame, ratings: pd.DataFrame | None, split: str) -> str:
    """Markdown: CCC of one rater against the mean of the utterance's other raters."""
    if ratings is None:
        return NO_RATINGS
    row = rater_statistics(corpus, ratings, splits=(split,))["measured"].loc[
        "CCC of one rater and the mean of the others"
    ]
    values = ", ".join(f"{_number(row[name], 2)} ({name})" for name in ATTRIBUTES)
    return f"One rater against the mean of the utterance's other raters, on {split}: CCC {values}."


def assumptions(params: Params) -> str:
    """HTML: what a simulated corpus takes for granted, with the source of each; a sentence for real speech."""
    if params.corpus.reader != "simulated":
        return "<p>Nothing is simulated here: the speech and its ratings are those of the corpus.</p>"
    return _html(
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


def _systems(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their system, in the order in which they come."""
    systems: dict[str, list[Run]] = {}
    for run in runs:
        systems.setdefault(run.system, []).append(run)
    return systems


def _labelled_splits(runs: Sequence[Run]) -> list[str]:
    labelled = {split for run in runs for split in run.predictions.dropna(subset=list(ATTRIBUTES))["split"]}
    return [split for split in SPLITS if split in labelled]


def matched(runs: Sequence[Run], split: str) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Gold rows (utterances) and predictions (runs, utterances, attributes) of one system.

    The r-th prediction of each utterance belongs to set r: one for each run where all predict the same utterances, a
    single one where each run predicts a fold of its own. Utterances of unknown speakers are taken together by the show
    of MSP-Podcast that their name tells, or else all together, as if a speaker.
    """
    predictions = pd.concat([run.predictions for run in runs])
    rows = predictions[predictions["split"] == split].dropna(subset=list(ATTRIBUTES))
    show = rows["utterance"].str.extract(r"^MSP-PODCAST_(\d+)_", expand=False).fillna("none")
    rows["speaker"] = rows["speaker"].fillna("unknown, of show " + show)
    rows = rows.assign(set=rows.groupby("utterance").cumcount())
    complete = rows["utterance"].value_counts().min()
    rows = rows[rows["set"] < complete].sort_values(["set", "utterance"])
    gold = rows[rows["set"] == 0]
    return gold, rows[PREDICTED].to_numpy(np.float64).reshape(complete, len(gold), len(ATTRIBUTES))


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


def _paper() -> dict:
    return yaml.safe_load((project_root() / "book" / "paper_results.yaml").read_text(encoding="utf-8"))


def _paper_step(system: str, default: str) -> str:
    rows = [variants().get(name, {}).get("paper") for name in (system, default)]
    paper = paper_results()["mean"]
    if not set(rows) <= set(paper.index):
        return ""
    return f" In the paper, on {_paper()['data']}, the same step is {_signed(paper[rows[0]] - paper[rows[1]], 4)}."


def _number(value: float, digits: int = 3) -> str:
    """A coefficient without its leading zero, as the paper prints them."""
    return f"{value:.{digits}f}".replace("0.", ".", 1).replace("-", "−")


def _interval(row: pd.Series) -> str:
    return f"[{_number(row['low'], 2)}, {_number(row['high'], 2)}]"


def _estimate(row: pd.Series) -> str:
    return f"{_number(row['ccc'])} {_interval(row)}"


def _signed(difference: float, digits: int = 3) -> str:
    return f"{'+' if difference >= 0 else ''}{_number(difference, digits)}"


def _as_printed(row: pd.Series) -> pd.Series:
    """A row of the paper's figures, in the four digits, or two, in which it is known."""
    digits = 2 if (row.round(2) == row).all() else 4
    return row.map(lambda value: _number(value, digits))


def _cells(scores: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Scores as HTML cells: a row for each combination of `keys`, a column an endpoint; the order is kept."""
    texts = [f"{_number(row['ccc'])}<br><small>{_interval(row)}</small>" for _, row in scores.iterrows()]
    cells = scores.assign(cell=texts)
    return cells.pivot_table(index=keys, columns="endpoint", values="cell", aggfunc="first", sort=False)


def _basis(scores: pd.DataFrame) -> str:
    """What a table of scores rests on: utterances, speakers, trained runs, and which interval."""
    first = scores.iloc[0]
    one_split = len(scores["split"].unique()) == 1
    size = f"{first['utterances']:,} utterances of {first['speakers']} speakers. " if one_split else ""
    if scores["seeds"].max() == 1:
        seeds = "One trained run of each system, so what another training would give is not known"
    elif (scores["runs"] < scores["seeds"]).any():
        seeds = f"{scores['seeds'].max()} trained runs of each system, predictions of their folds pooled"
    else:
        seeds = f"CCC averaged over {scores['seeds'].max()} trained runs of each system, which differ by their seed"
    return (
        f"{size}{seeds}. In brackets: 95 % interval, jackknife over speakers on Fisher's z, with the trained models as "
        "they are. A constant prediction has CCC 0."
    )


def _html(table: pd.DataFrame, caption: str, name: str) -> str:
    table = table.rename_axis(index=None, columns=[None] * table.columns.nlevels)
    style = table.style.set_table_attributes('class="dataframe"').set_uuid(name)
    shown = style if isinstance(table.index[0], str) else style.hide(axis="index")
    return f'{shown.to_html()}<p class="caption">{caption}</p>'


def by_split(corpus: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each split that occurs, in the order of `SPLITS`."""
    parts = dict(list(corpus.groupby("split")))
    return [(split, parts[split]) for split in SPLITS if split in parts]
