"""How much the validation set decides: which epoch it chooses, and which CCC is reported on it.

No system is trained again. What every epoch of a run predicts (``training.every_epoch``) tells which epoch any other
validation set would have chosen, and what would have been reported; so such sets are drawn by the thousand.

Conventions:

- A CCC is the mean of the three attributes. Sums are as in `sercore.sums`, with epochs instead of runs.
- A pool is the split that sets are drawn from: ``development``, as in practice, or the reported split. Where that is
  large and balanced, it stands in for a larger development split than there is.
- Kinds of sets: ``balanced``, k random utterances of each primary emotion of the pool; ``random``, as many of the whole
  pool; ``whole``, all of it; ``agreed``, all of a primary emotion; ``weighted``, the same, where each emotion counts as
  much as any other; ``last epoch``, none: the last epoch is taken, and reported as by ``weighted``.
- The systems of one seed share the draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from sercore import ATTRIBUTES
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.params import ParamsError
from sercore.runs import PREDICTED, Run, read
from sercore.sums import Array, ccc_of_runs, utterance_sums, weigh
from study import paper
from study.plan import Plan, Question
from study.results import matched, reported_split, write_tables

DRAWS = 1000
SIZES = (2, 4, 8, 20, 50, 100)  # values of k, as far as the rarest emotion allows them; the profile's own is added

# Differences of the paper that chance is compared with, as systems of params/variants.yaml.
STEPS = {"gender": ("fusion_gender", "fusion"), "ambiguous": ("fusion_without_ambiguous", "fusion")}
LAST = "last epoch"
TABLES = ("curves", "selection", "differences", "speakers")


@dataclass(frozen=True, eq=False)
class Sets:
    """Validation sets of one kind: weights of utterances (draws, utterances); ``k`` is 0 where nothing is drawn."""

    kind: str
    k: int
    weights: sparse.csr_array


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `statistics` of the runs that kept every epoch's predictions, as CSV files into ``draws``."""
    runs = [read(path) for condition in question.conditions for path in plan.run_folders(question, condition)]
    write_tables(folder / "draws", statistics(runs, question.pairs))


def statistics(runs: Sequence[Run], pairs: Sequence[tuple[str, str]]) -> dict[str, pd.DataFrame]:
    """What validation sets would have chosen and reported for complete runs, trained with ``training.every_epoch``.

    ``curves``: CCC of each epoch on ``set``: the development split ``whole`` and ``weighted``, and the reported split.
    ``selection``: of each run and kind of set, mean and standard deviation over the draws of the chosen epoch, of its
    CCC on the set (``reported``) and on test, and of the regret. ``differences``: of each pair, its reported difference
    on the ``same`` draw and on ``independent`` ones, the share of draws with the other sign than their mean
    (``flips``), and the share as far from their mean as the paper's difference is long (a column for each of `STEPS`).
    ``speakers``: see `speaker_schemes`.
    """
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for seed in sorted({run.params.seed for run in runs}):
        for name, table in _of_seed([run for run in runs if run.params.seed == seed], pairs):
            tables[name].append(table.assign(seed=seed))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def own_size(tables: Mapping[str, pd.DataFrame], k: int | None) -> int:
    """The profile's own k, or if it has none the largest that was drawn from the development split."""
    drawn = tables["selection"].query("pool == 'development' and k > 0")["k"]
    return k if k is not None and k in set(drawn) else int(drawn.max())


def by_kind(tables: Mapping[str, pd.DataFrame], k: int) -> pd.DataFrame:
    """What each kind of development set of size k (or undrawn) chooses and reports, a row a system and kind: means over
    the runs, and standard deviations over the draws (``..._sd``) as root mean squares over the runs."""
    rows = tables["selection"].query("pool == 'development' and k in (0, @k)")
    means, spreads = ["epoch", "reported", "test", "regret"], ["epoch_sd", "reported_sd", "test_sd"]
    return _over_runs(rows, ["system", "kind"], means, spreads)


def flips(tables: Mapping[str, pd.DataFrame], k: int) -> pd.DataFrame:
    """How the reported difference of two systems varies with the balanced development set of size k, a row a pair and
    draw (same, independent): means over the runs, ``difference_sd`` as a root mean square."""
    rows = tables["differences"].query("pool == 'development' and kind == 'balanced' and k == @k")
    return _over_runs(rows, ["system", "reference", "draw"], ["difference", "flips", *STEPS], ["difference_sd"])


def spreads(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Standard deviation over the draws of a reported CCC and of a difference, a row a ``pool``, ``k`` and ``measure``:
    ``estimate`` (root mean square over systems, pairs and runs), ``low``, ``high`` (their range)."""
    selection = tables["selection"].query("k > 0")
    differences = tables["differences"].query("k > 0 and kind == 'balanced'")
    rows = [
        selection.assign(measure="CCC, " + selection["kind"] + " set", sd=selection["reported_sd"]),
        differences.assign(measure="difference, " + differences["draw"] + " set", sd=differences["difference_sd"]),
    ]
    groups = pd.concat(rows).groupby(["pool", "measure", "k"], sort=False)["sd"]
    return groups.agg(estimate=root_mean_square, low="min", high="max").reset_index()


def schemes(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Each way to report on speakers, a row a pool and scheme, over all runs: means of ``reported``, ``truth`` and
    ``optimism``, and the root mean square of the optimism over draws and runs (``error``)."""
    rows = tables["speakers"].assign(error=lambda each: np.hypot(each["optimism"], each["optimism_sd"]))
    return _over_runs(rows, ["pool", "scheme"], ["speakers", "reported", "truth", "optimism"], ["error"])


def root_mean_square(values: pd.Series) -> float:
    """Root of the mean of squares."""
    return float(np.sqrt((values**2).mean()))


def validation_sets(
    emotion: pd.Series, sizes: Sequence[int], draws: int, generator: np.random.Generator
) -> Iterator[Sets]:
    """Sets of all kinds from a pool whose utterances have these emotions; a k beyond the rarest one is left out."""
    labels = pd.Index([code for code in PRIMARY_EMOTIONS if (emotion == code).any()]).get_indexer(emotion)
    counts = np.bincount(labels[labels >= 0])
    for k in sorted(k for k in set(sizes) if counts.size and k <= counts.min()):
        yield Sets("balanced", k, draw(labels, k, draws, generator))
        yield Sets("random", k, draw(np.zeros(len(labels), int), k * len(counts), draws, generator))
    agreed = (labels >= 0).astype(float)
    weighted = agreed / np.append(counts, 1)[labels]
    yield Sets("whole", 0, sparse.csr_array(np.ones((1, len(labels)))))
    if counts.size:
        yield Sets("agreed", 0, sparse.csr_array(agreed[None]))
        yield Sets("weighted", 0, sparse.csr_array(weighted[None]))
        yield Sets(LAST, 0, sparse.csr_array(weighted[None]))


def draw(labels: NDArray[np.intp], each: int, draws: int, generator: np.random.Generator) -> sparse.csr_array:
    """`each` random units of every class (not negative) without replacement: (draws, units), 1 where drawn."""
    drawn = []
    for label in range(labels.max() + 1):
        members = np.flatnonzero(labels == label)
        drawn.append(members[generator.random((draws, len(members))).argsort(axis=1)[:, :each]])
    return _indicator(np.hstack(drawn), len(labels))


def choose(sets: Sets, sums: Array, test: Array) -> pd.DataFrame:
    """The epoch with the best CCC on each set, the first of equals (or the last epoch, by `LAST`), and its worth.

    ``sums`` are of the pool's utterances, (utterances, 6, epochs, attributes), ``test`` is the CCC of each epoch on
    test. The result has a row a draw: ``epoch`` (from 1), its CCC on the set (``reported``) and on ``test``, and the
    ``regret``: CCC of the best epoch on test minus that of the chosen one.
    """
    reported = _ccc(sets.weights, sums)
    epoch = np.full(len(reported), reported.shape[1] - 1) if sets.kind == LAST else reported.argmax(axis=1)
    columns = {"epoch": epoch + 1, "reported": _at(reported, epoch), "test": test[epoch]}
    return pd.DataFrame(columns | {"regret": test.max() - test[epoch]})


def speaker_schemes(speakers: pd.Series, sums: Array, draws: int, generator: np.random.Generator) -> pd.DataFrame:
    """Three ways to choose an epoch and report, with a random half of the pool's speakers as if it were all there is.

    ``same``: all utterances of that half choose and report. ``split``: half of its speakers choose, the others report.
    ``crossed``: each part reports on what the other chose, and the mean is given, for the epoch that all choose. Truth
    is the CCC of the chosen epoch on the pool's other speakers. ``sums``: see `choose`.

    A row a scheme, none with fewer than four speakers: ``scheme``, ``speakers`` (of the half), means over the draws of
    ``reported``, ``truth`` and ``optimism``, by which a report is off, and ``optimism_sd``.
    """
    labels, known = pd.factorize(speakers, sort=True)
    half = len(known) // 2
    if half < 2:
        return pd.DataFrame()
    members = sparse.csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))))
    by_speaker = weigh(members, sums)
    order = generator.random((draws, len(known))).argsort(axis=1)
    first, second, both, others = (
        _ccc(_indicator(part, len(known)), by_speaker)
        for part in (order[:, : half // 2], order[:, half // 2 : half], order[:, :half], order[:, half:])
    )
    by_first, by_second, by_both = (part.argmax(axis=1) for part in (first, second, both))
    schemes = {
        "same": (_at(both, by_both), _at(others, by_both)),
        "split": (_at(second, by_first), _at(others, by_first)),
        "crossed": ((_at(second, by_first) + _at(first, by_second)) / 2, _at(others, by_both)),
    }
    drawn = pd.concat({name: pd.DataFrame(values, ["reported", "truth"]).T for name, values in schemes.items()})
    groups = drawn.assign(optimism=drawn["reported"] - drawn["truth"]).groupby(level=0, sort=False)
    table = groups.mean().assign(speakers=half, optimism_sd=groups["optimism"].std(ddof=0))
    return table.rename_axis("scheme").reset_index()


def _over_runs(rows: pd.DataFrame, keys: list[str], means: list[str], spreads: list[str]) -> pd.DataFrame:
    groups = rows.groupby(keys, sort=False)
    return groups.agg(dict.fromkeys(means, "mean") | dict.fromkeys(spreads, root_mean_square)).reset_index()


def _of_seed(runs: Sequence[Run], pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Names of `TABLES` and rows of them."""
    reported = reported_split(runs)
    splits = {split: _aligned(runs, split) for split in dict.fromkeys(("development", reported))}
    tests = {name: _ccc(np.ones((1, len(sums))), sums)[0] for name, sums in splits[reported][1].items()}
    yield from (("curves", _curve(name, reported, ccc)) for name, ccc in tests.items())
    own = runs[0].params.sampling.validation_per_emotion
    for pool, (rows, sums) in splits.items():
        generator = np.random.default_rng(runs[0].params.seed)
        # Sets of the reported split are no validation sets for it: what they choose is not tested.
        test = {name: np.full(len(ccc), np.nan) if pool == reported else ccc for name, ccc in tests.items()}
        for sets in validation_sets(rows["emotion"], sorted({*SIZES, own or SIZES[0]}), DRAWS, generator):
            choices = {name: choose(sets, each, test[name]) for name, each in sums.items()}
            keys = {"pool": pool, "kind": sets.kind, "k": sets.k}
            yield "selection", pd.DataFrame([{"system": name} | keys | _moments(choices[name]) for name in choices])
            yield "differences", _differences(choices, pairs).assign(**keys)
            if pool == "development" and sets.kind in ("whole", "weighted"):
                yield from (("curves", _curve(n, sets.kind, _ccc(sets.weights, each)[0])) for n, each in sums.items())
        for name, each in sums.items():
            generator = np.random.default_rng(runs[0].params.seed)
            yield "speakers", speaker_schemes(rows["speaker"], each, DRAWS, generator).assign(system=name, pool=pool)


def _aligned(runs: Sequence[Run], split: str) -> tuple[pd.DataFrame, dict[str, Array]]:
    """Rows of the utterances of a split that all runs predict, sorted, and each system's sums of them."""
    rows = matched(runs[:1], split)[0]
    kept = {run.params.variant: _epochs(run) for run in runs}
    for table in kept.values():
        rows = rows[rows["utterance"].isin(table["utterance"])]
    return rows, {name: _sums(rows, table) for name, table in kept.items()}


def _epochs(run: Run) -> pd.DataFrame:
    path = run.folder and run.folder / "epochs.parquet"
    if path is None or not path.is_file():
        raise ParamsError(f"{run.folder} does not hold what each epoch predicts: train it with training.every_epoch.")
    return pd.read_parquet(path)


def _sums(rows: pd.DataFrame, epochs: pd.DataFrame) -> Array:
    chosen = epochs[epochs["utterance"].isin(rows["utterance"])].sort_values(["epoch", "utterance"])
    predicted = chosen[PREDICTED].to_numpy(np.float64).reshape(-1, len(rows), len(ATTRIBUTES))
    return utterance_sums(rows[list(ATTRIBUTES)].to_numpy(np.float64), predicted)


def _ccc(weights: sparse.csr_array | Array, sums: Array) -> Array:
    """Mean CCC of each epoch by weights (draws, units): (draws, epochs)."""
    return ccc_of_runs(weigh(weights, sums))[..., -1]


def _indicator(chosen: NDArray[np.intp], units: int) -> sparse.csr_array:
    """1 where a row of `chosen`, positions (draws, chosen units), has a unit: (draws, units)."""
    draws, size = chosen.shape
    return sparse.csr_array((np.ones(chosen.size), chosen.ravel(), np.arange(draws + 1) * size), (draws, units))


def _at(ccc: Array, epoch: NDArray[np.intp]) -> Array:
    return np.take_along_axis(ccc, epoch[:, None], axis=1)[:, 0]


def _moments(draws: pd.DataFrame) -> dict[str, Any]:
    """Mean and standard deviation of each column, as columns."""
    return {"draws": len(draws)} | draws.mean().to_dict() | draws.std(ddof=0).add_suffix("_sd").to_dict()


def _curve(system: str, name: str, ccc: Array) -> pd.DataFrame:
    return pd.DataFrame({"system": system, "set": name, "epoch": range(1, len(ccc) + 1), "ccc": ccc})


def _differences(choices: dict[str, pd.DataFrame], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    rows = []
    for system, reference in pairs:
        one, other = (choices[name]["reported"].to_numpy() for name in (system, reference))
        for draw, values in (("same", one - other), ("independent", one - np.roll(other, 1))):
            row: dict[str, Any] = {"system": system, "reference": reference, "draw": draw}
            row |= {"difference": values.mean(), "difference_sd": values.std()}
            row["flips"] = (np.sign(values) != np.sign(values.mean())).mean()
            for name, step in STEPS.items():
                published = paper.difference(*step)
                far = np.abs(values - values.mean()) >= abs(published[0]) if published else np.nan
                row[name] = np.mean(far)
            rows.append(row)
    return pd.DataFrame(rows)
