"""From settings to the programs of a run: one part for each static configuration."""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

from experiments.running.settings import Settings
from msd_jax.config import Augmentation, Config, Layers, Recipe
from msd_jax.dataset import Dataset
from msd_jax.errors import InputError
from msd_jax.sweep import Trial, grid

_CONFIG_FLAGS = (
    "model",
    "head",
    "member",
    "decomposition",
    "pooling",
    "pool_weights",
    "secondary",
    "binary_weights",
    "batch_size",
    "patience",
)
_LAYER_FLAGS = ("num_layers", "bidirectional", "readout", "dropout")
_RECIPE_FLAGS = ("clip_norm", "schedule", "label_smoothing")
_AUGMENTATION_FLAGS = ("noise", "feature_dropout", "augmented_fraction", "crop")
_TRACED = ("learning_rate", "l2", "beta", "alpha", "alpha_binary")


_MOST_TRIALS = 100_000  # of one program's grid; more would not end in a lifetime


class Part(NamedTuple):
    """The trials that one program trains together."""

    config: Config
    trials: list[Trial]


def make_plan(settings: Settings, dataset: Dataset) -> list[Part]:
    """One part for every num_hidden and num_snippets, each with the full grid times the seeds.

    Raises:
      InputError: if the data set has fewer songs than a batch, or segments that do not divide, or
        a seed is too large.
    """
    num_train = len(dataset.train.labels)
    if num_train < settings.batch_size:
        raise InputError(
            f"{num_train} training songs are fewer than one batch of {settings.batch_size}: "
            "lower --batch_size"
        )
    last_seed = settings.seed + settings.num_seeds - 1
    if last_seed >= 2**31:
        raise InputError(f"the last seed would be {last_seed}: it must be below 2^31, lower --seed")
    num_points = math.prod(len(getattr(settings, name) or (0.0,)) for name in _TRACED)
    if num_points * settings.num_seeds > _MOST_TRIALS:
        raise InputError(
            f"{num_points} grid points x {settings.num_seeds} seeds are more than {_MOST_TRIALS:,} "
            "trials: lower --num_seeds or cut the sweep"
        )
    return make_parts(settings, dataset.num_segments, dataset.num_features, dataset.num_genres)


def _given(settings: Settings, names: tuple[str, ...]) -> dict[str, Any]:
    """The settings of these names, but for those that are None."""
    values = {name: getattr(settings, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _recipe(settings: Settings) -> Recipe:
    """Its epochs make another program only where there is a schedule for them."""
    given = _given(settings, _RECIPE_FLAGS)
    is_constant = given.get("schedule", "constant") == "constant"
    return Recipe(**given, num_epochs=0 if is_constant else settings.num_epochs)


def make_parts(
    settings: Settings, num_segments: int, num_features: int, num_genres: int
) -> list[Part]:
    """The same for songs of T, F and K, when the songs themselves are not at hand."""
    static: dict[str, Any] = {
        "num_segments": num_segments,
        "num_features": num_features,
        "num_genres": num_genres,
        "layers": Layers(**_given(settings, _LAYER_FLAGS)),
        "recipe": _recipe(settings),
        "augmentation": Augmentation(**_given(settings, _AUGMENTATION_FLAGS)),
        **_given(settings, _CONFIG_FLAGS),
    }
    seeds = range(settings.seed, settings.seed + settings.num_seeds)
    points = {name: getattr(settings, name) or (0.0,) for name in _TRACED}
    trials = grid(seeds, **points)
    return [
        Part(Config(**static, num_hidden=num_hidden, num_snippets=num_snippets), trials)
        for num_hidden, num_snippets in itertools.product(
            settings.num_hidden, settings.num_snippets or (1,)
        )
    ]


def num_trial_epochs(settings: Settings, plan: list[Part]) -> int:
    """Epochs of single trials that a whole run trains."""
    return settings.num_epochs * sum(len(part.trials) for part in plan)


def describe(settings: Settings, config: Config, trial: Trial) -> dict[str, Any]:
    """What names a trial in metrics and summary; None where the model has no such thing."""
    values = {
        "seed": trial.seed,
        "num_hidden": config.num_hidden,
        "num_snippets": config.num_snippets,
        **{name: getattr(trial, name) for name in _TRACED},
    }
    absent = {f.name for f in dataclasses.fields(settings) if getattr(settings, f.name) is None}
    return {name: None if name in absent else value for name, value in values.items()}
