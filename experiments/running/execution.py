"""A whole run: from settings to summary.json, with its words on screen."""

import contextlib
import dataclasses
import functools
import os
import sys
from pathlib import Path

import jax
from rich.console import Console

from experiments.command import checks
from experiments.command.console import EpochProgress, closing_table, make_console
from experiments.command.exits import EXIT_INTERRUPTED, fail
from experiments.command.guard import Ward
from experiments.command.interruption import INTERRUPTION, Stopped
from experiments.command.watchdog import Watchdog
from experiments.running.calls import Program
from experiments.running.events import EventFiles
from experiments.running.plan import Part, describe, make_plan, num_trial_epochs
from experiments.running.predictions import (
    FILES,
    Predictions,
    concatenate,
    save_predictions,
)
from experiments.running.run_folder import belongings, default_workdir, open_run
from experiments.running.settings import Settings
from experiments.running.summary import summarise
from experiments.running.training import Session, predict_part, train_part
from experiments.running.workdir import (
    Line,
    Workdir,
    read_json,
    write_json,
)
from msd_jax import processes, sweep
from msd_jax.dataset import SYNTHETIC, Dataset, Songs, load_dataset
from msd_jax.devices import make_layout, memory_budget, set_precision
from msd_jax.errors import InputError
from msd_jax.folds import divide
from msd_jax.models import num_params
from msd_jax.objective import prediction_rule
from msd_jax.state import init_state
from msd_jax.synthetic import synthetic_dataset

# So few trials on a device fit anywhere; more are counted against the memory there is.
_FEW_TRIALS = 8


def open_dataset(settings: Settings) -> Dataset:
    """The synthetic songs, or the files that the settings name, divided as they say."""
    if settings.dataset == SYNTHETIC:
        dataset = synthetic_dataset()
    else:
        dataset = load_dataset(settings.dataset, Path(settings.data_dir))
    return divide(dataset, settings.fold) if settings.fold else dataset


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
    settings: Settings,
    dataset: Dataset,
    plan: list[Part],
    workdir: Workdir,
    progress: EpochProgress,
) -> Predictions:
    """Trains every part, chunk by chunk; what the trials say of the test songs, or of the
    validation songs where no test songs are labelled.
    """
    belongs = belongings(settings, dataset)
    predictions = []
    layout = make_layout(1, settings.batch_size)
    train, valid = (sweep.share(songs, layout) for songs in (dataset.train, dataset.valid))
    measured = sweep.share(dataset.test, layout) if dataset.test else valid
    with (
        INTERRUPTION.postponed() as interruption,
        Watchdog(settings.step_timeout, INTERRUPTION.advice) as watchdog,
        progress,
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
                num_trials = len(chunk.trials)
                predictions.append(predict_part(session, program, measured, states, num_trials))
    return concatenate(predictions)


def _train_and_summarise(
    settings: Settings,
    dataset: Dataset,
    plan: list[Part],
    workdir: Workdir,
    progress: EpochProgress,
) -> Line:
    predictions = _train(settings, dataset, plan, workdir, progress)
    about = {
        "dataset": dataset.name,
        "model": settings.model,
        "num_train": len(dataset.train.labels),
        "num_valid": len(dataset.valid.labels),
        "num_test": len(dataset.test.labels) if dataset.test else 0,
        "genre_names": dataset.genre_names,
        "num_params": max(_num_params(part) for part in plan),
    }
    trials = [describe(settings, part.config, trial) for part in plan for trial in part.trials]
    split = "test" if dataset.test else "valid"
    if processes.leads():
        save_predictions(workdir.path / FILES[split], predictions)
    rule = prediction_rule(plan[0].config)
    return processes.decide(
        lambda: summarise(about, trials, workdir.read_metrics(), predictions, rule, split)
    )


def start_jax(settings: Settings) -> None:
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


def run_to_end(
    settings: Settings, dataset: Dataset, workdir: Workdir, progress: EpochProgress
) -> Line:
    """Trains what is left of a run that is not finished, and writes its summary.

    Raises:
      InputError: for what the user can mend.
      Stopped: after a signal; the run goes on when it is started again.
    """
    plan = make_plan(settings, dataset)
    with contextlib.ExitStack() as stack:
        if settings.tensorboard and processes.leads():
            events = stack.enter_context(EventFiles(workdir.path / "tensorboard"))
            workdir.listeners.append(events.write)
        summary = _train_and_summarise(settings, dataset, plan, workdir, progress)
    if processes.leads():
        write_json(workdir.summary, summary)
    return summary


def execute(settings: Settings, ward: Ward | None = None) -> None:
    """Runs the settings to their end, or goes on with a run that stopped.

    Args:
      settings: of the run, the same in every process.
      ward: of this process, if it is one of several.

    Raises:
      InputError: for what the user can mend.
      StorageError: if the disk takes no more.
    """
    start_jax(settings)
    # All or none: what it looks at is gathered from every process.
    debug_nans = processes.decide(lambda: settings.debug_nans)
    settings = dataclasses.replace(settings, debug_nans=debug_nans)
    console = make_console(quiet=not processes.leads())
    dataset = processes.together(lambda: open_dataset(settings))
    plan = make_plan(settings, dataset)
    _check_memory(plan)
    asked = Path(processes.decide(lambda: settings.workdir or str(default_workdir(settings))))
    INTERRUPTION.advice = f"the same command with --workdir={asked} goes on"
    if ward is not None:
        ward.tell(processes.hosts(), str(asked))
    with open_run(settings, dataset, asked, console) as workdir:
        _announce(console, settings, dataset, plan)
        _execute_in(settings, dataset, plan, workdir, console)


def _execute_in(
    settings: Settings, dataset: Dataset, plan: list[Part], workdir: Workdir, console: Console
) -> None:
    if processes.decide(workdir.summary.exists):
        console.print(f"{workdir.path} is finished: this is what it found")
        summary = processes.decide(lambda: read_json(workdir.summary, checks.is_summary))
        console.print(closing_table(summary))
        return
    console.print(f"{'going on in' if workdir.resumed else 'writing to'} {workdir.path}")
    try:
        progress = EpochProgress(console, num_trial_epochs(settings, plan))
        summary = run_to_end(settings, dataset, workdir, progress)
    except Stopped:
        if not processes.leads():
            sys.exit(EXIT_INTERRUPTED)
        fail(f"stopped by a signal; {INTERRUPTION.advice}", EXIT_INTERRUPTED)
    console.print(closing_table(summary))
    console.print(f"{summary['songs_per_second']:.0f} songs a second; results in {workdir.summary}")
