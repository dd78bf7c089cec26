"""The graph of the study can be made for every part of it, asks for what each part needs, and survives a kill."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from study import plan as questions
from study.__main__ import gpus

ROOT = Path(__file__).parents[1]


def jobs(folder: Path, *config: str) -> dict[str, int]:
    """How often each rule would run in a project without results."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    done = subprocess.run(
        [*command, "--dry-run", "--cores", "2", "--quiet", "host", "--config", "profile=embedded", *config],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)}


@pytest.fixture
def clone(tmp_path):
    """The project's own files, and nothing that a study makes."""
    for name in ("params", "models", "notebooks", "book", "results", "_config.yml", "CITATION.cff"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_the_paper_needs_a_job_of_each_system(clone):
    systems = questions.systems(questions.questions("embedded").values())
    found = jobs(clone, "seeds=3")
    assert found["train"] == len(systems)
    assert found["chapter"] + found["ablation"] == 13
    assert found["analyse"] == 1
    assert found["book"] == 1


def test_open_questions_need_a_job_of_each_system_and_condition(clone):
    asked = questions.questions("embedded", open=True)
    trained = {
        (name, condition) for one in asked.values() for condition in one.conditions for name in questions.systems([one])
    }
    found = jobs(clone, "chapter=open")
    assert found["train"] == len(trained)
    assert found["chapter"] == len(asked)
    assert found["analyse"] == len(asked)


def test_one_chapter_needs_its_own_runs_alone(clone):
    assert jobs(clone, "chapter=fairness")["train"] == 2


def test_a_chapter_that_a_profile_does_not_have_is_named(clone):
    with pytest.raises(AssertionError, match="profile 'embedded' does not answer 'farness'; it answers text,"):
        jobs(clone, "chapter=farness")


@pytest.fixture
def study(clone):
    """What `make study` starts, with a script of this content as its jobs' `python`, in a process group of its own."""
    dry = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/installed", "study"]
    shown = subprocess.run(dry, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    snakemake = shown.replace("snakemake", f"exec {sys.executable} -m snakemake --snakefile {ROOT}/Snakefile", 1)
    python, running = clone / "bin" / "python", []
    python.parent.mkdir()

    def start(script, *options):
        # What make itself asks Python is answered.
        python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\n{script}\n')
        python.chmod(0o755)
        paths = {"PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        kept = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
        command = ["bash", "-c", " ".join([snakemake, *options])]
        running.append(subprocess.Popen(command, env=os.environ | paths, cwd=clone, **kept))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def ended(process):
    return process.communicate(timeout=120)[0], process.returncode


@pytest.mark.slow
def test_a_killed_study_goes_on_and_a_living_one_is_left_alone(study, clone):
    made = clone / "build" / "embedded" / "pages"
    living = study("touch began; exec sleep 600", "--", "build/embedded/pages")
    while not (clone / "began").exists():
        assert living.poll() is None
        time.sleep(0.1)
    shown, status = ended(study("exit 0", "--", "build/embedded/pages"))
    assert (status, "error: another study runs in this folder" in shown) == (1, True), shown
    os.killpg(living.pid, signal.SIGKILL)
    living.wait()
    shown, status = ended(study("exit 0", "--", "build/embedded/pages"))
    assert (status, made.exists()) == (0, True), shown


@pytest.mark.slow
def test_as_many_systems_are_trained_at_once_as_there_are_gpus(study, clone):
    """With a torch that finds two of them, and jobs that only say which one they have."""
    (clone / "torch.py").write_text("class cuda: device_count = staticmethod(lambda: 2)")
    (clone / "job.py").write_text("""
import os, sys, time
from pathlib import Path
from study import __main__ as study

def seen(moment, job):
    with open("seen", "a") as file:
        print(moment, os.environ["CUDA_VISIBLE_DEVICES"], Path(job).name, file=file)

def features(plan, profile, variant, condition):
    seen("begin", "features"), seen("end", "features")

def execute(plan, notebook, output, parameters):
    seen("begin", output), time.sleep(3), seen("end", output)

study.COMMANDS |= {"features": features, "execute": execute}
study.main()
""")
    names = ("fusion", "speech_only", "fusion_gender", "fusion_speaker", "fusion_whole_data")
    script = f'shift 2; PYTHONPATH="$PWD:$PYTHONPATH" exec {sys.executable} job.py "$@"'
    wanted = [f"build/embedded/runs/study/{name}.done" for name in names]
    shown, status = ended(study(script, "--cores", "4", "--", *wanted))
    assert status == 0, shown
    busy, most = set(), 0
    for line in (clone / "seen").read_text().splitlines():
        moment, gpu, _ = line.split()
        assert gpu in ("0", "1")
        assert (gpu in busy) == (moment == "end"), "two jobs have one GPU"
        busy ^= {gpu}
        most = max(most, len(busy))
    assert most == 2


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return monkeypatch


@pytest.mark.parametrize(("visible", "names"), [(None, ["0", "1"]), ("3,GPU-8c1a", ["3", "GPU-8c1a"])])
def test_a_job_has_one_of_the_gpus_that_it_may_use_to_itself(two_gpus, visible, names):
    def allowed():
        two_gpus.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible:
            two_gpus.setenv("CUDA_VISIBLE_DEVICES", visible)

    taken = []
    allowed()
    with gpus(1):
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
        allowed()
        with gpus(1):
            taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
        allowed()
        with gpus(1):  # the one that was given back
            taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == [*names, names[1]]
    with gpus(0):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_where_there_is_no_gpu_nothing_is_waited_for(two_gpus):
    two_gpus.setattr(torch.cuda, "device_count", lambda: 0)
    two_gpus.setenv("CUDA_VISIBLE_DEVICES", "5")
    with gpus(1), gpus(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
