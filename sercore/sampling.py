"""Which utterances a system trains on, which ones an epoch draws, and which ones select the best epoch."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch.utils.data import Sampler

from sercore.corpus import PRIMARY_EMOTIONS, Corpus, CorpusError
from sercore.params import Params
from sercore.raters import agreement_weights
from sercore.sections import Sampling


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a corpus table: trained on, selecting the best epoch, and predicted once trained. Of those trained on,
    ``weights`` of each attribute in the loss, None where all weigh the same, and those that each epoch takes."""

    training: pd.DataFrame
    validation: pd.DataFrame
    predicted: pd.DataFrame
    weights: pd.DataFrame | None
    sampler: "EpochSampler"


def choose(corpus: Corpus, params: Params) -> Rows:
    """The rows of `corpus` for a run, which predicts what is held out of train, and other splits, but for what it is
    trained on. `CorpusError` if there is no labelled training or validation utterance, too few of an emotion or for a
    batch, or no gender, speaker or ratings for a loss that needs it. `UserWarning` if utterances lack a trained
    attribute; they are left out."""
    train, development = (_labelled(corpus, split, params.loss.attributes) for split in ("train", "development"))
    held = held_out(train, params.sampling.held_out) if params.sampling.held_out else train.index[:0]
    training, validation = training_and_validation(train.drop(held), development, params.sampling, params.seed)
    for name in ("gender", "speaker"):
        if getattr(params.loss, name) and training[name].isna().all():
            raise CorpusError(f"no training utterance has a {name}, which loss.{name} needs: add them or set it to 0.")
    predicted = corpus.table[(corpus.table["split"] != "train") | corpus.table.index.isin(held)]
    predicted = predicted.drop(training.index, errors="ignore")
    weights = agreement_weights(corpus.ratings, training.index) if params.loss.weight == "agreement" else None
    per_emotion, batch_size = params.sampling.samples_per_emotion, params.training.batch_size
    sampler = EpochSampler(training["emotion"], per_emotion, batch_size, params.seed)
    return Rows(training, validation, predicted, weights, sampler)


def _labelled(corpus: Corpus, split: str, attributes: Sequence[str]) -> pd.DataFrame:
    """Utterances of a split that have all of `attributes`, O and X included."""
    rows, names = corpus.split(split), ", ".join(attributes)
    labelled = rows.dropna(subset=list(attributes))
    if labelled.empty:
        raise CorpusError(f"no utterance of split {split!r} has all of {names}: add them, or lower loss.attributes.")
    if len(labelled) < len(rows):
        problem = f"{len(rows) - len(labelled)} of {len(rows)} utterances of split {split!r} lack one of {names}"
        warnings.warn(f"{problem}, which are trained: they are left out.", stacklevel=4)
    return labelled


def balanced_indices(emotion: pd.Series, per_emotion: int, generator: np.random.Generator, key: str) -> np.ndarray:
    """Positions in `emotion`, in random order, of `per_emotion` utterances of every class that occurs, drawn without
    replacement; of O and X what there is, if less.

    `key` is the parameter that `per_emotion` comes from, for messages. `CorpusError` if there is no utterance, one has
    no emotion, or a primary emotion has fewer than `per_emotion`.
    """
    if emotion.empty:
        raise CorpusError(f"no utterance has a primary emotion; set {key}: null to take all.")
    if len(unknown := emotion.index[emotion.isna()]):
        problem = f"{len(unknown)} utterances have no emotion, so they cannot be balanced (first: {unknown[0]})"
        raise CorpusError(f"{problem}; give their emotion or set {key}: null.")
    counts = emotion.value_counts().sort_index()
    if len(short := counts[(counts < per_emotion) & counts.index.isin(list(PRIMARY_EMOTIONS))]):
        few = ", ".join(f"{code} has {count}" for code, count in short.items())
        raise CorpusError(f"too few utterances for {key} {per_emotion}: {few}; lower it.")
    places = [np.flatnonzero(emotion == code) for code in counts.index]
    drawn = [generator.choice(of_one, min(per_emotion, len(of_one)), replace=False) for of_one in places]
    return generator.permutation(np.concatenate(drawn))


def training_and_validation(
    training: pd.DataFrame, development: pd.DataFrame, sampling: Sampling, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The utterances that a system trains on, and those that choose its epoch; see `sercore.sections.Sampling`.

    `training` and `development` are labelled rows. ``samples_per_emotion`` of each emotion are never left out, unless a
    speaker is capped. The same seed draws the same utterances, also of another system with the same validation set.
    `CorpusError` if there are too few for what `sampling` asks, or none to train on.
    """
    lent = _ambiguous(development) if sampling.ambiguous in ("development", "disjoint") else development[:0]
    validation, per_emotion = development.drop(lent.index), sampling.validation_per_emotion
    if per_emotion is not None:
        primary = validation[validation["emotion"].isin(list(PRIMARY_EMOTIONS))]
        generator, key = np.random.default_rng(seed), "sampling.validation_per_emotion"
        validation = primary.iloc[np.sort(balanced_indices(primary["emotion"], per_emotion, generator, key))]
    if sampling.ambiguous == "disjoint":
        lent = lent[~lent["speaker"].isin(validation["speaker"])]
        if lent.empty:
            problem = "every development speaker with an O or X utterance is in the validation set"
            raise CorpusError(f"{problem}; lower sampling.validation_per_emotion, or set ambiguous: development.")
    ambiguous = _shuffled(_ambiguous(training), seed)
    agreed = training.drop(ambiguous.index)
    by_code = ambiguous.groupby("emotion")["emotion"]
    wanted = by_code.cumcount() < (sampling.ambiguous_share * by_code.transform("size")).round()
    codes = [] if sampling.ambiguous == "none" else list(sampling.ambiguous_codes)
    own = ambiguous[wanted & ambiguous["emotion"].isin(codes)]
    if sampling.agreed == "none":
        agreed = agreed[:0]
    elif sampling.agreed == "fewer":
        added = len(own) if sampling.ambiguous in ("none", "train") else len(lent)
        shuffled, kept = _shuffled(agreed, seed), sampling.samples_per_emotion or 0
        spare = shuffled.index[shuffled.groupby("emotion").cumcount() >= kept]
        if len(spare) < added:
            problem = f"leave out {added} utterances, but only {len(spare)} are beyond the {kept} of each emotion"
            raise CorpusError(f"sampling.agreed is to {problem} of an epoch; lower sampling.samples_per_emotion.")
        agreed = agreed.drop(spare[:added])
    chosen = pd.concat([training.loc[training.index.isin([*agreed.index, *own.index])], lent])
    if chosen.empty:
        raise CorpusError("no O or X utterance is in the training split, and sampling leaves out all others.")
    if sampling.per_speaker is not None:  # the first utterance of each emotion, then the second, and so on
        shuffled = _shuffled(chosen, seed)
        turn = shuffled.groupby(["speaker", "emotion"], dropna=False).cumcount()
        first = shuffled.iloc[turn.argsort(kind="stable")].groupby("speaker").head(sampling.per_speaker)
        chosen = chosen[chosen.index.isin(first.index) | chosen["speaker"].isna()]
    return chosen, validation


def held_out(training: pd.DataFrame, share: float) -> pd.Index:
    """Training utterances that are predicted and not trained on, to score seen speakers: a `share` of each speaker's,
    rounded, but at least one and not all; none of unknown speakers.

    The draw does not depend on the seed: all runs are scored on the same ones. `CorpusError` if no speaker has two.
    """
    order = np.random.default_rng(0).permutation(len(training))
    speaker = training["speaker"].iloc[order].dropna()
    count = speaker.groupby(speaker).transform("size")
    wanted = (share * count).round().clip(lower=1).clip(upper=count - 1)
    held = speaker.index[speaker.groupby(speaker).cumcount() < wanted]
    if held.empty:
        raise CorpusError("no known training speaker has two utterances, so sampling.held_out must be null.")
    return held


def _ambiguous(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["emotion"].isin(["O", "X"])]


def _shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    return table.iloc[np.random.default_rng(seed).permutation(len(table))]


class EpochSampler(Sampler[int]):
    """Positions of training utterances, drawn by `seed` and the epoch's number: `per_emotion` of every class, or all.

    An epoch is cut to whole batches, since the CCC of a handful of utterances is noise. `CorpusError` if an emotion has
    too few utterances, or an epoch fewer than a batch.
    """

    def __init__(self, emotion: pd.Series, per_emotion: int | None, batch_size: int, seed: int) -> None:
        self.emotion, self.per_emotion, self.seed, self.epoch = emotion, per_emotion, seed, 0
        size = len(self._draw())
        if size < batch_size:
            raise CorpusError(f"an epoch has {size} utterances, fewer than training.batch_size {batch_size}; lower it.")
        self.length = size // batch_size * batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the draw; called by the trainer before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self._draw()[: self.length].tolist())

    def __len__(self) -> int:
        return self.length

    def _draw(self) -> np.ndarray:
        generator = np.random.default_rng([self.seed, self.epoch])
        if self.per_emotion is None:
            return generator.permutation(len(self.emotion))
        return balanced_indices(self.emotion, self.per_emotion, generator, "sampling.samples_per_emotion")
