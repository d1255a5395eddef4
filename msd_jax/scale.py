"""Whether features are on the scale that a model was trained on: refused, never scored wrong.

Two questions. Of raw features: can they be an Echo Nest analysis? Of standardised ones: do they
look like the songs that the model was trained on? Bounds and what they were measured on are in
BUILD_NOTES.md.
"""

from typing import NamedTuple

import numpy as np

from msd_jax.songs import NUM_FEATURES, NUM_TIMBRE, Rejected

PITCHES, LOUDNESS = slice(NUM_TIMBRE, NUM_FEATURES - 1), NUM_FEATURES - 1
# dB. The analysis has a floor of -60; full scale is 0. Real songs all have a segment that starts
# below -11; amplitudes (0..1) and bels (-6..0) never get below -6.
LOUDNESS_RANGE = (-60.5, 6.0)
QUIETEST_AT_MOST = -8.0
# Of a song's root mean square over its segments, in deviations of the training songs' feature.
# Real songs: each feature at most 4.3, all features together at least 0.66.
FARTHEST, NEAREST = 8.0, 0.2


class InputStatistics(NamedTuple):
    """mean [F] and std [F] of a model's training inputs over songs and segments."""

    mean: np.ndarray
    std: np.ndarray


def input_statistics(inputs: np.ndarray) -> InputStatistics:
    """Of inputs [N, T, F], in blocks, so that it takes little memory; a constant gets std 1."""
    count = inputs.shape[0] * inputs.shape[1]
    blocks = [inputs[start : start + 1000] for start in range(0, len(inputs), 1000)]
    mean = sum(block.sum(axis=(0, 1), dtype=np.float64) for block in blocks) / count
    squares = sum(((block - mean) ** 2).sum(axis=(0, 1)) for block in blocks)
    std = np.sqrt(squares / count)
    return InputStatistics(mean, np.where(std > 0, std, 1.0))


def check_raw(features: np.ndarray) -> None:
    """Raises Rejected unless features [T, 25] can be an Echo Nest analysis as it came."""
    pitches, loudness = features[:, PITCHES], features[:, LOUDNESS]
    if pitches.min() < -0.001 or pitches.max() > 1.001:
        raise Rejected(
            "not raw features",
            f"pitches go from {pitches.min():.3g} to {pitches.max():.3g}, not 0 to 1: standardised "
            "already, or in another order",
        )
    low, high = LOUDNESS_RANGE
    if loudness.min() < low or loudness.max() > high or loudness.min() > QUIETEST_AT_MOST:
        raise Rejected(
            "not raw features",
            f"loudness goes from {loudness.min():.3g} to {loudness.max():.3g}, which is not dB "
            "between -60 and 0: another unit, or standardised already",
        )


def check_standardised(inputs: np.ndarray, statistics: InputStatistics) -> None:
    """Raises Rejected unless inputs [T, F] of a song look like a model's training songs."""
    distance = (inputs.astype(np.float64) - statistics.mean) / statistics.std
    per_feature = np.sqrt((distance**2).mean(axis=0))
    overall = float(np.sqrt((per_feature**2).mean()))
    if not per_feature.max() <= FARTHEST:  # so that NaN does not pass
        raise Rejected(
            "another scale",
            f"feature {int(per_feature.argmax())} is {per_feature.max():.3g} deviations from the "
            "training songs' mean: not standardised as they were",
        )
    if overall < NEAREST:
        raise Rejected(
            "another scale",
            f"its features spread {overall:.2g} deviations of the training songs': on a "
            "smaller scale than they were",
        )
