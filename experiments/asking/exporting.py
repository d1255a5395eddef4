"""From a run folder to a model file and, on request, a program; with its words on screen."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from experiments.asking.answers import describe, printable
from experiments.asking.chosen_model import load_chosen
from experiments.command.console import make_console
from experiments.running.model_choice import Choice
from msd_jax.errors import InputError
from msd_jax.model_file import save_model
from msd_jax.program import to_program


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Writes beside the file and takes its place, so that no half a file is ever there."""
    new = path.with_name(path.name + ".new")
    try:
        write(new)
        new.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def export(workdir: str, choice: Choice, out: Path, program: Path | None) -> None:
    """Writes the chosen models of a run.

    Raises:
      InputError: if there are none, a file cannot be written, or a program's library is missing.
    """
    if program is not None and importlib.util.find_spec("flatbuffers") is None:
        raise InputError("--program needs flatbuffers: python -m pip install -e '.[export]'")
    trained, console = load_chosen(workdir, None, choice), make_console()
    for line in describe(trained):
        console.print(printable(line))
    _write(out, lambda path: save_model(path, trained))
    normaliser = "its normaliser" if trained.normaliser is not None else "no normaliser"
    console.print(f"wrote {out}: {len(trained.trials)} seeds, {normaliser}", markup=False)
    if program is not None:
        data = to_program(trained.config, trained.params)
        _write(program, lambda path: path.write_bytes(data))
        console.print(
            f"wrote {program}: jax promises to read it for six months after the release that wrote "
            f"it; keep {out}, which lasts",
            markup=False,
        )
