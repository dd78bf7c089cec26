"""What an interrupted training leaves: how much room it takes, and from which checkpoint it can continue."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError
from transformers.trainer_callback import TrainerState

from sercore.disk import is_sealed, readable
from sercore.model import AttributeModel


@contextlib.contextmanager
def written(folder: Path, size: float) -> Iterator[None]:
    """Raise `OSError`, which tells the `size` in bytes of what is written, where `folder` cannot be written: torch and
    safetensors have types of their own for that."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        need = f"about {readable(size)} are needed, and {readable(shutil.disk_usage(folder).free)} are free"
        raise OSError(errno.EIO, f"cannot be written ({error}), {need}", str(folder)) from error


def room(model: AttributeModel, checkpoints: int = 3) -> float:
    """Bytes, about, of a saved model and so many checkpoints: one is written while two are kept, each with the model
    and AdamW's two moments of what is trained."""
    borrowed = model.borrowed()
    saved = sum(value.nbytes for name, value in model.state_dict().items() if name not in borrowed)
    trained = sum(value.nbytes for value in model.parameters() if value.requires_grad)
    return saved + checkpoints * (saved + 2 * trained)


def last_checkpoint(folder: Path) -> tuple[str | None, TrainerState]:
    """The newest checkpoint that is whole, as is the best one until then, with its state; all others are removed."""
    whole = [path for path in folder.glob("checkpoint-*") if is_sealed(path)]
    found, state, wanted = None, TrainerState(), set()
    for path in sorted(whole, key=lambda path: int(path.name.partition("-")[2])):
        known = TrainerState.load_from_json(str(path / "trainer_state.json"))
        best = path.with_name(f"checkpoint-{known.best_global_step}")
        if best in whole:
            found, state, wanted = str(path), known, {path, best}
            state.best_model_checkpoint = str(best)
    for path in set(folder.glob("checkpoint-*")) - wanted:
        shutil.rmtree(path, ignore_errors=True)
    return found, state
