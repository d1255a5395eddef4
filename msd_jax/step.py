"""One training step."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from msd_jax.batches import Batch, batch_shape
from msd_jax.config import Config
from msd_jax.evaluation import Metrics
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import make_model
from msd_jax.objective import objective, prediction_rule
from msd_jax.optimiser import init_optimiser, make_optimiser


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
      hparams: the trial's, [] each.
      batch: B songs.
      key: what the step draws from, where the model or the recipe has something to draw.

    Returns:
      params, opt_state, and the metrics of the batch before the step, each []: loss, accuracy, and
      the terms of E.
    """
    model = make_model(config)
    grads, report = jax.grad(
        lambda params: objective(
            model, params, hparams, batch.inputs, batch.labels, key, config.binary_weights
        ),
        has_aux=True,
    )(params)
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
