"""Songs as they come: track files, audio analyses, npz files. Each is read or refused by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.command.reading import TrackReader
from msd_jax.analysis import read_analysis
from msd_jax.errors import InputError
from msd_jax.npz import array_names, read_npz
from msd_jax.songs import Rejected

_HDF5_SIGNATURE, _ZIP_SIGNATURE = b"\x89HDF\r\n\x1a\n", b"PK"


class Source(NamedTuple):
    """Where a song stands: a file, or a split of a data set, and its place in it ("" if alone)."""

    file: str
    place: str = ""

    def __str__(self) -> str:
        """Both, as people write them."""
        return f"{self.file}[{self.place}]" if self.place else self.file


class RawSong(NamedTuple):
    """source; title, perhaps empty; features [any number of segments, F] as they stand there."""

    source: Source
    title: str
    features: np.ndarray


class Refused(NamedTuple):
    """A song, or a whole file, that cannot be used, and why, on one line."""

    source: Source
    reason: str


def _ragged(path: Path, names: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Songs of any lengths: features [S, F], offsets [N + 1], and track_id [N] where there is."""
    keys = ["features", "offsets", *[n for n in ("lengths", "track_id") if n in names]]
    arrays = read_npz(path, keys)
    features, offsets = arrays["features"], arrays["offsets"]
    if features.ndim != 2 or features.dtype.kind != "f":
        raise Rejected("wrong shape", "features are not [segments, F] of floating point")
    if offsets.ndim != 1 or len(offsets) < 2 or offsets.dtype.kind not in "iu":
        raise Rejected("wrong shape", "offsets are no list of at least two whole numbers")
    lengths = np.diff(offsets.astype(np.int64))
    if offsets[0] != 0 or int(offsets[-1]) != len(features) or (lengths < 0).any():
        raise Rejected("wrong shape", f"offsets do not go from 0 up to {len(features)} segments")
    if "lengths" in arrays and not np.array_equal(arrays["lengths"], lengths):
        raise Rejected("wrong shape", "lengths and offsets do not agree")
    labels = [str(index) for index in range(len(lengths))]
    if "track_id" in arrays and arrays["track_id"].shape == lengths.shape:
        labels = [x.decode(errors="replace") if isinstance(x, bytes) else str(x)
                  for x in arrays["track_id"].tolist()]  # fmt: skip
    for label, start, length in zip(labels, offsets[:-1].tolist(), lengths.tolist(), strict=True):
        yield label, features[start : start + length]


def _equal(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Songs of equal lengths: inputs [N, T, F]."""
    inputs = read_npz(path, ("inputs",))["inputs"]
    if inputs.ndim != 3 or inputs.dtype.kind != "f":
        raise Rejected("wrong shape", "inputs are not [N, T, F] of floating point")
    for index, features in enumerate(inputs):
        yield str(index), features


def _read_npz_songs(path: Path) -> Iterator[RawSong]:
    names = array_names(path)
    songs = _equal(path) if "inputs" in names else _ragged(path, names)
    for label, features in songs:
        yield RawSong(Source(str(path), label), "", features)


def _read_track_song(path: Path, reader: TrackReader) -> Iterator[RawSong]:
    (track,) = reader.read([path])
    if isinstance(track, Rejected):
        raise track
    yield RawSong(Source(str(path)), track.title, track.features)


def _read_file(path: Path, reader: TrackReader) -> Iterator[RawSong]:
    if not path.is_file():
        raise Rejected("a folder: name the files in it" if path.is_dir() else "no such file")
    with path.open("rb") as file:
        start = file.read(len(_HDF5_SIGNATURE))
    if start == _HDF5_SIGNATURE:
        yield from _read_track_song(path, reader)
    elif start.startswith(_ZIP_SIGNATURE):
        yield from _read_npz_songs(path)
    elif start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b""):
        title, features = read_analysis(path)
        yield RawSong(Source(str(path)), title, features)
    else:
        raise Rejected(
            "neither a track file (HDF5) nor an audio analysis (a JSON object) nor an npz file"
        )


def read_songs(path: Path, reader: TrackReader) -> Iterator[RawSong | Refused]:
    """The songs of a file in their order; what it holds decides, not its name's ending.

    Args:
      path: of a file that nobody vouches for.
      reader: in whose process track files are parsed.
    """
    try:
        yield from _read_file(path, reader)
    except (Rejected, InputError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        yield Refused(Source(str(path)), reason)
