"""How a claim looks at results: measured ones on one measure, or the report's own numbers."""

import csv
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.judging.results import Results, Training, rule_name
from experiments.running.predictions import rules_of
from experiments.studying.answer import recipe_names
from experiments.studying.grids import Grid, Point, make_grid
from experiments.studying.options import JOINT, REPORTS

MEASURES = ("peak", "held_out")
_REPORTED = Path(__file__).parent / "reported"
_ANCESTORS_RULES = ("vote", "max", "weighted_product")  # the report has the others
_KEY = ("num_hidden", "num_snippets", "l2", "beta", "secondary", "alpha")


class NotTrained(Exception):  # noqa: N818  no error: the study was cut down, or the data allow no more
    """A claim asks for something that these results do not hold; says what."""


def describe(point: Point) -> str:
    """A point in words."""
    words = [point.model, f"{point.num_hidden} units"]
    words += [f"{point.num_snippets} snippets"] if point.num_snippets else []
    words += [f"l2 {point.l2:g}"] if point.l2 else []
    words += [f"beta {point.beta:g}"] if point.beta is not None else []
    words += [f"{point.secondary} alpha {point.alpha:g}"] if point.alpha is not None else []
    words += [f"{point.head} head"] if point.head != "linear" else []
    words += [word.replace("_", " ") for word in point.options.words]
    return ", ".join(words)


class Measured(NamedTuple):
    """Trainings seen through one measure: "peak", the best validation accuracy over epochs as in
    the report, or "held_out", the test accuracy at that epoch.

    Values are one a seed [S], in the order of the results' seeds, means over folds where there are
    some (or of a single fold), NaN where a training is missing or diverged at once.
    """

    results: Results
    grid: Grid
    measure: str
    fold: str | None = None

    @property
    def whole(self) -> "Measured":
        """The view of all folds."""
        return self._replace(fold=None)

    @property
    def points(self) -> list[Point]:
        """Those that some seed has in all folds: in a stopped study not all are."""
        return [point for point in self.results.points if any(self._whole_seeds(point))]

    def name(self, point: Point) -> str:
        """A point in words, short where the study has a name for it."""
        return recipe_names(self.grid).get(point) or describe(point)

    def rules(self, point: Point) -> tuple[str, ...]:
        """The pooling rules that are looked at: the report's, or beyond it its best alone."""
        if point.options == JOINT:
            return ("weighted_product",)
        if point.options == REPORTS:
            return tuple(rule for rule in rules_of(point.model) if rule not in _ANCESTORS_RULES)
        return ("product",) if point.model == "ensemble" else ("softmax",)

    def _whole_seeds(self, point: Point) -> list[list[Training]]:
        found, folds = self.results.trainings, self.results.folds
        by_seed = [
            [found[key] for fold in folds if (key := (point, fold, seed)) in found]
            for seed in self.results.seeds
        ]
        return [some if len(some) == len(folds) else [] for some in by_seed]

    def trainings(self, point: Point) -> list[list[Training]]:
        """Those of each seed, one a fold; a seed that lacks one has none.

        Raises:
          NotTrained: if no seed has any.
        """
        by_seed = self._whole_seeds(point)
        if not any(by_seed):
            lacks = "is not finished" if point in self.results.points else "was not trained"
            raise NotTrained(f"{describe(point)} {lacks}")
        return [[t for t in some if self.fold in (None, t.fold)] for some in by_seed]

    def per_seed(self, point: Point, value: Callable[[Training], float]) -> np.ndarray:
        """Any value of a training, [S]."""
        return np.array(
            [
                np.mean([value(training) for training in some]) if some else np.nan
                for some in self.trainings(point)
            ]
        )

    def accuracy(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """On this view's measure, in percent."""
        return (self.peak if self.measure == "peak" else self.held_out)(point, rule)

    def peak(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """Best validation accuracy over epochs, in percent."""

        def value(training: Training) -> float:
            best = training.best_epoch(rule)
            return 100 * training.accuracies(rule)[best - 1] if best else np.nan

        return self.per_seed(point, value)

    def held_out(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """Test accuracy at the best validation epoch, in percent."""

        def value(training: Training) -> float:
            if not training.held_out:
                raise NotTrained("no labelled test songs: give --folds")
            return 100 * training.held_out[rule].accuracy if training.best_epoch(rule) else np.nan

        return self.per_seed(point, value)

    def peak_epoch(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """The best validation epoch, from 1."""
        return self.per_seed(point, lambda training: training.best_epoch(rule) or np.nan)

    def curves(self, point: Point, name: str) -> np.ndarray:
        """A metric after each epoch, [S, E]; a trial that stopped keeps its last value."""
        by_seed = self.trainings(point)
        length = max(len(t.curves["seconds"]) for some in by_seed for t in some)

        def padded(training: Training) -> np.ndarray:
            curve = training.curves[name]
            return np.pad(curve, (0, length - len(curve)), mode="edge")

        missing = np.full(length, np.nan)
        return np.array(
            [np.mean([padded(t) for t in some], axis=0) if some else missing for some in by_seed]
        )

    def seconds(self, point: Point) -> np.ndarray:
        """Seconds per epoch of one training, epoch by epoch, [E]."""
        return np.nanmean(self.curves(point, "seconds"), axis=0)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _point(row: dict[str, str]) -> Point:
    hidden, snippets, l2, beta, secondary, alpha = (row[name] for name in _KEY)
    return Point(
        row["model"], int(hidden), int(snippets) if snippets else None, float(l2), _number(beta),
        secondary or None, _number(alpha),
    )  # fmt: skip


@functools.cache
def reported_numbers() -> dict[tuple[str, Point, str, str], float]:
    """The report's numbers by data set, point, rule and metric; accuracies as shares."""
    with (_REPORTED / "numbers.csv").open() as file:
        return {
            (row["dataset"], _point(row), row["rule"], row["metric"]): float(row["value"])
            for row in csv.DictReader(file)
        }


@functools.cache
def reported_curves() -> dict[tuple[str, Point], dict[str, np.ndarray]]:
    """The logs of the report's code by data set and point: metrics by name, [E]."""
    names = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds")
    lines: dict[tuple[str, Point], list[list[float]]] = {}
    with (_REPORTED / "curves.csv").open() as file:
        for row in csv.DictReader(file):
            values = [float(row[name] or "nan") for name in names]
            lines.setdefault((row["dataset"], _point(row)), []).append(values)
    return {key: dict(zip(names, np.array(values).T, strict=True)) for key, values in lines.items()}


@functools.cache
def reported_others() -> list[dict[str, str]]:
    """Accuracies in % of networks outside of the report, on its data sets."""
    with (_REPORTED / "others.csv").open() as file:
        return list(csv.DictReader(file))


class Reported(NamedTuple):
    """The report's own numbers on one data set, as one seed; of `Measured` what effects use."""

    dataset: str
    grid: Grid = make_grid("report", "text", "msd10")
    measure: str = "peak"

    @property
    def whole(self) -> "Reported":
        """The same: the report has no folds."""
        return self

    def _number(self, point: Point, rule: str, metric: str) -> np.ndarray:
        try:
            return np.array([reported_numbers()[self.dataset, point, rule, metric]])
        except KeyError:
            raise NotTrained("not in the report") from None

    def _curve(self, point: Point, name: str) -> np.ndarray:
        curves = reported_curves().get((self.dataset, point), {})
        if name not in curves:
            raise NotTrained("not in the logs of the report's code")
        return curves[name]

    def accuracy(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """Peak validation accuracy in percent, [1]."""
        return 100 * self._number(point, rule, "peak_valid_accuracy")

    def peak(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """The same."""
        return self.accuracy(point, rule)

    def held_out(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """Test accuracy in percent, [1]."""
        return 100 * self._number(point, rule, "test_accuracy")

    def peak_epoch(self, point: Point, rule: str = "softmax") -> np.ndarray:
        """The first best epoch of a log, whose accuracies have two decimals, [1]."""
        return np.array([self._curve(point, rule_name("valid_accuracy", rule)).argmax() + 1.0])

    def curves(self, point: Point, name: str) -> np.ndarray:
        """A logged metric, [1, E]."""
        return self._curve(point, name)[None]

    def seconds(self, point: Point) -> np.ndarray:
        """Seconds per epoch, [1]."""
        rule = "product" if point.model == "ensemble" else "softmax"
        return self._number(point, rule, "seconds_per_epoch")


View = Measured | Reported
