"""Model, losses, sampling and statistics of a reproducible study of emotional attribute prediction from speech.

Conventions, everywhere in the package:

- Attributes come in the order **arousal, valence, dominance**.
- Outside the model they are in the corpus's own scale (1 to 7 for MSP-Podcast); inside, in 0 to 1.
- Audio is mono float32 at 16 kHz; durations are in seconds.

``sercore.load`` is `sercore.predict.load`: a trained run as a predictor for files.
"""

import warnings
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from sercore.predict import load as load

# In a notebook tqdm asks for widgets; bars of text are what a file of outputs can keep.
warnings.filterwarnings("ignore", "IProgress not found")

Attribute = Literal["arousal", "valence", "dominance"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)


class InputError(ValueError):
    """What the one who gave it can mend: a value, file or table; the message is one sentence that says what to do."""

    def __init__(self, message: str) -> None:
        if message.startswith("Caught "):  # by a process of torch's loader, which hands on the text of its traceback
            message = message.strip().splitlines()[-1].partition(": ")[2]
        super().__init__(message)


def __getattr__(name: str) -> Any:
    """`load`, imported when it is asked for: torch and transformers take seconds."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sercore.predict import load

    return load
