"""Invented songs with the statistics of real features and genres that ask for more than averages.

No song here is real: the default data, so that everything runs without the Million Song Dataset. A
song is drawn in standard units (mean 0 and variance 1 for each feature), as a sum of

- its level, constant in time, which differs between the songs of one genre and blurs its colour;
- (a) its colour, constant in time, one of five: told by averages over the song;
- (b) three themes that go round, each held for 8 to 20 segments: mostly forward (0, 1, 2, 0, ...) or
  mostly backward (0, 2, 1, 0, ...), starting anywhere. No average and no fixed position tells which:
  a model has to remember the theme before this one, and each change adds only some evidence;
- (c) a contrast between its two parts: one shifted up, the other down, as much in sum over genres;
- noise from segment to segment, first-order autoregressive;

and is then given the features' units. Two genres share each colour. In three colours they differ in
the way the themes go round, in the other two in which part comes first. What does not make the genre
is in every song all the same, drawn at random, so that none of the three suffices. Some songs stray:
they sound like a genre drawn at random, whatever their label, so that no model is always right.
"""

import numpy as np

from msd_jax.dataset import Dataset, Songs, fit_normaliser, normalise

NUM_SEGMENTS, NUM_FEATURES = 120, 25
GENRE_NAMES = (
    *("red forward", "red backward", "green forward", "green backward"),
    *("blue forward", "blue backward", "gold early", "gold late", "grey early", "grey late"),
)
NUM_GENRES, NUM_COLOURS, NUM_THEMES = len(GENRE_NAMES), 4, 3
# Genres 2 c and 2 c + 1 have colour c; the way the themes go round tells them apart in these colours.


# Of the 58,229 segments of 71 real tracks (shared/data/real_tracks_71.npz; facts.md, section 3):
# mean, standard deviation and correlation of neighbouring segments, and the share of a feature's
# variance that lies between tracks. 12 timbre (no unit), 12 pitches (0 to 1), loudness (dB).
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

TIMBRE, PITCHES, LOUDNESS = slice(0, 12), slice(12, 24), 24
LOUDNESS_FLOOR = -60.0
# Pitches are cut off at 0 and 1. With these their mean and deviation AFTER the cut are as above (for a
# normal variable: mean within 0.04 std, deviation within 3 %).
PITCH_SHIFT, PITCH_GAIN = -0.03, 1.24

STRAY_SHARE = 0.1
MIX = False
THEME_SEGMENTS = (2, 4)  # How long a theme is held: at least, at most.
RIGHT_WAY_SHARE = 0.85  # Changes of theme that go the song's own way round.
PART_BOUNDARY = (40, 80)  # The second part's first segment: at least, at most.


def _patterns(num_patterns: int, where: np.ndarray) -> np.ndarray:
    """[num_patterns, F]: pattern p raises every num_patterns-th feature of `where`, from p on.

    Over the patterns each feature of `where` has mean 0 and variance 1, the others are 0.
    """
    raised = np.arange(NUM_FEATURES) % num_patterns == np.arange(num_patterns)[:, None]
    mean = 1 / num_patterns
    return where * (raised - mean) / np.sqrt(mean * (1 - mean))


_IS_PITCH = np.isin(np.arange(NUM_FEATURES), np.arange(12, 24))
import os as _os
THEME_SEGMENTS = eval(_os.environ.get("TS", "(2, 4)")); KAP = float(_os.environ.get("KAP", "0.2"))
_COLOUR_SHARE = KAP * BETWEEN * ~_IS_PITCH
# Features that neighbouring segments share inside a song hold the themes, some others the contrast.
BETWEEN = np.where(_IS_PITCH, float(_os.environ.get("PB","0.04")), BETWEEN)
_LAG1_OF_THEMES = 1 - 1.5 / (sum(THEME_SEGMENTS) / 2)
_ROOM = LAG1 - BETWEEN
_THEME_SHARE = np.where(_ROOM > 0.15, np.minimum(_ROOM / _LAG1_OF_THEMES, (0.95 * (1 - BETWEEN) - _ROOM) / (0.95 - _LAG1_OF_THEMES)), 0)
_PART_SHARE = 0.04 * np.isin(np.arange(NUM_FEATURES), (3, 5, 7, 9))
COLOURS = _patterns(NUM_COLOURS, np.sqrt(_COLOUR_SHARE))
THEMES = _patterns(NUM_THEMES, np.sqrt(_THEME_SHARE))
CONTRAST = np.sqrt(_PART_SHARE)


def _themes(rng: np.random.Generator, forward: np.ndarray) -> np.ndarray:
    """The theme of every segment, [N, T], for songs that go forward or backward, [N]."""
    shortest, longest = THEME_SEGMENTS
    shape = (len(forward), NUM_SEGMENTS // shortest + 1)
    lengths = rng.integers(shortest, longest + 1, shape)
    # A song begins somewhere inside its first theme.
    ends = lengths.cumsum(axis=1) - rng.integers(0, lengths[:, :1])
    num_changes = (np.arange(NUM_SEGMENTS)[:, None] >= ends[:, None, :]).sum(axis=2)
    right_way = rng.random(shape) < (RIGHT_WAY_SHARE + (1-RIGHT_WAY_SHARE)*rng.random((len(forward),1)) if MIX else RIGHT_WAY_SHARE)
    steps = np.where(right_way == forward[:, None], 1, -1)
    steps[:, 0] = rng.integers(0, NUM_THEMES, len(forward))
    return np.take_along_axis(steps.cumsum(axis=1), num_changes, axis=1) % NUM_THEMES


def _parts(rng: np.random.Generator, early: np.ndarray) -> np.ndarray:
    """+1 in the part that is shifted up and -1 in the other, [N, T]; early [N]: up comes first."""
    first, last = PART_BOUNDARY
    boundary = rng.integers(first, last + 1, len(early))
    in_first = np.arange(NUM_SEGMENTS) < boundary[:, None]
    return np.where(in_first == early[:, None], 1, -1)


def _noise(rng: np.random.Generator, num_songs: int) -> np.ndarray:
    """[N, T, F]: what is left of variance 1 and of the lag-1 autocorrelation by all the rest."""
    variance = 1 - BETWEEN - _THEME_SHARE - _PART_SHARE
    lag1_of_rest = BETWEEN + _THEME_SHARE * _LAG1_OF_THEMES + _PART_SHARE
    carried = (LAG1 - lag1_of_rest) / variance
    noise = rng.standard_normal((num_songs, NUM_SEGMENTS, NUM_FEATURES))
    for t in range(1, NUM_SEGMENTS):
        noise[:, t] = carried * noise[:, t - 1] + np.sqrt(1 - carried**2) * noise[:, t]
    return np.sqrt(variance) * noise


def raw_songs(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Features in their units, [N, T, F] float64 with three decimals as in MSD, of labels [N]."""
    num_songs = len(labels)
    strays = rng.random(num_songs) < STRAY_SHARE
    genre = np.where(strays, rng.integers(0, NUM_GENRES, num_songs), labels)
    group, forward = genre // 2, genre % 2 == 0
    colour = np.minimum(group, NUM_COLOURS - 1)
    early = np.where(group < 3, rng.random(num_songs) < 0.5, group == 3)

    level = rng.standard_normal((num_songs, NUM_FEATURES)) * np.sqrt(BETWEEN - _COLOUR_SHARE)
    songs = (level + COLOURS[colour])[:, None, :] + THEMES[_themes(rng, forward)]
    songs += _parts(rng, early)[:, :, None] * CONTRAST
    songs += _noise(rng, num_songs)

    gain, shift = np.where(_IS_PITCH, PITCH_GAIN, 1.0), np.where(_IS_PITCH, PITCH_SHIFT, 0.0)
    raw = MEAN + shift + STD * gain * songs
    raw[..., PITCHES] = raw[..., PITCHES].clip(0.0, 1.0)
    raw[..., LOUDNESS] = raw[..., LOUDNESS].clip(LOUDNESS_FLOOR, 0.0)
    return raw.round(3)


def synthetic_dataset(
    seed: int = 0, sizes: tuple[int, int, int] = (2000, 500, 500)
) -> Dataset:
    """Invented songs of ten invented genres: a seed gives the same songs on every machine.

    Rounding to three decimals drops what machines may do differently in the last place, and a split
    is drawn from a stream of its own, so that its songs do not depend on the other splits' sizes.

    Args:
      seed: of the songs, at least 0; the genres are the same for every seed.
      sizes: songs of train, valid and test; the genres' counts differ by at most one.

    Returns:
      The Dataset, standardised with the training songs' statistics, float16.
    """
    raw = []
    for split, size in enumerate(sizes):
        rng = np.random.Generator(np.random.PCG64([seed, split]))
        labels = rng.permutation(np.arange(size) % NUM_GENRES).astype(np.int32)
        raw.append(Songs(raw_songs(rng, labels), labels))
    normaliser = fit_normaliser(raw[0].inputs)
    train, valid, test = (Songs(normalise(normaliser, s.inputs), s.labels) for s in raw)
    return Dataset("synthetic", train, valid, test, GENRE_NAMES)
