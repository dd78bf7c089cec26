"""The sections of a run's parameters. Each is frozen and refuses keys that it does not know."""

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from sercore import ATTRIBUTES, Attribute


class Section(BaseModel):
    """Base of every section: immutable, unknown keys and infinite numbers refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Error = Literal["substitutions", "deletions", "insertions"]


class Transcripts(Section):
    """What is done to a corpus's transcripts once it is read, see `sercore.transcripts.changed`; by default nothing."""

    recogniser: str | None = Field(None, description="Whisper model for faster-whisper, whose words replace them")
    errors: float = Field(0.0, ge=0, le=0.5, description="share of words that get an error of one of `kinds`")
    kinds: tuple[Error, ...] = Field(get_args(Error), min_length=1)
    missing: float = Field(0.0, ge=0, le=1, description="share of utterances that lose their transcript")
    splits: Literal["all", "reported"] = Field("all", description="or only the one that a study reports")


def _once_each(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names):
        raise ValueError("name one attribute or more, each once")
    return names


def _official(folds: int | None) -> int | None:
    if folds is not None:
        raise ValueError("this corpus has an official split")
    return folds


class CorpusParams(Section):
    """What the parameters of every corpus have; a reader's ``Params`` derive from them (see `sercore.corpora`).

    ``folds``: where there is no official split, the seed chooses one of so many as the test set. ``damaged``: whether
    audio files that are cut or cannot be read are an error, or are left out with a warning.
    """

    reader: str
    path: Path
    folds: Annotated[int | None, AfterValidator(_official)] = None
    transcripts: Transcripts = Transcripts()
    damaged: Literal["refuse", "skip"] = "refuse"


class FrozenEncoder(Section):
    """A frozen encoder, a folder or hub name; its embedding is concatenated."""

    encoder: str


class AdaptedEncoder(FrozenEncoder):
    """An encoder that is frozen, or fine-tuned: its weights or low-rank adapters, see
    `sercore.network.encoders.Encoder`."""

    finetune: bool
    lora: int | None = Field(None, ge=1, description="rank of the adapters that are trained instead of the weights")
    learning_rate: float | None = Field(None, gt=0, description="of what is fine-tuned; null is training.learning_rate")

    @field_validator("lora", "learning_rate")
    @classmethod
    def _nothing_of_a_frozen_encoder(cls, value: float | None, others: ValidationInfo) -> float | None:
        if value is not None and not others.data.get("finetune", True):
            raise ValueError("a frozen encoder has none; set finetune: true beside it")
        return value


class Speech(AdaptedEncoder):
    """The speech encoder; fine-tuned, its convolutional front-end stays frozen. ``states``: before the layer average, a
    hidden state is left alone, layer-normalised without parameters, or, of a frozen encoder, given mean 0 and standard
    deviation 1 of each channel over the frames of the training split."""

    max_seconds: float = Field(15.0, gt=0)
    cache: bool = Field(description="keep the output of the frozen part on disk, instead of computing it every epoch")
    per_speaker: bool = Field(False, description="each speaker's frozen features get the mean and spread of all speech")
    states: Literal["raw", "layer_normalised", "standardised"] = "raw"

    @model_validator(mode="after")
    def _standardises_what_stays(self) -> Self:
        if self.states == "standardised" and self.finetune:
            raise ValueError("a fine-tuned encoder's states change: set states: layer_normalised or finetune: false")
        return self


class Text(AdaptedEncoder):
    """The text encoder, whose embedding of the transcript is concatenated."""

    finetune: bool = False


class Heads(Section):
    """The layers behind the encoders."""

    layers: Literal["average", "last"] = Field("average", description="which hidden states: a learned average, or one")
    convolutions: int = Field(3, ge=0)
    pooling: Literal["mean", "attentive_statistics"] = "mean"
    width: int = Field(256, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class Loss(Section):
    """What is learnt: attributes, and by the weights alpha and beta gender and speaker (additive angular margin).

    ``attributes``: those whose CCC is trained and chooses the epoch; what is predicted of the others means nothing.
    ``adversarial``: see `sercore.network.losses.reverse_gradient`. ``weight``: of an utterance in the CCC loss: the
    same of all, or more where its raters agree, see `sercore.raters.agreement_weights`.
    """

    attributes: Annotated[tuple[Attribute, ...], AfterValidator(_once_each)] = ATTRIBUTES
    gender: float = Field(0.0, ge=0)
    speaker: float = Field(0.0, ge=0)
    adversarial: bool = False
    margin: float = Field(0.2, ge=0)
    scale: float = Field(30.0, gt=0)
    weight: Literal["none", "agreement"] = "none"

    @model_validator(mode="after")
    def _has_an_adversary(self) -> Self:
        if self.adversarial and not self.speaker:
            raise ValueError("adversarial needs a speaker head: set loss.speaker above 0")
        return self


class Sampling(Section):
    """What each epoch trains on, and what selects the best epoch.

    ``ambiguous``: whose utterances without a primary emotion (O and X) are trained on. Each value adds to the one
    before: ``none``, the training split's (``train``), and the development split's (``development``); ``disjoint`` adds
    only those of development speakers who are not in the validation set. ``ambiguous_codes`` and ``ambiguous_share``
    limit the training split's to one of the two, and to a random share of each; a larger share holds a smaller one.

    ``agreed``: whether the utterances of a primary emotion are trained on; ``fewer`` leaves out as many random ones as
    the value of ``ambiguous`` added to the one before, though ``samples_per_emotion`` of each emotion stay.

    ``held_out``: share of each speaker's training utterances that are predicted instead, see
    `sercore.sampling.held_out`. ``per_speaker``: utterances of one speaker that are trained on at most, equally many of
    each emotion as far as they go.
    """

    ambiguous: Literal["none", "train", "development", "disjoint"] = "train"
    ambiguous_codes: Literal["OX", "O", "X"] = "OX"
    ambiguous_share: float = Field(1.0, gt=0, le=1)
    agreed: Literal["all", "fewer", "none"] = "all"
    held_out: float | None = Field(None, gt=0, lt=1)
    per_speaker: int | None = Field(None, ge=1)
    samples_per_emotion: int | None = Field(ge=1, description="undersampling; null trains on the whole training split")
    validation_per_emotion: int | None = Field(ge=1, description="k of each primary emotion; null validates on all")


class Training(Section):
    """Optimisation."""

    epochs: int = Field(ge=1, description="at most")
    patience: int | None = Field(None, ge=1, description="epochs without a better one that end it; null: none do")
    batch_size: int = Field(ge=2, description="utterances a device and step; one alone has no CCC")
    accumulation: int = Field(1, ge=1, description="steps whose gradients are added up before an update")
    exact_ccc: bool = Field(False, description="loss of the update's whole batch, of all steps and devices as one")
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpointing: bool = Field(False, description="keep of each fine-tuned layer its input alone: less memory, slower")
    processes: int | None = Field(None, ge=1, description="that share a step, as torchrun starts them; null: any")
    deterministic: bool = Field(True, description="on a GPU, only kernels that give the same figures each time")
    every_epoch: bool = Field(False, description="keep what every epoch predicts of the labelled other splits")


class Params(Section):
    """All parameters of one run."""

    profile: str
    variant: str
    seed: int = Field(ge=0, lt=2**32)
    corpus: CorpusParams
    speech: Speech
    text: Text | None
    speaker: FrozenEncoder | None
    heads: Heads
    loss: Loss
    sampling: Sampling
    training: Training
