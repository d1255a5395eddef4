"""A build that is stopped, by whatever signal, goes on where it was."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.builds import ENVIRONMENT, build, command, label, output
from tests.track_files import track_path, write_hanging_track, write_track

HOLD = ("--num_workers=2", "--time_limit=2.5")


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """300 files; the last hangs the parser, which holds a build for twice its time limit."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(300):
        write_track(track_path(folder / "h5", number), number, num_segments=8)
    write_hanging_track(track_path(folder / "h5", 299), 299)
    (folder / "labels.cls").write_text("".join(map(label, range(300))))
    build(folder, *HOLD, "--out_dir=alone")
    return folder


def num_read(path: Path) -> int:
    """How many files the manifest of a running build has as read; 0 where it cannot tell."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
            query = "SELECT count(*) FROM files WHERE artist_id IS NOT NULL"
            return database.execute(query).fetchone()[0]
    except sqlite3.DatabaseError:  # not there yet, or in the middle of a commit
        return 0


def wait_until_read(process: subprocess.Popen, path: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while num_read(path) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75), (signal.SIGINT, 75)],
    ids=lambda x: getattr(x, "name", ""),
)
def test_a_stopped_build_goes_on_to_the_same_bytes(many, tmp_path, sent, code):
    arguments = (*HOLD, f"--out_dir={tmp_path}")
    process = subprocess.Popen(
        command(*arguments), cwd=many, env=ENVIRONMENT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # Nearly all is read; then the file that hangs holds the build.
    wait_until_read(process, tmp_path / "mine.build" / "manifest.sqlite", 64)
    os.kill(process.pid, sent)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    if code == 75:
        last = error.splitlines()[-1]
        assert last == "error: stopped by a signal; the same command goes on where it was"
    assert output(tmp_path) == {}
    shown = build(many, *arguments).stdout
    read_before = int(shown.split(" of them read before")[0].split()[-1])
    assert 64 <= read_before <= 300
    assert output(tmp_path) == output(many / "alone")
    assert not (tmp_path / "mine.build").exists()
