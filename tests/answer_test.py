"""Claims beyond the report on made-up results: effects as made, families, what the page shows."""

import pytest

from experiments.judging.answer_claims import ANCESTORS, BEYOND, DEEPER, FAMILIES
from experiments.judging.verdicts import CONTRADICTED, OPEN, SUPPORTED, judge
from experiments.reporting.answer_sections import drawn_maps, pictures
from experiments.reporting.chapters import all_tables, make_chapters
from experiments.studying import answer
from experiments.studying.presets import ANSWER, EVERY, PRESETS
from tests.claims_test import find
from tests.made_up import GRID, make_results

CLAIMS = ANCESTORS | DEEPER | BEYOND


def has(point, **options) -> bool:
    return all(getattr(point.options, name) == value for name, value in options.items())


def world(point, rule) -> float:
    """Points above 50%, of which every effect below follows on paper."""
    made = -10.0 * (point.model == "mlp") - 5.0 * has(point, member="mlp")
    made += 2.0 * (point.model == "ensemble") + 1.0 * (rule == "product")
    made -= 3.0 * has(point, decomposition="round_robin")
    made += 4.0 * has(point, num_layers=2) * (point.model == "ensemble")
    made -= 2.0 * has(point, readout="attention")
    made += 6.0 * (point.options.dropout > 0) - 7.0 * (point.options.crop > 0)
    return made + 3.0 * (point.secondary == "both")


EFFECTS = {
    # Ensembles 50 + 2 + 1 by product, less 5 with MLP members; one MLP 40.
    "A1a": (-5 + 2 + 1 + 10, SUPPORTED),
    "A1b": (5, SUPPORTED),
    "A2m": (0, OPEN),
    "A3m": (-3, CONTRADICTED),
    "A3l": (-3, CONTRADICTED),
    "A4m": (1, SUPPORTED),
    "A5l": (1, SUPPORTED),
    "A6m": (1, SUPPORTED),
    "A7l": (0, OPEN),
    "A8m": (-1, CONTRADICTED),
    "D1a": (3, SUPPORTED),
    "D1b": (3 + 4, SUPPORTED),
    "D1e": (3, SUPPORTED),
    "D2b": (4, CONTRADICTED),  # more than 1 point more than with one layer
    "D2c": (0, SUPPORTED),
    "D3b": (0, OPEN),
    "D3e": (-2, CONTRADICTED),
    "B1": (6 - 7 - 2, CONTRADICTED),
    "B2a": (-2, CONTRADICTED),
    "B2b": (6, SUPPORTED),
    "B2c": (0, OPEN),
    "B3b": (6, SUPPORTED),
    "B3g": (-7, CONTRADICTED),
    "B4a": (3, SUPPORTED),
    "B4b": (3, SUPPORTED),
}


@pytest.fixture(scope="module")
def results():
    # One draw in twenty finds an effect in a family where there is none: the first does.
    return make_results(world, presets=EVERY, noise=0.05, draw=1)


@pytest.fixture(scope="module")
def judged(results):
    return {name: judge(FAMILIES[name].claims, results, GRID) for name in ANSWER}


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("measure", ["peak", "held_out"])
def test_effects_and_verdicts_are_as_made(judged, name, measure):
    """Noise of 0.05 a training: under 0.1 on a mean of ten differences of up to four."""
    effect, verdict = EFFECTS[name]
    found = [j for family in judged.values() for j in family]
    judgement = find(found, name, measure)
    assert judgement.interval.mean == pytest.approx(effect, abs=0.1)
    assert judgement.verdict == verdict
    assert judgement.n == 10
    assert judgement.songs is not None or measure == "peak" or name.startswith("D2")


def test_every_claim_is_judged_and_each_family_corrected_by_itself(judged):
    assert {j.name for family in judged.values() for j in family} == CLAIMS.keys()
    assert all(j.missing is None for family in judged.values() for j in family)
    for family in judged.values():
        for measure in ("peak", "held_out"):
            ours = [j for j in family if j.measure == measure]
            smallest = min(ours, key=lambda j: j.p)
            assert smallest.corrected == pytest.approx(min(1.0, len(ours) * smallest.p))


def test_ten_seeds_can_resolve_every_family():
    """Wilcoxon's smallest p of ten seeds is 2 / 2^10; times the claims it must stay below 5%."""
    assert all(len(FAMILIES[name].claims) * 2 / 2**10 < 0.05 for name in ANSWER)


def test_the_gain_of_the_report_stands_beside_one_layer(judged):
    """MSD10: 65.55 of four snippets with the product, 64 of the baseline."""
    (judgement,) = [j for j in judged["deeper"] if (j.name, j.measure) == ("D1a", "peak")]
    assert judgement.reported["msd10"] == pytest.approx(1.55)
    (other,) = [j for j in judged["deeper"] if (j.name, j.measure) == ("D1b", "peak")]
    assert other.reported == {}


def test_heat_maps_and_effects_show_what_was_made(results, judged):
    (chapter,) = make_chapters([results], "report")
    maps = {family: drawn_maps(chapter.view, family) for family in ANSWER}
    peak = {family: {(c.row, c.column): c.interval.mean for c in maps[family][0].cells}
            for family in ANSWER}  # fmt: skip
    ancestors, deeper, beyond = (peak[family] for family in ANSWER)
    assert len(ancestors) == 6 * 6  # rules x members
    gap = ancestors["product", "LSTM, none"] - ancestors["vote", "MLP, round robin"]
    assert gap == pytest.approx(1 + 5 + 3, abs=0.1)
    gain = deeper["2 layers", "4 snippets, product"] - deeper["2 layers", "one LSTM"]
    assert gain == pytest.approx(7, abs=0.1)
    assert beyond["dropout", "alone"] - beyond["no part", "alone"] == pytest.approx(6, abs=0.1)
    assert beyond["no part", "all but this"] - beyond["crops", "all but this"] == pytest.approx(
        -7, abs=0.1
    )
    for family in ANSWER:
        (picture,) = pictures(family, judged[family], "a")
        assert "effect (points of accuracy)" in picture.svg
        assert picture.sentence.startswith("Mean effect over paired seeds with its 95% interval. ")
    (picture,) = pictures("deeper", judged["deeper"], "a")
    contradicted = picture.sentence.split("contradicted: ")[1].split(";")[0]
    assert "D3e" in contradicted  # what does not help is said


def test_families_are_shown_where_something_of_theirs_was_trained(results):
    (whole,) = make_chapters([results], "report")
    assert list(whole.judgements) == list(FAMILIES)
    tables = all_tables([whole], [results], "report")
    assert {f"made-up-text-verdicts-{family}" for family in ANSWER} <= tables.keys()
    assert "made-up-text-figure-deeper-held_out" in tables
    only = make_results(presets=PRESETS)
    (chapter,) = make_chapters([only], "report")
    assert list(chapter.judgements) == ["report"]
    few = make_results(presets={"deeper": ANSWER["deeper"]})
    (chapter,) = make_chapters([few], "report")
    assert list(chapter.judgements) == ["report", "deeper"]


def test_long_descriptions_have_short_names(results):
    (chapter,) = make_chapters([results], "report")
    view = chapter.view
    assert view.name(answer.whole(GRID)) == "the whole recipe"
    assert view.name(answer.without(GRID, "crops")) == "the recipe without crops"
    assert view.name(answer.cooked(GRID, "dropout")) == (
        "ensemble, 100 units, 4 snippets, beta 100, dropout 0.3"
    )
    assert view.rules(answer.whole(GRID)) == ("product",)
