"""One part of a run: the loop over epochs, where metrics, checkpoints and signals live."""

import time
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.console import EpochProgress
from experiments.flags import Settings
from experiments.interruption import Interruption
from experiments.plan import Part, describe
from experiments.workdir import Line, Workdir
from msd_jax import sweep
from msd_jax.checkpoints import Checkpoints
from msd_jax.dataset import Songs
from msd_jax.train import TrainState


class Interrupted(Exception):  # noqa: N818  no error: a signal asked for it
    """A signal asked the run to stop; everything up to the last epoch is saved."""


class Session(NamedTuple):
    """What the parts of a run share; the songs are on the devices."""

    settings: Settings
    mesh: Mesh
    train: Songs
    valid: Songs
    workdir: Workdir
    progress: EpochProgress
    interruption: Interruption


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
    session: Session, part: Part, keys: jax.Array, checkpoints: Checkpoints
) -> tuple[int, TrainState]:
    """The epochs done so far, and the states after them; metrics of later epochs are dropped."""
    size = len(part.trials)
    states = sweep.init_trials(part.config, keys, size, session.mesh)
    restored = checkpoints.restore(sweep.to_host(states, size))
    done = 0
    if restored is not None:
        done, host_states = restored
        states = sweep.place_states(host_states, session.mesh)
    names = [describe(session.settings, part.config, trial) for trial in part.trials]

    def is_before(line: Line) -> bool:
        return line["epoch"] <= done or {name: line[name] for name in names[0]} not in names

    session.workdir.keep_metrics(is_before)
    return done, states


def _describe_epoch(part: Part, epoch: Epoch, num_epochs: int) -> str:
    trained = epoch.trained
    loss = np.nanmean(epoch.metrics["train_loss"][trained])
    accuracy = 100 * np.nanmean(epoch.metrics["valid_accuracy"][trained])
    width = f"{part.config.num_hidden} hidden"
    if part.config.model == "ensemble":
        width += f" x {part.config.num_snippets} snippets"
    return f"{width}, epoch {epoch.number}/{num_epochs}, loss {loss:.3f}, valid {accuracy:.1f}%"


def train_part(session: Session, part: Part, name: str) -> TrainState:
    """Trains the trials of a part to their end, from where an earlier run left them.

    Args:
      session: of the run.
      part: its program and trials.
      name: of its folder among the checkpoints.

    Returns:
      The states of the R trials, padded for the mesh.

    Raises:
      Interrupted: after a signal, with the last whole epoch saved.
    """
    num_epochs, size = session.settings.num_epochs, len(part.trials)
    keys, hparams = sweep.place_trials(part.trials, session.mesh)
    with Checkpoints(session.workdir.checkpoints / name) as checkpoints:
        done, states = _restore(session, part, keys, checkpoints)
        session.progress.advance(done * size)
        program: Any = None
        for number in range(done + 1, num_epochs + 1):
            trained = ~np.asarray(states.stopped)[:size]
            if not trained.any():
                session.progress.advance((num_epochs - number + 1) * size)
                break
            if session.interruption.requested:
                raise Interrupted
            data = (states, keys, hparams, session.train, session.valid)
            if program is None:  # compiled here, so that no epoch's seconds hold it
                program = sweep.make_epoch(part.config, session.mesh).lower(*data).compile()
            start = time.perf_counter()
            states, metrics = jax.block_until_ready(program(*data))
            seconds = time.perf_counter() - start
            host_states, host_metrics = sweep.to_host((states, metrics), size)
            epoch = Epoch(number, host_metrics, trained, host_states.diverged == number, seconds)
            session.workdir.append_metrics(metric_lines(session.settings, part, epoch))
            checkpoints.save(number, host_states)
            session.progress.advance(size, _describe_epoch(part, epoch, num_epochs))
    return states
