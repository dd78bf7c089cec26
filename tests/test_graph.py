"""The graph of the study can be made for every part of it, and asks for what each part needs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from study import plan as questions

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
    assert found["chapter"] + found["ablation"] == 12
    assert found["analyse"] == 1
    assert found["book"] == 1


def test_open_questions_need_a_job_of_each_system_and_condition(clone):
    asked = questions.open_questions("embedded")
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
