"""The flags of a build, and the settings read from them."""

import dataclasses
import os
from typing import Any, NamedTuple

from absl import flags

from experiments.command.reading import DEFAULT_LIMITS, Limits
from msd_jax.dataset import SYNTHETIC, stem_of
from msd_jax.errors import InputError
from msd_jax.songs import CROPS
from msd_jax.splits import METHODS

FLAGS = flags.FlagValues()  # its own: a run has flags of the same names


class Preset(NamedTuple):
    """One of the report's two sets."""

    genres: tuple[str, ...]
    max_per_genre: int
    labels: str


# The report's sets: 40,000 songs to train on, 10,000 to validate and 10,000 to test with.
PRESETS = {
    "msd10": Preset(
        ("Rap", "Rock", "RnB", "Electronic", "Metal", "Blues", "Pop", "Jazz", "Country", "Reggae"),
        6000,
        "tagtraum's CD2C labels",
    ),
    "msd25": Preset(
        (
            *("Big Band", "Blues Contemporary", "Country Traditional", "Dance", "Electronica"),
            *("Experimental", "Folk International", "Gospel", "Grunge Emo", "Hip Hop Rap"),
            *("Jazz Classic", "Metal Alternative", "Metal Death", "Metal Heavy"),
            *("Pop Contemporary", "Pop Indie", "Pop Latin", "Punk", "Reggae", "RnB Soul"),
            *("Rock Alternative", "Rock College", "Rock Contemporary", "Rock Hard"),
            "Rock Neo Psychedelia",
        ),
        2400,
        "the MASD labels (styles) of TU Wien",
    ),
}

H5_DIR = flags.DEFINE_string(
    "h5_dir", None, "Folder of the track files TR*.h5, at any depth.", flag_values=FLAGS
)
LABELS = flags.DEFINE_list(
    "labels",
    None,
    "Label files, a comma list: lines of track_id<TAB>genre, as tagtraum's .cls (a second genre is "
    "left aside), MASD's and MAGD's .tsv and .cls are. A track that they give different genres is "
    "left out.",
    flag_values=FLAGS,
)
PRESET = flags.DEFINE_enum(
    "dataset_preset",
    None,
    list(PRESETS),
    "Genres, their order and --max_per_genre of one of the report's sets. msd10 was made from "
    "tagtraum's CD2C labels, msd25 from MASD.",
    flag_values=FLAGS,
)
GENRES = flags.DEFINE_list(
    "genres",
    None,
    "Genres to take, a comma list; label i is the i-th. By default all that have enough songs, in "
    "the order of the alphabet. Case, spaces and underscores do not matter.",
    flag_values=FLAGS,
)
MIN_PER_GENRE = flags.DEFINE_integer(
    "min_per_genre",
    3,
    "Songs that a genre must have: with fewer it is left out or, if it is named by --genres, an "
    "error. 3 is one each to train, validate and test with.",
    lower_bound=1,
    flag_values=FLAGS,
)
MAX_PER_GENRE = flags.DEFINE_integer(
    "max_per_genre",
    None,
    "Songs that are taken of a genre at most, drawn at random. By default all; by presets 6000 "
    "(msd10) and 2400 (msd25), the report's numbers.",
    lower_bound=1,
    flag_values=FLAGS,
)
NUM_SEGMENTS = flags.DEFINE_integer(
    "num_segments",
    120,
    "Segments of a song that are taken; shorter songs are left out. Report: 120.",
    lower_bound=1,
    upper_bound=10_000,
    flag_values=FLAGS,
)
CROP = flags.DEFINE_enum(
    "crop", "central", CROPS, "Which segments of a song. Report: central.", flag_values=FLAGS
)
SPLIT = flags.DEFINE_enum(
    "split",
    "random",
    METHODS,
    "random: songs of each genre by chance. artist: no artist in two of train, valid and test; the "
    "shares of a genre are then only near the fractions. Report: no artist filter is mentioned.",
    flag_values=FLAGS,
)
VALID_FRACTION = flags.DEFINE_float(
    "valid_fraction",
    round(1 / 6, 6),
    "Share of each genre's songs to validate with. Report: a sixth.",
    lower_bound=0.0,
    upper_bound=0.9,
    flag_values=FLAGS,
)
TEST_FRACTION = flags.DEFINE_float(
    "test_fraction",
    round(1 / 6, 6),
    "Share to test with; 0 is no test set. Report: a sixth.",
    lower_bound=0.0,
    upper_bound=0.9,
    flag_values=FLAGS,
)
SEED = flags.DEFINE_integer(
    "seed",
    123,
    "Of what is drawn: the songs of a genre that has too many, and the split.",
    lower_bound=0,
    upper_bound=2**31 - 1,
    flag_values=FLAGS,
)
OUT_DIR = flags.DEFINE_string("out_dir", "data", "Folder for the data set.", flag_values=FLAGS)
NAME = flags.DEFINE_string(
    "name", None, "Stem of its files; `run` takes it as --dataset.", flag_values=FLAGS
)
NUM_WORKERS = flags.DEFINE_integer(
    "num_workers",
    0,
    "Processes that read files; 0 is one a core. The data set does not depend on it.",
    lower_bound=0,
    upper_bound=1024,
    flag_values=FLAGS,
)
DASK_SCHEDULER = flags.DEFINE_string(
    "dask_scheduler",
    None,
    "Address of a Dask scheduler (tcp://HOST:PORT) whose workers read the files instead; they must "
    "see --h5_dir under the same path. Needs the extra 'dask'.",
    flag_values=FLAGS,
)
TIME_LIMIT = flags.DEFINE_float(
    "time_limit",
    DEFAULT_LIMITS.seconds,
    "Seconds that one file may take before it is rejected.",
    lower_bound=0.1,
    upper_bound=1e6,
    flag_values=FLAGS,
)
MEMORY_LIMIT = flags.DEFINE_integer(
    "memory_limit",
    DEFAULT_LIMITS.memory_bytes // 2**20,
    "MiB of address space that a reading process may have.",
    lower_bound=256,
    flag_values=FLAGS,
)

GROUPS = {
    "Input": (H5_DIR, LABELS),
    "Songs": (PRESET, GENRES, MIN_PER_GENRE, MAX_PER_GENRE, NUM_SEGMENTS, CROP),
    "Split": (SPLIT, VALID_FRACTION, TEST_FRACTION, SEED),
    "Output": (OUT_DIR, NAME),
    "Machine": (NUM_WORKERS, DASK_SCHEDULER, TIME_LIMIT, MEMORY_LIMIT),
}


@dataclasses.dataclass(frozen=True)
class BuildSettings:
    """A build as asked for, defaults filled in; genres None is all, max_per_genre None no bound."""

    h5_dir: str
    labels: tuple[str, ...]
    dataset_preset: str | None
    genres: tuple[str, ...] | None
    min_per_genre: int
    max_per_genre: int | None
    num_segments: int
    crop: str
    split: str
    valid_fraction: float
    test_fraction: float
    seed: int
    out_dir: str
    name: str
    num_workers: int
    dask_scheduler: str | None
    time_limit: float
    memory_limit: int

    @property
    def limits(self) -> Limits:
        """Of a process that reads files."""
        return Limits(self.memory_limit * 2**20, self.time_limit)

    def _values(self, groups: tuple[str, ...]) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        names = [holder.name for group in groups for holder in GROUPS[group]]
        return {n: list(v) if isinstance(v := values[n], tuple) else v for n in names}

    def arguments(self) -> dict[str, Any]:
        """What the data set depends on, as JSON has it: not where it goes and who reads."""
        return self._values(("Input", "Songs", "Split"))

    def reading_arguments(self) -> dict[str, Any]:
        """What reading depends on: the rest may change between a stop and going on."""
        reading = ("h5_dir", "labels", "genres", "num_segments", "crop")
        return {name: value for name, value in self.arguments().items() if name in reading}


def read_build_settings() -> BuildSettings:
    """Settings from the parsed flags.

    Raises:
      InputError: for flags that are missing or do not go together.
    """
    names = [holder.name for group in GROUPS.values() for holder in group]
    values: dict[str, Any] = {name: FLAGS[name].value for name in names}
    for name in ("h5_dir", "labels", "name"):
        if not values[name]:
            raise InputError(f"--{name} is missing: give the {_GIVE[name]}")
    if stem_of(values["name"]) != values["name"] or values["name"] == SYNTHETIC:
        raise InputError(f"--name={values['name']} is another data set's: choose another name")
    preset = PRESETS.get(values["dataset_preset"])
    if preset and values["genres"]:
        raise InputError("--dataset_preset sets the genres: leave out one of it and --genres")
    if preset:
        values["genres"] = preset.genres
        values["max_per_genre"] = values["max_per_genre"] or preset.max_per_genre
    if values["genres"] is not None and len(values["genres"]) < 2:
        raise InputError("--genres names fewer than 2 genres: a classifier needs at least 2")
    for fraction in ("valid_fraction", "test_fraction"):
        values[fraction] = _exact_sixth(values[fraction])
    if values["valid_fraction"] == 0:
        raise InputError("--valid_fraction=0: songs to validate with are needed, say 0.1")
    if values["valid_fraction"] + values["test_fraction"] >= 1:
        raise InputError("--valid_fraction and --test_fraction leave no songs to train on")
    if values["min_per_genre"] > (values["max_per_genre"] or values["min_per_genre"]):
        raise InputError("--min_per_genre is above --max_per_genre: no genre could have so many")
    values["num_workers"] = values["num_workers"] or len(os.sched_getaffinity(0))
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return BuildSettings(**{**values, **lists})


_GIVE = {
    "h5_dir": "folder of the Million Song Dataset's track files",
    "labels": "label file, or several with commas between",
    "name": "stem of the files to write, as msd-mine",
}


def _exact_sixth(fraction: float) -> float:
    """A sixth where the rounded one stands that --help shows."""
    return 1 / 6 if fraction == round(1 / 6, 6) else fraction
