"""Space decomposition against numbers worked out on paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import decomposition as d


def logit(p) -> jax.Array:
    return jnp.log(jnp.asarray(p)) - jnp.log1p(-jnp.asarray(p))


def test_pairs_and_numbers_of_classifiers():
    np.testing.assert_array_equal(d.pairs(3), [[0, 1], [0, 2], [1, 2]])
    assert [d.num_classifiers("round_robin", k) for k in (2, 3, 10, 25)] == [1, 3, 45, 300]
    assert d.num_classifiers("one_vs_all", 10) == 10


def test_one_vs_all_asks_every_question_of_every_song():
    asked = d.questions("one_vs_all", jnp.array([2, 0, 1, 2]), 3)
    np.testing.assert_array_equal(asked.answers, [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]])
    assert asked.asked.all()


def test_round_robin_asks_of_two_genres_alone():
    """Pairs (0, 1), (0, 2), (1, 2) and songs of genres 2, 0, 1, 2; yes is the first of the pair."""
    asked = d.questions("round_robin", jnp.array([2, 0, 1, 2]), 3)
    np.testing.assert_array_equal(asked.asked, [[0, 1, 1, 0], [1, 1, 0, 1], [1, 0, 1, 1]])
    np.testing.assert_array_equal(asked.answers, [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])


def test_one_vs_all_by_hand():
    """Yes with 0.9, 0.6, 0.5: divided by their sum 2.0."""
    said = jnp.exp(d.genre_log_probs("one_vs_all", logit([[0.9], [0.6], [0.5]]), 3))
    np.testing.assert_allclose(said, [[0.45, 0.3, 0.25]], rtol=1e-6)


def test_round_robin_by_hand():
    """Three genres, r_01 = 0.8, r_02 = 0.6, r_12 = 0.3, so 3 pairs share out 3 votes:

    genre 0: 0.8 + 0.6 = 1.4; genre 1: 0.2 + 0.3 = 0.5; genre 2: 0.4 + 0.7 = 1.1; each over 3.
    The second song turns the answers round: 0.2 + 0.4 = 0.6, 0.8 + 0.7 = 1.5, 0.6 + 0.3 = 0.9.
    """
    logits = logit([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    said = jnp.exp(d.genre_log_probs("round_robin", logits, 3))
    expected = np.array([[1.4, 0.5, 1.1], [0.6, 1.5, 0.9]]) / 3
    np.testing.assert_allclose(said, expected, rtol=1e-6)


def test_a_round_robin_of_two_is_its_one_classifier():
    said = jnp.exp(d.genre_log_probs("round_robin", logit([[0.8, 0.3]]), 2))
    np.testing.assert_allclose(said, [[0.8, 0.2], [0.3, 0.7]], rtol=1e-6)


@pytest.mark.parametrize("decomposition", ["one_vs_all", "round_robin"])
def test_genres_are_treated_alike_and_certainty_stays_finite(decomposition):
    """Whatever the logits, [B, K] is a distribution; genre k wins if all its questions say so."""
    classifiers = d.num_classifiers(decomposition, 4)
    logits = 100 * jax.random.normal(jax.random.key(0), (classifiers, 50))
    log_probs = d.genre_log_probs(decomposition, logits, 4)
    assert jnp.isfinite(log_probs).all()
    np.testing.assert_allclose(jnp.exp(log_probs).sum(-1), np.ones(50), rtol=1e-5)
    right = d.questions(decomposition, jnp.arange(4), 4)
    logits = jnp.where(right.answers, 5.0, -5.0) * right.asked
    np.testing.assert_array_equal(
        jnp.argmax(d.genre_log_probs(decomposition, logits, 4), axis=-1), np.arange(4)
    )


def test_masked_mean_by_hand_and_of_nothing():
    values = jnp.array([1.0, 5.0, 100.0])
    value, gradient = jax.value_and_grad(d.masked_mean)(values, jnp.array([True, True, False]))
    assert value == 3.0
    np.testing.assert_array_equal(gradient, [0.5, 0.5, 0.0])
    value, gradient = jax.value_and_grad(d.masked_mean)(values, jnp.zeros(3, bool))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros(3))


def test_none_asks_no_questions():
    with pytest.raises(KeyError):
        d.num_classifiers("none", 3)
    with pytest.raises(KeyError):
        d.questions("none", jnp.array([0]), 3)
