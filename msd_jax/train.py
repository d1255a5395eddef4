"""One trial: its state, a training step, an epoch. `sweep.py` makes many of it.

The data is an argument of every function, never a closure.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import NamedSharding

from msd_jax import losses, pooling
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import EnsembleParams, make_model
from msd_jax.objective import objective, prediction_rule, predictions

Metrics = dict[str, jax.Array]


class Batch(NamedTuple):
    """inputs [B, T, F], in the type to compute in; labels [B]."""

    inputs: jax.Array
    labels: jax.Array


class TrainState(struct.PyTreeNode):
    """All that a trial needs to go on: arrays only, so that it maps, shards and saves.

    epoch counts the epochs done; best_params are those after best_epoch (1 is the first), the
    earliest with the best validation accuracy; stopped trials stay as they are; diverged is the
    epoch that gave a number that is not finite, 0 if none did.
    """

    epoch: jax.Array
    params: Any
    opt_state: Any
    best_params: Any
    best_accuracy: jax.Array
    best_epoch: jax.Array
    stopped: jax.Array
    diverged: jax.Array


def init_state(config: Config, key: jax.Array) -> TrainState:
    """A trial before its first epoch. The same key gives the same start to every model."""
    params = make_model(config).init(jax.random.fold_in(key, 0))
    return TrainState(
        epoch=jnp.int32(0),
        params=params,
        opt_state=optax.adam(1e-3).init(params),
        best_params=jax.tree.map(jnp.copy, params),
        best_accuracy=jnp.float32(-1.0),
        best_epoch=jnp.int32(0),
        stopped=jnp.bool_(False),
        diverged=jnp.int32(0),
    )


def shuffle(key: jax.Array, epoch: jax.Array, num_songs: int) -> jax.Array:
    """The order of the songs in an epoch, [N]: a function of trial key and epoch alone."""
    shuffle_key = jax.random.fold_in(jax.random.fold_in(key, 1), epoch)
    return jax.random.permutation(shuffle_key, num_songs)


def take(songs: Songs, index: jax.Array, sharding: NamedSharding | None = None) -> Batch:
    """The songs at `index` [B], their inputs in float32.

    With a sharding the batch is divided over devices, and so is all that is computed from it.
    """
    if sharding is not None:
        index = jax.lax.with_sharding_constraint(index, sharding)
    inputs, labels = jnp.asarray(songs.inputs), jnp.asarray(songs.labels)
    return Batch(inputs[index].astype(jnp.float32), labels[index])


def train_step(
    config: Config, params: Any, opt_state: Any, hparams: Hyperparams, batch: Batch
) -> tuple[Any, Any, Metrics]:
    """One Adam step on a batch of B songs.

    Returns:
      params, opt_state, and the metrics of the batch before the step, each []: loss, accuracy, and
      the terms of E.
    """
    model = make_model(config)
    grads, report = jax.grad(
        lambda params: objective(model, params, hparams, batch.inputs, batch.labels), has_aux=True
    )(params)
    updates, opt_state = optax.adam(hparams.learning_rate).update(grads, opt_state, params)
    predicted = jnp.argmax(report.predictions[prediction_rule(config)], axis=-1)
    accuracy = jnp.mean(predicted == batch.labels, dtype=report.loss.dtype)
    metrics = {"loss": report.loss, "accuracy": accuracy, **report.terms}
    return optax.apply_updates(params, updates), opt_state, metrics


def train_epoch(
    config: Config,
    key: jax.Array,
    hparams: Hyperparams,
    state: TrainState,
    train: Songs,
    sharding: NamedSharding | None = None,
) -> tuple[TrainState, Metrics]:
    """One pass over the training songs in a new order, in full batches.

    The N mod B songs that do not fill a batch sit this epoch out; the next order has others there.

    Returns:
      The state, and the mean over steps of each of `train_step`'s metrics.
    """
    num_songs = train.labels.shape[0]
    num_steps = num_songs // config.batch_size
    order = shuffle(key, state.epoch, num_songs)
    batches = order[: num_steps * config.batch_size].reshape(num_steps, config.batch_size)

    def advance(carry: tuple[Any, Any], index: jax.Array) -> tuple[tuple[Any, Any], Metrics]:
        params, opt_state = carry
        batch = take(train, index, sharding)
        params, opt_state, metrics = train_step(config, params, opt_state, hparams, batch)
        return (params, opt_state), metrics

    carry, metrics = jax.lax.scan(advance, (state.params, state.opt_state), batches)
    state = state.replace(params=carry[0], opt_state=carry[1], epoch=state.epoch + 1)
    return state, jax.tree.map(jnp.mean, metrics)


def _song_metrics(params: Any, outputs: Any, labels: jax.Array) -> Metrics:
    """loss_RULE and accuracy_RULE of each song for every rule of the model, [B] each."""
    metrics = {}
    for rule, log_probs in predictions(params, outputs).items():
        metrics[f"loss_{rule}"] = losses.cross_entropy(log_probs, labels)
        metrics[f"accuracy_{rule}"] = (jnp.argmax(log_probs, axis=-1) == labels).astype(jnp.float32)
    if isinstance(params, EnsembleParams):
        log_probs = jax.nn.log_softmax(outputs.logits)
        for rule in ("mean", "product"):
            metrics[f"report_error_{rule}"] = pooling.report_error(log_probs, labels, rule)
    return metrics


def evaluate(
    config: Config, params: Any, songs: Songs, sharding: NamedSharding | None = None
) -> Metrics:
    """Means over all N songs, each counted exactly once.

    Args:
      config: of the model.
      params: of the model.
      songs: N of them; N need not be a multiple of the batch size.
      sharding: of a batch, as in `take`.

    Returns:
      loss (the negative log-likelihood of the prediction, in nats) and accuracy, [] each; for an
      ensemble also loss_RULE and accuracy_RULE of every pooling rule, and report_error_RULE.
    """
    model = make_model(config)
    num_songs = songs.labels.shape[0]
    num_batches = -(-num_songs // config.batch_size)
    index = jnp.arange(num_batches * config.batch_size).reshape(num_batches, config.batch_size)

    def batch_sums(index: jax.Array) -> Metrics:
        batch = take(songs, jnp.minimum(index, num_songs - 1), sharding)
        metrics = _song_metrics(params, model.apply(params, batch.inputs), batch.labels)
        return jax.tree.map(lambda x: jnp.sum(jnp.where(index < num_songs, x, 0)), metrics)

    sums = jax.lax.map(batch_sums, index)
    means = jax.tree.map(lambda x: jnp.sum(x) / num_songs, sums)
    rule = prediction_rule(config)
    own = {"loss": means[f"loss_{rule}"], "accuracy": means[f"accuracy_{rule}"]}
    return {**own, **means} if isinstance(params, EnsembleParams) else own


def _all_finite(tree: Any) -> jax.Array:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves))


def _select(condition: jax.Array, if_true: Any, if_false: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), if_true, if_false)


def run_epoch(
    config: Config,
    key: jax.Array,
    hparams: Hyperparams,
    state: TrainState,
    train: Songs,
    valid: Songs,
    sharding: NamedSharding | None = None,
) -> tuple[TrainState, Metrics]:
    """An epoch of training and its validation; a stopped trial stays as it is.

    A trial whose loss or parameters stop being finite goes back to its state before the epoch and
    stops there, marked as diverged.

    Args:
      config: of the model.
      key: the trial's, the same in every epoch.
      hparams: the trial's, [] each.
      state: before the epoch.
      train: songs.
      valid: songs.
      sharding: of a batch, as in `take`.

    Returns:
      The state, and train_* and valid_* metrics, [] each; NaN for a trial that was stopped before.
    """

    def advance(state: TrainState) -> tuple[TrainState, Metrics]:
        trained, train_metrics = train_epoch(config, key, hparams, state, train, sharding)
        valid_metrics = evaluate(config, trained.params, valid, sharding)
        metrics = {f"train_{name}": x for name, x in train_metrics.items()}
        metrics |= {f"valid_{name}": x for name, x in valid_metrics.items()}
        finite = _all_finite((trained.params, metrics["train_loss"], metrics["valid_loss"]))
        better = finite & (valid_metrics["accuracy"] > state.best_accuracy)
        best_epoch = jnp.where(better, trained.epoch, state.best_epoch)
        out_of_patience = (config.patience > 0) & (trained.epoch - best_epoch >= config.patience)
        frozen = state.replace(stopped=jnp.bool_(True), diverged=trained.epoch)
        kept = trained.replace(
            best_params=_select(better, trained.params, state.best_params),
            best_accuracy=jnp.where(better, valid_metrics["accuracy"], state.best_accuracy),
            best_epoch=best_epoch,
            stopped=jnp.bool_(out_of_patience),
        )
        return _select(finite, kept, frozen), metrics

    shapes = jax.eval_shape(advance, state)[1]

    def stay(state: TrainState) -> tuple[TrainState, Metrics]:
        return state, jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes)

    return jax.lax.cond(state.stopped, stay, advance, state)
