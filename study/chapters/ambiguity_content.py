"""What utterances with ambiguous labels are like, and what training on them brings.

Of the three `KINDS` of utterances, raters agreed on a primary emotion, called it other (O), or had no plurality (X).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sercore import ATTRIBUTES, corpora
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.params import project_root
from sercore.raters import agreement_weights
from sercore.sampling import EpochSampler, training_and_validation
from sercore.significance import contrast
from sercore.sums import jackknife_error
from simulation.whiser import CLASSES, SOURCE
from study.plan import STUDY, Plan, Question
from study.results import Study, by_system, write_tables

KINDS = {"agreed": "".join(PRIMARY_EMOTIONS), "other": "O", "no agreement": "X"}
STATISTICS = ("mean", "sd", "raters' sd")


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write ``kinds.csv``: `described` for the whole corpus, emotions as its raters vote; it is read for EmoTale, whose
    own label of the emotion is the enacted one."""
    corpus = corpora.read(plan.parameters("fusion", STUDY).corpus, 0)
    if corpus.ratings is not None:
        table = described(corpus.table.assign(emotion=voted(corpus.ratings)), corpus.ratings)
        write_tables(folder, {"kinds": table})


def described(table: pd.DataFrame, ratings: pd.DataFrame | None) -> pd.DataFrame:
    """Attributes and raters of each kind of utterance, and their difference to the agreed ones, with 95 % intervals.

    Limits are the value -+ t(G - 1) times its jackknife error over the G speakers (Efron, 1982). Rows without
    attributes, emotion or speaker are left out, as are kinds of fewer than two speakers.

    Returns: A row a kind, attribute and statistic: ``mean`` and ``sd`` of the consensus, ``raters' sd`` among the
    ratings of one utterance (pooled), in points of the corpus's scale. Columns ``estimate`` and ``difference`` with
    their limits, and the kind's ``utterances`` and ``speakers``.
    """
    codes = {code: kind for kind, listed in KINDS.items() for code in listed}
    rows = table.dropna(subset=[*ATTRIBUTES, "emotion", "speaker"])
    rows = rows.assign(kind=rows["emotion"].map(codes))
    sizes = rows.groupby("kind").agg(utterances=("kind", "size"), speakers=("speaker", "nunique"))
    present = [kind for kind in KINDS if kind in sizes.index and sizes.loc[kind, "speakers"] > 1]
    sums = _sums(rows, ratings, present)
    total, freedom = sums.sum(axis=0), [len(sums) - 1]
    values, without = _statistics(total), _statistics(total - sums)
    own = contrast(values, [jackknife_error(without) ** 2], freedom)
    to_agreed = contrast(values - values[:1], [jackknife_error(without - without[:, :1]) ** 2], freedom)
    columns = {"estimate": values, "low": own.low, "high": own.high, "difference": to_agreed.difference}
    columns |= {"difference_low": to_agreed.low, "difference_high": to_agreed.high}
    index = pd.MultiIndex.from_product([present, STATISTICS, ATTRIBUTES], names=["kind", "statistic", "endpoint"])
    found = pd.DataFrame({name: each.ravel() for name, each in columns.items()}, index=index)
    return found.join(sizes, on="kind").reset_index()


def published() -> pd.DataFrame:
    """The columns of `described` that follow from WHiSER's class statistics (scale 1 to 7, no intervals); the agreed
    utterances are put together from their classes, moments averaged by the number of utterances."""
    rows = []
    for kind, listed in KINDS.items():
        classes = CLASSES.loc[CLASSES.index.isin(list(listed))]
        count = classes["utterances"]
        for attribute in ATTRIBUTES:
            mean, sd, within = (classes[f"{name} {attribute}"] for name in STATISTICS)
            centre = np.average(mean, weights=count)
            spread = np.sqrt(np.average(sd**2 + (mean - centre) ** 2, weights=count))
            values = (centre, spread, np.sqrt(np.average(within**2, weights=count)))
            rows += [(kind, *each, count.sum()) for each in zip(STATISTICS, [attribute] * 3, values, strict=True)]
    table = pd.DataFrame(rows, columns=["kind", "statistic", "endpoint", "estimate", "utterances"])
    agreed = table.groupby(["statistic", "endpoint"])["estimate"].transform("first")
    return table.assign(difference=table["estimate"] - agreed)


def voted(ratings: pd.DataFrame) -> pd.Series:
    """The emotion that each utterance's raters name most often, or X where two are named as often; by utterance."""
    votes = pd.crosstab(ratings["utterance"], ratings["emotion"])
    tied = votes.eq(votes.max(axis=1), axis=0).sum(axis=1) > 1
    return votes.idxmax(axis=1).mask(tied, "X")


def sources(study: Study) -> pd.DataFrame:
    """`described` by ``source``: a study's train and development, EmoTale where it was written, and `published`."""
    found = {"this study": described(_natural(study), study.ratings)}
    path = project_root() / "results" / "emotale" / "ambiguity_content" / "kinds.csv"
    if path.is_file():
        found["EmoTale (human, enacted)"] = pd.read_csv(path)
    found[f"{SOURCE} (human)"] = published()
    return pd.concat([table.assign(source=source) for source, table in found.items()], ignore_index=True)


def training_sets(study: Study, systems: Sequence[str]) -> pd.DataFrame:
    """What each system trains on, on one device: different utterances of each kind, utterances of an epoch, epochs,
    updates in all, and the chosen epoch (median of the runs)."""
    splits = dict(list(study.corpus.dropna(subset=list(ATTRIBUTES)).groupby("split")))
    trained, rows = by_system(study.runs), {}
    for system in systems:
        params = trained[system][0].params
        chosen, _ = training_and_validation(splits["train"], splits["development"], params.sampling, params.seed)
        optimisation, ambiguous = params.training, chosen["emotion"].isin(["O", "X"])
        epoch = len(EpochSampler(chosen["emotion"], params.sampling.samples_per_emotion, optimisation.batch_size, 0))
        rows[system] = {
            "agreed": (~ambiguous).sum(),
            "O and X": ambiguous.sum(),
            "in an epoch": epoch,
            "epochs": optimisation.epochs,
            "updates": epoch // optimisation.batch_size // optimisation.accumulation * optimisation.epochs,
            "chosen epoch": np.median([run.metrics["best_epoch"] for run in trained[system]]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def rater_noise(studies: Sequence[Study]) -> pd.DataFrame:
    """What each condition makes of the ratings: ``raters' sd`` by kind (mean of the attributes), and the weight of O
    and X beside agreed utterances in the soft loss."""
    rows = {}
    for study in studies:
        statistics = described(_natural(study), study.ratings)
        spread = statistics[statistics["statistic"] == STATISTICS[2]].groupby("kind")["estimate"].mean()
        train = study.corpus[study.corpus["split"] == "train"]
        weights = agreement_weights(study.ratings, train.index).mean(axis=1)
        ambiguous = train["emotion"].isin(["O", "X"])
        weight = weights[ambiguous].mean() / weights[~ambiguous].mean()
        spreads = {f"raters' sd: {kind}": spread.get(kind, np.nan) for kind in KINDS}
        rows[study.condition] = spreads | {"weight of O and X": weight}
    return pd.DataFrame.from_dict(rows, orient="index")


def doses(differences: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The differences to training without O and X, with the ``share`` of them that is trained on (0 to 1)."""
    shares = {run.system: run.params.sampling.ambiguous_share for run in study.runs}
    rows = differences.query("reference == 'fusion_ambiguous_0' and endpoint == 'mean'")
    rows = rows[rows["system"].isin(["fusion_ambiguous_25", "fusion_ambiguous_50", "fusion"])]
    return rows.assign(share=rows["system"].map(shares))


def _sums(rows: pd.DataFrame, ratings: pd.DataFrame | None, kinds: list[str]) -> np.ndarray:
    """Of each speaker and kind: n, x, x^2, squared deviations of ratings, their freedom; (speakers, kinds, 5, 3)."""
    values = rows[list(ATTRIBUTES)].to_numpy(float)
    terms = pd.DataFrame(np.hstack([np.ones_like(values), values, values**2, *_within(rows.index, ratings)]))
    sums = terms.groupby([rows["speaker"].to_numpy(), rows["kind"].to_numpy()]).sum()
    cells = pd.MultiIndex.from_product([sorted(rows["speaker"].unique()), kinds])
    return sums.reindex(cells, fill_value=0).to_numpy().reshape(-1, len(kinds), 5, len(ATTRIBUTES))


def _natural(study: Study) -> pd.DataFrame:
    """The splits whose emotions have their natural shares."""
    return study.corpus[study.corpus["split"].isin(["train", "development"])]


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
