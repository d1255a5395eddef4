"""Several processes as one run, with real ones on this machine, killed and stopped."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.command.guard import explain, lost_processes, peer_left
from msd_jax import processes
from msd_jax.errors import InputError
from tests.run_test import (
    ROOT,
    command,
    data_dir,  # noqa: F401  a fixture
    final_arrays,
    read_json,
    read_metrics,
    run,
    tiny,
    wait_for_epochs,
    without_times,
)


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def open_process() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts a process that does not outlive the test, also where the test fails."""
    with contextlib.ExitStack() as stack:

        def start_one(arguments: list[str]) -> subprocess.Popen:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(arguments, cwd=ROOT, text=True, **pipes)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start_one


@pytest.fixture
def start(open_process) -> Callable[..., list[subprocess.Popen]]:
    """Starts the processes of one run, each with one device."""

    def start_all(count: int, workdir: Path, *arguments: str) -> list[subprocess.Popen]:
        shared = [f"--coordinator=localhost:{free_port()}", f"--num_processes={count}"]
        shared += ["--host_devices=1", "--heartbeat_seconds=5"]
        shared = [*command(workdir, *arguments), *shared]
        return [open_process([*shared, f"--process_id={number}"]) for number in range(count)]

    return start_all


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


# The model that compiles soonest; batches of 6, which two devices could divide.
LONG = ["--model=mlp", "--num_epochs=24", "--num_seeds=3", "--learning_rate=0.01", "--batch_size=6"]


def test_processes_that_are_stopped_and_killed_end_with_the_bits_of_one_left_alone(
    tmp_path,
    data_dir,  # noqa: F811
    start,
):
    """Two processes, one asked to stop; two again, one killed; then one alone to the end."""
    arguments = tiny(data_dir, *LONG)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    run(alone, *arguments, "--host_devices=1")

    leader, worker = start(2, shared, *arguments)
    wait_for_epochs(leader, shared, 3)
    worker.send_signal(signal.SIGTERM)
    code, out, error = finish(leader)
    assert code == 75, error
    assert "on 2 x cpu of 2 processes" in out
    assert (
        error == f"error: stopped by a signal; the same command with --workdir={shared} goes on\n"
    )
    assert finish(worker) == (75, "", "")
    stopped_at = len(read_metrics(shared))

    leader, worker = start(2, shared, *arguments)
    wait_for_epochs(leader, shared, stopped_at // 3 + 3)
    os.kill(worker.pid, signal.SIGKILL)
    killed = time.monotonic()
    code, out, error = finish(leader)
    assert time.monotonic() - killed < 30
    assert code == 75, error
    assert "going on in" in out
    assert len(error.splitlines()) == 1
    assert error.startswith(f"error: process 1 on {socket.gethostname()} died")
    assert f"with --workdir={shared} goes on, also with another number of processes" in error
    assert finish(worker)[0] == -signal.SIGKILL
    assert not (shared / "summary.json").exists()

    assert "going on in" in run(shared, *arguments, "--host_devices=2").stdout
    assert without_times(read_metrics(shared)) == without_times(read_metrics(alone))
    summaries = (read_json(path / "summary.json") for path in (alone, shared))
    assert len({json.dumps(without_times(summary)) for summary in summaries}) == 1
    assert final_arrays(shared) == final_arrays(alone)


def test_processes_that_were_given_different_flags_end_before_anything_is_written(
    tmp_path,
    data_dir,  # noqa: F811
    open_process,
):
    shared = [f"--coordinator=localhost:{free_port()}", "--num_processes=2", "--host_devices=1"]
    both = [
        open_process(
            [
                *command(tmp_path / "run", *tiny(data_dir, *LONG), *shared),
                f"--process_id={number}",
                f"--seed={number}",
            ]
        )
        for number in range(2)
    ]
    ended = [finish(process) for process in both]
    assert [code for code, _, _ in ended] == [2, 2], ended
    told = "process 1 was given another seed than process 0: give all the same"
    assert any(told in error for _, _, error in ended), ended
    assert all(len(error.splitlines()) <= 1 for _, _, error in ended), ended
    assert not (tmp_path / "run").exists()


GUARDED = """
import sys, time
from experiments.command.guard import guarded

def work(ward):
    import jax
    from msd_jax import processes
    jax.config.update("jax_num_cpu_devices", 1)
    processes.start(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2]), heartbeat_seconds=5)
    ward.tell(["here", "there"], "runs/x")
    number = jax.process_index()
    print(processes.gather({"number": number}), processes.decide(lambda: number), flush=True)
    if sys.argv[3] == "wait":
        time.sleep(60)

guarded(work, heartbeat_seconds=5)
"""


def test_the_death_of_the_leader_ends_the_others_with_one_line(open_process):
    port = str(free_port())
    leader, worker = (
        open_process([sys.executable, "-c", GUARDED, port, number, "wait"]) for number in "01"
    )
    # Each gave its number, and both took the leader's decision.
    assert (
        leader.stdout.readline() == worker.stdout.readline() == "[{'number': 0}, {'number': 1}] 0\n"
    )
    os.kill(leader.pid, signal.SIGKILL)
    code, _, error = finish(worker)
    assert code == 75
    assert len(error.splitlines()) == 1
    assert error.startswith("error: process 0 on here died or cannot be reached")
    assert "with --workdir=runs/x goes on" in error
    finish(leader)


# Cut from what jaxlib 0.10.2 printed when a process was killed, and when a number was used twice.
UNHEALTHY = """E1124 coordination_service.cc:1549] Use error polling to propagate the following \
error to all tasks: UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):
1
12
The tasks have crashed. Check the task logs for an earlier error, or scheduler events
"""
UNREACHABLE = """F1124 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: UNAVAILABLE: Failed to send RPC to coordination service. Either
"""
TWICE = "ABORTED: 1 unexpectedly tried to connect with a different incarnation.\n"
NOBODY = "DEADLINE_EXCEEDED: RPC: /xla.coordination.CoordinationService/RegisterTask\n"


def test_last_words_name_the_dead():
    assert lost_processes(UNHEALTHY) == [1, 12]
    assert lost_processes(UNREACHABLE) == [0]
    assert lost_processes("Segmentation fault\n") == []
    line, code = explain(UNHEALTHY, {"hosts": ["a", "b"], "workdir": "w"})
    assert line.startswith("process 1 on b and process 12 died")
    assert code == 75
    assert explain(UNREACHABLE, {})[1] == 75
    assert explain(TWICE, {}) == (
        "two processes have the same --process_id: give each its own",
        2,
    )
    assert explain(NOBODY, {})[1] == 2
    assert explain("Segmentation fault\n", {}) is None


def test_the_loss_of_a_peer_is_seen_behind_the_error_it_led_to():
    """As when leaving the checkpoints, after an all-gather had failed, failed on a barrier."""
    for first, second in (("UNKNOWN: Gloo AllGather failed", "oh"), ("oh", "NCCL operation")):
        with pytest.raises(ValueError, match=second) as caught:
            try:
                raise RuntimeError(first)
            finally:
                raise ValueError(second)
        assert peer_left(caught.value)
    # What orbax's barrier raised when CI killed a process; jaxlib 0.10.2.
    barrier = "UNAVAILABLE: ... RPC: /xla.coordination.CoordinationService/Barrier"
    assert peer_left(RuntimeError(barrier))
    assert not peer_left(RuntimeError("shapes (3, 4) and (5,) do not match"))


def test_a_port_that_is_taken_is_told_before_jax_starts():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of --coordinator cannot be used"):
            processes.start(f"localhost:{port}", 2, 0)


def test_one_process_alone_decides_and_gathers_without_a_word():
    def refuse() -> None:
        raise InputError("no")

    assert processes.leads()
    assert processes.gather({"a": 1}) == [{"a": 1}]
    assert processes.decide(lambda: 3) == processes.together(lambda: 3) == 3
    assert processes.anyone(True) and not processes.anyone(False)
    for agree in (processes.decide, processes.together):
        with pytest.raises(InputError, match=r"^no$"):
            agree(refuse)
