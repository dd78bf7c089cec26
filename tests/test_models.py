"""The encoders that the repository ships: they load, hear at the promised rate, and learnt what their card says."""

import json
import runpy
import sys
from importlib import import_module
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForAudioXVector

MODELS = Path(__file__).parents[1] / "models"
CLASSES = {"wavlm-nano": AutoModel, "whisper-nano": AutoModel, "speaker-nano": AutoModelForAudioXVector}
RATE = 16_000


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def load(name):
    return CLASSES[name].from_pretrained(MODELS / name, local_files_only=True).eval()


def harmonics(f0, level, seconds=1.0):
    """A sum of sines at the multiples of f0, with amplitudes 1/k, at a root mean square of `level`."""
    order = np.arange(1, int(4_000 / f0) + 1)
    phase = 2 * np.pi * np.outer(np.arange(int(seconds * RATE)) / RATE, f0 * order)
    sound = (np.sin(phase + order**2) / order).sum(axis=1)
    return torch.tensor(sound * level / np.sqrt(np.mean(sound**2)), dtype=torch.float32)


@pytest.mark.parametrize("name", CLASSES)
def test_is_small(name):
    assert sum(file.stat().st_size for file in (MODELS / name).iterdir()) < 2e6


@pytest.mark.parametrize("name", CLASSES)
def test_weights_are_complete(name):
    _, loading = CLASSES[name].from_pretrained(MODELS / name, local_files_only=True, output_loading_info=True)
    assert not any(loading.values()), loading


@pytest.mark.parametrize("name", ["wavlm-nano", "speaker-nano"])
def test_loudness_is_kept(name):
    extractor = AutoFeatureExtractor.from_pretrained(MODELS / name, local_files_only=True)
    sound = 0.01 * np.ones(RATE, np.float32)
    np.testing.assert_array_equal(extractor(sound, sampling_rate=RATE)["input_values"][0], sound)
    assert "attention_mask" in extractor([sound], sampling_rate=RATE)


def test_wavlm_has_25_frames_a_second():
    with torch.no_grad():
        frames = load("wavlm-nano")(torch.zeros(2, 4 * RATE)).last_hidden_state.shape[1]
    assert 4 * 25 - 2 <= frames <= 4 * 25


def test_whisper_has_50_frames_a_second_of_its_15_seconds():
    extractor = AutoFeatureExtractor.from_pretrained(MODELS / "whisper-nano", local_files_only=True)
    features = extractor(np.zeros(20 * RATE, np.float32), sampling_rate=RATE, return_tensors="pt").input_features
    with torch.no_grad():
        assert load("whisper-nano").encoder(features).last_hidden_state.shape == (1, 15 * 50, 64)


def test_padding_changes_no_valid_frame():
    model = load("wavlm-nano")
    sound = harmonics(150, 0.1)[None]
    padded = torch.nn.functional.pad(sound, (0, 2 * RATE))
    with torch.no_grad():
        alone = model(sound).last_hidden_state
        together = model(padded, attention_mask=(torch.arange(3 * RATE) < RATE)[None].long()).last_hidden_state
    torch.testing.assert_close(together[:, : alone.shape[1]], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def hear_wavlm(model, sounds):
    states = model(torch.stack(sounds), output_hidden_states=True).hidden_states
    return torch.stack(states).mean(dim=(0, 2))


@torch.no_grad()
def hear_whisper(model, sounds):
    extractor = AutoFeatureExtractor.from_pretrained(MODELS / "whisper-nano", local_files_only=True)
    features = extractor([sound.numpy() for sound in sounds], sampling_rate=RATE, return_tensors="pt").input_features
    states = model.encoder(features, output_hidden_states=True).hidden_states
    return torch.stack(states)[:, :, :50].mean(dim=(0, 2))


@torch.no_grad()
def unexplained(states, log_f0):
    """Share of the variance of log F0 that a ridge regression leaves, on sounds that it was not fitted on."""
    half = len(log_f0) // 2
    states = (states - states[:half].mean(0)) / states[:half].std(0)
    known = log_f0[:half] - log_f0[:half].mean()
    weights = torch.linalg.solve(states[:half].T @ states[:half] + torch.eye(states.shape[1]), states[:half].T @ known)
    return 1 - torch.corrcoef(torch.stack([states[half:] @ weights, log_f0[half:]]))[0, 1].item() ** 2


@pytest.mark.parametrize(("name", "hear"), [("wavlm-nano", hear_wavlm), ("whisper-nano", hear_whisper)])
def test_hears_pitch_in_noise_better_than_random_weights(name, hear):
    generator = np.random.default_rng(0)
    f0 = np.exp(generator.uniform(np.log(80), np.log(300), 60))
    level = generator.uniform(0.01, 0.2, 60)
    sounds = [
        harmonics(one, loud) + torch.tensor(generator.normal(0, loud, RATE), dtype=torch.float32)
        for one, loud in zip(f0, level, strict=True)
    ]
    pretrained = load(name)
    torch.manual_seed(0)
    untrained = AutoModel.from_config(pretrained.config).eval()
    left = [unexplained(hear(model, sounds), torch.tensor(np.log(f0)).float()) for model in (pretrained, untrained)]
    assert left[0] < 0.1
    assert left[0] < left[1] / 2


def test_speakers_that_were_never_learnt_are_told_apart():
    pytest.importorskip("espeakng_loader")
    from simulation.espeak import Prompt, synthesise

    voices = ["en-us+Annie", "en-us+m1", "en-gb-scotland+max", "en-us+linda", "en-us+norbert", "en-gb-x-rp+steph"]
    texts = ["A quiet morning by the river.", "Nobody has answered the letter yet.", "Seven trains left the station."]
    prompts = [
        Prompt(text, voice, 50, 50, rate, 100)
        for voice in voices
        for text, rate in zip(texts, (150, 170, 190), strict=True)
    ]
    model = load("speaker-nano")
    with torch.no_grad():
        embeddings = [
            normalize(model(torch.tensor(audio / 32_768, dtype=torch.float32)[None]).embeddings)[0]
            for audio in synthesise(prompts, processes=1)
        ]
    pairs = list(combinations(range(len(prompts)), 2))
    cosine = np.array([float(embeddings[first] @ embeddings[second]) for first, second in pairs])
    same = np.array([prompts[first].voice == prompts[second].voice for first, second in pairs])
    above = np.mean(cosine[same][:, None] > cosine[~same][None])
    assert above > 0.8, f"a pair of one speaker is nearer than a pair of two in only {above:.0%}"


@pytest.mark.parametrize("name", CLASSES)
def test_card_cites_what_the_recipe_measured(name):
    card = (MODELS / "README.md").read_text(encoding="utf-8")
    row = next(line for line in card.splitlines() if line.startswith(f"| [{name}]"))
    measured = json.loads((MODELS / name / "recipe.json").read_text(encoding="utf-8"))
    assert measured["parameters"] == load(name).num_parameters()
    assert f"{measured['parameters']:,}" in row
    for values in measured["held_out_speakers"].values():
        for value in values.values():
            assert f"{value:.2f}" in row, (value, row)


class TestTargets:
    """The acoustic targets against sounds of which they are known."""

    module = vars(import_module("simulation.pretraining.targets"))

    def test_f0_voicing_and_energy_of_a_harmonic_sound(self):
        told = self.module["targets"](harmonics(125.0, 0.1)[None], 640, 905, 20)
        np.testing.assert_allclose(told.f0.exp(), 125.0, rtol=0.01)
        assert (told.voiced == 1).all()
        hann_power = 3 / 8
        np.testing.assert_allclose(told.energy, np.log(0.1**2 * hann_power), atol=0.05)

    def test_noise_is_unvoiced(self):
        noise = 0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
        assert self.module["targets"](noise, 640, 905, 20).voiced.mean() < 0.1

    def test_a_tone_lies_in_the_band_of_its_frequency(self):
        tone = torch.sin(2 * torch.pi * 1_000 * torch.arange(RATE) / RATE)[None]
        highest = self.module["targets"](tone, 640, 905, 20).mel.argmax(-1)
        mel = 2595 * np.log10(1 + np.array([60.0, 1_000.0, 7_600.0]) / 700)
        expected = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (self.module["BANDS"] + 1) - 1
        assert (highest - expected).abs().max() <= 1


def test_recipe_refuses_an_unknown_name(monkeypatch, capsys):
    monkeypatch.syspath_prepend(MODELS)
    monkeypatch.setattr(sys, "argv", ["recipe.py", "wavlm-giant"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module("simulation.pretraining.recipe", run_name="__main__")
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("unknown encoder wavlm-giant; there are wavlm-nano, whisper-nano, speaker-nano")
    )
