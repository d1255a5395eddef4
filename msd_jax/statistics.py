"""Paired comparisons over seeds and over songs; numpy and scipy, on the host.

A difference is paired: both configurations were trained from the same seed on the same songs. The
unit is the seed, so intervals do not hold the choice of the songs; `mcnemar` is over songs.
"""

from collections.abc import Sequence

import numpy as np
from scipy import optimize, special, stats

from msd_jax.metrics import Interval, mean_interval

NUM_RESAMPLES = 10_000
LEAST_FOR_BOOTSTRAP = 8  # seeds; fewer have too few different resamples
# Differences closer together than this are equal but for rounding, of the largest and at least.
_GRAIN, _LEAST_GRAIN = 1e-4, 1e-9


def bootstrap_interval(differences: np.ndarray, seed: int = 0) -> Interval:
    """Mean of paired differences [n] and its 95% interval, by the studentised bootstrap.

    Each resample's mean is measured in its own standard errors (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, section 12.5): unlike percentiles and BCa that holds its
    level at ten seeds. Accuracies on few songs lie on a lattice where resamples may have no spread;
    those are left out, and the interval is never narrower than Student's at either end. For fewer
    than `LEAST_FOR_BOOTSTRAP` seeds it is Student's.
    """
    student = mean_interval(differences)
    if len(differences) < LEAST_FOR_BOOTSTRAP or student.low is None or student.low == student.high:
        return student
    rng = np.random.default_rng(seed)
    resamples = rng.choice(differences, (NUM_RESAMPLES, len(differences)))
    mean, std = differences.mean(), differences.std(ddof=1)
    spread = resamples.std(axis=1, ddof=1)
    sound = spread > 1e-9 * std
    pivots = (resamples.mean(axis=1)[sound] - mean) / spread[sound]
    low, high = mean - std * np.quantile(pivots, [0.975, 0.025])
    return Interval(student.mean, min(low, student.low), max(high, student.high))


def median_interval(values: np.ndarray) -> Interval:
    """Median of values [n], in the place of the mean, and its 95% interval between two of them.

    By the binomial distribution of how many lie below the median: at least 95% whatever the values'
    own distribution, and nothing that a few wild ones could move. None for fewer than 6 values.
    """
    n, ordered = len(values), np.sort(values)
    below = int(np.sum(stats.binom.cdf(np.arange(n), n, 0.5) <= 0.025))
    if below == 0:
        return Interval(float(np.median(values)), None, None)
    return Interval(float(np.median(values)), float(ordered[below - 1]), float(ordered[-below]))


def _levels(sizes: np.ndarray) -> np.ndarray:
    """Sizes [n] by their order, from 1, equal ones together; 0 for 0. Shares of songs that were
    added and scaled are equal only to rounding.
    """
    order = np.argsort(sizes)
    steps = np.diff(sizes[order], prepend=0.0) > max(_GRAIN * sizes.max(), _LEAST_GRAIN)
    levels = np.zeros(len(sizes), int)
    levels[order] = np.cumsum(steps)
    return levels


def wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p of the signed-rank test that differences [n] are symmetric about 0.

    Wilcoxon, "Individual comparisons by ranking methods" (1945). Exact; where differences are tied
    or 0 (Pratt, 1959), over all 2^n signs for up to 13 seeds, else over 9,999 drawn ones. 1 where
    all differences are 0. Sizes that differ by less than a ten-thousandth of the largest (or 1e-9)
    are tied, and as small ones are 0.
    """
    sizes = _levels(np.abs(differences))
    if not sizes.any():
        return 1.0
    if sizes.all() and len(np.unique(sizes)) == len(sizes):
        return float(stats.wilcoxon(differences, method="exact").pvalue)
    ranks = stats.rankdata(sizes)[sizes > 0]
    n = len(ranks)
    if n <= 13:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1, 1], (9_999, n))
    sums = np.abs(signs @ ranks)
    seen = np.abs(np.sign(differences[sizes > 0]) @ ranks)
    as_far = int((sums >= seen - 1e-9).sum())
    return as_far / 2**n if n <= 13 else (as_far + 1) / 10_000


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> float:
    """Two-sided p of the exact test of McNemar (1947) that two classifiers are right equally often.

    Args:
      first_right: bool [N], whether the first is right, song by song.
      second_right: bool [N], of the second.

    Returns:
      The binomial probability over the songs that one has right and the other wrong; 1 if none.
    """
    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(second_right & ~first_right))
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being several (Holm, 1979), in the order given, each at most 1."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.zeros(len(p_values))
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected.tolist()


def smallest_effect(differences: np.ndarray, power: float = 0.8) -> float | None:
    """The effect that n seeds of this spread show at the 5% level with such a power.

    Of the two-sided paired t test, from the noncentral t distribution; in the differences' unit.
    None for fewer than two.
    """
    n = len(differences)
    if n < 2:
        return None
    critical = float(special.stdtrit(n - 1, 0.975))

    def missed(noncentrality: float) -> float:
        return float(special.nctdtr(n - 1, noncentrality, critical)) - (1 - power)

    # Not far above it: there the distribution function has no value for many degrees of freedom.
    noncentrality = optimize.brentq(missed, 0.0, 2.0 * critical + 5.0)
    return float(noncentrality * np.std(differences, ddof=1) / n**0.5)
