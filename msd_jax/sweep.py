"""Many trials at once: the leading axis R, spread over every device.

On a CPU each device maps over its trials one at a time: a batched product of small matrices is a
loop of small products there, and one trial's working set stays in the cache. On an accelerator a
device takes `trials_per_call` of them at once.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.hyperparams import Hyperparams
from msd_jax.train import Metrics, TrainState, evaluate, init_state, run_epoch

TRIALS = PartitionSpec("trials")
EVERYWHERE = PartitionSpec()


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


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices in a row, over which trials are divided."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh((len(devices),), ("trials",), (AxisType.Auto,), devices=devices)


def padded(num_trials: int, mesh: Mesh) -> int:
    """The least multiple of the number of devices that holds the trials."""
    return -(-num_trials // mesh.size) * mesh.size


def map_trials(function: Callable, mesh: Mesh, trials_per_call: int = 1) -> Callable:
    """Maps function(trial, shared) over the leading axis R of `trial`.

    Args:
      function: of a pytree of one trial and a pytree that all trials share.
      mesh: from `make_mesh`; R is a multiple of its size.
      trials_per_call: trials that one device takes at once.

    Returns:
      A function of pytrees with leading axis R, and of the shared one.
    """

    def on_one_device(trials: Any, shared: Any) -> Any:
        batch_size = trials_per_call if trials_per_call > 1 else None
        return jax.lax.map(lambda trial: function(trial, shared), trials, batch_size=batch_size)

    return jax.shard_map(
        on_one_device, mesh=mesh, in_specs=(TRIALS, EVERYWHERE), out_specs=TRIALS, check_vma=False
    )


def _place(tree: Any, mesh: Mesh) -> Any:
    """Host arrays [R, ...], repeated up to a multiple of the devices and divided over them."""

    def pad(x: np.ndarray) -> np.ndarray:
        return x[np.resize(np.arange(len(x)), padded(len(x), mesh))]

    return jax.device_put(jax.tree.map(pad, tree), NamedSharding(mesh, TRIALS))


def share(songs: Songs, mesh: Mesh) -> Songs:
    """Songs, whole on every device."""
    return jax.device_put(songs, NamedSharding(mesh, EVERYWHERE))


def place_trials(trials: Sequence[Trial], mesh: Mesh) -> tuple[jax.Array, Hyperparams]:
    """What R trials are given and never change: keys [R] and hparams [R], padded for the mesh."""
    points = [trial.hparams for trial in trials]
    hparams = jax.tree.map(lambda *xs: np.asarray(xs, np.float32), *points)
    seeds = _place(np.asarray([trial.seed for trial in trials], np.int32), mesh)
    return jax.jit(jax.vmap(jax.random.key))(seeds), _place(hparams, mesh)


def place_states(states: TrainState, mesh: Mesh) -> TrainState:
    """Host states of R trials as the mesh takes them: what is added is stopped."""
    num_trials = len(states.stopped)
    placed = _place(states, mesh)
    return placed.replace(stopped=_stop_padding(np.asarray(states.stopped), num_trials, mesh))


def _stop_padding(stopped: np.ndarray, num_trials: int, mesh: Mesh) -> jax.Array:
    is_padding = np.arange(padded(num_trials, mesh)) >= num_trials
    return _place(np.resize(stopped, len(is_padding)) | is_padding, mesh)


def init_trials(config: Config, keys: jax.Array, num_trials: int, mesh: Mesh) -> TrainState:
    """States [R, ...] before the first epoch, from `place_trials`'s keys."""
    states = jax.jit(map_trials(lambda key, _: init_state(config, key), mesh))(keys, ())
    return states.replace(stopped=_stop_padding(np.zeros(num_trials, bool), num_trials, mesh))


def to_host(tree: Any, num_trials: int) -> Any:
    """The R trials' leaves as host arrays [R, ...], the padding left out."""
    return jax.tree.map(lambda x: np.array(x[:num_trials]), jax.device_get(tree))


def make_epoch(config: Config, mesh: Mesh, trials_per_call: int = 1) -> jax.stages.Wrapped:
    """The program of one epoch of all trials.

    Args:
      config: of every trial.
      mesh: from `make_mesh`.
      trials_per_call: trials that one device takes at once.

    Returns:
      A jitted function of states [R, ...], keys and hparams [R], train and valid songs, which gives
      the states, whose memory it takes over, and `run_epoch`'s metrics [R].
    """

    def one(trial: tuple[TrainState, jax.Array, Hyperparams], data: tuple[Songs, Songs]) -> Any:
        state, key, hparams = trial
        return run_epoch(config, key, hparams, state, *data)

    mapped = map_trials(one, mesh, trials_per_call)

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(
        states: TrainState, keys: jax.Array, hparams: Hyperparams, train: Songs, valid: Songs
    ) -> tuple[TrainState, Metrics]:
        return mapped((states, keys, hparams), (train, valid))

    return epoch


def make_test(config: Config, mesh: Mesh, trials_per_call: int = 1) -> Callable:
    """The program that evaluates best_params [R, ...] on songs."""
    return jax.jit(map_trials(functools.partial(evaluate, config), mesh, trials_per_call))
