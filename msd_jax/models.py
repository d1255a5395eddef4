"""The report's networks as pairs of pure functions: init(key) and apply(params, inputs)."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from msd_jax import lstm
from msd_jax.config import Config
from msd_jax.lstm import LSTMParams
from msd_jax.snippets import snippets


class DenseParams(NamedTuple):
    """kernel [inputs, outputs], bias [outputs]."""

    kernel: jax.Array
    bias: jax.Array


class MLPParams(NamedTuple):
    """Two hidden layers and the output layer."""

    first: DenseParams
    second: DenseParams
    output: DenseParams


class NetworkParams(NamedTuple):
    """One LSTM with its heads; `relu` and `secondary` are None where the model has none."""

    lstm: LSTMParams
    relu: DenseParams | None
    output: DenseParams
    secondary: DenseParams | None


class EnsembleParams(NamedTuple):
    """members: NetworkParams with a leading axis M; pool_weights [M]: m2's, see `weighted_pool`."""

    members: NetworkParams
    pool_weights: jax.Array


Params = MLPParams | NetworkParams | EnsembleParams


class Outputs(NamedTuple):
    """What a network says of a batch; an ensemble's arrays have a leading axis M.

    logits [B, K]; hidden_states [T, B, H] (None: no LSTM); reconstruction [B, T*F] or binary_logits
    [B, K] where there is such a secondary task.
    """

    logits: jax.Array
    hidden_states: jax.Array | None = None
    reconstruction: jax.Array | None = None
    binary_logits: jax.Array | None = None


class Model(NamedTuple):
    """init: key -> params. apply: params, inputs [B, T, F] -> Outputs."""

    init: Callable[[jax.Array], Any]
    apply: Callable[[Any, jax.Array], Outputs]


def init_dense(key: jax.Array, num_inputs: int, num_outputs: int) -> DenseParams:
    """Truncated normal kernel, std 2 / sqrt(inputs + outputs) cut at two std, and zero bias."""
    stddev = 2.0 / (num_inputs + num_outputs) ** 0.5
    kernel = jax.nn.initializers.truncated_normal(stddev)(key, (num_inputs, num_outputs))
    return DenseParams(kernel, jnp.zeros(num_outputs))


def dense(params: DenseParams, inputs: jax.Array) -> jax.Array:
    """inputs [B, I] -> [B, O]."""
    return inputs @ params.kernel + params.bias[None]


def weights(params: Any) -> list[jax.Array]:
    """The kernels of a tree of parameters: what an L2 penalty falls on, biases left out."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [leaf for path, leaf in leaves if path[-1].name == "kernel"]


def num_params(params: Any) -> int:
    """How many numbers are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _init_mlp(config: Config, key: jax.Array) -> MLPParams:
    num_inputs = config.num_segments * config.num_features
    sizes = (num_inputs, config.num_hidden, config.num_hidden, config.num_genres)
    keys = jax.random.split(key, 3)
    return MLPParams(*map(init_dense, keys, sizes[:-1], sizes[1:]))


def _apply_mlp(params: MLPParams, inputs: jax.Array) -> Outputs:
    hidden = jax.nn.relu(dense(params.first, inputs.reshape(inputs.shape[0], -1)))
    return Outputs(logits=dense(params.output, jax.nn.relu(dense(params.second, hidden))))


def _init_network(config: Config, key: jax.Array) -> NetworkParams:
    """One LSTM; the same key gives the same shared layers whatever heads stand on them."""
    lstm_key, relu_key, output_key, secondary_key = jax.random.split(key, 4)
    num_hidden = config.num_hidden
    secondary_sizes = {
        "autoencoder": config.num_segments * config.num_features,
        "binary": config.num_genres,
    }
    return NetworkParams(
        lstm=lstm.init(lstm_key, config.num_features, num_hidden),
        relu=init_dense(relu_key, num_hidden, num_hidden) if config.head == "relu" else None,
        output=init_dense(output_key, num_hidden, config.num_genres),
        secondary=init_dense(secondary_key, num_hidden, secondary_sizes[config.secondary])
        if config.model == "multitask"
        else None,
    )


def _apply_network(config: Config, params: NetworkParams, inputs: jax.Array) -> Outputs:
    hidden_states = lstm.unroll(params.lstm, inputs.swapaxes(0, 1))
    shared = hidden_states[-1]
    if params.relu is not None:
        shared = jax.nn.relu(dense(params.relu, shared))
    outputs = Outputs(logits=dense(params.output, shared), hidden_states=hidden_states)
    if params.secondary is None:
        return outputs
    if config.secondary == "autoencoder":
        return outputs._replace(reconstruction=dense(params.secondary, shared))
    return outputs._replace(binary_logits=dense(params.secondary, shared))


def _init_first_member(config: Config, key: jax.Array) -> NetworkParams:
    return _init_network(config, jax.random.fold_in(key, 0))


def _init_ensemble(config: Config, key: jax.Array) -> EnsembleParams:
    """Member 0 starts as the baseline of the same key, so that one snippet is the baseline."""
    member_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(config.num_snippets))
    members = jax.vmap(functools.partial(_init_network, config))(member_keys)
    return EnsembleParams(members, jnp.zeros(config.num_snippets))


def _apply_ensemble(config: Config, params: EnsembleParams, inputs: jax.Array) -> Outputs:
    apply_member = functools.partial(_apply_network, config)
    return jax.vmap(apply_member)(params.members, snippets(inputs, config.num_snippets))


def make_model(config: Config) -> Model:
    """The model that `config` names."""
    if config.model == "mlp":
        return Model(functools.partial(_init_mlp, config), _apply_mlp)
    if config.model == "ensemble":
        return Model(
            functools.partial(_init_ensemble, config), functools.partial(_apply_ensemble, config)
        )
    return Model(
        functools.partial(_init_first_member, config), functools.partial(_apply_network, config)
    )
