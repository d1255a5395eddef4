"""Checkpoints of a whole sweep: saved by orbax, verified by us, walked back where damaged.

A checkpoint is a flat dictionary of arrays by dotted path ("params.output.bias"), and beside it the
sha256 of each, the number of trials and what the checkpoint belongs to. Orbax restores a flipped
bit without a word, so what comes back is compared with the hashes; a step that does not verify
becomes corrupt-<step> and the one before it is taken.

Every process writes the rows that its devices hold, padding and all; what comes back are whole host
arrays without the padding, so another number of devices or processes can go on. The methods are
collective, see `processes.py`.
"""

import contextlib
import gc
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from msd_jax import processes
from msd_jax.digests import digest, digests, row_digests
from msd_jax.errors import InputError
from msd_jax.trees import flatten, unflatten

KEEP = 2


class Restored(NamedTuple):
    """A checkpoint that came back: its step, its tree of host arrays, and what was noted."""

    step: int
    tree: Any
    notes: dict[str, Any]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps quiet what orbax warns of when it meets damage: coroutines that it did not await."""
    with warnings.catch_warnings(action="ignore"):
        try:
            yield
        except Exception:
            gc.collect()
            raise


class Checkpoints:
    """The checkpoints of one part of a sweep; a context manager, for saving goes on behind it.

    Attributes:
      set_aside: steps that did not verify, with the reason, newest first; renamed by `restore`.
    """

    def __init__(
        self,
        directory: Path,
        belongs: Mapping[str, str] | None = None,
        read_only: bool = False,
    ) -> None:
        """Opens the folder, made where missing; leftovers of a killed save are removed.

        Args:
          directory: the folder, the same for every process.
          belongs: what the checkpoints are made from, such as hashes of config and data; a
            checkpoint that belongs to something else is refused. None: nothing is asked.
          read_only: nothing in the folder is touched, for a run may be writing there.
        """
        self.set_aside: list[tuple[int, str]] = []
        self._directory, self._belongs = directory, belongs
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

    def save(
        self,
        step: int,
        tree: Any,
        num_trials: int | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Saves a tree of arrays under `step`, in the background; waits for the save before it.

        Args:
          step: later than all before it.
          tree: arrays with rows [R, ...] and perhaps padding after them; those on the devices are
            copied, host arrays must not change while they are being saved.
          num_trials: R; None where there is no padding.
          notes: whatever else of JSON is to come back; the leader's are kept.

        Raises:
          OSError and others: if the save before this one failed.
          ValueError: if there is a checkpoint of this step or a later one.
        """
        arrays = {
            name: jnp.copy(leaf) if isinstance(leaf, jax.Array) else np.asarray(leaf)
            for name, leaf in flatten(tree).items()
        }
        about = {
            "digests": digests(arrays, num_trials),
            "num_trials": num_trials,
            "belongs": dict(self._belongs or {}),
            "notes": dict(notes or {}),
        }
        self._manager.wait_until_finished()
        items = ocp.args.Composite(
            arrays=ocp.args.PyTreeSave(arrays), about=ocp.args.JsonSave(about)
        )
        if not self._manager.save(step, args=items):
            raise ValueError(
                f"checkpoint {step} was not saved: there is one of this step or a later one"
            )

    def restore(self, like: Any) -> Restored | None:
        """The newest checkpoint that verifies, in every process.

        Args:
          like: a tree of the structure, shapes and types that were saved, the padding left out.

        Returns:
          It; None if nothing was ever saved.

        Damaged ones are set aside once an older one is found sound: where none is, the reason may
        be another, such as too little memory, and the next time they may be read.

        Raises:
          InputError: if the checkpoint belongs to another config or other data, or if there are
            checkpoints and every one is damaged, now or set aside before.
          ValueError: if a sound checkpoint is not of the structure of `like`.
        """
        found_damaged: list[tuple[int, str]] = []
        for step in processes.decide(lambda: sorted(self._manager.all_steps(), reverse=True)):
            arrays: dict[str, np.ndarray] = {}
            about: dict[str, Any] = {}
            damage = None
            try:
                with _quiet():
                    arrays, about = self._restore_verified(step)
            except MemoryError:
                raise
            except Exception as error:  # orbax and tensorstore raise many types on damage
                damage = " ".join(str(error).split())[:200] or type(error).__name__
            damages = [found for found in processes.gather(damage) if found is not None]
            if damages:
                found_damaged.append((step, damages[0]))
                continue
            self._check_belongs(step, about["belongs"])
            for damaged in found_damaged:
                self._set_aside(*damaged)
            return Restored(step, unflatten(like, arrays), about["notes"])
        before = processes.decide(lambda: sorted(p.name for p in self._directory.glob("corrupt-*")))
        now = [f"{step}: {reason}" for step, reason in found_damaged]
        if now or before:
            raise InputError(
                f"{self._directory}: every checkpoint is damaged ({', '.join(now + before)}): "
                "start afresh in another workdir"
            )
        return None

    def _check_belongs(self, step: int, belongs: Mapping[str, str]) -> None:
        if self._belongs is not None and belongs != self._belongs:
            names = sorted(
                name
                for name in belongs.keys() | self._belongs.keys()
                if belongs.get(name) != self._belongs.get(name)
            )
            raise InputError(
                f"{self._directory / str(step)}: this checkpoint is of another run "
                f"({', '.join(names)} differ): start afresh in another workdir"
            )

    def _set_aside(self, step: int, reason: str) -> None:
        """Renames a damaged step to corrupt-<step>, or corrupt-<step>-2 if it happens again."""

        def rename() -> None:
            folder = self._directory / str(step)
            aside, count = folder.with_name(f"corrupt-{step}"), 2
            while aside.exists():
                aside, count = folder.with_name(f"corrupt-{step}-{count}"), count + 1
            folder.rename(aside)

        processes.decide(rename)
        self._manager.reload()
        self.set_aside.append((step, reason))

    def restore_arrays(self) -> dict[str, np.ndarray]:
        """All arrays of the newest checkpoint that verifies, by dotted path, host arrays without
        padding; those that do not are told in `set_aside` and left where they are.

        Raises:
          ValueError: if there is none.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self._restore_verified(step)[0]
            except MemoryError:
                raise
            except Exception as error:  # orbax and tensorstore raise many types on damage
                self.set_aside.append((step, " ".join(str(error).split())[:200]))
        reasons = "; ".join(f"{step}: {reason}" for step, reason in self.set_aside)
        raise ValueError(
            f"{self._directory} holds no sound checkpoint ({reasons or 'none at all'})"
        )

    def _restore_verified(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The arrays of a checkpoint, and what is known about it."""
        items = ocp.args.Composite(about=ocp.args.JsonRestore())
        about = self._manager.restore(step, args=items)["about"]
        expected, num_trials = about["digests"], about["num_trials"]
        on_host = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in expected}
        items = ocp.args.Composite(arrays=ocp.args.PyTreeRestore(restore_args=on_host))
        restored = self._manager.restore(step, args=items)["arrays"]
        arrays = {name: restored[name][:num_trials] for name in expected}
        for name, array in arrays.items():
            if digest(array, row_digests(array, len(array))) != expected[name]:
                raise ValueError(f"{name} does not match its sha256")
        return arrays, about
