"""From the rows of a corpus to batches: frozen features (cached), labels, and the collation of both."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from sercore import ATTRIBUTES, audio
from sercore.cache import Ragged, file_key, model_digest, stored
from sercore.corpus import GENDERS, some
from sercore.encoders import (
    DEVICE,
    AudioInputs,
    SpeakerEncoder,
    SpeechEncoder,
    TextEncoder,
    TextInputs,
    encoder_config,
)
from sercore.losses import UNKNOWN
from sercore.normalisation import SpeakerNormalised
from sercore.params import Params, ParamsError, project_root


@dataclass(frozen=True)
class Features:
    """What the frozen encoders make of each row of a corpus table, in its order; None where a run does without.

    ``speech`` holds the frozen part of the speech encoder, (frames, ...) a row, or is None where every step computes
    it; ``text`` and ``speaker`` hold one embedding (1, width) a row; ``tokens`` holds what a fine-tuned text encoder
    takes in place of ``text``, (tokens,) a row.
    """

    speech: Sequence[np.ndarray] | None = None
    text: Ragged | None = None
    tokens: list[Tensor] | None = None
    speaker: Ragged | None = None

    def digests(self) -> dict[str, str]:
        """Digest of what each embedding was made of: another encoder, text or sound gives another one."""
        return {name: part.folder.name for name, part in (("text", self.text), ("speaker", self.speaker)) if part}


def frozen_features(params: Params, table: pd.DataFrame, speech: SpeechEncoder) -> Features:
    """Compute, or read from ``data/cache``, everything about the rows of `table` that no training step changes.

    Raises:
        ParamsError: an encoder cannot be loaded, or speakers are to be normalised by features that are not kept.
        AudioError: an audio file cannot be used, or is too short for the speech encoder.

    Warns:
        UserWarning: utterances have no transcript, although the system takes text; or the disk has no room for the
            speech features, which every step then computes.
    """
    refuse_short(table["duration"], params, speech)
    root = project_root() / "data" / "cache"
    paths, seconds = list(table["path"]), params.speech.max_seconds
    features = {}
    if params.speech.cache:
        key = ["packed speech", model_digest(speech.frozen), str(speech.finetune), params.speech.encoder, str(seconds)]
        # Half precision keeps more digits than the bfloat16 in which such a run computes.
        kind = "float32" if params.training.precision == "float32" else "float16"
        size = speech.frozen_numbers(table["duration"].clip(upper=seconds).sum()) * np.dtype(kind).itemsize
        features["speech"] = stored(root, key + file_key(paths), lambda: _speech(params, paths, speech), kind, size)
    if params.speech.per_speaker:
        if features.get("speech") is None:
            raise ParamsError(
                "speech.per_speaker takes the moments of all features, so they must be kept: set speech.cache: true, "
                f"and make room in {root} where its disk is full."
            )
        features["speech"] = SpeakerNormalised(features["speech"], table["speaker"])
    texts = transcripts(table["transcript"]) if params.text else []
    if params.text and params.text.finetune:
        features["tokens"] = TextInputs(params.text.encoder)(texts)
    elif params.text:
        encoder = TextEncoder(params.text.encoder)
        key = ["text", model_digest(encoder.model.transformer), *map(str, texts)]
        features["text"] = stored(root, key, lambda: encoder(texts))
    if params.speaker:
        x_vectors = SpeakerEncoder(params.speaker.encoder)
        key = ["speaker", model_digest(x_vectors.model), str(seconds), *file_key(paths)]
        features["speaker"] = stored(
            root, key, lambda: (x_vectors(audio.load(path, seconds)) for path in tqdm(paths, "speaker embeddings"))
        )
    return Features(**features)


def corpus_features(params: Params, table: pd.DataFrame) -> Features:
    """`frozen_features` of the speech encoder as it was before any training, which all runs of a corpus share."""
    speech = SpeechEncoder(encoder_config(params.speech.encoder), params.speech.finetune)
    speech.load_pretrained(params.speech.encoder)
    return frozen_features(params, table, speech)


def refuse_short(durations: pd.Series, params: Params, speech: SpeechEncoder) -> None:
    """Raise `AudioError` where an utterance, of which `durations` tell the seconds, has no frame."""
    shortest = speech.shortest / audio.SAMPLE_RATE
    short = durations.index[durations < shortest]
    if len(short):
        raise audio.AudioError(
            f"{len(short)} utterances are shorter than a frame of {params.speech.encoder} ({shortest:.3f} s): "
            f"{some(short)}; remove them."
        )


def transcripts(texts: Iterable[str | None]) -> list[str | None]:
    """`texts` with None for what holds no word, and one `UserWarning` that counts them."""
    spoken = [text if isinstance(text, str) and text.strip() else None for text in texts]
    if None in spoken:
        warnings.warn(
            f"{spoken.count(None)} of {len(spoken)} utterances have no transcript: "
            "the model gets zeros in place of their text embeddings.",
            stacklevel=3,
        )
    return spoken


def _speech(params: Params, paths: Sequence, speech: SpeechEncoder) -> Iterator[np.ndarray]:
    inputs = AudioInputs(params.speech.encoder)
    speech.eval().to(DEVICE)
    for path in tqdm(paths, "speech features"):
        waveform = audio.load(path, params.speech.max_seconds)
        samples = torch.tensor([len(waveform)], device=DEVICE)
        yield speech.frozen_part(inputs(waveform)[None].to(DEVICE), samples)[0].cpu().numpy()


class Utterances(Dataset):
    """Rows of a corpus table as examples for `AttributeModel`.

    Args:
        rows: chosen rows, in the wanted order.
        table: the whole corpus table, with the rows of which `features` are aligned.
        features: see `frozen_features`.
        params: of the run.
        scale: lowest and highest value of the attributes.
        speakers: names of the speaker head's classes.
        weights: of each of `rows` and attribute in the loss; None gives examples without.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        table: pd.DataFrame,
        features: Features,
        params: Params,
        scale: tuple[float, float],
        speakers: Sequence[str],
        weights: pd.DataFrame | None = None,
    ) -> None:
        self.positions = table.index.get_indexer(rows.index)
        self.paths, self.features, self.max_seconds = list(rows["path"]), features, params.speech.max_seconds
        self.inputs = None if features.speech else AudioInputs(params.speech.encoder)
        values = rows[list(ATTRIBUTES)].to_numpy(np.float32)
        self.attributes = torch.from_numpy((values - scale[0]) / (scale[1] - scale[0]))
        self.gender = _indices(rows["gender"], GENDERS)
        self.speaker = _indices(rows["speaker"], speakers)
        self.weights = (
            None if weights is None else torch.tensor(weights.loc[rows.index].to_numpy(), dtype=torch.float32)
        )

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        position = self.positions[index]
        example = {
            "attributes": self.attributes[index],
            "gender": self.gender[index],
            "speaker": self.speaker[index],
        }
        if self.weights is not None:
            example["weights"] = self.weights[index]
        if self.features.speech:
            example["features"] = torch.from_numpy(self.features.speech[position].astype(np.float32))
        else:
            waveform = audio.load(self.paths[index], self.max_seconds)
            example |= {"audio": self.inputs(waveform), "samples": torch.tensor(len(waveform))}
        if self.features.text:
            example["text"] = torch.from_numpy(self.features.text[position][0].copy())
        if self.features.tokens:
            example["tokens"] = self.features.tokens[position]
        if self.features.speaker:
            example["speaker_embedding"] = torch.from_numpy(self.features.speaker[position][0].copy())
        return example


PACKED = {"features": "frames", "tokens": "lengths"}
"""What a batch holds of all utterances behind each other, and the name of how much of it is each one's."""


def collate(examples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack examples: waveforms are padded with zeros to the longest; `PACKED` are packed, with the sizes of each."""
    batch = {name: _stack(name, [example[name] for example in examples]) for name in examples[0]}
    packed = PACKED.keys() & batch.keys()
    return batch | {PACKED[name]: torch.tensor([len(example[name]) for example in examples]) for name in packed}


def _stack(name: str, tensors: list[Tensor]) -> Tensor:
    if name in PACKED:
        return torch.cat(tensors)
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True) if tensors[0].ndim else torch.stack(tensors)


def _indices(values: pd.Series, classes: Sequence[str]) -> Tensor:
    indices = pd.Index(classes).get_indexer(values)
    return torch.from_numpy(np.where(indices < 0, UNKNOWN, indices))
