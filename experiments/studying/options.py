"""What a training may have beyond the report's own, by the names of its flags."""

from typing import Any, NamedTuple


class Options(NamedTuple):
    """Values of flags of `python -m experiments.run`; by default what the report has."""

    member: str = "lstm"
    decomposition: str = "none"
    pool_weights: str = "learnt"
    num_layers: int = 1
    bidirectional: bool = False
    readout: str = "last"
    dropout: float = 0.0
    clip_norm: float = 0.0
    schedule: str = "constant"
    label_smoothing: float = 0.0
    noise: float = 0.0
    feature_dropout: float = 0.0
    augmented_fraction: float = 1.0
    crop: int = 0
    alpha_binary: float | None = None
    binary_weights: str = "plain"

    @property
    def given(self) -> dict[str, Any]:
        """Those that the report has not."""
        return {
            name: value
            for name, value in self._asdict().items()
            if value != self._field_defaults[name]
        }

    @property
    def words(self) -> list[str]:
        """Each that is given, such as "num_layers 2" or "bidirectional"."""
        return [
            name if value is True else f"{name} {value if isinstance(value, str) else f'{value:g}'}"
            for name, value in self.given.items()
        ]


REPORTS = Options()
JOINT = Options(pool_weights="joint")  # the report's m2 as its code had it


def options_from(flags: dict[str, Any]) -> Options:
    """Those among the flags of a run; what a run has no use for or did not know is the report's."""
    known = {name: flags.get(name) for name in Options._fields}
    return Options(**{name: value for name, value in known.items() if value is not None})
