"""The page's pictures of one data set and fidelity, each with a sentence that says what it is."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from experiments.judging.effects import Choice
from experiments.judging.results import HeldOut, rule_name
from experiments.judging.views import Measured, NotTrained, reported_curves
from experiments.reporting import figures, heat_maps
from experiments.reporting.figures import Line
from experiments.studying import answer
from experiments.studying.grids import Grid, Point

_POINTS = {"valid_accuracy": 100.0, "train_accuracy": 100.0}  # shares, shown in %


class Picture(NamedTuple):
    """An SVG with its title and the sentence that says what it shows."""

    title: str
    svg: str
    sentence: str


def _reported_line(point: Point, metric: str, ours: str) -> tuple[np.ndarray | None, str]:
    """The logged curve of a point, of our data set or of the first that has one, and a label."""
    for dataset in dict.fromkeys((ours, "msd10", "msd25")):
        logged = reported_curves().get((dataset, point), {})
        if metric in logged:
            return logged[metric] * _POINTS.get(metric, 1.0), f"2017 run, {dataset.upper()}"
    return None, ""


def _line(view: Measured, label: str, point: Point, metric: str, rule: str = "softmax") -> Line:
    name = rule_name(metric, rule) if metric.startswith("valid") else metric
    values = view.curves(point, name) * _POINTS.get(metric, 1.0)
    reported: tuple[np.ndarray | None, str] = (None, "")
    if view.grid.size != "smoke":
        reported = _reported_line(point._replace(head="linear"), metric, view.results.dataset)
    return Line(label, values, *reported)


class _Curves(NamedTuple):
    title: str
    y_name: str
    lines: Callable[[Measured], list[Line]]


def _ends(lines: Iterable[Line]) -> str:
    """Where the mean curves begin, are best and end."""
    words = []
    for line in lines:
        mean, _ = figures.band(line.values)
        words.append(f"{line.label}: {mean[0]:.3g} to {mean[-1]:.3g} ({np.nanmin(mean):.3g} to "
                     f"{np.nanmax(mean):.3g} on the way)")  # fmt: skip
    return "Mean over seeds with 95% band. First to last epoch: " + "; ".join(words) + "."


def _curve_specs(grid: Grid) -> list[_Curves]:
    base, four = grid.baseline, grid.ensemble(grid.snippets[1])
    m2, rule = grid.weighed(grid.snippets[1])
    l2 = grid.lstm(grid.narrow, l2=grid.l2s[1])
    tasks = [(t, a) for t in ("autoencoder", "binary") for a in grid.alphas]

    def secondary(view: Measured, metric: str) -> list[Line]:
        return [_line(view, f"{t}, alpha {a:g}", grid.multitask(t, a), metric) for t, a in tasks]

    many = f"{grid.snippets[1]} snippets"
    return [
        _Curves("Figure 3b: L2 against AS", "validation accuracy (%)", lambda v: [
            _line(v, f"L2 {grid.l2s[1]:g}", l2, "valid_accuracy"),
            _line(v, f"AS {grid.betas[1]:g}", base, "valid_accuracy")]),
        _Curves("Figure 7: validation error, as it is", "negative log-likelihood (nats)",
                lambda v: [_line(v, "baseline", base, "valid_loss"),
                           _line(v, f"{many}, m1", four, "valid_loss", "product")]),
        _Curves("Figure 7: validation error, as the report's code had it", "error (nats)",
                lambda v: [_line(v, "baseline (likelihood)", base, "valid_loss"),
                           _line(v, f"{many}, m1, probabilities taken as logits", four,
                                 "valid_report_error", "product")]),
        _Curves("Figures 7 and 12: accuracy", "accuracy (%)", lambda v: [
            _line(v, "baseline, train", base, "train_accuracy"),
            _line(v, "baseline, valid", base, "valid_accuracy"),
            _line(v, f"{many}, m1, train", four, "train_accuracy"),
            _line(v, f"{many}, m1, valid", four, "valid_accuracy", "product")]),
        _Curves("Figure 8: learnt weights m2", "validation accuracy (%)", lambda v: [
            _line(v, "m0, mean", four, "valid_accuracy", "mean"),
            _line(v, "m2, learnt", m2, "valid_accuracy", rule),
            _line(v, "baseline", base, "valid_accuracy")]),
        _Curves("Figure 11a: secondary task", "training error of the task",
                lambda v: secondary(v, "train_secondary")),
        _Curves("Figure 11b: primary task", "training cross-entropy (nats)",
                lambda v: secondary(v, "train_cross_entropy")),
    ]  # fmt: skip


def curve_pictures(view: Measured, prefix: str) -> list[Picture]:
    """The learning curves that were trained."""
    pictures = []
    for index, spec in enumerate(_curve_specs(view.grid)):
        try:
            lines = spec.lines(view)
        except NotTrained:
            continue
        svg = figures.curves(f"{prefix}c{index}", lines, spec.y_name, spec.title)
        has_logged_error = "nats" in spec.y_name and any(x.reported is not None for x in lines)
        tail = " The 2017 run's error has its penalty in it." if has_logged_error else ""
        pictures.append(Picture(spec.title, svg, _ends(lines) + tail))
    return pictures


def main_choices(grid: Grid) -> list[tuple[str, Choice]]:
    """The configurations whose predictions are looked at more closely."""
    four = grid.ensemble(grid.snippets[1])
    many = f"{grid.snippets[1]} snippets"
    return [
        ("the whole recipe", (answer.whole(grid), "product")),
        ("feed-forward", (grid.mlp(0.01), "softmax")),
        ("baseline", (grid.baseline, "softmax")),
        (f"{many}, m0", (four, "mean")),
        (f"{many}, m1", (four, "product")),
        (f"{many}, m2", grid.weighed(grid.snippets[1])),
    ]


def _tested(view: Measured, choice: Choice) -> list[HeldOut]:
    point, rule = choice
    try:
        found = [t for some in view.trainings(point) for t in some]
    except NotTrained:
        return []
    return [t.held_out[rule] for t in found if rule in t.held_out and t.best_epoch(rule)]


def prediction_pictures(view: Measured, prefix: str) -> list[Picture]:
    """Calibration of the main configurations, and confusion of the baseline and of the best."""
    tested = [(label, _tested(view, choice)) for label, choice in main_choices(view.grid)]
    tested = [(label, some) for label, some in tested if some]
    if not tested:
        return []
    bins = [(label, _mean_reliability(some)) for label, some in tested]
    errors = "; ".join(
        f"{label} {100 * np.mean([x.calibration_error for x in some]):.1f} points"
        for label, some in tested
    )
    pictures = [
        Picture(
            "Calibration",
            figures.reliability_diagram(f"{prefix}cal", bins, "calibration"),
            "How often songs are right that are predicted with such a confidence, all seeds "
            "together; bins of under 0.5% of the songs are not drawn. "
            f"Mean distance from the diagonal: {errors}.",
        )
    ]
    for label, some in tested:
        if label == "baseline" or label.endswith("m1"):
            counts = np.sum([x.confusion for x in some], axis=0)
            pictures.append(
                Picture(
                    f"Confusion: {label}",
                    figures.confusion_matrix(
                        f"{prefix}conf{label[0]}", counts, view.results.genre_names, label
                    ),
                    _confusion_sentence(counts, view.results.genre_names),
                )
            )
    return pictures


def _mean_reliability(some: list[HeldOut]) -> figures.Reliability:
    """Over all seeds' songs, bin by bin."""
    share = np.mean([x.reliability.share for x in some], axis=0)

    def weighted(name: str) -> np.ndarray:
        sums = np.nansum([x.reliability.share * getattr(x.reliability, name) for x in some], axis=0)
        return np.divide(sums, len(some) * share, out=np.full(len(share), np.nan), where=share > 0)

    return figures.Reliability(share, weighted("confidence"), weighted("accuracy"))


def _confusion_sentence(counts: np.ndarray, genres: tuple[str, ...]) -> str:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    best = int(shares.diagonal().argmax())
    wrong = np.where(np.eye(len(genres), dtype=bool), -1, shares)
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    return (
        f"All seeds together. {genres[best]} is found best ({100 * shares[best, best]:.0f}%); most "
        f"often taken for another is {genres[i]} for {genres[j]} ({100 * wrong[i, j]:.0f}%)."
    )


def spread_picture(view: Measured, prefix: str) -> Picture:
    """Every configuration's seeds."""
    rows = []
    for point in view.points:
        for rule in view.rules(point):
            label = view.name(point) + ("" if rule == "softmax" else f", {rule}")
            rows.append((label, view.peak(point, rule), _held_out_or_nan(view, point, rule)))
    widths = [np.nanmax(p) - np.nanmin(p) for _, p, _ in rows if np.isfinite(p).sum() > 1]
    tail = f" Seeds differ by {np.mean(widths):.1f} points on average." if widths else ""
    return Picture(
        "Seed-to-seed spread",
        figures.spread(f"{prefix}spread", rows, "seed-to-seed spread"),
        f"Each seed's peak validation accuracy, and its test accuracy at that epoch.{tail}",
    )


def _held_out_or_nan(view: Measured, point: Point, rule: str) -> np.ndarray:
    try:
        return view.held_out(point, rule)
    except NotTrained:
        return np.full(len(view.results.seeds), np.nan)


def drawn_maps(view: Measured) -> list[heat_maps.DrawnMap]:
    """Every heat map on every measure, and seconds per epoch under stabilisation (figure 3a)."""
    maps = heat_maps.heat_maps(view.grid)
    drawn = [heat_maps.draw(m, view, measure) for m in maps for measure in ("peak", "held_out")]
    seconds = maps[1]._replace(figure="3a", title="Seconds per epoch, activation stabilisation")
    drawn.append(heat_maps.draw(seconds, view, "seconds"))
    return [one for one in drawn if one is not None]
