"""From a study's folder to report.html, report.md and one CSV a table."""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from experiments.command import checks
from experiments.judging.answer_claims import FAMILIES
from experiments.judging.results import Results, load_results
from experiments.judging.verdicts import Judgement
from experiments.reporting import page, tables
from experiments.reporting.chapters import (
    Chapter,
    all_maps,
    all_tables,
    figures_html,
    make_chapters,
    verdicts_html,
)
from experiments.reporting.page import document, judgement_words, number, reported_words
from experiments.reporting.seed_curves import seed_words
from experiments.reporting.tables import Table
from experiments.running.workdir import Line, read_json, write_text
from msd_jax.dataset import SYNTHETIC
from msd_jax.errors import InputError

_HOW = (
    "A verdict takes both: the whole 95% interval of the effect (studentised bootstrap over paired "
    "seeds) lies inside, or outside, what is claimed, and Wilcoxon's p against the nearest bound "
    "is below 5% after Holm's correction over the claims of its table and measure. What could "
    "have been shown is the distance from that bound that so many seeds of this spread show with "
    "power 80%, before the correction. Seeds are the unit: intervals do not hold the choice of the "
    "songs. Seconds an epoch are medians over epochs. McNemar's exact test is over the test songs "
    "of one seed."
)


def _what_was_run(study: Line, all_results: list[Results], unfinished: list[str]) -> list[str]:
    lines = []
    for results in all_results:
        folds = f", {len(results.folds)} folds" if results.folds != [None] else ""
        lines.append(
            f"{results.dataset}: {len(results.points)} configurations, {len(results.seeds)} seeds"
            f"{folds}, {len(results.trainings)} trainings"
        )
    if any(results.dataset == SYNTHETIC for results in all_results):
        lines.append("Synthetic songs are made up: what they say is about the program, not music.")
    if study["size"] == "smoke":
        lines.append(
            "Size smoke: tiny networks that show that all works. Its verdicts say nothing."
        )
    lines += [f"left out: {line}" for line in study["left_out"]]
    lines += [f"not finished, and not in this report: {name}" for name in unfinished]
    return lines


def _environment(all_results: list[Results]) -> list[str]:
    """Versions and devices, each once."""
    lines: dict[str, None] = {}
    for config in (c for results in all_results for c in results.configs):
        versions = ", ".join(f"{name} {v}" for name, v in config["versions"].items())
        device = config["device"]
        lines[f"{versions}; {device['count']} x {device['kind']} ({device['platform']})"] = None
        lines[f"data {config['flags']['dataset']}: sha256 {config['dataset_sha256']}"] = None
    return list(lines)


def _html(study: Line, chapters: list[Chapter], all_results: list[Results], what: list[str],
          found: dict[str, Table], out: Path) -> str:  # fmt: skip
    names = ", ".join(results.dataset for results in all_results)
    body = [f"<h1>LSTM genre classifiers, the study again: {names}</h1>"]
    body += [f"<p>{page.escape(line)}</p>" for line in what]
    for index, chapter in enumerate(chapters):
        body.append(verdicts_html(chapter, index))
    body.append(f"<p class=fine>{page.escape(_HOW)}</p>")
    body += [figures_html(chapter, index) for index, chapter in enumerate(chapters)]
    for results in all_results:
        fidelity = found.get(f"{results.dataset}-fidelity")
        if fidelity:
            body.append(f"<h2>{results.dataset}: the code's networks against the text's</h2>")
            body.append(page.plain_table(fidelity))
        body.append(f"<h2>{results.dataset}: every training</h2>")
        trials = tables.trials_list(results)
        folders = {str(row["workdir"]) for row in trials.rows}
        links = {f: quote(os.path.relpath(Path(f) / "metrics.jsonl", out)) for f in folders}
        body.append(page.details(f"{len(results.trainings)} trainings, each under each rule",
                                 page.plain_table(trials, links)))  # fmt: skip
    body.append("<h2>How it was made</h2>")
    body += [f"<pre>{page.escape(command)}</pre>" for command in study["commands"]]
    body += [f"<p class=fine>{page.escape(line)}</p>" for line in _environment(all_results)]
    files = ", ".join(f'<a href="tables/{quote(name)}.csv">{name}.csv</a>' for name in found)
    body.append(f"<p class=fine>Tables: {files}</p>")
    return document(f"Study of {names}", "\n".join(body))


def _markdown_row(j: Judgement) -> str:
    word, detail = judgement_words(j)
    claim = f"{j.name}: {j.claim.text}"
    cells = (claim, reported_words(j), j.measure.replace("_", " "), word, detail)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _markdown(study: Line, chapters: list[Chapter], what: list[str]) -> str:
    lines = ["# LSTM genre classifiers, the study again", "", *(f"- {line}" for line in what), ""]
    for chapter in chapters:
        for family, judgements in chapter.judgements.items():
            lines += [f"## {chapter.name}: {FAMILIES[family].title}", "",
                      "| claim | report | measure | verdict | evidence |", "|---|---|---|---|---|",
                      *map(_markdown_row, judgements), ""]  # fmt: skip
        for drawn in all_maps(chapter):
            table = tables.map_table(drawn)
            lines += [
                "",
                f"### {drawn.heat_map.heading}: {page.MEASURE_WORDS[drawn.measure]}",
                "",
                f"| {' | '.join(table.columns)} |",
                "|---" * len(table.columns) + "|",
            ]
            lines += [f"| {' | '.join(number(row.get(c)) for c in table.columns)} |"
                      for row in table.rows]  # fmt: skip
        for title, sentence in seed_words(chapter.seed_curves):
            lines += ["", f"### {title}", "", sentence]
        lines.append("")
    return "\n".join([*lines, _HOW, "", *(f"    {command}" for command in study["commands"]), ""])


class Report(NamedTuple):
    """What is to be written: the page, the same in Markdown, and tables by name."""

    html: str
    markdown: str
    tables: dict[str, Table]


def make_report(
    study: Line, all_results: list[Results], unfinished: list[str], out: Path
) -> Report:
    """The report of results, to lie in the folder `out`.

    Args:
      study: study.json.
      all_results: one a data set.
      unfinished: names of runs that are not in them.
      out: links to metrics are relative to it.
    """
    chapters = make_chapters(all_results, study["size"])
    what = _what_was_run(study, all_results, unfinished)
    found = all_tables(chapters, all_results, study["size"])
    html = _html(study, chapters, all_results, what, found, out)
    return Report(html, _markdown(study, chapters, what), found)


def write_report(workdir: str, out: str) -> str:
    """Writes the report of a study's finished runs.

    Returns:
      A line that says where it is.

    Raises:
      InputError: if there is no study, none of its runs is finished, or the folder is not writable.
    """
    path, target = Path(workdir), Path(out)
    if not (path / "study.json").exists():
        raise InputError(f"{path}: no study.json: give the --workdir of a study")
    study = read_json(path / "study.json", checks.is_study)
    summaries = sorted(path.glob("runs/*/*/summary.json"))
    if not summaries:
        raise InputError(f"{path}: none of its runs is finished: start the study again")
    all_results = load_results([summary.parent for summary in summaries])
    begun = {config.parent for config in path.glob("runs/*/*/config.json")}
    unfinished = sorted(str(run.relative_to(path)) for run in begun - {s.parent for s in summaries})
    report = make_report(study, all_results, unfinished, target)
    try:
        (target / "tables").mkdir(parents=True, exist_ok=True)
        for name, table in report.tables.items():
            write_text(target / "tables" / f"{name}.csv", table.csv())
        write_text(target / "report.md", report.markdown)
        write_text(target / "report.html", report.html)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{target}: cannot be written ({reason}): give another --out") from error
    return f"{target / 'report.html'}, report.md and {len(report.tables)} tables"
