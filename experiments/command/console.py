"""What a run says on screen: what it is about to do, how far it is, what came out."""

import functools
import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from experiments.command.checks import POINT_NAMES

_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_BETWEEN_LINES_INSIDE_AN_EPOCH = 30.0
_WEIGHT_OF_EXPECTED = 0.1


# Names of songs and folders may hold brackets and colons: nothing printed is markup.
_plain = functools.partial(Console, highlight=False, soft_wrap=True, markup=False, emoji=False)


def make_console(quiet: bool = False) -> Console:
    """Standard output, or nowhere; wide enough for a table where it is no terminal."""
    console = _plain(quiet=quiet)
    return console if console.is_terminal else _plain(quiet=quiet, width=120)


def error_console() -> Console:
    """Standard error: words beside an output that a program may read."""
    return _plain(stderr=True)


def clock(seconds: float) -> str:
    """In the unit that reads best."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def seconds_left(passed: float, share: float, left: float, expected: float) -> float:
    """Seconds until the end at the pace so far: the first epochs may be of another kind than the
    rest, so the expected pace, where it is known, counts as a tenth of the whole.

    Args:
      passed: seconds since the start.
      share: of the whole, that these seconds did.
      left: of the whole, to be done.
      expected: seconds of the whole, 0 if nobody knows.
    """
    weight = _WEIGHT_OF_EXPECTED if expected else 0.0
    return max(0.0, (passed + weight * expected) / max(share + weight, 1e-9) * left)


class EpochProgress:
    """A bar with the time left on a terminal, else a plain line every few seconds.

    It counts epochs of single trials.
    """

    def __init__(self, console: Console, total: int, expected_seconds: float = 0.0) -> None:
        """`total` epochs lie ahead; expected_seconds that they should take, 0 if nobody knows."""
        self._console, self._total, self._done = console, total, 0.0
        self._expected_seconds = expected_seconds
        self._start = self._last_line = time.monotonic()
        self._timed = 0.0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=total, left="")

    def __enter__(self) -> Self:
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leaves the bar as it is."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._console.print(line)

    def advance(self, count: float, what: str | None = None) -> None:
        """`count` more epochs are done, parts of them count too; `what` is under way, if any is."""
        self._done += count
        self._bar.update(self._task, advance=count, description=what)
        if what is None:  # done by an earlier run, or not needed
            return
        self._timed += count
        self._bar.update(self._task, left=self._time_left())
        if time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES_INSIDE_AN_EPOCH:
            self._line(what)

    def end_epoch(self, what: str) -> None:
        """An epoch has ended, and `what` says how it went."""
        self._bar.update(self._task, description=what)
        seconds = time.monotonic() - self._last_line
        if seconds >= _SECONDS_BETWEEN_LINES or round(self._done) >= self._total:
            self._line(what)

    def _time_left(self) -> str:
        share, left = self._timed / self._total, 1 - self._done / self._total
        passed = time.monotonic() - self._start
        return f"{clock(seconds_left(passed, share, left, self._expected_seconds))} left"

    def _line(self, what: str) -> None:
        self._last_line = time.monotonic()
        if not self._console.is_terminal:
            done = f"{round(self._done)}/{self._total}"
            self._console.print(f"{what}  ({done}, {self._time_left()})")


def _number(x: Any) -> str:
    return f"{x:g}" if isinstance(x, float) else str(x)


def _percent(interval: dict[str, float | None] | None) -> str:
    if interval is None:
        return "-"
    mean, low, high = (None if x is None else 100 * x for x in interval.values())
    return f"{mean:.1f}" if low is None else f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def closing_table(summary: dict[str, Any]) -> Table:
    """One row a grid point: mean over seeds and 95% interval, in percent."""
    points = summary["points"]
    varying = [name for name in POINT_NAMES if len({point.get(name) for point in points}) > 1]
    any_diverged = any(point["num_diverged"] for point in points)
    table = Table(title=f"{summary['model']} on {summary['dataset']}: accuracy in %, 95% interval")
    for name in (*varying, "seeds", "peak valid", "test", *["diverged"][: int(any_diverged)]):
        table.add_column(name, justify="right")
    for point in points:
        row = [_number(point[name]) for name in varying]
        row += [str(point["num_seeds"]), _percent(point["peak_valid_accuracy"])]
        row.append(_percent(point["test_accuracy"]))
        table.add_row(*row, *[str(point["num_diverged"])][: int(any_diverged)])
    return table
