"""What outputs are called, in their order, and the sampling rate of audio, in Hz."""

from typing import Literal, get_args

Attribute = Literal["arousal", "valence", "dominance"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)
GENDERS = ("Female", "Male")
SAMPLE_RATE = 16_000


class InputError(ValueError):
    """What the one who gave it can mend: a value, file or table; the message is one sentence that says what to do."""
