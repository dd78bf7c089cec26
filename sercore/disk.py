"""Files and folders that are complete or absent, and what is in files, looked at once."""

import contextlib
import errno
import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from sercore.params import project_root

WHOLE = 2**30
"""Bytes of files together up to which digests are of all that they hold; of more, of `PART` bytes at three places."""
PART = 2**14


def cache_folder() -> Path:
    """Where what was computed from files is kept: ``data/cache`` of the project, made if absent."""
    folder = project_root() / "data" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def making(path: Path, size: float = 0, *, resumed: bool = False) -> Iterator[Path]:
    """A folder beside `path` in which to make it, ``.partial-<name>``, with what a process that was killed left there;
    another process that wants to make `path` waits. It is removed in the end, unless its making fails and is to be
    `resumed`. Errors are those of `writing`."""
    place, held = path.with_name(f".partial-{path.name}"), None
    while held is None:
        place.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the one for which this one waited has removed it
            held = FileLock(place / "lock").acquire()
    with held:
        try:
            with writing(path, size):
                yield place
            resumed = False
        finally:
            if not resumed:
                shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def writing(path: Path, size: float = 0, *others: type[Exception]) -> Iterator[None]:
    """`OSError` names `path` where the file is unknown, and where a disk takes nothing the `size` in bytes that is
    needed, if known. It stands for what safetensors raises as well, and for `others`."""
    kinds: tuple[type[Exception], ...] = (OSError, SafetensorError, *others)
    try:
        yield
    except kinds as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, a RuntimeError
            raise
        if not isinstance(error, OSError):
            error = OSError(errno.EIO, f"cannot be written ({error})")
        need = ""
        if size and error.errno in (errno.ENOSPC, errno.EIO):
            free = shutil.disk_usage(path.parent).free
            need = f", about {readable(size)} are needed, and {readable(free)} are free"
        raise OSError(error.errno, f"{error.strerror or error}{need}", error.filename or str(path)) from error


def complete(folder: Path, write: Callable[[Path], object], size: float = 0, *, replace: bool = False) -> None:
    """Make `folder` by `write`, which fills the folder that it is given; it appears only when complete, in place of an
    older one with `replace`, else unless it is there or another process makes it, with the same content. Errors are
    those of `writing`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with making(folder, size) as place:
        if replace or not folder.is_dir():
            made = place / folder.name
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            write(made)
            if folder.is_dir():
                shutil.rmtree(place / ".older", ignore_errors=True)
                folder.rename(place / ".older")
            made.rename(folder)


def complete_file(path: Path, write: Callable[[Path], object], size: float = 0) -> None:
    """Make or replace `path` by `write`, which writes the file that it is given; it appears only when complete. Errors
    are those of `writing`."""
    with making(path, size) as place:
        made = place / path.name  # of the same suffix, by which pandas chooses the compression
        write(made)
        made.replace(path)


def readable(size: float) -> str:
    """So many bytes, in MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def seal(folder: Path) -> None:
    """Keep, in the folder itself, the digest of each of its files, now that all are there; half-written, it is none."""
    sums = {path.name: _digest(path) for path in folder.iterdir() if path.is_file()}
    (folder / "sums.json").write_text(json.dumps(sums))


def is_sealed(folder: Path) -> bool:
    """Whether all files that `folder` had when it was sealed are there, as they were."""
    with contextlib.suppress(OSError, ValueError):
        sums = json.loads((folder / "sums.json").read_text())
        return all(_digest(folder / name) == content for name, content in sums.items())
    return False


def mark(path: Path | str) -> str:
    """Size, times of modification and change, and inode of a file: another text once it was changed or replaced."""
    stat = os.stat(path)
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def kept(what: str, paths: Iterable[Path], look: Callable[[Path], Any]) -> list[Any]:
    """``look(path)`` for each of `paths`: from `cache_folder` where the file has the same `mark` as then, and the same
    name below the folder of all, wherever that lies now; else in parallel. `what` names `look`."""
    names = [str(path) for path in paths]  # of which pickle reads a hundred thousand far faster than of paths
    whole = {name: os.path.abspath(name) for name in names}
    folders = {os.path.dirname(place) for place in whole.values()}
    root = os.path.commonpath(folders or {""})
    marks = {name: f"{place[len(root) :]} {mark(name)}" for name, place in whole.items()}
    below = sorted(each[len(root) :] for each in folders)
    index = cache_folder() / f"{what}-{digest([os.path.basename(root), *below])}.pickle"
    known = _known(index)
    if changed := [name for name, now in marks.items() if now not in known]:
        # A task for each would cost more than the looks.
        parts = [changed[start : start + 500] for start in range(0, len(changed), 500)]
        with ThreadPoolExecutor() as pool:
            looks = pool.map(lambda part: [(marks[name], look(Path(name))) for name in part], parts)
            found = dict(each for part in looks for each in part)
        known |= found
        stay = {now: value for now, value in found.items() if not isinstance(value, Exception)}  # which names the place
        if stay:  # beside what another process has looked at since
            entry = pickle.dumps(_known(index) | stay)
            complete_file(index, lambda partial: partial.write_bytes(entry), len(entry))
    return [known[marks[name]] for name in names]


def _known(index: Path) -> dict[str, Any]:
    with contextlib.suppress(Exception):  # absent or damaged, on which pickle raises anything
        return dict(pickle.loads(index.read_bytes()))
    return {}


def digests(paths: Iterable[Path]) -> list[str]:
    """Hexadecimal digest of the content of each file, see `WHOLE`."""
    paths = list(paths)
    whole = sum(os.path.getsize(path) for path in paths) <= WHOLE
    return kept("contents" if whole else "parts", paths, _digest if whole else _digest_of_parts)


def digest(lines: Iterable[str], size: int = 16) -> str:
    """Hexadecimal digest, of `size` bytes, of lines of text."""
    return blake2b("\n".join(lines).encode(errors="surrogateescape"), digest_size=size).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()


def _digest_of_parts(path: Path) -> str:
    """Of a file's length, head, middle and tail."""
    size = path.stat().st_size
    content = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for start in (0, size // 2, max(size - PART, 0)):
            file.seek(start)
            content.update(file.read(PART))
    return content.hexdigest()
