"""Pooling rules against probabilities worked out on paper."""

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


def test_weighted_pool_by_hand():
    # softmax(log 3, 0) = (3/4, 1/4).
    pooled = pooling.weighted_pool(LOG_PROBS, jnp.log(jnp.array([3.0, 1.0])))
    np.testing.assert_allclose(jnp.exp(pooled), [[0.4, 0.3, 0.3]], rtol=1e-6)


def test_equal_weights_are_the_mean():
    pooled = pooling.weighted_pool(LOG_PROBS, jnp.array([7.0, 7.0]))
    np.testing.assert_allclose(pooled, pooling.mean_pool(LOG_PROBS), atol=1e-6)


def test_every_rule_gives_a_distribution_and_keeps_what_members_agree_on():
    agreed = jnp.broadcast_to(LOG_PROBS[:1], (4, 1, 3))
    for pooled in (pooling.mean_pool(agreed), pooling.weighted_pool(agreed, jnp.arange(4.0))):
        np.testing.assert_allclose(jnp.exp(pooled), PROBS[0], rtol=1e-5)
    product = jnp.exp(pooling.product_pool(agreed))
    np.testing.assert_allclose(product, PROBS[0] ** 4 / (PROBS[0] ** 4).sum(), rtol=1e-5)


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
        jax.test_util.check_grads(
            lambda w: pooling.weighted_pool(log_probs, w), (jnp.array([0.3, -0.2]),), order=1
        )
