"""Calibration, confusion, likelihood: cases computed on paper."""

import numpy as np
import pytest

from msd_jax import metrics

# Four songs of two genres: confidence 0.9, 0.9, 0.6, 0.6; right, right, wrong, right.
PROBS = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.4, 0.6]])
LOG_PROBS, LABELS = np.log(PROBS), np.array([0, 1, 1, 1])


def test_likelihood_and_rightness():
    np.testing.assert_array_equal(metrics.correct(LOG_PROBS, LABELS), [True, True, False, True])
    expected = -np.log(0.9 * 0.9 * 0.4 * 0.6) / 4
    assert metrics.negative_log_likelihood(LOG_PROBS, LABELS) == pytest.approx(expected)
    both = np.stack([LOG_PROBS, np.log(np.full((4, 2), 0.5))])
    np.testing.assert_allclose(metrics.negative_log_likelihood(both, LABELS), [expected, np.log(2)])


def test_scores_that_are_not_numbers_are_no_calibration():
    broken = LOG_PROBS.copy()
    broken[0] = np.nan
    assert np.isnan(metrics.calibration_error(broken, LABELS))


def test_calibration_error_by_hand():
    """Half the songs at 0.9 are all right: 0.1 off; half at 0.6 are half right: 0.1 off."""
    assert metrics.calibration_error(LOG_PROBS, LABELS) == pytest.approx(0.1)
    bins = metrics.reliability(LOG_PROBS, LABELS, num_bins=2)
    np.testing.assert_allclose(bins.share, [0.0, 1.0])
    np.testing.assert_allclose(bins.confidence, [np.nan, 0.75])
    np.testing.assert_allclose(bins.accuracy, [np.nan, 0.75])
    assert metrics.calibration_error(LOG_PROBS, LABELS, num_bins=2) == pytest.approx(0.0)


def test_a_sure_prediction_lies_in_the_last_bin():
    sure = np.log(np.array([[1.0, 1e-300]]))
    assert metrics.reliability(sure, np.array([1]), num_bins=10).share[-1] == 1.0
    assert metrics.calibration_error(sure, np.array([1])) == pytest.approx(1.0)


def test_a_calibrated_predictor_has_a_small_error():
    """Labels drawn from the predicted probabilities themselves: only noise is left, about 0.01."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(5), 20_000)
    labels = (rng.uniform(size=(20_000, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    assert metrics.calibration_error(np.log(probs), labels) < 0.02
    assert metrics.calibration_error(np.log(probs), np.roll(labels, 1)) > 0.1


def test_confusion_has_the_true_genre_in_its_rows():
    np.testing.assert_array_equal(metrics.confusion(LOG_PROBS, LABELS), [[1, 0], [1, 2]])
