"""What a network takes from its last layer for the song as a whole: hidden states to one vector.

Every readout maps [T, B, D] to [B, D], where D is H, or 2H if the layer runs in both directions
(forward first). The report reads the last state.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class AttentionParams(NamedTuple):
    """kernel [D], what a state's score is its product with."""

    kernel: jax.Array


def init_attention(width: int) -> AttentionParams:
    """Zeros [D]: all scores are equal, so that attention starts as the mean."""
    return AttentionParams(jnp.zeros(width))


def last_state(hidden_states: jax.Array, num_directions: int = 1) -> jax.Array:
    """Each direction's last state in its own time: h_T forward, h_1 backward.

    Args:
      hidden_states: [T, B, D], both directions in the song's time.
      num_directions: 1, or 2 whose halves of D are forward and backward.

    Returns:
      [B, D].
    """
    chex.assert_rank(hidden_states, 3)
    forward, *backward = jnp.split(hidden_states, num_directions, axis=-1)
    return jnp.concatenate([forward[-1], *(states[0] for states in backward)], axis=-1)


def mean_state(hidden_states: jax.Array) -> jax.Array:
    """1/T sum_t h_t. [T, B, D] -> [B, D]."""
    chex.assert_rank(hidden_states, 3)
    return jnp.mean(hidden_states, axis=0)


def max_state(hidden_states: jax.Array) -> jax.Array:
    """max_t h_t, unit by unit. [T, B, D] -> [B, D]."""
    chex.assert_rank(hidden_states, 3)
    return jnp.max(hidden_states, axis=0)


def attention(params: AttentionParams, hidden_states: jax.Array) -> jax.Array:
    """The mean of the states, weighted by how much each has to say.

        a_t = exp(kernel . h_t) / sum_s exp(kernel . h_s)
        sum_t a_t h_t

    Feed-forward attention, Raffel and Ellis (2015), equation 1, with a linear score: a bias would
    cancel out.

    Args:
      params: of the score.
      hidden_states: [T, B, D].

    Returns:
      [B, D].
    """
    chex.assert_rank([params.kernel, hidden_states], [1, 3])
    weights = jax.nn.softmax(hidden_states @ params.kernel, axis=0)
    return jnp.einsum("tb,tbd->bd", weights, hidden_states)
