"""Audio analyses in JSON: read to the digit, or refused with the reason."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from msd_jax import analysis
from msd_jax.analysis import read_analysis
from msd_jax.songs import Rejected
from tests.untrusted_files import make_segments


def write(folder: Path, content) -> Path:
    path = folder / "song.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(Rejected) as caught:
        read_analysis(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("about", "title"),
    [
        ({"meta": {"title": "Soul Deep"}}, "Soul Deep"),  # the Echo Nest
        ({"meta": {"analyzer_version": "4.0"}, "track": {"num_samples": 1}}, ""),  # Spotify
        ({"meta": None, "track": {"title": 3}}, ""),
    ],
)
def test_features_stand_in_the_courses_order(tmp_path, about, title):
    segments = make_segments(4)
    read_title, features = read_analysis(write(tmp_path, {**about, "segments": segments}))
    assert read_title == title
    assert features.shape == (4, 25)
    for row, segment in zip(features, segments, strict=True):
        expected = [*segment["timbre"], *segment["pitches"], segment["loudness_start"]]
        np.testing.assert_array_equal(row, np.array(expected, np.float32))


def test_whole_numbers_are_numbers(tmp_path):
    segment = {"timbre": list(range(12)), "pitches": [0] * 11 + [1], "loudness_start": -60}
    _, features = read_analysis(write(tmp_path, {"segments": [segment]}))
    np.testing.assert_array_equal(features[0], [*range(12), *[0] * 11, 1, -60])


def with_one(name: str, value) -> dict:
    """Three segments, the second of which has this value there."""
    segments = make_segments(3)
    segments[1][name] = value
    return {"segments": segments}


def without(name: str) -> dict:
    segments = make_segments(3)
    del segments[1][name]
    return {"segments": segments}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\x00", "not JSON"),
        ([], "missing key: no list of segments in it"),
        ({}, "missing key: no list of segments in it"),
        ({"segments": {}}, "missing key: no list of segments in it"),
        ({"segments": []}, "too short: no segments"),
        ({"segments": [1]}, "wrong shape: segment 0 is no object"),
        *[
            (without(name), f"missing key: segment 1 has no {name}")
            for name in ("timbre", "pitches", "loudness_start")
        ],
        (with_one("timbre", [1.0] * 11), "wrong shape: timbre of segment 1 has 11 values, 12"),
        (with_one("pitches", []), "wrong shape: pitches of segment 1 has 0 values"),
        (with_one("timbre", 1.0), "not a number: timbre of segment 1"),
        (with_one("timbre", ["1"] * 12), "not a number: timbre of segment 1"),
        (with_one("pitches", [True] * 12), "not a number: pitches of segment 1"),
        (with_one("pitches", [[0.5]] * 12), "not a number: pitches of segment 1"),
        (with_one("loudness_start", [-3.0]), "not a number: loudness_start of segment 1"),
        (with_one("loudness_start", None), "not a number: loudness_start of segment 1"),
        (with_one("loudness_start", float("nan")), "not a number: NaN stands in it"),
        (with_one("timbre", [float("-inf")] * 12), "not a number: -Infinity stands in it"),
        (json.dumps(with_one("loudness_start", 7)).replace(": 7", ": -1e999"), "infinite: "),
        (with_one("loudness_start", 10**400), "infinite: loudness_start"),
        (with_one("timbre", [1e39] * 12), "infinite: "),  # beyond float32
    ],
    ids=lambda x: x[:40] if isinstance(x, str) else "",
)
def test_whatever_is_wrong_is_told(tmp_path, content, message):
    assert refusal(write(tmp_path, content)).startswith(message)


def test_a_file_that_is_no_text_or_no_file_is_refused(tmp_path):
    path = tmp_path / "song.json"
    path.write_bytes(b'{"segments": "\xff\xfe"}')
    assert refusal(path).startswith("not JSON")
    assert refusal(tmp_path / "nope.json").startswith("not JSON")


def test_bombs_are_refused_in_a_moment(tmp_path, monkeypatch):
    start = time.process_time()
    for bomb in ("[" * 10**6, '{"segments":' * 10**5, "1" * 10**6):
        refusal(write(tmp_path, bomb))
    monkeypatch.setattr(analysis, "MAX_BYTES", 2**20)
    assert refusal(write(tmp_path, " " * (2**20 + 1))).startswith("too large: an analysis has at")
    assert time.process_time() - start < 2
