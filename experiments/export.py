"""Writes the models of a run into one file that needs neither the run folder nor orbax.

python -m experiments.export --workdir=runs/RUN --out=model.safetensors
python -m experiments.predict --model=model.safetensors song.h5

The file holds the parameters of every seed at its best epoch, and all that a prediction needs:
config, genres, T, F, crop, normaliser; where they come from: grid point, flags, versions, the data
set's sha256. It is a safetensors file, nothing in it is ever run.
"""

from absl import flags

from experiments.command import command_line
from experiments.command.storage import output_file
from experiments.running import model_choice
from msd_jax.errors import InputError

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=FLAGS)
OUT = flags.DEFINE_string(
    "out", None, "The model file to write, such as model.safetensors.", flag_values=FLAGS
)
PROGRAM = flags.DEFINE_string(
    "program",
    None,
    "Also write the vote as a jax.export program: standardised inputs N x T x F in float32 to "
    "log-probabilities N x K, on CPU or accelerator, without this project's code. jax promises to "
    "read it for six months after the release that wrote it; the model file is what lasts. Needs "
    "the extra 'export'.",
    flag_values=FLAGS,
)
CHOICE = model_choice.define(FLAGS)

GROUPS = {"Files": (WORKDIR, OUT, PROGRAM), "Model": CHOICE}


def main() -> None:
    """Reads the flags and writes the files."""
    if WORKDIR.value is None or OUT.value is None:
        raise InputError("give --workdir=RUN_FOLDER and --out=FILE: what to export, and where to")
    out = output_file("out", OUT.value)
    program = None if PROGRAM.value is None else output_file("program", PROGRAM.value)
    if program is not None and program.resolve() == out.resolve():
        raise InputError("--out and --program are the same file: give each its own")
    # jax and all: not before the flags are known good
    from experiments.asking.exporting import export

    export(WORKDIR.value, model_choice.read(FLAGS), out, program)


if __name__ == "__main__":
    command_line.run(main, __doc__, GROUPS, FLAGS)
