"""What a run folder keeps for those who ask its models, and how they are read from it."""

import dataclasses
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.command.console import error_console
from experiments.running.model_choice import POINT_FLAGS, Choice
from experiments.running.plan import describe, make_parts
from experiments.running.settings import Settings
from experiments.running.workdir import Line, read_json
from msd_jax.checkpoints import Checkpoints
from msd_jax.config import Config
from msd_jax.dataset import SYNTHETIC, Dataset, stem_of
from msd_jax.errors import InputError
from msd_jax.normaliser import load_normaliser
from msd_jax.scale import InputStatistics, input_statistics
from msd_jax.trained import Origin, Trained, TrainedTrial, params_like
from msd_jax.trees import unflatten

NORMALISER = "normaliser.npz"
_BEST = "best_params."


def describe_songs(dataset: Dataset) -> Line:
    """What config.json tells of the songs that a run's models were trained on."""
    statistics = input_statistics(dataset.train.inputs)
    return {
        "num_segments": dataset.num_segments,
        "num_features": dataset.num_features,
        "genre_names": list(dataset.genre_names),
        "input_mean": statistics.mean.tolist(),
        "input_std": statistics.std.tolist(),
    }


def find_normaliser(settings: Settings, dataset: Dataset) -> Path | None:
    """The normaliser beside the data set's files; None if there is none.

    Raises:
      InputError: if it is damaged or of songs of another shape.
    """
    if settings.dataset == SYNTHETIC:
        return None
    path = Path(settings.data_dir) / f"{stem_of(settings.dataset)}-normaliser.npz"
    if not path.exists():
        return None
    shape = load_normaliser(path)[0].mean.shape
    if shape != (dataset.num_segments, dataset.num_features):
        raise InputError(
            f"{path}: of songs of T x F = {shape}, but these are "
            f"{(dataset.num_segments, dataset.num_features)}: move it away, or make it anew"
        )
    return path


def keep_normaliser(path: Path | None, workdir: Path) -> None:
    """Takes the normaliser along into the run folder, unless it is there."""
    kept = workdir / NORMALISER
    if path is not None and not kept.exists():
        new = kept.with_name(kept.name + ".new")
        shutil.copyfile(path, new)
        new.replace(kept)


class _Candidate(NamedTuple):
    """A trial that may speak: its point, and its parameters of its best epoch by dotted path."""

    point: tuple
    config: Config
    about: TrainedTrial
    params: dict[str, np.ndarray]


def _settings(config: Line) -> Settings:
    """The settings of a run from its config.json; what they lack is None."""
    given = {**config["free_flags"], **config["flags"]}
    values: dict[str, Any] = {
        field.name: given.get(field.name) for field in dataclasses.fields(Settings)
    }
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Settings(**{**values, **lists})


def _restore(folder: Path) -> dict[str, np.ndarray]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no checkpoint yet: let the run go on first")
    try:
        with Checkpoints(folder, read_only=True) as checkpoints:
            arrays = checkpoints.restore_arrays()
    except MemoryError:
        raise  # no damage
    except Exception as error:  # orbax and tensorstore raise many types on damage
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: no checkpoint can be read ({reason}): train anew") from error
    for step, reason in checkpoints.set_aside:
        error_console().print(
            f"{folder / str(step)} is damaged ({reason}): the one before it is asked, which may "
            "not know the last best epoch"
        )
    return arrays


def _of_chunk(folder: Path, trials: list[tuple[int, _Candidate]]) -> Iterator[_Candidate]:
    """Trials by their place in a checkpoint, with what it tells of them; not those that never
    finished an epoch.
    """
    restored = _restore(folder)
    best = {name: x for name, x in restored.items() if name.startswith("best_")}
    for place, candidate in trials:
        values = {name: x[place] for name, x in best.items()}
        accuracy = float(str(values["best_accuracy"]))  # the shortest that is this float32
        params = {n[len(_BEST) :]: x for n, x in values.items() if n.startswith(_BEST)}
        if values["best_epoch"] > 0:
            about = candidate.about._replace(
                best_epoch=int(values["best_epoch"]), peak_valid_accuracy=accuracy
            )
            yield candidate._replace(about=about, params=params)


def _candidates(path: Path, config: Line, choice: Choice) -> Iterator[_Candidate]:
    """The trials of the points that the choice allows."""
    settings, songs = _settings(config), config["songs"]
    shape = (songs["num_segments"], songs["num_features"], len(songs["genre_names"]))
    decisions = read_json(path / "decisions.json") if (path / "decisions.json").exists() else {}
    for index, part in enumerate(make_parts(settings, *shape)):
        size = decisions.get(f"trials_per_chunk-{index}", len(part.trials))
        for start in range(0, len(part.trials), size):
            wanted = []
            for place, trial in enumerate(part.trials[start : start + size]):
                named = describe(settings, part.config, trial)
                if choice.allows(named):
                    point = tuple(named[name] for name in POINT_FLAGS)
                    about = TrainedTrial(trial.seed, 0, 0.0)
                    wanted.append((place, _Candidate(point, part.config, about, {})))
            if wanted:
                yield from _of_chunk(path / "checkpoints" / f"{index}-{start}", wanted)


def _best_point(candidates: list[_Candidate]) -> tuple[list[_Candidate], int]:
    """The trials of the best point by mean peak validation accuracy; how many points there are."""
    points = defaultdict(list)
    for candidate in candidates:
        points[candidate.point].append(candidate)

    def mean_accuracy(trials: list[_Candidate]) -> float:
        return float(np.mean([trial.about.peak_valid_accuracy for trial in trials]))

    return max(points.values(), key=mean_accuracy), len(points)


def _origin(config: Line, point: tuple, num_points: int, finished: bool) -> Origin:
    named = dict(zip(POINT_FLAGS, point, strict=True))
    return Origin(
        dataset=config["flags"]["dataset"],
        dataset_sha256=config["dataset_sha256"],
        point={name: value for name, value in named.items() if value is not None},
        num_points=num_points,
        finished=finished,
        flags=config["flags"],
        versions=config["versions"],
    )


def _load(path: Path, config: Line, choice: Choice) -> Trained:
    candidates = list(_candidates(path, config, choice))
    if not candidates:
        raise InputError(
            f"{path}: no trial that has done an epoch at {choice.words()}: its config.json names "
            "the grid of the run"
        )
    trials, num_points = _best_point(candidates)
    config_of_point, songs = trials[0].config, config["songs"]
    arrays = {name: np.stack([t.params[name] for t in trials]) for name in trials[0].params}
    normaliser, crop = None, None
    if (path / NORMALISER).exists():
        normaliser, crop = load_normaliser(path / NORMALISER)
    return Trained(
        config=config_of_point,
        params=unflatten(params_like(config_of_point, len(trials)), arrays),
        trials=tuple(trial.about for trial in trials),
        genre_names=tuple(songs["genre_names"]),
        statistics=InputStatistics(np.array(songs["input_mean"]), np.array(songs["input_std"])),
        normaliser=normaliser,
        crop=crop,
        origin=_origin(config, trials[0].point, num_points, (path / "summary.json").exists()),
    )


def load_run(path: Path, choice: Choice) -> Trained:
    """The models of one grid point of a run, each with the parameters of its best epoch.

    Of several grid points that the choice allows it is the one with the highest mean over seeds of
    the peak validation accuracy. Trials that diverged before the end of an epoch are left out.

    Raises:
      InputError: if there is no such run, point or seed, or the folder is damaged.
    """
    if not (path / "config.json").is_file():
        raise InputError(f"{path}: not the folder of a run, it has no config.json")
    config = read_json(path / "config.json")
    if isinstance(config, dict) and "songs" not in config:
        raise InputError(f"{path}: of an older program, its config.json tells no songs: train anew")
    try:
        return _load(path, config, choice)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: its files do not fit together ({type(error).__name__}: {error}): train anew"
        ) from error
