"""The invented songs: the same everywhere, with real features' statistics, and hard to tell.

The structures (a), (b), (c) of `synthetic.py` are looked for in raw songs with hand-made statistics
that use none of its patterns. A tenth of the songs stray, so that no statistic is always right.
"""

import numpy as np
import pytest

from msd_jax.dataset import fingerprint
from msd_jax.synthetic import GENRE_NAMES, raw_songs, synthetic_dataset

# Statistics of 71 real Million Song Dataset tracks (58,229 segments); the pitches' as ranges.
TIMBRE_MEAN = (42.3, 3.5, 6.4, 7.1, -8.1, -7.1, -2.9, -0.9, 4.0, 1.8, 0.8, 3.8)
TIMBRE_STD = (7.9, 67.5, 54.4, 45.6, 36.8, 32.8, 27.4, 26.0, 21.7, 20.1, 18.3, 18.5)
TIMBRE_LAG1 = (0.89, 0.72, 0.70, 0.22, 0.62, 0.18, 0.55, 0.21, 0.52, 0.19, 0.01, 0.51)
LOUDNESS_MEAN, LOUDNESS_STD, LOUDNESS_LAG1 = -22.2, 9.5, 0.85

TIMBRE, PITCHES, LOUDNESS = slice(0, 12), slice(12, 24), 24
CONTRASTED = [3, 5, 7, 9]
# Genres 0..9 are five groups of two.
GOLD_GROUPS = (3, 4)


@pytest.fixture(scope="module")
def labels():
    """3000 songs, genres in turn."""
    return np.arange(3000) % 10


@pytest.fixture(scope="module")
def raw(labels):
    return raw_songs(np.random.Generator(np.random.PCG64(5)), labels)


@pytest.fixture(scope="module")
def standard(raw):
    """Features with mean 0 and deviation 1 over all songs and segments."""
    return (raw - raw.mean(axis=(0, 1))) / raw.std(axis=(0, 1))


@pytest.fixture(scope="module")
def dataset():
    return synthetic_dataset(0, (40, 23, 20))


def _told_by_averages(songs, classes):
    """Share of the second half's songs whose average over time is nearest to its class's.

    A class's average is that of the first half's songs.
    """
    half = len(songs) // 2
    averages, found = songs.mean(axis=1), np.unique(classes)
    centres = [averages[:half][classes[:half] == each].mean(axis=0) for each in found]
    distances = ((averages[half:, None] - np.array(centres)) ** 2).sum(axis=2)
    return (found[distances.argmin(axis=1)] == classes[half:]).mean()


def _way_round(songs, lag=5):
    """Above 0 where a theme is followed, `lag` segments on, by the next rather than the one before.

    Themes raise the pitches whose number leaves the same rest when divided by three.
    """
    themes = np.stack([songs[:, :, 12 + rest : 24 : 3].mean(axis=2) for rest in range(3)], axis=2)
    themes = themes - themes.mean(axis=1, keepdims=True)
    now, later = themes[:, :-lag], themes[:, lag:]
    following, preceding = np.roll(later, -1, axis=2), np.roll(later, 1, axis=2)
    return (now * (following - preceding)).sum(axis=(1, 2))


def _first_end_over_last(songs):
    """By how much the contrasted features are higher in the first third than in the last one."""
    contrasted = songs[:, :, CONTRASTED].mean(axis=2)
    return contrasted[:, :40].mean(axis=1) - contrasted[:, -40:].mean(axis=1)


def test_same_seed_same_songs_and_another_seed_others(dataset):
    again, other = synthetic_dataset(0, (40, 23, 20)), synthetic_dataset(1, (40, 23, 20))
    assert fingerprint(again) == fingerprint(dataset)
    assert not np.isclose(other.train.inputs, dataset.train.inputs, atol=0).all(axis=(1, 2)).any()


def test_songs_are_the_same_on_every_machine(dataset):
    # Not a value to be right or wrong: it was measured once, and every machine and every release of
    # numpy has to give it. A change of the songs on purpose changes it.
    assert (
        fingerprint(dataset) == "21206c64722ea42cebbb87518193c6146ff4897f44bf0713b0173e90a89c0cf0"
    )


def test_a_split_does_not_depend_on_the_sizes_of_the_others(dataset):
    other = synthetic_dataset(0, (40, 7, 20))
    np.testing.assert_array_equal(other.test.inputs, dataset.test.inputs)
    np.testing.assert_array_equal(other.test.labels, dataset.test.labels)


def test_shapes_types_and_names(dataset):
    for songs, size in ((dataset.train, 40), (dataset.valid, 23), (dataset.test, 20)):
        assert songs.inputs.shape == (size, 120, 25)
        assert songs.inputs.dtype == np.float16
        assert np.isfinite(songs.inputs).all()
        assert songs.labels.shape == (size,)
        assert songs.labels.dtype == np.int32
    assert dataset.name == "synthetic"
    assert len(set(dataset.genre_names)) == dataset.num_genres == 10


def test_every_split_has_its_genres_in_equal_numbers_and_no_fixed_order(dataset):
    assert np.bincount(dataset.train.labels).tolist() == [4] * 10
    assert sorted(np.bincount(dataset.valid.labels)) == [2] * 7 + [3] * 3
    assert np.bincount(dataset.test.labels).tolist() == [2] * 10
    assert (dataset.train.labels != np.arange(40) % 10).any()


def test_no_song_is_in_two_splits_or_twice_in_one():
    # Of equal sizes: a stream that served two splits would give the same songs twice.
    dataset = synthetic_dataset(0, (20, 20, 20))
    splits = (dataset.train, dataset.valid, dataset.test)
    assert len({song.tobytes() for split in splits for song in split.inputs}) == 60


def test_training_songs_are_standardised_and_the_others_with_their_statistics(dataset):
    inputs = dataset.train.inputs.astype(np.float64)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=2e-3)
    # Standardised by themselves, 20 songs would have these means at 0 too.
    assert np.abs(dataset.test.inputs.mean(axis=0, dtype=np.float64)).mean() > 0.1


def test_means_and_deviations_are_those_of_real_features(raw):
    mean, std = raw.mean(axis=(0, 1)), raw.std(axis=(0, 1))
    np.testing.assert_array_less(np.abs(mean[TIMBRE] - TIMBRE_MEAN) / TIMBRE_STD, 0.1)
    np.testing.assert_allclose(std[TIMBRE], TIMBRE_STD, rtol=0.05)
    assert abs(mean[LOUDNESS] - LOUDNESS_MEAN) < 0.1 * LOUDNESS_STD
    assert std[LOUDNESS] == pytest.approx(LOUDNESS_STD, rel=0.05)
    # Of the same tracks: pitches' means 0.29 to 0.45, deviations 0.26 to 0.33; 0.02 for the sample.
    assert 0.27 < mean[PITCHES].min() < 0.31 and 0.43 < mean[PITCHES].max() < 0.47
    assert 0.24 < std[PITCHES].min() < 0.28 and 0.31 < std[PITCHES].max() < 0.35


def test_neighbouring_segments_are_as_alike_as_real_ones(standard):
    first, second = standard[:, :-1], standard[:, 1:]
    lag1 = (first * second).mean(axis=(0, 1))
    np.testing.assert_allclose(lag1[TIMBRE], TIMBRE_LAG1, atol=0.05)
    assert lag1[LOUDNESS] == pytest.approx(LOUDNESS_LAG1, abs=0.05)
    # Of the same tracks: 0.32 to 0.44.
    assert 0.29 < lag1[PITCHES].min() < lag1[PITCHES].max() < 0.49


def test_raw_features_keep_to_their_ranges_and_to_three_decimals(raw):
    pitches, loudness = raw[..., PITCHES], raw[..., LOUDNESS]
    # Both bounds of the pitches are reached, as in real songs.
    assert pitches.min() == 0 and pitches.max() == 1
    assert loudness.min() >= -60 and loudness.max() == 0
    np.testing.assert_array_equal(raw, raw.round(3))


def test_a_averages_tell_colours_but_neither_way_round_nor_part(standard, labels):
    group = labels // 2
    colour = np.minimum(group, 3)
    gold = np.isin(group, GOLD_GROUPS)
    assert _told_by_averages(standard, colour) > 0.55  # Always gold: 0.4.
    assert _told_by_averages(standard, labels % 2) == pytest.approx(0.5, abs=0.06)
    assert _told_by_averages(standard[gold], group[gold]) == pytest.approx(0.5, abs=0.08)


def test_b_order_of_themes_tells_the_way_round_inside_every_group(standard, labels):
    is_right = (_way_round(standard) > 0) == (labels % 2 == 0)
    for group in range(5):
        assert is_right[labels // 2 == group].mean() > 0.85


def test_b_no_fixed_position_tells_the_way_round(standard, labels):
    forward, backward = standard[labels % 2 == 0], standard[labels % 2 == 1]
    difference = forward.mean(axis=0) - backward.mean(axis=0)
    variance = forward.var(axis=0) / len(forward) + backward.var(axis=0) / len(backward)
    # For each of the 3000 position x feature inputs this is about 1, were there nothing to tell.
    squares = difference**2 / variance
    assert squares.mean() == pytest.approx(1, abs=0.35)
    assert squares.max() < 5**2


def test_c_ends_of_the_song_tell_the_parts_in_gold_songs_only(standard, labels):
    group, starts_up = labels // 2, _first_end_over_last(standard) > 0
    assert starts_up[group == 3].mean() > 0.85
    assert starts_up[group == 4].mean() < 0.15
    for other in range(3):
        assert starts_up[group == other].mean() == pytest.approx(0.5, abs=0.1)


def test_c_one_end_alone_tells_less_than_both(standard, labels):
    gold = np.isin(labels // 2, GOLD_GROUPS)
    early = labels[gold] // 2 == 3
    by_both = ((_first_end_over_last(standard[gold]) > 0) == early).mean()
    last = standard[gold][:, -40:, CONTRASTED].mean(axis=(1, 2))
    assert ((last < 0) == early).mean() < by_both - 0.05


def test_some_songs_stray_so_that_no_model_is_always_right(standard, labels):
    # Clear songs on the wrong side: the share of strays, a tenth, times the half of the genres that
    # go the other way.
    way = _way_round(standard)
    clear = np.abs(way) > np.median(np.abs(way))
    wrong = (way[clear] > 0) != (labels[clear] % 2 == 0)
    assert 0.02 < wrong.mean() < 0.09


def test_genres_have_invented_names():
    assert GENRE_NAMES[6] == "gold early forward"
    assert all(name.split()[0] in ("red", "green", "blue", "gold") for name in GENRE_NAMES)
