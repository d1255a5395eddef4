"""The models that a command asks: those of a run folder, or of a model file."""

from pathlib import Path

from experiments.running.model_choice import Choice
from msd_jax.model_file import load_model
from msd_jax.normaliser import load_normaliser
from msd_jax.trained import Trained, of_seed, with_normaliser


def load_chosen(
    workdir: str | None, model: str | None, choice: Choice, normaliser: str | None = None
) -> Trained:
    """The chosen models of a run folder or, if that is None, of a model file.

    Raises:
      InputError: if there is no such thing, or the normaliser does not fit it.
    """
    if workdir is not None:
        from experiments.running.trained_run import (
            load_run,  # orbax, which a model file does without
        )

        trained = load_run(Path(workdir), choice)
    else:
        trained = load_model(Path(model or ""))
    if choice.seed is not None:
        trained = of_seed(trained, choice.seed)
    if normaliser is not None:
        trained = with_normaliser(trained, *load_normaliser(Path(normaliser)))
    return trained
