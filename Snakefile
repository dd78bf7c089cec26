# The study as a graph: corpus -> features -> runs (variant x seed) -> results -> chapters -> book.
# `make study` runs it; every step leaves a file, so what is there and up to date is not made again.
import os
import shutil
from pathlib import Path

import yaml

from sercore.params import dump, load, project_root
from sercore.questions import questions, systems

PROFILE = config.get("profile", "embedded")
OVERRIDES = {"corpus": {"path": config["data"]}} if "data" in config else {}
QUESTIONS = questions(PROFILE)
VARIANTS = systems(QUESTIONS.values())
FIRST = load(PROFILE, "fusion", 0, OVERRIDES)
# A corpus without an official split is studied fold by fold, so that each speaker is tested once.
SEEDS = range(int(config.get("seeds", getattr(FIRST.corpus, "folds", 1))))
BUILD = f"build/{PROFILE}"
CHAPTERS = ["study", *QUESTIONS, "significance", "runs", "data"]
# Between them these two use every frozen encoder.
FEATURES = [name for name in ("fusion_speaker_embedding", "whisper_fusion") if name in VARIANTS]


def settings(names):
    """All parameters of a run: Snakemake repeats it when they change."""
    return dump(load(PROFILE, names.variant, int(names.seed), OVERRIDES))


def frozen(names):
    """The parameters that features depend on."""
    params = load(PROFILE, names.variant, 0, OVERRIDES)
    return params.model_dump_json(include={"corpus", "speech", "text", "speaker"})


def features(names):
    """What caches the features of a variant: the job of the same speech encoder."""
    speech = load(PROFILE, names.variant, 0, OVERRIDES).speech
    return [f"{BUILD}/features/{name}" for name in FEATURES if load(PROFILE, name, 0, OVERRIDES).speech == speech]


def encoders(names):
    """Files of a variant's encoders that are folders of this project."""
    params = load(PROFILE, names.variant, 0, OVERRIDES)
    used = [section.encoder for section in (params.speech, params.text, params.speaker) if section]
    return sorted(str(path) for name in used for path in (project_root() / name).glob("*") if path.is_file())


def tables(corpus):
    """The files that say what is in a corpus; a simulated one follows from its parameters."""
    if corpus.reader == "simulated":
        return []
    found = [corpus.path, *corpus.path.glob("*"), *corpus.path.glob("*/*")]
    return sorted(str(path) for path in found if path.suffix in (".csv", ".json", ".xlsx"))


rule book:
    message:
        "Building the book"
    input:
        expand(f"{BUILD}/book/notebooks/{{name}}.ipynb", name=[*CHAPTERS, "ablation"]),
    output:
        f"{BUILD}/book/_build/html/index.html",
    shell:
        f"jupyter-book build {BUILD}/book --warningiserror --keep-going && echo The book: $PWD/{{output}}"


rule corpus:
    message:
        "Reading the corpus"
    input:
        tables(FIRST.corpus),
    params:
        corpus=FIRST.corpus.model_dump_json(),
    output:
        touch(f"{BUILD}/corpus"),
    run:
        from sercore import corpora

        corpora.read(FIRST.corpus, FIRST.seed)


rule features:
    message:
        "Caching what the frozen encoders of {wildcards.variant} make of the corpus"
    input:
        rules.corpus.output,
        encoders,
    params:
        frozen=frozen,
    output:
        touch(f"{BUILD}/features/{{variant}}"),
    run:
        from sercore.training import prepare

        prepare(load(PROFILE, wildcards.variant, 0, OVERRIDES))


rule train:
    message:
        "Training {wildcards.variant}, seed {wildcards.seed}"
    input:
        encoders,
        features,
        notebook="notebooks/ablation.ipynb",
    params:
        settings=settings,
        notebook=f"{BUILD}/runs/{{variant}}/seed-{{seed}}.ipynb",
        values=lambda names: {
            "profile": PROFILE,
            "variant": names.variant,
            "seeds": [int(names.seed)],
            "overrides": OVERRIDES,
        },
    output:
        # Not a file of the run, which Snakemake would remove before a job and after a failed one.
        touch(f"{BUILD}/runs/{{variant}}/seed-{{seed}}.done"),
    # Where there is a GPU, one training at a time has it to itself.
    threads: (workflow.cores or 1) if shutil.which("nvidia-smi") else 1
    log:
        notebook=f"{BUILD}/runs/{{variant}}/seed-{{seed}}.ipynb",
    script:
        "execute.py"


rule results:
    message:
        "Collecting the results"
    input:
        expand(rules.train.output, variant=VARIANTS, seed=SEEDS),
    output:
        f"{BUILD}/results/runs.csv",
    run:
        from sercore import corpora, runs

        folders = [Path("runs", PROFILE, variant, f"seed-{seed}") for variant in VARIANTS for seed in SEEDS]
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
        unanswered = {f"notebooks/{name}" for name in questions("") if name not in QUESTIONS}
        contents = yaml.safe_load(Path("book/_toc.yml").read_text())
        for part in contents["parts"]:
            part["chapters"] = [page for page in part["chapters"] if page["file"] not in unanswered]
        Path(BUILD, "book", "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False))


rule chapter:
    message:
        "Executing the chapter {wildcards.name}"
    input:
        f"{BUILD}/pages",
        rules.results.output,
        notebook="notebooks/{name}.ipynb",
    params:
        notebook=f"{BUILD}/book/notebooks/{{name}}.ipynb",
        values={"profile": PROFILE, "results": f"{BUILD}/results"},
    output:
        f"{BUILD}/book/notebooks/{{name}}.ipynb",
    script:
        "execute.py"


use rule chapter as ablation_chapter with:
    message:
        "Executing the chapter ablation"
    input:
        f"{BUILD}/pages",
        rules.results.output,
        notebook="notebooks/ablation.ipynb",
    params:
        notebook=f"{BUILD}/book/notebooks/ablation.ipynb",
        values={"profile": PROFILE, "seeds": list(SEEDS), "overrides": OVERRIDES},
    output:
        f"{BUILD}/book/notebooks/ablation.ipynb",


rule figure:
    message:
        "Drawing the README's figure"
    input:
        rules.results.output,
    output:
        f"{BUILD}/results.svg",
    run:
        import matplotlib

        from sercore import comparisons, figures, studies

        matplotlib.rcParams["svg.hashsalt"] = PROFILE
        study = studies.read(PROFILE, f"{BUILD}/results")
        figure = figures.forest(comparisons.compare_all(study))
        figure.savefig(output[0], metadata={"Date": None}, bbox_inches="tight", facecolor="white")


# Maintainers: what the repository holds of the embedded study, and the notebooks' outputs.
rule committed:
    message:
        "Refreshing the committed results and notebooks"
    input:
        rules.results.output,
        figure=rules.figure.output[0],
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
