"""What a run says on screen: what it is about to do, how far it is, what came out."""

import functools
import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

_VARYING = ("num_hidden", "num_snippets", "learning_rate", "l2", "beta", "alpha", "alpha_binary")
_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_BETWEEN_LINES_INSIDE_AN_EPOCH = 30.0


# Names of songs and folders may hold brackets and colons: nothing printed is markup.
_plain = functools.partial(Console, highlight=False, soft_wrap=True, markup=False, emoji=False)


def make_console(quiet: bool = False) -> Console:
    """Standard output, or nowhere; wide enough for a table where it is no terminal."""
    console = _plain(quiet=quiet)
    return console if console.is_terminal else _plain(quiet=quiet, width=120)


def error_console() -> Console:
    """Standard error: words beside an output that a program may read."""
    return _plain(stderr=True)


class EpochProgress:
    """A bar with the time left on a terminal, else a plain line every few seconds.

    It counts epochs of single trials.
    """

    def __init__(self, console: Console, total: int) -> None:
        """`total` epochs lie ahead."""
        self._console, self._total, self._done = console, total, 0.0
        self._start = self._last_line = time.monotonic()
        self._timed = 0.0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=total)

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
        if time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES_INSIDE_AN_EPOCH:
            self._line(what)

    def end_epoch(self, what: str) -> None:
        """An epoch has ended, and `what` says how it went."""
        self._bar.update(self._task, description=what)
        seconds = time.monotonic() - self._last_line
        if seconds >= _SECONDS_BETWEEN_LINES or round(self._done) >= self._total:
            self._line(what)

    def _line(self, what: str) -> None:
        self._last_line = time.monotonic()
        if not self._console.is_terminal:
            passed = self._last_line - self._start
            left = max(0.0, passed / max(self._timed, 1e-9) * (self._total - self._done))
            done = f"{round(self._done)}/{self._total}"
            self._console.print(f"{what}  ({done}, {left:.0f} s left)")


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
    varying = [name for name in _VARYING if len({point.get(name) for point in points}) > 1]
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
