"""The metrics of a run as event files for TensorBoard, while it trains; metrics.jsonl stays the
source of truth.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from experiments.running.workdir import TRIAL_NAMES, Line
from msd_jax.errors import InputError


def trial_name(line: Line) -> str:
    """What tells the trials of a run apart, as the name of a folder."""
    return "-".join(f"{name}_{line[name]:g}" for name in TRIAL_NAMES if line[name] is not None)


class EventFiles:
    """One folder of event files for each trial; steps are epochs. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Writes under `folder`.

        Raises:
          InputError: if tensorboardX is not there.
        """
        try:
            # Not its SummaryWriter: that has a thread a trial, and its flush does not wait for it.
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto.event_pb2 import Event, SessionLog
            from tensorboardX.summary import scalar
        except ModuleNotFoundError:
            raise InputError(
                "--tensorboard needs tensorboardX: python -m pip install -e '.[tb]'"
            ) from None
        self._folder, self._writers = folder, dict[str, Any]()
        self._make_writer, self._make_event, self._scalar = EventsWriter, Event, scalar
        self._start = SessionLog(status=SessionLog.START)

    def _writer(self, line: Line) -> Any:
        """Of the line's trial; takes back what a killed run wrote of this epoch and later ones."""
        name = trial_name(line)
        if name not in self._writers:
            (self._folder / name).mkdir(parents=True, exist_ok=True)
            writer = self._make_writer(str(self._folder / name / "events"))
            writer.write_event(self._make_event(step=line["epoch"], session_log=self._start))
            self._writers[name] = writer
        return self._writers[name]

    def _close_all_but(self, names: set[str]) -> None:
        for name in self._writers.keys() - names:
            self._writers.pop(name).close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the files."""
        self._close_all_but(set())

    def write(self, lines: Sequence[Line]) -> None:
        """Adds lines of metrics; on disk when this returns.

        Trials train side by side, so files of other trials than these are closed.
        """
        self._close_all_but({trial_name(line) for line in lines})
        for line in lines:
            writer = self._writer(line)
            for name, value in line.items():
                if name.startswith(("train_", "valid_", "seconds")) and value is not None:
                    summary = self._scalar(name, value)
                    event = self._make_event(
                        wall_time=time.time(), step=line["epoch"], summary=summary
                    )
                    writer.write_event(event)
            writer.flush()
