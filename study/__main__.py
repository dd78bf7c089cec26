"""``python -m study``: what the rules of the graph call; see the Snakefile."""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from itertools import cycle
from pathlib import Path

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from sercore.failures import one_sentence
from sercore.params import ParamsError, with_corpus
from study.plan import PAPER, Plan, asked_for, corpus_of, is_simulated, run_folder, tested_on


def main() -> None:
    """Run the command that is given; a wrong input ends with one sentence and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m study", description="What the rules of the graph call.")
    parser.add_argument("--profile", default="embedded", help="a file of params/, without .yaml")
    parser.add_argument("--data", help="where the profile's corpus lies")
    parser.add_argument("--chapter", default=PAPER, help="paper, open, all, or one open question")
    parser.add_argument("--seeds", type=int, help="trained seeds of each system")
    parser.add_argument("--set", help="parameters that differ, such as 'training.epochs=60 text=null'")
    parser.add_argument("--gpus", type=int, choices=(0, 1), default=0, help="how many GPUs the command may use")
    described = "; ".join(f"{name}: {(one.__doc__ or '').split('.')[0].lower()}" for name, one in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=described)
    parser.add_argument("values", nargs="*", metavar="value", help="of the command, such as a question")
    given = parser.parse_args()
    wanted = list(signature(COMMANDS[given.command]).parameters)[1:]
    # A look at what a study needs takes no GPU, and waits for none.
    with one_sentence(), contextlib.nullcontext() if given.command == "plan" else gpus(given.gpus):
        if len(given.values) != len(wanted):
            raise ParamsError(f"{given.command} takes {', '.join(wanted) or 'no value'}, not {given.values}.")
        plan = asked_for(given.profile, given.data, given.chapter, given.seeds, given.set)
        if wanted[:1] == ["part"] and given.values[0] not in plan.parts:
            raise ParamsError(f"{given.values[0]!r} is no part of this study; it has {', '.join(plan.parts)}.")
        COMMANDS[given.command](plan, *given.values)


@contextlib.contextmanager
def gpus(count: int) -> Iterator[None]:
    """Let this process and what it starts see no GPU, or one of those that ``CUDA_VISIBLE_DEVICES`` allows: one that no
    other job holds, for which it waits. Where there is none, nothing changes."""
    if not count:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        yield
        return
    import torch  # only now, since it takes seconds; it must not look for GPUs before the one is chosen

    numbers = [str(number) for number in range(torch.cuda.device_count())]
    names = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(numbers)).split(",")[: len(numbers)]
    begin = f"gpu-{os.getuid()}-{os.environ.get('SLURM_JOB_ID', '')}"  # Slurm counts those of every job from 0
    with contextlib.ExitStack() as held:
        for name in cycle(names):
            with contextlib.suppress(Timeout):
                held.enter_context(FileLock(Path(tempfile.gettempdir(), f"{begin}-{name}.lock"), timeout=0.2))
                os.environ["CUDA_VISIBLE_DEVICES"] = name
                break
        yield


def plan(plan: Plan) -> None:
    """Print what a study needs of the disk, a GPU and hours, and refuse it where disk or GPU is too small."""
    from sercore.disk import readable
    from study.needs import GB, needs, require_room

    table, sizes = needs(plan)
    shown = table.drop(columns="hours" if table["hours"].isna().all() else [])
    print(shown.to_string(index=False, float_format="{:.2f}".format))
    print(", ".join(f"{name} {readable(GB * size)}" for name, size in sizes.items()))
    if table["hours"].isna().any():
        print("hours are known only of WavLM-Large and frozen Whisper-Large, on a GPU that `make benchmark` measured.")
    require_room(table, sizes)


def features(plan: Plan, profile: str, variant: str, condition: str) -> None:
    """Read the corpus and cache what the frozen encoders of a variant make of it, unless it cannot be trained."""
    from sercore import corpora, training

    params = plan.of(profile).parameters(variant, condition)
    training.prepare(params, corpora.read(params.corpus, params.seed))


def prepare(plan: Plan, part: str, condition: str) -> None:
    """Read and cache the evaluation sets of a part."""
    from sercore import corpora
    from sercore.features import pretrained_features

    for test in plan.tests(part):
        for variant in plan.systems(part):
            params = with_corpus(plan.parameters(variant, condition), tested_on(test))
            pretrained_features(params, corpora.read(params.corpus, params.seed).table)


def test(plan: Plan, part: str, condition: str, variant: str) -> None:
    """Test the runs of a variant on the evaluation sets of a part."""
    from sercore.predict import evaluate

    for seed in plan.seeds():
        params = plan.parameters(variant, condition, seed)
        for name in plan.tests(part):
            evaluate(run_folder(params), name, {"path": str(params.corpus.path)} | tested_on(name))


def analyse(plan: Plan, part: str) -> None:
    """Collect the results of a part under all its conditions, and write what its chapters have to analyse."""
    from study import baselines
    from study.results import collect

    folder = Path("build", plan.profile, "results", part)
    asked = plan.parts[part]
    for condition in plan.conditions(part):
        folders = dict.fromkeys(path for one in asked for path in plan.run_folders(one, condition))
        own = plan.parameters("fusion", condition)
        elsewhere = [with_corpus(own, one) for one in map(tested_on, plan.tests(part)) if one.keys() - {"transcripts"}]
        tables = [corpus_of(one.corpus, 0).table for one in (own, *elsewhere)]
        corpus = replace(corpus_of(own.corpus, 0), table=pd.concat(tables).loc[lambda rows: ~rows.index.duplicated()])
        fitted = baselines.runs(plan, asked, condition)
        collect(list(folders), corpus, folder / condition, plan.tests(part), fitted)
    for one in asked:
        chapter = f"study.chapters.{one.name}"
        if find_spec(chapter) and hasattr(import_module(chapter), "analyse"):
            import_module(chapter).analyse(plan, one, folder)


def execute(plan: Plan, notebook: str, output: str, parameters: str) -> None:
    """Execute a notebook by papermill; a failure ends with one sentence that names the notebook that shows it."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    Path(output).parent.mkdir(parents=True, exist_ok=True)
    try:
        # What runs inside shows its progress bars on stderr.
        quiet = {"progress_bar": False, "stderr_file": sys.stderr, "extra_arguments": ["--log-level=ERROR"]}
        papermill.execute_notebook(notebook, output, json.loads(parameters), **quiet)
    except json.JSONDecodeError as error:
        raise ParamsError(f"{parameters!r} is not JSON ({error}).") from None
    except PapermillExecutionError as error:
        # On a line of its own, below a progress bar.
        sys.exit(f"\nerror: {output} failed: {error.ename}: {' '.join(error.evalue.split())}")


def pages(plan: Plan) -> None:
    """Copy the pages of the book, with a table of contents of the plan's chapters."""
    book = Path("build", plan.profile, "book")
    shutil.copytree("book", book, ignore=shutil.ignore_patterns("_build", "notebooks"), dirs_exist_ok=True)
    shown = {f"notebooks/{name}" for name in plan.chapters}
    contents = yaml.safe_load(Path("book/_toc.yml").read_text())
    if contents["root"] not in shown:
        contents["root"] = f"notebooks/{plan.chapters[0]}"
    for part in contents["parts"]:
        names = [page["file"] for page in part["chapters"]]
        kept = [name for name in names if name in shown or not name.startswith("notebooks/")]
        part["chapters"] = [{"file": name} for name in kept if name != contents["root"]]
    contents["parts"] = [part for part in contents["parts"] if part["chapters"]]
    (book / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False))


def commit(plan: Plan) -> None:
    """Replace the committed results, the README's table and figure, the example of the page on comparing systems, and
    the notebooks' outputs by those of the plan."""
    import nbformat
    from nbclient import NotebookClient

    from study.chapters import compare, overview

    ignore = None if is_simulated(plan.parameters("fusion").corpus) else _of_utterances
    for part in plan.parts:
        shutil.rmtree(f"results/{plan.profile}/{part}", ignore_errors=True)
        shutil.copytree(f"build/{plan.profile}/results/{part}", f"results/{plan.profile}/{part}", ignore=ignore)
    if plan.profile in overview.README:
        overview.write_readme()
    if plan.profile == "embedded":
        compare.write_example()
    os.environ["TQDM_DISABLE"] = "1"  # progress bars are stripped from committed outputs
    for path in sorted(Path("notebooks").glob("*.ipynb")) if plan.profile == "embedded" else []:
        if plan.chapter == "all" or path.stem in plan.chapters:
            notebook = nbformat.read(path, as_version=4)
            NotebookClient(notebook, timeout=None, record_timing=False).execute()
            nbformat.write(notebook, path)


def _of_utterances(folder: str, names: list[str]) -> list[str]:
    """The files of results that tell of single utterances: all but aggregates and parameters."""
    from study.chapters.speakers import PLANE

    kept = (".csv", "sums.parquet", "params.yaml", "environment.json")
    told = [name for name in names if not name.endswith(kept) or name == f"{PLANE}.csv"]
    return [name for name in told if Path(folder, name).is_file()]


COMMANDS = {one.__name__: one for one in (plan, features, prepare, test, analyse, execute, pages, commit)}


if __name__ == "__main__":
    main()
