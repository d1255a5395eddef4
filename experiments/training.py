"""One part of a run: the loop over epochs, where metrics, checkpoints and signals live."""

import dataclasses
import functools
import time
from collections import Counter
from typing import NamedTuple

import jax
import numpy as np

from experiments.console import EpochProgress
from experiments.flags import Settings
from experiments.interruption import Interruption
from experiments.plan import Part, describe
from experiments.workdir import Line, Workdir
from msd_jax import sweep
from msd_jax.checkpoints import Checkpoints
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.devices import Layout, to_host
from msd_jax.errors import InputError
from msd_jax.train import TrainState


class Interrupted(Exception):  # noqa: N818  no error: a signal asked for it
    """A signal asked the run to stop; everything up to the last epoch is saved."""


class Session(NamedTuple):
    """What the parts of a run share; the songs are on the devices."""

    settings: Settings
    train: Songs
    valid: Songs
    workdir: Workdir
    progress: EpochProgress
    interruption: Interruption


@dataclasses.dataclass
class Program:
    """The epoch of one config in one layout, compiled when it is first needed."""

    config: Config
    layout: Layout
    train: Songs
    valid: Songs

    @functools.cached_property
    def epoch(self) -> jax.stages.Compiled:
        """See `sweep.make_epoch`."""
        return sweep.compile_epoch(self.config, self.layout, self.train, self.valid)


class Epoch(NamedTuple):
    """What one epoch of a part gave, on the host: metrics [R] by name, which trials trained in it
    [R], which of them diverged [R], and its seconds.
    """

    number: int
    metrics: dict[str, np.ndarray]
    trained: np.ndarray
    diverged: np.ndarray
    seconds: float


def _json_number(x: np.float32) -> float | None:
    """The shortest number that is this float32; JSON has no NaN."""
    return float(str(x)) if np.isfinite(x) else None


def metric_lines(settings: Settings, part: Part, epoch: Epoch) -> list[Line]:
    """A line for each trial that trained in this epoch; "seconds" is its share of them."""
    share = epoch.seconds / max(1, int(epoch.trained.sum()))
    return [
        {
            **describe(settings, part.config, part.trials[index]),
            "epoch": epoch.number,
            **{name: _json_number(values[index]) for name, values in epoch.metrics.items()},
            "diverged": bool(epoch.diverged[index]),
            "seconds": share,
        }
        for index in np.flatnonzero(epoch.trained)
    ]


def _restore(
    session: Session, part: Part, layout: Layout, keys: jax.Array, checkpoints: Checkpoints
) -> tuple[int, TrainState]:
    """The epochs done so far, and the states after them; metrics of later epochs are dropped."""
    size = len(part.trials)
    states = sweep.init_trials(part.config, keys, size, layout)
    restored = checkpoints.restore(to_host(states, size))
    for step, reason in checkpoints.set_aside:
        session.progress.say(
            f"checkpoint {step} is damaged ({reason}): set aside, looking at the one before it"
        )
    done = 0
    if restored is not None:
        done, host_states = restored
        states = sweep.place_states(host_states, layout)
    names = [describe(session.settings, part.config, trial) for trial in part.trials]

    def is_before(line: Line) -> bool:
        return (
            line.get("epoch", 0) <= done or {name: line.get(name) for name in names[0]} not in names
        )

    session.workdir.keep_metrics(is_before)
    _check_metrics(session.workdir, names, states, done)
    return done, states


def _check_metrics(workdir: Workdir, names: list[Line], states: TrainState, done: int) -> None:
    """Raises InputError unless the metrics of all epochs before the checkpoint are there."""
    found = Counter(tuple(line.get(name) for name in names[0]) for line in workdir.read_metrics())
    epochs = to_host(states.epoch, len(names)) + (to_host(states.diverged, len(names)) > 0)
    for name, expected in zip(names, epochs, strict=True):
        if found[tuple(name.values())] != expected:
            raise InputError(
                f"{workdir.path}: metrics.jsonl lacks some of the {expected} epochs of a trial "
                f"before checkpoint {done}: start afresh in another --workdir"
            )


def _mean_of_finite(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _describe_epoch(part: Part, epoch: Epoch, num_epochs: int) -> str:
    loss = _mean_of_finite(epoch.metrics["train_loss"][epoch.trained])
    accuracy = 100 * _mean_of_finite(epoch.metrics["valid_accuracy"][epoch.trained])
    width = f"{part.config.num_hidden} hidden"
    if part.config.model == "ensemble":
        width += f" x {part.config.num_snippets} snippets"
    return f"{width}, epoch {epoch.number}/{num_epochs}, loss {loss:.3f}, valid {accuracy:.1f}%"


def _run_epoch(
    program: Program, states: TrainState, inputs: tuple, number: int, size: int
) -> tuple[TrainState, TrainState, Epoch]:
    """The states after an epoch on the devices and on the host, and what it gave."""
    trained = ~np.asarray(to_host(states.stopped, size))
    epoch = program.epoch  # compiled here, so that no epoch's seconds hold it
    start = time.perf_counter()
    states, metrics = jax.block_until_ready(epoch(states, *inputs, program.train, program.valid))
    seconds = time.perf_counter() - start
    host_states, host_metrics = to_host((states, metrics), size)
    diverged = host_states.diverged == number
    return states, host_states, Epoch(number, host_metrics, trained, diverged, seconds)


def train_part(session: Session, program: Program, part: Part, name: str) -> TrainState:
    """Trains the trials of a part to their end, from where an earlier run left them.

    Args:
      session: of the run.
      program: that trains them; its layout has a place for each.
      part: the trials.
      name: of its folder among the checkpoints.

    Returns:
      The states of the R trials, padded.

    Raises:
      Interrupted: after a signal, with the last whole epoch saved.
    """
    num_epochs, size = session.settings.num_epochs, len(part.trials)
    inputs = sweep.place_inputs(part.trials, program.layout)
    with Checkpoints(session.workdir.checkpoints / name) as checkpoints:
        done, states = _restore(session, part, program.layout, inputs[0], checkpoints)
        session.progress.advance(done * size)
        for number in range(done + 1, num_epochs + 1):
            if to_host(states.stopped, size).all():
                session.progress.advance((num_epochs - number + 1) * size)
                break
            if session.interruption.requested:
                raise Interrupted
            states, host_states, epoch = _run_epoch(program, states, inputs, number, size)
            session.workdir.append_metrics(metric_lines(session.settings, part, epoch))
            checkpoints.save(number, host_states)
            session.progress.advance(size, _describe_epoch(part, epoch, num_epochs))
    return states
