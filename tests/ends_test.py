"""How a program ends: signals, a stuck process, a folder in use, a full disk. Real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.command.lock import Lock
from experiments.command.storage import StorageError, refusal, storing
from experiments.running.workdir import OtherRunError, Workdir, choose_folder
from msd_jax.errors import InputError
from tests.run_test import data_dir as data_dir  # the fixture
from tests.run_test import final_arrays, read_metrics, run, tiny, without_times

ROOT = Path(__file__).parents[1]


def start(code: str, *arguments: str) -> subprocess.Popen:
    """A child that runs `code`, once it has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


AT_ONCE = """
from experiments.command.interruption import Interruption
import hashlib
with Interruption():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # compiled code, for minutes
"""
POSTPONED = AT_ONCE.replace("Interruption()", "Interruption().postponed()")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_cannot_be_saved_in_one_line_even_in_compiled_code(sent):
    process = start(AT_ONCE)
    process.send_signal(sent)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 75
    assert error == "error: stopped by a signal; start the same command again\n"


def test_the_first_sigint_asks_and_the_second_ends_at_once():
    process = start(POSTPONED)
    process.send_signal(signal.SIGINT)
    assert "stopping after the step under way" in process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 130
    assert error == "error: stopped at once; start the same command again\n"


def test_a_ctrl_c_after_sigterm_is_the_first():
    process = start(POSTPONED)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert "stopping after the step under way" in process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_where_nobody_reads_the_output_it_ends_quietly_with_1():
    nobody, out = os.pipe()
    os.close(nobody)
    command = [sys.executable, "-m", "experiments.run", "--help"]
    done = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True)
    os.close(out)
    assert (done.returncode, done.stderr) == (1, "")


def test_no_progress_ends_in_the_stacks_of_all_threads():
    process = start("""
from experiments.command.watchdog import Watchdog
import time
def wait_for_another_process():
    time.sleep(60)
with Watchdog(4, "go on") as watchdog:
    for _ in range(5):  # longer than 4 seconds, but with progress
        watchdog.beat()
        time.sleep(1)
    print("ready", flush=True)
    wait_for_another_process()
""")
    _, error = process.communicate(timeout=30)
    assert process.returncode == 75
    assert "in wait_for_another_process" in error
    last = error.splitlines()[-1]
    assert last == "error: no progress for 4 s (--step_timeout); the stacks are above; go on"


HOLDER = """
import sys, time
from pathlib import Path
from experiments.running.workdir import Workdir
with Workdir(Path(sys.argv[1]), {}, {}):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_with_the_firsts_name_and_a_stale_lock_is_recognised(tmp_path):
    holder = start(HOLDER, str(tmp_path))
    host = os.uname().nodename
    with pytest.raises(InputError, match=f"in use by process {holder.pid} on {host} since 20"):
        Workdir(tmp_path, {}, {})
    holder.kill()
    holder.communicate()
    with Workdir(tmp_path, {}, {}) as workdir:
        assert f"process {holder.pid} on {host}" in workdir.left_behind
    with Workdir(tmp_path, {}, {}) as workdir:  # released in order
        assert workdir.left_behind is None


@pytest.mark.parametrize("left", [b"\xff", b"[" * 999, b'{"process": 1}', b"[]", b"3"])
def test_a_damaged_lock_file_does_not_matter(tmp_path, left):
    (tmp_path / "lock").write_bytes(left)
    lock = Lock(tmp_path / "lock")
    assert lock.left_behind == "an unknown process"
    lock.release()


def test_force_new_takes_the_first_folder_beside_that_is_free_or_ours(tmp_path):
    def taken(number: int) -> str:
        identity = {"seed": number}
        path = choose_folder(tmp_path / "run", identity, force_new=True)
        with Workdir(path, identity, identity):
            return path.name

    assert [taken(1), taken(2), taken(3), taken(2), taken(1)] == [
        "run", "run-2", "run-3", "run-2", "run"
    ]  # fmt: skip
    with pytest.raises(OtherRunError, match="seed: 1 there, 2 now"):
        path = choose_folder(tmp_path / "run", {"seed": 2}, force_new=False)
        Workdir(path, {"seed": 2}, {"seed": 2})


def test_only_a_disk_that_refuses_is_a_storage_error(tmp_path):
    for error in (ValueError("x"), OSError(2, "No such file or directory")):
        assert refusal(error) is None
        with pytest.raises(type(error)), storing(tmp_path):
            raise error
    with pytest.raises(StorageError, match="No space left on device"), storing(tmp_path):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise RuntimeError("the save failed") from error


@contextlib.contextmanager
def small_disk(path: Path, size: str):
    """A tmpfs of this size, if we may mount one."""
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True
    )
    if made.returncode:
        pytest.skip(f"no small disk: {made.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_ends_in_one_line_and_with_room_the_run_goes_on(tmp_path, data_dir):
    arguments = tiny(data_dir, "--model=mlp", "--num_epochs=12", "--num_seeds=3")
    run(tmp_path / "alone", *arguments)
    with small_disk(tmp_path / "disk", "240k") as disk:
        error = run(disk / "run", *arguments, code=74).stderr
        (line,) = error.splitlines()
        assert "cannot be written any more (No space left on device)" in line
        assert "goes on" in line
        assert "damaged" not in line
        whole = [step for step in (disk / "run/checkpoints/0-0").iterdir() if step.name.isdigit()]
        assert whole, "older checkpoints are there"
        subprocess.run(["mount", "-o", "remount,size=20M", disk], check=True)
        shown = run(disk / "run", *arguments).stdout
        assert "going on in" in shown
        assert "damaged" not in shown
        assert without_times(read_metrics(disk / "run")) == without_times(
            read_metrics(tmp_path / "alone")
        )
        assert final_arrays(disk / "run") == final_arrays(tmp_path / "alone")


def wait_until_caught(process: subprocess.Popen, number: signal.Signals) -> None:
    """Until a process has a handler of its own for a signal: Linux tells in hexadecimal."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        caught = next(line for line in lines if line.startswith("SigCgt:")).split()[1]
        if int(caught, 16) >> (number - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError(f"no handler for {number.name}")


def test_signals_reach_a_run_that_has_only_just_begun(tmp_path):
    """While jax is being imported or the songs are read: one line and code 75, no traceback."""
    command = [sys.executable, "-m", "experiments.run", f"--workdir={tmp_path}"]
    for delay in (0.0, 0.6):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_until_caught(process, signal.SIGTERM)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 75, error
        assert len(error.splitlines()) == 1
