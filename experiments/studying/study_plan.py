"""What a study trains: every point of the chosen figures once, as ordinary runs."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.running.settings import Settings, defaults_of
from experiments.studying.flops import num_classifiers
from experiments.studying.grids import Box, Grid, Point, boxes, make_grid
from experiments.studying.presets import EVERY, PRESETS
from msd_jax.dataset import Dataset
from msd_jax.errors import InputError

_FEW_GENRES = 3  # so many and fewer are decomposed among LSTMs too


class Run(NamedTuple):
    """One run folder: a box of points on one division of one data set."""

    dataset: str
    fold: str | None
    num_epochs: int
    box: Box

    @property
    def folder(self) -> Path:
        """Where it lies in the study's folder; another run never has the same."""
        songs = f"{self.dataset}-fold{self.fold.replace('/', 'of')}" if self.fold else self.dataset
        box = self.box
        words = [box.model, *([box.secondary] if box.secondary else []), box.head]
        for letter, values in (
            ("h", box.num_hidden),
            ("m", box.num_snippets),
            ("l2_", box.l2),
            ("b", box.beta),
            ("a", box.alpha),
        ):
            known = [f"{x:g}" for x in values if x is not None]
            words += [letter + ",".join(known)] if known else []
        words += [word.replace(" ", "_") for word in box.options.words]
        return Path("runs") / songs / "-".join(words)

    def settings(self, base: Settings, workdir: Path) -> Settings:
        """Those of `python -m experiments.run`; seeds, machine and files from `base`."""
        box = self.box
        values: dict[str, Any] = {
            name: tuple(x for x in getattr(box, name) if x is not None) or None
            for name in ("num_hidden", "num_snippets", "l2", "beta", "alpha")
        }
        options = box.options.given
        if "alpha_binary" in options:  # the one of them that takes a list
            options["alpha_binary"] = (options["alpha_binary"],)
        given = {"model": box.model, "head": box.head, "secondary": box.secondary}
        return dataclasses.replace(
            base,
            **{
                **defaults_of(box.model, box.options.member, box.secondary),
                **values,
                **given,
                **options,
            },
            dataset=self.dataset,
            fold=self.fold,
            num_epochs=self.num_epochs,
            workdir=str(workdir / self.folder),
        )


def choose_presets(only: Sequence[str]) -> list[str]:
    """Names of presets; "2" stands for 2a and 2b, "report" or nothing for the report's figures,
    "all" for what goes beyond it too.

    Raises:
      InputError: for a name that is none.
    """
    groups = {"report": list(PRESETS), "all": list(EVERY)}
    chosen: list[str] = []
    for word in only or ("report",):
        found = groups.get(word) or [n for n in EVERY if word in (n, n.rstrip("ab"))]
        if not found:
            known = ", ".join((*EVERY, *groups))
            raise InputError(f"--only={word}: no such figure, there are {known}")
        chosen += found
    return list(dict.fromkeys(chosen))


def _why_not(point: Point, grid: Grid, dataset: Dataset) -> str | None:
    """Why a data set does not allow a point, or None."""
    if point.num_snippets and dataset.num_segments % point.num_snippets:
        return f"{point.num_snippets} snippets do not divide {dataset.num_segments} segments"
    options, genres = point.options, dataset.num_genres
    if options.decomposition == "round_robin" and genres < 3:
        return f"round robin of {genres} genres is one question"
    if options.decomposition != "none" and options.member == "lstm" and genres > _FEW_GENRES:
        count = point.num_snippets * num_classifiers(options.decomposition, genres)  # type: ignore[operator]
        return f"{options.decomposition} of {genres} genres with LSTM members is {count} LSTMs"
    return None


def allowed_points(
    names: Iterable[str], grid: Grid, dataset: Dataset
) -> tuple[list[Point], list[str]]:
    """The points of the presets, each once, and what is left out, each with its reason."""
    points: dict[Point, None] = {}
    left_out: dict[str, None] = {}
    for name in names:
        for point in EVERY[name].points(grid):
            reason = _why_not(point, grid, dataset)
            if reason is None:
                points[point] = None
            else:
                left_out[f"{dataset.name}, figure {name}: {reason}"] = None
    return list(points), list(left_out)


def fold_names(folds: int) -> list[str | None]:
    """ "1/K" to "K/K"; [None] without folds: the data set's own division."""
    return [f"{k}/{folds}" for k in range(1, folds + 1)] if folds else [None]


def plan_runs(
    known: Sequence[Run], grids: Sequence[Grid], names: Sequence[str], dataset: Dataset, folds: int
) -> tuple[list[Run], list[str]]:
    """The runs that hold all points of the presets under every grid, and what is left out.

    Args:
      known: runs decided before; what they train is not trained again.
      grids: one a fidelity.
      names: of presets.
      dataset: whole, not divided.
      folds: K, 0 for the data set's own division.

    Returns:
      Those of `known` that are needed, and new ones for the rest.
    """
    points: list[Point] = []
    left_out: list[str] = []
    for grid in grids:
        more, reasons = allowed_points(names, grid, dataset)
        points, left_out = points + more, left_out + reasons
    grid, wanted = grids[0], set(points)
    runs = []
    for fold in fold_names(folds):
        ours = [run for run in known if (run.dataset, run.fold) == (dataset.name, fold)]
        needed = [run for run in ours if wanted & set(run.box.points)]
        have = set(itertools.chain.from_iterable(run.box.points for run in needed))
        new = boxes([point for point in points if point not in have])
        runs += needed + [
            Run(dataset.name, fold, grid.num_epochs(box.model, box.options), box) for box in new
        ]
    return runs, list(dict.fromkeys(left_out))


def grids_of(size: str, fidelity: str, dataset: Dataset) -> list[Grid]:
    """One a fidelity: two for "both"."""
    fidelities = ("text", "code") if fidelity == "both" else (fidelity,)
    return [make_grid(size, name, dataset.name, dataset.num_segments) for name in fidelities]
