"""E, the training error, put together from its terms, and what a model predicts.

    E = cross_entropy + beta norm_stabilizer + l2 l2_penalty + alpha secondary
        + alpha_binary secondary_binary

(section 5 of the report, with the penalties of section 2.1; the last term where there are both
secondary tasks). Here the means over songs are taken.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from msd_jax import losses, pooling
from msd_jax.config import POOLINGS, Config
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import EnsembleParams, Model, Outputs, Params, weights

POOL_WEIGHTS_L2 = 1e-3  # the report's lambda for m2, section 4.2

Terms = dict[str, jax.Array]


class Objective(NamedTuple):
    """loss []: E; terms: its parts before their coefficients; predictions: see `predictions`.

    An ensemble's loss and terms are means over its members, each of which minimises its own E.
    """

    loss: jax.Array
    terms: Terms
    predictions: dict[str, jax.Array]


def _binary_term(logits: jax.Array, labels: jax.Array, binary_weights: str) -> jax.Array:
    """The sum over genres of the cross-entropies of their questions, averaged over songs."""
    per_genre = losses.binary_cross_entropy(logits, labels)
    if binary_weights == "balanced":
        per_genre = losses.balanced_answers(labels, logits.shape[-1]) * per_genre
    return jnp.mean(jnp.sum(per_genre, axis=-1))


def network_terms(
    params: Params,
    outputs: Outputs,
    inputs: jax.Array,
    labels: jax.Array,
    binary_weights: str = "plain",
) -> Terms:
    """The terms of E of one network on a batch, each []; only those that the model has.

    The activation stabiliser is the sum of those of every layer and direction.
    The secondary term of the autoencoder is the mean over elements of the squared error; that of
    the binary tasks see `_binary_term`. With both, the latter is called secondary_binary.
    """
    terms = {
        "cross_entropy": jnp.mean(losses.cross_entropy(outputs.logits, labels)),
        "l2_penalty": losses.l2_penalty(weights(params)),
    }
    if outputs.hidden_states is not None:
        penalties = [jnp.mean(losses.norm_stabilizer(states)) for states in outputs.hidden_states]
        terms["norm_stabilizer"] = sum(penalties, start=jnp.zeros(()))
    if outputs.reconstruction is not None:
        targets = inputs.reshape(outputs.reconstruction.shape)
        terms["secondary"] = jnp.mean(losses.squared_error(outputs.reconstruction, targets))
    if outputs.binary_logits is not None:
        name = "secondary" if outputs.reconstruction is None else "secondary_binary"
        terms[name] = _binary_term(outputs.binary_logits, labels, binary_weights)
    return terms


def weigh(terms: Terms, hparams: Hyperparams) -> jax.Array:
    """E of a network from its terms."""
    coefficients = {
        "cross_entropy": 1.0,
        "l2_penalty": hparams.l2,
        "norm_stabilizer": hparams.beta,
        "secondary": hparams.alpha,
        "secondary_binary": hparams.alpha_binary,
    }
    return sum((coefficients[name] * term for name, term in terms.items()), start=jnp.zeros(()))


def predictions(params: Params, outputs: Outputs) -> dict[str, jax.Array]:
    """Log-probabilities [B, K] by rule: every pooling of an ensemble, else just "softmax"."""
    log_probs = jax.nn.log_softmax(outputs.logits)
    if not isinstance(params, EnsembleParams):
        return {"softmax": log_probs}
    return {
        "mean": pooling.mean_pool(log_probs),
        "product": pooling.product_pool(log_probs),
        "weighted": pooling.weighted_pool(log_probs, params.pool_weights),
    }


def prediction_rule(config: Config) -> str:
    """Which of `predictions` counts as the model's own."""
    return config.pooling if config.model == "ensemble" else "softmax"


def other_rules(config: Config) -> tuple[str, ...]:
    """The rules of an ensemble that are logged and do not choose its epoch."""
    others = tuple(rule for rule in POOLINGS if rule != config.pooling)
    return others if config.model == "ensemble" else ()


def _pool_loss(params: EnsembleParams, outputs: Outputs, labels: jax.Array) -> jax.Array:
    """What m2's weights minimise; the members do not feel it."""
    log_probs = jax.lax.stop_gradient(jax.nn.log_softmax(outputs.logits))
    pooled = pooling.weighted_pool(log_probs, params.pool_weights)
    penalty = losses.l2_penalty(params.pool_weights)
    return jnp.mean(losses.cross_entropy(pooled, labels)) + POOL_WEIGHTS_L2 * penalty


def objective(
    model: Model,
    params: Params,
    hparams: Hyperparams,
    inputs: jax.Array,
    labels: jax.Array,
    key: jax.Array | None = None,
    binary_weights: str = "plain",
) -> tuple[jax.Array, Objective]:
    """What a training step differentiates, and what it reports.

    Args:
      model: from `make_model`.
      params: of the model.
      hparams: scalars.
      inputs: [B, T, F].
      labels: [B].
      key: what the step draws from, see `Model`.
      binary_weights: see `Config`.

    Returns:
      [], whose gradient with respect to each member's parameters is that of the member's own E,
      and with respect to the pool weights that of their own loss; and the Objective.
    """
    outputs = model.apply(params, inputs, key)
    log_probs = predictions(params, outputs)
    if not isinstance(params, EnsembleParams):
        terms = network_terms(params, outputs, inputs, labels, binary_weights)
        loss = weigh(terms, hparams)
        return loss, Objective(loss, terms, log_probs)
    member_terms = jax.vmap(network_terms, (0, 0, None, None))(
        params.members, outputs, inputs, labels
    )
    member_losses = jax.vmap(weigh, (0, None))(member_terms, hparams)
    terms = jax.tree.map(jnp.mean, member_terms)
    total = jnp.sum(member_losses) + _pool_loss(params, outputs, labels)
    return total, Objective(jnp.mean(member_losses), terms, log_probs)
