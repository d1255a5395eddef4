"""Songs in batches: how many an epoch has, their order, and what lies in one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from msd_jax.config import Config
from msd_jax.dataset import Songs

Index = int | jax.Array


class Draws(NamedTuple):
    """What is drawn for an epoch: order [N] of the songs; key [], of which each step has a part."""

    order: jax.Array
    key: jax.Array


class Batch(NamedTuple):
    """inputs [B, T, F], in the type to compute in; labels [B]."""

    inputs: jax.Array
    labels: jax.Array


def batch_shape(config: Config) -> Any:
    """A Batch of shapes in the place of arrays, for `jax.eval_shape`."""
    shape = (config.batch_size, config.num_segments, config.num_features)
    inputs, labels = map(jax.ShapeDtypeStruct, (shape, shape[:1]), (jnp.float32, jnp.int32))
    return Batch(inputs, labels)  # type: ignore[arg-type]


def num_steps(config: Config, num_songs: int) -> int:
    """Training steps of an epoch: full batches; the other N mod B songs sit it out."""
    return num_songs // config.batch_size


def num_batches(config: Config, num_songs: int) -> int:
    """Batches that hold all N songs, the last one perhaps in part."""
    return -(-num_songs // config.batch_size)


def draw(key: jax.Array, epoch: jax.Array, num_songs: int) -> Draws:
    """An epoch's draws: a function of trial key and epoch alone."""
    order_key, steps_key = (
        jax.random.fold_in(jax.random.fold_in(key, purpose), epoch) for purpose in (1, 2)
    )
    return Draws(jax.random.permutation(order_key, num_songs), steps_key)


def take(songs: Songs, index: jax.Array, sharding: NamedSharding | None = None) -> Batch:
    """The songs at `index` [B], their inputs in float32.

    With a sharding the batch is divided over devices, and so is all that is computed from it.
    """
    if sharding is not None:
        index = jax.lax.with_sharding_constraint(index, sharding)
    inputs, labels = jnp.asarray(songs.inputs), jnp.asarray(songs.labels)
    return Batch(inputs[index].astype(jnp.float32), labels[index])
