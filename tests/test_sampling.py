import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sercore.corpus import EMOTIONS, PRIMARY_EMOTIONS, CorpusError
from sercore.sampling import EpochSampler, balanced_indices, held_out, training_and_validation
from sercore.sections import Sampling

emotions = st.lists(st.sampled_from(list(EMOTIONS)), min_size=30, max_size=200).map(pd.Series)
primary = st.lists(st.sampled_from(list(PRIMARY_EMOTIONS)), min_size=30, max_size=200).map(pd.Series)


@given(emotions, st.integers(0, 9))
def test_an_epoch_has_the_same_number_of_every_class(emotion, seed):
    smallest = emotion.value_counts().min()
    drawn = balanced_indices(emotion, smallest, np.random.default_rng(seed), "k")
    assert len(set(drawn)) == len(drawn)
    assert set(emotion[drawn].value_counts()) == {smallest}
    assert set(emotion[drawn]) == set(emotion)


@given(primary)
def test_a_class_with_too_few_is_named_with_its_count(emotion):
    counts = emotion.value_counts()
    with pytest.raises(
        CorpusError, match=rf"sampling\.k .*{counts.index[-1]} has {counts.iloc[-1]}.*lower it"
    ) as caught:
        balanced_indices(emotion, counts.min() + 1, np.random.default_rng(0), "sampling.k")
    for code, count in counts.items():
        assert (f"{code} has {count}" in str(caught.value)) == (count < counts.min() + 1)


@given(emotions, st.integers(0, 9))
def test_of_o_and_x_an_epoch_draws_what_there_is(emotion, seed):
    counts = emotion.value_counts().reindex(list(EMOTIONS), fill_value=0)
    smallest = max(1, counts[list(PRIMARY_EMOTIONS)][counts > 0].min())
    drawn = balanced_indices(emotion, smallest, np.random.default_rng(seed), "k")
    expected = {code: min(count, smallest) for code, count in counts.items() if count}
    assert emotion[drawn].value_counts().to_dict() == expected
    assert len(set(drawn)) == len(drawn)


def test_a_missing_emotion_is_named():
    with pytest.raises(CorpusError, match=r"first: b.*sampling\.k: null"):
        balanced_indices(pd.Series({"a": "N", "b": None}), 1, np.random.default_rng(0), "sampling.k")


def test_each_epoch_draws_anew_and_the_same_again():
    emotion = pd.Series(list("NNNNNNNNNNNNAAAA"))
    sampler = EpochSampler(emotion, per_emotion=4, batch_size=4, seed=1)
    draws = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        draws.append(list(sampler))
    assert draws[0] == draws[2] != draws[1]
    assert set(draws[0]) - set(draws[1])  # other neutral utterances
    assert {12, 13, 14, 15} <= set(draws[0]) & set(draws[1])  # every utterance of the smallest class


@given(emotions, st.integers(1, 30))
def test_epochs_are_whole_batches(emotion, batch_size):
    sampler = EpochSampler(emotion, per_emotion=None, batch_size=batch_size, seed=0)
    order = list(sampler)
    assert len(order) == len(sampler) == len(emotion) // batch_size * batch_size
    assert len(set(order)) == len(order)


def test_fewer_utterances_than_a_batch_are_refused():
    with pytest.raises(CorpusError, match="an epoch has 2 utterances, fewer than"):
        EpochSampler(pd.Series(list("NNAA")), per_emotion=1, batch_size=3, seed=0)


@given(emotions.filter(lambda emotion: emotion.isin(list(PRIMARY_EMOTIONS)).any()))
def test_validation_holds_k_of_each_primary_emotion_and_no_other(emotion):
    table = pd.DataFrame({"emotion": emotion, "speaker": "a"})
    primary = emotion[emotion.isin(list(PRIMARY_EMOTIONS))]
    smallest = primary.value_counts().min()
    chosen = Sampling(samples_per_emotion=None, validation_per_emotion=smallest)
    subset, again = (training_and_validation(TRAINING, table, chosen, seed=3)[1] for _ in range(2))
    assert set(subset["emotion"].value_counts()) == {smallest}
    assert set(subset["emotion"]) == set(primary)
    pd.testing.assert_frame_equal(subset, again)


def rows(prefix, count, speakers, seed=0):
    """`count` utterances, every emotion at least four times, of `speakers` speakers in turn."""
    generator = np.random.default_rng(seed)
    emotion = [*list(EMOTIONS) * 4, *generator.choice(list(EMOTIONS), count - 40)]
    speaker = [f"{prefix}{number % speakers}" for number in range(count)]
    return pd.DataFrame({"emotion": emotion, "speaker": speaker}, index=[f"{prefix}-{i}" for i in range(count)])


TRAINING, DEVELOPMENT = rows("t", 400, 10), rows("d", 200, 60)


def composed(per_emotion=4, k=2, seed=0, **sampling):
    chosen = Sampling(samples_per_emotion=per_emotion, validation_per_emotion=k, **sampling)
    return training_and_validation(TRAINING, DEVELOPMENT, chosen, seed)


def is_ambiguous(table):
    return table["emotion"].isin(["O", "X"])


def test_the_training_sets_of_table_5():
    own, lent = is_ambiguous(TRAINING).sum(), is_ambiguous(DEVELOPMENT).sum()
    expected = {
        ("train", "all"): (400 - own, own),
        ("none", "all"): (400 - own, 0),
        ("train", "fewer"): (400 - 2 * own, own),
        ("train", "none"): (0, own),
        ("development", "all"): (400 - own, own + lent),
        ("development", "fewer"): (400 - own - lent, own + lent),
    }
    for (ambiguous, agreed), sizes in expected.items():
        training, validation = composed(ambiguous=ambiguous, agreed=agreed)
        assert ((~is_ambiguous(training)).sum(), is_ambiguous(training).sum()) == sizes
        assert not set(training.index) & set(validation.index)
        pd.testing.assert_frame_equal(validation, composed()[1])  # every system is chosen on the same utterances
        assert not (training["speaker"].str.startswith("d") & ~is_ambiguous(training)).any()
    pd.testing.assert_frame_equal(composed()[0], TRAINING)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.lists(st.floats(0.01, 1), min_size=2, max_size=5).map(sorted))
def test_a_larger_dose_holds_the_smaller_and_leaves_all_else_alone(seed, shares):
    counts = TRAINING["emotion"].value_counts()
    smaller = set(composed(seed=seed, ambiguous="none")[0].index)
    assert smaller == set(TRAINING.index[~is_ambiguous(TRAINING)])
    for share in shares:
        dose, _ = composed(seed=seed, ambiguous_share=share)
        assert smaller <= set(dose.index)
        for code in "OX":
            assert abs((dose["emotion"] == code).sum() - share * counts[code]) <= 0.5
        smaller = set(dose.index)
    pd.testing.assert_frame_equal(composed(seed=seed, ambiguous_share=1.0)[0], TRAINING)


def test_o_and_x_alone():
    for code, other in ("OX", "XO"):
        training, _ = composed(ambiguous_codes=code)
        pd.testing.assert_frame_equal(training, TRAINING[TRAINING["emotion"] != other])
    halved, _ = composed(ambiguous_codes="X", ambiguous_share=0.5)
    both, _ = composed(ambiguous_share=0.5)
    assert set(halved.index) == set(both.index[both["emotion"] != "O"])


def test_the_control_of_a_dose_is_as_large_as_none():
    """With a dose of O and X, and without as many others: as many different utterances as without O and X."""
    control, _ = composed(ambiguous_share=0.5, agreed="fewer")
    assert len(control) == (~is_ambiguous(TRAINING)).sum()
    assert is_ambiguous(control).sum() == is_ambiguous(composed(ambiguous_share=0.5)[0]).sum()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99))
def test_the_disjoint_control_shares_no_speaker_with_the_validation_set(seed):
    training, validation = composed(ambiguous="disjoint", seed=seed)
    lent = training[training["speaker"].str.startswith("d")]
    assert not set(lent["speaker"]) & set(validation["speaker"])
    able = DEVELOPMENT[is_ambiguous(DEVELOPMENT) & ~DEVELOPMENT["speaker"].isin(validation["speaker"])]
    assert set(lent.index) == set(able.index)


def test_without_a_balanced_validation_set_what_is_lent_does_not_validate():
    assert set(composed(k=None)[1].index) == set(DEVELOPMENT.index)
    assert not is_ambiguous(composed(k=None, ambiguous="development")[1]).any()
    with pytest.raises(CorpusError, match="every development speaker with an O or X utterance is in the validation"):
        training_and_validation(
            TRAINING,
            DEVELOPMENT.assign(speaker="one"),
            Sampling(samples_per_emotion=4, validation_per_emotion=None, ambiguous="disjoint"),
            0,
        )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99))
def test_what_an_epoch_draws_is_never_left_out(seed):
    kept = TRAINING["emotion"].value_counts().min() - 8
    training, _ = composed(per_emotion=int(kept), agreed="fewer", seed=seed)
    assert training["emotion"].value_counts().min() >= kept
    assert set(training.index) != set(composed(per_emotion=int(kept), agreed="fewer", seed=seed + 1)[0].index)


def test_too_few_to_leave_out_is_said():
    with pytest.raises(CorpusError, match=r"leave out \d+ utterances, but only 0 are beyond the 300 of each emotion"):
        composed(per_emotion=300, agreed="fewer")
    with pytest.raises(CorpusError, match="no O or X utterance is in the training split"):
        training_and_validation(
            TRAINING[~is_ambiguous(TRAINING)],
            DEVELOPMENT,
            Sampling(samples_per_emotion=1, validation_per_emotion=1, agreed="none"),
            0,
        )


speakers = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=8, max_size=80)


@given(speakers, st.floats(0.01, 0.99))
def test_every_speaker_loses_the_share_that_is_held_out(speaker, share):
    table = pd.DataFrame({"speaker": pd.Series(speaker, dtype=object)})
    counts = table["speaker"].value_counts()
    if not (counts >= 2).any():
        with pytest.raises(CorpusError, match="no known training speaker has two utterances"):
            held_out(table, share)
        return
    held = held_out(table, share)
    assert held.is_unique
    lost = table.loc[held, "speaker"]
    assert lost.notna().all()
    for name, count in counts.items():
        number = (lost == name).sum()
        if count == 1:
            assert number == 0
        else:
            assert 1 <= number <= count - 1
            assert abs(number - share * count) <= 1
    pd.testing.assert_index_equal(held, held_out(table, share))


def test_what_is_held_out_is_random_within_a_speaker():
    order = held_out(pd.DataFrame({"speaker": ["a"] * 1000}), 0.5)
    assert 200 < (order < 500).sum() < 300


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(0, 9))
def test_no_speaker_has_more_utterances_than_the_cap(cap, seed):
    training, validation = composed(per_speaker=cap, seed=seed)
    counts = training["speaker"].value_counts()
    assert (counts == TRAINING["speaker"].value_counts().clip(upper=cap)[counts.index]).all()
    pd.testing.assert_frame_equal(validation, composed(seed=seed)[1])
    emotions, able = (pd.crosstab(table["speaker"], table["emotion"]) for table in (training, TRAINING))
    for speaker, kept in emotions.reindex(
        columns=able.columns, fill_value=0
    ).iterrows():  # one less of an emotion than of another only where there are no more
        assert ((kept >= kept.max() - 1) | (kept == able.loc[speaker, kept.index])).all()


def test_unknown_speakers_are_not_capped():
    chosen = Sampling(samples_per_emotion=None, validation_per_emotion=None, per_speaker=2)
    unknown = TRAINING.assign(speaker=None)
    assert len(training_and_validation(unknown, DEVELOPMENT, chosen, 0)[0]) == len(TRAINING)
