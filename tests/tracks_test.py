"""Track files: value by value against h5py, the published features, and every kind of bad file."""

import h5py
import numpy as np

from msd_jax.tracks import read_track
from tests.real_data import REAL_DATA, needs_real_data

REAL_FILES = sorted((REAL_DATA / "msd_h5").rglob("TR*.h5"))


@needs_real_data
def test_every_value_of_a_real_track_is_that_of_the_file():
    path = REAL_FILES[0]
    track = read_track(path)
    with h5py.File(path) as file:
        timbre = file["analysis/segments_timbre"][:]
        pitches = file["analysis/segments_pitches"][:]
        loudness = file["analysis/segments_loudness_start"][:]
    assert track.features.shape == (971, 25)
    for t in range(971):
        for f in range(12):
            assert track.features[t, f] == np.float32(timbre[t, f])
            assert track.features[t, 12 + f] == np.float32(pitches[t, f])
        assert track.features[t, 24] == np.float32(loudness[t])
    assert track[:3] == ("TRAAAAW128F429D538", "ARD7TVE1187B99BFB1", "I Didn't Mean To")


@needs_real_data
def test_real_tracks_agree_exactly_with_the_published_features():
    published = np.load(REAL_DATA / "real_tracks_71.npz")
    row = {str(name): i for i, name in enumerate(published["track_id"])}
    compared = 0
    for path in REAL_FILES:
        if path.stem in row:
            i = row[path.stem]
            first, last = published["offsets"][i : i + 2]
            track = read_track(path)
            # The published numbers have three decimals, which float32 keeps apart.
            features = track.features.astype(np.float64).round(3)
            np.testing.assert_array_equal(features, published["features"][first:last])
            assert (track.track_id, track.title) == (path.stem, published["title"][i])
            compared += 1
    assert compared == len(REAL_FILES) == 36
