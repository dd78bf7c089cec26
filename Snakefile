# The study as a graph: features -> runs -> results -> chapters -> book. `make study` runs it; every step leaves a file, so
# what is there and up to date is not made again. What it asks is answered by study/plan.py.
import json
from pathlib import Path

from study.plan import STUDY, alone, planned

GPU = config.pop("gpu", 1)
plan = planned(**config)
plan.warn_of_other_code()
BUILD = f"build/{plan.profile}"
RUNS = "build/{profile}/runs/{condition}/{variant}"
# What a job with a model asks of a cluster; on one machine `--resources gpu=2` says how many GPUs there are.
MODEL = {"gpu": GPU, "cpus_per_task": 4 if GPU else 1, "mem_mb": 32_000 if GPU else 8_000, "runtime": 1_440}
ON_GPU = f"{plan.command} --gpus {{resources.gpu}}"

shell.prefix(f"set -a; . '{workflow.basedir}/profiles/environment'; set +a; ")


localrules: pages, ablation
ruleorder: ablation > chapter


onstart:
    alone()
    plan.require_room(GPU)


rule book:
    message: "Building the book"
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
    message: "Caching the features of {wildcards.variant} ({wildcards.profile}, {wildcards.condition})"
    params:
        frozen=lambda names: plan.of(names.profile).frozen(names.variant, names.condition),
    output:
        touch("build/{profile}/features/{condition}/{variant}"),
    resources: **MODEL
    shell:
        f"{ON_GPU} features {{wildcards.profile}} {{wildcards.variant}} {{wildcards.condition}}"


rule train:
    message: "Training {wildcards.variant} ({wildcards.profile}, {wildcards.condition})"
    input:
        lambda names: "build/{profile}/features/{condition}/".format(**names)
        + plan.of(names.profile).features_of(names.variant, names.condition),
        notebook="notebooks/ablation.ipynb",
    params:
        settings=lambda names: plan.of(names.profile).settings(names.variant, names.condition),
        values=lambda names: json.dumps(
            {"profile": names.profile, "variant": names.variant, "seeds": plan.of(names.profile).seeds()}
            | {"overrides": plan.of(names.profile).changed(names.condition)}
        ),
        output=RUNS + ".ipynb",
    output:
        # Not a file of the run, which Snakemake would remove before a job and after a failed one.
        touch(RUNS + ".done"),
    resources: **MODEL
    shell:
        f"{ON_GPU} execute {{input.notebook}} {{params.output}} {{params.values:q}}"


rule prepare:
    message: "Reading and caching the evaluation sets of {wildcards.part} ({wildcards.condition})"
    params:
        tests=lambda names: plan.declared(names.part),
    output:
        touch(f"{BUILD}/prepared/{{part}}/{{condition}}"),
    # A recogniser takes minutes: while systems are trained, not after.
    priority: 1
    resources: **MODEL
    shell:
        f"{ON_GPU} prepare {{wildcards.part}} {{wildcards.condition}}"


rule test:
    message: "Testing {wildcards.variant} on the evaluation sets of {wildcards.part} ({wildcards.condition})"
    input:
        f"{BUILD}/runs/{{condition}}/{{variant}}.done",
        rules.prepare.output,
    output:
        touch(f"{BUILD}/tests/{{part}}/{{condition}}/{{variant}}"),
    resources: **MODEL
    shell:
        f"{ON_GPU} test {{wildcards.part}} {{wildcards.condition}} {{wildcards.variant}}"


rule analyse:
    message: "Analysing {wildcards.part}"
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
    message: "Executing the chapter {wildcards.name}"
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
