"""Outputs of frozen encoders, computed once and memory-mapped from disk."""

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from filelock import FileLock
from torch import Tensor, nn

from sercore.disk import digest, digests, making


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
    compute: Callable[[int], Iterable[np.ndarray]],
    kind: str = "float32",
    size: float = 0,
) -> Sequence[np.ndarray] | None:
    """What `compute` yields, from disk if it was computed before under the same key; None where there is no room.

    Args:
        root: folder of all caches; None keeps the values in memory alone.
        key: everything that determines the values: settings, texts, audio files, models. Another key is another file,
            so nothing is ever served stale. Damaged files are computed again.
        compute: yields one float array of shape (length_i, ...) per item, from the item of this number on, where an
            interrupted process stopped; only the first axis may vary.
        kind: of the numbers that are kept, ``float32`` or ``float16``.
        size: in bytes, about; as much again must remain free for what a study leaves.
    """
    if root is None:
        return list(compute(0))
    contents = iter(digests(part for part in key if isinstance(part, Path)))
    texts = [next(contents) if isinstance(part, Path) else part for part in key]
    texts = [model_digest(part) if isinstance(part, nn.Module) else part for part in texts]
    folder = root / digest([json.dumps([kind, *texts])])
    with contextlib.suppress(OSError, ValueError):
        return Ragged(folder)
    root.mkdir(parents=True, exist_ok=True)
    with making(folder, size, resumed=True) as place:
        with contextlib.suppress(OSError, ValueError):  # if another process has made it meanwhile
            return Ragged(folder)
        shutil.rmtree(folder, ignore_errors=True)
        there = sum(path.stat().st_size for path in place.rglob("*"))
        if 2 * size - there > shutil.disk_usage(root).free:
            return None
        _write(place / "made", compute, kind)
        (place / "made").rename(folder)
    _tidy(root)
    return Ragged(folder)


def model_digest(model: nn.Module | Mapping[str, Tensor]) -> str:
    """Hexadecimal digest of a model's weights and buffers, or of some of them by their names."""
    content = blake2b(digest_size=16)
    for name, tensor in (model.state_dict() if isinstance(model, nn.Module) else model).items():
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().view(-1).numpy().data)
    return content.hexdigest()


def _tidy(root: Path) -> None:
    """Remove what processes that were killed left a day ago or earlier, and nobody has continued."""
    for place in root.glob(".partial-*"):
        with contextlib.suppress(OSError, ValueError):  # held, or removed meanwhile
            if time.time() - max(path.stat().st_mtime for path in place.rglob("*")) > 86_400:
                with FileLock(place / "lock", timeout=0):
                    shutil.rmtree(place)


def _write(folder: Path, compute: Callable[[int], Iterable[np.ndarray]], kind: str) -> None:
    """Write the arrays of `compute` into `folder`, after those that it holds; the last of these may be cut."""
    folder.mkdir(exist_ok=True)
    with (folder / "values").open("a+b") as values, (folder / "ends").open("a+b", buffering=0) as ends:
        kept = np.fromfile(folder / "ends", np.int64)
        start = max(int((kept <= values.tell()).sum()) - 1, 0)
        values.truncate(kept[start - 1] if start else 0)
        ends.truncate(kept.itemsize * start)
        values.seek(0, 2)
        shape: tuple[int, ...] = ()
        for array in compute(start):
            shape = array.shape[1:]
            values.write(np.ascontiguousarray(array, kind).tobytes())
            values.flush()
            ends.write(np.int64(values.tell()).tobytes())
    lengths = np.diff(np.fromfile(folder / "ends", np.int64), prepend=0) // (math.prod(shape) * np.dtype(kind).itemsize)
    (folder / "ends").unlink()
    (folder / "about.json").write_text(json.dumps({"lengths": lengths.tolist(), "shape": shape, "type": kind}))
