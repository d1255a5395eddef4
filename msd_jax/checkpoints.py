"""Checkpoints of a whole sweep: saved by orbax, verified by us, walked back where damaged.

A checkpoint is a flat dictionary of host arrays by dotted path ("params.lstm.kernel"), and beside
it the sha256 of each. Orbax restores a flipped bit without a word, so what comes back is compared
with the hashes; a step that does not verify becomes corrupt-<step> and the one before it is taken.
"""

import hashlib
from pathlib import Path
from typing import Any, Self

import numpy as np
import orbax.checkpoint as ocp

from msd_jax.errors import InputError
from msd_jax.trees import flatten, unflatten

KEEP = 2


def _digest(array: np.ndarray) -> str:
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


class Checkpoints:
    """The checkpoints of one part of a sweep; a context manager, for saving goes on behind it.

    Attributes:
      set_aside: steps that did not verify at `restore`, with the reason, newest first.
    """

    def __init__(self, directory: Path, read_only: bool = False) -> None:
        """Opens the folder, made where missing; leftovers of a killed save are removed.

        With `read_only` nothing in it is touched: a run may be writing there.
        """
        self.set_aside: list[tuple[int, str]] = []
        self._directory = directory
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else KEEP,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for the save under way; without it the checkpoint would be lost."""
        try:
            self._manager.wait_until_finished()
        finally:
            self._manager.close()

    def save(self, step: int, tree: Any) -> None:
        """Saves a tree of arrays under `step`, in the background; waits for the save before it.

        The arrays must not change while they are being saved: host arrays of their own.

        Raises:
          OSError and others: if the save before this one failed.
          ValueError: if there is a checkpoint of this step or a later one.
        """
        arrays = {name: np.asarray(x) for name, x in flatten(tree).items()}
        digests = {name: _digest(array) for name, array in arrays.items()}
        self._manager.wait_until_finished()
        items = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays), digests=ocp.args.JsonSave(digests)
        )
        if not self._manager.save(step, args=items):
            raise ValueError(
                f"checkpoint {step} was not saved: there is one of this step or a later one"
            )

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """The newest checkpoint that verifies.

        Args:
          like: a tree of the structure, shapes and types that were saved.

        Returns:
          Its step and tree, leaves on the host; None if nothing was ever saved.

        Raises:
          InputError: if there are checkpoints and every one is damaged, now or set aside before.
          ValueError: if a sound checkpoint is not of the structure of `like`.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                arrays = self._restore_verified(step)
            except Exception as error:  # orbax and tensorstore raise many types on damage
                self._set_aside(step, " ".join(str(error).split())[:200])
            else:
                return step, unflatten(like, arrays)
        damaged = sorted(path.name for path in self._directory.glob("corrupt-*"))
        if damaged:
            raise InputError(
                f"{self._directory}: every checkpoint is damaged ({', '.join(damaged)}): "
                "start afresh in another workdir"
            )
        return None

    def _set_aside(self, step: int, reason: str) -> None:
        """Renames a damaged step to corrupt-<step>, or corrupt-<step>-2 if it happens again."""
        folder = self._directory / str(step)
        aside, count = folder.with_name(f"corrupt-{step}"), 2
        while aside.exists():
            aside, count = folder.with_name(f"corrupt-{step}-{count}"), count + 1
        folder.rename(aside)
        self._manager.reload()
        self.set_aside.append((step, reason))

    def restore_arrays(self) -> dict[str, np.ndarray]:
        """All arrays of the newest checkpoint by dotted path.

        Raises:
          ValueError: if there is none, or it does not match its hashes.
        """
        step = self._manager.latest_step()
        if step is None:
            raise ValueError(f"{self._directory} holds no checkpoint")
        return self._restore_verified(step)

    def _restore_verified(self, step: int) -> dict[str, np.ndarray]:
        digests = self._manager.restore(
            step, args=ocp.args.Composite(digests=ocp.args.JsonRestore())
        )["digests"]
        items = ocp.args.Composite(arrays=ocp.args.StandardRestore())
        restored = self._manager.restore(step, args=items)["arrays"]
        arrays = {name: np.asarray(array) for name, array in restored.items()}
        for name, digest in digests.items():
            if name not in arrays or _digest(arrays[name]) != digest:
                raise ValueError(f"{name} does not match its sha256")
        return arrays
