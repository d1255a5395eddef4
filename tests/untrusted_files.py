"""Small good files of the kinds that `predict` reads from strangers, to be damaged by tests.

A target is read by `load`, which gives what the file holds or raises `refusal`; every change of
its bytes must end in one of the two. `data` is made anew by each call.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.asking.questions import Song, hear_files
from msd_jax.analysis import read_analysis
from msd_jax.config import Config
from msd_jax.errors import InputError
from msd_jax.model_file import load_model, save_model
from msd_jax.normaliser import Normaliser
from msd_jax.scale import InputStatistics
from msd_jax.songs import Rejected
from msd_jax.trained import Origin, Trained, TrainedTrial, params_like

SMALL = Config(4, 2, 3, model="ensemble", num_snippets=2, num_hidden=2)


def make_trained(config: Config = SMALL, num_trials: int = 2, raw: bool = True) -> Trained:
    """Trials of random parameters, with a normaliser if they are to hear raw features."""
    shape = (config.num_segments, config.num_features)
    rng = np.random.default_rng(num_trials)
    params = jax.tree.map(
        lambda like: rng.standard_normal(like.shape).astype(like.dtype),
        params_like(config, num_trials),
    )
    return Trained(
        config,
        params,
        tuple(TrainedTrial(123 + r, r + 1, 0.5) for r in range(num_trials)),
        tuple(f"genre {k}" for k in range(config.num_genres)),
        InputStatistics(np.zeros(shape[1]), np.ones(shape[1])),
        Normaliser(np.full(shape, 0.1), np.full(shape, 2.0)) if raw else None,
        "start" if raw else None,
        Origin("tiny", "ab" * 32, {"beta": 100.0}, 2, True, {"model": config.model}, {"jax": "1"}),
    )


def make_segments(num_segments: int, seed: int = 0) -> list[dict[str, Any]]:
    """Segments of an analysis, with the keys that nobody here reads among the others."""
    rng = np.random.default_rng(seed)
    return [
        {
            "start": 0.25 * index,
            "confidence": 1,
            "loudness_start": round(float(rng.uniform(-60, -5)), 3),
            "pitches": rng.uniform(0, 1, 12).round(3).tolist(),
            "timbre": rng.normal(0, 50, 12).round(3).tolist(),
        }
        for index in range(num_segments)
    ]


def _model_bytes(folder: Path) -> bytes:
    save_model(folder / "good.safetensors", make_trained())
    return (folder / "good.safetensors").read_bytes()


def _analysis_bytes(folder: Path) -> bytes:
    return json.dumps({"meta": {"title": "A song"}, "segments": make_segments(3)}).encode()


def _songs_bytes(folder: Path) -> bytes:
    features = np.random.default_rng(0).normal(size=(9, SMALL.num_features))
    np.savez(folder / "good.npz", features=features, offsets=np.array([0, 5, 9]))
    return (folder / "good.npz").read_bytes()


def _hear(path: Path) -> list[Song]:
    """The songs of a file as a model hears them, all or none."""
    songs, refused = hear_files(make_trained(), [str(path)])
    for song in refused:
        raise Rejected(song.reason)
    return songs


class Target(NamedTuple):
    """data: makes the bytes of a good file (it may use a folder); load: reads a file."""

    name: str
    data: Callable[[Path], bytes]
    load: Callable[[Path], Any]
    refusal: type[Exception]


TARGETS = (
    Target("model.safetensors", _model_bytes, load_model, InputError),
    Target("analysis.json", _analysis_bytes, read_analysis, Rejected),
    Target("songs.npz", _songs_bytes, _hear, Rejected),
)
