"""What finished runs found, training by training, for claims and report."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.command import checks
from experiments.running.predictions import FILES, load_predictions, rules_of
from experiments.running.workdir import TRIAL_NAMES, Line, read_json, read_lines
from experiments.studying.grids import Point
from experiments.studying.options import options_from
from msd_jax import metrics
from msd_jax.errors import InputError


class HeldOut(NamedTuple):
    """Predictions for the test songs at the best validation epoch of one pooling rule.

    accuracy, negative_log_likelihood (nats) and calibration_error are means over the N songs; right
    bool [N]; confusion [K, K]; reliability as in `metrics`.
    """

    accuracy: float
    negative_log_likelihood: float
    calibration_error: float
    right: np.ndarray
    confusion: np.ndarray
    reliability: metrics.Reliability


class Training(NamedTuple):
    """One training. curves [E] by metric's name, seconds among them, NaN where it diverged;
    held_out by rule ("softmax", or the poolings), empty without a test set; place: its row in the
    predictions of its run.
    """

    point: Point
    seed: int
    fold: str | None
    curves: dict[str, np.ndarray]
    held_out: dict[str, HeldOut]
    workdir: Path
    place: int = 0

    def best_epoch(self, rule: str) -> int:
        """The earliest epoch with the best validation accuracy, from 1; 0 if none was finite."""
        accuracies = self.accuracies(rule)
        return 0 if np.isnan(accuracies).all() else int(np.nanargmax(accuracies)) + 1

    def accuracies(self, rule: str) -> np.ndarray:
        """Validation accuracy after each epoch, [E]."""
        return self.curves[rule_name("valid_accuracy", rule)]


class Results(NamedTuple):
    """All trainings of one data set, by point, fold and seed; T of its songs."""

    dataset: str
    genre_names: tuple[str, ...]
    trainings: dict[tuple[Point, str | None, int], Training]
    configs: list[Line]
    num_segments: int = 120

    @property
    def seeds(self) -> list[int]:
        """In order."""
        return sorted({seed for _, _, seed in self.trainings})

    @property
    def folds(self) -> list[str | None]:
        """In order; [None] where the data set's own division was used."""
        return sorted({fold for _, fold, _ in self.trainings}, key=lambda fold: fold or "")

    @property
    def points(self) -> list[Point]:
        """In the order in which they were trained."""
        return list(dict.fromkeys(point for point, _, _ in self.trainings))


def rule_name(metric: str, rule: str) -> str:
    """The metric under a pooling rule, as a run logs it."""
    return metric if rule == "softmax" else f"{metric}_{rule}"


def _held_out(log_probs: np.ndarray, labels: np.ndarray) -> HeldOut:
    right = metrics.correct(log_probs, labels)
    return HeldOut(
        accuracy=float(right.mean()),
        negative_log_likelihood=float(metrics.negative_log_likelihood(log_probs, labels)),
        calibration_error=metrics.calibration_error(log_probs, labels),
        right=right,
        confusion=metrics.confusion(log_probs, labels),
        reliability=metrics.reliability(log_probs, labels),
    )


def curves_of(lines: list[Line]) -> dict[str, np.ndarray]:
    """Metrics by name, in the order of epochs; None becomes NaN.

    So does the validation of an epoch that diverged, whose accuracy may look like a number: NaN
    scores are taken for genre 0.
    """
    lines = sorted(lines, key=lambda line: line["epoch"])
    names = [n for n in lines[0] if n.startswith(("train_", "valid_")) or n == "seconds"]
    curves = {name: np.array([line[name] for line in lines], float) for name in names}
    diverged = np.array([line["diverged"] for line in lines], bool)
    return {
        name: np.where(diverged & name.startswith("valid_"), np.nan, values)
        for name, values in curves.items()
    }


def _key(line: Line) -> tuple:
    """What names a trial; older programs had fewer names."""
    return tuple(line.get(name) for name in TRIAL_NAMES)


def load_run(workdir: Path) -> tuple[Line, Line, list[Training]]:
    """The config, the summary and the trainings of a finished run.

    Raises:
      InputError: if a file is missing or damaged, or they do not fit together.
    """
    try:
        return _load_run(workdir)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{workdir}: its files do not fit together ({type(error).__name__}: {error}): remove "
            "it, and start the same command again"
        ) from error


def _load_run(workdir: Path) -> tuple[Line, Line, list[Training]]:
    config = read_json(workdir / "config.json", checks.is_config)
    summary = read_json(workdir / "summary.json", checks.is_summary)
    lines = defaultdict(list)
    for line in read_lines(workdir / "metrics.jsonl"):
        lines[_key(line)].append(line)
    flags = config["flags"]
    log_probs: dict[str, np.ndarray] = {}
    if summary["num_test"]:
        path = workdir / FILES["test"]
        log_probs, labels = load_predictions(path, rules_of(flags["model"]))
    trainings = []
    for index, run in enumerate(summary["runs"]):
        point = Point(
            flags["model"], run["num_hidden"], run["num_snippets"], run["l2"], run["beta"],
            flags["secondary"], run["alpha"], flags["head"], options_from({**flags, **run}),
        )  # fmt: skip
        held_out = {rule: _held_out(x[index], labels) for rule, x in log_probs.items()}
        curves = curves_of(lines[_key(run)])
        finite = curves["valid_accuracy"][np.isfinite(curves["valid_accuracy"])]
        if run["final_valid_accuracy"] != (finite[-1] if len(finite) else None):
            raise ValueError(f"metrics.jsonl lacks epochs of seed {run['seed']}")
        trainings.append(
            Training(point, run["seed"], flags["fold"], curves, held_out, workdir, index)
        )
    return config, summary, trainings


class SeedPredictions(NamedTuple):
    """log_probs [S, N, K] of several seeds at their best epochs; labels [N]; the songs' split."""

    log_probs: np.ndarray
    labels: np.ndarray
    split: str


def seed_predictions(trainings: Sequence[Training], rule: str) -> SeedPredictions | None:
    """What trainings of several seeds say of the same songs: of the test songs, else of the
    validation songs; None of runs of an older program, which kept only the former.

    Raises:
      InputError: if a file is damaged.
    """
    folders = {training.workdir for training in trainings}
    there = (s for s, name in FILES.items() if all((path / name).exists() for path in folders))
    split = next(there, None)
    if split is None:
        return None
    runs = {path: load_predictions(path / FILES[split], (rule,)) for path in folders}
    rows = [runs[training.workdir].log_probs[rule][training.place] for training in trainings]
    return SeedPredictions(np.stack(rows), runs[trainings[0].workdir].labels, split)


def load_results(workdirs: list[Path]) -> list[Results]:
    """Finished runs, gathered by data set: one Results each.

    Raises:
      InputError: if a run is not finished or damaged.
    """
    by_dataset: dict[str, Results] = {}
    for workdir in workdirs:
        config, summary, trainings = load_run(workdir)
        name = summary["dataset"]
        genres, num_segments = tuple(summary["genre_names"]), config["songs"]["num_segments"]
        results = by_dataset.setdefault(name, Results(name, genres, {}, [], num_segments))
        results.configs.append(config)
        for training in trainings:
            results.trainings[training.point, training.fold, training.seed] = training
    return list(by_dataset.values())
