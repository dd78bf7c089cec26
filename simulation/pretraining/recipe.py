"""Make the small encoders in ``models/``: ``python -m simulation.pretraining.recipe [name ...]``, all by default.

``wavlm-nano`` and ``whisper-nano`` learn to tell, from noisy speech with masked spans, what the speech without noise
sounds like in each frame; ``speaker-nano`` goes on from ``wavlm-nano`` and learns to tell speakers apart. One core, a
fixed seed. Beside its weights each folder gets a ``recipe.json`` with what was measured on held-out speakers.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm
from transformers import (
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMForXVector,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
    get_cosine_schedule_with_warmup,
    logging,
    set_seed,
)

from sercore.audio import SAMPLE_RATE
from sercore.disk import complete
from simulation.pretraining import pool
from simulation.pretraining.pool import Pool, vary
from simulation.pretraining.targets import Readout, Targets, targets

HERE = Path(__file__).resolve().parents[2] / "models"
SEED = 20_250_610
WIDTH = 64
SPEED = 0.22  # largest change of the speed of what listeners hear, as a natural logarithm: 25 %
COLOUR = 4.0


class WavLMListener(nn.Module):
    """WavLM on waveforms; its frames are those of its convolutional front-end."""

    steps, rows, seconds, span = 900, 24, (1.5, 3.0), 5

    def __init__(self) -> None:
        super().__init__()
        # Frozen or fine-tuned on utterances of two seconds: 25 frames a second, and spans to mask that fit in them.
        config = WavLMConfig(
            hidden_size=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=2 * WIDTH,
            feat_extract_norm="layer",
            conv_bias=True,
            conv_dim=[32] * 5,
            conv_kernel=[20, 8, 8, 4, 4],
            conv_stride=[10, 4, 4, 2, 2],
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
            num_buckets=32,
            max_bucket_distance=100,
            do_stable_layer_norm=True,
            mask_time_prob=0.05,
            mask_time_length=5,
            mask_time_min_masks=1,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            feat_proj_dropout=0.0,
            layerdrop=0.0,
        )
        self.model = WavLMModel(config)
        self.extractor = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
        self.hop, reach = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            reach += (kernel - 1) * self.hop
            self.hop *= stride
        self.centre = reach // 2

    def frames(self, samples: int) -> int:
        """Number of frames that so many samples give."""
        return int(self.model._get_feat_extract_output_lengths(samples))

    def forward(self, audio: Tensor, masked: Tensor) -> tuple[Tensor, ...]:
        """All hidden states, each (rows, frames, WIDTH), of `audio` (rows, samples) but for its masked frames."""
        return self.model(audio, mask_time_indices=masked, output_hidden_states=True).hidden_states


class WhisperListener(nn.Module):
    """Whisper's encoder on log-mel spectra padded to 15 s; its frames are those that hold sound."""

    steps, rows, seconds, span = 600, 8, (1.5, 8.0), 9

    def __init__(self) -> None:
        super().__init__()
        self.extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=15)
        self.model = WhisperModel(
            WhisperConfig(
                num_mel_bins=self.extractor.feature_size,
                max_source_positions=self.extractor.nb_max_frames // 2,
                d_model=WIDTH,
                encoder_layers=3,
                encoder_attention_heads=4,
                encoder_ffn_dim=2 * WIDTH,
                # The decoder is there because the format has one; nothing here trains or uses it.
                decoder_layers=1,
                decoder_attention_heads=1,
                decoder_ffn_dim=WIDTH,
                max_target_positions=8,
                vocab_size=4,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
                decoder_start_token_id=3,
            )
        )
        self.hop, self.centre = 2 * self.extractor.hop_length, 0

    def frames(self, samples: int) -> int:
        """Number of frames that so many samples give."""
        return math.ceil(samples / self.hop)

    def forward(self, audio: Tensor, masked: Tensor) -> tuple[Tensor, ...]:
        """All hidden states, each (rows, frames, WIDTH), of `audio` (rows, samples) but for its masked frames."""
        spectra = self.extractor(list(audio.numpy()), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        columns = masked.repeat_interleave(2, dim=1)
        columns = F.pad(columns, (0, spectra.shape[-1] - columns.shape[1]))
        states = self.model.encoder(spectra.masked_fill(columns[:, None], 0), output_hidden_states=True).hidden_states
        return tuple(state[:, : masked.shape[1]] for state in states)


def make_listener(listener: WavLMListener | WhisperListener, name: str, speech: Pool) -> None:
    """Pretrain and save a listener.

    Two linear readouts tell the targets: one from the mean of all hidden states, so that the layer average of the
    study begins at something useful, one from the last. Masked frames count twice.
    """
    learnt, held_out = speech.split()
    draw = torch.Generator().manual_seed(SEED)
    sample = hear(listener, learnt, 200, 2.0, draw)[2]
    readouts = [Readout(WIDTH, sample) for _ in range(2)]

    def loss(source: Pool, rows: int, seconds: float, draw: torch.Generator) -> Tensor:
        noisy, masked, wanted = hear(listener, source, rows, seconds, draw)
        states = listener(noisy, masked)
        read = zip(readouts, (torch.stack(states).mean(0), states[-1]), strict=True)
        losses = [readout.loss(given, wanted, 1 + masked.float()) for readout, given in read]
        return torch.stack(losses).mean()

    def learn() -> Tensor:
        seconds = torch.empty(()).uniform_(*listener.seconds, generator=draw).item()
        return loss(learnt, listener.rows, seconds, draw)

    @torch.no_grad()
    def measure() -> dict[str, float]:
        again = torch.Generator().manual_seed(SEED + 1)
        return {"loss": loss(held_out, 48, 2.0, again).item(), **probe(listener, held_out, again)}

    trained = [*listener.model.parameters(), *nn.ModuleList(readouts).parameters()]
    pretrain(name, listener.model, listener.extractor, trained, learn, measure, listener.steps)


def hear(
    listener: WavLMListener | WhisperListener, source: Pool, rows: int, seconds: float, draw: torch.Generator
) -> tuple[Tensor, Tensor, Targets]:
    """Noisy rows of speech, the frames to mask in them (about a third, in spans), and the targets without noise."""
    audio, _ = source.talk(rows, int(seconds * SAMPLE_RATE * math.exp(SPEED)), draw)
    clean, noisy = vary(audio, draw, SPEED, COLOUR)
    frames = listener.frames(clean.shape[1])
    begins = torch.rand(rows, 1, frames, generator=draw) < 0.4 / listener.span
    masked = F.max_pool1d(begins.float(), listener.span, stride=1, padding=listener.span // 2)[:, 0] > 0
    return noisy, masked, targets(clean, listener.hop, listener.centre, frames)


def probe(listener: WavLMListener | WhisperListener, source: Pool, draw: torch.Generator) -> dict[str, float]:
    """R2 of energy and F0 of unmasked frames, told linearly by the mean hidden state, on rows not fitted on."""
    noisy, masked, wanted = hear(listener, source, 96, 2.0, draw)
    states = torch.stack(listener(noisy, torch.zeros_like(masked))).mean(0)
    fit, test = torch.arange(96)[:, None] < 48, torch.arange(96)[:, None] >= 48
    spoken = wanted.voiced > 0

    def r2(value: Tensor, which: Tensor) -> float:
        inputs = F.pad(states, (0, 1), value=1.0)
        weights = torch.linalg.lstsq(inputs[which & fit], value[which & fit][:, None]).solution
        wrong = value[which & test] - (inputs[which & test] @ weights)[:, 0]
        return 1 - (wrong.square().mean() / value[which & test].var()).item()

    return {"r2_energy": r2(wanted.energy, spoken | True), "r2_f0": r2(wanted.f0, spoken)}


def make_speaker_encoder(name: str, speech: Pool) -> None:
    """Go on from wavlm-nano, tell the learnt speakers apart (additive-margin softmax), and save."""
    learnt, held_out = speech.split()
    model = WavLMForXVector.from_pretrained(
        HERE / "wavlm-nano",
        num_labels=len(learnt.speakers),
        use_weighted_layer_sum=True,
        # One layer, of three frames: deeper ones without normalisation hardly learn, and short sounds must do.
        tdnn_dim=[2 * WIDTH],
        tdnn_kernel=[3],
        tdnn_dilation=[1],
        xvector_output_dim=WIDTH,
        initializer_range=WIDTH**-0.5,
    )
    model.freeze_feature_encoder()
    model.objective.margin = 0.1
    draw = torch.Generator().manual_seed(SEED)

    def learn() -> Tensor:
        audio, speaker = learnt.talk(48, 2 * SAMPLE_RATE, draw)
        return model(vary(audio, draw, speed=0.0, colour=1.0)[1], labels=speaker).loss

    def measure() -> dict[str, float]:
        return {"equal_error_rate": equal_error_rate(model, held_out)}

    extractor = Wav2Vec2FeatureExtractor.from_pretrained(HERE / "wavlm-nano")
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    pretrain(name, model, extractor, trained, learn, measure, 800)


@torch.no_grad()
def equal_error_rate(model: WavLMForXVector, source: Pool) -> float:
    """Where as many pairs of one speaker fall below a cosine as pairs of two speakers above it."""
    audio, speaker = source.talk(400, 2 * SAMPLE_RATE, torch.Generator().manual_seed(SEED + 1))
    embeddings = F.normalize(model(audio).embeddings)
    first, second = torch.triu_indices(len(audio), len(audio), offset=1)
    ascending = (embeddings[first] * embeddings[second]).sum(1).argsort()
    same = (speaker[first] == speaker[second])[ascending].double()
    missed, passed = same.cumsum(0) / same.sum(), 1 - (1 - same).cumsum(0) / (1 - same).sum()
    nearest = (missed - passed).abs().argmin()
    return ((missed + passed) / 2)[nearest].item()


def pretrain(
    name: str,
    model: PreTrainedModel,
    extractor: Any,
    parameters: list[nn.Parameter],
    loss: Callable[[], Tensor],
    measure: Callable[[], dict[str, float]],
    steps: int,
) -> None:
    """Minimise `loss`, and write the folder of `model` in the hub's format, in place of the old one, with what is
    measured before and after. AdamW, with a learning rate that rises to .003 and falls to zero as a cosine."""
    began, random_weights = time.process_time(), measure()
    model.train()
    optimiser = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimiser, steps // 20, steps)
    progress = tqdm(range(steps), desc=name, unit="step")
    for _ in progress:
        value = loss()
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        progress.set_postfix(loss=f"{value.item():.3f}", refresh=False)
    model.eval()
    recipe = {
        "seed": SEED,
        "parameters": model.num_parameters(),
        "steps": steps,
        "cpu_minutes": round((time.process_time() - began) / 60, 1),
        "held_out_speakers": {"pretrained": measure(), "random_weights": random_weights},
    }

    def write(partial: Path) -> None:
        model.save_pretrained(partial)
        extractor.save_pretrained(partial)
        (partial / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")

    complete(HERE / name, write, replace=True)


MAKERS: dict[str, Callable[[str, Pool], None]] = {
    "wavlm-nano": lambda name, speech: make_listener(WavLMListener(), name, speech),
    "whisper-nano": lambda name, speech: make_listener(WhisperListener(), name, speech),
    "speaker-nano": make_speaker_encoder,
}


def main() -> None:
    """Make the encoders that the command line names."""
    parser = argparse.ArgumentParser(description="Make the small encoders of this folder.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(MAKERS)}; by default all")
    names = parser.parse_args().names or list(MAKERS)
    if unknown := set(names) - MAKERS.keys():
        parser.error(f"unknown encoder {', '.join(sorted(unknown))}; there are {', '.join(MAKERS)}")
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    speech = pool.load(HERE.parent / "data", SEED)
    for name in names:
        set_seed(SEED)
        MAKERS[name](name, speech)


if __name__ == "__main__":
    main()
