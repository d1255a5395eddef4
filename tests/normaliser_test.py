"""Statistics by hand, in blocks as at once, and normaliser files that nobody vouches for."""

import numpy as np
import pytest

from msd_jax.errors import InputError
from msd_jax.normaliser import (
    Normaliser,
    fit_normaliser,
    fit_normaliser_in_blocks,
    load_normaliser,
    normalise,
    save_normaliser,
)
from tests.real_data import REAL_DATA, needs_real_data

GOOD = {"mean": np.zeros((2, 3)), "std": np.ones((2, 3)), "crop": np.array("central")}


def test_normaliser_by_hand():
    # Feature 0 over the songs: 1, 3 then 2, 6: means 2 and 4, standard deviations 1 and 2 (of the
    # population). Feature 1 is 7 everywhere: its deviation counts as 1.
    inputs = np.array([[[1, 7], [2, 7]], [[3, 7], [6, 7]]], np.float16)
    mean, std = normaliser = fit_normaliser(inputs)
    np.testing.assert_array_equal(mean, [[2, 7], [4, 7]])
    np.testing.assert_array_equal(std, [[1, 1], [2, 1]])
    expected = np.array([[[-1, 0], [-1, 0]], [[1, 0], [1, 0]]], np.float16)
    np.testing.assert_array_equal(normalise(normaliser, inputs), expected, strict=True)
    # New songs are measured with the old statistics: (5 - 2) / 1, (8 - 7) / 1, (5 - 4) / 2, -7 / 1.
    new = normalise(normaliser, np.array([[[5, 8], [5, 0]]], np.float32))
    np.testing.assert_array_equal(new, np.array([[[3, 1], [0.5, -7]]], np.float16), strict=True)


def test_a_constant_whose_mean_is_rounded_is_a_constant_all_the_same():
    # (0.1 + 0.1 + 0.1) / 3 is not 0.1 in float64, so the numbers seem to vary by 1e-17.
    assert fit_normaliser(np.full((3, 1, 1), 0.1)).std == 1


def test_statistics_of_large_float16_values_do_not_overflow():
    inputs = np.full((3, 1, 1), 60000, np.float16)  # their sum is beyond float16, their square too
    assert fit_normaliser(inputs) == Normaliser(np.array([[inputs[0, 0, 0]]]), np.ones((1, 1)))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_change_nothing_but_rounding(size):
    # A mean far from 0 beside a small deviation: one pass over squares would lose the deviation.
    inputs = 1e6 + np.random.default_rng(0).standard_normal((100, 3, 2))
    blocks = [inputs[start : start + size] for start in range(0, 100, size)]
    mean, std = fit_normaliser_in_blocks(lambda: blocks)
    np.testing.assert_allclose(mean, np.mean(inputs, axis=0), rtol=1e-15)
    np.testing.assert_allclose(std, np.std(inputs, axis=0), rtol=1e-9)


def test_what_is_beyond_float16_stays_finite():
    far = normalise(
        Normaliser(np.zeros((1, 2)), np.full((1, 2), 1e-3)), np.array([[[100.0, -100]]])
    )
    np.testing.assert_array_equal(far, np.array([[[65504, -65504]]], np.float16), strict=True)


def test_a_saved_normaliser_comes_back_and_its_bytes_are_its_contents(tmp_path):
    normaliser = fit_normaliser(np.random.default_rng(0).standard_normal((5, 4, 3)))
    for name in ("a.npz", "b.npz"):
        save_normaliser(tmp_path / name, normaliser, "start")
    (mean, std), crop = load_normaliser(tmp_path / "a.npz")
    np.testing.assert_array_equal(mean, normaliser.mean, strict=True)
    np.testing.assert_array_equal(std, normaliser.std, strict=True)
    assert crop == "start"
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": np.zeros((2, 3), int)}, "mean is int64 of shape (2, 3)"),
        ({"mean": np.zeros(3)}, "mean is float64 of shape (3,)"),
        ({"std": np.ones((0, 3))}, "std is float64 of shape (0, 3)"),
        ({"std": np.ones((3, 3))}, "mean is (2, 3) and std (3, 3)"),
        ({"mean": np.full((2, 3), np.nan)}, "mean holds NaN"),
        ({"std": np.full((2, 3), np.inf)}, "std holds NaN or infinite"),
        ({"std": np.zeros((2, 3))}, "std holds 0: deviations are above 0"),
        ({"std": -np.ones((2, 3))}, "std holds -1"),
        ({"crop": np.array("end")}, "crop is 'end': one of central, start is needed"),
        ({"crop": np.array(["start"])}, "crop is "),
        ({"crop": np.array(1)}, "crop is '1'"),
        ({"crop": np.array(None)}, "crop is a pickled object"),
        ({"crop": None}, "no crop in it"),
    ],
)
def test_a_normaliser_that_cannot_be_right_is_refused(tmp_path, changes, message):
    path = tmp_path / "n.npz"
    np.savez(path, **{key: array for key, array in (GOOD | changes).items() if array is not None})
    with pytest.raises(InputError) as caught:
        load_normaliser(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@needs_real_data
def test_the_real_normaliser_is_read():
    normaliser, crop = load_normaliser(REAL_DATA / "msd-3-genre-normaliser.npz")
    assert (normaliser.mean.shape, crop) == ((100, 25), "start")
    assert (normaliser.mean.dtype, normaliser.std.dtype) == (np.float64, np.float64)
