"""An epoch of one trial, in pieces. `sweep.py` makes many trials of it.

An epoch is some training steps, some batches of validation and an end; the steps and the batches
may be cut into calls anywhere, for the state holds all that lies between two of them. The data is
an argument of every function, never a closure.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from msd_jax.batches import Draws, Index, draw, num_batches, num_steps, take
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.evaluation import Metrics, add_batches, means, no_batches
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import PoolWeights
from msd_jax.optimiser import scheduled
from msd_jax.pooling import accuracy_weights
from msd_jax.state import Best, TrainState, no_steps
from msd_jax.step import train_step


def _all_finite(tree: Any) -> jax.Array:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves))


def _select(condition: jax.Array, if_true: Any, if_false: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), if_true, if_false)


def _better(best: Best, params: Any, accuracy: jax.Array, epoch: jax.Array) -> Best:
    return _select(accuracy > best.accuracy, Best(params, accuracy, epoch), best)


def _weigh_members(config: Config, params: Any, valid_metrics: Metrics) -> Any:
    """The parameters that the next epoch trains and is judged with."""
    if config.model != "ensemble" or config.pool_weights != "accuracy":
        return params
    numbers = range(1, config.num_snippets + 1)
    accuracies = jnp.stack([valid_metrics[f"accuracy_member_{number}"] for number in numbers])
    weights = accuracy_weights(accuracies)
    return params._replace(pool_weights=PoolWeights(weights, weights))


def train_steps(
    config: Config,
    draws: Draws,
    hparams: Hyperparams,
    state: TrainState,
    train: Songs,
    first: Index,
    last: Index,
    sharding: NamedSharding | None = None,
) -> TrainState:
    """The steps of an epoch from `first` to before `last`; a stopped trial stays as it is.

    A step whose loss or new parameters are not finite is not taken: the trial stops before it,
    marked as diverged, and `step` tells how many steps of the epoch were good.

    Args:
      config: of the model.
      draws: the epoch's.
      hparams: the trial's, [] each.
      state: after step `first`.
      train: N songs.
      first: counted from 0 in the epoch.
      last: at most `num_steps`.
      sharding: of a batch, as in `take`.
    """

    def advance(step: jax.Array, state: TrainState) -> TrainState:
        index = jax.lax.dynamic_slice(
            draws.order, (step * config.batch_size,), (config.batch_size,)
        )
        batch, key = take(train, index, sharding), jax.random.fold_in(draws.key, step)
        now = scheduled(config, hparams, state.epoch, step, num_steps(config, len(draws.order)))
        params, opt_state, metrics = train_step(
            config, state.params, state.opt_state, now, batch, key
        )
        is_good = ~state.stopped & _all_finite((params, metrics["loss"]))
        after = state.replace(
            params=params,
            opt_state=opt_state,
            step=state.step + 1,
            train_sums=jax.tree.map(jnp.add, state.train_sums, metrics),
        )
        diverged = jnp.where(state.stopped, state.diverged, state.epoch + 1)
        return _select(is_good, after, state.replace(stopped=jnp.bool_(True), diverged=diverged))

    def go_on(state: TrainState) -> TrainState:
        return jax.lax.fori_loop(first, last, advance, state)

    return jax.lax.cond(state.stopped, lambda state: state, go_on, state)


def validate_batches(
    config: Config,
    state: TrainState,
    valid: Songs,
    first: Index,
    last: Index,
    sharding: NamedSharding | None = None,
) -> TrainState:
    """The batches of validation from `first` to before `last`; a stopped trial stays as it is."""

    def go_on(state: TrainState) -> TrainState:
        sums = add_batches(config, state.params, valid, state.valid_sums, first, last, sharding)
        return state.replace(valid_sums=sums)

    return jax.lax.cond(state.stopped, lambda state: state, go_on, state)


def end_epoch(
    config: Config, state: TrainState, num_train: int, num_valid: int
) -> tuple[TrainState, Metrics]:
    """The end of an epoch whose every step and batch was done; a stopped trial stays as it is.

    A trial whose validation is not finite stops there, marked as diverged. Members that are weighed
    by their accuracy get the weights of the next epoch; the best parameters keep those that their
    accuracy was measured with.

    Args:
      config: of the model.
      state: after the last batch of validation.
      num_train: songs.
      num_valid: songs.

    Returns:
      The state, and train_* (means over steps) and valid_* metrics, [] each; NaN for a trial that
      was stopped.
    """
    steps = num_steps(config, num_train)
    train_metrics = jax.tree.map(lambda x: x / steps, state.train_sums)
    valid_metrics = means(config, state.valid_sums, num_valid)
    metrics = {f"train_{name}": x for name, x in train_metrics.items()}
    metrics |= {f"valid_{name}": x for name, x in valid_metrics.items()}
    epoch, accuracy = state.epoch + 1, valid_metrics["accuracy"]
    better = accuracy > state.best_accuracy
    best_epoch = jnp.where(better, epoch, state.best_epoch)
    out_of_patience = (config.patience > 0) & (epoch - best_epoch >= config.patience)
    ended = state.replace(
        epoch=epoch,
        step=jnp.int32(0),
        params=_weigh_members(config, state.params, valid_metrics),
        train_sums=no_steps(config),
        valid_sums=no_batches(config),
        best_params=_select(better, state.params, state.best_params),
        best_accuracy=jnp.where(better, accuracy, state.best_accuracy),
        best_epoch=best_epoch,
        other_bests={
            rule: _better(best, state.params, valid_metrics[f"accuracy_{rule}"], epoch)
            for rule, best in state.other_bests.items()
        },
        stopped=jnp.bool_(out_of_patience),
    )
    diverged = state.replace(stopped=jnp.bool_(True), diverged=epoch)
    finite = _all_finite((metrics["train_loss"], metrics["valid_loss"]))
    nothing = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), metrics)
    return _select(state.stopped, (state, nothing), (_select(finite, ended, diverged), metrics))


def run_epoch(
    config: Config,
    key: jax.Array,
    hparams: Hyperparams,
    state: TrainState,
    train: Songs,
    valid: Songs,
) -> tuple[TrainState, Metrics]:
    """A whole epoch in one piece; `sweep.py` makes the same of calls of a few steps.

    Args:
      config: of the model.
      key: the trial's, the same in every epoch.
      hparams: the trial's, [] each.
      state: before the epoch.
      train: songs.
      valid: songs.

    Returns:
      See `end_epoch`.
    """
    num_train, num_valid = len(train.labels), len(valid.labels)
    draws = draw(key, state.epoch, num_train)
    steps, batches = num_steps(config, num_train), num_batches(config, num_valid)
    state = train_steps(config, draws, hparams, state, train, 0, steps)
    state = validate_batches(config, state, valid, 0, batches)
    return end_epoch(config, state, num_train, num_valid)
