"""Reading in other processes: the same tracks, and files that kill or hang the reader."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import h5py
import numpy as np

from experiments.command.reading import Limits, TrackReader, close_idle_readers, read_tracks
from msd_jax.songs import Rejected
from msd_jax.tracks import read_track
from tests.track_files import write_hanging_track, write_track


def assert_same_track(a, b) -> None:
    assert a[:3] == b[:3]
    np.testing.assert_array_equal(a.features, b.features, strict=True)


def children() -> set[int]:
    """The processes that this one has started."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def test_it_gives_what_read_track_gives_for_good_files_and_bad(tmp_path):
    good = [write_track(tmp_path / f"{i}.h5", i, num_segments=9 + i) for i in range(3)]
    bad = write_track(tmp_path / "bad.h5", 4, pitches=None)
    (odd := tmp_path / os.fsdecode(b"\xff\n.h5")).write_bytes(good[1].read_bytes())
    before = children()
    with TrackReader() as reader:
        for num_segments, where in ((None, "central"), (4, "central"), (9, "start")):
            tracks = reader.read([good[0], bad, odd, good[2]], num_segments, where)
            assert isinstance(tracks.pop(1), Rejected)
            for track, path in zip(tracks, (good[0], good[1], good[2]), strict=True):
                assert_same_track(track, read_track(path, num_segments, where))
        assert len(children() - before) == 1  # one process for all
        assert reader.read([]) == []
    assert children() == before


def test_the_pool_keeps_a_process_for_calls_with_the_same_limits(tmp_path):
    path, before = write_track(tmp_path / "0.h5"), children()
    seen = []
    for limits in (Limits(), Limits(), Limits(seconds=7)):
        assert_same_track(read_tracks([path], 4, "start", limits)[0], read_track(path, 4, "start"))
        seen.append(children() - before)
    assert seen[0] == seen[1] != seen[2]
    assert len(seen[2]) == 1
    close_idle_readers()
    assert children() == before


def test_a_file_that_hangs_the_parser_is_one_rejected_file(tmp_path):
    paths = [write_track(tmp_path / f"{i}.h5", i) for i in range(3)]
    write_hanging_track(paths[1], 1)
    with TrackReader(Limits(seconds=2)) as reader:
        first, hung, last = reader.read(paths)
    assert str(hung) == "took too long: more than 2 s"
    assert_same_track(first, read_track(paths[0]))
    assert_same_track(last, read_track(paths[2]))


def test_a_file_that_kills_the_parser_is_one_rejected_file(tmp_path):
    """The kernel's SIGKILL, as of its memory killer, whenever the process reads that file."""
    paths = [write_track(tmp_path / f"{i}.h5", i) for i in range(3)]
    write_hanging_track(paths[1], 1)  # holds the process until it is killed
    before, done = children(), threading.Event()

    def kill_whoever_hangs() -> None:
        asleep: dict[int, int] = {}  # how often in turn it was seen asleep
        while not done.wait(0.01):
            for pid in children() - before:
                with contextlib.suppress(OSError):
                    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                    asleep[pid] = asleep.get(pid, 0) + 1 if state == "S" else 0
                    if asleep[pid] == 30:
                        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_whoever_hangs)
    killer.start()
    try:
        with TrackReader(Limits(seconds=20)) as reader:
            first, killed, last = reader.read(paths)
    finally:
        done.set()
        killer.join()
    assert str(killed) == "crashed the parser: killed by SIGKILL"
    assert_same_track(first, read_track(paths[0]))
    assert_same_track(last, read_track(paths[2]))


def test_a_file_that_wants_more_than_the_memory_limit_is_one_rejected_file(tmp_path):
    """One chunk of 200 MB of zeros, gzipped to 0.2 MB: HDF5 unpacks chunks whole."""
    small = write_track(tmp_path / "small.h5", 0)
    bomb = write_track(tmp_path / "bomb.h5", 1, timbre=None, pitches=None, loudness_start=None)
    with h5py.File(bomb, "r+") as file:
        make = file["analysis"].create_dataset
        for name, width in (("timbre", (12,)), ("pitches", (12,)), ("loudness_start", ())):
            chunks = (2**21, *width) if name == "timbre" else None
            made = make(
                f"segments_{name}", (99, *width), "f8", maxshape=(None, *width),
                chunks=chunks, compression="gzip" if chunks else None,
            )  # fmt: skip
            made[:] = 0
    assert bomb.stat().st_size < 2**20
    with TrackReader(Limits(memory_bytes=2**28)) as reader:
        refused, track = reader.read([bomb, small])
    assert isinstance(refused, Rejected)
    assert refused.reason in ("unreadable", "crashed the parser")
    assert_same_track(track, read_track(small))
    with TrackReader(Limits(memory_bytes=2**30)) as reader:
        assert reader.read([bomb])[0].features.shape == (99, 25)  # with more, it is a sound file


def test_the_process_is_started_again_after_it_was_killed_between_two_calls(tmp_path):
    path = write_track(tmp_path / "0.h5")
    before = children()
    with TrackReader() as reader:
        for _ in range(2):
            assert_same_track(reader.read([path])[0], read_track(path))
            (pid,) = children() - before
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.01)
