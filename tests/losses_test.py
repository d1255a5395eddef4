"""Every loss against values and gradients worked out on paper."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import losses

LOG2, LOG3 = np.log(2.0), np.log(3.0)


def test_cross_entropy_by_hand():
    # softmax(log 1, log 2, log 1) = (1/4, 1/2, 1/4).
    logits = jnp.array([[0.0, LOG2, 0.0], [0.0, LOG2, 0.0]])
    chex.assert_trees_all_close(
        losses.cross_entropy(logits, jnp.array([0, 1])), np.array([2 * LOG2, LOG2]), atol=1e-6
    )


def test_cross_entropy_gradient_is_probabilities_minus_truth():
    logits = jnp.array([[0.0, LOG2, 0.0]])
    grad = jax.grad(lambda x: losses.cross_entropy(x, jnp.array([1])).sum())(logits)
    chex.assert_trees_all_close(grad, np.array([[0.25, -0.5, 0.25]]), atol=1e-6)


def test_cross_entropy_of_huge_logits_is_finite():
    logits = jnp.array([[1e4, 0.0]])
    chex.assert_trees_all_close(losses.cross_entropy(logits, jnp.array([1])), np.array([1e4]))


def test_smoothed_cross_entropy_by_hand():
    # probabilities (1/4, 1/2, 1/4), log 4 and log 2 nats; of the label's 1 a share of 0.3 is spread
    # over three genres: 0.8, 0.1, 0.1. Label 1: 0.8 log 2 + 0.2 log 4 = 1.2 log 2; label 0:
    # 0.9 log 4 + 0.1 log 2 = 1.9 log 2.
    logits = jnp.array([[0.0, LOG2, 0.0], [0.0, LOG2, 0.0]])
    actual = losses.cross_entropy(logits, jnp.array([1, 0]), smoothing=0.3)
    chex.assert_trees_all_close(actual, np.array([1.2 * LOG2, 1.9 * LOG2]), atol=1e-6)


def test_binary_cross_entropy_by_hand():
    # sigmoid(log 3) = 3/4: yes costs log 4/3, no costs log 4; sigmoid(0) = 1/2 costs log 2.
    logits = jnp.array([[LOG3, LOG3, 0.0]])
    expected = np.array([[np.log(4 / 3), np.log(4.0), LOG2]])
    actual = losses.binary_cross_entropy(logits, jnp.array([0]))
    chex.assert_trees_all_close(actual, expected, atol=1e-6)


def test_binary_cross_entropy_gradient_is_probability_minus_answer():
    grad = jax.grad(lambda x: losses.binary_cross_entropy(x, jnp.array([0])).sum())
    expected = np.array([[-0.25, 0.75, 0.5]])
    chex.assert_trees_all_close(grad(jnp.array([[LOG3, LOG3, 0.0]])), expected, atol=1e-6)


def test_balanced_answers_by_hand():
    """Four genres: a yes weighs 2, a no 4 / 6; over one song of each, yes and no weigh 8 each."""
    weights = losses.balanced_answers(jnp.array([2]), 4)
    chex.assert_trees_all_close(weights, np.array([[2 / 3, 2 / 3, 2.0, 2 / 3]]))
    every = np.asarray(losses.balanced_answers(jnp.arange(4), 4))
    assert np.trace(every) == pytest.approx(8.0)
    assert every.sum() == pytest.approx(16.0)
    chex.assert_trees_all_equal(losses.balanced_answers(jnp.array([0, 1]), 2), np.ones((2, 2)))


def test_squared_error_by_hand():
    predictions, targets = jnp.array([[1.0, -2.0]]), jnp.array([[3.0, -2.0]])
    chex.assert_trees_all_close(losses.squared_error(predictions, targets), np.array([[4.0, 0.0]]))
    grad = jax.grad(lambda x: losses.squared_error(x, targets).sum())(predictions)
    chex.assert_trees_all_close(grad, np.array([[-4.0, 0.0]]))


def test_l2_penalty_by_hand():
    # (9 + 16 + 4) / 2; the gradient of half a square is the weight itself.
    weights = [jnp.array([3.0, 4.0]), jnp.array([[2.0]])]
    chex.assert_trees_all_close(losses.l2_penalty(weights), np.float32(14.5))
    chex.assert_trees_all_close(jax.grad(losses.l2_penalty)(weights), weights)
    assert losses.l2_penalty([]) == 0


def hidden_states() -> jax.Array:
    """Norms 5, 10, 0 over T = 3 segments: [T, B, H] = [3, 1, 2]."""
    return jnp.array([[[3.0, 4.0]], [[6.0, 8.0]], [[0.0, 0.0]]])


def test_norm_stabilizer_by_hand():
    # ((10 - 5)^2 + (0 - 10)^2) / T = 125 / 3.
    chex.assert_trees_all_close(
        losses.norm_stabilizer(hidden_states()), np.array([125 / 3]), rtol=1e-6
    )


def test_norm_stabilizer_gradient_by_hand_also_at_zero():
    # Along h_1 / |h_1|: -2 x 5 / 3; along h_2 / |h_2|: (2 x 5 + 2 x 10) / 3; 0 at a zero state.
    grad = jax.grad(lambda h: losses.norm_stabilizer(h).sum())(hidden_states())
    expected = np.array([[[-2.0, -8 / 3]], [[6.0, 8.0]], [[0.0, 0.0]]])
    chex.assert_trees_all_close(grad, expected, rtol=1e-6)


def test_norm_stabilizer_sees_lengths_alone():
    # A state that turns without growing costs nothing.
    angles = jnp.linspace(0, 3, 7)
    turning = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)[:, None]
    chex.assert_trees_all_close(losses.norm_stabilizer(turning), np.zeros(1), atol=1e-6)


def test_norm_stabilizer_of_one_segment_is_zero():
    chex.assert_trees_all_close(losses.norm_stabilizer(jnp.ones((1, 2, 3))), np.zeros(2))


def test_norm_stabilizer_is_per_song():
    both = jnp.concatenate([hidden_states(), 2 * hidden_states()], axis=1)
    expected = np.array([125 / 3, 4 * 125 / 3])  # twice the length is four times the square
    chex.assert_trees_all_close(losses.norm_stabilizer(both), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_numerical_gradients(seed):
    # Tiny arrays: the tolerance of the check grows with the argument's size.
    hidden = jax.random.normal(jax.random.key(seed), (3, 1, 2))
    logits = jax.random.normal(jax.random.key(seed), (1, 3))
    label = jnp.array([seed])
    for function, argument in (
        (lambda h: losses.norm_stabilizer(h).sum(), hidden),
        (lambda x: losses.cross_entropy(x, label).sum(), logits),
        (lambda x: losses.binary_cross_entropy(x, label).sum(), logits),
        (lambda x: losses.squared_error(x, jnp.ones_like(x)).sum(), logits),
        (losses.l2_penalty, logits),
    ):
        jax.test_util.check_grads(
            function, (argument,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.squared_error(jnp.zeros((2, 3)), jnp.zeros((1, 3))),
        lambda: losses.cross_entropy(jnp.zeros((2, 3)), jnp.zeros(1, int)),
        lambda: losses.binary_cross_entropy(jnp.zeros((2, 3)), jnp.zeros(1, int)),
        lambda: losses.yes_no_cross_entropy(jnp.zeros((2, 3)), jnp.zeros((1, 3), bool)),
    ],
)
def test_shapes_that_do_not_match_raise_and_never_broadcast(call):
    with pytest.raises(AssertionError):
        call()
