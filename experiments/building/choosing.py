"""From the files that could be read to the songs of a data set: genres, balance, splits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from experiments.building.build_settings import PRESETS, BuildSettings
from msd_jax.errors import InputError
from msd_jax.labels import genre_key
from msd_jax.splits import Entry, split_songs, take_at_most


class Choice(NamedTuple):
    """Genres in the order of their labels, and the split of each song by track_id."""

    genre_names: tuple[str, ...]
    split_of: dict[str, str]


def wanted_genres(settings: BuildSettings, labelled: Iterable[str]) -> dict[str, str]:
    """Genres to take by their key, in the spelling of the settings or else of the label files.

    Raises:
      InputError: if a genre of the settings is not in the label files, or there twice.
    """
    there = {genre_key(genre): genre for genre in labelled}
    if settings.genres is None:
        return there
    wanted = {genre_key(genre): genre for genre in settings.genres}
    if len(wanted) < len(settings.genres):
        raise InputError(f"--genres={','.join(settings.genres)}: a genre stands there twice")
    if missing := [genre for key, genre in wanted.items() if key not in there]:
        preset = PRESETS.get(settings.dataset_preset or "")
        source = f"; {settings.dataset_preset} was made from {preset.labels}" if preset else ""
        raise InputError(
            f"no track is labelled {', '.join(missing)} in {', '.join(settings.labels)}, which "
            f"know {', '.join(sorted(there.values()))[:400]}{source}"
        )
    return wanted


def _check_genres(settings: BuildSettings, sizes: dict[str, int], names: Sequence[str]) -> None:
    found = ", ".join(f"{genre} {size}" for genre, size in sorted(sizes.items()))[:400]
    if settings.genres is not None and len(names) < len(settings.genres):
        short = ", ".join(genre for genre in settings.genres if genre not in names)
        raise InputError(
            f"fewer than {settings.min_per_genre} usable songs of {short} (there are: "
            f"{found or 'none'}): lower --min_per_genre, leave them out of --genres, or add files"
        )
    if len(names) < 2:
        raise InputError(
            f"{len(names)} genres have {settings.min_per_genre} usable songs or more (there are: "
            f"{found or 'none'}) and 2 are needed: lower --min_per_genre, or add files or labels"
        )


def _check_splits(entries: Sequence[Entry], split_of: dict[str, str]) -> None:
    counts = Counter(split_of.values())
    in_train = {entry.genre for entry in entries if split_of[entry.track_id] == "train"}
    without = sorted({entry.genre for entry in entries} - in_train)
    if without or not counts["valid"]:
        lack = (
            f"no songs of {', '.join(without)} to train on" if without else "no songs to validate"
        )
        raise InputError(
            f"the split leaves {lack}: too few songs or artists for it; change --seed, "
            "--valid_fraction or --split, or add files"
        )


def choose(usable: Iterable[Entry], settings: BuildSettings) -> Choice:
    """Which of the usable tracks become songs, and of which split.

    Raises:
      InputError: if there are too few genres or songs.
    """
    by_genre: dict[str, list[Entry]] = defaultdict(list)
    for entry in usable:
        by_genre[entry.genre].append(entry)
    sizes = {genre: len(entries) for genre, entries in by_genre.items()}
    order = settings.genres or sorted(sizes)
    names = tuple(g for g in order if sizes.get(g, 0) >= settings.min_per_genre)
    _check_genres(settings, sizes, names)
    songs: list[Entry] = []
    for genre in names:
        entries = by_genre.pop(genre)
        if settings.max_per_genre is not None:
            track_ids = [entry.track_id for entry in entries]
            taken = take_at_most(track_ids, settings.max_per_genre, settings.seed)
            entries = [entry for entry in entries if entry.track_id in taken]
        songs += entries
    fractions = (settings.valid_fraction, settings.test_fraction)
    split_of = split_songs(settings.split, songs, *fractions, settings.seed)
    _check_splits(songs, split_of)
    return Choice(names, split_of)
