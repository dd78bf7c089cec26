"""Small encoders of the real architectures, saved in the hub's format, against transformers' own modules."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import (
    HubertConfig,
    HubertModel,
    RobertaConfig,
    RobertaModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMForXVector,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from sercore import InputError, hub
from sercore.cache import model_digest
from sercore.encoders import SpeakerEncoder, TextEncoder
from sercore.features import moments
from sercore.hub import encoder_config, locate
from sercore.network.encoders import AudioInputs, SpeechEncoder
from sercore.params import ParamsError

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
KINDS = {
    "wavlm, layer norm": (WavLMModel, WavLMConfig, {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "wavlm, group norm": (WavLMModel, WavLMConfig, {"feat_extract_norm": "group"}),
    "wav2vec 2.0": (Wav2Vec2Model, Wav2Vec2Config, {"feat_extract_norm": "group"}),
    "hubert": (HubertModel, HubertConfig, {"feat_extract_norm": "layer"}),
}


@pytest.fixture(params=KINDS)
def checkpoint(request, tmp_path, project) -> Path:
    model, config, norm = KINDS[request.param]
    torch.manual_seed(0)
    model(config(**SMALL, **norm, layerdrop=0.5)).save_pretrained(tmp_path / "encoder")
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.fixture
def whisper(tmp_path, project) -> Path:
    torch.manual_seed(0)
    layers = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = WhisperConfig(
        **layers, **heads, num_mel_bins=20, max_source_positions=100, vocab_size=8, pad_token_id=0, bos_token_id=1
    )
    WhisperModel(config).save_pretrained(tmp_path / "whisper")
    WhisperFeatureExtractor(feature_size=20, chunk_length=2).save_pretrained(tmp_path / "whisper")
    return tmp_path / "whisper"


def load(checkpoint: Path, finetune: bool, states: str = "raw") -> SpeechEncoder:
    encoder = SpeechEncoder(encoder_config(str(checkpoint)), finetune, states=states)
    encoder.load_pretrained(str(checkpoint))
    return encoder.eval()


def waveforms(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(0.2, 0.1, length).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("finetune", [True, False])
def test_hidden_states_are_those_of_transformers(checkpoint, finetune):
    encoder, inputs = load(checkpoint, finetune), AudioInputs(str(checkpoint))
    theirs = (KINDS_BY_TYPE[encoder.config.model_type]).from_pretrained(checkpoint).eval()
    (waveform,) = waveforms(6000)
    audio = inputs(waveform)[None]
    assert audio.mean().item() == pytest.approx(0, abs=1e-5)  # do_normalize is followed
    features, frames = encoder.frozen_part(audio, torch.tensor([6000]))
    expected = theirs(audio, output_hidden_states=True).hidden_states
    assert len(expected) == encoder.layers
    for their, chosen in zip(expected, torch.eye(encoder.layers), strict=True):
        tolerance = 1e-5 if finetune else 1e-3  # what is frozen is kept in half precision
        torch.testing.assert_close(encoder(features, frames, chosen), their[0], atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("finetune", [True, False])
def test_hidden_states_are_brought_to_a_common_scale(checkpoint, finetune):
    inputs, weights = AudioInputs(str(checkpoint)), torch.tensor([0.2, 0.3, 0.5])
    audio, samples = inputs(waveforms(6000)[0])[None], torch.tensor([6000])
    theirs = (KINDS_BY_TYPE[encoder_config(str(checkpoint)).model_type]).from_pretrained(checkpoint).eval()
    states = [state[0] for state in theirs(audio, output_hidden_states=True).hidden_states]
    encoder = load(checkpoint, finetune, "layer_normalised")
    norm = torch.nn.LayerNorm(16, elementwise_affine=False)
    expected = sum(weight * norm(state) for weight, state in zip(weights, states, strict=True))
    torch.testing.assert_close(encoder(*encoder.frozen_part(audio, samples), weights), expected, atol=2e-3, rtol=1e-3)


def test_standardised_states_have_mean_0_and_deviation_1_over_what_they_were_told(checkpoint):
    encoder, inputs = load(checkpoint, False, "standardised"), AudioInputs(str(checkpoint))
    parts = [encoder.frozen_part(inputs(one)[None], torch.tensor([len(one)])) for one in waveforms(6000, 9000, 7000)]
    encoder.moments.copy_(torch.tensor(moments(part.numpy() for part, _ in parts)))
    for layer in torch.eye(encoder.layers):
        values = torch.cat([encoder(*part, layer) for part in parts])
        torch.testing.assert_close(values.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
        torch.testing.assert_close(values.std(0, correction=0), torch.ones(16), atol=1e-3, rtol=0)


KINDS_BY_TYPE = {"wavlm": WavLMModel, "wav2vec2": Wav2Vec2Model, "hubert": HubertModel}


@pytest.mark.parametrize("finetune", [True, False])
def test_padding_and_neighbours_change_nothing(checkpoint, finetune):
    encoder, inputs = load(checkpoint, finetune), AudioInputs(str(checkpoint))
    audio = [inputs(waveform) for waveform in waveforms(6000, 9000, 700)]
    samples = torch.tensor([len(one) for one in audio])
    features, frames = encoder.frozen_part(torch.nn.utils.rnn.pad_sequence(audio, batch_first=True), samples)
    weights = torch.linspace(0.1, 1, encoder.layers)
    batch = encoder(features, frames, weights).split(frames.tolist())
    for row, one in enumerate(audio):
        single_features, single_frames = encoder.frozen_part(one[None], samples[row : row + 1])
        assert single_frames.item() == frames[row].item()
        alone = encoder(single_features, single_frames, weights)
        tolerance = 1e-5 if finetune else 2e-3
        torch.testing.assert_close(batch[row], alone, atol=tolerance, rtol=tolerance)


def test_fine_tuning_trains_the_transformer_and_never_the_front_end(checkpoint):
    encoder, inputs = load(checkpoint, True).train(), AudioInputs(str(checkpoint))
    encoder.config.mask_time_prob = 0.0
    features, frames = encoder.frozen_part(inputs(waveforms(6000)[0])[None], torch.tensor([6000]))
    assert not features.requires_grad
    encoder(features, frames, torch.ones(encoder.layers)).sum().backward()
    assert all(parameter.grad is None for parameter in encoder.front_end.parameters())
    assert any(parameter.grad is not None for parameter in encoder.transformer.parameters())


def test_a_frozen_encoder_stays_in_evaluation_mode(checkpoint):
    encoder = load(checkpoint, False).train()
    assert not encoder.transformer.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_whisper_states_are_those_of_transformers_that_attend_to_no_silence(whisper):
    """Each utterance has its own length; where it fills the window, the states are those of transformers as it is."""
    encoder, inputs = load(whisper, False), AudioInputs(str(whisper))
    theirs = WhisperModel.from_pretrained(whisper).encoder.eval()
    sounds, extractor = waveforms(8000, 32_000, 100), WhisperFeatureExtractor.from_pretrained(whisper)
    spectrograms = extractor(sounds, sampling_rate=16_000, return_tensors="pt").input_features
    assert [len(inputs(sound)) for sound in sounds] == [51, 200, 3]  # without the silence that fills the window
    packed = torch.nn.utils.rnn.pad_sequence([inputs(sound) for sound in sounds], batch_first=True)
    features, frames = encoder.frozen_part(packed, torch.tensor([len(sound) for sound in sounds]))
    assert frames.tolist() == [25, 100, 1]  # at 50 Hz
    assert encoder.frozen_part(packed[:1], torch.tensor([99 * 16_000]))[1].item() == 100  # all it has
    for row, utterance in enumerate(features.split(frames.tolist())):
        silent = torch.arange(100) >= frames[row]
        mask = torch.zeros(1, 1, 1, 100).masked_fill(silent, -torch.inf)

        def masked(layer, arguments, mask=mask):
            return arguments[0], mask

        handles = [layer.register_forward_pre_hook(masked) for layer in theirs.layers]
        expected = theirs(spectrograms[row : row + 1], output_hidden_states=True).hidden_states
        [handle.remove() for handle in handles]
        states = utterance.float().unbind(1)
        for ours, their in zip(states, expected, strict=True):
            torch.testing.assert_close(ours, their[0, : frames[row]], atol=1e-3, rtol=1e-3)
    whole = theirs(spectrograms[1:2], output_hidden_states=True).hidden_states
    torch.testing.assert_close(features[25:125], torch.stack(whole, 2)[0].half(), atol=1e-3, rtol=1e-3)


def test_text_embedding_is_sentence_transformers_own():
    name = "sentence-transformers/all-MiniLM-L6-v2"
    texts = ["What a lovely day.", None, "I could not care less about any of this, frankly.", "  ", "No."]
    found = np.concatenate(list(TextEncoder(name)(texts, batch_size=2)))
    expected = SentenceTransformer(locate(name), device="cpu").encode([texts[0], texts[2], texts[4]])
    np.testing.assert_allclose(found[[0, 2, 4]], expected, atol=1e-5)
    assert not found[[1, 3]].any()  # a missing or empty transcript gets zeros


def test_a_roberta_folder_is_a_text_encoder(tmp_path, project):
    minilm = TextEncoder("sentence-transformers/all-MiniLM-L6-v2")
    config = RobertaConfig(
        vocab_size=minilm.inputs.tokenizer.vocab_size, hidden_size=16, num_hidden_layers=1, pad_token_id=0
    )
    config.update({"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 514})
    RobertaModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "roberta")
    minilm.inputs.tokenizer.save_pretrained(tmp_path / "roberta")
    encoder = TextEncoder(str(tmp_path / "roberta"))
    assert model_digest(encoder.model) == model_digest(TextEncoder(str(tmp_path / "roberta")).model)
    (embedding,) = encoder(["A long text. " * 300])
    assert embedding.shape == (1, 16)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


def test_speaker_embedding_is_the_normalised_x_vector(tmp_path, project):
    torch.manual_seed(0)
    config = WavLMConfig(**SMALL, tdnn_dim=(8, 8), tdnn_kernel=(3, 1), tdnn_dilation=(1, 1), xvector_output_dim=8)
    WavLMForXVector(config).save_pretrained(tmp_path / "speaker")
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path / "speaker")
    (waveform,) = waveforms(18_000)
    theirs = WavLMForXVector.from_pretrained(tmp_path / "speaker").eval()(torch.tensor(waveform)[None]).embeddings
    found = SpeakerEncoder(str(tmp_path / "speaker"))(waveform)
    np.testing.assert_allclose(found, torch.nn.functional.normalize(theirs).detach().numpy(), atol=1e-5)


def test_a_hub_model_without_a_network_is_one_clear_sentence(project, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ParamsError, match=r"encoder 'someone/no-such-model' .* `hf download someone/no-such-model`"):
        encoder_config("someone/no-such-model")


def test_an_encoder_for_another_sampling_rate_is_refused(tmp_path, project):
    Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path / "telephone")
    with pytest.raises(InputError, match="wants audio at 8000 Hz"):
        hub.pretrained(AudioInputs, str(tmp_path / "telephone"))


def test_a_model_of_another_kind_is_refused(project):
    with pytest.raises(InputError, match=r"a bert model, or .* set speech\.encoder to .* data2vec-audio, hubert, "):
        SpeechEncoder(encoder_config("sentence-transformers/all-MiniLM-L6-v2"), finetune=True)
    with pytest.raises(InputError, match="add_adapter"):
        SpeechEncoder(Wav2Vec2Config(add_adapter=True), finetune=True)
    with pytest.raises(ParamsError, match="encoder 'models/wavlm-nano' was not trained to tell speakers"):
        SpeakerEncoder("models/wavlm-nano")
    with pytest.raises(ParamsError, match=r"encoder 'models/whisper-nano': .* holds no usable model"):
        SpeakerEncoder("models/whisper-nano")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_model_is_named(checkpoint, name):
    (checkpoint / name).write_bytes((checkpoint / name).read_bytes()[:100])
    with pytest.raises(ParamsError, match=r"holds no usable model .*replace it\.$") as error:
        hub.pretrained(SpeechEncoder(encoder_config(str(checkpoint)), finetune=False).load_pretrained, str(checkpoint))
    assert "\n" not in str(error.value)


def test_the_shortest_utterance_has_one_frame(checkpoint):
    speech = SpeechEncoder(encoder_config(str(checkpoint)), finetune=False).eval()
    audio = torch.zeros(1, speech.shortest)
    assert speech.frozen_part(audio, torch.tensor([speech.shortest]))[1].tolist() == [1]
    with pytest.raises(ValueError, match="too short for one frame"):
        speech.frozen_part(audio[:, 1:], torch.tensor([speech.shortest - 1]))
