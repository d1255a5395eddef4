"""How gradients become steps: clipping, Adam, and the learning rate over a run."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from msd_jax.config import Config
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import EnsembleParams

_WARMUP = 10  # a tenth of all steps


def clip(config: Config, grads: Any) -> Any:
    """The gradient of each network scaled down to the norm `clip_norm` where it is longer.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (ICML
    2013), algorithm 1: the norm is that of all parameters together. Each member of an ensemble
    and each of its classifiers minimises an error of its own, so each is clipped by its own norm.
    The weights of a pooling rule, whose gradient cannot explode, are left alone.
    """
    limit = config.recipe.clip_norm

    def factor(grads: Any) -> jax.Array:
        return limit / jnp.maximum(optax.tree.norm(grads), limit)

    def scale(grads: Any, factor: jax.Array) -> Any:
        return jax.tree.map(lambda x: x * factor, grads)

    if not isinstance(grads, EnsembleParams):
        return scale(grads, factor(grads))
    for _ in range(1 if config.decomposition == "none" else 2):
        factor, scale = jax.vmap(factor), jax.vmap(scale)
    # The barriers keep a member's bits: what is fused with a norm depends on the devices.
    members = jax.lax.optimization_barrier(grads.members)
    factors = jax.lax.optimization_barrier(factor(members))
    return grads._replace(members=scale(members, factors))


def make_optimiser(config: Config, hparams: Hyperparams) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015) at the trial's learning rate, after clipping where there is any.

    Args:
      config: of the model.
      hparams: the step's, [] each.
    """
    adam = optax.adam(hparams.learning_rate)
    if not config.recipe.clip_norm:
        return adam
    return optax.chain(optax.stateless(lambda grads, _: clip(config, grads)), adam)


def init_optimiser(config: Config, params: Any) -> optax.OptState:
    """Its state before the first step, which no hyperparameter changes."""
    return make_optimiser(config, Hyperparams()).init(params)


@functools.cache
def _schedule(config: Config, num_steps: int) -> optax.Schedule:
    """The share of the learning rate at each of a run's steps, counted from 0."""
    if config.recipe.schedule == "cosine":
        return optax.cosine_decay_schedule(1.0, num_steps)
    warmup = num_steps // _WARMUP
    first = 1 / (warmup + 1)  # so that it rises by as much in each step, the first one too
    return optax.warmup_cosine_decay_schedule(first, 1.0, warmup, num_steps)


def scheduled(
    config: Config, hparams: Hyperparams, epoch: jax.Array, step: jax.Array, epoch_steps: int
) -> Hyperparams:
    """The hyperparameters at a training step, whose learning rate the schedule has scaled.

    cosine falls from 1 to 0 over all steps of `recipe.num_epochs`, as half a wave; warmup_cosine
    rises in even steps to 1 over the first tenth of them before it falls. (Loshchilov and Hutter,
    "SGDR", ICLR 2017, without restarts.) It is a function of the place in the run alone, so that
    nothing of it is kept in a state.

    Args:
      config: of the model.
      hparams: the trial's, [] each.
      epoch: epochs done before.
      step: steps done before in this epoch.
      epoch_steps: of a whole epoch.
    """
    recipe = config.recipe
    if recipe.schedule == "constant":
        return hparams
    share = _schedule(config, recipe.num_epochs * epoch_steps)(epoch * epoch_steps + step)
    return hparams.replace(learning_rate=hparams.learning_rate * jnp.asarray(share, jnp.float32))
