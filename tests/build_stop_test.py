"""A build that is stopped, by whatever signal, goes on where it was."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.builds import ENVIRONMENT, build, command, label, output, songs
from tests.ends_test import small_disk
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


def is_committing(path: Path) -> bool:
    """Whether SQLite would take a transaction back: its journal then begins with anything but 0."""
    journal = path.with_name(path.name + "-journal")
    return journal.exists() and any(journal.read_bytes()[:8])


def wait_until_read(process: subprocess.Popen, path: Path, count: int) -> None:
    """Until so many are read and committed, so that no kill takes them back."""
    deadline = time.monotonic() + 30
    while num_read(path) < count or is_committing(path):
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


def test_a_full_disk_ends_in_one_line_and_with_room_the_build_goes_on(many, tmp_path):
    """300 songs of 800 bytes do not fit 100 kB."""
    with small_disk(tmp_path / "disk", "100k") as disk:
        error = build(many, *HOLD, f"--out_dir={disk}", code=74).stderr
        assert "No space left on device: start the same command again" in error
        subprocess.run(["mount", "-o", "remount,size=20M", disk], check=True)
        build(many, *HOLD, f"--out_dir={disk}")
        assert output(disk) == output(many / "alone")


@pytest.fixture
def ten(tmp_path) -> Path:
    """Nine songs and a file that hangs the parser; a first build has read them and found too few
    for what it was asked.
    """
    for number in range(9):
        write_track(track_path(tmp_path / "h5", number), number, num_segments=8)
    write_hanging_track(track_path(tmp_path / "h5", 9), 9)
    (tmp_path / "labels.cls").write_text("".join(map(label, range(10))))
    done = build(tmp_path, QUICK, "--min_per_genre=4", code=2)
    assert "lower --min_per_genre" in done.stderr
    return tmp_path


QUICK = "--time_limit=2"


def test_a_build_goes_on_without_reading_again(ten):
    assert "10 of wanted genres, 10 of them read before" in build(ten, QUICK).stdout


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 1000)])
def test_features_that_were_lost_are_read_again(ten, damage):
    damage(ten / "data" / "mine.build" / "raw.f32")
    assert "10 of wanted genres, 1 of them read before" in build(ten, QUICK).stdout
    build(ten, QUICK, "--out_dir=alone")
    assert output(ten / "data") == output(ten / "alone")


def test_other_limits_are_tried_on_the_files_that_were_too_much(ten):
    """It hangs no more; the nine that were read are not read again."""
    write_track(track_path(ten / "h5", 9), 9, num_segments=8)
    assert "9 of them read before" in build(ten, "--time_limit=20").stdout
    assert len(songs(ten / "data")) == 10
    assert "is finished" in build(ten, QUICK).stdout  # no file was too much: limits do not matter


def test_a_finished_build_that_left_files_out_is_no_answer_to_other_limits(ten):
    build(ten, QUICK)
    assert "is finished" in build(ten, QUICK).stdout
    refused = build(ten, "--time_limit=20", code=2).stderr
    assert "1 files were rejected within other limits of time and memory" in refused


def test_label_files_of_one_name_are_told_apart(ten):
    labels = (ten / "labels.cls").read_text()
    for folder in ("a", "b"):
        (ten / folder).mkdir()
        (ten / folder / "x.cls").write_text(labels)
    arguments = (QUICK, "--labels=a/x.cls,b/x.cls", "--out_dir=two")
    build(ten, *arguments)
    (ten / "a" / "x.cls").write_text(labels + "# changed\n")
    assert "of another build (labels_sha256" in build(ten, *arguments, code=2).stderr
