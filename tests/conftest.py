"""A project folder of its own for every test that trains, and a small corpus of tones."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from sercore.corpus import EMOTIONS, Corpus
from sercore.hub import locate

ROOT = Path(__file__).parents[1]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def pytest_collection_finish() -> None:
    """Every training collects garbage: among what it made, not in all libraries."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Commands that run in the tests' own process choose a GPU by its environment, which the next test has anew."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text encoder of MiniLM's kind, with its tokenizer, but tiny: it is loaded, and its digest taken, in no time."""
    import torch  # only now: with transformers it takes seconds, and many tests do without
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    packaged, folder = locate(MINILM), tmp_path_factory.mktemp("text")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.from_pretrained(packaged, **sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(packaged).save_pretrained(folder)
    return folder


def furnish(folder: Path) -> Path:
    """Make `folder` a project with the study's parameters and models."""
    for name in ("params", "models"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_text: Path) -> Path:
    """A project as working directory, with a tiny text encoder: nothing is written into the clone."""
    (furnish(tmp_path) / MINILM).parent.mkdir()
    (tmp_path / MINILM).symlink_to(tiny_text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Tones whose loudness is the arousal and whose pitch is the valence; 4 train, 2 development and 1 test speaker."""
    folder, generator = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    rows = []
    for speaker, split in enumerate(["train"] * 4 + ["development"] * 2 + ["test3"]):
        for repeat in range(2):
            for emotion in EMOTIONS if split != "test3" else "ASHN":
                arousal, valence = generator.uniform(1.5, 6.5, 2)
                time = np.arange(int(generator.uniform(0.3, 0.6) * 16_000)) / 16_000
                tone = 0.1 * arousal * np.sin(2 * np.pi * 100 * valence * time) + generator.normal(0, 0.01, len(time))
                path = folder / f"{split}_{speaker}_{emotion}_{repeat}.wav"
                soundfile.write(path, tone, 16_000)
                rows.append(
                    {
                        "utterance": path.stem,
                        "path": path,
                        "split": split,
                        "emotion": emotion,
                        "arousal": arousal,
                        "valence": valence,
                        "dominance": (arousal + 4) / 2,
                        "speaker": str(speaker),
                        "gender": ("Female", "Male")[speaker % 2] if speaker else None,
                        "transcript": "What a lovely day."
                        if valence > 4
                        else "This is terrible."
                        if valence > 2
                        else None,
                        "duration": len(time) / 16_000,
                    }
                )
    return Corpus("tones", pd.DataFrame(rows).set_index("utterance"), (1, 7))


@pytest.fixture
def small() -> dict:
    """Overrides that make a run on `tones` take a second or two."""
    return yaml.safe_load("""
        heads: {width: 16}
        sampling: {samples_per_emotion: 4, validation_per_emotion: 2}
        training: {epochs: 4, batch_size: 8}
    """)
