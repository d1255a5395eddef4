"""Divisions of the labelled songs."""

import numpy as np
import pytest

from experiments.running.execution import open_dataset
from msd_jax.dataset import Dataset, Songs, save_dataset
from msd_jax.errors import InputError
from msd_jax.folds import divide
from tests.flags_test import settings

GENRES = ("a", "b", "c")


def songs(labels: list[int], first: int) -> Songs:
    """Song i's inputs are all i."""
    numbers = np.arange(first, first + len(labels), dtype=np.float16)
    return Songs(np.tile(numbers[:, None, None], (1, 2, 3)), np.array(labels, np.int32))


DATASET = Dataset(
    "d", songs([0] * 11 + [1] * 7, 0), songs([2] * 6, 18), songs([0, 1, 2, 2], 24), GENRES
)


def numbers(part: Songs) -> set[int]:
    return {int(song[0, 0]) for song in part.inputs}


def test_every_song_is_tested_once_and_validates_once():
    divisions = [divide(DATASET, f"{k}/4") for k in (1, 2, 3, 4)]
    for split in ("test", "valid"):
        parts = [numbers(getattr(d, split)) for d in divisions]
        assert sum(len(part) for part in parts) == 28
        assert set.union(*parts) == set(range(28))
    for d in divisions:
        assert not numbers(d.train) & numbers(d.valid)
        assert not numbers(d.train) & numbers(d.test)
        assert not numbers(d.valid) & numbers(d.test)
        assert len(d.train.labels) + len(d.valid.labels) + len(d.test.labels) == 28


def test_parts_are_stratified_and_labels_stay_with_their_songs():
    """12, 8 and 8 songs a genre in four parts: 3, 2 and 2 each."""
    truth = np.concatenate([DATASET.train.labels, DATASET.valid.labels, DATASET.test.labels])
    for k in (1, 2, 3, 4):
        d = divide(DATASET, f"{k}/4")
        assert np.bincount(d.test.labels).tolist() == [3, 2, 2]
        assert np.bincount(d.train.labels).tolist() == [6, 4, 4]
        for part in (d.train, d.valid, d.test):
            np.testing.assert_array_equal(part.labels, truth[part.inputs[:, 0, 0].astype(int)])


def test_a_data_set_without_test_labels_is_divided_too():
    d = divide(DATASET._replace(test=None), "1/3")
    assert sum(len(part.labels) for part in (d.train, d.valid, d.test)) == 24


def test_the_same_division_every_time():
    a, b = divide(DATASET, "2/5"), divide(DATASET, "2/5")
    np.testing.assert_array_equal(a.test.inputs, b.test.inputs)
    assert numbers(a.test) != numbers(divide(DATASET, "3/5").test)


@pytest.mark.parametrize("fold", ["", "0/5", "6/5", "1/2", "a/b", "1/5/2", "-1/5", "1"])
def test_other_folds_are_refused_with_what_to_give(fold):
    with pytest.raises(InputError, match="give k/K, such as 2/5"):
        divide(DATASET, fold)


def test_a_genre_of_too_few_songs_is_named():
    with pytest.raises(InputError, match="8 songs of b cannot be divided 9 times"):
        divide(DATASET, "1/9")


def test_a_run_takes_the_division_that_it_is_told(tmp_path):
    save_dataset(DATASET, tmp_path, "tiny")
    flags = ("--dataset=tiny", f"--data_dir={tmp_path}")
    divided = open_dataset(settings(*flags, "--fold=2/4"))
    np.testing.assert_array_equal(divided.test.inputs, divide(DATASET, "2/4").test.inputs)
    assert len(open_dataset(settings(*flags)).train.labels) == 18
    with pytest.raises(InputError, match="give k/K"):
        open_dataset(settings(*flags, "--fold=5/4"))
