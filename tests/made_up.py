"""Results with known answers, as if trained: accuracy by an offset for each point and rule."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from experiments.judging.results import HeldOut, Results, Training, rule_name
from experiments.running.predictions import FILES, Predictions, rules_of, save_predictions
from experiments.studying.grids import Grid, Point, make_grid
from experiments.studying.presets import PRESETS, Preset
from msd_jax import metrics

GRID = make_grid("report", "text", "msd10")
NUM_EPOCHS, NUM_TEST, K = 20, 200, 4


def _held_out(accuracy: float, rng: np.random.Generator) -> HeldOut:
    """Predictions of 200 songs of which this share is right, to the nearest song."""
    labels = np.arange(NUM_TEST) % K
    right = rng.permutation(NUM_TEST) < round(accuracy * NUM_TEST)
    predicted = np.where(right, labels, (labels + 1) % K)
    log_probs = np.log(np.where(np.eye(K)[predicted] > 0, 0.7, 0.1))
    return HeldOut(
        accuracy,  # as made up, not as rounded
        float(metrics.negative_log_likelihood(log_probs, labels)),
        metrics.calibration_error(log_probs, labels),
        right,
        metrics.confusion(log_probs, labels),
        metrics.reliability(log_probs, labels),
    )


def with_predictions(results: Results, folder: Path, num_songs: int = 60) -> Results:
    """The same as if their runs' folders lay in `folder`, one a point and fold, each seed right in
    its own 60% of the songs, with a genre at 70%.
    """
    labels = np.arange(num_songs) % K
    trainings = dict(results.trainings)
    for index, (point, fold) in enumerate(dict.fromkeys(key[:2] for key in trainings)):
        rng = np.random.default_rng(index)
        right = rng.permuted(np.tile(np.arange(num_songs) < 0.6 * num_songs, (10, 1)), axis=1)
        predicted = np.where(right, labels, (labels + rng.integers(1, K, right.shape)) % K)
        log_probs = np.log(np.where(np.eye(K)[predicted] > 0, 0.7, 0.1)).astype(np.float32)
        path = folder / str(index)
        path.mkdir()
        by_rule = dict.fromkeys(rules_of(point.model), log_probs)
        save_predictions(path / FILES["test"], Predictions(by_rule, labels))
        for place, seed in enumerate(results.seeds):
            key = point, fold, seed
            trainings[key] = trainings[key]._replace(workdir=path, place=place)
    return results._replace(trainings=trainings)


def make_results(
    offset: Callable[[Point, str], float] = lambda point, rule: 0.0,
    curves: Callable[[Point], dict[str, np.ndarray]] = lambda point: {},
    noise: float = 0.05,
    seeds: int = 10,
    folds: tuple[str | None, ...] = (None,),
    grid: Grid = GRID,
    test: bool = True,
    presets: Mapping[str, Preset] = PRESETS,
    draw: int = 0,
) -> Results:
    """These presets' points: 50% plus the offset in points, noise of a seed that all its points
    share (2 points), and noise of its own; the test accuracy is 1 point lower.
    """
    rng, of_seeds = np.random.default_rng(draw), np.random.default_rng(draw + 1)
    points = dict.fromkeys(p for preset in presets.values() for p in preset.points(grid))
    trainings = {}
    for seed, fold in ((s, f) for s in range(123, 123 + seeds) for f in folds):
        shared = of_seeds.normal(0, 2)  # whatever else is made: seeds are paired over grids
        for point in points:
            made: dict[str, np.ndarray] = {"seconds": np.full(NUM_EPOCHS, 2.0)}
            held_out = {}
            for rule in rules_of(point.model):
                peak = (50 + shared + offset(point, rule) + rng.normal(0, noise)) / 100
                accuracies = np.full(NUM_EPOCHS, peak - 0.1)
                accuracies[[6, 9]] = peak  # best in epoch 7, and again in 10
                made[rule_name("valid_accuracy", rule)] = accuracies
                made[rule_name("valid_loss", rule)] = 2 - accuracies
                made[f"valid_report_error_{rule}"] = 2.3 - accuracies
                held_out[rule] = _held_out(peak - 0.01, rng)
            made["train_accuracy"] = made["train_cross_entropy"] = np.full(NUM_EPOCHS, 0.5)
            made["train_secondary"] = np.geomspace(1.0, 0.1, NUM_EPOCHS)
            made |= {name: np.asarray(x, float) for name, x in curves(point).items()}
            trainings[point, fold, seed] = Training(
                point, seed, fold, made, held_out if test else {}, Path("made-up")
            )
    return Results("made-up", tuple("abcd"), trainings, [])
