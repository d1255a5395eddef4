"""One song: raw segments as the Echo Nest's analysis gives them, to features [T, F].

The course's order: 12 timbre (no unit), 12 pitches (0 to 1), loudness at the segment's start (dB,
from -60 up). A song that cannot be used raises Rejected, which says why.
"""

import numpy as np

CROPS = ("central", "start")
NUM_TIMBRE = NUM_PITCHES = 12
NUM_FEATURES = NUM_TIMBRE + NUM_PITCHES + 1


class Rejected(ValueError):
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
        for name, values in zip(parts, (features[:, :12], features[:, 12:24], features[:, 24])):
            check_finite(name, values)
    return features


def crop(features: np.ndarray, num_segments: int, where: str = "central") -> np.ndarray:
    """The part of a song that a model hears.

    Args:
      features: [T, F] of the whole song.
      num_segments: how many segments to take.
      where: "central" (as the course did; the one segment too many of an odd rest is left at the
        end) or "start".

    Returns:
      [num_segments, F], a view.

    Raises:
      Rejected: if the song has fewer segments.
    """
    spare = len(features) - num_segments
    if spare < 0:
        raise Rejected("too short", f"{len(features)} segments, {num_segments} are needed")
    first = {"central": spare // 2, "start": 0}[where]
    return features[first : first + num_segments]
