"""Label files: which genre a track is of.

A line is `track_id<TAB>genre`, or `track_id<TAB>genre<TAB>second genre` (tagtraum, where people
disagreed: the second is left aside); lines that begin with # are comments. So are tagtraum's .cls
and MASD's and MAGD's .tsv and .cls files. The sources spell alike genres differently ("New Age",
"New_Age"); what differs in letter case, spaces, underscores or signs alone is one genre here.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msd_jax.errors import InputError

_TRACK_ID = re.compile(r"TR[A-Z0-9]{16}")
MAX_LINE_BYTES = 1000  # No label is so long: a file without line ends is none.


class BadLine(NamedTuple):
    """A line that gives no label; `where` is "file:line"."""

    where: str
    detail: str


class Labels(NamedTuple):
    """What label files say.

    Attributes:
      genres: genre by track_id, in the spelling that came first.
      conflicts: the different genres of each track_id that has several; not in `genres`.
      bad_lines: lines that give no label.
    """

    genres: dict[str, str]
    conflicts: dict[str, tuple[str, ...]]
    bad_lines: list[BadLine]


def genre_key(genre: str) -> str:
    """What is the same for all spellings of a genre."""
    return re.sub(r"[\W_]+", "", genre).casefold()


def parse_label(line: bytes) -> tuple[str, str] | None:
    """track_id and genre of a line; None of a comment or an empty line.

    Raises:
      ValueError: if it is neither; says why.
    """
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if not text.strip() or text.startswith("#"):
        return None
    track_id, *genres = (field.strip() for field in text.split("\t"))
    if not _TRACK_ID.fullmatch(track_id):
        raise ValueError(f"{track_id[:40]!r} is no track_id")
    if len(genres) not in (1, 2):
        raise ValueError(f"{1 + len(genres)} fields between tabs, not 2 or 3")
    for genre in genres:
        if not genre_key(genre) or not genre.isprintable():
            raise ValueError(f"{genre[:40]!r} is no genre")
    return track_id, genres[0]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, of over-long ones no more than shows that they are."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                yield number, line
                while line and len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check labels") from error


def read_labels(paths: Sequence[Path]) -> Labels:
    """Reads label files; a track that they give different genres has none.

    Raises:
      InputError: if a file cannot be read, or gives no label at all.
    """
    genres: dict[str, str] = {}
    conflicts: dict[str, tuple[str, ...]] = {}
    spellings: dict[str, str] = {}
    bad_lines = []
    for path in paths:
        found = False
        for number, line in _lines(path):
            try:
                label = parse_label(line)
            except ValueError as error:
                bad_lines.append(BadLine(f"{path.name}:{number}", str(error)))
                continue
            if label is None:
                continue
            found = True
            track_id, genre = label
            genre = spellings.setdefault(genre_key(genre), genre)
            known = genres.setdefault(track_id, genre)
            if known != genre:
                several = conflicts.get(track_id, (known,))
                conflicts[track_id] = several if genre in several else (*several, genre)
        if not found:
            first = f"; line {bad_lines[-1].where}: {bad_lines[-1].detail}" if bad_lines else ""
            raise InputError(
                f"{path}: no line gives a label, 'track_id<TAB>genre'{first[:120]}: "
                "give a tagtraum, MASD or MAGD file"
            )
    for track_id in conflicts:
        del genres[track_id]
    return Labels(genres, conflicts, bad_lines)
