"""The flags of a run that several processes share, on one machine or many. Free of jax."""

from collections.abc import Mapping
from typing import Any

from absl import flags

from msd_jax.errors import InputError

DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "This process is one of several that SLURM, Kubernetes, Open MPI or a TPU pod has started; how "
    "many there are and where is found out.",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "HOST:PORT of process 0, where nothing finds it out: the same for every process, a free port.",
)
NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "Processes that share the run, with --coordinator.", lower_bound=1
)
PROCESS_ID = flags.DEFINE_integer(
    "process_id",
    None,
    "Number of this process, from 0, with --coordinator; process 0 writes and speaks.",
    lower_bound=0,
)
HEARTBEAT_SECONDS = flags.DEFINE_integer(
    "heartbeat_seconds",
    None,
    "Seconds without a sign of life after which a process is taken for dead and the others end. By "
    "default 30.",
    lower_bound=2,
)
DEFAULT_HEARTBEAT_SECONDS = 30

GROUP = (DISTRIBUTED, COORDINATOR, NUM_PROCESSES, PROCESS_ID, HEARTBEAT_SECONDS)
_BY_HAND = ("coordinator", "num_processes", "process_id")


def check(values: Mapping[str, Any]) -> None:
    """Raises InputError for flags that do not name a process among its peers."""
    given = [name for name in _BY_HAND if values[name] is not None]
    if values["distributed"] and given:
        raise InputError(f"--distributed finds out --{given[0]}: leave one of the two out")
    if given and len(given) < len(_BY_HAND):
        lacking = next(name for name in _BY_HAND if values[name] is None)
        raise InputError(f"--{given[0]} needs --{lacking}: give --{', --'.join(_BY_HAND)} together")
    if given:
        host, _, port = values["coordinator"].rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise InputError(
                f"--coordinator={values['coordinator']} is not HOST:PORT, for example node1:12345"
            )
        if values["process_id"] >= values["num_processes"]:
            raise InputError(
                f"--process_id={values['process_id']} is not among --num_processes="
                f"{values['num_processes']}: they are counted from 0"
            )
    if values["heartbeat_seconds"] is not None and not (given or values["distributed"]):
        raise InputError("--heartbeat_seconds has no effect on one process: leave it out")
