"""Model, losses, sampling and statistics of a reproducible study of emotional attribute prediction from speech.

Conventions, everywhere in the package:

- Attributes come in the order **arousal, valence, dominance**.
- Outside the model they are in the corpus's own scale (1 to 7 for MSP-Podcast); inside, in 0 to 1.
- Audio is mono float32 at 16 kHz; durations are in seconds.

``sercore.load`` is `sercore.predict.load`: a trained run as a predictor for files.
"""

import warnings
from typing import TYPE_CHECKING, Any

from sercore.network.conventions import ATTRIBUTES as ATTRIBUTES
from sercore.network.conventions import Attribute as Attribute
from sercore.network.conventions import InputError as InputError

if TYPE_CHECKING:
    from sercore.predict import load as load

# In a notebook tqdm asks for widgets; bars of text are what a file of outputs can keep.
warnings.filterwarnings("ignore", "IProgress not found")


def __getattr__(name: str) -> Any:
    """`load`, imported when it is asked for: torch and transformers take seconds."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sercore.predict import load

    return load
