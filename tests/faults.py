"""Small inputs with one fault each, and what a command must answer: one sentence, exit status 1, no traceback."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercore import ATTRIBUTES, __main__

OVERRIDES = """{heads: {width: 16}, text: null, training: {epochs: 2, batch_size: 8},
    sampling: {samples_per_emotion: null, validation_per_emotion: null}}"""
"""Overrides with which a run on `manifest` takes a second or two."""


def noise(
    seconds: float = 0.5, rate: int = 16_000, channels: int = 1, seed: int = 0, level: float = 0.05
) -> np.ndarray:
    """Normal noise (samples, channels)."""
    return np.random.default_rng(seed).normal(0, level, (int(seconds * rate), channels))


def wav(path: Path, samples: np.ndarray | None = None, rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    """A file with `samples`, by default `noise`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise() if samples is None else samples, rate, subtype=subtype)
    return path


def cut(path: Path, share: float = 1 / 3) -> Path:
    """The file without its end, as an interrupted copy leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def table(utterances: int = 10) -> pd.DataFrame:
    """A manifest's rows: `utterances` of each of 3 training, 2 development and 2 test speakers."""
    split = np.repeat(["train"] * 3 + ["development"] * 2 + ["test1"] * 2, utterances)
    speaker = np.repeat([f"s{number}" for number in range(7)], utterances)
    names = [f"u{number:03}" for number in range(len(split))]
    values = np.random.default_rng(0).uniform(1, 7, (len(split), 3)).round(2)
    rows = pd.DataFrame(values, columns=list(ATTRIBUTES)).assign(split=split, speaker=speaker, utterance=names)
    return rows.assign(path=[f"wav/{name}.wav" for name in names])


def manifest(folder: Path, rows: pd.DataFrame | None = None, seed: int = 0) -> Path:
    """A CSV of `rows`, by default `table`, in `folder`, with the audio that they name; `seed` chooses the sound."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = table() if rows is None else rows
    for number, name in enumerate(rows["path"]):
        if not (folder / name).exists():
            wav(folder / name, noise(seed=1000 * seed + number, level=0.01 + 0.01 * (number % 7)))
    rows.to_csv(folder / "corpus.csv", index=False)
    return folder / "corpus.csv"


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit status of ``python -m sercore`` in this process."""
    monkeypatch.setattr(sys, "argv", ["python -m sercore", *map(str, arguments)])
    try:
        __main__.main()
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            print(stopped.code, file=sys.stderr)
            return 1
        return int(stopped.code or 0)
    return 0


def unnamed(folder: Path) -> Path:
    """A recording whose name is no UTF-8, as old archives have them."""
    return wav(folder / "plain.wav").rename(folder / os.fsdecode(b"caf\xe9.wav"))


def recordings(folder: Path) -> Path:
    """Two good recordings, one of 31 s, and what is none: too short, no audio, empty, a broken link."""
    for number, seconds in enumerate((0.5, 1, 31)):
        wav(folder / f"{'abl'[number]}.wav", noise(seconds, seed=number))
    wav(folder / "click.wav", noise(0.002))
    (folder / "words.wav").write_text("no audio")
    (folder / "nothing.wav").touch()
    (folder / "broken.wav").symlink_to("/nowhere.wav")
    (folder / "notes.txt").write_text("a note")
    return folder


def sentence(text: str, *wanted: str) -> None:
    """Assert that the last line of a command's stderr is one sentence with each of `wanted`, and no traceback."""
    assert "Traceback" not in text, text
    last = text.strip().splitlines()[-1]
    assert re.fullmatch(r"error: .+\.", last), last
    for word in wanted:
        assert word in last, (word, last)
