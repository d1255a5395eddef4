"""Songs changed at random while a network trains, so that it sees none of them twice.

What noise, feature dropout and crops make of a batch of standardised songs; where an option is off
its part draws nothing and gives back what it was given.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from msd_jax.config import Augmentation, Config


class Changed(NamedTuple):
    """inputs [B, T', F]: what a network reads in a training step; targets [B, T', F]: the same
    segments as they were, which an autoencoder rebuilds.
    """

    inputs: jax.Array
    targets: jax.Array


def central_crop(config: Config, inputs: jax.Array) -> jax.Array:
    """The central T' segments of songs [B, T, F], the network's length: [B, T', F].

    Songs that are T' long already are given back; of an odd rest the larger half is cut off behind.

    Raises:
      ValueError: for songs shorter than T'.
    """
    if not config.augmentation.crop:
        return inputs
    chex.assert_rank(inputs, 3)
    rest = inputs.shape[1] - config.network_segments
    if rest < 0:
        raise ValueError(f"songs of {inputs.shape[1]} segments are shorter than the network's crop")
    return inputs[:, rest // 2 : rest // 2 + config.network_segments]


def random_crop(config: Config, key: jax.Array, inputs: jax.Array) -> jax.Array:
    """A window of T' segments of each song [B, T, F], every place equally likely: [B, T', F]."""
    chex.assert_rank(inputs, 3)
    num_songs, num_segments, _ = inputs.shape
    length = config.network_segments
    if length == num_segments:
        return inputs
    starts = jax.random.randint(key, (num_songs,), 0, num_segments - length + 1)
    return jax.vmap(lambda song, start: jax.lax.dynamic_slice_in_dim(song, start, length))(
        inputs, starts
    )


def augment(config: Config, key: jax.Array, inputs: jax.Array) -> jax.Array:
    """Songs [B, T, F] with noise, and with features left out, as `config.augmentation` has it.

    Gaussian noise is added to every number. Then each feature of a song is set to 0, its mean over
    the training songs, with the probability `feature_dropout`, in all segments at once: a single
    number could be told from the segments around it. What is left keeps its scale. A song gets all
    this with the probability `augmented_fraction`, and stays as it is otherwise.
    """
    chex.assert_rank(inputs, 3)
    options, (num_songs, _, num_features) = config.augmentation, inputs.shape
    noise_key, dropout_key, fraction_key = jax.random.split(key, 3)
    augmented = inputs
    if options.noise:
        noise = jax.random.normal(noise_key, inputs.shape, inputs.dtype)
        augmented = augmented + options.noise * noise
    if options.feature_dropout:
        shape = (num_songs, 1, num_features)
        is_kept = jax.random.bernoulli(dropout_key, 1 - options.feature_dropout, shape)
        augmented = jnp.where(is_kept, augmented, 0)
    if options.augmented_fraction < 1:
        is_chosen = jax.random.bernoulli(fraction_key, options.augmented_fraction, (num_songs,))
        augmented = jnp.where(is_chosen[:, None, None], augmented, inputs)
    return augmented


def change(config: Config, key: jax.Array | None, inputs: jax.Array) -> Changed:
    """What a training step makes of its songs [B, T, F]; without a key what evaluation does."""
    if key is None or config.augmentation == Augmentation():
        centre = central_crop(config, inputs)
        return Changed(centre, centre)
    crop_key, augment_key = jax.random.split(key)
    targets = random_crop(config, crop_key, inputs)
    return Changed(augment(config, augment_key, targets), targets)
