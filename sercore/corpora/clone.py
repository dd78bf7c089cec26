"""A corpus that its makers publish as a git repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from sercore.corpus import CorpusError

BATCH = 20  # files that are fetched at a time, since git cannot continue the fetch of a whole commit
PATIENCE = {"GIT_TERMINAL_PROMPT": "0", "GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "30"}


def clone(url: str, commit: str, folder: Path, size: str) -> None:
    """Fetch the files of a commit into `folder`, which appears only when it is complete; after an interruption, those
    that are missing. `size` is told before. `CorpusError`, with git's reason, if they cannot be fetched."""
    partial = folder.with_name(f".{folder.name}.partial")

    def git(*arguments: str) -> list[str]:
        command = ["git", "-C", str(partial), "-c", "core.quotePath=false", "-c", "maintenance.auto=false", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | PATIENCE)
        return done.stdout.splitlines()

    print(f"{folder} is not there: fetching {url} ({size}).", file=sys.stderr)
    partial.mkdir(parents=True, exist_ok=True)
    (partial / ".git" / "index.lock").unlink(missing_ok=True)  # of an interrupted batch
    try:
        git("init", "--quiet")
        git("config", "remote.origin.url", url)
        git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit)
        there = set(git("ls-files"))
        missing = [name for name in git("ls-tree", "-r", "--name-only", commit) if name not in there]
        for start in tqdm(range(0, len(missing), BATCH), f"{len(missing)} files"):
            git("checkout", "--quiet", commit, "--", *missing[start : start + BATCH])
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
        remedy = f"where there is a network, `git clone {url} {folder}` fetches it, or DATA= names its folder"
        raise CorpusError(f"{url} could not be fetched ({reason}): {remedy}.") from None
    shutil.rmtree(partial / ".git")
    partial.rename(folder)
