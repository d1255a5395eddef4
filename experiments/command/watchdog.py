"""A run that makes no progress ends itself: a process that waits for another may wait for ever."""

import faulthandler
import os
import sys
import threading
import time
from typing import Self

from experiments.command.exits import EXIT_INTERRUPTED


class Watchdog:
    """A context that ends the program, with all threads' stacks, where `beat` is not heard."""

    def __init__(self, seconds: float, advice: str) -> None:
        """`seconds` without a beat are too many, 0 never is; `advice` tells how to go on."""
        self._seconds, self._advice = seconds, advice
        self._last_beat = time.monotonic()
        self._over = threading.Event()

    def beat(self) -> None:
        """There is progress."""
        self._last_beat = time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(max(0.0, self._last_beat + self._seconds - time.monotonic())):
            if time.monotonic() - self._last_beat < self._seconds:
                continue
            faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
            print(
                f"error: no progress for {self._seconds:g} s (--step_timeout); the stacks are "
                f"above; {self._advice}",
                file=sys.stderr,
                flush=True,
            )
            os._exit(EXIT_INTERRUPTED)

    def __enter__(self) -> Self:
        """Begins to watch."""
        self.beat()
        if self._seconds:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Watches no more."""
        self._over.set()
