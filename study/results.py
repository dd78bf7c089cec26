"""A study as its chapters read it: runs, sums by speaker and, where utterances are kept, corpus and predictions."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import yaml

from sercore import ATTRIBUTES, audio
from sercore.corpus import SPLITS, Corpus
from sercore.disk import complete
from sercore.params import Params, ParamsError, read_profile, resolve, validate, variants
from sercore.runs import PREDICTED, PREDICTED_FEMALE, Run, sound
from sercore.runs import read as read_run
from sercore.sums import SUMS, Array, as_table, speaker_sums, units
from study import sums
from study.plan import STUDY, Question, declarations, is_simulated, members, members_by_attribute

KEYS = ("test", "split", "system", "speaker", "seed", "attribute")  # of a row of sums
REMEDY = "run `make study`"
UNPUBLISHED = "these results hold sums alone, and this needs single utterances: run the study on the corpus."
COSTS = {  # metrics of a run, and how a table names them
    "parameters": "parameters",
    "trainable_parameters": "trained parameters",
    "seconds": "seconds a run",
    "peak_memory_mb": "peak memory (MB)",
    "best_epoch": "chosen epoch",
    "epochs": "epochs",
}


@dataclass(frozen=True, eq=False)
class Study:
    """What `collect` left of a study: its runs, the corpus table, single ratings or None, and samples. ``tests``: what
    the runs predicted on other evaluation sets (columns ``system``, ``seed``, ``test``, ``utterance``,
    ``predicted_...``), or None. ``condition``: how the runs were trained. ``sums``: those of `summed`. Of a licensed
    corpus runs and sums may be all: ``table`` is None then, and no run has predictions."""

    runs: list[Run]
    table: pd.DataFrame | None = None
    ratings: pd.DataFrame | None = None
    samples: Path = Path()
    tests: pd.DataFrame | None = None
    condition: str = STUDY
    sums: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def params(self) -> Params:
        """Parameters of the first run."""
        return self.runs[0].params

    @property
    def corpus(self) -> pd.DataFrame:
        """The corpus table; `ParamsError` where the results hold no utterance."""
        if self.table is None:
            raise ParamsError(UNPUBLISHED)
        return self.table

    def splits(self, test: str = "") -> list[str]:
        """The splits of the corpus, or of an evaluation set, that have sums, in the order of `SPLITS`."""
        known = set(self.sums.loc[self.sums["test"] == test, "split"])
        return [split for split in SPLITS if split in known]


def read(profile: str, results: Path | str, condition: str = STUDY) -> Study:
    """What a folder (relative to the project's root) holds of one condition; `ParamsError` where it has no complete
    study, or runs of another profile."""
    folder = resolve(Path(results)) / condition
    study = replace(_unsummed(folder), condition=condition)
    if others := {run.params.profile for run in study.runs} - {profile}:
        raise ParamsError(f"{folder} holds runs of profile {', '.join(sorted(others))}, not of {profile}.")
    with sound(folder, ["sums.parquet"], REMEDY):
        table = pd.read_parquet(folder / "sums.parquet")
        cells = table.groupby(list(KEYS[:3]))[list(KEYS[3:])].nunique().prod(axis=1).sum()
        if cells != len(table) or table[list(SUMS)].isna().any(axis=None):
            raise ValueError("sums are missing or given twice")
    return replace(study, sums=table)


def _unsummed(folder: Path) -> Study:
    runs, paths = read_runs(folder), [folder / f"{name}.parquet" for name in ("corpus", "ratings", "tests")]
    table, ratings, tests = (pd.read_parquet(path) if path.is_file() else None for path in paths)
    return Study(runs, table, ratings, folder / "samples", tests)


def read_conditions(profile: str, results: Path | str, question: Question) -> list[Study]:
    """`read` of each condition of `question`."""
    return [read(profile, results, condition) for condition in question.conditions]


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write tidy tables as ``<name>.csv`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def read_tables(folder: Path | str, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """What `write_tables` wrote, by name, or `ParamsError`; a relative path is relative to the project's root."""
    folder = resolve(Path(folder))
    if missing := [name for name in names if not (folder / f"{name}.csv").is_file()]:
        raise ParamsError(f"{folder}: missing {', '.join(missing)}. Run `make study` with CHAPTER= to create them.")
    return {name: pd.read_csv(folder / f"{name}.csv") for name in names}


def by_system(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their system, in the order in which they come."""
    return {name: [run for run in runs if run.system == name] for name in dict.fromkeys(run.system for run in runs)}


def _labelled_splits(runs: Sequence[Run]) -> list[str]:
    labelled = {split for run in runs for split in run.predictions.dropna(subset=list(ATTRIBUTES))["split"].unique()}
    if not labelled:
        raise ParamsError(UNPUBLISHED)
    return [split for split in SPLITS if split in labelled]


def reported_split(runs: Sequence[Run]) -> str:
    """The split that the study reports: the last of `SPLITS` of which the gold values are known."""
    return _labelled_splits(runs)[-1]


def matched(runs: Sequence[Run], split: str) -> tuple[pd.DataFrame, Array]:
    """`aligned` of the runs of one system: gold rows and predictions."""
    gold, predictions, _ = aligned(runs, [runs[0].system], split)
    return gold, predictions[runs[0].system]


def aligned(runs: Sequence[Run], names: Sequence[str], split: str) -> tuple[pd.DataFrame, dict[str, Array], list[int]]:
    """Gold rows (utterances), by system the predictions (sets, utterances, attributes), and the seeds that all systems
    `names` have. A set of predictions is a run's, of the utterances that all runs of all systems predict (what a run
    was trained on, it does not predict); where each run predicts a fold of its own, there is one set."""
    trained = {member: [run for run in runs if run.system == member] for name in names for member in members(name)}
    seeds = set.intersection(*({run.params.seed for run in each} for each in trained.values()))
    if not seeds:
        raise ParamsError(f"{', '.join(trained)} have no seed in common: train them with the same ones.")
    chosen = [run for each in trained.values() for run in each if run.params.seed in seeds]
    chosen.sort(key=lambda run: run.params.seed)
    rows = pd.concat([run.predictions.assign(system=run.system) for run in chosen])
    rows = rows[rows["split"] == split].dropna(subset=list(ATTRIBUTES))
    rows = rows.assign(set=rows.groupby(["system", "utterance"]).cumcount())
    counts = rows.groupby(["system", "utterance"])["set"].transform("size")
    complete = len(seeds) if counts.max() == len(seeds) else counts.min()
    rows = rows[(rows["set"] < complete) & (counts >= complete)]
    rows = rows[rows.groupby("utterance")["set"].transform("size") == complete * len(trained)]
    of_system = dict(list(rows.sort_values(["set", "utterance"]).groupby("system")))
    first = of_system[next(iter(trained))]
    gold = first[first["set"] == 0].reset_index(drop=True)
    gold["speaker"] = units(pd.Index(gold["utterance"]), gold["speaker"])
    shape = complete, len(gold), len(ATTRIBUTES)
    predicted = {name: each[PREDICTED].to_numpy(np.float64).reshape(shape) for name, each in of_system.items()}
    return gold, {name: _joined(name, predicted) for name in names}, sorted(seeds)


def _joined(system: str, predictions: Mapping[str, Array]) -> Array:
    of_attributes = enumerate(members_by_attribute(system).values())
    means = [np.mean([predictions[one][..., column] for one in names], axis=0) for column, names in of_attributes]
    return np.stack(means, axis=-1)


def summed(study: Study, middle: float = 0.0) -> Study:
    """`study` with ``sums``, see `study.sums`, about the `middle` of its scale, of the systems and ensembles of its
    runs. On a corpus that is not simulated speakers of few utterances are taken as one (`study.sums.pooled`)."""
    tables = []
    for test, runs in _evaluated(study):
        systems = list(by_system(runs))
        systems += [name for name in declarations()["ensembles"] if set(members(name)) <= {*systems}]
        for split in _labelled_splits(runs):
            gold, predictions, seeds = aligned(runs, systems, split)
            speakers = gold["speaker"]
            gold = gold if is_simulated(study.params.corpus) else gold.assign(speaker=sums.pooled(speakers))
            given = {name: (gold, predicted) for name, predicted in predictions.items()}
            if test == "" and study.table is not None:
                given[sums.FLOOR] = gold, sums.guessed(study.table.query("split == 'train'"), len(gold))
            if test == "" and study.ratings is not None and len((rated := sums.rated(gold, study.ratings))[0]):
                given[sums.CEILING] = rated
            table = pd.concat([_table(*one, seeds, middle).assign(system=name) for name, one in given.items()])
            count = speakers[gold["speaker"] == sums.POOLED].nunique()
            pooled = np.where(table["speaker"] == sums.POOLED, count, 1)
            tables.append(table.assign(test=test, split=split, pooled=pooled))
    table = pd.concat(tables, ignore_index=True)[[*KEYS, "pooled", *SUMS]]
    table.attrs["middle"] = middle
    return replace(study, sums=table)


def _table(gold: pd.DataFrame, predicted: Array, seeds: Sequence[int], middle: float) -> pd.DataFrame:
    """Sums of one system; sets of predictions (sets, utterances, attributes) are numbered unless they are as many as
    `seeds`."""
    found = speaker_sums(gold[list(ATTRIBUTES)].to_numpy(), predicted, gold["speaker"].to_numpy(), middle)
    return as_table(found, gold["speaker"], seeds if len(seeds) == len(predicted) else range(len(predicted)))


def _evaluated(study: Study) -> Iterator[tuple[str, Sequence[Run]]]:
    yield "", study.runs
    if study.tests is not None:
        gold = study.corpus[["speaker", "emotion", *ATTRIBUTES]]
        for test, rows in study.tests.join(gold, on="utterance").groupby("test", sort=False):
            by_run = _by_run(rows)
            known = [run for run in study.runs if (run.system, run.params.seed) in by_run]
            yield test, [replace(run, predictions=by_run[run.system, run.params.seed]) for run in known]


def run_metrics(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run: ``system``, ``seed``, ``<split> <endpoint>`` (CCC), and the columns of `COSTS`."""
    rows = [
        {"system": run.system, "seed": run.params.seed}
        | {f"{split} {name}": value for split, values in run.metrics["ccc"].items() for name, value in values.items()}
        | {label: run.metrics[name] for name, label in COSTS.items()}
        for run in runs
    ]
    return pd.DataFrame(rows)


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a system: ``runs``, and the median over its runs of each column of `COSTS`."""
    groups = run_metrics(runs).groupby("system", sort=False)
    return groups[list(COSTS.values())].median().round().astype(int).assign(runs=groups.size())


def collect(
    folders: Sequence[Path], corpus: Corpus, results: Path, tests: Sequence[str] = (), fitted: Sequence[Run] = ()
) -> None:
    """Write what the chapters read, as tables of all runs, those in `folders` and the baselines' (`fitted`); `results`
    is replaced as a whole, once all is written.

    A system is named by its variant: `results` is for runs of the same condition. ``runs.csv``: a row a run, its
    metrics. ``history.csv``: a row a run and epoch. ``predictions.parquet``: a row a run and utterance, to three
    decimals. ``tests.parquet``: the same for each of `tests`. ``params.yaml``: of each system, with the seed of its
    first run. ``environment.json``: of the first run. ``corpus.parquet``, ``ratings.parquet``: the corpus's own tables,
    without paths. ``samples/``: the sound of one utterance of each emotion. ``sums.parquet``: see `summed`.
    """
    trained = _in_order(replace(run, system=run.params.variant) for run in map(read_run, folders))
    complete(results, lambda partial: _write(trained, corpus, tests, fitted, partial), replace=True)


def _write(trained: Sequence[Run], corpus: Corpus, tests: Sequence[str], fitted: Sequence[Run], folder: Path) -> None:
    runs, paths = [*trained, *fitted], [run.folder for run in trained if run.folder]
    keys = pd.DataFrame({"system": [run.system for run in runs], "seed": [run.params.seed for run in runs]})
    keys.join(pd.json_normalize([run.metrics for run in runs], sep=" ")).to_csv(folder / "runs.csv", index=False)
    _stacked(runs, [run.history for run in runs]).to_csv(folder / "history.csv", index=False)
    _write_predictions(_stacked(runs, [run.predictions for run in runs]), ["split"], folder / "predictions.parquet")
    if tests:
        tested = [
            pd.concat([pd.read_parquet(path / "tests" / f"{test}.parquet").assign(test=test) for test in tests])
            for path in paths
        ]
        _write_predictions(_stacked(trained, tested), ["test", "split"], folder / "tests.parquet")
    params = {name: _portable(each[0].params) for name, each in by_system(runs).items()}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copy(paths[0] / "environment.json", folder)
    corpus.table.drop(columns="path").to_parquet(folder / "corpus.parquet")
    if corpus.ratings is not None:
        corpus.ratings.to_parquet(folder / "ratings.parquet", index=False)
    _write_samples(corpus.table, folder / "samples")
    write_sums(folder, sum(corpus.scale) / 2)


def _portable(params: Params) -> dict[str, Any]:
    """Without where the corpus lies on this machine."""
    values = params.model_dump(mode="json")
    if params.corpus.path.is_absolute():
        values["corpus"]["path"] = read_profile(params.profile)["corpus"]["path"]
    return values


def write_sums(folder: Path, middle: float) -> None:
    """Write the sums of the predictions in `folder`, as they are written there, about the middle of their scale."""
    table = summed(_unsummed(folder), middle).sums
    floats = dict.fromkeys(SUMS[1:], "BYTE_STREAM_SPLIT")  # which zstd compresses far better
    packed = {"use_dictionary": [name for name in table if name not in floats], "column_encoding": floats}
    table.to_parquet(folder / "sums.parquet", index=False, compression="zstd", compression_level=19, **packed)


def _write_samples(corpus: pd.DataFrame, folder: Path) -> None:
    folder.mkdir()
    chosen = corpus[corpus["split"] != "train"].drop_duplicates("emotion").dropna(subset=["emotion"])
    for emotion, path in zip(chosen["emotion"], chosen["path"], strict=True):
        soundfile.write(folder / f"{emotion}.mp3", audio.load(path, max_seconds=15), audio.SAMPLE_RATE)


def _write_predictions(table: pd.DataFrame, keys: list[str], path: Path) -> None:
    predicted = [name for name in (*PREDICTED, PREDICTED_FEMALE) if name in table]
    table = table[["system", "seed", "utterance", *keys, *predicted]]
    rounded = table.assign(**table[predicted].astype(np.float32).round(3))
    rounded.to_parquet(path, index=False, compression="zstd", compression_level=19)


def read_runs(folder: Path | str) -> list[Run]:
    """The runs that `collect` wrote, in the order of ``params/variants.yaml``, then by seed, without predictions where
    the folder holds no utterances; `ParamsError` where a table is absent or damaged, or has systems that are not in
    that file."""
    results = resolve(Path(folder))
    utterances = ["predictions.parquet", "corpus.parquet"]
    kept = any((results / name).is_file() for name in utterances)
    with sound(results, ["runs.csv", "history.csv", "params.yaml", *(utterances if kept else [])], REMEDY):
        metrics = pd.read_csv(results / "runs.csv").set_index(["system", "seed"])
        params = yaml.safe_load((results / "params.yaml").read_text())
        by_run = dict.fromkeys(metrics.index, pd.DataFrame(columns=["utterance", "split", "speaker", *ATTRIBUTES]))
        if kept:
            gold = pd.read_parquet(results / "corpus.parquet")[["speaker", "emotion", *ATTRIBUTES]]
            by_run = _by_run(pd.read_parquet(results / "predictions.parquet").join(gold, on="utterance"))
        histories = _by_run(pd.read_csv(results / "history.csv"))
        if not set(metrics.index) == set(by_run) == set(histories):
            raise ValueError("its tables hold different runs")
        given = {key: validate(params[key[0]] | {"seed": key[1]}) for key in metrics.index}
        runs = [
            Run(key[0], given[key], _nested(row.dropna().to_dict()), histories[key], by_run[key], None)
            for key, row in metrics.iterrows()
        ]
    if systems := ", ".join(sorted({run.params.variant for run in runs} - {*_declared()})):
        raise ParamsError(f"{results} holds runs of {systems}, not in params/variants.yaml: run the study again.")
    return _in_order(runs)


def _in_order(runs: Iterable[Run]) -> list[Run]:
    places = {name: number for number, name in enumerate(_declared())}
    return sorted(runs, key=lambda run: (places[run.params.variant], run.system, run.params.seed))


def _declared() -> list[str]:
    return [*variants(), *declarations()["baselines"]]


def _stacked(runs: Sequence[Run], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    keys = [(run.system, run.params.seed) for run in runs]
    return pd.concat(tables, keys=keys, names=["system", "seed"]).reset_index(["system", "seed"])


def _by_run(table: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    groups = table.groupby(["system", "seed"])
    return {key: rows.drop(columns=["system", "seed"]).reset_index(drop=True) for key, rows in groups}


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics from columns of ``runs.csv``: ``ccc test3 mean`` is that of a dict in a dict."""
    metrics: dict[str, Any] = {"ccc": {}} | {name: flat[name] for name in flat if not name.startswith("ccc ")}
    for _, split, endpoint in (name.split(" ") for name in flat if name.startswith("ccc ")):
        metrics["ccc"].setdefault(split, {})[endpoint] = flat[f"ccc {split} {endpoint}"]
    return metrics
