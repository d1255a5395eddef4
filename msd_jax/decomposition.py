"""A genre as yes-no questions: one against all, or one for each pair of genres.

Silla, Kaestner and Koerich (2007) give every question a classifier of its own, on every snippet,
and call it space decomposition. C is the number of questions: K for one_vs_all, K (K - 1) / 2 for
round_robin.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np


class Questions(NamedTuple):
    """What C classifiers are asked of B songs: the right answers, bool [C, B], and whether a
    question is asked of a song at all, bool [C, B].
    """

    answers: jax.Array
    asked: jax.Array


def pairs(num_genres: int) -> np.ndarray:
    """The pairs i < j of K genres in lexicographic order, [C, 2]; "yes" speaks for i."""
    return np.stack(np.triu_indices(num_genres, 1), axis=1)


def num_classifiers(decomposition: str, num_genres: int) -> int:
    """C.

    Raises:
      KeyError: for a decomposition that asks no questions.
    """
    num_pairs = num_genres * (num_genres - 1) // 2
    return {"one_vs_all": num_genres, "round_robin": num_pairs}[decomposition]


def questions(decomposition: str, labels: jax.Array, num_genres: int) -> Questions:
    """The questions that songs with these labels [B] answer.

    one_vs_all asks "is it genre k?" of every song, round_robin "i rather than j?" of the songs of
    genres i and j alone.

    Raises:
      KeyError: for a decomposition that asks no questions.
    """
    chex.assert_rank(labels, 1)
    genres = {"one_vs_all": np.arange(num_genres)[:, None], "round_robin": pairs(num_genres)}
    is_genre = labels[None, None] == genres[decomposition][:, :, None]
    answers = is_genre[:, 0]
    if decomposition == "one_vs_all":
        return Questions(answers, jnp.ones_like(answers))
    return Questions(answers, jnp.any(is_genre, axis=1))


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """The mean of the values [B] where the mask, bool [B], is true; 0 where it is true nowhere."""
    chex.assert_equal_shape([values, mask])
    return jnp.sum(jnp.where(mask, values, 0.0)) / jnp.maximum(jnp.sum(mask), 1)


def _one_vs_all(logits: jax.Array) -> jax.Array:
    """p_k = s_k / sum_j s_j, where s_k = sigmoid(logits_k). [K, B] -> [B, K]."""
    return jax.nn.log_softmax(jax.nn.log_sigmoid(logits), axis=0).T


def _round_robin(logits: jax.Array, num_genres: int) -> jax.Array:
    """p_i = 2 / (K (K - 1)) sum_{j != i} r_ij, where r_ij = 1 - r_ji = sigmoid(logits_ij).

    Every pair gives its one vote by shares. Hastie and Tibshirani, "Classification by pairwise
    coupling" (1998), start from it; Wu, Lin and Weng, "Probability estimates for multi-class
    classification by pairwise coupling" (JMLR 2004), compare such rules. [C, B] -> [B, K].
    """
    first, second = pairs(num_genres).T
    nothing = jnp.full((num_genres, num_genres, logits.shape[1]), -jnp.inf, logits.dtype)
    log_r = nothing.at[first, second].set(jax.nn.log_sigmoid(logits))
    log_r = log_r.at[second, first].set(jax.nn.log_sigmoid(-logits))
    return (jax.nn.logsumexp(log_r, axis=1) - np.log(len(first))).T


def genre_log_probs(decomposition: str, logits: jax.Array, num_genres: int) -> jax.Array:
    """What the classifiers' answers say of the genre.

    Args:
      decomposition: "one_vs_all" or "round_robin".
      logits: [C, B], of "yes".
      num_genres: K.

    Returns:
      [B, K], normalised log-probabilities.

    Raises:
      KeyError: for another decomposition.
    """
    chex.assert_shape(logits, (num_classifiers(decomposition, num_genres), None))
    if decomposition == "one_vs_all":
        return _one_vs_all(logits)
    return _round_robin(logits, num_genres)
