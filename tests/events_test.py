"""Event files, read back record by record."""

import struct
from pathlib import Path

import pytest

from experiments.running.events import EventFiles, trial_name

pytest.importorskip("tensorboardX", reason="tensorboardX (extra tb) is not installed")

TRIAL = {"seed": 7, "num_hidden": 100, "num_snippets": None, "learning_rate": 1e-3, "l2": 0.0,
         "beta": 50.0, "alpha": None, "alpha_binary": None}  # fmt: skip


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Name, step and value of every scalar: records of length (8 bytes), check (4), data, check."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            content = content[16 + length :]
    return found


def line(seed: int, epoch: int) -> dict:
    return {**TRIAL, "seed": seed, "epoch": epoch, "valid_accuracy": 0.25 * epoch,
            "train_loss": None, "diverged": False, "seconds": 2.0}  # fmt: skip


def test_they_can_be_read_while_it_trains_and_other_trials_are_closed(tmp_path):
    with EventFiles(tmp_path) as files:
        files.write([line(7, 1)])
        (folder,) = tmp_path.iterdir()
        assert scalars(folder) == [("valid_accuracy", 1, 0.25), ("seconds", 1, 2.0)]
        files.write([line(8, 1)])
        assert len(files._writers) == 1


def test_every_metric_of_every_trial_is_there_at_its_epoch(tmp_path):
    with EventFiles(tmp_path) as files:
        for epoch in (1, 2):
            files.write([line(seed, epoch) for seed in (7, 8)])
    assert {path.name for path in tmp_path.iterdir()} == {
        "num_hidden_100-learning_rate_0.001-l2_0-beta_50-seed_7",
        "num_hidden_100-learning_rate_0.001-l2_0-beta_50-seed_8",
    }
    for folder in tmp_path.iterdir():
        assert scalars(folder) == [
            ("valid_accuracy", 1, 0.25), ("seconds", 1, 2.0),
            ("valid_accuracy", 2, 0.5), ("seconds", 2, 2.0),
        ]  # fmt: skip


def test_the_name_of_a_trial_leaves_out_what_its_model_has_not():
    assert trial_name({**TRIAL, "alpha": 2.0}).endswith("beta_50-alpha_2-seed_7")
