"""Resemblyzer's speaker encoder, trained by the generalised end-to-end loss (Wan et al. 2018, arXiv 1710.10467).

Its network and preprocessing, since the package's own module imports a voice activity detector that needs a compiler;
the weights are the package's. Silences are not cut out.
"""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.audio_utils import mel_filter_bank

from sercore.audio import SAMPLE_RATE
from sercore.hub import require_digest
from sercore.params import ParamsError

NAME = "Resemblyzer"
PACKAGE = "Resemblyzer==0.1.4"
SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"  # of its weights
WIDTH = 256
WINDOW, HOP, BANDS = 400, 160, 40  # of the mel spectrogram, in samples; its bands
PART, STEP = 160, 77  # frames that are embedded at a time, and from one part to the next
COVERED = 0.75  # share of the last part that must be there
LEVEL = 10 ** (-30 / 20)  # root mean square to which a quieter utterance is raised


class GE2E(nn.Module):
    """Speaker embedding; `ParamsError` if the package with the weights is not installed, or damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, num_layers=3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)
        bands = mel_filter_bank(WINDOW // 2 + 1, BANDS, 0, SAMPLE_RATE / 2, SAMPLE_RATE, "slaney", "slaney")
        self.bands: Tensor
        self.register_buffer("bands", torch.tensor(bands, dtype=torch.float32), persistent=False)
        package = importlib.util.find_spec("resemblyzer")
        if not package or not package.origin:
            problem = f"encoder {NAME!r} needs the package that carries it"
            raise ParamsError(f"{problem}: `pip install --no-deps {PACKAGE}` brings it.")
        path = Path(package.origin).with_name("pretrained.pt")
        require_digest(NAME, path, SHA256, PACKAGE)
        weights = torch.load(path, "cpu", weights_only=True)["model_state"]
        self.load_state_dict({name: weights[name] for name in self.state_dict()})

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform (samples,) at 16 kHz to its L2-normalised embedding (1, `WIDTH`): the mean of those of its parts."""
        level = waveform.square().mean().sqrt()
        waveform = waveform * (LEVEL / level).clamp(min=1) if level > 0 else waveform
        starts = range(0, max(1, len(waveform) // HOP + 1 - PART + STEP + 1), STEP)
        if len(starts) > 1 and len(waveform) < (starts[-1] + COVERED * PART) * HOP:
            starts = starts[:-1]
        padded = functional.pad(waveform, (0, max(0, (starts[-1] + PART) * HOP - len(waveform))))
        window = torch.hann_window(WINDOW, device=waveform.device)
        spectrum = torch.stft(padded, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)
        mel = spectrum.abs().square().T @ self.bands  # (frames, bands)
        parts = mel.unfold(0, PART, STEP)[: len(starts)].transpose(1, 2)  # (parts, frames, bands)
        _, (hidden, _) = self.lstm(parts)
        embeddings = functional.normalize(functional.relu(self.linear(hidden[-1])))
        return functional.normalize(embeddings.mean(0, keepdim=True))
