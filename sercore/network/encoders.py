"""Pretrained encoders of speech and text, fine-tuned or frozen, and what prepares their inputs."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoFeatureExtractor, AutoModel, AutoTokenizer, PretrainedConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperConfig, WhisperEncoder
from transformers.utils import is_peft_available

from .attention import Packing
from .conventions import SAMPLE_RATE, InputError
from .packing import TYPES, hidden_states, whisper_front_end, whisper_states

if is_peft_available():  # a published model has no adapters, so it does without
    from peft import LoraConfig, inject_adapter_in_model

# Samples of a frame of Whisper: two columns of its spectrogram, of 160 each, which the second convolution joins.
WHISPER_STRIDE = 2 * 160

HIDDEN_STATES, SPECTROGRAMS = "hidden states", "log-mel spectrograms"
"""Of what `SpeechEncoder.kept` names; the latter are the encoder's input, not its frozen part's output."""


class Encoder(nn.Module):
    r"""A pretrained transformer: frozen, or trained, its own weights or low-rank adapters (LoRA, Hu et al. 2022).

    To each linear map :math:`W`, of attention and feed-forward layers alike (as Dettmers et al. 2023 advise), adapters
    add :math:`\frac{\alpha}{r} B A`, where :math:`A` has r rows and :math:`B` r columns. :math:`B` begins at zero, and
    :math:`\alpha = 2 r`, as Hu et al. have it for RoBERTa-Large with r = 8.

    Args:
        config: of the model.
        finetune: whether the transformer is trained.
        lora: rank of the adapters that are trained in place of its own weights; None trains these.
    """

    front_end: Any
    transformer: Any
    config: Any  # the transformer's own

    def __init__(self, config: PretrainedConfig, finetune: bool, lora: int | None = None) -> None:
        super().__init__()
        self.finetune, self.lora = finetune, lora
        self.is_whisper = isinstance(config, WhisperConfig)
        self._hold(WhisperEncoder(config) if isinstance(config, WhisperConfig) else AutoModel.from_config(config))

    @property
    def frozen(self) -> nn.ModuleList:
        """The modules whose output can be cached."""
        return nn.ModuleList([] if self.finetune else self.children())

    def borrowed(self) -> dict[str, Tensor]:
        """Weights by name that a saved model may do without, since they are where they came from: all but adapters."""
        own = {name: value for name, value in self.state_dict().items() if "lora_" not in name}
        return {name: value for name, value in own.items() if name.startswith(("front_end.", "transformer."))}

    def load_pretrained(self, name: str, **options: Any) -> None:
        """Take the weights of a folder or hub model, and new adapters; `options` as for ``from_pretrained``."""
        load, names = AutoModel.from_pretrained, None
        if self.is_whisper:
            load, names = WhisperEncoder.from_pretrained, {r"^(model\.)?encoder\.": ""}  # with or without a decoder
        self._hold(load(name, dtype=torch.float32, key_mapping=names, **options))

    def _hold(self, model: Any) -> None:
        # Where a checkpoint has no pooler, as RoBERTa's, it would be random, and with it the key of the cache.
        model.pooler = None
        if hasattr(model, "feature_extractor"):
            self.front_end, model.feature_extractor = model.feature_extractor, nn.Identity()
        if self.lora:
            adapters = LoraConfig(r=self.lora, lora_alpha=2 * self.lora, target_modules="all-linear")
            inject_adapter_in_model(adapters, model)
        self.transformer, self.config = model, model.config
        self.freeze()

    def freeze(self) -> None:
        """Ask for no gradient in what is not trained."""
        if self.lora:
            for name, parameter in self.transformer.named_parameters():
                parameter.requires_grad_("lora_" in name)
        self.frozen.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode for the part that is trained; what is frozen stays in evaluation mode."""
        return super().train(mode and self.finetune)


class SpeechEncoder(Encoder):
    """A speech encoder in two parts: a frozen one, whose output can be cached, and the rest.

    Frozen as a whole, the first part gives all hidden states and nothing is left to train. Fine-tuned, it is the
    convolutional front-end (Whisper's two convolutions), and the transformer follows; this is how the challenge's
    baseline tunes WavLM.

    Args:
        config: of a model of one of `packing.TYPES`; another one is an `InputError`.
        finetune, lora: as in `Encoder`.
        states: how hidden states are scaled, see `sercore.sections.Speech`; ``moments`` (2, layers, width) are the mean
            and standard deviation of those that are ``standardised``.
    """

    moments: Tensor
    gradient_checkpointing = False  # set by transformers' `activation_checkpointing_enable`, as the function below is
    _gradient_checkpointing_func: Any

    def __init__(self, config: PretrainedConfig, finetune: bool, lora: int | None = None, states: str = "raw") -> None:
        if config.model_type not in TYPES or getattr(config, "add_adapter", False):
            problem = f"a {config.model_type} model, or one with add_adapter, is no speech encoder here"
            raise InputError(f"{problem}: set speech.encoder to a model of type {', '.join(TYPES)}.")
        super().__init__(config, finetune, lora)
        self.states, whisper = states, self.is_whisper
        self.layers = self.config.num_hidden_layers + 1  # hidden states: the transformer's input, each layer's output
        self.stride = WHISPER_STRIDE if whisper else math.prod(self.config.conv_stride)  # samples of a frame
        self.shortest = 1  # samples of the shortest utterance that has a frame
        kernels = () if whisper else zip(self.config.conv_kernel[::-1], self.config.conv_stride[::-1], strict=True)
        for kernel, stride in kernels:
            self.shortest = (self.shortest - 1) * stride + kernel
        if states == "standardised":
            self.register_buffer("moments", torch.zeros(2, self.layers, self.config.hidden_size))

    @property
    def frozen(self) -> nn.ModuleList:
        """The modules whose output can be cached."""
        if not self.finetune:
            return super().frozen
        whisper = self.transformer
        front = [whisper.conv1, whisper.conv2, whisper.embed_positions] if self.is_whisper else [self.front_end]
        return nn.ModuleList(front)

    @property
    def kept(self) -> dict[str, float]:
        """What may be kept on disk in place of audio, the best first, and how many numbers a second of sound has of it,
        about. All of Whisper's frozen part but its layers is cheaper to compute than to keep."""
        frames = SAMPLE_RATE / self.stride
        states = {} if self.finetune else {HIDDEN_STATES: frames * self.layers * self.config.hidden_size}
        if self.is_whisper:
            return states | {SPECTROGRAMS: 2 * frames * self.config.num_mel_bins}
        return states or {"outputs of the convolutions": frames * self.config.conv_dim[-1]}

    @torch.no_grad()
    def frozen_part(self, audio: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Output of the frozen part, packed, and the frames of each utterance (utterances,).

        Packed, the frames of all utterances stand behind each other without any padding: (frames, channels), or
        (frames, layers, width) when all is frozen. Computed in float32, also within a training in half precision, and
        given in the type that is kept on disk: half precision within such a training, or when all is frozen.
        `ValueError` if an utterance is too short for a frame.

        Args:
            audio: what `AudioInputs` gives, zeros behind it: waveforms (utterances, samples), or Whisper's log-mel
                spectrograms (utterances, columns, mel bins).
            samples: valid samples of each utterance at 16 kHz, shape (utterances,).
        """
        kind = audio.device.type
        half = not self.finetune or torch.is_autocast_enabled(kind)
        # cuDNN would convolve in TF32, which rounds to three digits, and differently from batch to batch.
        with torch.autocast(kind, enabled=False), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            if self.is_whisper:
                frames = -(-samples // WHISPER_STRIDE)
                frames = frames.clamp(max=self.config.max_source_positions)  # its spectrogram ends there
                features = whisper_front_end(self.transformer, audio, frames)
            else:
                frames = self.transformer._get_feat_extract_output_lengths(samples)
                if int(frames.min()) < 1:
                    raise ValueError(f"an utterance of {int(samples.min())} samples is too short for one frame.")
                features = self._front_end(audio, samples, frames)
            if not self.finetune:
                features = torch.stack([state.half() for state in self._hidden_states(features, frames)], 1)
        return features.half() if half else features, frames

    def forward(self, features: Tensor, frames: Tensor, weights: Tensor) -> Tensor:
        """Sum, packed (frames, width), of all hidden states by `weights` (layers,), from the frozen part's output."""
        features = features.to(weights.dtype)
        if self.states == "standardised":
            features = (features - self.moments[0]) / self.moments[1]
        if not self.finetune:
            layers = features.transpose(0, 1)  # a vector times a matrix is twice as fast as a sum over strides
            return (weights @ layers.flatten(1)).view(layers.shape[1:])
        # Summed while the layers run, so that they are not all kept.
        states = self._hidden_states(features, frames)
        return sum(weight * state for weight, state in zip(weights, states, strict=True))

    def _hidden_states(self, features: Tensor, frames: Tensor) -> Iterator[Tensor]:
        states = whisper_states if self.is_whisper else hidden_states
        checkpoint = self._gradient_checkpointing_func if self.gradient_checkpointing and self.training else None
        for state in states(self.transformer, features, frames, checkpoint):
            yield functional.layer_norm(state, state.shape[-1:]) if self.states == "layer_normalised" else state

    def _front_end(self, audio: Tensor, samples: Tensor, frames: Tensor) -> Tensor:
        if getattr(self.config, "feat_extract_norm", "layer") == "layer":
            packed = Packing(frames)
            return packed.pack(self.front_end(audio).transpose(1, 2)[:, : packed.longest])
        # Group normalisation averages over time, padding included, so predictions would depend on the batch.
        utterances = [one[:length] for one, length in zip(audio, samples.tolist(), strict=True)]
        return torch.cat([self.front_end(one[None])[0].T for one in utterances])


class AudioInputs:
    """A waveform as the checkpoint's own feature extractor prepares it (``do_normalize``, log-mel), never padded with
    other utterances, so statistics are those of the valid samples alone."""

    def __init__(self, name: str, **options: Any) -> None:
        self.extractor = AutoFeatureExtractor.from_pretrained(name, **options)
        if self.extractor.sampling_rate != SAMPLE_RATE:
            raise InputError(f"encoder {name!r} wants audio at {self.extractor.sampling_rate} Hz, not {SAMPLE_RATE}.")

    def __call__(self, waveform: np.ndarray) -> Tensor:
        """Waveform (samples,) to the encoder's input, without the batch axis: (samples,), or of Whisper (columns, mel
        bins), two columns a frame and the one behind that its convolutions see, without the silence up to 30 s."""
        length = {}
        if isinstance(self.extractor, WhisperFeatureExtractor):
            frames = -(-len(waveform) // WHISPER_STRIDE)
            length = {"max_length": min(frames * WHISPER_STRIDE + 160, self.extractor.n_samples)}
        inputs = self.extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt", **length)
        values = next(iter(inputs.values()))[0]
        return values.mT if values.ndim == 2 else values


class TextInputs:
    """Transcripts as the checkpoint's own tokenizer cuts them into tokens."""

    def __init__(self, name: str, **options: Any) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(name, **options)

    def __call__(self, texts: Sequence[str | None]) -> list[Tensor]:
        """Numbers of the tokens (tokens,) of each text; a missing or empty one has none, a too long one is cut."""
        cut = {"truncation": True, "max_length": min(self.tokenizer.model_max_length, 512)}
        numbers = [self.tokenizer(text, **cut)["input_ids"] if text and text.strip() else [] for text in texts]
        return [torch.tensor(each, dtype=torch.long) for each in numbers]


class TextModel(Encoder):
    """Sentence embedding: mean over a transformer's last hidden states, L2-normalised."""

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (utterances, width); zeros for an utterance without a token.

        `tokens` (tokens,) of all utterances stand behind each other, `lengths` (utterances,) is how many each one has.
        """
        spoken = lengths.nonzero().squeeze(1)
        embeddings = torch.zeros(len(lengths), self.transformer.config.hidden_size, device=tokens.device)
        if not len(spoken):
            return embeddings
        packed = Packing(lengths[spoken])
        padded, mask = packed.pad(tokens), packed.valid
        states = self.transformer(padded, attention_mask=mask.long()).last_hidden_state.float()  # (B, tokens, width)
        mean = (states * mask[..., None]).sum(1) / lengths[spoken, None]
        return embeddings.index_copy(0, spoken, functional.normalize(mean))
