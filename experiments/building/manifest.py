"""What a build knows of every file: an SQLite file, so that a killed build goes on where it was.

A file that may become a song has a slot, its place in the store of raw features. What is committed
has been read; the rest is read (again) by the build that goes on.
"""

import itertools
import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from msd_jax.errors import InputError
from msd_jax.songs import Rejected
from msd_jax.splits import Entry
from msd_jax.tracks import Track

_SCHEMA = """
CREATE TABLE about (identity TEXT NOT NULL, num_slots INTEGER NOT NULL);
CREATE TABLE files (
  number INTEGER PRIMARY KEY, path BLOB NOT NULL, track_id TEXT NOT NULL, genre TEXT,
  slot INTEGER, artist_id TEXT, title TEXT, split TEXT, reason TEXT, detail TEXT
);
CREATE UNIQUE INDEX by_slot ON files (slot) WHERE slot IS NOT NULL;
CREATE INDEX by_track ON files (track_id);
"""


_USABLE = "artist_id IS NOT NULL AND reason IS NULL"


class Found(NamedTuple):
    """A file and its genre; `rejected` says why it can be no song, if that is known unread."""

    path: str  # relative to the folder of the files
    track_id: str
    genre: str | None
    rejected: Rejected | None


class Manifest:
    """The manifest of one build; a context manager, and locked against a second build.

    Attributes:
      path: of its file.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes an empty one.

        Raises:
          InputError: if it is damaged, or another build has it open.
        """
        self.path = path
        self._database = sqlite3.connect(path, timeout=0)
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("BEGIN EXCLUSIVE")  # holds until it is closed
            if not self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                for statement in _SCHEMA.split(";"):
                    self._database.execute(statement)
            self._database.commit()
        except sqlite3.OperationalError as error:
            self._database.close()
            raise InputError(
                f"{path}: {error}: another build of this name may be running; if not, remove "
                f"{path.parent} to start afresh"
            ) from None
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise InputError(
                f"{path}: damaged ({error}): remove {path.parent} to start afresh"
            ) from None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes it; what was not committed is forgotten."""
        self._database.close()

    def _number(self, query: str) -> int:
        return self._database.execute(query).fetchone()[0] or 0

    def identity(self) -> dict[str, Any] | None:
        """What `fill` was given; None before."""
        row = self._database.execute("SELECT identity FROM about").fetchone()
        return json.loads(row[0]) if row else None

    def lists(self, paths: Iterable[str]) -> bool:
        """Whether it was filled with just these files."""
        rows = self._database.execute("SELECT path FROM files ORDER BY number")
        known = (os.fsdecode(path) for (path,) in rows)
        return all(a == b for a, b in itertools.zip_longest(known, paths))

    def fill(self, identity: dict[str, Any], files: Iterable[Found]) -> None:
        """Takes in all files in place of those there were; changes nothing if it is interrupted."""
        self._database.execute("DELETE FROM files")
        self._database.execute("DELETE FROM about")
        num_slots = 0
        for found in files:
            reason, detail = None, None
            slot: int | None = None
            if found.rejected:
                reason, detail = found.rejected.reason, found.rejected.detail
            else:
                slot, num_slots = num_slots, num_slots + 1
            row = (os.fsencode(found.path), found.track_id, found.genre, slot, reason, detail)
            self._database.execute(
                "INSERT INTO files (path, track_id, genre, slot, reason, detail)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        about = (json.dumps(identity), num_slots)
        self._database.execute("INSERT INTO about VALUES (?, ?)", about)
        self._database.commit()

    @property
    def num_files(self) -> int:
        """All files, songs or not."""
        return self._number("SELECT count(*) FROM files")

    @property
    def num_slots(self) -> int:
        """Files to read."""
        return self._number("SELECT num_slots FROM about")

    @property
    def num_read(self) -> int:
        """Files to read that have been read."""
        return self._number(
            "SELECT count(*) FROM files WHERE slot IS NOT NULL"
            " AND (artist_id IS NOT NULL OR reason IS NOT NULL)"
        )

    def forget_rejected(self, reasons: Sequence[str], identity: dict[str, Any]) -> None:
        """Files that were rejected for these reasons are still to be read, by a build that is now
        `identity`.
        """
        marks = ", ".join("?" * len(reasons))
        self._database.execute(
            f"UPDATE files SET reason = NULL, detail = NULL WHERE slot IS NOT NULL"
            f" AND reason IN ({marks})",
            tuple(reasons),
        )
        self._database.execute("UPDATE about SET identity = ?", (json.dumps(identity),))
        self._database.commit()

    def forget_songs(self) -> None:
        """Files whose features were kept are still to be read."""
        self._database.execute(f"UPDATE files SET artist_id = NULL, title = NULL WHERE {_USABLE}")
        self._database.commit()

    def unread(self, size: int) -> Iterator[list[tuple[int, str]]]:
        """Slots and paths of the files still to read, in batches."""
        last = -1
        while rows := self._database.execute(
            "SELECT slot, path FROM files WHERE slot > ? AND artist_id IS NULL AND reason IS NULL"
            " ORDER BY slot LIMIT ?",
            (last, size),
        ).fetchall():
            last = rows[-1][0]
            yield [(slot, os.fsdecode(path)) for slot, path in rows]

    def record(self, slots: Iterable[int], tracks: Iterable[Track | Rejected]) -> None:
        """What reading gave; kept by the next `commit`."""
        for slot, track in zip(slots, tracks, strict=True):
            if isinstance(track, Rejected):
                self._database.execute(
                    "UPDATE files SET reason = ?, detail = ? WHERE slot = ?",
                    (track.reason, track.detail, slot),
                )
            else:
                self._database.execute(
                    "UPDATE files SET artist_id = ?, title = ? WHERE slot = ?",
                    (track.artist_id, track.title, slot),
                )

    def commit(self) -> None:
        """Keeps what was recorded."""
        self._database.commit()

    def usable(self) -> Iterator[Entry]:
        """Tracks that may become songs, by track_id; of several files of one the first counts."""
        self._database.execute(
            f"UPDATE files SET reason = 'duplicate track', detail = track_id WHERE {_USABLE}"
            " AND EXISTS (SELECT 1 FROM files AS other WHERE other.track_id = files.track_id"
            " AND other.number < files.number AND other.artist_id IS NOT NULL)"
        )
        rows = self._database.execute(
            f"SELECT track_id, artist_id, genre FROM files WHERE {_USABLE} ORDER BY track_id"
        )
        # One copy of what comes many times: a million songs are to fit the memory.
        return (
            Entry(track, sys.intern(artist), sys.intern(genre)) for track, artist, genre in rows
        )

    def set_songs(self, split_of: dict[str, str], genres: Sequence[str]) -> None:
        """The split of every track that becomes a song; the others that might have get a reason."""
        self._database.executemany(
            f"UPDATE files SET split = ? WHERE track_id = ? AND {_USABLE}",
            ((split, track_id) for track_id, split in split_of.items()),
        )
        marks = ", ".join("?" * len(genres))
        self._database.execute(
            f"UPDATE files SET reason = CASE WHEN genre IN ({marks}) THEN 'beyond max_per_genre'"
            f" ELSE 'genre too small' END WHERE split IS NULL AND {_USABLE}",
            tuple(genres),
        )

    def songs(self, split: str) -> Iterator[tuple[int, str, str, str, str]]:
        """slot, track_id, artist_id, title, genre of a split's songs, by track_id."""
        return self._database.execute(
            "SELECT slot, track_id, artist_id, title, genre FROM files WHERE split = ?"
            " ORDER BY track_id",
            (split,),
        )

    def rejects(self) -> Iterator[tuple[str, str, str]]:
        """path, reason and detail of every file that is no song, in order."""
        rows = self._database.execute(
            "SELECT path, reason, detail FROM files WHERE reason IS NOT NULL ORDER BY number"
        )
        return ((os.fsdecode(path), reason, detail) for path, reason, detail in rows)

    def counts_by_reason(self) -> dict[str, int]:
        """Rejected files by reason, the most frequent first."""
        return dict(
            self._database.execute(
                "SELECT reason, count(*) AS n FROM files WHERE reason IS NOT NULL"
                " GROUP BY reason ORDER BY n DESC, reason"
            )
        )

    def counts_by_genre(self) -> dict[tuple[str, str], int]:
        """Songs by genre and split."""
        rows = self._database.execute(
            "SELECT genre, split, count(*) FROM files WHERE split IS NOT NULL GROUP BY genre, split"
        )
        return {(genre, split): count for genre, split, count in rows}
