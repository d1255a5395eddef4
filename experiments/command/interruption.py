"""SIGTERM and SIGINT: what is under way is finished and saved, then one line and exit code 75.

A handler in Python waits while compiled code runs; so a thread hears of signals by way of the file
descriptor that the interpreter writes their numbers to at once.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import NoReturn, Self, TypeVar

from experiments.command.exits import EXIT_INTERRUPTED

SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_AT_ONCE = 128 + signal.SIGINT
_Item = TypeVar("_Item")


class Stopped(Exception):  # noqa: N818  no error: a signal asked for it
    """The work was asked to stop; what was done is kept."""


class Interruption:
    """A context in which a signal ends the program with one line; inside `postponed` it only asks.

    There a second SIGINT ends the program at once.

    Attributes:
      requested: the signal that asked, None if none did.
      advice: how to go on, for the line.
    """

    def __init__(self) -> None:
        """Nothing is caught before the context is entered."""
        self.requested: signal.Signals | None = None
        self.advice = "start the same command again"
        self._is_postponed = False
        self._depth = 0

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number)

    def _listen(self, receiver: int) -> None:
        """The thread: each byte is the number of a signal, 0 the end of the context."""
        interrupted = False
        while (number := os.read(receiver, 1)) != b"\0" and number:
            if number[0] not in SIGNALS:
                continue
            self.requested = signal.Signals(number[0])
            if not self._is_postponed:
                self._leave(EXIT_INTERRUPTED, f"stopped by a signal; {self.advice}")
            if self.requested == signal.SIGINT:
                if interrupted:
                    self._leave(EXIT_AT_ONCE, f"stopped at once; {self.advice}")
                print("stopping after the step under way (Ctrl-C: at once)", file=sys.stderr)
                interrupted = True

    def _leave(self, code: int, message: str) -> NoReturn:
        """Ends the program from the thread, whatever the others do."""
        print(f"error: {message}", file=sys.stderr, flush=True)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)

    def __enter__(self) -> Self:
        """Catches the signals; entered inside itself it changes nothing."""
        self._depth += 1
        if self._depth > 1:
            return self
        receiver, self._sender = os.pipe()
        os.set_blocking(self._sender, False)
        self._previous = {number: signal.signal(number, self._ask) for number in SIGNALS}
        self._previous_sender = signal.set_wakeup_fd(self._sender, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, args=(receiver,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the signals back to who had them."""
        self._depth -= 1
        if self._depth:
            return
        signal.set_wakeup_fd(self._previous_sender)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.write(self._sender, b"\0")
        self._thread.join()
        os.close(self._sender)

    @contextlib.contextmanager
    def postponed(self) -> Iterator[Self]:
        """The caller looks at `requested` every few seconds and saves what there is."""
        with self:
            self._is_postponed = True
            try:
                yield self
            finally:
                self._is_postponed = False


INTERRUPTION = Interruption()  # the program's own


def until_stopped(items: Iterable[_Item], interruption: Interruption) -> Iterator[_Item]:
    """The items; raises Stopped between two of them after a signal."""
    for item in items:
        if interruption.requested:
            raise Stopped
        yield item
