"""How well a model does on songs: sums batch by batch, so that a call may stop anywhere, and means.

The data is an argument of every function, never a closure.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from msd_jax import losses, pooling
from msd_jax.batches import Batch, Index, batch_shape, num_batches, take
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.models import EnsembleParams, make_model
from msd_jax.objective import prediction_rule, predictions

Metrics = dict[str, jax.Array]


def song_metrics(config: Config, params: Any, outputs: Any, labels: jax.Array) -> Metrics:
    """loss_RULE and accuracy_RULE of each song for every rule of the model, [B] each; of an
    ensemble also report_error_RULE, and accuracy_member_1 and so on of each member alone.
    """
    metrics = {}
    for rule, log_probs in predictions(config, params, outputs).items():
        metrics[f"loss_{rule}"] = losses.cross_entropy(log_probs, labels)
        metrics[f"accuracy_{rule}"] = (jnp.argmax(log_probs, axis=-1) == labels).astype(jnp.float32)
    if isinstance(params, EnsembleParams):
        log_probs = jax.nn.log_softmax(outputs.logits)
        for rule in ("mean", "product"):
            metrics[f"report_error_{rule}"] = pooling.report_error(log_probs, labels, rule)
        for number, of_member in enumerate(log_probs, start=1):
            right = jnp.argmax(of_member, axis=-1) == labels
            metrics[f"accuracy_member_{number}"] = right.astype(jnp.float32)
    return metrics


def _batch_sums(
    config: Config, params: Any, songs: Songs, number: Index, sharding: NamedSharding | None = None
) -> Metrics:
    """Sums of `song_metrics` over the songs of a batch, in the order that they lie in."""
    num_songs = songs.labels.shape[0]
    index = number * config.batch_size + jnp.arange(config.batch_size)
    batch = take(songs, jnp.minimum(index, num_songs - 1), sharding)
    outputs = make_model(config).apply(params, batch.inputs)
    metrics = song_metrics(config, params, outputs, batch.labels)
    return jax.tree.map(lambda x: jnp.sum(jnp.where(index < num_songs, x, 0)), metrics)


def add_batches(
    config: Config,
    params: Any,
    songs: Songs,
    sums: Metrics,
    first: Index,
    last: Index,
    sharding: NamedSharding | None = None,
) -> Metrics:
    """`sums` with what the batches from `first` to before `last`, at most `num_batches`, add.

    Each song counts exactly once, in a last batch that is not full too.
    """

    def add(number: jax.Array, sums: Metrics) -> Metrics:
        return jax.tree.map(jnp.add, sums, _batch_sums(config, params, songs, number, sharding))

    return jax.lax.fori_loop(first, last, add, sums)


@functools.cache
def _shapes(config: Config) -> Metrics:
    """What `add_batches` sums, as shapes."""

    def measure(key: jax.Array, batch: Batch) -> Metrics:
        params = make_model(config).init(key)
        return _batch_sums(config, params, Songs(*batch), 0)  # type: ignore[arg-type]

    return jax.eval_shape(measure, jax.random.key(0), batch_shape(config))


def no_batches(config: Config) -> Metrics:
    """The sums that `add_batches` begins with."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), _shapes(config))


def means(config: Config, sums: Metrics, num_songs: int) -> Metrics:
    """From sums over N songs: loss (the negative log-likelihood of the prediction, in nats) and
    accuracy, [] each; for an ensemble also all of `song_metrics`.
    """
    by_rule = jax.tree.map(lambda x: x / num_songs, sums)
    rule = prediction_rule(config)
    own = {"loss": by_rule[f"loss_{rule}"], "accuracy": by_rule[f"accuracy_{rule}"]}
    return {**own, **by_rule} if config.model == "ensemble" else own


def evaluate(
    config: Config, params: Any, songs: Songs, sharding: NamedSharding | None = None
) -> Metrics:
    """`means` over all N songs, of which there need not be a multiple of the batch size."""
    num_songs = songs.labels.shape[0]
    last = num_batches(config, num_songs)
    sums = add_batches(config, params, songs, no_batches(config), 0, last, sharding)
    return means(config, sums, num_songs)
