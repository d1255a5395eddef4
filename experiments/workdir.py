"""The folder of a run: config, decisions, metrics, checkpoints/ and in the end the summary.

Of several processes the leader alone writes here, the checkpoints apart; see `processes.py`.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from msd_jax import processes
from msd_jax.errors import InputError

Line = dict[str, Any]
_AFRESH = "start afresh in another --workdir"


def write_json(path: Path, value: Any) -> None:
    """Writes a file that is either the old one or the whole new one, whenever we are killed."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """What `write_json` wrote.

    Raises:
      InputError: if the file is damaged.
    """
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise InputError(f"{path}: damaged, not JSON: {_AFRESH}") from None


def read_lines(path: Path) -> list[Line]:
    """All whole lines of a file of JSON lines; what a kill left of a last one is not there.

    Raises:
      InputError: if the file is damaged.
    """
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    except ValueError:
        raise InputError(f"{path}: damaged, not JSON lines: {_AFRESH}") from None


def write_text(path: Path, text: str) -> None:
    """Writes a file that is either the old one or the whole new one, whenever we are killed."""
    new = path.with_name(path.name + ".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


class Workdir:
    """The files of one run.

    Attributes:
      path: the folder.
      resumed: whether an earlier run of the same config has been here.
      listeners: are given all lines that are added to the metrics.
    """

    def __init__(self, path: Path, config: Line, identity: Line) -> None:
        """Makes the folder, or takes up the one of an earlier run.

        Args:
          path: of the folder.
          config: what config.json will hold.
          identity: the part of `config` that must not change between runs in the same folder.

        Raises:
          InputError: if the folder cannot be written, or belongs to another config.
        """
        self.path = path
        self.listeners: list[Callable[[list[Line]], None]] = []
        self.resumed = processes.decide(lambda: _make_folder(path, config, identity))
        processes.together(self._check_shared)

    def _check_shared(self) -> None:
        if not (self.path / "config.json").exists():
            raise InputError(
                f"{self.path} is not the folder that process 0 writes to: give a --workdir on a "
                "file system that all processes share"
            )

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints, one folder a part."""
        return self.path / "checkpoints"

    @property
    def summary(self) -> Path:
        """What is left in the end; a run that has it is finished."""
        return self.path / "summary.json"

    @property
    def predictions(self) -> Path:
        """What all trials say of the test songs, where there are any."""
        return self.path / "predictions.npz"

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def remember(self, name: str, decide: Callable[[], Any]) -> Any:
        """What `decide` said when it was first asked, in every process the same; a resumed run is
        told the same.
        """
        path = self.path / "decisions.json"
        decisions = processes.decide(lambda: read_json(path) if path.exists() else {})
        if name not in decisions:
            decisions[name] = decide()
            if processes.leads():
                write_json(path, decisions)
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


def _make_folder(path: Path, config: Line, identity: Line) -> bool:
    """Whether the folder has been there before; see `Workdir`."""
    config_path = path / "config.json"
    try:
        resumed = config_path.exists()
        if resumed:
            _check_identity(config_path, identity)
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        if not resumed:
            write_json(config_path, config)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{path}: cannot be written ({reason}): choose another --workdir"
        ) from error
    return resumed


def _check_identity(config_path: Path, identity: Line) -> None:
    try:
        there = json.loads(config_path.read_text())
        old = {key: there[key] for key in identity}
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{config_path}: not the config of a run: choose another --workdir"
        ) from None
    if old == identity:
        return
    told = [
        f"{name}: {old_value!r} there, {new_value!r} now"
        for name, old_value, new_value in differences(old, identity)
    ]
    raise InputError(
        f"{config_path.parent} belongs to another run ({'; '.join(told)}): choose another --workdir"
    )


def differences(old: Line, new: Line) -> Iterable[tuple[str, Any, Any]]:
    """Name, old and new value of each thing that differs, in nested dictionaries too."""
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b)
        elif a != b:
            yield key, a, b
