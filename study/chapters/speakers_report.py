"""The tables, figures and sentences of the chapter on speakers.

Conventions:

- Everything is computed from a study's results and from the tables of `speaker_embeddings`; the one point of
  the paper is quoted from `simulation.population`.
- Tables are HTML, sentences are Markdown; a difference is that of the mean CCC of the three attributes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sercore.params import ParamsError, resolve
from simulation.population import SKEW
from study.chapters.speakers import HEARD, NEW, Measured, changes, differences, training_counts
from study.results import Study, busiest_share, lorenz
from study.show.figures import panels
from study.show.report import BANNERS
from study.show.tables import basis, breakable, cell, downloads, html, interval, number, score_cells, signed

EMOTALE = Path("results/emotale/speakers")
"""Where the project keeps what it measured on EmoTale."""

NAMES = {"simulated": "simulated speech", "emotale": "EmoTale (human speech)", "msp_podcast": "MSP-Podcast"}
"""What a corpus is called in figures, by its reader."""

BUSIEST = f"busiest {100 * SKEW['speakers']:.0f} %"

STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "D", "-."),
    ("#CC79A7", "^", ":"),
    ("#000000", "v", (0, (5, 1, 1, 1, 1, 1))),
)
"""Colours of Okabe and Ito (2008), each with a marker and a line of its own."""

SPEAKER_STYLES = [(f"C{number}", "os^DvP*X<>"[number]) for number in range(10)]


def embeddings(results: Path | str, reader: str) -> dict[str, dict[str, pd.DataFrame]]:
    """The tables of `study.chapters.speaker_embeddings.write` of a study, and of EmoTale where that is another corpus.

    Returns:
        By the corpus's name, ``counts``, ``embedding_2d`` and ``embedding``.

    Raises:
        ParamsError: a table of the study is absent.
    """
    folders = {NAMES.get(reader, reader): resolve(Path(results)), NAMES["emotale"]: resolve(EMOTALE)}
    found = {}
    for name, folder in folders.items() if reader != "emotale" else [(NAMES[reader], resolve(Path(results)))]:
        paths = [folder / f"{table}.csv" for table in ("counts", "embedding_2d", "embedding")]
        if missing := [path.name for path in paths if not path.is_file()]:
            raise ParamsError(f"{folder} lacks {', '.join(missing)}: `make study CHAPTER=speakers` makes them.")
        found[name] = {path.stem: pd.read_csv(path) for path in paths}
    return found


# Skew


def counts(found: Mapping[str, Study], embedded: Mapping[str, dict[str, pd.DataFrame]]) -> dict[str, np.ndarray]:
    """Utterances of each speaker: of the training split under each condition, and of all of EmoTale."""
    curves = {name: training_counts(study).to_numpy() for name, study in found.items()}
    human = NAMES["emotale"]
    return curves | ({human: embedded[human]["counts"]["utterances"].to_numpy()} if human in embedded else {})


def lorenz_figure(curves: Mapping[str, Sequence[int]]) -> Figure:
    """Share of the utterances that the busiest speakers speak, a line a corpus; a cross marks the paper's point."""
    figure, axes = panels(1, 1, (6, 4))
    for (name, spoken), (colour, _, line) in zip(curves.items(), STYLES, strict=False):
        x, y = lorenz(spoken)
        axes[0].plot(100 * x, 100 * y, color=colour, linestyle=line, linewidth=1.8, label=name)
    axes[0].plot(
        100 * SKEW["speakers"], 100 * SKEW["utterances"], "kX", markersize=10, label="MSP-Podcast, as the paper says"
    )
    axes[0].set(xlabel="speakers, busiest first (%)", ylabel="utterances (%)", xlim=(0, 100), ylim=(0, 101))
    axes[0].legend(frameon=False, loc="lower right")
    return figure


def skew_table(curves: Mapping[str, Sequence[int]]) -> str:
    """Speakers, utterances, and what the busiest speak, a row a corpus."""
    rows = {
        name: {
            "speakers": f"{len(spoken):,}",
            "utterances": f"{sum(spoken):,}",
            f"the {BUSIEST} speak": _percent(busiest_share(spoken)),
            "the busiest one speaks": _percent(max(spoken) / sum(spoken)),
        }
        for name, spoken in curves.items()
    }
    caption = (
        "Known speakers; of a study's conditions those of the training split. In MSP-Podcast, as the paper says, the "
        f"{BUSIEST} speak about {_percent(SKEW['utterances'])}."
    )
    return html(pd.DataFrame.from_dict(rows, "index"), caption, "skew")


# Do embeddings of the same speaker cluster?


def embedding_figure(embedded: Mapping[str, dict[str, pd.DataFrame]]) -> Figure:
    """The speaker embeddings of ten speakers, projected to a plane; a panel a corpus, a colour and marker a speaker."""
    figure, axes = panels(1, len(embedded), (4.2 * len(embedded), 4))
    for panel, (name, tables) in zip(axes, embedded.items(), strict=True):
        for (_, points), (colour, marker) in zip(
            tables["embedding_2d"].groupby("speaker"), SPEAKER_STYLES, strict=False
        ):
            panel.scatter(points["x"], points["y"], 14, color=colour, marker=marker, linewidths=0, alpha=0.8)
        panel.set(title=name, xlabel="t-SNE, first axis (no unit)", ylabel="second axis (no unit)")
    return figure


def embedding_table(embedded: Mapping[str, dict[str, pd.DataFrame]]) -> str:
    """Silhouette and equal-error rate of the whole embedding, with intervals over speakers."""
    tables = {name: one["embedding"].set_index("measure") for name, one in embedded.items()}
    rows = {
        name: {measure: cell(number(row["value"]), interval(row)) for measure, row in table.iterrows()}
        | {column: str(table[column].iloc[0]) for column in ("speakers", "utterances", "encoder")}
        for name, table in tables.items()
    }
    caption = (
        "On the whole embedding, not on its projection. Silhouette: 1 where each speaker is a cluster of its own, about"
        " 0 where there are none, below where utterances are nearer to those of another. Equal-error rate of telling"
        " whether two utterances are of one speaker, over all pairs: 0 without error, .5 by guessing. In brackets: 95 %"
        " interval, jackknife over speakers."
    )
    return html(pd.DataFrame.from_dict(rows, "index"), caption, "embedding")


def embedding_sentences(embedded: Mapping[str, dict[str, pd.DataFrame]]) -> str:
    """What the two numbers say of each corpus."""
    lines = []
    for name, tables in embedded.items():
        rows = tables["embedding"].set_index("measure")
        silhouette, error = rows.loc["silhouette"], rows.loc["equal-error rate"]
        clusters = (
            "the silhouette is not told apart from 0"
            if silhouette["low"] <= 0 <= silhouette["high"]
            else f"the silhouette lies {'above' if silhouette['low'] > 0 else 'below'} 0"
        )
        known = "tells speakers apart better than guessing" if error["high"] < 0.5 else "is not shown to beat guessing"
        lines.append(
            f"- {name}: {clusters} ({number(silhouette['value'])} {interval(silhouette)}); as a verifier the embedding "
            f"{known} (equal-error rate {number(error['value'])} {interval(error)})."
        )
    return "\n".join(lines)


# What systems do for heard and for new speakers


def difference_figure(found: Mapping[str, Study], measured: Measured) -> Figure:
    """Difference of each system to its reference against the skew, a panel for heard and one for new speakers."""
    table = differences(found, measured)
    kinds = [kind for kind in (HEARD, NEW) if kind in set(table["speakers"])]
    figure, axes = panels(1, len(kinds), (4.4 * len(kinds), 4), sharey=True)
    for panel, kind in zip(axes, kinds, strict=True):
        systems = table[table["speakers"] == kind].groupby("system", sort=False)
        offsets = np.linspace(-1.6, 1.6, len(systems))
        for (system, rows), offset, (colour, marker, line) in zip(systems, offsets, STYLES, strict=False):
            reach = np.abs(rows[["low", "high"]].to_numpy().T - rows["difference"].to_numpy())
            panel.errorbar(
                100 * rows["skew"] + offset,
                rows["difference"],
                reach,
                color=colour,
                marker=marker,
                linestyle=line,
                linewidth=1.2,
                capsize=2,
                label=system,
            )
        panel.axhline(0, color="black", linewidth=1)
        panel.set(title=kind, xlabel=f"utterances of the {BUSIEST} of speakers (%)")
    axes[0].set_ylabel(f"mean CCC, difference to {table['reference'].iloc[0]}\n(bars: 95 % interval)")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8.5
    )
    return figure


def difference_table(found: Mapping[str, Study], measured: Measured) -> str:
    """Each difference under each condition for heard and new speakers, and its change over the conditions; links."""
    table = differences(found, measured)
    shown = table.assign(
        cell=[
            cell(signed(row["difference"]), f"{interval(row, 3)}<br>{row['verdict']}") for _, row in table.iterrows()
        ],
        column=[f"{row['condition']}: {_percent(row['skew'])}" for _, row in table.iterrows()],
    )
    cells = shown.pivot_table(
        index="system", columns=["speakers", "column"], values="cell", aggfunc="first", sort=False
    )
    caption = (
        f"Difference of the mean CCC to {table['reference'].iloc[0]}, with 95 % interval over other speakers and seeds;"
        " Holm's procedure holds together the systems of a column. Columns: condition, and the share of the training"
        f" utterances that the {BUSIEST} of the speakers speak."
    )
    if len(found) > 1:
        change = changes(table)
        texts = [cell(signed(row["difference"]), interval(row, 3)) for _, row in change.iterrows()]
        for kind, rows in change.assign(cell=texts).groupby("speakers", sort=False):
            cells[kind, "change"] = rows.set_index("system")["cell"]
        cells = cells[[kind for kind in (HEARD, NEW) if kind in cells]]
        caption += (
            " Change: from the first condition to the last; its interval takes the two for independent and is not "
            "adjusted for the number of systems."
        )
    source = BANNERS[next(iter(measured.values())).params.corpus.reader][1]
    shown = cells.rename(index=breakable)
    return html(shown, caption, "differences") + downloads({"speakers-differences": (table, shown)}, source)


def scores_table(measured: Measured) -> str:
    """Mean CCC of each system, one rater and guessing, under each condition for heard and for new speakers."""
    columns = {}
    for (condition, kind), one in measured.items():
        means = one.scores[one.scores["endpoint"] == "mean"]
        columns[kind, condition] = score_cells(means, ["system"])["mean"]
    order = sorted(columns, key=lambda key: (HEARD, NEW).index(key[0]))
    table = pd.concat({key: columns[key] for key in order}, axis=1).fillna("–")
    first = next(iter(measured.values()))
    sizes = "; ".join(
        f"{condition}, {kind}: {one.scores['utterances'].iloc[0]:,} utterances of {one.scores['speakers'].iloc[0]}"
        for (condition, kind), one in measured.items()
    )
    caption = (
        f"Mean CCC of the three attributes. {basis(first.seeds, pooled=first.runs < first.seeds)} {sizes}. Heard and "
        "new speakers also differ in which emotions they show, so do not hold a column of the one against the other."
    )
    return html(table.rename(index=breakable), caption, "scores")


def answer(found: Mapping[str, Study], measured: Measured) -> str:
    """What is resolved for heard and for new speakers, and what a study of this size could have found."""
    table = differences(found, measured)
    lines = []
    for kind, rows in table.groupby("speakers", sort=False):
        resolved = rows[rows["verdict"] == "resolved"]
        lines.append(f"- **{kind.capitalize()}**: of {len(rows)} differences {len(resolved)} are resolved.")
        for _, row in resolved.iterrows():
            better = "higher" if row["difference"] > 0 else "lower"
            lines.append(
                f"  `{row['system']}` is {better} than `{row['reference']}` where the {BUSIEST} "
                f"speak {_percent(row['skew'])}: {signed(row['difference'])} {interval(row, 3)}."
            )
        if len(resolved) < len(rows):
            least, most = (number(rows["detectable"].agg(what)) for what in ("min", "max"))
            lines.append(f"  What is not, would have been found from {least} to {most} on, depending on the column.")
    return "\n".join(lines)


def standing(found: Mapping[str, Study], measured: Measured) -> str:
    """How each system stands on new speakers where the skew is largest, and whether that changed with the skew."""
    table = differences(found, measured)
    new = table[table["speakers"] == NEW]
    last = new[new["skew"] == new["skew"].max()].set_index("system")
    moved = changes(new).set_index("system") if len(found) > 1 else None
    lines = [f"On new speakers, where the {BUSIEST} speak {_percent(new['skew'].max())}:", ""]
    for system, row in last.iterrows():
        resolved = row["verdict"] == "resolved"
        helps = "helps" if row["difference"] > 0 else "harms"
        word = helps if resolved else "neither helps nor harms as far as is known"
        line = f"- `{system}` {word}: {signed(row['difference'])} {interval(row, 3)}"
        if moved is not None:
            change = moved.loc[system]
            told = change["low"] > 0 or change["high"] < 0
            line += (
                f"; from the least skew to the largest it changes by {signed(change['difference'])} "
                f"{interval(change, 3)}, which is {'' if told else 'not '}told apart from 0"
            )
        lines.append(f"{line}.")
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
