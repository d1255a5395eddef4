"""Asking a model that was trained on made-up songs: folder, model file and summary say the same."""

import json
import subprocess
import sys

import numpy as np
import pytest

from msd_jax.dataset import load_dataset
from msd_jax.normaliser import Normaliser, save_normaliser
from tests.run_test import ROOT, read_json, run, tiny
from tests.run_test import data_dir as data_dir  # the fixture


def program(name: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", f"experiments.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_and_its_model_file_say_of_the_test_songs_what_the_summary_counted(
    tmp_path, data_dir
):
    normaliser = data_dir / "tiny-normaliser.npz"
    save_normaliser(normaliser, Normaliser(np.zeros((8, 5)), np.ones((8, 5))), "start")
    workdir, model = tmp_path / "run", tmp_path / "model.safetensors"
    run(workdir, *tiny(data_dir, "--model=mlp", "--num_epochs=4", "--learning_rate=0.01"))
    assert (workdir / "normaliser.npz").read_bytes() == normaliser.read_bytes()
    assert "its normaliser" in program("export", f"--workdir={workdir}", f"--out={model}").stdout

    documents, said, asking = [], [], ("--dataset=tiny", f"--data_dir={data_dir}", "--split=test")
    for source in (f"--workdir={workdir}", f"--model={model}"):
        done = program("predict", source, *asking, "--format=json")
        documents.append(json.loads(done.stdout))
        said.append(done.stderr)
    probs = [
        np.array([list(song["probabilities"].values()) for song in document["songs"]])
        for document in documents
    ]
    np.testing.assert_allclose(*probs, atol=1e-6)
    (trial,) = read_json(workdir / "summary.json")["runs"]
    is_right = probs[0].argmax(axis=1) == load_dataset("tiny", data_dir).test.labels
    assert is_right.mean() == pytest.approx(trial["test_accuracy"])
    assert all(f"({is_right.sum()} of 11 songs)" in words for words in said)
