"""Ensembles as Silla and Kaestner had them: any member, yes-no classifiers, weights by accuracy."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msd_jax import losses, networks, pooling
from msd_jax.batches import Batch
from msd_jax.config import POOLINGS, Config
from msd_jax.dataset import Songs
from msd_jax.decomposition import num_classifiers, pairs
from msd_jax.evaluation import evaluate
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import make_model, weights
from msd_jax.objective import objective
from msd_jax.optimiser import init_optimiser
from msd_jax.state import init_state
from msd_jax.step import train_step
from msd_jax.train import run_epoch

T, F, K, M, B = 6, 3, 3, 2, 9
KEY = jax.random.key(7)
HPARAMS = Hyperparams(learning_rate=0.01, l2=0.01, beta=2.0)


def config(**fields) -> Config:
    small = {"num_hidden": 4, "batch_size": B, "num_snippets": M}
    return Config(T, F, K, model="ensemble", **{**small, **fields})


def batch(seed: int, labels=None) -> Batch:
    """Songs of random numbers; by default of all genres."""
    inputs = jax.random.normal(jax.random.key(seed), (B, T, F))
    return Batch(inputs, jnp.arange(B) % K if labels is None else jnp.asarray(labels))


def songs_of(decomposition: str, classifier: int, labels) -> tuple[np.ndarray, np.ndarray]:
    """Which songs a classifier hears, and which of them it should say yes to, in Python."""
    labels = np.asarray(labels)
    if decomposition == "one_vs_all":
        return np.arange(len(labels)), labels == classifier
    first, second = pairs(K)[classifier]
    index = np.flatnonzero((labels == first) | (labels == second))
    return index, labels[index] == first


def of_network(tree, m: int, c: int):
    return jax.tree.map(lambda x: x[m, c], tree)


def error_alone(settings: Config, params, inputs, answers) -> jax.Array:
    """E of one classifier that hears nothing but its songs, written out."""
    apply = networks.apply_mlp if settings.member == "mlp" else networks.apply_network
    outputs = apply(settings, params, inputs)
    logits = outputs.logits[:, 0]
    total = -jnp.mean(jax.nn.log_sigmoid(jnp.where(answers, logits, -logits)))
    total += HPARAMS.l2 * losses.l2_penalty(weights(params))
    if settings.member == "lstm":
        total += HPARAMS.beta * jnp.mean(losses.norm_stabilizer(*outputs.hidden_states))
    return total


@pytest.mark.parametrize(
    ("member", "decomposition"), [("lstm", "round_robin"), ("mlp", "one_vs_all")]
)
def test_classifiers_trained_together_are_as_if_each_was_trained_alone(member, decomposition):
    """Two steps of Adam: the songs of other genres, snippets and classifiers leave no trace."""
    settings = config(member=member, decomposition=decomposition)
    start = make_model(settings).init(KEY)
    batches = [batch(0), batch(1, [0, 0, 1, 2, 2, 2, 1, 0, 1])]
    params, opt_state = start, init_optimiser(settings, start)
    step = jax.jit(functools.partial(train_step, settings))
    for songs in batches:
        params, opt_state, metrics = step(params, opt_state, HPARAMS, songs)
    adam = optax.adam(HPARAMS.learning_rate)
    value_and_grad = jax.jit(jax.value_and_grad(functools.partial(error_alone, settings)))
    errors = []
    for m in range(M):
        for c in range(num_classifiers(decomposition, K)):
            alone = of_network(start.members, m, c)
            state = adam.init(alone)
            for songs in batches:
                index, answers = songs_of(decomposition, c, songs.labels)
                snippet = songs.inputs[index, m * T // M : (m + 1) * T // M]
                error, grads = value_and_grad(alone, snippet, answers)
                updates, state = adam.update(grads, state)
                alone = optax.apply_updates(alone, updates)
            errors.append(error)
            chex.assert_trees_all_close(of_network(params.members, m, c), alone, atol=1e-5)
    np.testing.assert_allclose(metrics["loss"], np.mean(errors), rtol=1e-5)


def gradient(settings: Config, params, songs: Batch, hparams: Hyperparams):
    model = make_model(settings)
    value = lambda p: objective(model, p, hparams, songs.inputs, songs.labels)  # noqa: E731
    return jax.jit(jax.grad(value, has_aux=True))(params)


def test_songs_of_other_genres_give_a_pair_no_gradient():
    settings = config(decomposition="round_robin")
    params, songs = make_model(settings).init(KEY), batch(0)
    louder = songs._replace(inputs=jnp.where((songs.labels == 2)[:, None, None], 9, songs.inputs))
    (before, _), (after, _) = (gradient(settings, params, x, HPARAMS) for x in (songs, louder))
    for c, pair in enumerate(pairs(K)):
        if 2 in pair:
            assert (after.members.output.kernel[:, c] != before.members.output.kernel[:, c]).any()
        else:
            chex.assert_trees_all_equal(*(of_network(x.members, 0, c) for x in (before, after)))


def test_a_batch_without_a_pairs_songs_teaches_it_nothing():
    settings = config(decomposition="round_robin")
    params = make_model(settings).init(KEY)
    grads, report = gradient(settings, params, batch(0, [0] * B), HPARAMS.replace(l2=0.0))
    assert jnp.isfinite(report.loss)
    chex.assert_tree_all_finite(grads)
    of_the_pair = jax.tree.map(lambda x: x[:, 2], grads.members)  # genres 1 and 2
    assert all((x == 0).all() for x in jax.tree.leaves(of_the_pair))
    of_another = jax.tree.map(lambda x: x[:, 0], grads.members)
    assert any((x != 0).any() for x in jax.tree.leaves(of_another))


def test_members_that_are_mlps_start_and_speak_as_an_mlp_of_their_snippet():
    settings = config(member="mlp")
    alone = make_model(Config(T // M, F, K, model="mlp", num_hidden=4))
    params, inputs = make_model(settings).init(KEY), batch(0).inputs
    outputs = make_model(settings).apply(params, inputs)
    assert outputs.hidden_states is None
    for m, part in enumerate((inputs[:, : T // M], inputs[:, T // M :])):
        member = jax.tree.map(lambda x, m=m: x[m], params.members)
        said = alone.apply(member, part).logits
        np.testing.assert_allclose(outputs.logits[m], said, atol=1e-6)
        started = alone.init(jax.random.fold_in(KEY, m))
        chex.assert_trees_all_close(member, started, atol=1e-6)


def fading_songs(num_songs: int, seed: int) -> Songs:
    """Songs that tell their genre in the first segments and hardly in the last."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num_songs, dtype=np.int32) % K
    inputs = rng.standard_normal((num_songs, T, F)).astype(np.float32)
    inputs[:, :, 0] += labels[:, None] * np.linspace(2, 0, T, dtype=np.float32)
    return Songs(inputs, labels)


@functools.cache
def trained(settings: Config):
    """The validation songs, and state and metrics after each of eight epochs."""
    train, valid = fading_songs(64, 0), fading_songs(61, 1)
    epoch = jax.jit(functools.partial(run_epoch, settings))
    state, history = init_state(settings, KEY), []
    for _ in range(8):
        state, metrics = epoch(KEY, HPARAMS, state, train, valid)
        history.append((state, metrics))
    return valid, history


BY_ACCURACY = config(member="mlp", num_snippets=3, pooling="weighted_mean", pool_weights="accuracy")


def test_members_weigh_as_much_as_they_were_right_in_the_epoch_before():
    _, history = trained(BY_ACCURACY)
    for state, metrics in history:
        accuracies = np.array([metrics[f"valid_accuracy_member_{m}"] for m in (1, 2, 3)])
        assert len(set(accuracies)) > 1, "the weights would be equal ones by accident"
        for of_rule in state.params.pool_weights:
            np.testing.assert_allclose(
                jax.nn.softmax(of_rule), accuracies / accuracies.sum(), rtol=1e-5
            )
    (_, first), (_, second) = history[:2]
    gaps = [float(x["valid_loss_weighted_mean"] - x["valid_loss_mean"]) for x in (first, second)]
    assert abs(gaps[0]) < 1e-6, "the first epoch has equal weights"
    assert abs(gaps[1]) > 1e-3


def test_members_that_are_never_right_weigh_the_same():
    never = jax.nn.softmax(pooling.accuracy_weights(jnp.zeros(4)))
    np.testing.assert_allclose(never, [0.25] * 4, rtol=1e-6)
    one_is = jax.nn.softmax(pooling.accuracy_weights(jnp.array([0.0, 0.5, 0.0])))
    np.testing.assert_allclose(one_is, [0.0, 1.0, 0.0], atol=1e-6)


def test_the_best_parameters_keep_the_weights_that_they_were_judged_with():
    valid, history = trained(BY_ACCURACY)
    state, _ = history[-1]
    judge = jax.jit(functools.partial(evaluate, BY_ACCURACY))
    assert judge(state.best_params, valid)["accuracy"] == state.best_accuracy
    for rule, best in state.other_bests.items():
        assert judge(best.params, valid)[f"accuracy_{rule}"] == best.accuracy
    best = int(state.best_epoch)
    assert best > 1, "the weights would be equal ones by accident"
    before, after = history[best - 2][0].params, history[best - 1][0].params
    chex.assert_trees_all_equal(state.best_params.pool_weights, before.pool_weights)
    assert (state.best_params.pool_weights.mean != after.pool_weights.mean).any()
    chex.assert_trees_all_equal(state.best_params.members, after.members)


def test_members_do_not_feel_what_weighs_them():
    learnt = dataclasses.replace(BY_ACCURACY, pool_weights="learnt")
    ends = [trained(settings)[1][-1] for settings in (BY_ACCURACY, learnt)]
    chex.assert_trees_all_close(*(state.params.members for state, _ in ends), atol=1e-6)
    for rule in set(POOLINGS) - {"weighted_mean", "weighted_product"}:
        np.testing.assert_allclose(
            *(metrics[f"valid_loss_{rule}"] for _, metrics in ends), rtol=1e-5
        )


def test_learnt_weights_find_the_member_that_knows():
    settings = dataclasses.replace(BY_ACCURACY, pool_weights="learnt")
    _, history = trained(settings)
    for of_rule in history[-1][0].params.pool_weights:
        assert of_rule[0] > of_rule[2] + 0.05
