"""Splits: shares, artists kept together, and no dependence on the order of the songs."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msd_jax.splits import (
    METHODS,
    SPLITS,
    Entry,
    artist_split,
    draw_order,
    random_split,
    split_songs,
    take_at_most,
)


def make_entries(num_songs: int, num_artists: int, genres: str = "ab") -> list[Entry]:
    return [
        Entry(f"TR{i}", f"AR{i * i % num_artists}", genres[i % len(genres)])
        for i in range(num_songs)
    ]


def counts(split_of: dict[str, str], entries: list[Entry]) -> dict[tuple[str, str], int]:
    return dict(Counter((entry.genre, split_of[entry.track_id]) for entry in entries))


def test_random_split_by_hand():
    # Of 12 songs a genre a sixth is 2; of 1 song nothing is held out, of 2 one, of 3 two.
    sizes = {"a": 12, "b": 1, "c": 2, "d": 3}
    entries = [Entry(f"{g}{i}", "AR", g) for g, size in sizes.items() for i in range(size)]
    assert counts(random_split(entries, 1 / 6, 1 / 6, 0), entries) == {
        ("a", "train"): 8, ("a", "valid"): 2, ("a", "test"): 2,
        ("b", "train"): 1,
        ("c", "train"): 1, ("c", "valid"): 1,
        ("d", "train"): 1, ("d", "valid"): 1, ("d", "test"): 1,
    }  # fmt: skip
    assert counts(random_split(entries, 0.25, 0, 0), entries)[("a", "valid")] == 3
    assert "test" not in random_split(entries, 0.25, 0, 0).values()


@pytest.mark.parametrize("fractions", [(0.05, 0.9), (0.1, 0.85), (0.02, 0.9)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 10])
def test_small_genres_are_split_under_any_fractions(fractions, size):
    """One to validate with and a rounded share to test with may be more songs than there are."""
    entries = [Entry(f"{i}", "AR", "a") for i in range(size)]
    split_of = random_split(entries, *fractions, 0)
    assert len(split_of) == size
    assert list(split_of.values()).count("valid") == (size > 1)


def test_the_reports_sizes():
    entries = [Entry(f"{i}", "AR", "a") for i in range(6000)]
    assert Counter(random_split(entries, 1 / 6, 1 / 6, 123).values()) == {
        "train": 4000, "valid": 1000, "test": 1000
    }  # fmt: skip


def test_artist_split_by_hand():
    # Of 6 songs 4 are to train on and 2 to validate with. The first artist goes to train: squares
    # fall from 16 + 4 to 0 + 4 (big) or 4 + 4 (small), by less in valid. Then big is drawn to
    # neither, (2 - 4)^2 against 2^2 in both, and goes where nothing is; small fits valid.
    entries = [Entry(f"{i}", "big" if i < 4 else "small", "a") for i in range(6)]
    for seed in range(8):
        split_of = artist_split(entries, 1 / 3, 0, seed)
        first = draw_order(["big", "small"], "artist", seed)[0]
        for entry in entries:
            assert (split_of[entry.track_id] == "train") == (entry.artist_id == first)


def test_an_artist_is_on_one_side_only_and_shares_are_near():
    entries = make_entries(6000, 997, "abcde")
    split_of = artist_split(entries, 1 / 6, 1 / 6, 123)
    sides = {(entry.artist_id, split_of[entry.track_id]) for entry in entries}
    assert len(sides) == len({entry.artist_id for entry in entries})
    for genre in "abcde":
        for split, share in zip(SPLITS, (800, 200, 200), strict=True):
            # An artist has about 6 songs of 1 or 2 genres; 20 songs are a tenth of a split.
            assert abs(counts(split_of, entries)[genre, split] - share) <= 20


@given(
    order=st.randoms(use_true_random=False),
    method=st.sampled_from(METHODS),
    num_songs=st.integers(1, 60),
    num_artists=st.integers(1, 60),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_song_has_one_split_whatever_the_order(order, method, num_songs, num_artists, seed):
    entries = make_entries(num_songs, num_artists)
    split_of = split_songs(method, entries, 0.2, 0.2, seed)
    assert split_of.keys() == {entry.track_id for entry in entries}
    assert set(split_of.values()) <= set(SPLITS)
    shuffled = entries.copy()
    order.shuffle(shuffled)
    assert split_songs(method, shuffled, 0.2, 0.2, seed) == split_of


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_is_another_split(method):
    entries = make_entries(60, 30)
    splits = {tuple(sorted(split_songs(method, entries, 0.2, 0.2, s).items())) for s in range(5)}
    assert len(splits) == 5


def test_taking_more_keeps_what_was_taken():
    ids = [f"TR{i}" for i in range(50)]
    taken = [take_at_most(ids, count, seed=1) for count in (5, 20, 50, 99)]
    assert [len(t) for t in taken] == [5, 20, 50, 50]
    assert taken[0] < taken[1] < taken[2] == taken[3] == set(ids)
    assert take_at_most(ids[::-1], 5, seed=1) == taken[0] != take_at_most(ids, 5, seed=2)
