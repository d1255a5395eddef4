"""A guard for each of several processes: what jax says when a peer dies becomes one line.

When a peer is lost, jax's coordination service aborts this process from a thread of its own, with a
stack trace, and nothing can be caught. So the run works in a forked child, and its parent, which
has no jax and nothing to lose, waits for it, hands signals on, and reads what was said last.
"""

import contextlib
import json
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import IO, Any

from experiments.command.exits import EXIT_INTERRUPTED, EXIT_STORAGE, EXIT_USAGE, fail
from experiments.command.interruption import EXIT_AT_ONCE, INTERRUPTION, SIGNALS
from experiments.command.storage import StorageError
from msd_jax.errors import InputError

# How jax says that a peer has left: a collective operation at once, the service some time after.
_PEER_LEFT = ("Gloo", "NCCL", "coordination service", "CoordinationService")
_GRACE_SECONDS = 15  # For jax to abort us, after the heartbeats have stopped.


def peer_left(error: BaseException | None) -> bool:
    """Whether it, or what led to it, may come from the loss of another process."""
    while error is not None:
        if any(word in str(error) for word in _PEER_LEFT):
            return True
        error = error.__cause__ or error.__context__
    return False


class Ward:
    """The child's side: what it tells its guard for the day it is aborted."""

    def __init__(self, link: socket.socket, heartbeat_seconds: int) -> None:
        """`link` leads to the guard."""
        self._link, self._patience = link, heartbeat_seconds + _GRACE_SECONDS
        threading.Thread(target=self._leave_with_the_guard, daemon=True).start()

    def _leave_with_the_guard(self) -> None:
        with contextlib.suppress(OSError):
            self._link.recv(1)  # It sends nothing: this ends when it does.
        os._exit(1)

    def tell(self, hosts: Sequence[str], workdir: str) -> None:
        """Where the processes are, and which folder goes on."""
        self._link.sendall(json.dumps({"hosts": hosts, "workdir": workdir}).encode())

    def work(self, function: Callable[["Ward"], None]) -> None:
        """Calls it; what is not foreseen ends this process without waiting for its peers."""
        try:
            function(self)
        except InputError:
            raise
        except StorageError as error:  # the others would wait for this one
            print(f"error: {error}: {INTERRUPTION.advice}", file=sys.stderr, flush=True)
            os._exit(EXIT_STORAGE)
        except BrokenPipeError:  # the reader of our output has gone
            os._exit(1)
        except Exception as error:
            if peer_left(error):
                time.sleep(self._patience)
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)


def _separate_streams(log: IO[bytes]) -> None:
    """Python's words stay on the screen, what C++ libraries print goes to the log."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        stream.flush()
        own = os.fdopen(os.dup(number), "w", encoding=stream.encoding, errors="replace")
        own.reconfigure(line_buffering=stream.line_buffering)
        setattr(sys, name, own)
        os.dup2(log.fileno(), number)


def lost_processes(log: str) -> list[int]:
    """The numbers of the processes that jax 0.10's last words call dead; none if they do not."""
    unhealthy = re.findall(r"tasks are unhealthy[^\n]*\n((?:\S*?\d+\s*\n)+)", log)
    if unhealthy:
        return sorted({int(number) for number in re.findall(r"(\d+)\s*\n", unhealthy[-1])})
    return [0] if "Failed to send RPC to coordination service" in log else []


def explain(log: str, told: dict[str, Any]) -> tuple[str, int] | None:
    """What an abort meant and the exit code for it, from jax's last words; None if it is unclear.

    Args:
      log: what C++ libraries printed.
      told: by the child, see `Ward.tell`.
    """
    lost = lost_processes(log)
    if lost:
        hosts = told.get("hosts", [])
        names = [f"process {i}" + (f" on {hosts[i]}" if i < len(hosts) else "") for i in lost]
        flag = f" with --workdir={told['workdir']}" if "workdir" in told else ""
        return (
            f"{' and '.join(names)} died or cannot be reached, so this one ended; the same "
            f"command{flag} goes on, also with another number of processes"
        ), EXIT_INTERRUPTED
    if "different incarnation" in log:
        return "two processes have the same --process_id: give each its own", EXIT_USAGE
    if "RegisterTask" in log:
        return (
            "the other processes did not come in time: start all of --num_processes, with the same "
            "--coordinator, which process 0 must be reached at"
        ), EXIT_USAGE
    return None


def _watch(child: int, link: socket.socket, log: IO[bytes]) -> None:
    """Waits for the child and ends as it does, or says why it had to."""
    for number in SIGNALS:
        signal.signal(number, lambda number, _: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    link.setblocking(False)
    try:
        told = json.loads(link.recv(1 << 20))
    except (BlockingIOError, ValueError):  # it ended before it told
        told = {}
    log.seek(0)
    said = log.read().decode(errors="replace")
    if code == -signal.SIGABRT and (explained := explain(said, told)):
        fail(*explained)
    if code not in (0, EXIT_USAGE, EXIT_STORAGE, EXIT_INTERRUPTED, EXIT_AT_ONCE):
        sys.stderr.write(said)
    if code < 0:
        fail(f"this process was ended by {signal.Signals(-code).name}", 128 - code)
    sys.exit(code)


def guarded(function: Callable[[Ward], None], heartbeat_seconds: int) -> None:
    """Calls function(ward) in a child of this process, which ends with the child's exit code.

    A lost peer is told in one line, with exit code 75. To be called before jax is imported, while
    this process has one thread.
    """
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as log:
        child = os.fork()
        if child:
            theirs.close()
            _watch(child, ours, log)
        ours.close()
        os.setpgid(0, 0)  # Ctrl-C reaches the guard alone, which hands it on: once, not twice
        _separate_streams(log)
        Ward(theirs, heartbeat_seconds).work(function)
