"""study.json: what a study was asked for and what was decided."""

from pathlib import Path
from typing import NamedTuple, Self

from experiments.command import checks
from experiments.command.lock import Lock
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
    """study.json: what was decided, kept so that a study that is cut up trains nothing twice; a
    context manager, and locked against a second study at the same time.

    Attributes:
      path: of the study's folder.
      runs: decided so far, in order.
    """

    def __init__(self, path: Path, study: Study, settings: Settings, dry: bool = False) -> None:
        """Takes up what is there, or begins; if it is dry, writes nothing.

        Raises:
          InputError: if the folder holds another study or a damaged one, another process is at work
            in it, or it cannot be written.
        """
        self.path, self._file = path, path / "study.json"
        identity = {
            "size": study.size,
            "folds": study.folds,
            "num_seeds": settings.num_seeds,
            "seed": settings.seed,
            "batch_size": settings.batch_size,
        }
        self._lock = None if dry else self._take()
        self._content: Line = {**identity, "commands": [], "left_out": [], "runs": []}
        self.runs: list[Run] = []
        try:
            if self._file.exists():
                self._content = read_json(self._file, checks.is_study)
                self._check_same(identity)
                self.runs = self._runs()
        except BaseException:
            self.__exit__()
            raise
        if study.command not in self._content["commands"]:
            self._content["commands"].append(study.command)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Lets another study in."""
        if self._lock:
            self._lock.release()

    def _take(self) -> Lock:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return Lock(self.path / "lock")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        reason = error.strerror or error
        return InputError(f"{self.path}: cannot be written ({reason}): choose another --workdir")

    def _check_same(self, identity: Line) -> None:
        for name, value in identity.items():
            old = self._content.get(name)
            if old != value:
                raise InputError(
                    f"{self.path} holds another study ({name}: {old!r} there, {value!r} now): "
                    "choose another --workdir"
                )

    def _runs(self) -> list[Run]:
        try:
            return [_run_from(line) for line in self._content["runs"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{self._file}: damaged ({type(error).__name__}: {error}): choose another --workdir"
            ) from error

    def keep(self, runs: list[Run], left_out: list[str]) -> None:
        """Adds what is new of a plan, on disk when this returns.

        Raises:
          InputError: if the folder cannot be written.
        """
        self.runs += [run for run in runs if run not in self.runs]
        self._content["runs"] = [_line_of(run) for run in self.runs]
        self._content["left_out"] = list(dict.fromkeys(self._content["left_out"] + left_out))
        try:
            write_json(self._file, self._content)
        except OSError as error:
            raise self._unwritable(error) from error


def _line_of(run: Run) -> Line:
    box = {**run.box._asdict(), "options": run.box.options.given}
    return {**run._replace(box=None)._asdict(), "box": box}  # type: ignore[arg-type]


def _run_from(line: Line) -> Run:
    box: Line = {key: tuple(x) if isinstance(x, list) else x for key, x in line["box"].items()}
    options = options_from(box.pop("options", {}))  # older studies have none
    return Run(**{**line, "box": Box(**box, options=options)})
