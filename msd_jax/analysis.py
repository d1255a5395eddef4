"""Audio analyses in JSON, as the Echo Nest gave them and Spotify after it, to features.

Of the whole analysis only `segments` is read: a list of objects with `timbre` (12 numbers),
`pitches` (12) and `loudness_start` (dB), and for its name `meta` or `track` with `title`. Files
are untrusted: their size is limited, and so is what Python's parser may do with them.
"""

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from msd_jax.songs import NUM_PITCHES, NUM_TIMBRE, Rejected, song_features

MAX_BYTES = 16 * 2**20  # about two hours of music


def _refuse_constant(name: str) -> NoReturn:
    raise Rejected("not a number", f"{name} stands in it")


def _parse(path: Path) -> Any:
    """The JSON value in a file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Rejected("too large", f"an analysis has at most {MAX_BYTES // 2**20} MiB")
        return json.loads(data, parse_constant=_refuse_constant)
    except Rejected:
        raise
    except RecursionError:
        raise Rejected("not JSON", "nested too deeply") from None
    except (OSError, ValueError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Rejected("not JSON", str(error)) from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(segment: Any, name: str, count: int, index: int) -> list[float]:
    """`count` numbers of a segment; `loudness_start` is a single one."""
    if not isinstance(segment, dict):
        raise Rejected("wrong shape", f"segment {index} is no object")
    if name not in segment:
        raise Rejected("missing key", f"segment {index} has no {name}")
    values = segment[name] if count > 1 else [segment[name]]
    if not isinstance(values, list) or not all(map(_is_number, values)):
        raise Rejected("not a number", f"{name} of segment {index}")
    if len(values) != count:
        raise Rejected(
            "wrong shape", f"{name} of segment {index} has {len(values)} values, {count} are needed"
        )
    return values


def _column(segments: list, name: str, count: int) -> np.ndarray:
    rows = [_numbers(segment, name, count, index) for index, segment in enumerate(segments)]
    try:
        return np.array(rows, np.float64).reshape(len(segments), count)
    except OverflowError:  # a whole number too large for a float
        raise Rejected("infinite", name) from None


def _title(analysis: dict) -> str:
    for part in (analysis.get("meta"), analysis.get("track")):
        if isinstance(part, dict) and isinstance(part.get("title"), str):
            return part["title"]
    return ""


def read_analysis(path: Path) -> tuple[str, np.ndarray]:
    """Reads one song.

    Args:
      path: of a JSON file.

    Returns:
      Its title, perhaps empty, and its features [T, 25] float32, not standardised.

    Raises:
      Rejected: if it cannot be used, whatever the file holds.
    """
    analysis = _parse(path)
    if not isinstance(analysis, dict) or not isinstance(analysis.get("segments"), list):
        raise Rejected("missing key", "no list of segments in it")
    segments = analysis["segments"]
    if not segments:
        raise Rejected("too short", "no segments")
    timbre = _column(segments, "timbre", NUM_TIMBRE)
    pitches = _column(segments, "pitches", NUM_PITCHES)
    loudness = _column(segments, "loudness_start", 1)[:, 0]
    return _title(analysis), song_features(timbre, pitches, loudness)
