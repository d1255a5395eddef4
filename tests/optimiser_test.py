"""Clipping and schedules, by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msd_jax.config import Config, Recipe
from msd_jax.errors import InputError
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import EnsembleParams, make_model
from msd_jax.optimiser import clip, init_optimiser, make_optimiser, scheduled

CLIPPED = Config(6, 3, 3, recipe=Recipe(clip_norm=1.0))


def test_a_gradient_of_norm_5_is_clipped_to_1_and_a_short_one_left():
    """3-4-5: (3, 0) and (4) are 5 long together, so each becomes a fifth of itself."""
    long = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    expected = {"a": jnp.array([0.6, 0.0]), "b": jnp.array([[0.8]])}
    chex.assert_trees_all_close(clip(CLIPPED, long), expected, rtol=1e-6)
    short = jax.tree.map(lambda x: x / 10, long)
    chex.assert_trees_all_equal(clip(CLIPPED, short), short)


def test_each_member_of_an_ensemble_is_clipped_by_its_own_norm():
    """Norms 5, 0.5 and 13 of three members; the weights of their pooling stay as they are."""
    members = {"a": jnp.array([[3.0], [0.3], [5.0]]), "b": jnp.array([[4.0], [0.4], [12.0]])}
    grads = EnsembleParams(members, jnp.array([6.0, 8.0, 0.0]))
    expected = EnsembleParams(
        {"a": jnp.array([[0.6], [0.3], [5 / 13]]), "b": jnp.array([[0.8], [0.4], [12 / 13]])},
        jnp.array([6.0, 8.0, 0.0]),
    )
    chex.assert_trees_all_close(clip(CLIPPED, grads), expected, rtol=1e-6)


def test_a_gradient_that_is_not_finite_stays_so():
    """A trial that diverges must be seen to, see `train_steps`."""
    for bad in (jnp.nan, jnp.inf):
        clipped = clip(CLIPPED, {"a": jnp.array([1.0, bad])})
        assert not np.isfinite(clipped["a"]).all()


def test_the_first_clipped_step_is_adams_on_the_clipped_gradient():
    """After a step on g Adam's first moment is 0.1 g, its second 0.001 g^2."""
    params = jnp.array([1.0, 2.0])
    optimiser = make_optimiser(CLIPPED, Hyperparams(learning_rate=0.01))
    _, opt_state = optimiser.update(jnp.array([3.0, 4.0]), init_optimiser(CLIPPED, params), params)
    (adam,) = (x for x in jax.tree.leaves(opt_state, is_leaf=_is_adam) if _is_adam(x))
    chex.assert_trees_all_close(adam.mu, jnp.array([0.06, 0.08]), rtol=1e-5)
    chex.assert_trees_all_close(adam.nu, jnp.array([0.36e-3, 0.64e-3]), rtol=1e-5)


def _is_adam(x) -> bool:
    return isinstance(x, optax.ScaleByAdamState)


def test_without_a_recipe_the_optimiser_is_adam_and_no_more():
    config = Config(6, 3, 3, num_hidden=4)
    params = make_model(config).init(jax.random.key(0))
    chex.assert_trees_all_equal(init_optimiser(config, params), optax.adam(1.0).init(params))
    hparams = Hyperparams(learning_rate=jnp.float32(0.01))
    assert scheduled(config, hparams, jnp.int32(3), jnp.int32(1), 10) is hparams


def rates(schedule: str, num_epochs: int, epoch_steps: int, learning_rate: float) -> np.ndarray:
    """The learning rate of every step of a run."""
    config = Config(6, 3, 3, recipe=Recipe(schedule=schedule, num_epochs=num_epochs))

    @jax.jit
    def rate(learning_rate, epoch, step):
        hparams = Hyperparams(learning_rate=learning_rate)
        return scheduled(config, hparams, epoch, step, epoch_steps).learning_rate

    return np.array(
        [rate(learning_rate, e, s) for e in range(num_epochs) for s in range(epoch_steps)]
    )


def test_cosine_by_hand():
    """12 steps of 2 epochs: (1 + cos(pi i / 12)) / 2 at i = 0, 4, 6, 8 is 1, 3/4, 1/2, 1/4."""
    actual = rates("cosine", 2, 6, learning_rate=0.2)
    np.testing.assert_allclose(actual[[0, 4, 6, 8]], [0.2, 0.15, 0.1, 0.05], rtol=1e-6)
    assert (np.diff(actual) < 0).all()
    assert actual[-1] > 0, "the last step would be none"


def test_warmup_by_hand():
    """40 steps: 4 of warm-up to 1/5, 2/5, 3/5, 4/5, then 1 and down over 36: 3/4 after 12 of them,
    1/2 after 18, 1/4 after 24.
    """
    actual = rates("warmup_cosine", 4, 10, learning_rate=1.0)
    np.testing.assert_allclose(actual[:5], [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    np.testing.assert_allclose(actual[[16, 22, 28]], [0.75, 0.5, 0.25], rtol=1e-6)
    assert (np.diff(actual[4:]) < 0).all()


def test_a_run_too_short_to_warm_up_begins_at_its_rate():
    np.testing.assert_allclose(
        rates("warmup_cosine", 3, 3, 0.1), rates("cosine", 3, 3, 0.1), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"clip_norm": float("inf")}, "clip_norm is inf"),
        ({"schedule": "step", "num_epochs": 3}, "schedule is 'step': use one of constant, cosine"),
        ({"schedule": "cosine"}, "made for 0 epochs: it needs at least 1"),
        ({"num_epochs": 3}, "schedule is constant and made for 3 epochs"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0: .* below 1"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Recipe(**options)
