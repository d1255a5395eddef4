"""Which models of a run are meant: flags that `predict` and `export` share. Free of jax."""

import dataclasses
from typing import Any

from absl import flags

# What names a grid point, and what reads its flag.
POINT_FLAGS: dict[str, type[flags.ArgumentParser]] = {
    "num_hidden": flags.IntegerParser,
    "num_snippets": flags.IntegerParser,
    "learning_rate": flags.FloatParser,
    "l2": flags.FloatParser,
    "beta": flags.FloatParser,
    "alpha": flags.FloatParser,
    "alpha_binary": flags.FloatParser,
}


@dataclasses.dataclass(frozen=True)
class Choice:
    """A seed (None: all of them) and the grid points whose named values are these."""

    seed: int | None = None
    point: dict[str, Any] = dataclasses.field(default_factory=dict)

    def allows(self, trial: dict[str, Any]) -> bool:
        """Whether a trial's point has the chosen values."""
        return all(trial[name] == value for name, value in self.point.items())

    def words(self) -> str:
        """The point as flags."""
        return " ".join(f"--{name}={value:g}" for name, value in self.point.items()) or "any point"


def define(flag_values: flags.FlagValues) -> tuple[flags.FlagHolder, ...]:
    """The flags: --seed, and one for each name of a grid point."""
    seed = flags.DEFINE_integer(
        "seed",
        None,
        "Ask this seed alone. By default all seeds of the grid point vote: the mean of their "
        "probabilities.",
        flag_values=flag_values,
    )
    text = (
        "Of the run's grid points only those with this value; of several that are left the one "
        "with the best mean peak validation accuracy over all its seeds is taken."
    )
    points = [
        flags.DEFINE(parser(), name, None, text, flag_values=flag_values)
        for name, parser in POINT_FLAGS.items()
    ]
    return (seed, *points)


def read(flag_values: flags.FlagValues) -> Choice:
    """The Choice that parsed flags make."""
    values = {name: flag_values[name].value for name in POINT_FLAGS}
    point = {name: value for name, value in values.items() if value is not None}
    return Choice(flag_values["seed"].value, point)
