"""The page's charts: matplotlib to SVG text, legible in grey and by colour-blind readers."""

import io
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from scipy import special

from msd_jax.metrics import Interval, Reliability

# Okabe and Ito's colours; every line also has a style of its own.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
_SETTINGS = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}
_WIDTH = 5.2  # inches
_WIDE = 4.0  # times the least mean: beyond that small differences cannot be seen on a linear scale
_LABEL_LENGTH = 48  # letters of a line beside the axes
_LEAST_SHARE = 0.005  # of the songs: bins with fewer are not drawn


def _settings(**more: Any) -> Any:
    return {**_SETTINGS, **{name.replace("_", "."): value for name, value in more.items()}}


class Line(NamedTuple):
    """A curve over epochs: values [S, E] of the seeds; reported [E] from the report's logs."""

    label: str
    values: np.ndarray
    reported: np.ndarray | None = None
    reported_label: str = ""


class CountLine(NamedTuple):
    """A curve over counts [C]: an Interval at each."""

    label: str
    counts: Sequence[int]
    intervals: Sequence[Interval]


def _svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an SVG element whose inner names no other figure of the page has."""
    file = io.StringIO()
    with matplotlib.rc_context(_settings(svg_hashsalt=name)):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Title": alt})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for prefix in ('id="', "url(#", 'href="#'):
        text = text.replace(prefix, f"{prefix}{name}-")
    return text.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds and half of its 95% interval (Student's), [E] each; NaN for one seed."""
    known = values[~np.isnan(values).any(axis=1)]
    n = len(known)
    if n < 2:
        mean = known.mean(axis=0) if n else np.full(values.shape[1], np.nan)
        return mean, np.full(values.shape[1], np.nan)
    margin = special.stdtrit(n - 1, 0.975) * known.std(axis=0, ddof=1) / n**0.5
    return known.mean(axis=0), margin


def curves(name: str, lines: Sequence[Line], y_name: str, alt: str) -> str:
    """Means over seeds with bands, and the original runs' curves beside them, as SVG."""
    with matplotlib.rc_context(_settings()):
        figure = Figure(figsize=(_WIDTH, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for index, line in enumerate(lines):
            colour, style = _COLOURS[index % 7], _STYLES[index % 7]
            mean, margin = band(line.values)
            epochs = np.arange(1, len(mean) + 1)
            axes.plot(epochs, mean, color=colour, linestyle=style, label=line.label)
            axes.fill_between(epochs, mean - margin, mean + margin, color=colour, alpha=0.2, lw=0)
            if line.reported is not None:
                axes.plot(
                    np.arange(1, len(line.reported) + 1), line.reported, color=colour, lw=0.8,
                    marker=".ox+v^s"[index % 7], markersize=3, alpha=0.7, linestyle="none",
                    label=line.reported_label,
                )  # fmt: skip
        axes.set_xlabel("epoch")
        axes.set_ylabel(y_name)
        figure.legend(loc="outside lower center", ncols=1 if len(lines) < 2 else 2, fontsize=8)
        return _svg(figure, name, alt)


def against_counts(
    name: str, lines: Sequence[CountLine], x_name: str, y_name: str, alt: str
) -> str:
    """Means over a count, with bands where there is an interval, as SVG; on a logarithmic scale
    where they lie far apart.
    """
    with matplotlib.rc_context(_settings()):
        figure = Figure(figsize=(_WIDTH, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for index, line in enumerate(lines):
            colour, style = _COLOURS[index % 7], _STYLES[index % 7]
            mean, low, high = np.array(line.intervals, float).T  # None becomes NaN
            axes.plot(line.counts, mean, color=colour, linestyle=style, label=line.label,
                      marker="os^vDxP"[index % 7], markersize=3)  # fmt: skip
            axes.fill_between(line.counts, low, high, color=colour, alpha=0.12, lw=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        means = [x.mean for line in lines for x in line.intervals if x.mean is not None]
        if min(means) > 0 and max(means) > _WIDE * min(means):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            y_name = f"{y_name}, log scale"
        axes.set_xlabel(x_name)
        axes.set_ylabel(y_name)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        return _svg(figure, name, alt)


def reliability_diagram(name: str, bins: Sequence[tuple[str, Reliability]], alt: str) -> str:
    """Accuracy over confidence, against the diagonal of a calibrated predictor, as SVG."""
    with matplotlib.rc_context(_settings()):
        figure = Figure(figsize=(_WIDTH, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 100], [0, 100], color="#777777", lw=0.8, label="calibrated")
        for index, (label, one) in enumerate(bins):
            known = one.share > _LEAST_SHARE
            axes.plot(
                100 * one.confidence[known], 100 * one.accuracy[known], color=_COLOURS[index % 7],
                linestyle=_STYLES[index % 7], marker="os^vDxP"[index % 7], markersize=4,
                label=label,
            )  # fmt: skip
        axes.set_xlabel("confidence (%)")
        axes.set_ylabel("test accuracy (%)")
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        return _svg(figure, name, alt)


def confusion_matrix(name: str, counts: np.ndarray, genres: Sequence[str], alt: str) -> str:
    """Share of a genre's songs (row) that are taken for another (column), in %, as SVG."""
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(_WIDTH, 0.42 * len(genres))
    with matplotlib.rc_context(_settings(axes_grid=False)):
        figure = Figure(figsize=(size, size * 0.95), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        for (i, j), share in np.ndenumerate(shares):
            colour = "white" if share > 50 else "black"
            axes.text(j, i, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=7)
        axes.set_xticks(range(len(genres)), genres, rotation=90)
        axes.set_yticks(range(len(genres)), genres)
        axes.set_xlabel("predicted genre (% of the true genre's songs)")
        axes.set_ylabel("true genre")
        return _svg(figure, name, alt)


class Effect(NamedTuple):
    """A claim's effect on both measures, where it was judged."""

    label: str
    peak: Interval | None
    held_out: Interval | None


def effects(name: str, rows: Sequence[Effect], alt: str) -> str:
    """One row a claim: its mean effect on both measures with intervals, as SVG."""
    num_lines = sum(max(2, row.label.count("\n") + 1) for row in rows)
    with matplotlib.rc_context(_settings(font_size=7)):
        figure = Figure(figsize=(_WIDTH, 0.9 + 0.15 * num_lines), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color="#000000", lw=0.8)
        marks = (("peak validation", "peak", "o", "none", -0.15),
                 ("test, held out", "held_out", "s", "full", 0.15))  # fmt: skip
        for index, (label, field, marker, fill, offset) in enumerate(marks):
            known = [(y, interval) for y, row in enumerate(rows)
                     if (interval := getattr(row, field)) is not None]  # fmt: skip
            if not known:
                continue
            mean, low, high = np.array([interval for _, interval in known], float).T
            axes.errorbar(
                mean, [y + offset for y, _ in known], xerr=np.nan_to_num([mean - low, high - mean]),
                fmt=marker, color=_COLOURS[index], fillstyle=fill, markersize=4, lw=1, label=label,
            )  # fmt: skip
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("effect (points of accuracy)")
        figure.legend(loc="outside lower center", ncols=2)
        return _svg(figure, name, alt)


def spread(name: str, rows: Sequence[tuple[str, np.ndarray, np.ndarray]], alt: str) -> str:
    """One row a configuration: each seed's peak (circle) and test accuracy (cross), as SVG."""
    with matplotlib.rc_context(_settings(font_size=7)):
        height = sum(0.2 if len(label) <= _LABEL_LENGTH else 0.27 for label, _, _ in rows)
        figure = Figure(figsize=(_WIDTH, 0.8 + height), layout="constrained")
        axes = figure.add_subplot()
        for y, (_, peaks, tests) in enumerate(rows):
            axes.plot(peaks, np.full(len(peaks), y), "o", color=_COLOURS[0], markersize=3,
                      fillstyle="none", label="peak validation" if y == 0 else None)  # fmt: skip
            axes.plot(tests, np.full(len(tests), y + 0.25), "x", color=_COLOURS[1], markersize=3,
                      label="test" if y == 0 and np.isfinite(tests).any() else None)  # fmt: skip
        labels = ["\n".join(textwrap.wrap(label, _LABEL_LENGTH)) for label, _, _ in rows]
        axes.set_yticks(range(len(rows)), labels)
        axes.invert_yaxis()
        axes.set_xlabel("accuracy (%), one mark a seed")
        figure.legend(loc="outside lower center", ncols=2)
        return _svg(figure, name, alt)
