"""An epoch as calls of a few seconds: between two of them signals are heard and states saved."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from msd_jax import processes, sweep
from msd_jax.batches import num_batches, num_steps
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.devices import Layout
from msd_jax.evaluation import Metrics
from msd_jax.hyperparams import Hyperparams
from msd_jax.state import TrainState
from msd_jax.sweep import Programs

_SECONDS_OF_A_CALL = 3.0


@dataclasses.dataclass
class Pace:
    """How many steps a call may do: one at first, then as many as take about 3 seconds."""

    seconds_per_step: float = float("inf")

    def steps(self, left: int) -> int:
        """At least one, at most what is left; in every process the same."""
        fitting = int(_SECONDS_OF_A_CALL / max(self.seconds_per_step, 1e-9))
        return processes.say_to_all(min(max(fitting, 1), left))

    def run(self, call: Callable[..., Any], first: int, end: int) -> tuple[Any, int]:
        """What call(first, last) gave, and last, which is `end` where that is not too far."""
        last = first + self.steps(end - first)
        start = time.perf_counter()
        result = jax.block_until_ready(call(np.int32(first), np.int32(last)))
        self.seconds_per_step = (time.perf_counter() - start) / (last - first)
        return result, last


@dataclasses.dataclass
class Program:
    """The epoch of one config in one layout, compiled when it is first needed."""

    config: Config
    layout: Layout
    train: Songs
    valid: Songs
    train_pace: Pace = dataclasses.field(default_factory=Pace)
    valid_pace: Pace = dataclasses.field(default_factory=Pace)

    def begin_chunk(self) -> None:
        """Forgets the pace: the last steps of other trials were quick where these had stopped."""
        self.train_pace, self.valid_pace = Pace(), Pace()

    @functools.cached_property
    def compiled(self) -> Programs:
        """See `sweep.make_programs`."""
        return sweep.compile_programs(self.config, self.layout, self.train, self.valid)

    @property
    def train_steps(self) -> int:
        """Training steps of an epoch."""
        return num_steps(self.config, len(self.train.labels))

    @property
    def steps(self) -> int:
        """Training steps and batches of validation of an epoch."""
        return self.train_steps + num_batches(self.config, len(self.valid.labels))


class Place(NamedTuple):
    """How far the trials of a part have come.

    epoch: epochs done; step: of the epoch under way, training steps and then batches of validation
    that are done; seconds: that these have taken.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0

    @property
    def notes(self) -> dict[str, float]:
        """What a checkpoint holds of it beside its number."""
        return {"seconds": self.seconds}

    def number(self, program: Program) -> int:
        """Of its checkpoint: all steps since the beginning."""
        return self.epoch * program.steps + self.step


def run_calls(
    program: Program, states: TrainState, keys: jax.Array, hparams: Hyperparams, place: Place
) -> Iterator[tuple[TrainState, Place]]:
    """The calls that are left of an epoch; after each the states, and how far they have come."""
    compiled = program.compiled  # here, so that no call's seconds hold it
    start = time.perf_counter() - place.seconds
    draws = compiled.draw(keys, states.epoch)
    step, train_steps = place.step, program.train_steps
    while step < program.steps:
        if step < train_steps:
            train = functools.partial(compiled.train, states, draws, hparams, program.train)
            states, step = program.train_pace.run(train, step, train_steps)
        else:
            validate = functools.partial(compiled.validate, states, program.valid)
            batches = step - train_steps, program.steps - train_steps
            states, last = program.valid_pace.run(validate, *batches)
            step = train_steps + last
        stop = time.perf_counter()
        yield states, Place(place.epoch, step, stop - start)
        start += time.perf_counter() - stop  # what is done between calls is not the epoch's


def end_epoch(
    program: Program, states: TrainState, place: Place
) -> tuple[TrainState, Metrics, Place]:
    """The states after the epoch, its metrics [R], and how long it took."""
    start = time.perf_counter()
    states, metrics = jax.block_until_ready(program.compiled.end(states))
    seconds = place.seconds + time.perf_counter() - start
    return states, metrics, place._replace(seconds=seconds)
