"""Damaged track and label files: exactly valid data, or a reason; never a crash or a hang.

`check_track_mutants` and `check_label_mutants` take a seed and a count: long runs call them too.
"""

from pathlib import Path

import numpy as np
import pytest

from experiments.command.reading import Limits, TrackReader
from msd_jax.errors import InputError
from msd_jax.labels import genre_key, read_labels
from msd_jax.songs import Rejected
from tests.mutants import mutants
from tests.real_data import REAL_DATA, needs_real_data
from tests.track_files import track_id, write_track

NUM_SEGMENTS = 8
ENDED = {"crashed the parser", "took too long"}


def check_track_mutants(good: bytes, folder: Path, seed: int, count: int) -> dict[str, int]:
    """Reads damaged versions of a track file; how often each reason came ("" is a song)."""
    reasons: dict[str, int] = {}
    path = folder / "TRMUTANT.h5"
    with TrackReader(Limits(seconds=30)) as reader:
        for data in mutants(good, seed, count):
            path.write_bytes(data)
            (track,) = reader.read([path], NUM_SEGMENTS)
            if isinstance(track, Rejected):
                assert "\n" not in str(track)
                assert track.reason
                reasons[track.reason] = reasons.get(track.reason, 0) + 1
            else:
                assert track.features.shape == (NUM_SEGMENTS, 25)
                assert np.isfinite(track.features).all()
                assert track.track_id.isprintable()
                assert track.artist_id.isprintable()
                assert track.title.isprintable()
                reasons[""] = reasons.get("", 0) + 1
    assert not reasons.keys() & ENDED
    return reasons


def check_label_mutants(good: bytes, folder: Path, seed: int, count: int) -> None:
    """Reads damaged versions of a label file."""
    path = folder / "mutant.cls"
    for data in mutants(good, seed, count):
        path.write_bytes(data)
        try:
            genres, conflicts, bad_lines = read_labels([path])
        except InputError as error:
            assert "\n" not in str(error)
            continue
        assert not genres.keys() & conflicts.keys()
        for known, genre in genres.items():
            assert len(known) == 18
            assert genre.isprintable()
            assert genre_key(genre)
        for where, detail in bad_lines:
            assert where.startswith("mutant.cls:")
            assert "\n" not in detail


def test_damaged_made_tracks(tmp_path):
    good = write_track(tmp_path / "good.h5", num_segments=30).read_bytes()
    reasons = check_track_mutants(good, tmp_path, seed=0, count=400)
    assert sum(reasons.values()) == 400
    assert len(reasons) > 3  # the mutations reach more than the signature


@needs_real_data
def test_damaged_real_tracks(tmp_path):
    good = (REAL_DATA / "msd_h5" / "A" / "A" / "A" / "TRAAAAW128F429D538.h5").read_bytes()
    reasons = check_track_mutants(good, tmp_path, seed=1, count=300)
    assert sum(reasons.values()) == 300
    assert len(reasons) > 3


@pytest.mark.parametrize("seed", range(2))
def test_damaged_labels(tmp_path, seed):
    lines = [f"{track_id(i)}\t{('Rap', 'New Age', 'Jazz')[i % 3]}\n" for i in range(40)]
    good = "".join(["# comment\n", *lines, f"{track_id(50)}\tRap\tJazz\n"]).encode()
    check_label_mutants(good, tmp_path, seed, count=300)


@needs_real_data
def test_damaged_real_labels(tmp_path):
    for name in ("msd_tagtraum_cd1.cls", "subset10k_MAGD_intersection.tsv"):
        good = (REAL_DATA / "labels" / name).read_bytes()[:5000]
        check_label_mutants(good, tmp_path, seed=2, count=100)
