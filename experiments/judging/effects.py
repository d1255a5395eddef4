"""What the report's claims compare: from results to one number a seed, or an epoch.

`claims.py` says what is claimed of each. Accuracies are in percent, on the view's measure.
"""

from collections.abc import Sequence

import numpy as np

from experiments.judging.views import NotTrained, View
from experiments.studying.grids import Point
from experiments.studying.presets import PRESETS

Choice = tuple[Point, str]  # a training, and the pooling rule that it is judged by


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean(arrays, axis=0)


def as_over_l2(view: View) -> np.ndarray:
    """Grid mean under stabilisation minus that under L2, at equal width, mean over widths."""
    grid = view.grid
    return _mean(
        [
            _mean([view.accuracy(grid.lstm(width, beta=beta)) for beta in grid.betas])
            - _mean([view.accuracy(grid.lstm(width, l2=l2)) for l2 in grid.l2s])
            for width in (grid.narrow, grid.wide)
        ]
    )


def larger_beta(view: View) -> np.ndarray:
    """The larger beta minus the smaller, mean over widths."""
    grid = view.grid
    small, large = grid.betas
    return _mean(
        [
            view.accuracy(grid.lstm(width, beta=large))
            - view.accuracy(grid.lstm(width, beta=small))
            for width in (grid.narrow, grid.wide)
        ]
    )


def spread_of_l2_over_as(view: View) -> np.ndarray:
    """Range over the grid under L2 minus that under stabilisation."""
    grid = view.grid
    widths = (grid.narrow, grid.wide)
    l2 = [view.accuracy(grid.lstm(width, l2=x)) for width in widths for x in grid.l2s]
    stable = [view.accuracy(grid.lstm(width, beta=x)) for width in widths for x in grid.betas]
    return np.ptp(l2, axis=0) - np.ptp(stable, axis=0)


def wider(view: View) -> np.ndarray:
    """The wide LSTM minus the narrow one under stabilisation, mean over betas."""
    grid = view.grid
    return _mean(
        [
            view.accuracy(grid.lstm(grid.wide, beta=beta))
            - view.accuracy(grid.lstm(grid.narrow, beta=beta))
            for beta in grid.betas
        ]
    )


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Epoch by epoch, over the epochs that both have."""
    length = min(len(a), len(b))
    return a[:length] / b[:length]


def seconds_of_wider(view: View) -> np.ndarray:
    """Seconds per epoch of the wide LSTM over those of the narrow one."""
    wide = view.seconds(view.grid.lstm(view.grid.wide, beta=view.grid.betas[1]))
    return _ratio(wide, view.seconds(view.grid.baseline))


def epochs_earlier(view: View) -> np.ndarray:
    """Peak epoch of the best narrow L2 LSTM minus that of the stabilised one."""
    grid = view.grid
    l2 = view.peak_epoch(grid.lstm(grid.narrow, l2=grid.l2s[1]))
    return l2 - view.peak_epoch(grid.baseline)


def lstm_over_mlp(view: View) -> np.ndarray:
    """The baseline minus the feed-forward network with L2 1e-2."""
    return view.accuracy(view.grid.baseline) - view.accuracy(view.grid.mlp(0.01))


def ensemble_over_baseline(view: View) -> np.ndarray:
    """Ensembles, mean over snippets and m0 and m1, minus the baseline."""
    ensembles = [
        view.accuracy(view.grid.ensemble(m), rule)
        for m in view.grid.snippets
        for rule in ("mean", "product")
    ]
    return _mean(ensembles) - view.accuracy(view.grid.baseline)


def product_over_mean(view: View) -> np.ndarray:
    """m1 minus m0, mean over snippets."""
    ensembles = [view.grid.ensemble(m) for m in view.grid.snippets]
    return _mean([view.accuracy(e, "product") - view.accuracy(e, "mean") for e in ensembles])


def more_snippets(view: View) -> np.ndarray:
    """Four snippets minus two, mean over m0 and m1."""
    few, many = (view.grid.ensemble(m) for m in view.grid.snippets)
    return _mean(
        [view.accuracy(many, rule) - view.accuracy(few, rule) for rule in ("mean", "product")]
    )


def _inflation(curves: np.ndarray) -> np.ndarray:
    return curves[:, -1] - curves.min(axis=1)


def inflation_kept_off(view: View) -> np.ndarray:
    """How far validation error rises above its least: the baseline's minus four snippets'.

    On the report's measure the ensemble's error is its code's bounded quantity, on the honest one
    the true negative log-likelihood; both over the epochs that both have.
    """
    name = "valid_report_error_product" if view.measure == "peak" else "valid_loss_product"
    ensemble = view.curves(view.grid.ensemble(view.grid.snippets[1]), name)
    baseline = view.curves(view.grid.baseline, "valid_loss")
    length = min(ensemble.shape[1], baseline.shape[1])
    return _inflation(baseline[:, :length]) - _inflation(ensemble[:, :length])


def seconds_of_baseline_over_ensemble(view: View) -> np.ndarray:
    """Seconds per epoch of the baseline over those of four snippets."""
    ensemble = view.seconds(view.grid.ensemble(view.grid.snippets[1]))
    return _ratio(view.seconds(view.grid.baseline), ensemble)


def _weighed(view: View) -> np.ndarray:
    return view.accuracy(*view.grid.weighed(view.grid.snippets[1]))


def weighted_over_mean(view: View) -> np.ndarray:
    """m2 minus m0 of four snippets."""
    m0 = view.accuracy(view.grid.ensemble(view.grid.snippets[1]), "mean")
    return _weighed(view) - m0


def weighted_over_baseline(view: View) -> np.ndarray:
    """m2 of four snippets minus the baseline."""
    return _weighed(view) - view.accuracy(view.grid.baseline)


def weighted_peak_epoch(view: View) -> np.ndarray:
    """The epoch at which m2 of four snippets is best."""
    return view.peak_epoch(*view.grid.weighed(view.grid.snippets[1]))


def multitask_over_baseline(view: View) -> np.ndarray:
    """Multitask, mean over tasks and alphas, minus the baseline."""
    tasks = [
        view.accuracy(view.grid.multitask(task, alpha))
        for task in ("autoencoder", "binary")
        for alpha in view.grid.alphas
    ]
    return _mean(tasks) - view.accuracy(view.grid.baseline)


def autoencoder_over_binary(view: View) -> np.ndarray:
    """The autoencoder task minus the binary one, mean over alphas."""
    return _mean(
        [
            view.accuracy(view.grid.multitask("autoencoder", alpha))
            - view.accuracy(view.grid.multitask("binary", alpha))
            for alpha in view.grid.alphas
        ]
    )


def late_fall(view: View, task: str) -> np.ndarray:
    """Share in % of the fall of a task's training error that comes after epoch 10."""
    shares = []
    for alpha in view.grid.alphas:
        error = view.curves(view.grid.multitask(task, alpha), "train_secondary")
        if error.shape[1] <= 10:
            raise NotTrained("no epochs after the tenth")
        shares.append(100 * (error[:, 9] - error[:, -1]) / (error[:, 0] - error[:, -1]))
    return _mean(shares)


def larger_alpha(view: View) -> np.ndarray:
    """Alpha 2 minus alpha 1, mean over tasks."""
    small, large = view.grid.alphas
    return _mean(
        [
            view.accuracy(view.grid.multitask(task, large))
            - view.accuracy(view.grid.multitask(task, small))
            for task in ("autoencoder", "binary")
        ]
    )


def secondary_error_under_larger_alpha(view: View) -> np.ndarray:
    """Change in % of the last secondary training error from alpha 1 to 2, mean over tasks."""
    small, large = view.grid.alphas
    changes = []
    for task in ("autoencoder", "binary"):
        before, after = (
            view.curves(view.grid.multitask(task, alpha), "train_secondary")[:, -1]
            for alpha in (small, large)
        )
        changes.append(100 * (after / before - 1))
    return _mean(changes)


def seconds_of_autoencoder_over_binary(view: View) -> np.ndarray:
    """Seconds per epoch of the autoencoder over those of the binary tasks, at alpha 1."""
    auto, binary = (
        view.seconds(view.grid.multitask(task, view.grid.alphas[0]))
        for task in ("autoencoder", "binary")
    )
    return _ratio(auto, binary)


def rivals(view: View) -> list[Choice]:
    """What else the report trained, where it is there, with the rule that it is judged by."""
    ensembles = [view.grid.ensemble(m) for m in view.grid.snippets]
    choices = [(e, rule) for e in ensembles for rule in ("mean", "product")]
    choices.remove((ensembles[-1], "product"))
    choices += map(view.grid.weighed, view.grid.snippets)
    names = ("2a", "2b", "10", "mlp")
    singles = [p for name in names for p in PRESETS[name].points(view.grid)]
    return choices + [(point, "softmax") for point in dict.fromkeys(singles)]


def best_over_the_next(view: View) -> np.ndarray:
    """Four snippets with m1 minus the best rival, which is chosen by its mean peak over all folds.

    Of a fold it is the difference from the same rival.
    """
    peaks = {}
    for point, rule in rivals(view):
        try:
            values = view.whole.peak(point, rule)
        except NotTrained:
            continue
        if np.isfinite(values).any():  # else all diverged at once
            peaks[point, rule] = np.nanmean(values)
    if not peaks:
        raise NotTrained("no rival was trained")
    rival = max(peaks, key=lambda choice: peaks[choice])
    return view.accuracy(view.grid.ensemble(view.grid.snippets[1]), "product") - view.accuracy(
        *rival
    )


def validation_over_test(view: View) -> np.ndarray:
    """Validation minus test accuracy of four snippets with m1, at the same epoch."""
    best = view.grid.ensemble(view.grid.snippets[1])
    return view.peak(best, "product") - view.held_out(best, "product")


def ensemble_gain_when_wide(view: View) -> np.ndarray:
    """Four snippets with m1 minus a single LSTM, all of the wide kind."""
    grid = view.grid
    single = view.accuracy(grid.lstm(grid.wide, beta=grid.betas[1]))
    return view.accuracy(grid.ensemble(grid.snippets[1], grid.wide), "product") - single
