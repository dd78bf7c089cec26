# The study as a graph: features -> runs -> results -> chapters -> book. `make study` runs it; every step leaves a file, so
# what is there and up to date is not made again. What it asks is answered by study/plan.py.
import json
import shutil
from pathlib import Path

from study.plan import STUDY, planned

plan = planned(**config)
plan.warn_of_other_code()
BUILD = f"build/{plan.profile}"
RUNS = "build/{profile}/runs/{condition}/{variant}"


onstart:
    shell(plan.first)


rule book:
    message:
        "Building the book"
    input:
        f"{BUILD}/pages",
        expand(f"{BUILD}/book/notebooks/{{name}}.ipynb", name=plan.chapters),
    params:
        # A book of some chapters has links to others.
        strict="--warningiserror" if "paper" in plan.parts else "",
    output:
        f"{BUILD}/book/_build/html/index.html",
    shell:
        f"jupyter-book build {BUILD}/book {{params.strict}} --keep-going && echo The book: $PWD/{{output}}"


rule features:
    message:
        "Caching the features of {wildcards.variant} ({wildcards.profile}, {wildcards.condition})"
    params:
        frozen=lambda names: plan.frozen(names.variant, names.condition, names.profile),
    output:
        touch("build/{profile}/features/{condition}/{variant}"),
    shell:
        f"{plan.command} features {{wildcards.profile}} {{wildcards.variant}} {{wildcards.condition}}"


rule train:
    message:
        "Training {wildcards.variant} ({wildcards.profile}, {wildcards.condition})"
    input:
        lambda names: "build/{profile}/features/{condition}/".format(**names)
        + plan.features_of(names.variant, names.condition, names.profile),
        notebook="notebooks/ablation.ipynb",
    params:
        settings=lambda names: plan.settings(names.variant, names.condition, names.profile),
        values=lambda names: json.dumps(
            {"profile": names.profile, "variant": names.variant, "seeds": plan.seeds(names.profile)}
            | {"overrides": plan.changed(names.condition, names.profile)}
        ),
        output=RUNS + ".ipynb",
    output:
        # Not a file of the run, which Snakemake would remove before a job and after a failed one.
        touch(RUNS + ".done"),
    # Where there is a GPU, one training at a time has it to itself.
    threads: (workflow.cores or 1) if shutil.which("nvidia-smi") else 1
    shell:
        f"{plan.command} execute {{input.notebook}} {{params.output}} {{params.values:q}}"


rule prepare:
    message:
        "Reading and caching the evaluation sets of {wildcards.part} ({wildcards.condition})"
    params:
        tests=lambda names: plan.declared(names.part),
    output:
        touch(f"{BUILD}/prepared/{{part}}/{{condition}}"),
    # A recogniser takes minutes: while systems are trained, not after.
    priority: 1
    shell:
        f"{plan.command} prepare {{wildcards.part}} {{wildcards.condition}}"


rule test:
    message:
        "Testing {wildcards.variant} on the evaluation sets of {wildcards.part} ({wildcards.condition})"
    input:
        f"{BUILD}/runs/{{condition}}/{{variant}}.done",
        rules.prepare.output,
    output:
        touch(f"{BUILD}/tests/{{part}}/{{condition}}/{{variant}}"),
    shell:
        f"{plan.command} test {{wildcards.part}} {{wildcards.condition}} {{wildcards.variant}}"


rule analyse:
    message:
        "Analysing {wildcards.part}"
    input:
        lambda names: plan.needed(names.part),
    params:
        asked=lambda names: plan.declared(names.part),
    output:
        touch(f"{BUILD}/analysed/{{part}}"),
    shell:
        f"{plan.command} analyse {{wildcards.part}}"


rule pages:
    input:
        "_config.yml",
        [path for path in Path("book").rglob("*") if path.is_file() and "_build" not in path.parts],
    output:
        touch(f"{BUILD}/pages"),
    shell:
        f"{plan.command} pages"


rule chapter:
    message:
        "Executing the chapter {wildcards.name}"
    input:
        lambda names: f"{BUILD}/analysed/{plan.part_of(names.name)}",
        notebook="notebooks/{name}.ipynb",
    params:
        asked=lambda names: plan.declared(plan.part_of(names.name)),
        values=lambda names: json.dumps(plan.values(names.name)),
    output:
        f"{BUILD}/book/notebooks/{{name}}.ipynb",
    shell:
        f"{plan.command} execute {{input.notebook}} {{output}} {{params.values:q}}"


ruleorder: ablation > chapter


rule ablation:
    input:
        f"{BUILD}/runs/{STUDY}/fusion.done",
    output:
        f"{BUILD}/book/notebooks/ablation.ipynb",
    shell:
        f"cp {BUILD}/runs/{STUDY}/fusion.ipynb {{output}}"


rule committed:
    input:
        expand(f"{BUILD}/analysed/{{part}}", part=plan.parts),
    shell:
        f"{plan.command} commit"
