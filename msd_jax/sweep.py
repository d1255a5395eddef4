"""Many trials in one program: what goes in, the program of an epoch, and how many trials fit."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from msd_jax import batches
from msd_jax.batches import Draws
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.devices import Layout, make_layout, map_trials, place, place_trials
from msd_jax.errors import InputError
from msd_jax.evaluation import Metrics
from msd_jax.hyperparams import Hyperparams
from msd_jax.state import TrainState, init_state
from msd_jax.train import end_epoch, train_steps, validate_batches


class Trial(NamedTuple):
    """One training: a seed at a point of the grid."""

    seed: int
    learning_rate: float = 1e-3
    l2: float = 0.0
    beta: float = 100.0
    alpha: float = 1.0
    alpha_binary: float = 1.0

    @property
    def hparams(self) -> Hyperparams:
        """The traced side of the trial, scalars."""
        return Hyperparams(**{name: x for name, x in self._asdict().items() if name != "seed"})


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


def state_shapes(config: Config, num_trials: int) -> TrainState:
    """Shapes and types of the states of R trials, the padding left out."""
    state = jax.eval_shape(functools.partial(init_state, config), jax.random.key(0))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((num_trials, *x.shape), x.dtype), state)


def init_trials(config: Config, keys: jax.Array, num_trials: int, layout: Layout) -> TrainState:
    """States [R, ...] before the first epoch, from `place_inputs`'s keys."""
    states = _make_init(config, layout)(keys, ())
    return states.replace(stopped=_stop_padding(np.zeros(num_trials, bool), layout))


class Programs(NamedTuple):
    """An epoch of R trials as calls, each of which may do a part of it.

    draw: keys [R] and epochs [R] -> Draws [R].
    train: states, draws, hparams [R], training songs, first, last -> states, `train_steps`.
    validate: states, validation songs, first, last -> states.
    end: states -> states, metrics [R], `end_epoch`.

    All but draw take over the memory of the states that they are given.
    """

    draw: Any
    train: Any
    validate: Any
    end: Any


def make_programs(config: Config, layout: Layout, num_train: int, num_valid: int) -> Programs:
    """The jitted programs of every epoch.

    Args:
      config: of every trial.
      layout: of the trials.
      num_train: training songs.
      num_valid: validation songs.
    """
    jit = functools.partial(jax.jit, out_shardings=layout.trials)

    @jit
    def draw(keys: jax.Array, epochs: jax.Array) -> Draws:
        def one(trial: tuple[jax.Array, jax.Array], _: tuple) -> Draws:
            return batches.draw(*trial, num_train)

        return map_trials(one, layout)((keys, epochs), ())

    @functools.partial(jit, donate_argnums=0)
    def train(
        states: TrainState,
        draws: Draws,
        hparams: Hyperparams,
        songs: Songs,
        first: jax.Array,
        last: jax.Array,
    ) -> TrainState:
        def one(trial: tuple[TrainState, Draws, Hyperparams], shared: Any) -> TrainState:
            (state, draws, hparams), (songs, first, last) = trial, shared
            return train_steps(config, draws, hparams, state, songs, first, last, layout.batch)

        return map_trials(one, layout)((states, draws, hparams), (songs, first, last))

    @functools.partial(jit, donate_argnums=0)
    def validate(states: TrainState, songs: Songs, first: jax.Array, last: jax.Array) -> TrainState:
        def one(state: TrainState, shared: Any) -> TrainState:
            songs, first, last = shared
            return validate_batches(config, state, songs, first, last, layout.batch)

        return map_trials(one, layout)(states, (songs, first, last))

    @functools.partial(jit, donate_argnums=0)
    def end(states: TrainState) -> tuple[TrainState, Metrics]:
        def one(state: TrainState, _: tuple) -> tuple[TrainState, Metrics]:
            return end_epoch(config, state, num_train, num_valid)

        return map_trials(one, layout)(states, ())

    return Programs(draw, train, validate, end)


def _trial_shapes(tree: Any, layout: Layout) -> Any:
    """Shapes of R trials from those of one."""

    def shape(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((layout.size, *x.shape), x.dtype, sharding=layout.trials)

    return jax.tree.map(shape, tree)


def _arguments(config: Config, layout: Layout, train: Songs, valid: Songs) -> Programs:
    """What each program is given, as shapes, in the place of the program."""
    one_key = jax.eval_shape(lambda: jax.random.key(0))
    one_state = jax.eval_shape(functools.partial(init_state, config), one_key)
    one_hparams = jax.tree.map(lambda _: jax.ShapeDtypeStruct((), np.float32), Hyperparams())
    num_train = train.labels.shape[0]
    one_draws = jax.eval_shape(lambda: batches.draw(jax.random.key(0), jnp.int32(0), num_train))
    one = (one_key, one_state, one_hparams, one_draws)
    keys, states, hparams, draws = _trial_shapes(one, layout)
    bounds = [jax.ShapeDtypeStruct((), np.int32)] * 2
    return Programs(
        draw=(keys, states.epoch),
        train=(states, draws, hparams, train, *bounds),
        validate=(states, valid, *bounds),
        end=(states,),
    )


def _shapes(songs: Any) -> Any:
    """Songs of shapes in the place of arrays."""
    leaves: Any = (jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding) for x in songs)
    return Songs(*leaves)


def compile_programs(config: Config, layout: Layout, train: Songs, valid: Songs) -> Programs:
    """`make_programs`, compiled for songs of these shapes before any trial is made."""
    return _compile_programs(config, layout, _shapes(train), _shapes(valid))


@functools.lru_cache(maxsize=16)  # runs of a study share their programs
def _compile_programs(config: Config, layout: Layout, train: Songs, valid: Songs) -> Programs:
    num_train, num_valid = train.labels.shape[0], valid.labels.shape[0]
    programs = make_programs(config, layout, num_train, num_valid)
    arguments = _arguments(config, layout, train, valid)
    return Programs(*(p.lower(*a).compile() for p, a in zip(programs, arguments, strict=True)))


def device_bytes(program: jax.stages.Compiled) -> int:
    """Memory that a program takes on each device, from the compiler's own account.

    Raises:
      InputError: if the backend keeps no account.
    """
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

    def train_bytes(trials_per_device: int) -> int:
        layout = make_layout(trials_per_device * num_devices, config.batch_size)
        program = make_programs(config, layout, len(train.labels), len(valid.labels)).train
        return device_bytes(
            program.lower(*_arguments(config, layout, train, valid).train).compile()
        )

    few, more = train_bytes(2), train_bytes(4)
    state = jax.eval_shape(functools.partial(init_state, config), jax.random.key(0))
    copies = 3 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    per_trial = (more - few) // 2 + copies
    fixed = few - (more - few)
    return max(1, (budget - fixed) // per_trial) * num_devices
