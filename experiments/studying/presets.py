"""One entry a figure of the report, and three beyond it: what each trains, its command, numbers.

python -m experiments.study --list
"""

from collections.abc import Callable
from typing import NamedTuple

from experiments.studying import answer
from experiments.studying.grids import Grid, Point


class Preset(NamedTuple):
    """A figure: its title, the points it shows, the report's number, and commands to train them.

    The commands are of `python -m experiments.run`, with the report's grid and text; data set,
    seeds and folder are to be added.
    """

    title: str
    points: Callable[[Grid], list[Point]]
    reported: str
    commands: tuple[str, ...]


def _l2(grid: Grid) -> list[Point]:
    l2s = sorted({*grid.l2s, *grid.more_l2s})
    return [grid.lstm(width, l2=l2) for width in grid.widths for l2 in l2s]


def _stabilised(grid: Grid) -> list[Point]:
    betas = sorted({*grid.betas, *grid.more_betas})
    return [grid.lstm(width, beta=beta) for width in grid.widths for beta in betas]


def _best_narrow(grid: Grid) -> list[Point]:
    return [grid.lstm(grid.narrow, l2=grid.l2s[1]), grid.baseline]


def _ensembles(grid: Grid) -> list[Point]:
    return [grid.ensemble(m) for m in sorted({*grid.snippets, *grid.more_snippets})]


def _learnt_pooling(grid: Grid) -> list[Point]:
    m2, _ = grid.weighed(grid.snippets[1])
    return [grid.baseline, grid.ensemble(grid.snippets[1]), m2]


def _multitask(grid: Grid) -> list[Point]:
    alphas = sorted({*grid.alphas, *grid.more_alphas})
    return [grid.multitask(task, a) for task in ("autoencoder", "binary") for a in alphas]


def _open_question(grid: Grid) -> list[Point]:
    wide = [grid.lstm(grid.wide, beta=grid.betas[1]), grid.ensemble(grid.snippets[1], grid.wide)]
    return [grid.baseline, grid.ensemble(grid.snippets[1], grid.narrow), *wide]


_L2 = "--model=baseline --l2=0.0001,0.001 --beta=0 --num_hidden=100,200"
_STABILISED = "--model=baseline --beta=50,100 --num_hidden=100,200"
_BASELINE = "--model=baseline"
_FOUR = "--model=ensemble --num_snippets=4"
_MULTITASK = (
    "--model=multitask --secondary=autoencoder --alpha=1,2",
    "--model=multitask --secondary=binary --alpha=1,2",
)

PRESETS = {
    "2a": Preset(
        "L2: peak accuracy over lambda and width",
        _l2,
        "MSD25: 25.8 to 28.5%",
        (_L2,),
    ),
    "2b": Preset(
        "Activation stabilisation: peak accuracy over beta and width",
        _stabilised,
        "MSD25: 28.6 to 29.1%",
        (_STABILISED,),
    ),
    "3a": Preset(
        "Seconds per epoch under activation stabilisation",
        _stabilised,
        "MSD25: 100 s an epoch at 100 units, more than twice that at 200",
        (_STABILISED,),
    ),
    "3b": Preset(
        "Learning curves of the best L2 and the best stabilised LSTM",
        _best_narrow,
        "MSD25: peaks at 28 and 29%, the stabilised one earlier",
        ("--model=baseline --l2=0.001 --beta=0", _BASELINE),
    ),
    "4": Preset(
        "The same grids on the other data set",
        lambda grid: _l2(grid) + _stabilised(grid),
        "MSD10: 61 to 63% under L2, 64% stabilised",
        (_L2, _STABILISED),
    ),
    "6": Preset(
        "Ensembles: peak accuracy over snippets and pooling",
        _ensembles,
        "MSD25: 29.2 to 30.4%; MSD10: 65.0 to 65.6%",
        ("--model=ensemble --num_snippets=2,4",),
    ),
    "7": Preset(
        "Error and accuracy of the baseline and of four snippets",
        lambda grid: [grid.baseline, grid.ensemble(grid.snippets[1])],
        "MSD25: the baseline's error inflates, the ensemble's does not",
        (_BASELINE, _FOUR),
    ),
    "8": Preset(
        "Learnt pooling weights m2",
        _learnt_pooling,
        "MSD25: 29%, at its peak after 10 epochs",
        (_BASELINE, f"{_FOUR} --pooling=weighted_mean"),
    ),
    "10": Preset(
        "Multitask: peak accuracy over secondary task and alpha",
        _multitask,
        "MSD25: 28.7 to 29.5%; MSD10: 63.7 to 65.5%",
        _MULTITASK,
    ),
    "11": Preset(
        "Training error of the secondary and of the primary task",
        _multitask,
        "MSD10: the binary task's error is still after 10 epochs",
        _MULTITASK,
    ),
    "12": Preset(
        "The best model: four snippets with the product",
        lambda grid: [grid.ensemble(grid.snippets[1])],
        "peak 66% on MSD10 and 30% on MSD25; test 65% on MSD10",
        (f"{_FOUR} --pooling=product",),
    ),
    "mlp": Preset(
        "The feed-forward baseline",
        lambda grid: [grid.mlp(0.0), grid.mlp(0.01)],
        "MSD10: 49%, MSD25: 22%",
        ("--model=mlp --l2=0,0.01",),
    ),
    "control": Preset(
        "No regulariser at all",
        lambda grid: [grid.lstm(width) for width in (grid.narrow, grid.wide)],
        "not in the report; a log of its code peaks at 26% on MSD25, 200 units",
        ("--model=baseline --beta=0 --num_hidden=100,200",),
    ),
    "both": Preset(
        "L2 and activation stabilisation together",
        lambda grid: [grid.lstm(grid.narrow, l2=grid.l2s[1], beta=grid.betas[1])],
        "not in the report",
        ("--model=baseline --l2=0.001 --beta=100",),
    ),
    "open": Preset(
        "Does an ensemble still help wider LSTMs?",
        _open_question,
        "the question that the report ends on",
        ("--model=baseline --num_hidden=100,200", f"{_FOUR} --num_hidden=100,200"),
    ),
}

_MEMBERS = "--model=ensemble --member=mlp --num_hidden=20 --num_snippets=3 --l2=0.01"
_RECIPE = (
    f"{_FOUR} --readout=attention --dropout=0.3 --clip_norm=1 --schedule=warmup_cosine "
    "--label_smoothing=0.1 --noise=0.3 --feature_dropout=0.1 --augmented_fraction=0.5 --crop=96"
)

# What `--only` has to ask for.
ANSWER = {
    "ancestors": Preset(
        "Silla and Kaestner's ensembles: members, decompositions and rules",
        answer.ancestors,
        "not in the report; single feed-forward networks 44 to 49% on MSD10, 19 to 22% on MSD25",
        (
            f"{_MEMBERS} --decomposition=round_robin --pool_weights=accuracy",
            "--model=ensemble --num_snippets=3 --pool_weights=accuracy",
        ),
    ),
    "deeper": Preset(
        "Does an ensemble still help deeper or more complex LSTMs?",
        answer.deeper,
        "the question that the report ends on",
        (
            "--model=baseline --num_layers=3",
            f"{_FOUR} --num_layers=3",
            f"{_FOUR} --bidirectional",
            f"{_FOUR} --readout=attention",
        ),
    ),
    "beyond": Preset(
        "A recipe against the report's best model, with and without each of its parts",
        answer.beyond,
        "not in the report; other students' best on MSD10 is 64.5%",
        (_RECIPE, "--model=multitask --secondary=both --alpha=1 --alpha_binary=1"),
    ),
}
EVERY = PRESETS | ANSWER
