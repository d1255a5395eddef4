"""What a study trains: presets against their own commands, shared points, what is left out."""

import itertools

import numpy as np
import pytest

from experiments.running.plan import describe, make_plan
from experiments.studying.estimate import Rates, fit_rates, run_seconds
from experiments.studying.grids import Point, boxes, make_grid
from experiments.studying.presets import PRESETS
from experiments.studying.study_plan import Run, choose_presets, flops_per_song, plan_runs
from msd_jax.dataset import Dataset, Songs
from msd_jax.errors import InputError
from tests.flags_test import settings

REPORT = make_grid("report", "text", "msd10")


def dataset(num_segments: int = 120, name: str = "d") -> Dataset:
    songs = Songs(np.zeros((60, num_segments, 2), np.float16), np.arange(60, dtype=np.int32) % 3)
    return Dataset(name, songs, songs, songs, ("a", "b", "c"))


def points_of_command(command: str) -> set[Point]:
    """What `python -m experiments.run COMMAND` trains."""
    read = settings(*command.split())
    found = set()
    for part in make_plan(read, dataset()):
        for trial in part.trials:
            named = describe(read, part.config, trial)
            found.add(Point(read.model, named["num_hidden"], named["num_snippets"], named["l2"],
                            named["beta"], read.secondary, named["alpha"], read.head))  # fmt: skip
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_what_its_commands_train(name):
    found = set.union(*map(points_of_command, PRESETS[name].commands))
    assert found == set(PRESETS[name].points(REPORT))


def test_what_figures_share_is_trained_once_and_everything_is_trained():
    wanted = {p for preset in PRESETS.values() for p in preset.points(REPORT)}
    runs, left_out = plan_runs([], [REPORT], list(PRESETS), dataset(), folds=0)
    trained = [point for run in runs for point in run.box.points]
    assert len(trained) == len(set(trained)) == len(wanted) == 20
    assert set(trained) == wanted
    assert len(runs) < 12
    assert left_out == []
    assert len({run.folder for run in runs}) == len(runs)


def test_any_points_are_held_by_boxes_exactly_once():
    rng = np.random.default_rng(0)
    every = [
        REPORT.lstm(h, l2=l2, beta=b)
        for h, l2, b in itertools.product((50, 100, 200), (0.0, 1e-4, 1e-3), (0.0, 50.0, 100.0))
    ]
    for _ in range(20):
        some = [point for point in every if rng.random() < 0.5]
        held = [point for box in boxes(some) for point in box.points]
        assert sorted(held) == sorted(some)


def test_a_study_that_is_cut_up_takes_up_what_was_trained():
    first, _ = plan_runs([], [REPORT], ["3b"], dataset(), folds=0)
    assert sum(len(run.box.points) for run in first) == 2
    whole, _ = plan_runs(first, [REPORT], list(PRESETS), dataset(), folds=0)
    trained = [point for run in whole for point in run.box.points]
    assert len(trained) == len(set(trained)) == 20
    assert set(first) <= set(whole)
    again, _ = plan_runs(whole, [REPORT], ["3b"], dataset(), folds=0)
    assert set(again) == set(first)


def test_snippets_that_do_not_divide_the_song_are_left_out_by_name():
    runs, left_out = plan_runs([], [REPORT], ["6", "7"], dataset(num_segments=6), folds=0)
    assert left_out == [
        "d, figure 6: 4 snippets do not divide 6 segments",
        "d, figure 7: 4 snippets do not divide 6 segments",
    ]
    assert {p.num_snippets for run in runs for p in run.box.points} == {2, None}


def test_folds_train_the_same_points_on_every_division():
    runs, _ = plan_runs([], [REPORT], ["8"], dataset(), folds=3)
    by_fold = {run.fold: set() for run in runs}
    for run in runs:
        by_fold[run.fold] |= set(run.box.points)
    assert by_fold.keys() == {"1/3", "2/3", "3/3"}
    assert len({frozenset(points) for points in by_fold.values()}) == 1


def test_the_codes_networks():
    """facts of the report's code: a ReLU layer; on MSD25 50 units in each of 4 members, and 200
    units under the binary task.
    """
    grid = make_grid("report", "code", "msd25")
    assert grid.baseline.head == "relu"
    assert (grid.ensemble(4).num_hidden, grid.ensemble(2).num_hidden) == (50, 100)
    assert grid.multitask("binary", 1.0).num_hidden == 200
    assert make_grid("report", "code", "msd10").ensemble(4).num_hidden == 100
    both = [REPORT, make_grid("report", "code", "msd10")]
    runs, _ = plan_runs([], both, list(PRESETS), dataset(), folds=0)
    trained = [point for run in runs for point in run.box.points]
    assert len(trained) == len(set(trained)) == 38  # the 2 feed-forward networks are the same


def test_figures_are_chosen_by_name():
    assert choose_presets(["2", "10"]) == ["2a", "2b", "10"]
    assert choose_presets([]) == list(PRESETS)
    with pytest.raises(InputError, match="--only=5: no such figure"):
        choose_presets(["5"])


def test_full_holds_the_report():
    full = make_grid("full", "text", "msd10")
    for preset in PRESETS.values():
        assert set(preset.points(REPORT)) <= set(preset.points(full))


def test_flops_by_hand():
    """2 segments, 3 features, 5 units: 2 x 2 x 8 x 20 = 640 forward, three times that with the
    backward pass; the autoencoder's head adds 2 x 5 x 6 = 60.
    """
    assert flops_per_song(Point("baseline", 5, beta=0.0), 2, 3) == 3 * 640
    auto = Point("multitask", 5, beta=0.0, secondary="autoencoder", alpha=1.0)
    assert flops_per_song(auto, 2, 3) == 3 * 700


def test_costs_from_two_measurements():
    fixed, slope = fit_rates((100.0, 300.0), (2.0, 4.0))
    assert (fixed, slope) == pytest.approx((1.0, 0.01))
    assert fit_rates((100.0, 300.0), (2.0, 1.0)) == (1.5, 0.0)
    assert fit_rates((100.0, 300.0), (1.0, 6.0)) == pytest.approx((0.0, 0.02))
    # 60 songs to train and 60 / 3 to validate, 40 epochs, 2 seeds, a second a song; one program.
    run = Run("d", None, 40, boxes([REPORT.baseline])[0])
    rates = Rates(1.0, 0.0, 5.0, 0)
    assert run_seconds(rates, run, dataset(), num_seeds=2) == pytest.approx(2 * 40 * 80 + 5)
