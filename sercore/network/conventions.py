"""What outputs are called, in their order, and the sampling rate of audio, in Hz."""

from typing import Literal, get_args

Attribute = Literal["arousal", "valence", "dominance"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)
GENDERS = ("Female", "Male")
SAMPLE_RATE = 16_000


class InputError(ValueError):
    """What the one who gave it can mend: a value, file or table; the message is one sentence that says what to do."""

    def __init__(self, message: str) -> None:
        if message.startswith("Caught "):  # by a process of torch's loader, which hands on the text of its traceback
            message = message.strip().splitlines()[-1].partition(": ")[2]
        super().__init__(message)
