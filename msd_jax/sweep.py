"""Many trials in one program: what goes in, the program of an epoch, and how many trials fit."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.devices import Layout, make_layout, map_trials, place, place_trials
from msd_jax.errors import InputError
from msd_jax.hyperparams import Hyperparams
from msd_jax.train import Metrics, TrainState, evaluate, init_state, run_epoch


class Trial(NamedTuple):
    """One training: a seed at a point of the grid."""

    seed: int
    learning_rate: float = 1e-3
    l2: float = 0.0
    beta: float = 100.0
    alpha: float = 1.0

    @property
    def hparams(self) -> Hyperparams:
        """The traced side of the trial, scalars."""
        return Hyperparams(self.learning_rate, self.l2, self.beta, self.alpha)


def grid(seeds: Sequence[int], **points: Sequence[float]) -> list[Trial]:
    """The full grid of points times the seeds, the seeds of a point side by side.

    Args:
      seeds: of every point.
      **points: values by name of a Hyperparams field, in any number.
    """
    return [
        Trial(seed, **dict(zip(points, values, strict=True)))
        for values in itertools.product(*points.values())
        for seed in seeds
    ]


def share(songs: Songs, layout: Layout) -> Songs:
    """Songs, whole on every device."""
    return place(songs, layout.everywhere)


def place_inputs(trials: Sequence[Trial], layout: Layout) -> tuple[jax.Array, Hyperparams]:
    """What R trials are given and never change: keys [R] and hparams [R], padded."""
    points = [trial.hparams for trial in trials]
    hparams = jax.tree.map(lambda *xs: np.asarray(xs, np.float32), *points)
    seeds = place_trials(np.asarray([trial.seed for trial in trials], np.int32), layout)
    return jax.jit(jax.vmap(jax.random.key))(seeds), place_trials(hparams, layout)


def _stop_padding(stopped: np.ndarray, layout: Layout) -> jax.Array:
    is_padding = np.arange(layout.size) >= len(stopped)
    return place(np.resize(stopped, layout.size) | is_padding, layout.trials)


def place_states(states: TrainState, layout: Layout) -> TrainState:
    """Host states of R trials as the layout has them: what is added is stopped."""
    placed = place_trials(states, layout)
    return placed.replace(stopped=_stop_padding(np.asarray(states.stopped), layout))


@functools.cache  # one program for all chunks, not one each
def _make_init(config: Config, layout: Layout) -> Callable[[jax.Array, tuple], TrainState]:
    init = map_trials(lambda key, _: init_state(config, key), layout)
    return jax.jit(init, out_shardings=layout.trials)


def init_trials(config: Config, keys: jax.Array, num_trials: int, layout: Layout) -> TrainState:
    """States [R, ...] before the first epoch, from `place_inputs`'s keys."""
    states = _make_init(config, layout)(keys, ())
    return states.replace(stopped=_stop_padding(np.zeros(num_trials, bool), layout))


def make_epoch(config: Config, layout: Layout) -> jax.stages.Wrapped:
    """The program of one epoch of all trials.

    Args:
      config: of every trial.
      layout: of the trials.

    Returns:
      A jitted function of states [R, ...], keys and hparams [R], train and valid songs, which gives
      the states, whose memory it takes over, and `run_epoch`'s metrics [R].
    """

    def one(trial: tuple[TrainState, jax.Array, Hyperparams], data: tuple[Songs, Songs]) -> Any:
        state, key, hparams = trial
        return run_epoch(config, key, hparams, state, *data, layout.batch)

    mapped = map_trials(one, layout)

    @functools.partial(jax.jit, donate_argnums=0, out_shardings=layout.trials)
    def epoch(
        states: TrainState, keys: jax.Array, hparams: Hyperparams, train: Songs, valid: Songs
    ) -> tuple[TrainState, Metrics]:
        return mapped((states, keys, hparams), (train, valid))

    return epoch


def compile_epoch(
    config: Config, layout: Layout, train: Songs, valid: Songs
) -> jax.stages.Compiled:
    """`make_epoch`, compiled for these songs before any trial is made."""

    def trials(shape: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        size = (layout.size, *shape.shape)
        return jax.ShapeDtypeStruct(size, shape.dtype, sharding=layout.trials)

    key = jax.eval_shape(lambda: jax.random.key(0))
    states = jax.eval_shape(functools.partial(init_state, config), key)
    hparams = jax.tree.map(lambda _: jax.ShapeDtypeStruct((), np.float32), Hyperparams())
    arguments = jax.tree.map(trials, (states, key, hparams))
    return make_epoch(config, layout).lower(*arguments, train, valid).compile()


def device_bytes(program: jax.stages.Compiled) -> int:
    """Memory that a program takes on each device, from the compiler's own account."""
    memory = program.memory_analysis()
    if memory is None:
        raise InputError("this backend does not tell a program's memory: give --trials_per_chunk")
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return held - memory.alias_size_in_bytes + memory.temp_size_in_bytes


def trials_that_fit(config: Config, train: Songs, valid: Songs, budget: int) -> int:
    """How many trials one program can train within `budget` bytes on each device.

    Two small programs are compiled; what the larger one takes more is a trial's share. To it come
    the copies of a trial's state on the host, of which there are up to three while it is saved.

    Returns:
      A multiple of the number of devices, at least one trial on each, whatever the budget.
    """
    num_devices = jax.device_count()
    few, more = (
        device_bytes(compile_epoch(config, layout, train, valid))
        for layout in (make_layout(n * num_devices, config.batch_size) for n in (2, 4))
    )
    state = jax.eval_shape(functools.partial(init_state, config), jax.random.key(0))
    copies = 3 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    per_trial = (more - few) // 2 + copies
    fixed = few - (more - few)
    return max(1, (budget - fixed) // per_trial) * num_devices


@functools.cache  # one program for all chunks, not one each
def make_test(config: Config, layout: Layout) -> Callable[[Any, Songs], Metrics]:
    """The program that evaluates best_params [R, ...] on songs."""

    def one(params: Any, songs: Songs) -> Metrics:
        return evaluate(config, params, songs, layout.batch)

    return jax.jit(map_trials(one, layout), out_shardings=layout.trials)
