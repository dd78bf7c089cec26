import pandas as pd
import pytest

from sercore import corpora, params, predict
from sercore.corpus import CorpusError
from sercore.features import pretrained_features
from sercore.predict import evaluate
from sercore.runs import PREDICTED
from sercore.training import train

SYSTEMS = (
    "fusion",
    "whisper_fusion",
    "whisper_lora",
    "fusion_text_lora",
    "fusion_speaker",
    "fusion_speaker_embedding",
    "fusion_speaker_normalised",
)


@pytest.fixture
def manifest(project, tones):
    """`tones` as a corpus that the parameters name."""
    path = project / "tones.csv"
    tones.table.to_csv(path)
    return {"reader": "manifest", "path": str(path)}


def trained(variant, manifest, overrides):
    loaded = params.load("embedded", variant, 0, overrides | {"corpus": manifest})
    return train(loaded, corpora.read(loaded.corpus, 0))


def predicted(path):
    return pd.read_parquet(path).set_index("utterance")[PREDICTED]


@pytest.mark.parametrize("variant", SYSTEMS)
def test_on_the_corpus_as_it_is_a_run_predicts_what_training_predicted(project, small, manifest, variant):
    run = trained(variant, manifest, small)
    path = evaluate(run.folder, "same", {})
    assert path == run.folder / "tests" / "same.parquet"
    expected = run.predictions.set_index("utterance")[PREDICTED]
    pd.testing.assert_frame_equal(predicted(path), expected, atol=1e-4, check_dtype=False)


@pytest.mark.parametrize("section", [{"training": {"precision": "bfloat16"}}, {"speech": {"cache": False}}])
def test_precision_and_cache_are_those_of_the_run(project, small, manifest, section):
    run = trained("fusion", manifest, small | {name: small.get(name, {}) | value for name, value in section.items()})
    expected = run.predictions.set_index("utterance")[PREDICTED]
    pd.testing.assert_frame_equal(predicted(evaluate(run.folder, "same", {})), expected, atol=1e-4, check_dtype=False)


def test_another_corpus_is_predicted_in_its_own_scale(project, small, manifest, tones):
    run = trained("fusion", manifest, small)
    halved = tones.table.assign(
        **{name: (tones.table[name] - 1) / 2 + 1 for name in ("arousal", "valence", "dominance")}
    )
    halved.rename(index="other {}".format).to_csv(project / "other.csv")
    other = {"reader": "manifest", "path": str(project / "other.csv"), "scale": [1, 4]}
    expected = (predicted(evaluate(run.folder, "same", {})) - 1) / 2 + 1
    pd.testing.assert_frame_equal(
        predicted(evaluate(run.folder, "other", other)), expected.rename("other {}".format), atol=1e-4
    )


def test_a_test_is_made_once_and_anew_where_its_corpus_has_changed_or_it_is_damaged(
    project, small, manifest, tones, monkeypatch
):
    run = trained("fusion", manifest, small)
    table = tones.table.assign(transcript="Other words.")
    table.to_csv(project / "words.csv")
    override, count, plain = {"path": str(project / "words.csv")}, [], predict._predictions
    monkeypatch.setattr(predict, "_predictions", lambda *given: count.append(1) or plain(*given))
    path = evaluate(run.folder, "words", override)
    first = pd.read_parquet(path)
    pd.testing.assert_frame_equal(pd.read_parquet(evaluate(run.folder, "words", override)), first)
    assert len(count) == 1
    path.write_bytes(path.read_bytes()[:100])
    pd.testing.assert_frame_equal(pd.read_parquet(evaluate(run.folder, "words", override)), first)
    assert len(count) == 2
    table.assign(transcript="Words again.").to_csv(project / "words.csv")
    assert (pd.read_parquet(evaluate(run.folder, "words", override))[PREDICTED] != first[PREDICTED]).any(axis=None)
    assert [item.name for item in path.parent.iterdir()] == ["words.parquet"]


def test_a_corpus_without_anything_to_test_on_is_refused(project, small, manifest, tones):
    run = trained("speech_only", manifest, small)
    tones.table[tones.table["split"] == "train"].to_csv(project / "train.csv")
    with pytest.raises(CorpusError, match="corpus train has no labelled utterance outside its training split"):
        evaluate(run.folder, "train", {"path": str(project / "train.csv")})


def test_an_unknown_key_or_a_folder_without_model_is_named(project, small, manifest, tmp_path):
    run = trained("speech_only", manifest, small)
    with pytest.raises(
        params.ParamsError,
        match=r"unknown parameter 'corpus\.scales'; valid are reader, path, .*transcripts, damaged, scale",
    ):
        evaluate(run.folder, "wrong", {"scales": 3})
    with pytest.raises(params.ParamsError, match="holds no trained model"):
        evaluate(tmp_path, "wrong", {})


def test_training_features_and_evaluation_allow_a_gpu_the_same_kernels(project, small, manifest, monkeypatch):
    asked = []
    for name in ("training", "features", "predict"):
        monkeypatch.setattr(f"sercore.{name}.choose_kernels", asked.append)
    small["training"]["deterministic"] = False
    run = trained("speech_only", manifest, small)
    pretrained_features(run.params, corpora.read(run.params.corpus, 0).table)
    evaluate(run.folder, "same", {})
    assert asked == [False] * 3
