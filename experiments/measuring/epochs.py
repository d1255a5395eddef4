"""What an epoch of a run costs beside its bare training steps.

Counted as a run: all that `experiments.run` does from the initial values of a chunk to its last
checkpoint, on the disk: shuffle, gather, metrics, validation, best parameters, the lines of
metrics, a checkpoint with its sha256 each epoch, progress, watchdog. Not counted: start-up and
compiling, the test set, the summary.

Bare is the same number of `train_step` calls in one program on batches that lie ready in the
device's memory, and for validation the forward pass alone.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command.console import EpochProgress, make_console
from experiments.command.interruption import Interruption
from experiments.command.watchdog import Watchdog
from experiments.measuring.peers import Contender
from experiments.running.calls import Program
from experiments.running.plan import Part, make_plan
from experiments.running.settings import Settings
from experiments.running.training import Session, train_part
from experiments.running.workdir import Workdir
from msd_jax import sweep
from msd_jax.batches import Batch
from msd_jax.dataset import Dataset, Songs
from msd_jax.devices import Layout, make_layout, map_trials, place
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import make_model
from msd_jax.state import TrainState
from msd_jax.step import train_step


class Epoch(NamedTuple):
    """epochs: whole ones, through `experiments.run`; steps: the bare training steps of one epoch;
    validation: the bare forward passes of one; num_epochs: of `epochs`; trials: side by side;
    songs: that a trial trains on in an epoch.
    """

    epochs: Contender
    steps: Contender
    validation: Contender
    num_epochs: int
    trials: int
    songs: int


def _train(settings: Settings, program: Program, part: Part) -> None:
    """A run in a folder that is thrown away."""
    console = make_console(quiet=True)
    with (
        tempfile.TemporaryDirectory(prefix="msd_jax-") as folder,
        Workdir(Path(folder), {}, {}) as workdir,
        Watchdog(settings.step_timeout, "") as watchdog,
        EpochProgress(console, settings.num_epochs * len(part.trials)) as progress,
    ):
        session = Session(settings, workdir, progress, Interruption(), watchdog)
        train_part(session, program, part, "0-0")


def _ready_batches(songs: Songs, batch_size: int, layout: Layout) -> Batch:
    """All full batches in the order of the songs: inputs [S, B, T, F] float32, labels [S, B]."""
    steps = len(songs.labels) // batch_size

    def divide(x: np.ndarray) -> np.ndarray:
        return x[: steps * batch_size].reshape(steps, batch_size, *x.shape[1:])

    inputs, labels = divide(np.asarray(songs.inputs, np.float32)), divide(songs.labels)
    return place(Batch(inputs, labels), layout.everywhere)  # type: ignore[arg-type]


def _bare(
    what: str,
    part: Part,
    layout: Layout,
    songs: Songs,
    work: Callable[[TrainState, Hyperparams, Batch], Any],
) -> Contender:
    """`work` on all ready batches of the songs, for each trial."""
    trials = len(part.trials)
    keys, hparams = sweep.place_inputs(part.trials, layout)
    states = sweep.init_trials(part.config, keys, trials, layout)
    batches = _ready_batches(songs, part.config.batch_size, layout)

    def one(trial: tuple[TrainState, Hyperparams], batches: Batch) -> Any:
        return work(*trial, batches)

    program = jax.jit(map_trials(one, layout), out_shardings=layout.trials)
    since = time.perf_counter()
    compiled = program.lower((states, hparams), batches).compile()
    seconds = time.perf_counter() - since
    return Contender(
        what,
        trials,
        trials * batches.labels.size,
        lambda: jax.block_until_ready(compiled((states, hparams), batches)),
        seconds,
        sweep.device_bytes(compiled) * len(jax.local_devices()),
    )


def make_epoch(settings: Settings, dataset: Dataset) -> Epoch:
    """The epoch of a run and its bare parts, compiled.

    Args:
      settings: of one program; its trials are one chunk.
      dataset: whose songs fill the batches evenly.
    """
    (part,) = make_plan(settings, dataset)
    config, trials = part.config, len(part.trials)
    layout = make_layout(trials, config.batch_size)
    train, valid = (sweep.share(songs, layout) for songs in (dataset.train, dataset.valid))
    program = Program(config, layout, train, valid)
    since = time.perf_counter()
    peak = max(map(sweep.device_bytes, program.compiled)) * len(jax.local_devices())
    seconds = time.perf_counter() - since

    def steps(state: TrainState, hparams: Hyperparams, batches: Batch) -> Any:
        def advance(carry: tuple, batch: Batch) -> tuple[tuple, None]:
            params, opt_state = carry
            return train_step(config, params, opt_state, hparams, batch)[:2], None

        return jax.lax.scan(advance, (state.params, state.opt_state), batches)[0]

    def validation(state: TrainState, hparams: Hyperparams, batches: Batch) -> Any:
        def add(total: jax.Array, inputs: jax.Array) -> tuple[jax.Array, None]:
            return total + jnp.sum(make_model(config).apply(state.params, inputs).logits), None

        return jax.lax.scan(add, jnp.zeros(()), batches.inputs)[0]

    name = f"msd_jax {config.model}"
    songs = program.train_steps * config.batch_size
    return Epoch(
        Contender(
            f"{name}, epochs of experiments.run",
            trials,
            settings.num_epochs * trials * songs,
            lambda: _train(settings, program, part),
            seconds,
            peak,
        ),
        _bare(f"{name}, bare training steps", part, layout, dataset.train, steps),
        _bare(f"{name}, bare validation", part, layout, dataset.valid, validation),
        settings.num_epochs,
        trials,
        songs,
    )


def compare(epoch: Epoch, seconds: list[float]) -> dict[str, Any]:
    """What benchmark.json says of an epoch, from the seconds of the contenders' calls, in order.

    over_steps is how much longer an epoch takes than its bare training steps, as a share of them;
    over_steps_and_validation than these and the forward passes of its validation.
    """
    epochs, steps, validation = seconds
    each = epochs / epoch.num_epochs
    return {
        "trials": epoch.trials,
        "songs": epoch.songs,
        "seconds": each,
        "bare_steps_seconds": steps,
        "bare_validation_seconds": validation,
        "over_steps": each / steps - 1,
        "over_steps_and_validation": each / (steps + validation) - 1,
    }
