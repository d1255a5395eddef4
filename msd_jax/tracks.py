"""Track files of the Million Song Dataset: one HDF5 file a track, TRxxxx.h5, to features.

`/analysis` holds `segments_timbre` [T, 12], `segments_pitches` [T, 12], `segments_loudness_start`
[T] and `songs` (one row: `track_id`, ...); `/metadata` holds `songs` (one row: `artist_id`,
`title`, ...). Files are untrusted, and HDF5's parser has had memory bugs: in bulk they are read in
processes that may die.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from msd_jax.songs import Rejected, song_features

MAX_SEGMENTS = 100_000  # Six hours; a damaged header may declare any number.


class Track(NamedTuple):
    """One track; features [T, 25] float32 of the whole of it, not standardised."""

    track_id: str
    artist_id: str
    title: str
    features: np.ndarray


def _text(row: np.void, field: str) -> str:
    value = row[field]
    if not isinstance(value, bytes):
        raise Rejected("wrong shape", f"{field} is {type(value).__name__}, not text")
    return value.decode(errors="replace").strip("\0")


def _segments(file: h5py.File, name: str) -> np.ndarray:
    dataset = file[f"analysis/segments_{name}"]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise Rejected("missing group", f"analysis/segments_{name} is no array")
    if dataset.shape and dataset.shape[0] > MAX_SEGMENTS:
        raise Rejected("wrong shape", f"{name} declares {dataset.shape[0]} segments")
    return dataset[()]


def _row(file: h5py.File, name: str) -> np.void:
    rows = file[name][:1]
    if len(rows) != 1 or rows.dtype.names is None:
        raise Rejected("missing group", f"{name} has no row")
    return rows[0]


def read_track(path: Path) -> Track:
    """Reads one track.

    Args:
      path: of an HDF5 file of the Million Song Dataset.

    Returns:
      The Track.

    Raises:
      Rejected: if it cannot be used, whatever the file holds. A file made to harm may still kill
        the process that reads it.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = (_segments(file, name) for name in ("timbre", "pitches", "loudness_start"))
            features = song_features(*arrays)
            metadata, analysis = _row(file, "metadata/songs"), _row(file, "analysis/songs")
            return Track(
                _text(analysis, "track_id"),
                _text(metadata, "artist_id"),
                _text(metadata, "title"),
                features,
            )
    except Rejected:
        raise
    except KeyError as error:
        raise Rejected("missing group", str(error).strip("\"'")) from error
    except Exception as error:  # h5py raises many types on damage
        reason = "truncated" if "truncated" in str(error) else "unreadable"
        raise Rejected(reason, str(error) or type(error).__name__) from error
