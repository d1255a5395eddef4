"""The flags of deeper and richer LSTM networks; all off by default. Free of jax."""

from absl import flags

from msd_jax.config import MOST_LAYERS, READOUTS

NUM_LAYERS = flags.DEFINE_integer(
    "num_layers",
    None,
    "LSTM layers on top of each other, each of --num_hidden units. By default 1. Report: 1.",
    lower_bound=1,
    upper_bound=MOST_LAYERS,
)
BIDIRECTIONAL = flags.DEFINE_boolean(
    "bidirectional",
    None,
    "Each layer reads the song from its end too, with as many units again. Report: no.",
)
READOUT = flags.DEFINE_enum(
    "readout",
    None,
    READOUTS,
    "What the heads get of the last layer: its last state, the mean or the maximum of its states "
    "over the segments, or attention, their mean with learnt weights. By default last. "
    "Report: last.",
)
DROPOUT = flags.DEFINE_float(
    "dropout",
    None,
    "Probability, from 0 to below 1, that a unit is dropped in a training step, between two layers "
    "and on the readout, never from segment to segment. By default 0. Report: 0.",
    lower_bound=0.0,
)

LAYERS = (NUM_LAYERS, BIDIRECTIONAL, READOUT, DROPOUT)
