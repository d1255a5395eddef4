"""Where an earlier run left the trials of a part: its newest sound checkpoint, and its metrics."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from experiments.running.calls import Place, Program
from experiments.running.workdir import Line, Workdir
from msd_jax import processes, sweep
from msd_jax.checkpoints import Checkpoints
from msd_jax.devices import to_host
from msd_jax.errors import InputError
from msd_jax.state import TrainState


def restore(
    checkpoints: Checkpoints,
    workdir: Workdir,
    program: Program,
    init: Callable[[], TrainState],
    names: list[Line],
) -> tuple[Place, TrainState]:
    """How far an earlier run came, and its states; metrics of later epochs are dropped.

    Args:
      checkpoints: of the part.
      workdir: of the run.
      program: of the part.
      init: gives the states before the first epoch, for where there was no earlier run.
      names: what names each of the R trials.

    Raises:
      InputError: if checkpoints or metrics of the earlier run are damaged or lacking.
    """
    restored = checkpoints.restore(sweep.state_shapes(program.config, len(names)))
    if restored is None:
        place, states = Place(), init()
    else:
        place = Place(*divmod(restored.step, program.steps), restored.notes["seconds"])
        states = sweep.place_states(restored.tree, program.layout)
    epochs, diverged = to_host((states.epoch, states.diverged), len(names))
    expected = epochs + ((diverged > 0) & (diverged <= place.epoch))
    ours = {tuple(name.values()) for name in names}

    def is_before(line: Line) -> bool:
        return line["epoch"] <= place.epoch or _name(line, names) not in ours

    def settle_metrics() -> None:
        if restored is None:
            _check_young(workdir, names)
        workdir.keep_metrics(is_before)
        _check_metrics(workdir, names, expected)

    processes.decide(settle_metrics)
    return place, states


def _name(line: Line, names: list[Line]) -> tuple:
    """What names the trial of a line."""
    return tuple(line.get(name) for name in names[0])


def _check_young(workdir: Workdir, names: list[Line]) -> None:
    """Raises InputError if metrics tell of more epochs than can go before a first checkpoint."""
    ours = {tuple(name.values()) for name in names}
    epochs = [x["epoch"] for x in workdir.read_metrics() if _name(x, names) in ours]
    # The lines of two epochs may be there while the first checkpoint is still being written.
    if max(epochs, default=0) > 2:
        raise InputError(
            f"{workdir.path}: metrics.jsonl tells of trials whose checkpoints are gone: bring them "
            "back, or start afresh in another --workdir"
        )


def _check_metrics(workdir: Workdir, names: list[Line], epochs: np.ndarray) -> None:
    """Raises InputError unless the metrics of all epochs [R] before the checkpoint are there."""
    found = Counter(_name(line, names) for line in workdir.read_metrics())
    for name, expected in zip(names, epochs, strict=True):
        if found[tuple(name.values())] != expected:
            raise InputError(
                f"{workdir.path}: metrics.jsonl lacks some of the {expected} epochs of a trial "
                "before its checkpoint: start afresh in another --workdir"
            )
