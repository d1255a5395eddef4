"""Claims beyond the report: on its ancestors, on its open question, and on a better recipe.

Each but D2 says that one thing gains over another, as the report would have it; that it does not is
found as "contradicted" (it loses) or "not resolved". D2 says that two gains are equal within 1
point. Holm's correction is within a family.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.judging.claims import CLAIMS, LITTLE, Claim
from experiments.judging.effects import Choice
from experiments.judging.views import View
from experiments.studying import answer
from experiments.studying.grids import Grid, make_grid

Chosen = Callable[[Grid], Choice]


class Family(NamedTuple):
    """Claims that are corrected together."""

    title: str
    claims: dict[str, Claim]


def _difference(better: Chosen, than: Chosen) -> Callable[[View], np.ndarray]:
    def effect(view: View) -> np.ndarray:
        return view.accuracy(*better(view.grid)) - view.accuracy(*than(view.grid))

    return effect


def _gain(text: str, preset: str, better: Chosen, than: Chosen, note: str = "") -> Claim:
    """That `better` gains over `than`."""
    return Claim(text, (preset,), "points", _difference(better, than),
                 pair=lambda grid: (better(grid), than(grid)), note=note)  # fmt: skip


def _mlps(decomposition: str, rule: str = "product") -> Chosen:
    return lambda grid: (answer.mlp_members(grid, decomposition), rule)


def _lstms(decomposition: str, rule: str = "product") -> Chosen:
    return lambda grid: (answer.lstm_members(grid, decomposition), rule)


def _rules() -> dict[str, Claim]:
    """Each rule against another on the same trainings."""
    pairs = (("product", "vote"), ("product", "max"), ("product", "mean"),
             ("weighted_mean", "mean"), ("weighted_product", "product"))  # fmt: skip
    members = (("m", "MLP", _mlps), ("l", "LSTM", _lstms))
    return {
        f"A{number}{letter}": _gain(
            f"{kind} members: {rule} gains over {other}".replace("_", " "),
            "ancestors", make("none", rule), make("none", other),
            note="two rules on one training" if letter == "m" and number == 4 else "",
        )
        for number, (rule, other) in enumerate(pairs, 4)
        for letter, kind, make in members
    }  # fmt: skip


def _decompositions() -> dict[str, Claim]:
    words = {"one_vs_all": "one against all", "round_robin": "round robin"}
    members = (("m", "MLP", _mlps), ("l", "LSTM", _lstms))
    return {
        f"A{number}{letter}": _gain(
            f"{kind} members: {words[way]} gains over no decomposition",
            "ancestors", make(way), make("none"),
        )
        for number, way in enumerate(words, 2)
        for letter, kind, make in members
    }  # fmt: skip


ANCESTORS = {
    "A1a": _gain(
        "segments help: MLPs on parts of the song gain over one on the whole",
        "ancestors", _mlps("none"), lambda g: (g.mlp(0.01), "softmax"),
        note="product; the members are narrower",
    ),
    "A1b": _gain(
        "memory helps: LSTM members gain over MLP members", "ancestors", _lstms("none"),
        _mlps("none"), note="product",
    ),
    **_decompositions(),
    **_rules(),
}  # fmt: skip


def _alone(kind: str) -> Chosen:
    return lambda grid: (answer.single(grid, kind), "softmax")


def _together(kind: str) -> Chosen:
    return lambda grid: (answer.ensembled(grid, kind), "product")


_FIRST, *_RICHER = answer.kinds(make_grid("report", "text", "msd10"))


def _gain_of(kind: str) -> Callable[[View], np.ndarray]:
    return _difference(_together(kind), _alone(kind))


def _same_gain(kind: str) -> Claim:
    def effect(view: View) -> np.ndarray:
        return _gain_of(kind)(view) - _gain_of(_FIRST)(view)

    text = f"{kind}: the ensemble gains as much as with {_FIRST}, within 1 point"
    return Claim(text, ("deeper",), "points", effect, low=-LITTLE, high=LITTLE,
                 note="difference of two gains: its interval is the widest")  # fmt: skip


DEEPER = {
    **{
        f"D1{letter}": _gain(f"{kind}: an ensemble of four gains over one LSTM", "deeper",
                             _together(kind), _alone(kind))
        for letter, kind in zip("abcde", (_FIRST, *_RICHER), strict=True)
    },
    **{f"D2{letter}": _same_gain(kind) for letter, kind in zip("bcde", _RICHER, strict=True)},
    **{
        f"D3{letter}": _gain(f"{kind}: one such LSTM gains over the baseline", "deeper",
                             _alone(kind), _alone(_FIRST))
        for letter, kind in zip("bcde", _RICHER, strict=True)
    },
}  # fmt: skip


def _best(grid: Grid) -> Choice:
    return answer.reports_best(grid), "product"


def _whole(grid: Grid) -> Choice:
    return answer.whole(grid), "product"


def _cooked(name: str) -> Chosen:
    return lambda grid: (answer.cooked(grid, name), "product")


def _without(name: str) -> Chosen:
    return lambda grid: (answer.without(grid, name), "product")


def _both(grid: Grid) -> Choice:
    return answer.both_tasks(grid), "softmax"


def _task(task: str) -> Chosen:
    return lambda grid: (grid.multitask(task, grid.alphas[0]), "softmax")


PARTS = tuple(answer.recipe(make_grid("report", "text", "msd10")))
BEYOND = {
    "B1": _gain("the whole recipe gains over the report's best model", "beyond", _whole, _best),
    **{
        f"B2{letter}": _gain(f"{name} alone gains over the report's best model", "beyond",
                             _cooked(name), _best)
        for letter, name in zip("abcdefg", PARTS, strict=True)
    },
    **{
        f"B3{letter}": _gain(f"with {name} the recipe gains over itself without", "beyond",
                             _whole, _without(name))
        for letter, name in zip("abcdefg", PARTS, strict=True)
    },
    "B4a": _gain("both secondary tasks at once gain over none", "beyond", _both,
                 lambda g: (g.baseline, "softmax")),
    "B4b": _gain("both secondary tasks at once gain over the autoencoder alone", "beyond", _both,
                 _task("autoencoder")),
    "B4c": _gain("both secondary tasks at once gain over the binary tasks alone", "beyond", _both,
                 _task("binary"),
                 note="the report's code has 200 units for binary tasks alone on MSD25, else 100"),
}  # fmt: skip

FAMILIES = {
    "report": Family("the report's claims", CLAIMS),
    "ancestors": Family("the report's ancestors", ANCESTORS),
    "deeper": Family("the report's open question", DEEPER),
    "beyond": Family("beyond the report", BEYOND),
}
