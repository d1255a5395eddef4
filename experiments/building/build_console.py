"""What a build says on screen: how far the reading is, and what it gave."""

import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from msd_jax.splits import SPLITS

_SECONDS_BETWEEN_LINES = 5.0


class FileProgress:
    """A bar with files a second and the time left on a terminal, else a line every few seconds."""

    def __init__(self, console: Console, total: int, done: int) -> None:
        """`done` of `total` files have been read by an earlier run."""
        self._console, self._total, self._done, self._before = console, total, done, done
        self._start = self._last_line = time.monotonic()
        columns = (
            TextColumn("reading"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}, left"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self) -> Self:
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leaves the bar as it is."""
        self._bar.stop()

    def advance(self, count: int) -> None:
        """`count` more files have been read."""
        self._done += count
        now = time.monotonic()
        rate = (self._done - self._before) / max(now - self._start, 1e-9)
        self._bar.update(self._task, advance=count, description=f"{rate:,.0f} files/s")
        due = now - self._last_line >= _SECONDS_BETWEEN_LINES or self._done >= self._total
        if due and not self._console.is_terminal:
            left = (self._total - self._done) / rate
            self._console.print(
                f"reading: {self._done:,} of {self._total:,} files, {rate:,.0f} files/s, "
                f"{left:.0f} s left"
            )
            self._last_line = now


def songs_table(report: dict[str, Any]) -> Table:
    """Songs by genre and split."""
    table = Table(title=f"{report['name']}: songs")
    for name in ("genre", *SPLITS, "all"):
        table.add_column(name, justify="left" if name == "genre" else "right")
    for genre, counts in report["songs"].items():
        table.add_row(genre, *(f"{counts[s]:,}" for s in SPLITS), f"{sum(counts.values()):,}")
    sums = [sum(counts[s] for counts in report["songs"].values()) for s in SPLITS]
    table.add_section()
    table.add_row("all", *(f"{x:,}" for x in sums), f"{sum(sums):,}")
    return table


def rejects_table(report: dict[str, Any]) -> Table:
    """Files and label lines that became no song, by reason."""
    table = Table(title=f"{report['name']}: left out, see {report['name']}-rejected.csv")
    table.add_column("reason")
    table.add_column("files", justify="right")
    for reason, count in report["rejected"].items():
        table.add_row(reason, f"{count:,}")
    if report["bad_label_lines"]:
        table.add_row("bad lines in label files", f"{report['bad_label_lines']:,}")
    return table
