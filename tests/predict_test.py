"""Asking trained models about real songs: from a run folder and from a model file."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.asking import answers
from experiments.asking.chosen_model import load_chosen
from experiments.asking.questions import Answers, ask, hear_files, hear_split
from experiments.running.model_choice import Choice
from experiments.running.trained_run import load_run
from msd_jax.dataset import load_dataset
from msd_jax.errors import InputError
from msd_jax.trained import of_seed
from tests.real_data import REAL_DATA, needs_real_data
from tests.run_test import read_json, run
from tests.untrusted_files import make_segments

ROOT = Path(__file__).parents[1]
STEM = "msd-3-genre"
NORMALISER = REAL_DATA / f"{STEM}-normaliser.npz"
TRACKS = REAL_DATA / "real_tracks_71.npz"
pytestmark = needs_real_data


def python(*arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def msd_run(tmp_path_factory) -> Path:
    """Two small ensembles at each of two points, trained on real songs with their normaliser."""
    data_dir, workdir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run")
    for name in ("train", "valid", "normaliser"):
        shutil.copyfile(REAL_DATA / f"{STEM}-{name}.npz", data_dir / f"{STEM}-{name}.npz")
    run(workdir, f"--dataset={STEM}", f"--data_dir={data_dir}", "--model=ensemble",
        "--num_snippets=2", "--num_hidden=4", "--num_seeds=2", "--beta=0,100", "--num_epochs=2",
        "--learning_rate=0.02", "--trials_per_chunk=2")  # fmt: skip
    return workdir


@pytest.fixture(scope="module")
def gtzan_run(tmp_path_factory) -> Path:
    """Two small baselines on GTZAN, which has test songs and no normaliser."""
    workdir = tmp_path_factory.mktemp("run")
    run(workdir, "--dataset=gtzan-10-genre", f"--data_dir={REAL_DATA}", "--num_hidden=6",
        "--num_seeds=2", "--num_epochs=2", "--learning_rate=0.02")  # fmt: skip
    return workdir


def by_track(answers_: Answers) -> dict[str, np.ndarray]:
    """Probabilities by track id."""
    ids = [song.source.place or Path(song.source.file).stem for song in answers_.songs]
    return dict(zip(ids, answers_.probs, strict=True))


def test_a_run_takes_along_what_its_songs_mean(msd_run, gtzan_run):
    assert (msd_run / "normaliser.npz").read_bytes() == NORMALISER.read_bytes()
    assert not (gtzan_run / "normaliser.npz").exists()
    songs = read_json(msd_run / "config.json")["songs"]
    assert (songs["num_segments"], songs["num_features"]) == (100, 25)
    assert songs["genre_names"] == ["Rap", "Pop_Rock", "RnB"]
    np.testing.assert_allclose(songs["input_std"], np.ones(25), atol=5e-3)  # standardised


def test_raw_songs_are_heard_as_the_model_heard_them_in_training(msd_run):
    # The tracks TRAA... of these genres are training songs: they come out as they stand there, to
    # the rounding of float16. That pins crop, order of features and normaliser at once.
    trained, train = load_run(msd_run, Choice()), load_dataset(STEM, REAL_DATA).train
    songs, refused = hear_files(trained, [str(TRACKS)])
    assert (len(songs), refused) == (71, [])
    with np.load(TRACKS) as file:
        genres = dict(zip(file["track_id"].tolist(), file["magd"].tolist(), strict=True))
    found = {}
    for song in songs:
        distances = np.abs(train.inputs.astype(np.float64) - song.inputs).max(axis=(1, 2))
        if distances.min() < 1e-3:
            found[song.source.place] = trained.genre_names[train.labels[distances.argmin()]]
    assert found == {
        track: genre
        for track, genre in genres.items()
        if track.startswith("TRAA") and genre in trained.genre_names
    }
    assert len(found) == 30


def test_hdf5_and_npz_of_a_track_get_the_same_answer(msd_run):
    trained = load_run(msd_run, Choice())
    files = sorted(map(str, (REAL_DATA / "msd_h5").rglob("*.h5")))
    songs, refused = hear_files(trained, files)
    assert (len(songs), refused) == (36, [])
    assert songs[0].title == "I Didn't Mean To"
    of_files = by_track(ask(trained, songs))
    of_npz = by_track(ask(trained, hear_files(trained, [str(TRACKS)])[0]))
    assert of_files.keys() <= of_npz.keys()
    for track_id, probs in of_files.items():
        np.testing.assert_allclose(probs, of_npz[track_id], atol=1e-5)
        assert probs.sum() == pytest.approx(1, abs=1e-5)


def test_a_seed_alone_is_as_good_as_its_run_says(gtzan_run):
    trained = load_run(gtzan_run, Choice())
    songs, refused = hear_split(trained, "gtzan-10-genre", REAL_DATA, "test")
    assert (len(songs), refused) == (290, [])
    for trial in read_json(gtzan_run / "summary.json")["runs"]:
        one = ask(of_seed(trained, trial["seed"]), songs)
        said = [trained.genre_names[k] for k in one.probs.argmax(axis=1)]
        right = sum(genre == song.label for genre, song in zip(said, songs, strict=True))
        assert right / 290 == pytest.approx(trial["test_accuracy"], abs=1e-6)
        line = answers.accuracy_line(one, trained.genre_names)
        assert f"({right} of 290 songs)" in line


def test_the_vote_is_the_mean_of_the_seeds_probabilities(msd_run):
    trained = load_run(msd_run, Choice(point={"beta": 0.0}))
    songs = hear_split(trained, STEM, REAL_DATA, "valid")[0]
    together = ask(trained, songs)
    alone = [ask(of_seed(trained, seed), songs) for seed in (123, 124)]
    np.testing.assert_allclose(together.probs, np.mean([x.probs for x in alone], axis=0), atol=1e-6)
    assert together.snippet_probs.shape == (54, 2, 3)  # N, M, K
    np.testing.assert_allclose(
        together.snippet_probs, np.mean([x.snippet_probs for x in alone], axis=0), atol=1e-6
    )


def test_the_best_point_by_validation_speaks_unless_one_is_named(msd_run):
    points = read_json(msd_run / "summary.json")["points"]
    best = max(points, key=lambda point: point["peak_valid_accuracy"]["mean"])
    trained = load_run(msd_run, Choice())
    assert (trained.origin.point["beta"], trained.origin.num_points) == (best["beta"], 2)
    runs = read_json(msd_run / "summary.json")["runs"]
    for beta in (0.0, 100.0):
        named = load_run(msd_run, Choice(point={"beta": beta, "num_hidden": 4}))
        assert (named.origin.point["beta"], named.origin.num_points) == (beta, 1)
        expected = [
            (run["seed"], run["peak_epoch"], run["peak_valid_accuracy"])
            for run in runs
            if run["beta"] == beta
        ]
        assert [tuple(trial) for trial in named.trials] == expected
    with pytest.raises(InputError, match=r"no trial that has done an epoch at --beta=7: "):
        load_run(msd_run, Choice(point={"beta": 7.0}))
    with pytest.raises(InputError, match="no seed 5: the seeds are 123, 124"):
        load_chosen(str(msd_run), None, Choice(seed=5))


def test_a_model_without_normaliser_hears_raw_songs_only_with_one_that_fits(gtzan_run, tmp_path):
    with pytest.raises(InputError, match="trained without a normaliser"):
        hear_files(load_run(gtzan_run, Choice()), [str(TRACKS)])
    with pytest.raises(InputError, match=r"\(100, 25\), the model was trained on \(120, 25\)"):
        load_chosen(str(gtzan_run), None, Choice(), str(NORMALISER))
    fitting = tmp_path / "fits-normaliser.npz"
    with np.load(NORMALISER) as file:
        longer = {name: np.resize(file[name], (120, 25)) for name in ("mean", "std")}
    np.savez(fitting, **longer, crop=np.array("central"))
    trained = load_chosen(str(gtzan_run), None, Choice(), str(fitting))
    assert len(hear_files(trained, [str(TRACKS)])[0]) == 71


def test_a_set_of_other_genres_or_shape_is_refused(msd_run, gtzan_run):
    with pytest.raises(InputError, match=r"its genres are blues, .* was trained on Rap, Pop_Rock"):
        hear_split(load_run(msd_run, Choice()), "gtzan-10-genre", REAL_DATA, "valid")
    with pytest.raises(InputError, match="its genres are red"):
        hear_split(load_run(gtzan_run, Choice()), "synthetic", REAL_DATA, "test")


def raw_npz(path: Path, **arrays) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_each_bad_song_is_named_with_its_reason_and_the_others_are_answered(msd_run, tmp_path):
    with np.load(TRACKS) as file:
        song = file["features"][:300]
    flat = {"mean": 1.0, "offsets": np.array([0, 300])}
    nan = song.copy()
    nan[5, 3] = np.nan
    bels = song * np.r_[np.ones(24), 0.1]
    offsets = np.array([0, 99, 300])
    standardised = load_dataset(STEM, REAL_DATA).valid.inputs[:2]
    analysis = tmp_path / "analysis.json"
    analysis.write_text(json.dumps({"segments": make_segments(120)}))
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "cut.h5").write_bytes(next((REAL_DATA / "msd_h5").rglob("*.h5")).read_bytes()[:999])
    files = [
        raw_npz(tmp_path / "short.npz", features=song, offsets=offsets),
        raw_npz(tmp_path / "nan.npz", features=nan, **flat),
        raw_npz(tmp_path / "bels.npz", features=bels, **flat),
        raw_npz(tmp_path / "narrow.npz", features=song[:, :24], **flat),
        raw_npz(tmp_path / "lengths.npz", features=song, lengths=np.array([299]), **flat),
        raw_npz(tmp_path / "gap.npz", features=song, offsets=np.array([0, 200])),
        raw_npz(tmp_path / "standardised.npz", inputs=standardised),
        raw_npz(tmp_path / "other.npz", x=song),
        str(tmp_path / "cut.h5"),
        str(tmp_path / "notes.txt"),
        str(tmp_path),
        str(tmp_path / "nope.h5"),
        str(analysis),
    ]
    songs, refused = hear_files(load_run(msd_run, Choice()), files)
    assert [str(song.source) for song in songs] == [f"{files[0]}[1]", str(analysis)]
    reasons = [
        ("short.npz[0]", "too short: 99 segments, 100 are needed"),
        ("nan.npz[0]", "not a number"),
        ("bels.npz[0]", "not raw features: loudness"),
        ("narrow.npz[0]", "wrong shape: 24 features a segment, the model was trained on 25"),
        ("lengths.npz", "wrong shape: lengths and offsets do not agree"),
        ("gap.npz", "wrong shape: offsets do not go from 0 up to 300 segments"),
        ("standardised.npz[0]", "not raw features: pitches"),
        ("standardised.npz[1]", "not raw features: pitches"),
        ("other.npz", "no features and no offsets in it, only 'x'"),
        ("cut.h5", "truncated"),
        ("notes.txt", "neither a track file"),
        ("", "a folder: name the files in it"),
        ("nope.h5", "no such file"),
    ]
    for (source, reason), (end, start) in zip(refused, reasons, strict=True):
        assert str(source).endswith(end)
        assert reason.startswith(start), reason


def test_a_raw_set_given_as_standardised_is_refused_song_by_song(msd_run, tmp_path):
    with np.load(TRACKS) as file:
        features, offsets = file["features"], file["offsets"]
    raw = np.stack([features[start : start + 100] for start in offsets[:-1]])
    np.savez(tmp_path / "raw-test-inputs.npz", inputs=raw.astype(np.float16))
    songs, refused = hear_split(load_run(msd_run, Choice()), "raw", tmp_path, "test")
    assert (len(songs), len(refused)) == (0, 71)
    assert all(reason.startswith("another scale: feature ") for _, reason in refused)


def test_a_model_file_says_the_same_without_orbax(msd_run, tmp_path):
    model, out = tmp_path / "model.safetensors", tmp_path / "out.json"
    program = tmp_path / "model.program"
    exporting = ["-m", "experiments.export", f"--workdir={msd_run}", f"--out={model}"]
    shown = python(*exporting, f"--program={program}", "--beta=100").stdout
    assert "2 seeds, its normaliser" in shown
    assert "six months" in shown
    asking = (
        "import runpy, sys\n"
        "try:\n"
        "    runpy.run_module('experiments.predict', run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    assert not [name for name in sys.modules if 'orbax' in name]\n"
    )
    files = [str(TRACKS), "/nope.h5"]
    done = python("-c", asking, f"--model={model}", *files, "--format=json", f"--out={out}", code=2)
    assert done.stdout == ""
    assert "refused: /nope.h5: no such file" in done.stderr
    assert done.stderr.endswith("error: 1 of 72 songs were refused\n")
    document = read_json(out)
    trained = load_run(msd_run, Choice(point={"beta": 100.0}))
    expected = ask(trained, hear_files(trained, files[:1])[0])
    assert document["genre_names"] == list(trained.genre_names)
    assert document["refused"] == [{"song": "/nope.h5", "reason": "no such file"}]
    for line, probs, snippets in zip(
        document["songs"], expected.probs, expected.snippet_probs, strict=True
    ):
        np.testing.assert_allclose(list(line["probabilities"].values()), probs, atol=1e-6)
        for said, wanted in zip(line["snippets"], snippets, strict=True):
            np.testing.assert_allclose(list(said.values()), wanted, atol=1e-6)
