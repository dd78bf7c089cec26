"""Which revision of the code that decides about figures trained a run."""

import ast
import contextlib
import json
from functools import cache
from pathlib import Path

from sercore.disk import digest

MODULES = (
    *("audio", "batches", "cache", "encoders", "fast/attention", "fast/exact_ccc", "fast/packing", "features"),
    *("losses", "model", "raters", "sampling", "training"),
)
"""What a run's figures depend on; what readers do is in the digest of its corpus."""


@cache
def code() -> str:
    """Hexadecimal digest of what `MODULES` do; comments and layout do not count."""
    folder = Path(__file__).parent
    return digest(ast.dump(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))) for name in MODULES)


def is_other(run: Path) -> bool:
    """Whether the run in a folder was trained by another revision than `code`."""
    with contextlib.suppress(OSError, ValueError):  # no run, or a damaged one
        return json.loads((run / "environment.json").read_text()).get("code") != code()
    return False
