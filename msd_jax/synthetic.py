"""Invented songs with the statistics of real features and genres that ask for more than averages.

No song here is real: this is the default data, so that all runs without the Million Song Dataset.
A song is drawn in standard units (mean 0 and variance 1 for each feature), as a sum of

- its level, constant in time, which differs between the songs of one genre and blurs its colour;
- (a) its colour, constant in time, one of four: told by averages over the song;
- (b) three themes that go round, forward (0, 1, 2, 0, ...) or backward (0, 2, 1, 0, ...), from any
  of them on, each held for 1 to 9 segments. No average and no fixed position tells which way: a
  model has to remember the theme before this one, over a round of about 15 segments;
- (c) a contrast between its two parts, one shifted up and the other down: the song's two ends tell
  which comes first, its average does not;
- noise from segment to segment, first-order autoregressive;

and is then given the features' units. A genre fixes the colour, the way the themes go round and,
where the colour is gold, the part that comes first (any, in the other songs), so that none of the
three suffices. The level hides many a colour, and a few songs stray: they sound like a genre drawn
at random, whatever their label. So no model is always right.
"""

import numpy as np

from msd_jax.dataset import SYNTHETIC, Dataset, Songs
from msd_jax.normaliser import fit_normaliser, normalise

NUM_SEGMENTS, NUM_FEATURES = 120, 25
# Genre 2 g goes forward, 2 g + 1 backward, g the group: red, green, blue, gold early, gold late.
GENRE_NAMES = (
    *("red forward", "red backward", "green forward", "green backward"),
    *("blue forward", "blue backward", "gold early forward", "gold early backward"),
    *("gold late forward", "gold late backward"),
)
NUM_GENRES, NUM_THEMES = len(GENRE_NAMES), 3
COLOUR_OF_GROUP = (0, 1, 2, 3, 3)
GOLD, GOLD_EARLY = 3, 3  # A colour, a group.

# Of the 58,229 segments of 71 real tracks of the Million Song Dataset, measured:
# mean, standard deviation, correlation of neighbouring segments, and the share of the variance that
# lies between tracks. 12 timbre (no unit), 12 pitches (0 to 1), loudness (dB).
# fmt: off
MEAN = np.array([
    42.3, 3.5, 6.4, 7.1, -8.1, -7.1, -2.9, -0.9, 4.0, 1.8, 0.8, 3.8,
    0.449, 0.425, 0.356, 0.293, 0.350, 0.324, 0.320, 0.346, 0.329, 0.378, 0.318, 0.344,
    -22.2,
])
STD = np.array([
    7.9, 67.5, 54.4, 45.6, 36.8, 32.8, 27.4, 26.0, 21.7, 20.1, 18.3, 18.5,
    0.332, 0.320, 0.299, 0.257, 0.299, 0.285, 0.272, 0.302, 0.288, 0.325, 0.288, 0.308,
    9.5,
])
LAG1 = np.array([
    0.89, 0.72, 0.70, 0.22, 0.62, 0.18, 0.55, 0.21, 0.52, 0.19, 0.01, 0.51,
    0.44, 0.36, 0.37, 0.35, 0.40, 0.40, 0.32, 0.42, 0.34, 0.38, 0.38, 0.37,
    0.85,
])
BETWEEN = np.array([
    0.46, 0.51, 0.31, 0.19, 0.34, 0.13, 0.24, 0.10, 0.16, 0.15, 0.05, 0.16,
    0.19, 0.22, 0.13, 0.21, 0.16, 0.15, 0.13, 0.17, 0.16, 0.15, 0.21, 0.18,
    0.43,
])
# fmt: on
PITCHES, LOUDNESS = slice(12, 24), 24
LOUDNESS_FLOOR = -60.0
# Pitches are cut off at 0 and 1: with these, mean and deviation are as above AFTER the cut.
PITCH_SHIFT, PITCH_GAIN = -0.02, 1.12

STRAY_SHARE = 0.1
THEME_SEGMENTS = (1, 9)  # How long a theme is held: at least, at most.
PART_BOUNDARY = (40, 80)  # The second part's first segment: at least, at most.


def _patterns(num_patterns: int, share: np.ndarray) -> np.ndarray:
    """[num_patterns, F]: each raises every num_patterns-th feature, another one each.

    Over the patterns a feature has mean 0 and variance share [F].
    """
    raised = np.arange(NUM_FEATURES) % num_patterns == np.arange(num_patterns)[:, None]
    mean = 1 / num_patterns
    return np.sqrt(share / (mean * (1 - mean))) * (raised - mean)


# How the variance of each feature, 1, is shared out; the noise gets the rest.
_IS_PITCH = np.isin(np.arange(NUM_FEATURES), np.arange(12, 24))
# Between songs: as measured, but less in the pitches, where what lasts is to be the themes.
_LEVEL = np.where(_IS_PITCH, 0.04, BETWEEN)
_COLOUR = np.where(_IS_PITCH, 0.0, 0.18 * BETWEEN)
# A change of theme turns a correlation of 1 between neighbours into one of -1 / 2.
_LAG1_OF_THEMES = 1 - 1.5 / (sum(THEME_SEGMENTS) / 2)
# All that lasts inside a song, except where it lasts longer (loudness, timbre 0) or hardly at all.
_HAS_THEMES = (LAG1 - _LEVEL > 0.15) & (LAG1 < 0.8)
_THEME = np.where(_HAS_THEMES, (LAG1 - _LEVEL) / _LAG1_OF_THEMES, 0.0)
_PART = 0.04 * np.isin(np.arange(NUM_FEATURES), (3, 5, 7, 9))
_NOISE = 1 - _LEVEL - _THEME - _PART
_LAG1_OF_NOISE = (LAG1 - _LEVEL - _THEME * _LAG1_OF_THEMES - _PART) / _NOISE

COLOURS = _patterns(4, _COLOUR)[list(COLOUR_OF_GROUP)]  # [5, F], one a group
COLOURS -= COLOURS.mean(axis=0)
THEMES = _patterns(NUM_THEMES, _THEME)  # [3, F]


def _themes(rng: np.random.Generator, forward: np.ndarray) -> np.ndarray:
    """The theme of every segment, [N, T], of songs that go forward or backward, [N]."""
    num_songs, (shortest, longest) = len(forward), THEME_SEGMENTS
    lengths = rng.integers(shortest, longest + 1, (num_songs, NUM_SEGMENTS))
    # A song begins somewhere inside its first theme.
    ends = lengths.cumsum(axis=1) - rng.integers(0, lengths[:, :1])
    changes = np.zeros((num_songs, NUM_SEGMENTS), np.int64)
    song, which = np.nonzero(ends < NUM_SEGMENTS)
    changes[song, ends[song, which]] = np.where(forward, 1, -1)[song]
    changes[:, 0] = rng.integers(0, NUM_THEMES, num_songs)
    return changes.cumsum(axis=1) % NUM_THEMES


def _parts(rng: np.random.Generator, early: np.ndarray) -> np.ndarray:
    """+1 in the part that is shifted up and -1 in the other, [N, T]; early [N]: up comes first."""
    first, last = PART_BOUNDARY
    boundary = rng.integers(first, last + 1, (len(early), 1))
    return np.where((np.arange(NUM_SEGMENTS) < boundary) == early[:, None], 1, -1)


def _noise(rng: np.random.Generator, num_songs: int) -> np.ndarray:
    """[N, T, F], what the other terms leave of the variance and of the lag-1 autocorrelation."""
    noise = rng.standard_normal((num_songs, NUM_SEGMENTS, NUM_FEATURES))
    new = np.sqrt(1 - _LAG1_OF_NOISE**2)
    for t in range(1, NUM_SEGMENTS):
        noise[:, t] = _LAG1_OF_NOISE * noise[:, t - 1] + new * noise[:, t]
    return np.sqrt(_NOISE) * noise


def raw_songs(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Features in their units, [N, T, F] float64 with MSD's three decimals, of labels [N]."""
    num_songs = len(labels)
    strays = rng.random(num_songs) < STRAY_SHARE
    genre = np.where(strays, rng.integers(0, NUM_GENRES, num_songs), labels)
    group, forward = genre // 2, genre % 2 == 0
    is_gold = np.take(COLOUR_OF_GROUP, group) == GOLD
    early = np.where(is_gold, group == GOLD_EARLY, rng.random(num_songs) < 0.5)

    level_std = np.sqrt(_LEVEL - COLOURS.var(axis=0))
    level = level_std * rng.standard_normal((num_songs, NUM_FEATURES))
    songs = (level + COLOURS[group])[:, None, :] + THEMES[_themes(rng, forward)]
    songs += np.sqrt(_PART) * _parts(rng, early)[:, :, None] + _noise(rng, num_songs)

    raw = MEAN + PITCH_SHIFT * _IS_PITCH + STD * np.where(_IS_PITCH, PITCH_GAIN, 1.0) * songs
    raw[..., PITCHES] = raw[..., PITCHES].clip(0.0, 1.0)
    raw[..., LOUDNESS] = raw[..., LOUDNESS].clip(LOUDNESS_FLOOR, 0.0)
    return raw.round(3)


def synthetic_dataset(seed: int = 0, sizes: tuple[int, int, int] = (2000, 500, 500)) -> Dataset:
    """Invented songs of ten invented genres; a seed gives the same songs on every machine.

    Rounding to three decimals drops what machines may do differently in the last place. Each split
    is drawn from a stream of its own, so that its songs do not depend on the others' sizes.

    Args:
      seed: of the songs, at least 0; the genres are the same for every seed.
      sizes: songs of train, valid and test; the genres' counts in each differ by at most one.

    Returns:
      The Dataset, inputs [N, T, F] float16, standardised with the training songs' statistics.
    """
    raw = []
    for split, size in enumerate(sizes):
        rng = np.random.Generator(np.random.PCG64([seed, split]))
        labels = rng.permutation(np.arange(size) % NUM_GENRES).astype(np.int32)
        raw.append(Songs(raw_songs(rng, labels), labels))
    normaliser = fit_normaliser(raw[0].inputs)
    train, valid, test = (Songs(normalise(normaliser, s.inputs), s.labels) for s in raw)
    return Dataset(SYNTHETIC, train, valid, test, GENRE_NAMES)
