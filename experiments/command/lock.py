"""One run a folder: a lock that the system takes back when its process ends, however it does."""

import contextlib
import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from msd_jax.errors import InputError


class Lock:
    """Held from the time it is made until `release` or the end of the process.

    Attributes:
      left_behind: who held it and ended without releasing it, in words; None if nobody.
    """

    def __init__(self, path: Path) -> None:
        """Takes the lock file, made where missing.

        Raises:
          InputError: if another process holds it; the message names it.
          OSError: if the file cannot be written.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder() or "another process"
            os.close(self._file)
            raise InputError(
                f"{path.parent} is in use by {holder}: wait for it, or choose another --workdir"
            ) from None
        self.left_behind = self._holder()
        self._write(
            json.dumps(
                {
                    "process": os.getpid(),
                    "host": socket.gethostname(),
                    "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
                }
            )
        )

    def _holder(self) -> str | None:
        """Who wrote into the file last."""
        text = os.pread(self._file, 1000, 0).decode(errors="replace")
        if not text:
            return None
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            there = json.loads(text)
            return f"process {there['process']} on {there['host']} since {there['since']}"
        return "an unknown process"

    def _write(self, text: str) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)

    def release(self) -> None:
        """Lets the next one in, and leaves no word behind."""
        with contextlib.suppress(OSError):  # a full disk: the lock goes with the process anyway
            self._write("")
        os.close(self._file)
