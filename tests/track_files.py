"""Track files in the Million Song Dataset's layout, with songs of random numbers, and bad ones."""

import hashlib
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# As much of the compound types as is read, with a neighbour on either side.
_METADATA = np.dtype([("analyzer", "S32"), ("artist_id", "S32"), ("title", "S1024"), ("x", "<i4")])
_ANALYSIS = np.dtype([("sample_rate", "<i4"), ("track_id", "S32")])


def track_id(number: int) -> str:
    """An id like the real ones: TR, five letters that set the folder, 11 hexadecimal digits."""
    letters = "".join(chr(65 + number // 26**place % 26) for place in (3, 2, 1, 0))
    return f"TR{letters}X{hashlib.sha256(str(number).encode()).hexdigest()[:11].upper()}"


def make_arrays(number: int, num_segments: int) -> dict[str, np.ndarray]:
    """Raw numbers with three decimals, others for every number."""
    rng = np.random.default_rng(number)
    return {
        "timbre": rng.normal(0, 50, (num_segments, 12)).round(3),
        "pitches": rng.random((num_segments, 12)).round(3),
        "loudness_start": rng.uniform(-60, 0, num_segments).round(3),
    }


def write_track(path: Path, number: int = 0, num_segments: int = 9, **changes: Any) -> Path:
    """A track file; `changes` replace arrays and texts (track_id, artist_id, title); None drops."""
    texts = {
        "track_id": track_id(number),
        "artist_id": f"AR{number % 7:016d}",
        "title": f"ü {number}",
    }
    values = {**make_arrays(number, num_segments), **texts, **changes}
    metadata, analysis = np.zeros(1, _METADATA), np.zeros(1, _ANALYSIS)
    metadata["artist_id"], metadata["title"] = values["artist_id"], values["title"].encode()
    analysis["track_id"] = values["track_id"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name in ("timbre", "pitches", "loudness_start"):
            if values[name] is not None:
                packing = {"compression": "gzip", "shuffle": True} if np.ndim(values[name]) else {}
                file.create_dataset(f"analysis/segments_{name}", data=values[name], **packing)
        file["analysis/songs"], file["metadata/songs"] = analysis, metadata
    return path


def track_path(folder: Path, number: int) -> Path:
    """Where the Million Song Dataset would have the file of that number: A/B/C/TRABC....h5."""
    name = track_id(number)
    return folder / name[2] / name[3] / name[4] / f"{name}.h5"


def write_hanging_track(path: Path, number: int) -> Path:
    """A sound HDF5 file whose timbre is a link to another file, which never opens: a pipe."""
    write_track(path, number, timbre=None)
    pipe = path.with_suffix(".pipe")
    os.mkfifo(pipe)
    with h5py.File(path, "r+") as file:
        file["analysis/segments_timbre"] = h5py.ExternalLink(pipe.name, "/timbre")
    return path
