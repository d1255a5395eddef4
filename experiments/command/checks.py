"""What the JSON files of a run folder must look like: they may come from anywhere."""

import json
import math
from typing import Any

_NAMES = ("num_hidden", "num_snippets", "learning_rate", "l2", "beta", "alpha")
_NEW_NAMES = ("alpha_binary",)  # that summaries of older programs have not
# What tells the grid points of a run apart, in the order that they are named.
POINT_NAMES = (*_NAMES, *_NEW_NAMES)
_LARGEST = 2**63


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def parse(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
      ValueError: if it is none, or nested too deeply to be one of ours.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_number(x: Any) -> bool:
    """Whether it is a finite number, and no bool."""
    return math.isfinite(x) if type(x) is float else type(x) is int and abs(x) < _LARGEST


def _is_count(x: Any, least: int = 0) -> bool:
    return type(x) is int and least <= x < _LARGEST


def is_metric_line(line: Any) -> bool:
    """Whether it can be a line of metrics.jsonl."""
    return (
        isinstance(line, dict)
        and _is_count(line.get("epoch"), least=1)
        and type(line.get("diverged")) is bool
        and is_number(line.get("seconds"))
        and line["seconds"] >= 0
        and (line["diverged"] or is_number(line.get("valid_accuracy")))
        and all(x is None or isinstance(x, bool | str) or is_number(x) for x in line.values())
    )


def is_decisions(decisions: Any) -> bool:
    """Whether it can be decisions.json."""
    return isinstance(decisions, dict) and all(_is_count(x, least=1) for x in decisions.values())


def is_config(config: Any) -> bool:
    """Whether it can be config.json."""
    return (
        isinstance(config, dict)
        and all(isinstance(config.get(n), dict) for n in ("flags", "songs", "versions", "device"))
        and all(isinstance(config["flags"].get(n), str) for n in ("model", "dataset", "head"))
        and _is_count(config["songs"].get("num_segments"), least=1)
        and all(n in config["device"] for n in ("count", "kind", "platform"))
        and isinstance(config.get("dataset_sha256"), str)
    )


def is_study(study: Any) -> bool:
    """Whether it can be study.json."""
    return (
        isinstance(study, dict)
        and isinstance(study.get("size"), str)
        and all(isinstance(study.get(n), list) for n in ("commands", "left_out", "runs"))
        and all(isinstance(x, str) for n in ("commands", "left_out") for x in study[n])
        and all(isinstance(x, dict) for x in study["runs"])
    )


def _is_interval(x: Any) -> bool:
    return x is None or (
        isinstance(x, dict)
        and list(x) == ["mean", "low", "high"]
        and is_number(x["mean"])
        and all(y is None or is_number(y) for y in x.values())
        and (x["low"] is None) == (x["high"] is None)
    )


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, dict)
        and all(point.get(n) is None or is_number(point[n]) for n in (*_NAMES, *_NEW_NAMES))
        and all(n in point for n in (*_NAMES, "peak_valid_accuracy", "test_accuracy"))
        and all(_is_count(point.get(n)) for n in ("num_seeds", "num_diverged"))
        and all(_is_interval(point[n]) for n in ("peak_valid_accuracy", "test_accuracy"))
    )


def is_summary(summary: Any) -> bool:
    """Whether it can be summary.json."""
    return (
        isinstance(summary, dict)
        and all(isinstance(summary.get(n), str) for n in ("model", "dataset"))
        and is_number(summary.get("songs_per_second"))
        and all(isinstance(genre, str) for genre in summary.get("genre_names", []))
        and all(isinstance(summary.get(n), list) and summary[n] for n in ("runs", "points"))
        and all(isinstance(run, dict) for run in summary["runs"])
        and all(_is_point(point) for point in summary["points"])
    )
