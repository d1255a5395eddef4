"""Asks trained models for the genre of songs.

Songs are track files of the Million Song Dataset (.h5), audio analyses of the Echo Nest or Spotify
(JSON with segments), npz files of raw features (features and offsets, or inputs N x T x F); or a
standardised set in the course's layout with --dataset. What a file holds decides, not its name.

python -m experiments.predict --workdir=runs/RUN song.h5 analysis.json songs.npz
python -m experiments.predict --model=model.safetensors --dataset=msd10 --data_dir=DIR \\
    --split=test --format=csv --out=predictions.csv

A song that cannot be used is named with its reason on stderr and the others are answered; the exit
code is 2 if any was refused. An accuracy is of the vote, so it is not the mean of summary.json.
"""

from pathlib import Path

from absl import flags

from experiments.command import command_line
from experiments.command.storage import output_file
from experiments.running import model_choice
from msd_jax.errors import InputError

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run whose models are asked.", flag_values=FLAGS
)
MODEL = flags.DEFINE_string(
    "model", None, "Or: a model file of experiments.export.", flag_values=FLAGS
)
CHOICE = model_choice.define(FLAGS)
DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "In place of song files: a standardised set, as in experiments.run (synthetic, msd10, msd25 or "
    "a stem).",
    flag_values=FLAGS,
)
DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of that set.", flag_values=FLAGS)
SPLIT = flags.DEFINE_enum(
    "split", "test", ("train", "valid", "test"), "Which of its songs.", flag_values=FLAGS
)
NORMALISER = flags.DEFINE_string(
    "normaliser",
    None,
    "File NAME-normaliser.npz (mean, std [T, F] and crop) for a model that was trained without "
    "one; it must be that of the model's own training songs.",
    flag_values=FLAGS,
)
FORMAT = flags.DEFINE_enum(
    "format",
    "table",
    ("table", "json", "csv"),
    "table: three likeliest genres. json: everything. csv: a row a song, all probabilities.",
    flag_values=FLAGS,
)
OUT = flags.DEFINE_string(
    "out", None, "File for the json or csv; by default standard output.", flag_values=FLAGS
)

GROUPS = {
    "Model": (WORKDIR, MODEL, *CHOICE, NORMALISER),
    "Songs": (DATASET, DATA_DIR, SPLIT),
    "Output": (FORMAT, OUT),
}


def _check(files: list[str]) -> None:
    """Raises InputError for flags that do not go together."""
    if (WORKDIR.value is None) == (MODEL.value is None):
        raise InputError("give either --workdir=RUN_FOLDER or --model=FILE: which model to ask")
    if (DATASET.value is None) == (not files):
        raise InputError("give either song files or --dataset=NAME: what to ask about")
    given = [name for name in ("data_dir", "split") if FLAGS[name].present]
    if given and DATASET.value is None:
        raise InputError(f"--{given[0]} has no effect without --dataset: leave it out")
    if FLAGS["data_dir"].present and DATASET.value == "synthetic":
        raise InputError("--data_dir has no effect on the synthetic songs: leave it out")
    if NORMALISER.value is not None and DATASET.value is not None:
        raise InputError("--normaliser has no effect on --dataset, which is standardised already")
    if OUT.value is not None and FORMAT.value == "table":
        raise InputError("--out has no effect on --format=table: take --format=csv or json")
    if OUT.value is not None:
        output_file("out", OUT.value)
    point = model_choice.read(FLAGS).words()
    if MODEL.value is not None and model_choice.read(FLAGS).point:
        raise InputError(f"{point} has no effect on --model: a model file holds one grid point")


def main(files: list[str]) -> None:
    """Reads the flags and answers."""
    _check(files)
    # jax and all: not before the flags are known good
    from experiments.asking import answers, questions
    from experiments.asking.chosen_model import load_chosen

    trained = load_chosen(
        WORKDIR.value, MODEL.value, model_choice.read(FLAGS), normaliser=NORMALISER.value
    )
    if DATASET.value is None:
        songs, refused = questions.hear_files(trained, files)
    else:
        data_dir = Path(DATA_DIR.value)
        songs, refused = questions.hear_split(trained, DATASET.value, data_dir, SPLIT.value)
    answered = questions.ask(trained, songs)
    if DATASET.value is not None:
        answers.warn(trained.origin, DATASET.value, SPLIT.value)
    answers.give(answered, refused, trained, FORMAT.value, OUT.value)
    if refused:
        command_line.fail(f"{len(refused)} of {len(refused) + len(songs)} songs were refused")


if __name__ == "__main__":
    command_line.run(main, __doc__, GROUPS, FLAGS, takes_files=True)
