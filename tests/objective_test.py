"""E and its terms, the gradients that it gives, and what a model predicts."""

from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import losses, models
from msd_jax.batches import Batch
from msd_jax.config import POOLINGS
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import EnsembleParams, PoolWeights, weights
from msd_jax.objective import POOL_WEIGHTS_L2, network_terms, objective, predictions
from msd_jax.optimiser import init_optimiser
from msd_jax.step import train_step
from tests.models_test import KEY, B, F, T, config, make, songs

HPARAMS = Hyperparams(learning_rate=1e-3, l2=0.01, beta=2.0, alpha=0.5)


def evaluate(
    model: models.Model,
    params: models.Params,
    hparams: Hyperparams = HPARAMS,
    data=None,
):
    """The objective's loss and report, and the gradient of what a step differentiates."""
    inputs, labels = data or songs()

    @jax.jit
    def value_and_grad(params, hparams):
        value = lambda p: objective(model, p, hparams, inputs, labels)  # noqa: E731
        return jax.value_and_grad(value, has_aux=True)(params)

    (_, report), grads = value_and_grad(params, hparams)
    return report, grads


def test_a_members_gradient_is_that_of_its_own_error():
    """Not of the pooled prediction, nor of m2's weights: as if it were trained alone."""
    model, single = make(model="ensemble", num_snippets=2), make(model="baseline")
    params, (inputs, labels) = model.init(KEY), songs()
    _, grads = evaluate(model, params)
    for m, part in enumerate((inputs[:, :4], inputs[:, 4:])):
        member = jax.tree.map(lambda x, m=m: x[m], params.members)
        _, alone = evaluate(single, member, data=(part, labels))
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, m=m: x[m], grads.members), alone, atol=1e-6
        )


def test_m2_weights_learn_and_never_change_the_members():
    model = make(model="ensemble", num_snippets=2)
    params = model.init(KEY)
    tilted = params._replace(pool_weights=PoolWeights(*jnp.array([[1.0, -1.0], [0.5, 0.0]])))
    (_, grads), (_, tilted_grads) = evaluate(model, params), evaluate(model, tilted)
    for of_rule in grads.pool_weights:
        assert (of_rule != 0).all()
    assert (grads.pool_weights.mean != grads.pool_weights.product).any()
    chex.assert_trees_all_equal(grads.members, tilted_grads.members)


def test_joint_weights_change_the_members():
    """The code's m2: what the pooled error asks of the members comes to their own gradient."""
    joint, learnt = (make(model="ensemble", num_snippets=2, pool_weights=w)
                     for w in ("joint", "learnt"))  # fmt: skip
    params = joint.init(KEY)
    members = learnt.init(KEY).members
    chex.assert_trees_all_equal(params.members, members)
    np.testing.assert_array_equal(params.pool_weights.product, 1.0)
    inputs, labels = songs()

    def pooled_error(members):
        outputs = joint.apply(params._replace(members=members), inputs)
        # Weights of 1: the mean of the logits over two members.
        return jnp.mean(losses.cross_entropy(outputs.logits.mean(0), labels))

    (_, felt), (_, alone) = evaluate(joint, params), evaluate(learnt, learnt.init(KEY))
    extra = jax.grad(pooled_error)(members)
    chex.assert_trees_all_close(
        felt.members, jax.tree.map(jnp.add, alone.members, extra), atol=1e-6
    )
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(extra)) > 1e-3
    np.testing.assert_allclose(felt.pool_weights.mean, alone.pool_weights.mean, atol=1e-6)


@pytest.mark.parametrize("kind", ["learnt", "joint"])
def test_weights_of_snippets_have_an_l2_of_their_own(kind):
    """1e-3 times half the sum of squares (section 4.2): its gradient is the weights themselves."""
    model = make(model="ensemble", num_snippets=2, pool_weights=kind)
    tilt = jnp.array([1.0, -1.0])
    params = model.init(KEY)
    tilted = params._replace(pool_weights=params.pool_weights._replace(product=tilt))

    def gradient(l2_of_weights: float) -> jax.Array:
        with mock.patch("msd_jax.objective.POOL_WEIGHTS_L2", l2_of_weights):
            return evaluate(model, tilted)[1].pool_weights.product

    assert POOL_WEIGHTS_L2 == 1e-3
    np.testing.assert_allclose(gradient(1.0) - gradient(0.0), tilt, atol=1e-5)


def test_one_snippet_is_the_baseline():
    ensemble, baseline = (make(model=name) for name in ("ensemble", "baseline"))
    params, alone = ensemble.init(KEY), baseline.init(KEY)
    (one, grads), (other, alone_grads) = evaluate(ensemble, params), evaluate(baseline, alone)
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-6)
    chex.assert_trees_all_close(one.terms, other.terms, rtol=1e-6)
    for rule in set(POOLINGS) - {"vote"}:  # which hears no more than the likeliest genre
        np.testing.assert_allclose(one.predictions[rule], other.predictions["softmax"], atol=1e-6)
    members = jax.tree.map(lambda x: x[0], grads.members)
    chex.assert_trees_all_close(members, alone_grads, atol=1e-6)


def both_tasks_with(alpha: float, alpha_binary: float, binary_weights: str = "plain"):
    """Report and gradient of both tasks, trained from parameters of a key of the test's own."""
    model = make(model="multitask", secondary="both", binary_weights=binary_weights)
    hparams = HPARAMS.replace(alpha=alpha, alpha_binary=alpha_binary)
    return evaluate(model, model.init(KEY), hparams)


@pytest.mark.parametrize(
    ("secondary", "alphas"), [("autoencoder", (0.5, 0.0)), ("binary", (0.0, 0.5))]
)
def test_both_tasks_are_either_where_the_other_weighs_nothing(secondary, alphas):
    """With the same head; HPARAMS.alpha is 0.5."""
    _, both = both_tasks_with(*alphas)
    single = make(model="multitask", secondary=secondary)
    start = make(model="multitask", secondary="both").init(KEY)
    head = start.secondary if secondary == "autoencoder" else start.secondary_binary
    _, alone = evaluate(single, start._replace(secondary=head, secondary_binary=None))
    shared = lambda grads: (grads.layers, grads.output)  # noqa: E731
    chex.assert_trees_all_close(shared(both), shared(alone), atol=1e-7)
    ours = both.secondary if secondary == "autoencoder" else both.secondary_binary
    chex.assert_trees_all_close(ours, alone.secondary, atol=1e-7)


def test_both_tasks_add_up_in_the_loss():
    report, _ = both_tasks_with(0.5, 3.0)
    coefficients = {"cross_entropy": 1, "l2_penalty": 0.01, "norm_stabilizer": 2, "secondary": 0.5}
    coefficients["secondary_binary"] = 3.0
    assert report.terms.keys() == coefficients.keys()
    expected = sum(coefficients[name] * float(term) for name, term in report.terms.items())
    np.testing.assert_allclose(report.loss, expected, rtol=1e-6)


def test_balanced_binary_term_by_hand():
    """Two songs of genres 0 and 2 of three. sigmoid(log 3) = 3/4, sigmoid(0) = 1/2: song 0 says
    yes to its genre at 3/4 and no to the others at 1/2 and 1/4; song 1 says 1/2 throughout. A yes
    weighs 3/2, a no 3/4.
    """
    log2, log3 = np.log(2.0), np.log(3.0)
    binary_logits = jnp.array([[log3, 0.0, log3], [0.0, 0.0, 0.0]])
    outputs = models.Outputs(logits=jnp.zeros((2, 3)), binary_logits=binary_logits)
    term = lambda weights: network_terms(  # noqa: E731
        config("multitask", secondary="binary", binary_weights=weights),
        *({}, outputs, jnp.zeros((2, 1, 1)), jnp.array([0, 2])),
    )["secondary"]
    yes, noes = np.log(4 / 3), np.log(2.0) + np.log(4.0)
    np.testing.assert_allclose(term("plain"), (yes + noes + 3 * log2) / 2, rtol=1e-6)
    balanced = (1.5 * yes + 0.75 * noes + (1.5 + 2 * 0.75) * log2) / 2
    np.testing.assert_allclose(term("balanced"), balanced, rtol=1e-6)


def test_a_steps_binary_weights_are_the_configs():
    """What `train_step` logs is the term with the weights that its config names."""
    balanced = config("multitask", secondary="both", binary_weights="balanced")
    params = make(model="multitask", secondary="both").init(KEY)
    step = jax.jit(train_step, static_argnums=0)
    _, _, metrics = step(
        balanced, params, init_optimiser(balanced, params), HPARAMS, Batch(*songs())
    )
    report, _ = both_tasks_with(HPARAMS.alpha, 1.0, "balanced")
    plain, _ = both_tasks_with(HPARAMS.alpha, 1.0)
    np.testing.assert_allclose(metrics["loss"], report.loss, rtol=1e-6)
    assert abs(plain.loss - report.loss) > 0.01


@pytest.mark.parametrize("secondary", ["autoencoder", "binary"])
def test_alpha_zero_gives_the_baselines_gradient_on_what_they_share(secondary):
    hparams = HPARAMS.replace(alpha=0.0)
    multitask, baseline = (
        make(model="multitask", secondary=secondary),
        make(model="baseline"),
    )
    _, both = evaluate(multitask, multitask.init(KEY), hparams)
    _, alone = evaluate(baseline, baseline.init(KEY), hparams)
    chex.assert_trees_all_close((both.layers, both.output), (alone.layers, alone.output), atol=1e-7)
    _, weighted = evaluate(multitask, multitask.init(KEY), HPARAMS)
    kernels = [grads.layers[0].forward.kernel for grads in (weighted, alone)]
    assert not jnp.allclose(*kernels, atol=1e-6)


@pytest.mark.parametrize("fields", [{"model": "multitask"}, {"model": "baseline", "head": "relu"}])
def test_loss_is_the_weighted_sum_of_its_terms(fields):
    model = make(**fields)
    report, _ = evaluate(model, model.init(KEY))
    coefficients = {"cross_entropy": 1, "l2_penalty": 0.01, "norm_stabilizer": 2, "secondary": 0.5}
    expected = sum(coefficients[name] * float(term) for name, term in report.terms.items())
    np.testing.assert_allclose(report.loss, expected, rtol=1e-6)
    assert ("secondary" in report.terms) == (fields["model"] == "multitask")


def test_l2_falls_on_kernels_alone():
    params = make(model="baseline", head="relu").init(KEY)
    shapes = sorted(w.shape for w in weights(params))
    assert shapes == [(6, 4), (6, 6), (9, 24)]
    # Of an ensemble those of its members, each with an axis of two, and not its weights [2].
    members = make(model="ensemble", num_snippets=2).init(KEY).members
    assert sorted(w.shape for w in weights(members)) == [(2, 6, 4), (2, 9, 24)]


def test_autoencoder_error_is_the_mean_over_elements():
    model = make(model="multitask")
    params, (inputs, _) = model.init(KEY), songs()
    outputs = model.apply(params, inputs)
    report, _ = evaluate(model, params)
    expected = np.mean((np.asarray(outputs.reconstruction).reshape(B, T, F) - inputs) ** 2)
    np.testing.assert_allclose(report.terms["secondary"], expected, rtol=1e-6)


def test_predictions_are_distributions():
    ensemble = {"model": "ensemble", "num_snippets": 4}
    decomposed = [{**ensemble, "decomposition": name} for name in ("one_vs_all", "round_robin")]
    for fields in ({"model": "mlp"}, ensemble, *decomposed):
        model = make(**fields)
        params = model.init(KEY)
        rules = predictions(model.config, params, model.apply(params, songs()[0]))
        assert set(rules) == (set(POOLINGS) if isinstance(params, EnsembleParams) else {"softmax"})
        for log_probs in rules.values():
            np.testing.assert_allclose(jnp.exp(log_probs).sum(-1), np.ones(B), rtol=1e-5)
