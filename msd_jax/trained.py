"""Trained models with all that is needed to ask them about a song."""

from typing import Any, NamedTuple

import jax

from msd_jax.config import Config
from msd_jax.errors import InputError
from msd_jax.models import make_model
from msd_jax.normaliser import Normaliser
from msd_jax.scale import InputStatistics


class TrainedTrial(NamedTuple):
    """A trial's seed, the epoch of its parameters and its validation accuracy there."""

    seed: int
    best_epoch: int
    peak_valid_accuracy: float


class Origin(NamedTuple):
    """Where trained models come from, for people.

    dataset and dataset_sha256: of the songs; point: what names the grid point; num_points: of how
    many it was the best by validation; finished: whether the run was; flags and versions: the run's
    whole config.
    """

    dataset: str
    dataset_sha256: str
    point: dict[str, float]
    num_points: int
    finished: bool
    flags: dict[str, Any]
    versions: dict[str, Any]


class Trained(NamedTuple):
    """The trials of one grid point at their best epochs.

    config: of each; params: [R, ...]; trials: R; genre_names: K; statistics: of the training
    inputs; normaliser and crop: what makes inputs of raw features, None where the run had no
    normaliser; origin.
    """

    config: Config
    params: Any
    trials: tuple[TrainedTrial, ...]
    genre_names: tuple[str, ...]
    statistics: InputStatistics
    normaliser: Normaliser | None
    crop: str | None
    origin: Origin


def params_like(config: Config, num_trials: int) -> Any:
    """Shapes and types of the parameters of R trials."""
    one = jax.eval_shape(make_model(config).init, jax.eval_shape(lambda: jax.random.key(0)))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((num_trials, *x.shape), x.dtype), one)


def of_seed(trained: Trained, seed: int) -> Trained:
    """The one trial of that seed.

    Raises:
      InputError: if there is none.
    """
    seeds = [trial.seed for trial in trained.trials]
    if seed not in seeds:
        raise InputError(f"no seed {seed}: the seeds are {', '.join(map(str, seeds))}")
    index = seeds.index(seed)
    one = jax.tree.map(lambda x: x[index : index + 1], trained.params)
    return trained._replace(params=one, trials=(trained.trials[index],))


def with_normaliser(trained: Trained, normaliser: Normaliser, crop: str) -> Trained:
    """The same models with the normaliser that their run lacked.

    Raises:
      InputError: if they have one, or it is of songs of another shape.
    """
    if trained.normaliser is not None:
        raise InputError("the model has the normaliser of its own training songs: give none")
    shape = (trained.config.num_segments, trained.config.num_features)
    if normaliser.mean.shape != shape:
        raise InputError(
            f"the normaliser is of songs of T x F = {normaliser.mean.shape}, the model was trained "
            f"on {shape}"
        )
    return trained._replace(normaliser=normaliser, crop=crop)
