"""The page's tables, one CSV file each."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.judging.results import HeldOut, Results, Training
from experiments.judging.verdicts import Judgement
from experiments.judging.views import Measured, NotTrained, describe, reported_others
from experiments.reporting.heat_maps import DrawnMap
from experiments.reporting.sections import main_choices
from experiments.running.predictions import rules_of
from experiments.studying.grids import Point, make_grid
from experiments.studying.options import REPORTS
from msd_jax.metrics import Interval
from msd_jax.statistics import bootstrap_interval

Row = dict[str, object]


class Table(NamedTuple):
    """A CSV file: its name without ending, and rows of values by column."""

    name: str
    rows: Sequence[Row]

    @property
    def columns(self) -> list[str]:
        """Of any row, in the order in which they come."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def csv(self) -> str:
        """The file; what a row lacks is empty."""
        file = io.StringIO()
        writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return file.getvalue()


def verdicts_table(judgements: Sequence[Judgement], family: str = "report") -> Table:
    """Every claim of a family on every measure."""
    name = "verdicts" if family == "report" else f"verdicts-{family}"

    def row(j: Judgement) -> Row:
        claim, songs = j.claim, j.songs
        return {
            "claim": j.name, "text": claim.text, "measure": j.measure, "verdict": j.verdict,
            "unit": claim.unit, "effect": j.interval.mean, "low": j.interval.low,
            "high": j.interval.high, "claimed_above": claim.low, "claimed_below": claim.high,
            "n": j.n, "per": claim.per, "p": j.p, "p_holm": j.corrected,
            "smallest_effect": j.smallest,
            "mcnemar_p_first_seed": songs.p if songs else None,
            "mcnemar_significant_seeds": songs.num_significant if songs else None,
            "least_fold": j.over_folds[0] if j.over_folds else None,
            "greatest_fold": j.over_folds[1] if j.over_folds else None,
            **{f"report_{name}": j.reported.get(name) for name in ("msd10", "msd25")},
            "not_judged_because": j.missing, "note": claim.note,
        }  # fmt: skip

    return Table(name, [row(j) for j in judgements])


def others_table() -> Table:
    """What networks outside of the report had on its data sets."""
    rows: list[Row] = list(map(dict, reported_others()))
    return Table("others", rows)


def map_table(drawn: DrawnMap) -> Table:
    """The cells of a heat map."""
    heat_map = drawn.heat_map
    name = f"figure-{heat_map.figure.split(',')[0]}-{drawn.measure}"
    rows: list[Row] = [
        {
            heat_map.row_name: cell.row, heat_map.column_name: cell.column,
            "mean": cell.interval.mean, "low": cell.interval.low, "high": cell.interval.high,
            "n": cell.n, **{f"report_{name}": x for name, x in cell.reported.items()},
        }
        for cell in drawn.cells
    ]  # fmt: skip
    return Table(name, rows)


def trials_table(results: Results) -> Table:
    """Every training, with what it is and what it found."""

    def row(training: Training) -> dict[str, object]:
        rules = rules_of(training.point.model)
        best = {
            f"peak_valid_accuracy_{rule}": training.accuracies(rule)[training.best_epoch(rule) - 1]
            if training.best_epoch(rule)
            else None
            for rule in rules
        }
        tested = {
            f"{name}_{rule}": getattr(training.held_out[rule], field)
            for rule in rules
            if rule in training.held_out and training.best_epoch(rule)
            for name, field in (
                ("test_accuracy", "accuracy"),
                ("test_nll", "negative_log_likelihood"),
                ("test_calibration_error", "calibration_error"),
            )
        }
        return {
            **training.point._replace(options=REPORTS)._asdict(),
            "options": ", ".join(training.point.options.words),
            "fold": training.fold,
            "seed": training.seed,
            **{f"best_epoch_{rule}": training.best_epoch(rule) for rule in rules},
            **best,
            **tested,
            "seconds_per_epoch": float(np.mean(training.curves["seconds"])),
            "workdir": str(training.workdir),
        }

    return Table("trials", [row(training) for training in results.trainings.values()])


def trials_list(results: Results) -> Table:
    """The same in a form to read: a row for each training and rule."""
    rows: list[Row] = []
    for training in results.trainings.values():
        for rule in rules_of(training.point.model):
            best = training.best_epoch(rule)
            tested = training.held_out.get(rule) if best else None
            peak = 100 * training.accuracies(rule)[best - 1] if best else None
            rows.append(
                {
                    "configuration": describe(training.point), "rule": rule,
                    "fold": training.fold, "seed": training.seed, "best epoch": best,
                    "peak, %": peak, "test, %": 100 * tested.accuracy if tested else None,
                    "s per epoch": float(np.mean(training.curves["seconds"])),
                    "workdir": str(training.workdir),
                }
            )  # fmt: skip
    return Table("trials", rows)


def interval_words(interval: Interval) -> str:
    """Mean and interval in a cell."""
    mean, low, high = interval
    return f"{mean:.3g}" if low is None else f"{mean:.3g} [{low:.3g}, {high:.3g}]"


def likelihood_table(view: Measured) -> Table:
    """Test accuracy, likelihood and calibration of every configuration, means with intervals."""
    rows: list[dict[str, object]] = []
    for point in view.points:
        for rule in view.rules(point):
            row: dict[str, object] = {"configuration": view.name(point), "rule": rule}
            measures: list[tuple[str, Callable[[HeldOut], float]]] = [
                ("test accuracy, %", lambda x: 100 * x.accuracy),
                ("NLL, nats", lambda x: x.negative_log_likelihood),
                ("calibration error, points", lambda x: 100 * x.calibration_error),
            ]
            for name, measure in measures:
                row[name] = _interval_words(view, point, rule, measure)
            rows.append(row)
    return Table("likelihood", [row for row in rows if row["NLL, nats"]])


def _interval_words(
    view: Measured, point: Point, rule: str, measure: Callable[[HeldOut], float]
) -> str:
    def value(training: Training) -> float:
        is_tested = rule in training.held_out and training.best_epoch(rule)
        return measure(training.held_out[rule]) if is_tested else np.nan

    values = view.per_seed(point, value)
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    return interval_words(bootstrap_interval(values))


def fidelity_table(results: Results, size: str) -> Table:
    """The code's networks minus the text's, paired over seeds, where both were trained."""
    text, code = (
        make_grid(size, name, results.dataset, results.num_segments) for name in ("text", "code")
    )
    rows: list[dict[str, object]] = []
    for (label, of_text), (_, of_code) in zip(main_choices(text), main_choices(code), strict=True):
        for measure in ("peak", "held_out"):
            view = Measured(results, text, measure)
            try:
                differences = view.accuracy(*of_code) - view.accuracy(*of_text)
            except NotTrained:
                continue
            differences = differences[np.isfinite(differences)]
            if of_text != of_code and len(differences):
                mean, low, high = bootstrap_interval(differences)
                rows.append({"configuration": label, "measure": measure, "code minus text": mean,
                             "low": low, "high": high, "n": len(differences)})  # fmt: skip
    return Table("fidelity", rows)
