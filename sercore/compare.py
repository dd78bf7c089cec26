"""Compare the predictions of any systems with gold values: ``python -m sercore compare``.

A system is a file of predictions, or several: its seeds. Files are CSV or parquet, with columns as in MSP-Podcast's
``labels_consensus.csv`` and the challenge's submissions (FileName, EmoAct, EmoVal, EmoDom, SpkrID, Split_Set), or
utterance, arousal, valence, dominance, speaker, split. Where a file has gold values too, its predictions are
``predicted_arousal`` and so on. Rows are matched by utterance. Files of sums by speaker (``sums.parquet`` of a study)
need no labels: of each, the system of the given name is taken.
"""

import glob
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, InputError, report, verdicts
from sercore.sums import SUMS, Array, constant, from_table, speaker_sums, units

NAMES = {
    "utterance": ("utterance", "filename", "file", "name", "id"),
    "speaker": ("speaker", "spkrid", "speaker_id"),
    "split": ("split", "split_set", "partition"),
    "arousal": ("arousal", "emoact", "activation"),
    "valence": ("valence", "emoval"),
    "dominance": ("dominance", "emodom"),
    **{f"predicted_{name}": (f"predicted_{name}",) for name in ATTRIBUTES},
}
"""Of each column the names that are known, in lower case."""
PREDICTED = [f"predicted_{name}" for name in ATTRIBUTES]
SCALES = ((0, 1), (-1, 1), (1, 5), (1, 7))  # the first that holds all gold values is theirs
OUTSIDE = 0.1  # share of predictions outside the gold scale from which on they are on another one
NARROW = 0.1  # of the range of the gold values: predictions within less of it may be on another scale
RETRAINED = (
    "Differences are those of ways of training, with {runs} runs or more of each: jackknife over speakers, plus the "
    "variance over runs (Satterthwaite, 1946)."
)
TRAINED = (
    "Differences are those of the trained models, whose predictions are swapped within speakers (Phipson & Smyth, "
    "2010; Miettinen, 1976), or by the jackknife over speakers where one has more runs."
)
OF_SCORES = "CCC: Lin (1989); jackknife over speakers: Efron (1982), with degrees of freedom by Kish (1965)"
OF_TESTS = (
    "equivalence: Schuirmann (1987), Lakens (2017); both tests of a family together: Goeman, Solari & Stijnen (2010)"
)


@dataclass(frozen=True)
class Options:
    """``margin``: the largest difference that does not matter, see `sercore.verdicts.judged`. ``scale``: lowest and
    highest value, by default the first of `SCALES` that holds the gold values. ``split``: which of the gold file, or of
    sums. ``unknown``: whether unknown speakers are one by ``show``, as MSP-Podcast's file names tell it, or each
    utterance stands ``alone``. ``utterance``, ``speaker``: columns of another name."""

    margin: float = 0.02
    scale: tuple[float, float] | None = None
    split: str | None = None
    unknown: Literal["show", "alone"] = "show"
    utterance: str | None = None
    speaker: str | None = None


def compare(
    systems: Mapping[str, str], gold: Path | None, options: Options
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Scores of `systems` (name -> file, or pattern of files), and the judged differences of each from the last one,
    None if there is one system.

    `InputError` says which file is wrong and what to do; what is left out, or looks wrong, is a `UserWarning`.
    """
    files = {name: [Path(path) for path in sorted(glob.glob(pattern))] for name, pattern in systems.items()}
    if missing := [pattern for name, pattern in systems.items() if not files[name]]:
        raise InputError(f"{missing[0]}: no such file: correct its name.")
    tables = {name: {str(path): _read(path, options) for path in paths} for name, paths in files.items()}
    summed = [set(SUMS) <= set(table) for of_system in tables.values() for table in of_system.values()]
    if any(summed) and not all(summed):
        raise InputError("some files hold sums and some predictions: compare sums with sums.")
    if all(summed):
        rows = {name: _chosen(_system(name, each), ", ".join(each), options) for name, each in tables.items()}
        sums = from_table(pd.concat(rows.values()), list(rows))
    else:
        sums = _sums(tables, {str(gold): _read(gold, options)} if gold else {}, options)
    for name, each in sums.items():
        if collapsed := constant(each.sum(axis=0)).any(axis=-1).sum():
            warnings.warn(f"{name}: constant predictions in {collapsed} files, whose CCC counts as 0.", stacklevel=2)
    *others, reference = sums
    pairs = [(name, reference) for name in others]
    return verdicts.scores(sums), verdicts.judged(verdicts.differences(sums, pairs), options.margin) if pairs else None


def _sums(
    systems: Mapping[str, Mapping[str, pd.DataFrame]], gold: Mapping[str, pd.DataFrame], options: Options
) -> dict[str, Array]:
    """Sums by speaker of each system, name -> file -> table, on the utterances that all files and the gold values have;
    `gold` is one file, or none where those of the systems hold the gold values."""
    runs = {file: table for of_system in systems.values() for file, table in of_system.items()}
    sources = gold or {file: table for file, table in runs.items() if {*PREDICTED, *ATTRIBUTES} <= set(table)}
    truth = _gold(sources, runs, options)
    predictions = {file: _predictions(file, table, truth, options) for file, table in runs.items()}
    given = pd.Index(sorted(set().union(*(table.index for table in predictions.values()))))
    source = ", ".join(sources)
    if len(unlabelled := given.difference(truth.index)):
        warnings.warn(f"{source}: no gold values of {_named(unlabelled)}, which are left out.", stacklevel=3)
    given = common = given.intersection(truth.index)
    for file, table in predictions.items():
        common = common.intersection(table.index)
        if len(lacking := given.difference(table.index)):
            warnings.warn(f"{file}: missing {_named(lacking)} of other files, which are left out of all.", stacklevel=3)
    if common.empty:
        files = ", ".join({**sources, **runs})
        raise InputError(f"no utterance is in all of {files}: correct the names of utterances.")
    rows = truth.loc[common]
    if "split" in truth and len(unseen := truth.index[truth["split"].isin(rows["split"])].difference(given)):
        warnings.warn(f"{source}: {_named(unseen)} of the same splits are not predicted.", stacklevel=3)
    for file, table in predictions.items():
        _check(file, table.loc[common], rows[[*ATTRIBUTES]])
    speakers, how = units(common, rows["speaker"]), "one speaker a show (--unknown alone: each its own)"
    if options.unknown == "alone":
        speakers = rows["speaker"].fillna(pd.Series("unknown " + common, common))
        how = "a speaker each (--unknown show: one a show)"
    if (unknown := rows["speaker"].isna()).any():
        warnings.warn(f"{_named(common[unknown])} of unknown speakers are taken as {how}.", stacklevel=3)
    chosen = {name: [predictions[file].loc[common] for file in each] for name, each in systems.items()}
    return {name: speaker_sums(rows[[*ATTRIBUTES]], each, speakers) for name, each in chosen.items()}


def paragraph(scores: pd.DataFrame, differences: pd.DataFrame | None) -> str:
    """What a paper would say of a comparison, with the method and its references."""
    means = scores[scores["endpoint"] == "mean"]
    row = means.iloc[0]
    limits = means.apply(report.interval, axis=1, digits=3)
    each = means["system"] + " " + means["estimate"].map(report.number) + " " + limits
    size = f"{row['utterances']:,} utterances of {row['speakers']:,} speakers"
    start = (
        f"Mean CCC of arousal, valence and dominance on {size} (95 % intervals, jackknife over speakers): "
        f"{'; '.join(each)}."
    )
    if differences is None:
        return f"{start} {OF_SCORES}."
    tested = differences[differences["endpoint"] == "mean"]
    found = " ".join(report.sentence(one).replace("`", "") for _, one in tested.iterrows())
    detectable, equivalent = tested[["detectable", "detectable_equivalence"]].max().map(report.number)
    claiming = tested["sets"] >= verdicts.CLAIMING
    methods = [RETRAINED.format(runs=tested["sets"][claiming].min())] if claiming.any() else []
    methods += [] if claiming.all() else [TRAINED]
    return (
        f"{start} {found} {' '.join(methods)} Tested at a family-wise level of .05, as a family of {len(tested)} "
        f"(Bonferroni), against no difference and against a difference as large as the margin of "
        f"{report.number(tested['margin'].max(), 2)}; intervals of differences are simultaneous. With this test set a "
        f"true difference of {detectable}, and equivalence of equal systems within {equivalent}, would be found with "
        f"about {100 * verdicts.POWER:.0f} % probability. {OF_SCORES}; {OF_TESTS}."
    )


def write(scores: pd.DataFrame, differences: pd.DataFrame | None, folder: Path) -> None:
    """Write tables as CSV and LaTeX, the forest plot as SVG and PNG, and `paragraph` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"scores": (scores, report.printed_scores(scores))}
    if differences is not None:
        tables["differences"] = differences, report.printed_differences(differences)
        grid = report.forest(differences)
        for suffix in ("svg", "png"):
            grid.savefig(folder / f"forest.{suffix}", dpi=200)
    for name, (table, texts) in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        (folder / f"{name}.tex").write_text(report.latex(texts, name), encoding="utf-8")
    (folder / "paragraph.txt").write_text(paragraph(scores, differences) + "\n", encoding="utf-8")


def _system(name: str, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of a system in its files of sums."""
    whole = pd.concat(tables.values())
    rows = whole[whole["system"] == name]
    if rows.empty:
        there = ", ".join(map(str, whole["system"].unique()))
        raise InputError(f"{', '.join(tables)} has no sums of {name}, only of {there}: give it the name it has there.")
    return rows


def _read(path: Path, options: Options) -> pd.DataFrame:
    """A file's columns of `NAMES`, indexed by utterance; one of sums as it is."""
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read ({reason}): give a CSV in UTF-8, or a parquet file.") from None
    if set(SUMS) <= set(table):
        return table
    known = {column.lower(): column for column in reversed(table.columns)}
    own = {name: [each.lower()] for name in ("utterance", "speaker") if (each := getattr(options, name))}
    found = {name: known[one] for name, each in (NAMES | own).items() for one in reversed(each) if one in known}
    if "utterance" not in found:
        raise InputError(f"{path} has no column FileName or utterance, only {', '.join(table)}: name it with --id.")
    table = table[list(found.values())].set_axis(list(found), axis=1)
    table.index = pd.Index(table.pop("utterance").astype(str).str.replace(r"\.(wav|flac|mp3)$", "", regex=True))
    if len(twice := table.index[table.index.duplicated()]):
        raise InputError(f"{path} has {_named(twice)} twice: keep one row of each.")
    for name in table.columns.intersection([*ATTRIBUTES, *PREDICTED]):
        table[name] = pd.to_numeric(table[name], errors="coerce").replace([np.inf, -np.inf], np.nan)
    return table


def _gold(sources: Mapping[str, pd.DataFrame], runs: Mapping[str, pd.DataFrame], options: Options) -> pd.DataFrame:
    """Gold values and ``speaker``, of the wanted split and known; unknown speakers are missing."""
    if not sources:
        raise InputError(f"{', '.join(runs)}: no gold values: give --gold FILE, or add columns {', '.join(PREDICTED)}.")
    file, truth = next(iter(sources.items()))
    if missing := [name for name in (*ATTRIBUTES, "speaker") if name not in truth]:
        if "speaker" in missing and any("speaker" in table for name, table in runs.items() if name != file):
            raise InputError(f"{file} has no speakers, and a file of predictions has: are the two swapped?")
        named = "name it with --speaker" if missing == ["speaker"] else "add them, or give another file to --gold"
        raise InputError(f"{file} has no column {', '.join(missing)}: {named}.")
    for other, table in list(sources.items())[1:]:
        both = truth.index.intersection(table.index)
        differs = (truth.loc[both, [*ATTRIBUTES]] - table.loc[both, [*ATTRIBUTES]]).abs().max(axis=1) > 1e-6
        if differs.any():
            raise InputError(f"{file} and {other} have other gold values of {_named(both[differs])}: correct one.")
    truth = pd.concat(sources.values())
    truth = _chosen(truth[~truth.index.duplicated()], file, options)
    speaker = truth["speaker"].astype("string").str.strip()
    known = speaker.notna() & ~speaker.str.lower().isin(["", "unknown", "nan", "none"])
    truth = truth.assign(speaker=speaker.astype(object).where(known)).dropna(subset=[*ATTRIBUTES])
    if truth.empty:
        raise InputError(f"{file} has no row with three numbers as gold values: write them with a decimal point.")
    low, high = truth[[*ATTRIBUTES]].min(axis=None), truth[[*ATTRIBUTES]].max(axis=None)
    if options.scale and not options.scale[0] <= low <= high <= options.scale[1]:
        problem = f"gold values lie from {low:g} to {high:g}, outside --scale {options.scale[0]:g} {options.scale[1]:g}"
        raise InputError(f"{file}: {problem}: name theirs, to which predictions are mapped.")
    return truth


def _chosen(table: pd.DataFrame, file: str, options: Options) -> pd.DataFrame:
    """Rows of the wanted split; of sums, of the corpus's own evaluation set and, by default, its last split."""
    if "test" in table:
        table = table[table["test"] == ""]
    wanted = options.split or (table["split"].iloc[-1] if {*SUMS} <= set(table) else None)
    if wanted is None:
        return table
    rows = table[table["split"].str.lower() == wanted.lower()] if "split" in table else table[:0]
    if rows.empty:
        there = ", ".join(map(str, table["split"].unique())) if "split" in table else "no column split"
        raise InputError(f"{file} has no row of split {wanted!r} (it has {there}): correct --split.")
    return rows


def _predictions(file: str, table: pd.DataFrame, truth: pd.DataFrame, options: Options) -> pd.DataFrame:
    """A file's predictions, (utterances, attributes), all numbers on the gold scale."""
    columns = PREDICTED if {*PREDICTED} <= set(table) else list(ATTRIBUTES)
    if missing := [name for name in columns if name not in table]:
        raise InputError(f"{file} has no column {', '.join(missing)}: add it.")
    found = table[columns].set_axis(list(ATTRIBUTES), axis=1)
    wanted = found.loc[found.index.intersection(truth.index)]
    if len(empty := wanted.index[wanted.isna().any(axis=1)]):
        raise InputError(f"{file} has no number for {_named(empty)}: predict them, or remove their rows.")
    gold = truth[[*ATTRIBUTES]]
    own = gold.min(axis=None), gold.max(axis=None)
    usual = [scale for scale in SCALES if scale[0] <= own[0] and own[1] <= scale[1]]
    low, high = options.scale or next(iter(usual), own)
    outside = ((wanted < low) | (wanted > high)).any(axis=1)
    if outside.any():
        these = f"{_named(wanted.index[outside])} of {len(wanted)}"
        problem = f"{file}: {these} lie outside the gold scale {low:g} to {high:g}"
        remedy = "map them to it, or name the scale with --scale LOW HIGH"
        if outside.mean() > OUTSIDE:
            raise InputError(f"{problem} (from {wanted.min(axis=None):g} to {wanted.max(axis=None):g}): {remedy}.")
        warnings.warn(f"{problem}.", stacklevel=4)
    first, last = wanted.min(axis=None), wanted.max(axis=None)
    if 0 < last - first < NARROW * (own[1] - own[0]):
        ranges = f"from {first:g} to {last:g}, where gold values lie from {own[0]:g} to {own[1]:g}"
        warnings.warn(f"{file}: its predictions lie {ranges}: are they on another scale?", stacklevel=4)
    return found


def _check(file: str, predicted: pd.DataFrame, gold: pd.DataFrame) -> None:
    """Whether predictions are the gold values, or look as if their columns were in another order."""
    if np.array_equal(predicted, gold):
        raise InputError(f"{file} holds the gold values: give predictions.")
    with np.errstate(invalid="ignore"):  # of a constant, which correlates with nothing
        both = np.nan_to_num(np.corrcoef(predicted.to_numpy().T, gold.to_numpy().T)[:3, 3:])  # (predicted, gold)
    orders = {order: both[range(3), order].mean() for order in permutations(range(3))}
    best = max(orders, key=lambda order: orders[order])
    if orders[best] > orders[0, 1, 2] + 0.1:
        named = [f"{ATTRIBUTES[one]} with {ATTRIBUTES[other]}" for one, other in enumerate(best) if one != other]
        problem = f"its columns correlate as if {' and '.join(named)} had been exchanged"
        values = f"mean correlation {report.number(orders[best])}, not {report.number(orders[0, 1, 2])}"
        warnings.warn(f"{file}: {problem} ({values}): check their names.", stacklevel=4)


def _named(utterances: Sequence[str] | pd.Index) -> str:
    more = ", ..." if len(utterances) > 3 else ""
    return f"{len(utterances)} utterances ({', '.join(map(str, utterances[:3]))}{more})"
