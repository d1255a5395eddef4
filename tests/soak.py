"""What the tests of robustness do for seconds, for minutes: prints a table of figures.

python -m tests.soak --minutes=8 --seed=0
make soak

kills: a tiny sweep in a process of its own is killed by `kill -9` at random moments, saves too, and
started again until it ends; parameters, metrics and summary must be the bits of one left alone.
bits: one flipped at a time in each file of a checkpoint; the state or the one before it comes back.
files: damaged copies of every kind of untrusted file, read in a child that has a time limit.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.command.command_line import without_orphans
from msd_jax.dataset import Dataset, Songs, save_dataset

ROOT = Path(__file__).parents[1]
MODELS = (("--model=baseline", "--num_hidden=4"), ("--model=mlp", "--num_hidden=6"))
TIMES = ("seconds", "songs_per_second", "seconds_per_epoch")
Figures = collections.Counter


def make_data(folder: Path) -> None:
    """160 + 40 + 11 songs of 8 x 5."""
    rng = np.random.default_rng(0)

    def songs(number: int) -> Songs:
        labels = np.arange(number, dtype=np.int32) % 3
        inputs = rng.standard_normal((number, 8, 5)) + labels[:, None, None] * np.eye(5)[0]
        return Songs(inputs.astype(np.float16), labels)

    save_dataset(Dataset("tiny", songs(160), songs(40), songs(11), ("a", "b", "c")), folder, "tiny")


def command(workdir: Path, data: Path, model: tuple[str, ...]) -> list[str]:
    """A sweep that trains for some seconds, saving all the time."""
    return [
        sys.executable, "-m", "experiments.run", f"--workdir={workdir}", "--dataset=tiny",
        f"--data_dir={data}", "--batch_size=2", "--num_seeds=3", "--num_epochs=60", *model,
    ]  # fmt: skip


def _without_times(x: object) -> object:
    if isinstance(x, dict):
        return {key: _without_times(value) for key, value in x.items() if key not in TIMES}
    return [_without_times(value) for value in x] if isinstance(x, list) else x


def outcome(workdir: Path) -> tuple[str, str, dict[str, bytes]]:
    """All that must be the same: summary, metrics, every array of the last checkpoint."""
    from msd_jax.checkpoints import Checkpoints

    summary = json.loads((workdir / "summary.json").read_text())
    lines = [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]
    with Checkpoints(workdir / "checkpoints" / "0-0") as checkpoints:
        arrays = checkpoints.restore_arrays()
    texts = (json.dumps(_without_times(x)) for x in (summary, lines))
    return (*texts, {name: array.tobytes() for name, array in arrays.items()})  # type: ignore[return-value]


def _is_saving(workdir: Path) -> bool:
    return any(workdir.glob("checkpoints/*/*orbax-checkpoint-tmp*"))


def kill_until_done(
    arguments: list[str], workdir: Path, rng: random.Random, figures: Figures, end: float
) -> None:
    """Starts the sweep, kills it at a random moment or in mid-save, and again until it ends."""
    for attempt in range(40):
        process = subprocess.Popen(
            arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        spare = attempt > 14 or time.monotonic() > end
        moment = time.monotonic() + (600 if spare else rng.uniform(0.5, 6.0))
        in_a_save = rng.random() < 0.5 and not spare
        while process.poll() is None and time.monotonic() < moment + (4 if in_a_save else 0):
            if in_a_save and time.monotonic() > moment - 2 and _is_saving(workdir):
                break
            time.sleep(0.002)
        if process.poll() is None and not spare:
            figures["kills"] += 1
            figures["kills in a save"] += _is_saving(workdir)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            continue
        _, error = process.communicate()
        if process.returncode or "Traceback" in error:
            figures["runs that did not end well"] += 1
            print(error, file=sys.stderr)
        return


def left_alone(folder: Path, model: tuple[str, ...]) -> Path:
    """The workdir of the sweep that nobody kills, run when it is first asked for."""
    workdir = folder / f"alone{model[0]}"
    if not workdir.exists():
        arguments = command(workdir, folder, model)
        subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True)
    return workdir


def soak_kills(folder: Path, rng: random.Random, kills: int, end: float) -> Figures:
    """Sweeps killed again and again, each compared with one left alone."""
    figures: Figures = Figures({"kills": 0, "sweeps": 0, "sweeps that differ": 0})
    alone = {}
    while figures["kills"] < kills and time.monotonic() < end:
        model = MODELS[figures["sweeps"] % len(MODELS)]
        if model not in alone:
            alone[model] = outcome(left_alone(folder, model))
        workdir = folder / f"killed-{figures['sweeps']}"
        kill_until_done(command(workdir, folder, model), workdir, rng, figures, end)
        figures["sweeps"] += 1
        figures["sweeps that differ"] += outcome(workdir) != alone[model]
        shutil.rmtree(workdir)
    return figures


def soak_bits(folder: Path, rng: random.Random, bits: int, end: float) -> Figures:
    """Bits of every file of a run's newest checkpoint, one at a time."""
    from msd_jax.checkpoints import Checkpoints

    part = left_alone(folder, MODELS[0]) / "checkpoints" / "0-0"
    steps = sorted((int(x.name) for x in part.iterdir() if x.name.isdigit()), reverse=True)
    sound = {}
    for step in steps:
        with Checkpoints(part) as checkpoints:
            like, _ = checkpoints._restore_verified(step)
        sound[step] = {name: array.tobytes() for name, array in like.items()}
    files = [x.relative_to(part) for x in (part / str(steps[0])).rglob("*") if x.is_file()]
    figures: Figures = Figures({"bits flipped": 0, "files": len(files), "wrong states": 0})
    while figures["bits flipped"] < bits and time.monotonic() < end:
        copy = Path(shutil.copytree(part, folder / "flipped"))
        path = copy / files[figures["bits flipped"] % len(files)]
        data = bytearray(path.read_bytes())
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            data = bytearray(b"\0")
        path.write_bytes(data)
        with Checkpoints(copy) as checkpoints:
            restored = checkpoints.restore(like)
        figures["bits flipped"] += 1
        figures["walked back"] += restored.step != steps[0]
        figures["without effect on the state"] += restored.step == steps[0]
        arrays = {name: array.tobytes() for name, array in restored.tree.items()}
        figures["wrong states"] += arrays != sound[restored.step]
        shutil.rmtree(copy)
    return figures


def soak_files(rng: random.Random, count: int, end: float) -> list[tuple]:
    """A row for each kind of file."""
    from tests.mutations import UNTRUSTED

    rows = []
    for name in UNTRUSTED:
        seed = str(rng.randrange(2**31))
        arguments = [sys.executable, "-m", "tests.mutations", name, seed, str(count)]
        limit = max(60.0, end - time.monotonic())
        try:
            child = subprocess.run(
                arguments, cwd=ROOT, capture_output=True, text=True, timeout=limit
            )
        except subprocess.TimeoutExpired:
            rows.append((name, count, "-", "-", "-", "-", "hangs", "-"))
            continue
        print(child.stderr, file=sys.stderr, end="")
        if child.returncode:
            rows.append((name, count, "-", "-", "-", f"ended with {child.returncode}", "-", "-"))
        else:
            rows.append((name, count, *child.stdout.split()))
    return rows


def main() -> None:
    """All three, in the time given: six tenths of it for kills, three for bits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15, help="in which all ends, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--bits", type=int, default=240)
    parser.add_argument("--files", type=int, default=2000, help="damaged files of each kind")
    given = parser.parse_args()
    rng, start = random.Random(given.seed), time.monotonic()
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.unraisablehook = without_orphans
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder)
        kills = soak_kills(folder, rng, given.kills, start + 60 * given.minutes * 0.6)
        bits = soak_bits(folder, rng, given.bits, start + 60 * given.minutes * 0.9)
    rows = soak_files(rng, given.files, start + 60 * given.minutes)
    console = Console(width=110, markup=False)
    console.print(f"seed {given.seed}, {time.monotonic() - start:.0f} s")
    for figures in (kills, bits):
        console.print(", ".join(f"{name}: {value}" for name, value in figures.items()))
    table = Table(
        "file", "tried", "accepted", "refused", "wrongly", "tracebacks", "slowest s", "MB"
    )
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)
    is_bad = kills["sweeps that differ"] or kills["runs that did not end well"]
    bad_files = any(row[4] != "0" or row[5] != "0" for row in rows)
    sys.exit(bool(is_bad or bits["wrong states"] or bad_files))


if __name__ == "__main__":
    main()
