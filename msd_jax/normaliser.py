"""What standardises songs: mean and std of the training songs at each position and feature."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msd_jax.errors import InputError
from msd_jax.npz import read_npz
from msd_jax.songs import CROPS

FLOAT16_MAX = float(np.finfo(np.float16).max)


class Normaliser(NamedTuple):
    """mean [T, F] and std [T, F] of training songs, at each position and for each feature."""

    mean: np.ndarray
    std: np.ndarray


def fit_normaliser_in_blocks(blocks: Callable[[], Iterable[np.ndarray]]) -> Normaliser:
    """Statistics of songs that need not fit the memory; a feature that never changes gets std 1.

    Args:
      blocks: gives the songs, at least one, anew each time it is called, in blocks [n, T, F]: one
        pass for the mean, one for the deviations from it. (One pass over squares loses digits.)
    """
    count, total, low, high = 0, 0.0, np.inf, -np.inf
    for block in blocks():
        count += len(block)
        total = total + block.sum(axis=0, dtype=np.float64)
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    mean = np.asarray(total / count)
    squares = sum(((block - mean) ** 2).sum(axis=0) for block in blocks())
    # Not where std is 0: the mean of equal numbers is rounded.
    return Normaliser(mean, np.where(high > low, np.sqrt(squares / count), 1.0))


def fit_normaliser(inputs: np.ndarray) -> Normaliser:
    """Statistics of inputs [N, T, F]; a feature that never changes gets std 1."""
    return fit_normaliser_in_blocks(lambda: [inputs])


def normalise(normaliser: Normaliser, inputs: np.ndarray) -> np.ndarray:
    """Standardised inputs [N, T, F] in float16, as the course's files have them.

    What is beyond float16 becomes its largest number: far out, but finite.
    """
    standardised = (inputs - normaliser.mean) / normaliser.std
    return standardised.clip(-FLOAT16_MAX, FLOAT16_MAX).astype(np.float16)


def save_normaliser(path: Path, normaliser: Normaliser, crop: str) -> None:
    """Writes mean, std and the crop (one of CROPS) whose positions they are of."""
    file = io.BytesIO()
    np.savez(file, mean=normaliser.mean, std=normaliser.std, crop=np.array(crop))
    path.write_bytes(file.getvalue())


def load_normaliser(path: Path) -> tuple[Normaliser, str]:
    """A normaliser in float64, and its crop.

    Raises:
      InputError: if there is none in the file, or one that cannot be right.
    """
    arrays = read_npz(path, ("mean", "std", "crop"))
    mean, std, crop = (arrays[key] for key in ("mean", "std", "crop"))
    for name, values in (("mean", mean), ("std", std)):
        if values.dtype.kind != "f" or values.ndim != 2 or 0 in values.shape:
            raise InputError(
                f"{path}: {name} is {values.dtype} of shape {values.shape}: "
                "floats [T, F] are needed"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {name} holds NaN or infinite values: make the file anew")
    if mean.shape != std.shape:
        raise InputError(f"{path}: mean is {mean.shape} and std {std.shape}: they must agree")
    if (std <= 0).any():
        raise InputError(f"{path}: std holds {std.min():g}: deviations are above 0")
    if crop.shape != () or crop.dtype.kind != "U" or str(crop) not in CROPS:
        raise InputError(f"{path}: crop is {str(crop)[:40]!r}: one of {', '.join(CROPS)} is needed")
    return Normaliser(mean.astype(np.float64), std.astype(np.float64)), str(crop)
