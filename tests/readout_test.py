"""Readouts: small cases by hand, and what attention is where its scores are known."""

import jax
import jax.numpy as jnp
import numpy as np

from msd_jax import readout
from msd_jax.readout import AttentionParams

# Three segments of one song with two units.
STATES = jnp.array([[[1.0, -2.0]], [[4.0, -6.0]], [[-2.0, 2.0]]])


def random_states(num_segments: int = 6) -> jax.Array:
    return jax.random.normal(jax.random.key(0), (num_segments, 3, 4))


def test_mean_max_and_last_by_hand():
    np.testing.assert_allclose(readout.mean_state(STATES), [[1.0, -2.0]], rtol=1e-6)
    np.testing.assert_array_equal(readout.max_state(STATES), [[4.0, 2.0]])
    np.testing.assert_array_equal(readout.last_state(STATES), [[-2.0, 2.0]])


def test_last_state_of_each_direction_is_where_it_ends():
    # Unit 0 is the forward direction's, which ends in segment 3; unit 1 ends in segment 1.
    np.testing.assert_array_equal(readout.last_state(STATES, num_directions=2), [[-2.0, -2.0]])


def test_attention_by_hand():
    # Scores log 2 * (1, 4, -2): weights 2, 16 and 1/4 of 18.25.
    params = AttentionParams(jnp.array([np.log(2.0), 0.0]))
    expected = [[(2 * 1 + 16 * 4 - 2 / 4) / 18.25, (2 * -2 + 16 * -6 + 2 / 4) / 18.25]]
    np.testing.assert_allclose(readout.attention(params, STATES), expected, rtol=1e-5)


def test_attention_starts_as_the_mean_and_can_learn():
    states, params = random_states(), readout.init_attention(4)
    np.testing.assert_allclose(
        readout.attention(params, states), readout.mean_state(states), atol=1e-6
    )
    grads = jax.grad(lambda p: readout.attention(p, states)[:, 0].sum())(params)
    assert (grads.kernel != 0).all()


def test_attention_with_one_large_score_is_that_state():
    states = random_states().at[:, :, 0].set(0.0).at[4, :, 0].set(100.0)
    params = AttentionParams(jnp.array([1.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(readout.attention(params, states), states[4], rtol=1e-6)


def test_the_order_of_segments_matters_to_the_last_state_alone():
    states = random_states()
    shuffled = states[jnp.array([3, 0, 5, 1, 4, 2])]
    params = AttentionParams(jnp.arange(4.0))
    for function in (
        readout.mean_state,
        readout.max_state,
        lambda states: readout.attention(params, states),
    ):
        np.testing.assert_allclose(function(states), function(shuffled), atol=1e-6)
    assert (readout.last_state(states) != readout.last_state(shuffled)).all()


def test_one_segment_is_its_own_readout():
    states = random_states(num_segments=1)
    params = AttentionParams(jnp.arange(4.0))
    for read in (
        readout.last_state(states),
        readout.mean_state(states),
        readout.max_state(states),
        readout.attention(params, states),
    ):
        np.testing.assert_allclose(read, states[0], rtol=1e-6)
