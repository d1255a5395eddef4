"""The numbers of summary.json, from lines written by hand."""

import numpy as np
import pytest

from experiments.judging.results import curves_of
from experiments.running.predictions import Predictions
from experiments.running.summary import grid_points, pooled_seeds, summarise, trial_result
from msd_jax.metrics import mean_interval

TRIAL = {
    "seed": 1, "num_hidden": 100, "num_snippets": None, "learning_rate": 1e-3, "l2": 0.0,
    "beta": 100.0, "alpha": None, "alpha_binary": None,
}  # fmt: skip


def line(epoch, accuracy, seconds=2.0, seed=1, diverged=False):
    return {**TRIAL, "seed": seed, "epoch": epoch, "valid_accuracy": accuracy, "seconds": seconds,
            "diverged": diverged}  # fmt: skip


def test_peak_is_the_earliest_best_epoch():
    lines = [line(1, 0.3), line(2, 0.5, seconds=4.0), line(3, 0.5), line(4, 0.4)]
    assert trial_result(TRIAL, lines, 0.45) == {
        **TRIAL,
        "peak_valid_accuracy": 0.5,
        "peak_epoch": 2,
        "final_valid_accuracy": 0.4,
        "test_accuracy": 0.45,
        "seconds_per_epoch": 2.5,
        "diverged": None,
    }


def test_a_diverged_trial_keeps_what_it_reached_before():
    result = trial_result(TRIAL, [line(1, 0.3), line(2, None, diverged=True)], 0.25)
    assert (result["diverged"], result["peak_valid_accuracy"], result["test_accuracy"]) == (
        2,
        0.3,
        0.25,
    )


def test_a_validation_that_diverged_is_no_epoch_for_the_report_either():
    """Its loss is null, but its accuracy is a number: NaN scores are taken for genre 0."""
    lines = [line(1, 0.3), line(2, 0.4), line(3, 0.45, diverged=True)]
    curves = curves_of(lines)
    result = trial_result(TRIAL, lines, 0.25)
    assert (result["final_valid_accuracy"], result["peak_epoch"]) == (0.4, 2)
    np.testing.assert_array_equal(curves["valid_accuracy"], [0.3, 0.4, np.nan])
    np.testing.assert_array_equal(curves["seconds"], [2, 2, 2])


def test_a_trial_that_diverges_at_once_has_no_accuracy():
    result = trial_result(TRIAL, [line(1, None, diverged=True)], 0.1)
    assert result["diverged"] == 1
    for name in ("peak_valid_accuracy", "peak_epoch", "final_valid_accuracy", "test_accuracy"):
        assert result[name] is None


def test_interval_by_hand():
    # 0.4, 0.5, 0.6: mean 0.5, std 0.1, t(2 degrees, 97.5%) = 4.3027 from a printed table.
    interval = mean_interval([0.4, 0.5, 0.6])
    np.testing.assert_allclose(interval, (0.5, 0.5 - 0.24841, 0.5 + 0.24841), atol=1e-4)


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert mean_interval([0.4]) == (0.4, None, None)
    assert mean_interval([]) == (None, None, None)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        _, low, high = mean_interval(rng.normal(3.0, 2.0, 5))
        held += low <= 3.0 <= high
    # 95% of 2,000 draws, within 4 standard errors of the share: 0.02.
    assert held / 2000 == pytest.approx(0.95, abs=0.02)


def test_points_are_over_the_seeds_of_each_grid_point():
    rows = [
        {**TRIAL, "seed": seed, "beta": beta, "peak_valid_accuracy": peak, "test_accuracy": None,
         "diverged": None if peak else 1}
        for beta, seed, peak in ((0.0, 1, 0.4), (0.0, 2, 0.6), (100.0, 1, 0.5), (100.0, 2, None))
    ]  # fmt: skip
    first, second = grid_points(rows)
    assert (first["beta"], first["num_seeds"], first["num_diverged"]) == (0.0, 2, 0)
    assert first["peak_valid_accuracy"]["mean"] == pytest.approx(0.5)
    assert first["test_accuracy"] is None
    assert (second["beta"], second["num_seeds"], second["num_diverged"]) == (100.0, 2, 1)
    assert second["peak_valid_accuracy"] == {"mean": 0.5, "low": None, "high": None}


def test_seeds_are_pooled_within_their_point_and_diverged_ones_left_out():
    """Two songs of genre 0. At beta 0: .9, .4 and .6, .4: by the mean .75, .4; by the product
    .54 / .58, .16 / .52: one of two right in all. At beta 100 one seed is left.
    """
    trials = ((0.0, 1, 3), (0.0, 2, 1), (0.0, 3, None), (100.0, 1, 2))
    runs = [{**TRIAL, "beta": b, "seed": seed, "peak_epoch": epoch} for b, seed, epoch in trials]
    true = np.array([[0.9, 0.4], [0.6, 0.4], [0.5, 0.5], [0.9, 0.9]])
    log_probs = np.log(np.stack([true, 1 - true], axis=-1))
    first, second = pooled_seeds(runs, log_probs, np.array([0, 0]), "valid")
    assert second is None
    assert (first["split"], first["num_seeds"]) == ("valid", 2)
    assert [first[name]["accuracy"] for name in ("alone", "mean", "product")] == [0.5, 0.5, 0.5]
    assert first["alone"]["nll"] == pytest.approx(-np.log(0.9 * 0.4 * 0.6 * 0.4) / 4)
    assert first["mean"]["nll"] == pytest.approx(-np.log(0.75 * 0.4) / 2)
    assert first["product"]["nll"] == pytest.approx(-np.log(0.54 / 0.58 * 0.16 / 0.52) / 2)


def test_summary_gathers_lines_by_trial_in_any_order():
    trials = [TRIAL, {**TRIAL, "seed": 2}]
    metrics = [line(2, 0.6, seed=2), line(1, 0.1), line(1, 0.2, seed=2), line(2, 0.3)]
    right, wrong = np.log([[0.8, 0.2]]), np.log([[0.1, 0.9]])
    predictions = Predictions({"softmax": np.stack([right, wrong])}, np.array([0]))
    summary = summarise({"num_train": 100}, trials, metrics, predictions, "softmax", "test")
    assert [run["test_accuracy"] for run in summary["runs"]] == [1.0, 0.0]
    assert summary["points"][0]["seeds_pooled"]["mean"]["nll"] == pytest.approx(-np.log(0.45))
    untested = summarise({"num_train": 100}, trials, metrics, predictions, "softmax", "valid")
    assert [run["test_accuracy"] for run in untested["runs"]] == [None, None]
    assert [run["peak_valid_accuracy"] for run in summary["runs"]] == [0.3, 0.6]
    assert summary["seconds"] == 8.0
    assert summary["songs_per_second"] == 4 * 100 / 8.0
