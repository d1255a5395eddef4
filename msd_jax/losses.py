"""The terms of the training error, unreduced: means and weights are taken in `objective.py`."""

import chex
import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Softmax cross-entropy of each song, in nats.

    Args:
      logits: [..., K].
      labels: [...], integers in 0..K-1 (checked where data is loaded, not here).
      smoothing: share of each label that is spread over all K genres alike: Szegedy et al.,
        "Rethinking the Inception architecture" (CVPR 2016), section 7.

    Returns:
      [...], -log softmax(logits)[label] where nothing is smoothed.

    Raises:
      AssertionError: if the shapes do not fit together.
    """
    chex.assert_equal_shape_prefix([logits, labels], labels.ndim)
    chex.assert_rank(logits, labels.ndim + 1)
    if smoothing:
        answers = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        return optax.softmax_cross_entropy(logits, optax.smooth_labels(answers, smoothing))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def binary_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy of K yes-no questions, "is it genre k?", in nats.

    The report gives each genre a two-way softmax; a sigmoid of the difference of its two logits is
    the same function with half the parameters.

    Args:
      logits: [..., K].
      labels: [...], integers in 0..K-1.

    Returns:
      [..., K], one value per genre.

    Raises:
      AssertionError: if the shapes do not fit together.
    """
    chex.assert_equal_shape_prefix([logits, labels], labels.ndim)
    chex.assert_rank(logits, labels.ndim + 1)
    answers = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.sigmoid_binary_cross_entropy(logits, answers)


def yes_no_cross_entropy(logits: jax.Array, answers: jax.Array) -> jax.Array:
    """Cross-entropy of yes-no questions, in nats.

    Args:
      logits: [...], of "yes".
      answers: bool [...].

    Returns:
      [...].

    Raises:
      AssertionError: if the shapes differ.
    """
    chex.assert_equal_shape([logits, answers])
    return optax.sigmoid_binary_cross_entropy(logits, answers.astype(logits.dtype))


def balanced_answers(labels: jax.Array, num_genres: int) -> jax.Array:
    """Weights of the answers to K yes-no questions, so that yes and no weigh the same in all.

    Of balanced genres a question is answered yes once in K songs: a yes weighs K / 2, a no
    K / (2 (K - 1)), which is 1 in the mean over songs. The weights know the number of genres, not
    their shares: where genres are not balanced, neither are these.

    Args:
      labels: [...], integers in 0..K-1.
      num_genres: K, at least 2, for which all weights are 1.

    Returns:
      [..., K].
    """
    answers = jax.nn.one_hot(labels, num_genres, dtype=bool)
    return jnp.where(answers, num_genres / 2, num_genres / (2 * (num_genres - 1)))


def squared_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared differences, element by element.

    Args:
      predictions: [...].
      targets: [...].

    Returns:
      [...].

    Raises:
      AssertionError: if the shapes differ.
    """
    chex.assert_equal_shape([predictions, targets])
    return optax.squared_error(predictions, targets)


def l2_penalty(weights: chex.ArrayTree) -> jax.Array:
    """Half the sum of squares over every leaf of `weights`, as the report's lambda multiplies it.

    Args:
      weights: a tree of arrays; the caller leaves the biases out.

    Returns:
      [], 0 for an empty tree.
    """
    leaves = jax.tree.leaves(weights)
    return 0.5 * sum((jnp.sum(jnp.square(leaf)) for leaf in leaves), start=jnp.zeros(()))


def norm_stabilizer(hidden_states: jax.Array) -> jax.Array:
    """How much the length of the hidden state changes from one segment to the next.

        1/T sum_{t=2..T} (|h_t| - |h_{t-1}|)^2

    The penalty of Krueger and Memisevic, "Regularizing RNNs by stabilizing activations" (ICLR
    2016), which the report calls activation stabilisation, without its beta. The zero state before
    the first segment is not part of the sum, and T divides, not T - 1, as in the report's code.

    Args:
      hidden_states: [T, ..., H], time first.

    Returns:
      [...]; 0 where T is 1. Its gradient is finite at hidden states of zeros.
    """
    norms = optax.safe_norm(hidden_states, 0.0, axis=-1)
    steps = jnp.diff(norms, axis=0)
    return jnp.sum(jnp.square(steps), axis=0) / hidden_states.shape[0]
