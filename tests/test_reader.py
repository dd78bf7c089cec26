"""A corpus of one's own is one new file and one profile, from training to a page of the book."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import soundfile
import yaml

from sercore import corpora, params
from sercore.corpus import EMOTIONS

ROOT = Path(__file__).parents[1]
READER = '''
"""Tones whose loudness is the arousal and whose pitch is the valence."""

import numpy as np
import pandas as pd
import soundfile

from sercore.corpus import COLUMNS, Corpus
from sercore.params import CorpusParams, resolve

KIND = "acted"
DESCRIPTION = "Tones, which nobody ever spoke."


class Params(CorpusParams):
    loudest: float = 0.5
    folds: int = 3


def read(params, seed):
    folder = resolve(params.path)
    folder.mkdir(parents=True, exist_ok=True)
    generator, rows = np.random.default_rng(0), {}
    for speaker in range(9):
        split = {seed % params.folds: "test1", (seed + 1) % params.folds: "development"}.get(speaker % 3, "train")
        for emotion in 2 * "ASHUFDCNOX":
            arousal, valence, dominance = generator.uniform(1, 5, 3)
            duration = generator.uniform(0.3, 0.6)
            time = np.arange(0, duration, 1 / 16_000)
            name = f"{speaker}_{len(rows):03d}"
            path = folder / f"{name}.wav"
            if not path.exists():
                tone = np.sin(2 * np.pi * 100 * valence * time)
                soundfile.write(path, params.loudest * arousal / 5 * tone, 16_000)
            gender = ("Female", "Male")[speaker % 2]
            text = "Good." if valence > 3 else "Bad."
            rows[name] = (
                path, split, emotion, arousal, valence, dominance, str(speaker), gender, text, len(time) / 16_000
            )
    table = pd.DataFrame.from_dict(rows, "index", columns=COLUMNS).rename_axis("utterance")
    return Corpus("tones", table, (1, 5))
'''


@pytest.fixture
def laboratory(tmp_path, monkeypatch):
    """A clone with a reader outside the packages, and a profile that names it."""
    for name in ("models", "notebooks", "benchmarks", "book", "results", "_config.yml", "CITATION.cff"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params").mkdir()
    for path in (ROOT / "params").glob("*.yaml"):
        (tmp_path / "params" / path.name).symlink_to(path)
    package = tmp_path / "my_lab"
    package.mkdir()
    (package / "tones.py").write_text(READER)
    profile = yaml.safe_load((ROOT / "params" / "embedded.yaml").read_text())
    profile |= {"corpus": {"reader": "my_lab.tones", "path": "data/tones"}, "heads": {"width": 16}}
    profile |= {"sampling": {"samples_per_emotion": 4, "validation_per_emotion": 2}}
    profile["training"] |= {"epochs": 3, "batch_size": 8}
    (tmp_path / "params" / "tones.yaml").write_text(yaml.safe_dump(profile))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_lab")]:
        del sys.modules[name]


def test_a_reader_from_anywhere_is_chosen_by_its_dotted_name(laboratory):
    chosen = params.load("tones", "fusion", 4, {"corpus": {"loudest": 0.1}}).corpus
    assert (chosen.loudest, chosen.folds) == (0.1, 3)
    corpus = corpora.read(chosen, 4)
    assert corpus.scale == (1, 5)
    assert set(corpus.split("test1")["speaker"]) == {"1", "4", "7"}  # fold 4 % 3
    assert set(corpus.table["emotion"]) == set(EMOTIONS)
    with pytest.raises(
        params.ParamsError, match=r"'corpus\.pitch'; valid are reader, path, folds, transcripts, damaged, loudest"
    ):
        params.load("tones", "fusion", 0, {"corpus": {"pitch": 3}})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "my_lab.nothing",
            r"'my_lab\.nothing', which cannot be imported \(No module named 'my_lab\.nothing'\); valid are emotale",
        ),
        ("my_lab.half", r"'my_lab\.half', a module without read, DESCRIPTION: add them\."),
        (
            "tones",
            r"'tones', which cannot be imported .*; "
            "valid are emotale, iemocap, manifest, msp_podcast, or the dotted name",
        ),
        ("..corpus", r"'\.\.corpus', which cannot be imported"),
    ],
)
def test_what_is_no_reader_is_refused_in_one_sentence(laboratory, name, sentence):
    (laboratory / "my_lab" / "half.py").write_text("class Params: ...\n\nKIND = 'acted'\n")
    with pytest.raises(params.ParamsError, match=sentence) as error:
        params.load("tones", "fusion", 0, {"corpus": {"reader": name}})
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_it_is_trained_on_and_reported(laboratory):
    page = laboratory / "build" / "tones" / "book" / "notebooks" / "fairness.ipynb"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += [str(page.relative_to(laboratory)), "--config", "profile=tones", "chapter=fairness", "seeds=3"]
    places = os.pathsep.join([str(laboratory), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": places, "OMP_NUM_THREADS": "1"}

    def study(*options):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        shown = [str(out) for cell in nbformat.read(page, 4).cells for out in cell.get("outputs", [])]
        return done.stdout + done.stderr, shown, set(laboratory.glob("runs/tones/*/seed-*"))

    told, shown, runs = study()
    assert re.search(r"free [\d.]+ GB, features [\d.]+ MB, models", told)  # what it needs, before it starts
    assert sorted(f"{run.parent.name}/{run.name[:7]}" for run in runs) == [
        f"{name}/seed-{seed}-" for name in ("fusion", "speech_only") for seed in range(3)
    ]
    assert any("Acted and enacted speech" in out and "which nobody ever spoke" in out for out in shown)
    assert "Nothing to be done" in study()[0]
    path = next((laboratory / "data" / "tones").glob("*.wav"))
    tone, rate = soundfile.read(path)
    soundfile.write(path, tone[::-1], rate)
    planned = study("--dry-run")[0]
    assert [f"Training {name}" in planned for name in ("fusion", "speech_only")] == [True, True], planned
