"""Segments to features: order, crops, and what is refused."""

import numpy as np
import pytest

from msd_jax.songs import CROPS, Rejected, crop, song_features

TIMBRE = np.arange(24.0).reshape(2, 12)
PITCHES = TIMBRE / 24
LOUDNESS = np.array([-60.0, -3.5])


def test_the_courses_order_by_hand():
    features = song_features(TIMBRE, PITCHES, LOUDNESS)
    first = [*range(12), *(i / 24 for i in range(12)), -60]
    second = [*range(12, 24), *(i / 24 for i in range(12, 24)), -3.5]
    np.testing.assert_array_equal(features, np.array([first, second], np.float32), strict=True)


def test_float32_loses_none_of_three_decimals():
    # 8,191.999 is the largest: from 8,192 on, neighbours in float32 are 0.00098 apart.
    numbers = np.concatenate([np.arange(8_184_000, 8_192_000), np.arange(0, 4000)]) / 1000
    values = np.stack([numbers, -numbers]).reshape(-1, 12)
    features = song_features(values, values, values[:, 0])
    np.testing.assert_array_equal(features[:, :12].astype(np.float64).round(3), values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timbre": TIMBRE[:, :11]}, "wrong shape: timbre is 2x11, 2x12 is needed"),
        ({"timbre": TIMBRE[:1]}, "wrong shape: timbre is 1x12, 2x12 is needed"),
        ({"pitches": PITCHES.ravel()}, "wrong shape: pitches is 24, 2x12 is needed"),
        ({"loudness_start": TIMBRE}, "wrong shape: loudness_start is 2x12, 2 is needed"),
        ({"loudness_start": np.array(1.0)}, "wrong shape: timbre is 2x12, 0x12 is needed"),
        ({"timbre": np.full((2, 12), b"x")}, "not a number: timbre is of type |S1"),
        ({"pitches": PITCHES.astype(complex)}, "not a number: pitches is of type complex128"),
        ({"pitches": np.where(PITCHES == 0, np.nan, 1)}, "not a number: 1 NaN in pitches"),
        ({"loudness_start": np.array([-np.inf, np.inf])}, "infinite: 2 infinite values in loud"),
        ({"timbre": TIMBRE + 1e39}, "infinite: 24 infinite values in timbre"),  # beyond float32
    ],
)
def test_what_is_no_song_is_refused_with_its_reason(changes, message):
    parts = {"timbre": TIMBRE, "pitches": PITCHES, "loudness_start": LOUDNESS}
    assert song_features(**parts).shape == (2, 25)
    with pytest.raises(Rejected) as caught:
        song_features(**parts | changes)
    assert str(caught.value).startswith(message)


def test_crops_by_hand():
    song = np.arange(7)[:, None]
    # Of 7 segments, 4 in the middle leave one before and two after.
    np.testing.assert_array_equal(crop(song, 4, "central")[:, 0], [1, 2, 3, 4])
    np.testing.assert_array_equal(crop(song, 3, "central")[:, 0], [2, 3, 4])
    np.testing.assert_array_equal(crop(song, 4, "start")[:, 0], [0, 1, 2, 3])


@pytest.mark.parametrize("where", CROPS)
def test_a_song_of_just_that_length_is_taken_whole_and_a_shorter_one_refused(where):
    song = np.arange(7)[:, None]
    np.testing.assert_array_equal(crop(song, 7, where), song)
    with pytest.raises(Rejected, match=r"^too short: 7 segments, 8 are needed$"):
        crop(song, 8, where)
