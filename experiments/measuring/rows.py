"""The benchmark's contenders, their turns and its table."""

import dataclasses
import functools
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import jax
from rich.console import Console
from rich.table import Table

from experiments.command.console import make_console
from experiments.measuring.cudnn import cudnn_peer, has_cudnn
from experiments.measuring.epochs import Epoch, compare, make_epoch
from experiments.measuring.limits import device_limits, numpy_limit
from experiments.measuring.models import MODELS, OPTIONS
from experiments.measuring.peers import (
    Contender,
    Size,
    flax_peer,
    has_torch,
    random_songs,
    torch_peer,
)
from experiments.running.settings import read_settings
from experiments.running.workdir import write_json
from msd_jax import lstm, sweep
from msd_jax.batches import draw, num_steps
from msd_jax.config import Config
from msd_jax.dataset import Songs
from msd_jax.decomposition import num_classifiers
from msd_jax.devices import make_layout, map_trials, set_precision
from msd_jax.synthetic import synthetic_dataset
from msd_jax.train import train_steps

# Enough steps that a call lasts about a second on two cores, whatever the number of trials.
_STEPS = 64


def _share(config: Config, size: Size) -> float:
    """What a training step computes of a song, as a share of what its layers would of a whole."""
    if config.member == "lstm":
        return config.network_segments / config.num_segments
    inputs, width = config.num_segments * config.num_features, config.num_hidden
    decomposition, num_genres = config.decomposition, config.num_genres
    classifiers = 1 if decomposition == "none" else num_classifiers(decomposition, num_genres)
    products = classifiers * (inputs * width + config.num_snippets * width**2)
    return 3 * 2 * products / size.song_flops


def our_contender(name: str, size: Size, trials: int) -> Contender:
    """An epoch of training, without validation: draws, gather, gradients, Adam, metrics."""
    fields = {"num_segments", "num_features", "num_genres", "num_hidden", "batch_size"}
    shape = {field: getattr(size, field) for field in fields}
    config = Config(**{**shape, **(MODELS | OPTIONS)[name]})
    layout = make_layout(trials, size.batch_size)
    songs = Songs(*random_songs(size, max(4, _STEPS // trials)))
    points = [sweep.Trial(seed) for seed in range(trials)]
    keys, hparams = sweep.place_inputs(points, layout)
    states = sweep.init_trials(config, keys, trials, layout)
    placed = sweep.share(songs, layout)

    def one(trial: tuple, songs: Songs) -> Any:
        state, key, hparams = trial
        draws = draw(key, state.epoch, len(songs.labels))
        last = num_steps(config, len(songs.labels))
        return train_steps(config, draws, hparams, state, songs, 0, last, layout.batch)

    program = jax.jit(map_trials(one, layout), out_shardings=layout.trials)
    start = time.perf_counter()
    compiled = program.lower((states, keys, hparams), placed).compile()
    seconds = time.perf_counter() - start
    return Contender(
        f"msd_jax {name}",
        trials,
        trials * len(songs.labels),
        lambda: jax.block_until_ready(compiled((states, keys, hparams), placed)),
        seconds,
        sweep.device_bytes(compiled) * len(jax.local_devices()),
        config.layers,
        _share(config, size),
    )


def _unroll_plainly(params: lstm.LSTMParams, inputs: jax.Array) -> jax.Array:
    """The layer differentiated by JAX, in the place of `lstm.unroll`."""
    return lstm.unroll_plain(params, inputs, lstm.zero_state(params, inputs.shape[1]))


def _epoch() -> Epoch:
    """Of 8 trials of the baseline on the default songs: two epochs, so that the checkpoint of the
    first is written beside the second, as in every run.
    """
    settings = dataclasses.replace(read_settings(), num_seeds=8, num_epochs=2)
    return make_epoch(settings, synthetic_dataset())


def take_turns(contenders: Sequence[Contender], rounds: int) -> list[float]:
    """Median seconds of each contender's call."""
    for contender in contenders:
        contender.run()
    seconds: list[list[float]] = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, own in zip(contenders, seconds, strict=True):
            start = time.perf_counter()
            contender.run()
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in seconds]


def make_rows(
    contenders: Sequence[Contender], seconds: Sequence[float], size: Size
) -> list[dict[str, Any]]:
    """A row of benchmark.json for each contender; the first limit among them is the one."""
    rates = [contender.songs / s for contender, s in zip(contenders, seconds, strict=True)]
    named = list(zip((contender.what for contender in contenders), rates, strict=True))
    limit = next(rate for what, rate in named if what.startswith("limit"))
    best_peer = max(rate for what, rate in named if not what.startswith(("limit", "msd_jax")))
    flops = [contender.share * size.flops_of(contender.layers) for contender in contenders]
    return [
        {
            "what": contender.what,
            "trials": contender.trials,
            "songs_per_second": rate,
            "gflops": rate * song_flops / 1e9,
            "ratio_to_best_peer": rate / best_peer,
            "fraction_of_sgemm": rate * song_flops / (limit * size.song_flops),
            "compile_seconds": contender.compile_seconds,
            "peak_bytes": contender.peak_bytes,
        }
        for contender, rate, song_flops in zip(contenders, rates, flops, strict=True)
    ]


def _cell(x: Any, form: str) -> str:
    return "-" if x is None else format(x, form)


def make_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows as text."""
    table = Table(title="training: forward, backward, Adam; float32")
    heads = ("what", "trials", "songs/s", "GFLOP/s", "to best peer", "of sgemm", "compile s", "MB")
    for head in heads:
        table.add_column(head, justify="left" if head == "what" else "right")
    for row in rows:
        size = None if row["peak_bytes"] is None else row["peak_bytes"] / 1e6
        table.add_row(
            row["what"],
            _cell(row["trials"], "d"),
            _cell(row["songs_per_second"], ",.0f"),
            _cell(row["gflops"], ".0f"),
            _cell(row["ratio_to_best_peer"], ".2f"),
            _cell(row["fraction_of_sgemm"], ".0%"),
            _cell(row["compile_seconds"], ".1f"),
            _cell(size, ",.0f"),
        )
    return table


def _peers(console: Console, size: Size, cores: int, stack: ExitStack) -> list[Contender]:
    """All that are here; those that are not are named."""
    peers = [flax_peer(size, 1, 10), flax_peer(size, 8, 4)]
    if has_cudnn():
        peers.append(cudnn_peer(size, 10))
    else:
        console.print("absent: cuDNN (no NVIDIA GPU)")
    if has_torch():
        peer = functools.partial(torch_peer, size, 10)
        peers.append(stack.enter_context(peer(processes=1, threads=cores)))
        peers.append(stack.enter_context(peer(processes=cores, threads=1)))
    else:
        console.print("absent: torch (install the extra: pip install -e '.[bench]')")
    return peers


def _say_epoch(console: Console, epoch: dict[str, Any]) -> None:
    """One line of what `compare` found."""
    console.print(
        f"an epoch of experiments.run, {epoch['trials']} trials of {epoch['songs']} songs: "
        f"{epoch['seconds']:.2f} s; its bare training steps {epoch['bare_steps_seconds']:.2f} s "
        f"({epoch['over_steps']:+.1%}), the forward passes of its validation "
        f"{epoch['bare_validation_seconds']:.2f} s (with them "
        f"{epoch['over_steps_and_validation']:+.1%})"
    )


def measure(trials: Sequence[int], rounds: int, host_devices: int, out: Path) -> None:
    """Runs all contenders and writes `out`."""
    cores = len(os.sched_getaffinity(0))
    jax.config.update("jax_num_cpu_devices", host_devices or cores)
    set_precision("highest")
    console, size = make_console(), Size()
    epoch = _epoch()
    on_cpu = jax.devices()[0].platform == "cpu"
    with ExitStack() as stack:
        contenders = []
        for name in MODELS:
            for n in trials:
                console.print(f"compiling {name}, {n} trials")
                contenders.append(our_contender(name, size, n))
        for name in OPTIONS:
            console.print(f"compiling {name}, 8 trials")
            contenders.append(our_contender(name, size, 8))
        with mock.patch.object(lstm, "unroll", _unroll_plainly):
            plain = our_contender("baseline", size, 8)
        contenders.append(plain._replace(what="msd_jax baseline, plain oracle"))
        contenders += _peers(console, size, cores, stack)
        contenders += [numpy_limit(size)] if on_cpu else device_limits(size)
        contenders += [epoch.epochs, epoch.steps, epoch.validation]
        seconds = take_turns(contenders, rounds)
    # A forward pass is not training: it has no row.
    rows = make_rows(contenders[:-1], seconds[:-1], size)
    compared = compare(epoch, seconds[-3:])
    machine = {
        "device": jax.devices()[0].device_kind,
        "platform": jax.devices()[0].platform,
        "processor": platform.processor() or platform.machine(),
        "cores": cores,
    }
    names = ("jax", "jaxlib", "flax", "optax", "numpy", *["torch"][: int(has_torch())])
    versions = {name: importlib.metadata.version(name) for name in names}
    written = {"machine": machine, "versions": versions, "rows": rows, "epoch": compared}
    console.print(machine, versions)
    console.print(make_table(rows))
    _say_epoch(console, compared)
    write_json(out, written)
    console.print(f"{rounds} rounds, medians; written to {out}")
