"""Many trials: each is what it would be alone, to the bit."""

import functools

import chex
import jax
import numpy as np
import pytest

from msd_jax import sweep
from msd_jax.sweep import Trial
from tests.small import CONFIG, ENSEMBLE, make_songs

TRAIN, VALID = make_songs(10), make_songs(7, seed=1)
TRIALS = [
    Trial(seed=1, learning_rate=0.01, beta=0.0),
    Trial(seed=1, learning_rate=0.02, beta=1.0),
    Trial(seed=2, learning_rate=0.01, beta=1.0, l2=0.1),
    Trial(seed=3, learning_rate=0.03),
    Trial(seed=4, learning_rate=0.03),
]


make_epoch = functools.cache(sweep.make_epoch)


def train(config, trials, num_devices, num_epochs=3):
    """Host states and metrics of the last epoch, [R, ...]."""
    mesh = sweep.make_mesh(jax.devices()[:num_devices])
    train, valid = (sweep.share(songs, mesh) for songs in (TRAIN, VALID))
    keys, hparams = sweep.place_trials(trials, mesh)
    states = sweep.init_trials(config, keys, len(trials), mesh)
    epoch = make_epoch(config, mesh)
    for _ in range(num_epochs):
        states, metrics = epoch(states, keys, hparams, train, valid)
    return sweep.to_host((states, metrics), len(trials))


def pick(tree, index):
    return jax.tree.map(lambda x: x[index], tree)


@pytest.mark.parametrize("config", [CONFIG, ENSEMBLE], ids=lambda config: config.model)
@pytest.mark.parametrize("num_devices", [1, 2])
def test_a_trial_in_a_sweep_is_the_trial_alone(config, num_devices):
    together = train(config, TRIALS, num_devices)
    for index in (0, 2, 4):
        alone = train(config, [TRIALS[index]], num_devices)
        chex.assert_trees_all_equal(pick(together, index), pick(alone, 0))


def test_results_do_not_depend_on_devices_or_order():
    reverse = train(CONFIG, TRIALS[::-1], 1)
    chex.assert_trees_all_equal(train(CONFIG, TRIALS, 2), pick(reverse, slice(None, None, -1)))


def test_seeds_and_every_hyperparameter_make_a_difference():
    base = Trial(seed=1, learning_rate=0.01, beta=1.0, l2=0.1)
    others = [
        base._replace(**{name: value})
        for name, value in (("seed", 2), ("learning_rate", 0.02), ("l2", 0.0), ("beta", 2.0))
    ]
    states, _ = train(CONFIG, [base, *others], 2)
    kernels = states.params.lstm.kernel
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
    mesh = sweep.make_mesh()
    keys, hparams = sweep.place_trials(TRIALS, mesh)
    states = sweep.init_trials(CONFIG, keys, len(TRIALS), mesh)
    epoch = sweep.make_epoch(CONFIG, mesh, trials_per_call=3)
    songs = (sweep.share(songs, mesh) for songs in (TRAIN, VALID))
    batched, _ = epoch(states, keys, hparams, *songs)
    single, _ = train(CONFIG, TRIALS, 2, num_epochs=1)
    batched = sweep.to_host(batched, len(TRIALS))
    chex.assert_trees_all_close(batched.params, single.params, atol=1e-5)


def test_the_grid_is_full_with_the_seeds_of_a_point_side_by_side():
    trials = sweep.grid([7, 8], beta=[0.0, 100.0], l2=[0.5])
    assert [(t.seed, t.beta, t.l2) for t in trials] == [
        (7, 0.0, 0.5),
        (8, 0.0, 0.5),
        (7, 100.0, 0.5),
        (8, 100.0, 0.5),
    ]


def test_padding_is_stopped_and_goes_away():
    mesh = sweep.make_mesh()
    keys, _ = sweep.place_trials(TRIALS, mesh)
    states = sweep.init_trials(CONFIG, keys, len(TRIALS), mesh)
    np.testing.assert_array_equal(states.stopped, [False] * 5 + [True])
    again = sweep.place_states(sweep.to_host(states, 5), mesh)
    np.testing.assert_array_equal(again.stopped, states.stopped)
    chex.assert_trees_all_equal(sweep.to_host(again, 5), sweep.to_host(states, 5))


def test_the_test_program_evaluates_the_best_parameters():
    """After one epoch they are the parameters that the epoch validated."""
    mesh = sweep.make_mesh()
    keys, hparams = sweep.place_trials(TRIALS, mesh)
    songs = [sweep.share(songs, mesh) for songs in (TRAIN, VALID)]
    states = sweep.init_trials(CONFIG, keys, len(TRIALS), mesh)
    states, expected = make_epoch(CONFIG, mesh)(states, keys, hparams, *songs)
    metrics = sweep.make_test(CONFIG, mesh)(states.best_params, songs[1])
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(metrics[name][:5], expected[f"valid_{name}"][:5], rtol=1e-6)
