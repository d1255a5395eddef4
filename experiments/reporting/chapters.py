"""One data set under one fidelity: its judgements by family, its part of the page, its tables."""

from collections import Counter
from typing import NamedTuple

from experiments.judging.answer_claims import FAMILIES
from experiments.judging.results import Results
from experiments.judging.verdicts import CONTRADICTED, OPEN, SUPPORTED, Judgement, judge
from experiments.judging.views import Measured
from experiments.reporting import answer_sections, page, sections, tables
from experiments.reporting.heat_maps import DrawnMap
from experiments.reporting.seed_curves import (
    SeedCurve,
    seed_curves,
    seed_list,
    seed_pictures,
    seed_table,
)
from experiments.reporting.tables import Table
from experiments.studying.grids import FIDELITIES, Grid, make_grid
from experiments.studying.presets import ANSWER, EVERY


class Chapter(NamedTuple):
    """One data set under one fidelity; judgements by family."""

    name: str
    view: Measured
    judgements: dict[str, list[Judgement]]
    seed_curves: list[SeedCurve]


def _families(results: Results, grid: Grid) -> list[str]:
    """The report's, and those beyond it of which something was trained that no other preset has."""
    trained = set(results.points)
    presets = Counter(p for preset in EVERY.values() for p in set(preset.points(grid)))

    def is_asked(name: str) -> bool:
        return any(presets[p] == 1 and p in trained for p in ANSWER[name].points(grid))

    return ["report", *filter(is_asked, ANSWER)]


def make_chapters(all_results: list[Results], size: str) -> list[Chapter]:
    """Those whose networks were trained: the text's, the code's or both."""
    chapters = []
    for results in all_results:
        heads = {p.head for p in results.points if "mlp" not in (p.model, p.options.member)}
        for fidelity in FIDELITIES:
            grid = make_grid(size, fidelity, results.dataset, results.num_segments)
            if grid.head in heads or (not heads and fidelity == "text"):
                name = f"{results.dataset}, the report's {fidelity}"
                judged = {
                    family: judge(FAMILIES[family].claims, results, grid)
                    for family in _families(results, grid)
                }
                view = Measured(results, grid, "peak")
                chapters.append(Chapter(name, view, judged, seed_curves(view)))
    return chapters


def count_words(judgements: list[Judgement], measure: str) -> str:
    """How many claims of a family came out how."""
    ours = [j for j in judgements if j.measure == measure]
    counts = [f"{sum(j.verdict == word for j in ours)} {word}" for word in
              (SUPPORTED, CONTRADICTED, OPEN)]  # fmt: skip
    left = sum(j.missing is not None for j in ours)
    return ", ".join(counts) + (f", {left} not judged" if left else "")


def all_maps(chapter: Chapter) -> list[DrawnMap]:
    """The report's heat maps, and those of what goes beyond it."""
    beyond = (answer_sections.drawn_maps(chapter.view, family) for family in chapter.judgements)
    return sections.drawn_maps(chapter.view) + [one for maps in beyond for one in maps]


def verdicts_html(chapter: Chapter, index: int) -> str:
    """Every family's verdicts, and the charts of those beyond the report."""
    parts = []
    for family, judgements in chapter.judgements.items():
        parts.append(f"<h2>{chapter.name}: {FAMILIES[family].title}</h2>")
        parts.append(f"<p>On the report's measure: {count_words(judgements, 'peak')}.<br>")
        parts.append(f"Held out: {count_words(judgements, 'held_out')}.</p>")
        parts.append(page.verdict_table(judgements))
        maps = answer_sections.drawn_maps(chapter.view, family)
        pictures = answer_sections.pictures(family, judgements, f"s{index}")
        charts = [*map(page.heat_map, maps), *map(page.picture, pictures)]
        if charts:
            parts.append(page.charts(charts))
    if len(chapter.judgements) > 1:
        parts.append("<h3>For scale: what others had on the report's sets, peak validation, %</h3>")
        parts.append(page.plain_table(tables.others_table()))
    return "".join(parts)


def figures_html(chapter: Chapter, index: int) -> str:
    """The report's figures, predictions and the spread of the seeds."""
    view, prefix = chapter.view, f"s{index}"
    parts = [f"<h2>{chapter.name}: figures</h2>"]
    parts.append(page.charts(page.heat_map(drawn) for drawn in sections.drawn_maps(view)))
    pictures = sections.curve_pictures(view, prefix)
    pictures += sections.prediction_pictures(view, prefix)
    pictures.append(sections.spread_picture(view, prefix))
    parts.append(page.charts(map(page.picture, pictures)))
    likelihood = tables.likelihood_table(view)
    if likelihood.rows:
        parts.append("<h3>Test accuracy, likelihood and calibration</h3>")
        parts.append(page.plain_table(likelihood))
    if chapter.seed_curves:
        pictures = seed_pictures(chapter.seed_curves, prefix)
        parts.append("<h3>Seeds as an ensemble</h3>")
        parts.append(page.charts(map(page.picture, pictures)))
        parts.append(page.details("as numbers", page.plain_table(seed_list(chapter.seed_curves))))
    return "".join(parts)


def all_tables(chapters: list[Chapter], all_results: list[Results], size: str) -> dict[str, Table]:
    """Every table by its file's name."""
    found: dict[str, Table] = {}
    for chapter in chapters:
        stem = chapter.name.replace(", the report's ", "-")
        some = [tables.verdicts_table(judgements, family)
                for family, judgements in chapter.judgements.items()]  # fmt: skip
        some.append(tables.likelihood_table(chapter.view))
        some += map(tables.map_table, all_maps(chapter))
        some.append(seed_table(chapter.seed_curves))
        found |= {f"{stem}-{table.name}": table for table in some}
    for results in all_results:
        for table in (tables.trials_table(results), tables.fidelity_table(results, size)):
            found[f"{results.dataset}-{table.name}"] = table
    return {name: table for name, table in found.items() if table.rows}
