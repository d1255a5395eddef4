"""Songs in memory, and the course's files: load, check, save.

A data set with the stem S is S-train.npz and S-valid.npz (inputs, targets, label_map), and perhaps
S-test-inputs.npz (inputs) and S-test-targets.npz (targets). inputs are N x T*25 or N x T x F of any
float type, targets are integers, label_map holds the genre names. Files are untrusted: headers are
read before anything is unpacked (`npz.py`) and nothing is ever unpickled.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msd_jax.errors import InputError
from msd_jax.npz import read_npz

SYNTHETIC = "synthetic"  # songs that are made up, without files
COURSE_STEMS = {"msd10": "msd-10-genre", "msd25": "msd-25-genre"}
COURSE_NUM_FEATURES = 25


class Songs(NamedTuple):
    """inputs [N, T, F], float16 or float32; labels [N], int32 in 0..K-1."""

    inputs: np.ndarray
    labels: np.ndarray


class Dataset(NamedTuple):
    """The songs of each split (test is None without labelled test songs), and K genre names."""

    name: str
    train: Songs
    valid: Songs
    test: Songs | None
    genre_names: tuple[str, ...]

    @property
    def num_segments(self) -> int:
        """T."""
        return self.train.inputs.shape[1]

    @property
    def num_features(self) -> int:
        """F."""
        return self.train.inputs.shape[2]

    @property
    def num_genres(self) -> int:
        """K."""
        return len(self.genre_names)


def _songs_by_split(dataset: Dataset) -> Iterator[tuple[str, Songs]]:
    yield "train", dataset.train
    yield "valid", dataset.valid
    if dataset.test is not None:
        yield "test", dataset.test


def fingerprint(dataset: Dataset) -> str:
    """sha256 of what a model sees: inputs, labels, shapes and types of each split, genre names."""
    digest = hashlib.sha256(repr(dataset.genre_names).encode())
    for split, songs in _songs_by_split(dataset):
        for array in songs:
            digest.update(f"{split} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _check_inputs(inputs: np.ndarray, path: Path) -> np.ndarray:
    """inputs as [N, T, F], float16 as it is and every other float type as float32."""
    if inputs.dtype.kind != "f":
        raise InputError(
            f"{path}: inputs are {inputs.dtype}, not floating point: save them as float16"
        )
    if inputs.ndim == 2:
        if inputs.shape[1] == 0 or inputs.shape[1] % COURSE_NUM_FEATURES:
            raise InputError(
                f"{path}: inputs have {inputs.shape[1]} columns, which is no multiple of "
                f"{COURSE_NUM_FEATURES} features: save them as N x T x F"
            )
        num_segments = inputs.shape[1] // COURSE_NUM_FEATURES
        inputs = inputs.reshape(inputs.shape[0], num_segments, COURSE_NUM_FEATURES)
    if inputs.ndim != 3 or 0 in inputs.shape:
        raise InputError(
            f"{path}: inputs have shape {inputs.shape}: N x T*25 or N x T x F is needed"
        )
    with np.errstate(over="ignore"):
        inputs = inputs.astype(np.float16 if inputs.dtype == np.float16 else np.float32, copy=False)
    # Song by song blocks, so that the check takes little memory whatever the file's size.
    for start in range(0, len(inputs), 1000):
        bad = ~np.isfinite(inputs[start : start + 1000]).all(axis=(1, 2))
        if bad.any():
            raise InputError(
                f"{path}: song {start + int(bad.argmax())} holds NaN or infinite inputs (or too "
                "large for float32): mend or remove it"
            )
    return inputs


def _check_labels(targets: np.ndarray, num_songs: int, num_genres: int, path: Path) -> np.ndarray:
    if targets.dtype.kind not in "iu":
        raise InputError(f"{path}: targets are {targets.dtype}: integers are needed")
    if targets.ndim != 1:
        raise InputError(f"{path}: targets have shape {targets.shape}: one label a song is needed")
    if len(targets) != num_songs:
        raise InputError(
            f"{path}: {len(targets)} targets for {num_songs} songs: one a song is needed"
        )
    bad = (targets < 0) | (targets >= num_genres)
    if bad.any():
        song = int(bad.argmax())
        raise InputError(
            f"{path}: song {song} has label {targets[song]}, outside 0..{num_genres - 1}, "
            f"the {num_genres} genres of label_map"
        )
    return targets.astype(np.int32)


def _genre_names(label_map: np.ndarray, path: Path) -> tuple[str, ...]:
    if label_map.dtype.kind not in "SU" or label_map.ndim != 1:
        raise InputError(
            f"{path}: label_map is {label_map.dtype} of shape {label_map.shape}: "
            "a list of genre names is needed"
        )
    try:
        names = tuple(x.decode() if isinstance(x, bytes) else str(x) for x in label_map.tolist())
    except UnicodeDecodeError:
        raise InputError(f"{path}: label_map holds bytes that are not UTF-8") from None
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{path}: label_map {names} must name at least 2 genres, each once")
    return names


def _load_split(path: Path) -> tuple[Songs, tuple[str, ...]]:
    arrays = read_npz(path, ("inputs", "targets", "label_map"))
    names = _genre_names(arrays["label_map"], path)
    inputs = _check_inputs(arrays["inputs"], path)
    return Songs(inputs, _check_labels(arrays["targets"], len(inputs), len(names), path)), names


def _test_paths(data_dir: Path, stem: str) -> tuple[Path, Path]:
    return data_dir / f"{stem}-test-inputs.npz", data_dir / f"{stem}-test-targets.npz"


def _load_test(data_dir: Path, stem: str, num_genres: int) -> Songs | None:
    inputs_path, targets_path = _test_paths(data_dir, stem)
    if not (inputs_path.exists() and targets_path.exists()):
        return None
    inputs = _check_inputs(read_npz(inputs_path, ("inputs",))["inputs"], inputs_path)
    targets = read_npz(targets_path, ("targets",))["targets"]
    return Songs(inputs, _check_labels(targets, len(inputs), num_genres, targets_path))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long for any folder
        return False


def stem_of(name: str) -> str:
    """The stem of a data set's files: of msd10 and msd25 the course's, else its name.

    Raises:
      InputError: if it can be no stem; commas part the names of several.
    """
    if not name or Path(name).name != name or name.startswith(".") or "," in name:
        raise InputError(
            f"{name!r} is no data set: give the name that its files begin with as dataset, their "
            "folder as data_dir"
        )
    return COURSE_STEMS.get(name, name)


def load_dataset(name: str, data_dir: Path) -> Dataset:
    """Reads and checks a data set in the course's layout.

    Args:
      name: "msd10", "msd25", or the stem of the files.
      data_dir: the folder they are in.

    Returns:
      The Dataset; test is None unless both test files are there.

    Raises:
      InputError: for whatever is wrong with the files.
    """
    stem = stem_of(name)
    if not _is_folder(data_dir):
        raise InputError(
            f"{data_dir}: no such folder: give the folder of {stem}-train.npz as data_dir"
        )
    train, names = _load_split(data_dir / f"{stem}-train.npz")
    valid, valid_names = _load_split(data_dir / f"{stem}-valid.npz")
    if names != valid_names:
        raise InputError(f"{stem}: label_map of train {names} is not that of valid {valid_names}")
    test = _load_test(data_dir, stem, len(names))
    dataset = Dataset(name, train, valid, test, names)
    for split, songs in _songs_by_split(dataset):
        if songs.inputs.shape[1:] != train.inputs.shape[1:]:
            raise InputError(
                f"{stem}: songs of train are T x F = {train.inputs.shape[1:]}, "
                f"of {split} {songs.inputs.shape[1:]}: they must agree"
            )
    return dataset


def load_split(
    name: str, data_dir: Path, split: str, num_genres: int
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """One split alone, to be asked about; its test songs need no labels.

    Args:
      name: "msd10", "msd25", or the stem of the files.
      data_dir: the folder they are in.
      split: "train", "valid" or "test".
      num_genres: K.

    Returns:
      inputs [N, T, F]; labels [N] or None; the genre names, None if no file beside tells them.

    Raises:
      InputError: for whatever is wrong with the files.
    """
    stem = stem_of(name)
    if split != "test":
        songs, names = _load_split(data_dir / f"{stem}-{split}.npz")
        return songs.inputs, songs.labels, names
    inputs_path, targets_path = _test_paths(data_dir, stem)
    inputs = _check_inputs(read_npz(inputs_path, ("inputs",))["inputs"], inputs_path)
    labels, genre_names = None, None
    if targets_path.exists():
        targets = read_npz(targets_path, ("targets",))["targets"]
        labels = _check_labels(targets, len(inputs), num_genres, targets_path)
    train_path = data_dir / f"{stem}-train.npz"
    if train_path.exists():
        genre_names = _genre_names(read_npz(train_path, ("label_map",))["label_map"], train_path)
    return inputs, labels, genre_names


def save_dataset(dataset: Dataset, data_dir: Path, stem: str) -> None:
    """Writes the course's layout, inputs N x T x F; `load_dataset` gives the same arrays."""
    label_map = np.array([name.encode() for name in dataset.genre_names])
    if dataset.test is None:  # none of an older data set may stay beside the new songs
        for path in _test_paths(data_dir, stem):
            path.unlink(missing_ok=True)
    for split, songs in _songs_by_split(dataset):
        inputs, targets = songs
        if split == "test":
            inputs_path, targets_path = _test_paths(data_dir, stem)
            np.savez(inputs_path, inputs=inputs)
            np.savez(targets_path, targets=targets)
        else:
            path = data_dir / f"{stem}-{split}.npz"
            np.savez(path, inputs=inputs, targets=targets, label_map=label_map)
