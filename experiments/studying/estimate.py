"""What a study will cost, from a short measurement on this machine."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.running.calls import Place, Program, run_calls
from experiments.running.plan import make_plan
from experiments.running.settings import Settings
from experiments.studying.flops import flops_per_song, num_scans
from experiments.studying.grids import Grid, Point, boxes
from experiments.studying.study_plan import Run
from msd_jax import sweep
from msd_jax.dataset import Dataset, Songs
from msd_jax.devices import make_layout

# A FLOP of many small feed-forward members in those of an LSTM: Adam goes through all their weights
# for the few products that a batch makes of each.
_DENSE = 4.0
_BATCHES = 8  # of the songs that are measured: some for warming up, and some that count


class Rates(NamedTuple):
    """Seconds of one song in one training: fixed x scans + per_flop x FLOPs, trained; a third,
    evaluated.

    compile_seconds of a program; device_bytes of the widest one measured.
    """

    fixed: float
    per_flop: float
    compile_seconds: float
    device_bytes: int


def _few(songs: Songs, count: int) -> Songs:
    return Songs(songs.inputs[:count], songs.labels[:count])


class _Measured(NamedTuple):
    flops: float
    seconds_per_song: float
    compile_seconds: float
    device_bytes: int


def _measure(base: Settings, dataset: Dataset, point: Point) -> _Measured:
    """Trains a point for a few batches, as many seeds at once as the study will."""
    few = base.batch_size * _BATCHES
    dataset = dataset._replace(train=_few(dataset.train, few), valid=_few(dataset.valid, few))
    settings = Run(dataset.name, None, 1, boxes([point])[0]).settings(base, Path())
    (part,) = make_plan(settings, dataset)
    size = min(len(part.trials), settings.trials_per_chunk or len(part.trials))
    layout = make_layout(size, settings.batch_size, allow_split=False)
    train, valid = (sweep.share(songs, layout) for songs in (dataset.train, dataset.valid))
    program = Program(part.config, layout, train, valid)
    start = time.perf_counter()
    compiled = program.compiled
    compile_seconds = time.perf_counter() - start
    keys, hparams = sweep.place_inputs(part.trials[:size], layout)
    states = sweep.init_trials(part.config, keys, size, layout)
    calls = run_calls(program, states, keys, hparams, Place())
    places = [place for _, place in calls if place.step <= program.train_steps]
    warm = places[0] if len(places) > 1 else Place()  # the first call is one step, and slow
    steps = places[-1].step - warm.step
    songs = steps * settings.batch_size * size
    return _Measured(
        flops_per_song(point, dataset.num_segments, dataset.num_features),
        (places[-1].seconds - warm.seconds) / songs,
        compile_seconds,
        sweep.device_bytes(compiled.train),
    )


def measure_rates(base: Settings, grid: Grid, dataset: Dataset) -> Rates:
    """From the narrow and the wide baseline, trained for a few batches each."""
    narrow, wide = (
        _measure(base, dataset, grid.lstm(width, beta=grid.betas[1]))
        for width in (grid.narrow, grid.wide)
    )
    fixed, per_flop = fit_rates(
        (narrow.flops, wide.flops), (narrow.seconds_per_song, wide.seconds_per_song)
    )
    return Rates(fixed, per_flop, narrow.compile_seconds, wide.device_bytes)


def trial_seconds(rates: Rates, run: Run, dataset: Dataset, point: Point) -> float:
    """Seconds that one training of a point takes, its share of the machine."""
    shape = dataset.num_segments, dataset.num_features, dataset.num_genres
    flops = flops_per_song(point, *shape)
    if point.options.member == "mlp":
        flops *= _DENSE
    per_song = rates.fixed * num_scans(point, dataset.num_genres) + rates.per_flop * flops
    songs = len(dataset.train.labels) + len(dataset.valid.labels) / 3
    return run.num_epochs * songs * per_song


def run_seconds(rates: Rates, run: Run, dataset: Dataset, num_seeds: int) -> float:
    """Seconds that a run takes, its programs' compilation included."""
    training = sum(trial_seconds(rates, run, dataset, point) for point in run.box.points)
    programs = len({(p.num_hidden, p.num_snippets, p.options) for p in run.box.points})
    return num_seeds * training + programs * rates.compile_seconds


def fit_rates(flops: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """fixed and per_flop from two measurements; per_flop alone where the line would fall."""
    slope = (seconds[1] - seconds[0]) / (flops[1] - flops[0])
    fixed = seconds[0] - slope * flops[0]
    if slope <= 0:
        return float(np.mean(seconds)), 0.0
    return (fixed, slope) if fixed >= 0 else (0.0, seconds[1] / flops[1])
