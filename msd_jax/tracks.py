"""Track files of the Million Song Dataset: one HDF5 file a track, TRxxxx.h5, to features.

`/analysis` holds `segments_timbre` [T, 12], `segments_pitches` [T, 12], `segments_loudness_start`
[T] and `songs` (one row: `track_id`, ...); `/metadata` holds `songs` (one row: `artist_id`,
`title`, ...). Files are untrusted, and HDF5's parser has had memory bugs: in bulk they are read in
processes that may die.

h5py's low-level interface opens and reads in two thirds of the time of its high-level one, and a
crop reads no more than the chunks that it lies in.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t

from msd_jax.songs import Rejected, first_segment, song_features

MAX_SEGMENTS = 100_000  # Six hours; a damaged header may declare any number.
_ARRAYS = {"timbre": (12,), "pitches": (12,), "loudness_start": ()}
_NUMBERS = (h5t.FLOAT, h5t.INTEGER)
_METADATA = np.dtype([("artist_id", "S32"), ("title", "S1024")])
_ANALYSIS = np.dtype([("track_id", "S32")])
_VARYING = re.compile(r"(, )?\b(time|filename|name|file descriptor|buf|addr) = [^,)]*")
# What h5py raises on damage, seen under mutated files; anything else is a bug of ours.
_DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError, OverflowError)


class Track(NamedTuple):
    """One track; features [T, 25] float32 of it or of its crop, not standardised."""

    track_id: str
    artist_id: str
    title: str
    features: np.ndarray


def _access() -> h5p.PropFAID:
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)  # nobody writes; some network disks have no locks
    return access


@contextmanager
def _open(path: Path) -> Iterator[h5f.FileID]:
    file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY, fapl=_access())
    try:
        yield file
    finally:
        file.close()


def _dataset(file: h5f.FileID, name: str) -> h5d.DatasetID:
    """A data set whose numbers lie in this file and nowhere else."""
    try:
        dataset = h5d.open(file, name.encode())
    except KeyError:
        raise Rejected("missing group", f"no {name} in it") from None
    creation = dataset.get_create_plist()
    elsewhere = (
        creation.get_layout() == h5d.VIRTUAL
        or (creation.get_layout() == h5d.CONTIGUOUS and creation.get_external_count())
        or h5f.get_name(dataset) != h5f.get_name(file)  # behind an external link
    )
    if elsewhere:
        raise Rejected("outside the file", f"{name} lies in another file")
    return dataset


def _segments(dataset: h5d.DatasetID, first: int, shape: tuple[int, ...]) -> np.ndarray:
    """`shape` numbers from segment `first` on."""
    if dataset.get_type().get_class() not in _NUMBERS:
        raise Rejected("not a number", f"segments are of type {dataset.dtype}")
    values = np.empty(shape, np.float64)
    if values.size:
        chosen = dataset.get_space()
        chosen.select_hyperslab((first, *(0 for _ in shape[1:])), shape)
        dataset.read(h5s.create_simple(shape), chosen, values)
    return values


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _row(file: h5f.FileID, name: str, fields: np.dtype) -> list[str]:
    """The texts of the named fields of a one-row table; "" for a field that is not there."""
    dataset = _dataset(file, name)
    if dataset.shape != (1,):
        raise Rejected("wrong shape", f"{name} has shape {dataset.shape}, one row is needed")
    row = np.zeros(1, fields)
    dataset.read(h5s.ALL, h5s.ALL, row, h5t.py_create(fields))
    return [_printable(value.decode(errors="replace")) for value in row[0].tolist()]


def _common_length(shapes: dict[str, tuple[int, ...]]) -> int:
    """Segments of all arrays; raises Rejected if their shapes are not those of one song."""
    lengths = {shape[:1] for shape in shapes.values()}
    fits = all(shapes[name][1:] == width for name, width in _ARRAYS.items())
    if len(lengths) != 1 or lengths == {()} or not fits:
        found = (f"{name} {'x'.join(map(str, shape)) or 1}" for name, shape in shapes.items())
        raise Rejected("wrong shape", ", ".join(found))
    ((length,),) = lengths
    if length > MAX_SEGMENTS:
        raise Rejected("wrong shape", f"{length} segments declared")
    return length


def _read(file: h5f.FileID, num_segments: int | None, where: str) -> Track:
    datasets = {name: _dataset(file, f"analysis/segments_{name}") for name in _ARRAYS}
    length = _common_length({name: dataset.shape for name, dataset in datasets.items()})
    if num_segments is None:
        first, num_segments = 0, length
    else:
        first = first_segment(length, num_segments, where)
    arrays = (
        _segments(datasets[name], first, (num_segments, *width)) for name, width in _ARRAYS.items()
    )
    features = song_features(*arrays)
    artist_id, title = _row(file, "metadata/songs", _METADATA)
    (track_id,) = _row(file, "analysis/songs", _ANALYSIS)
    for name, text in (("artist_id", artist_id), ("track_id", track_id)):
        if not text:
            raise Rejected("missing group", f"no {name} in it")
    return Track(track_id, artist_id, title, features)


def _explain(error: Exception) -> str:
    """What went wrong, without what differs from one time to the next: clock, addresses, paths."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return _VARYING.sub("", str(error)) or type(error).__name__


def read_track(path: Path, num_segments: int | None = None, where: str = "central") -> Track:
    """Reads one track, or the crop of it.

    Args:
      path: of an HDF5 file of the Million Song Dataset.
      num_segments: of the crop, for which no more is read than it takes; None is the whole track.
      where: the crop lies, one of songs.CROPS.

    Returns:
      The Track.

    Raises:
      Rejected: if it cannot be used, whatever the file holds. A file made to harm may still hang
        or kill the process that reads it.
    """
    try:
        with _open(path) as file:
            return _read(file, num_segments, where)
    except Rejected:
        raise
    except _DAMAGE as error:
        reason = "truncated" if "truncated" in str(error) else "unreadable"
        raise Rejected(reason, _explain(error)) from error
