"""The tables, figure and sentences of the chapter on other corpora, from what `across.write` wrote alone.

Conventions:

- ``tables`` are `study.chapters.across.read`'s. Tables are HTML, sentences are Markdown.
- "Aligned" is after the predictions were given the test corpus's mean and standard deviation.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from sercore.params import load
from study.comparisons import ENDPOINTS, LEVEL
from study.plan import transfer_corpora
from study.show.figures import panels
from study.show.report import BANNERS
from study.show.tables import breakable, cell, downloads, html, interval, number, probability, signed

Tables = Mapping[str, pd.DataFrame]

MEASURES = {"ccc": "CCC as predicted", "aligned": "CCC after aligning mean and spread"}
INTERVALS = "In brackets: 95 % interval, jackknife over speakers, with the trained models as they are."
DARK = 0.55
"""Coefficient above which a cell of the heat map is so dark that its text is white."""


def corpora_table(tables: Tables, profile: str) -> str:
    """A row a declared corpus: what kind of speech it is, and on how much of it systems are tested."""
    sizes = tables["matrix"].drop_duplicates("test").set_index("test")[["utterances", "speakers"]]
    names = transfer_corpora(profile)
    rows = {}
    for name in names:
        kind = BANNERS[load(names[name], "fusion", 0).corpus.reader][0].lower()
        size = [f"{value:,}" for value in sizes.loc[name]] if name in sizes.index else ["absent", "absent"]
        rows[name] = [kind, *size]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["kind", "utterances tested", "speakers tested"])
    return html(
        table.rename(index=breakable),
        "Corpora that the study declares. Those absent are not on the machine.",
        "corpora",
    )


def limits(tables: Tables, profile: str) -> str:
    """What the corpora at hand allow to say."""
    absent = _absent(tables, profile)
    lacking = f" Not at hand: {', '.join(absent)}; nothing is known of them here." if absent else ""
    return f"All pairs of {_and(_names(tables))} were measured.{lacking}"


def answer(tables: Tables) -> str:
    """For each pair of different corpora and system, the mean CCC, and what it lacks in ranking and in scale."""
    matrix, losses = (tables[name][tables[name]["endpoint"] == "mean"] for name in ("matrix", "losses"))
    scores = matrix.set_index(["train", "test", "system"])
    lost = losses.set_index(["loss", "train", "test", "system"])
    lines = []
    for train, test, system in scores.index:
        if train == test or (test, test, system) not in scores.index:
            continue
        here, own = scores.loc[train, test, system], scores.loc[test, test, system]
        ranking, scale = (lost.loc[name, train, test, system] for name in ("ranking", "scale"))
        lines.append(
            f"- **{train} → {test}**, `{system}`: CCC {number(here['ccc'])} {interval(here)}, where the one that"
            f" learnt from {test} has {number(own['ccc'])} {interval(own)}. Aligning gains"
            f" {number(scale['difference'])} {interval(scale)}. {_judged(ranking)}"
        )
    return "\n".join(lines) or "Only one corpus is at hand, so nothing was tested across corpora."


def heat_map(tables: Tables) -> Figure:
    """Mean CCC of each pair of corpora, as predicted and aligned: a row of panels a system; framed: the own corpus."""
    matrix = tables["matrix"][tables["matrix"]["endpoint"] == "mean"]
    systems, names = list(dict.fromkeys(matrix["system"])), _names(tables)
    size = 1.25 + 1.25 * len(names)
    figure, axes = panels(len(systems), 2, (2 * size + 0.6, len(systems) * (0.5 + 0.8 * size)))
    for panel, (system, measure) in zip(axes, itertools.product(systems, MEASURES), strict=True):
        values = matrix[matrix["system"] == system].set_index(["train", "test"])
        image = _panel(panel, values, measure, names)
        panel.set_title(f"{system}\n{MEASURES[measure]}", fontsize=9.5)
    figure.colorbar(image, ax=axes, label="mean CCC (in brackets: 95 % interval over speakers)", shrink=0.8)
    return figure


def scores_table(tables: Tables, measure: str) -> str:
    """The matrix with all endpoints; `measure` is a key of `MEASURES`."""
    matrix = tables["matrix"].rename(columns={"low": "ccc_low", "high": "ccc_high"})
    texts = [
        cell(number(row[measure]), f"[{number(row[f'{measure}_low'], 2)}, {number(row[f'{measure}_high'], 2)}]")
        for _, row in matrix.iterrows()
    ]
    table = matrix.assign(pair=_pairs(matrix), text=texts).pivot_table(
        index=["pair", "system", "runs"], columns="endpoint", values="text", aggfunc="first", sort=False
    )
    shown = table[list(ENDPOINTS)].reset_index().assign(system=lambda rows: rows["system"].map(breakable))
    shown = shown.astype({"runs": str}).set_index("pair")
    caption = (
        f"{MEASURES[measure]}: trained on → tested on. {INTERVALS} It is averaged over runs where there are several;"
        " predictions of folds on their own corpus are pooled to one."
    )
    return html(shown, caption, measure) + downloads({f"across_{measure}": (matrix, shown)}, _source(tables))


def losses_table(tables: Tables) -> str:
    """What each mean CCC lacks in scale and in ranking."""
    losses = tables["losses"][tables["losses"]["endpoint"] == "mean"]
    texts = losses.assign(pair=_pairs(losses), text=[_step(row) for _, row in losses.iterrows()])
    table = texts.pivot_table(index=["pair", "system"], columns="loss", values="text", aggfunc="first", sort=False)
    shown = table.reindex(columns=["scale", "ranking"]).astype(object).fillna("–").reset_index().set_index("pair")
    shown = shown.assign(system=shown["system"].map(breakable))
    caption = (
        "Trained on → tested on, mean of the three attributes. Scale: what aligning mean and spread gains; it is not"
        " negative where predictions and gold values rise together. Ranking: what the same system, trained on the test"
        " corpus itself and tested on speakers it has not heard, has more after aligning, on the same utterances."
        f" {INTERVALS} The intervals are not adjusted for their number."
    )
    return html(shown, caption, "losses") + downloads({"across_losses": (tables["losses"], shown)}, _source(tables))


def differences_table(tables: Tables) -> str:
    """The declared differences of systems, for each pair of corpora."""
    steps = tables["differences"][tables["differences"]["endpoint"] == "mean"]
    table = pd.DataFrame(
        {
            "systems": [f"{breakable(row['system'])} − {breakable(row['reference'])}" for _, row in steps.iterrows()],
            "difference": [_step(row) for _, row in steps.iterrows()],
            "p": steps["p"].map(probability).to_list(),
            "Holm's p": steps["holm"].map(probability).to_list(),
            "detectable": steps["detectable"].map(number).to_list(),
            "verdict": steps["verdict"].to_list(),
        },
        index=_pairs(steps),
    )
    caption = (
        "Trained on → tested on: difference of the mean CCC as predicted, with 95 % interval. Where both systems have"
        " several runs, of two ways of training (speakers and runs vary; the runs of folds share training speakers);"
        " where folds are pooled, of two trained systems (swapped within speakers). Holm's p holds all"
        f" {len(steps)} comparisons together. Resolved: below {LEVEL:g} and no smaller than what such a test detects in"
        " four of five studies. Unresolved does not mean equal."
    )
    return html(table, caption, "differences") + downloads({"across_differences": (steps, table)}, _source(tables))


def systems_answer(tables: Tables) -> str:
    """Where one system of a declared pair is resolved to be better."""
    steps = tables["differences"][tables["differences"]["endpoint"] == "mean"]
    resolved = steps[steps["verdict"] == "resolved"]
    if resolved.empty:
        return "Of no pair of corpora is the difference resolved."
    lines = [
        f"- {train} → {test}: `{row['system']}` − `{row['reference']}` {signed(row['difference'])} {interval(row, 3)}."
        for (train, test), (_, row) in zip(resolved[["train", "test"]].to_numpy(), resolved.iterrows(), strict=True)
    ]
    rest = len(steps) - len(resolved)
    return "\n".join([*lines, "", f"The other {rest} are unresolved." if rest else "All are resolved."])


# Steps of the above


def _panel(panel: Axes, values: pd.DataFrame, measure: str, names: list[str]) -> AxesImage:
    low, high = ("low", "high") if measure == "ccc" else (f"{measure}_low", f"{measure}_high")
    grid = values.pivot_table(measure, "train", "test").reindex(index=names, columns=names)
    image = panel.imshow(grid, cmap="Blues", vmin=0, vmax=0.9, aspect="auto")
    for (train, test), row in values.iterrows():
        place = names.index(test), names.index(train)
        text = f"{number(row[measure], 2)}\n[{number(row[low], 2)}, {number(row[high], 2)}]"
        panel.text(
            *place, text, ha="center", va="center", fontsize=8, color="white" if row[measure] > DARK else "black"
        )
        if train == test:
            panel.add_patch(Rectangle(np.array(place) - 0.48, 0.96, 0.96, fill=False, edgecolor="black", linewidth=2))
    panel.set_xticks(range(len(names)), names)
    panel.set_yticks(range(len(names)), names, rotation=90, va="center")
    panel.set(xlabel="tested on", ylabel="trained on")
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    return image


def _names(tables: Tables) -> list[str]:
    return list(dict.fromkeys(tables["matrix"]["test"]))


def _absent(tables: Tables, profile: str) -> list[str]:
    return [name for name in transfer_corpora(profile) if name not in _names(tables)]


def _pairs(rows: pd.DataFrame) -> list[str]:
    return [f"{train} → {test}" for train, test in zip(rows["train"], rows["test"], strict=True)]


def _step(row: pd.Series) -> str:
    return cell(signed(row["difference"]), interval(row))


def _judged(ranking: pd.Series) -> str:
    lost = f"{signed(ranking['difference'])} {interval(ranking)}"
    if ranking["low"] > 0:
        return f"After that the latter still leads by {lost}: ranking is lost."
    if ranking["high"] < 0:
        return f"After that the latter differs by {lost}: its own corpus taught it less."
    return f"After that the latter differs by {lost}: whether ranking is lost is unresolved."


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _source(tables: Tables) -> str:
    return f"Trained on one corpus, tested on another: {', '.join(_names(tables))}."
