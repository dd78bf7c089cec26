"""What the small encoders learn to tell of each of their frames: log-mel spectrum, energy, voicing and F0."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from sercore.audio import SAMPLE_RATE

WINDOW = 1_024  # samples of a frame's window: 64 ms
BANDS = 40  # mel bands from 60 Hz to 7.6 kHz
LAGS = torch.arange(SAMPLE_RATE // 500, SAMPLE_RATE // 60)  # periods that F0 may have: 60 to 500 Hz


@dataclass(frozen=True)
class Targets:
    """Natural logarithms of power, energy and F0 in Hz, and voicing as 0 or 1.

    All have shape (rows, frames) but `mel`, which has (rows, frames, BANDS).
    """

    mel: Tensor
    energy: Tensor
    voiced: Tensor
    f0: Tensor


def targets(audio: Tensor, hop: int, centre: int, frames: int) -> Targets:
    """Targets of Hann-windowed `frames` of `audio` (rows, samples) at 16 kHz, one every `hop` samples; `centre` is the
    sample in the middle of the first.

    F0 is the highest peak of the autocorrelation, divided by the window's own and at a cost of .01 an octave; a frame
    is voiced where the peak exceeds .6 (after Boersma 1993, Proceedings of the Institute of Phonetic Sciences 17).
    """
    window = torch.hann_window(WINDOW)
    padded = F.pad(audio, (WINDOW, WINDOW + hop * frames))
    framed = padded[:, WINDOW // 2 + centre :].unfold(1, WINDOW, hop)[:, :frames] * window
    power = torch.fft.rfft(framed, n=2 * WINDOW).abs().square()  # (rows, frames, WINDOW + 1)
    filters = mel_filter_bank(WINDOW // 2 + 1, BANDS, 60.0, 7_600.0, SAMPLE_RATE, mel_scale="htk")
    correlation = torch.fft.irfft(power)
    own = torch.fft.irfft(torch.fft.rfft(window, n=2 * WINDOW).abs().square())
    relative = correlation[..., LAGS] / (correlation[..., :1] + 1e-4) / (own[LAGS] / own[0])
    peak, best = (relative - 0.01 * torch.log2(LAGS / LAGS[0])).max(-1)
    return Targets(
        mel=torch.log(power[..., ::2] @ torch.tensor(filters, dtype=torch.float32) + 1e-5),
        energy=torch.log(framed.square().mean(-1) + 1e-8),
        voiced=(peak > 0.6).float(),
        f0=torch.log(SAMPLE_RATE / LAGS[best]),
    )


class Readout(nn.Module):
    """A linear map from hidden states of a `width` to targets scaled to mean 0 and variance 1, as in a `sample` of
    targets; F0's scale comes from voiced frames."""

    def __init__(self, width: int, sample: Targets) -> None:
        super().__init__()
        self.linear = nn.Linear(width, BANDS + 3)
        f0 = sample.f0[sample.voiced > 0]
        columns = torch.cat([sample.mel, sample.energy[..., None]], dim=-1).flatten(0, 1)
        self.mean = torch.cat([columns.mean(0), f0.mean()[None]])
        self.deviation = torch.cat([columns.std(0), f0.std()[None]])

    def loss(self, states: Tensor, wanted: Targets, weight: Tensor) -> Tensor:
        """Squared errors of mel spectrum (mean of the bands), energy and F0, plus the cross-entropy of voicing.

        `states` are (rows, frames, width), the targets `wanted` of the same frames; `weight` (rows, frames) is that of
        each frame in the mean. F0 counts where voiced.
        """
        predicted = self.linear(states)
        values = torch.cat([wanted.mel, wanted.energy[..., None], wanted.f0[..., None]], dim=-1)
        squares = (predicted[..., :-1] - (values - self.mean) / self.deviation).square()
        voicing = F.binary_cross_entropy_with_logits(predicted[..., -1], wanted.voiced, reduction="none")
        errors = squares[..., :BANDS].mean(-1) + squares[..., BANDS] + voicing
        spoken = weight * wanted.voiced
        return (weight * errors).sum() / weight.sum() + (spoken * squares[..., -1]).sum() / spoken.sum()
