"""The file of trained models: one safetensors file, without a pickle and read without orbax.

It holds the parameters of every trial by dotted path, the training songs' statistics and the
normaliser; in its metadata a JSON text with the rest, and the sha256 of everything. Files are
untrusted: what they say of themselves is checked before it is believed.
"""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from msd_jax.config import Config
from msd_jax.decomposition import num_classifiers
from msd_jax.errors import InputError
from msd_jax.normaliser import Normaliser
from msd_jax.npz import machine_memory
from msd_jax.scale import InputStatistics
from msd_jax.songs import CROPS
from msd_jax.trained import Origin, Trained, TrainedTrial, params_like
from msd_jax.trees import flatten, unflatten

FORMAT = 3
_MAX_SIZE = 10**6  # of any number that makes a shape


def _like(config: Config, num_trials: int, has_normaliser: bool) -> dict[str, Any]:
    """Shapes and types of all arrays of a model file."""

    def floats(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, np.float64)

    t, f = config.num_segments, config.num_features
    tree: dict[str, Any] = {
        "params": params_like(config, num_trials),
        "statistics": InputStatistics(floats(f), floats(f)),
    }
    if has_normaliser:
        tree["normaliser"] = Normaliser(floats(t, f), floats(t, f))
    return tree


def _digest(text: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _same_structure(like: Any, trained: Trained) -> dict[str, Any]:
    tree = {"params": trained.params, "statistics": trained.statistics}
    if trained.normaliser is not None:
        tree["normaliser"] = trained.normaliser
    return jax.tree.map(lambda expected, x: np.ascontiguousarray(x, expected.dtype), like, tree)


def save_model(path: Path, trained: Trained) -> None:
    """Writes a model file; `load_model` gives the same, to the bit."""
    described = {
        "format": FORMAT,
        "config": dataclasses.asdict(trained.config),
        "trials": [trial._asdict() for trial in trained.trials],
        "genre_names": trained.genre_names,
        "crop": trained.crop,
        "origin": trained.origin._asdict(),
    }
    like = _like(trained.config, len(trained.trials), trained.normaliser is not None)
    text, arrays = json.dumps(described, allow_nan=False), flatten(_same_structure(like, trained))
    path.write_bytes(save(arrays, {"msd_jax": text, "sha256": _digest(text, arrays)}))


def _read(path: Path) -> tuple[str, str, dict[str, np.ndarray]]:
    """The JSON text, the sha256 and the arrays of a safetensors file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file: make one with python -m experiments.export")
    size = path.stat().st_size
    if size > machine_memory():
        raise InputError(f"{path}: its {size:,} bytes are more than this machine's memory")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if not {"msd_jax", "sha256"} <= metadata.keys():
                raise InputError(f"{path}: a safetensors file, but not one of experiments.export")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return metadata["msd_jax"], metadata["sha256"], arrays
    except InputError:
        raise
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a readable safetensors file ({reason})") from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _is_whole(value: Any, least: int = 0, most: int = 2**31) -> bool:
    return type(value) is int and least <= value <= most


def _options(kind: Any, fields: dict[str, Any]) -> Any:
    """A dataclass of `config.py` from its fields, each of the type of its default (a whole number
    where it has none), with the dataclasses nested in it.
    """
    defaults, values = {field.name: field.default for field in dataclasses.fields(kind)}, {}
    for name, value in fields.items():
        wanted = int if defaults[name] is dataclasses.MISSING else type(defaults[name])
        if dataclasses.is_dataclass(wanted):
            values[name] = _options(wanted, value)
            continue
        is_fit = _is_whole(value, most=_MAX_SIZE) if wanted is int else type(value) is wanted
        _require(is_fit, f"{name} is {value!r:.40}")
        values[name] = value
    return kind(**values)


def _trials(values: list[dict[str, Any]]) -> tuple[TrainedTrial, ...]:
    trials = tuple(TrainedTrial(**value) for value in values)
    for trial in trials:
        _require(_is_whole(trial.seed) and _is_whole(trial.best_epoch, least=1), "its trials")
        _require(0 <= trial.peak_valid_accuracy <= 1, "its trials' accuracies")
    _require(0 < len({trial.seed for trial in trials}) == len(trials), "its trials' seeds")
    return trials


def _genre_names(values: list[str]) -> tuple[str, ...]:
    _require(isinstance(values, list) and all(isinstance(x, str) for x in values), "genre_names")
    _require(len(set(values)) == len(values), "genre_names name one twice")
    return tuple(values)


def _origin(fields: dict[str, Any]) -> Origin:
    origin = Origin(**fields)
    for name, kind in Origin.__annotations__.items():
        wanted = {int: int, str: str, bool: bool}.get(kind, dict)
        _require(type(getattr(origin, name)) is wanted, f"origin: {name}")
    for name, value in origin.point.items():
        _require(type(value) in (int, float) and math.isfinite(value), f"origin: {name}")
    return origin


def _interpret(text: str, arrays: dict[str, np.ndarray]) -> Trained:
    """What the file says; what is wrong with it raises one of several built-in errors."""
    described = json.loads(text)
    _require(described["format"] == FORMAT, f"its format is not {FORMAT}: another program's")
    config, trials = _options(Config, described["config"]), _trials(described["trials"])
    genre_names, crop = _genre_names(described["genre_names"]), described["crop"]
    _require(len(genre_names) == config.num_genres, "genre_names are not as many as the genres")
    _require(crop is None or crop in CROPS, "crop")
    asked = config.decomposition if config.model == "ensemble" else "none"
    num_networks = 1 if asked == "none" else num_classifiers(asked, config.num_genres)
    held = sum(array.size for array in arrays.values())
    _require(num_networks <= held, "it holds fewer numbers than its networks have")
    like = _like(config, len(trials), has_normaliser=crop is not None)
    tree = unflatten(like, arrays)
    _require(len(arrays) == len(jax.tree.leaves(like)), "it holds arrays of no part of the model")
    for name, array in arrays.items():
        _require(bool(np.isfinite(array).all()), f"{name} holds NaN or infinite numbers")
        _require(not name.endswith(".std") or bool((array > 0).all()), f"{name} is not above 0")
    return Trained(
        config,
        tree["params"],
        trials,
        genre_names,
        tree["statistics"],
        tree.get("normaliser"),
        crop,
        _origin(described["origin"]),
    )


def load_model(path: Path) -> Trained:
    """Reads a model file that nobody vouches for.

    Raises:
      InputError: for whatever is wrong with it.
    """
    text, digest, arrays = _read(path)
    try:
        _require(_digest(text, arrays) == digest, "its content does not match its sha256")
        return _interpret(text, arrays)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        MemoryError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: a damaged model file ({reason}): export it anew") from error
