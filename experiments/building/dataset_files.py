"""The files of a built data set: the course's layout, and what tells where each song came from."""

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from experiments.building.manifest import Manifest
from experiments.command.interruption import Interruption, until_stopped
from msd_jax.labels import BadLine
from msd_jax.normaliser import Normaliser, fit_normaliser_in_blocks, normalise, save_normaliser
from msd_jax.npz import Blocks, write_npz
from msd_jax.songs import NUM_FEATURES
from msd_jax.splits import SPLITS

_SONGS_IN_A_BLOCK = 200
_BYTES = 4  # of a raw number, float32


class RawStore:
    """Raw songs [T, F] float32 by slot, in a file: not in memory, and no mapping of it.

    A mapping would count every page that was touched as ours, and end us with SIGBUS where the disk
    is full.

    Attributes:
      holds_all: whether the file had its place already, so that what was written is there.
    """

    def __init__(
        self, path: Path, num_slots: int, num_segments: int, interruption: Interruption
    ) -> None:
        """Opens the file, and takes its place on the disk at once.

        Raises:
          OSError: if the disk has not that much.
        """
        self._interruption = interruption
        self._shape = (num_segments, NUM_FEATURES)
        self._size = _BYTES * num_segments * NUM_FEATURES
        self._file = path.open("r+b" if path.exists() else "x+b")
        self.holds_all = os.fstat(self._file.fileno()).st_size >= num_slots * self._size
        if num_slots:
            os.posix_fallocate(self._file.fileno(), 0, num_slots * self._size)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def write(self, slot: int, features: np.ndarray) -> None:
        """Puts a song in its place."""
        assert features.shape == self._shape
        data = features.astype("<f4", copy=False).tobytes()
        if os.pwrite(self._file.fileno(), data, slot * self._size) != len(data):
            raise OSError(f"a song was not written whole to {self._file.name}")

    def sync(self) -> None:
        """On disk when this returns."""
        os.fdatasync(self._file.fileno())

    def blocks(self, slots: np.ndarray) -> Iterator[np.ndarray]:
        """The songs of the slots in their order, in blocks [n, T, F]; Stopped after a signal."""
        starts = range(0, len(slots), _SONGS_IN_A_BLOCK)
        for start in until_stopped(starts, self._interruption):
            chosen = slots[start : start + _SONGS_IN_A_BLOCK]
            offsets = (chosen * self._size).tolist()
            songs = (os.pread(self._file.fileno(), self._size, offset) for offset in offsets)
            yield np.frombuffer(b"".join(songs), "<f4").reshape(len(chosen), *self._shape)


def _split_paths(folder: Path, name: str, split: str) -> list[Path]:
    kinds = ("test-inputs", "test-targets") if split == "test" else (split,)
    return [folder / f"{name}-{kind}.npz" for kind in kinds]


def dataset_paths(folder: Path, name: str) -> list[Path]:
    """All files that a build may write, but for NAME.json."""
    arrays = [path for split in SPLITS for path in _split_paths(folder, name, split)]
    others = ("songs.csv", "normaliser.npz", "rejected.csv")
    return arrays + [folder / f"{name}-{other}" for other in others]


def _label_type(num_genres: int) -> type[np.signedinteger]:
    return np.int8 if num_genres <= 127 else np.int32


def _write_split(
    folder: Path, name: str, split: str, inputs: Blocks, labels: np.ndarray, genres: Sequence[str]
) -> None:
    paths = _split_paths(folder, name, split)
    if split == "test":
        write_npz(paths[0], {"inputs": inputs})
        write_npz(paths[1], {"targets": labels})
    else:
        label_map = np.array([genre.encode() for genre in genres])
        write_npz(paths[0], {"inputs": inputs, "targets": labels, "label_map": label_map})


def write_arrays(
    folder: Path, name: str, manifest: Manifest, store: RawStore, genres: Sequence[str], crop: str
) -> None:
    """The splits' npz files, standardised with the training songs' statistics, and those."""
    numbers = {genre: number for number, genre in enumerate(genres)}
    slots, labels = {}, {}
    for split in SPLITS:
        rows = ((slot, numbers[genre]) for slot, _, _, _, genre in manifest.songs(split))
        table = np.fromiter(rows, np.dtype((np.int64, 2)))
        slots[split] = table[:, 0]
        labels[split] = table[:, 1].astype(_label_type(len(genres)))
    normaliser = fit_normaliser_in_blocks(lambda: store.blocks(slots["train"]))
    save_normaliser(folder / f"{name}-normaliser.npz", normaliser, crop)
    for split in SPLITS:
        if len(slots[split]):
            shape = (len(slots[split]), *normaliser.mean.shape)
            rows_of = _standardised(normaliser, store.blocks(slots[split]))
            inputs = Blocks(shape, np.dtype(np.float16), rows_of)
            _write_split(folder, name, split, inputs, labels[split], genres)


def _standardised(normaliser: Normaliser, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    return (normalise(normaliser, block) for block in blocks)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_tables(folder: Path, name: str, manifest: Manifest, bad_lines: Iterable[BadLine]) -> None:
    """NAME-songs.csv, row by row as the arrays, and NAME-rejected.csv."""
    songs = ((*about, split) for split in SPLITS for _, *about in manifest.songs(split))
    header = ("track_id", "artist_id", "title", "genre", "split")
    _write_csv(folder / f"{name}-songs.csv", header, songs)
    files = (
        (path, f"{reason}: {detail}" if detail else reason)
        for path, reason, detail in manifest.rejects()
    )
    lines = ((line.where, f"bad line: {line.detail}") for line in bad_lines)
    rejects = (row for rows in (files, lines) for row in rows)
    _write_csv(folder / f"{name}-rejected.csv", ("file", "reason"), rejects)


def sha256_of(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
