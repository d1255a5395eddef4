"""The folder of a run: config, decisions, metrics, checkpoints/ and in the end the summary.

Of several processes the leader alone writes here, the checkpoints apart; see `processes.py`.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from experiments.command import checks
from experiments.command.lock import Lock
from msd_jax import processes
from msd_jax.errors import InputError

Line = dict[str, Any]
# What tells the trials of a run apart in its lines of metrics, in the order that they are named.
TRIAL_NAMES = (*checks.POINT_NAMES, "seed")
_AFRESH = "start afresh in another --workdir"


class OtherRunError(InputError):
    """A folder belongs to another run, or nobody can tell to which."""


def write_json(path: Path, value: Any) -> None:
    """Writes a file that is either the old one or the whole new one, whenever we are killed."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, is_sound: Callable[[Any], bool] = lambda _: True) -> Any:
    """What `write_json` wrote.

    Raises:
      InputError: if the file is damaged.
    """
    try:
        value = checks.parse(path.read_bytes())
    except (ValueError, OSError):
        raise InputError(f"{path}: damaged, not JSON: {_AFRESH}") from None
    if not is_sound(value):
        raise InputError(f"{path}: damaged, not what a run writes: {_AFRESH}")
    return value


def read_lines(path: Path) -> list[Line]:
    """All whole lines of metrics; what a kill left of a last one is not there.

    Raises:
      InputError: if the file is damaged.
    """
    if not path.exists():
        return []
    try:
        lines = [checks.parse(text) for text in path.read_bytes().split(b"\n")[:-1]]
    except (ValueError, OSError):
        raise InputError(f"{path}: damaged, not JSON lines: {_AFRESH}") from None
    if not all(checks.is_metric_line(line) for line in lines):
        raise InputError(f"{path}: damaged, no metrics of a run: {_AFRESH}")
    return lines


def write_text(path: Path, text: str) -> None:
    """Writes a file that is either the old one or the whole new one, whenever we are killed."""
    new = path.with_name(path.name + ".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


class Workdir:
    """The files of one run, which no other process may change meanwhile; a context manager.

    Attributes:
      path: the folder.
      resumed: whether an earlier run of the same config has been here.
      left_behind: the process that was here and ended without a word, None if there is none.
      listeners: are given all lines that are added to the metrics.
    """

    def __init__(self, path: Path, config: Line, identity: Line) -> None:
        """Makes the folder, or takes up the one of an earlier run.

        Args:
          path: of the folder.
          config: what config.json will hold.
          identity: the part of `config` that must not change between runs in the same folder.

        Raises:
          OtherRunError: if the folder belongs to another config.
          InputError: if it cannot be written, or another process is at work in it.
        """
        self.path = path
        self._lock: Lock | None = None
        self.left_behind: str | None = None
        self.listeners: list[Callable[[list[Line]], None]] = []
        self.resumed = processes.decide(lambda: self._take(config, identity))
        processes.together(self._check_shared)

    def _take(self, config: Line, identity: Line) -> bool:
        """Makes and locks the folder; whether it has been there before."""
        config_path = self.path / "config.json"
        try:
            if config_path.exists():
                _check_identity(config_path, identity)
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path / "lock")
            self.left_behind = self._lock.left_behind
            resumed = config_path.exists()
            if resumed:  # by now it may be there, of a run that began beside us
                _check_identity(config_path, identity)
            else:
                write_json(config_path, config)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{self.path}: cannot be written ({reason}): choose another --workdir"
            ) from error
        return resumed

    def _check_shared(self) -> None:
        if not (self.path / "config.json").exists():
            raise InputError(
                f"{self.path} is not the folder that process 0 writes to: give a --workdir on a "
                "file system that all processes share"
            )

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Lets other processes in."""
        if self._lock is not None:
            self._lock.release()

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints, one folder a part."""
        return self.path / "checkpoints"

    @property
    def summary(self) -> Path:
        """What is left in the end; a run that has it is finished."""
        return self.path / "summary.json"

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def remember(self, name: str, decide: Callable[[], int], most: int) -> int:
        """What `decide` said when it was first asked, in every process the same; a resumed run is
        told the same.

        Raises:
          InputError: if the file is damaged, or says more than `most`.
        """
        path = self.path / "decisions.json"
        decisions = processes.decide(
            lambda: read_json(path, checks.is_decisions) if path.exists() else {}
        )
        if name not in decisions:
            decisions[name] = decide()
            if processes.leads():
                write_json(path, decisions)
        if decisions[name] > most:
            raise InputError(f"{path}: damaged, {name} is above {most}: {_AFRESH}")
        return decisions[name]

    def append_metrics(self, lines: Iterable[Line]) -> None:
        """Adds lines, on disk when this returns."""
        if not processes.leads():
            return
        lines = list(lines)
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        with self._metrics.open("a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        for listen in self.listeners:
            listen(lines)

    def read_metrics(self) -> list[Line]:
        """See `read_lines`."""
        return read_lines(self._metrics)

    def keep_metrics(self, wanted: Callable[[Line], bool]) -> None:
        """Drops the lines that are not wanted: epochs that will be trained again."""
        if processes.leads() and self._metrics.exists():
            kept = [json.dumps(line) + "\n" for line in self.read_metrics() if wanted(line)]
            write_text(self._metrics, "".join(kept))


def choose_folder(path: Path, identity: Line, force_new: bool) -> Path:
    """`path`; with `force_new`, where another run has that, the first free one of NAME-2, ..."""
    beside = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    for candidate in itertools.chain([path], beside if force_new else ()):
        config_path = candidate / "config.json"
        try:
            if not config_path.exists():
                return candidate
            _check_identity(config_path, identity)
        except OSError:  # Workdir will say what is wrong with it
            return candidate
        except OtherRunError:
            continue
        return candidate
    return path


def _check_identity(config_path: Path, identity: Line) -> None:
    try:
        there = checks.parse(config_path.read_bytes())
        old = {key: there[key] for key in identity}
    except (ValueError, KeyError, TypeError):
        raise OtherRunError(
            f"{config_path}: not the config of a run: choose another --workdir, or add --force_new"
        ) from None
    if old == identity:
        return
    told = [
        f"{name}: {old_value!r} there, {new_value!r} now"
        for name, old_value, new_value in differences(old, identity)
    ]
    raise OtherRunError(
        f"{config_path.parent} belongs to another run ({'; '.join(told)[:1000]}): "
        "choose another --workdir, or add --force_new"
    )


def differences(old: Line, new: Line) -> Iterable[tuple[str, Any, Any]]:
    """Name, old and new value of each thing that differs, in nested dictionaries too."""
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b)
        elif a != b:
            yield key, a, b
