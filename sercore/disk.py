"""Files and folders that are complete or absent, and what is in files, looked at once."""

import contextlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sercore.params import project_root

WHOLE = 2**30
"""Bytes of files together up to which digests are of all that they hold; of more, of `PART` bytes at three places."""
PART = 2**14


def cache_folder() -> Path:
    """Where what was computed from files is kept: ``data/cache`` of the project, made if absent."""
    folder = project_root() / "data" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def complete(folder: Path, write: Callable[[Path], object], *, replace: bool = False) -> None:
    """Make `folder` by `write`, which fills the folder that it is given; it appears only when complete, in place of an
    older one with `replace`, else unless another process made it, with the same content."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as parent:
        partial = Path(parent, folder.name)
        partial.mkdir()
        write(partial)
        if replace:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def complete_file(path: Path, write: Callable[[Path], object]) -> None:
    """Make or replace `path` by `write`, which writes the file that it is given; it appears only when complete."""
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as parent:
        partial = Path(parent, path.name)  # of the same suffix, by which pandas chooses the compression
        write(partial)
        partial.replace(path)


def mark(path: Path | str) -> str:
    """Size, times of modification and change, and inode of a file: another text once it was changed or replaced."""
    stat = os.stat(path)
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def kept(what: str, paths: Iterable[Path], look: Callable[[Path], Any]) -> list[Any]:
    """``look(path)`` for each of `paths`: from `cache_folder` where the file has the same `mark` as then, else in
    parallel. `what` names `look`."""
    names = [str(path) for path in paths]  # of which pickle reads a hundred thousand far faster than of paths
    marks = {name: mark(name) for name in names}
    index = cache_folder() / f"{what}-{digest(sorted({os.path.dirname(name) for name in marks}))}.pickle"
    known: dict[str, tuple[str, Any]] = {}
    with contextlib.suppress(Exception):  # absent or damaged, on which pickle raises anything
        known = pickle.loads(index.read_bytes())
    changed = [name for name, now in marks.items() if known.get(name, ("",))[0] != now]
    if changed:
        # A task for each would cost more than the looks.
        parts = [changed[start : start + 500] for start in range(0, len(changed), 500)]
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda part: {name: (marks[name], look(Path(name))) for name in part}, parts)
        for each in found:
            known |= each
        complete_file(index, lambda partial: partial.write_bytes(pickle.dumps(known)))
    return [known[name][1] for name in names]


def digests(paths: Iterable[Path]) -> list[str]:
    """Hexadecimal digest of the content of each file, see `WHOLE`."""
    paths = list(paths)
    whole = sum(os.path.getsize(path) for path in paths) <= WHOLE
    return kept("contents" if whole else "parts", paths, _digest if whole else _digest_of_parts)


def digest(lines: Iterable[str], size: int = 16) -> str:
    """Hexadecimal digest, of `size` bytes, of lines of text."""
    return blake2b("\n".join(lines).encode(errors="surrogateescape"), digest_size=size).hexdigest()


def _digest(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _digest_of_parts(path: Path) -> str:
    """Of a file's length, head, middle and tail."""
    size = path.stat().st_size
    content = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for start in (0, size // 2, max(size - PART, 0)):
            file.seek(start)
            content.update(file.read(PART))
    return content.hexdigest()
