"""One network over one piece of a song: the MLP, and LSTM layers with their heads."""

from typing import NamedTuple

import jax

from msd_jax import layers
from msd_jax.config import Config
from msd_jax.dense import DenseParams, dense, init_dense
from msd_jax.layers import LayerParams, dropout
from msd_jax.readout import (
    AttentionParams,
    attention,
    init_attention,
    last_state,
    max_state,
    mean_state,
)


class MLPParams(NamedTuple):
    """Two hidden layers and the output layer."""

    first: DenseParams
    second: DenseParams
    output: DenseParams


class NetworkParams(NamedTuple):
    """LSTM layers, lowest first, with the readout's attention and the heads that stand on it;
    `attention`, `relu` and the secondary ones are None where the model has none. With both
    secondary tasks `secondary` is the autoencoder's, `secondary_binary` that of the binary ones.
    """

    layers: tuple[LayerParams, ...]
    attention: AttentionParams | None
    relu: DenseParams | None
    output: DenseParams
    secondary: DenseParams | None
    secondary_binary: DenseParams | None = None


class Outputs(NamedTuple):
    """What a network says of a batch; an ensemble's arrays have a leading axis M.

    logits [B, K]; hidden_states [T, B, H] for each layer and direction (None: no LSTM);
    reconstruction [B, T*F] and binary_logits [B, K] where there is such a secondary task. Where
    classifiers answer yes-no questions, classifier_logits [C, B] are their own, hidden_states have
    a leading axis C too, and logits are the log-probabilities that follow.
    """

    logits: jax.Array
    hidden_states: tuple[jax.Array, ...] | None = None
    reconstruction: jax.Array | None = None
    binary_logits: jax.Array | None = None
    classifier_logits: jax.Array | None = None


def init_mlp(config: Config, key: jax.Array) -> MLPParams:
    """The two hidden layers and the output layer, drawn from the key."""
    num_inputs = config.snippet_segments * config.num_features
    sizes = (num_inputs, config.num_hidden, config.num_hidden, config.num_logits)
    keys = jax.random.split(key, 3)
    return MLPParams(*map(init_dense, keys, sizes[:-1], sizes[1:]))


def apply_mlp(
    config: Config, params: MLPParams, inputs: jax.Array, key: jax.Array | None = None
) -> Outputs:
    """inputs [B, T, F], all segments side by side; `key` as in `Model`."""
    hidden = jax.nn.relu(dense(params.first, inputs.reshape(inputs.shape[0], -1)))
    return Outputs(logits=dense(params.output, jax.nn.relu(dense(params.second, hidden))))


def _secondary_sizes(config: Config) -> tuple[int, int]:
    """Outputs of `secondary` and of `secondary_binary`, 0 where there is no such head."""
    rebuild = config.network_segments * config.num_features
    if config.model != "multitask":
        return 0, 0
    return {
        "autoencoder": (rebuild, 0),
        "binary": (config.num_genres, 0),
        "both": (rebuild, config.num_genres),
    }[config.secondary]


def init_network(config: Config, key: jax.Array) -> NetworkParams:
    """LSTM layers and heads; the same key gives the same layers whatever heads stand on them."""
    lstm_key, relu_key, output_key, secondary_key = jax.random.split(key, 4)
    num_hidden = config.num_hidden
    width = config.layers.num_directions * num_hidden
    shared = num_hidden if config.head == "relu" else width
    first, second = _secondary_sizes(config)
    return NetworkParams(
        layers=layers.init(lstm_key, config.num_features, num_hidden, config.layers),
        attention=init_attention(width) if config.layers.readout == "attention" else None,
        relu=init_dense(relu_key, width, num_hidden) if config.head == "relu" else None,
        output=init_dense(output_key, shared, config.num_logits),
        secondary=init_dense(secondary_key, shared, first) if first else None,
        secondary_binary=init_dense(jax.random.fold_in(key, 4), shared, second) if second else None,
    )


def _read_out(config: Config, params: NetworkParams, states: jax.Array) -> jax.Array:
    """What the heads get of the last layer, [T, B, D] -> [B, D]."""
    if params.attention is not None:
        return attention(params.attention, states)
    if config.layers.readout == "last":
        return last_state(states, config.layers.num_directions)
    return {"mean": mean_state, "max": max_state}[config.layers.readout](states)


def apply_network(
    config: Config, params: NetworkParams, inputs: jax.Array, key: jax.Array | None = None
) -> Outputs:
    """inputs [B, T, F] read segment by segment; `key` as in `Model`."""
    rate = config.layers.dropout
    states, hidden_states = layers.unroll(params.layers, inputs.swapaxes(0, 1), rate, key)
    shared = dropout(_read_out(config, params, states), rate, key, place=0)
    if params.relu is not None:
        shared = jax.nn.relu(dense(params.relu, shared))
    outputs = Outputs(logits=dense(params.output, shared), hidden_states=hidden_states)
    if params.secondary is None:
        return outputs
    secondary = dense(params.secondary, shared)
    if config.secondary == "binary":
        return outputs._replace(binary_logits=secondary)
    if params.secondary_binary is None:
        return outputs._replace(reconstruction=secondary)
    binary_logits = dense(params.secondary_binary, shared)
    return outputs._replace(reconstruction=secondary, binary_logits=binary_logits)
