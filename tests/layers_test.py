"""Layers on layers: against one layer at a time, and by what must hold of them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import layers, lstm
from msd_jax.config import Layers
from msd_jax.layers import LayerParams

T, B, F, H = 6, 3, 4, 5
KEY = jax.random.key(0)


def songs(dtype=jnp.float32) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (T, B, F), dtype)


def random_params(dtype=jnp.float32, **fields) -> tuple[LayerParams, ...]:
    """`layers.init` with biases, scales and offsets that are not those of the start."""
    params = layers.init(KEY, F, H, Layers(**fields))
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    return structure.unflatten(
        leaf + jax.random.normal(key, leaf.shape, dtype) / 3
        for key, leaf in zip(keys, leaves, strict=True)
    )


def plain(params: lstm.LSTMParams, inputs: jax.Array) -> jax.Array:
    return lstm.unroll_plain(params, inputs, lstm.zero_state(params, inputs.shape[1]))


def stacked(params, inputs):
    """Two bidirectional layers written out with the plain layer: what the last one gives."""
    first, second = params
    ahead, back = plain(first.forward, inputs), plain(first.backward, inputs[::-1])[::-1]
    between = jnp.concatenate([ahead, back], axis=-1)
    return jnp.concatenate(
        [plain(second.forward, between), plain(second.backward, between[::-1])[::-1]], axis=-1
    )


def test_one_layer_is_the_lstm_to_the_bit():
    params = layers.init(KEY, F, H, Layers())
    chex.assert_trees_all_equal(params, (LayerParams(lstm.init(KEY, F, H)),))
    outputs, hidden_states = layers.unroll(params, songs())
    expected = lstm.unroll(params[0].forward, songs())
    np.testing.assert_array_equal(outputs, expected)
    chex.assert_trees_all_equal(hidden_states, (expected,))


def test_two_layers_are_one_after_the_other():
    params = random_params(num_layers=2)
    outputs, hidden_states = layers.unroll(params, songs())
    lower = plain(params[0].forward, songs())
    chex.assert_trees_all_close(hidden_states, (lower, plain(params[1].forward, lower)), atol=1e-6)
    np.testing.assert_array_equal(outputs, hidden_states[1])


def test_more_layers_and_directions_leave_the_first_as_it_starts():
    alone = layers.init(KEY, F, H, Layers())[0].forward
    deep = layers.init(KEY, F, H, Layers(num_layers=3, bidirectional=True))
    chex.assert_trees_all_equal(deep[0].forward, alone)
    kernels = [p.kernel for layer in deep for p in (layer.forward, layer.backward)]
    assert [k.shape for k in kernels] == [(F + H, 4 * H)] * 2 + [(2 * H + H, 4 * H)] * 4
    starts = {tuple(np.asarray(k[0]).tolist()) for k in kernels}
    assert len(starts) == len(kernels)


def test_the_backward_direction_is_a_forward_one_of_the_reversed_song():
    params = random_params(bidirectional=True)
    swapped = (params[0]._replace(forward=params[0].backward, backward=params[0].forward),)
    (forward, backward) = layers.unroll(params, songs())[1]
    (mirrored_backward, mirrored_forward) = layers.unroll(swapped, songs()[::-1])[1]
    np.testing.assert_array_equal(forward, mirrored_forward[::-1])
    np.testing.assert_array_equal(backward, mirrored_backward[::-1])


def test_a_palindrome_reads_the_same_both_ways():
    """With the same parameters in both directions; the states are mirrored."""
    (layer,) = random_params(bidirectional=True)
    palindrome = jnp.concatenate([songs(), songs()[::-1]])
    forward, backward = layers.unroll((layer._replace(backward=layer.forward),), palindrome)[1]
    np.testing.assert_array_equal(forward, backward[::-1])
    assert not jnp.allclose(forward, backward, atol=1e-3)


def test_a_direction_knows_what_it_has_read_and_nothing_else():
    params = random_params(bidirectional=True)
    changed = songs().at[3].add(1.0)
    (ahead, back), (other_ahead, other_back) = (
        layers.unroll(params, x)[1] for x in (songs(), changed)
    )
    assert ((ahead != other_ahead).any((1, 2)) == (jnp.arange(T) >= 3)).all()
    assert ((back != other_back).any((1, 2)) == (jnp.arange(T) <= 3)).all()


def test_two_bidirectional_layers_equal_the_plain_ones_in_float64():
    """Values, and gradients of everything from a cotangent for every segment."""
    with jax.enable_x64(True):
        params = random_params(jnp.float64, num_layers=2, bidirectional=True)
        cotangent = jax.random.normal(jax.random.key(3), (T, B, 2 * H), jnp.float64)

        @jax.jit
        def both(params, inputs):
            ours, ours_vjp = jax.vjp(lambda p, x: layers.unroll(p, x)[0], params, inputs)
            expected, expected_vjp = jax.vjp(stacked, params, inputs)
            return (ours, ours_vjp(cotangent)), (expected, expected_vjp(cotangent))

        ours, expected = both(params, songs(jnp.float64))
        chex.assert_trees_all_close(ours, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rate", [0.2, 0.75])
def test_dropout_keeps_the_expectation_and_drops_its_share(rate):
    """100,000 draws: the share has a standard error of at most 0.0016, the mean one of 0.0055."""
    dropped = layers.dropout(jnp.ones(100_000), rate, KEY, place=1)
    assert set(np.unique(dropped).tolist()) == {0.0, float(np.float32(1 / np.float32(1 - rate)))}
    np.testing.assert_allclose((dropped == 0).mean(), rate, atol=0.006)
    np.testing.assert_allclose(dropped.mean(), 1.0, atol=0.02)


def test_dropout_is_off_without_a_key_or_a_rate():
    x = songs()
    assert layers.dropout(x, 0.5, None, place=1) is x
    assert layers.dropout(x, 0.0, KEY, place=1) is x


def test_every_place_key_and_number_is_dropped_by_its_own_draw():
    draws = [
        layers.dropout(jnp.ones((T, B, H)), 0.5, jax.random.key(seed), place) == 0
        for seed in (0, 1)
        for place in (1, 2)
    ]
    assert len({tuple(np.ravel(draw).tolist()) for draw in draws}) == 4
    for axis in range(3):  # segments, songs and units each have their own
        assert (jnp.diff(draws[0].astype(int), axis=axis) != 0).any()


def test_dropout_falls_between_layers_and_not_in_time_or_before_the_first():
    params = random_params(num_layers=2)
    _, kept = layers.unroll(params, songs(), rate=0.5)
    _, dropped = layers.unroll(params, songs(), rate=0.5, key=KEY)
    np.testing.assert_array_equal(dropped[0], kept[0])
    between = layers.dropout(kept[0], 0.5, KEY, place=1)
    np.testing.assert_allclose(dropped[1], plain(params[1].forward, between), atol=1e-6)
