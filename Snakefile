# The study as a graph: corpus and features -> runs (variant x seed) -> results -> chapters -> book.
# `make study` runs it; every step leaves a file, so what is there and up to date is not made again.
import os
import shlex
import shutil
from pathlib import Path

import yaml

from sercore.params import load, project_root, variants

PROFILE = config.get("profile", "embedded")
OVERRIDES = {"corpus": {"path": config["data"]}} if "data" in config else {}
FIRST = load(PROFILE, "fusion", 0, OVERRIDES)
# A corpus without an official split is studied fold by fold, so that each speaker is tested once.
SEEDS = range(int(config.get("seeds", getattr(FIRST.corpus, "folds", 3))))
BUILD = f"build/{PROFILE}"
RUNS = expand(f"runs/{PROFILE}/{{variant}}/seed-{{seed}}/metrics.json", variant=variants(), seed=SEEDS)
CHAPTERS = ["study", "data"]
# What a notebook prints stays in it; its bars of progress go to the terminal.
QUIET = "--no-progress-bar --stderr-file /dev/stderr --log-level WARNING"


def papermill(notebook, output, **values):
    given = shlex.quote(yaml.safe_dump({"profile": PROFILE, **values}, default_flow_style=True, width=10**6).strip())
    return f"papermill {notebook} {output} --parameters_yaml {given} {QUIET} < /dev/null"


rule book:
    message:
        "Building the book"
    input:
        expand(f"{BUILD}/book/notebooks/{{name}}.ipynb", name=[*CHAPTERS, "ablation"]),
    output:
        f"{BUILD}/book/_build/html/index.html",
    shell:
        f"jupyter-book build {BUILD}/book --warningiserror --keep-going && echo The book: $PWD/{{output}}"


rule prepare:
    message:
        "Reading the corpus and caching what the frozen encoders make of it"
    input:
        "params/variants.yaml",
        f"params/{PROFILE}.yaml",
    output:
        touch(f"{BUILD}/prepared"),
    run:
        from sercore.training import prepare

        prepare(FIRST)


rule train:
    message:
        "Training {wildcards.variant}, seed {wildcards.seed}"
    input:
        rules.prepare.output,
        notebook="notebooks/ablation.ipynb",
    output:
        f"runs/{PROFILE}/{{variant}}/seed-{{seed}}/metrics.json",
    params:
        papermill=lambda names, input: papermill(
            input.notebook,
            f"{BUILD}/runs/{names.variant}-{names.seed}.ipynb",
            variant=names.variant,
            seeds=[int(names.seed)],
            overrides=OVERRIDES,
        ),
    shell:
        f"mkdir -p {BUILD}/runs && {{params.papermill}}"


rule results:
    message:
        "Collecting the results"
    input:
        RUNS,
    output:
        f"{BUILD}/results/corpus.parquet",
    run:
        from sercore import corpora, runs

        folders = [Path(path).parent for path in input]
        runs.collect(folders, corpora.read(FIRST.corpus, FIRST.seed), Path(BUILD) / "results")


rule pages:
    message:
        "Copying the pages of the book"
    input:
        "_config.yml",
        [path for path in Path("book").rglob("*") if path.is_file() and "_build" not in path.parts],
    output:
        touch(f"{BUILD}/pages"),
    run:
        ignore = shutil.ignore_patterns("_build", "notebooks")
        shutil.copytree("book", f"{BUILD}/book", ignore=ignore, dirs_exist_ok=True)


rule chapter:
    message:
        "Executing the chapter {wildcards.name}"
    input:
        f"{BUILD}/pages",
        rules.results.output,
        notebook="notebooks/{name}.ipynb",
    output:
        f"{BUILD}/book/notebooks/{{name}}.ipynb",
    params:
        papermill=lambda names, input, output: papermill(input.notebook, output, results=f"{BUILD}/results"),
    shell:
        "{params.papermill}"


use rule chapter as ablation_chapter with:
    message:
        "Executing the chapter ablation"
    input:
        f"{BUILD}/pages",
        rules.results.output,
        notebook="notebooks/ablation.ipynb",
    output:
        f"{BUILD}/book/notebooks/ablation.ipynb",
    params:
        papermill=lambda names, input, output: papermill(
            input.notebook, output, seeds=list(SEEDS), overrides=OVERRIDES
        ),


rule figure:
    message:
        "Drawing the README's figure"
    input:
        rules.results.output,
    output:
        f"{BUILD}/results.svg",
    run:
        import matplotlib

        from sercore import figures, report

        matplotlib.rcParams["svg.hashsalt"] = PROFILE
        runs = report.read(PROFILE, f"{BUILD}/results").runs
        figure = figures.results(report.scores(runs), report.reported_split(runs))
        figure.savefig(output[0], metadata={"Date": None}, bbox_inches="tight", facecolor="white")


# Maintainers: what the repository holds of the embedded study, and the notebooks' outputs.
rule committed:
    message:
        "Refreshing the committed results and notebooks"
    input:
        rules.results.output,
        figure=rules.figure.output,
    run:
        import nbformat
        from nbclient import NotebookClient

        shutil.rmtree(f"results/{PROFILE}", ignore_errors=True)
        shutil.copytree(f"{BUILD}/results", f"results/{PROFILE}")
        shutil.copy(input.figure, "book/_static/results.svg")
        shell("jupytext --update --to ipynb notebooks/*.py")
        os.environ["TQDM_DISABLE"] = "1"  # bars of progress do not belong into a repository
        for path in sorted(Path("notebooks").glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            NotebookClient(notebook, timeout=None, record_timing=False).execute()
            nbformat.write(notebook, path)
