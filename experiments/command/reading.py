"""Track files read in a process that may die: a file that crashes or hangs it is one rejected file.

The other process is this module as a program. It gets a JSON line that names files, and answers
with a JSON line about each of them, then their features as bytes: nothing that has parsed an
untrusted file is unpickled here. It limits itself: its memory (RLIMIT_AS), and its time by an alarm
that kills it even where the parser hangs, and even if we are gone.

Alternatives: `ProcessPoolExecutor` is lost as a whole with one process and has no time limit;
`multiprocessing` cannot start processes inside a Dask worker, which is a daemon.
"""

import atexit
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import numpy as np

from msd_jax.songs import NUM_FEATURES, Rejected
from msd_jax.tracks import MAX_SEGMENTS, Track, read_track

_ROOT = Path(__file__).parents[2]
_IDLE_SECONDS = 600  # after which a process that nobody asks ends itself
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # its threads would take their memory from the limit
    "HDF5_PLUGIN_PRELOAD": "::",  # a file may not have code loaded
}


class Limits(NamedTuple):
    """What reading may take: memory of the process in bytes, seconds for the files of one call."""

    memory_bytes: int = 2**30
    seconds: float = 60.0


DEFAULT_LIMITS = Limits()
# Why a file is rejected that may well be read within other limits.
TOOK_TOO_LONG, CRASHED = "took too long", "crashed the parser"


class _Died(Exception):  # noqa: N818  the process, not ours
    """The reading process ended while it read; the argument says how."""


class TrackReader:
    """A process that reads tracks, started when it is first asked; a context manager."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Starts nothing yet."""
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends the process."""
        self.close()

    def read(
        self, paths: Sequence[Path], num_segments: int | None = None, where: str = "central"
    ) -> list[Track | Rejected]:
        """What `read_track` gives or raises for each file, in order.

        A file that ends the process is rejected as "crashed the parser" or "took too long"; the
        others of its call are read again, one by one.
        """
        request = {"paths": [os.fspath(path) for path in paths]}
        try:
            return self._ask({**request, "num_segments": num_segments, "where": where})
        except _Died as died:
            if len(paths) == 1:
                return [Rejected(*died.args)]
        return [track for path in paths for track in self.read([path], num_segments, where)]

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        limits = [str(self.limits.memory_bytes), str(self.limits.seconds)]
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.command.reading", *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)},
            process_group=0,  # Ctrl-C is ours alone
        )
        self._process = process
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError(f"the process that reads tracks did not start within {limits}")
        return process

    def _ask(self, request: dict[str, Any]) -> list[Track | Rejected]:
        process = self._process
        if process is None or process.poll() is not None:
            self.close()
            process = self._start()
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        answer = json.loads(line)
        if isinstance(answer, str):
            raise RuntimeError(f"a bug in the process that reads tracks:\n{answer}")
        return [self._track(process.stdout, about) for about in answer]

    def _track(self, file: IO[bytes], about: dict[str, Any]) -> Track | Rejected:
        if "reason" in about:
            return Rejected(about["reason"], about["detail"])
        length = about.pop("length")
        assert 0 <= length <= MAX_SEGMENTS
        size = 4 * NUM_FEATURES * length
        data = file.read(size)
        if len(data) != size:
            raise self._death()
        return Track(**about, features=np.frombuffer(data, "<f4").reshape(length, NUM_FEATURES))

    def _death(self) -> _Died:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        if code == -signal.SIGALRM:
            return _Died(TOOK_TOO_LONG, f"more than {self.limits.seconds:g} s")
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return _Died(CRASHED, how)


_idle: list[TrackReader] = []  # kept for the next call in this process


@atexit.register
def close_idle_readers() -> None:
    """Ends the processes that `read_tracks` keeps."""
    while _idle:
        _idle.pop().close()


def read_tracks(
    paths: Sequence[Path], num_segments: int | None, where: str, limits: Limits
) -> list[Track | Rejected]:
    """`TrackReader.read` by a process of a pool that grows with the calls at one time.

    It may be called from many threads, here or in a Dask worker.
    """
    reader = _idle.pop() if _idle else TrackReader(limits)
    if reader.limits != limits:
        reader.close()
        reader = TrackReader(limits)
    try:
        return reader.read(paths, num_segments, where)
    finally:
        _idle.append(reader)


def _describe(path: Path, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """One file's part of the answer, and its features."""
    try:
        track = read_track(path, request["num_segments"], request["where"])
    except Rejected as rejected:
        return {"reason": rejected.reason, "detail": rejected.detail}, b""
    about: dict[str, Any] = track._asdict()
    features = about.pop("features")
    return {**about, "length": len(features)}, features.astype("<f4", copy=False).tobytes()


def _serve(memory_bytes: int, seconds: float) -> None:
    """Answers requests until there are no more."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.write(b"ready\n")
    answers.flush()
    signal.setitimer(signal.ITIMER_REAL, _IDLE_SECONDS)
    for line in requests:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        request = json.loads(line)
        try:
            parts = [_describe(Path(path), request) for path in request["paths"]]
            head: Any = [about for about, _ in parts]
        except Exception:
            parts, head = [], traceback.format_exc()
        answers.write(json.dumps(head).encode() + b"\n")
        for _, features in parts:
            answers.write(features)
        signal.setitimer(signal.ITIMER_REAL, _IDLE_SECONDS)
        answers.flush()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
