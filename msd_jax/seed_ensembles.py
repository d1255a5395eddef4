"""The trained seeds of a grid point as an ensemble: their predictions pooled, which trains nothing.

Deep ensembles (Lakshminarayanan, Pritzel and Blundell, NIPS 2017) of whatever was trained: where a
trial is itself an ensemble of snippets, its own rule comes first. numpy, on the host.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from msd_jax import metrics
from msd_jax.metrics import Interval

_SUBSETS_PER_SEED = (
    26  # so that up to ten seeds all subsets count: 10 x 26 > 252, the most of a size
)
_MOST_SIZES = 12


def _mean(log_probs: np.ndarray) -> np.ndarray:
    return special.logsumexp(log_probs, axis=0) - np.log(len(log_probs))


def _product(log_probs: np.ndarray) -> np.ndarray:
    return special.log_softmax(log_probs.sum(axis=0), axis=-1)


# m0 and m1 of `pooling.py`, over seeds in place of snippets.
SEED_RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mean": _mean, "product": _product}


class Worth(NamedTuple):
    """What predictions are worth: accuracy and calibration_error as shares, nll in nats."""

    accuracy: float
    nll: float
    calibration_error: float


class Size(NamedTuple):
    """Ensembles of num_seeds seeds: means over num_subsets of them, in the units of `Worth`."""

    num_seeds: int
    num_subsets: int
    accuracy: Interval
    nll: Interval
    calibration_error: Interval


def worth(log_probs: np.ndarray, labels: np.ndarray) -> Worth:
    """What predictions [N, K] of songs with labels [N] are worth."""
    return Worth(
        float(metrics.correct(log_probs, labels).mean()),
        float(metrics.negative_log_likelihood(log_probs, labels)),
        metrics.calibration_error(log_probs, labels),
    )


def sizes(num_seeds: int) -> list[int]:
    """Sizes of ensembles to look at: all of up to twelve seeds, else at most twelve of them."""
    if num_seeds <= _MOST_SIZES:
        return list(range(1, num_seeds + 1))
    return sorted({round(x) for x in np.geomspace(1, num_seeds, _MOST_SIZES)})


def subsets(num_seeds: int, size: int) -> np.ndarray:
    """Subsets of S seeds, bool [C, S]: all of that size, or 26 S drawn ones if they are more.

    Drawn ones are the same every time.
    """
    most = _SUBSETS_PER_SEED * num_seeds
    if math.comb(num_seeds, size) <= most:
        chosen = np.array(list(itertools.combinations(range(num_seeds), size)))
    else:
        draws = np.random.default_rng(0).random((most, num_seeds))
        chosen = draws.argsort(axis=1)[:, :size]
    holds = np.zeros((len(chosen), num_seeds), bool)
    np.put_along_axis(holds, chosen, values=True, axis=1)
    return holds


def jackknife_interval(values: np.ndarray, holds: np.ndarray) -> Interval:
    """Mean over subsets of seeds, and its 95% interval over the choice of the seeds.

    Subsets share seeds, so their values are not independent. Each seed is left out in turn, and
    all subsets with it (Arvesen, "Jackknifing U-statistics", 1969), whose spread gives Student's t
    interval, S - 1 degrees of freedom; of subsets of one seed that is `mean_interval`.

    Args:
      values: [C], one a subset.
      holds: bool [C, S], which seeds it holds.

    Returns:
      Low and high are None where there is a seed that every subset holds.
    """
    mean, num_seeds = float(values.mean()), holds.shape[1]
    left_out = (~holds).sum(axis=0)
    if not left_out.all():
        return Interval(mean, None, None)
    without = (values @ ~holds) / left_out
    error = np.sqrt((num_seeds - 1) / num_seeds * np.sum((without - without.mean()) ** 2))
    margin = float(special.stdtrit(num_seeds - 1, 0.975) * error)
    return Interval(mean, mean - margin, mean + margin)


def seed_ensembles(
    divisions: Sequence[tuple[np.ndarray, np.ndarray]], rule: str = "mean"
) -> list[Size]:
    """What ensembles of 1 to S seeds are worth.

    Args:
      divisions: log-probabilities [S, N, K] and labels [N] of the same seeds on each division of
        the songs; seeds are pooled within a division, and what that is worth is averaged over them.
      rule: one of `SEED_RULES`.

    Returns:
      One Size for each of `sizes`.
    """
    num_seeds, pool = len(divisions[0][0]), SEED_RULES[rule]
    found = []
    for size in sizes(num_seeds):
        holds = subsets(num_seeds, size)
        values = np.array(
            [
                np.mean([worth(pool(x[subset]), labels) for x, labels in divisions], axis=0)
                for subset in holds
            ]
        )
        found.append(Size(size, len(holds), *(jackknife_interval(x, holds) for x in values.T)))
    return found
