"""Where a number stopped being finite: the step that a diverged trial did not take, looked into."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from msd_jax.batches import Draws, draw, num_batches, num_steps, take
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.evaluation import song_metrics
from msd_jax.hyperparams import Hyperparams
from msd_jax.models import make_model
from msd_jax.optimiser import make_optimiser, scheduled
from msd_jax.state import TrainState
from msd_jax.step import differentiate, prepare

_PARTS = (
    "network's output",
    "term",
    "loss",
    "gradient of",
    "Adam's step of",
    "new parameter",
)


def _not_finite(tree: Any) -> list[str]:
    """One phrase for each leaf that is not all finite."""
    phrases = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        values = np.asarray(leaf)
        bad = ~np.isfinite(values)
        if bad.any():
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            which = f"is {values}" if bad.ndim == 0 else f"in {bad.sum():,} of {bad.size:,} numbers"
            phrases.append(f"{name} {which}".strip())
    return phrases


def _diagnose_step(
    config: Config, draws: Draws, hparams: Hyperparams, state: TrainState, train: Songs
) -> str:
    """The step after the good ones, part by part in the order that a step computes them in."""
    first = int(state.step) * config.batch_size
    batch = take(train, draws.order[first : first + config.batch_size])
    key = jax.random.fold_in(draws.key, state.step)
    now = scheduled(config, hparams, state.epoch, state.step, num_steps(config, len(train.labels)))

    @jax.jit
    def parts(params: Any, opt_state: Any) -> tuple:
        lesson = prepare(config, batch, key)
        grads, report = differentiate(config, params, now, lesson)
        updates, _ = make_optimiser(config, now).update(grads, opt_state, params)
        outputs = make_model(config).apply(params, lesson.songs.inputs, lesson.key)
        stepped = optax.apply_updates(params, updates)
        return outputs, report.terms, report.loss, grads, updates, stepped

    for what, part in zip(_PARTS, parts(state.params, state.opt_state), strict=True):
        found = _not_finite(part)
        if found:
            return f"training step {int(state.step) + 1}: {what} {', '.join(found)}"
    return f"training step {int(state.step) + 1}: nothing, computed one trial at a time"


def _diagnose_validation(config: Config, state: TrainState, valid: Songs) -> str:
    """The first song whose metrics are not finite."""
    model, num_songs = make_model(config), len(valid.labels)

    @jax.jit
    def measure(index: jax.Array) -> dict[str, jax.Array]:
        batch = take(valid, index)
        return song_metrics(
            config, state.params, model.apply(state.params, batch.inputs), batch.labels
        )

    for number in range(num_batches(config, num_songs)):
        index = number * config.batch_size + jnp.arange(config.batch_size)
        for name, values in measure(jnp.minimum(index, num_songs - 1)).items():
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                return f"validation: {name} of song {index[bad[0]]} is {values[bad[0]]}"
    return "validation: nothing in any single song, so in the sum over songs"


def diagnose(
    config: Config,
    key: jax.Array,
    hparams: Hyperparams,
    state: TrainState,
    train: Songs,
    valid: Songs,
) -> str:
    """Where the epoch of a diverged trial met its first number that is not finite, in words.

    Args:
      config: of the model.
      key: the trial's.
      hparams: the trial's, [] each.
      state: the trial's last finite one, in which `train_steps` or `end_epoch` left it.
      train: songs.
      valid: songs.
    """
    if int(state.step) == num_steps(config, len(train.labels)):
        return f"epoch {int(state.diverged)}, {_diagnose_validation(config, state, valid)}"
    draws = draw(key, state.epoch, len(train.labels))
    step = _diagnose_step(config, draws, hparams, state, train)
    return f"epoch {int(state.diverged)}, {step}"
