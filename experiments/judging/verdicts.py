"""Claims judged: effect, interval, p, Holm's correction, verdict, and what could have been seen."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.judging.claims import Claim
from experiments.judging.effects import Choice
from experiments.judging.results import Results
from experiments.judging.views import MEASURES, Measured, NotTrained, Reported
from experiments.studying.grids import Grid
from msd_jax.metrics import Interval
from msd_jax.statistics import (
    bootstrap_interval,
    holm,
    mcnemar,
    median_interval,
    smallest_effect,
    wilcoxon,
)

SUPPORTED, CONTRADICTED, OPEN = "supported", "contradicted", "not resolved"
LEVEL = 0.05


class SongTest(NamedTuple):
    """Exact McNemar over the test songs: p of the first seed; of how many it is below 5%."""

    p: float
    num_significant: int
    num_seeds: int


class Judgement(NamedTuple):
    """A claim, by its name, on one measure.

    n values; interval of their mean (over epochs: of their median); p of Wilcoxon's test against
    the nearest bound of the claim; corrected by Holm over the claims of this measure; smallest: the
    effect beyond that bound that n such values show with power 80%; over_folds: least and greatest
    mean effect of a fold; reported: the report's own effect by data set; missing: why it was not
    judged, or None.
    """

    name: str
    claim: Claim
    measure: str
    n: int
    interval: Interval
    p: float | None
    corrected: float | None
    smallest: float | None
    verdict: str
    songs: SongTest | None
    over_folds: tuple[float, float] | None
    reported: dict[str, float]
    missing: str | None


def nearest_bound(claim: Claim, mean: float) -> float:
    """The finite end of what is claimed that lies nearest to an effect."""
    bounds = [bound for bound in (claim.low, claim.high) if np.isfinite(bound)]
    return min(bounds, key=lambda bound: abs(mean - bound))


def verdict(claim: Claim, interval: Interval, corrected: float) -> str:
    """Supported: the whole interval lies in what is claimed and Holm's p is below 5%; contradicted:
    the whole interval lies outside, and so is p; else not resolved.
    """
    _, low, high = interval
    if low is None or high is None or corrected >= LEVEL:
        return OPEN
    if claim.low < low and high < claim.high:
        return SUPPORTED
    if high < claim.low or claim.high < low:
        return CONTRADICTED
    return OPEN


def song_test(view: Measured, pair: tuple[Choice, Choice]) -> SongTest | None:
    """McNemar's test seed by seed; the folds' test songs are all different, so they add up.

    Seeds of which a training diverged at once are left out.
    """
    p_values = []
    try:
        for first, second in zip(*(view.trainings(point) for point, _ in pair), strict=True):
            both = list(zip((first, second), (rule for _, rule in pair), strict=True))
            if all(some and all(t.best_epoch(rule) for t in some) for some, rule in both):
                right = [np.concatenate([t.held_out[rule].right for t in some])
                         for some, rule in both]  # fmt: skip
                p_values.append(mcnemar(*right))
    except (NotTrained, KeyError):  # no such training, or no test songs
        return None
    if not p_values:
        return None
    return SongTest(p_values[0], sum(p < LEVEL for p in p_values), len(p_values))


def reported_effects(claim: Claim) -> dict[str, float]:
    """The effect in the report's own numbers, by data set where it gives all that it takes."""
    effects = {}
    for dataset in ("msd10", "msd25"):
        try:
            view = Reported(dataset, measure=claim.measures[0])
            effects[dataset] = float(np.mean(claim.effect(view)))
        except NotTrained:
            continue
    return effects


def _over_folds(claim: Claim, view: Measured) -> tuple[float, float] | None:
    folds = view.results.folds
    if len(folds) < 2:
        return None
    means = [float(np.nanmean(claim.effect(view._replace(fold=fold)))) for fold in folds]
    return min(means), max(means)


def _unjudged(name: str, claim: Claim, measure: str, why: str) -> Judgement:
    none = Interval(None, None, None)
    reported = reported_effects(claim)
    return Judgement(
        name, claim, measure, 0, none, None, None, None, "-", None, None, reported, why
    )


def _judge(name: str, claim: Claim, view: Measured) -> Judgement:
    """A judgement whose correction and verdict are still to come."""
    try:
        values: np.ndarray = claim.effect(view)
    except NotTrained as reason:
        return _unjudged(name, claim, view.measure, str(reason))
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return _unjudged(name, claim, view.measure, "every training diverged")
    is_time = claim.per == "epoch"  # an epoch in which the machine slept is not to count
    interval = (median_interval if is_time else bootstrap_interval)(values)
    distances = values - nearest_bound(claim, interval.mean or 0.0)
    return Judgement(
        name=name,
        claim=claim,
        measure=view.measure,
        n=len(values),
        interval=interval,
        p=wilcoxon(distances),
        corrected=None,
        smallest=None if is_time else smallest_effect(distances),
        verdict=OPEN,
        songs=song_test(view, claim.pair(view.grid))
        if claim.pair and view.measure == "held_out"
        else None,
        over_folds=_over_folds(claim, view),
        reported=reported_effects(claim),
        missing=None,
    )


def judge(claims: Mapping[str, Claim], results: Results, grid: Grid) -> list[Judgement]:
    """Every claim on each of its measures; Holm's correction is over the claims of a measure."""
    judged = []
    for measure in MEASURES:
        view = Measured(results, grid, measure)
        raw = [_judge(name, c, view) for name, c in claims.items() if measure in c.measures]
        tested = [j for j in raw if j.p is not None]
        corrected = dict(
            zip([j.name for j in tested], holm([j.p for j in tested if j.p is not None]),
                strict=True)
        )  # fmt: skip
        for j in raw:
            if j.name in corrected:
                p = corrected[j.name]
                j = j._replace(corrected=p, verdict=verdict(claims[j.name], j.interval, p))
            judged.append(j)
    return judged
