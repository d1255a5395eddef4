"""A small model and a few songs, for tests of the training loop."""

import dataclasses

import numpy as np

from msd_jax.config import Config, Layers
from msd_jax.dataset import Songs

T, F, K = 6, 3, 3
CONFIG = Config(T, F, K, num_hidden=5, batch_size=4)
ENSEMBLE = Config(T, F, K, model="ensemble", num_snippets=2, num_hidden=5, batch_size=4)
DROPOUT = dataclasses.replace(CONFIG, layers=Layers(num_layers=2, dropout=0.5))
# All that an LSTM network may have beyond the report's, in an ensemble.
RICH = dataclasses.replace(
    ENSEMBLE,
    layers=Layers(num_layers=2, bidirectional=True, readout="attention", dropout=0.5),
)
ROUND_ROBIN = dataclasses.replace(ENSEMBLE, member="mlp", decomposition="round_robin")


def make_songs(num_songs: int, seed: int = 0) -> Songs:
    """Songs of random numbers whose label shows in their first feature."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num_songs, dtype=np.int32) % K
    inputs = rng.standard_normal((num_songs, T, F)).astype(np.float32)
    inputs[:, :, 0] += labels[:, None]
    return Songs(inputs, labels)
