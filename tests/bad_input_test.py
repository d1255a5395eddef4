"""Whatever a user can get wrong ends in one line that says what, and no run begins."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.running.plan import make_plan
from experiments.running.settings import Settings
from experiments.running.workdir import Workdir
from msd_jax.config import Config
from msd_jax.dataset import Dataset, Songs, load_dataset
from msd_jax.errors import InputError
from tests.npz_test import npy, write_zip

ROOT = Path(__file__).parents[1]
LABELS = np.arange(6, dtype=np.int32) % 2
CHOICES = ("model", "head", "member", "decomposition", "pooling", "pool_weights", "secondary")
COUNTS = ("num_segments", "num_features", "num_hidden", "num_snippets", "batch_size")
IDENTITY = {"flags": {"seed": 1, "beta": [50.0]}, "dataset_sha256": "abc"}


def inputs(*shape: int, first: float = 0.0, dtype: type = np.float16) -> np.ndarray:
    """Zeros, but for the first number."""
    array = np.zeros(shape, dtype)
    array.flat[:1] = first
    return array


# What the files hold where a test says nothing else: 6 songs each, T x F = 4 x 25, two genres.
SPLIT = {"inputs": inputs(6, 4, 25), "targets": LABELS, "label_map": np.array(["a", "b"])}
TEST = {f"test-{key}": {key: SPLIT[key]} for key in ("inputs", "targets")}
GOOD = {"train": SPLIT, "valid": SPLIT, **TEST}


def write(folder: Path, split: str = "", **changes: np.ndarray | None) -> Path:
    """The four files of tiny, with changed arrays in one; None leaves an array out."""
    for name, arrays in GOOD.items():
        arrays = arrays | changes if name == split else arrays
        kept = {key: array for key, array in arrays.items() if array is not None}
        np.savez(folder / f"tiny-{name}.npz", **kept)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_dataset("tiny", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_files_are_good_where_nothing_is_changed(tmp_path):
    dataset = load_dataset("tiny", write(tmp_path))
    assert (dataset.num_segments, dataset.num_features, dataset.num_genres) == (4, 25, 2)
    assert len(dataset.test.labels) == 6


BAD_ARRAYS = [
    ("inputs", inputs(6), "inputs have shape (6,)"),
    ("inputs", inputs(6, 2, 2, 25), "inputs have shape (6, 2, 2, 25)"),
    ("inputs", inputs(6, 99), "inputs have 99 columns, which is no multiple of 25"),
    ("inputs", inputs(6, 0), "inputs have 0 columns"),
    ("inputs", inputs(0, 4, 25), "inputs have shape (0, 4, 25)"),
    ("inputs", inputs(6, 4, 25, dtype=np.int16), "inputs are int16, not floating point"),
    ("inputs", inputs(6, 4, 25, first=np.nan), "song 0 holds NaN or infinite inputs"),
    ("inputs", inputs(6, 100, first=np.inf), "song 0 holds NaN or infinite inputs"),
    ("inputs", inputs(6, 4, 25, first=-np.inf)[::-1], "song 5 holds NaN or infinite inputs"),
    # float32 ends at 3.4e38.
    ("inputs", inputs(6, 4, 25, first=1e39, dtype=np.float64), "song 0 holds NaN or infinite"),
    ("inputs", inputs(5, 4, 25), "6 targets for 5 songs"),
    ("targets", np.array([0, 1, 0, 1, 0, 2]), "song 5 has label 2, outside 0..1"),
    ("targets", np.array([0, -1, 0, 1, 0, 1], np.int8), "song 1 has label -1, outside 0..1"),
    ("targets", np.array([0, 2**63, 0, 1, 0, 1], np.uint64), f"song 1 has label {2**63}, out"),
    ("targets", np.array([2**32, 1, 0, 1, 0, 1]), f"song 0 has label {2**32}, outside 0..1"),
    ("targets", LABELS.astype(np.float32), "targets are float32: integers are needed"),
    ("targets", LABELS.astype(bool), "targets are bool: integers are needed"),
    ("targets", np.eye(6, 2, dtype=np.int8), "targets have shape (6, 2): one label a song"),
    ("targets", LABELS[:5], "5 targets for 6 songs"),
]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize(("key", "array", "message"), BAD_ARRAYS)
def test_bad_inputs_and_targets_are_refused(tmp_path, split, key, array, message):
    file = at_fault = split
    if split == "test":
        found = "inputs" if key == "inputs" and "targets" not in message else "targets"
        file, at_fault = f"test-{key}", f"test-{found}"
    text = refusal(write(tmp_path, file, **{key: array}))
    assert text.startswith(f"{tmp_path}/tiny-{at_fault}.npz: {message}")


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        (np.array(["a"]), "must name at least 2 genres"),
        (np.array([b"a", b"b", b"a"]), "must name at least 2 genres, each once"),
        (np.array([b"a", b"\xff"]), "label_map holds bytes that are not UTF-8"),
        (np.array([["a", "b"]]), "label_map is <U1 of shape (1, 2)"),
    ],
)
def test_bad_genres_are_refused(tmp_path, label_map, message):
    text = refusal(write(tmp_path, "train", label_map=label_map))
    assert text.startswith(f"{tmp_path}/tiny-train.npz: label_map ")
    assert message in text


@pytest.mark.parametrize(
    ("split", "changes", "message"),
    [
        ("valid", {"inputs": inputs(6, 5, 25)}, "of train are T x F = (4, 25), of valid (5, 25)"),
        ("valid", {"inputs": inputs(6, 4, 24)}, "of train are T x F = (4, 25), of valid (4, 24)"),
        ("test-inputs", {"inputs": inputs(6, 125)}, "T x F = (4, 25), of test (5, 25)"),
        ("test-inputs", {"inputs": inputs(6, 25, 4)}, "T x F = (4, 25), of test (25, 4)"),
        ("valid", {"label_map": np.array(["b", "a"])}, "label_map of train ('a', 'b') is not that"),
        ("valid", {"label_map": np.array(["a", "b", "c"])}, "of valid ('a', 'b', 'c')"),
    ],
)
def test_splits_that_disagree_are_refused(tmp_path, split, changes, message):
    text = refusal(write(tmp_path, split, **changes))
    assert text.startswith("tiny: ")
    assert message in text


@pytest.mark.parametrize("split", ["train", "valid", "test-inputs", "test-targets"])
def test_files_that_are_not_there_hold_too_little_or_too_much_are_refused(tmp_path, split):
    path = write(tmp_path) / f"tiny-{split}.npz"
    key = next(iter(GOOD[split]))
    assert f"{path}: no {key} in it" in refusal(write(tmp_path, split, **{key: None}, other=LABELS))
    text = refusal(write(tmp_path, split, **{key: np.array([None])}))
    assert f"{path}: {key} is a pickled object" in text
    arrays = {name: npy("<f4", (3,), bytes(12)) for name in GOOD[split]}
    write_zip(path, **arrays | {key: npy("<f4", (10**12,), bytes(12))})
    assert f"{path}: {key} declares 4,000,000,000,000 bytes" in refusal(tmp_path)
    if "test" not in split:
        path.unlink()
        assert f"{path}: no such file" in refusal(tmp_path)
        path.mkdir()
        assert f"{path}: not a readable npz file" in refusal(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (
        tmp_path / "gone",
        tmp_path / "file",
        tmp_path / "file" / "below",
        tmp_path / ("a" * 300),
    ):
        assert refusal(folder).startswith(f"{folder}: no such folder")


def plan(num_train: int = 6, num_segments: int = 4, **changes: object) -> list:
    """The plan of the least of runs on made-up songs, with changed settings."""
    songs = Songs(inputs(num_train, num_segments, 25), np.zeros(num_train, np.int32))
    least = {"model": "baseline", "num_hidden": (5,), "head": "linear", "batch_size": 6}
    once = {"num_epochs": 1, "num_seeds": 1, "seed": 1, "patience": 0, "learning_rate": (0.1,)}
    names = Settings.__dataclass_fields__
    settings = Settings(**{**dict.fromkeys(names), **least, **once, "l2": (0.0,), **changes})
    return make_plan(settings, Dataset("tiny", songs, songs, None, ("a", "b")))


def test_too_few_songs_and_snippets_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match=r"^6 training songs are fewer than one batch of 7: .*--b"):
        plan(batch_size=7)
    assert len(plan(model="ensemble", num_snippets=(1, 2, 4))) == 3
    with pytest.raises(InputError, match="4 segments cannot be cut into 3 equal snippets"):
        plan(model="ensemble", num_snippets=(2, 3))  # one of the two would do


def test_seeds_beyond_31_bits_are_refused():
    assert plan(seed=2**31 - 2, num_seeds=2)[0].trials[-1].seed == 2**31 - 1
    with pytest.raises(InputError, match="the last seed would be 2147483648"):
        plan(seed=2**31 - 2, num_seeds=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: "x"}, f"{name} is 'x': use one of ") for name in CHOICES),
        *(({name: 0}, f"{name} is 0: it must be at least 1") for name in COUNTS),
        ({"num_genres": 1}, "num_genres is 1: a classifier needs at least 2"),
        ({"patience": -1}, "patience is -1: it must be 0"),
        ({"num_snippets": 2}, "num_snippets is 2: only model=ensemble has snippets"),
        ({"member": "mlp"}, "member is mlp: only model=ensemble has it"),
        ({"decomposition": "one_vs_all"}, "decomposition is one_vs_all: only model=ensemble has"),
        ({"model": "ensemble", "member": "mlp", "head": "relu"}, "head is relu: a member that is"),
        ({"model": "ensemble", "decomposition": "round_robin"}, "two genres are a single pair: "),
        ({"binary_weights": "balanced"}, "binary_weights is balanced: only model=multitask with"),
    ],
)
def test_settings_that_make_no_model_are_refused(changes, message):
    good = {"num_segments": 4, "num_features": 25, "num_genres": 2}
    assert Config(**good).model == "baseline"
    with pytest.raises(InputError, match=f"^{message}"):
        Config(**good | changes)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (IDENTITY | {"dataset_sha256": "abd"}, "(dataset_sha256: 'abd' there, 'abc' now)"),
        (IDENTITY | {"flags": {"seed": 2, "beta": [50.0]}}, "(seed: 2 there, 1 now)"),
        (IDENTITY | {"flags": {"seed": 1}}, "(beta: None there, [50.0] now)"),
        ({"flags": IDENTITY["flags"]}, "not the config of a run"),
        ([], "not the config of a run"),
        (b'{"flags": {"se', "not the config of a run"),
        (b"\xff", "not the config of a run"),
    ],
)
def test_a_workdir_of_another_run_is_refused_and_left_as_it_is(tmp_path, there, message):
    for number in (1, 2):  # new, and its own
        with Workdir(tmp_path / "new", IDENTITY | {"more": number}, IDENTITY) as workdir:
            assert workdir.resumed == (number == 2)
    config = tmp_path / "config.json"
    config.write_bytes(there if isinstance(there, bytes) else json.dumps(there).encode())
    before = config.read_bytes()
    with pytest.raises(InputError) as caught:
        Workdir(tmp_path, IDENTITY | {"more": 1}, IDENTITY)
    assert str(caught.value).startswith(str(tmp_path))
    assert message in str(caught.value)
    assert config.read_bytes() == before


# The whole program.
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense=1"], "'nonsense'"),
        (["--model=tree"], "--model=tree: value should be one of <mlp|baseline|"),
        (["--num_seeds=1000000000"], "1 grid points x 1000000000 seeds are more than 100,000"),
        (["--num_hidden=1000000000"], "one trial of 1000000000 hidden units takes 6"),
        (["--host_devices=1000000000"], "integer in the range [0, 1024]"),
        (["--learning_rate=1e300"], "1e+300 is not allowed: it must be below 1e+30"),
        (["--step_timeout=nan"], "--step_timeout=nan is not allowed: it must be below 1e+30"),
        (["--beta=nan"], "--beta=nan: nan is not allowed: it must be at least 0"),
        (["--num_hidden=1" + 25 * "0"], "00 is not allowed: it must be below 2.14748e+09"),
        (["--dataset=synthetic"], "--data_dir has no effect on the synthetic songs"),
        (["--workdir="], "--workdir is empty: name a folder, or leave it out"),
        (["--force_new"], "--force_new has no effect without --workdir"),
        (["--flagfile=/nope"], "Unable to open flagfile"),
        (["--beta=50,-1"], "--beta=50,-1: -1.0 is not allowed: it must be at least 0"),
        (["--learning_rate=0"], "--learning_rate=0: 0.0 is not allowed: it must be above 0"),
        (["--num_hidden=5,7,5"], "--num_hidden=5,7,5: a value stands there twice"),
        (["--model=mlp", "--alpha=2"], "--alpha has no effect on --model=mlp"),
        (["stray"], "'stray' is not a flag"),
        # From here on jax is imported, which takes 2 seconds.
        (["--data_dir=gone"], "gone: no such folder"),
        (["--dataset=pickled"], "pickled-train.npz: inputs is a pickled object"),
        (
            ["--dataset=../tiny"],
            "'../tiny' is no data set: give the name that its",
        ),
        (["--batch_size=7"], "lower --batch_size"),
        (["--model=ensemble", "--num_snippets=3"], "4 segments cannot be cut into 3 equal"),
        (["--model=ensemble", "--decomposition=round_robin"], "two genres are a single pair"),
        (["--workdir=data/tiny-train.npz/run"], "data/tiny-train.npz/run: cannot be written"),
        (["--workdir=other"], "other belongs to another run (dataset_sha256: 'abc' there, '"),
    ],
)
def test_the_program_ends_with_one_line_and_code_2(tmp_path, arguments, words):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    np.savez(tmp_path / "data" / "pickled-train.npz", **GOOD["train"] | {"inputs": [None]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps(IDENTITY))
    before = set(tmp_path.rglob("*"))
    command = [sys.executable, "-m", "experiments.run", "--dataset=tiny", "--data_dir=data"]
    command += ["--batch_size=6", "--num_epochs=1", *arguments]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert set(tmp_path.rglob("*")) == before
