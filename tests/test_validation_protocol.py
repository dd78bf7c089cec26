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
    """Emotions, speakers and values of 300 utterances, and predictions (epochs, utterances, attributes) of them."""
    rng = np.random.default_rng(0)
    emotion = pd.Series(rng.choice(list("ASHNFOX"), 300, p=[0.2, 0.1, 0.2, 0.25, 0.05, 0.1, 0.1]))
    gold = rng.normal(4, 1, (300, 3))
    predicted = 4 + rng.uniform(0.4, 0.8, (6, 1, 3)) * (gold - 4) + rng.normal(0, 0.8, (6, 300, 3))
    return emotion, pd.Series(rng.choice(list("abcdefghij"), 300)), gold, predicted


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


def test_choosing_where_one_reports_flatters():
    """Twenty epochs of equal worth: what is chosen among them is luck, and its CCC elsewhere is theirs."""
    rng = np.random.default_rng(0)
    gold = rng.normal(4, 1, (4000, 3))
    predicted = 4 + 0.6 * (gold - 4) + rng.normal(0, 0.8, (20, 4000, 3))
    sums, speakers = utterance_sums(gold, predicted), pd.Series(np.arange(4000) // 20)
    schemes = protocol.speaker_schemes(speakers, sums, 1000, rng).set_index("scheme")
    assert schemes.loc["same", "optimism"] > 0.005
    assert abs(schemes.loc["split", "optimism"]) < 0.002
    assert -0.01 < schemes.loc["crossed", "optimism"] < 0.002  # what half the speakers choose is a little worse
    assert schemes.loc["split", "optimism_sd"] > schemes.loc["same", "optimism_sd"]


def test_the_kinds_of_sets(pool):
    emotion, *_ = pool
    rarest = int((emotion == "F").sum())
    sets = list(protocol.validation_sets(emotion, (2, rarest, rarest + 1), 10, np.random.default_rng(0)))
    assert [(one.kind, one.k) for one in sets] == [
        ("balanced", 2),
        ("random", 2),
        ("balanced", rarest),
        ("random", rarest),
        *((kind, 0) for kind in ("whole", "agreed", "weighted", "last epoch")),
    ]
    by_kind = {one.kind: one.weights.toarray() for one in sets if one.k in (0, 2)}
    primary = emotion.isin(list(PRIMARY_EMOTIONS)).to_numpy()
    assert (by_kind["balanced"].sum(axis=1) == 2 * emotion[primary].nunique()).all()
    assert (by_kind["balanced"][:, ~primary] == 0).all()
    assert (by_kind["random"].sum(axis=1) == by_kind["balanced"].sum(axis=1)).all()
    assert by_kind["random"][:, ~primary].any()
    assert (by_kind["whole"] == 1).all()
    assert (by_kind["agreed"][0] == primary).all()
    weights = pd.Series(by_kind["weighted"][0]).groupby(emotion).sum()
    np.testing.assert_allclose(weights[emotion[primary].unique()], 1)
    assert (weights[["O", "X"]] == 0).all()


@pytest.mark.parametrize("kind", ["balanced", "random", "whole", "agreed", "last epoch"])
def test_a_choice_is_that_of_a_plain_loop(pool, kind):
    emotion, _, gold, predicted = pool
    test = np.random.default_rng(1).uniform(0.3, 0.6, len(predicted))
    sets = protocol.validation_sets(emotion, (5,), 20, np.random.default_rng(0))
    sets = next(one for one in sets if one.kind == kind)
    choice = protocol.choose(sets, utterance_sums(gold, predicted), test)
    for draw, weights in enumerate(sets.weights.toarray() > 0):
        if kind == "last epoch":
            assert choice.epoch[draw] == len(predicted)
            continue
        ccc = [plain_ccc(gold[weights], epoch[weights]) for epoch in predicted]
        best = int(np.argmax(ccc))
        assert choice.epoch[draw] == best + 1
        assert choice.reported[draw] == pytest.approx(ccc[best])
        assert choice.test[draw] == test[best]
        assert choice.regret[draw] == test.max() - test[best]


def test_weighting_is_repeating_the_rare(pool):
    _, _, gold, predicted = pool
    emotion = pd.Series(np.repeat(list("ASNX"), (160, 80, 20, 40)))
    repeated = np.repeat(np.arange(300), np.repeat((1, 2, 8, 0), (160, 80, 20, 40)))
    sets = [one for one in protocol.validation_sets(emotion, (), 1, None) if one.kind == "weighted"]
    choice = protocol.choose(sets[0], utterance_sums(gold, predicted), np.full(len(predicted), np.nan))
    ccc = [plain_ccc(gold[repeated], epoch[repeated]) for epoch in predicted]
    assert choice.epoch.item() == np.argmax(ccc) + 1
    assert choice.reported.item() == pytest.approx(max(ccc))
    assert choice[["test", "regret"]].isna().all(axis=None)


def test_speaker_schemes_are_those_of_a_plain_loop(pool):
    _, speakers, gold, predicted = pool
    table = protocol.speaker_schemes(speakers, utterance_sums(gold, predicted), 30, np.random.default_rng(5))
    order = np.random.default_rng(5).random((30, 10)).argsort(axis=1)
    found = {"same": [], "split": [], "crossed": []}

    def on(drawn):
        inside = speakers.isin([sorted(speakers.unique())[i] for i in drawn]).to_numpy()
        return np.array([plain_ccc(gold[inside], epoch[inside]) for epoch in predicted])

    for row in order:
        first, second, both, others = on(row[:2]), on(row[2:5]), on(row[:5]), on(row[5:])
        one, two, all_ = first.argmax(), second.argmax(), both.argmax()
        found["same"].append(both[all_] - others[all_])
        found["split"].append(second[one] - others[one])
        found["crossed"].append((second[one] + first[two]) / 2 - others[all_])
    for name, values in found.items():
        row = table.set_index("scheme").loc[name]
        assert row["speakers"] == 5
        assert row["optimism"] == pytest.approx(np.mean(values))
        assert row["optimism_sd"] == pytest.approx(np.std(values))


def test_too_few_speakers_are_not_split(pool):
    _, speakers, gold, predicted = pool
    few = speakers.replace(dict.fromkeys("defghij", "c"))
    assert protocol.speaker_schemes(few, utterance_sums(gold, predicted), 10, np.random.default_rng(0)).empty


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


def test_the_tables_of_a_study(study):
    folders, tables = study
    assert set(tables) == set(protocol.TABLES)
    selection = tables["selection"]
    assert len(selection.groupby(["system", "seed"])) == 8
    assert set(selection["pool"]) == {"development", "test3"}
    assert 8 in set(selection["k"])
    rows = runs.read(folders[0]).predictions.sort_values("utterance")
    development = rows[rows["split"] == "development"]
    on_test = epoch_ccc(folders[0], list(rows.loc[rows["split"] == "test3", "utterance"]))
    whole = epoch_ccc(folders[0], list(development["utterance"]))
    one = selection.query("system == 'fusion' and seed == 0 and pool == 'development' and kind == 'whole'").iloc[0]
    assert one["epoch"] == whole.argmax() + 1
    assert one["reported"] == pytest.approx(whole.max(), abs=2e-5)
    assert one["regret"] == pytest.approx(on_test.max() - on_test[whole.argmax()], abs=2e-5)
    curves = tables["curves"].query("system == 'fusion' and seed == 0").set_index(["set", "epoch"])["ccc"]
    np.testing.assert_allclose(curves["whole"], whole, atol=2e-5)
    np.testing.assert_allclose(curves["test3"], on_test, atol=2e-5)
    assert set(tables["speakers"]["scheme"]) == {"same", "split", "crossed"}


def test_differences_on_the_same_and_on_independent_draws(study):
    folders, tables = study
    found = tables["differences"]
    declared = questions.question("embedded", "validation_protocol").pairs
    assert set(zip(found["system"], found["reference"], strict=True)) == set(declared)
    rows = runs.read(folders[0]).predictions.query("split == 'development'").sort_values("utterance")
    sets = protocol.validation_sets(rows["emotion"], {*protocol.SIZES, 8}, DRAWS, np.random.default_rng(0))
    smallest = next(sets).weights.toarray() > 0
    reported = {}
    for folder in folders[:4:2]:
        drawn = [epoch_ccc(folder, list(rows["utterance"][chosen])).max() for chosen in smallest]
        reported[folder.parent.name] = np.array(drawn)
    one, other = reported["fusion"], reported["speech_only"]
    pair = found.query(
        "system == 'fusion' and reference == 'speech_only' and seed == 0 and pool == 'development'"
        " and kind == 'balanced' and k == 2"
    ).set_index("draw")
    step = 0.0017
    for draw, values in (("same", one - other), ("independent", one - other[[-1, *range(DRAWS - 1)]])):
        assert pair.loc[draw, "difference"] == pytest.approx(values.mean(), abs=2e-5)
        assert pair.loc[draw, "difference_sd"] == pytest.approx(values.std(), abs=2e-5)
        assert pair.loc[draw, "flips"] == pytest.approx((values * values.mean() < 0).mean())
        assert pair.loc[draw, "gender"] == pytest.approx((abs(values - values.mean()) >= step).mean())
