"""Which songs are taken, and which of them are for training, validation and test.

Chance is a hash of the seed and a song's or an artist's id: what is drawn depends on neither the
order of the songs nor the machine, and a song more or less changes little for the others.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SPLITS = ("train", "valid", "test")
METHODS = ("random", "artist")


class Entry(NamedTuple):
    """What splitting has to know of a song."""

    track_id: str
    artist_id: str
    genre: str


def draw_order(names: Iterable[str], purpose: str, seed: int) -> list[str]:
    """The names in a random order, another one for every purpose and seed."""

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{seed} {purpose} {name}".encode()).digest()

    return sorted(names, key=rank)


def take_at_most(track_ids: Sequence[str], count: int, seed: int) -> set[str]:
    """`count` of the tracks, or all if there are no more; with a larger count, these and others."""
    return set(draw_order(track_ids, "take", seed)[:count])


def _by_genre(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    groups = defaultdict(list)
    for entry in entries:
        groups[entry.genre].append(entry)
    return groups


def _held_out(count: int, fraction: float, least_count: int) -> int:
    """Songs of a genre that are held out; with `least_count` songs or more, at least one."""
    return max(round(fraction * count), int(fraction > 0 and count >= least_count))


def random_split(
    entries: Sequence[Entry], valid_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Split by track_id: the fractions of every genre, to the nearest song.

    A genre of two songs or more has one to validate with, of three or more one to test with.
    """
    split_of: dict[str, str] = {}
    for members in _by_genre(entries).values():
        order = draw_order([entry.track_id for entry in members], "split", seed)
        num_valid = _held_out(len(order), valid_fraction, 2)
        num_test = min(_held_out(len(order), test_fraction, 3), len(order) - num_valid)
        sizes = {"valid": num_valid, "test": num_test}
        sizes["train"] = len(order) - num_valid - num_test
        splits = [split for split, size in sizes.items() for _ in range(size)]
        split_of |= dict(zip(order, splits, strict=True))
    return split_of


def artist_split(
    entries: Sequence[Entry], valid_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Split by track_id such that all songs of an artist are in one.

    Artists come in random order, each to the split where its songs leave the counts of songs by
    genre and split nearest to the fractions: in squares, relative to the genre's size. Of two that
    are as near the emptier one gets it. (Larger artists first would come nearer, with every large
    artist in the training songs: validation and test would then be of another kind.)
    """
    fractions = {"train": 1 - valid_fraction - test_fraction}
    fractions |= {"valid": valid_fraction, "test": test_fraction}
    sizes = {genre: len(members) for genre, members in _by_genre(entries).items()}
    missing = {s: {genre: f * n for genre, n in sizes.items()} for s, f in fractions.items()}
    songs: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        songs[entry.artist_id].append(entry)

    def cost(split: str, counts: dict[str, int]) -> tuple[float, float]:
        """What the sum of squares grows by, (m - n)^2 - m^2 each, and how full the split is."""
        left = missing[split]
        growth = sum(n * (n - 2 * left[genre]) / sizes[genre] for genre, n in counts.items())
        return round(growth, 9), -sum(left.values()) / fractions[split]

    split_of: dict[str, str] = {}
    candidates = [split for split in SPLITS if fractions[split] > 0]
    for artist_id in draw_order(songs, "artist", seed):
        counts = {genre: len(own) for genre, own in sorted(_by_genre(songs[artist_id]).items())}
        _, chosen = min((cost(split, counts), split) for split in candidates)
        for genre, n in counts.items():
            missing[chosen][genre] -= n
        split_of |= {entry.track_id: chosen for entry in songs[artist_id]}
    return split_of


def split_songs(
    method: str, entries: Sequence[Entry], valid_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """`random_split` or `artist_split`, by name; KeyError for another one."""
    split = {"random": random_split, "artist": artist_split}[method]
    return split(entries, valid_fraction, test_fraction, seed)
