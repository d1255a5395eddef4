"""The whole build, through its flags, as a process of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.building.manifest import Manifest
from msd_jax.dataset import load_dataset
from msd_jax.normaliser import FLOAT16_MAX, load_normaliser
from msd_jax.songs import crop
from msd_jax.tracks import read_track
from tests.builds import (
    ENVIRONMENT,
    GENRES,
    ROOT,
    build,
    label,
    output,
    rejected,
    songs,
)
from tests.real_data import REAL_DATA, needs_real_data
from tests.track_files import track_id, track_path, write_hanging_track, write_track

NUM_SONGS = 24


def write_input(folder: Path) -> Path:
    """24 good songs of three genres and seven artists, and one file of every kind of bad."""
    for number in range(NUM_SONGS):
        write_track(track_path(folder / "h5", number), number, num_segments=8 + number % 3)
    lines = ["# a comment\n", *map(label, range(100)), "not a label\n"]
    (folder / "labels.cls").write_text("".join(lines) + f"{track_id(40)}\tPop\n")

    def bad(number: int, **changes: object) -> Path:
        return write_track(track_path(folder / "h5", number), number, **changes)

    bad(40), bad(200)  # two labels, no label
    bad(41, num_segments=7)
    bad(42, timbre=np.zeros((9, 11)))
    bad(43, pitches=np.full((9, 12), np.nan))
    bad(44, loudness_start=np.full(9, -np.inf))
    bad(45, pitches=None)
    cut = bad(46)
    cut.write_bytes(cut.read_bytes()[:3000])
    bad(47).write_bytes(b"no HDF5 at all")
    bad(48, track_id=track_id(49))
    copy = folder / "h5" / "Z" / track_path(folder, 5).name  # of a good song, further down
    copy.parent.mkdir()
    shutil.copy(track_path(folder / "h5", 5), copy)
    write_hanging_track(track_path(folder / "h5", 50), 50)
    return folder


REASONS = {
    40: "label conflict: New Age, Pop",
    200: "no label",
    41: "too short: 7 segments, 8 are needed",
    42: "wrong shape: timbre 9x11, pitches 9x12",
    43: "not a number: 96 NaN in pitches",
    44: "infinite: 8 infinite values in loudness_start",
    45: "missing group: no analysis/segments_pitches in it",
    46: "truncated: ",
    47: "unreadable: ",
    48: f"wrong track: the file says that it is {track_id(49)}",
    50: "took too long: more than 2 s",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_input(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def built(folder) -> Path:
    shown = build(folder, "--time_limit=2", "--num_workers=1", "--out_dir=one").stdout
    assert "looking for track files in h5" in shown
    assert "files/s" in shown
    for reason, *_ in (text.split(":") for text in REASONS.values()):
        assert reason in shown
    return folder / "one"


def test_every_file_is_a_song_or_has_its_reason(folder, built):
    reasons = rejected(built)
    assert reasons.pop("labels.cls:102").startswith("bad line: 'not a label'")
    assert reasons.pop(f"Z/{track_id(5)}.h5") == f"duplicate track: {track_id(5)}"
    for number, reason in REASONS.items():
        assert reasons.pop(str(track_path(Path(), number))).startswith(reason)
    assert reasons == {}
    assert {row["track_id"] for row in songs(built)} == {track_id(i) for i in range(NUM_SONGS)}
    report = json.loads((built / "mine.json").read_text())
    assert sum(report["rejected"].values()) + NUM_SONGS == report["num_files"] == 36


def test_the_arrays_are_the_standardised_crops_row_by_row(folder, built):
    dataset = load_dataset("mine", built)
    (mean, std), where = load_normaliser(built / "mine-normaliser.npz")
    assert (dataset.genre_names, where) == (GENRES, "central")
    rows = iter(songs(built))
    raw = {"train": [], "valid": [], "test": []}
    for split, (inputs, labels) in zip(raw, dataset[1:4], strict=True):
        for song, genre in zip(inputs, labels, strict=True):
            row = next(rows)
            number = next(i for i in range(NUM_SONGS) if track_id(i) == row["track_id"])
            track = read_track(track_path(folder / "h5", number))
            assert row == {
                "track_id": track.track_id, "artist_id": track.artist_id,
                "title": f"ü {number}", "genre": GENRES[number % 3], "split": split,
            }  # fmt: skip
            assert GENRES[genre] == row["genre"]
            raw[split].append(crop(track.features, 8, "central"))
            expected = ((raw[split][-1] - mean) / std).clip(-FLOAT16_MAX, FLOAT16_MAX)
            np.testing.assert_array_equal(song, expected.astype(np.float16), strict=True)
    assert next(rows, None) is None
    assert [len(x) for x in raw.values()] == [18, 3, 3]  # 8 a genre, a sixth is 1.33
    np.testing.assert_allclose(mean, np.mean(raw["train"], axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(std, np.std(raw["train"], axis=0), rtol=1e-4)


def test_numpy_alone_reads_it_as_the_courses_loader_does(built):
    with np.load(built / "mine-train.npz", allow_pickle=False) as loaded:
        inputs, targets, label_map = (loaded[k] for k in ("inputs", "targets", "label_map"))
    assert (inputs.dtype, targets.dtype, label_map.dtype.kind) == (np.float16, np.int8, "S")
    assert inputs.reshape((inputs.shape[0], -1)).astype(np.float32).shape == (18, 200)


def test_more_workers_give_the_same_bytes(folder, built):
    build(folder, "--time_limit=2", "--num_workers=2", "--out_dir=two")
    assert output(folder / "two") == output(built)
    assert not (folder / "two" / "mine.build").exists()


def test_a_finished_build_says_so_and_damage_or_other_arguments_are_refused(
    folder, built, tmp_path
):
    shutil.copytree(built, tmp_path / "copy")
    limit, out = "--time_limit=2", f"--out_dir={tmp_path / 'copy'}"
    assert "is finished" in build(folder, limit, out).stdout
    assert output(tmp_path / "copy") == output(built)
    assert (
        "(seed: 123 there, 1 now): choose another --name"
        in build(folder, limit, out, "--seed=1", code=2).stderr
    )
    with (tmp_path / "copy" / "mine-train.npz").open("ab") as file:
        file.write(b"x")
    assert "mine-train.npz is not as the build left it" in build(folder, limit, out, code=2).stderr
    (tmp_path / "copy" / "mine.json").write_text("{")
    assert "mine.json: damaged, not JSON" in build(folder, limit, out, code=2).stderr
    (tmp_path / "copy" / "mine.json").unlink()
    assert "is there already, of no build" in build(folder, limit, out, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--h5_dir="], "--h5_dir is missing: give the folder"),
        (["--labels="], "--labels is missing: give the label file"),
        (["--name=a/b"], "'a/b' is no data set: give the name that its files begin with"),
        (["--name=synthetic"], "--name=synthetic is another data set's: choose another name"),
        (["--name=msd10"], "--name=msd10 is another data set's: choose another name"),
        (["--name=a,b"], "'a,b' is no data set"),
        (["--valid_fraction=0"], "--valid_fraction=0: songs to validate with are needed"),
        (["--valid_fraction=0.5", "--test_fraction=0.5"], "leave no songs to train on"),
        (["--dataset_preset=msd10", "--genres=a,b"], "leave out one of it and --genres"),
        (["--min_per_genre=4", "--max_per_genre=3"], "--min_per_genre is above --max_per_genre"),
        (["--crop=end"], "--crop=end: value should be one of <central|start>"),
        (["stray"], "'stray' is not a flag"),
        (["--h5_dir=gone"], "gone: no such folder"),
        (["--h5_dir=empty"], "empty: no file TR*.h5 in it or below: check --h5_dir"),
        (["--labels=gone.cls"], "gone.cls: cannot be read (No such file or directory)"),
        (["--labels=strange.cls"], "none of the 36 files has a label of a wanted genre"),
        (["--genres=Rap,Polka"], "no track is labelled Polka in labels.cls, which know Jazz, New"),
        (["--genres=Rap,rap"], "--genres=Rap,rap: a genre stands there twice"),
        (["--dataset_preset=msd10"], "no track is labelled Rock, RnB, "),
        (["--min_per_genre=9"], "0 genres have 9 usable songs or more (there are: Jazz 8, New Ag"),
        (["--genres=Rap,Jazz", "--min_per_genre=9"], "fewer than 9 usable songs of Rap, Jazz (the"),
        (["--out_dir=labels.cls"], "labels.cls/mine.build: cannot be made"),
        ([f"--h5_dir={300 * 'a'}"], "File name too long"),
        ([f"--name={300 * 'a'}"], "File name too long"),
        (["--time_limit=nan"], "--time_limit=nan"),
        (["--dask_scheduler=tcp://127.0.0.1:1"], "--dask_scheduler"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_a_user_can_get_wrong_is_one_line_and_code_2(folder, tmp_path, arguments, words):
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "strange.cls").write_text(f"{track_id(999)}\tRap\n")
    done = build(folder, "--time_limit=2", f"--out_dir={tmp_path}", *arguments, code=2)
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert output(tmp_path) == {}


def test_genres_in_their_order_balanced_and_artists_kept_apart(folder, tmp_path):
    """What was read for one choice of songs is not read again for another."""
    out = (f"--out_dir={tmp_path}", "--time_limit=2", "--genres=rap,new_age")
    refused = build(folder, *out, "--min_per_genre=9", code=2)
    assert "fewer than 9 usable songs of rap, new_age" in refused.stderr
    arguments = ("--max_per_genre=5", "--split=artist", "--valid_fraction=0.3", "--test_fraction=0")
    shown = build(folder, *out, *arguments).stdout
    assert "of them read before" in shown
    assert "files/s" not in shown
    dataset = load_dataset("mine", tmp_path)
    assert dataset.genre_names == ("rap", "new_age")
    assert dataset.test is None
    assert not (tmp_path / "mine-test-inputs.npz").exists()
    rows = songs(tmp_path)
    assert [sum(row["genre"] == genre for row in rows) for genre in dataset.genre_names] == [5, 5]
    sides = {(row["artist_id"], row["split"]) for row in rows}
    assert len(sides) == len({row["artist_id"] for row in rows})
    reasons = list(rejected(tmp_path).values())
    assert reasons.count("beyond max_per_genre") == 6
    assert reasons.count("genre not asked for: Jazz") == 8 + 3  # 42, 45 and 48


def test_a_second_build_of_the_name_at_the_same_time_is_refused(folder, tmp_path):
    with Manifest(make_folder(tmp_path / "mine.build") / "manifest.sqlite"):
        refused = build(folder, f"--out_dir={tmp_path}", code=2)
    assert "another build of this name may be running" in refused.stderr
    (tmp_path / "mine.build" / "manifest.sqlite").write_bytes(b"damaged" * 1000)
    assert "remove" in build(folder, f"--out_dir={tmp_path}", code=2).stderr


def test_a_build_does_without_jax():
    """It would cost a build more memory than 20,000 files do."""
    code = "import sys, experiments.building.steps; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def make_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_a_dask_cluster_gives_the_same_bytes(folder, built, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra 'dask')")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    )
    with cluster:
        address = f"--dask_scheduler={cluster.scheduler_address}"
        build(folder, "--time_limit=2", f"--out_dir={tmp_path}", address)
    assert output(tmp_path) == output(built)


@needs_real_data
def test_the_real_files_are_built_and_trained_on(tmp_path):
    labels = REAL_DATA / "labels" / "subset10k_MAGD_intersection.tsv"
    arguments = (f"--h5_dir={REAL_DATA / 'msd_h5'}", f"--labels={labels}", "--num_segments=120")
    build(tmp_path, *arguments, "--out_dir=data")
    rows = songs(tmp_path / "data")
    # Of the 36 tracks 14 are in the label file (`grep -F -f`): these two genres have 3 or more.
    assert [row["genre"] for row in rows].count("Pop_Rock") == 8
    assert [row["genre"] for row in rows].count("Rap") == 3
    dataset = load_dataset("mine", tmp_path / "data")
    assert dataset.train.inputs.shape == (7, 120, 25)
    train = [sys.executable, "-m", "experiments.run", "--dataset=mine", "--data_dir=data"]
    train += ["--model=ensemble", "--batch_size=7", "--num_epochs=1", "--num_hidden=4"]
    done = subprocess.run(
        [*train, "--workdir=run"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["num_train"], summary["num_valid"], summary["num_test"]) == (7, 2, 2)
