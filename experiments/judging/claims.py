"""The report's claims C1 to C18 and the question that it ends on: what is claimed of each effect.

`effects.py` computes them, `verdicts.py` judges them. Where the report only says "little" or "far",
a number stands here: the one point that it calls an improvement, and five.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.judging import effects
from experiments.judging.effects import Choice
from experiments.judging.views import View
from experiments.studying.grids import Grid

LITTLE = 1.0
FAR = 5.0
INFINITY = float("inf")


class Claim(NamedTuple):
    """A claim that the mean of an effect lies between low and high.

    Attributes:
      text: in words.
      figures: the presets whose trainings it needs.
      unit: of the effect.
      effect: from a view to its values, [n].
      low, high: what is claimed, the bounds themselves left out.
      measures: those on which it is judged.
      pair: the two predictors that McNemar's test compares, where the effect has such a pair.
      per: what the n values are: "seed", or "epoch" for times, which the seeds of one run share.
      note: what a reader has to know.
    """

    text: str
    figures: tuple[str, ...]
    unit: str
    effect: Callable[[View], np.ndarray]
    low: float = 0.0
    high: float = INFINITY
    measures: tuple[str, ...] = ("peak", "held_out")
    pair: Callable[[Grid], tuple[Choice, Choice]] | None = None
    per: str = "seed"
    note: str = ""


_ON_VALIDATION = ("peak",)
_TIME = "wall time on this machine, a trial's share of a sweep's; its load is not in the interval"


def _stable(grid: Grid) -> Choice:
    return grid.baseline, "softmax"


def _four(grid: Grid, rule: str = "product") -> Choice:
    return grid.ensemble(grid.snippets[1]), rule


def _learnt(grid: Grid) -> Choice:
    return grid.weighed(grid.snippets[1])


def _task(grid: Grid, task: str, alpha: int = 0) -> Choice:
    return grid.multitask(task, grid.alphas[alpha]), "softmax"


CLAIMS = {
    "C1": Claim(
        "AS beats L2 by more than 1 point at equal width",
        ("2a", "2b"), "points", effects.as_over_l2, low=LITTLE,
        pair=lambda g: (_stable(g), (g.lstm(g.narrow, l2=g.l2s[1]), "softmax")),
        note="means over the grid; McNemar: the best narrow one of each",
    ),
    "C2": Claim(
        "beta has little effect under AS: less than 1 point",
        ("2b",), "points", effects.larger_beta, low=-LITTLE, high=LITTLE,
        pair=lambda g: (_stable(g), (g.lstm(g.narrow, beta=g.betas[0]), "softmax")),
    ),
    "C3": Claim(
        "AS is more consistent over its grid than L2 (range of accuracies)",
        ("2a", "2b"), "points", effects.spread_of_l2_over_as,
    ),
    "C4a": Claim(
        "200 units gain less than 1 point over 100",
        ("2b",), "points", effects.wider, low=-INFINITY, high=LITTLE,
        pair=lambda g: ((g.lstm(g.wide, beta=g.betas[1]), "softmax"), _stable(g)),
    ),
    "C4b": Claim(
        "200 units more than double the time per epoch",
        ("3a",), "x", effects.seconds_of_wider, low=2.0, measures=_ON_VALIDATION, per="epoch",
        note=_TIME,
    ),
    "C5": Claim(
        "AS reaches its peak earlier than L2",
        ("3b",), "epochs", effects.epochs_earlier, measures=_ON_VALIDATION,
    ),
    "C6": Claim(
        "the LSTM far outperforms the feed-forward network: by more than 5 points",
        ("2b", "mlp"), "points", effects.lstm_over_mlp, low=FAR,
        pair=lambda g: (_stable(g), (g.mlp(0.01), "softmax")),
    ),
    "C7": Claim(
        "snippet ensembles gain over the baseline (by about 1 point)",
        ("2b", "6"), "points", effects.ensemble_over_baseline,
        pair=lambda g: (_four(g), _stable(g)), note="McNemar: four snippets with m1",
    ),
    "C8": Claim(
        "product pooling m1 beats mean pooling m0",
        ("6",), "points", effects.product_over_mean,
        pair=lambda g: (_four(g), _four(g, "mean")), note="McNemar: four snippets",
    ),
    "C9": Claim(
        "4 snippets beat 2",
        ("6",), "points", effects.more_snippets,
        pair=lambda g: (_four(g), (g.ensemble(g.snippets[0]), "product")), note="McNemar: m1",
    ),
    "C10": Claim(
        "the ensemble keeps the validation error from inflating",
        ("7",), "nats", effects.inflation_kept_off,
        note="an artefact in the report: its code took pooled probabilities for logits, and that "
        "error is bounded. Peak: the code's error; held out: the true negative log-likelihood, "
        "of the validation songs too",
    ),
    "C11": Claim(
        "four snippets train faster per epoch than the single LSTM",
        ("7",), "x", effects.seconds_of_baseline_over_ensemble, low=1.0,
        measures=_ON_VALIDATION, per="epoch", note=_TIME,
    ),
    "C12a": Claim(
        "learnt weights m2 gain nothing (less than 1 point) over m0",
        ("8",), "points", effects.weighted_over_mean, low=-INFINITY, high=LITTLE,
        pair=lambda g: (_learnt(g), _four(g, "mean")),
    ),
    "C12b": Claim(
        "learnt weights m2 gain nothing (less than 1 point) over the baseline",
        ("8",), "points", effects.weighted_over_baseline, low=-INFINITY, high=LITTLE,
        pair=lambda g: (_learnt(g), _stable(g)),
    ),
    "C12c": Claim(
        "m2 reaches its peak within 10 epochs",
        ("8",), "epochs", effects.weighted_peak_epoch, low=-INFINITY, high=10.5,
        measures=_ON_VALIDATION,
    ),
    "C13": Claim(
        "multitask gains over the baseline (by 0.5 to 1 point)",
        ("2b", "10"), "points", effects.multitask_over_baseline,
        pair=lambda g: (_task(g, "autoencoder"), _stable(g)),
        note="McNemar: autoencoder, alpha 1",
    ),
    "C14": Claim(
        "the autoencoder task helps more than the binary task",
        ("10",), "points", effects.autoencoder_over_binary,
        pair=lambda g: (_task(g, "autoencoder"), _task(g, "binary")), note="McNemar: alpha 1",
    ),
    "C15a": Claim(
        "the binary task's error stops falling after 10 epochs: under 10% of its fall comes later",
        ("11",), "%", lambda view: effects.late_fall(view, "binary"), low=-INFINITY, high=10.0,
        measures=_ON_VALIDATION,
    ),
    "C15b": Claim(
        "the autoencoder task's error keeps falling: over 10% of its fall comes after epoch 10",
        ("11",), "%", lambda view: effects.late_fall(view, "autoencoder"), low=10.0,
        measures=_ON_VALIDATION,
    ),
    "C16a": Claim(
        "alpha has little effect on accuracy: less than 1 point",
        ("10",), "points", effects.larger_alpha, low=-LITTLE, high=LITTLE,
        pair=lambda g: (_task(g, "autoencoder", 1), _task(g, "autoencoder")),
        note="an artefact in the report: its MSD10 autoencoder run called alpha 2 was launched "
        "with alpha 1",
    ),
    "C16b": Claim(
        "alpha has little effect on the secondary training error: less than 5%",
        ("11",), "%", effects.secondary_error_under_larger_alpha, low=-5.0, high=5.0,
        measures=_ON_VALIDATION, note="the same mislabelled run",
    ),
    "C17": Claim(
        "both secondary tasks cost the same time per epoch, within 10%",
        ("10",), "x", effects.seconds_of_autoencoder_over_binary, low=0.9, high=1.1,
        measures=_ON_VALIDATION, per="epoch", note=_TIME,
    ),
    "C18a": Claim(
        "four snippets with m1 are the best model overall",
        ("2a", "2b", "6", "10", "mlp"), "points", effects.best_over_the_next,
        note="against the rival with the best mean peak",
    ),
    "C18b": Claim(
        "its test accuracy is within 1 point of its validation accuracy",
        ("12",), "points", effects.validation_over_test, low=-LITTLE, high=LITTLE,
        measures=("held_out",), note="validation minus test at the epoch chosen on validation",
    ),
    "open": Claim(
        "an ensemble still helps an LSTM of 200 units (deeper ones: figure deeper)",
        ("open",), "points", effects.ensemble_gain_when_wide,
        pair=lambda g: (
            (g.ensemble(g.snippets[1], g.wide), "product"),
            (g.lstm(g.wide, beta=g.betas[1]), "softmax"),
        ),
        note="the question that the report ends on",
    ),
}  # fmt: skip
