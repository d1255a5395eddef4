"""LSTM layers on top of each other, each perhaps in both directions of time.

A layer reads what the one below it gives, segment by segment. In both directions a second LSTM
reads the song from its end (Schuster and Paliwal, 1997); its states are turned round again, so that
both speak of the same segment. Units may be dropped on their way up, never on their way through
time (Zaremba, Sutskever and Vinyals, 2014).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from msd_jax import lstm
from msd_jax.config import Layers
from msd_jax.lstm import LSTMParams


class LayerParams(NamedTuple):
    """One layer; `backward` is None in one direction alone."""

    forward: LSTMParams
    backward: LSTMParams | None = None


def dropout(inputs: jax.Array, rate: float, key: jax.Array | None, place: int) -> jax.Array:
    """Numbers become 0 with probability `rate`, the others are divided by 1 - rate.

    That keeps the mean, so that evaluation changes nothing (Srivastava et al., 2014).

    Args:
      inputs: [...].
      rate: from 0 to below 1.
      key: of a training step; None is evaluation.
      place: which dropout of the network this is: each draws its own.

    Returns:
      [...].
    """
    if key is None or rate == 0:
        return inputs
    is_kept = jax.random.bernoulli(jax.random.fold_in(key, place), 1 - rate, inputs.shape)
    return jnp.where(is_kept, inputs / (1 - rate), 0)


def init(
    key: jax.Array, num_features: int, num_hidden: int, options: Layers
) -> tuple[LayerParams, ...]:
    """`lstm.init` for every layer and direction.

    The first layer, forward, is drawn from `key` itself: a layer or a direction more leaves it as
    it is, so that networks of a seed start alike where they are alike.
    """
    width = options.num_directions * num_hidden

    def one(index: int) -> LayerParams:
        num_inputs = width if index else num_features
        forward_key = jax.random.fold_in(key, 2 * index) if index else key
        backward_key = jax.random.fold_in(key, 2 * index + 1)
        return LayerParams(
            forward=lstm.init(forward_key, num_inputs, num_hidden),
            backward=lstm.init(backward_key, num_inputs, num_hidden)
            if options.bidirectional
            else None,
        )

    return tuple(map(one, range(options.num_layers)))


def _directions(params: LayerParams, inputs: jax.Array) -> tuple[jax.Array, ...]:
    """The hidden states [T, B, H] of each direction, in the song's time."""
    forward = lstm.unroll(params.forward, inputs)
    if params.backward is None:
        return (forward,)
    return forward, lstm.unroll(params.backward, inputs[::-1])[::-1]


def unroll(
    params: Sequence[LayerParams],
    inputs: jax.Array,
    rate: float = 0.0,
    key: jax.Array | None = None,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """All layers over a song.

    Args:
      params: from the lowest layer up.
      inputs: [T, B, F], time first.
      rate: of `dropout` between one layer and the next, whose places are 1, 2, ...
      key: of a training step; None is evaluation.

    Returns:
      What the last layer gives, [T, B, H] or, in both directions, [T, B, 2H]; and the hidden states
      [T, B, H] of each layer and direction.
    """
    hidden_states: tuple[jax.Array, ...] = ()
    for index, layer in enumerate(params):
        if index:
            inputs = dropout(inputs, rate, key, place=index)
        directions = _directions(layer, inputs)
        inputs = jnp.concatenate(directions, axis=-1)
        hidden_states += directions
    return inputs, hidden_states
