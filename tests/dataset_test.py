"""Data sets: what is in the files is what a model sees, and the fingerprint tells any two apart."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format

from msd_jax.dataset import (
    Dataset,
    Songs,
    fingerprint,
    load_dataset,
    save_dataset,
)
from msd_jax.errors import InputError
from msd_jax.normaliser import fit_normaliser
from tests.npz_test import EDITS, edit, write_zip
from tests.real_data import REAL_DATA, needs_real_data

NAMES = ("Rap", "Pop_Rock", "Größe")  # one is not ASCII
GTZAN = "blues classical country disco hiphop jazz metal pop reggae rock"


def make_songs(num_songs: int, num_features: int = 25) -> Songs:
    inputs = np.random.default_rng(num_songs).normal(size=(num_songs, 4, num_features))
    return Songs(inputs.astype(np.float16), (np.arange(num_songs) % 3).astype(np.int32))


def make_dataset(with_test: bool = True, num_features: int = 25) -> Dataset:
    train, valid, test = (make_songs(number, num_features) for number in (6, 3, 5))
    return Dataset("tiny", train, valid, test if with_test else None, NAMES)


def assert_same(actual: Dataset, expected: Dataset) -> None:
    """The same arrays of the same types, and the same fingerprint; the names may differ."""
    assert actual.genre_names == expected.genre_names
    for ours, theirs in zip(actual[1:4], expected[1:4], strict=True):
        assert (ours is None) == (theirs is None)
        for array, wanted in zip(ours or (), theirs or (), strict=True):
            np.testing.assert_array_equal(array, wanted, strict=True)
    assert fingerprint(actual) == fingerprint(expected)


@needs_real_data
@pytest.mark.parametrize(
    ("stem", "num_songs", "shape", "names"),
    [  # as the README beside the real songs tells
        ("msd-3-genre", (126, 54), (100, 25), ("Rap", "Pop_Rock", "RnB")),
        ("gtzan-10-genre", (440, 197, 290), (120, 25), tuple(GTZAN.split())),
    ],
)
def test_real_songs_are_what_their_readme_tells(stem, num_songs, shape, names):
    dataset = load_dataset(stem, REAL_DATA)
    splits = [songs for songs in (dataset.train, dataset.valid, dataset.test) if songs is not None]
    assert tuple(len(songs.labels) for songs in splits) == num_songs
    assert (dataset.num_genres, dataset.genre_names) == (len(names), names)
    for songs in splits:
        assert songs.inputs.shape == (len(songs.labels), *shape)  # T x F
        assert (songs.inputs.dtype, songs.labels.dtype) == (np.float16, np.int32)
        assert set(songs.labels.tolist()) == set(range(len(names)))  # every genre in every split


@needs_real_data
@pytest.mark.parametrize("stem", ["msd-3-genre", "gtzan-10-genre"])
def test_real_training_songs_are_standardised_already(stem):
    inputs = load_dataset(stem, REAL_DATA).train.inputs
    mean, std = fit_normaliser(inputs)
    # To the rounding of float16, whose steps near 1 are 2**-10, averaged over a hundred songs.
    np.testing.assert_allclose(mean, np.zeros(inputs.shape[1:]), atol=5e-4)
    np.testing.assert_allclose(std, np.ones(inputs.shape[1:]), atol=5e-4)


@pytest.mark.parametrize(("name", "stem"), [("msd10", "msd-10-genre"), ("msd25", "msd-25-genre")])
def test_short_names_are_of_the_courses_files(tmp_path, name, stem):
    save_dataset(make_dataset(), tmp_path, stem)
    dataset = load_dataset(name, tmp_path)
    assert dataset.name == name
    assert_same(dataset, make_dataset())


@pytest.mark.parametrize("with_test", [True, False])
@pytest.mark.parametrize("num_features", [25, 3])
def test_what_is_saved_is_loaded(tmp_path, with_test, num_features):
    dataset = make_dataset(with_test, num_features)
    save_dataset(dataset, tmp_path, "tiny")
    assert len(list(tmp_path.iterdir())) == (4 if with_test else 2)
    loaded = load_dataset("tiny", tmp_path)
    assert_same(loaded, dataset)
    assert (loaded.name, loaded.num_segments, loaded.num_features) == ("tiny", 4, num_features)


def test_flat_files_hold_25_features_a_segment(tmp_path):
    dataset = make_dataset()
    save_dataset(dataset, tmp_path, "tiny")
    for split, (inputs, targets) in {"train": dataset.train, "valid": dataset.valid}.items():
        arrays = {"targets": targets, "label_map": np.array(NAMES)}
        np.savez(tmp_path / f"tiny-{split}.npz", inputs=inputs.reshape(-1, 4 * 25), **arrays)
    np.savez(tmp_path / "tiny-test-inputs.npz", inputs=dataset.test.inputs.reshape(5, 100))
    assert_same(load_dataset("tiny", tmp_path), dataset)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("label_map", [np.array(NAMES), np.array([n.encode() for n in NAMES])])
@pytest.mark.parametrize("targets", [np.int8, np.uint8, np.int64, ">i4"])
@pytest.mark.parametrize(
    ("given", "kept"),
    [(np.float16, np.float16), (np.float32, np.float32), (np.float64, np.float32)],
)
def test_types_of_files_and_of_arrays(tmp_path, given, kept, targets, label_map, order):
    dataset = make_dataset(with_test=False)
    for split, songs in (("train", dataset.train), ("valid", dataset.valid)):
        np.savez_compressed(
            tmp_path / f"tiny-{split}.npz",
            inputs=songs.inputs.astype(given, order=order),
            targets=songs.labels.astype(targets),
            label_map=label_map,
        )
    expected = {
        split: songs._replace(inputs=songs.inputs.astype(kept))
        for split, songs in (("train", dataset.train), ("valid", dataset.valid))
    }
    assert_same(load_dataset("tiny", tmp_path), dataset._replace(**expected))


@pytest.mark.parametrize("missing", ["tiny-test-inputs.npz", "tiny-test-targets.npz"])
def test_a_test_set_needs_both_its_files(tmp_path, missing):
    save_dataset(make_dataset(), tmp_path, "tiny")
    assert load_dataset("tiny", tmp_path).test is not None
    (tmp_path / missing).unlink()
    assert_same(load_dataset("tiny", tmp_path), make_dataset(with_test=False))


def with_value(songs: Songs, field: str, at: tuple[int, ...], value: float) -> Songs:
    """The songs with another value in one place."""
    array = getattr(songs, field).copy()
    assert array[at] != value
    array[at] = value
    return songs._replace(**{field: array})


def variants() -> dict[str, Dataset]:
    """The data set, and others that differ from it, and from each other, in one thing."""
    base = make_dataset()
    _, train, valid, test, _ = base
    inputs = train.inputs
    return {
        "base": base,
        "no test": base._replace(test=None),
        "valid as test": base._replace(test=valid),
        "train input": base._replace(train=with_value(train, "inputs", (0, 0, 0), 0.5)),
        "valid input": base._replace(valid=with_value(valid, "inputs", (-1, -1, -1), 0.5)),
        "test input": base._replace(test=with_value(test, "inputs", (2, 1, 7), 0.5)),
        "train label": base._replace(train=with_value(train, "labels", (5,), 0)),
        "valid label": base._replace(valid=with_value(valid, "labels", (0,), 1)),
        "test label": base._replace(test=with_value(test, "labels", (4,), 0)),
        "type": base._replace(train=train._replace(inputs=inputs.view(np.int16))),  # same bytes
        "shape": base._replace(train=train._replace(inputs=inputs.reshape(6, 25, 4))),
        "genre": base._replace(genre_names=("Rap", "Pop_Rock", "RnB")),
        "genres' order": base._replace(genre_names=("Pop_Rock", "Rap", "Größe")),
        "cut of genres": base._replace(genre_names=("RapPop", "_Rock", "Größe")),
    }


def test_the_fingerprint_tells_all_data_sets_apart():
    prints = {name: fingerprint(dataset) for name, dataset in variants().items()}
    assert len(set(prints.values())) == len(prints), prints


def test_the_fingerprint_depends_on_neither_name_nor_order_in_memory():
    base = make_dataset()
    fortran = base.train._replace(inputs=np.asfortranarray(base.train.inputs))
    assert fingerprint(base._replace(name="other")) == fingerprint(base)
    assert fingerprint(base._replace(train=fortran)) == fingerprint(base)
    assert len(fingerprint(base)) == 64  # sha256 in hexadecimal


def test_an_older_test_set_does_not_stay_beside_new_songs(tmp_path):
    save_dataset(make_dataset(), tmp_path, "tiny")
    save_dataset(make_dataset(with_test=False), tmp_path, "tiny")
    assert_same(load_dataset("tiny", tmp_path), make_dataset(with_test=False))


def test_flat_files_without_songs_are_refused(tmp_path):
    np.savez(
        tmp_path / "none-train.npz",
        inputs=np.zeros((0, 100), np.float16),
        targets=np.zeros(0, np.int8),
        label_map=np.array(NAMES),
    )
    with pytest.raises(InputError, match=r"shape \(0, 4, 25\)"):
        load_dataset("none", tmp_path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    save_dataset(make_dataset(num_features=2), folder, "tiny")
    return folder


def assert_valid_or_refused(folder) -> None:
    try:
        dataset = load_dataset("tiny", folder)
    except InputError as error:
        assert "\n" not in str(error)
        return
    for inputs, labels in (dataset.train, dataset.valid, dataset.test):
        assert np.isfinite(inputs).all()
        assert inputs.shape == (len(labels), dataset.num_segments, dataset.num_features)
        assert (labels >= 0).all()
        assert (labels < dataset.num_genres).all()


@pytest.mark.parametrize("split", ["train", "test-inputs", "test-targets"])
@settings(max_examples=60, deadline=None)
@given(edits=EDITS)
def test_a_damaged_file_gives_a_valid_data_set_or_an_input_error(scratch, split, edits):
    path = scratch / f"tiny-{split}.npz"
    good = path.read_bytes()
    path.write_bytes(edit(good, edits))
    try:
        assert_valid_or_refused(scratch)
    finally:
        path.write_bytes(good)


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(["inputs", "targets", "label_map"]), edits=EDITS)
def test_wrong_numbers_in_a_sound_file_give_a_valid_data_set_or_an_input_error(scratch, key, edits):
    # As if they had been saved so: the zip's check sums are right.
    inputs, targets = make_dataset(num_features=2).train
    arrays = {"inputs": inputs, "targets": targets.astype(np.int8), "label_map": np.array(NAMES)}
    members = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        npy_format.write_array(file, array)
        members[name] = file.getvalue()
    header, body = members[key][:128], members[key][128:]
    assert header.endswith(b"\n")
    members[key] = header + edit(body, edits)
    write_zip(scratch / "tiny-train.npz", **members)
    assert_valid_or_refused(scratch)
