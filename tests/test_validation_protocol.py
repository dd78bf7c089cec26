"""Validation sets drawn by the thousand, against plain loops with another implementation of CCC."""

from pathlib import Path

import audmetric
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from made_up import make_corpus, make_run

from sercore import ATTRIBUTES, params, runs
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.sums import utterance_sums
from study import plan as questions
from study.chapters import validation_protocol as protocol

SYSTEMS = ("fusion", "speech_only", "fusion_whole_data", "fusion_without_ambiguous")
EPOCHS, DRAWS = 4, 25


def plain_ccc(gold, predicted):
    """Mean CCC of the three attributes of rows (utterances, attributes), by audmetric."""
    return np.mean([audmetric.concordance_cc(x, y) for x, y in zip(gold.T, predicted.T, strict=True)])


@pytest.fixture(scope="module")
def pool():
    """Emotions and values of 300 utterances, and predictions (epochs, utterances, attributes) of them."""
    rng = np.random.default_rng(0)
    emotion = pd.Series(rng.choice(list("ASHNFOX"), 300, p=[0.2, 0.1, 0.2, 0.25, 0.05, 0.1, 0.1]))
    gold = rng.normal(4, 1, (300, 3))
    predicted = 4 + rng.uniform(0.4, 0.8, (6, 1, 3)) * (gold - 4) + rng.normal(0, 0.8, (6, 300, 3))
    return emotion, gold, predicted


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=60), st.integers(0, 3), st.integers(0, 2**32))
def test_a_draw_has_as_many_of_every_class(classes, shift, seed):
    labels = np.array([0, 1, 2, 3, *classes])
    smallest = np.bincount(labels[labels >= 0]).min()
    each = max(1, smallest - shift)
    drawn = protocol.draw(labels, each, 7, np.random.default_rng(seed)).toarray()
    assert set(np.unique(drawn)) <= {0, 1}
    for label in range(4):
        assert (drawn[:, labels == label].sum(axis=1) == each).all()
    assert (drawn[:, labels < 0] == 0).all()


def test_every_utterance_is_drawn_equally_often():
    drawn = protocol.draw(np.repeat([0, 1], [5, 50]), 2, 20_000, np.random.default_rng(0))
    share = drawn.mean(axis=0)
    np.testing.assert_allclose(share[:5], 2 / 5, atol=0.015)
    np.testing.assert_allclose(share[5:], 2 / 50, atol=0.007)


def test_the_kinds_of_sets(pool):
    emotion, *_ = pool
    rarest = int((emotion == "F").sum())
    sets = list(protocol.validation_sets(emotion, {2, rarest, rarest + 1}, 10, np.random.default_rng(0)))
    expected = [("whole", 0), ("balanced", 2), ("balanced", rarest), ("weighted", 0), ("last epoch", 0)]
    assert [(kind, k) for kind, k, _ in sets] == expected
    by_kind = {kind: weights.toarray() for kind, k, weights in sets if k in (0, 2)}
    primary = emotion.isin(list(PRIMARY_EMOTIONS)).to_numpy()
    assert (by_kind["balanced"].sum(axis=1) == 2 * emotion[primary].nunique()).all()
    assert (by_kind["balanced"][:, ~primary] == 0).all()
    assert (by_kind["whole"] == 1).all()
    weights = pd.Series(by_kind["weighted"][0]).groupby(emotion).sum()
    np.testing.assert_allclose(weights[emotion[primary].unique()], 1)
    assert (weights[["O", "X"]] == 0).all()


@pytest.mark.parametrize("kind", ["balanced", "whole", "last epoch"])
def test_a_choice_is_that_of_a_plain_loop(pool, kind):
    emotion, gold, predicted = pool
    elsewhere = np.random.default_rng(1).normal(4, 1, (50, 3))
    tested = 0.5 * elsewhere + np.random.default_rng(2).normal(0, 0.5, (len(predicted), 50, 3))
    test = np.array([plain_ccc(elsewhere, epoch) for epoch in tested])
    sets = protocol.validation_sets(emotion, {5}, 20, np.random.default_rng(0))
    weights = next(each for name, _, each in sets if name == kind)
    choice = protocol.choose(kind, weights, utterance_sums(gold, predicted), utterance_sums(elsewhere, tested))
    for draw, chosen in enumerate(weights.toarray() > 0):
        ccc = [plain_ccc(gold[chosen], epoch[chosen]) for epoch in predicted]
        best = len(predicted) - 1 if kind == "last epoch" else int(np.argmax(ccc))
        assert choice.epoch[draw] == best + 1
        if kind != "last epoch":
            assert choice.reported[draw] == pytest.approx(ccc[best])
        assert choice.test[draw] == pytest.approx(test[best])
        assert choice.regret[draw] == pytest.approx(test.max() - test[best])


def test_weighting_is_repeating_the_rare(pool):
    _, gold, predicted = pool
    emotion = pd.Series(np.repeat(list("ASNX"), (160, 80, 20, 40)))
    repeated = np.repeat(np.arange(300), np.repeat((1, 2, 8, 0), (160, 80, 20, 40)))
    sums = utterance_sums(gold, predicted)
    weights = next(each for kind, _, each in protocol.validation_sets(emotion, set(), 1, None) if kind == "weighted")
    choice = protocol.choose("weighted", weights, sums, sums)
    ccc = [plain_ccc(gold[repeated], epoch[repeated]) for epoch in predicted]
    assert choice.epoch.item() == np.argmax(ccc) + 1
    assert choice.reported.item() == pytest.approx(max(ccc))


def leave_run(system, seed, table, every_epoch=True):
    """A run's folder as training leaves it, with noise in place of predictions."""
    rng = np.random.default_rng([seed, len(system)])
    run = make_run(system, seed, table, rng)
    chosen = params.load("embedded", system, seed, {"training": {"every_epoch": every_epoch}})
    partial = params.project_root() / "runs" / system / f".seed-{seed}.partial"
    partial.mkdir(parents=True)
    (partial / "params.yaml").write_text(params.dump(chosen))
    (partial / "environment.json").write_text("{}")
    for epoch in range(1, EPOCHS + 1):
        noisy = run.predictions[runs.PREDICTED] + rng.normal(0, 2 / epoch, (len(table), 3))
        if every_epoch:
            runs.keep_epoch(partial, epoch, run.predictions.assign(**noisy))
    return runs.finish(partial, run.metrics | {"epochs": EPOCHS}, run.history[:EPOCHS], run.predictions)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folders of two runs of each system, and the tables of few draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "DRAWS", DRAWS)
        patch.chdir(tmp_path_factory.mktemp("study"))
        for name in ("params", "book"):
            Path(name).symlink_to(ROOT / name)
        corpus = make_corpus(per_speaker=6)
        table = corpus[corpus["split"] != "train"]
        folders = [leave_run(system, seed, table) for system in SYSTEMS for seed in range(2)]
        asked = questions.question("embedded", "validation_protocol")
        yield folders, protocol.statistics([runs.read(folder) for folder in folders], asked.pairs)


def epoch_ccc(folder, utterances):
    """CCC of each epoch on utterances (their names, once each), by a plain loop."""
    gold = runs.read(folder).predictions.set_index("utterance").loc[utterances, list(ATTRIBUTES)].to_numpy()
    epochs = pd.read_parquet(folder / "epochs.parquet").set_index("utterance")
    return np.array(
        [plain_ccc(gold, rows.loc[utterances, runs.PREDICTED].to_numpy(float)) for _, rows in epochs.groupby("epoch")]
    )


def test_the_selection_of_a_study_is_the_mean_of_its_runs(study):
    folders, tables = study
    assert set(tables) == set(protocol.TABLES)
    chosen = []
    for folder in folders[:2]:
        rows = runs.read(folder).predictions
        on_test = epoch_ccc(folder, list(rows.loc[rows["split"] == "test3", "utterance"]))
        whole = epoch_ccc(folder, list(rows.loc[rows["split"] == "development", "utterance"]))
        best = whole.argmax()
        chosen.append([best + 1, whole[best], on_test[best], on_test.max() - on_test[best]])
    one = tables["selection"].query("system == 'fusion' and kind == 'whole'").iloc[0]
    found = one[["epoch", "reported", "test", "regret"]].astype(float)
    np.testing.assert_allclose(found, np.mean(chosen, axis=0), atol=2e-5)
    assert (one[["epoch_sd", "reported_sd"]] == 0).all()


def test_differences_on_the_same_and_on_independent_draws(study):
    folders, tables = study
    found = tables["differences"]
    declared = questions.question("embedded", "validation_protocol").pairs
    assert set(zip(found["system"], found["reference"], strict=True)) == set(declared)
    rows = runs.read(folders[0]).predictions.query("split == 'development'").sort_values("utterance")
    values = {"same": [], "independent": []}
    for seed in range(2):
        sets = protocol.validation_sets(rows["emotion"], {2}, DRAWS, np.random.default_rng(seed))
        drawn = next(weights for kind, _, weights in sets if kind == "balanced").toarray() > 0
        of_seed = [folders[number + seed] for number in (0, 2)]
        one, other = (
            np.array([epoch_ccc(folder, list(rows["utterance"][chosen])).max() for chosen in drawn])
            for folder in of_seed
        )
        values["same"].append(one - other)
        values["independent"].append(one - other[[-1, *range(DRAWS - 1)]])
    pair = found.query("system == 'fusion' and reference == 'speech_only' and k == 2").set_index("draw")
    for draw, each in values.items():
        spread = np.sqrt(np.mean([value.std() ** 2 for value in each]))
        flips = np.mean([(value * value.mean() < 0).mean() for value in each])
        expected = [np.mean(each), spread, flips]
        assert list(pair.loc[draw, ["difference", "difference_sd", "flips"]]) == pytest.approx(expected, abs=2e-5)
