"""Paired statistics, on made-up results with known answers."""

import numpy as np
import pytest
from scipy import stats

from msd_jax import statistics
from msd_jax.statistics import (
    bootstrap_interval,
    holm,
    mcnemar,
    median_interval,
    smallest_effect,
    wilcoxon,
)


def coverage(draw, truth: float, count: int) -> float:
    held = 0
    for _ in range(count):
        _, low, high = bootstrap_interval(draw())
        held += low <= truth <= high
    return held / count


@pytest.mark.parametrize("kind", ["normal", "skewed", "lattice"])
def test_intervals_of_ten_seeds_hold_the_truth_as_often_as_they_say(kind, monkeypatch):
    """The lattice is that of accuracies on 54 songs. 3 standard errors of 600 draws are 0.027."""
    monkeypatch.setattr(statistics, "NUM_RESAMPLES", 1000)
    rng = np.random.default_rng(1)
    draw = {
        "normal": lambda: rng.normal(1.0, 2.0, 10),
        "skewed": lambda: rng.exponential(1.0, 10),
        "lattice": lambda: (rng.binomial(54, 0.62, 10) - rng.binomial(54, 0.6, 10)) / 54,
    }[kind]
    truth = {"normal": 1.0, "skewed": 1.0, "lattice": 0.02}[kind]
    assert coverage(draw, truth, 600) == pytest.approx(0.95, abs=0.027)


def test_few_seeds_get_students_interval_and_equal_ones_a_point():
    # 0.4, 0.5, 0.6: mean 0.5, std 0.1, t(2 degrees, 97.5%) = 4.3027 from a printed table.
    few = bootstrap_interval(np.array([0.4, 0.5, 0.6]))
    np.testing.assert_allclose(few, (0.5, 0.5 - 0.24841, 0.5 + 0.24841), atol=1e-4)
    assert bootstrap_interval(np.full(10, 0.25)) == (0.25, 0.25, 0.25)
    assert bootstrap_interval(np.array([1.0])) == (1.0, None, None)


def test_a_median_and_its_interval_by_hand():
    """Of ten fair coins at most 1 falls on a side with (1 + 10) / 2^10 = 1.1%, at most 2 with 5.5%:
    from the second to the ninth. Of five, none: 1 / 2^5 = 3.1% is too often.
    """
    values = np.array([3.0, 1.0, 2.0, 10.0, 4.0, 5.0, 7.0, 6.0, 9.0, 8000.0])
    assert median_interval(values) == (5.5, 2.0, 10.0)
    assert median_interval(np.arange(5.0)) == (2.0, None, None)
    assert median_interval(np.arange(6.0)) == (2.5, 0.0, 5.0)


def test_the_same_differences_give_the_same_interval():
    d = np.random.default_rng(3).normal(size=10)
    assert bootstrap_interval(d) == bootstrap_interval(d.copy())


def test_wilcoxon_by_hand():
    """Five of one sign: the extreme 2 of 2^5 signs. 1, 2, 3, -4: rank sums 6 and 4.

    Of the 16 signs of ranks 1 to 4, the sums at least as far from 5 as 6: all but those of exactly
    5, which are {1,4} and {2,3}: 14 of 16. Equal sizes of one sign: 2 of 2^5, with a 0 as well.
    """
    assert wilcoxon(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 / 32)
    assert wilcoxon(np.array([1.0, 2.0, 3.0, -4.0])) == pytest.approx(14 / 16)
    assert wilcoxon(np.array([0.1, 0.1, 0.1, 0.1, 0.1])) == pytest.approx(2 / 32)
    assert wilcoxon(np.array([0.1, 0.1, 0.0, 0.1, 0.2, 0.1])) == pytest.approx(2 / 32)
    assert wilcoxon(np.zeros(10)) == 1.0


@pytest.mark.parametrize("n", [6, 10, 18])
def test_wilcoxon_with_ties_and_zeros_is_scipys_permutation_test(n):
    """scipy's, 0.1 s each, over all signs up to n = 13; drawn ones agree to 4 standard errors."""
    d = np.round(np.random.default_rng(n).normal(0.7, 1.5, n))
    assert (d == 0).any()
    method = stats.PermutationMethod(n_resamples=9_999, rng=1)
    expected = stats.wilcoxon(d, zero_method="pratt", method=method).pvalue
    assert wilcoxon(d) == pytest.approx(expected, abs=1e-9 if n <= 13 else 0.02)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("num_songs", [54, 197, 10_000])
def test_wilcoxon_of_shares_is_that_of_the_counts_of_songs(dtype, num_songs):
    """Means of two accuracies in percent, as claims have them, from a float32 or float64 log."""
    rng = np.random.default_rng(num_songs)
    for _ in range(50):
        counts = rng.integers(num_songs // 3, num_songs // 3 + 15, (2, 2, 10))
        shares = (counts / num_songs).astype(dtype).astype(float)
        differences = np.mean(100 * shares[0], axis=0) - np.mean(100 * shares[1], axis=0)
        assert wilcoxon(differences) == wilcoxon((counts[0] - counts[1]).sum(axis=0).astype(float))


def test_a_difference_of_0_but_for_rounding_is_0():
    """One of ten that is 1e-15 and not 0 would halve p: 2 / 2^10 in place of 2 / 2^9."""
    nine = np.arange(1.0, 10.0)
    assert wilcoxon(np.append(nine, 3.55e-15)) == wilcoxon(np.append(nine, 0.0)) == 2 / 2**9
    assert wilcoxon(np.full(10, 1e-15)) == 1.0


def test_no_effect_is_rarely_found_and_a_true_one_mostly():
    """Of 400 draws: 5% of no effect, 3 standard errors 0.033; 1.2 std at n = 10: power about 90%
    (the t test's is 0.92 in printed tables).
    """
    rng = np.random.default_rng(4)
    none = np.mean([wilcoxon(rng.normal(0.0, 1.0, 10)) < 0.05 for _ in range(400)])
    true = np.mean([wilcoxon(rng.normal(1.2, 1.0, 10)) < 0.05 for _ in range(200)])
    assert none == pytest.approx(0.05, abs=0.033)
    assert true > 0.8


def test_mcnemar_by_hand():
    """6 songs only the first has right, 1 only the second: 2 (1 + 7) / 2^7 = 0.125."""
    first = np.array([True] * 6 + [False] + [True] * 20 + [False] * 20)
    second = np.array([False] * 6 + [True] + [True] * 20 + [False] * 20)
    assert mcnemar(first, second) == pytest.approx(0.125)
    assert mcnemar(second, first) == pytest.approx(0.125)
    assert mcnemar(first, first) == 1.0


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1: each at least the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_lets_no_more_false_ones_through_than_it_says():
    rng = np.random.default_rng(5)
    any_found = np.mean([min(holm(rng.uniform(size=20))) < 0.05 for _ in range(2000)])
    assert any_found == pytest.approx(0.05, abs=0.015)


def test_the_smallest_effect_is_shown_with_its_power():
    """Drawn with that effect, four in five t tests find it. Printed tables: 1.00 std for n = 10."""
    rng = np.random.default_rng(6)
    assert smallest_effect(np.array([-1.0, 1.0] * 5) * (9 / 10) ** 0.5) == pytest.approx(
        1.0, abs=0.01
    )
    draws = rng.normal(1.0, 1.0, (4000, 10))
    t = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * 10**0.5
    assert np.mean(t > 2.2622) == pytest.approx(0.8, abs=0.02)
    assert smallest_effect(np.array([1.0])) is None
    by_n = [smallest_effect(rng.permutation(np.linspace(-1, 1, n))) for n in range(2, 200)]
    assert np.all(np.diff(by_n) < 0), "more seeds show smaller effects"
    assert smallest_effect(np.zeros(4)) == 0.0
