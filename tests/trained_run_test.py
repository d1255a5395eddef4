"""Run folders as `predict` and `export` find them: whole, damaged, older, just begun."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.running.model_choice import Choice
from experiments.running.trained_run import find_normaliser, load_run
from msd_jax.dataset import Dataset
from msd_jax.errors import InputError
from msd_jax.normaliser import Normaliser, save_normaliser
from tests.run_test import data_dir as data_dir  # the fixture
from tests.run_test import read_json, run, tiny
from tests.small import make_songs


@pytest.fixture(scope="module")
def made_up_run(tmp_path_factory, data_dir) -> Path:
    """Two small networks, trained for an epoch."""
    workdir = tmp_path_factory.mktemp("run")
    run(workdir, *tiny(data_dir, "--model=mlp", "--num_epochs=1", "--num_seeds=2"))
    return workdir


def test_a_whole_folder_gives_its_trials(made_up_run):
    assert [trial[0] for trial in load_run(made_up_run, Choice()).trials] == [123, 124]


def test_a_normaliser_beside_the_songs_that_is_not_theirs_stops_the_run(tmp_path):
    songs = make_songs(6)
    dataset = Dataset("tiny", songs, songs, None, ("a", "b", "c"))
    asked = SimpleNamespace(dataset="tiny", data_dir=str(tmp_path))
    assert find_normaliser(asked, dataset) is None
    path = tmp_path / "tiny-normaliser.npz"
    save_normaliser(path, Normaliser(np.zeros((100, 25)), np.ones((100, 25))), "start")
    with pytest.raises(
        InputError, match=r"of songs of T x F = \(100, 25\), but these are \(6, 3\)"
    ):
        find_normaliser(asked, dataset)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="not a readable npz file"):
        find_normaliser(asked, dataset)


def test_a_run_folder_that_is_damaged_or_older_is_told_in_one_line(made_up_run, tmp_path):
    config = read_json(made_up_run / "config.json")
    songs = config["songs"]
    older = {key: value for key, value in config.items() if key != "songs"}
    for content, message in (
        ("{", "damaged, not JSON"),
        ("[]", "files do not fit together"),
        (json.dumps(older), "of an older program"),
        (json.dumps({**config, "flags": {}}), "files do not fit together"),
        (json.dumps({**config, "songs": {**songs, "num_features": 4}}), "fit together"),
    ):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match=message) as caught:
            load_run(tmp_path, Choice())
        assert "\n" not in str(caught.value)
        if message == "of an older program":
            shutil.copytree(made_up_run / "checkpoints", tmp_path / "checkpoints")
            shutil.copyfile(made_up_run / "decisions.json", tmp_path / "decisions.json")


def test_a_run_without_a_checkpoint_is_told_in_one_line(made_up_run, tmp_path):
    for name in ("config.json", "decisions.json"):
        shutil.copyfile(made_up_run / name, tmp_path / name)
    with pytest.raises(InputError, match=r"checkpoints/0-0: no checkpoint yet: let the run go on"):
        load_run(tmp_path, Choice())
