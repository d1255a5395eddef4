"""The sha256 of arrays that lie in parts on the devices of several processes.

An array's digest is made of its rows' own, which a process can tell of its rows alone: nothing is
gathered but 32 bytes a row, and padding rows are left out.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from msd_jax import processes


def row_digests(array: jax.Array | np.ndarray, num_rows: int) -> np.ndarray:
    """The sha256 of each of the first rows, [num_rows, 32]; zeros where this process has none."""
    if isinstance(array, jax.Array):
        parts = [(s.index[0].start or 0, np.asarray(s.data)) for s in array.addressable_shards]
    else:
        parts = [(0, array)]
    found = np.zeros((num_rows, 32), np.uint8)
    for start, rows in parts:
        for index, row in enumerate(rows[: max(0, num_rows - start)], start):
            of_row = hashlib.sha256(np.ascontiguousarray(row).tobytes()).digest()
            found[index] = np.frombuffer(of_row, np.uint8)
    return found


def digest(array: jax.Array | np.ndarray, of_rows: np.ndarray) -> str:
    """The sha256 of an array's type, its shape without the padding, and its rows' sha256."""
    header = f"{array.dtype.str}{(len(of_rows), *array.shape[1:])}".encode()
    return hashlib.sha256(header + of_rows.tobytes()).hexdigest()


def digests(arrays: Mapping[str, Any], num_rows: int | None) -> dict[str, str]:
    """The digest of each array by its name, the same in every process, which all must call it.

    Args:
      arrays: with rows [R, ...] and perhaps padding after them.
      num_rows: R; None where there is no padding.
    """
    sizes = [len(x) if num_rows is None else num_rows for x in arrays.values()]
    rows = [row_digests(x, size) for x, size in zip(arrays.values(), sizes, strict=True)]
    merged = np.split(processes.merge(np.concatenate(rows)), np.cumsum(sizes)[:-1])
    return {name: digest(x, rows) for (name, x), rows in zip(arrays.items(), merged, strict=True)}
