"""What trained models say of songs: pure functions of parameters [R, ...] and inputs [N, T, F].

The R trials are seeds of one grid point. They vote: the mean of their probabilities, which is m0
of `pooling.py` over trials in place of snippets. An ensemble's own rule comes before the vote.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from msd_jax.config import Config
from msd_jax.models import make_model
from msd_jax.objective import prediction_rule, predictions
from msd_jax.pooling import mean_pool


class Predictions(NamedTuple):
    """Log-probabilities of the trials' vote: log_probs [B, K]; of what each snippet alone says,
    snippet_log_probs [M, B, K] (None where the model has no snippets).
    """

    log_probs: Any
    snippet_log_probs: Any


def _of_one_trial(config: Config, params: Any, inputs: jax.Array) -> Predictions:
    outputs = make_model(config).apply(params, inputs)
    log_probs = predictions(config, params, outputs)[prediction_rule(config)]
    is_ensemble = config.model == "ensemble"
    return Predictions(log_probs, jax.nn.log_softmax(outputs.logits) if is_ensemble else None)


def vote(config: Config, params: Any, inputs: jax.Array) -> Predictions:
    """The trials' vote on a batch.

    Args:
      config: of every trial.
      params: with a leading axis R.
      inputs: [B, T, F], standardised.

    Returns:
      The Predictions, from float32 products on every device.
    """
    inputs = inputs.astype(jnp.float32)
    with jax.default_matmul_precision("highest"):
        said = jax.lax.map(lambda trial: _of_one_trial(config, trial, inputs), params)
    if said.snippet_log_probs is None:
        return Predictions(mean_pool(said.log_probs), None)
    return Predictions(mean_pool(said.log_probs), jax.vmap(mean_pool, 1)(said.snippet_log_probs))


_vote = jax.jit(vote, static_argnums=0)


def predict(
    config: Config,
    params: Any,
    inputs: np.ndarray,
    advance: Callable[[int], None] = lambda count: None,
) -> Predictions:
    """The trials' vote on any number of songs, in batches of the size of the training's.

    Args:
      config: of every trial.
      params: with a leading axis R.
      inputs: [N, T, F] on the host, standardised.
      advance: told after each batch how many more songs are done.

    Returns:
      The Predictions of the N songs, on the host; the last batch is filled up and cut again.
    """
    num_songs, params = len(inputs), jax.device_put(params)
    num_snippets = config.num_snippets if config.model == "ensemble" else 0
    log_probs = np.zeros((num_songs, config.num_genres), np.float32)
    snippet_log_probs = np.zeros((num_snippets, *log_probs.shape), np.float32)
    size = max(1, min(config.batch_size, num_songs))
    for start in range(0, num_songs, size):
        index = np.minimum(np.arange(start, start + size), num_songs - 1)
        said = jax.device_get(_vote(config, params, inputs[index]))
        stop = min(start + size, num_songs)
        log_probs[start:stop] = said.log_probs[: stop - start]
        if num_snippets:
            snippet_log_probs[:, start:stop] = said.snippet_log_probs[:, : stop - start]
        advance(stop - start)
    return Predictions(log_probs, snippet_log_probs if num_snippets else None)
