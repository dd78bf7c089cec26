"""`AttributeNetwork`: arousal, valence and dominance of an utterance from its speech, and its words where given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from operator import call
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from .conventions import ATTRIBUTES, GENDERS, SAMPLE_RATE
from .encoders import AudioInputs, SpeechEncoder, TextInputs, TextModel
from .losses import AdditiveAngularMargin, ccc_loss, classification_loss, reverse_gradient


class AttributeConfig(PretrainedConfig):
    """Everything that determines the architecture and the loss.

    Args:
        speech, text, heads, loss: sections of the parameters, see `sercore.sections`.
        encoders: the own configurations of ``speech`` and, where it is part of the model, ``text``.
        frozen: for each encoder whose weights are not saved again, or only the adapters', its name (``encoder``), its
            ``revision`` on the hub, if it comes from there, and of a run's the ``digest`` of its weights.
        beside: digests of the weights of frozen encoders that are no part of the model, by ``text`` and ``speaker``.
        text_width, speaker_width: sizes of the embeddings that are concatenated; 0 without.
        speakers: classes of the speaker head.
        scale: lowest and highest value of the attributes in the corpus's own scale.
    """

    model_type = "speech_attributes"
    keys_to_ignore_at_inference: ClassVar = ["gender", "speaker"]

    speech: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] | None = None
    heads: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    encoders: dict[str, Any] = field(default_factory=dict)
    frozen: dict[str, dict[str, str | None]] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    text_width: int = 0
    speaker_width: int = 0
    speakers: int = 0
    scale: tuple[float, float] = (1.0, 7.0)


@dataclass
class AttributeOutput(ModelOutput):
    """``loss`` where labels were given; ``predictions`` (utterances, 3), from 0 to 1; ``gender`` and ``speaker``:
    logits (utterances, classes) of the auxiliary heads, where the model has them, the latter with labels only."""

    loss: Tensor | None = None
    predictions: Tensor | None = None
    gender: Tensor | None = None
    speaker: Tensor | None = None

    def outputs(self) -> dict[str, Tensor]:
        """All but the loss, which follows from them."""
        return {name: value for name, value in self.items() if name != "loss"}


class AttributeNetwork(PreTrainedModel):
    """The paper's system (arXiv 2506.10930): encoder, layer average, pointwise convolutions, mean, heads."""

    config_class = AttributeConfig
    main_input_name = "features"
    supports_gradient_checkpointing = True
    fetch: Any = staticmethod(call)  # has a function take weights from the hub

    def __init__(self, config: AttributeConfig) -> None:
        super().__init__(config)
        speech, heads, self.learnt = (SimpleNamespace(**each) for each in (config.speech, config.heads, config.loss))
        encoders = {name: AutoConfig.for_model(**each) for name, each in config.encoders.items()}
        self.speech = SpeechEncoder(encoders["speech"], speech.finetune, speech.lora, speech.states)
        if config.text and "text" in encoders:
            self.text = TextModel(encoders["text"], config.text["finetune"], config.text["lora"])
        if heads.layers == "average":
            self.layer_weights = nn.Parameter(torch.zeros(self.speech.layers))
        else:  # their softmax is 1 for the last one
            self.register_buffer("layer_weights", torch.eye(self.speech.layers)[-1].log())
        widths = [encoders["speech"].hidden_size] + [heads.width] * heads.convolutions
        # A pointwise convolution is the same linear map at every frame.
        self.convolutions = nn.Sequential()
        for inputs, outputs in pairwise(widths):
            self.convolutions.extend([nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(heads.dropout)])
        self.pooling = MeanPooling() if heads.pooling == "mean" else AttentiveStatisticsPooling(widths[-1])
        pooled = widths[-1] * (1 if heads.pooling == "mean" else 2)
        joint = pooled + config.text_width + config.speaker_width
        self.attributes = nn.ModuleDict({name: _mlp(joint, heads, 1) for name in ATTRIBUTES})
        if self.learnt.gender:
            self.gender = _mlp(joint, heads, len(GENDERS))
        if self.learnt.speaker:
            margin, scale = self.learnt.margin, self.learnt.scale
            self.speaker = nn.Sequential(nn.Linear(joint, heads.width), nn.ReLU(), nn.Linear(heads.width, heads.width))
            self.speaker_margin = AdditiveAngularMargin(heads.width, config.speakers, margin, scale)
        self.post_init()
        self.freeze()
        self._keys_to_ignore_on_save = self.borrowed()
        missed = r"\.(front_end|transformer)\.(?!.*lora_)"
        unsaved = {f"^{name}{missed}" for name in config.frozen}
        self._keys_to_ignore_on_load_missing = {*(self._keys_to_ignore_on_load_missing or ()), *unsaved}

    def borrowed(self) -> set[str]:
        """Names of the weights that are not saved: those of ``config.frozen``."""
        return {f"{name}.{part}" for name in self.config.frozen for part in getattr(self, name).borrowed()}

    def freeze(self) -> None:
        """Ask for no gradient in what is not trained."""
        for encoder in self.encoders().values():
            encoder.freeze()
        for name in set(ATTRIBUTES) - set(self.learnt.attributes):
            self.attributes[name].requires_grad_(False)

    def encoders(self) -> dict[str, SpeechEncoder | TextModel]:
        """The encoders that are part of the model, by the section of the parameters that names them."""
        return {name: getattr(self, name) for name in self.config.encoders}

    def _init_weights(self, module: nn.Module) -> None:
        """Leave new layers as torch makes them: transformers' standard deviation of .02 all but stops the signal."""

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Self:
        """As in transformers, which asks for gradients everywhere; what is frozen is frozen again, and weights that
        were not saved are taken from where they were; `ValueError` if some of the model's own are missing."""
        loaded: Any = super().from_pretrained(*arguments, output_loading_info=True, **options)
        model, found = loaded
        if lost := sorted(found["missing_keys"]):
            raise ValueError(f"weights are missing: {', '.join(lost[:3])}")
        for name, source in model.config.frozen.items():
            encoder = getattr(model, name)
            adapters = {part: value for part, value in encoder.state_dict().items() if "lora_" in part}
            cls.fetch(encoder.load_pretrained, source["encoder"], revision=source.get("revision"))
            encoder.load_state_dict(adapters, strict=False)
            encoder.to(model.device)
        model.freeze()
        return model

    def save_pretrained(self, save_directory: Any, *arguments: Any, **options: Any) -> None:
        """As in transformers; whoever may read the configuration may read the weights."""
        super().save_pretrained(save_directory, *arguments, **options)
        for path in Path(save_directory).glob("*.safetensors"):  # which safetensors keeps for its user
            path.chmod(Path(save_directory, "config.json").stat().st_mode)

    @cached_property
    def inputs(self) -> tuple[AudioInputs, TextInputs | None]:
        """What prepares the inputs of a published model, from its folder."""
        folder = str(self.name_or_path)
        words = TextInputs(folder, config=self.config) if "text" in self.config.encoders else None
        return AudioInputs(folder), words

    @torch.no_grad()
    def predict(self, waveform: np.ndarray, text: str | None = None) -> dict[str, float]:
        """Arousal, valence and dominance of one utterance by a published model, in the scale of its training corpus.

        `waveform` (samples,): mono, at 16 kHz, -1 to 1, cut after ``config.speech["max_seconds"]``; `text`: its
        transcript, None where unknown. Call ``model.eval()`` after training.
        """
        audio, words = self.inputs
        waveform = waveform[: int(self.config.speech["max_seconds"] * SAMPLE_RATE)]
        batch = {"audio": audio(waveform)[None], "samples": torch.tensor([len(waveform)])}
        if words:
            (tokens,) = words([text])
            batch |= {"tokens": tokens, "lengths": torch.tensor([len(tokens)])}
        (values,) = self(**{name: part.to(self.device) for name, part in batch.items()}).predictions.tolist()
        low, high = self.config.scale
        return {name: low + (high - low) * value for name, value in zip(ATTRIBUTES, values, strict=True)}

    def forward(
        self,
        features: Tensor | None = None,
        frames: Tensor | None = None,
        audio: Tensor | None = None,
        samples: Tensor | None = None,
        text: Tensor | None = None,
        tokens: Tensor | None = None,
        lengths: Tensor | None = None,
        speaker_embedding: Tensor | None = None,
        attributes: Tensor | None = None,
        gender: Tensor | None = None,
        speaker: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> AttributeOutput:
        """Predict, and compute the loss where `attributes` are given.

        Args:
            features, frames: the speech encoder's frozen part, computed before (see `SpeechEncoder.frozen_part`); or
            audio, samples: its input.
            text: the frozen text encoder's embedding (utterances, text_width), zeros where there is no transcript; or
            tokens, lengths: the fine-tuned one's input, see `TextModel`.
            speaker_embedding: (utterances, speaker_width), L2-normalised.
            attributes: truth (utterances, 3), from 0 to 1, in the order arousal, valence, dominance.
            gender, speaker: indices into `GENDERS` and of training speakers, or `UNKNOWN`.
            weights: of each utterance and attribute in the CCC loss, see `ccc` in ``losses``.
        """
        if audio is not None and samples is not None:
            features, frames = self.speech.frozen_part(audio, samples)
        hidden = self.convolutions(self.speech(features, frames, self.layer_weights.softmax(0)))  # (frames, width)
        pooled = self.pooling(hidden, frames)  # (B, width)
        if tokens is not None:
            text = self.text(tokens, lengths)
        joint = torch.cat([part for part in (pooled, text, speaker_embedding) if part is not None], 1)
        # bfloat16 has no number between .500 and .504: on a scale from 1 to 7, predictions would be steps of .02.
        with torch.autocast(joint.device.type, enabled=False):
            logits = torch.cat([self.attributes[name](joint.float()) for name in ATTRIBUTES], 1)
        output = AttributeOutput(predictions=torch.sigmoid(logits))  # (B, 3)
        if self.learnt.gender:
            output.gender = self.gender(joint)
        if attributes is None:
            return output
        if self.learnt.speaker:
            shared = reverse_gradient(joint) if self.learnt.adversarial else joint
            output.speaker = self.speaker_margin(self.speaker(shared), speaker)
        labels = {"attributes": attributes, "gender": gender, "speaker": speaker, "weights": weights}
        output.loss = self.loss(output, {name: values for name, values in labels.items() if values is not None})
        return output

    def loss(self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> Tensor:
        """Sum over attributes of 1 - CCC, plus alpha times the gender's and beta times the speaker's cross-entropy."""
        trained = [ATTRIBUTES.index(name) for name in self.learnt.attributes]
        weights = labels["weights"][:, trained] if "weights" in labels else None
        total = ccc_loss(labels["attributes"][:, trained], outputs["predictions"][:, trained], weights)
        if self.learnt.gender:
            total = total + self.learnt.gender * classification_loss(outputs["gender"], labels["gender"])
        if self.learnt.speaker:
            total = total + self.learnt.speaker * classification_loss(outputs["speaker"], labels["speaker"])
        return total


class MeanPooling(nn.Module):
    """Mean over an utterance's frames."""

    def forward(self, hidden: Tensor, frames: Tensor) -> Tensor:
        """Packed frames (frames, width) and their number in each utterance to (utterances, width)."""
        return _sums(hidden, _owners(frames), len(frames)) / frames[:, None]


class AttentiveStatisticsPooling(nn.Module):
    r"""Mean and standard deviation over an utterance's frames, weighted by attention (Okabe et al. 2018, eq. 3 to 6).

    .. math:: e_t = v^\top \tanh(W h_t + b), \quad \alpha = \operatorname{softmax}(e), \quad
        \tilde\mu = \sum_t \alpha_t h_t, \quad \tilde\sigma = \sqrt{\sum_t \alpha_t h_t^2 - \tilde\mu^2}
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False))

    def forward(self, hidden: Tensor, frames: Tensor) -> Tensor:
        """Packed frames (frames, width) and their number in each utterance to (utterances, 2 * width)."""
        owners, count = _owners(frames), len(frames)
        scores = self.attention(hidden)
        highest = scores.new_full((count,), -torch.inf).scatter_reduce(0, owners, scores.detach()[:, 0], "amax")
        unscaled = torch.exp(scores - highest[owners, None])
        weights = unscaled / _sums(unscaled, owners, count)[owners]
        mean = _sums(weights * hidden, owners, count)
        # As the weighted mean of squared distances it is never negative; its root at 0 would have no gradient.
        variance = _sums(weights * (hidden - mean[owners]).square(), owners, count)
        return torch.cat([mean, variance.clamp(min=1e-10).sqrt()], 1)


def _owners(frames: Tensor) -> Tensor:
    """Number of the utterance that each packed frame belongs to."""
    return torch.arange(len(frames), device=frames.device).repeat_interleave(frames)


def _sums(packed: Tensor, owners: Tensor, count: int) -> Tensor:
    """Sums of packed frames (frames, width) by utterance, (utterances, width)."""
    return packed.new_zeros(count, packed.shape[1]).index_add(0, owners, packed)


def _mlp(inputs: int, heads: Any, outputs: int) -> nn.Sequential:
    first, last = nn.Linear(inputs, heads.width), nn.Linear(heads.width, outputs)
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(heads.dropout), last)
