"""From features and labels to batches."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Subset

from sercore import ATTRIBUTES
from sercore.corpus import GENDERS, Corpus
from sercore.features import Features
from sercore.network.losses import UNKNOWN

PACKED = {"features": "frames", "tokens": "lengths"}
"""What a batch holds of all utterances behind each other, and the name of how much of it is each one's."""


class Utterances(Dataset[dict[str, Tensor]]):
    """Examples for `AttributeModel`, features and labels of each row of a corpus's table.

    Attributes are mapped from the corpus's scale to [0, 1]; `speakers` are the speaker head's classes. `weights`, in
    the loss, are of some rows and each attribute; other rows weigh 1. None gives examples without.
    """

    def __init__(
        self, corpus: Corpus, features: Features, speakers: Sequence[str], weights: pd.DataFrame | None = None
    ) -> None:
        table, (low, high) = corpus.table, corpus.scale
        values = table[list(ATTRIBUTES)].to_numpy(np.float32)
        self.names, self.features = table.index, features
        self.labels = {
            "attributes": torch.from_numpy((values - low) / (high - low)),
            "gender": _indices(table["gender"], GENDERS),
            "speaker": _indices(table["speaker"], speakers),
        }
        if weights is not None:
            every = weights.reindex(table.index).fillna(1.0)
            self.labels["weights"] = torch.tensor(every.to_numpy(), dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self.labels.items()} | self.features[index]

    def of(self, rows: pd.DataFrame) -> Subset[dict[str, Tensor]]:
        """The examples of some rows of the table, in their order."""
        return Subset(self, self.names.get_indexer(rows.index).tolist())


def collate(examples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack examples: waveforms are padded with zeros to the longest; `PACKED` are joined, with the length of each."""
    batch: dict[str, Tensor] = {}
    for name, first in examples[0].items():
        tensors = [example[name] for example in examples]
        if name in PACKED:
            batch |= {name: torch.cat(tensors), PACKED[name]: torch.tensor([len(each) for each in tensors])}
        else:
            batch[name] = pad_sequence(tensors, batch_first=True) if first.ndim else torch.stack(tensors)
    return batch


def _indices(values: pd.Series, classes: Sequence[str]) -> Tensor:
    indices = pd.Index(classes).get_indexer(values)
    return torch.from_numpy(np.where(indices < 0, UNKNOWN, indices))
