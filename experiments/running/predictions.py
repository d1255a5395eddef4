"""What a run's trials say of songs that they were not trained on: an npz file in its folder.

Of the test songs, or where none are labelled of the validation songs, which chose the epochs.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msd_jax.config import POOLINGS
from msd_jax.errors import InputError
from msd_jax.metrics import correct
from msd_jax.npz import read_npz

FILES = {"test": "predictions.npz", "valid": "valid-predictions.npz"}  # by split


class Predictions(NamedTuple):
    """log_probs by rule, float32 [R, N, K], each trial's at its best validation epoch under that
    rule; labels [N]. Trials are in the order of summary.json.
    """

    log_probs: dict[str, np.ndarray]
    labels: np.ndarray


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """The trials of several parts, one after the other."""
    rules = parts[0].log_probs
    log_probs = {rule: np.concatenate([p.log_probs[rule] for p in parts]) for rule in rules}
    return Predictions(log_probs, parts[0].labels)


def accuracies(predictions: Predictions, rule: str) -> list[float]:
    """Accuracy of each trial under a rule, [R]."""
    return correct(predictions.log_probs[rule], predictions.labels).mean(axis=-1).tolist()


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Writes a file that is either the old one or the whole new one, whenever we are killed."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        np.savez(file, allow_pickle=False, labels=predictions.labels, **predictions.log_probs)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def load_predictions(path: Path, rules: tuple[str, ...]) -> Predictions:
    """What `save_predictions` wrote.

    Raises:
      InputError: if the file is missing or damaged, or its arrays do not fit together.
    """
    arrays = read_npz(path, ("labels", *rules))
    labels = arrays.pop("labels")
    if any(x.ndim != 3 or x.shape[1] != len(labels) for x in arrays.values()):
        raise InputError(f"{path}: predictions are not R x {len(labels)} x K: make the run anew")
    return Predictions(arrays, labels)


def rules_of(model: str) -> tuple[str, ...]:
    """How a model's predictions are pooled."""
    return POOLINGS if model == "ensemble" else ("softmax",)
