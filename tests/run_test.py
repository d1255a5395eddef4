"""The whole program, through its flags, as a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from msd_jax.checkpoints import Checkpoints
from msd_jax.dataset import Dataset, Songs, save_dataset
from tests.real_data import REAL_DATA, needs_real_data

ROOT = Path(__file__).parents[1]
TIMES = ("seconds", "songs_per_second", "seconds_per_epoch")


def command(workdir: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "experiments.run", f"--workdir={workdir}", *arguments]


def run(workdir: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(workdir, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def read_json(path: Path):
    return json.loads(path.read_text())


def read_metrics(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def without_times(tree):
    """What must not differ between runs of the same command."""
    if isinstance(tree, dict):
        return {key: without_times(x) for key, x in tree.items() if key not in TIMES}
    return [without_times(x) for x in tree] if isinstance(tree, list) else tree


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    """Files of 30 + 13 + 11 random songs of 8 x 5, three genres that show in one feature."""
    rng = np.random.default_rng(0)

    def songs(number: int) -> Songs:
        labels = np.arange(number, dtype=np.int32) % 3
        inputs = rng.standard_normal((number, 8, 5)) + labels[:, None, None] * np.eye(5)[0]
        return Songs(inputs.astype(np.float16), labels)

    folder = tmp_path_factory.mktemp("data")
    save_dataset(Dataset("tiny", songs(30), songs(13), songs(11), ("a", "b", "c")), folder, "tiny")
    return folder


def tiny(data_dir: Path, *arguments: str) -> list[str]:
    return [
        "--dataset=tiny", f"--data_dir={data_dir}", "--batch_size=7", "--num_hidden=6", *arguments
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "terms"),
    [
        (["--model=mlp", "--l2=0,0.01"], {"cross_entropy", "l2_penalty"}),
        (["--model=baseline", "--beta=0,5", "--head=relu"], {"norm_stabilizer"}),
        (
            [
                "--model=ensemble",
                "--num_snippets=2",
                "--beta=0,5",
                "--decomposition=round_robin",
                "--pooling=weighted_mean",
                "--pool_weights=accuracy",
            ],
            {"norm_stabilizer"},
        ),
        (
            [
                "--model=multitask",
                "--secondary=both",
                "--alpha_binary=1,2",
                "--binary_weights=balanced",
            ],
            {"secondary", "secondary_binary"},
        ),
    ],
    ids=lambda x: x[0].removeprefix("--model=") if isinstance(x, list) else "",
)
def test_every_model_trains_and_writes_all_it_should(tmp_path, data_dir, arguments, terms):
    shown = run(tmp_path, *tiny(data_dir, *arguments, "--num_seeds=2", "--num_epochs=3")).stdout
    assert "peak valid" in shown
    lines = read_metrics(tmp_path)
    assert len(lines) == 2 * 2 * 3  # points, seeds, epochs
    names = ("seed", "num_hidden", "num_snippets", "learning_rate", "l2", "beta", "alpha",
             "alpha_binary", "epoch")  # fmt: skip
    assert len({tuple(line[name] for name in names) for line in lines}) == len(lines)
    for line in lines:
        assert {f"train_{term}" for term in terms} <= line.keys()
        for name in ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds"):
            assert np.isfinite(line[name])
        coefficients = {"cross_entropy": 1, "l2_penalty": line["l2"]}
        coefficients |= {"norm_stabilizer": line["beta"], "secondary": line["alpha"]}
        coefficients["secondary_binary"] = line["alpha_binary"]
        present = {name: c for name, c in coefficients.items() if f"train_{name}" in line}
        total = sum(c * line[f"train_{name}"] for name, c in present.items())
        assert total == pytest.approx(line["train_loss"], rel=1e-4)
    summary = read_json(tmp_path / "summary.json")
    assert (summary["num_train"], summary["num_valid"], summary["num_test"]) == (30, 13, 11)
    assert len(summary["runs"]) == 4
    assert [point["num_seeds"] for point in summary["points"]] == [2, 2]
    for trial in summary["runs"]:
        own = [x for x in lines if all(x[name] == trial[name] for name in names[:-1])]
        accuracies = [line["valid_accuracy"] for line in own]
        assert trial["peak_valid_accuracy"] == max(accuracies)
        assert trial["final_valid_accuracy"] == accuracies[-1]
        assert trial["test_accuracy"] * 11 == pytest.approx(round(trial["test_accuracy"] * 11))
    for point in summary["points"]:
        pooled = point["seeds_pooled"]
        assert pooled["split"] == "test"
        assert pooled["alone"]["accuracy"] == pytest.approx(point["test_accuracy"]["mean"])
    config = read_json(tmp_path / "config.json")
    assert config["flags"]["num_epochs"] == 3
    assert len(config["dataset_sha256"]) == 64
    assert config["versions"]["jax"]
    for part in (tmp_path / "checkpoints").iterdir():
        # 4 steps and 2 batches of validation an epoch, the last two of three.
        assert {step.name for step in part.iterdir()} == {"12", "18"}


def test_a_finished_run_says_so_and_changes_nothing(tmp_path, data_dir):
    arguments = tiny(data_dir, "--num_epochs=1")
    run(tmp_path, *arguments)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "is finished" in run(tmp_path, *arguments).stdout
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def final_arrays(workdir: Path) -> dict[str, bytes]:
    """Every array of the last checkpoint."""
    with Checkpoints(workdir / "checkpoints" / "0-0") as checkpoints:
        arrays = checkpoints.restore_arrays()
    return {name: array.tobytes() for name, array in arrays.items()}


def wait_for_epochs(process: subprocess.Popen, workdir: Path, count: int) -> None:
    """Until the running program has written the metrics of `count` epochs of 3 trials."""
    deadline = time.monotonic() + 120
    metrics = workdir / "metrics.jsonl"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 3 * count:
        assert process.poll() is None, "ended before it was interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Batches of 6, which two devices could divide.
LONG = ["--num_epochs=40", "--num_seeds=3", "--learning_rate=0.01", "--batch_size=6"]


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory, data_dir) -> Path:
    workdir = tmp_path_factory.mktemp("left-alone")
    run(workdir, *tiny(data_dir, *LONG))
    return workdir


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75), (signal.SIGINT, 75)],
    ids=lambda x: getattr(x, "name", ""),
)
def test_an_interrupted_run_ends_with_the_bits_of_one_left_alone(
    tmp_path, data_dir, left_alone, sent, code
):
    arguments = tiny(data_dir, *LONG)
    process = subprocess.Popen(
        command(tmp_path, *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_epochs(process, tmp_path, 5)
    os.kill(process.pid, sent)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert not (tmp_path / "summary.json").exists()
    if code == 75:
        assert "Traceback" not in error
        assert f"--workdir={tmp_path} goes on" in error
    assert "going on in" in run(tmp_path, *arguments).stdout
    assert without_times(read_metrics(tmp_path)) == without_times(read_metrics(left_alone))
    summaries = (read_json(path / "summary.json") for path in (tmp_path, left_alone))
    assert len({json.dumps(without_times(summary)) for summary in summaries}) == 1
    assert final_arrays(tmp_path) == final_arrays(left_alone)


@pytest.mark.parametrize(("size", "parts"), [(1, ["0-0", "0-1", "0-2"]), (2, ["0-0", "0-2"])])
def test_chunks_change_no_result(tmp_path, data_dir, left_alone, size, parts):
    """Three trials one at a time, on two devices; and two at a time: the last chunk is padded."""
    run(tmp_path, *tiny(data_dir, *LONG), f"--trials_per_chunk={size}")
    summaries = (read_json(path / "summary.json") for path in (tmp_path, left_alone))
    assert len({json.dumps(without_times(summary)) for summary in summaries}) == 1
    key = lambda line: (line["seed"], line["epoch"])  # noqa: E731
    chunked, whole = (
        sorted(without_times(read_metrics(path)), key=key) for path in (tmp_path, left_alone)
    )
    assert chunked == whole
    assert sorted(part.name for part in (tmp_path / "checkpoints").iterdir()) == parts


@pytest.mark.parametrize(
    ("file", "content"),
    [("summary.json", "{"), ("metrics.jsonl", "garbage\n"), ("metrics.jsonl", "")],
)
def test_damaged_files_of_a_workdir_are_refused(tmp_path, data_dir, left_alone, file, content):
    workdir = tmp_path / "run"
    shutil.copytree(left_alone, workdir)
    if file != "summary.json":
        (workdir / "summary.json").unlink()
    (workdir / file).write_text(content)
    error = run(workdir, *tiny(data_dir, *LONG), code=2).stderr
    assert len(error.splitlines()) == 1
    assert "start afresh in another --workdir" in error


def test_trials_that_run_out_of_patience_end_the_run(tmp_path, data_dir):
    run(tmp_path, *tiny(data_dir, "--num_epochs=50", "--patience=2", "--learning_rate=1e-30"))
    assert [line["epoch"] for line in read_metrics(tmp_path)] == [1, 2, 3]


def test_a_diverged_trial_is_marked_and_the_files_stay_json(tmp_path, data_dir):
    shown = run(tmp_path, *tiny(data_dir, "--num_epochs=3", "--learning_rate=0.001,1e30")).stdout
    assert "diverged" in shown
    calm, wild = read_json(tmp_path / "summary.json")["runs"]
    assert (calm["diverged"], wild["diverged"]) == (None, 1)
    assert [line["diverged"] for line in read_metrics(tmp_path)] == [False, True, False, False]


@needs_real_data
def test_it_learns_real_songs(tmp_path):
    """Chance is 33%; five seeds of 40 epochs reached 58 to 63% at their best."""
    arguments = ("--dataset=msd-3-genre", f"--data_dir={REAL_DATA}", "--num_seeds=2")
    run(tmp_path, *arguments, "--num_epochs=15")
    summary = read_json(tmp_path / "summary.json")
    assert (summary["num_train"], summary["num_valid"], summary["num_test"]) == (126, 54, 0)
    for trial in summary["runs"]:
        assert trial["peak_valid_accuracy"] > 0.45
        assert trial["test_accuracy"] is None
    pooled = summary["points"][0]["seeds_pooled"]
    assert (pooled["split"], pooled["num_seeds"]) == ("valid", 2)
    peaks = [trial["peak_valid_accuracy"] for trial in summary["runs"]]
    assert pooled["alone"]["accuracy"] == pytest.approx(np.mean(peaks))


@needs_real_data
def test_it_evaluates_a_real_test_set(tmp_path):
    arguments = ("--dataset=gtzan-10-genre", f"--data_dir={REAL_DATA}", "--model=mlp")
    run(tmp_path, *arguments, "--num_epochs=8")
    summary = read_json(tmp_path / "summary.json")
    assert (summary["num_train"], summary["num_valid"], summary["num_test"]) == (440, 197, 290)
    assert summary["runs"][0]["test_accuracy"] > 0.15  # chance is 10%
