"""Cells, curves and words of the page, from made-up results with known answers."""

import numpy as np
import pytest

from experiments.judging.claims import CLAIMS
from experiments.judging.verdicts import judge, song_test
from experiments.judging.views import Measured
from experiments.reporting import figures, heat_maps, page, tables
from experiments.reporting.sections import (
    curve_pictures,
    drawn_maps,
    prediction_pictures,
    spread_picture,
)
from experiments.reporting.seed_curves import seed_curves, seed_pictures, seed_table
from experiments.studying.grids import make_grid
from experiments.studying.presets import EVERY, PRESETS
from tests.made_up import GRID, make_results, with_predictions

VIEW = Measured(make_results(lambda p, r: 3.0 * (p.num_snippets == 4), noise=0.01), GRID, "peak")


def cell(drawn: heat_maps.DrawnMap, row: str, column: str) -> heat_maps.Cell:
    (found,) = [c for c in drawn.cells if (c.row, c.column) == (row, column)]
    return found


def test_a_cell_holds_our_mean_and_the_reports_number():
    """Four snippets are made 3 points better, test 1 point lower; the report's are in its table."""
    maps = {(d.heat_map.figure, d.measure): d for d in drawn_maps(VIEW)}
    ensembles = maps["6, 8", "peak"]
    two, four = (cell(ensembles, "m1, product", m) for m in ("2", "4"))
    assert four.interval.mean - two.interval.mean == pytest.approx(3.0, abs=0.03)
    assert four.n == 10
    assert four.reported == pytest.approx({"msd10": 65.55, "msd25": 30.41})
    tested = cell(maps["6, 8", "held_out"], "m1, product", "4")
    assert tested.interval.mean == pytest.approx(four.interval.mean - 1.0)
    assert tested.reported == pytest.approx({"msd10": 65.0})
    assert cell(maps["2b, 4", "peak"], "200", "0").reported == pytest.approx({"msd25": 26.0})
    assert cell(maps["3a", "seconds"], "100", "100").interval.mean == pytest.approx(2.0)
    assert "median over epochs" in page.heat_map(maps["3a", "seconds"])
    shown = page.heat_map(ensembles)
    assert "mean over seeds" in shown
    assert f"<b>{four.interval.mean:.1f}</b>" in shown
    assert "report MSD10: 65.5" in shown or "report MSD10: 65.6" in shown
    assert "(pooling m" in heat_maps.sentence(ensembles)
    assert "snippets 4)." in heat_maps.sentence(ensembles)


def test_a_band_by_hand():
    """0.4, 0.5, 0.6 and 0, 0, 0: t(2 degrees, 97.5%) = 4.3027, so 0.24841; one seed has none."""
    mean, margin = figures.band(np.array([[0.4, 0.0], [0.5, 0.0], [0.6, 0.0]]))
    np.testing.assert_allclose(mean, [0.5, 0.0])
    np.testing.assert_allclose(margin, [0.24841, 0.0], atol=1e-4)
    mean, margin = figures.band(np.array([[0.4, 0.2], [np.nan, 0.3]]))
    np.testing.assert_allclose(mean, [0.4, 0.2])
    assert np.isnan(margin).all()


def test_every_picture_has_axes_with_units_and_a_sentence():
    pictures = curve_pictures(VIEW, "a") + prediction_pictures(VIEW, "a")
    pictures.append(spread_picture(VIEW, "a"))
    assert {p.title.split(":")[0] for p in pictures} >= {
        "Figure 3b", "Figure 7", "Figures 7 and 12", "Figure 8", "Figure 11a", "Calibration",
        "Confusion", "Seed-to-seed spread",
    }  # fmt: skip
    for one in pictures:
        assert one.svg.startswith("<svg role=")
        assert one.sentence.endswith(".")
        words = one.svg.lower()
        assert any(unit in words for unit in ("(%)", "(nats)", "training error", "(% of")), (
            one.title
        )


def test_the_original_runs_lie_beside_ours():
    """The log of AS 100 on MSD10: 40 epochs; none of an ensemble whose pooling is not known."""
    (picture,) = [p for p in curve_pictures(VIEW, "a") if p.title.startswith("Figure 3b")]
    assert "2017 run, MSD10" in picture.svg
    on_msd25 = VIEW._replace(results=VIEW.results._replace(dataset="msd25"))
    (picture,) = [p for p in curve_pictures(on_msd25, "a") if p.title.startswith("Figure 3b")]
    assert "2017 run, MSD25" in picture.svg
    assert "MSD10" not in picture.svg
    (loss,) = [p for p in curve_pictures(VIEW, "a") if p.title.endswith("as it is")]
    assert "has its penalty in it" in loss.sentence  # AS is part of the error that was logged
    (bounded,) = [p for p in curve_pictures(VIEW, "a") if "code had it" in p.title]
    assert bounded.svg.count("2017 run") == 1  # the baseline's alone


def test_confusion_and_calibration_of_made_up_predictions():
    """Wrong songs are taken for the next genre, at 70% confidence whether right or wrong."""
    pictures = prediction_pictures(VIEW, "a")
    (confusion,) = [p for p in pictures if p.title == "Confusion: baseline"]
    assert "most often taken for another is" in confusion.sentence
    calibration = pictures[0].sentence
    # Of 200 songs about half are right: 70 - 49 = about 21 points off.
    off = float(calibration.split("baseline ")[1].split(" points")[0])
    assert off == pytest.approx(70 - VIEW.held_out(GRID.baseline).mean(), abs=0.3)


def test_pooled_seeds_are_read_from_their_runs_and_drawn(tmp_path):
    """Each of ten seeds is right in its own 60% of the songs: alone 60%, together far more; the
    seventh never did an epoch, the divisions are two.
    """
    made = make_results(noise=0.01, folds=("1/3", "2/3"))
    nothing = {"valid_accuracy": np.full(3, np.nan), "seconds": np.ones(3)}
    trainings = {
        key: t._replace(curves=nothing) if key[0] == GRID.baseline and key[2] == 129 else t
        for key, t in made.trainings.items()
    }
    results = with_predictions(made._replace(trainings=trainings), tmp_path)
    curves = seed_curves(Measured(results, GRID, "peak"))
    found = {(curve.label, curve.rule): curve for curve in curves}
    assert len(found) == 6
    alone, *_, together = found["baseline", "mean"].sizes
    assert alone.accuracy.mean == pytest.approx(0.6)
    assert alone.nll.mean == pytest.approx(-0.6 * np.log(0.7) - 0.4 * np.log(0.1), rel=1e-5)
    assert (together.num_seeds, together.accuracy.low) == (9, None)
    assert together.accuracy.mean > 0.8
    assert found["4 snippets, m1", "product"].sizes[-1].num_seeds == 10
    pictures = seed_pictures(curves, "a")
    assert len(pictures) == 3
    for one, unit in zip(pictures, ("(%)", "(nats)", "(points)"), strict=True):
        assert unit in one.svg
        assert "seeds pooled (number)" in one.svg
    assert "baseline, mean 60 to" in pictures[0].sentence
    rows = seed_table(curves).rows
    assert len(rows) == 2 * (10 + 9 + 10)
    assert rows[0]["accuracy, %"] == pytest.approx(60.0)


def test_seeds_without_predictions_are_left_out():
    assert seed_curves(VIEW) == []
    assert seed_pictures([], "a") == []


def test_verdicts_in_words_and_as_a_table():
    judged = judge(CLAIMS, VIEW.results, GRID)
    html = page.verdict_table(judged)
    for name in CLAIMS:
        assert f"<b>{name}</b>" in html
    assert 'class="word supported">supported' in html
    (c9,) = [j for j in judged if (j.name, j.measure) == ("C9", "held_out")]
    word, detail = page.judgement_words(c9)
    assert word == "supported"
    assert detail.startswith("+3.0")
    assert "n = 10 seeds" in detail
    assert "McNemar" in detail
    rows = tables.verdicts_table(judged).rows
    assert len(rows) == len(judged)
    assert tables.verdicts_table(judged).csv().count("\n") == len(judged) + 1


def test_claims_whose_trainings_lack_are_named_below_the_table_and_say_what_lacks():
    some = {name: PRESETS[name] for name in ("2b", "mlp")}
    html = page.verdict_table(judge(CLAIMS, make_results(presets=some), GRID))
    table, below = html.split("</table>")
    assert "<b>C6</b>" in table
    assert "<b>C8</b>" not in table
    assert "C7, C8, C9" in below
    assert "C8 product pooling m1 beats mean pooling m0: ensemble, 100 units, 2 snippets" in below
    nothing = page.verdict_table(judge({"C8": CLAIMS["C8"]}, make_results(presets=some), GRID))
    assert "<table" not in nothing


def test_the_codes_networks_are_compared_with_the_texts():
    """Both heads trained, the ReLU layer made 2 points better, in pairs."""
    code = make_grid("report", "code", "msd10")
    better = make_results(lambda p, r: 2.0, grid=code, noise=0.01).trainings
    both = VIEW.results._replace(trainings={**make_results(noise=0.01).trainings, **better})
    rows = {(row["configuration"], row["measure"]): row
            for row in tables.fidelity_table(both, "report").rows}  # fmt: skip
    assert rows["baseline", "peak"]["code minus text"] == pytest.approx(2.0, abs=0.02)
    assert rows["4 snippets, m1", "held_out"]["n"] == 10
    assert ("feed-forward", "peak") not in rows


def test_the_fidelities_recipes_are_compared_on_songs_of_other_lengths():
    """100 segments, as the three-genre songs: crops of 80 in place of 96."""
    grids = [make_grid("report", name, "msd-3-genre", 100) for name in ("text", "code")]
    made = [make_results(grid=grid, presets=EVERY, seeds=2) for grid in grids]
    trainings = {**made[0].trainings, **made[1].trainings}
    results = made[0]._replace(dataset="msd-3-genre", trainings=trainings, num_segments=100)
    rows = tables.fidelity_table(results, "report").rows
    assert "the whole recipe" in {row["configuration"] for row in rows}


def test_trainings_that_diverged_at_once_count_nowhere():
    """One of ten baselines has no finite accuracy; its predictions are those of initial values."""
    made = make_results(noise=0.01)
    key = GRID.baseline, None, 124
    diverged = made.trainings[key]
    nothing = {"valid_accuracy": np.full(20, np.nan)}
    trainings = {**made.trainings,
                 key: diverged._replace(curves={**diverged.curves, **nothing})}  # fmt: skip
    with_it = Measured(made._replace(trainings=trainings), GRID, "held_out")
    without = {k: t for k, t in made.trainings.items() if k != key}
    alone = Measured(made._replace(trainings=without), GRID, "held_out")
    assert tables.likelihood_table(with_it) == tables.likelihood_table(alone)
    pictures = [prediction_pictures(view, "a") for view in (with_it, alone)]
    assert pictures[0] == pictures[1]
    pair = (GRID.ensemble(4), "product"), (GRID.baseline, "softmax")
    assert song_test(with_it, pair).num_seeds == 9
    code = make_grid("report", "code", "msd10")
    both = make_results(grid=code).trainings | trainings
    rows = tables.fidelity_table(made._replace(trainings=both), "report").rows
    assert {row["n"] for row in rows if row["configuration"] == "baseline"} == {9}


def test_words_of_files_are_escaped():
    table = tables.Table("t", [{"genre": "<b>R&B</b>"}])
    assert "&lt;b&gt;R&amp;B&lt;/b&gt;" in page.plain_table(table)
