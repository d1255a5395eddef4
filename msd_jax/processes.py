"""Several processes as one run: how they find each other, who leads, how they agree.

Process 0 leads: it alone writes what all share, and its decisions hold for all. `gather` and what
is made of it are collective: every process calls them in the same order. A single process is its
own leader and none of this costs it anything.
"""

import json
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from msd_jax.errors import InputError

_START_SECONDS = 120  # For all processes to come; a queue may start them one by one.
_BLOCK = 1024  # Bytes: messages of about one length share a program.


def _check_port(port: int) -> None:
    """Raises InputError if something listens there: jax would crash."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        with socket.create_server(("", port), family=family, dualstack_ipv6=dual):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"port {port} of --coordinator cannot be used ({reason}): choose another"
        ) from error


def start(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    heartbeat_seconds: int = 30,
) -> None:
    """Joins this process to the others, before jax has started; all None: jax finds them.

    Args:
      coordinator: host:port of process 0.
      num_processes: of the run.
      process_id: of this process.
      heartbeat_seconds: without a sign of life after which a process is taken for dead. jax then
        aborts the others.

    Raises:
      InputError: if there is no cluster, the port is taken, or the processes have different numbers
        of devices. Where the others do not come, jax aborts.
    """
    if coordinator is not None and process_id == 0:
        _check_port(int(coordinator.rpartition(":")[2]))
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM to itself
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=_START_SECONDS,
            heartbeat_timeout_seconds=heartbeat_seconds,
            shutdown_timeout_seconds=_START_SECONDS,
        )
    except ValueError as error:  # nothing tells where the others are
        raise InputError(
            f"--distributed found no cluster ({error}): give --coordinator, --num_processes and "
            "--process_id"
        ) from error
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        raise InputError(
            f"processes have {', '.join(str(counts[i]) for i in sorted(counts))} devices: give all "
            "the same number, on CPUs with --host_devices"
        )


def leads() -> bool:
    """Whether this process writes and speaks for all."""
    return jax.process_index() == 0


def gather(value: Any) -> list[Any]:
    """What every process gave, by its number; anything that JSON keeps."""
    if jax.process_count() == 1:
        return [value]
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(len(data)))
    width = -(-int(lengths.max()) // _BLOCK) * _BLOCK
    rows = multihost_utils.process_allgather(np.pad(data, (0, width - len(data))))
    return [json.loads(row[:n].tobytes()) for row, n in zip(rows, lengths, strict=True)]


def anyone(wish: bool) -> bool:
    """Whether any process wishes it."""
    if jax.process_count() == 1:
        return wish
    return bool(multihost_utils.process_allgather(np.int32(wish)).any())


def _outcome(function: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": function()}
    except InputError as error:
        return {"error": str(error)}


def together(function: Callable[[], Any]) -> Any:
    """What `function` gives in this process, where it succeeds in all.

    Raises:
      InputError: in every process, if it did in one; says in which.
    """
    if jax.process_count() == 1:
        return function()
    outcome = _outcome(function)
    errors = gather(outcome.get("error"))
    if len(set(errors)) == 1 and errors[0] is not None:
        raise InputError(errors[0])
    for number, error in enumerate(errors):
        if error is not None:
            raise InputError(f"process {number}: {error}")
    return outcome["value"]


def decide(function: Callable[[], Any]) -> Any:
    """What `function` gives in process 0, where alone it is called; anything that JSON keeps.

    Raises:
      InputError: in every process, if it did there.
    """
    if jax.process_count() == 1:
        return function()
    outcome = gather(_outcome(function) if leads() else None)[0]
    if "error" in outcome:
        raise InputError(outcome["error"])
    return outcome["value"]


def say_to_all(number: int) -> int:
    """What the leader says, in every process."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def merge(array: np.ndarray) -> np.ndarray:
    """The elementwise maximum of every process's array, for parts that only some of them know."""
    if jax.process_count() == 1:
        return array
    return multihost_utils.process_allgather(array).max(axis=0)


def hosts() -> list[str]:
    """The machine of every process, by its number."""
    return gather(socket.gethostname())
