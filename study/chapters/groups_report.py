"""The tables, figure and sentences of the chapter on who is served, from what `groups.write` wrote alone.

Conventions:

- ``tables`` are `study.chapters.groups.read`'s. Tables are HTML, a table a profile; sentences are Markdown.
- The endpoint is the mean of the three attributes, unless an attribute is named.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sercore import ATTRIBUTES
from study.chapters.groups import FEWEST
from study.comparisons import LEVEL
from study.show.figures import panels
from study.show.report import BANNERS
from study.show.tables import cell, downloads, html, interval, number, probability, score_cells, signed

Tables = Mapping[str, pd.DataFrame]

KINDS = {
    "simulated": "simulated speech",
    "emotale": "human speech, enacted",
    "iemocap": "human speech, acted",
    "msp_podcast": "human speech, naturalistic",
    "manifest": "your corpus",
}
"""How a figure calls the speech of a corpus, by its reader."""

SYSTEM = "fusion"
"""The system of the tables of groups; the other ones are in the figure, the gaps and the files."""

STYLES = {"fusion": ("#0072B2", "o", "#0072B2"), "speech_only": ("#D55E00", "s", "white")}
"""Colour, marker and face of each system."""


def banner(tables: Tables) -> str:
    """HTML that tells on what kinds of speech the page's figures were measured, and on how much of it."""
    whole = _chosen(tables["groups"]).query("group == 'all' and system == @SYSTEM")
    lines = [
        f"<p><b>{profile}</b>: {BANNERS[row['reader']][0].lower()}, {row['utterances']:,} utterances of"
        f" {row['speakers']} speakers ({row['split']}), trained runs of each system: {row['seeds']}.</p>"
        for profile, row in whole.set_index("profile").iterrows()
    ]
    simulated = "<p>What simulated speech shows says nothing about human speech.</p>"
    return (
        '<div class="admonition warning"><p class="admonition-title">What was measured here</p>'
        f"{''.join(lines)}{simulated if (whole['reader'] == 'simulated').any() else ''}</div>"
    )


def answer(tables: Tables) -> str:
    """For each profile how many gaps are resolved, these in words, and the gap between women and men in any case."""
    parts = []
    for profile, gaps in _tested(tables):
        kind = KINDS[gaps["reader"].iloc[0]]
        resolved = gaps[gaps["verdict"] == "resolved"]
        lines = [
            f"**{profile}** ({kind}): of {len(gaps)} gaps of the mean CCC declared in advance, {len(resolved)}"
            " resolved.",
            "",
        ]
        told = gaps[(gaps["verdict"] == "resolved") | (gaps["grouping"] == "gender")]
        scores = _chosen(tables["groups"]).query("profile == @profile").drop_duplicates(["grouping", "group"])
        speakers = scores.set_index(["grouping", "group"])["speakers"]
        for _, row in told.iterrows():
            heard = " and ".join(str(speakers[row["grouping"], row[side]]) for side in ("group", "reference"))
            size = f"{signed(row['difference'])} {interval(row, 3)}, Holm's p {probability(row['holm'])}"
            known = "resolved" if row["verdict"] == "resolved" else _unresolved(row)
            lines.append(
                f"- `{row['system']}`, {row['group']} − {row['reference']} ({heard} speakers): {size}; {known}."
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def forest(tables: Tables) -> Figure:
    """Mean CCC of each group: a panel a profile, a mark a system; the last row tells how speakers differ."""
    scores, spread = _chosen(tables["groups"]), _chosen(tables["speakers"])
    profiles = list(dict.fromkeys(scores["profile"]))
    rows = 1 + scores.groupby("profile").apply(lambda part: len(_rows(part))).max()
    figure, axes = panels(1, len(profiles), (1.2 + 4 * len(profiles), 1.2 + 0.34 * rows))
    for panel, profile in zip(axes, profiles, strict=True):
        _panel(panel, *(table[table["profile"] == profile] for table in (scores, spread)))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), loc="outside upper center", frameon=False)
    return figure


def scores_table(tables: Tables) -> str:
    """CCC of each attribute within each group, for `SYSTEM`; links to files with all systems."""
    shown = {}
    for profile, scores in _of_system(tables["groups"]):
        cells = score_cells(scores, ["grouping", "group", "utterances", "speakers"]).reset_index()
        cells = cells.astype({"utterances": str, "speakers": str})
        shown[profile] = cells[["group", "utterances", "speakers", *ATTRIBUTES, "mean"]].set_index("group")
    caption = (
        f"CCC of <code>{SYSTEM}</code> within each group, averaged over its trained runs, with the 95 % interval of a"
        " jackknife over speakers on Fisher's z, with the trained models as they are. Durations: thirds of the"
        " utterances."
    )
    return _stacked(shown, tables, caption, "groups")


def errors_table(tables: Tables) -> str:
    """Error and bias beside the range of the gold values and the CCC, within each group, for `SYSTEM`."""
    shown = {}
    for profile, scores in _of_system(tables["groups"]):
        mean = scores[scores["endpoint"] == "mean"].set_index("group")
        bias = scores.pivot_table(index="group", columns="endpoint", values="bias", sort=False)[list(ATTRIBUTES)]
        columns = {
            "spread of gold": mean["deviation"].map(lambda value: number(value, 2)),
            "RMSE": mean["rmse"].map(lambda value: number(value, 2)),
            "CCC": mean["ccc"].map(number),
        }
        columns |= {f"bias, {name}": bias[name].map(lambda value: signed(value, 2)) for name in ATTRIBUTES}
        shown[profile] = pd.DataFrame(columns)
    caption = (
        f"Of <code>{SYSTEM}</code>: standard deviation of the gold values, root mean squared error and CCC, each the"
        " mean of the three attributes, and bias (mean of prediction minus gold), in points of the corpus's scale."
    )
    return _stacked(shown, tables, caption, "errors", files=False)


def gaps_table(tables: Tables) -> str:
    """Each declared gap of the mean CCC with interval, p, Holm's p, detectable gap and verdict, and that of RMSE."""
    shown, sizes = {}, []
    for profile, gaps in _tested(tables):
        keys = ["system", "grouping", "group"]
        every = tables["gaps"].query("profile == @profile and endpoint == 'mean' and measure == 'rmse'")
        error = every.set_index(keys).loc[list(zip(*(gaps[key] for key in keys), strict=True))]
        shown[profile] = pd.DataFrame(
            {
                "system": gaps["system"].to_numpy(),
                "gap": (gaps["group"] + " − " + gaps["reference"]).to_numpy(),
                "CCC": [cell(signed(row["difference"]), interval(row, 3)) for _, row in gaps.iterrows()],
                "p": gaps["p"].map(probability).to_numpy(),
                "Holm's p": gaps["holm"].map(probability).to_numpy(),
                "detectable": gaps["detectable"].map(number).to_numpy(),
                "verdict": gaps["verdict"].to_numpy(),
                "RMSE": [cell(signed(row["difference"], 2), interval(row)) for _, row in error.iterrows()],
            }
        )
        sizes.append(f"{profile}: {len(gaps)}")
    caption = (
        "CCC and RMSE of a group minus those of its reference, mean of the three attributes, with 95 % intervals over"
        " speakers, with the trained models as they are. Women and men are different speakers, so their errors add up"
        " (Satterthwaite's degrees of freedom); emotions and durations share speakers, each of whom is left out of both"
        f" groups at once. Holm's p holds all gaps of a profile together ({'; '.join(sizes)}). Detectable: what such a"
        f" test finds in four of five studies of this size, at a level of {LEVEL:g} shared by the family. Resolved:"
        f" Holm's p below {LEVEL:g} and a gap no smaller than the detectable one. Unresolved does not mean equal. RMSE"
        " is shown beside, in points of the scale, and not tested."
    )
    return _stacked(shown, tables, caption, "gaps")


def speakers_table(tables: Tables) -> str:
    """How the CCC of single speakers differs: quartiles, share below zero, and how much of it is more than chance."""
    found = _chosen(tables["speakers"]).reset_index(drop=True)
    if found.empty:
        return f"<p>No corpus here has two speakers with {FEWEST} utterances or more.</p>"
    below = found.rename(columns={"low": "median_low", "high": "median_high"})
    below = below.rename(columns={"below_low": "low", "below_high": "high"})
    table = pd.DataFrame(
        {
            "profile": found["profile"],
            "system": found["system"],
            "speakers": found["speakers"].astype(str),
            "lowest": found["lowest"].map(number),
            "quarter": found["quarter"].map(number),
            "median": [cell(number(row["median"]), interval(row)) for _, row in found.iterrows()],
            "three quarters": found["three_quarters"].map(number),
            "highest": found["highest"].map(number),
            "below zero": [cell(number(row["below_zero"], 2), interval(row)) for _, row in below.iterrows()],
            "deviation": found["deviation"].map(number),
            "beyond chance": found["true_deviation"].map(number),
        }
    )
    caption = (
        f"Mean CCC of each speaker alone, over speakers with {FEWEST} utterances or more. In brackets: 95 % interval of"
        " the median from order statistics, and of the share of speakers below zero by Clopper and Pearson. Deviation:"
        " standard deviation over speakers; beyond chance: what remains without the error of a CCC from so few"
        " utterances. That is estimated by a jackknife over utterances, which makes it rather too large, and what"
        " remains rather too small."
    )
    return html(table, caption, "speakers") + downloads({"groups-speakers": (found, table)}, _source(tables))


# Steps of the above


def _chosen(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["endpoint"] == "mean"]


def _of_system(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return list(table[table["system"] == SYSTEM].groupby("profile", sort=False))


def _tested(tables: Tables) -> list[tuple[str, pd.DataFrame]]:
    gaps = _chosen(tables["gaps"])
    return list(gaps[gaps["measure"] == "ccc"].groupby("profile", sort=False))


def _rows(scores: pd.DataFrame) -> list[tuple[str, str]]:
    """Grouping and group of each row of a panel."""
    return list(dict.fromkeys(zip(scores["grouping"], scores["group"], strict=True)))


def _panel(panel: Axes, scores: pd.DataFrame, spread: pd.DataFrame) -> None:
    """One profile's groups, and its speakers below them."""
    rows, systems = _rows(scores), list(dict.fromkeys(scores["system"]))
    for offset, system in zip(np.linspace(-0.15, 0.15, len(systems)), systems, strict=True):
        colour, marker, face = STYLES[system]
        style = {"color": colour, "marker": marker, "markerfacecolor": face, "markersize": 5}
        known = scores[scores["system"] == system].set_index(["grouping", "group"]).loc[rows]
        reach = np.abs(known[["low", "high"]].to_numpy().T - known["ccc"].to_numpy())
        where = np.arange(len(rows)) + offset
        panel.errorbar(known["ccc"], where, xerr=reach, linestyle="", capsize=2.5, label=system, **style)
        for _, row in spread[spread["system"] == system].iterrows():
            where = len(rows) + offset
            panel.hlines(where, row["quarter"], row["three_quarters"], color=colour, linewidth=4, alpha=0.5)
            panel.plot(row["median"], where, **style)
    first = scores.drop_duplicates(["grouping", "group"])
    names = [f"{row['group']} ({row['utterances']:,}; {row['speakers']})" for _, row in first.iterrows()]
    panel.set_yticks(range(len(rows) + 1), [*names, "speakers: median,\nmiddle half"], fontsize=8)
    panel.set_ylim(len(rows) + 0.6, -0.6)
    ends = [place for place, (one, other) in enumerate(pairwise(rows)) if one[0] != other[0]]
    for end in (*ends, len(rows) - 1):
        panel.axhline(end + 0.5, color="#AAAAAA", linewidth=0.8)
    panel.axvline(0, color="black", linewidth=1)
    panel.set_xlabel("mean CCC (bars: 95 % interval)")
    panel.set_title(f"{scores['profile'].iloc[0]}: {KINDS[scores['reader'].iloc[0]]}", fontsize=10)


def _unresolved(row: pd.Series) -> str:
    return f"unresolved, a study of this size finds gaps from {number(row['detectable'])} on"


def _source(tables: Tables) -> str:
    return " ".join(BANNERS[reader][1] for reader in dict.fromkeys(tables["groups"]["reader"]))


def _stacked(shown: Mapping[str, pd.DataFrame], tables: Tables, caption: str, name: str, *, files: bool = True) -> str:
    """A table a profile, with what speech it is of, and links to the numbers of all systems and endpoints."""
    readers = tables["groups"].drop_duplicates("profile").set_index("profile")["reader"]
    parts = []
    for profile, table in shown.items():
        title = f"<b>{profile}</b> ({KINDS[readers[profile]]}). "
        parts.append(html(table, title + caption, f"{name}-{profile}"))
        if files:
            numbers = tables[name][tables[name]["profile"] == profile]
            parts.append(downloads({f"{name}-{profile}": (numbers, table)}, BANNERS[readers[profile]][1]))
    return "".join(parts)
