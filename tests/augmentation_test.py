"""Songs changed at random: by how much, how many of them, and where they are cut."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from msd_jax.augmentation import augment, central_crop, change, random_crop
from msd_jax.config import Augmentation, Config
from msd_jax.errors import InputError

KEY = jax.random.key(5)
N, T, F = 400, 12, 5
# Every number of every song is another one, none of them 0.
SONGS = jnp.arange(1, N * T * F + 1, dtype=jnp.float32).reshape(N, T, F)


def make_config(**options) -> Config:
    return Config(T, F, 3, augmentation=Augmentation(**options))


def is_likely(count: int, n: int, probability: float) -> bool:
    """Whether so many successes lie within the middle 99.98% of the binomial distribution."""
    low, high = stats.binom.ppf([1e-4, 1 - 1e-4], n, probability)
    return low <= count <= high


def test_noise_has_the_moments_of_a_gaussian():
    """24,000 numbers: of a standard Gaussian the mean is known to 1 / sqrt(n), the std to
    1 / sqrt(2 n), the kurtosis of 3 to sqrt(24 / n); 4 standard errors are allowed.
    """
    added = np.asarray(augment(make_config(noise=0.5), KEY, jnp.zeros((N, T, F)))) / 0.5
    n = added.size
    assert abs(added.mean()) < 4 / n**0.5
    assert abs(added.std() - 1) < 4 / (2 * n) ** 0.5
    assert abs((added**4).mean() - 3) < 4 * (96 / n) ** 0.5
    # As much of it in every song, and no two numbers alike by the way they lie.
    assert abs(np.corrcoef(added[:, 0].ravel(), added[:, 1].ravel())[0, 1]) < 4 / (N * F) ** 0.5
    assert abs(np.corrcoef(added[0::2].ravel(), added[1::2].ravel())[0, 1]) < 4 / (n / 2) ** 0.5


def test_noise_is_added_to_what_is_there():
    config = make_config(noise=0.5)
    noise = augment(config, KEY, jnp.zeros((N, T, F)))
    chex.assert_trees_all_close(augment(config, KEY, SONGS), SONGS + noise, rtol=1e-6)


def test_a_feature_is_dropped_in_all_segments_of_a_song_and_the_others_stay():
    dropped = np.asarray(augment(make_config(feature_dropout=0.3), KEY, SONGS))
    is_zero = dropped == 0
    np.testing.assert_array_equal(is_zero.all(axis=1), is_zero.any(axis=1))
    np.testing.assert_array_equal(dropped[~is_zero], np.asarray(SONGS)[~is_zero])
    is_gone = is_zero.all(axis=1)
    assert is_likely(is_gone.sum(), is_gone.size, 0.3)
    for feature in range(F):
        assert is_likely(is_gone[:, feature].sum(), N, 0.3)


def test_noise_leaves_a_dropped_feature_at_zero():
    changed = np.asarray(augment(make_config(noise=1.0, feature_dropout=0.5), KEY, SONGS))
    is_zero = changed == 0
    np.testing.assert_array_equal(is_zero.all(axis=1), is_zero.any(axis=1))
    assert is_likely(is_zero.all(axis=1).sum(), N * F, 0.5)
    # Which features go and how large the noise is have nothing to do with one another.
    alone = np.asarray(augment(make_config(noise=1.0), KEY, SONGS))
    np.testing.assert_array_equal(changed[~is_zero], alone[~is_zero])


def test_a_share_of_the_songs_is_changed_and_the_others_not_at_all():
    config = make_config(noise=0.5, feature_dropout=0.2, augmented_fraction=0.25)
    is_changed = np.asarray(augment(config, KEY, SONGS) != SONGS)
    songs = is_changed.any(axis=(1, 2))
    assert is_likely(songs.sum(), N, 0.25)
    whole = make_config(noise=0.5, feature_dropout=0.2)
    np.testing.assert_array_equal(
        augment(config, KEY, SONGS)[songs], augment(whole, KEY, SONGS)[songs]
    )


def test_crops_are_windows_of_their_songs_and_every_place_is_as_likely():
    """8 places for 5 segments of 12: 400 songs, chi squared of 7 degrees of freedom."""
    crops = np.asarray(random_crop(make_config(crop=5), KEY, SONGS))
    assert crops.shape == (N, 5, F)
    starts = []
    for song, crop in zip(np.asarray(SONGS), crops, strict=True):
        (start,) = np.flatnonzero(song[:, 0] == crop[0, 0])
        np.testing.assert_array_equal(crop, song[start : start + 5])
        starts.append(start)
    counts = np.bincount(starts, minlength=8)
    assert len(counts) == 8
    assert counts.min() > 0
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize(("crop", "start"), [(12, 0), (11, 0), (10, 1), (5, 3), (1, 5)])
def test_the_central_crop_by_hand(crop, start):
    actual = central_crop(make_config(crop=crop), SONGS)
    np.testing.assert_array_equal(actual, SONGS[:, start : start + crop])
    np.testing.assert_array_equal(central_crop(make_config(crop=crop), actual), actual)


def test_songs_shorter_than_the_crop_are_refused():
    with pytest.raises(ValueError, match="3 segments are shorter"):
        central_crop(make_config(crop=5), SONGS[:, :3])


def test_an_autoencoder_rebuilds_the_cropped_song_without_noise():
    config = make_config(crop=5, noise=0.1, feature_dropout=0.2)
    changed = change(config, KEY, SONGS)
    alone = change(make_config(crop=5), KEY, SONGS)
    np.testing.assert_array_equal(changed.targets, alone.inputs)
    np.testing.assert_array_equal(alone.targets, alone.inputs)
    assert np.mean(np.asarray(changed.inputs == changed.targets)) < 0.01


def test_nothing_is_drawn_and_nothing_changed_by_default():
    for key in (None, KEY):
        changed = change(make_config(), key, SONGS)
        assert changed.inputs is changed.targets is SONGS
    assert central_crop(make_config(), SONGS) is SONGS


def test_without_a_key_songs_are_as_in_evaluation():
    config = make_config(crop=5, noise=0.1)
    changed = change(config, None, SONGS)
    np.testing.assert_array_equal(changed.inputs, central_crop(config, SONGS))
    np.testing.assert_array_equal(changed.targets, changed.inputs)


def test_another_key_draws_anew_and_the_same_one_the_same():
    config = make_config(crop=5, noise=0.1, feature_dropout=0.2, augmented_fraction=0.9)
    first, again, other = (change(config, jax.random.key(k), SONGS) for k in (1, 1, 2))
    chex.assert_trees_all_equal(first, again)
    assert np.mean(np.asarray(first.inputs == other.inputs)) < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -0.1}, "noise is -0.1: it must be 0"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"feature_dropout": 1.0}, "feature_dropout is 1.0: it must be .* below 1"),
        ({"feature_dropout": -0.1}, "feature_dropout is -0.1"),
        ({"noise": 1.0, "augmented_fraction": 0.0}, "augmented_fraction is 0.0: .* above 0"),
        ({"noise": 1.0, "augmented_fraction": 1.5}, "augmented_fraction is 1.5"),
        ({"augmented_fraction": 0.5}, "no song is changed: give noise or feature_dropout"),
        ({"crop": -1}, "crop is -1"),
        ({"crop": 13}, "crop is 13, but the songs have 12 segments"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        make_config(**options)


def test_a_crop_that_the_snippets_do_not_divide_is_refused():
    options = {"model": "ensemble", "num_snippets": 4}
    assert Config(12, 5, 3, **options, augmentation=Augmentation(crop=8)).network_segments == 8
    with pytest.raises(InputError, match=r"10 segments cannot be cut into 4 .* of the crop"):
        Config(12, 5, 3, **options, augmentation=Augmentation(crop=10))
    # It is the crop that is cut, so that the song need not divide.
    assert Config(13, 5, 3, **options, augmentation=Augmentation(crop=8)).network_segments == 8
