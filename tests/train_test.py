"""A trial: its batches, its evaluation, its best epoch, its end."""

import dataclasses
import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import losses
from msd_jax.batches import draw, take
from msd_jax.config import POOLINGS, Config
from msd_jax.dataset import Songs
from msd_jax.evaluation import evaluate
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import make_model
from msd_jax.state import TrainState, init_state
from msd_jax.step import train_step
from msd_jax.train import end_epoch, run_epoch, train_steps, validate_batches
from tests.small import CONFIG, DROPOUT, ENSEMBLE, make_songs

KEY = jax.random.key(3)
TRAIN, VALID = make_songs(10), make_songs(7, seed=1)
STILL = Hyperparams(learning_rate=1e-30)  # changes no parameter, so no accuracy
QUICK = Hyperparams(learning_rate=0.01)


@functools.partial(jax.jit, static_argnums=0)
def epoch_of(config: Config, state: TrainState, hparams: Hyperparams):
    return run_epoch(config, KEY, hparams, state, TRAIN, VALID)


def test_a_shuffle_is_an_order_of_all_songs_given_by_key_and_epoch():
    orders = {(k, e): draw(jax.random.key(k), e, 50).order for k in (0, 1) for e in (0, 1)}
    for order in orders.values():
        np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert len({tuple(order.tolist()) for order in orders.values()}) == 4
    np.testing.assert_array_equal(orders[0, 0], draw(jax.random.key(0), 0, 50).order)


def test_songs_beyond_the_last_full_batch_come_again():
    used = [set(draw(KEY, epoch, 10).order[:8].tolist()) for epoch in range(10)]
    assert all(len(songs) == 8 for songs in used)
    assert set.union(*used) == set(range(10))


def test_an_epoch_is_its_steps_in_the_shuffled_order():
    """10 songs in batches of 4: two steps, in a Python loop."""
    state = init_state(CONFIG, KEY)
    actual, metrics = epoch_of(CONFIG, state, QUICK)
    order = draw(KEY, jnp.int32(0), 10).order
    params, opt_state = state.params, state.opt_state
    step = jax.jit(functools.partial(train_step, CONFIG))
    steps = []
    for index in (order[:4], order[4:8]):
        params, opt_state, step_metrics = step(params, opt_state, QUICK, take(TRAIN, index))
        steps.append(step_metrics)
    chex.assert_trees_all_close(actual.params, params, atol=1e-6)
    chex.assert_trees_all_close(actual.opt_state, opt_state, atol=1e-6)
    for name in steps[0]:
        mean = np.mean([step_metrics[name] for step_metrics in steps])
        np.testing.assert_allclose(metrics[f"train_{name}"], mean, rtol=1e-5)
    expected = jax.jit(functools.partial(evaluate, CONFIG))(params, VALID)
    for name in expected:
        np.testing.assert_allclose(metrics[f"valid_{name}"], expected[name], rtol=1e-5)
    assert (actual.epoch, actual.step) == (1, 0)


@pytest.mark.parametrize(
    "config", [CONFIG, ENSEMBLE, DROPOUT], ids=["baseline", "ensemble", "dropout"]
)
def test_bits_do_not_depend_on_how_an_epoch_is_cut(config):
    """30 songs in batches of 4 are 7 steps, 13 validation songs 4 batches."""
    train, valid = make_songs(30), make_songs(13, seed=1)
    draws = draw(KEY, jnp.int32(0), 30)

    @jax.jit
    def steps(state: TrainState, first: jax.Array, last: jax.Array) -> TrainState:
        return train_steps(config, draws, QUICK, state, train, first, last)

    @jax.jit
    def batches(state: TrainState, first: jax.Array, last: jax.Array) -> TrainState:
        return validate_batches(config, state, valid, first, last)

    def epoch(step_cuts: list[int], batch_cuts: list[int]):
        state = init_state(config, KEY)
        for first, last in itertools.pairwise([0, *step_cuts, 7]):
            state = steps(state, first, last)
            assert state.step == last
        for first, last in itertools.pairwise([0, *batch_cuts, 4]):
            state = batches(state, first, last)
        return end_epoch(config, state, 30, 13)

    whole = epoch([], [])
    chex.assert_trees_all_equal(epoch([1], [3]), whole)
    chex.assert_trees_all_equal(epoch([1, 2, 3, 4, 5, 6], [1, 2, 3]), whole)
    chex.assert_trees_all_equal(epoch([0, 3, 3], [0, 4]), whole)  # calls that do nothing


@pytest.mark.parametrize("batch_size", [1, 4, 7, 50])
def test_evaluation_counts_every_song_once_whatever_the_batch(batch_size):
    config = Config(6, 3, 3, num_hidden=5, batch_size=batch_size)
    params = init_state(config, KEY).params
    logits = make_model(config).apply(params, jnp.asarray(VALID.inputs)).logits
    expected = {
        "loss": np.mean(losses.cross_entropy(logits, jnp.asarray(VALID.labels))),
        "accuracy": np.mean(np.argmax(logits, axis=-1) == VALID.labels),
    }
    actual = jax.jit(functools.partial(evaluate, config))(params, VALID)
    chex.assert_trees_all_close(actual, expected, rtol=1e-5)


def test_an_ensemble_is_evaluated_under_every_rule_and_its_own_stands_out():
    params = init_state(ENSEMBLE, KEY).params
    metrics = jax.jit(functools.partial(evaluate, ENSEMBLE))(params, VALID)
    rules = {f"{what}_{rule}" for what in ("loss", "accuracy") for rule in POOLINGS}
    errors = {"report_error_mean", "report_error_product"}
    members = {"accuracy_member_1", "accuracy_member_2"}
    assert set(metrics) == {"loss", "accuracy"} | rules | errors | members
    assert metrics["loss"] == metrics["loss_product"] != metrics["loss_mean"]


def test_half_precision_songs_train_to_the_same_bits():
    """Songs are kept as they are on disk; float16 to float32 is exact."""
    halves = TRAIN._replace(inputs=TRAIN.inputs.astype(np.float16))
    whole = TRAIN._replace(inputs=halves.inputs.astype(np.float32))
    run = jax.jit(functools.partial(run_epoch, CONFIG))
    state = init_state(CONFIG, KEY)
    chex.assert_trees_all_equal(
        *(run(KEY, QUICK, state, songs, VALID)[0] for songs in (halves, whole))
    )


def test_best_parameters_are_those_of_the_earliest_best_epoch():
    state, accuracies, params = init_state(CONFIG, KEY), [], []
    for _ in range(12):
        state, metrics = epoch_of(CONFIG, state, QUICK)
        accuracies.append(float(metrics["valid_accuracy"]))
        params.append(state.params)
    best = int(np.argmax(accuracies))
    assert best < 11, "the last epoch's parameters would be the best ones by accident"
    assert state.best_epoch == best + 1
    assert state.best_accuracy == np.float32(max(accuracies))
    chex.assert_trees_all_equal(state.best_params, params[best])


def test_every_rule_of_an_ensemble_has_its_own_best_epoch():
    """One training serves all six: each is judged where it was best."""
    hparams = Hyperparams(learning_rate=0.05, beta=0.0)
    state, accuracies, params = init_state(ENSEMBLE, KEY), [], []
    for _ in range(12):
        state, metrics = epoch_of(ENSEMBLE, state, hparams)
        accuracies.append({rule: float(metrics[f"valid_accuracy_{rule}"]) for rule in POOLINGS})
        params.append(state.params)
    assert state.other_bests.keys() == set(POOLINGS) - {"product"}
    epochs = {rule: int(np.argmax([a[rule] for a in accuracies])) for rule in POOLINGS}
    assert len(set(epochs.values())) > 1, "the rules would be best in the same epoch by accident"
    assert state.best_epoch == epochs["product"] + 1
    for rule, best in state.other_bests.items():
        assert best.epoch == epochs[rule] + 1
        assert best.accuracy == np.float32(accuracies[epochs[rule]][rule])
        chex.assert_trees_all_equal(best.params, params[epochs[rule]])


@pytest.mark.parametrize(("patience", "expected"), [(0, 5), (1, 2), (3, 4)])
def test_patience_counts_epochs_without_a_better_accuracy(patience, expected):
    """Nothing changes, so epoch 1 is the best and 1 + patience the last; 0 never stops."""
    config = Config(6, 3, 3, num_hidden=5, batch_size=4, patience=patience)
    state = init_state(config, KEY)
    for _ in range(5):
        state, _ = epoch_of(config, state, STILL)
    assert (state.epoch, state.best_epoch) == (expected, 1)
    assert state.stopped == (patience > 0)


def test_a_stopped_trial_stays_as_it_is():
    state = init_state(CONFIG, KEY).replace(stopped=jnp.bool_(True))
    after, metrics = epoch_of(CONFIG, state, QUICK)
    chex.assert_trees_all_equal(after, state)
    assert all(np.isnan(x) for x in metrics.values())


def test_a_trial_that_diverges_is_frozen_at_its_last_finite_state():
    good, _ = epoch_of(CONFIG, init_state(CONFIG, KEY), QUICK)
    bad, metrics = epoch_of(CONFIG, good, QUICK.replace(learning_rate=jnp.inf))
    assert bad.diverged == 2
    assert bad.stopped
    assert all(np.isnan(x) for x in metrics.values())
    as_good = bad.replace(diverged=good.diverged, stopped=good.stopped)
    chex.assert_trees_all_equal(as_good, good)


def test_a_trial_stops_before_the_step_that_is_not_finite():
    """The song of the third step, a batch of its own, is too large for its loss."""
    config = dataclasses.replace(CONFIG, batch_size=1, model="multitask")
    draws = draw(KEY, jnp.int32(0), 10)
    inputs = TRAIN.inputs.copy()
    inputs[draws.order[2]] = 1e30  # finite, its square is not
    train = Songs(inputs, TRAIN.labels)
    steps = jax.jit(functools.partial(train_steps, config))
    start = init_state(config, KEY)
    two = steps(draws, QUICK, start, train, 0, 2)
    all_ten = steps(draws, QUICK, start, train, 0, 10)
    assert (two.stopped, two.step) == (False, 2)
    assert (all_ten.stopped, all_ten.step, all_ten.diverged) == (True, 2, 1)
    as_two = all_ten.replace(diverged=two.diverged, stopped=two.stopped)
    chex.assert_trees_all_equal(as_two, two)


def test_a_trial_whose_validation_alone_is_not_finite_diverges_after_its_last_step():
    bad = VALID._replace(inputs=np.where(np.arange(7)[:, None, None] == 3, np.inf, VALID.inputs))
    config = dataclasses.replace(CONFIG, model="mlp")
    state, metrics = run_epoch(config, KEY, QUICK, init_state(config, KEY), TRAIN, bad)
    assert (state.stopped, state.diverged, state.epoch, state.step) == (True, 1, 0, 2)
    assert np.isfinite(metrics["train_loss"])
    assert not np.isfinite(metrics["valid_loss"])
    assert state.best_epoch == 0


def test_the_epoch_is_traced_once_for_all_epochs_and_hyperparameters():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def epoch(state: TrainState, hparams: Hyperparams):
        return run_epoch(CONFIG, KEY, hparams, state, TRAIN, VALID)

    state = init_state(CONFIG, KEY)
    for beta in (0.0, 50.0, 100.0):
        hparams = Hyperparams(*(jnp.float32(x) for x in (1e-3, 0.0, beta, 1.0)))
        state, _ = epoch(state, hparams)
    assert state.epoch == 3


def test_training_learns_what_there_is_to_learn():
    """The label shows in every segment of one feature: 60 epochs leave little doubt."""
    state = init_state(CONFIG, KEY)
    for _ in range(60):
        state, metrics = epoch_of(CONFIG, state, Hyperparams(learning_rate=0.03, beta=0.0))
    assert metrics["train_accuracy"] >= 0.9
    assert metrics["train_loss"] < 0.5 < np.log(3)
