"""Track files: value by value against h5py, the published features, and every kind of bad file."""

import h5py
import numpy as np
import pytest

from msd_jax.songs import CROPS, Rejected, crop
from msd_jax.tracks import read_track
from tests.real_data import REAL_DATA, needs_real_data
from tests.track_files import make_arrays, track_id, write_track

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


@needs_real_data
@pytest.mark.parametrize("where", CROPS)
def test_a_crop_of_a_real_track_is_that_of_the_whole(where):
    for path in REAL_FILES[:6]:
        whole = read_track(path).features
        np.testing.assert_array_equal(
            read_track(path, 120, where).features, crop(whole, 120, where), strict=True
        )


def test_a_made_file_is_read_back(tmp_path):
    path = write_track(tmp_path / "a.h5", 3, title="\x1b[31mred\n\u00fc")
    arrays = make_arrays(3, 9)
    columns = [arrays["timbre"], arrays["pitches"], arrays["loudness_start"][:, None]]
    track = read_track(path)
    np.testing.assert_array_equal(track.features, np.concatenate(columns, axis=1).astype("f4"))
    # What would act on a terminal or break a line is shown as what cannot be shown.
    assert track[:3] == (track_id(3), f"AR{3:016d}", "\ufffd[31mred\ufffd\u00fc")


BAD = [
    ({"timbre": np.zeros((9, 11))}, "wrong shape: timbre 9x11, pitches 9x12, loudness_start 9"),
    ({"timbre": np.zeros((8, 12))}, "wrong shape: timbre 8x12, pitches 9x12, loudness_start 9"),
    ({"loudness_start": np.zeros((9, 1))}, "wrong shape: timbre 9x12, pitches 9x12, loudness_st"),
    ({"loudness_start": np.zeros(())}, "wrong shape: timbre 9x12, pitches 9x12, loudness_start 1"),
    ({"pitches": np.full((9, 12), "x", "S3")}, "not a number: segments are of type |S3"),
    ({"pitches": np.full((9, 12), np.nan)}, "not a number: 48 NaN in pitches"),
    ({"timbre": np.full((9, 12), -np.inf)}, "infinite: 48 infinite values in timbre"),
    ({"timbre": None}, "missing group: no analysis/segments_timbre in it"),
    ({"artist_id": ""}, "missing group: no artist_id in it"),
    ({"track_id": ""}, "missing group: no track_id in it"),
    ({"num_segments": 0}, "too short: 0 segments, 4 are needed"),
    ({"num_segments": 3}, "too short: 3 segments, 4 are needed"),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_files_are_rejected_with_their_reason(tmp_path, changes, message):
    path = write_track(tmp_path / "a.h5", **changes)
    with pytest.raises(Rejected) as caught:
        read_track(path, 4)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["analysis", "metadata", "analysis/songs", "metadata/songs"])
def test_a_missing_group_is_named(tmp_path, name):
    path = write_track(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(Rejected, match=f"^missing group: no {name}"):
        read_track(path)


def test_what_is_no_hdf5_file_is_rejected(tmp_path):
    sound = write_track(tmp_path / "sound.h5").read_bytes()
    path = tmp_path / "a.h5"
    for data, message in ((sound[:2000], "truncated: "), (b"", "unreadable: "), (b"x", "unread")):
        path.write_bytes(data)
        with pytest.raises(Rejected, match=f"^{message}"):
            read_track(path)
    for place in (tmp_path, tmp_path / "gone.h5"):
        with pytest.raises(Rejected, match=r"^unreadable: (Is a directory|No such file)"):
            read_track(place)


def test_numbers_that_lie_in_another_file_are_never_read(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(9 * 12 * 8))
    path = write_track(tmp_path / "a.h5", timbre=None)
    with h5py.File(path, "r+") as file:
        file["analysis"].create_dataset(
            "segments_timbre", (9, 12), "f8", external=[(str(tmp_path / "secret"), 0, 9 * 12 * 8)]
        )
    with pytest.raises(Rejected, match=r"^outside the file"):
        read_track(path)
    other = write_track(tmp_path / "other.h5")
    path = write_track(tmp_path / "b.h5", timbre=None)
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((9, 12), "f8")
        layout[:] = h5py.VirtualSource(str(other), "analysis/segments_timbre", (9, 12))
        file["analysis"].create_virtual_dataset("segments_timbre", layout)
    with pytest.raises(Rejected, match=r"^outside the file"):
        read_track(path)
    path = write_track(tmp_path / "c.h5", timbre=None)
    with h5py.File(path, "r+") as file:
        file["analysis/segments_timbre"] = h5py.ExternalLink(str(other), "analysis/segments_timbre")
    with pytest.raises(Rejected, match=r"^outside the file"):
        read_track(path)


def test_a_header_that_declares_a_million_segments_is_rejected_at_once(tmp_path):
    path = write_track(tmp_path / "a.h5", timbre=None, pitches=None, loudness_start=None)
    with h5py.File(path, "r+") as file:
        for name, width in (("timbre", (12,)), ("pitches", (12,)), ("loudness_start", ())):
            file["analysis"].create_dataset(
                f"segments_{name}", (10**6, *width), "f8", chunks=(64, *width)
            )
    with pytest.raises(Rejected, match=r"^wrong shape: 1000000 segments declared"):
        read_track(path)
