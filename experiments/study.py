"""Trains what the report's figures show, each training once, over many paired seeds.

python -m experiments.study --size=smoke
python -m experiments.study --dataset=gtzan-10-genre --data_dir=DIR --num_seeds=10 --workdir=study10
python -m experiments.study --dataset=msd10,msd25 --data_dir=DIR --num_seeds=10
python -m experiments.report --workdir=study10
"""

import sys

from absl import flags as absl_flags

from experiments.command import command_line
from experiments.command.interruption import INTERRUPTION
from experiments.running import flags
from experiments.running.settings import read_settings
from experiments.studying.grids import FIDELITIES, SIZES
from msd_jax.errors import InputError

SIZE = absl_flags.DEFINE_enum(
    "size",
    "report",
    SIZES,
    "smoke: tiny networks, to see that all works. report: the report's grids. full: wider grids.",
)
FIDELITY = absl_flags.DEFINE_enum(
    "fidelity",
    "text",
    (*FIDELITIES, "both"),
    "The networks of the report's text, or those of its code (a ReLU layer before the output, "
    "another m2, other widths on msd25), or both, to compare.",
)
FOLDS = absl_flags.DEFINE_integer(
    "folds",
    0,
    "Divide the labelled songs so many times into train, valid and test, the same way for every "
    "configuration: for sets without test labels. 0 is the data set's own division.",
    lower_bound=0,
)
ONLY = absl_flags.DEFINE_list(
    "only",
    [],
    "Figures to train for, such as 6,10; by default all of the report's; all takes what goes "
    "beyond it too. --list names them.",
)
LIST = absl_flags.DEFINE_bool("list", False, "List the figures with command, cost and number.")
DRY = absl_flags.DEFINE_bool("dry", False, "Say what would be trained, how long and how large.")

GROUPS = {
    "Study": (SIZE, FIDELITY, FOLDS, ONLY, LIST, DRY),
    "Data": (flags.DATASET, flags.DATA_DIR),
    "Training": (flags.BATCH_SIZE, flags.NUM_SEEDS, flags.SEED),
    "Machine and files": (
        flags.WORKDIR,
        flags.TENSORBOARD,
        flags.TRIALS_PER_CHUNK,
        flags.HOST_DEVICES,
        flags.PRECISION,
    ),
}
_DEFAULT_SEEDS = {"smoke": 2, "report": 10, "full": 10}


def _refuse_others() -> None:
    """Raises InputError for a flag of a single run that means nothing to a study."""
    ours = {holder.name for holders in GROUPS.values() for holder in holders}
    for holders in flags.GROUPS.values():
        for holder in holders:
            if holder.present and holder.name not in ours:
                raise InputError(
                    f"--{holder.name} has no effect on a study: its figures say what is trained"
                )


def main() -> None:
    """Reads the flags and trains."""
    _refuse_others()
    if LIST.value:
        for holder in (holder for holders in GROUPS.values() for holder in holders):
            if holder.present and holder.name not in ("list", "size"):
                raise InputError(f"--{holder.name} has no effect on --list: leave it out")
        from experiments.studying.study_list import list_presets

        list_presets(SIZE.value)
        return
    if not flags.NUM_SEEDS.present:
        absl_flags.FLAGS["num_seeds"].value = _DEFAULT_SEEDS[SIZE.value]
    settings = read_settings()
    with INTERRUPTION:  # first: importing jax takes seconds
        from experiments.studying.runs import conduct
        from experiments.studying.study_folder import Study

        study = Study(
            datasets=tuple(flags.DATASET.value.split(",")),
            size=SIZE.value,
            fidelity=FIDELITY.value,
            folds=FOLDS.value,
            only=tuple(ONLY.value),
            command=" ".join(["python -m experiments.study", *sys.argv[1:]]),
        )
        conduct(study, settings, dry=DRY.value)


if __name__ == "__main__":
    command_line.run(main, __doc__, GROUPS)
