"""Parameters: profile, variant and overrides merge in this order; what is unknown is refused with what is known."""

from pathlib import Path

import pytest
import yaml

from sercore import params
from sercore.corpora import emotale
from sercore.params import ParamsError
from study import show

ROOT = Path(__file__).parents[1]
PROFILE = """
corpus: {reader: simulation.release, path: data/simulated}
speech: {encoder: models/nano, finetune: true, cache: true}
text: {encoder: minilm}
speaker: null
heads: {}
loss: {}
sampling: {samples_per_emotion: 16, validation_per_emotion: 8}
training: {epochs: 3, batch_size: 32, learning_rate: 1.0e-3}
"""
VARIANTS = """
fusion: {paper: "Table 2"}
speech_only: {paper: "Table 2", text: null}
gender: {paper: "Table 3", loss: {gender: 1.0}}
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "small.yaml").write_text(PROFILE)
    (tmp_path / "params" / "variants.yaml").write_text(VARIANTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_profile_variant_and_overrides_merge_in_this_order(root):
    merged = params.load("small", "gender", 3, {"loss": {"gender": 0.5, "speaker": 0.1}, "training": {"epochs": 1}})
    assert (merged.profile, merged.variant, merged.seed) == ("small", "gender", 3)
    assert (merged.loss.gender, merged.loss.speaker) == (0.5, 0.1)
    assert (merged.training.epochs, merged.training.batch_size) == (1, 32)
    assert params.load("small", "gender", 0).loss.gender == 1.0
    assert params.load("small", "fusion", 0).loss.gender == 0.0


def test_null_removes_an_encoder(root):
    assert params.load("small", "fusion", 0).text.encoder == "minilm"
    assert params.load("small", "speech_only", 0).text is None


def test_another_reader_replaces_the_corpus_as_a_whole(root):
    merged = params.load("small", "fusion", 0, {"corpus": {"reader": "emotale", "path": "/corpora/emotale"}})
    assert merged.corpus == emotale.Params(reader="emotale", path="/corpora/emotale")
    same = params.load("small", "fusion", 0, {"corpus": {"train_speakers": 8}})
    assert (same.corpus.path, same.corpus.train_speakers) == (Path("data/simulated"), 8)


@pytest.mark.parametrize(
    ("profile", "variant", "overrides", "sentence"),
    [
        ("large", "fusion", {}, "unknown profile 'large'; params/ has small"),
        ("small", "fusoin", {}, "unknown variant 'fusoin'; params/variants.yaml has fusion, speech_only, gender"),
        (
            "small",
            "fusion",
            {"loss": {"gendre": 1}},
            "unknown parameter 'loss.gendre'; valid are attributes, gender, speaker",
        ),
        ("small", "fusion", {"epochs": 1}, "unknown parameter 'epochs'; valid are profile, variant, seed, corpus"),
        ("small", "fusion", {"corpus": {"folds": 3}}, "'corpus.folds' is 3: this corpus has an official split"),
        ("small", "fusion", {"text": {"encoder": "x", "layer": 3}}, "'text.layer'; valid are encoder"),
        ("small", "fusion", {"training": {"epochs": 0}}, "'training.epochs' is 0: .*greater than or equal to 1"),
        ("small", "fusion", {"training": {"epochs": "ten"}}, "'training.epochs' is 'ten'"),
        (
            "small",
            "fusion",
            {"corpus": {"reader": "ravdess"}},
            "'corpus.reader' is 'ravdess', which cannot be imported .*; valid are emotale",
        ),
        ("small", "fusion", {"corpus": {"reader": None}}, "'corpus.reader' is None; valid are emotale"),
        ("small", "fusion", {"corpus": {"reader": "emotale"}}, "'corpus.path' is missing"),
        ("small", "fusion", {"corpus": "emotale"}, "'corpus' is 'emotale', not a mapping"),
        ("small", "fusion", {"training": None}, "'training' is None, not a mapping"),
        ("small", "fusion", {"text": "roberta"}, "'text' is 'roberta', not a mapping"),
        ("small", "fusion", {"training": {"learning_rate": float("inf")}}, "'training.learning_rate' is inf"),
        ("small", "fusion", {"training": {"batch_size": 1}}, "'training.batch_size' is 1: .*or equal to 2"),
        ("small", ["fusion"], {}, "unknown variant .'fusion'.; params/variants.yaml has fusion"),
        ("small", "fusion", "{training: {epochs: 2}}", "overrides is '.*', not a mapping; papermill takes"),
        ("small", "fusion", {"loss": {"adversarial": True}}, "'loss' is .*: adversarial needs a speaker head"),
        ("small", "fusion", {"corpus": {"skew": 1}}, "'corpus.skew' is 1"),
        ("small", "fusion", {"seed": 3}, "overrides may not set seed"),
    ],
)
def test_what_is_unknown_or_invalid_is_refused_in_one_line(root, profile, variant, overrides, sentence):
    with pytest.raises(ParamsError, match=sentence) as error:
        params.load(profile, variant, 0, overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [[7, 1], [1, 1]])
def test_a_scale_ascends(root, scale):
    with pytest.raises(ParamsError, match=r"'corpus\.scale' is .*: the lowest value of the scale comes first"):
        params.load("small", "fusion", 0, {"corpus": {"reader": "manifest", "path": "x.csv", "scale": scale}})


@pytest.mark.parametrize("seeds", [[], 0, "[0]", None, [0, 0], ["zero"], [0, 1.5], [-1], [2**32]])
def test_seeds_are_different_integers(root, seeds):
    with pytest.raises(ParamsError, match=r"^seeds is .*papermill takes one as|^parameter 'seed' is "):
        params.load_seeds("small", "fusion", seeds)
    assert [one.seed for one in params.load_seeds("small", "fusion", [2, 0])] == [2, 0]


def test_every_wrong_key_is_named(root):
    with pytest.raises(ParamsError, match=r"'loss\.a'.*'heads\.b'|'heads\.b'.*'loss\.a'"):
        params.load("small", "fusion", 0, {"loss": {"a": 1}, "heads": {"b": 1}})


@pytest.mark.parametrize(
    ("content", "sentence"), [("a: [", "is not valid YAML"), ("- 1", "no mapping"), ("", "no map")]
)
def test_a_broken_profile_is_named(root, content, sentence):
    (root / "params" / "broken.yaml").write_text(content)
    with pytest.raises(ParamsError, match=rf"broken\.yaml.*{sentence}") as error:
        params.load("broken", "fusion", 0)
    assert "\n" not in str(error.value)


def test_dump_is_read_back_equal(root):
    merged = params.load("small", "gender", 3)
    assert params.validate(yaml.safe_load(params.dump(merged))) == merged


def test_parameters_cannot_be_changed(root):
    with pytest.raises(ValueError, match="frozen"):
        params.load("small", "fusion", 0).loss.gender = 1.0


def test_the_root_is_found_from_below_and_resolves_relative_paths_only(root, monkeypatch):
    (root / "notebooks").mkdir()
    monkeypatch.chdir(root / "notebooks")
    assert params.project_root() == root
    assert params.resolve(Path("data/x")) == root / "data" / "x"
    monkeypatch.chdir("/")
    assert params.resolve(root / "data") == root / "data"
    with pytest.raises(ParamsError, match=r"no params/variants\.yaml in / or above it"):
        params.resolve(Path("data/x"))


def committed(pattern: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "params").glob(pattern) if path.stem not in ("variants", "questions"))


@pytest.mark.parametrize("profile", committed("*.yaml"))
def test_every_profile_of_the_study_is_valid_with_every_variant(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    for variant in params.variants():
        assert params.load(profile, variant, 0).variant == variant


def test_a_variant_takes_its_encoder_from_the_profile(root):
    profile = yaml.safe_load((root / "params" / "small.yaml").read_text())
    named = profile | {"encoders": {"whisper": "somewhere/else"}}
    (root / "params" / "named.yaml").write_text(yaml.safe_dump(named))
    whisper = {"speech": {"encoder": "whisper", "finetune": False}}
    assert params.load("named", "fusion", 0, whisper).speech.encoder == "somewhere/else"
    assert params.load("named", "fusion", 0).speech.encoder == profile["speech"]["encoder"]
    with pytest.raises(ParamsError, match=r"profile 'small' has no encoder 'whisper': add it under encoders"):
        params.load("small", "fusion", 0, whisper)


DEFAULTS = 'profile = "embedded"\nseeds = [0]'


@pytest.mark.parametrize("cells", [[], [""], ["", DEFAULTS], ["", DEFAULTS, "# Parameters\nseeds = [1]", "other = 2"]])
def test_a_notebooks_own_parameters_are_let_through(cells):
    show.refuse_unknown(cells)


def test_a_parameter_that_a_notebook_does_not_have_is_refused():
    with pytest.raises(params.ParamsError, match=r"unknown parameters varient; valid are profile, seeds\."):
        show.refuse_unknown(["", DEFAULTS, '# Parameters\nprofile = "embedded"\nvarient = "fusion"\n'])


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"speech": {"finetune": False, "lora": 8}}, r"'speech\.lora' is 8: a frozen encoder has none; set finetune"),
        (
            {"speech": {"finetune": True, "states": "standardised"}},
            "'speech' is .*a fine-tuned encoder's states change",
        ),
        ({"training": {"patience": 0}}, r"'training\.patience' is 0"),
        ({"text": {"learning_rate": 1e-4}}, r"'text\.learning_rate' is 0\.0001: a frozen encoder has none"),
        ({"text": {"finetune": True, "lora": 0}}, r"'text\.lora' is 0: "),
        ({"loss": {"attributes": []}}, r"'loss\.attributes' is \[\]: name one attribute or more, each once"),
        ({"loss": {"attributes": ["valence", "valence"]}}, r"'loss\.attributes' is .*each once"),
        ({"loss": {"attributes": ["anger"]}}, r"'loss\.attributes\.0' is 'anger': .*'arousal'"),
        ({"loss": {"attributes": "valence"}}, r"'loss\.attributes' is 'valence'"),
    ],
)
def test_what_cannot_be_trained_so_is_refused(root, overrides, sentence):
    with pytest.raises(ParamsError, match=sentence):
        params.load("small", "fusion", 0, overrides)
