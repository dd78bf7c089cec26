"""Ridge regressions as reference systems, and what is planned for each corpus."""

import numpy as np
import pandas as pd
import pytest

from sercore import ATTRIBUTES, params
from sercore.params import ParamsError
from sercore.runs import PREDICTED
from sercore.sampling import choose
from study import baselines, plan


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


def test_questions_follow_from_what_reads_the_corpus_and_not_from_the_profiles_name(project):
    own = project / "params"
    content = {path.name: path.read_text() for path in own.iterdir()}
    own.unlink()
    own.mkdir()
    for name, text in content.items():
        (own / name).write_text(text)
    (own / "mine.yaml").write_text(content["emotale.yaml"])
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


def test_encoders_of_the_hub_are_a_profile_of_their_own():
    hub = plan.asked_for("emotale_hub", data="somewhere")
    assert hub.parameters("speech_only").speech.encoder == "microsoft/wavlm-base-plus"
    assert hub.parameters("fusion").text.encoder == "FacebookAI/roberta-base"
    assert list(hub.parts) == ["paper"]
    assert hub.systems("paper") == plan.asked_for("emotale", data="somewhere").systems("paper")
