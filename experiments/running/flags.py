"""The flags of a training run. Free of jax: --help is quick."""

from collections.abc import Sequence

from absl import flags

from experiments.command import process_flags
from experiments.running import ensemble_flags, layer_flags, recipe_flags
from msd_jax.config import BINARY_WEIGHTS, HEADS, MODELS, PRECISIONS, SECONDARIES


class _NumberList(flags.ArgumentParser):
    """A comma list of different numbers, each at least (or, if strict, above) zero or one."""

    def __init__(self, number: type[int] | type[float], least: int, strict: bool = False) -> None:
        self._number, self._least, self._strict = number, least, strict
        self.syntactic_help = "a comma list of numbers"

    def parse(self, argument: str | Sequence[float]) -> list[float]:
        if not isinstance(argument, str):
            return list(argument)
        try:
            numbers = [self._number(word) for word in argument.split(",")]
        except ValueError:
            kind = "whole numbers" if self._number is int else "numbers"
            raise ValueError(f"give {kind} separated by commas") from None
        if len(set(numbers)) < len(numbers):
            raise ValueError("a value stands there twice")
        for x in numbers:
            if not x >= self._least or (self._strict and x == self._least):
                bound = "above" if self._strict else "at least"
                raise ValueError(f"{x} is not allowed: it must be {bound} {self._least}")
        return numbers


def _floats(name: str, default: str | None, text: str, strict: bool = False) -> flags.FlagHolder:
    serializer = flags.CsvListSerializer(",")
    return flags.DEFINE(_NumberList(float, 0, strict), name, default, text, serializer=serializer)


def _ints(name: str, default: str | None, text: str) -> flags.FlagHolder:
    serializer = flags.CsvListSerializer(",")
    return flags.DEFINE(_NumberList(int, 1), name, default, text, serializer=serializer)


DATASET = flags.DEFINE_string(
    "dataset",
    "synthetic",
    "synthetic (songs made up here), msd10 or msd25 (the course's files), or the stem S of "
    "S-train.npz and S-valid.npz in --data_dir, with S-test-inputs.npz and S-test-targets.npz "
    "where there is a test set. Report: msd10 and msd25.",
)
DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of the data set's files.")
FOLD = flags.DEFINE_string(
    "fold",
    None,
    "k/K, such as 2/5: divide all labelled songs K times into train, valid and test, and take the "
    "k-th division. By default the data set's own. Report: its own.",
)
MODEL = flags.DEFINE_enum(
    "model",
    "baseline",
    MODELS,
    "mlp: two hidden layers, no memory. baseline: one LSTM over the song. ensemble: one member a "
    "snippet of the song, pooled. multitask: the baseline with a secondary task. Report: all four.",
)
NUM_HIDDEN = _ints(
    "num_hidden",
    None,
    "Units of the LSTM (of each member), or of each layer of the mlp; a list trains one program "
    "each. By default 100, for the mlp 200. Report: 100 and 200.",
)
HEAD = flags.DEFINE_enum(
    "head",
    "linear",
    HEADS,
    "linear: last hidden state to logits, as the report's text has it. relu: a dense ReLU layer "
    "between, as its code had.",
)
NUM_SNIPPETS = _ints(
    "num_snippets",
    None,
    "Equal parts that the ensemble cuts a song into, a divisor of its segments; a list trains one "
    "program each. By default 4. Report: 2 and 4.",
)
SECONDARY = flags.DEFINE_enum(
    "secondary",
    None,
    SECONDARIES,
    "Second task of the multitask model: rebuild the song, or answer one yes-no question a genre, "
    "or both at once. By default autoencoder. Report: the first two, one at a time.",
)
ALPHA = _floats(
    "alpha",
    None,
    "Weight of the secondary task in the multitask model's error, without unit, of the autoencoder "
    "where there are both; a list makes trials. By default 1. Report: 1 and 2.",
)
ALPHA_BINARY = _floats(
    "alpha_binary",
    None,
    "Weight of the binary tasks under --secondary=both, without unit; a list makes trials. By "
    "default 1. Report: never both.",
)
BINARY_WEIGHTS_FLAG = flags.DEFINE_enum(
    "binary_weights",
    None,
    BINARY_WEIGHTS,
    "plain: each answer of the binary tasks weighs 1, so the K - 1 noes of a song outweigh its "
    "yes. balanced: a yes weighs K / 2 and a no K / (2 (K - 1)), alike in all where genres have as "
    "many songs. By default plain. Report: plain.",
)
NUM_EPOCHS = flags.DEFINE_integer(
    "num_epochs",
    None,
    "Passes over the training songs. By default 40, for ensemble and multitask 30. Report: these.",
    lower_bound=1,
    upper_bound=10**6,
)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 50, "Songs of one training step. Report: 50.", lower_bound=1
)
LEARNING_RATE = _floats(
    "learning_rate", "0.001", "Of Adam, per step; a list makes trials. Report: 0.001.", strict=True
)
L2 = _floats(
    "l2",
    "0",
    "The report's lambda: weight of half the sum of squares of all kernels; a list makes trials. "
    "Report: 0.0001 and 0.001.",
)
BETA = _floats(
    "beta",
    None,
    "Weight of the activation stabiliser (AS), the mean squared change of the hidden state's norm "
    "from segment to segment; a list makes trials. By default 100. Report: 50 and 100.",
)
PATIENCE = flags.DEFINE_integer(
    "patience",
    0,
    "Epochs without a better validation accuracy after which a trial stops; 0 is never. The "
    "parameters of the best epoch are kept in any case. Report: 0.",
    lower_bound=0,
    upper_bound=10**6,
)
NUM_SEEDS = flags.DEFINE_integer(
    "num_seeds",
    1,
    "Trials at each grid point, seeds counted up from --seed. Report: 1.",
    lower_bound=1,
)
SEED = flags.DEFINE_integer(
    "seed",
    123,
    "First seed: it fixes initial values and the order of the songs, the same for every grid "
    "point. Report: 123.",
    lower_bound=0,
    upper_bound=2**31 - 1,
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder for what the run writes; the same command with the same folder goes on where it "
    "stopped. By default runs/<dataset>-<model>-<date-time>.",
)
TRIALS_PER_CHUNK = flags.DEFINE_integer(
    "trials_per_chunk",
    0,
    "Trials that one program trains at once; the others of its grid wait their turn. 0 is as many "
    "as fit the memory. Results do not depend on it.",
    lower_bound=0,
)
HOST_DEVICES = flags.DEFINE_integer(
    "host_devices",
    0,
    "CPU devices that trials are divided over, where there is no accelerator; 0 is one a core.",
    lower_bound=0,
    upper_bound=1024,
)
FORCE_NEW = flags.DEFINE_boolean(
    "force_new",
    False,
    "Where --workdir belongs to another run, take the first of WORKDIR-2, WORKDIR-3, ... that is "
    "new or this run's own.",
)
STEP_TIMEOUT = flags.DEFINE_float(
    "step_timeout",
    0.0,
    "Seconds without any progress after which the run ends itself with exit code 75 and the stacks "
    "of its threads on stderr; 0 is never. Steps come in calls of about 3 seconds, and compiling "
    "is no progress: give some minutes.",
    lower_bound=0.0,
    upper_bound=1e9,
)
DEBUG_NANS = flags.DEFINE_boolean(
    "debug_nans",
    False,
    "Tell of each trial that diverges where its first number that is not finite arose.",
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "highest",
    PRECISIONS,
    "Of float32 products on a GPU: highest keeps all 24 bits, tf32 keeps 11 and is faster. A CPU "
    "has highest alone. Report: not said.",
)

TENSORBOARD = flags.DEFINE_bool(
    "tensorboard", False, "Write the metrics as event files too, live (extra tb)."
)

GROUPS = {
    "Data": (DATASET, DATA_DIR, FOLD),
    "Model": (MODEL, NUM_HIDDEN, HEAD, SECONDARY, ALPHA, ALPHA_BINARY, BINARY_WEIGHTS_FLAG),
    "Ensemble": (NUM_SNIPPETS, *ensemble_flags.MEMBERSHIP),
    "Layers of an LSTM": layer_flags.LAYERS,
    "Training": (NUM_EPOCHS, BATCH_SIZE, LEARNING_RATE, L2, BETA, PATIENCE),
    "Training recipe": recipe_flags.RECIPE,
    "Augmentation": recipe_flags.AUGMENTATION,
    "Trials": (NUM_SEEDS, SEED),
    "Machine and files": (
        WORKDIR,
        FORCE_NEW,
        TENSORBOARD,
        TRIALS_PER_CHUNK,
        HOST_DEVICES,
        PRECISION,
        STEP_TIMEOUT,
        DEBUG_NANS,
    ),
    "Several machines": process_flags.GROUP,
}
