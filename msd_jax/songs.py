"""One song: raw segments as the Echo Nest's analysis gives them, to features [T, F].

The course's order: 12 timbre (no unit), 12 pitches (0 to 1), loudness at the segment's start (dB,
from -60 up). A song that cannot be used raises Rejected, which says why.
"""

import numpy as np

CROPS = ("central", "start")
NUM_TIMBRE = NUM_PITCHES = 12
NUM_FEATURES = NUM_TIMBRE + NUM_PITCHES + 1


class Rejected(ValueError):  # noqa: N818  no error of the program: of a file
    """One song cannot be used; the others can.

    Attributes:
      reason: a few words that are the same for every such song: "too short".
      detail: what about this one, one line, perhaps empty: "90 segments, 120 are needed".
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        """str() of it is both: "reason: detail"."""
        self.reason, self.detail = reason, " ".join(detail.split())[:300]
        super().__init__(f"{reason}: {self.detail}" if self.detail else reason)


def check_finite(name: str, values: np.ndarray) -> None:
    """Raises Rejected if one of the values is NaN or infinite; `name` says whose they are."""
    if not np.isfinite(values).all():
        if np.isnan(values).any():
            raise Rejected("not a number", f"{int(np.isnan(values).sum())} NaN in {name}")
        raise Rejected("infinite", f"{int(np.isinf(values).sum())} infinite values in {name}")


def song_features(
    timbre: np.ndarray, pitches: np.ndarray, loudness_start: np.ndarray
) -> np.ndarray:
    """The 25 features of every segment in the course's order.

    Args:
      timbre: [T, 12], no unit.
      pitches: [T, 12], 0 to 1.
      loudness_start: [T], dB.

    Returns:
      [T, 25] float32. The analysis has three decimals, and every such number below 8,192 is told
      from its neighbours in float32: rounded to three decimals again it is the same number.

    Raises:
      Rejected: for another shape, or values that are no finite numbers.
    """
    parts = {"timbre": timbre, "pitches": pitches, "loudness_start": loudness_start}
    num_segments = len(loudness_start) if np.ndim(loudness_start) else 0
    for name, width in (("timbre", (12,)), ("pitches", (12,)), ("loudness_start", ())):
        values = parts[name]
        if values.dtype.kind not in "fiu":
            raise Rejected("not a number", f"{name} is of type {values.dtype}")
        if values.shape != (num_segments, *width):
            raise Rejected(
                "wrong shape",
                f"{name} is {'x'.join(map(str, values.shape)) or 'a single number'}, "
                f"{'x'.join(map(str, (num_segments, *width)))} is needed",
            )
    features = np.empty((num_segments, NUM_FEATURES), np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as that
        features[:, :12], features[:, 12:24], features[:, 24] = timbre, pitches, loudness_start
    if not np.isfinite(features).all():
        check_finite("timbre", features[:, :12])
        check_finite("pitches", features[:, 12:24])
        check_finite("loudness_start", features[:, 24])
    return features


def first_segment(length: int, num_segments: int, where: str) -> int:
    """Where the crop of a song of `length` segments begins.

    Args:
      length: segments of the song.
      num_segments: of the crop.
      where: "central" (as the course did; of an odd rest the one segment more is left at the end)
        or "start".

    Raises:
      Rejected: if the song is shorter than the crop.
    """
    spare = length - num_segments
    if spare < 0:
        raise Rejected("too short", f"{length} segments, {num_segments} are needed")
    return {"central": spare // 2, "start": 0}[where]


def crop(features: np.ndarray, num_segments: int, where: str = "central") -> np.ndarray:
    """The part of a song that a model hears: [num_segments, F] of features [T, F], a view.

    Raises:
      Rejected: if the song has fewer segments.
    """
    first = first_segment(len(features), num_segments, where)
    return features[first : first + num_segments]
