"""Asking a model: from song files, or a data set's split, to answers."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.asking.song_files import Refused, Source, read_songs
from experiments.command.console import EpochProgress, error_console
from experiments.command.reading import TrackReader
from msd_jax.dataset import SYNTHETIC, load_split
from msd_jax.errors import InputError
from msd_jax.normaliser import Normaliser, normalise
from msd_jax.predictor import predict
from msd_jax.scale import check_raw, check_standardised
from msd_jax.songs import NUM_FEATURES, Rejected, check_finite, crop
from msd_jax.synthetic import synthetic_dataset
from msd_jax.trained import Trained

_MANY_SONGS = 1000  # from here on a progress bar


class Song(NamedTuple):
    """What a model hears, inputs [T, F], and whence; label is a genre's name or None."""

    source: Source
    title: str
    label: str | None
    inputs: np.ndarray


class Answers(NamedTuple):
    """songs: N; probs [N, K]; snippet_probs [N, M, K] of each snippet alone, None without any."""

    songs: list[Song]
    probs: np.ndarray
    snippet_probs: np.ndarray | None


def standardise(trained: Trained, normaliser: Normaliser, features: np.ndarray) -> np.ndarray:
    """Raw features of a song [any number of segments, F] as the model heard its own, [T, F].

    Raises:
      Rejected: unless they are raw features, enough of them, and look like the training songs.
    """
    num_segments, num_features = normaliser.mean.shape
    if features.shape[1] != num_features:
        raise Rejected(
            "wrong shape",
            f"{features.shape[1]} features a segment, the model was trained on {num_features}",
        )
    check_finite("the features", features)
    part = crop(features, num_segments, trained.crop or "central")
    if num_features == NUM_FEATURES:
        check_raw(part)
    with np.errstate(over="ignore"):  # beyond float16 is infinite, and refused as that
        inputs = normalise(normaliser, part)
    check_standardised(inputs, trained.statistics)
    return inputs


def _require_normaliser(trained: Trained) -> Normaliser:
    if trained.normaliser is None:
        raise InputError(
            "this model was trained without a normaliser beside its data set, so that it cannot "
            "tell what raw features mean: give --normaliser=NAME-normaliser.npz, or ask it about a "
            "standardised set with --dataset"
        )
    return trained.normaliser


def hear_files(trained: Trained, paths: Iterable[str]) -> tuple[list[Song], list[Refused]]:
    """The songs in the files, and what was refused.

    Raises:
      InputError: if the model has no normaliser.
    """
    normaliser = _require_normaliser(trained)
    songs, refused = [], []
    with TrackReader() as reader:
        for song in itertools.chain.from_iterable(read_songs(Path(p), reader) for p in paths):
            if isinstance(song, Refused):
                refused.append(song)
                continue
            try:
                inputs = standardise(trained, normaliser, song.features)
            except Rejected as error:
                refused.append(Refused(song.source, str(error)))
            else:
                songs.append(Song(song.source, song.title, None, inputs))
    return songs, refused


def _split(
    trained: Trained, name: str, data_dir: Path, split: str
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    if name != SYNTHETIC:
        return load_split(name, data_dir, split, len(trained.genre_names))
    dataset = synthetic_dataset()
    return *getattr(dataset, split), dataset.genre_names


def hear_split(
    trained: Trained, name: str, data_dir: Path, split: str
) -> tuple[list[Song], list[Refused]]:
    """The standardised songs of a split, and which of them were refused.

    Raises:
      InputError: for damaged files, and for songs of other genres or another shape.
    """
    inputs, labels, genre_names = _split(trained, name, data_dir, split)
    if genre_names is not None and genre_names != trained.genre_names:
        raise InputError(
            f"{name}: its genres are {', '.join(genre_names)}; the model was trained on "
            f"{', '.join(trained.genre_names)}"
        )
    shape = (trained.config.num_segments, trained.config.num_features)
    if inputs.shape[1:] != shape:
        raise InputError(
            f"{name}: its songs are T x F = {inputs.shape[1:]}; the model was trained on {shape}"
        )
    songs, refused = [], []
    for index, song in enumerate(inputs):
        source = Source(f"{name}-{split}", str(index))
        try:
            check_standardised(song, trained.statistics)
        except Rejected as error:
            refused.append(Refused(source, str(error)))
            continue
        label = None if labels is None else trained.genre_names[labels[index]]
        songs.append(Song(source, "", label, song))
    return songs, refused


def ask(trained: Trained, songs: list[Song]) -> Answers:
    """The vote of the trained models on every song."""
    config = trained.config
    none = np.zeros((0, config.num_segments, config.num_features), np.float16)
    inputs = np.stack([song.inputs for song in songs]) if songs else none
    if len(songs) < _MANY_SONGS:
        said = predict(config, trained.params, inputs)
    else:
        with EpochProgress(error_console(), len(songs)) as progress:
            said = predict(
                config, trained.params, inputs, lambda count: progress.advance(count, "songs")
            )
    snippets = said.snippet_log_probs
    return Answers(
        songs,
        np.exp(said.log_probs),
        None if snippets is None else np.exp(snippets).swapaxes(0, 1),
    )
