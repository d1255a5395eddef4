"""Files that nobody vouches for, their loaders, and byte-level damage to sound ones.

A loader is a function of a path that gives something to compare, or raises InputError. A new kind
of file is one more entry of `UNTRUSTED`.
"""

import collections
import functools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.command import checks
from experiments.command.console import closing_table
from experiments.command.reading import Limits, TrackReader
from experiments.running.workdir import Workdir, read_json
from msd_jax.errors import InputError
from msd_jax.labels import read_labels
from msd_jax.normaliser import load_normaliser
from msd_jax.npz import read_npz
from msd_jax.songs import Rejected
from tests.real_data import REAL_DATA
from tests.untrusted_files import TARGETS, Target

ROW = {"seed": 1, "num_hidden": 5, "num_snippets": None, "learning_rate": 0.1, "l2": 0.0}
POINT = {**ROW, "beta": 1.0, "alpha": None}
LINE = {**POINT, "epoch": 1, "valid_accuracy": 0.5, "diverged": False, "seconds": 0.1}
INTERVAL = {"mean": 0.5, "low": 0.4, "high": 0.6}
SUMMARY = {
    "dataset": "tiny",
    "model": "mlp",
    "songs_per_second": 10.0,
    "runs": [POINT],
    "points": [
        {
            **POINT,
            "num_seeds": 2,
            "num_diverged": 0,
            "peak_valid_accuracy": INTERVAL,
            "test_accuracy": None,
        }
    ],
}
IDENTITY = {"flags": {"seed": 1, "beta": [50.0]}, "dataset_sha256": "abc"}


class Untrusted(NamedTuple):
    """sound: the bytes of a good file; load: of a path; must_equal: whether only the very content
    may pass (there is a checksum), or anything valid (there is none).
    """

    sound: Callable[[], bytes]
    load: Callable[[Path], Any]
    must_equal: bool


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    return read_npz(path, ("inputs", "targets", "label_map"))


def _load_summary(path: Path) -> Any:
    summary = read_json(path, checks.is_summary)
    closing_table(summary)
    return summary


def _in_a_folder_of_its_own(path: Path, name: str) -> Path:
    folder = path.parent / f"{path.name}-run"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(path.read_bytes())
    return folder


def _load_metrics(path: Path) -> Any:
    folder = _in_a_folder_of_its_own(path, "metrics.jsonl")
    with Workdir(folder, {}, {}) as workdir:
        lines = workdir.read_metrics()
    assert all(line["epoch"] >= 1 and line["seconds"] >= 0 for line in lines)
    return lines


def _load_config(path: Path) -> Any:
    folder = _in_a_folder_of_its_own(path, "config.json")
    with Workdir(folder, IDENTITY, IDENTITY) as workdir:
        return workdir.resumed


def _load_decisions(path: Path) -> Any:
    folder = _in_a_folder_of_its_own(path, "decisions.json")
    with Workdir(folder, {}, {}) as workdir:
        size = workdir.remember("trials_per_chunk-0", lambda: 4, most=4)
    assert 1 <= size <= 4
    return size


@functools.cache  # one process for all files, as a build has it
def _track_reader() -> TrackReader:
    return TrackReader(Limits(seconds=10))


def _load_track(path: Path) -> Any:
    """The first segments of a track file; a parser that crashes or hangs is a fault of ours."""
    (track,) = _track_reader().read([path], 8)
    if isinstance(track, Rejected):
        assert "crashed" not in track.reason
        assert "too long" not in track.reason
        raise InputError(track.reason)
    assert np.isfinite(track.features).all()
    return track


def _of_target(target: Target) -> "Untrusted":
    """What `predict` reads from strangers."""

    def sound() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return target.data(Path(folder))

    def load(path: Path) -> Any:
        try:
            return target.load(path)
        except target.refusal as refusal:
            raise InputError(str(refusal)) from None

    return Untrusted(sound, load, must_equal=False)


def _dump(value: Any) -> Callable[[], bytes]:
    return lambda: json.dumps(value, indent=2).encode()


def _metrics() -> bytes:
    return b"".join(json.dumps({**LINE, "epoch": n}).encode() + b"\n" for n in (1, 2, 3))


UNTRUSTED = {
    "summary.json": Untrusted(_dump(SUMMARY), _load_summary, must_equal=False),
    "metrics.jsonl": Untrusted(_metrics, _load_metrics, must_equal=False),
    "config.json": Untrusted(_dump(IDENTITY), _load_config, must_equal=False),
    "decisions.json": Untrusted(
        _dump({"trials_per_chunk-0": 4}), _load_decisions, must_equal=False
    ),
}
UNTRUSTED |= {f"{target.name} (made)": _of_target(target) for target in TARGETS}
if REAL_DATA.is_dir():
    UNTRUSTED["real track (HDF5)"] = Untrusted(
        min(REAL_DATA.glob("msd_h5/**/*.h5")).read_bytes, _load_track, must_equal=False
    )
    UNTRUSTED["real songs (npz)"] = Untrusted(
        (REAL_DATA / "msd-3-genre-valid.npz").read_bytes, _load_npz, must_equal=True
    )
    UNTRUSTED["real labels (npz)"] = Untrusted(
        (REAL_DATA / "gtzan-10-genre-test-targets.npz").read_bytes,
        lambda path: read_npz(path, ("targets",)),
        must_equal=True,
    )
    UNTRUSTED["normaliser (npz)"] = Untrusted(
        (REAL_DATA / "msd-3-genre-normaliser.npz").read_bytes,
        lambda path: load_normaliser(path)[0]._asdict(),
        must_equal=True,
    )
    UNTRUSTED["genre labels (text)"] = Untrusted(
        lambda: (REAL_DATA / "labels/subset10k_MAGD_intersection.tsv").read_bytes()[:20_000],
        lambda path: read_labels([path])._asdict(),
        must_equal=False,
    )


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to three edits: a flipped bit, a byte set, bytes doubled, cut out, or the end cut off.

    Half of them fall on the first or last 2,000 bytes, where headers and directories are.
    """
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        span = rng.choice([len(changed), min(len(changed), 2000)])
        at = rng.choice([0, len(changed) - span]) + rng.randrange(span)
        kind = rng.choice(["flip", "set", "double", "cut", "truncate"])
        size = rng.choice([1, 2, 8, 100])
        if kind == "flip":
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == "set":
            changed[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, ord("9"), ord("["), ord("-")])
        elif kind == "double":
            changed[at:at] = changed[at : at + size]
        elif kind == "cut":
            del changed[at : at + size]
        else:
            del changed[at:]
        if not changed:
            break
    return bytes(changed)


def equal(a: Any, b: Any) -> bool:
    """Of what loaders give."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return a == b


def read_damaged(name: str, seed: int, count: int) -> str:
    """Of `count` damaged files: accepted, refused, accepted wrongly, tracebacks, the slowest's
    seconds, and the largest memory of this process in MB.
    """
    kind, rng = UNTRUSTED[name], random.Random(seed)
    sound, slowest = kind.sound(), 0.0
    figures = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(sound)
        expected = kind.load(path)
        for _ in range(count):
            path.write_bytes(mutate(sound, rng))
            start = time.monotonic()
            try:
                loaded = kind.load(path)
            except InputError as error:
                figures["refused"] += 1
                figures["tracebacks"] += "\n" in str(error)
            except Exception as error:
                figures["tracebacks"] += 1
                print(f"{name}: {error!r}", file=sys.stderr)
            else:
                figures["accepted"] += 1
                figures["wrongly"] += kind.must_equal and not equal(loaded, expected)
            slowest = max(slowest, time.monotonic() - start)
    status = Path("/proc/self/status").read_text().split()
    megabytes = int(status[status.index("VmHWM:") + 1]) / 1e3
    names = ("accepted", "refused", "wrongly", "tracebacks")
    return " ".join([*(str(figures[x]) for x in names), f"{slowest:.3f}", f"{megabytes:.0f}"])


if __name__ == "__main__":
    print(read_damaged(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
