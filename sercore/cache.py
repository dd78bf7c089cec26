"""Outputs of frozen encoders, computed once and memory-mapped from disk."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from torch import nn

from sercore.disk import complete, digest, digests


class Ragged(Sequence[np.ndarray]):
    """Arrays (length_i, ...) in one memory-mapped file; `OSError` or `ValueError` if it is absent or cut off."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "about.json").read_text())
        self.ends = np.cumsum(about["lengths"])
        self.values = np.memmap(folder / "values", about["type"], "r").reshape(-1, *about["shape"])
        if len(self.values) != self.ends[-1]:
            raise ValueError(f"{folder} has {len(self.values)} of {self.ends[-1]} rows.")

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # nobody slices
        start = self.ends[index - 1] if index else 0
        return self.values[start : self.ends[index]]

    def __len__(self) -> int:
        return len(self.ends)


def stored(
    root: Path | None,
    key: Sequence[str | Path | nn.Module],
    compute: Callable[[], Iterable[np.ndarray]],
    kind: str = "float32",
    size: float = 0,
) -> Sequence[np.ndarray] | None:
    """What `compute` yields, from disk if it was computed before under the same key; None where there is no room.

    Args:
        root: folder of all caches; None keeps the values in memory alone.
        key: everything that determines the values: settings, texts, audio files, models. Another key is another file,
            so nothing is ever served stale. Damaged files are computed again.
        compute: yields one float array of shape (length_i, ...) per item; only the first axis may vary.
        kind: of the numbers that are kept, ``float32`` or ``float16``.
        size: in bytes, about; as much again must remain free for what a study leaves.
    """
    if root is None:
        return list(compute())
    contents = iter(digests(part for part in key if isinstance(part, Path)))
    texts = [next(contents) if isinstance(part, Path) else part for part in key]
    texts = [model_digest(part) if isinstance(part, nn.Module) else part for part in texts]
    folder = root / digest([json.dumps([kind, *texts])])
    if folder.is_dir():
        with contextlib.suppress(OSError, ValueError):
            return Ragged(folder)
        shutil.rmtree(folder)
    root.mkdir(parents=True, exist_ok=True)
    if 2 * size > shutil.disk_usage(root).free:
        return None
    complete(folder, lambda partial: _write(partial, compute(), kind))
    return Ragged(folder)


def model_digest(model: nn.Module) -> str:
    """Hexadecimal digest of a model's weights and buffers."""
    content = blake2b(digest_size=16)
    for name, tensor in model.state_dict().items():
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return content.hexdigest()


def _write(folder: Path, arrays: Iterable[np.ndarray], kind: str) -> None:
    lengths: list[int] = []
    shape: tuple[int, ...] = ()
    with (folder / "values").open("wb") as file:
        for array in arrays:
            lengths.append(len(array))
            shape = array.shape[1:]
            file.write(np.ascontiguousarray(array, kind).tobytes())
    (folder / "about.json").write_text(json.dumps({"lengths": lengths, "shape": shape, "type": kind}))
