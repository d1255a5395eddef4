"""The page's charts of what goes beyond the report, each with the sentence that it shows."""

import textwrap
from collections.abc import Callable

from experiments.judging.effects import Choice
from experiments.judging.verdicts import CONTRADICTED, OPEN, SUPPORTED, Judgement
from experiments.judging.views import Measured
from experiments.reporting import figures, heat_maps
from experiments.reporting.figures import Effect
from experiments.reporting.heat_maps import DrawnMap, HeatMap
from experiments.reporting.sections import Picture
from experiments.studying import answer
from experiments.studying.grids import Grid
from experiments.studying.presets import ANSWER
from msd_jax.config import POOLINGS

_LABEL_LENGTH = 34  # letters of a line beside a chart


def _ancestors(grid: Grid) -> list[HeatMap]:
    members = {
        f"{kind}, {decomposition.replace('_', ' ')}": make(grid, decomposition)
        for kind, make in (("MLP", answer.mlp_members), ("LSTM", answer.lstm_members))
        for decomposition in answer.DECOMPOSITIONS
    }

    def under(rule: str) -> Callable[[Grid, str], Choice]:
        return lambda _, member: (members[member], rule)

    title = f"Members on {answer.parts(grid)} parts of the song, decompositions, rules"
    rows = [(rule.replace("_", " "), under(rule)) for rule in POOLINGS]
    return [HeatMap("ancestors", title, "rule", rows, "", list(members))]


def _deeper(grid: Grid) -> list[HeatMap]:
    one, many = "one LSTM", f"{grid.snippets[1]} snippets, product"

    def of(kind: str) -> Callable[[Grid, str], Choice]:
        return lambda g, column: (
            (answer.single(g, kind), "softmax")
            if column == one
            else (answer.ensembled(g, kind), "product")
        )

    rows = [(kind, of(kind)) for kind in answer.kinds(grid)]
    title = "Deeper and richer LSTMs, alone and ensembled"
    return [HeatMap("deeper", title, "LSTM", rows, "", [one, many])]


def _beyond(grid: Grid) -> list[HeatMap]:
    alone, left_out = "alone", "all but this"

    def part(name: str) -> Callable[[Grid, str], Choice]:
        return lambda g, column: (
            answer.cooked(g, name) if column == alone else answer.without(g, name),
            "product",
        )

    def none(g: Grid, column: str) -> Choice:
        return (answer.reports_best(g) if column == alone else answer.whole(g)), "product"

    rows = [("no part", none), *((name, part(name)) for name in answer.recipe(grid))]
    title = "The parts of the recipe (all but no part is the whole)"
    return [HeatMap("beyond", title, "part", rows, "", [alone, left_out])]


_MAPS = {"ancestors": _ancestors, "deeper": _deeper, "beyond": _beyond}


def drawn_maps(view: Measured, family: str) -> list[DrawnMap]:
    """The heat maps of a preset beyond the report, as far as it was trained."""
    if family not in _MAPS:
        return []
    drawn = [
        heat_maps.draw(one, view, measure)
        for one in _MAPS[family](view.grid)
        for measure in ("peak", "held_out")
    ]
    return [one for one in drawn if one is not None]


def _label(name: str, text: str) -> str:
    return "\n".join(textwrap.wrap(f"{name} {text}", _LABEL_LENGTH))


def pictures(family: str, judgements: list[Judgement], prefix: str) -> list[Picture]:
    """Every effect of a preset beyond the report with its interval, on both measures."""
    judged = [j for j in judgements if j.missing is None]
    if family not in ANSWER or not judged:
        return []
    claims = {j.name: j.claim for j in judged}
    found = {(j.name, j.measure): j for j in judged}
    rows = [
        Effect(
            _label(name, claim.text),
            *(found[name, measure].interval if (name, measure) in found else None
              for measure in ("peak", "held_out")),
        )
        for name, claim in claims.items()
    ]  # fmt: skip
    title = f"{ANSWER[family].title}: effects"
    svg = figures.effects(f"{prefix}{family}", rows, title)
    return [Picture(title, svg, _outcome(judged))]


def _outcome(judged: list[Judgement]) -> str:
    """Which claims came out how, on the honest measure, or on the peak for want of a test set."""
    measure = "held_out" if any(j.measure == "held_out" for j in judged) else "peak"
    ours = [j for j in judged if j.measure == measure]
    words = []
    for verdict in (SUPPORTED, CONTRADICTED, OPEN):
        names = [j.name for j in ours if j.verdict == verdict]
        words.append(f"{verdict}: {', '.join(names) or 'none'}")
    where = "Held out" if measure == "held_out" else "At the peak"
    return f"Mean effect over paired seeds with its 95% interval. {where}, {'; '.join(words)}."
