"""Trees of arrays as flat dictionaries by dotted path ("params.output.kernel"), and back."""

from typing import Any

import jax
import numpy as np


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def flatten(tree: Any) -> dict[str, Any]:
    """A tree of arrays as a dictionary by dotted path."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def unflatten(like: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree of the structure of `like` whose leaves `flatten` gave.

    Raises:
      ValueError: where a leaf is missing, or of another shape or type.
    """

    def leaf(path: tuple, expected: Any) -> np.ndarray:
        name = _name(path)
        if name not in arrays:
            raise ValueError(f"{name} is missing")
        x = arrays[name]
        if (x.shape, x.dtype) != (expected.shape, expected.dtype):
            raise ValueError(f"{name} is {x.dtype}{x.shape}, not {expected.dtype}{expected.shape}")
        return x

    return jax.tree_util.tree_map_with_path(leaf, like)
