"""The LSTM layer against flax, a loop in numpy, numbers, and its own plain form."""

import math
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import lstm
from msd_jax.config import Config
from msd_jax.lstm import LSTMParams, LSTMState
from msd_jax.models import make_model

T, B, F, H = 7, 3, 4, 5


def layer(dtype=jnp.float32, num_segments=T) -> tuple[LSTMParams, jax.Array, LSTMState]:
    """A layer with a bias, songs, and a first state that is not zero."""
    keys = jax.random.split(jax.random.key(0), 5)
    kernel = jax.random.normal(keys[0], (F + H, 4 * H), dtype)
    bias = jax.random.normal(keys[1], (4 * H,), dtype)
    inputs = jax.random.normal(keys[2], (num_segments, B, F), dtype)
    cell, hidden = (jax.random.normal(key, (B, H), dtype) for key in keys[3:])
    return LSTMParams(kernel, bias), inputs, LSTMState(cell=cell, hidden=hidden)


def numpy_hidden_states(params: LSTMParams, inputs: np.ndarray, state: LSTMState) -> np.ndarray:
    """The equations of the cell, unit by unit and song by song, in float64."""

    def sigmoid(x: float) -> float:
        return 1 / (1 + np.exp(-x))

    kernel, bias = (np.asarray(x, np.float64) for x in params)
    result = np.zeros((len(inputs), B, H))
    for b in range(B):
        cell, hidden = (np.asarray(x[b], np.float64) for x in state)
        for t in range(len(inputs)):
            joint = [*np.asarray(inputs[t, b], np.float64), *hidden]
            z = [sum(joint[r] * kernel[r, k] for r in range(F + H)) + bias[k] for k in range(4 * H)]
            cell = np.array(
                [
                    sigmoid(z[2 * H + u] + 1) * cell[u] + sigmoid(z[u]) * np.tanh(z[H + u])
                    for u in range(H)
                ]
            )
            hidden = np.array([sigmoid(z[3 * H + u]) * np.tanh(cell[u]) for u in range(H)])
            result[t, b] = hidden
    return result


@pytest.mark.parametrize("unroll", [lstm.unroll, lstm.unroll_plain])
def test_equals_a_loop_in_numpy(unroll):
    params, inputs, state = layer()
    expected = numpy_hidden_states(params, np.asarray(inputs), state)
    np.testing.assert_allclose(unroll(params, inputs, state), expected, atol=1e-5)


def test_equals_flax():
    params, inputs, state = layer()
    i, j, f, o = (slice(gate * H, (gate + 1) * H) for gate in range(4))
    kernel, bias = params
    ours = {"i": (i, 0.0), "g": (j, 0.0), "f": (f, lstm.FORGET_BIAS), "o": (o, 0.0)}
    theirs = {f"i{name}": {"kernel": kernel[:F, gate]} for name, (gate, _) in ours.items()} | {
        f"h{name}": {"kernel": kernel[F:, gate], "bias": bias[gate] + forget}
        for name, (gate, forget) in ours.items()
    }
    cell, carry = nn.OptimizedLSTMCell(H), (state.cell, state.hidden)
    for t in range(T):
        with jax.numpy_rank_promotion("allow"):
            carry, hidden = cell.apply({"params": theirs}, carry, inputs[t])
        np.testing.assert_allclose(lstm.unroll(params, inputs, state)[t], hidden, atol=1e-5)


def test_hidden_states_ignore_later_segments():
    params, inputs, state = layer()
    changed = inputs.at[4:].add(1.0)
    before, after = (lstm.unroll(params, x, state) for x in (inputs, changed))
    np.testing.assert_array_equal(before[:4], after[:4])
    assert (before[4:] != after[4:]).all()


def test_songs_of_a_batch_do_not_touch_each_other():
    params, inputs, state = layer()
    changed = inputs.at[:, 0].add(1.0)
    before, after = (lstm.unroll(params, x, state) for x in (inputs, changed))
    np.testing.assert_array_equal(before[:, 1:], after[:, 1:])


def test_the_state_starts_at_zero():
    params, inputs, _ = layer()
    zeros = LSTMState(cell=jnp.zeros((B, H)), hidden=jnp.zeros((B, H)))
    np.testing.assert_array_equal(lstm.unroll(params, inputs), lstm.unroll(params, inputs, zeros))


@pytest.mark.parametrize("num_segments", [1, 2, T])
def test_fast_layer_equals_plain_layer_in_float64(num_segments):
    """Values, and gradients with respect to all that goes in, from cotangents for every h_t."""
    with jax.enable_x64(True):
        arguments = layer(jnp.float64, num_segments)
        cotangents = jax.random.normal(jax.random.key(9), (num_segments, B, H), jnp.float64)
        fast, fast_vjp = jax.vjp(lstm.unroll, *arguments)
        plain, plain_vjp = jax.vjp(lstm.unroll_plain, *arguments)
        np.testing.assert_allclose(fast, plain, rtol=0, atol=1e-10)
        for x, y in zip(
            *map(jax.tree.leaves, (fast_vjp(cotangents), plain_vjp(cotangents))), strict=True
        ):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-10)


def test_fast_layer_equals_plain_layer_under_vmap():
    with jax.enable_x64(True):
        params, inputs, state = layer(jnp.float64)
        many = jax.tree.map(lambda x: jnp.stack([x, 2 * x, -x]), params)

        def gradient(unroll):
            loss = lambda params: jnp.sum(jnp.sin(unroll(params, inputs, state)))  # noqa: E731
            return jax.vmap(jax.grad(loss))(many)

        fast, plain = gradient(lstm.unroll), gradient(lstm.unroll_plain)
        for x, y in zip(fast, plain, strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("num_snippets", [1, 2])
def test_no_segment_copies_the_slopes_of_all(num_snippets):
    """Which would make a training step three times as long: in the loops there are small copies."""
    shape = {"num_segments": 6, "num_features": F, "num_genres": 3, "num_hidden": H}
    config = Config(**shape, model="ensemble", num_snippets=num_snippets)
    model = make_model(config)

    def loss(params):
        return jnp.sum(model.apply(params, jnp.ones((B, 6, F))).logits)

    params = jax.eval_shape(model.init, jax.random.key(0))
    program = jax.jit(jax.grad(loss)).lower(params).compile().as_text()
    names = set(re.findall(r"body=(%[\w.\-]+)", program))
    bodies = [program.split(f"\n{name} (")[1].split("\n}")[0] for name in names]
    shapes = re.findall(r" = f32\[([\d,]+)\]\S* copy\(", "".join(bodies))
    sizes = [math.prod(map(int, shape.split(","))) for shape in shapes]
    assert num_snippets * B * H in sizes  # a state: so copies are written as we look for them
    assert max(sizes) < 6 * B * 4 * H


def test_fast_layer_gradient_is_the_numerical_one():
    with jax.enable_x64(True):
        params, inputs, state = layer(jnp.float64, 3)
        jax.test_util.check_grads(
            lstm.unroll, (params, inputs, state), order=1, modes=["rev"], atol=1e-6, rtol=1e-6
        )


def test_initial_kernel_is_glorot_uniform_and_bias_zero():
    params = lstm.init(jax.random.key(1), 25, 100)
    limit = (6 / (125 + 400)) ** 0.5  # Glorot and Bengio (2010): sqrt(6 / (fan in + fan out))
    assert params.kernel.shape == (125, 400)
    assert 0.99 * limit < np.abs(params.kernel).max() <= limit
    # A uniform variable on [-a, a] has variance a^2 / 3; 50,000 of them are within 2% of it.
    np.testing.assert_allclose(np.var(params.kernel), limit**2 / 3, rtol=0.02)
    np.testing.assert_array_equal(params.bias, 0)
