"""What makes a program: the static side of a trial. Free of jax, so that flags can read it."""

import dataclasses

from msd_jax.errors import InputError

MODELS = ("mlp", "baseline", "ensemble", "multitask")
HEADS = ("linear", "relu")
MEMBERS = ("lstm", "mlp")
DECOMPOSITIONS = ("none", "one_vs_all", "round_robin")
POOLINGS = ("vote", "max", "mean", "product", "weighted_mean", "weighted_product")
POOL_WEIGHTS = ("learnt", "accuracy")
SECONDARIES = ("autoencoder", "binary")
PRECISIONS = ("highest", "tf32")


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
        "accuracy".
      secondary: the multitask model's second task.
      batch_size: B, songs per training step.
      patience: epochs without a better validation accuracy after which a trial stops; 0 is never.
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
    batch_size: int = 50
    patience: int = 0

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
        ):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}: use one of {', '.join(allowed)}"
                )
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
        if self.num_segments % self.num_snippets:
            raise InputError(
                f"{self.num_segments} segments cannot be cut into {self.num_snippets} equal "
                "snippets: choose num_snippets that divides the segments"
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

    @property
    def snippet_segments(self) -> int:
        """T / M, segments that one network reads."""
        return self.num_segments // self.num_snippets

    @property
    def num_logits(self) -> int:
        """Of one network: one a genre, or one for its yes-no question."""
        return self.num_genres if self.decomposition == "none" else 1
