"""Pooling rules against probabilities worked out on paper."""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import pooling

# Two members, one song, three genres.
PROBS = np.array([[[0.5, 0.3, 0.2]], [[0.1, 0.3, 0.6]]])
LOG_PROBS = jnp.log(jnp.asarray(PROBS, jnp.float32))


def test_mean_pool_by_hand():
    expected = [[0.3, 0.3, 0.4]]
    np.testing.assert_allclose(jnp.exp(pooling.mean_pool(LOG_PROBS)), expected, rtol=1e-6)


def test_product_pool_by_hand():
    # 0.05, 0.09, 0.12, which add up to 0.26.
    expected = np.array([[0.05, 0.09, 0.12]]) / 0.26
    np.testing.assert_allclose(jnp.exp(pooling.product_pool(LOG_PROBS)), expected, rtol=1e-6)


def test_weighted_mean_pool_by_hand():
    # softmax(log 3, 0) = (3/4, 1/4).
    pooled = pooling.weighted_mean_pool(LOG_PROBS, jnp.log(jnp.array([3.0, 1.0])))
    np.testing.assert_allclose(jnp.exp(pooled), [[0.4, 0.3, 0.3]], rtol=1e-6)


def test_weighted_product_pool_by_hand():
    # Exponents 2 (3/4, 1/4): 0.5^1.5 0.1^0.5 = 0.1118034, 0.3^2 = 0.09, 0.2^1.5 0.6^0.5 =
    # 0.0692820, which add up to 0.2710854.
    pooled = pooling.weighted_product_pool(LOG_PROBS, jnp.log(jnp.array([3.0, 1.0])))
    expected = np.array([[0.1118034, 0.09, 0.0692820]]) / 0.2710854
    np.testing.assert_allclose(jnp.exp(pooled), expected, rtol=1e-5)


def test_joint_pool_by_hand():
    # Exponents (3/2, 1/2): the product of the test above. On logits: those of the first member
    # moved by 7, which changes nothing.
    weights = jnp.array([3.0, 1.0])
    expected = np.array([[0.1118034, 0.09, 0.0692820]]) / 0.2710854
    np.testing.assert_allclose(jnp.exp(pooling.joint_pool(LOG_PROBS, weights)), expected, rtol=1e-5)
    moved = jax.nn.log_softmax(LOG_PROBS + jnp.array([7.0, 0.0])[:, None, None])
    np.testing.assert_allclose(jnp.exp(pooling.joint_pool(moved, weights)), expected, rtol=1e-5)


def test_max_pool_by_hand():
    # 0.5, 0.3, 0.6, which add up to 1.4.
    expected = np.array([[0.5, 0.3, 0.6]]) / 1.4
    np.testing.assert_allclose(jnp.exp(pooling.max_pool(LOG_PROBS)), expected, rtol=1e-6)


def test_vote_pool_by_hand_with_a_tie():
    # One vote for genre 0, one for 2; the means 0.3, 0.3, 0.4 decide: (1.3, 0.3, 1.4) / 3.
    pooled = pooling.vote_pool(LOG_PROBS)
    np.testing.assert_allclose(jnp.exp(pooled), np.array([[1.3, 0.3, 1.4]]) / 3, rtol=1e-6)


def test_a_tie_never_overturns_a_majority():
    # Two members hardly prefer genre 0, the third is certain of genre 1, whose mean is far larger.
    probs = jnp.array([[[0.36, 0.34, 0.3]], [[0.36, 0.34, 0.3]], [[0.0, 1.0, 0.0]]])
    log_probs = jnp.log(jnp.maximum(probs, 1e-30))
    assert jnp.argmax(pooling.mean_pool(log_probs)) == 1
    assert jnp.argmax(pooling.vote_pool(log_probs)) == 0


def test_a_member_in_doubt_votes_for_the_first_genre():
    # Genres 1 and 2 tie in the only member: (0 + 0.2, 1 + 0.4, 0 + 0.4) / 2.
    pooled = pooling.vote_pool(jnp.log(jnp.array([[[0.2, 0.4, 0.4]]])))
    np.testing.assert_allclose(jnp.exp(pooled), [[0.1, 0.7, 0.2]], rtol=1e-6)


@pytest.mark.parametrize(("num_members", "num_genres"), [(2, 3), (4, 4), (5, 2)])
def test_votes_choose_as_counting_and_then_the_mean(num_members, num_genres):
    """Against Python's own counting of the members' likeliest genres, song by song."""
    logits = 3 * jax.random.normal(jax.random.key(0), (num_members, 300, num_genres))
    log_probs = jax.nn.log_softmax(logits)
    chosen = np.argmax(pooling.vote_pool(log_probs), axis=-1)
    likeliest = np.argmax(log_probs, axis=-1)
    means = np.exp(np.asarray(log_probs, np.float64)).mean(axis=0)
    ties = 0
    for song in range(300):
        votes = Counter(likeliest[:, song].tolist())
        leading = [k for k in range(num_genres) if votes[k] == max(votes.values())]
        assert chosen[song] == max(leading, key=lambda k: means[song, k])
        ties += len(leading) > 1
    assert ties > 20 or num_genres == 2


def test_equal_weights_are_the_rules_without():
    equal = jnp.array([7.0, 7.0])
    pooled = pooling.weighted_mean_pool(LOG_PROBS, equal)
    np.testing.assert_allclose(pooled, pooling.mean_pool(LOG_PROBS), atol=1e-6)
    pooled = pooling.weighted_product_pool(LOG_PROBS, equal)
    np.testing.assert_allclose(pooled, pooling.product_pool(LOG_PROBS), atol=1e-6)


def test_every_rule_keeps_what_members_agree_on():
    agreed = jnp.broadcast_to(LOG_PROBS[:1], (4, 1, 3))
    weights = jnp.arange(4.0)
    keep = (pooling.mean_pool(agreed), pooling.weighted_mean_pool(agreed, weights))
    for pooled in (*keep, pooling.max_pool(agreed)):
        np.testing.assert_allclose(jnp.exp(pooled), PROBS[0], rtol=1e-5)
    sharper = PROBS[0] ** 4 / (PROBS[0] ** 4).sum()
    for pooled in (pooling.product_pool(agreed), pooling.weighted_product_pool(agreed, weights)):
        np.testing.assert_allclose(jnp.exp(pooled), sharper, rtol=1e-5)
    # Four votes of genre 0 and the mean 0.5, 0.3, 0.2, over 5.
    voted = jnp.exp(pooling.vote_pool(agreed))
    np.testing.assert_allclose(voted, [[0.9, 0.06, 0.04]], rtol=1e-5)


def test_product_of_vanishing_probabilities_stays_finite():
    # 40 members at e^-50 each: the product e^-2000 is 0 in float32, its logarithm is not.
    log_probs = jnp.full((40, 1, 3), -50.0).at[:, 0, 0].set(-49.0)
    pooled = pooling.product_pool(log_probs)
    assert jnp.isfinite(pooled).all()
    np.testing.assert_allclose(pooled[0, 0] - pooled[0, 1], 40.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("rule", "logits"), [("mean", [0.6, 0.6, 0.8]), ("product", [0.05, 0.09, 0.12])]
)
def test_report_error_takes_pooled_probabilities_as_logits(rule, logits):
    expected = np.log(np.exp(logits).sum()) - logits[2]
    error = pooling.report_error(LOG_PROBS, jnp.array([2]), rule)
    np.testing.assert_allclose(error, [expected], rtol=1e-6)


def test_report_error_of_the_product_cannot_inflate():
    # 25 genres and m1 lie in 2.285..3.285 however wrong the members are.
    certain = jnp.log(jnp.full((4, 2, 25), 1e-9).at[:, :, 0].set(1.0))
    right, wrong = pooling.report_error(certain, jnp.array([0, 1]), "product")
    np.testing.assert_allclose([right, wrong], [2.285, 3.285], atol=1e-3)


def test_pool_weights_have_the_numerical_gradient():
    with jax.enable_x64(True):
        log_probs = jnp.log(jnp.asarray(PROBS))
        for pool in (pooling.weighted_mean_pool, pooling.weighted_product_pool):
            jax.test_util.check_grads(
                functools.partial(pool, log_probs), (jnp.array([0.3, -0.2]),), order=1
            )


def test_no_rule_calls_a_genre_impossible():
    """Probabilities of e^-200, which float32 does not have, keep their finite logarithm."""
    log_probs = jax.nn.log_softmax(jnp.array([[[0.0, -200.0, -200.0]]] * 3))
    weights = jnp.array([-87.0, 0.0, -87.0])  # two members without a right answer
    pooled = [pool(log_probs) for pool in (pooling.vote_pool, pooling.max_pool, pooling.mean_pool)]
    pooled += [
        pool(log_probs, weights)
        for pool in (pooling.weighted_mean_pool, pooling.weighted_product_pool)
    ]
    for said in pooled:
        assert jnp.isfinite(said).all()
        np.testing.assert_allclose(jnp.exp(said).sum(-1), [1.0], rtol=1e-5)
