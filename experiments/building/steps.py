"""A whole build: find the track files, read them, choose songs, write the data set."""

import json
import shutil
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.building.build_console import FileProgress, rejects_table, songs_table
from experiments.building.build_settings import BuildSettings
from experiments.building.choosing import choose, wanted_genres
from experiments.building.dataset_files import (
    RawStore,
    dataset_paths,
    sha256_of,
    write_arrays,
    write_tables,
)
from experiments.building.manifest import Manifest
from experiments.building.track_reading import find_files, label_files, read_files
from experiments.command.console import make_console
from experiments.command.exits import EXIT_INTERRUPTED, fail
from experiments.command.interruption import INTERRUPTION, Interruption, Stopped, until_stopped
from experiments.command.reading import CRASHED, TOOK_TOO_LONG
from experiments.command.storage import StorageError, refusal
from msd_jax.errors import InputError
from msd_jax.labels import Labels, read_labels
from msd_jax.splits import SPLITS

_PARTS = {"name", "songs", "rejected", "bad_label_lines", "sha256"}  # of NAME.json, shown on screen
_LIMITED = (TOOK_TOO_LONG, CRASHED)
Line = dict[str, Any]


def _identity(arguments: Line, settings: BuildSettings) -> Line:
    """Arguments and the label files' contents; and within which limits files are read."""
    return {
        "arguments": arguments,
        "labels_sha256": {path: sha256_of(Path(path)) for path in settings.labels},
        "limits": settings.limits._asdict(),
    }


def _check_same(there: Any, identity: Line, path: Path, remedy: str) -> None:
    """Raises InputError unless `there`, read from `path`, has the same arguments and labels."""
    try:
        old = {**there["arguments"], "labels_sha256": there["labels_sha256"]}
    except (TypeError, KeyError):
        raise InputError(f"{path}: not of a build: {remedy}") from None
    new = {**identity["arguments"], "labels_sha256": identity["labels_sha256"]}
    differences = [
        f"{name}: {old.get(name)!r} there, {new.get(name)!r} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if differences:
        raise InputError(f"{path} is of another build ({'; '.join(differences)}): {remedy}")


def _finished(settings: BuildSettings) -> Line | None:
    """The report of the same build if it is done; None if it is not.

    Raises:
      InputError: if there are files of the name that are not of this build.
    """
    folder, name = Path(settings.out_dir), settings.name
    path = folder / f"{name}.json"
    if not path.exists():
        there = [path for path in dataset_paths(folder, name) if path.exists()]
        if there and not (folder / f"{name}.build").exists():
            raise InputError(f"{there[0]} is there already, of no build: choose another --name")
        return None
    remedy = "choose another --name, or remove it to build anew"
    try:
        report = json.loads(path.read_bytes())
    except ValueError:
        raise InputError(f"{path}: damaged, not JSON: {remedy}") from None
    _check_same(report, _identity(settings.arguments(), settings), path, remedy)
    if not report.keys() >= _PARTS:
        raise InputError(f"{path}: not of a build: {remedy}")
    lost = sum(report["rejected"].get(reason, 0) for reason in _LIMITED)
    if lost and report.get("limits") != settings.limits._asdict():
        raise InputError(
            f"{path}: {lost} files were rejected within other limits of time and memory: {remedy}"
        )
    for file, digest in report["sha256"].items():
        if not (folder / file).exists() or sha256_of(folder / file) != digest:
            raise InputError(
                f"{folder / file} is not as the build left it: remove {path} to build it anew"
            )
    return report


def _fill(
    settings: BuildSettings,
    manifest: Manifest,
    labels: Labels,
    interruption: Interruption,
    console: Console,
) -> None:
    """Fills the manifest with the files that there are, unless an earlier start has done it.

    Raises:
      InputError: if it is of another build, or there is nothing to read.
      Stopped: after a signal.
    """
    identity = _identity(settings.reading_arguments(), settings)
    found = until_stopped(find_files(Path(settings.h5_dir)), interruption)
    if (there := manifest.identity()) is not None:
        _check_same(there, identity, manifest.path, f"remove {manifest.path.parent}")
        if manifest.lists(found):
            if there.get("limits") != identity["limits"]:
                manifest.forget_rejected(_LIMITED, identity)
            return
        console.print("the files are not those of the earlier start: all are read")
        found = until_stopped(find_files(Path(settings.h5_dir)), interruption)
    wanted = wanted_genres(settings, labels.genres.values())
    manifest.fill(identity, label_files(found, labels, wanted))
    if not manifest.num_files:
        raise InputError(f"{settings.h5_dir}: no file TR*.h5 in it or below: check --h5_dir")
    if not manifest.num_slots:
        raise InputError(
            f"none of the {manifest.num_files:,} files has a label of a wanted genre in "
            f"{', '.join(settings.labels)}: check --labels and --genres"
        )


def _write(
    settings: BuildSettings, manifest: Manifest, store: RawStore, labels: Labels, scratch: Path
) -> Line:
    """Chooses the songs, writes every file beside the manifest, then moves all to their place."""
    genres, split_of = choose(manifest.usable(), settings)
    manifest.set_songs(split_of, genres)  # not committed: a build that goes on chooses anew
    new, folder = scratch / "new", Path(settings.out_dir)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    write_arrays(new, settings.name, manifest, store, genres, settings.crop)
    write_tables(new, settings.name, manifest, labels.bad_lines)
    counts = manifest.counts_by_genre()
    report = {
        "name": settings.name,
        **_identity(settings.arguments(), settings),
        "num_files": manifest.num_files,
        "genres": list(genres),
        "songs": {g: {s: counts.get((g, s), 0) for s in SPLITS} for g in genres},
        "rejected": manifest.counts_by_reason(),
        "bad_label_lines": len(labels.bad_lines),
        "sha256": {path.name: sha256_of(path) for path in sorted(new.iterdir())},
    }
    for path in dataset_paths(folder, settings.name):
        path.unlink(missing_ok=True)
    for path in new.iterdir():
        path.rename(folder / path.name)
    last = scratch / "report.json"  # moved when it is whole: with it the build is finished
    last.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    last.rename(folder / f"{settings.name}.json")
    return report


def _build(settings: BuildSettings, console: Console, labels: Labels) -> Line:
    scratch = Path(settings.out_dir) / f"{settings.name}.build"
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{scratch}: cannot be made ({error.strerror}): choose another --out_dir or --name"
        ) from error
    with ExitStack() as stack:
        interruption = stack.enter_context(INTERRUPTION.postponed())
        manifest = stack.enter_context(Manifest(scratch / "manifest.sqlite"))
        console.print(f"looking for track files in {settings.h5_dir}")
        _fill(settings, manifest, labels, interruption, console)
        num_slots = manifest.num_slots
        store = RawStore(scratch / "raw.f32", num_slots, settings.num_segments, interruption)
        stack.callback(store.close)
        if not store.holds_all:
            manifest.forget_songs()
        num_read = manifest.num_read
        before = f", {num_read:,} of them read before" if num_read else ""
        console.print(f"{manifest.num_files:,} files, {num_slots:,} of wanted genres{before}")
        with FileProgress(console, num_slots, num_read) as progress:
            read_files(settings, manifest, store, progress, interruption)
        report = _write(settings, manifest, store, labels, scratch)
    shutil.rmtree(scratch)
    return report


def build(settings: BuildSettings) -> None:
    """Builds the data set, or goes on with a build that stopped.

    Raises:
      InputError: for what the user can mend.
    """
    console = make_console()
    try:
        labels = read_labels([Path(path) for path in settings.labels])
        wanted_genres(settings, labels.genres.values())
        if not Path(settings.h5_dir).is_dir():
            raise InputError(
                f"{settings.h5_dir}: no such folder: give the track files' as --h5_dir"
            )
        finished = _finished(settings)
        if finished is not None:
            console.print(f"{settings.name} is finished: this is what it has")
        report = finished or _build(settings, console, labels)
    except Stopped:
        fail("stopped by a signal; the same command goes on where it was", EXIT_INTERRUPTED)
    except sqlite3.DatabaseError as error:
        scratch = Path(settings.out_dir) / f"{settings.name}.build"
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StorageError(f"{scratch}: {error}") from error
        raise InputError(f"{scratch}: {error}: remove the folder to start afresh") from error
    except OSError as error:
        if refusal(error) is None:
            raise
        raise StorageError(f"{error.filename or settings.out_dir}: {error.strerror}") from error
    console.print(songs_table(report))
    if report["rejected"] or report["bad_label_lines"]:
        console.print(rejects_table(report))
    console.print(
        "train on it: python -m experiments.run "
        f"--dataset={settings.name} --data_dir={settings.out_dir}"
    )
