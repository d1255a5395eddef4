"""SIGTERM and SIGINT: finish what is under way, save, and leave with a word on how to go on."""

import signal
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Self, TypeVar

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_Item = TypeVar("_Item")


class Stopped(Exception):  # noqa: N818  no error: a signal asked for it
    """The work was asked to stop; what was done is kept."""


class Interruption:
    """A context in which the first signal only asks; a second SIGINT ends the program at once.

    Attributes:
      requested: the signal that asked, None if none did.
    """

    def __init__(self) -> None:
        """Nothing is caught before the context is entered."""
        self.requested: signal.Signals | None = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self.requested = signal.Signals(number)

    def __enter__(self) -> Self:
        """Catches the signals."""
        self._previous = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the signals back to who had them."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def until_stopped(items: Iterable[_Item], interruption: Interruption) -> Iterator[_Item]:
    """The items; raises Stopped between two of them after a signal."""
    for item in items:
        if interruption.requested:
            raise Stopped
        yield item
