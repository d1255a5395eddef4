"""Features on another scale are refused, and no real song is."""

from itertools import pairwise

import numpy as np
import pytest

from msd_jax.dataset import load_dataset
from msd_jax.normaliser import load_normaliser
from msd_jax.scale import (
    InputStatistics,
    check_raw,
    check_standardised,
    input_statistics,
)
from msd_jax.songs import CROPS, Rejected, crop
from tests.real_data import REAL_DATA, needs_real_data


def refusal(check, *arguments) -> str:
    with pytest.raises(Rejected) as caught:
        check(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def make_raw(num_segments: int = 20) -> np.ndarray:
    """A song within the bounds of an analysis, [T, 25]."""
    rng = np.random.default_rng(0)
    song = np.empty((num_segments, 25))
    song[:, :12] = rng.normal(0, 50, (num_segments, 12))
    song[:, 12:24] = rng.uniform(0, 1, (num_segments, 12))
    song[:, 24] = rng.uniform(-60, -5, num_segments)
    return song


def real_songs(where: str) -> list[np.ndarray]:
    with np.load(REAL_DATA / "real_tracks_71.npz") as file:
        features, offsets = file["features"], file["offsets"]
    return [crop(features[start:stop], 100, where) for start, stop in pairwise(offsets)]


def test_statistics_by_hand_in_blocks_and_of_a_constant():
    # Feature 0 is 0, 2, 4, 6: mean 3, variance (9 + 1 + 1 + 9) / 4 = 5. Feature 1 is always 7.
    inputs = np.array([[[0, 7], [2, 7]], [[4, 7], [6, 7]]], np.float16)
    mean, std = input_statistics(inputs)
    np.testing.assert_allclose(mean, [3, 7])
    np.testing.assert_allclose(std, [5**0.5, 1])
    many = np.random.default_rng(0).normal(3, 2, (2500, 3, 2)).astype(np.float16)
    mean, std = input_statistics(many)
    np.testing.assert_allclose(mean, many.mean(axis=(0, 1), dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(std, many.std(axis=(0, 1), dtype=np.float64), rtol=1e-12)


def test_a_raw_song_passes_and_one_in_another_unit_does_not():
    song = make_raw()
    check_raw(song)
    changed = song.copy()
    changed[0, 12] = -0.5
    assert refusal(check_raw, changed).startswith("not raw features: pitches go from -0.5 to ")
    changed[0, 12] = 1.5
    assert "to 1.5, not 0 to 1" in refusal(check_raw, changed)
    for loudness in (
        10 ** (song[:, 24] / 20),  # amplitude
        song[:, 24] / 10,  # bel
        -song[:, 24],  # the sign lost
        song[:, 24] * 10,  # centibel
        song[:, 24] + 90,  # dB of sound pressure
    ):
        changed = song.copy()
        changed[:, 24] = loudness
        assert refusal(check_raw, changed).startswith("not raw features: loudness goes from ")


def test_another_order_of_the_features_is_refused():
    song = make_raw()
    for order in (np.r_[12:24, 0:12, 24], np.r_[24, 0:24], np.arange(25)[::-1]):
        refusal(check_raw, song[:, order])


def test_distance_from_the_training_songs_by_hand():
    statistics = InputStatistics(np.array([1.0, 0.0]), np.array([2.0, 1.0]))
    check_standardised(np.array([[17.0, 0.0]]), statistics)  # (17 - 1) / 2 = 8, the bound
    text = refusal(check_standardised, np.array([[17.1, 0.0]]), statistics)
    assert text.startswith("another scale: feature 0 is 8.05 deviations from")
    refusal(check_standardised, np.array([[np.nan, 0.0]]), statistics)
    refusal(check_standardised, np.array([[np.inf, 0.0]], np.float16), statistics)
    # Root mean square of (0.3, 0.3) is 0.3; of (0.1, 0.1), and of nothing at all, below 0.2.
    check_standardised(np.array([[1.6, 0.3]]), statistics)
    assert "smaller scale" in refusal(check_standardised, np.array([[1.2, 0.1]]), statistics)


@needs_real_data
@pytest.mark.parametrize("where", CROPS)
def test_real_songs_pass_and_pass_no_more_on_another_scale(where):
    (mean, std), _ = load_normaliser(REAL_DATA / "msd-3-genre-normaliser.npz")
    statistics = input_statistics(load_dataset("msd-3-genre", REAL_DATA).train.inputs)
    songs = real_songs(where)
    assert len(songs) == 71
    for song in songs:
        standardised = (song - mean) / std
        check_raw(song)
        check_standardised(standardised, statistics)
        refusal(check_raw, standardised)
        refusal(check_standardised, song, statistics)
        refusal(check_standardised, standardised / 10, statistics)
        bels = song.copy()
        bels[:, 24] /= 10
        refusal(check_raw, bels)


@needs_real_data
@pytest.mark.parametrize("stem", ["msd-3-genre", "gtzan-10-genre"])
def test_no_song_of_a_real_set_is_refused(stem):
    dataset = load_dataset(stem, REAL_DATA)
    statistics = input_statistics(dataset.train.inputs)
    for songs in (dataset.train, dataset.valid, dataset.test):
        for song in [] if songs is None else songs.inputs:
            check_standardised(song, statistics)
