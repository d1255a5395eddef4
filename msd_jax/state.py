"""What a trial is between two steps: all that it needs to go on."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from msd_jax.config import Config
from msd_jax.evaluation import Metrics, no_batches
from msd_jax.models import make_model
from msd_jax.objective import other_rules
from msd_jax.optimiser import init_optimiser
from msd_jax.step import step_shapes


class Best(struct.PyTreeNode):
    """The parameters after the earliest epoch with the best validation accuracy, from 1."""

    params: Any
    accuracy: jax.Array
    epoch: jax.Array


class TrainState(struct.PyTreeNode):
    """All that a trial needs to go on, between two steps too: arrays only, so that it maps, shards
    and saves.

    epoch counts the epochs done, step the training steps done in the epoch under way, train_sums
    and valid_sums are its metrics so far, summed over steps and over songs; best_params are those
    after best_epoch (1 is the first), the earliest with the best validation accuracy; other_bests
    holds the same for the rules of an ensemble that are not its own, so that one training serves
    every rule; stopped trials stay as they are; diverged is the epoch that gave a number that is
    not finite, 0 if none did.
    """

    epoch: jax.Array
    step: jax.Array
    params: Any
    opt_state: Any
    train_sums: Metrics
    valid_sums: Metrics
    best_params: Any
    best_accuracy: jax.Array
    best_epoch: jax.Array
    other_bests: dict[str, Best]
    stopped: jax.Array
    diverged: jax.Array


def no_steps(config: Config) -> Metrics:
    """The train_sums of an epoch that has not begun."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), step_shapes(config))


def _no_best(params: Any) -> Best:
    return Best(jax.tree.map(jnp.copy, params), jnp.float32(-1.0), jnp.int32(0))


def init_state(config: Config, key: jax.Array) -> TrainState:
    """A trial before its first epoch. The same key gives the same start to every model."""
    params = make_model(config).init(jax.random.fold_in(key, 0))
    return TrainState(
        epoch=jnp.int32(0),
        step=jnp.int32(0),
        params=params,
        opt_state=init_optimiser(config, params),
        train_sums=no_steps(config),
        valid_sums=no_batches(config),
        best_params=jax.tree.map(jnp.copy, params),
        best_accuracy=jnp.float32(-1.0),
        best_epoch=jnp.int32(0),
        other_bests={rule: _no_best(params) for rule in other_rules(config)},
        stopped=jnp.bool_(False),
        diverged=jnp.int32(0),
    )
