"""The figures, tables and sentences of the chapter on the validation set, from `protocol`'s tables alone.

Conventions:

- ``tables``: what `protocol.read_tables` gives; figures of systems and seeds are averaged where nothing else is
  said, standard deviations as root mean squares.
- Tables are HTML, sentences are Markdown; a CCC is the mean of the three attributes.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from study import paper
from study.chapters.protocol import LAST, STEPS
from study.show.figures import panels
from study.show.tables import breakable, cell, html, number, signed

Tables = Mapping[str, pd.DataFrame]

KINDS = {
    "balanced": "balanced, {} of each emotion",
    "random": "as many at random",
    "whole": "all utterances",
    "agreed": "all but O and X",
    "weighted": "all but O and X, emotions weighted alike",
    LAST: "none: the last epoch",
}
SCHEMES = {
    "same": "the same speakers choose and report",
    "split": "half of them choose, the others report",
    "crossed": "each half reports what the other chose",
}
STEP_NAMES = {"gender": "gender loss", "ambiguous": "without O and X"}

BALANCED, RANDOM, OTHER, LINE = "#0072B2", "#D55E00", "#009E73", "#555555"  # Okabe and Ito (2008)
FEW = 20
"""The largest k from which is extrapolated."""

TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


def own_size(tables: Tables, k: int | None) -> int:
    """The profile's own k, or where it has none the largest that was drawn from the development split."""
    drawn = tables["selection"].query("pool == 'development' and k > 0")["k"]
    return k if k in set(drawn) else int(drawn.max())


# Figures


def curves_figure(tables: Tables, k: int) -> Figure:
    """CCC against the epoch, a panel a system and a line a seed; bars: how often balanced sets choose an epoch."""
    curves, shares = tables["curves"], tables["epochs"].query("kind == 'balanced' and k == @k")
    systems, runs = list(curves["system"].unique()), curves["seed"].nunique()
    figure, axes = panels(1, len(systems), (9, 3.4), sharey=True)
    reported = next(name for name in curves["set"] if name not in ("whole", "weighted"))
    styles = {"weighted": (BALANCED, "--", "development, emotions alike"), reported: ("#000000", "-", reported)}
    for panel, system in zip(axes, systems, strict=True):
        share = shares[shares["system"] == system].groupby("epoch")["share"].sum() / runs
        bars = panel.twinx()
        bars.bar(share.index, share, color="#BBBBBB", width=0.8)
        bars.set(ylim=(0, 1), yticks=[])
        bars.grid(visible=False)
        bars.spines[:].set_visible(False)
        panel.patch.set_visible(False)
        panel.set(zorder=bars.get_zorder() + 1, xlabel="epoch")
        panel.set_title(system.replace("_without", "\nwithout").replace("_whole", "\nwhole"), fontsize=9)
        for name, (colour, line, _) in styles.items():
            for _, curve in curves[(curves["system"] == system) & (curves["set"] == name)].groupby("seed"):
                panel.plot(curve["epoch"], curve["ccc"], color=colour, linestyle=line, linewidth=1.1)
    axes[0].set_ylabel("mean CCC")
    handles = [Line2D([], [], color=colour, linestyle=line, label=label) for colour, line, label in styles.values()]
    handles.append(
        plt.Rectangle((0, 0), 1, 1, color="#BBBBBB", label=f"share of balanced sets, k = {k} (full height: all)")
    )
    figure.legend(handles=handles, ncols=3, loc="outside upper center", frameon=False, fontsize=8.5)
    return figure


def deviation_figure(tables: Tables) -> Figure:
    """What the draw alone does, against k: to a reported CCC, and to the difference of two; a panel a pool."""
    pools = list(tables["selection"]["pool"].unique())
    figure, axes = panels(1, len(pools), (9, 4.2), sharey=True)
    for panel, pool in zip(axes, pools, strict=True):
        selection = tables["selection"].query("pool == @pool and k > 0")
        differences = tables["differences"].query("pool == @pool and kind == 'balanced' and k > 0")
        lines = [
            ("a CCC, balanced set", selection.query("kind == 'balanced'"), "reported_sd", (BALANCED, "o", "-")),
            ("a CCC, as many at random", selection.query("kind == 'random'"), "reported_sd", (RANDOM, "s", "--")),
        ]
        for draw, style in (("same", (OTHER, "D", "-.")), ("independent", ("#000000", "^", ":"))):
            rows = differences[differences["draw"] == draw]
            lines.append((f"a difference, {draw} set{'s' * (draw != 'same')}", rows, "difference_sd", style))
        for label, rows, column, (colour, marker, line) in lines:
            spread = rows.groupby("k")[column].agg([_root_mean_square, "min", "max"])
            panel.fill_between(spread.index, spread["min"], spread["max"], color=colour, alpha=0.12, linewidth=0)
            panel.plot(spread.index, spread.iloc[:, 0], color=colour, marker=marker, linestyle=line, label=label)
        _step_lines(panel, labelled=pool == pools[-1])
        sizes = sorted(selection["k"].unique())
        panel.set(xscale="log", yscale="log", xlabel="k utterances of each emotion")
        panel.set_title(f"sets drawn from {pool}", fontsize=10)
        panel.set_xticks(sizes, sizes)
        panel.set_yticks(TICKS, map(str, TICKS))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("standard deviation over draws (CCC)")
    figure.legend(
        *axes[0].get_legend_handles_labels(), ncols=2, loc="outside upper center", frameon=False, fontsize=8.5
    )
    return figure


def optimism_figure(tables: Tables) -> Figure:
    """Reported CCC minus that of the same epoch on a fresh set, against k; bars: range over systems and seeds."""
    pools = list(tables["selection"]["pool"].unique())
    figure, axes = panels(1, 1, (6.4, 3.6))
    styles = {
        ("balanced", pools[0]): (BALANCED, "o", "-"),
        ("random", pools[0]): (RANDOM, "s", "--"),
        ("balanced", pools[-1]): ("#000000", "^", ":"),
    }
    for place, ((kind, pool), (colour, marker, line)) in enumerate(styles.items()):
        rows = tables["selection"].query("kind == @kind and pool == @pool and k > 0").dropna(subset="optimism_fresh")
        found = rows.groupby("k")["optimism_fresh"].agg(["mean", "min", "max"])
        reach = [found["mean"] - found["min"], found["max"] - found["mean"]]
        label = f"{'balanced' if kind == 'balanced' else 'as many at random'}, from {pool}"
        where = found.index * 1.05 ** (place - 1)  # side by side
        axes[0].errorbar(
            where, found["mean"], reach, color=colour, marker=marker, linestyle=line, capsize=3, label=label
        )
    sizes = sorted(tables["selection"].query("k > 0").dropna(subset="optimism_fresh")["k"].unique())
    axes[0].axhline(0, color="black", linewidth=1)
    axes[0].set(xscale="log", xlabel="k utterances of each emotion", ylabel="optimism: reported − fresh (CCC)")
    axes[0].set_xticks(sizes, sizes)
    axes[0].xaxis.set_minor_formatter(NullFormatter())
    axes[0].legend(frameon=False, fontsize=9)
    return figure


# Tables


def selection_table(tables: Tables, k: int) -> str:
    """What each kind of set, drawn from the development split, chooses and reports for each system."""
    rows = _at_size(tables["selection"].query("pool == 'development'"), k)
    cells = []
    for (system, kind), part in rows.groupby(["system", "kind"], sort=False):
        chosen = {
            "chosen epoch": cell(f"{part['epoch'].mean():.1f}", f"± {_root_mean_square(part['epoch_sd']):.1f}"),
            "reported": _plus_minus(part, "reported"),
            "on test": _plus_minus(part, "test"),
            "regret": number(part["regret"].mean(), 4),
            "reported − test": cell(signed(part["optimism_test"].mean()), _range(part["optimism_test"])),
        }
        cells.append({"system": breakable(system), "set": KINDS[kind].format(k)} | chosen)
    table = pd.DataFrame(cells)
    table["system"] = _once(table["system"])
    first = rows.iloc[0]
    caption = (
        f"Mean CCC of the three attributes, averaged over {rows['seed'].nunique()} trained runs of each system and"
        f" {first['draws']:,} sets where sets are drawn; after ± the standard deviation over the draws alone, within a"
        " run. Regret: CCC on test of the best epoch there minus that of the chosen one. Reported − test: below it the"
        " range over the runs; it holds what choosing on the set flatters, and all else that tells the splits apart."
        " Weighted alike, and the last epoch: CCC over all utterances of a primary emotion, where each emotion counts"
        " the same."
    )
    return html(table.fillna("–"), caption, "selection")


def differences_table(tables: Tables, k: int) -> str:
    """How the reported difference of two systems, each at its own epoch, varies with the draw, and how often flips."""
    rows = _at_size(tables["differences"].query("pool == 'development' and kind in ('balanced', 'random')"), k)
    cells = []
    for (system, reference, kind, draw), part in rows.groupby(["system", "reference", "kind", "draw"], sort=False):
        shown = {"sets": f"{KINDS[kind].format(k)}; {draw}", "difference": signed(part["difference"].mean())}
        shown |= {"± by the draw": number(_root_mean_square(part["difference_sd"]), 4)}
        shown |= {"other sign": cell(_percent(part["flips"].mean()), _percents(part["flips"]))}
        shown |= {_step_name(name): _percent(part[name].mean()) for name in STEPS}
        cells.append({"pair": f"{breakable(system)} − {breakable(reference)}"} | shown)
    table = pd.DataFrame(cells)
    table["pair"] = _once(table["pair"])
    caption = (
        "Difference of the CCC that two systems report, each at the epoch that the set chooses for it; mean over the"
        " draws and runs, and its standard deviation over the draws alone, within a run. Same: both are reported on one"
        " set, independent: each on a set of its own. Other sign: share of draws (range over the runs) whose difference"
        " has not the sign of the run's mean. Last columns: share of draws that lie at least as far from their mean as"
        f" the paper's difference is long, which is how often the draw alone makes one as large. {_caveat()}"
    )
    return html(table, caption, "flips")


def speakers_table(tables: Tables) -> str:
    """What choosing and reporting on the same speakers flatters, against two ways that keep them apart."""
    cells = []
    for (pool, scheme), part in tables["speakers"].groupby(["pool", "scheme"], sort=False):
        shown = {
            "reported": number(part["reported"].mean()),
            "on other speakers": number(part["truth"].mean()),
            "optimism": cell(signed(part["optimism"].mean(), 4), _range(part["optimism"], 4)),
            "± by the speakers": number(_root_mean_square(part["optimism_sd"]), 4),
            "error": number(_error(part), 4),
        }
        cells.append({"pool": f"{pool}: {part['speakers'].iloc[0]} speakers", "scheme": SCHEMES[scheme]} | shown)
    table = pd.DataFrame(cells)
    table["pool"] = _once(table["pool"])
    caption = (
        "A random half of a split's speakers plays the development split, the other half is the truth, drawn"
        " again and again. All utterances of the speakers count, as they come. Optimism: reported minus the CCC of the"
        " epoch in use on the other speakers, with its range over systems and seeds; ±: standard deviation of that over"
        " the draws; error: root mean square, of both together. Whoever is to be the truth is a draw as well, which"
        " is in every row alike. Crossed, the truth is that of the epoch that all speakers choose, which may be better"
        " than what half of them chose."
    )
    return html(table, caption, "schemes")


# Sentences


def answer(tables: Tables, k: int) -> str:
    """What the draw of the profile's own balanced set does, in words."""
    rows = tables["selection"].query("pool == 'development' and kind == 'balanced' and k == @k")
    pairs = tables["differences"].query("pool == 'development' and kind == 'balanced' and k == @k and draw == 'same'")
    flips = [
        f"`{system}` − `{reference}` {_percent(part['flips'].mean())}"
        for (system, reference), part in pairs.groupby(["system", "reference"], sort=False)
    ]
    lines = [
        f"Had another balanced set of k = {k} utterances of each emotion been drawn for the same trained runs:",
        "",
        f"- **Chosen epoch.** It moves by a standard deviation of {_root_mean_square(rows['epoch_sd']):.1f} epochs.",
        f"- **Reported CCC.** It moves by {number(_root_mean_square(rows['reported_sd']))}; over"
        f" {rows['draws'].iloc[0]:,} draws it spans {number((rows['reported_high'] - rows['reported_low']).mean(), 2)}"
        " on average.",
        f"- **CCC on test of what is chosen.** It moves by {number(_root_mean_square(rows['test_sd']), 4)}, and lies"
        f" {number(rows['regret'].mean(), 4)} below that of the best epoch. So the report moves"
        f" {_times(rows['reported_sd'], rows['test_sd'])} as much as what it reports on.",
        f"- **Order of two systems.** On the same set it is the other one than on average in: {'; '.join(flips)}.",
        f"- **Optimism.** {_optimism(tables, k)}",
    ]
    return "\n".join(lines)


def beside_the_paper(tables: Tables, k: int) -> str:
    """The paper's small differences beside what the draw alone makes, and from which k on it would make them rarely."""
    pool = tables["selection"]["pool"].unique()[-1]
    rows = tables["differences"].query("kind == 'balanced' and draw == 'same' and k > 0")
    here = rows.query("pool == 'development' and k == @k")
    most = rows.query("pool == @pool")
    few = int(most.loc[most["k"] <= FEW, "k"].max())  # more would be a large part of the pool, and vary less
    deviation = _root_mean_square(most.loc[most["k"] == few, "difference_sd"])
    lines = []
    for name, step in STEPS.items():
        size, digits = paper.difference(*step)
        needed = few * (1.96 * deviation / abs(size)) ** 2
        lines.append(
            f"- **{signed(size, digits)} ({STEP_NAMES[name]})**: at k = {k}, two systems on the same set differ by as"
            f" much from their mean difference in {_percent(here[name].mean())} of the draws, by the draw alone. Taken"
            f" from the deviation at k = {few} on {pool}, {number(deviation, 4)}, as 1/√k goes, the draw would make"
            f" it in fewer than 5 % of draws from k of about {_rounded(needed)} on."
        )
    lines += [
        "",
        "The paper does not tell its k, so its own standard deviation cannot be given; and its systems' errors may go"
        " together more than these do, which makes the draw matter less. The rule of 1/√k takes a corpus without end:"
        " nearer to all that there is, the draw matters less, and the choice of speakers and the seed are left."
        f" {_caveat()}",
    ]
    return "\n".join(lines)


def interaction(tables: Tables, k: int) -> str:
    """For each system, in words: what balanced and natural sets choose, and what that is worth on test."""
    rows = _at_size(tables["selection"].query("pool == 'development'"), k)
    lines = []
    for system, part in rows.groupby("system", sort=False):
        found = part.groupby("kind").agg(
            epoch=("epoch", "mean"), test=("test", "mean"), spread=("test_sd", _root_mean_square)
        )
        steps = part.pivot_table(index="seed", columns="kind", values="test")
        gain = steps["weighted"] - steps["whole"]
        lines.append(
            f"- `{system}`: epoch {found.loc['balanced', 'epoch']:.1f} by balanced sets,"
            f" {found.loc['whole', 'epoch']:.1f} by all utterances, {found.loc['weighted', 'epoch']:.1f} by all with"
            f" emotions weighted alike; on test {number(found.loc['balanced', 'test'])},"
            f" {number(found.loc['whole', 'test'])} and {number(found.loc['weighted', 'test'])} (weighted minus as they"
            f" come, by seed: {_range(gain, 4)}). The draw of the balanced set moves the CCC on test by"
            f" {number(found.loc['balanced', 'spread'], 4)}."
        )
    return "\n".join(lines)


def recommendation(tables: Tables, k: int) -> str:
    """A protocol, each step with the figure that speaks for or against it here."""
    rows = tables["selection"].query("pool == 'development'")
    balanced = rows.query("kind == 'balanced' and k == @k")
    by_kind = {kind: rows[rows["kind"] == kind] for kind in ("weighted", LAST)}
    flips = tables["differences"].query("pool == 'development' and kind == 'balanced' and k == @k")
    flips = flips.groupby("draw")["flips"].mean()
    lines = [
        "1. **Choose the epoch on all development utterances of a primary emotion, with weights that make the emotions"
        " count alike, in place of drawing k of each.** This keeps the balance and takes the draw away. Here: regret"
        f" {number(by_kind['weighted']['regret'].mean(), 4)} with weights, {number(balanced['regret'].mean(), 4)} ±"
        f" {number(_root_mean_square(balanced['regret_sd']), 4)} with sets of k = {k},"
        f" {number(by_kind[LAST]['regret'].mean(), 4)} with the last epoch and no choice.",
        "2. **If a set is drawn, draw it once for all systems, and say its k and seed.** Here the order of two systems"
        f" flips in {_percent(flips['same'])} of draws on one set, in {_percent(flips['independent'])} where each has"
        " its own (mean over the pairs).",
        "3. **Do not report on the speakers who chose.** The report belongs on a test split. Where there is none, each"
        " half of the development speakers can report what the other chose, and all of them choose in the end. Here"
        f" reports are off by, on average (and as root mean square): {_errors(tables)}.",
        "4. **Give the interval over speakers and seeds.** The draw is one source of chance among three, and the only"
        " one that can be had for nothing: see [how sure one can be](/notebooks/significance).",
    ]
    return "\n".join(lines)


# Steps of the above


def _at_size(rows: pd.DataFrame, k: int) -> pd.DataFrame:
    """Rows of sets of size k, and of those that are not drawn, in the order of `KINDS`."""
    order = rows["kind"].map(list(KINDS).index)
    systems = rows["system"].map({name: i for i, name in enumerate(rows["system"].unique())})
    return rows.assign(order=order, first=systems).query("k in (0, @k)").sort_values(["first", "order"], kind="stable")


def _root_mean_square(values: pd.Series) -> float:
    return float(np.sqrt((values**2).mean()))


def _error(rows: pd.DataFrame) -> float:
    """Root mean square of reported minus truth, over draws and runs."""
    return float(np.sqrt((rows["optimism"] ** 2 + rows["optimism_sd"] ** 2).mean()))


def _errors(tables: Tables) -> str:
    """Optimism and error of each scheme on the development split."""
    schemes = dict(list(tables["speakers"].query("pool == 'development'").groupby("scheme")))
    return "; ".join(
        f"{what}, {signed(schemes[name]['optimism'].mean(), 4)} ({number(_error(schemes[name]), 4)})"
        for name, what in SCHEMES.items()
        if name in schemes
    )


def _plus_minus(rows: pd.DataFrame, name: str) -> str:
    deviation = _root_mean_square(rows[f"{name}_sd"])
    return cell(number(rows[name].mean()), f"± {number(deviation, 4)}" if rows["draws"].iloc[0] > 1 else "no draw")


def _range(values: pd.Series, digits: int = 3) -> str:
    return f"{signed(values.min(), digits)} to {signed(values.max(), digits)}"


def _once(column: pd.Series) -> pd.Series:
    """A column of which each value is told only in its first row."""
    return column.where(~column.duplicated(), "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _percents(shares: pd.Series) -> str:
    return f"{100 * shares.min():.0f} to {_percent(shares.max())}"


def _times(one: pd.Series, other: pd.Series) -> str:
    return f"{_root_mean_square(one) / max(_root_mean_square(other), 1e-9):.1f} times"


def _rounded(value: float) -> str:
    """To two digits: an extrapolation holds no more."""
    return f"{float(f'{value:.2g}'):,.0f}"


def _optimism(tables: Tables, k: int) -> str:
    """Optimism on fresh sets, at the profile's k or else at the largest of which a pool holds two."""
    parts = []
    for pool, rows in (
        tables["selection"].query("kind == 'balanced'").dropna(subset="optimism_fresh").groupby("pool", sort=False)
    ):
        size = k if k in set(rows["k"]) else rows["k"].max()
        found = rows.loc[rows["k"] == size, "optimism_fresh"]
        parts.append(f"{signed(found.mean())} ({_range(found)} over the runs) at k = {size} on {pool}")
    return (
        f"The CCC on the set that chose the epoch exceeds that on a fresh set of the same make by {'; '.join(parts)}."
    )


def _step_name(name: str) -> str:
    return f"as {signed(*paper.difference(*STEPS[name]))} ({STEP_NAMES[name]})"


def _caveat() -> str:
    return paper.quoted()["caveat"]


def _step_lines(panel: Axes, *, labelled: bool) -> None:
    for name, step in STEPS.items():
        size, digits = paper.difference(*step)
        panel.axhline(abs(size), color=LINE, linewidth=1)
        if labelled:
            text = f"{signed(size, digits)}\n{STEP_NAMES[name]}"
            panel.annotate(text, (1.02, abs(size)), xycoords=("axes fraction", "data"), va="center", fontsize=7.5)
