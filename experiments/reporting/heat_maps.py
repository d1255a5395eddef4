"""The report's heat maps: each cell a configuration, with its mean, interval and reported value."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.judging.effects import Choice
from experiments.judging.views import Measured, NotTrained, Reported
from experiments.studying.grids import Grid, Point, make_grid
from experiments.studying.presets import ANSWER
from msd_jax.metrics import Interval
from msd_jax.statistics import bootstrap_interval, median_interval

# For data sets that the report does not have, its numbers on both of its own.
_REPORTED_SETS = ("msd10", "msd25")


class HeatMap(NamedTuple):
    """A figure's grid: names and labels of rows and columns, and what lies in each cell."""

    figure: str
    title: str
    row_name: str
    rows: Sequence[tuple[str, Callable[[Grid, str], Choice]]]
    column_name: str
    columns: Sequence[str]

    @property
    def heading(self) -> str:
        """The title, with the figure's number where it is one of the report's."""
        return self.title if self.figure in ANSWER else f"Figure {self.figure}: {self.title}"


class Cell(NamedTuple):
    """interval of the seeds' values in %, or of the epochs' in seconds, and how many they are.

    reported: the report's value by data set.
    """

    row: str
    column: str
    interval: Interval
    n: int
    reported: dict[str, float]


class DrawnMap(NamedTuple):
    """A heat map on one measure: "peak", "held_out" or "seconds"."""

    heat_map: HeatMap
    measure: str
    cells: list[Cell]


def _widths(grid: Grid, make: Callable[[Grid, int, float], Point], values: Sequence[float],
            figure: str, title: str, name: str) -> HeatMap:  # fmt: skip
    def row(index: int) -> Callable[[Grid, str], Choice]:
        return lambda g, value: (make(g, g.widths[index], float(value)), "softmax")

    rows = [(str(width), row(index)) for index, width in enumerate(grid.widths)]
    return HeatMap(figure, title, "units", rows, name, [f"{x:g}" for x in values])


def heat_maps(grid: Grid) -> list[HeatMap]:
    """Of figures 2a (and 4), 2b (and 4), 6 (and 8) and 10."""
    l2s = sorted({*grid.l2s, *grid.more_l2s})
    betas = sorted({0.0, *grid.betas, *grid.more_betas})
    snippets = sorted({*grid.snippets, *grid.more_snippets})
    alphas = sorted({*grid.alphas, *grid.more_alphas})

    def pooled(rule: str) -> Callable[[Grid, str], Choice]:
        return lambda g, m: (g.ensemble(int(m)), rule)

    def task(name: str) -> Callable[[Grid, str], Choice]:
        return lambda g, alpha: (g.multitask(name, float(alpha)), "softmax")

    return [
        _widths(grid, lambda g, w, x: g.lstm(w, l2=x), l2s, "2a, 4", "L2", "lambda"),
        _widths(grid, lambda g, w, x: g.lstm(w, beta=x), betas, "2b, 4",
                "Activation stabilisation (beta 0: no regulariser)", "beta"),
        HeatMap("6, 8", "Ensembles of snippets", "pooling",
                [("m0, mean", pooled("mean")), ("m1, product", pooled("product")),
                 ("m2, learnt", lambda g, m: g.weighed(int(m)))],
                "snippets", [str(m) for m in snippets]),
        HeatMap("10", "Multitask", "secondary task",
                [("autoencoder", task("autoencoder")), ("binary", task("binary"))],
                "alpha", [f"{a:g}" for a in alphas]),
    ]  # fmt: skip


def _value(view: Measured | Reported, choice: Choice, measure: str) -> np.ndarray:
    if measure == "seconds":
        return view.seconds(choice[0])
    return (view.peak if measure == "peak" else view.held_out)(*choice)


def _reported(cell: Callable[[Grid, str], Choice], column: str, measure: str) -> dict[str, float]:
    found = {}
    for dataset in _REPORTED_SETS:
        try:
            choice = cell(make_grid("report", "text", dataset), column)
            found[dataset] = float(_value(Reported(dataset), choice, measure)[0])
        except (NotTrained, IndexError):  # a width that the report has not
            continue
    return found


def draw(heat_map: HeatMap, view: Measured, measure: str) -> DrawnMap | None:
    """The cells that were trained; None if none was, or nothing was tested."""
    cells = []
    for row, cell in heat_map.rows:
        for column in heat_map.columns:
            try:
                values = _value(view, cell(view.grid, column), measure)
            except NotTrained:
                continue
            values = values[np.isfinite(values)]
            if len(values):
                interval = (median_interval if measure == "seconds" else bootstrap_interval)(values)
                is_smoke = view.grid.size == "smoke"  # its widths stand for others
                reported = {} if is_smoke else _reported(cell, column, measure)
                cells.append(Cell(row, column, interval, len(values), reported))
    return DrawnMap(heat_map, measure, cells) if cells else None


def sentence(drawn: DrawnMap) -> str:
    """What a heat map shows: its ends."""
    unit = " s" if drawn.measure == "seconds" else "%"
    digits = ".3g" if drawn.measure == "seconds" else ".1f"
    ordered = sorted(drawn.cells, key=lambda cell: cell.interval.mean or 0.0)

    def words(cell: Cell) -> str:
        row, column = drawn.heat_map.row_name, drawn.heat_map.column_name
        place = f"{row} {cell.row}, {column} {cell.column}".replace(",  ", ", ")
        return f"{cell.interval.mean:{digits}}{unit} ({place})"

    what = {"peak": "Peak validation accuracy", "held_out": "Test accuracy at the best epoch",
            "seconds": "Seconds per epoch of one training"}[drawn.measure]  # fmt: skip
    if len(ordered) == 1:
        return f"{what}: {words(ordered[0])}."
    return f"{what} goes from {words(ordered[0])} to {words(ordered[-1])}."
