"""A study runs to its book on a Slurm cluster, though one of its jobs is killed, and asks for what its jobs need."""

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = (
    "CITATION.cff",
    "Makefile",
    "Snakefile",
    "_config.yml",
    "book",
    "models",
    "models.lock",
    "notebooks",
    "params",
)
PROJECT += ("profiles", "pyproject.toml", "requirements.lock", "results", "sercore", "simulation", "study")
SMALL = """training.epochs=1 training.batch_size=8 sampling.samples_per_emotion=2 sampling.validation_per_emotion=1
corpus.train_utterances=400 corpus.development_utterances=200
corpus.test_utterances_per_emotion=30 corpus.test_speakers=24"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("slurmctld") and shutil.which("munged") and find_spec("snakemake_executor_plugin_slurm")),
        reason="Slurm (Debian's slurm-wlm) or the extra cluster is not installed",
    ),
]


@pytest.fixture
def cluster(tmp_path):
    """The environment in which Slurm's commands ask a cluster of this machine; its records are in the folder."""
    folder = tmp_path / "slurm"
    subprocess.run(["sh", ROOT / "tests" / "one_node_slurm.sh", folder], check=True)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "config.yaml").write_text(
        "slurm-status-command: squeue\nslurm-init-seconds-before-status-checks: 3\nseconds-between-status-checks: 3\n"
    )
    paths = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    yield os.environ | {
        "PATH": paths,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "SLURM_CONF": str(folder / "slurm.conf"),
        "SNAKEMAKE_PROFILE": str(tmp_path / "site"),
        "TQDM_DISABLE": "1",
    }
    for name in ("slurmd", "slurmctld", "munged"):
        subprocess.run(["kill", (folder / f"{name}.pid").read_text().strip()], check=False)


def test_a_study_runs_to_its_book_though_a_training_is_killed(cluster, tmp_path):
    clone = tmp_path / "clone"
    (clone / ".venv").mkdir(parents=True)
    for name in PROJECT:
        (clone / name).symlink_to(ROOT / name)
    for name in ("installed", "cluster"):  # as it is where this test runs
        (clone / ".venv" / name).touch()

    def slurm(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True, env=cluster).stdout

    def trainings(state):
        listed = slurm("squeue", "--noheader", "--states=all", "--format=%i|%T|%k").splitlines()
        jobs = [line.split("|") for line in listed]
        return [number for number, now, comment in jobs if comment.startswith("rule_train") and now == state]

    command = ["make", "study", "CLUSTER=slurm", "CHAPTER=fairness", "SEEDS=1", f"SET={' '.join(SMALL.split())}"]
    with (tmp_path / "shown").open("w") as shown:
        study = subprocess.Popen(command, stdout=shown, stderr=subprocess.STDOUT, cwd=clone, env=cluster)
    try:
        while not (running := trainings("RUNNING")):
            assert study.poll() is None, (tmp_path / "shown").read_text()
            time.sleep(1)
        slurm("scancel", running[0])
        assert study.wait(timeout=1200) == 0, (tmp_path / "shown").read_text()
    finally:
        study.terminate()
    assert (clone / "build" / "embedded" / "book" / "_build" / "html" / "index.html").exists()
    assert (trainings("CANCELLED"), len(trainings("COMPLETED"))) == ([running[0]], 2)
    asked = slurm("scontrol", "show", "job", running[0])
    for wanted in ("TresPerJob=gres:gpu:1", "CPUs/Task=4", "mem=32000M", "TimeLimit=1-00:00:00"):
        assert wanted in asked
