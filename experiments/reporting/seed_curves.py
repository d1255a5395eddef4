"""Seeds as an ensemble: what the trained seeds of a configuration are worth when pooled."""

from collections.abc import Callable
from typing import NamedTuple

from experiments.judging.effects import Choice
from experiments.judging.results import SeedPredictions, Training, seed_predictions
from experiments.judging.views import Measured, NotTrained
from experiments.reporting import figures
from experiments.reporting.figures import CountLine
from experiments.reporting.sections import Picture
from experiments.reporting.tables import Row, Table, interval_words
from experiments.studying.grids import Grid
from msd_jax.metrics import Interval
from msd_jax.seed_ensembles import SEED_RULES, Size, seed_ensembles

_SPLITS = {
    "test": "test songs",
    "valid": "validation songs, on which the epochs were chosen: it flatters",
}


class SeedCurve(NamedTuple):
    """A configuration whose seeds are pooled by a rule, on the songs of a split."""

    label: str
    rule: str
    split: str
    sizes: list[Size]


class _Measure(NamedTuple):
    """A field of `Size`: what it is called, its unit, and what makes its values of that unit."""

    field: str
    title: str
    unit: str
    scale: float


_MEASURES = (
    _Measure("accuracy", "accuracy", "%", 100.0),
    _Measure("nll", "NLL", "nats", 1.0),
    _Measure("calibration_error", "calibration error", "points", 100.0),
)


def seed_choices(grid: Grid) -> list[tuple[str, Choice]]:
    """The configurations whose seeds are pooled: seeds alone, and seeds x snippets."""
    many = grid.snippets[1]
    return [
        ("baseline", (grid.baseline, "softmax")),
        (f"{many} snippets, m0", (grid.ensemble(many), "mean")),
        (f"{many} snippets, m1", (grid.ensemble(many), "product")),
    ]


def _divisions(view: Measured, choice: Choice) -> list[SeedPredictions]:
    """One for each division of the songs; none if fewer than two seeds have them all."""
    point, rule = choice
    try:
        by_seed = view.trainings(point)
    except NotTrained:
        return []

    def is_whole(some: list[Training]) -> bool:
        return bool(some) and all(training.best_epoch(rule) for training in some)

    seeds = [some for some in by_seed if is_whole(some)]
    if len(seeds) < 2:
        return []
    found = [seed_predictions(trainings, rule) for trainings in zip(*seeds, strict=True)]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else []


def seed_curves(view: Measured) -> list[SeedCurve]:
    """Of every choice that has predictions, under each rule over seeds."""
    curves = []
    for label, choice in seed_choices(view.grid):
        divisions = _divisions(view, choice)
        songs = [(one.log_probs, one.labels) for one in divisions]
        curves += [
            SeedCurve(label, rule, divisions[0].split, seed_ensembles(songs, rule))
            for rule in SEED_RULES
            if songs
        ]
    return curves


def _interval(size: Size, measure: _Measure) -> Interval:
    values = getattr(size, measure.field)
    return Interval(*(None if x is None else measure.scale * x for x in values))


def _sentence(curves: list[SeedCurve], measure: _Measure) -> str:
    """Where the curves begin and end."""
    words = []
    for curve in curves:
        first, last = (_interval(curve.sizes[i], measure).mean for i in (0, -1))
        words.append(f"{curve.label}, {curve.rule} {first:.3g} to {last:.3g}")
    most = max(curve.sizes[-1].num_seeds for curve in curves)
    return (
        f"On the {_SPLITS[curves[0].split]}. From one seed to {most} pooled, in {measure.unit}: "
        f"{'; '.join(words)}. Means over subsets of the seeds; the 95% band is over the choice of "
        "the seeds (jackknife), and all seeds together are a single ensemble, which has none."
    )


def seed_words(curves: list[SeedCurve]) -> list[tuple[str, str]]:
    """Title and sentence of each measure; none without curves."""
    return [
        (f"Seeds as an ensemble: {measure.title}", _sentence(curves, measure))
        for measure in _MEASURES
        if curves
    ]


def seed_pictures(curves: list[SeedCurve], prefix: str) -> list[Picture]:
    """Accuracy, likelihood and calibration against the number of seeds."""
    pictures = []
    for index, (title, sentence) in enumerate(seed_words(curves)):
        measure = _MEASURES[index]
        lines = [
            CountLine(
                f"{curve.label}; seeds: {curve.rule}",
                [size.num_seeds for size in curve.sizes],
                [_interval(size, measure) for size in curve.sizes],
            )
            for curve in curves
        ]
        svg = figures.against_counts(
            f"{prefix}seeds{index}", lines, "seeds pooled (number)",
            f"{measure.title} ({measure.unit})", title,
        )  # fmt: skip
        pictures.append(Picture(title, svg, sentence))
    return pictures


def _table(curves: list[SeedCurve], columns: Callable[[str, Interval], Row]) -> Table:
    """A row for each curve and size; `columns` makes those of a measure."""
    rows: list[Row] = []
    for curve in curves:
        for size in curve.sizes:
            row: Row = {
                "configuration": curve.label, "seeds pooled by": curve.rule, "songs": curve.split,
                "seeds": size.num_seeds, "subsets": size.num_subsets,
            }  # fmt: skip
            for measure in _MEASURES:
                row |= columns(f"{measure.title}, {measure.unit}", _interval(size, measure))
            rows.append(row)
    return Table("seed-ensembles", rows)


def seed_table(curves: list[SeedCurve]) -> Table:
    """The same as numbers."""

    def columns(name: str, interval: Interval) -> Row:
        return {name: interval.mean, f"{name}: low": interval.low, f"{name}: high": interval.high}

    return _table(curves, columns)


def seed_list(curves: list[SeedCurve]) -> Table:
    """The same in a form to read."""
    return _table(curves, lambda name, interval: {name: interval_words(interval)})
