"""Ridge regressions as reference systems, and what is planned for each corpus."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import ROOT

from sercore import ATTRIBUTES, corpora, params
from sercore.hub import locate
from sercore.params import ParamsError
from sercore.runs import PREDICTED
from sercore.sampling import choose
from sercore.training import train
from study import __main__ as commands
from study import baselines, comparisons, plan
from study.results import read, read_tables
from tests.test_emotale import GENDERS, HEADER


def closed_form(x, y, penalty, new):
    """(X'X + penalty I)^-1 X'y of standardised X and centred y."""
    scaled, others = (x - x.mean(0)) / x.std(0), (new - x.mean(0)) / x.std(0)
    weights = np.linalg.solve(scaled.T @ scaled + penalty * np.eye(x.shape[1]), scaled.T @ (y - y.mean(0)))
    return others @ weights + y.mean(0)


def lin(x, y):
    (xx, xy), (_, yy) = np.cov(x, y, bias=True)
    return 2 * xy / (xx + yy + (x.mean() - y.mean()) ** 2)


def test_a_ridge_is_the_closed_form_of_the_penalty_that_validates_best(project, tones, small):
    chosen = params.load("embedded", "readout_normalised", 0, small)
    rows, table = choose(tones, chosen), tones.table
    features = np.random.default_rng(0).normal(size=(len(table), 3, 2)).astype(np.float32)
    features[:, 0, 0] += table["arousal"]
    shuffled = pd.DataFrame(features.reshape(len(table), -1), table.index).sample(frac=1, random_state=0)
    run = baselines.ridge("ridge_probe", shuffled, tones, chosen)
    place, gold = table.index.get_indexer, list(ATTRIBUTES)
    flat = features.reshape(len(table), -1).astype(float)
    train, valid = flat[place(rows.training.index)], flat[place(rows.validation.index)]
    y = rows.training[gold].to_numpy()
    scores = [
        np.mean([lin(rows.validation[name], each) for name, each in zip(gold, found.T, strict=True)])
        for found in (closed_form(train, y, penalty, valid) for penalty in baselines.PENALTIES)
    ]
    best = baselines.PENALTIES[int(np.argmax(scores))]
    expected = closed_form(train, y, best, flat[place(rows.predicted.index)])
    np.testing.assert_allclose(run.predictions[PREDICTED], expected, rtol=1e-4, atol=1e-4)
    assert run.history["mean"].item() == pytest.approx(max(scores), abs=1e-5)
    assert list(run.predictions["utterance"]) == list(rows.predicted.index)


def test_states_are_averaged_over_time(project, tones):
    table = tones.table.head(3)
    chosen = params.load("embedded", "readout_normalised", 0)
    states = baselines.states(chosen, type(tones)("three", table, (1, 7)))
    assert list(states.index) == list(table.index)
    found = states.to_numpy().reshape(3, states.columns.unique("layer").size, -1)
    assert found.shape == (3, 4, 64)
    # Layer-normalised at each frame, so the mean over channels is 0 at each.
    np.testing.assert_allclose(found.mean(2), 0, atol=1e-3)


@pytest.fixture
def own_params(project):
    """The project's folder of parameters, as a copy to which profiles may be added."""
    (project / "params").unlink()
    return shutil.copytree(ROOT / "params", project / "params")


def test_questions_follow_from_what_reads_the_corpus_and_not_from_the_profiles_name(own_params):
    (own_params / "mine.yaml").write_text((own_params / "emotale.yaml").read_text())
    assert list(plan.questions("mine")) == list(plan.questions("emotale")) == ["real_speech"]
    assert plan.declared_corpora("mine") == {"simulated": "embedded", "emotale": "mine", "iemocap": "iemocap"}
    assert "real_speech" not in plan.questions("embedded")


def test_set_changes_the_runs_of_the_plans_profile_alone():
    asked = plan.asked_for("embedded", chapter="cross_corpus", set="training.epochs=3 text=null")
    assert asked.parameters("fusion").training.epochs == 3
    assert asked.parameters("fusion").text is None
    assert asked.of("emotale").parameters("fusion").training.epochs != 3
    assert asked.command.endswith("--set 'training.epochs=3 text=null'")
    with pytest.raises(ParamsError, match="SET has 'text'; it takes KEY=VALUE"):
        plan.asked_for("embedded", set="text")


def test_the_margin_follows_from_what_reads_the_corpus(own_params):
    (own_params / "release_1.yaml").write_text((own_params / "msp_podcast.yaml").read_text())
    assert plan.margin("release_1") == plan.margin("msp_podcast") < plan.margin("embedded")


def test_the_profile_of_the_page_on_own_corpora_can_be_planned(own_params):
    page = (ROOT / "book" / "your_corpus.md").read_text()
    (own_params / "mine.yaml").write_text(re.search(r"`params/mine\.yaml`.*?```yaml\n(.*?)```", page, re.DOTALL)[1])
    asked = plan.asked_for("mine", chapter="all")
    assert {"text", "ensembles", "cross_corpus"} <= {
        question.name for part in asked.parts.values() for question in part
    }


def test_encoders_of_the_hub_are_a_profile_of_their_own():
    hub = plan.asked_for("emotale_hub", data="somewhere")
    assert hub.parameters("speech_only").speech.encoder == "microsoft/wavlm-base-plus"
    assert hub.parameters("fusion").text.encoder == "FacebookAI/roberta-base"
    assert list(hub.parts) == ["paper"]
    assert hub.systems("paper") == plan.asked_for("emotale", data="somewhere").systems("paper")


@pytest.fixture
def emotale(project):
    """Noise in EmoTale's layout, English alone."""
    generator, folder = np.random.default_rng(0), project / "emotale"
    (folder / "audio").mkdir(parents=True)
    lines = [HEADER]
    for name in [
        f"EN_{speaker}_{emotion}_{sentence}" for speaker in GENDERS for emotion in "AHS" for sentence in (1, 2)
    ]:
        soundfile.write(folder / "audio" / f"{name}.wav", generator.normal(0, 0.1, 8000), 16_000)
        ratings = [f"{a},{v},{d},{name[7]}" for a, v, d in generator.integers(2, 11, (3, 3)) / 2]
        lines.append(f"{name}.wav,{','.join(ratings)},{name[7]}")
    (folder / "annotations.csv").write_text("\n".join(lines))
    speakers = [f"{speaker},{gender},23" for speaker, gender in GENDERS.items()]
    (folder / "speaker_info.csv").write_text("\n".join(["speaker,gender,age", *speakers]))
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:egemaps_ridge is left out")
def test_a_study_with_encoders_of_the_hub_is_trained_and_analysed(project, emotale):
    """With small ones in folders of their names, and epochs of a few steps."""
    nano = {"wavlm-base-plus": "wavlm-nano", "wavlm-base-plus-sv": "speaker-nano", "whisper-base": "whisper-nano"}
    for owner, *names in (("microsoft", "wavlm-base-plus", "wavlm-base-plus-sv"), ("openai", "whisper-base")):
        (project / owner).mkdir()
        for name in names:
            (project / owner / name).symlink_to(ROOT / "models" / nano[name])
    (project / "book").symlink_to(ROOT / "book")
    (project / "FacebookAI").mkdir()
    (project / "FacebookAI" / "roberta-base").symlink_to(locate("sentence-transformers/all-MiniLM-L6-v2"))
    changes = "corpus.folds=3 sampling.samples_per_emotion=4 training.epochs=1 training.batch_size=4"
    asked = plan.asked_for("emotale_hub", str(emotale), seeds=2, set=changes)
    for name in asked.systems("paper"):
        for seed in asked.seeds():
            run = asked.parameters(name, seed=seed)
            train(run, corpora.read(run.corpus, seed))
    commands.analyse(asked, "paper")
    found = read("emotale_hub", project / "build/emotale_hub/results/paper")
    differences = comparisons.differences(found, plan.question("emotale_hub", "real_speech"))
    assert differences["estimate"].notna().all()
    tables = read_tables(project / "build/emotale_hub/results/paper", ["layers", "groups"])
    assert set(tables["layers"]["measure"]) == {"weight", "ridge"}
    assert {"all", "gender", "emotion"} <= set(tables["groups"]["grouping"])
