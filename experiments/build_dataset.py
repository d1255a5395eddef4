"""Builds a data set in the course's layout from the Million Song Dataset's own files.

python -m experiments.build_dataset --h5_dir=DIR --labels=FILE --out_dir=data --name=msd-mine
python -m experiments.run --dataset=msd-mine --data_dir=data
"""

from experiments.building import build_settings
from experiments.command import command_line
from experiments.command.interruption import INTERRUPTION


def main() -> None:
    """Reads the flags and builds."""
    settings = build_settings.read_build_settings()
    with INTERRUPTION:  # first: what follows imports numpy and rich
        from experiments.building.steps import build  # not before the flags are known good

        build(settings)


if __name__ == "__main__":
    command_line.run(main, __doc__, build_settings.GROUPS, build_settings.FLAGS)
