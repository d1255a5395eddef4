"""Many trials: each is what it would be alone, to the bit."""

import functools
import itertools

import chex
import jax
import numpy as np
import pytest

from msd_jax import sweep
from msd_jax.config import POOLINGS
from msd_jax.devices import make_layout, to_host
from msd_jax.held_out import make_predict, predict_batches
from msd_jax.metrics import correct, negative_log_likelihood
from msd_jax.models import make_model, num_params
from msd_jax.sweep import Trial
from tests.small import CONFIG, DROPOUT, ENSEMBLE, make_songs

TRAIN, VALID = make_songs(10), make_songs(7, seed=1)
TRIALS = [
    Trial(seed=1, learning_rate=0.01, beta=0.0),
    Trial(seed=1, learning_rate=0.02, beta=1.0),
    Trial(seed=2, learning_rate=0.01, beta=1.0, l2=0.1),
    Trial(seed=3, learning_rate=0.03),
    Trial(seed=4, learning_rate=0.03),
]


make_programs = functools.cache(sweep.make_programs)
NUM_STEPS, NUM_BATCHES = 2, 2  # of 10 and 7 songs in batches of 4


def run_epoch(programs, states, keys, hparams, train, valid, cuts=(0, NUM_STEPS)):
    """An epoch whose training steps are cut there."""
    draws = programs.draw(keys, states.epoch)
    for first, last in itertools.pairwise(cuts):
        states = programs.train(states, draws, hparams, train, np.int32(first), np.int32(last))
    states = programs.validate(states, valid, np.int32(0), np.int32(NUM_BATCHES))
    return programs.end(states)


def train(config, trials, num_devices, num_epochs=3, cuts=(0, NUM_STEPS)):
    """Host states and metrics of the last epoch, [R, ...]."""
    devices = jax.devices()[:num_devices]
    layout = make_layout(len(trials), config.batch_size, devices, allow_split=False)
    songs = [sweep.share(songs, layout) for songs in (TRAIN, VALID)]
    keys, hparams = sweep.place_inputs(trials, layout)
    states = sweep.init_trials(config, keys, len(trials), layout)
    programs = make_programs(config, layout, 10, 7)
    for _ in range(num_epochs):
        states, metrics = run_epoch(programs, states, keys, hparams, *songs, cuts)
    return to_host((states, metrics), len(trials))


def predict(config, layout, states, songs, num_trials):
    """Log-probabilities [R, N, K] by rule."""
    batches = list(predict_batches(config, layout, states, songs, num_trials))
    return {rule: np.concatenate([b[rule] for b in batches], axis=1) for rule in batches[0]}


def pick(tree, index):
    return jax.tree.map(lambda x: x[index], tree)


@pytest.mark.parametrize(
    ("config", "num_devices"),
    [(CONFIG, 1), (CONFIG, 2), (ENSEMBLE, 1), (ENSEMBLE, 2), (DROPOUT, 2)],
    ids=["baseline-1", "baseline-2", "ensemble-1", "ensemble-2", "dropout-2"],
)
def test_a_trial_in_a_sweep_is_the_trial_alone(config, num_devices):
    together = train(config, TRIALS, num_devices)
    for index in (0, 2, 4):
        alone = train(config, [TRIALS[index]], num_devices)
        chex.assert_trees_all_equal(pick(together, index), pick(alone, 0))


def test_results_do_not_depend_on_devices_or_order():
    reverse = train(CONFIG, TRIALS[::-1], 1)
    chex.assert_trees_all_equal(train(CONFIG, TRIALS, 2), pick(reverse, slice(None, None, -1)))


def test_bits_do_not_depend_on_the_cuts():
    whole = train(CONFIG, TRIALS, 2)
    chex.assert_trees_all_equal(train(CONFIG, TRIALS, 2, cuts=(0, 1, 2)), whole)


def test_seeds_and_every_hyperparameter_make_a_difference():
    base = Trial(seed=1, learning_rate=0.01, beta=1.0, l2=0.1)
    others = [
        base._replace(**{name: value})
        for name, value in (("seed", 2), ("learning_rate", 0.02), ("l2", 0.0), ("beta", 2.0))
    ]
    states, _ = train(CONFIG, [base, *others], 2)
    kernels = states.params.layers[0].forward.kernel
    for index in range(1, 5):
        assert np.abs(kernels[index] - kernels[0]).max() > 1e-6


def test_a_diverging_neighbour_changes_no_bit():
    calm = train(CONFIG, TRIALS, 2)
    wild = [*TRIALS[:2], TRIALS[2]._replace(learning_rate=float("inf")), *TRIALS[3:]]
    states, metrics = train(CONFIG, wild, 2)
    np.testing.assert_array_equal(states.diverged, [0, 0, 1, 0, 0])
    for index in (0, 1, 3, 4):
        chex.assert_trees_all_equal(pick((states, metrics), index), pick(calm, index))


def test_batched_trials_agree_with_single_ones():
    """As an accelerator takes them: all at once, equal to rounding."""
    layout = make_layout(len(TRIALS), CONFIG.batch_size)._replace(trials_per_call=3)
    keys, hparams = sweep.place_inputs(TRIALS, layout)
    states = sweep.init_trials(CONFIG, keys, len(TRIALS), layout)
    songs = (sweep.share(songs, layout) for songs in (TRAIN, VALID))
    programs = sweep.make_programs(CONFIG, layout, 10, 7)
    batched, _ = run_epoch(programs, states, keys, hparams, *songs)
    single, _ = train(CONFIG, TRIALS, 2, num_epochs=1)
    chex.assert_trees_all_close(to_host(batched, 5).params, single.params, atol=1e-5)


@pytest.mark.parametrize("config", [CONFIG, DROPOUT], ids=["default", "dropout"])
def test_one_trial_alone_divides_its_batches_and_agrees_to_rounding(config):
    layout = make_layout(1, config.batch_size)
    assert layout.split_batch
    assert layout.size == 1
    keys, hparams = sweep.place_inputs(TRIALS[:1], layout)
    states = sweep.init_trials(config, keys, 1, layout)
    songs = [sweep.share(songs, layout) for songs in (TRAIN, VALID)]
    programs = sweep.compile_programs(config, layout, *songs)
    states, metrics = run_epoch(programs, states, keys, hparams, *songs)
    whole = train(config, TRIALS[:1], 1, num_epochs=1)
    chex.assert_trees_all_close(to_host((states, metrics), 1), whole, atol=1e-5)
    (log_probs,) = predict(config, layout, states, songs[1], 1)["softmax"]
    loss = negative_log_likelihood(log_probs, VALID.labels)
    np.testing.assert_allclose(loss, metrics["valid_loss"][0], rtol=1e-5)


def test_batches_that_the_devices_do_not_divide_stay_whole():
    assert not make_layout(1, 7).split_batch
    assert not make_layout(2, 4).split_batch
    assert not make_layout(1, 4, jax.devices()[:1]).split_batch


def test_more_memory_holds_more_trials_and_the_least_is_one_a_device():
    layout = make_layout(2, CONFIG.batch_size)
    songs = [sweep.share(songs, layout) for songs in (TRAIN, VALID)]
    state_bytes = 4 * 4 * num_params(make_model(CONFIG).init(jax.random.key(0)))
    fit = [sweep.trials_that_fit(CONFIG, *songs, budget) for budget in (0, 10**6, 2 * 10**6)]
    assert fit[0] == 2
    # On each of two devices a trial holds its state once and a program's copy at least.
    assert 2 < fit[1] <= 2 * 10**6 / state_bytes
    assert fit[2] - fit[1] == pytest.approx(fit[1], rel=0.2)


def test_chunks_of_one_layout_share_their_programs():
    layout = make_layout(2, CONFIG.batch_size)
    for chunk in (TRIALS[:2], TRIALS[2:4], TRIALS[4:]):
        keys, _ = sweep.place_inputs(chunk, layout)
        states = sweep.init_trials(CONFIG, keys, len(chunk), layout)
        predict(CONFIG, layout, states, sweep.share(VALID, layout), len(chunk))
    assert make_predict(CONFIG, make_layout(2, CONFIG.batch_size))._cache_size() == 1
    assert sweep._make_init(CONFIG, layout)._cache_size() == 1


def test_the_grid_is_full_with_the_seeds_of_a_point_side_by_side():
    trials = sweep.grid([7, 8], beta=[0.0, 100.0], l2=[0.5])
    assert [(t.seed, t.beta, t.l2) for t in trials] == [
        (7, 0.0, 0.5),
        (8, 0.0, 0.5),
        (7, 100.0, 0.5),
        (8, 100.0, 0.5),
    ]


def test_padding_is_stopped_and_goes_away():
    layout = make_layout(len(TRIALS), CONFIG.batch_size)
    keys, _ = sweep.place_inputs(TRIALS, layout)
    states = sweep.init_trials(CONFIG, keys, len(TRIALS), layout)
    np.testing.assert_array_equal(states.stopped, [False] * 5 + [True])
    again = sweep.place_states(to_host(states, 5), layout)
    np.testing.assert_array_equal(again.stopped, states.stopped)
    chex.assert_trees_all_equal(to_host(again, 5), to_host(states, 5))


@pytest.mark.parametrize("config", [CONFIG, ENSEMBLE], ids=lambda config: config.model)
def test_predictions_are_those_of_the_best_parameters(config):
    """Of every rule, those of the first epoch of its best accuracy, as that epoch validated them.

    7 songs in batches of 4: each is there once.
    """
    layout = make_layout(len(TRIALS), config.batch_size)
    keys, hparams = sweep.place_inputs(TRIALS, layout)
    songs = [sweep.share(songs, layout) for songs in (TRAIN, VALID)]
    states = sweep.init_trials(config, keys, len(TRIALS), layout)
    programs = make_programs(config, layout, 10, 7)
    epochs = []
    for _ in range(10):
        states, metrics = run_epoch(programs, states, keys, hparams, *songs)
        epochs.append(to_host(metrics, 5))
    log_probs = predict(config, layout, states, songs[1], 5)
    assert len(log_probs) == (len(POOLINGS) if config is ENSEMBLE else 1)
    all_best = []
    for rule, x in log_probs.items():
        assert x.shape == (5, 7, 3)
        suffix = f"_{rule}" if config is ENSEMBLE else ""
        accuracies = np.stack([epoch[f"valid_accuracy{suffix}"] for epoch in epochs])
        losses = np.stack([epoch[f"valid_loss{suffix}"] for epoch in epochs])
        best, trials = accuracies.argmax(axis=0), np.arange(5)
        accuracy = correct(x, VALID.labels).mean(axis=1)
        np.testing.assert_allclose(accuracy, accuracies[best, trials], rtol=1e-6)
        loss = negative_log_likelihood(x, VALID.labels)
        np.testing.assert_allclose(loss, losses[best, trials], rtol=1e-5)
        all_best.append(tuple(best))
    # Nothing here tells the best epoch from the last, or a rule from another, unless they differ.
    assert any(best < len(epochs) - 1 for best in all_best[0])
    assert config is CONFIG or len(set(all_best)) > 1
