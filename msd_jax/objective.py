"""E, the training error, put together from its terms, and what a model predicts.

    E = cross_entropy + beta norm_stabilizer + l2 l2_penalty + alpha secondary
        + alpha_binary secondary_binary

(section 5 of the report, with the penalties of section 2.1; the last term where there are both
secondary tasks). Here the means over songs are taken.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from msd_jax import losses, pooling
from msd_jax.config import POOLINGS, Config
from msd_jax.decomposition import masked_mean, questions
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import EnsembleParams, Model, Params, weights
from msd_jax.networks import MLPParams, NetworkParams, Outputs

POOL_WEIGHTS_L2 = 1e-3  # the report's lambda for m2, section 4.2

Terms = dict[str, jax.Array]


class Objective(NamedTuple):
    """loss []: E; terms: its parts before their coefficients; predictions: see `predictions`.

    An ensemble's loss and terms are means over its networks, each of which minimises its own E.
    """

    loss: jax.Array
    terms: Terms
    predictions: dict[str, jax.Array]


def _stabiliser(
    hidden_states: Sequence[jax.Array], over_songs: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    """The sum of the activation stabilisers [] of every layer and direction."""
    penalties = (over_songs(losses.norm_stabilizer(states)) for states in hidden_states)
    return sum(penalties, start=jnp.zeros(()))


def _binary_term(logits: jax.Array, labels: jax.Array, binary_weights: str) -> jax.Array:
    """The sum over genres of the cross-entropies of their questions, averaged over songs."""
    per_genre = losses.binary_cross_entropy(logits, labels)
    if binary_weights == "balanced":
        per_genre = losses.balanced_answers(labels, logits.shape[-1]) * per_genre
    return jnp.mean(jnp.sum(per_genre, axis=-1))


def network_terms(
    config: Config,
    params: Params,
    outputs: Outputs,
    targets: jax.Array,
    labels: jax.Array,
) -> Terms:
    """The terms of E of one network on a batch, each []; only those that the model has.

    The labels of the cross-entropy may be smoothed. The secondary term of the autoencoder is the
    mean over elements of the squared error from `targets`; that of the binary tasks see
    `_binary_term`. With both, the latter is called secondary_binary.
    """
    terms = {
        "cross_entropy": jnp.mean(
            losses.cross_entropy(outputs.logits, labels, config.recipe.label_smoothing)
        ),
        "l2_penalty": losses.l2_penalty(weights(params)),
    }
    if outputs.hidden_states is not None:
        terms["norm_stabilizer"] = _stabiliser(outputs.hidden_states, jnp.mean)
    if outputs.reconstruction is not None:
        targets = targets.reshape(outputs.reconstruction.shape)
        terms["secondary"] = jnp.mean(losses.squared_error(outputs.reconstruction, targets))
    if outputs.binary_logits is not None:
        name = "secondary" if outputs.reconstruction is None else "secondary_binary"
        terms[name] = _binary_term(outputs.binary_logits, labels, config.binary_weights)
    return terms


def classifier_terms(
    params: NetworkParams | MLPParams,
    logits: jax.Array,
    hidden_states: Sequence[jax.Array] | None,
    answers: jax.Array,
    asked: jax.Array,
) -> Terms:
    """The terms of E of one classifier on a batch, each [], over the songs that it is asked of.

    Args:
      params: of the classifier.
      logits: [B].
      hidden_states: [T, B, H] for each layer and direction, None without an LSTM.
      answers: bool [B].
      asked: bool [B]; a batch without a song that is asked of has no error.
    """
    terms = {
        "cross_entropy": masked_mean(losses.yes_no_cross_entropy(logits, answers), asked),
        "l2_penalty": losses.l2_penalty(weights(params)),
    }
    if hidden_states is not None:
        terms["norm_stabilizer"] = _stabiliser(hidden_states, lambda x: masked_mean(x, asked))
    return terms


def _ensemble_terms(
    model: Model,
    params: EnsembleParams,
    outputs: Outputs,
    targets: jax.Array,
    labels: jax.Array,
) -> Terms:
    """The terms of E of every network, in one axis: [M], or [M*C] for classifiers."""
    if outputs.classifier_logits is None:
        of_members = jax.vmap(functools.partial(network_terms, model.config), (0, 0, None, None))
        return of_members(params.members, outputs, targets, labels)
    decomposition, num_genres = model.config.decomposition, model.config.num_genres
    answers, asked = questions(decomposition, labels, num_genres)
    of_classifiers = jax.vmap(jax.vmap(classifier_terms), (0, 0, 0, None, None))
    terms = of_classifiers(
        params.members, outputs.classifier_logits, outputs.hidden_states, answers, asked
    )
    return jax.tree.map(jnp.ravel, terms)


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


def _weighted_product(config: Config) -> Callable[[jax.Array, jax.Array], jax.Array]:
    joint = config.pool_weights == "joint"
    return pooling.joint_pool if joint else pooling.weighted_product_pool


def predictions(config: Config, params: Params, outputs: Outputs) -> dict[str, jax.Array]:
    """Log-probabilities [B, K] by rule: every pooling of an ensemble, else just "softmax"."""
    log_probs = jax.nn.log_softmax(outputs.logits)
    if not isinstance(params, EnsembleParams):
        return {"softmax": log_probs}
    mean_weights, product_weights = params.pool_weights
    return {
        "vote": pooling.vote_pool(log_probs),
        "max": pooling.max_pool(log_probs),
        "mean": pooling.mean_pool(log_probs),
        "product": pooling.product_pool(log_probs),
        "weighted_mean": pooling.weighted_mean_pool(log_probs, mean_weights),
        "weighted_product": _weighted_product(config)(log_probs, product_weights),
    }


def prediction_rule(config: Config) -> str:
    """Which of `predictions` counts as the model's own."""
    return config.pooling if config.model == "ensemble" else "softmax"


def other_rules(config: Config) -> tuple[str, ...]:
    """The rules of an ensemble that are logged and do not choose its epoch."""
    others = tuple(rule for rule in POOLINGS if rule != config.pooling)
    return others if config.model == "ensemble" else ()


def _pool_loss(
    model: Model, params: EnsembleParams, outputs: Outputs, labels: jax.Array
) -> jax.Array:
    """What learnt weights of both weighted rules minimise; the members feel nothing of it, but for
    the product's where it is learnt jointly.
    """
    if model.config.pool_weights == "accuracy":
        return jnp.zeros(())
    log_probs = jax.nn.log_softmax(outputs.logits)
    members = jax.lax.stop_gradient(log_probs)
    mean_weights, product_weights = params.pool_weights
    mean = pooling.weighted_mean_pool(members, mean_weights)
    felt = log_probs if model.config.pool_weights == "joint" else members
    product = _weighted_product(model.config)(felt, product_weights)
    errors = (jnp.mean(losses.cross_entropy(pooled, labels)) for pooled in (mean, product))
    return sum(errors, start=POOL_WEIGHTS_L2 * losses.l2_penalty(params.pool_weights))


def objective(
    model: Model,
    params: Params,
    hparams: Hyperparams,
    inputs: jax.Array,
    labels: jax.Array,
    key: jax.Array | None = None,
    targets: jax.Array | None = None,
) -> tuple[jax.Array, Objective]:
    """What a training step differentiates, and what it reports.

    Args:
      model: from `make_model`.
      params: of the model.
      hparams: scalars.
      inputs: [B, T, F].
      labels: [B].
      key: what the step draws from, see `Model`.
      targets: [B, T, F], what an autoencoder rebuilds; by default the inputs.

    Returns:
      [], whose gradient with respect to each network's parameters is that of the network's own E
      (where pool weights are joint, of the pooled error too), and with respect to learnt pool
      weights that of their own loss; and the Objective.
    """
    outputs = model.apply(params, inputs, key)
    log_probs = predictions(model.config, params, outputs)
    targets = inputs if targets is None else targets
    if not isinstance(params, EnsembleParams):
        terms = network_terms(model.config, params, outputs, targets, labels)
        loss = weigh(terms, hparams)
        return loss, Objective(loss, terms, log_probs)
    all_terms = _ensemble_terms(model, params, outputs, targets, labels)
    all_losses = jax.vmap(weigh, (0, None))(all_terms, hparams)
    terms = jax.tree.map(jnp.mean, all_terms)
    total = jnp.sum(all_losses) + _pool_loss(model, params, outputs, labels)
    return total, Objective(jnp.mean(all_losses), terms, log_probs)
