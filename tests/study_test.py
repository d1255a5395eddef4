"""The smoke study as a process: stopped in the middle, gone on with, and its report looked at."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from experiments.judging.results import load_results
from experiments.reporting.writing import make_report, write_report
from experiments.studying.grids import make_grid
from experiments.studying.presets import EVERY, PRESETS
from msd_jax.dataset import Dataset, Songs, save_dataset
from msd_jax.errors import InputError
from tests.made_up import GRID, make_results, with_predictions

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A third of the time to compile; all that is compared here was compiled so.
ENVIRONMENT = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


def command(folder: Path, *arguments: str) -> list[str]:
    return [
        sys.executable, "-m", "experiments.study", "--size=smoke", "--dataset=tiny",
        f"--data_dir={folder}", f"--workdir={folder / 'study'}", "--batch_size=10", *arguments,
    ]  # fmt: skip


def run(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(folder, *arguments), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


def interrupt(folder: Path, finished: int) -> None:
    """Sends SIGTERM when so many runs are finished and the next has begun."""
    process = subprocess.Popen(command(folder), cwd=ROOT, env=ENVIRONMENT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    deadline = time.monotonic() + 200
    runs = folder / "study" / "runs"
    while (
        len(list(runs.glob("*/*/summary.json"))) < finished
        or len(list(runs.glob("*/*/metrics.jsonl"))) <= finished
    ):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 75, error
    assert "stopped by a signal; the same command" in error


def make_study(folder: Path) -> Path:
    """A smoke study of 60 random songs of 8 x 5, interrupted after two of its nine runs."""
    rng = np.random.default_rng(0)

    def songs(number: int) -> Songs:
        labels = np.arange(number, dtype=np.int32) % 3
        inputs = rng.standard_normal((number, 8, 5)) + labels[:, None, None] * np.eye(5)[0]
        return Songs(inputs.astype(np.float16), labels)

    save_dataset(Dataset("tiny", songs(30), songs(13), songs(17), ("a", "b", "c")), folder, "tiny")
    interrupt(folder, finished=2)
    before = {path: path.read_bytes() for path in folder.glob("study/runs/*/*/summary.json")}
    shown = run(folder).stdout
    assert all(path.read_bytes() == content for path, content in before.items())
    assert "20 configurations x 2 seeds, 40 trainings in 9 runs" in shown
    assert re.search(r"time: about [\d.]+ (s|min|h) for what is not finished", shown)
    # The third was under way, and may have come to its end before the signal reached it.
    assert 2 <= int(re.search(r"(\d) of the runs are finished", shown)[1]) < 9
    write_report(str(folder / "study"), str(folder / "study"))
    return folder / "study"


def check_that_every_epoch_of_every_configuration_was_trained_once(
    folder: Path,
) -> None:
    lines = Counter()
    for metrics in folder.glob("runs/*/*/metrics.jsonl"):
        for line in map(json.loads, metrics.read_text().splitlines()):
            names = ("seed", "num_hidden", "num_snippets", "l2", "beta", "alpha", "epoch")
            lines[metrics.parent.name, *(line[name] for name in names)] += 1
    assert set(lines.values()) == {1}
    # 13 points of single LSTMs and feed-forward networks for 12 epochs, 7 others for 11; 2 seeds.
    assert len(lines) == 2 * (13 * 12 + 7 * 11)


def check_that_what_is_loaded_is_what_the_runs_found(folder: Path) -> None:
    (results,) = load_results([path.parent for path in folder.glob("runs/*/*/summary.json")])
    assert (len(results.points), results.seeds, results.folds) == (20, [123, 124], [None])
    assert results.num_segments == 8
    for training in results.trainings.values():
        summary = json.loads((training.workdir / "summary.json").read_text())
        (row,) = [
            r for r in summary["runs"]
            if (r["seed"], r["num_hidden"], r["num_snippets"], r["l2"], r["beta"], r["alpha"])
            == (training.seed, *training.point[1:5], training.point.alpha)
        ]  # fmt: skip
        rule = "product" if training.point.model == "ensemble" else "softmax"
        assert training.held_out[rule].accuracy == row["test_accuracy"]
        assert training.best_epoch(rule) == row["peak_epoch"]
        assert training.held_out[rule].confusion.sum() == 17


def check_that_a_study_that_is_done_says_so_and_another_is_refused(folder: Path) -> None:
    parent = folder.parent
    before = {path: path.read_bytes() for path in folder.rglob("summary.json")}
    assert "done: python -m experiments.report" in run(parent, "--only=mlp").stdout
    assert before == {path: path.read_bytes() for path in folder.rglob("summary.json")}
    error = run(parent, "--num_seeds=3", "--only=mlp", code=2).stderr
    assert "holds another study (num_seeds: 2 there, 3 now)" in error
    assert len(error.splitlines()) == 1


def test_a_flag_of_a_single_run_is_refused(tmp_path):
    error = run(tmp_path, "--model=mlp", code=2).stderr
    assert "--model has no effect on a study" in error


def test_the_list_is_of_the_figures_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.study", "--list", "--size=full"],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("2a  ")
    assert "python -m experiments.run --model=ensemble" in done.stdout
    assert "--dataset has no effect on --list" in run(tmp_path, "--list", code=2).stderr


def check_that_the_page_stands_alone_and_names_every_claim(folder: Path) -> None:
    html = (folder / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", html)
    assert "<script" not in html
    for name in ("C1", "C10", "C18b", "open"):
        assert f"<b>{name}</b>" in html
    assert html.count("On the test songs. From one seed to 2 pooled") == 3
    for figure in ("2a", "2b", "3a", "3b", "6", "7", "8", "10", "11", "12"):
        assert re.search(rf"Figures? [^<]*\b{figure}[ab]?\b", html), figure
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for link in set(re.findall(r'href="([^"#:]+)"', html)):
        assert (folder / link.replace("%2C", ",")).exists(), link
    markdown = (folder / "report.md").read_text()
    assert markdown.count("| C1: ") == 2


def check_that_every_table_is_a_csv_file_of_numbers(folder: Path) -> None:
    with (folder / "tables" / "tiny-trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert {row["seed"] for row in rows} == {"123", "124"}
    assert all(0 < float(row["seconds_per_epoch"]) < 60 for row in rows)
    with (folder / "tables" / "tiny-text-verdicts.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 24 + 17


def look_at(page: Path, tmp_path: Path, width: int) -> None:
    """A frame of that width in a page that measures it: nothing is wider, and no script error."""
    shutil.copy(page, tmp_path / "report.html")
    (tmp_path / "frame.html").write_text(
        f"<iframe id=f src=report.html width={width} height=2000 style='border:0'></iframe>"
        "<pre id=o></pre><script>f.onload=()=>{const d=f.contentDocument;"
        "d.querySelectorAll('details').forEach(x=>x.open=true);"
        "const w=d.documentElement.clientWidth;"
        "const wide=[...d.body.querySelectorAll('*')].filter(x=>!x.closest('svg'))"
        ".filter(x=>x.getBoundingClientRect().right>w+1).map(x=>x.tagName);"
        "o.textContent=JSON.stringify({w,scroll:d.documentElement.scrollWidth,wide})}</script>"
    )
    done = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
         "--allow-file-access-from-files", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000",
         f"file://{tmp_path / 'frame.html'}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    seen = json.loads(re.search(r'<pre id="o">(.*?)</pre>', done.stdout)[1])
    assert width - 20 < seen["w"] <= width  # less a scroll bar
    assert (seen["scroll"], seen["wide"]) == (seen["w"], [])
    assert "CONSOLE" not in done.stderr


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The page of made-up results, with a list of all trainings and the widest of the grids."""
    results = [
        make_results(grid=grid, presets=presets)
        for grid, presets in ((GRID, EVERY), (make_grid("full", "text", "d"), PRESETS))
    ]
    trainings = {key: t for r in results for key, t in r.trainings.items()}
    trainings |= with_predictions(results[0], tmp_path_factory.mktemp("seeds")).trainings
    study = {"size": "full", "left_out": ["a reason"], "commands": ["a command " * 30]}
    both = results[0]._replace(trainings=trainings)
    return make_report(study, [both], ["a run"], tmp_path_factory.mktemp("page")).html


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to look at the page with")
@pytest.mark.parametrize(("width", "medium"), [(390, "screen"), (1280, "screen"), (694, "print")])
def test_the_page_fits_a_phone_a_desk_and_a_sheet(tmp_path, html, width, medium):
    """A sheet of A4 less its margins is 694 pixels wide."""
    assert html.count("@media print {") == 1
    page = tmp_path / "page.html"
    page.write_text(html.replace("@media print {", "@media all {") if medium == "print" else html)
    look_at(page, tmp_path, width)


def check_that_damage_is_told_in_a_line(folder: Path, copy: Path) -> None:
    """Of each file of a finished run that the report reads, and of the study's own."""
    run_folder = min(folder.glob("runs/*/*-m*"))  # an ensemble
    others = ("config.json", "summary.json", "metrics.jsonl", "predictions.npz")
    files = [run_folder / name for name in others if (run_folder / name).exists()]
    assert len(files) >= 3
    there = copy / run_folder.relative_to(folder)
    for file in [folder / "study.json", *files]:
        for content in (b"", b"{}", b"[]", b"null\n", file.read_bytes()[:-20]):
            shutil.copytree(run_folder, there, dirs_exist_ok=True)
            shutil.copyfile(folder / "study.json", copy / "study.json")
            (copy / file.relative_to(folder)).write_bytes(content)
            with pytest.raises(InputError) as caught:
                write_report(str(copy), str(copy))
            assert "\n" not in str(caught.value), (file, content)


def test_a_smoke_study_and_its_report(tmp_path):
    """One test, since the study is trained for all that is looked at."""
    folder = make_study(tmp_path)
    check_that_every_epoch_of_every_configuration_was_trained_once(folder)
    check_that_what_is_loaded_is_what_the_runs_found(folder)
    check_that_the_page_stands_alone_and_names_every_claim(folder)
    check_that_every_table_is_a_csv_file_of_numbers(folder)
    check_that_damage_is_told_in_a_line(folder, tmp_path / "copy")
    check_that_a_study_that_is_done_says_so_and_another_is_refused(folder)


def test_a_folder_without_a_study_is_told(tmp_path):
    with pytest.raises(InputError, match="give the --workdir of a study"):
        write_report(str(tmp_path), str(tmp_path))
