"""The report's models as pairs of pure functions: init(key) and apply(params, inputs, key)."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from msd_jax.augmentation import central_crop
from msd_jax.config import Config
from msd_jax.decomposition import genre_log_probs, num_classifiers
from msd_jax.networks import (
    MLPParams,
    NetworkParams,
    Outputs,
    apply_mlp,
    apply_network,
    init_mlp,
    init_network,
)
from msd_jax.snippets import snippets


class PoolWeights(NamedTuple):
    """Of the rules weighted_mean and weighted_product, [M] each; theta is their softmax, but joint
    weights of weighted_product are taken as they are.
    """

    mean: jax.Array
    product: jax.Array


class EnsembleParams(NamedTuple):
    """members: a network's parameters with a leading axis M, or axes M and C where classifiers
    answer the questions of a decomposition; pool_weights: see `PoolWeights`.
    """

    members: NetworkParams | MLPParams
    pool_weights: PoolWeights


Params = MLPParams | NetworkParams | EnsembleParams


class Init(Protocol):
    """See `Model`."""

    def __call__(self, key: jax.Array) -> Any:
        """The parameters that training starts with."""


class Apply(Protocol):
    """See `Model`."""

    def __call__(self, params: Any, inputs: jax.Array, key: jax.Array | None = None) -> Outputs:
        """What the network says of inputs [B, T, F]."""


class Model(NamedTuple):
    """init: key -> params. apply: params, inputs [B, T, F], key -> Outputs. config: it is of.

    The key is what a training step draws from, where the model has something to draw; without one
    the model answers as in evaluation. Of songs longer than the network it reads the centre.
    """

    init: Init
    apply: Apply
    config: Config


def weights(params: Any) -> list[jax.Array]:
    """The kernels of a tree of parameters: what an L2 penalty falls on, biases left out."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [leaf for path, leaf in leaves if path[-1].name == "kernel"]


def num_params(params: Any) -> int:
    """How many numbers are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _init_first_member(config: Config, key: jax.Array) -> NetworkParams:
    return init_network(config, jax.random.fold_in(key, 0))


def _apply_first_member(
    config: Config, params: NetworkParams, inputs: jax.Array, key: jax.Array | None = None
) -> Outputs:
    return apply_network(
        config, params, inputs, None if key is None else jax.random.fold_in(key, 0)
    )


def _keys(key: jax.Array, count: int) -> jax.Array:
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))


_MEMBERS: dict[str, tuple[Callable, Callable]] = {
    "lstm": (init_network, apply_network),
    "mlp": (init_mlp, apply_mlp),
}


def _init_member(config: Config, key: jax.Array) -> NetworkParams | MLPParams:
    """One network, or one with an axis C for the classifiers of a decomposition."""
    init = functools.partial(_MEMBERS[config.member][0], config)
    if config.decomposition == "none":
        return init(key)
    return jax.vmap(init)(_keys(key, num_classifiers(config.decomposition, config.num_genres)))


def _apply_member(
    config: Config, params: Any, inputs: jax.Array, key: jax.Array | None = None
) -> Outputs:
    """What a member says of its snippets [B, T, F]."""
    apply = functools.partial(_MEMBERS[config.member][1], config)
    if config.decomposition == "none":
        return apply(params, inputs, key)
    count = num_classifiers(config.decomposition, config.num_genres)
    keys = None if key is None else _keys(key, count)
    outputs = jax.vmap(apply, (0, None, 0))(params, inputs, keys)
    said = outputs.logits[..., 0]
    log_probs = genre_log_probs(config.decomposition, said, config.num_genres)
    return Outputs(log_probs, outputs.hidden_states, classifier_logits=said)


def _init_ensemble(config: Config, key: jax.Array) -> EnsembleParams:
    """Member 0 starts and draws as the baseline of the same key, so that one snippet is that."""
    member_keys = _keys(key, config.num_snippets)
    members = jax.vmap(functools.partial(_init_member, config))(member_keys)
    mean, product = jnp.zeros((2, config.num_snippets))
    if config.pool_weights == "joint":
        product = jnp.ones_like(product)  # equal weights, as zeros are where a softmax follows
    return EnsembleParams(members, PoolWeights(mean, product))


def _apply_ensemble(
    config: Config, params: EnsembleParams, inputs: jax.Array, key: jax.Array | None = None
) -> Outputs:
    keys = None if key is None else _keys(key, config.num_snippets)
    apply_member = functools.partial(_apply_member, config)
    arguments = params.members, snippets(inputs, config.num_snippets), keys
    if config.num_snippets > 1:
        return jax.vmap(apply_member)(*arguments)
    # Mapped over one member, XLA would copy what `lstm.unroll` saves at every segment.
    outputs = apply_member(*jax.tree.map(lambda x: x[0], arguments))
    return jax.tree.map(lambda x: x[None], outputs)


def make_model(config: Config) -> Model:
    """The model that `config` names."""
    networks: dict[str, tuple[Callable, Callable]] = {
        "mlp": (init_mlp, apply_mlp),
        "baseline": (_init_first_member, _apply_first_member),
        "ensemble": (_init_ensemble, _apply_ensemble),
        "multitask": (_init_first_member, _apply_first_member),
    }
    init, apply = networks[config.model]

    def apply_to_centre(params: Any, inputs: jax.Array, key: jax.Array | None = None) -> Outputs:
        return apply(config, params, central_crop(config, inputs), key)

    return Model(functools.partial(init, config), apply_to_centre, config)
