"""A study from its flags to its last run: the plan, what it costs, and the runs one by one."""

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Self

import jax
from rich.console import Console

from experiments.command.console import EpochProgress, clock, make_console
from experiments.command.exits import EXIT_INTERRUPTED, fail
from experiments.command.interruption import INTERRUPTION, Stopped
from experiments.running.execution import open_dataset, run_to_end, start_jax
from experiments.running.plan import make_plan, num_trial_epochs
from experiments.running.run_folder import open_run
from experiments.running.settings import Settings
from experiments.studying.estimate import measure_rates, run_seconds
from experiments.studying.grids import Point
from experiments.studying.study_folder import Study, StudyFolder
from experiments.studying.study_plan import Run, choose_presets, fold_names, grids_of, plan_runs
from msd_jax.dataset import Dataset
from msd_jax.errors import InputError
from msd_jax.folds import divide

_PERCENT = 100


class _Share(EpochProgress):
    """A run's share of the study's progress; its own epochs are scaled to percent of the whole."""

    def __init__(self, whole: EpochProgress, scale: float, name: str) -> None:
        self._whole, self._scale, self._name = whole, scale, name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def say(self, line: str) -> None:
        self._whole.say(line)

    def advance(self, count: float, what: str | None = None) -> None:
        words = None if what is None else f"{self._name}: {what}"
        self._whole.advance(count * self._scale, words)

    def end_epoch(self, what: str) -> None:
        self._whole.end_epoch(f"{self._name}: {what}")


def _plan(
    study: Study, folder: StudyFolder, datasets: dict[str, Dataset]
) -> tuple[list[Run], list[str]]:
    runs: list[Run] = []
    left_out: list[str] = []
    names = choose_presets(study.only)
    for dataset in datasets.values():
        grids = grids_of(study.size, study.fidelity, dataset)
        more, reasons = plan_runs(folder.runs, grids, names, dataset, study.folds)
        runs, left_out = runs + more, left_out + reasons
    if not runs:
        raise InputError(f"nothing to train: {'; '.join(left_out)}")
    return runs, left_out


def _costs(
    study: Study, base: Settings, datasets: dict[str, Dataset], runs: list[Run], console: Console
) -> list[float]:
    """Seconds of each run, from a measurement on each data set."""
    console.print("measuring how fast two of the networks train here ...")
    rates = {
        name: measure_rates(base, grids_of(study.size, "text", dataset)[0], dataset)
        for name, dataset in datasets.items()
    }
    largest = max(rate.device_bytes for rate in rates.values())
    songs = sum(d.train.inputs.nbytes + d.valid.inputs.nbytes for d in datasets.values())
    console.print(
        f"memory: {songs / 1e6:.0f} MB of songs; {largest / 1e6:.0f} MB a device for the widest "
        "LSTM's seeds; runs that would not fit are cut into chunks"
    )
    seconds = [
        run_seconds(rates[run.dataset], run, datasets[run.dataset], base.num_seeds) for run in runs
    ]
    console.print(f"time: about {clock(sum(seconds))} for what is not finished")
    return seconds


def _announce(
    study: Study, base: Settings, runs: list[Run], left_out: list[str], console: Console
) -> None:
    points: dict[Point, None] = {}
    for run in runs:
        points |= dict.fromkeys(run.box.points)
    folds = f" x {study.folds} folds" if study.folds else ""
    total = sum(len(run.box.points) for run in runs) * base.num_seeds
    console.print(
        f"study of {', '.join(study.datasets)}, size {study.size}, {study.fidelity}: "
        f"{len(points)} configurations x {base.num_seeds} seeds{folds}, {total} trainings in "
        f"{len(runs)} runs, on {jax.device_count()} x {jax.devices()[0].device_kind}"
    )
    for line in left_out:
        console.print(f"left out: {line}")


def _divided(datasets: dict[str, Dataset], run: Run) -> Dataset:
    return divide(datasets[run.dataset], run.fold) if run.fold else datasets[run.dataset]


def _is_finished(
    base: Settings, datasets: dict[str, Dataset], path: Path, run: Run, console: Console
) -> bool:
    """Whether a run has its summary; raises InputError if it was one of other songs or flags."""
    if not (path / run.folder / "summary.json").exists():
        return False
    settings, dataset = run.settings(base, path), _divided(datasets, run)
    with open_run(settings, dataset, path / run.folder, console) as workdir:
        return workdir.summary.exists()


def _train_all(
    base: Settings,
    datasets: dict[str, Dataset],
    folder: StudyFolder,
    runs: list[Run],
    seconds: list[float],
    console: Console,
) -> None:
    """Runs one after another, each for its share of the progress.

    Raises:
      Stopped: after a signal.
    """
    whole = sum(seconds)
    with EpochProgress(console, _PERCENT, expected_seconds=whole) as progress:
        for run, cost in zip(runs, seconds, strict=True):
            settings = run.settings(base, folder.path)
            dataset = _divided(datasets, run)
            total = num_trial_epochs(settings, make_plan(settings, dataset))
            name = str(run.folder.relative_to("runs"))
            share = _Share(progress, _PERCENT * cost / whole / total, name)
            with open_run(settings, dataset, folder.path / run.folder, console) as workdir:
                run_to_end(settings, dataset, workdir, share)


def _default_path(study: Study) -> Path:
    return Path("runs") / f"study-{'-'.join(study.datasets)}-{datetime.now():%Y%m%d-%H%M%S}"


def conduct(study: Study, base: Settings, dry: bool) -> None:
    """Trains a study to its end, or goes on with one that stopped.

    Args:
      study: what was asked for.
      base: seeds, machine and files of its runs.
      dry: whether to say what it would be, and stop.

    Raises:
      InputError: for what the user can mend.
    """
    choose_presets(study.only)  # before anything is loaded or written
    start_jax(base)
    if not base.trials_per_chunk and jax.devices()[0].platform == "cpu":
        # On a CPU trials run one at a time, so chunks cost nothing and share their programs.
        base = dataclasses.replace(base, trials_per_chunk=base.num_seeds)
    console = make_console()
    datasets = {
        name: open_dataset(dataclasses.replace(base, dataset=name)) for name in study.datasets
    }
    path = Path(base.workdir) if base.workdir else _default_path(study)
    with StudyFolder(path, study, base, dry) as folder:
        _conduct_in(folder, study, base, datasets, console, dry)


def _conduct_in(
    folder: StudyFolder,
    study: Study,
    base: Settings,
    datasets: dict[str, Dataset],
    console: Console,
    dry: bool,
) -> None:
    INTERRUPTION.advice = f"the same command with --workdir={folder.path} goes on"
    runs, left_out = _plan(study, folder, datasets)
    divided = {
        name: divide(dataset, fold_names(study.folds)[0]) if study.folds else dataset  # type: ignore[arg-type]
        for name, dataset in datasets.items()
    }
    _announce(study, base, runs, left_out, console)
    todo = [run for run in runs if not _is_finished(base, datasets, folder.path, run, console)]
    if len(todo) < len(runs):
        console.print(f"{len(runs) - len(todo)} of the runs are finished")
    seconds = _costs(study, base, divided, todo, console) if todo else []
    if dry:
        return
    folder.keep(runs, left_out)
    if todo:
        console.print(f"writing to {folder.path}")
    try:
        _train_all(base, datasets, folder, todo, seconds, console)
    except Stopped:
        fail(f"stopped by a signal; {INTERRUPTION.advice}", EXIT_INTERRUPTED)
    console.print(f"done: python -m experiments.report --workdir={folder.path}")
