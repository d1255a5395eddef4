"""What makes a program: the static side of a trial. Free of jax, so that flags can read it."""

import dataclasses

from msd_jax.errors import InputError

MODELS = ("mlp", "baseline", "ensemble", "multitask")
HEADS = ("linear", "relu")
POOLINGS = ("mean", "product", "weighted")
SECONDARIES = ("autoencoder", "binary", "both")
BINARY_WEIGHTS = ("plain", "balanced")
PRECISIONS = ("highest", "tf32")
READOUTS = ("last", "mean", "max", "attention")
MOST_LAYERS = 100


@dataclasses.dataclass(frozen=True)
class Layers:
    """What an LSTM network has beyond the report's one layer, see `layers.py`; all off by default.

    Attributes:
      num_layers: LSTM layers on top of each other.
      bidirectional: whether each layer reads the song from its end too, with H units more.
      readout: one of `READOUTS`, over time: what the heads get of the last layer.
      dropout: probability that a unit is dropped between two layers and on the readout.
      layer_norm: whether what a layer gives is normalised.
    """

    num_layers: int = 1
    bidirectional: bool = False
    readout: str = "last"
    dropout: float = 0.0
    layer_norm: bool = False

    def __post_init__(self) -> None:
        """Raises InputError for what makes no network."""
        _require_one_of("readout", self.readout, READOUTS)
        if not 1 <= self.num_layers <= MOST_LAYERS:
            raise InputError(f"num_layers is {self.num_layers}: it must be 1 to {MOST_LAYERS}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}: it must be at least 0 and below 1")

    @property
    def in_words(self) -> tuple[str, ...]:
        """What is not the report's."""
        words = [
            f"{self.num_layers} layers" if self.num_layers > 1 else "",
            "bidirectional" if self.bidirectional else "",
            f"{self.readout} readout" if self.readout != "last" else "",
            f"dropout {self.dropout:g}" if self.dropout else "",
            "layer norm" if self.layer_norm else "",
        ]
        return tuple(filter(None, words))

    @property
    def num_directions(self) -> int:
        """In which a layer reads the song: what it gives has H units for each."""
        return 2 if self.bidirectional else 1


def _require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}: use one of {', '.join(allowed)}")


@dataclasses.dataclass(frozen=True)
class Config:
    """Whatever changes a shape, a program or a Python branch; static under jit.

    Attributes:
      num_segments: T, segments of a song.
      num_features: F, features of a segment.
      num_genres: K.
      model: one of `MODELS`.
      num_hidden: H, LSTM units of each member, or units of each hidden layer of the MLP.
      num_snippets: M, equal parts of a song; 1 unless the model is an ensemble.
      head: "linear" maps the last hidden state to logits, "relu" has an H x H ReLU layer between.
      pooling: the ensemble's rule that counts as its prediction; all rules are evaluated.
      secondary: the multitask model's second task, or both at once.
      binary_weights: "balanced" lets yes and no weigh the same in the binary tasks.
      batch_size: B, songs per training step.
      patience: epochs without a better validation accuracy after which a trial stops; 0 is never.
      layers: of the LSTM networks.
    """

    num_segments: int
    num_features: int
    num_genres: int
    model: str = "baseline"
    num_hidden: int = 100
    num_snippets: int = 1
    head: str = "linear"
    pooling: str = "product"
    secondary: str = "autoencoder"
    binary_weights: str = "plain"
    batch_size: int = 50
    patience: int = 0
    layers: Layers = Layers()

    def __post_init__(self) -> None:
        """Raises InputError for a combination that makes no model."""
        for name, allowed in (
            ("model", MODELS),
            ("head", HEADS),
            ("pooling", POOLINGS),
            ("secondary", SECONDARIES),
            ("binary_weights", BINARY_WEIGHTS),
        ):
            _require_one_of(name, getattr(self, name), allowed)
        for name in ("num_segments", "num_features", "num_hidden", "num_snippets", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.num_genres < 2:
            raise InputError(f"num_genres is {self.num_genres}: a classifier needs at least 2")
        if self.patience < 0:
            raise InputError(f"patience is {self.patience}: it must be 0 (never stop) or more")
        if self.num_snippets > 1 and self.model != "ensemble":
            raise InputError(
                f"num_snippets is {self.num_snippets}: only model=ensemble has snippets"
            )
        if self.model == "mlp" and self.layers != Layers():
            raise InputError("layers other than the default: model=mlp has no LSTM layers")
        has_binary = self.model == "multitask" and self.secondary != "autoencoder"
        if self.binary_weights != "plain" and not has_binary:
            raise InputError(
                f"binary_weights is {self.binary_weights}: only model=multitask with "
                "secondary=binary or both has binary tasks"
            )
        if self.num_segments % self.num_snippets:
            raise InputError(
                f"{self.num_segments} segments cannot be cut into {self.num_snippets} equal "
                "snippets: choose num_snippets that divides the segments"
            )
