"""LSTM layers on top of each other, each perhaps in both directions of time.

A layer reads what the one below it gives, segment by segment. In both directions a second LSTM
reads the song from its end (Schuster and Paliwal, 1997); its states are turned round again, so that
both speak of the same segment. What a layer gives may be normalised (Ba, Kiros and Hinton, 2016)
and has units dropped on its way up, never on its way through time (Zaremba, Sutskever and Vinyals,
2014).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from msd_jax import lstm
from msd_jax.config import Layers
from msd_jax.lstm import LSTMParams

_EPSILON = 1e-5  # added to the variance


class NormParams(NamedTuple):
    """scale [D] and offset [D] of a layer normalisation."""

    scale: jax.Array
    offset: jax.Array


class LayerParams(NamedTuple):
    """One layer; `backward` is None in one direction alone, `norm` where nothing is normalised."""

    forward: LSTMParams
    backward: LSTMParams | None = None
    norm: NormParams | None = None


def init_norm(width: int) -> NormParams:
    """Scale 1 and offset 0."""
    return NormParams(jnp.ones(width), jnp.zeros(width))


def normalise(params: NormParams, inputs: jax.Array) -> jax.Array:
    """Layer normalisation, Ba, Kiros and Hinton (2016), equation 3: over a segment's D units.

    Args:
      params: of the D units.
      inputs: [T, B, D].

    Returns:
      [T, B, D].
    """
    variance = jnp.var(inputs, axis=-1, keepdims=True)  # standardize's own loses digits
    standard = jax.nn.standardize(inputs, axis=-1, variance=variance, epsilon=_EPSILON)
    return standard * params.scale[None, None] + params.offset[None, None]


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
            norm=init_norm(width) if options.layer_norm else None,
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
      What the last layer gives, [T, B, H] or, in both directions, [T, B, 2H], normalised if it has
      a norm; and the hidden states themselves, [T, B, H] for each layer and direction.
    """
    hidden_states: tuple[jax.Array, ...] = ()
    for index, layer in enumerate(params):
        if index:
            inputs = dropout(inputs, rate, key, place=index)
        directions = _directions(layer, inputs)
        inputs = jnp.concatenate(directions, axis=-1)
        inputs = inputs if layer.norm is None else normalise(layer.norm, inputs)
        hidden_states += directions
    return inputs, hidden_states
