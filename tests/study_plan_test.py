"""What a study trains: presets against their own commands, shared points, what is left out."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from experiments.running.plan import describe, make_plan
from experiments.studying import answer
from experiments.studying.estimate import Rates, fit_rates, run_seconds
from experiments.studying.flops import flops_per_song, num_scans
from experiments.studying.grids import Point, boxes, make_grid
from experiments.studying.presets import ANSWER, EVERY, PRESETS
from experiments.studying.study_plan import Run, choose_presets, grids_of, plan_runs
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


def test_what_goes_beyond_the_report_is_trained_when_asked_for():
    """Three parts of 120 segments, four of 100; LSTMs are decomposed for 3 genres, not for 10."""
    songs = dataset()
    runs, left_out = plan_runs([], grids_of("report", "text", songs), list(ANSWER), songs, folds=0)
    trained = [point for run in runs for point in run.box.points]
    assert left_out == []
    assert len(trained) == len(set(trained)) == 35
    assert len({run.folder for run in runs}) == len(runs)
    ten = songs._replace(genre_names=tuple("abcdefghij"))
    _, left_out = plan_runs([], grids_of("report", "text", ten), list(ANSWER), ten, folds=0)
    assert left_out == [
        "d, figure ancestors: one_vs_all of 10 genres with LSTM members is 30 LSTMs",
        "d, figure ancestors: round_robin of 10 genres with LSTM members is 135 LSTMs",
    ]
    short = dataset(num_segments=100)
    points = ANSWER["ancestors"].points(grids_of("report", "text", short)[0])
    assert {p.num_snippets for p in points} == {None, 4}
    two = songs._replace(genre_names=("a", "b"))
    _, left_out = plan_runs([], grids_of("report", "text", two), ["ancestors"], two, folds=0)
    assert left_out == ["d, figure ancestors: round robin of 2 genres is one question"]


def test_the_recipe_lacks_one_part_at_a_time():
    for name, part in answer.recipe(REPORT).items():
        whole, less = answer.whole(REPORT).options.given, answer.without(REPORT, name).options.given
        assert whole == less | part
        assert not less.keys() & part.keys()
        assert answer.cooked(REPORT, name).options.given == part
    assert answer.crop(make_grid("report", "text", "d", 100)) == 80  # four fifths, four parts
    assert answer.crop(make_grid("smoke", "text", "d", 8)) == 4  # of 6.4, what four divides


def test_folders_of_the_report_have_the_names_that_finished_studies_have():
    """As the folders of a study trained by an earlier version."""
    runs, _ = plan_runs([], [REPORT], list(PRESETS), dataset(), folds=0)
    assert {run.folder.name for run in runs} == {
        "baseline-linear-h100,200-l2_0-b0,50,100",
        "baseline-linear-h100-l2_0.0001-b0",
        "baseline-linear-h100-l2_0.001-b0,100",
        "baseline-linear-h200-l2_0.0001,0.001-b0",
        "ensemble-linear-h100-m2,4-l2_0-b100",
        "ensemble-linear-h200-m4-l2_0-b100",
        "mlp-linear-h200-l2_0,0.01",
        "multitask-autoencoder-linear-h100-l2_0-b100-a1,2",
        "multitask-binary-linear-h100-l2_0-b100-a1,2",
    }
    runs, _ = plan_runs([], [REPORT], ["deeper"], dataset(), folds=0)
    names = {run.folder.name for run in runs}
    assert "ensemble-linear-h100-m4-l2_0-b100-num_layers_2" in names
    assert "baseline-linear-h100-l2_0-b100-bidirectional" in names


def test_folds_train_the_same_points_on_every_division():
    runs, _ = plan_runs([], [REPORT], ["8"], dataset(), folds=3)
    by_fold = {run.fold: set() for run in runs}
    for run in runs:
        by_fold[run.fold] |= set(run.box.points)
    assert by_fold.keys() == {"1/3", "2/3", "3/3"}
    assert len({frozenset(points) for points in by_fold.values()}) == 1


def test_the_codes_networks():
    """What the report's code had: a ReLU layer; on MSD25 50 units in each of 4 members, and 200
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
    assert len(trained) == len(set(trained)) == 39  # the 2 feed-forward networks are the same


def test_figures_are_chosen_by_name():
    assert choose_presets(["2", "10"]) == ["2a", "2b", "10"]
    assert choose_presets([]) == list(PRESETS)
    with pytest.raises(InputError, match="--only=5: no such figure"):
        choose_presets(["5"])
    assert choose_presets(["ancestors", "beyond"]) == ["ancestors", "beyond"]
    assert choose_presets(["report", "deeper"]) == [*PRESETS, "deeper"]
    assert choose_presets(["all"]) == [*PRESETS, *ANSWER]


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


def test_flops_of_richer_networks_by_hand():
    """2 segments, 3 features, 5 units. A second layer reads 5 units: 2 x 2 x 10 x 20 = 800 more.
    Both directions: twice the first layer's 640, then 2 x 2 x 2 x 15 x 20 = 2400 of layers that
    read 10. Feed-forward members on two parts of 3 numbers, 4 units, for the 3 pairs of 3 genres:
    3 x 2 x (2 x 3 x 4 + 2 x 4 x 4) = 336.
    """
    lstm = Point("baseline", 5, beta=0.0)
    assert flops_per_song(lstm.having(num_layers=2), 2, 3) == 3 * (640 + 800)
    both = lstm.having(num_layers=2, bidirectional=True)
    assert flops_per_song(both, 2, 3) == 3 * (2 * 640 + 2400)
    assert num_scans(both, 3) == 4
    assert flops_per_song(lstm.having(crop=1), 2, 3) == 3 * 320
    members = Point("ensemble", 4, 2).having(member="mlp", decomposition="round_robin")
    assert flops_per_song(members, 2, 3, 3) == 3 * 336
    assert num_scans(members, 3) == 0
    pairs = Point("ensemble", 5, 2, beta=0.0).having(decomposition="round_robin")
    assert flops_per_song(pairs, 2, 3, 4) == 3 * 6 * 640


def test_costs_from_two_measurements():
    fixed, slope = fit_rates((100.0, 300.0), (2.0, 4.0))
    assert (fixed, slope) == pytest.approx((1.0, 0.01))
    assert fit_rates((100.0, 300.0), (2.0, 1.0)) == (1.5, 0.0)
    assert fit_rates((100.0, 300.0), (1.0, 6.0)) == pytest.approx((0.0, 0.02))
    # 60 songs to train and 60 / 3 to validate, 40 epochs, 2 seeds, a second a song; one program.
    run = Run("d", None, 40, boxes([REPORT.baseline])[0])
    rates = Rates(1.0, 0.0, 5.0, 0)
    assert run_seconds(rates, run, dataset(), num_seeds=2) == pytest.approx(2 * 40 * 80 + 5)


def flags_of(point: Point) -> list[str]:
    """The flags of `python -m experiments.run` for a point, in the words of a user."""
    names = ("model", "num_hidden", "num_snippets", "l2", "beta", "secondary", "alpha")
    given = {name: getattr(point, name) for name in names} | point.options.given
    return [f"--{n}" if x is True else f"--{n}={x}" for n, x in given.items() if x is not None]


@pytest.mark.parametrize("name", EVERY)
def test_a_run_of_the_study_has_the_settings_of_its_flags(name):
    songs = dataset()
    grid = grids_of("report", "text", songs)[0]
    for point in EVERY[name].points(grid):
        (box,) = boxes([point])
        run = Run("d", None, grid.num_epochs(box.model, box.options), box)
        read = settings(*flags_of(point), "--dataset=d", f"--workdir={run.folder}")
        assert run.settings(settings(), Path()) == read
        make_plan(read, songs)  # makes its Config
