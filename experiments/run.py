"""Trains genre classifiers: one model of the report at every grid point and seed.

python -m experiments.run --model=multitask --alpha=2
python -m experiments.run --dataset=msd10 --data_dir=DIR --num_seeds=10 --beta=50,100
"""

from experiments.command import command_line, guard
from experiments.command.interruption import INTERRUPTION
from experiments.running import flags
from experiments.running.settings import Settings, read_settings


def main() -> None:
    """Reads the flags and runs them."""
    settings = read_settings()
    if settings.several_processes:
        guard.guarded(lambda ward: _execute(settings, ward), settings.heartbeat_seconds)
    else:
        _execute(settings, None)


def _execute(settings: Settings, ward: guard.Ward | None) -> None:
    with INTERRUPTION:  # first: importing jax takes seconds
        from experiments.running.execution import execute  # not before the flags are known good

        execute(settings, ward)


if __name__ == "__main__":
    command_line.run(main, __doc__, flags.GROUPS)
