"""A build of a data set as a process of its own, and what it leaves in its folder."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from tests.track_files import track_id

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
GENRES = ("Jazz", "New Age", "Rap")


def build(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(*arguments), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    if code:
        assert len(done.stderr.splitlines()) == 1, done.stderr
    return done


def command(*arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "experiments.build_dataset", "--h5_dir=h5", "--labels=labels.cls"),
        *("--num_segments=8", "--name=mine", *arguments),
    ]


def output(folder: Path, name: str = "mine") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(f"{name}[-.]*") if path.is_file()}


def rejected(folder: Path) -> dict[str, str]:
    with (folder / "mine-rejected.csv").open() as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def songs(folder: Path) -> list[dict[str, str]]:
    with (folder / "mine-songs.csv").open() as file:
        return list(csv.DictReader(file))


def label(number: int) -> str:
    return f"{track_id(number)}\t{GENRES[number % 3]}\n"
