"""The loop over epochs: stopped by real signals in the middle of one, and gone on with."""

import functools
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from experiments.command.console import EpochProgress, make_console
from experiments.command.interruption import Interruption, Stopped
from experiments.command.watchdog import Watchdog
from experiments.running import calls, training
from experiments.running.calls import Pace, Program
from experiments.running.plan import Part, make_plan
from experiments.running.predictions import accuracies
from experiments.running.training import Session, predict_part, train_part
from experiments.running.workdir import Workdir
from msd_jax import sweep
from msd_jax.checkpoints import Checkpoints
from msd_jax.dataset import Dataset
from msd_jax.devices import make_layout
from tests.flags_test import settings
from tests.small import make_songs

# 7 steps and 4 batches of validation an epoch.
STEPS, TRAIN, VALID = 11, make_songs(30), make_songs(13, seed=1)
# A recipe that counts steps and an augmentation that draws in each must go on where they were.
FLAGS = (
    *("--model=mlp", "--num_hidden=5", "--batch_size=4", "--num_seeds=6", "--num_epochs=3"),
    *("--schedule=warmup_cosine", "--clip_norm=1", "--noise=0.5", "--crop=4"),
)


class Asking(EpochProgress):
    """Sends this process SIGTERM after so many calls."""

    def __init__(self, calls_before: int | None) -> None:
        """Never, if None."""
        super().__init__(make_console(), total=18)
        self._left = calls_before

    def advance(self, count: float, what: str | None = None) -> None:
        """Counts the calls."""
        super().advance(count, what)
        if what is not None and self._left is not None:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGTERM)


@functools.cache
def make_program() -> tuple[Part, Program]:
    (part,) = make_plan(settings(*FLAGS), Dataset("d", TRAIN, VALID, None, ("a", "b", "c")))
    layout = make_layout(6, 4)
    train, valid = (sweep.share(songs, layout) for songs in (TRAIN, VALID))
    return part, Program(part.config, layout, train, valid)


def run(path: Path, calls_before: int | None = None) -> tuple[list[float], list[dict]]:
    """Test accuracies and metrics of a whole run, each call one step."""
    part, program = make_program()
    with (
        Workdir(path, {}, {}) as workdir,
        Interruption().postponed() as interruption,
        Watchdog(0, "") as watchdog,
        Asking(calls_before) as progress,
    ):
        session = Session(settings(*FLAGS), workdir, progress, interruption, watchdog)
        states = train_part(session, program, part, "0-0")
        predictions = predict_part(session, program, program.valid, states, 6)
        return accuracies(predictions, "softmax"), workdir.read_metrics()


def last_checkpoint(path: Path) -> tuple[list[int], dict[str, bytes]]:
    with Checkpoints(path / "checkpoints" / "0-0") as checkpoints:
        arrays = checkpoints.restore_arrays()
    steps = sorted(int(step.name) for step in (path / "checkpoints" / "0-0").iterdir())
    return steps, {name: array.tobytes() for name, array in arrays.items()}


def without_seconds(lines: list[dict]) -> list[dict]:
    return [{name: x for name, x in line.items() if name != "seconds"} for line in lines]


@pytest.fixture
def one_step_a_call(monkeypatch):
    monkeypatch.setattr(calls, "_SECONDS_OF_A_CALL", 0.0)


@pytest.mark.parametrize(
    ("calls_before", "saved"),
    [
        (3, [3]),  # in the training steps of the first epoch
        (STEPS - 2, [9]),  # in its validation
        (STEPS, [STEPS]),  # at its end
        (2 * STEPS + 5, [2 * STEPS, 2 * STEPS + 5]),
    ],
)
def test_a_signal_in_mid_epoch_saves_every_step_and_the_end_has_the_same_bits(
    tmp_path, one_step_a_call, calls_before, saved
):
    expected, lines = run(tmp_path / "alone")
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", calls_before)
    assert last_checkpoint(tmp_path / "stopped")[0] == saved
    accuracy, after = run(tmp_path / "stopped")
    assert accuracy == expected
    assert without_seconds(after) == without_seconds(lines)
    assert all(line["seconds"] > 0 for line in after)
    alone, stopped = (last_checkpoint(tmp_path / name)[1] for name in ("alone", "stopped"))
    assert alone == stopped


def test_steps_are_saved_inside_an_epoch_once_enough_time_has_passed(
    tmp_path, one_step_a_call, monkeypatch
):
    expected, lines = run(tmp_path / "alone")
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_SAVES", -1.0)
    saved, save = [], Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, step, *rest: (saved.append(step), save(self, step, *rest))
    )
    accuracy, after = run(tmp_path / "saved")
    assert saved == list(range(1, 3 * STEPS + 1))
    assert accuracy == expected
    assert without_seconds(after) == without_seconds(lines)


def test_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before(
    tmp_path, one_step_a_call, capfd
):
    expected, lines = run(tmp_path / "alone")
    with pytest.raises(Stopped):
        run(tmp_path / "damaged", 2 * STEPS + 5)
    steps, _ = last_checkpoint(tmp_path / "damaged")
    arrays = tmp_path / "damaged" / "checkpoints" / "0-0" / str(steps[-1]) / "arrays"
    shutil.rmtree(arrays)
    accuracy, after = run(tmp_path / "damaged")
    shown = " ".join("".join(capfd.readouterr()).split())
    assert f"checkpoint {steps[-1]} is damaged" in shown
    assert "set aside, going on from the one before" in shown
    assert accuracy == expected
    assert without_seconds(after) == without_seconds(lines)


def test_a_chunk_begins_at_a_pace_of_its_own():
    """The trials before had stopped, so their last steps took no time."""
    _, program = make_program()
    program.train_pace.seconds_per_step = 1e-9
    assert program.train_pace.steps(800) == 800
    program.begin_chunk()
    assert program.train_pace.steps(800) == program.valid_pace.steps(800) == 1


def test_a_call_takes_one_step_at_first_and_then_what_fits_three_seconds():
    pace, done = Pace(), []

    def call(first: np.int32, last: np.int32) -> None:
        done.append((int(first), int(last)))

    _, last = pace.run(call, 0, 1000)
    assert last == 1
    pace.seconds_per_step = 0.1
    _, last = pace.run(call, last, 1000)
    assert last == 31
    pace.seconds_per_step = 100.0
    _, last = pace.run(call, last, 1000)
    assert last == 32
    pace.seconds_per_step = 1e-6
    _, last = pace.run(call, last, 1000)
    assert done == [(0, 1), (1, 31), (31, 32), (32, 1000)]
