"""The recipe and the augmentation in training: what they change and what they leave."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msd_jax import losses, sweep
from msd_jax.augmentation import change
from msd_jax.batches import Batch, draw, take
from msd_jax.config import Augmentation, Config, Recipe
from msd_jax.devices import make_layout
from msd_jax.evaluation import evaluate
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import make_model, weights
from msd_jax.optimiser import init_optimiser
from msd_jax.predictor import predict
from msd_jax.state import init_state
from msd_jax.step import differentiate, prepare, train_step
from msd_jax.train import run_epoch
from tests import sweep_test
from tests.small import CONFIG, ENSEMBLE, make_songs
from tests.sweep_test import TRIALS, pick

KEY = jax.random.key(3)
TRAIN, VALID = make_songs(10), make_songs(7, seed=1)
RECIPE = Recipe(clip_norm=0.5, schedule="warmup_cosine", num_epochs=3, label_smoothing=0.1)
CHANGES = Augmentation(noise=0.3, feature_dropout=0.2, augmented_fraction=0.6, crop=4)
MLP, MULTITASK = (dataclasses.replace(CONFIG, model=model) for model in ("mlp", "multitask"))


def with_all(config: Config) -> Config:
    return dataclasses.replace(config, recipe=RECIPE, augmentation=CHANGES)


@pytest.mark.parametrize("config", [MLP, ENSEMBLE, MULTITASK], ids=lambda c: c.model)
def test_with_all_of_it_a_trial_has_the_same_bits_in_any_company_and_cut(config):
    """Five trials of different rates on two devices, two of them alone there, step by step."""
    together = sweep_test.train(with_all(config), TRIALS, 2)
    alone = [
        sweep_test.train(with_all(config), [TRIALS[index]], 2, cuts=(0, 1, 2)) for index in (1, 3)
    ]
    for index, trial in zip((1, 3), alone, strict=True):
        chex.assert_trees_all_equal(pick(together, index), pick(trial, 0))
    states, metrics = together
    assert (states.diverged == 0).all()
    chex.assert_tree_all_finite(metrics)


def batch_of(number: int) -> Batch:
    return take(TRAIN, jnp.arange(4 * number, 4 * number + 4))


def test_one_step_of_all_of_it_in_plain_steps():
    """The noisy window is read, the clean one rebuilt, smoothed labels are told, the gradient is
    clipped and Adam takes it.
    """
    config, batch = with_all(MULTITASK), batch_of(0)
    hparams = Hyperparams(learning_rate=0.01, l2=0.1, beta=2.0, alpha=3.0)
    params = make_model(config).init(KEY)
    _, songs_key = jax.random.split(KEY)
    noisy, clean = change(config, songs_key, batch.inputs)
    assert noisy.shape == clean.shape == (4, 4, 3)
    answers = 0.9 * np.eye(3)[batch.labels] + 0.1 / 3

    def error(params):
        outputs = make_model(MULTITASK).apply(params, noisy)
        surprise = -jnp.sum(answers * jax.nn.log_softmax(outputs.logits), axis=-1)
        rebuilt = outputs.reconstruction.reshape(clean.shape)
        return (
            jnp.mean(surprise)
            + 2.0 * jnp.mean(losses.norm_stabilizer(outputs.hidden_states[0]))
            + 0.1 * losses.l2_penalty(weights(params))
            + 3.0 * jnp.mean((rebuilt - clean) ** 2)
        )

    loss, grads = jax.value_and_grad(error)(params)
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(grads)))
    assert norm > 0.5, "nothing would be clipped"
    clipped = jax.tree.map(lambda leaf: leaf * 0.5 / norm, grads)
    adam = optax.adam(0.01)
    expected = optax.apply_updates(params, adam.update(clipped, adam.init(params))[0])

    opt_state = init_optimiser(config, params)
    step = jax.jit(functools.partial(train_step, config))
    actual, _, metrics = step(params, opt_state, hparams, batch, KEY)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    chex.assert_trees_all_close(actual, expected, atol=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "warmup_cosine"])
def test_a_scheduled_run_is_adam_under_optaxs_own_schedule(schedule):
    """3 epochs of 2 steps in a loop whose optimiser counts by itself; 6 steps have no warm-up."""
    config = dataclasses.replace(MLP, recipe=Recipe(schedule=schedule, num_epochs=3))
    state = init_state(config, KEY)
    params, optimiser = state.params, optax.adam(optax.cosine_decay_schedule(0.05, 6))
    opt_state = optimiser.init(params)
    run = jax.jit(lambda state: run_epoch(config, KEY, Hyperparams(0.05), state, TRAIN, VALID)[0])
    for epoch in range(3):
        order = draw(KEY, jnp.int32(epoch), 10).order
        for number in range(2):
            lesson = prepare(MLP, take(TRAIN, order[4 * number : 4 * number + 4]), None)
            grads, _ = differentiate(MLP, params, Hyperparams(), lesson)
            updates, opt_state = optimiser.update(grads, opt_state)
            params = optax.apply_updates(params, updates)
        state = run(state)
    chex.assert_trees_all_close(state.params, params, atol=1e-5)


def test_members_are_clipped_as_if_each_were_alone():
    """What another member's gradient is changes nothing of one's own step."""
    config = dataclasses.replace(ENSEMBLE, recipe=Recipe(clip_norm=0.1))
    params, batch = make_model(config).init(KEY), batch_of(0)
    step = jax.jit(functools.partial(train_step, config))
    opt_state = init_optimiser(config, params)
    wild = batch._replace(inputs=batch.inputs.at[:, 3:].multiply(100.0))  # the second snippet
    calm, _, _ = step(params, opt_state, Hyperparams(0.01), batch)
    other, _, _ = step(params, opt_state, Hyperparams(0.01), wild)
    chex.assert_trees_all_equal(pick(calm.members, 0), pick(other.members, 0))
    assert (calm.members.output.bias[1] != other.members.output.bias[1]).all()


def test_evaluation_reads_the_centre_without_noise_and_tells_the_true_likelihood():
    """As a plain network of 4 segments does on songs of which segments 1 to 4 are left."""
    config, plain = with_all(ENSEMBLE), dataclasses.replace(ENSEMBLE, num_segments=4)
    params = make_model(config).init(KEY)
    centre = VALID._replace(inputs=VALID.inputs[:, 1:5])
    chex.assert_trees_all_close(
        evaluate(config, params, VALID), evaluate(plain, params, centre), rtol=1e-6
    )
    trials = jax.tree.map(lambda x: x[None], params)
    said = predict(config, trials, VALID.inputs)
    expected = predict(plain, trials, centre.inputs)
    chex.assert_trees_all_close(said, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "config",
    [MLP, MULTITASK],
    ids=lambda config: config.model,
)
def test_what_is_off_changes_no_bit(config):
    """The step with a key is the step without one: nothing is drawn."""
    params, batch = make_model(config).init(KEY), batch_of(1)
    step = jax.jit(functools.partial(train_step, config))
    opt_state = init_optimiser(config, params)
    hparams = Hyperparams(learning_rate=0.01)
    chex.assert_trees_all_equal(
        step(params, opt_state, hparams, batch, KEY), step(params, opt_state, hparams, batch)
    )


def test_what_is_off_is_not_in_the_program():
    """Random bits are made by exclusive or, which no other part of a training program has."""

    def drawn(config: Config) -> bool:
        layout = make_layout(2, config.batch_size)
        songs = [sweep.share(songs, layout) for songs in (TRAIN, VALID)]
        return " xor(" in sweep.compile_programs(config, layout, *songs).train.as_text()

    assert not drawn(MLP)
    assert not drawn(dataclasses.replace(MLP, recipe=RECIPE))
    assert drawn(dataclasses.replace(MLP, augmentation=Augmentation(noise=0.1)))


def test_songs_change_from_step_to_step_and_seed_to_seed_but_not_between_grid_points():
    """All songs are one song and no rate moves a parameter, so that only the draws differ."""
    config = dataclasses.replace(CONFIG, augmentation=Augmentation(noise=1.0))
    same = TRAIN._replace(
        inputs=np.broadcast_to(TRAIN.inputs[:1], TRAIN.inputs.shape).copy(),
        labels=np.zeros_like(TRAIN.labels),
    )
    params = make_model(config).init(KEY)
    step = jax.jit(functools.partial(train_step, config))

    def loss(seed: int, number: int, l2: float = 0.0) -> float:
        draws = draw(jax.random.key(seed), jnp.int32(0), 10)
        key, hparams = jax.random.fold_in(draws.key, number), Hyperparams(1e-30, l2, 0.0)
        batch = take(same, jnp.arange(4))
        return float(step(params, init_optimiser(config, params), hparams, batch, key)[2]["loss"])

    assert len({loss(seed, number) for seed in (0, 1) for number in (0, 1)}) == 4
    penalty = float(losses.l2_penalty(weights(params)))
    assert loss(0, 0, l2=0.1) - loss(0, 0) == pytest.approx(0.1 * penalty, rel=1e-4)
