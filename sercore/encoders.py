"""Pretrained encoders: speech and text, fine-tuned or frozen, and frozen speaker embeddings.

Every name is a folder in the hub's format (relative to the project's root) or a model on the hub.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForAudioXVector, AutoTokenizer, PretrainedConfig
from transformers.models.whisper.modeling_whisper import WhisperConfig, WhisperEncoder

from sercore import ge2e
from sercore.adapters import add_lora, train_adapters_alone
from sercore.audio import SAMPLE_RATE
from sercore.fast import packing
from sercore.hub import encoder_config, pretrained
from sercore.params import ParamsError

# transformers' WavLM gives torch a boolean padding mask beside its float position bias; torch converts it each time.
warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")

# Where frozen encoders compute, and predictions for files.
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# Samples of a frame of Whisper: 160 of its spectrogram's, halved by the second convolution.
WHISPER_STRIDE = 2 * 160


def frames_mask(frames: Tensor, longest: int) -> Tensor:
    """Mask (utterances, longest) that is True where an utterance of `frames` frames is not padding."""
    return torch.arange(longest, device=frames.device) < frames[:, None]


class SpeechEncoder(nn.Module):
    """A speech encoder in two parts: a frozen one, whose output can be cached, and the rest.

    Frozen as a whole, the first part gives all hidden states and nothing is left to train. Fine-tuned, it is the
    convolutional front-end (Whisper's two convolutions), and the transformer follows; this is how the challenge's
    baseline tunes WavLM.

    Args:
        config: of a WavLM, wav2vec 2.0, HuBERT or Whisper model; one that takes no waveforms is a `ParamsError`.
        finetune: whether the transformer is trained.
        lora: rank of the adapters that are trained in place of the transformer's own weights; None trains these.
        states: how hidden states are scaled, see `sercore.sections.Speech`.
    """

    def __init__(self, config: PretrainedConfig, finetune: bool, lora: int | None = None, states: str = "raw") -> None:
        super().__init__()
        self.finetune, self.lora, self.states = finetune, lora, states
        self.is_whisper = isinstance(config, WhisperConfig)
        self.transformer: Any  # a WhisperEncoder, or a WavLM or its like
        if isinstance(config, WhisperConfig):
            self.transformer = WhisperEncoder(config)
        else:
            # Dropped layers would leave the layer average without some of its hidden states.
            config.layerdrop = 0.0
            self.transformer = AutoModel.from_config(config)
            if not hasattr(self.transformer, "feature_extractor"):
                kind = config.model_type
                raise ParamsError(f"a {kind} model hears nothing: set speech.encoder to a WavLM or its like.")
            self.front_end: Any = self.transformer.feature_extractor
            self.transformer.feature_extractor = _AlreadyExtracted()
        self.config: PretrainedConfig = self.transformer.config
        self.moments: Tensor
        if states == "standardised":
            self.register_buffer("moments", torch.zeros(2, self.layers, 1, self.config.hidden_size))
        if lora:
            add_lora(self.transformer, lora)
        self.freeze()

    @property
    def shortest(self) -> int:
        """Samples of the shortest utterance that has a frame."""
        return 1 if self.is_whisper else int(self._samples(torch.tensor(1)))

    @property
    def layers(self) -> int:
        """Number of hidden states: the transformer's input and the output of each layer."""
        return self.config.num_hidden_layers + 1

    @property
    def frozen(self) -> nn.ModuleList:
        """The modules whose output can be cached."""
        if not self.finetune:
            return nn.ModuleList([self.transformer] if self.is_whisper else [self.front_end, self.transformer])
        if self.is_whisper:
            return nn.ModuleList([self.transformer.conv1, self.transformer.conv2, self.transformer.embed_positions])
        return nn.ModuleList([self.front_end])

    def frozen_numbers(self, seconds: float) -> float:
        """How many numbers the frozen part gives for `seconds` of sound, about."""
        stride = WHISPER_STRIDE if self.is_whisper else math.prod(self.config.conv_stride)
        channels = self.config.hidden_size if self.is_whisper else self.config.conv_dim[-1]
        width = channels if self.finetune else self.layers * self.config.hidden_size
        return seconds * SAMPLE_RATE / stride * width

    def freeze(self) -> None:
        """Ask for no gradient in what is not trained."""
        if self.lora:
            train_adapters_alone(self.transformer)
        self.frozen.requires_grad_(False)

    def load_pretrained(self, name: str) -> None:
        """Fill both parts with the weights of a folder or hub model."""
        if self.is_whisper:
            prefix = {r"^(model\.)?encoder\.": ""}  # with or without a decoder
            model = pretrained(WhisperEncoder.from_pretrained, name, dtype=torch.float32, key_mapping=prefix)
        else:
            model = pretrained(AutoModel.from_pretrained, name, dtype=torch.float32)
            self.front_end.load_state_dict(model.feature_extractor.state_dict())
            model.feature_extractor = _AlreadyExtracted()
        _load_weights(self.transformer, model, self.lora)

    def train(self, mode: bool = True) -> "SpeechEncoder":
        """Training mode for the part that is trained; what is frozen stays in evaluation mode."""
        super().train(mode and self.finetune)
        return self

    @torch.no_grad()
    def frozen_part(self, audio: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Output of the frozen part, packed, and the frames of each utterance (utterances,).

        Packed, the frames of all utterances stand behind each other without any padding: (frames, channels), or
        (layers, frames, width) in half precision, as it is kept on disk, when all is frozen. `ValueError` if an
        utterance is too short for a frame.

        Args:
            audio: what `AudioInputs` gives: waveforms (utterances, samples), or Whisper's log-mel spectrograms
                (utterances, mel bins, frames).
            samples: valid samples of each utterance at 16 kHz, shape (utterances,).
        """
        if self.is_whisper:
            frames = torch.div(samples + WHISPER_STRIDE - 1, WHISPER_STRIDE, rounding_mode="floor")
            frames = frames.clamp(max=self.config.max_source_positions)  # its spectrogram ends there
            features = packing.whisper_front_end(self.transformer, audio, frames)
        else:
            frames = self.transformer._get_feat_extract_output_lengths(samples)
            if int(frames.min()) < 1:
                raise ValueError(f"an utterance of {int(samples.min())} samples is too short for one frame.")
            features = self._front_end(audio, samples, frames)
        if not self.finetune:
            states = [self._scaled(state).half() for state in self._hidden_states(features, frames)]
            features = torch.stack(states)
        return features, frames

    def standardise(self, features: Iterable[Tensor]) -> None:
        """Take mean and standard deviation of each channel of the hidden states over parts (layers, frames, width)."""
        count, total, squares = 0, torch.tensor(0.0), torch.tensor(0.0)
        for states in map(Tensor.double, features):
            count += states.shape[1]
            total, squares = total + states.sum(1, keepdim=True), squares + states.square().sum(1, keepdim=True)
        mean = total / count
        self.moments.copy_(torch.stack([mean, (squares / count - mean.square()).clamp(min=1e-10).sqrt()]))

    def forward(self, features: Tensor, frames: Tensor, weights: Tensor) -> Tensor:
        """Sum, packed (frames, width), of all hidden states by `weights` (layers,), from the frozen part's output."""
        features = features.to(weights.dtype)
        if self.states == "standardised":
            features = (features - self.moments[0]) / self.moments[1]
        if not self.finetune:
            return (weights @ features.flatten(1)).view(features.shape[1:])
        if packing.supports(self.transformer):
            return packing.layer_average(self.transformer, features, frames, weights, self._scaled)
        states = self._hidden_states(features, frames)
        return sum(weight * self._scaled(state) for weight, state in zip(weights, states, strict=True))

    def _scaled(self, state: Tensor) -> Tensor:
        """A hidden state (frames, width), layer-normalised where that is asked for."""
        return functional.layer_norm(state, state.shape[-1:]) if self.states == "layer_normalised" else state

    def _front_end(self, audio: Tensor, samples: Tensor, frames: Tensor) -> Tensor:
        if self.config.feat_extract_norm == "layer":
            features = self.front_end(audio).transpose(1, 2)
            return features[frames_mask(frames, features.shape[1])]
        # Group normalisation averages over time, padding included, so predictions would depend on the batch.
        utterances = [one[:length] for one, length in zip(audio, samples.tolist(), strict=True)]
        return torch.cat([self.front_end(one[None])[0].T for one in utterances])

    def _hidden_states(self, features: Tensor, frames: Tensor) -> Iterable[Tensor]:
        if self.is_whisper:
            return packing.whisper_states(self.transformer, features, frames)
        # transformers takes a mask over samples; the shortest waveform with that many frames has the same one.
        samples = self._samples(frames)
        mask = frames_mask(samples, int(samples.max()))
        padded = nn.utils.rnn.pad_sequence(features.split(frames.tolist()), batch_first=True)
        states = self.transformer(padded, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        valid = frames_mask(frames, padded.shape[1])
        return [state[valid] for state in states]

    def _samples(self, frames: Tensor) -> Tensor:
        for kernel, stride in zip(self.config.conv_kernel[::-1], self.config.conv_stride[::-1], strict=True):
            frames = (frames - 1) * stride + kernel
        return frames


def _load_weights(transformer: nn.Module, model: nn.Module, lora: int | None) -> None:
    if lora:  # adapters rename what they stand beside
        add_lora(model, lora)
    transformer.load_state_dict(model.state_dict())


class _AlreadyExtracted(nn.Module):
    """Stands where the convolutional front-end was: lets its cached output (utterances, frames, channels) through."""

    def forward(self, features: Tensor) -> Tensor:
        return features.transpose(1, 2)


class AudioInputs:
    """A waveform as the checkpoint's own feature extractor prepares it (``do_normalize``, log-mel), never padded with
    other utterances, so statistics are those of the valid samples alone."""

    def __init__(self, name: str) -> None:
        self.extractor = pretrained(AutoFeatureExtractor.from_pretrained, name)
        if self.extractor.sampling_rate != SAMPLE_RATE:
            raise ParamsError(f"encoder {name!r} wants audio at {self.extractor.sampling_rate} Hz, not {SAMPLE_RATE}.")

    def __call__(self, waveform: np.ndarray) -> Tensor:
        """Waveform (samples,) to the encoder's input, without the batch axis."""
        inputs = self.extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return next(iter(inputs.values()))[0]


class TextInputs:
    """Transcripts as the checkpoint's own tokenizer cuts them into tokens."""

    def __init__(self, name: str) -> None:
        self.tokenizer = pretrained(AutoTokenizer.from_pretrained, name)

    def __call__(self, texts: Sequence[str | None]) -> list[Tensor]:
        """Numbers of the tokens (tokens,) of each text; a missing or empty one has none, a too long one is cut."""
        tokens = [torch.empty(0, dtype=torch.long)] * len(texts)
        longest = min(self.tokenizer.model_max_length, 512)
        for index, text in enumerate(texts):
            if isinstance(text, str) and text.strip():
                tokens[index] = torch.tensor(self.tokenizer(text, truncation=True, max_length=longest)["input_ids"])
        return tokens


class TextModel(nn.Module):
    """Sentence embedding: mean over a transformer's last hidden states, L2-normalised; `lora` as in `SpeechEncoder`."""

    def __init__(self, config: PretrainedConfig, lora: int | None = None) -> None:
        super().__init__()
        self.lora = lora
        self.transformer = AutoModel.from_config(config)
        # Where a checkpoint has no pooler, as RoBERTa's, it would be random, and with it the key of the cache.
        self.transformer.pooler = None
        if lora:
            add_lora(self.transformer, lora)

    def freeze(self) -> None:
        """Ask for no gradient in what is not trained."""
        if self.lora:
            train_adapters_alone(self.transformer)

    def load_pretrained(self, name: str) -> None:
        """Take the weights of a folder or hub model."""
        model = pretrained(AutoModel.from_pretrained, name, dtype=torch.float32)
        model.pooler = None
        _load_weights(self.transformer, model, self.lora)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (utterances, width); zeros for an utterance without a token.

        `tokens` (tokens,) of all utterances stand behind each other, `lengths` (utterances,) is how many each one has.
        """
        spoken = lengths.nonzero().squeeze(1)
        embeddings = torch.zeros(len(lengths), self.transformer.config.hidden_size, device=tokens.device)
        if not len(spoken):
            return embeddings
        padded = nn.utils.rnn.pad_sequence(tokens.split(lengths[spoken].tolist()), batch_first=True)
        mask = frames_mask(lengths[spoken], padded.shape[1])
        states = self.transformer(padded, attention_mask=mask.long()).last_hidden_state.float()  # (B, tokens, width)
        mean = (states * mask[..., None]).sum(1) / lengths[spoken, None]
        return embeddings.index_copy(0, spoken, functional.normalize(mean))


class TextEncoder:
    """Frozen sentence embeddings of texts, see `TextModel`."""

    def __init__(self, name: str) -> None:
        self.inputs = TextInputs(name)
        self.model = TextModel(encoder_config(name))
        self.model.load_pretrained(name)
        self.model.eval().to(DEVICE)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str | None], batch_size: int = 64) -> Iterator[np.ndarray]:
        """An embedding (1, width) a text, in order; zeros for a missing or empty one. Texts of similar length go
        together, `batch_size` at a time; what is beyond the encoder's longest input is cut.
        """
        tokens = self.inputs(texts)
        embeddings = np.zeros((len(texts), self.model.transformer.config.hidden_size), np.float32)
        by_length = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        for start in range(0, len(texts), batch_size):
            chosen = by_length[start : start + batch_size]
            lengths = torch.tensor([len(tokens[index]) for index in chosen], device=DEVICE)
            packed = torch.cat([tokens[index] for index in chosen]).to(DEVICE)
            embeddings[chosen] = self.model(packed, lengths).cpu().numpy()
        return iter(embeddings[:, None])


def speaker_width(name: str) -> int:
    """Width of the embeddings of a speaker encoder, from its configuration alone."""
    # `SpeakerEncoder` refuses a model without x-vectors.
    return ge2e.WIDTH if name == ge2e.NAME else getattr(encoder_config(name), "xvector_output_dim", 0)


class SpeakerEncoder:
    """Frozen speaker embedding, L2-normalised, of an x-vector model or `sercore.ge2e`."""

    def __init__(self, name: str) -> None:
        self.model: Any = ge2e.GE2E() if name == ge2e.NAME else self._x_vector(name)
        self.model.eval().to(DEVICE)

    def _x_vector(self, name: str) -> Any:
        self.inputs = AudioInputs(name)
        load = AutoModelForAudioXVector.from_pretrained
        model, loaded = pretrained(load, name, dtype=torch.float32, output_loading_info=True)
        if any(key.startswith("tdnn") for key in loaded["missing_keys"]):  # transformers would draw them at random
            problem = f"encoder {name!r} was not trained to tell speakers"
            raise ParamsError(f"{problem}: set speaker.encoder to an x-vector model, or to {ge2e.NAME}.")
        return model

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Waveform (samples,) to its embedding of shape (1, width)."""
        if isinstance(self.model, ge2e.GE2E):
            return self.model(torch.from_numpy(waveform).to(DEVICE)).cpu().numpy()
        # The x-vector's time-delay layers need up to a second of frames: a shorter utterance is repeated.
        waveform = np.resize(waveform, max(len(waveform), SAMPLE_RATE))
        return functional.normalize(self.model(self.inputs(waveform)[None].to(DEVICE)).embeddings).cpu().numpy()
