"""A song cut in time."""

import chex
import jax


def snippets(inputs: jax.Array, num_snippets: int) -> jax.Array:
    """Cuts songs into equal contiguous snippets.

    Args:
      inputs: [B, T, F].
      num_snippets: M; T is a multiple of it.

    Returns:
      [M, B, T/M, F]; snippet m holds segments m T/M to (m + 1) T/M - 1.

    Raises:
      ValueError: if M does not divide T.
    """
    chex.assert_rank(inputs, 3)
    num_songs, num_segments, num_features = inputs.shape
    if num_segments % num_snippets:
        raise ValueError(f"{num_segments} segments do not divide into {num_snippets} snippets")
    shape = (num_songs, num_snippets, num_segments // num_snippets, num_features)
    return inputs.reshape(shape).swapaxes(0, 1)
