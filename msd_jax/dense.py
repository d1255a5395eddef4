"""A dense layer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class DenseParams(NamedTuple):
    """kernel [inputs, outputs], bias [outputs]."""

    kernel: jax.Array
    bias: jax.Array


def init_dense(key: jax.Array, num_inputs: int, num_outputs: int) -> DenseParams:
    """Truncated normal kernel, std 2 / sqrt(inputs + outputs) cut at two std, and zero bias."""
    stddev = 2.0 / (num_inputs + num_outputs) ** 0.5
    kernel = jax.nn.initializers.truncated_normal(stddev)(key, (num_inputs, num_outputs))
    return DenseParams(kernel, jnp.zeros(num_outputs))


def dense(params: DenseParams, inputs: jax.Array) -> jax.Array:
    """inputs [B, I] -> [B, O]."""
    return inputs @ params.kernel + params.bias[None]
