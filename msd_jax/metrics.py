"""What predictions are worth, and means over seeds; numpy, on the host."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Interval(NamedTuple):
    """A mean (or median) with its 95% interval; None where the function that made it says so."""

    mean: float | None
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Mean over seeds and Student's t interval for it, n - 1 degrees of freedom.

    Args:
      values: one a seed; none at all gives an Interval of Nones.
    """
    if len(values) == 0:
        return Interval(None, None, None)
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, None, None)
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    margin = float(special.stdtrit(len(values) - 1, 0.975)) * error
    return Interval(mean, mean - margin, mean + margin)


def correct(log_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the likeliest genre is the song's. [..., N, K], [N] -> bool [..., N]."""
    return log_probs.argmax(axis=-1) == labels


def negative_log_likelihood(log_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean over songs of -log p(label), in nats. [..., N, K], [N] -> [...]."""
    songs = np.arange(len(labels))
    return -log_probs[..., songs, labels].mean(axis=-1, dtype=np.float64)


class Reliability(NamedTuple):
    """Songs by their confidence, the probability of the likeliest genre, in equal bins [C].

    share of the songs; mean confidence and accuracy of each bin's songs, NaN in an empty bin.
    """

    share: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(log_probs: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> Reliability:
    """How often songs are right that are predicted with such a confidence.

    Args:
      log_probs: [N, K], normalised.
      labels: [N].
      num_bins: C, bins of equal width over confidences 0 to 1.
    """
    confidence = np.exp(log_probs.max(axis=-1).astype(np.float64))
    bins = np.clip((np.nan_to_num(confidence) * num_bins).astype(int), 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)

    def bin_means(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(bins, weights=values, minlength=num_bins)
        return np.divide(sums, counts, out=np.full(num_bins, np.nan), where=counts > 0)

    right = bin_means(correct(log_probs, labels))
    return Reliability(counts / len(labels), bin_means(confidence), right)


def calibration_error(log_probs: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> float:
    """Expected calibration error: the mean over songs of |accuracy - confidence| of their bin.

    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks" (ICML 2017), eq. 3.
    Arguments as in `reliability`; NaN if a song's log-probabilities are.
    """
    bins = reliability(log_probs, labels, num_bins)
    gaps = bins.share * np.abs(bins.accuracy - bins.confidence)
    return float(gaps[bins.share > 0].sum())


def confusion(log_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many songs of genre i (row) are taken for genre j (column). [N, K], [N] -> [K, K]."""
    num_genres = log_probs.shape[-1]
    pairs = labels * num_genres + log_probs.argmax(axis=-1)
    return np.bincount(pairs, minlength=num_genres**2).reshape(num_genres, num_genres)
