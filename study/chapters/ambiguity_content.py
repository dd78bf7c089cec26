"""What utterances with ambiguous labels are like, and what training on them brings.

Of the three `KINDS` of utterances, raters agreed on a primary emotion, called it other (O), or had no plurality (X).
"""

import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.significance import contrast
from sercore.sums import jackknife_error
from simulation.whiser import CLASSES, SOURCE
from study.results import Study

KINDS = dict.fromkeys(PRIMARY_EMOTIONS, "agreed") | {"O": "other", "X": "no agreement"}


def doses(differences: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The differences to training without O and X, with the ``share`` of them that is trained on (0 to 1)."""
    shares = {run.system: run.params.sampling.ambiguous_share for run in study.runs}
    rows = differences.query("reference == 'fusion_ambiguous_0' and endpoint == 'mean'")
    rows = rows[rows["system"].isin(["fusion_ambiguous_25", "fusion_ambiguous_50", "fusion"])]
    return rows.assign(share=rows["system"].map(shares))


def kinds(study: Study) -> pd.DataFrame:
    """`means` by ``source``: the splits of a study with natural shares of emotions, and WHiSER (`published`)."""
    own = means(study.corpus[study.corpus["split"].isin(["train", "development"])])
    return pd.concat([own.assign(source="this study"), published().assign(source=f"{SOURCE} (human)")])


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean attributes of each kind of utterance of a corpus table, in points of its scale: a row a ``kind`` and
    ``endpoint``. Limits are the mean -+ t(G - 1) times its jackknife error over the G speakers (Efron, 1982); rows
    without attributes, emotion or speaker are left out."""
    rows = table.assign(kind=table["emotion"].map(KINDS)).dropna(subset=[*ATTRIBUTES, "kind", "speaker"])
    tables = [
        rows.pivot_table(list(ATTRIBUTES), "speaker", "kind", aggfunc=each, fill_value=0) for each in ("sum", "count")
    ]
    sums, counts = (each[list(ATTRIBUTES)].rename_axis(columns=["endpoint", "kind"]) for each in tables)
    mean, without = sums.sum() / counts.sum(), (sums.sum() - sums) / (counts.sum() - counts)
    found = contrast(mean, [jackknife_error(without.to_numpy()) ** 2], [len(sums) - 1])
    return pd.DataFrame({"estimate": mean, "low": found.low, "high": found.high}).reset_index()


def published() -> pd.DataFrame:
    """As `means`, from WHiSER's class statistics (scale 1 to 7), without limits."""
    count = CLASSES["utterances"]
    classes = CLASSES[[f"mean {name}" for name in ATTRIBUTES]].set_axis(list(ATTRIBUTES), axis="columns")
    totals, counts = (each.groupby(KINDS).sum() for each in (classes.mul(count, axis="index"), count))
    mean = totals.div(counts, axis="index").rename_axis("kind").reset_index()
    return mean.melt("kind", var_name="endpoint", value_name="estimate")
