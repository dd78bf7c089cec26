"""What a family of differences shows: which are real, which are too small to matter, and which this data cannot tell.

A family has m declared comparisons and a margin: the largest difference that does not matter. For each
difference d with standard error se, two null hypotheses are tested:

- there is no difference, at t = |d| / se (or by swapping, where each system has fewer than three runs);
- the difference is as large as the margin, by two one-sided tests at t = (margin - |d|) / se (Schuirmann, 1987;
  Lakens, 2017).

Each p is multiplied by m (Bonferroni). The two hypotheses of a comparison cannot both be true, so at most m of the 2 m
are, and the chance of one or more false verdicts in the family is at most alpha (Shaffer, 1986; Goeman, Solari &
Stijnen, 2010). Intervals are simultaneous: ``low`` to ``high`` at 1 - alpha / m excludes 0 where there is a difference,
``inner_low`` to ``inner_high`` at 1 - 2 alpha / m lies within the margin where there is equivalence.

What a study can find is for planning, and decides nothing (Hoenig & Heisey, 2001).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

from sercore import ATTRIBUTES, significance
from sercore.sums import Array, SignificanceError, Statistic, ccc_of

ENDPOINTS = (*ATTRIBUTES, "mean")
ALPHA = 0.05  # chance of a false verdict in a family
CLAIMING = 3  # runs of a system from which on a difference is one of ways of training
POWER = 0.8  # with which what is called detectable is found
WITHIN = ", by less than the margin"
VERDICTS = ("better", f"better{WITHIN}", "equivalent", "inconclusive", f"worse{WITHIN}", "worse")


def scores(sums: Mapping[str, Array], *, statistic: Statistic = ccc_of) -> pd.DataFrame:
    """CCC of each system with its 95 % interval (`sercore.significance.interval`), a row a system and endpoint: columns
    ``system``, ``endpoint``, ``estimate``, ``low``, ``high``, ``sets`` (runs), ``utterances``, ``speakers``."""
    found = {name: significance.interval(each, statistic=statistic) for name, each in sums.items()}
    tables = [pd.DataFrame({"system": name, "endpoint": ENDPOINTS} | vars(one)) for name, one in found.items()]
    table = pd.concat(tables, ignore_index=True).rename(columns={"ccc": "estimate", "runs": "sets"})
    return table.assign(**table.loc[0, ["utterances", "speakers"]])


def differences(sums: Mapping[str, Array], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Differences of CCC, system minus reference, of `pairs` of names in `sums`, with 95 % limits, not yet `judged`.

    With `CLAIMING` runs of both or more a difference is that of two ways of training (`retrained_difference`). With
    fewer, of which seeds tell too little, it is that of the trained models (`swapped_difference`, from a generator of
    fixed seed; where their numbers differ, `sercore.significance.difference`). A row a pair and endpoint: columns
    ``system``, ``reference``, those of `contrasts`, ``planned_error``, for which the variance over seeds is pooled over
    the systems, and ``sets`` (of the one with fewer), ``utterances``, ``speakers`` as in `scores`.
    """
    retrained = {name: sums[name] for pair in pairs for name in pair if sums[name].shape[2] > 1}
    dfs = {name: each.shape[2] - 1 for name, each in retrained.items()}
    over_seeds = sum(dfs[name] * significance.seed_variance(each) for name, each in retrained.items())
    variance = over_seeds / max(1, sum(dfs.values()))
    tables = []
    for system, reference in pairs:
        a, b = sums[system], sums[reference]
        runs = min(a.shape[2], b.shape[2])
        found = significance.difference(a, b)
        planned = found.standard_error
        if runs >= CLAIMING:
            planned = np.sqrt(planned**2 + variance * (1 / a.shape[2] + 1 / b.shape[2]))
            found = significance.retrained_difference(a, b)
        elif a.shape == b.shape:
            found = significance.swapped_difference(a, b, generator=np.random.default_rng(0))
        sizes = {"sets": runs, "utterances": significance.utterances(a), "speakers": len(a)}
        tables.append(contrasts(found).assign(planned_error=planned, system=system, reference=reference, **sizes))
    return pd.concat(tables, ignore_index=True)


def contrasts(found: significance.Contrast) -> pd.DataFrame:
    """A difference as a table, a row an endpoint; ``estimate`` is the difference."""
    values = {name: getattr(found, name) for name in ("low", "high", "standard_error", "df", "p")}
    return pd.DataFrame({"endpoint": ENDPOINTS, "estimate": found.difference} | values)


def judged(table: pd.DataFrame, margin: float, comparisons: int | None = None) -> pd.DataFrame:
    """`table` with the verdicts of its rows of endpoint ``mean`` as one family, of so many `comparisons` (by default
    its rows): where some of what was declared is missing, the family keeps its size.

    Added to ``estimate``, ``standard_error``, ``df`` and ``p``: ``comparisons`` (m), ``margin``, ``p_adjusted`` (m p),
    ``p_equivalence`` (of a difference as large as the margin), ``p_equivalence_adjusted``, ``verdict`` (one of
    `VERDICTS`), the simultaneous limits, ``equivalent_within`` (the smallest margin at which the two would be
    equivalent), ``detectable`` and ``detectable_equivalence`` (the true difference that is found, and the margin within
    which two equal systems are, with probability `POWER`; from ``planned_error`` if given). Others keep 95 % limits.

    `SignificanceError` if the margin is not positive, or the family smaller than its rows.
    """
    rows = table[table["endpoint"] == "mean"]
    m = comparisons or len(rows)
    if not margin > 0 or m < len(rows):
        raise SignificanceError(f"margin {margin} and family of {m} for {len(rows)} differences: raise them.")
    size, error, df = rows["estimate"].abs(), rows["standard_error"], rows["df"]
    p_equivalence = stats.t.sf((margin - size) / error.clip(lower=1e-12), df)
    different = (adjusted := (m * rows["p"]).clip(upper=1)) < ALPHA
    equivalent = (equivalence := np.minimum(1, m * p_equivalence)) < ALPHA
    verdict = np.where(rows["estimate"] > 0, "better", "worse").astype(object)
    verdict = np.where(different, verdict + np.where(equivalent, WITHIN, ""), np.where(equivalent, *VERDICTS[2:4]))
    outer, inner = (stats.t.isf(ALPHA / m / sides, df) * error for sides in (2, 1))
    planned = rows.get("planned_error", error), df
    judgement = {
        "comparisons": m,
        "margin": margin,
        "low": rows["estimate"] - outer,
        "high": rows["estimate"] + outer,
        "inner_low": rows["estimate"] - inner,
        "inner_high": rows["estimate"] + inner,
        "p_adjusted": adjusted,
        "p_equivalence": p_equivalence,
        "p_equivalence_adjusted": equivalence,
        "equivalent_within": size + inner,
        "detectable": detectable_difference(*planned, comparisons=m),
        "detectable_equivalence": detectable_equivalence(*planned, comparisons=m),
        "verdict": verdict,
    }
    added = pd.DataFrame(judgement, rows.index)
    joined = table.drop(columns=[*added], errors="ignore").join(added)
    return joined.fillna({"verdict": ""}).fillna(table[["low", "high"]])


def detectable_difference(standard_error: ArrayLike, df: ArrayLike, *, comparisons: int = 1) -> Array:
    """The true difference that a two-sided t-test at `ALPHA` / `comparisons` finds with probability `POWER`.

    Its t has the noncentral distribution with noncentrality difference / standard_error; that it errs in sign is left
    out, which is rarer than 1 in 10,000. Arguments are of shapes that fit.
    """
    return np.asarray(standard_error) * special.nctdtrinc(df, 1 - POWER, stats.t.isf(ALPHA / comparisons / 2, df))


def detectable_equivalence(standard_error: ArrayLike, df: ArrayLike, *, comparisons: int = 1) -> Array:
    """The smallest margin within which two equal systems are found equivalent at `ALPHA` / `comparisons` with
    probability `POWER`, by quantiles of Student's t; arguments as in `detectable_difference`."""
    reach = stats.t.isf(ALPHA / comparisons, df) + stats.t.ppf((1 + POWER) / 2, df)
    return np.asarray(standard_error) * reach
