"""Frozen features without what is a speaker's own: no label is used, but all of a speaker's utterances at once."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

SMALLEST = 1e-5
"""Standard deviation below which a channel counts as constant."""


class SpeakerNormalised(Sequence[np.ndarray]):
    r"""Features of which each channel has, over all frames of a speaker, the mean and spread that all speech has.

    .. math:: x' = \mu + \sigma \frac{x - \mu_s}{\sigma_s}

    with mean and standard deviation of the channel over the frames of speaker :math:`s`, and over those of all
    utterances of known speakers; so an encoder still gets the numbers that it knows. It is transductive: what an
    utterance becomes depends on the other utterances of its speaker, of the test split too, though on no label. Of a
    speaker of one utterance the mean of the utterance is lost with that of the speaker. Unknown speakers' utterances
    stay as they are.

    Args:
        features: an array (frames, ...) for each utterance; they are read once to take the moments.
        speakers: who speaks each of them, missing where unknown.
    """

    def __init__(self, features: Sequence[np.ndarray], speakers: pd.Series) -> None:
        self.features = features
        self.owner, names = pd.factorize(speakers)
        moments = [np.zeros((len(names), *features[0].shape[1:])) for _ in range(2)]
        frames = np.zeros((len(names), *[1] * (features[0].ndim - 1)))
        for owner, values in zip(self.owner, features, strict=True):
            if owner >= 0:
                frames[owner] += len(values)
                for power, total in enumerate(moments, 1):
                    total[owner] += (values.astype(np.float64) ** power).sum(axis=0)
        mean, deviation = _moments(frames, *moments)
        common_mean, common_deviation = _moments(frames.sum(axis=0), *(total.sum(axis=0) for total in moments))
        self.scale = np.where(deviation > SMALLEST, common_deviation / np.maximum(deviation, SMALLEST), 1.0)
        self.shift = common_mean - self.scale * mean

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> np.ndarray:
        owner = self.owner[index]
        values = self.features[index]
        return values if owner < 0 else (values * self.scale[owner] + self.shift[owner]).astype(values.dtype)


def _moments(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation from a sum and a sum of squares."""
    mean = total / np.maximum(count, 1)
    return mean, np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0))
