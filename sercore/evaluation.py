"""A trained run on utterances that its own training did not read: the corpus with something changed, or another one."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pyarrow import ArrowInvalid
from torch import Tensor
from torch.utils.data import DataLoader

from sercore import ATTRIBUTES, corpora
from sercore.batches import Utterances, collate, corpus_features
from sercore.corpus import Corpus, CorpusError
from sercore.encoders import DEVICE, quieten
from sercore.model import AttributeModel
from sercore.params import Params, with_corpus
from sercore.predict import trained
from sercore.runs import PREDICTED


def evaluate(folder: Path, test: str, corpus: Mapping[str, Any]) -> Path:
    """Predict the utterances on which a run is tested, unless that was done before and their corpus is the same.

    These are the labelled ones outside the training split of the test corpus. Where it has no official split, they are
    all that are labelled; or, if the run was trained on the same corpus, those outside the fold's training split.

    Args:
        folder: of a complete run.
        test: name of the test.
        corpus: what differs from the run's own corpus parameters; another ``reader`` replaces them as a whole.

    Returns:
        ``<folder>/tests/<test>.parquet``: columns ``utterance``, ``split`` and the three ``predicted_...``, in the
        scale of the test corpus.

    Raises:
        ParamsError: the folder holds no usable run, or `corpus` is not valid.
        CorpusError: the test corpus cannot be read, or has no labelled utterance outside its training split.
        AudioError: an audio file is not usable.
    """
    quieten()
    own, model = trained(folder)
    params = with_corpus(own, corpus)
    tested = corpora.read(params.corpus, params.seed)
    path, digest = folder / "tests" / f"{test}.parquet", tested.digest()
    if _digest_of(path) == digest:
        return path
    another = params.corpus.reader != own.corpus.reader
    predictions = _predictions(params, model, tested, whole=another and hasattr(params.corpus, "folds"))
    predictions.attrs["corpus"] = digest
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    predictions.to_parquet(partial, index=False, compression="zstd")
    return partial.rename(path)


@torch.no_grad()
def _predictions(params: Params, model: AttributeModel, corpus: Corpus, *, whole: bool) -> pd.DataFrame:
    rows = corpus.table[whole | (corpus.table["split"] != "train")].dropna(subset=list(ATTRIBUTES))
    if rows.empty:
        raise CorpusError(f"corpus {corpus.name} has no labelled utterance outside its training split to test on.")
    features = corpus_features(params, corpus.table)
    dataset = Utterances(rows, corpus.table, features, params, corpus.scale, [])
    loader = DataLoader(dataset, params.training.batch_size, collate_fn=collate)
    model.to(DEVICE)
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=params.training.precision == "bfloat16"):
        parts = [_forward(model, batch) for batch in loader]
    low, high = corpus.scale
    values = low + (high - low) * np.concatenate(parts)
    return rows[["split"]].reset_index().assign(**dict(zip(PREDICTED, values.T, strict=True)))


def _forward(model: AttributeModel, batch: Mapping[str, Tensor]) -> NDArray[np.float32]:
    inputs = {name: part.to(DEVICE) for name, part in batch.items() if name != "attributes"}
    return model(**inputs).predictions.float().cpu().numpy()


def _digest_of(path: Path) -> str | None:
    """Of the corpus that the predictions in `path` are of; None where there are none, or damaged ones."""
    with contextlib.suppress(OSError, ArrowInvalid):
        return pd.read_parquet(path).attrs.get("corpus")
    return None
