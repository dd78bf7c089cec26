"""How much the draw of a small validation set decides: which epoch it chooses, and which CCC is reported on it.

No system is trained again. What every epoch of a run predicts (``training.every_epoch``) tells which epoch any other
validation set would have chosen, and what would have been reported; so such sets are drawn by the thousand.

Conventions:

- A CCC is the mean of the three attributes. Sums are as in `sercore.sums`, with epochs instead of runs.
- Kinds of sets, all of the development split: ``balanced``, k random utterances of each primary emotion; ``whole``, all
  of it; ``weighted``, all of a primary emotion, where each emotion counts as much as any other; ``last epoch``, none:
  the last epoch is taken, and reported as by ``weighted``.
- The systems of one seed share the draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from sercore import ATTRIBUTES
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.params import ParamsError
from sercore.runs import PREDICTED, Run, read
from sercore.sums import Array, ccc_of_runs, utterance_sums, weigh
from study.plan import Plan, Question
from study.results import aligned, reported_split, write_tables

DRAWS = 1000
SIZES = (2, 4, 8, 20, 50, 100)  # values of k, as far as the rarest emotion allows them; the profile's own is added
LAST = "last epoch"
TABLES = ("selection", "differences")


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write `statistics` of the runs that kept every epoch's predictions, as CSV files into ``draws``."""
    runs = [read(path) for condition in question.conditions for path in plan.run_folders(question, condition)]
    write_tables(folder / "draws", statistics(runs, question.pairs))


def statistics(runs: Sequence[Run], pairs: Sequence[tuple[str, str]]) -> dict[str, pd.DataFrame]:
    """What validation sets would have chosen and reported for complete runs, trained with ``training.every_epoch``:
    means over draws and runs, and standard deviations over the draws (``..._sd``, root mean squares over the runs).

    ``selection``: the columns of `choose`, a row a system, kind and ``k`` (0 where nothing is drawn). ``differences``:
    the reported ``difference`` of each pair on the ``same`` balanced sets or on ``independent`` ones (``draw``), and in
    which share of the draws it has the other sign than its mean (``flips``).
    """
    parts = []
    for seed in sorted({run.params.seed for run in runs}):
        trained = [run for run in runs if run.params.seed == seed]
        rows, sums = _sums(trained, "development")
        _, tested = _sums(trained, reported_split(runs))
        sizes = {*SIZES, trained[0].params.sampling.validation_per_emotion or SIZES[0]}
        for kind, k, weights in validation_sets(rows["emotion"], sizes, DRAWS, np.random.default_rng(seed)):
            choices = {name: choose(kind, weights, sums[name], tested[name]) for name in sums}
            parts += [each.assign(system=name, kind=kind, k=k, seed=seed) for name, each in choices.items()]
    drawn = pd.concat(parts)
    reported = drawn[drawn["kind"] == "balanced"].set_index(["system", "k", "seed"], append=True)["reported"]
    differences = []
    for system, reference in pairs:
        one, other = reported.xs(system, level="system"), reported.xs(reference, level="system")
        moved = other.groupby(["k", "seed"]).transform(np.roll, 1)
        for draw, value in (("same", one - other), ("independent", one - moved)):
            flips = np.sign(value) != np.sign(value.groupby(["k", "seed"]).transform("mean"))
            table = pd.DataFrame({"difference": value, "flips": flips.astype(float)}).reset_index(["k", "seed"])
            differences.append(table.assign(system=system, reference=reference, draw=draw))
    found = _over_runs(pd.concat(differences), ["system", "reference", "draw", "k"])
    return {"selection": _over_runs(drawn, ["system", "kind", "k"]), "differences": found}


def own_size(tables: Mapping[str, pd.DataFrame], k: int | None) -> int:
    """The profile's own k, or if it has none the largest that was drawn from the development split."""
    drawn = tables["differences"]["k"]
    return k if k is not None and k in set(drawn) else int(drawn.max())


def validation_sets(
    emotion: pd.Series, sizes: set[int], draws: int, generator: np.random.Generator
) -> Iterator[tuple[str, int, sparse.csr_array]]:
    """Kind, k and weights (draws, utterances) of all sets of utterances with these emotions; a k beyond the rarest
    emotion is left out, and so is what needs a primary one where there is none."""
    labels = pd.Index([code for code in PRIMARY_EMOTIONS if (emotion == code).any()]).get_indexer(emotion)
    counts = np.bincount(labels[labels >= 0])
    yield "whole", 0, sparse.csr_array(np.ones((1, len(labels))))
    if counts.size:
        for k in sorted(k for k in sizes if k <= counts.min()):
            yield "balanced", k, draw(labels, k, draws, generator)
        weights = sparse.csr_array(((labels >= 0) / np.append(counts, 1)[labels])[None])
        yield "weighted", 0, weights
        yield LAST, 0, weights


def draw(labels: np.ndarray, each: int, draws: int, generator: np.random.Generator) -> sparse.csr_array:
    """`each` random units of every class (not negative) without replacement: (draws, units), 1 where drawn."""
    drawn = []
    for label in range(labels.max() + 1):
        members = np.flatnonzero(labels == label)
        drawn.append(members[generator.random((draws, len(members))).argsort(axis=1)[:, :each]])
    chosen = np.hstack(drawn)
    starts = np.arange(draws + 1) * chosen.shape[1]
    return sparse.csr_array((np.ones(chosen.size), chosen.ravel(), starts), (draws, len(labels)))


def choose(kind: str, weights: sparse.csr_array, sums: Array, tested: Array) -> pd.DataFrame:
    """The epoch with the best CCC on each set, the first of equals (or the last epoch, by `LAST`), and its worth, a row
    a draw: ``epoch`` (from 1), its CCC on the set (``reported``) and on ``test``, and the ``regret``: CCC of the best
    epoch on test minus that of the chosen one. Sums are of the utterances to draw from and of those of the test split,
    (utterances, 6, epochs, attributes)."""
    reported = ccc_of_runs(weigh(weights, sums))[..., -1]  # (draws, epochs)
    test = ccc_of_runs(tested.sum(axis=0))[:, -1]  # (epochs,)
    epoch = np.full(len(reported), reported.shape[1] - 1) if kind == LAST else reported.argmax(axis=1)
    columns = {"epoch": epoch + 1, "reported": reported[np.arange(len(epoch)), epoch], "test": test[epoch]}
    return pd.DataFrame(columns).assign(regret=test.max() - test[epoch])


def _over_runs(drawn: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    groups = drawn.groupby([*keys, "seed"], sort=False)
    means, variances = (each.groupby(keys, sort=False).mean() for each in (groups.mean(), groups.var(ddof=0)))
    return means.join(np.sqrt(variances).add_suffix("_sd")).reset_index()


def _sums(runs: Sequence[Run], split: str) -> tuple[pd.DataFrame, dict[str, Array]]:
    """Rows of the utterances of a split that all runs predict, and by system the sums of what each epoch predicts."""
    rows, _, _ = aligned(runs, [run.system for run in runs], split)
    sums = {}
    for run in runs:
        path = run.folder and run.folder / "epochs.parquet"
        if path is None or not path.is_file():
            raise ParamsError(f"{run.folder}: missing epochs.parquet. Train with training.every_epoch to create it.")
        epochs = pd.read_parquet(path).sort_values(["epoch", "utterance"])
        predicted = epochs.loc[epochs["utterance"].isin(rows["utterance"]), PREDICTED].to_numpy(np.float64)
        predicted = predicted.reshape(-1, len(rows), len(ATTRIBUTES))
        sums[run.params.variant] = utterance_sums(rows[list(ATTRIBUTES)].to_numpy(np.float64), predicted)
    return rows, sums
