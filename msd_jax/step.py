"""One training step."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from msd_jax.augmentation import Changed, change
from msd_jax.batches import Batch, batch_shape
from msd_jax.config import Config
from msd_jax.evaluation import Metrics
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import make_model
from msd_jax.objective import Objective, objective, prediction_rule
from msd_jax.optimiser import init_optimiser, make_optimiser


class Lesson(NamedTuple):
    """What a step teaches: songs as the network reads them, their labels, and the key that the
    network draws from.
    """

    songs: Changed
    labels: jax.Array
    key: jax.Array | None


def prepare(config: Config, batch: Batch, key: jax.Array | None) -> Lesson:
    """The lesson that a step makes of a batch; the network draws the same however songs change."""
    network_key, songs_key = (None, None) if key is None else jax.random.split(key)
    return Lesson(change(config, songs_key, batch.inputs), batch.labels, network_key)


def differentiate(
    config: Config, params: Any, hparams: Hyperparams, lesson: Lesson
) -> tuple[Any, Objective]:
    """The gradient of the training error with respect to the parameters, and the Objective."""
    model, (songs, labels, key) = make_model(config), lesson
    return jax.grad(
        lambda params: objective(
            model,
            params,
            hparams,
            songs.inputs,
            labels,
            key,
            songs.targets,
        ),
        has_aux=True,
    )(params)


def train_step(
    config: Config,
    params: Any,
    opt_state: Any,
    hparams: Hyperparams,
    batch: Batch,
    key: jax.Array | None = None,
) -> tuple[Any, Any, Metrics]:
    """One Adam step on a batch of B songs.

    Args:
      config: of the model.
      params: of the model.
      opt_state: of `make_optimiser`.
      hparams: the step's, [] each.
      batch: B songs.
      key: what the step draws from, where the model or the recipe has something to draw.

    Returns:
      params, opt_state, and the metrics of the batch before the step, each []: loss, accuracy, and
      the terms of E.
    """
    grads, report = differentiate(config, params, hparams, prepare(config, batch, key))
    updates, opt_state = make_optimiser(config, hparams).update(grads, opt_state, params)
    predicted = jnp.argmax(report.predictions[prediction_rule(config)], axis=-1)
    accuracy = jnp.mean(predicted == batch.labels, dtype=report.loss.dtype)
    metrics = {"loss": report.loss, "accuracy": accuracy, **report.terms}
    return optax.apply_updates(params, updates), opt_state, metrics


@functools.cache
def step_shapes(config: Config) -> Metrics:
    """What `train_step` measures, as shapes []."""

    def measure(key: jax.Array, batch: Batch) -> Metrics:
        params = make_model(config).init(key)
        opt_state = init_optimiser(config, params)
        return train_step(config, params, opt_state, Hyperparams(), batch, key)[2]

    return jax.eval_shape(measure, jax.random.key(0), batch_shape(config))
