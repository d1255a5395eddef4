"""What a run found: summary.json, from the metrics of every epoch and the songs held out."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.command.checks import POINT_NAMES
from experiments.running.predictions import Predictions, accuracies
from msd_jax.metrics import mean_interval
from msd_jax.seed_ensembles import SEED_RULES, Worth, worth

Line = dict[str, Any]
SUMMARISED = ("peak_valid_accuracy", "test_accuracy")


def trial_result(trial: Line, lines: Sequence[Line], test_accuracy: float | None) -> Line:
    """The result of one trial.

    Args:
      trial: what names it.
      lines: its metrics, one an epoch, in order.
      test_accuracy: at its best epoch's parameters; None without a test set.

    Returns:
      A row of summary.json's "runs". Accuracies are None where the trial diverged in its first
      epoch; "diverged" is the epoch that it diverged in, or None.
    """
    finite = [line for line in lines if not line["diverged"]]
    accuracies = [line["valid_accuracy"] for line in finite]
    peak = max(accuracies, default=None)
    return {
        **trial,
        "peak_valid_accuracy": peak,
        "peak_epoch": accuracies.index(peak) + 1 if accuracies else None,
        "final_valid_accuracy": accuracies[-1] if accuracies else None,
        "test_accuracy": test_accuracy if accuracies else None,
        "seconds_per_epoch": sum(line["seconds"] for line in lines) / len(lines),
        "diverged": next((line["epoch"] for line in lines if line["diverged"]), None),
    }


def _by_point(runs: Sequence[Line]) -> dict[tuple, list[int]]:
    """The places of each grid point's runs."""
    places = defaultdict(list)
    for place, run in enumerate(runs):
        places[tuple(run[name] for name in POINT_NAMES)].append(place)
    return places


def grid_points(runs: Sequence[Line]) -> list[Line]:
    """Mean and 95% interval over the seeds of each grid point."""
    points = []
    for point, places in _by_point(runs).items():
        members = [runs[place] for place in places]
        row: Line = dict(zip(POINT_NAMES, point, strict=True))
        row["num_seeds"] = len(members)
        row["num_diverged"] = sum(run["diverged"] is not None for run in members)
        for measure in SUMMARISED:
            values = [run[measure] for run in members if run[measure] is not None]
            row[measure] = mean_interval(values)._asdict() if values else None
        points.append(row)
    return points


def pooled_seeds(
    runs: Sequence[Line], log_probs: np.ndarray, labels: np.ndarray, split: str
) -> list[Line | None]:
    """What the seeds of each grid point are worth alone, in the mean, and pooled to one predictor.

    Args:
      runs: rows of summary.json's "runs", R.
      log_probs: [R, N, K], each at its best epoch.
      labels: [N].
      split: of which these songs are.

    Returns:
      In the order of `grid_points`; None for a point with fewer than two seeds that did an epoch.
    """
    found: list[Line | None] = []
    for places in _by_point(runs).values():
        seeds = log_probs[[p for p in places if runs[p]["peak_epoch"] is not None]]
        if len(seeds) < 2:
            found.append(None)
            continue
        alone = Worth(*np.mean([worth(one, labels) for one in seeds], axis=0).tolist())
        pooled = {name: worth(pool(seeds), labels) for name, pool in SEED_RULES.items()}
        rows = {name: value._asdict() for name, value in {"alone": alone, **pooled}.items()}
        found.append({"split": split, "num_seeds": len(seeds), **rows})
    return found


def summarise(
    about: Line,
    trials: Sequence[Line],
    metrics: Sequence[Line],
    predictions: Predictions,
    rule: str,
    split: str,
) -> Line:
    """The whole of summary.json.

    Args:
      about: the fields that stand before "runs"; "num_train" is among them.
      trials: what names each trial.
      metrics: lines of all trials and epochs, in any order.
      predictions: of the trials.
      rule: the model's own.
      split: "test", or "valid" where the predictions are, for want of others, of those.
    """
    is_tested = split == "test"
    test_accuracies = accuracies(predictions, rule) if is_tested else [None] * len(trials)
    lines = defaultdict(list)
    for line in sorted(metrics, key=lambda line: line["epoch"]):
        lines[tuple(line[name] for name in trials[0])].append(line)
    runs = [
        trial_result(trial, lines[tuple(trial.values())], accuracy)
        for trial, accuracy in zip(trials, test_accuracies, strict=True)
    ]
    seconds = sum(line["seconds"] for line in metrics)
    pooled = pooled_seeds(runs, predictions.log_probs[rule], predictions.labels, split)
    points = [
        {**point, "seeds_pooled": found}
        for point, found in zip(grid_points(runs), pooled, strict=True)
    ]
    return {
        **about,
        "seconds": seconds,
        "songs_per_second": len(metrics) * about["num_train"] / seconds,
        "runs": runs,
        "points": points,
    }
