"""A speaker's features get the mean and spread of all, against numpy on the frames put together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sercore.normalisation import SpeakerNormalised


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
@given(owners=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=4, max_size=15), seed=st.integers(0, 99))
def test_each_speaker_gets_the_moments_of_all(shape, owners, seed):
    generator = np.random.default_rng(seed)
    features = [
        generator.normal(len(str(owner)), 2, (generator.integers(2, 9), *shape)).astype(np.float32) for owner in owners
    ]
    speakers = pd.Series(owners, dtype=object)
    found = list(SpeakerNormalised(features, speakers))
    known = np.flatnonzero(speakers.notna())
    if not len(known):
        known = []
    everyone = np.concatenate([features[row] for row in known] or [np.zeros((0, *shape))])
    for name in speakers.dropna().unique():
        own = np.concatenate([found[row] for row in np.flatnonzero(speakers == name)])
        np.testing.assert_allclose(own.mean(0), everyone.mean(0), atol=1e-4)
        np.testing.assert_allclose(own.std(0), everyone.std(0), atol=1e-4)
    for row in np.flatnonzero(speakers.isna()):
        np.testing.assert_array_equal(found[row], features[row])
    assert [one.dtype for one in found] == [np.float32] * len(owners)


def test_one_speaker_alone_stays_as_he_is_and_a_constant_channel_is_finite():
    features = [np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([[4.0, 5.0]])]
    for one, given_one in zip(SpeakerNormalised(features, pd.Series(["a", "a"])), features, strict=True):
        np.testing.assert_allclose(one, given_one)


def test_order_within_a_speaker_is_kept():
    """A shift and a positive scale: what was louder stays louder."""
    features = list(np.random.default_rng(0).normal(0, 1, (6, 7, 2)))
    found = SpeakerNormalised(features, pd.Series(list("aabbcc")))
    np.testing.assert_array_equal(np.argsort(found[2], axis=0), np.argsort(features[2], axis=0))
