"""Seeds as an ensemble: three seeds and two songs on paper, and what must hold for any."""

import numpy as np
import pytest

from msd_jax import pooling
from msd_jax.metrics import mean_interval
from msd_jax.seed_ensembles import (
    SEED_RULES,
    jackknife_interval,
    seed_ensembles,
    sizes,
    subsets,
    worth,
)

# Probabilities of the true genre, 0 of two: seeds as rows, songs as columns.
TRUE = np.array([[0.9, 0.4], [0.6, 0.4], [0.3, 0.8]])
LOG_PROBS, LABELS = np.log(np.stack([TRUE, 1 - TRUE], axis=-1)), np.array([0, 0])


def find(found, size):
    (one,) = [x for x in found if x.num_seeds == size]
    return one


def test_means_of_probabilities_by_hand():
    """Pairs: (.75, .4), (.6, .6), (.45, .6): right 1, 2, 1 of 2; all three: (.6, .5333): 2 of 2."""
    found = seed_ensembles([(LOG_PROBS, LABELS)], "mean")
    assert [(x.num_seeds, x.num_subsets) for x in found] == [(1, 3), (2, 3), (3, 1)]
    assert [x.accuracy.mean for x in found] == pytest.approx([0.5, 4 / 6, 1.0])
    pairs = -np.log([0.75 * 0.4, 0.6 * 0.6, 0.45 * 0.6]) / 2
    assert find(found, 2).nll.mean == pytest.approx(pairs.mean())
    # Confidence .6 and .5333 lie in bins 9 and 8 of 15, each with a song that is right.
    assert find(found, 3).calibration_error.mean == pytest.approx((0.4 + 0.46667) / 2, 1e-4)


def test_products_of_probabilities_by_hand():
    """Seeds 0 and 1 on song 0: .9 x .6 against .1 x .4, .54 / .58."""
    pooled = SEED_RULES["product"](LOG_PROBS[:2])
    np.testing.assert_allclose(np.exp(pooled[0, 0]), 0.54 / 0.58)
    three = find(seed_ensembles([(LOG_PROBS, LABELS)], "product"), 3)
    first, second = 0.162 / (0.162 + 0.028), 0.128 / (0.128 + 0.072)  # by the rows' products
    assert three.nll.mean == pytest.approx(-np.log(first * second) / 2)


@pytest.mark.parametrize("rule", ["mean", "product"])
def test_the_rules_are_those_of_snippets(rule):
    """Written twice: there for the device and its gradient, here for the host."""
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), (3, 6))).astype(np.float32)
    there = {"mean": pooling.mean_pool, "product": pooling.product_pool}[rule](log_probs)
    np.testing.assert_allclose(SEED_RULES[rule](log_probs), there, atol=1e-5)


def test_single_seeds_have_the_interval_of_their_mean_and_all_seeds_have_none():
    rng = np.random.default_rng(0)
    log_probs = np.log(rng.dirichlet(np.ones(3), (5, 40)))
    labels = rng.integers(0, 3, 40)
    found = seed_ensembles([(log_probs, labels)])
    accuracies = [worth(x, labels).accuracy for x in log_probs]
    np.testing.assert_allclose(find(found, 1).accuracy, mean_interval(accuracies))
    assert find(found, 5).accuracy[1:] == (None, None)


def test_the_jackknife_of_pairs_by_hand():
    """Three seeds, pairs worth 1, 2, 6: without seed 0 it is 6, without 1 it is 2, without 2 it is
    1; variance 2/3 x (9 + 1 + 4), t(2 degrees, 97.5%) = 4.3027 from a printed table.
    """
    interval = jackknife_interval(np.array([1.0, 2.0, 6.0]), subsets(3, 2))
    margin = 4.3027 * np.sqrt(2 / 3 * 14)
    np.testing.assert_allclose(interval, (3.0, 3 - margin, 3 + margin), rtol=1e-4)


def test_intervals_hold_the_truth():
    """The log-likelihood of a mean of five lognormal probabilities, whose truth 40,000 draws give;
    95% of 400 draws of ten seeds, less 3 standard errors of 1.1%. More is no fault: the jackknife
    is not too narrow on average (Efron and Stein, 1981).
    """
    rng = np.random.default_rng(0)

    def value(seeds):
        return np.log(np.exp(seeds).mean(axis=-1))

    truth = value(rng.normal(0, 1, (40_000, 5))).mean()
    holds = subsets(10, 5)
    held = 0
    for _ in range(400):
        seeds = rng.normal(0, 1, 10)
        values = np.array([value(seeds[subset]) for subset in holds])
        _, low, high = jackknife_interval(values, holds)
        held += low <= truth <= high
    assert held / 400 > 0.95 - 0.033


def test_subsets_are_all_or_drawn_alike_every_time():
    assert len(subsets(10, 5)) == 252
    assert len(np.unique(subsets(10, 5), axis=0)) == 252
    drawn = subsets(20, 10)
    np.testing.assert_array_equal(drawn, subsets(20, 10))
    assert drawn.shape == (520, 20)
    assert (drawn.sum(axis=1) == 10).all()
    assert ((drawn.sum(axis=0) > 200) & (drawn.sum(axis=0) < 320)).all()
    assert sizes(10) == list(range(1, 11))
    assert (sizes(100)[0], sizes(100)[-1], len(sizes(100))) == (1, 100, 11)


def test_divisions_are_pooled_apart_and_averaged():
    """The second division's labels are the other genre: what is right there is wrong here."""
    found = seed_ensembles([(LOG_PROBS, LABELS), (LOG_PROBS, 1 - LABELS)])
    assert [x.accuracy.mean for x in found] == pytest.approx([0.5, 0.5, 0.5])
    assert find(found, 3).nll.mean == pytest.approx(-np.log(0.6 * (1.6 / 3) * 0.4 * (1.4 / 3)) / 4)
