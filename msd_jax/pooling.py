"""How an ensemble's members agree on a genre.

Every rule maps the members' log-probabilities [M, B, K] to normalised log-probabilities [B, K].
Sections 2.2 and 4 of the report, after Silla, Kaestner and Koerich (2007).
"""

import chex
import jax
import jax.numpy as jnp

from msd_jax import losses


def mean_pool(log_probs: jax.Array) -> jax.Array:
    """m0: the mean of the members' probabilities, 1/M sum_m p_m. [M, B, K] -> [B, K]."""
    chex.assert_rank(log_probs, 3)
    return jax.nn.logsumexp(log_probs, axis=0) - jnp.log(log_probs.shape[0])


def product_pool(log_probs: jax.Array) -> jax.Array:
    """m1: the product of the members' probabilities, normalised. [M, B, K] -> [B, K]."""
    chex.assert_rank(log_probs, 3)
    return jax.nn.log_softmax(jnp.sum(log_probs, axis=0), axis=-1)


def max_pool(log_probs: jax.Array) -> jax.Array:
    """The largest of the members' probabilities, max_m p_m, normalised. [M, B, K] -> [B, K]."""
    chex.assert_rank(log_probs, 3)
    return jax.nn.log_softmax(jnp.max(log_probs, axis=0), axis=-1)


def vote_pool(log_probs: jax.Array) -> jax.Array:
    """A vote a member for its likeliest genre, ties resolved by the mean of the probabilities.

        (votes + 1/M sum_m p_m) / (M + 1)

    is a distribution whose every genre has a chance, and as votes are whole and the mean is below
    one, it never overturns a majority. A member that finds two genres equally likely votes for the
    first of them. [M, B, K] -> [B, K].
    """
    chex.assert_rank(log_probs, 3)
    num_members, _, num_genres = log_probs.shape
    likeliest = jnp.argmax(log_probs, axis=-1)
    votes = jnp.sum(jax.nn.one_hot(likeliest, num_genres, dtype=log_probs.dtype), axis=0)
    return jnp.logaddexp(jnp.log(votes), mean_pool(log_probs)) - jnp.log(num_members + 1)


def weighted_mean_pool(log_probs: jax.Array, pool_weights: jax.Array) -> jax.Array:
    """sum_m theta_m p_m, where theta = softmax(pool_weights); m2 where they are learnt.

    Args:
      log_probs: [M, B, K].
      pool_weights: [M]; equal weights make it `mean_pool`.

    Returns:
      [B, K].
    """
    chex.assert_rank([log_probs, pool_weights], [3, 1])
    log_theta = jax.nn.log_softmax(pool_weights)
    return jax.nn.logsumexp(log_probs + log_theta[:, None, None], axis=0)


def weighted_product_pool(log_probs: jax.Array, pool_weights: jax.Array) -> jax.Array:
    """prod_m p_m^(M theta_m), normalised, where theta = softmax(pool_weights).

    Args:
      log_probs: [M, B, K].
      pool_weights: [M]; equal weights make it `product_pool`, which is why M stands there.

    Returns:
      [B, K].
    """
    chex.assert_rank([log_probs, pool_weights], [3, 1])
    return _product_of_powers(log_probs, log_probs.shape[0] * jax.nn.softmax(pool_weights))


def joint_pool(log_probs: jax.Array, pool_weights: jax.Array) -> jax.Array:
    """softmax(1/M sum_m w_m logits_m): m2 as the report's code had it.

    A member's log-probabilities are its logits less a constant of the song, which the softmax
    takes away again, so that this is a product of powers, prod_m p_m^(w_m / M), normalised.

    Args:
      log_probs: [M, B, K].
      pool_weights: w [M], any numbers; ones make it the geometric mean.

    Returns:
      [B, K].
    """
    chex.assert_rank([log_probs, pool_weights], [3, 1])
    return _product_of_powers(log_probs, pool_weights / log_probs.shape[0])


def _product_of_powers(log_probs: jax.Array, exponents: jax.Array) -> jax.Array:
    return jax.nn.log_softmax(jnp.sum(exponents[:, None, None] * log_probs, axis=0), axis=-1)


def accuracy_weights(accuracies: jax.Array) -> jax.Array:
    """Weights [M] whose theta is proportional to the members' accuracies [M].

    As Silla, Kaestner and Koerich weigh their classifiers. Where no member is ever right all
    weigh the same.
    """
    return jnp.log(jnp.maximum(accuracies, jnp.finfo(accuracies.dtype).tiny))


def report_error(log_probs: jax.Array, labels: jax.Array, rule: str) -> jax.Array:
    """The ensemble error that the report's code plotted: pooled PROBABILITIES taken as logits.

    A second softmax over numbers in 0..M (the sum) or 0..1 (the product) cannot leave a narrow
    band: the "error that does not inflate" of the report's Figure 7 is this band.

    Args:
      log_probs: [M, B, K].
      labels: [B].
      rule: "mean" (the sum of the probabilities) or "product".

    Returns:
      [B].

    Raises:
      KeyError: for another rule.
    """
    pooled = {
        "mean": lambda: jnp.sum(jnp.exp(log_probs), axis=0),
        "product": lambda: jnp.exp(jnp.sum(log_probs, axis=0)),
    }[rule]()
    return losses.cross_entropy(pooled, labels)
