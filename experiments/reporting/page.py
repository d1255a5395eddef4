"""One self-contained HTML page: text, tables and pictures put together; no network, no script."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from experiments.judging.verdicts import CONTRADICTED, SUPPORTED, Judgement
from experiments.reporting.heat_maps import Cell, DrawnMap, sentence
from experiments.reporting.sections import Picture
from experiments.reporting.tables import Table

_CSS = Path(__file__).with_name("page.css")
_CLASS = {SUPPORTED: "supported", CONTRADICTED: "contradicted"}
MEASURE_WORDS = {
    "peak": "peak validation accuracy, as in the report",
    "held_out": "test accuracy at the best validation epoch",
    "seconds": "seconds per epoch",
}


_IN_TITLE = {"peak": ", peak", "held_out": ", held out", "seconds": ""}


def number(x: object) -> str:
    """A value of a table in words."""
    if x is None or x != x:
        return "-"
    if isinstance(x, float) and abs(x) < 1e-9:
        return "0"
    return f"{x:.3g}" if isinstance(x, float) else str(x)


def _signed(x: float | None) -> str:
    return "-" if x is None else f"{round(x, 2) + 0.0:+.2f}"  # no -0.00


def judgement_words(j: Judgement) -> tuple[str, str]:
    """The verdict, and what it rests on."""
    if j.missing:
        return "not judged", j.missing
    unit = j.claim.unit
    _, low, high = j.interval
    sign = f"{j.interval.mean:.2f}" if unit == "x" else _signed(j.interval.mean)
    words = [f"{sign} [{number(low)}, {number(high)}] {unit}", f"n = {j.n} {j.claim.per}s"]
    if j.p is not None and j.corrected is not None:
        words.append(f"p = {j.p:.2g}, Holm {j.corrected:.2g}")
    if j.smallest is not None:
        words.append(f"could have shown {number(j.smallest)}")
    if j.songs:
        words.append(f"McNemar p = {j.songs.p:.2g} for one seed, below 5% for "
                     f"{j.songs.num_significant} of {j.songs.num_seeds}")  # fmt: skip
    if j.over_folds:
        words.append(f"folds {j.over_folds[0]:+.2f} to {j.over_folds[1]:+.2f}")
    return j.verdict, "; ".join(words)


def reported_words(j: Judgement) -> str:
    """The report's own effect by data set."""
    sign = "" if j.claim.unit == "x" else "+"
    words = [f"{name.upper()} {x:{sign}.2f}" for name, x in j.reported.items()]
    return ", ".join(words) or "no number"


def _verdict_cell(j: Judgement | None) -> str:
    if j is None:
        return "<span class=fine>not on this measure</span>"
    word, detail = judgement_words(j)
    kind = _CLASS.get(word, "open")
    return f'<span class="word {kind}">{word}</span><br><span class=fine>{escape(detail)}</span>'


def verdict_table(judgements: Sequence[Judgement]) -> str:
    """Claims as rows, the two measures side by side; those never judged in a line below."""
    found = {(j.name, j.measure): j for j in judgements}
    judged = {j.name for j in judgements if j.missing is None}
    claims = {j.name: j.claim for j in judgements if j.name in judged}
    heads = ("claim", "report", "peak, as the report", "held out, honest")
    rows = []
    for name, claim in claims.items():
        pair = [found.get((name, measure)) for measure in ("peak", "held_out")]
        first = next(j for j in pair if j is not None)
        note = f"<br><span class=fine>{escape(claim.note)}</span>" if claim.note else ""
        cells = (f"<b>{name}</b> {escape(claim.text)}{note}", escape(reported_words(first)),
                 *map(_verdict_cell, pair))  # fmt: skip
        rows.append(_row(heads, cells))
    table = _cards(heads, rows, "cards verdicts") if rows else ""
    return table + _not_judged([j for j in judgements if j.name not in judged])


def _not_judged(judgements: Sequence[Judgement]) -> str:
    """Names the claims, and in folded lines what each lacks."""
    why = {j.name: f"{j.name} {j.claim.text}: {j.missing}" for j in judgements}
    if not why:
        return ""
    lines = "".join(f"<p class=fine>{escape(line)}</p>" for line in why.values())
    return details(f"not judged: {', '.join(why)}", lines)


def _row(heads: Sequence[str], cells: Iterable[str]) -> str:
    inner = "".join(
        f'<td data-label="{escape(head)}">{cell}</td>'
        for head, cell in zip(heads, cells, strict=True)
    )
    return f"<tr>{inner}</tr>"


def _cards(heads: Sequence[str], rows: Iterable[str], kind: str = "cards") -> str:
    head = "".join(f"<th scope=col>{escape(word)}</th>" for word in heads)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<table class="{kind}">{body}</table>'


def plain_table(table: Table, links: Mapping[str, str] | None = None) -> str:
    """Any table; `links` gives an address for values of the column "workdir"."""
    heads = [column.replace("_", " ").replace("workdir", "files") for column in table.columns]
    rows = []
    for row in table.rows:
        cells = []
        for column in table.columns:
            text = escape(number(row.get(column)))
            if column == "workdir" and links:
                text = f'<a href="{escape(links[str(row[column])])}">metrics</a>'
            cells.append(text)
        rows.append(_row(heads, cells))
    return _cards(heads, rows)


def _shade(share: float) -> str:
    """White to dark blue, and a text colour that can be read on it."""
    low, high = (255, 255, 255), (0, 63, 110)
    colour = ",".join(str(round(a + share * (b - a))) for a, b in zip(low, high, strict=True))
    return f"background:rgb({colour});color:{'#fff' if share > 0.5 else '#000'}"


def _heat_cell(cell: Cell | None, least: float, span: float, digits: str) -> str:
    if cell is None or cell.interval.mean is None:
        return "<td>-</td>"
    mean, (_, low, high) = cell.interval.mean, cell.interval
    interval = "" if low is None else f"<small>{low:{digits}} to {high:{digits}}</small>"
    reported = "".join(
        f"<small>report {name.upper()}: {x:{digits}}</small>" for name, x in cell.reported.items()
    )
    style = _shade((mean - least) / span if span else 0.0)
    return f'<td style="{style}"><b>{mean:{digits}}</b>{interval}{reported}</td>'


def heat_map(drawn: DrawnMap) -> str:
    """A heat map as a table: darker is more, and every number stands in its cell."""
    spec, found = drawn.heat_map, {(cell.row, cell.column): cell for cell in drawn.cells}
    means = [cell.interval.mean or 0.0 for cell in drawn.cells]
    least, span = min(means), max(means) - min(means)
    digits = ".3g" if drawn.measure == "seconds" else ".1f"
    columns = [f"{spec.column_name} {column}".strip() for column in spec.columns]
    head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    rows = "".join(
        f"<tr><th scope=row>{escape(row)}</th>"
        + "".join(
            _heat_cell(found.get((row, column)), least, span, digits) for column in spec.columns
        )
        + "</tr>"
        for row, _ in spec.rows
    )
    unit = "s" if drawn.measure == "seconds" else "%"
    title = f"{spec.heading}{_IN_TITLE[drawn.measure]}"
    middle = "median over epochs" if drawn.measure == "seconds" else "mean over seeds"
    caption = f"{MEASURE_WORDS[drawn.measure].capitalize()} ({unit}), {middle} with its 95% "
    caption += f"interval. {sentence(drawn)}"
    return (
        f"<figure><h3>{escape(title)}</h3><table class=heat><thead><tr>"
        f"<th>{escape(spec.row_name)}</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def picture(one: Picture) -> str:
    """A chart with its title and sentence."""
    return (
        f"<figure><h3>{escape(one.title)}</h3>{one.svg}"
        f"<figcaption>{escape(one.sentence)}</figcaption></figure>"
    )


def charts(parts: Iterable[str]) -> str:
    """Figures side by side where there is room."""
    return f"<div class=charts>{''.join(parts)}</div>"


def details(title: str, inner: str) -> str:
    """A part that is folded up at first."""
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def document(title: str, body: str) -> str:
    """The whole page."""
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<link rel=icon href="data:,">'
        f"<title>{escape(title)}</title><style>{_CSS.read_text()}</style></head>"
        f"<body>{body}</body></html>\n"
    )
