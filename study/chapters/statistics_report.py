"""The tables, figures and sentences of the chapter on statistics.

Conventions:

- What is simulated is read from ``results/significance`` (`study.chapters.calibration`), times from
  ``benchmarks/significance.json``, the paper's figures from `study.paper`; nothing is typed here.
- Tables are HTML, sentences are Markdown; a difference is that of the mean CCC of the three attributes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from scipy import stats

from sercore import ATTRIBUTES
from sercore.params import project_root
from sercore.significance import (
    Difference,
    SignificanceError,
    ccc_difference,
    ccc_interval,
    ccc_of_runs,
    detection_power,
    method_difference,
    speaker_sums,
)
from study import paper
from study.chapters.calibration import (
    CORRELATION,
    ERROR_SHARE,
    GOLD_SHARE,
    LEVEL,
    POWER_SHARES,
    REFERENCE,
    RESULTS,
    RUN_DEVIATION,
    RUNS,
    TAIL,
    UTTERANCES,
)
from study.comparisons import aligned
from study.plan import questions
from study.results import Study, labelled_splits, reported_split
from study.show.figures import panels
from study.show.tables import cell, html, number, probability, signed

FAMILIES = {
    "coverage": ("95 % interval of a system's CCC", "covers the true CCC", 1 - LEVEL),
    "two systems": ("two trained systems", "falsely told apart", LEVEL),
    "two methods": ("two ways of training", "falsely told apart", LEVEL),
}
"""What is estimated, what the rate counts, and what it should be."""

CHOSEN = {"jackknife-t over speakers", "swaps within speakers", "jackknife over speakers plus seeds"}
"""The methods of `sercore.significance` that the chapters use."""

UTTERANCE, SPEAKER, USED, OTHER = (
    ("#000000", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#0072B2", "D", "-."),
    ("#009E73", "^", ":"),
)
"""Colours of Okabe and Ito (2008), each with a marker and a line of its own."""

STYLES = dict.fromkeys(CHOSEN, USED) | {
    "bootstrap over utterances": UTTERANCE,
    "bootstrap over speakers": SPEAKER,
    "bootstrap over seeds and speakers": SPEAKER,
    "Williams' test": OTHER,
    "Welch's test on seeds": OTHER,
}

STEPS = {
    "text": ("fusion", "speech_only"),
    "gender": ("fusion_gender", "fusion"),
    "without O and X": ("fusion_without_ambiguous", "fusion"),
}
"""The paper's differences that the chapter weighs, as systems of ``params/variants.yaml``."""

TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
HIDDEN = 5
"""One speaker in so many is hidden."""


# The simulation


def simulated(name: str) -> pd.DataFrame:
    """The table ``results/statistics/<name>.csv``: coverage, errors or power."""
    return pd.read_csv(RESULTS / f"{name}.csv")


def outcomes() -> pd.DataFrame:
    """A row a family, method and number of speakers; see `study.chapters.calibration.rates`."""
    return pd.concat([simulated("coverage"), simulated("errors")])


def rates_table() -> str:
    """Coverage and false rejections of each method, by number of speakers."""
    found = outcomes()
    found["cell"] = [
        cell(_percent(rate), f"± {_percent(error)}")
        for rate, error in zip(found["rate"], found["monte_carlo_error"], strict=True)
    ]
    blocks = []
    for family, (what, counted, nominal) in FAMILIES.items():
        chosen = found[found["family"] == family]
        table = chosen.pivot_table(index="method", columns="speakers", values="cell", aggfunc="first", sort=False)
        table = table.rename(index=_marked, columns="{} speakers".format).rename_axis(columns=None).reset_index()
        table.insert(0, "", [f"{what}: {counted}", *[""] * (len(table) - 1)])
        blocks.append(table.assign(promised=_whole(nominal)))
    caption = (
        f"{found['repetitions'].iloc[0]:,} simulated samples for each number of speakers; after ± the standard error of"
        f" a share of so many. On average {UTTERANCES} utterances a speaker; errors of two systems correlate by"
        f" {number(CORRELATION, 1)}; {RUNS} trained runs of each way of training. ✓: used in this study."
    )
    return html(pd.concat(blocks, ignore_index=True), caption, "rates")


def rates_figure() -> Figure:
    """Coverage and false rejections against the number of speakers; a line shows what was promised."""
    figure, axes = panels(1, 3, (9, 4.4))
    found = outcomes()
    for panel, (family, (what, counted, nominal)) in zip(axes, FAMILIES.items(), strict=True):
        block = found[found["family"] == family]
        panel.axhline(nominal, color="#777777", linewidth=1.2, label=f"promised: {_whole(nominal)}")
        for method, rows in block.groupby("method", sort=False):
            colour, marker, line = STYLES[method]
            reach = stats.norm.ppf(0.975) * rows["monte_carlo_error"]
            panel.errorbar(
                rows["speakers"],
                rows["rate"],
                yerr=reach,
                color=colour,
                marker=marker,
                linestyle=line,
                capsize=3,
                markersize=5,
                label=_marked(method),
            )
        panel.set(xscale="log", xlabel="speakers", ylabel=counted)
        panel.set_title(what, fontsize=10)
        panel.set_ylim((0.5, 1) if nominal > 0.5 else (0, 0.5))
        panel.set_xticks(sorted(block["speakers"].unique()), sorted(block["speakers"].unique()))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=8.5)
    return figure


def rates_sentences() -> str:
    """What the simulation says of each family, from its worst figures."""
    found = outcomes().assign(chosen=lambda table: table["method"].isin(CHOSEN))
    lines = []
    for family, (what, counted, nominal) in FAMILIES.items():
        block = found[found["family"] == family]
        ranges = {
            method: f"{_percent(rows['rate'].min())} to {_percent(rows['rate'].max())}"
            for method, rows in block.groupby("method", sort=False)
        }
        used = [name for name in ranges if name in CHOSEN]
        others = "; ".join(f"{name} {span}" for name, span in ranges.items() if name not in CHOSEN)
        lines.append(
            f"- **{what}**, {counted} (promised: {_whole(nominal)}): {used[0]} {ranges[used[0]]} over the numbers of"
            f" speakers; {others}."
        )
    return "\n".join(lines)


def assumptions() -> str:
    """What the simulation takes for granted."""
    return (
        f"The true CCCs are those that the paper prints for its system with text. Speakers differ in size as the"
        f" paper tells (lognormal). Of the variance of gold values {_whole(GOLD_SHARE)} and of the variance of errors"
        f" {_whole(ERROR_SHARE)} are effects of the speaker, drawn from Student's t with {TAIL} degrees of freedom;"
        f" of one way of training, the true CCC varies between runs by a standard deviation of {number(RUN_DEVIATION)}."
        " The paper's share of talkative speakers apart, these are assumptions, not measurements."
    )


# Power


def steps() -> pd.DataFrame:
    """A row a name of `STEPS`: ``difference`` in the paper, and as ``text`` in the digits in which it is known."""
    found = {name: paper.difference(*pair) for name, pair in STEPS.items()}
    rows = {name: {"difference": step[0], "text": signed(*step)} for name, step in found.items() if step}
    return pd.DataFrame.from_dict(rows, orient="index")


def powers() -> pd.DataFrame:
    """The table ``power`` with a column for each of `STEPS`: the power to detect such a difference."""
    table = simulated("power")
    found = {
        name: detection_power(step, table["error"], table["freedom"], level=LEVEL)
        for name, step in steps()["difference"].items()
    }
    return table.assign(**found)


def power_table() -> str:
    """Detectable difference, and power for the paper's steps, by set and correlation of the systems' errors."""
    table, weighed = powers(), steps()
    central = table[np.isclose(table["speaker_share"], ERROR_SHARE)]
    others = table.groupby(["set", "correlation"])["detectable"].agg(["min", "max"])
    blocks = {}
    for name, rows in central.groupby("set", sort=False):
        rows = rows.set_index("correlation")
        span = others.loc[name]
        columns = {
            "detectable": [
                cell(number(value, 4), f"{number(low, 4)} to {number(high, 4)}")
                for value, low, high in zip(rows["detectable"], span["min"], span["max"], strict=True)
            ]
        }
        columns |= {f"{step['text']} ({what})": rows[what].map(_percent).to_list() for what, step in weighed.iterrows()}
        size = f"{name}: {rows['utterances'].iloc[0]:,} utterances, {rows['speakers'].iloc[0]} speakers"
        blocks[size] = pd.DataFrame(columns, index=[number(value, 2) for value in rows.index])
    caption = (
        "Row: correlation of the two systems' errors. Detectable: difference of the mean CCC found in four of five"
        f" studies at a level of {_whole(LEVEL)} (large: as {_whole(ERROR_SHARE)} of the errors' variance is the"
        f" speaker's; small: {_whole(min(POWER_SHARES))} to {_whole(max(POWER_SHARES))}). Other columns: power to find"
        f" the paper's differences, were they the true ones. From {central['repetitions'].iloc[0]} simulated sets each."
    )
    return html(pd.concat(blocks, axis=1), caption, "power")


def power_figure() -> Figure:
    """Detectable difference against the correlation of the systems' errors; lines show the paper's differences."""
    table, weighed = simulated("power"), steps()
    figure, axes = panels(1, 1, (7.6, 4))
    panel, places = axes[0], np.arange(table["correlation"].nunique())
    for (name, rows), (colour, marker, line) in zip(
        table.groupby("set", sort=False), (UTTERANCE, SPEAKER), strict=True
    ):
        central = rows[np.isclose(rows["speaker_share"], ERROR_SHARE)]
        span = rows.groupby("correlation")["detectable"]
        label = f"{name} ({central['speakers'].iloc[0]} speakers)"
        panel.fill_between(places, span.min(), span.max(), color=colour, alpha=0.15, linewidth=0)
        panel.plot(places, central["detectable"], color=colour, marker=marker, linestyle=line, label=label)
    for what, step in weighed.iterrows():
        panel.axhline(abs(step["difference"]), color="#555555", linewidth=1)
        panel.annotate(
            f"{step['text']} {what}",
            (1, abs(step["difference"])),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    panel.set_xticks(places, [number(value, 2) for value in sorted(table["correlation"].unique())])
    panel.set(xlabel="correlation of the two systems' errors", ylabel="detectable difference of mean CCC", yscale="log")
    panel.set_yticks(TICKS, map(str, TICKS))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return figure


def power_sentences() -> str:
    """From which correlation on each of the paper's differences is detectable on the development set, by share."""
    table = powers().query("set == 'development'")
    size = f"{table['utterances'].iloc[0]:,} utterances of {table['speakers'].iloc[0]} speakers"
    lines = [f"On {size}, with errors of which the share in brackets is the speaker's:", ""]
    for name, step in steps().iterrows():
        cases = [
            f"{_detectable(rows, abs(step['difference']))} ({_whole(share)})"
            for share, rows in table.groupby("speaker_share")
        ]
        central = table[np.isclose(table["speaker_share"], ERROR_SHARE)][name]
        lines.append(
            f"- **{step['text']} ({name})** is detectable {'; '.join(cases)}. Were it the true difference, such a study"
            f" would find it with a probability of {_percent(central.min())} to {_percent(central.max())}, from the"
            f" lowest to the highest correlation ({_whole(ERROR_SHARE)})."
        )
    return "\n".join(lines)


def _detectable(rows: pd.DataFrame, difference: float) -> str:
    """At which of the correlations `difference` is no smaller than the detectable one."""
    enough = rows.loc[rows["detectable"] <= difference, "correlation"]
    if enough.empty:
        return f"at no correlation up to {number(rows['correlation'].max(), 2)}"
    return "at every correlation" if len(enough) == len(rows) else f"from a correlation of {number(enough.min(), 2)} on"


# The paper's arithmetic


def slips() -> str:
    """Rows whose printed mean is not that of the three printed CCCs, beyond rounding; and figures placed twice."""
    numbers, texts = paper.results(), paper.printed()
    rows = numbers.dropna(subset=[*ATTRIBUTES, "mean"])
    mean = rows[list(ATTRIBUTES)].mean(axis=1)
    digits = texts.loc[rows.index, [*ATTRIBUTES, "mean"]].map(lambda text: len(text.partition(".")[2]))
    rounding = 0.5 * 10.0 ** -digits["mean"] + 0.5 * (10.0 ** -digits[list(ATTRIBUTES)]).mean(axis=1)
    wrong = (rows["mean"] - mean).abs() > rounding + 1e-9
    lines = [
        f"- {name}: the printed mean is {texts.loc[name, 'mean']}, that of the three values {number(mean[name], 4)}:"
        f" {signed(rows.loc[name, 'mean'] - mean[name], 4)}, where rounding explains {number(rounding[name], 4)}."
        f" The step from it to {REFERENCE} is {signed(rows.loc[REFERENCE, 'mean'] - rows.loc[name, 'mean'], 4)} as"
        f" printed, {signed(rows.loc[REFERENCE, 'mean'] - mean[name], 4)} by its values."
        for name in rows.index[wrong]
    ]
    doubtful = rows[~wrong & rows["note"].str.contains("mean", na=False)]
    lines += [
        f"- {name}: {row['note']}. Its own three values average to {number(mean[name], 4)}, so there it belongs."
        for name, row in doubtful.iterrows()
    ]
    lines.append(f"- In the other {(~wrong).sum() - len(doubtful)} rows the mean is that of the three, up to rounding.")
    return "\n".join(lines)


# This study's own predictions


def sensitivity_table(study: Study) -> str:
    """How an interval and a difference change with what is taken for a speaker, on each split with gold values.

    The first comparison of the profile's first question, on the utterances that both systems predict.
    """
    pair = _pair(study)
    rows = [
        {"split": split, "units": what} | _estimates(hidden, split, pair, alone)
        for split in labelled_splits(study.runs)
        for what, (hidden, alone) in _views(study, split).items()
    ]
    table = pd.DataFrame(rows).fillna("–")
    caption = (
        f"CCC: mean of the attributes, {pair[0]}; difference: {pair[0]} − {pair[1]}; 95 % intervals. Hidden speakers"
        " are taken together by the show that the file's name tells, or all as one where it tells none; where each show"
        " has one speaker, that changes nothing. –: no interval follows from a single unit."
    )
    return html(table, caption, "sensitivity")


def sensitivity_sentence(study: Study) -> str:
    """How much wider the interval over speakers is than one that takes each utterance for a unit of its own."""
    (system, _), split = _pair(study), reported_split(study.runs)
    gold, predicted, _ = aligned(study.runs, _pair(study), split)
    known, alone = (
        ccc_interval(gold[list(ATTRIBUTES)], predicted[system], units)
        for units in (gold["speaker"], np.arange(len(gold)))
    )
    widths = [(interval.high - interval.low)[-1] for interval in (known, alone)]
    return (
        f"On {split} the interval of `{system}` is {number(widths[0])} wide over speakers, and {number(widths[1])} with"
        f" each utterance for itself: {widths[0] / widths[1]:.2f} times as much."
    )


def error_sentences(study: Study) -> str:
    """How the errors of the study's own systems go together, on the split that it reports."""
    (system, reference), split = _pair(study), reported_split(study.runs)
    gold, predicted, _ = aligned(study.runs, (system, reference), split)
    values = gold[list(ATTRIBUTES)].to_numpy()
    errors = [predicted[name] - values for name in (system, reference)]
    lines = [
        f"- Errors of a trained `{system}` and a trained `{reference}` correlate by {number(_correlation(*errors), 2)}"
        f" on {split}, averaged over attributes and runs.",
        f"- Of their variance {_percent(_speaker_share(errors, gold['speaker']))} are the speaker's (intraclass"
        " correlation, averaged alike).",
    ]
    if len(errors[0]) > 1:
        ccc = ccc_of_runs(speaker_sums(values, predicted[system], gold["speaker"]).sum(axis=0))[:, -1]
        lines.append(
            f"- Two runs of `{system}` that differ by their seed alone have errors that correlate by"
            f" {number(_correlation(errors[0][:-1], errors[0][1:]), 2)}, and mean CCCs with a standard deviation of"
            f" {number(ccc.std(ddof=1), 4)} over {len(ccc)} runs."
        )
    return "\n".join(lines)


def _pair(study: Study) -> tuple[str, str]:
    return next(iter(questions(study.runs[0].params.profile).values())).pairs[0]


def _views(study: Study, split: str) -> Mapping[str, tuple[Study, bool]]:
    """The study with more and more speakers of a split hidden, and whether each utterance is then a unit of its own."""
    predictions = pd.concat([run.predictions for run in study.runs])
    speakers = predictions.loc[predictions["split"] == split, "speaker"].dropna().unique()
    some = np.random.default_rng(0).permutation(speakers)[::HIDDEN]
    return {
        "speakers as known": (study, False),
        f"one speaker in {HIDDEN} hidden": (_hide(study, some), False),
        "all speakers hidden": (_hide(study, speakers), False),
        "each utterance for itself (wrong)": (study, True),
    }


def _hide(study: Study, speakers: np.ndarray) -> Study:
    runs = [
        replace(
            run,
            predictions=run.predictions.assign(
                speaker=lambda table: table["speaker"].mask(table["speaker"].isin(speakers))
            ),
        )
        for run in study.runs
    ]
    return replace(study, runs=runs)


def _estimates(study: Study, split: str, pair: tuple[str, str], alone: bool) -> dict[str, str]:
    """Cells of a row of `sensitivity_table`; only the number of units where no interval follows."""
    gold, predicted, _ = aligned(study.runs, pair, split)
    units = np.arange(len(gold)) if alone else gold["speaker"].to_numpy()
    values = gold[list(ATTRIBUTES)]
    row = {"number": f"{len(np.unique(units)):,}"}
    try:
        interval, step = ccc_interval(values, predicted[pair[0]], units), _step(values, predicted, pair, units)
    except SignificanceError:
        return row
    spans = [
        (interval.ccc[-1], interval.low[-1], interval.high[-1]),
        (step.difference[-1], step.low[-1], step.high[-1]),
    ]
    ccc, difference = (
        cell(write(middle), f"[{number(low, 3)}, {number(high, 3)}]")
        for write, (middle, low, high) in zip((number, signed), spans, strict=True)
    )
    return row | {
        "CCC": ccc,
        "difference": difference,
        "standard error": number(step.error[-1], 4),
        "p": probability(step.p[-1]),
    }


def _step(
    gold: pd.DataFrame, predicted: Mapping[str, np.ndarray], pair: tuple[str, str], units: np.ndarray
) -> Difference:
    a, b = (predicted[name] for name in pair)
    if len(a) > 1:
        return method_difference(gold, a, b, units)
    return ccc_difference(gold, a, b, units, generator=np.random.default_rng(0))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of errors (runs, utterances, attributes), averaged over runs and attributes."""
    centred = [errors - errors.mean(axis=1, keepdims=True) for errors in (one, other)]
    scale = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    return float(((centred[0] * centred[1]).sum(axis=1) / scale).mean())


def _speaker_share(errors: Sequence[np.ndarray], speakers: pd.Series) -> float:
    """Intraclass correlation of errors, each (runs, utterances, attributes), by analysis of variance (Donner, 1986)."""
    columns = pd.DataFrame(np.concatenate([np.concatenate(list(each), axis=1) for each in errors], axis=1))
    groups = columns.groupby(speakers.to_numpy())
    size = groups.size()
    total, count = len(columns), len(size)
    within = ((columns - groups.transform("mean")) ** 2).sum() / (total - count)
    between = (groups.mean() - columns.mean()).pow(2).mul(size, axis=0).sum() / (count - 1)
    typical = (total - (size**2).sum() / total) / (count - 1)
    return float(((between - within) / (between + (typical - 1) * within)).mean())


# Speed


def benchmark() -> dict:
    """``benchmarks/significance.json``: ``machine``, ``sizes``, ``results``."""
    return json.loads((project_root() / "benchmarks" / "significance.json").read_text(encoding="utf-8"))


def benchmark_table() -> str:
    """Processor time of each way to bootstrap over speakers, and its ratio to this package's."""
    measured = benchmark()
    sizes, machine = measured["sizes"], measured["machine"]
    rows = {
        row["way"]: {
            "resamples timed": f"{row['resamples timed']:,}",
            "seconds": f"{row['seconds']:,.2f}" if row["seconds"] < 10 else f"{row['seconds']:,.0f}",
            "times as long": f"{row['ratio']:,.0f}",
        }
        for row in measured["results"]
    }
    versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name not in ("processor", "cores"))
    caption = (
        f"{sizes['resamples']:,} resamples of {sizes['speakers']} speakers with {sizes['utterances']:,} utterances,"
        f" {sizes['systems']} systems, {sizes['attributes']} attributes; processor time of one thread, median of"
        f" {sizes['rounds']} rounds in turn, extrapolated where fewer resamples were timed. {machine['processor']},"
        f" {machine['cores']} cores; {versions}."
    )
    return html(pd.DataFrame.from_dict(rows, orient="index"), caption, "benchmark")


# Steps of the above


def _marked(method: str) -> str:
    return f"{method} ✓" if method in CHOSEN else method


def _percent(share: float) -> str:
    """A measured share: in whole per cent, in tenths below ten."""
    return f"{100 * share:.{1 if share < 0.095 else 0}f} %"


def _whole(share: float) -> str:
    """A share that was chosen."""
    return f"{100 * share:g} %"
