"""How gradients become steps."""

from typing import Any

import optax

from msd_jax.config import Config
from msd_jax.hyperparams import Hyperparams


def make_optimiser(config: Config, hparams: Hyperparams) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015) at the trial's learning rate.

    Args:
      config: of the model.
      hparams: the trial's, [] each.
    """
    return optax.adam(hparams.learning_rate)


def init_optimiser(config: Config, params: Any) -> optax.OptState:
    """Its state before the first step, which no hyperparameter changes."""
    return make_optimiser(config, Hyperparams()).init(params)
