"""What utterances with ambiguous labels are like, and what training on them gives: tables and figures of a chapter.

Conventions:

- An utterance is of one of three `KINDS`: its raters agreed on a primary emotion, called it other (O), or had no
  plurality (X).
- Tables are HTML; a difference is that of the mean CCC of the three attributes.
- Statistics of EmoTale are read from ``results/emotale/ambiguity_content``, which `write` makes;
  published ones are WHiSER's.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from sercore import ATTRIBUTES, corpora
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.params import Params, project_root
from sercore.raters import PUBLISHED_CLASSES, SOURCE, agreement_weights
from sercore.sampling import EpochSampler, training_and_validation
from sercore.significance import jackknife_error
from study.comparisons import CEILING, Comparison
from study.results import Study, by_system
from study.show.figures import panels
from study.show.tables import breakable, cell, html, interval, number, signed

KINDS = {"agreed": "".join(PRIMARY_EMOTIONS), "other": "O", "no agreement": "X"}
STATISTICS = ("mean", "sd", "raters' sd")
DOSES = ("fusion_ambiguous_25", "fusion_ambiguous_50", "fusion")
DOSE_0 = "fusion_ambiguous_0"
KIND_STYLES = {
    "agreed": {"color": "#0072B2", "marker": "o"},
    "other": {"color": "#D55E00", "marker": "s"},
    "no agreement": {"color": "#009E73", "marker": "D"},
}
LINES = (("#000000", "o", "-"), ("#0072B2", "s", "--"), ("#D55E00", "D", "-."), ("#009E73", "^", ":"))

# What the utterances are like


def described(table: pd.DataFrame, ratings: pd.DataFrame | None) -> pd.DataFrame:
    """Attributes and raters of each kind of utterance, and their difference to the agreed ones, with 95 % intervals.

    Limits are the value -+ t(G - 1) times its jackknife error over the G speakers (Efron, 1982).

    Args:
        table: rows of a corpus table; those without attributes, emotion or speaker are left out.
        ratings: single ratings of them, or None.

    Returns:
        A row a kind, attribute and statistic: ``mean`` and ``sd`` of the consensus, ``raters' sd`` among the ratings of
        one utterance (pooled), in points of the corpus's scale. Columns ``value``, ``low``, ``high``, ``difference``,
        ``difference low``, ``difference high``, and the kind's ``utterances`` and ``speakers``. Kinds of fewer than two
        speakers, of whom no interval follows, are left out.
    """
    codes = {code: kind for kind, listed in KINDS.items() for code in listed}
    rows = table.dropna(subset=[*ATTRIBUTES, "emotion", "speaker"])
    rows = rows.assign(kind=rows["emotion"].map(codes))
    sizes = rows.groupby("kind").agg(utterances=("kind", "size"), speakers=("speaker", "nunique"))
    present = [kind for kind in KINDS if kind in sizes.index and sizes.loc[kind, "speakers"] > 1]
    sums = _sums(rows, ratings, present)
    total = sums.sum(axis=0)
    values, without = _statistics(total), _statistics(total - sums)
    reach = stats.t.ppf(0.975, len(sums) - 1)
    error = reach * jackknife_error(without)
    difference, distance = values - values[:1], reach * jackknife_error(without - without[:, :1])
    columns = {
        "value": values,
        "low": values - error,
        "high": values + error,
        "difference": difference,
        "difference low": difference - distance,
        "difference high": difference + distance,
    }
    index = pd.MultiIndex.from_product([present, STATISTICS, ATTRIBUTES], names=["kind", "statistic", "attribute"])
    found = pd.DataFrame({name: each.ravel() for name, each in columns.items()}, index=index)
    return found.join(sizes, on="kind").reset_index()


def published() -> pd.DataFrame:
    """The columns of `described` that follow from WHiSER's class statistics (scale 1 to 7, no intervals).

    The agreed utterances are put together from their classes: moments are averaged by the number of utterances.
    """
    rows = []
    for kind, listed in KINDS.items():
        classes = PUBLISHED_CLASSES.loc[PUBLISHED_CLASSES.index.isin(list(listed))]
        count = classes["utterances"]
        for attribute in ATTRIBUTES:
            mean, sd, within = (classes[f"{name} {attribute}"] for name in STATISTICS)
            centre = np.average(mean, weights=count)
            spread = np.sqrt(np.average(sd**2 + (mean - centre) ** 2, weights=count))
            values = (centre, spread, np.sqrt(np.average(within**2, weights=count)))
            rows += [
                {"kind": kind, "statistic": name, "attribute": attribute, "value": value, "utterances": count.sum()}
                for name, value in zip(STATISTICS, values, strict=True)
            ]
    table = pd.DataFrame(rows)
    agreed = table[table["kind"] == "agreed"].set_index(["statistic", "attribute"])["value"]
    own = pd.MultiIndex.from_frame(table[["statistic", "attribute"]])
    return table.assign(difference=table["value"] - agreed.loc[own].to_numpy())


def voted(ratings: pd.DataFrame) -> pd.Series:
    """The emotion that each utterance's raters name most often, or X where two are named as often; by utterance."""
    votes = pd.crosstab(ratings["utterance"], ratings["emotion"])
    tied = votes.eq(votes.max(axis=1), axis=0).sum(axis=1) > 1
    return votes.idxmax(axis=1).mask(tied, "X")


def write(params: Params, folder: Path) -> None:
    """Write ``kinds.csv`` into `folder`: `described` for the whole corpus of `params`, emotions as its raters vote.

    For corpora whose own label of the emotion is not the raters', such as EmoTale's, which is the enacted one.
    """
    corpus = corpora.read(params.corpus, 0)
    table = described(corpus.table.assign(emotion=voted(corpus.ratings)), corpus.ratings)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / ".kinds.csv.partial"
    table.to_csv(partial, index=False, float_format="%.4f")
    partial.rename(folder / "kinds.csv")


def sources(study: Study) -> dict[str, pd.DataFrame]:
    """`described` for a study's train and development, for EmoTale where it was written, and `published`."""
    natural = study.corpus[study.corpus["split"].isin(["train", "development"])]
    found = {"this study": described(natural, study.ratings)}
    path = project_root() / "results" / "emotale" / "ambiguity_content" / "kinds.csv"
    if path.is_file():
        found["EmoTale, real and enacted (scale 1 to 5)"] = pd.read_csv(path)
    return found | {f"{SOURCE}, real, published": published()}


def kinds_table(described: Mapping[str, pd.DataFrame]) -> str:
    """Each statistic of each kind with its interval, and its difference to the agreed utterances, by source."""
    blocks = []
    for source, table in described.items():
        for (kind, count), rows in table.groupby(["kind", "utterances"], sort=False):
            chosen = rows.set_index(["statistic", "attribute"])
            cells = {key: _kind_cell(row) for key, row in chosen.iterrows()}
            blocks.append(pd.Series(cells, name=f"{source}: {kind} ({count:,.0f})"))
    table = pd.DataFrame(blocks).reindex(columns=pd.MultiIndex.from_product([STATISTICS, ATTRIBUTES]))
    caption = (
        "Mean and standard deviation (sd) of the consensus, and raters' sd: that of the ratings of one utterance, in"
        " points of the scale. In brackets the number of utterances. Small: difference to the agreed utterances with"
        " 95 % interval (jackknife over speakers; a description, no test). Published statistics come without speakers,"
        " so without intervals. Of EmoTale the emotion is what most of its three raters say, boredom as other."
    )
    return html(table, caption, "kinds")


def kinds_figure(described: Mapping[str, pd.DataFrame], statistic: str) -> Figure:
    """One of `STATISTICS` by kind and attribute, a row of panels a source; behind a mean, a band of one sd."""
    measured = {source: table[table["statistic"] == statistic]["value"] for source, table in described.items()}
    known = {source: table for source, table in described.items() if measured[source].notna().any()}
    figure, axes = panels(len(known), 3, (8.4, 0.7 + 1.2 * len(known)), sharex="row", sharey=True)
    grid = np.reshape(axes, (-1, 3))
    for panel, attribute in zip(grid[0], ATTRIBUTES, strict=True):
        panel.set_title(attribute, fontsize=10)
    for row, (source, table) in zip(grid, known.items(), strict=True):
        for panel, attribute in zip(row, ATTRIBUTES, strict=True):
            rows = table[table["attribute"] == attribute]
            _points(panel, _of(rows, statistic), _of(rows, "sd")["value"] if statistic == "mean" else None)
        row[0].set_ylabel(source.replace(", ", ",\n", 1).replace(" (", "\n("), fontsize=7.5)
    for panel in grid[-1]:
        panel.set_xlabel(f"{statistic} (points of the scale)", fontsize=9)
    return figure


# What training on them gives


def training_sets(study: Study, systems: tuple[str, ...]) -> str:
    """What each system trains on: different utterances, those of an epoch, updates in all, and the epoch it chose."""
    splits = dict(list(study.corpus.dropna(subset=list(ATTRIBUTES)).groupby("split")))
    trained, rows = by_system(study.runs), {}
    for system in systems:
        params = trained[system][0].params
        chosen, _ = training_and_validation(splits["train"], splits["development"], params.sampling, params.seed)
        optimisation, counts = params.training, chosen["emotion"].value_counts()
        epoch = len(EpochSampler(chosen["emotion"], params.sampling.samples_per_emotion, optimisation.batch_size, 0))
        updates = epoch // optimisation.batch_size // optimisation.accumulation
        best = np.median([run.metrics["best_epoch"] for run in trained[system]])
        rows[breakable(system)] = {
            "agreed": f"{len(chosen) - counts.get('O', 0) - counts.get('X', 0):,}",
            "other": f"{counts.get('O', 0):,}",
            "no agreement": f"{counts.get('X', 0):,}",
            "in an epoch": f"{epoch:,}",
            "epochs": f"{optimisation.epochs}",
            "updates": f"{updates * optimisation.epochs:,}",
            "chosen epoch": f"{best:g}",
        }
    caption = (
        "Different utterances of each kind that a system may draw, utterances of an epoch (whole batches), epochs,"
        " updates of the weights in all, and the chosen epoch (median of the runs). On one device."
    )
    return html(pd.DataFrame.from_dict(rows, orient="index"), caption, "training-sets")


def conditions_table(compared: Mapping[str, Comparison]) -> str:
    """The declared differences, a row a pair and a column a condition."""
    cells = {
        condition_name(one.params): [
            cell(signed(row["difference"]), f"{interval(row, 3)}<br>{row['verdict']}")
            for _, row in one.tested.iterrows()
        ]
        for one in compared.values()
    }
    first = next(iter(compared.values()))
    names = [f"{breakable(one)} − {breakable(other)}" for one, other in first.question.pairs]
    caption = (
        "Difference of the mean CCC with 95 % interval (other speakers and seeds), and whether it is resolved; Holm's"
        f" procedure holds the {len(names)} comparisons of each column together, and not the columns."
        f" Trained runs of each system and condition: {first.seeds}."
    )
    return html(pd.DataFrame(cells, index=names), caption, "conditions")


def noise_table(studies: Mapping[str, Study], compared: Mapping[str, Comparison]) -> str:
    """What each condition makes of the ratings, of their agreement, and of what the soft loss weighs."""
    rows = {}
    for name, study in studies.items():
        natural = study.corpus[study.corpus["split"].isin(["train", "development"])]
        spread = described(natural, study.ratings).query('statistic == "raters\' sd"').groupby("kind")["value"].mean()
        train = study.corpus[study.corpus["split"] == "train"]
        weights = agreement_weights(study.ratings, train.index).mean(axis=1)
        ambiguous = train["emotion"].isin(["O", "X"])
        ccc = compared[name].scores.query('endpoint == "mean"').set_index("system")["ccc"]
        rows[condition_name(compared[name].params)] = {
            **{f"raters' sd: {kind}": number(spread.get(kind, np.nan), 2) for kind in KINDS},
            "mean weight of O and X": number(weights[ambiguous].mean() / weights[~ambiguous].mean(), 2),
            "one rater": number(ccc.get(CEILING, np.nan)),
            DOSE_0: number(ccc[DOSE_0]),
            "fusion": number(ccc["fusion"]),
        }
    caption = (
        "Raters' sd: of the ratings of one utterance, mean of the three attributes. Weight: in the soft loss, of an O"
        " or X utterance beside an agreed one. Then mean CCC on the reported split: one rater against the others, and"
        " two systems. The gold values of that split are rated with the condition's noise too."
    )
    return html(pd.DataFrame.from_dict(rows, orient="index").rename(columns=breakable), caption, "noise")


def dose_response(compared: Mapping[str, Comparison], studies: Mapping[str, Study]) -> pd.DataFrame:
    """Difference of mean CCC to training without O and X against the share of them that is trained on.

    Returns:
        Columns ``condition``, ``share`` (0 to 1), ``difference``, ``low``, ``high``; share 0 is the reference itself.
    """
    rows = []
    for name, one in compared.items():
        shares = {run.system: run.params.sampling.ambiguous_share for run in studies[name].runs}
        steps = one.tested[one.tested["reference"] == DOSE_0].set_index("system").loc[list(DOSES)]
        points = steps[["difference", "low", "high"]].assign(share=[shares[system] for system in steps.index])
        zero = pd.DataFrame([{"share": 0.0, "difference": 0.0, "low": np.nan, "high": np.nan}])
        rows.append(pd.concat([zero, points], ignore_index=True).assign(condition=condition_name(one.params)))
    return pd.concat(rows, ignore_index=True)


def dose_figure(doses: pd.DataFrame) -> Figure:
    """`dose_response`: a line a condition; bars are 95 % intervals, shifted sideways so that they do not overlap."""
    figure, (panel,) = panels(1, 1, (7, 3.8))
    conditions = list(doses.groupby("condition", sort=False))
    for place, ((condition, rows), (colour, marker, line)) in enumerate(zip(conditions, LINES, strict=False)):
        shift = 1.6 * (place - (len(conditions) - 1) / 2)
        reach = np.abs(rows[["low", "high"]].to_numpy().T - rows["difference"].to_numpy())
        where = 100 * rows["share"] + shift
        style = {"color": colour, "marker": marker, "linestyle": line}
        panel.errorbar(where, rows["difference"], yerr=reach, **style, capsize=3, markersize=5, label=condition)
    panel.axhline(0, color="#777777", linewidth=1)
    panel.set_xlabel("share of the training split's O and X that is trained on (%)")
    panel.set_ylabel("difference of mean CCC\nto none of them (bars: 95 % interval)")
    panel.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def condition_name(params: Params) -> str:
    """What a condition does to the raters, in words."""
    if params.corpus.reader != "simulated":
        return "the corpus as it is"
    everyone, ambiguous = params.corpus.rater_noise, params.corpus.ambiguous_noise
    if ambiguous != 1:
        return f"raters' noise × {ambiguous:g} on O and X"
    return f"raters' noise × {everyone:g}" if everyone != 1 else "raters' noise as published"


# Steps of the above


def _sums(rows: pd.DataFrame, ratings: pd.DataFrame | None, kinds: list[str]) -> np.ndarray:
    """Of each speaker and kind: n, x, x^2, squared deviations of ratings, their freedom; (speakers, kinds, 5, 3)."""
    values = rows[list(ATTRIBUTES)].to_numpy(float)
    terms = [np.ones_like(values), values, values**2, *_within(rows.index, ratings)]
    speakers, names = pd.factorize(rows["speaker"], sort=True)
    sums = np.zeros((len(names), len(kinds), len(terms), len(ATTRIBUTES)))
    place = pd.Index(kinds).get_indexer(rows["kind"])
    shown = place >= 0
    np.add.at(sums, (speakers[shown], place[shown]), np.stack(terms, axis=1)[shown])
    return sums


def _within(utterances: pd.Index, ratings: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray]:
    """Squared deviations of each utterance's ratings from their mean, and their degrees of freedom; both (n, 3)."""
    if ratings is None:
        return np.zeros((len(utterances), 3)), np.zeros((len(utterances), 3))
    groups = ratings.groupby("utterance")[list(ATTRIBUTES)]
    freedom = (groups.count() - 1).reindex(utterances).fillna(0)
    return (groups.var().reindex(utterances) * freedom).fillna(0).to_numpy(), freedom.to_numpy(float)


def _statistics(sums: np.ndarray) -> np.ndarray:
    """`STATISTICS` from sums (..., kinds, 5, attributes): (..., kinds, 3, attributes)."""
    n, x, square, within, freedom = np.moveaxis(sums, -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([x / n, np.sqrt((square - x**2 / n) / (n - 1)), np.sqrt(within / freedom)], axis=-2)


def _kind_cell(row: pd.Series) -> str:
    if row["kind"] == "agreed" or pd.isna(row["difference"]):
        return number(row["value"], 2)
    limits = pd.Series({name: row.get(f"difference {name}", np.nan) for name in ("low", "high")})
    known = "" if limits.isna().any() else f" {interval(limits)}"
    return cell(number(row["value"], 2), signed(row["difference"], 2) + known)


def _of(table: pd.DataFrame, statistic: str) -> pd.DataFrame:
    return table[table["statistic"] == statistic].set_index("kind").reindex(list(KINDS))


def _points(panel: Axes, rows: pd.DataFrame, spread: pd.Series | None) -> None:
    """A point a kind, with its interval and spread where they are known."""
    for place, (kind, row) in enumerate(rows.iterrows()):
        limits = np.array([row.get(name, np.nan) for name in ("low", "high")], dtype=float)
        reach = np.abs(limits - row["value"])[:, None]
        panel.errorbar(row["value"], place, xerr=reach, **KIND_STYLES[kind], capsize=3, markersize=5)
        if spread is not None:
            low, colour = row["value"] - spread[kind], KIND_STYLES[kind]["color"]
            panel.barh(place, 2 * spread[kind], 0.55, low, color=colour, alpha=0.25)
    panel.use_sticky_edges = False  # a margin beside the widest band
    panel.set_yticks(range(len(rows)), list(rows.index), fontsize=8)
    panel.set_ylim(len(rows) - 0.5, -0.5)
