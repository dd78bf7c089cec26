import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sercore.corpus import EMOTIONS, PRIMARY_EMOTIONS, CorpusError
from sercore.sampling import EpochSampler, balanced_indices, balanced_subset

emotions = st.lists(st.sampled_from(list(EMOTIONS)), min_size=30, max_size=200).map(pd.Series)


@given(emotions, st.integers(0, 9))
def test_an_epoch_has_the_same_number_of_every_class(emotion, seed):
    smallest = emotion.value_counts().min()
    drawn = balanced_indices(emotion, smallest, np.random.default_rng(seed), "k")
    assert len(set(drawn)) == len(drawn)
    assert set(emotion[drawn].value_counts()) == {smallest}
    assert set(emotion[drawn]) == set(emotion)


@given(emotions)
def test_a_class_with_too_few_is_named_with_its_count(emotion):
    counts = emotion.value_counts()
    with pytest.raises(
        CorpusError, match=rf"sampling\.k .*{counts.index[-1]} has {counts.iloc[-1]}.*lower it"
    ) as caught:
        balanced_indices(emotion, counts.min() + 1, np.random.default_rng(0), "sampling.k")
    for code, count in counts.items():
        assert (f"{code} has {count}" in str(caught.value)) == (count < counts.min() + 1)


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
    table = pd.DataFrame({"emotion": emotion})
    primary = emotion[emotion.isin(list(PRIMARY_EMOTIONS))]
    smallest = primary.value_counts().min()
    subset = balanced_subset(table, smallest, seed=3)
    assert set(subset["emotion"].value_counts()) == {smallest}
    assert set(subset["emotion"]) == set(primary)
    pd.testing.assert_frame_equal(subset, balanced_subset(table, smallest, seed=3))
