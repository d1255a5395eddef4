"""study.json: what a study was asked for and what was decided."""

from pathlib import Path
from typing import NamedTuple

from experiments.running.settings import Settings
from experiments.running.workdir import Line, read_json, write_json
from experiments.studying.grids import Box
from experiments.studying.options import options_from
from experiments.studying.study_plan import Run
from msd_jax.errors import InputError


class Study(NamedTuple):
    """What was asked for; command is the line that asked."""

    datasets: tuple[str, ...]
    size: str
    fidelity: str
    folds: int
    only: tuple[str, ...]
    command: str


class StudyFolder:
    """study.json: what was decided, kept so that a study that is cut up trains nothing twice.

    Attributes:
      path: of the study's folder.
      runs: decided so far, in order.
    """

    def __init__(self, path: Path, study: Study, settings: Settings) -> None:
        """Takes up what is there, or begins.

        Raises:
          InputError: if the folder holds another study.
        """
        self.path, self._file = path, path / "study.json"
        identity = {
            "size": study.size,
            "folds": study.folds,
            "num_seeds": settings.num_seeds,
            "seed": settings.seed,
            "batch_size": settings.batch_size,
        }
        self._content: Line = {**identity, "commands": [], "left_out": [], "runs": []}
        if self._file.exists():
            self._content = read_json(self._file)
            old = {name: self._content.get(name) for name in identity}
            for name, value in identity.items():
                if old[name] != value:
                    raise InputError(
                        f"{path} holds another study ({name}: {old[name]!r} there, {value!r} now): "
                        "choose another --workdir"
                    )
        self.runs = [_run_from(line) for line in self._content["runs"]]
        if study.command not in self._content["commands"]:
            self._content["commands"].append(study.command)

    def keep(self, runs: list[Run], left_out: list[str]) -> None:
        """Adds what is new of a plan, on disk when this returns.

        Raises:
          InputError: if the folder cannot be written.
        """
        self.runs += [run for run in runs if run not in self.runs]
        self._content["runs"] = [_line_of(run) for run in self.runs]
        self._content["left_out"] = list(dict.fromkeys(self._content["left_out"] + left_out))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self._file, self._content)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{self.path}: cannot be written ({reason}): choose another --workdir"
            ) from error


def _line_of(run: Run) -> Line:
    box = {**run.box._asdict(), "options": run.box.options.given}
    return {**run._replace(box=None)._asdict(), "box": box}  # type: ignore[arg-type]


def _run_from(line: Line) -> Run:
    box: Line = {key: tuple(x) if isinstance(x, list) else x for key, x in line["box"].items()}
    options = options_from(box.pop("options", {}))  # older studies have none
    return Run(**{**line, "box": Box(**box, options=options)})
