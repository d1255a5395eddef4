"""What the study trains: points, and the values of the report's grids at each size."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from experiments.studying.options import JOINT, REPORTS, Options
from msd_jax.errors import InputError

SIZES = ("smoke", "report", "full")
FIDELITIES = ("text", "code")


class Point(NamedTuple):
    """What a training is, its seed and its songs aside; None where the model has no such thing."""

    model: str
    num_hidden: int
    num_snippets: int | None = None
    l2: float = 0.0
    beta: float | None = None
    secondary: str | None = None
    alpha: float | None = None
    head: str = "linear"
    options: Options = REPORTS

    def having(self, **options: Any) -> "Point":
        """The same with these options too."""
        return self._replace(options=self.options._replace(**options))


@dataclasses.dataclass(frozen=True)
class Grid:
    """Values that the figures and claims name: the report's, or tiny stand-ins for them.

    Attributes:
      size: one of `SIZES`.
      narrow, wide: LSTM units, the report's 100 and 200.
      mlp_hidden: units of each layer of the feed-forward network.
      long_epochs: of feed-forward networks and single LSTMs; short_epochs: of the others.
      head: "linear" as the report's text, "relu" as its code.
      snippet_hidden: units of each member where its code had others, by number of snippets.
      binary_hidden: units of the binary multitask model where its code had others.
      joint: whether m2 moves the members, as in its code.
      l2s, betas, snippets, alphas: the values of the report's heat maps.
      more_*: what `--size=full` adds to them.
      num_segments: T of the data set.
      member_hidden: units of each layer of a feed-forward member.
      few_epochs: of what goes beyond the report, where it shall only be seen to work.
    """

    size: str
    narrow: int = 100
    wide: int = 200
    mlp_hidden: int = 200
    long_epochs: int = 40
    short_epochs: int = 30
    head: str = "linear"
    snippet_hidden: tuple[tuple[int, int], ...] = ()
    binary_hidden: int | None = None
    joint: bool = False
    l2s: tuple[float, float] = (1e-4, 1e-3)
    betas: tuple[float, float] = (50.0, 100.0)
    snippets: tuple[int, int] = (2, 4)
    alphas: tuple[float, float] = (1.0, 2.0)
    more_widths: tuple[int, ...] = ()
    more_l2s: tuple[float, ...] = ()
    more_betas: tuple[float, ...] = ()
    more_snippets: tuple[int, ...] = ()
    more_alphas: tuple[float, ...] = ()
    num_segments: int = 120
    member_hidden: int = 20
    few_epochs: int | None = None

    def mlp(self, l2: float) -> Point:
        """The feed-forward network."""
        return Point("mlp", self.mlp_hidden, l2=l2)

    def lstm(self, num_hidden: int, l2: float = 0.0, beta: float = 0.0) -> Point:
        """A single LSTM."""
        return Point("baseline", num_hidden, l2=l2, beta=beta, head=self.head)

    @property
    def baseline(self) -> Point:
        """The report's baseline: activation stabilisation with beta 100, 100 units."""
        return self.lstm(self.narrow, beta=self.betas[1])

    def ensemble(self, num_snippets: int, num_hidden: int | None = None) -> Point:
        """One LSTM a snippet."""
        units = num_hidden or dict(self.snippet_hidden).get(num_snippets, self.narrow)
        return Point("ensemble", units, num_snippets, beta=self.betas[1], head=self.head)

    def weighed(self, num_snippets: int) -> tuple[Point, str]:
        """The ensemble that learns m2, and the pooling rule that is m2."""
        ensemble = self.ensemble(num_snippets)
        if self.joint:
            return ensemble._replace(options=JOINT), "weighted_product"
        return ensemble, "weighted_mean"

    def multitask(self, secondary: str, alpha: float) -> Point:
        """The baseline with a secondary task."""
        units = (self.binary_hidden if secondary == "binary" else None) or self.narrow
        beta = self.betas[1]
        return Point(
            "multitask", units, beta=beta, secondary=secondary, alpha=alpha, head=self.head
        )

    def num_epochs(self, model: str, options: Options = REPORTS) -> int:
        """How many epochs a model trains for."""
        if self.few_epochs and options not in (REPORTS, JOINT):
            return self.few_epochs
        return self.short_epochs if model in ("ensemble", "multitask") else self.long_epochs

    @property
    def widths(self) -> tuple[int, ...]:
        """All LSTM widths, in order."""
        return tuple(sorted({self.narrow, self.wide, *self.more_widths}))


def make_grid(size: str, fidelity: str, dataset: str, num_segments: int = 120) -> Grid:
    """The grid of a size, with what the report's code had otherwise if fidelity is "code".

    Args:
      size: one of `SIZES`.
      fidelity: one of `FIDELITIES`.
      dataset: of its name depends which widths the report's code had.
      num_segments: T of the data set.
    """
    if size not in SIZES or fidelity not in FIDELITIES:
        raise InputError(f"no study of size {size!r} and fidelity {fidelity!r}")
    grid = Grid(size)
    if size == "smoke":
        grid = Grid(size, narrow=6, wide=12, mlp_hidden=8, member_hidden=4, long_epochs=12,
                    short_epochs=11, few_epochs=3)  # fmt: skip
    if size == "full":
        grid = Grid(
            size,
            more_widths=(50, 400),
            more_l2s=(1e-5, 1e-2),
            more_betas=(25.0, 200.0, 500.0),
            more_snippets=(1, 3, 6, 8),
            more_alphas=(0.25, 0.5, 3.0, 5.0),
        )
    grid = dataclasses.replace(grid, num_segments=num_segments)
    if fidelity == "text":
        return grid
    if dataset != "msd25":
        return dataclasses.replace(grid, head="relu", joint=True)
    half = ((grid.snippets[1], grid.narrow // 2),)
    return dataclasses.replace(
        grid, head="relu", joint=True, snippet_hidden=half, binary_hidden=grid.wide
    )


class Box(NamedTuple):
    """Points that one run trains as a full grid; None where the model has no such thing."""

    model: str
    num_hidden: tuple[int, ...]
    num_snippets: tuple[int | None, ...]
    l2: tuple[float, ...]
    beta: tuple[float | None, ...]
    secondary: str | None
    alpha: tuple[float | None, ...]
    head: str
    options: Options = REPORTS

    @property
    def points(self) -> list[Point]:
        """What it trains."""
        values = itertools.product(
            self.num_hidden, self.num_snippets, self.l2, self.beta, self.alpha
        )
        return [
            Point(self.model, width, m, l2, beta, self.secondary, alpha, self.head, self.options)
            for width, m, l2, beta, alpha in values
        ]


_AXES = ("beta", "alpha", "l2", "num_snippets", "num_hidden")


def _with(box: Box, axis: str, values: tuple) -> Box:
    changes: dict[str, Any] = {axis: values}
    return box._replace(**changes)


def _merge(boxes: Iterable[Box], axis: str) -> list[Box]:
    """Boxes that differ in one axis alone, put together along it."""
    merged: dict[Box, tuple] = {}
    for box in boxes:
        rest = _with(box, axis, ())
        merged[rest] = merged.get(rest, ()) + getattr(box, axis)
    return [
        _with(rest, axis, tuple(sorted(values, key=lambda x: x or 0)))
        for rest, values in merged.items()
    ]


def boxes(points: Sequence[Point]) -> list[Box]:
    """Full grids that hold every point exactly once, few of them."""
    result = [
        Box(p.model, (p.num_hidden,), (p.num_snippets,), (p.l2,), (p.beta,), p.secondary,
            (p.alpha,), p.head, p.options)
        for p in dict.fromkeys(points)
    ]  # fmt: skip
    for axis in _AXES:
        result = _merge(result, axis)
    return result
