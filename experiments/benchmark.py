"""Measures training speed against peers and against the machine's limit, taking turns in one run.

python -m experiments.benchmark
make bench
"""

from absl import flags

from experiments.command import command_line
from experiments.command.storage import output_file
from msd_jax.errors import InputError

ROUNDS = flags.DEFINE_integer(
    "rounds", 7, "Timed calls of each contender, taking turns; the median counts.", lower_bound=7
)
TRIALS = flags.DEFINE_list(
    "trials", "1,8,64", "Trials of this project's models trained at once, a comma list."
)
OUT = flags.DEFINE_string("out", "benchmark.json", "File for the rows.")
HOST_DEVICES = flags.DEFINE_integer(
    "bench_host_devices",
    0,
    "CPU devices, where there is no accelerator; 0 is one a core.",
    lower_bound=0,
    upper_bound=1024,
)

GROUPS = {"Benchmark": (ROUNDS, TRIALS, OUT, HOST_DEVICES)}


def main() -> None:
    """Reads the flags and measures."""
    if not TRIALS.value or not all(n.isdecimal() and int(n) > 0 for n in TRIALS.value):
        raise InputError("--trials: give whole numbers above 0, separated by commas")
    out = output_file("out", OUT.value)
    from experiments.measuring.rows import measure

    measure([int(n) for n in TRIALS.value], ROUNDS.value, HOST_DEVICES.value, out)


if __name__ == "__main__":
    command_line.run(main, __doc__, GROUPS)
