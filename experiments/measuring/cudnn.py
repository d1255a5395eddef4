"""cuDNN's LSTM as a peer on an NVIDIA GPU, through `jax.experimental.rnn`; one model at a time.

Its layer computes what ours does, with the parameters in another order and two biases.
"""

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from experiments.measuring.peers import Contender, Size, jax_peer
from msd_jax import lstm
from msd_jax.dense import DenseParams, dense, init_dense
from msd_jax.lstm import FORGET_BIAS, LSTMParams


def has_cudnn() -> bool:
    """Whether jax runs on an NVIDIA GPU here."""
    device = jax.devices()[0]
    return device.platform == "gpu" and "cuda" in device.client.platform_version.lower()


def pack(params: LSTMParams, num_features: int) -> jax.Array:
    """Our layer's parameters as the one array of cuDNN's: input kernel, hidden kernel, each
    [4H, ...] in the order i, f, j, o, then two biases, of which the first holds the forget bias.
    """
    num_hidden = params.bias.size // 4
    forget_bias = jnp.zeros(4 * num_hidden).at[2 * num_hidden : 3 * num_hidden].set(FORGET_BIAS)

    def reorder(x: jax.Array) -> jax.Array:
        i, j, f, o = jnp.split(x, 4, axis=-1)
        return jnp.concatenate([i, f, j, o], axis=-1)

    kernel, bias = reorder(params.kernel), reorder(params.bias + forget_bias)
    parts = (kernel[:num_features].T, kernel[num_features:].T, bias, jnp.zeros_like(bias))
    return jnp.concatenate([part.ravel() for part in parts])


def hidden_states(packed: jax.Array, inputs: jax.Array, num_hidden: int) -> jax.Array:
    """inputs [B, T, F] -> [B, T, H], from a zero state; in float32, not in TF32."""
    num_songs, num_segments, num_features = inputs.shape
    zeros = jnp.zeros((1, num_songs, num_hidden))
    return rnn.lstm(
        inputs,
        zeros,
        zeros,
        packed,
        jnp.full(num_songs, num_segments, jnp.int32),
        num_features,
        num_hidden,
        1,  # layer
        0.0,  # no dropout
        False,  # one direction
        jax.lax.Precision.HIGHEST,
    )[0]


def cudnn_peer(size: Size, num_batches: int) -> Contender:
    """One model with a linear head; the layer has no batching rule."""

    def init(key: jax.Array) -> tuple[jax.Array, DenseParams]:
        layer_key, head_key = jax.random.split(key)
        layer = lstm.init(layer_key, size.num_features, size.num_hidden)
        head = init_dense(head_key, size.num_hidden, size.num_genres)
        return pack(layer, size.num_features), head

    def apply(params: tuple[jax.Array, DenseParams], inputs: jax.Array) -> jax.Array:
        packed, head = params
        return dense(head, hidden_states(packed, inputs, size.num_hidden)[:, -1])

    return jax_peer("cuDNN LSTM (jax.experimental.rnn)", size, 1, num_batches, init, apply)
