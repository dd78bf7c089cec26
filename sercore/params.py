"""The parameters of one run: a profile (the scale), a variant (what is ablated) and overrides, merged and validated.

Each section is frozen and refuses keys that it does not know. `load` reads ``params/<profile>.yaml`` and
``params/variants.yaml``; nothing else in the package reads those files.
"""

import ast
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sercore import ATTRIBUTES


class ParamsError(ValueError):
    """A parameter, profile or variant that is not known or not valid; the message lists the valid ones."""


class Section(BaseModel):
    """Base of every section: immutable, unknown keys and infinite numbers refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _ascending(scale: tuple[float, float]) -> tuple[float, float]:
    if scale[0] >= scale[1]:
        raise ValueError("the lowest value of the scale comes first, and the highest differs from it")
    return scale


class Transcripts(Section):
    """What is done to a corpus's transcripts once it is read; by default nothing (see `sercore.transcripts.changed`).

    ``recogniser``: a folder or name of a Whisper model for faster-whisper, whose words replace the transcripts.
    ``errors``: the share of words that get an error of one of ``kinds``. ``missing``: the share of utterances that lose
    their transcript. ``splits``: all, or only the one that a study reports.
    """

    recogniser: str | None = None
    errors: float = Field(0.0, ge=0, le=0.5)
    kinds: tuple[Literal["substitutions", "deletions", "insertions"], ...] = Field(
        ("substitutions", "deletions", "insertions"), min_length=1
    )
    missing: float = Field(0.0, ge=0, le=1)
    splits: Literal["all", "reported"] = "all"


def _once_each(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names):
        raise ValueError("name one attribute or more, each once")
    return names


class Readable(Section):
    """What the parameters of every corpus have."""

    transcripts: Transcripts = Transcripts()


class MspPodcast(Readable):
    """A release of MSP-Podcast on disk."""

    reader: Literal["msp_podcast"]
    path: Path
    missing_audio: Literal["error", "skip"] = "error"


class EmoTale(Readable):
    """The EmoTale corpus on disk; it has no official split, so fold ``seed % folds`` is the test set."""

    reader: Literal["emotale"]
    path: Path
    language: Literal["English", "Danish", "both"] = "English"
    folds: int = Field(7, ge=3)
    missing_audio: Literal["error", "skip"] = "error"


class Iemocap(Readable):
    """The full release of IEMOCAP on disk; it has no official split, so session ``seed % 5 + 1`` is the test set."""

    reader: Literal["iemocap"]
    path: Path
    missing_audio: Literal["error", "skip"] = "error"
    folds: ClassVar[int] = 5


class Manifest(Readable):
    """One CSV with the columns of the corpus table."""

    reader: Literal["manifest"]
    path: Path
    scale: Annotated[tuple[float, float], AfterValidator(_ascending)] = (1.0, 7.0)
    missing_audio: Literal["error", "skip"] = "error"


class Simulated(Readable):
    """A simulated release in MSP-Podcast's layout, written to ``path`` if it is not there yet.

    ``skew``: share of the training utterances that the busiest 26 % of the speakers speak; the next 26 % speak that
    share of what is left, and so on. With 0 all speak alike.

    ``gender_link``: by how many standard deviations of arousal more than they feel women sound aroused, and men less.
    With 0 a sound means the same arousal whoever makes it; else it tells no more than a difference to how women or men
    usually sound, so a system that knows the speaker's gender reads arousal as well as without the link, and one that
    does not errs by it.
    """

    reader: Literal["simulated"]
    path: Path
    seed: int = 0
    train_utterances: int = Field(1600, ge=1)
    train_speakers: int = Field(40, ge=1)
    development_utterances: int = Field(600, ge=1)
    development_speakers: int = Field(40, ge=1)
    test_utterances_per_emotion: int = Field(200, ge=1)
    test_speakers: int = Field(100, ge=1)
    raters: int = Field(60, ge=5)
    raters_per_utterance: int = Field(5, ge=5)
    rater_noise: float = Field(1.0, ge=0, description="times the published deviations of raters' biases and residuals")
    ambiguous_noise: float = Field(1.0, ge=0, description="times the residuals, for utterances that come out as O or X")
    gender_link: float = 0.0
    skew: float = Field(0.80, ge=0, lt=1)


ENCODERS = ("wavlm", "whisper", "text", "speaker")
"""What a profile names under ``encoders``: folders in the hub's format, or names on the hub."""

READERS = {
    "msp_podcast": MspPodcast,
    "emotale": EmoTale,
    "iemocap": Iemocap,
    "manifest": Manifest,
    "simulated": Simulated,
}
CorpusParams = Annotated[MspPodcast | EmoTale | Iemocap | Manifest | Simulated, Field(discriminator="reader")]


class FrozenEncoder(Section):
    """A frozen encoder, a folder or hub name; its embedding is concatenated."""

    encoder: str


class AdaptedEncoder(FrozenEncoder):
    """An encoder that is frozen, or fine-tuned: its own weights, or low-rank adapters (see `sercore.adapters`)."""

    finetune: bool
    lora: int | None = Field(None, ge=1, description="rank of the adapters that are trained in place of the weights")
    learning_rate: float | None = Field(None, gt=0, description="of what is fine-tuned; null is training.learning_rate")

    @field_validator("lora", "learning_rate")
    @classmethod
    def _nothing_of_a_frozen_encoder(cls, value: float | None, others: ValidationInfo) -> float | None:
        if value is not None and not others.data.get("finetune", True):
            raise ValueError("a frozen encoder has none; set finetune: true beside it")
        return value


class Speech(AdaptedEncoder):
    """The speech encoder; fine-tuned, its convolutional front-end stays frozen."""

    max_seconds: float = Field(15.0, gt=0)
    cache: bool = Field(description="keep the output of the frozen part on disk, instead of computing it every epoch")
    per_speaker: bool = Field(False, description="each speaker's frozen features get the mean and spread of all speech")


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

    ``adversarial``: what lies below the speaker head learns to make it fail (Ganin & Lempitsky 2015).

    ``weight``: what an utterance weighs in the CCC loss: all the same (``none``), or the more, the better its raters
    agree on the attribute (``agreement``, see `sercore.raters.agreement_weights`).

    ``attributes``: those whose CCC is trained and chooses the epoch; what is predicted of the others means nothing.
    """

    attributes: Annotated[tuple[Literal[ATTRIBUTES], ...], AfterValidator(_once_each)] = ATTRIBUTES
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
    before: ``none``, the training split's (``train``), and the development split's (``development``); ``disjoint``
    adds, in place of all of the latter, those of speakers of whom the validation set has no utterance. ``agreed``:
    whether the utterances of a primary emotion are trained on; ``fewer`` leaves out as many random ones as the value of
    ``ambiguous`` added to the one before, though ``samples_per_emotion`` of each emotion stay.

    ``ambiguous_codes`` and ``ambiguous_share`` limit the training split's O and X to one of the two, and to a random
    share of each; a larger share holds what a smaller one does. Of O and X an epoch draws what there is where that is
    less than ``samples_per_emotion``.

    ``held_out``: that share of each known speaker's labelled training utterances, drawn once for all seeds, is not
    trained on but predicted, so that one can score speakers whom a system has heard; at least one of a speaker of two
    or more, and none of a speaker of one. ``per_speaker``: no speaker is trained on with more utterances; of one who
    has more, random ones of each emotion stay, equally many as far as they go.
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

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2, description="utterances a device and step; one alone has no CCC")
    accumulation: int = Field(1, ge=1, description="steps whose gradients are added up before an update")
    exact_ccc: bool = Field(False, description="loss of the update's whole batch, of all steps and devices as one")
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
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


def project_root() -> Path:
    """The folder that holds ``params/variants.yaml``: the working directory or the nearest one above it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params" / "variants.yaml").is_file():
            return folder
    raise ParamsError(f"no params/variants.yaml in {here} or above it: work inside a clone of the study.")


def resolve(path: Path) -> Path:
    """`path` itself if it is absolute; a relative one is relative to the project's root."""
    return path if path.is_absolute() else project_root() / path


def profiles() -> list[str]:
    """Names of the profiles in ``params/``."""
    return sorted(
        path.stem for path in (project_root() / "params").glob("*.yaml") if path.stem not in ("variants", "questions")
    )


def require_profile(profile: str) -> None:
    """Raise `ParamsError` unless `profile` is one of `profiles`."""
    if profile not in profiles():
        raise ParamsError(f"unknown profile {profile!r}; params/ has {', '.join(profiles())}.")


def variants() -> dict[str, dict[str, Any]]:
    """The entries of ``params/variants.yaml``: name -> difference from the profile, and the paper's row (``paper``)."""
    return read_yaml(project_root() / "params" / "variants.yaml")


def load(profile: str, variant: str, seed: int, overrides: Mapping[str, Any] | None = None) -> Params:
    """Merge profile, variant and overrides, in this order, and validate the result.

    A profile names its encoders under ``encoders``, so that a variant can ask for ``whisper`` whatever the scale. A
    relative path in a profile or an override is relative to the project's root.

    Raises:
        ParamsError: unknown profile, variant or key (the message lists the valid ones), or an invalid value.
    """
    known = variants()
    if not isinstance(overrides or {}, Mapping):
        raise ParamsError(
            f"overrides is {overrides!r}, not a mapping; "
            "papermill takes one as -y 'overrides: {training: {epochs: 2}}'."
        )
    require_profile(profile)
    if variant not in list(known):
        raise ParamsError(f"unknown variant {variant!r}; params/variants.yaml has {', '.join(known)}.")
    difference = {key: value for key, value in known[variant].items() if key != "paper"}
    merged = merge(read_yaml(project_root() / "params" / f"{profile}.yaml"), difference)
    merged = merge(merged, overrides or {})
    reserved = {"profile", "variant", "seed"} & set(overrides or {})
    if reserved:
        raise ParamsError(f"overrides may not set {', '.join(sorted(reserved))}: these have parameters of their own.")
    encoders = merged.pop("encoders", {})
    for section in ("speech", "text", "speaker"):
        if isinstance(merged.get(section), Mapping):
            merged[section] = merged[section] | {"encoder": _encoder(merged[section].get("encoder"), encoders, profile)}
    return validate(merged | {"profile": profile, "variant": variant, "seed": seed})


def _encoder(name: Any, encoders: Mapping[str, str], profile: str) -> Any:
    if name in ENCODERS and name not in encoders:
        raise ParamsError(f"profile {profile!r} has no encoder {name!r}: add it under encoders in its file.")
    return encoders.get(name, name)


def load_seeds(
    profile: str, variant: str, seeds: Sequence[int], overrides: Mapping[str, Any] | None = None
) -> list[Params]:
    """`load` for each of `seeds`; `ParamsError` as there, or where `seeds` is no list of different integers."""
    if not isinstance(seeds, list | tuple) or not seeds or len({*map(str, seeds)}) < len(seeds):
        raise ParamsError(
            f"seeds is {seeds!r}, not a list of different integers; papermill takes one as -y 'seeds: [0, 1]'."
        )
    return [load(profile, variant, seed, overrides) for seed in seeds]


def validate(values: Mapping[str, Any]) -> Params:
    """`Params` from plain values; `ParamsError` names each wrong key, and the keys that its section knows."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError("; ".join(_explain(item) for item in error.errors()) + ".") from None


def with_corpus(params: Params, corpus: Mapping[str, Any]) -> Params:
    """`params` with `corpus` merged over the corpus section; see `merge`.

    Raises:
        ParamsError: a key that the reader does not know, or an invalid value.
    """
    return validate(merge(params.model_dump(mode="json"), {"corpus": corpus}))


def dump(params: Params) -> str:
    """`params` as the YAML text of a run's ``params.yaml``."""
    return yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False)


def refuse_unknown(cells: Sequence[str]) -> None:
    """Refuse parameters that a notebook does not have; papermill would only warn and run the defaults.

    Args:
        cells: the cells executed so far (IPython's ``In``): the notebook's own parameters, then papermill's.

    Raises:
        ParamsError: names the unknown parameters and lists the valid ones.
    """
    executed = [cell for cell in cells if cell]
    if not executed:  # nbval keeps no history, and injects nothing
        return
    known = _assigned(executed[0])
    unknown = set().union(*[_assigned(cell) for cell in executed if cell.startswith("# Parameters\n")]) - known
    if unknown:
        raise ParamsError(f"unknown parameters {', '.join(sorted(unknown))}; valid are {', '.join(sorted(known))}.")


def _assigned(code: str) -> set[str]:
    names = [node.targets[0] for node in ast.parse(code).body if isinstance(node, ast.Assign)]
    return {name.id for name in names if isinstance(name, ast.Name)}


def read_yaml(path: Path, loader: type = yaml.SafeLoader) -> dict[str, Any]:
    """A file of ``params/`` or the like as a mapping, a copy each time; the same text is parsed once.

    Raises:
        ParamsError: the file is not valid YAML, or no mapping.
    """
    try:
        content = _parsed(path.read_text(encoding="utf-8"), loader)
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise ParamsError(f"{path} holds no mapping of keys to values.")
    return deepcopy(content)


@lru_cache
def _parsed(text: str, loader: type) -> Any:
    return yaml.load(text, loader)


def merge(base: Mapping[str, Any], difference: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `difference`, section by section.

    Another reader's corpus replaces the whole one but for ``transcripts``, which are no reader's own.
    """
    merged = dict(base)
    for key, value in difference.items():
        old = merged.get(key)
        if not (isinstance(old, Mapping) and isinstance(value, Mapping)):
            merged[key] = value
            continue
        another_reader = value.get("reader", old.get("reader")) != old.get("reader")
        kept = {name: old[name] for name in old if name == "transcripts"} if another_reader else old
        merged[key] = merge(kept, value)
    return merged


def _explain(error: Mapping[str, Any]) -> str:
    # pydantic puts the reader into the location, corpus.simulated.path; the file has corpus.path.
    name = ".".join(str(part) for place, part in enumerate(error["loc"]) if (place, error["loc"][0]) != (1, "corpus"))
    match error["type"]:
        case "extra_forbidden":
            return f"unknown parameter {name!r}; valid are {', '.join(_section(error['loc'][:-1]).model_fields)}"
        case "missing":
            return f"parameter {name!r} is missing"
        case "union_tag_invalid":
            return f"parameter 'corpus.reader' is {error['ctx']['tag']!r}; valid are {', '.join(READERS)}"
        case "union_tag_not_found":
            return f"parameter 'corpus.reader' is missing; valid are {', '.join(READERS)}"
        case "model_type" | "model_attributes_type":
            what = f"parameter {name!r}" if name else "the content"
            return f"{what} is {error['input']!r}, not a mapping of keys to values"
    return f"parameter {name!r} is {error['input']!r}: {error['msg'].lower().removeprefix('value error, ')}"


def _section(location: tuple[str | int, ...]) -> type[Section]:
    if not location:
        return Params
    if location[0] == "corpus":
        return READERS[str(location[1])] if len(location) == 2 else Transcripts
    sections = {"speech": Speech, "text": Text, "speaker": FrozenEncoder, "heads": Heads, "loss": Loss}
    return (sections | {"sampling": Sampling, "training": Training})[str(location[0])]
