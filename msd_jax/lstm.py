"""One LSTM layer as pure functions: a step, and two ways to unroll it over a song.

The cell is the "basic" LSTM of Hochreiter and Schmidhuber (1997) with the forget gate of Gers,
Schmidhuber and Cummins (2000). Gates i, j, f, o stand in this order along the last axis of the
kernel; one product serves all four:

    i, j, f, o = [x_t, h_{t-1}] kernel + bias
    c_t = sigmoid(f + 1) c_{t-1} + sigmoid(i) tanh(j)
    h_t = sigmoid(o) tanh(c_t)

The forget bias of 1 is a constant, as in the report's code, so that a penalty or an initial value
never touches it (Jozefowicz, Zaremba and Sutskever, 2015, on why it is 1).

`unroll` is the layer that trains: its backward pass is written out. All that it needs of a segment
beside f is how c_t and h_t change with the gates and with each other, so the forward pass saves
these slopes, and the backward pass multiplies and writes the gates' gradients over them. The
kernel's gradient is then one large product. `unroll_plain` leaves all this to JAX's own
differentiation; it is what `unroll` is tested against.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

FORGET_BIAS = 1.0


class LSTMParams(NamedTuple):
    """kernel [F + H, 4H], rows input first, then hidden; bias [4H]."""

    kernel: jax.Array
    bias: jax.Array


class LSTMState(NamedTuple):
    """cell [B, H] (c_t) and hidden [B, H] (h_t)."""

    cell: jax.Array
    hidden: jax.Array


class _Slopes(NamedTuple):
    """Of a segment, for the way back.

    gates [B, 4H]: of c_t with i, j, f and of h_t with o, as they are before their nonlinearities;
    cell [B, H]: of h_t with c_t; previous [B, H]: of c_t with c_{t-1}, which is the gate f.
    """

    gates: jax.Array
    cell: jax.Array
    previous: jax.Array


def init(key: jax.Array, num_features: int, num_hidden: int) -> LSTMParams:
    """Glorot-uniform kernel [F + H, 4H] and zero bias [4H]."""
    shape = (num_features + num_hidden, 4 * num_hidden)
    return LSTMParams(jax.nn.initializers.glorot_uniform()(key, shape), jnp.zeros(shape[1]))


def zero_state(params: LSTMParams, num_songs: int) -> LSTMState:
    """The state before the first segment: zeros [B, H]."""
    zeros = jnp.zeros((num_songs, params.bias.shape[-1] // 4), params.bias.dtype)
    return LSTMState(cell=zeros, hidden=zeros)


def _step(params: LSTMParams, state: LSTMState, inputs: jax.Array) -> tuple[LSTMState, _Slopes]:
    joint = jnp.concatenate([inputs, state.hidden], axis=-1)
    i, j, f, o = jnp.split(joint @ params.kernel + params.bias[None], 4, axis=-1)
    i, f, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f + FORGET_BIAS), jax.nn.sigmoid(o)
    j = jnp.tanh(j)
    cell = f * state.cell + i * j
    tanh_cell = jnp.tanh(cell)
    gates = [
        j * i * (1 - i),
        i * (1 - j * j),
        state.cell * f * (1 - f),
        tanh_cell * o * (1 - o),
    ]
    slopes = _Slopes(jnp.concatenate(gates, axis=-1), o * (1 - tanh_cell * tanh_cell), f)
    return LSTMState(cell=cell, hidden=o * tanh_cell), slopes


def step(params: LSTMParams, state: LSTMState, inputs: jax.Array) -> LSTMState:
    """One segment: inputs [B, F] take the state to the next."""
    return _step(params, state, inputs)[0]


def unroll_plain(params: LSTMParams, inputs: jax.Array, state: LSTMState) -> jax.Array:
    """Hidden states of every segment, differentiated by JAX: the oracle of `unroll`.

    Args:
      params: of the layer.
      inputs: [T, B, F], time first.
      state: before the first segment.

    Returns:
      [T, B, H].
    """

    def advance(state: LSTMState, segment: jax.Array) -> tuple[LSTMState, jax.Array]:
        state = step(params, state, segment)
        return state, state.hidden

    return jax.lax.scan(advance, state, inputs)[1]


@jax.custom_vjp
def _unroll(params: LSTMParams, inputs: jax.Array, state: LSTMState) -> jax.Array:
    return unroll_plain(params, inputs, state)


def _unroll_forward(params: LSTMParams, inputs: jax.Array, state: LSTMState) -> tuple:
    # The gates' slopes are carried, as on the way back: results of a mapped scan lie otherwise.
    def advance(carry: tuple, segment: tuple) -> tuple[tuple, tuple]:
        (state, stack), (t, segment_inputs) = carry, segment
        state, slopes = _step(params, state, segment_inputs)
        stack = jax.lax.dynamic_update_index_in_dim(stack, slopes.gates, t, axis=0)
        return (state, stack), (state.hidden, slopes.cell, slopes.previous)

    stack = jnp.zeros((*inputs.shape[:2], params.bias.shape[-1]), params.bias.dtype)
    segments = (jnp.arange(len(inputs)), inputs)
    (_, stack), (hidden_states, *slopes) = jax.lax.scan(advance, (state, stack), segments)
    return hidden_states, (params, inputs, state, hidden_states, _Slopes(stack, *slopes))


def _unroll_backward(saved: tuple, hidden_cotangents: jax.Array) -> tuple:
    params, inputs, first, hidden_states, slopes = saved
    num_features = inputs.shape[-1]
    hidden_kernel = params.kernel[num_features:]

    # The gates' gradients take the place of their slopes, which XLA does without a copy as long as
    # nothing but they is computed from these.
    def retreat(carry: tuple, segment: tuple) -> tuple[tuple, None]:
        cotangent, stack = carry
        t, from_above, cell_slope, previous_slope = segment
        slope = jax.lax.dynamic_index_in_dim(stack, t, keepdims=False)
        d_hidden = cotangent.hidden + from_above
        d_cell = cotangent.cell + d_hidden * cell_slope
        d_gates = jnp.concatenate([d_cell, d_cell, d_cell, d_hidden], axis=-1) * slope
        stack = jax.lax.dynamic_update_index_in_dim(stack, d_gates, t, axis=0)
        return (LSTMState(d_cell * previous_slope, d_gates @ hidden_kernel.T), stack), None

    zeros = jax.tree.map(jnp.zeros_like, first)
    segments = (jnp.arange(len(inputs)), hidden_cotangents, slopes.cell, slopes.previous)
    carry = (zeros, slopes.gates)
    (d_first, d_gates), _ = jax.lax.scan(retreat, carry, segments, reverse=True)
    previous_hidden = jnp.concatenate([first.hidden[None], hidden_states[:-1]])
    joint = jnp.concatenate([inputs, previous_hidden], axis=-1)
    d_kernel = jnp.tensordot(joint, d_gates, axes=((0, 1), (0, 1)))
    d_inputs = d_gates @ params.kernel[:num_features].T
    return LSTMParams(d_kernel, jnp.sum(d_gates, axis=(0, 1))), d_inputs, d_first


_unroll.defvjp(_unroll_forward, _unroll_backward)


def unroll(params: LSTMParams, inputs: jax.Array, state: LSTMState | None = None) -> jax.Array:
    """Hidden states of every segment.

    Args:
      params: of the layer.
      inputs: [T, B, F], time first.
      state: before the first segment; zeros if not given.

    Returns:
      [T, B, H]. Every h_t may carry a gradient, not only the last.
    """
    chex.assert_rank(inputs, 3)
    return _unroll(params, inputs, zero_state(params, inputs.shape[1]) if state is None else state)
