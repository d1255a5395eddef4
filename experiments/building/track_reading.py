"""Finding the track files of a build, and reading them in other processes, here or on a cluster."""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from experiments.building.build_console import FileProgress
from experiments.building.build_settings import BuildSettings
from experiments.building.dataset_files import RawStore
from experiments.building.manifest import Found, Manifest
from experiments.command.interruption import Interruption, Stopped
from experiments.command.reading import close_idle_readers, read_tracks
from msd_jax.errors import InputError
from msd_jax.labels import Labels, genre_key
from msd_jax.songs import Rejected
from msd_jax.tracks import Track

_FILES_IN_A_BATCH = 64
_SECONDS_BETWEEN_COMMITS = 1.0


def find_files(folder: Path) -> Iterator[str]:
    """Paths of the files TR*.h5 at any depth, relative to the folder, in an order of their own.

    Links to folders are not followed: they could go round.
    """

    def give_up(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}): check --h5_dir")

    for where, folders, names in os.walk(folder, onerror=give_up):
        folders.sort()
        for name in sorted(names):
            if name.startswith("TR") and name.endswith(".h5"):
                yield os.path.relpath(os.path.join(where, name), folder)  # noqa: PTH118  quick


def label_files(paths: Iterable[str], labels: Labels, wanted: dict[str, str]) -> Iterator[Found]:
    """Every file with its genre, or the reason why it needs no reading."""
    for path in paths:
        track_id, genre, rejected = Path(path).stem, None, None
        if track_id in labels.conflicts:
            rejected = Rejected("label conflict", ", ".join(labels.conflicts[track_id]))
        elif track_id not in labels.genres:
            rejected = Rejected("no label")
        else:
            genre = wanted.get(genre_key(labels.genres[track_id]))
            if genre is None:
                rejected = Rejected("genre not asked for", labels.genres[track_id])
        yield Found(path, track_id, genre, rejected)


@contextmanager
def _executor(settings: BuildSettings) -> Iterator[tuple[Executor, int]]:
    """What runs `read_tracks`, and how many calls it takes at a time."""
    if settings.dask_scheduler is not None:
        from experiments.building.dask_cluster import dask_executor

        with dask_executor(settings.dask_scheduler) as cluster:
            yield cluster
        return
    try:  # a thread waits for each reading process
        with ThreadPoolExecutor(settings.num_workers) as threads:
            yield threads, settings.num_workers
    finally:
        close_idle_readers()


def _checked(path: Path, track: Track | Rejected) -> Track | Rejected:
    if isinstance(track, Track) and track.track_id != path.stem:
        return Rejected("wrong track", f"the file says that it is {track.track_id}")
    return track


def read_files(
    settings: BuildSettings,
    manifest: Manifest,
    store: RawStore,
    progress: FileProgress,
    interruption: Interruption,
) -> None:
    """Reads what is still to be read.

    Raises:
      Stopped: after a signal, with what was read kept.
    """
    folder = Path(settings.h5_dir).absolute()
    batches = manifest.unread(_FILES_IN_A_BATCH)
    running: dict[Future, list[tuple[int, str]]] = {}
    last_commit = time.monotonic()

    def keep() -> None:
        store.sync()
        manifest.commit()

    with _executor(settings) as (executor, num_workers):
        while True:
            while len(running) < 2 * num_workers and not interruption.requested:
                batch = next(batches, None)
                if batch is None:
                    break
                paths = [folder / path for _, path in batch]
                asked = (paths, settings.num_segments, settings.crop, settings.limits)
                running[executor.submit(read_tracks, *asked)] = batch
            if not running:
                break
            done, _ = wait(running, _SECONDS_BETWEEN_COMMITS, FIRST_COMPLETED)
            for future in done:
                batch = running.pop(future)
                tracks = [
                    _checked(Path(path), track)
                    for (_, path), track in zip(batch, future.result(), strict=True)
                ]
                for (slot, _), track in zip(batch, tracks, strict=True):
                    if isinstance(track, Track):
                        store.write(slot, track.features)
                manifest.record([slot for slot, _ in batch], tracks)
                progress.advance(len(batch))
            if time.monotonic() - last_commit >= _SECONDS_BETWEEN_COMMITS:
                keep()
                last_commit = time.monotonic()
    keep()
    if interruption.requested:
        raise Stopped
