"""One part of a run: the loop over epochs, where metrics, checkpoints and signals live."""

import functools
import operator
import time
from typing import NamedTuple

import jax
import numpy as np

from experiments.command.console import EpochProgress
from experiments.command.interruption import Interruption, Stopped
from experiments.command.watchdog import Watchdog
from experiments.running.calls import Place, Program, end_epoch, run_calls
from experiments.running.plan import Part, describe
from experiments.running.predictions import Predictions
from experiments.running.resuming import restore
from experiments.running.settings import Settings
from experiments.running.workdir import Line, Workdir
from msd_jax import processes, sweep
from msd_jax.checkpoints import Checkpoints
from msd_jax.dataset import Songs
from msd_jax.devices import to_host
from msd_jax.diagnosis import diagnose
from msd_jax.held_out import predict_batches
from msd_jax.hyperparams import Hyperparams
from msd_jax.state import TrainState

# So much of an epoch is lost at most when a run is killed without a word.
_SECONDS_BETWEEN_SAVES = 300.0


class Session(NamedTuple):
    """What the parts of a run share, and what its checkpoints belong to."""

    settings: Settings
    workdir: Workdir
    progress: EpochProgress
    interruption: Interruption
    watchdog: Watchdog
    belongs: dict[str, str] | None = None


def _is_asked(session: Session) -> bool:
    """Whether a signal asked any of the processes to stop: they stop together."""
    return processes.anyone(session.interruption.requested is not None)


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


def _mean_of_finite(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _describe_width(part: Part) -> str:
    snippets = f" x {part.config.num_snippets} snippets" if part.config.model == "ensemble" else ""
    return ", ".join([f"{part.config.num_hidden} hidden{snippets}", *part.config.layers.in_words])


def _describe_epoch(part: Part, epoch: Epoch, num_epochs: int) -> str:
    loss = _mean_of_finite(epoch.metrics["train_loss"][epoch.trained])
    accuracy = 100 * _mean_of_finite(epoch.metrics["valid_accuracy"][epoch.trained])
    width = _describe_width(part)
    return f"{width}, epoch {epoch.number}/{num_epochs}, loss {loss:.3f}, valid {accuracy:.1f}%"


def _run_epoch(
    session: Session,
    program: Program,
    part: Part,
    checkpoints: Checkpoints,
    inputs: tuple[jax.Array, Hyperparams],
    place: Place,
    states: TrainState,
) -> tuple[Place, TrainState, Epoch]:
    """What is left of the epoch at `place`: the states after it, and what it gave.

    Raises:
      Stopped: after a signal, with all steps that are done saved.
    """
    size, number = len(part.trials), place.epoch + 1
    stopped, diverged = to_host((states.stopped, states.diverged), size)
    trained = ~stopped | (diverged == number)
    what = f"{_describe_width(part)}, epoch {number}/{session.settings.num_epochs}"
    saved_at = time.monotonic()
    calls = run_calls(program, states, *inputs, place)
    for states, now in calls:
        session.watchdog.beat()
        session.progress.advance(
            size * (now.step - place.step) / program.steps,
            f"{what}, step {now.step}/{program.steps}",
        )
        place = now
        is_due = processes.anyone(time.monotonic() - saved_at > _SECONDS_BETWEEN_SAVES)
        is_asked = _is_asked(session)
        if (is_asked or is_due) and place.step < program.steps:
            checkpoints.save(place.number(program), states, size, place.notes)
            saved_at = time.monotonic()
            if is_asked:
                raise Stopped
    states, metrics, place = end_epoch(program, states, place)
    diverged = to_host(states.diverged, size) == number
    if session.settings.debug_nans:
        _tell_where(session, program, part, to_host(states, size), np.flatnonzero(diverged))
    epoch = Epoch(number, to_host(metrics, size), trained, diverged, place.seconds)
    return Place(number), states, epoch


def _tell_where(
    session: Session,
    program: Program,
    part: Part,
    host_states: TrainState,
    indices: np.ndarray,
) -> None:
    """Says of the trials at `indices`, which have just diverged, where."""
    for index in indices:
        names = describe(session.settings, part.config, part.trials[index])
        trial = ", ".join(f"{name} {x:g}" for name, x in names.items() if x is not None)
        key = jax.random.key(part.trials[index].seed)
        hparams = jax.tree.map(np.float32, part.trials[index].hparams)
        state = jax.tree.map(operator.itemgetter(index), host_states)
        where = diagnose(part.config, key, hparams, state, program.train, program.valid)
        session.progress.say(f"diverged: {trial}: {where}")


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
      Stopped: after a signal, with the steps that are done saved.
    """
    num_epochs, size = session.settings.num_epochs, len(part.trials)
    program.begin_chunk()
    inputs = sweep.place_inputs(part.trials, program.layout)
    folder = session.workdir.checkpoints / name
    with Checkpoints(folder, session.belongs) as checkpoints:
        names = [describe(session.settings, part.config, trial) for trial in part.trials]
        init = functools.partial(sweep.init_trials, part.config, inputs[0], size, program.layout)
        place, states = restore(checkpoints, session.workdir, program, init, names)
        for step, reason in checkpoints.set_aside:
            session.progress.say(
                f"checkpoint {step} is damaged ({reason}): set aside, going on from the one before"
            )
        session.progress.advance(size * (place.epoch + place.step / program.steps))
        while place.epoch < num_epochs:
            if place.step == 0 and to_host(states.stopped, size).all():
                session.progress.advance(size * (num_epochs - place.epoch))
                break
            if _is_asked(session):
                raise Stopped
            place, states, epoch = _run_epoch(
                session, program, part, checkpoints, inputs, place, states
            )
            session.workdir.append_metrics(metric_lines(session.settings, part, epoch))
            checkpoints.save(place.number(program), states, size, place.notes)
            session.watchdog.beat()
            session.progress.end_epoch(_describe_epoch(part, epoch, num_epochs))
    return states


def predict_part(
    session: Session, program: Program, songs: Songs, states: TrainState, size: int
) -> Predictions:
    """What the R trials of a part say of songs held out, at each rule's best epoch.

    Raises:
      Stopped: after a signal; it is done anew when the run goes on.
    """
    batches = []
    for batch in predict_batches(program.config, program.layout, states, songs, size):
        if _is_asked(session):
            raise Stopped
        session.watchdog.beat()
        batches.append(batch)
    log_probs = {rule: np.concatenate([b[rule] for b in batches], axis=1) for rule in batches[0]}
    return Predictions(log_probs, np.asarray(songs.labels))
