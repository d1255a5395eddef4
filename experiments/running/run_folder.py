"""The folder of a run: which one it is, whose it is, and what is laid into it at the start."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import jax
from rich.console import Console

from experiments.command import process_flags
from experiments.command.storage import storing
from experiments.running.settings import Settings
from experiments.running.trained_run import describe_songs, find_normaliser, keep_normaliser
from experiments.running.workdir import Line, Workdir, choose_folder, differences
from msd_jax import processes
from msd_jax.dataset import Dataset, fingerprint
from msd_jax.errors import InputError

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# Flags in which a run may differ from the one that it resumes.
_FREE_FLAGS = (
    "workdir",
    "force_new",
    "tensorboard",
    "data_dir",
    "host_devices",
    "step_timeout",
    "debug_nans",
    *(holder.name for holder in process_flags.GROUP),
)


def default_workdir(settings: Settings) -> Path:
    """A folder that is not there yet."""
    stem = f"{settings.dataset}-{settings.model}-{datetime.now():%Y%m%d-%H%M%S}"
    path, count = Path("runs") / stem, 2
    while path.exists():
        path, count = path.with_name(f"{stem}-{count}"), count + 1
    return path


def _identity(settings: Settings, dataset: Dataset) -> Line:
    """What a run must share with the one that it resumes, as JSON has it."""
    flags = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(settings).items()
        if name not in _FREE_FLAGS
    }
    return {"flags": flags, "dataset_sha256": fingerprint(dataset)}


def _circumstances(settings: Settings, dataset: Dataset) -> Line:
    """What else config.json tells of a run."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    device = jax.devices()[0]
    return {
        "free_flags": {name: getattr(settings, name) for name in _FREE_FLAGS},
        "songs": describe_songs(dataset),
        "versions": {"python": platform.python_version(), **versions},
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
        },
        "processes": processes.hosts(),
    }


def _check_alike(identity: Line) -> None:
    """Raises InputError if the processes were given different flags or data."""
    first, *others = processes.gather(identity)
    for number, other in enumerate(others, 1):
        names = [name for name, _, _ in differences(first, other)]
        if names:
            raise InputError(
                f"process {number} was given another {', '.join(names)} than process 0: give all "
                "the same"
            )


def belongings(settings: Settings, dataset: Dataset) -> dict[str, str]:
    """What a checkpoint belongs to."""
    identity = _identity(settings, dataset)
    flags = json.dumps(identity["flags"], sort_keys=True).encode()
    return {
        "config_sha256": hashlib.sha256(flags).hexdigest(),
        "dataset_sha256": identity["dataset_sha256"],
    }


@contextlib.contextmanager
def open_run(
    settings: Settings, dataset: Dataset, asked: Path, console: Console
) -> Iterator[Workdir]:
    """The folder of a run, made or taken up, and locked while the context lasts.

    Args:
      settings: of the run, the same in every process.
      dataset: of the run.
      asked: for this folder; another one beside it is taken under --force_new.
      console: is told of what was found there.

    Raises:
      InputError: if it cannot be written, or belongs to another run, or processes differ.
      StorageError: inside, if the disk takes no more.
    """
    normaliser = processes.together(lambda: find_normaliser(settings, dataset))
    identity = _identity(settings, dataset)
    _check_alike(identity)
    path = Path(processes.decide(lambda: str(choose_folder(asked, identity, settings.force_new))))
    config = {**identity, **_circumstances(settings, dataset)}
    with Workdir(path, config, identity) as workdir:
        if path != asked:
            console.print(f"{asked} belongs to another run: {path} is taken in its place")
        if workdir.left_behind:
            console.print(f"{workdir.left_behind} has ended here without a word")
        with storing(path):
            processes.decide(lambda: keep_normaliser(normaliser, path))
            yield workdir
