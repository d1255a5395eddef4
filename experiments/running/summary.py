"""What a run found: summary.json, from the metrics of every epoch and the test set."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from msd_jax.metrics import mean_interval

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


def grid_points(runs: Sequence[Line]) -> list[Line]:
    """Mean and 95% interval over the seeds of each grid point."""
    names = ("num_hidden", "num_snippets", "learning_rate", "l2", "beta", "alpha")
    by_point = defaultdict(list)
    for run in runs:
        by_point[tuple(run[name] for name in names)].append(run)
    points = []
    for point, members in by_point.items():
        row: Line = dict(zip(names, point, strict=True))
        row["num_seeds"] = len(members)
        row["num_diverged"] = sum(run["diverged"] is not None for run in members)
        for measure in SUMMARISED:
            values = [run[measure] for run in members if run[measure] is not None]
            row[measure] = mean_interval(values)._asdict() if values else None
        points.append(row)
    return points


def summarise(
    about: Line, trials: Sequence[Line], metrics: Sequence[Line], test_accuracies: Sequence[Any]
) -> Line:
    """The whole of summary.json.

    Args:
      about: the fields that stand before "runs"; "num_train" is among them.
      trials: what names each trial.
      metrics: lines of all trials and epochs, in any order.
      test_accuracies: one a trial, None without a test set.
    """
    lines = defaultdict(list)
    for line in sorted(metrics, key=lambda line: line["epoch"]):
        lines[tuple(line[name] for name in trials[0])].append(line)
    runs = [
        trial_result(trial, lines[tuple(trial.values())], accuracy)
        for trial, accuracy in zip(trials, test_accuracies, strict=True)
    ]
    seconds = sum(line["seconds"] for line in metrics)
    return {
        **about,
        "seconds": seconds,
        "songs_per_second": len(metrics) * about["num_train"] / seconds,
        "runs": runs,
        "points": grid_points(runs),
    }
