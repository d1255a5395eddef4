"""The labelled songs of a data set divided again, so that a small set gives honest results too."""

import re

import numpy as np

from msd_jax.dataset import Dataset, Songs
from msd_jax.errors import InputError

LEAST_FOLDS = 3


def parse_fold(text: str) -> tuple[int, int]:
    """k and K of "k/K".

    Raises:
      InputError: unless K is at least 3 and k one of 1..K.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    k, folds = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= k <= folds or folds < LEAST_FOLDS:
        raise InputError(
            f"fold {text!r}: give k/K, such as 2/5, with K at least {LEAST_FOLDS} and k from 1 to K"
        )
    return k, folds


def _parts(labels: np.ndarray, folds: int) -> np.ndarray:
    """The part 0..K-1 of each song, [N]: as many of each genre in each part, give or take one,
    and parts of one size, give or take one; the same for the same labels on every machine.
    """
    shuffled = np.random.default_rng(0).permutation(len(labels))
    by_genre = shuffled[np.argsort(labels[shuffled], kind="stable")]
    parts = np.empty(len(labels), int)
    parts[by_genre] = np.arange(len(labels)) % folds
    return parts


def divide(dataset: Dataset, fold: str) -> Dataset:
    """Division k of K: part k is the test set, the next part validates, the others train.

    All labelled songs take part, those of the test set included where it has labels, and each is
    tested in exactly one of the K divisions. They stay standardised as they are: with the data
    set's own training statistics, in which there are no labels.

    Args:
      dataset: any.
      fold: "k/K".

    Raises:
      InputError: for another fold, or fewer than K songs of a genre.
    """
    k, folds = parse_fold(fold)
    splits = [dataset.train, dataset.valid, *([dataset.test] if dataset.test else [])]
    inputs = np.concatenate([songs.inputs for songs in splits])
    labels = np.concatenate([songs.labels for songs in splits])
    counts = np.bincount(labels, minlength=dataset.num_genres)
    if counts.min() < folds:
        name = dataset.genre_names[int(counts.argmin())]
        raise InputError(
            f"{dataset.name}: {counts.min()} songs of {name} cannot be divided {folds} times: "
            "give fewer folds"
        )
    parts = _parts(labels, folds)
    is_test, is_valid = parts == k - 1, parts == k % folds

    def chosen(mask: np.ndarray) -> Songs:
        return Songs(inputs[mask], labels[mask])

    return dataset._replace(
        train=chosen(~is_test & ~is_valid), valid=chosen(is_valid), test=chosen(is_test)
    )
