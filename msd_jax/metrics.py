"""Statistics over seeds, on the host."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Interval(NamedTuple):
    """A mean with its 95% interval; low and high are None for fewer than two values."""

    mean: float | None
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float]) -> Interval:
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
