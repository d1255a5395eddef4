"""A training run as asked for, read from its flags. Free of jax: mistakes are told quickly."""

import dataclasses
from typing import Any

from absl import flags as absl_flags

from experiments.command import process_flags
from experiments.command.process_flags import DEFAULT_HEARTBEAT_SECONDS
from experiments.running import flags
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
    "layer_norm": (_LSTMS, False),
}
# Those of them that have no effect on an ensemble of mlps.
_OF_LSTM = tuple(name for name, (models, _) in _BY_MODEL.items() if models == _LSTMS)


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
    num_layers: int | None
    bidirectional: bool | None
    readout: str | None
    dropout: float | None
    layer_norm: bool | None
    num_epochs: int
    batch_size: int
    learning_rate: tuple[float, ...]
    l2: tuple[float, ...]
    beta: tuple[float, ...] | None
    patience: int
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


def defaults_of(model: str, member: str) -> dict[str, Any]:
    """What flags that speak to some models alone are by default under a model of such members."""
    deaf = _OF_LSTM if member == "mlp" else ()
    return {
        name: default if model in models and name not in deaf else None
        for name, (models, default) in _BY_MODEL.items()
    }


def read_settings() -> Settings:
    """Settings from the parsed flags.

    Raises:
      InputError: for a flag that the model has no use for, or flags that contradict each other.
    """
    names = [holder.name for group in flags.GROUPS.values() for holder in group]
    values: dict[str, Any] = {name: absl_flags.FLAGS[name].value for name in names}
    model, has_lstm = values["model"], values["model"] != "mlp" and values["member"] != "mlp"
    for name, (models, default) in _BY_MODEL.items():
        if name in _OF_LSTM and model in models and not has_lstm:
            if values[name] is not None:
                raise InputError(
                    f"--{name} has no effect on --member=mlp: leave it out, or take --member=lstm"
                )
        elif model in models:
            values[name] = default if values[name] is None else values[name]
        elif values[name] is not None:
            raise InputError(
                f"--{name} has no effect on --model={model}: leave it out, or take "
                f"--model={' or '.join(models)}"
            )
    if values["head"] != "linear" and not has_lstm:
        what = "--model=mlp" if model == "mlp" else "--member=mlp"
        raise InputError(f"--head has no effect on {what}: leave it out")
    process_flags.check(values)
    values["heartbeat_seconds"] = values["heartbeat_seconds"] or DEFAULT_HEARTBEAT_SECONDS
    if values["num_hidden"] is None:
        values["num_hidden"] = (200,) if model == "mlp" else (100,)
    if values["num_epochs"] is None:
        values["num_epochs"] = 30 if model in ("ensemble", "multitask") else 40
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Settings(**{**values, **lists})
