"""The flags of what goes beyond the report's training; all off by default. Free of jax."""

from absl import flags

from msd_jax.config import SCHEDULES

CLIP_NORM = flags.DEFINE_float(
    "clip_norm",
    0.0,
    "Norm that a gradient is scaled down to where it is longer, each ensemble member's by itself; "
    "0 leaves it. Report: 0.",
    lower_bound=0.0,
)
SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "constant",
    SCHEDULES,
    "Of the learning rate over all steps of --num_epochs: constant; cosine, half a wave from "
    "--learning_rate down to 0; warmup_cosine, up in even steps over the first tenth before it. "
    "Report: constant.",
)
LABEL_SMOOTHING = flags.DEFINE_float(
    "label_smoothing",
    0.0,
    "Share of each label that is spread over all genres in the training error, from 0 to below 1; "
    "validation and test keep the true likelihood. Report: 0.",
    lower_bound=0.0,
)
NOISE = flags.DEFINE_float(
    "noise",
    0.0,
    "Std of the Gaussian noise added to training songs, in stds of a feature. Report: 0, its code "
    "also 0.05.",
    lower_bound=0.0,
)
FEATURE_DROPOUT = flags.DEFINE_float(
    "feature_dropout",
    0.0,
    "Probability that a feature of a training song is set to 0, in all its segments, from 0 to "
    "below 1. Report: 0, its code also 0.2.",
    lower_bound=0.0,
)
AUGMENTED_FRACTION = flags.DEFINE_float(
    "augmented_fraction",
    1.0,
    "Share of the training songs that get --noise and --feature_dropout, drawn anew in each step; "
    "above 0. Report: no such thing, its code 0.25.",
    upper_bound=1.0,
)
CROP = flags.DEFINE_integer(
    "crop",
    0,
    "Segments of the window that the network reads: a random one of each training song, the "
    "central one in evaluation; 0 is the whole song. Report: 0.",
    lower_bound=0,
)

RECIPE = (CLIP_NORM, SCHEDULE, LABEL_SMOOTHING)
AUGMENTATION = (NOISE, FEATURE_DROPOUT, AUGMENTED_FRACTION, CROP)
