"""A whole run: from settings to summary.json, with its words on screen."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from datetime import datetime
from pathlib import Path

import jax
from rich.console import Console

from experiments import checks, process_flags
from experiments.calls import Program
from experiments.console import EpochProgress, closing_table, make_console
from experiments.exits import EXIT_INTERRUPTED, fail
from experiments.flags import Settings
from experiments.guard import Ward
from experiments.interruption import INTERRUPTION
from experiments.plan import Part, describe, make_plan
from experiments.storage import storing
from experiments.summary import summarise
from experiments.trained_run import describe_songs, find_normaliser, keep_normaliser
from experiments.training import Interrupted, Session, evaluate_part, train_part
from experiments.watchdog import Watchdog
from experiments.workdir import (
    Line,
    Workdir,
    choose_folder,
    differences,
    read_json,
    write_json,
)
from msd_jax import processes, sweep
from msd_jax.dataset import Dataset, Songs, fingerprint, load_dataset
from msd_jax.devices import make_layout, memory_budget, set_precision
from msd_jax.errors import InputError
from msd_jax.models import num_params
from msd_jax.synthetic import synthetic_dataset
from msd_jax.train import init_state

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# So few trials on a device fit anywhere; more are counted against the memory there is.
_FEW_TRIALS = 8
# Flags in which a run may differ from the one that it resumes.
_FREE_FLAGS = (
    "workdir",
    "force_new",
    "data_dir",
    "host_devices",
    "step_timeout",
    "debug_nans",
    *(holder.name for holder in process_flags.GROUP),
)


def open_dataset(settings: Settings) -> Dataset:
    """The synthetic songs, or the files that the settings name."""
    if settings.dataset == "synthetic":
        return synthetic_dataset()
    return load_dataset(settings.dataset, Path(settings.data_dir))


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


def _num_params(part: Part) -> int:
    state = jax.eval_shape(lambda: init_state(part.config, jax.random.key(0)))
    return num_params(state.params)


def _announce(console: Console, settings: Settings, dataset: Dataset, plan: list[Part]) -> None:
    num_test = f"{len(dataset.test.labels)} test" if dataset.test else "no labelled test"
    console.print(
        f"{settings.model} on {dataset.name}: {len(dataset.train.labels)} train, "
        f"{len(dataset.valid.labels)} valid, {num_test} songs of {dataset.num_segments} x "
        f"{dataset.num_features}, {dataset.num_genres} genres"
    )
    trials = sum(len(part.trials) for part in plan)
    sizes = ", ".join(f"{_num_params(part):,}" for part in plan)
    device = jax.devices()[0]
    alone = any(len(part.trials) == 1 for part in plan)
    if alone and make_layout(1, settings.batch_size).split_batch:
        console.print(
            f"one trial: each batch is divided over {jax.device_count()} devices; its numbers "
            "agree with those of the same trial in a sweep to rounding"
        )
    console.print(
        f"{trials} trials ({settings.num_seeds} seeds a grid point), {sizes} parameters each, "
        f"{settings.num_epochs} epochs, on {jax.device_count()} x {device.device_kind}"
        + (f" of {jax.process_count()} processes" if jax.process_count() > 1 else "")
    )


def _check_memory(plan: list[Part]) -> None:
    """Raises InputError if not even one trial's state fits the memory."""
    for part in plan:
        state = jax.eval_shape(functools.partial(init_state, part.config), jax.random.key(0))
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        if size > memory_budget():
            raise InputError(
                f"one trial of {part.config.num_hidden} hidden units takes {size / 1e9:,.1f} GB, "
                f"a device has {memory_budget() / 1e9:,.1f} GB for it: lower --num_hidden"
            )


def _trials_per_chunk(settings: Settings, part: Part, train: Songs, valid: Songs) -> int:
    """How many of a part's trials one program takes."""
    size = len(part.trials)
    if settings.trials_per_chunk:
        return min(size, settings.trials_per_chunk)
    if size <= _FEW_TRIALS * jax.device_count():
        return size
    fitting = sweep.trials_that_fit(part.config, train, valid, memory_budget())
    return min(size, *processes.gather(fitting))


def _train(
    settings: Settings, dataset: Dataset, plan: list[Part], workdir: Workdir, console: Console
) -> list[float | None]:
    """Trains every part, chunk by chunk; the test accuracies of all trials."""
    belongs = _hashes(_identity(settings, dataset))
    total = settings.num_epochs * sum(len(part.trials) for part in plan)
    test_accuracies: list[float | None] = []
    layout = make_layout(1, settings.batch_size)
    train, valid = (sweep.share(songs, layout) for songs in (dataset.train, dataset.valid))
    test = sweep.share(dataset.test, layout) if dataset.test else None
    with (
        INTERRUPTION.postponed() as interruption,
        Watchdog(settings.step_timeout, INTERRUPTION.advice) as watchdog,
        EpochProgress(console, total) as progress,
    ):
        session = Session(settings, workdir, progress, interruption, watchdog, belongs)
        for index, part in enumerate(plan):
            decide = functools.partial(_trials_per_chunk, settings, part, train, valid)
            size = workdir.remember(f"trials_per_chunk-{index}", decide, len(part.trials))
            # A trial of a sweep has its own bits, so it is never divided, even in a chunk of one.
            alone = len(part.trials) == 1
            layout = make_layout(size, settings.batch_size, allow_split=alone)
            program = Program(part.config, layout, train, valid)
            for start in range(0, len(part.trials), size):
                chunk = Part(part.config, part.trials[start : start + size])
                states = train_part(session, program, chunk, f"{index}-{start}")
                size_of_chunk = len(chunk.trials)
                test_accuracies += (
                    evaluate_part(session, program, test, states, size_of_chunk)
                    if test
                    else [None] * size_of_chunk
                )
    return test_accuracies


def _train_and_summarise(
    settings: Settings, dataset: Dataset, plan: list[Part], workdir: Workdir, console: Console
) -> Line:
    test_accuracies = _train(settings, dataset, plan, workdir, console)
    about = {
        "dataset": dataset.name,
        "model": settings.model,
        "num_train": len(dataset.train.labels),
        "num_valid": len(dataset.valid.labels),
        "num_test": len(dataset.test.labels) if dataset.test else 0,
        "num_params": max(_num_params(part) for part in plan),
    }
    trials = [describe(settings, part.config, trial) for part in plan for trial in part.trials]
    return processes.decide(
        lambda: summarise(about, trials, workdir.read_metrics(), test_accuracies)
    )


def _start(settings: Settings) -> None:
    """Sets jax up before its first use: devices, other processes, precision."""
    jax.config.update("jax_num_cpu_devices", settings.host_devices or len(os.sched_getaffinity(0)))
    if settings.several_processes:
        processes.start(
            settings.coordinator,
            settings.num_processes,
            settings.process_id,
            settings.heartbeat_seconds,
        )
    set_precision(settings.precision)


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


def _hashes(identity: Line) -> dict[str, str]:
    """What a checkpoint belongs to."""
    flags = json.dumps(identity["flags"], sort_keys=True).encode()
    return {
        "config_sha256": hashlib.sha256(flags).hexdigest(),
        "dataset_sha256": identity["dataset_sha256"],
    }


def execute(settings: Settings, ward: Ward | None = None) -> None:
    """Runs the settings to their end, or goes on with a run that stopped.

    Args:
      settings: of the run, the same in every process.
      ward: of this process, if it is one of several.

    Raises:
      InputError: for what the user can mend.
      StorageError: if the disk takes no more.
    """
    _start(settings)
    console = make_console(quiet=not processes.leads())
    dataset = processes.together(lambda: open_dataset(settings))
    plan = make_plan(settings, dataset)
    normaliser = processes.together(lambda: find_normaliser(settings, dataset))
    _check_memory(plan)
    asked = Path(processes.decide(lambda: settings.workdir or str(default_workdir(settings))))
    identity = _identity(settings, dataset)
    _check_alike(identity)
    path = Path(processes.decide(lambda: str(choose_folder(asked, identity, settings.force_new))))
    if ward is not None:
        ward.tell(processes.hosts(), str(asked))
    config = {**identity, **_circumstances(settings, dataset)}
    with Workdir(path, config, identity) as workdir:
        INTERRUPTION.advice = f"the same command with --workdir={asked} goes on"
        if path != asked:
            console.print(f"{asked} belongs to another run: {path} is taken in its place")
        if workdir.left_behind:
            console.print(f"{workdir.left_behind} has ended here without a word")
        with storing(path):
            processes.decide(lambda: keep_normaliser(normaliser, path))
            _execute_in(settings, dataset, plan, workdir, console)


def _execute_in(
    settings: Settings, dataset: Dataset, plan: list[Part], workdir: Workdir, console: Console
) -> None:
    _announce(console, settings, dataset, plan)
    if processes.decide(workdir.summary.exists):
        summary = processes.decide(lambda: read_json(workdir.summary, checks.is_summary))
        console.print(f"{workdir.path} is finished: this is what it found")
        console.print(closing_table(summary))
        return
    console.print(f"{'going on in' if workdir.resumed else 'writing to'} {workdir.path}")
    try:
        summary = _train_and_summarise(settings, dataset, plan, workdir, console)
    except Interrupted:
        if not processes.leads():
            sys.exit(EXIT_INTERRUPTED)
        fail(f"stopped by a signal; {INTERRUPTION.advice}", EXIT_INTERRUPTED)
    if processes.leads():
        write_json(workdir.summary, summary)
    console.print(closing_table(summary))
    console.print(f"{summary['songs_per_second']:.0f} songs a second; results in {workdir.summary}")
