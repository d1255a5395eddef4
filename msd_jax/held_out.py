"""What trained trials say of songs that they have not seen: log-probabilities, song by song."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from msd_jax.batches import num_batches, take
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.devices import Layout, map_trials, to_host
from msd_jax.models import make_model
from msd_jax.objective import prediction_rule, predictions
from msd_jax.state import TrainState


@functools.cache  # one program for all chunks, not one each
def make_predict(config: Config, layout: Layout) -> Callable[[Any, Songs, int], Any]:
    """The program that predicts a batch of songs.

    Returns:
      A jitted function of parameters [R, ...], N songs and the batch's number, which gives
      log-probabilities [R, B, K] by rule; beyond song N those of the last song.
    """

    def one(params: Any, shared: tuple[Songs, jax.Array]) -> dict[str, jax.Array]:
        songs, number = shared
        index = number * config.batch_size + jnp.arange(config.batch_size)
        batch = take(songs, jnp.minimum(index, songs.labels.shape[0] - 1), layout.batch)
        return predictions(config, params, make_model(config).apply(params, batch.inputs))

    mapped = map_trials(one, layout)
    return jax.jit(
        lambda params, songs, number: mapped(params, (songs, number)), out_shardings=layout.trials
    )


def best_params(config: Config, states: TrainState) -> dict[str, Any]:
    """The parameters [R, ...] of each trial's best validation epoch, by the rule that judges it."""
    others = {rule: best.params for rule, best in states.other_bests.items()}
    return {prediction_rule(config): states.best_params, **others}


def predict_batches(
    config: Config, layout: Layout, states: TrainState, songs: Songs, num_trials: int
) -> Iterator[dict[str, np.ndarray]]:
    """Host log-probabilities [R, B, K] by rule, batch by batch, the last one cut to what is there.

    Each rule's are those of its own best epoch, so an ensemble is run once a rule.
    """
    predict, num_songs = make_predict(config, layout), songs.labels.shape[0]
    for number in range(num_batches(config, num_songs)):
        size = min(config.batch_size, num_songs - number * config.batch_size)
        yield {
            rule: to_host(predict(params, songs, number)[rule], num_trials)[:, :size]
            for rule, params in best_params(config, states).items()
        }
