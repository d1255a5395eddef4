"""What makes a program: the static side of a trial. Free of jax, so that flags can read it."""

import dataclasses

from msd_jax.errors import InputError

MODELS = ("mlp", "baseline", "ensemble", "multitask")
HEADS = ("linear", "relu")
MEMBERS = ("lstm", "mlp")
DECOMPOSITIONS = ("none", "one_vs_all", "round_robin")
POOLINGS = ("vote", "max", "mean", "product", "weighted_mean", "weighted_product")
POOL_WEIGHTS = ("learnt", "accuracy", "joint")
SECONDARIES = ("autoencoder", "binary", "both")
BINARY_WEIGHTS = ("plain", "balanced")
PRECISIONS = ("highest", "tf32")
READOUTS = ("last", "mean", "max", "attention")
SCHEDULES = ("constant", "cosine", "warmup_cosine")
MOST_LAYERS = 100


@dataclasses.dataclass(frozen=True)
class Layers:
    """What an LSTM network has beyond the report's one layer, see `layers.py`; all off by default.

    Attributes:
      num_layers: LSTM layers on top of each other.
      bidirectional: whether each layer reads the song from its end too, with H units more.
      readout: one of `READOUTS`, over time: what the heads get of the last layer.
      dropout: probability that a unit is dropped between two layers and on the readout.
    """

    num_layers: int = 1
    bidirectional: bool = False
    readout: str = "last"
    dropout: float = 0.0

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
        ]
        return tuple(filter(None, words))

    @property
    def num_directions(self) -> int:
        """In which a layer reads the song: what it gives has H units for each."""
        return 2 if self.bidirectional else 1


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained beyond plain Adam, see `optimiser.py`; all off by default.

    Attributes:
      clip_norm: norm that a network's gradient is scaled down to; 0 leaves it.
      schedule: one of `SCHEDULES`, of the learning rate.
      num_epochs: that the schedule is made for; 0 where it is constant.
      label_smoothing: share of a label that is spread over all genres, in training alone.
    """

    clip_norm: float = 0.0
    schedule: str = "constant"
    num_epochs: int = 0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Raises InputError for what cannot be trained with."""
        _require_one_of("schedule", self.schedule, SCHEDULES)
        if not 0 <= self.clip_norm < float("inf"):
            raise InputError(f"clip_norm is {self.clip_norm}: it must be 0 (no clipping) or more")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(
                f"label_smoothing is {self.label_smoothing}: it must be at least 0 and below 1"
            )
        if (self.schedule != "constant") != (self.num_epochs > 0):
            raise InputError(
                f"schedule is {self.schedule} and made for {self.num_epochs} epochs: it needs at "
                "least 1, a constant one 0"
            )


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How songs are changed while a network trains, see `augmentation.py`; all off by default.

    Attributes:
      noise: std of the Gaussian noise added to standardised inputs.
      feature_dropout: probability that a feature of a song is set to 0 in all segments.
      augmented_fraction: share of the songs that get noise and feature dropout.
      crop: T', segments of the window that the network reads; 0 is the whole song.
    """

    noise: float = 0.0
    feature_dropout: float = 0.0
    augmented_fraction: float = 1.0
    crop: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for what no song can be changed by."""
        if not 0 <= self.noise < float("inf"):
            raise InputError(f"noise is {self.noise}: it must be 0 (none) or more")
        if not 0 <= self.feature_dropout < 1:
            raise InputError(
                f"feature_dropout is {self.feature_dropout}: it must be at least 0 and below 1"
            )
        if not 0 < self.augmented_fraction <= 1:
            raise InputError(
                f"augmented_fraction is {self.augmented_fraction}: it must be above 0, at most 1"
            )
        if self.augmented_fraction < 1 and not (self.noise or self.feature_dropout):
            raise InputError(
                f"augmented_fraction is {self.augmented_fraction} and no song is changed: give "
                "noise or feature_dropout too"
            )
        if self.crop < 0:
            raise InputError(f"crop is {self.crop}: it must be 0 (the whole song) or more")


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
      member: the network that each of the ensemble's snippets has.
      decomposition: "none" where a member tells the genre at once, else the questions of
        `decomposition.py`, each with a network of its own.
      pooling: the ensemble's rule that counts as its prediction; all rules are evaluated.
      pool_weights: of both weighted rules: "learnt", each rule's own, or of the members' validation
        "accuracy"; "joint" is "learnt" but for weighted_product, see `pooling.joint_pool`.
      secondary: the multitask model's second task, or both at once.
      binary_weights: "balanced" lets yes and no weigh the same in the binary tasks.
      batch_size: B, songs per training step.
      patience: epochs without a better validation accuracy after which a trial stops; 0 is never.
      layers: of the LSTM networks.
      recipe: how it is trained.
      augmentation: how its songs are changed.
    """

    num_segments: int
    num_features: int
    num_genres: int
    model: str = "baseline"
    num_hidden: int = 100
    num_snippets: int = 1
    head: str = "linear"
    member: str = "lstm"
    decomposition: str = "none"
    pooling: str = "product"
    pool_weights: str = "learnt"
    secondary: str = "autoencoder"
    binary_weights: str = "plain"
    batch_size: int = 50
    patience: int = 0
    layers: Layers = Layers()
    recipe: Recipe = Recipe()
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        """Raises InputError for a combination that makes no model."""
        for name, allowed in (
            ("model", MODELS),
            ("head", HEADS),
            ("member", MEMBERS),
            ("decomposition", DECOMPOSITIONS),
            ("pooling", POOLINGS),
            ("pool_weights", POOL_WEIGHTS),
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
        if "mlp" in (self.model, self.member) and self.layers != Layers():
            raise InputError("layers other than the default: an mlp has no LSTM layers")
        has_binary = self.model == "multitask" and self.secondary != "autoencoder"
        if self.binary_weights != "plain" and not has_binary:
            raise InputError(
                f"binary_weights is {self.binary_weights}: only model=multitask with "
                "secondary=binary or both has binary tasks"
            )
        if self.augmentation.crop > self.num_segments:
            raise InputError(
                f"crop is {self.augmentation.crop}, but the songs have {self.num_segments} "
                "segments: choose one that is no longer than the songs"
            )
        if self.network_segments % self.num_snippets:
            raise InputError(
                f"{self.network_segments} segments cannot be cut into {self.num_snippets} equal "
                "snippets: choose num_snippets that divides the segments"
                + (" of the crop" if self.augmentation.crop else "")
            )
        for name, default in (("member", "lstm"), ("decomposition", "none")):
            if getattr(self, name) != default and self.model != "ensemble":
                raise InputError(f"{name} is {getattr(self, name)}: only model=ensemble has it")
        if self.member == "mlp" and self.head != "linear":
            raise InputError(f"head is {self.head}: a member that is an mlp has no such head")
        if self.decomposition == "round_robin" and self.num_genres < 3:
            raise InputError(
                "two genres are a single pair: decomposition=round_robin needs three or more, "
                "choose none"
            )
        if self.decomposition != "none" and self.recipe.label_smoothing:
            raise InputError(
                f"label_smoothing is {self.recipe.label_smoothing}: the yes-no questions of "
                f"decomposition={self.decomposition} have no labels to spread, choose 0"
            )

    @property
    def network_segments(self) -> int:
        """T', segments that the network reads: those of the crop, or of the whole song."""
        return self.augmentation.crop or self.num_segments

    @property
    def snippet_segments(self) -> int:
        """T' / M, segments of a snippet."""
        return self.network_segments // self.num_snippets

    @property
    def num_logits(self) -> int:
        """Of one network: one a genre, or one for its yes-no question."""
        return self.num_genres if self.decomposition == "none" else 1
