# The study as a graph: corpus -> features -> runs (variant x seed) -> results -> chapters -> book.
# `make study` runs it; every step leaves a file, so what is there and up to date is not made again.
import functools
import json
import os
import shutil
from pathlib import Path

import yaml

from sercore.params import dump, load, merge, project_root, with_corpus
from study.plan import STUDY, at_hand, members, open_questions, overrides, question, questions, systems, tested_on

PROFILE = config.get("profile", "embedded")
DATA = {"corpus": {"path": config["data"]}} if "data" in config else {}
BUILD = f"build/{PROFILE}"
# The questions of the paper are answered together, from the same runs; each that it leaves open from runs of its own.
PAPER, OPEN = questions(PROFILE), open_questions(PROFILE)
match config.get("chapter", "paper"):
    case "paper":
        PARTS = {"paper": list(PAPER.values())}
    case "open":
        PARTS = {name: [one] for name, one in OPEN.items()}
    case name:
        PARTS = {name: [question(PROFILE, name)]}
CONDITIONS = {part: list(asked[0].conditions) for part, asked in PARTS.items()}
VARIANTS = {part: systems(asked) for part, asked in PARTS.items()}
TESTS = {part: asked[0].tests for part, asked in PARTS.items()}
TRAINED = {
    condition: list(dict.fromkeys(name for part in PARTS if condition in CONDITIONS[part] for name in VARIANTS[part]))
    for condition in dict.fromkeys(one for conditions in CONDITIONS.values() for one in conditions)
}
CHAPTERS = ["overview", *PAPER, "significance", "efficiency", "runs", "data", "ablation"] if "paper" in PARTS else list(PARTS)
# A book of some chapters has links to others.
STRICT = "--warningiserror --keep-going" if "paper" in PARTS else "--keep-going"


def parameters(variant, condition, seed=0):
    """The parameters of a run under a condition, with the corpus that the user named."""
    return load(PROFILE, variant, int(seed), changed(condition))


def changed(condition):
    """What differs from variant and profile."""
    return merge(DATA, overrides(condition))


# A corpus without an official split is studied fold by fold, so that each speaker is tested once.
FOLDS = getattr(parameters("fusion", STUDY).corpus, "folds", None)
SEEDS = range(int(config.get("seeds", FOLDS or (1 if "paper" in PARTS else 2))))
# What chapters read beside runs, made by a rule each.
MORE = {
    "speakers": "embedding.csv",
    "transcripts": "wer.csv",
    "cross_corpus": "matrix.csv",
    "validation_protocol": "draws/selection.csv",
    "fairness": "groups.csv",
}
# The chapter on other corpora trains on each that is on this machine.
CORPORA = at_hand(PROFILE, DATA) if "cross_corpus" in PARTS else {}


def settings(names):
    """All parameters of a run: Snakemake repeats it when they change."""
    return dump(parameters(names.variant, names.condition, names.seed))


def frozen(names):
    """The parameters that features depend on."""
    return parameters(names.variant, names.condition).model_dump_json(include={"corpus", "speech", "text", "speaker"})


def features(names):
    """What caches the features of a variant: the job of the system with its speech encoder and the most others."""
    speech = frozen_speech(names.variant, names.condition)
    alike = [name for name in TRAINED[names.condition] if frozen_speech(name, names.condition) == speech]
    most = max(alike, key=lambda name: len(used_encoders(parameters(name, names.condition))))
    return f"{BUILD}/features/{names.condition}/{most}"


def frozen_speech(variant, condition):
    """What the features of a speech encoder depend on."""
    return parameters(variant, condition).speech.model_copy(update={"lora": None, "learning_rate": None})


def used_encoders(found):
    """Names of the encoders of a run with the parameters `found`."""
    return [section.encoder for section in (found.speech, found.text, found.speaker) if section]


def encoder_files(found):
    """Files of those encoders that are folders of this project."""
    folders = [project_root() / name for name in used_encoders(found)]
    return sorted(str(path) for folder in folders for path in folder.glob("*") if path.is_file())


def encoders(names):
    """`encoder_files` of a variant under a condition."""
    return encoder_files(parameters(names.variant, names.condition))


def corpus(condition):
    """The corpus of a condition."""
    return parameters("fusion", condition).corpus


def tables(found):
    """The files that say what is in a corpus; a simulated one follows from its parameters."""
    return [] if found.reader == "simulated" else watched(found.path)


@functools.cache
def watched(path):
    """Tables and texts of a corpus; folders of thousands hold a transcript each, too many to be watched."""
    if path.is_file():
        return [str(path)]
    folders = [
        [os.path.join(folder, name) for name in names if name.endswith((".csv", ".json", ".xlsx", ".txt"))]
        for folder, _, names in os.walk(path, followlinks=True)
    ]
    return sorted(path for paths in folders if len(paths) < 1000 for path in paths)


def results(part):
    """The collected results of a part under all its conditions, and what else its chapter reads."""
    collected = expand(f"{BUILD}/results/{part}/{{condition}}/runs.csv", condition=CONDITIONS.get(part, []))
    return [*collected, *([f"{BUILD}/results/{part}/{MORE[part]}"] if part in MORE else [])]


def declared(part):
    """What a part compares, with the members of its ensembles: a chapter is made again when that changes."""
    return repr([(one, [members(name) for name in one.compared]) for one in PARTS.get(part, [])])


def run_folders(part, condition):
    """Where the runs of a part are under a condition."""
    from sercore.runs import run_folder

    return [run_folder(parameters(name, condition, seed)) for name in VARIANTS[part] for seed in SEEDS]


def seeds_elsewhere(profile):
    """Seeds of the runs on another corpus: its folds, or three."""
    return list(range(getattr(load(profile, "fusion", 0).corpus, "folds", 3)))


def folders_elsewhere(profile):
    """Where the runs on a corpus are, this study's own or another one."""
    from sercore.runs import run_folder

    if profile == PROFILE:
        return run_folders("cross_corpus", STUDY)
    return [run_folder(load(profile, name, seed)) for name in VARIANTS["cross_corpus"] for seed in seeds_elsewhere(profile)]


rule book:
    message:
        "Building the book"
    input:
        expand(f"{BUILD}/book/notebooks/{{name}}.ipynb", name=CHAPTERS),
    output:
        f"{BUILD}/book/_build/html/index.html",
    shell:
        f"jupyter-book build {BUILD}/book {STRICT} && echo The book: $PWD/{{output}}"


rule corpus:
    message:
        "Reading the corpus ({wildcards.condition})"
    input:
        lambda names: tables(corpus(names.condition)),
    params:
        corpus=lambda names: corpus(names.condition).model_dump_json(),
    output:
        touch(f"{BUILD}/corpus/{{condition}}"),
    run:
        from sercore import corpora

        corpora.read(corpus(wildcards.condition), 0)


rule features:
    message:
        "Caching what the frozen encoders of {wildcards.variant} make of the corpus ({wildcards.condition})"
    input:
        rules.corpus.output,
        encoders,
    params:
        frozen=frozen,
    output:
        touch(f"{BUILD}/features/{{condition}}/{{variant}}"),
    run:
        from sercore.features import prepare

        prepare(parameters(wildcards.variant, wildcards.condition))


if "paper" in PARTS:

    rule train:
        message:
            "Training {wildcards.variant}, seed {wildcards.seed} ({wildcards.condition})"
        input:
            encoders,
            features,
            notebook="notebooks/ablation.ipynb",
        params:
            settings=settings,
            notebook=f"{BUILD}/runs/{{condition}}/{{variant}}/seed-{{seed}}.ipynb",
            values=lambda names: {
                "profile": PROFILE,
                "variant": names.variant,
                "seeds": [int(names.seed)],
                "overrides": changed(names.condition),
            },
        output:
            # Not a file of the run, which Snakemake would remove before a job and after a failed one.
            touch(f"{BUILD}/runs/{{condition}}/{{variant}}/seed-{{seed}}.done"),
        # Where there is a GPU, one training at a time has it to itself.
        threads: (workflow.cores or 1) if shutil.which("nvidia-smi") else 1
        log:
            notebook=f"{BUILD}/runs/{{condition}}/{{variant}}/seed-{{seed}}.ipynb",
        script:
            "execute.py"


else:

    rule train:
        message:
            "Training {wildcards.variant} ({wildcards.condition})"
        input:
            lambda names: encoders(names) + [features(names)],
        params:
            settings=lambda names: dump(parameters(names.variant, names.condition)),
            overrides=lambda names: json.dumps(changed(names.condition)),
            seeds=list(SEEDS),
        output:
            touch(expand(f"{BUILD}/runs/{{{{condition}}}}/{{{{variant}}}}/seed-{{seed}}.done", seed=SEEDS)),
        threads: (workflow.cores or 1) if shutil.which("nvidia-smi") else 1
        # Nobody reads a notebook of each of these runs; one process for all seeds starts once.
        shell:
            f"python -m sercore train {PROFILE} {{wildcards.variant}} {{params.seeds}} --overrides {{params.overrides:q}}"


rule tested:
    message:
        "Reading and caching what {wildcards.part} tests on ({wildcards.condition})"
    input:
        rules.corpus.output,
    params:
        tests=lambda names: {test: tested_on(test) for test in TESTS[names.part]},
    output:
        touch(f"{BUILD}/tested/{{part}}/{{condition}}"),
    # A recogniser hears for minutes: while systems are trained, not after.
    priority: 1
    run:
        from sercore.features import prepare

        for override in params.tests.values():
            for variant in VARIANTS[wildcards.part]:
                prepare(with_corpus(parameters(variant, wildcards.condition), override))


rule test:
    message:
        "Testing {wildcards.variant}, seed {wildcards.seed} ({wildcards.condition}) on what {wildcards.part} asks for"
    input:
        rules.train.output,
        rules.tested.output,
    params:
        tests=lambda names: {test: tested_on(test) for test in TESTS[names.part]},
    output:
        touch(f"{BUILD}/tests/{{part}}/{{condition}}/{{variant}}/seed-{{seed}}.done"),
    run:
        from sercore.predict import evaluate
        from sercore.runs import run_folder

        folder = run_folder(parameters(wildcards.variant, wildcards.condition, wildcards.seed))
        here = {"path": str(corpus(wildcards.condition).path)}  # the corpus may have been moved since
        for test, override in params.tests.items():
            evaluate(folder, test, here | override)


def made(names):
    """What must be there before the results of a part under a condition are collected."""
    output = rules.test.output if TESTS[names.part] else rules.train.output
    return expand(output, part=names.part, condition=names.condition, variant=VARIANTS[names.part], seed=SEEDS)


rule results:
    message:
        "Collecting the results ({wildcards.part}, {wildcards.condition})"
    input:
        made,
    output:
        f"{BUILD}/results/{{part}}/{{condition}}/runs.csv",
    run:
        from sercore import corpora
        from study import results as studies

        table = corpora.read(corpus(wildcards.condition), 0)
        folders = run_folders(wildcards.part, wildcards.condition)
        studies.collect(folders, table, Path(output[0]).parent, TESTS[wildcards.part])


rule train_elsewhere:
    message:
        "Training {wildcards.variant} on the corpus of {wildcards.profile}"
    input:
        lambda names: tables(load(names.profile, names.variant, 0).corpus),
        lambda names: encoder_files(load(names.profile, names.variant, 0)),
    params:
        settings=lambda names: dump(load(names.profile, names.variant, 0)),
        seeds=lambda names: seeds_elsewhere(names.profile),
    output:
        touch("build/{profile}/elsewhere/{variant}.done"),
    threads: (workflow.cores or 1) if shutil.which("nvidia-smi") else 1
    shell:
        "python -m sercore train {wildcards.profile} {wildcards.variant} {params.seeds}"


rule across:
    message:
        "Testing the systems of every corpus on every other"
    input:
        f"{BUILD}/results/cross_corpus/{STUDY}/runs.csv",
        [
            f"build/{one.profile}/elsewhere/{variant}.done"
            for one in CORPORA.values()
            if one.profile != PROFILE
            for variant in VARIANTS["cross_corpus"]
        ],
    params:
        asked=declared("cross_corpus"),
        corpora={name: one.corpus.model_dump(mode="json") for name, one in CORPORA.items()},
    output:
        f"{BUILD}/results/cross_corpus/matrix.csv",
    run:
        from study.chapters import across

        folders = {name: folders_elsewhere(one.profile) for name, one in CORPORA.items()}
        across.write(folders, params.corpora, Path(output[0]).parent)


rule speakers:
    message:
        "Embedding speakers"
    input:
        f"{BUILD}/corpus/{STUDY}",
        encoder_files(parameters("fusion_speaker_embedding", STUDY)),
    params:
        settings=dump(parameters("fusion_speaker_embedding", STUDY)),
    output:
        f"{BUILD}/results/speakers/embedding.csv",
    run:
        from study.chapters import speaker_embeddings

        speaker_embeddings.write(parameters("fusion_speaker_embedding", STUDY), Path(output[0]).parent)


rule transcripts:
    message:
        "Counting the words that transcripts get wrong"
    input:
        f"{BUILD}/results/transcripts/{STUDY}/runs.csv",
    output:
        f"{BUILD}/results/transcripts/wer.csv",
    run:
        from study.chapters import transcripts_report

        trained = [parameters(variant, STUDY) for variant in VARIANTS["transcripts"]]
        tests = {test: tested_on(test) for test in TESTS["transcripts"]}
        transcripts_report.write(trained, tests, Path(output[0]).parent)


rule protocol:
    message:
        "Drawing validation sets"
    input:
        f"{BUILD}/results/validation_protocol/every_epoch/runs.csv",
    params:
        asked=declared("validation_protocol"),
    output:
        f"{BUILD}/results/validation_protocol/draws/selection.csv",
    run:
        from study.chapters import protocol

        protocol.write(run_folders("validation_protocol", "every_epoch"), Path(output[0]).parent)


rule groups:
    message:
        "Scoring groups"
    input:
        f"{BUILD}/results/fairness/{STUDY}/runs.csv",
    params:
        asked=declared("fairness"),
    output:
        f"{BUILD}/results/fairness/groups.csv",
    run:
        from study.chapters import groups
        from study import results as studies

        folder = Path(output[0]).parent
        groups.write(studies.read(PROFILE, folder), folder)


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
        shown = {f"notebooks/{name}" for name in CHAPTERS}
        contents = yaml.safe_load(Path("book/_toc.yml").read_text())
        if contents["root"] not in shown:
            contents["root"] = f"notebooks/{CHAPTERS[0]}"
        for part in contents["parts"]:
            pages = [page["file"] for page in part["chapters"]]
            kept = [page for page in pages if page in shown or not page.startswith("notebooks/")]
            part["chapters"] = [{"file": page} for page in kept if page != contents["root"]]
        contents["parts"] = [part for part in contents["parts"] if part["chapters"]]
        Path(BUILD, "book", "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False))


rule chapter:
    message:
        "Executing the chapter {wildcards.name}"
    input:
        f"{BUILD}/pages",
        lambda names: results(names.name if names.name in PARTS else "paper"),
        notebook="notebooks/{name}.ipynb",
    params:
        asked=lambda names: declared(names.name if names.name in PARTS else "paper"),
        notebook=f"{BUILD}/book/notebooks/{{name}}.ipynb",
        values=lambda names: {
            "profile": PROFILE,
            "results": f"{BUILD}/results/{names.name if names.name in PARTS else 'paper'}",
        },
    output:
        f"{BUILD}/book/notebooks/{{name}}.ipynb",
    script:
        "execute.py"


use rule chapter as ablation_chapter with:
    message:
        "Executing the chapter ablation"
    input:
        f"{BUILD}/pages",
        results("paper"),
        notebook="notebooks/ablation.ipynb",
    params:
        asked=None,
        notebook=f"{BUILD}/book/notebooks/ablation.ipynb",
        values={"profile": PROFILE, "seeds": list(SEEDS), "overrides": DATA},
    output:
        f"{BUILD}/book/notebooks/ablation.ipynb",


rule figure:
    message:
        "Drawing the README's figure"
    input:
        results("paper"),
    params:
        asked=declared("paper"),
    output:
        f"{BUILD}/results.svg",
    run:
        import matplotlib

        from study import comparisons, results as studies
        from study.show import figures

        matplotlib.rcParams["svg.hashsalt"] = PROFILE
        study = studies.read(PROFILE, f"{BUILD}/results/paper")
        figure = figures.forest(comparisons.compare_all(study))
        figure.savefig(output[0], metadata={"Date": None}, bbox_inches="tight", facecolor="white")


# Maintainers: what the repository holds of the embedded study, and the notebooks' outputs.
rule committed:
    message:
        "Refreshing the committed results and notebooks"
    input:
        [results(part) for part in PARTS],
        rules.figure.output if "paper" in PARTS else [],
    run:
        import nbformat
        from nbclient import NotebookClient

        for part in PARTS:
            shutil.rmtree(f"results/{PROFILE}/{part}", ignore_errors=True)
            # Of other corpora nothing that tells of single utterances.
            summaries = None if PROFILE == "embedded" else lambda folder, names: [n for n in names if ".csv" not in n]
            shutil.copytree(f"{BUILD}/results/{part}", f"results/{PROFILE}/{part}", ignore=summaries)
        if "paper" in PARTS:
            shutil.copy(rules.figure.output[0], "book/_static/results.svg")
        os.environ["TQDM_DISABLE"] = "1"  # bars of progress do not belong into a repository
        for name in CHAPTERS if PROFILE == "embedded" else []:
            path = Path("notebooks", f"{name}.ipynb")
            shell(f"jupytext --update --to ipynb notebooks/{name}.py")
            notebook = nbformat.read(path, as_version=4)
            NotebookClient(notebook, timeout=None, record_timing=False).execute()
            nbformat.write(notebook, path)
