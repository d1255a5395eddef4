"""A training run as asked for, read from its flags. Free of jax: mistakes are told quickly."""

import dataclasses
from typing import Any

from absl import flags as absl_flags

from experiments.command import process_flags
from experiments.command.process_flags import DEFAULT_HEARTBEAT_SECONDS
from experiments.running import flags
from msd_jax.dataset import SYNTHETIC
from msd_jax.errors import InputError

_LSTMS = ("baseline", "ensemble", "multitask")
# Which models a flag speaks to, and what it is by default; elsewhere it is None.
_BY_MODEL: dict[str, tuple[tuple[str, ...], Any]] = {
    "num_snippets": (("ensemble",), (4,)),
    "member": (("ensemble",), "lstm"),
    "decomposition": (("ensemble",), "none"),
    "pooling": (("ensemble",), "product"),
    "pool_weights": (("ensemble",), "learnt"),
    "secondary": (("multitask",), "autoencoder"),
    "alpha": (("multitask",), (1.0,)),
    "beta": (_LSTMS, (100.0,)),
    "num_layers": (_LSTMS, 1),
    "bidirectional": (_LSTMS, False),
    "readout": (_LSTMS, "last"),
    "dropout": (_LSTMS, 0.0),
}
# Those of them that have no effect on an ensemble of mlps.
_OF_LSTM = tuple(name for name, (models, _) in _BY_MODEL.items() if models == _LSTMS)


# The same for flags that speak to some secondary tasks.
_BY_SECONDARY: dict[str, tuple[tuple[str, ...], Any]] = {
    "alpha_binary": (("both",), (1.0,)),
    "binary_weights": (("binary", "both"), "plain"),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """A run as asked for, defaults filled in; None where the model has no such thing."""

    dataset: str
    data_dir: str
    fold: str | None
    model: str
    num_hidden: tuple[int, ...]
    head: str
    num_snippets: tuple[int, ...] | None
    member: str | None
    decomposition: str | None
    pooling: str | None
    pool_weights: str | None
    secondary: str | None
    alpha: tuple[float, ...] | None
    alpha_binary: tuple[float, ...] | None
    binary_weights: str | None
    num_layers: int | None
    bidirectional: bool | None
    readout: str | None
    dropout: float | None
    num_epochs: int
    batch_size: int
    learning_rate: tuple[float, ...]
    l2: tuple[float, ...]
    beta: tuple[float, ...] | None
    patience: int
    clip_norm: float
    schedule: str
    label_smoothing: float
    noise: float
    feature_dropout: float
    augmented_fraction: float
    crop: int
    num_seeds: int
    seed: int
    workdir: str | None
    tensorboard: bool
    trials_per_chunk: int
    host_devices: int
    force_new: bool
    step_timeout: float
    debug_nans: bool
    precision: str
    distributed: bool
    coordinator: str | None
    num_processes: int | None
    process_id: int | None
    heartbeat_seconds: int

    @property
    def several_processes(self) -> bool:
        """Whether this process is told to look for others."""
        return self.distributed or self.coordinator is not None


def _fill(
    values: dict[str, Any], chooser: str, table: dict[str, tuple[tuple[str, ...], Any]]
) -> None:
    """Defaults of flags that only some values of the flag `chooser` have a use for.

    Raises:
      InputError: if one is given beside another value.
    """
    chosen = values[chooser]
    for name, (useful, default) in table.items():
        if chosen in useful:
            values[name] = default if values[name] is None else values[name]
        elif values[name] is not None:
            on = f"--{chooser}={chosen}" if chosen else f"--model={values['model']}"
            raise InputError(
                f"--{name} has no effect on {on}: leave it out, or take "
                f"--{chooser}={' or '.join(useful)}"
            )


def _refuse_lstm(values: dict[str, Any]) -> None:
    """Raises InputError for a flag of LSTMs, where there are only mlps."""
    what = "model" if values["model"] == "mlp" else "member"
    given = [name for name in _OF_LSTM if values[name] is not None]
    given += ["head"] if values["head"] != "linear" else []
    if given:
        other = " or ".join(_LSTMS) if what == "model" else "lstm"
        raise InputError(
            f"--{given[0]} has no effect on --{what}=mlp: leave it out, or take --{what}={other}"
        )


def defaults_of(model: str, member: str, secondary: str | None) -> dict[str, Any]:
    """What flags that speak to some models alone are by default under one of such members and
    secondary tasks.
    """
    deaf = _OF_LSTM if member == "mlp" else ()
    of_model = {
        name: default if model in models and name not in deaf else None
        for name, (models, default) in _BY_MODEL.items()
    }
    of_secondary = {
        name: default if secondary in secondaries else None
        for name, (secondaries, default) in _BY_SECONDARY.items()
    }
    return of_model | of_secondary


def read_settings() -> Settings:
    """Settings from the parsed flags.

    Raises:
      InputError: for a flag that the model has no use for, or flags that contradict each other.
    """
    names = [holder.name for group in flags.GROUPS.values() for holder in group]
    values: dict[str, Any] = {name: absl_flags.FLAGS[name].value for name in names}
    has_lstm = values["model"] != "mlp" and values["member"] != "mlp"
    model = values["model"]
    _fill(values, "model", {k: v for k, v in _BY_MODEL.items() if has_lstm or k not in _OF_LSTM})
    _fill(values, "secondary", _BY_SECONDARY)
    if not has_lstm:
        _refuse_lstm(values)
    if absl_flags.FLAGS["data_dir"].present and values["dataset"] == SYNTHETIC:
        raise InputError("--data_dir has no effect on the synthetic songs: name a --dataset in it")
    if values["workdir"] == "":
        raise InputError("--workdir is empty: name a folder, or leave it out")
    if values["force_new"] and values["workdir"] is None:
        raise InputError("--force_new has no effect without --workdir: leave it out")
    process_flags.check(values)
    values["heartbeat_seconds"] = values["heartbeat_seconds"] or DEFAULT_HEARTBEAT_SECONDS
    if values["num_hidden"] is None:
        values["num_hidden"] = (200,) if model == "mlp" else (100,)
    if values["num_epochs"] is None:
        values["num_epochs"] = 30 if model in ("ensemble", "multitask") else 40
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Settings(**{**values, **lists})
