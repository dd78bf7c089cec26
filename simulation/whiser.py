"""Published statistics of real ratings, which the simulation reproduces: those of WHiSER's public label files.

WHiSER (msplabresearch/WHiSER) has the laboratory, scales, protocol and format of MSP-Podcast; 5,427 utterances, 27,156
ratings of 33 raters, at least 5 an utterance. Its speech is less emotional than MSP-Podcast's (64 % of it is neutral).
"""

from pathlib import Path

import numpy as np
import pandas as pd

SOURCE = "WHiSER label files"

_FILE = Path(__file__).with_name("whiser_raters.csv")
RATERS = pd.read_csv(_FILE, keep_default_na=False, index_col=["statistic", "attribute"])["value"]
"""Spread, bias and agreement of raters, by statistic and attribute (or pair of attributes, or emotion)."""

CLASSES = pd.read_csv(Path(__file__).with_name("whiser_classes.csv"), index_col="emotion")
"""By consensus emotion: utterances, mean and standard deviation of the consensus, and that among raters."""


def published(statistic: str) -> np.ndarray:
    """The published values of one statistic, shape (attributes or pairs,), in the order of `RATERS`."""
    return RATERS[statistic].to_numpy()
