"""Tests of intervals and p values against known numbers."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, norm, wilcoxon

from mmbench.analysis import stats


@pytest.mark.parametrize(
    ("runs", "half"),
    [(20, 0.187), (25, 0.172), (50, 0.125), (100, 0.090), (200, 0.064), (400, 0.046)],
)
def test_wilson_half_widths(runs: int, half: float) -> None:
    """The half-widths for a share of 68 % are known."""
    low, high = stats.wilson(round(0.68 * runs), runs)
    assert (high - low) / 2 == pytest.approx(half, abs=6e-4)


@pytest.mark.parametrize(
    ("successes", "runs", "low", "high"),
    [
        (13, 20, 0.43, 0.82),
        (17, 20, 0.64, 0.95),
        (34, 50, 0.54, 0.79),
        (68, 100, 0.58, 0.76),
        (10, 10, 0.72, 1.0),
        (100, 100, 0.963, 1.0),
        (0, 10, 0.0, 0.28),
    ],
)
def test_wilson_ends(successes: int, runs: int, low: float, high: float) -> None:
    """The intervals of published proportions are known."""
    ends = stats.wilson(successes, runs)
    assert ends[0] == pytest.approx(low, abs=5.1e-3)
    assert ends[1] == pytest.approx(high, abs=5.1e-3)


def test_wilson_agrees_with_scipy_on_arrays() -> None:
    """Arrays are elementwise; the ends are exact if no run or every run succeeds."""
    runs = np.array([8, 8, 8, 30])
    successes = np.array([0, 5, 8, 29])
    low, high = stats.wilson(successes, runs)
    for at, (k, n) in enumerate(zip(successes, runs, strict=True)):
        known = binomtest(int(k), int(n)).proportion_ci(method="wilson")
        assert low[at] == pytest.approx(known.low, abs=1e-12)
        assert high[at] == pytest.approx(known.high, abs=1e-12)
    assert low[0] == 0.0
    assert high[2] == 1.0


def test_wilson_mean_of_one_task_is_wilson() -> None:
    """The interval of several tasks is narrower, but never without width."""
    low, high = stats.wilson_mean(np.array([5]), np.array([8]))
    known = stats.wilson(5, 8)
    assert (low, high) == (
        pytest.approx(float(known[0])),
        pytest.approx(float(known[1])),
    )
    low, high = stats.wilson_mean(np.array([8, 8, 8, 8]), np.array([8, 8, 8, 8]))
    assert high == pytest.approx(1.0)
    assert 0.8 < low < 0.9  # one task has 0.68, and the distance to 1 is halved


def test_wilson_mean_covers_where_a_bootstrap_does_not() -> None:
    """The interval covers rates near 1, where all resampled runs agree."""
    rng = np.random.default_rng(1)
    runs = np.full(5, 8)
    hits = 0
    for _ in range(400):
        low, high = stats.wilson_mean(rng.binomial(runs, 0.99), runs)
        hits += low <= 0.99 <= high
    assert hits >= 0.9 * 400


def test_quantile_agrees_with_numpy_on_finite_values() -> None:
    values = np.random.default_rng(0).normal(size=(11, 3))
    for share in (0.0, 0.1, 0.25, 0.5, 1.0):
        known = np.quantile(values, share, axis=0)
        assert stats.quantile(values, share) == pytest.approx(known)


def test_quantile_lets_infinities_through() -> None:
    """A median is finite if fewer than half of the values are infinite."""
    values = np.array([1.0, 2.0, 3.0, np.inf, np.inf])
    assert stats.median(values) == 3.0
    assert stats.median(values[1:]) == np.inf
    assert stats.quantile(-values, 0.25) == -np.inf
    assert stats.median(np.full(4, np.inf)) == np.inf


def test_iqm_is_the_mean_of_the_middle_half() -> None:
    """Of eight values two are cut off at either end, outliers among them."""
    values = np.array([-1e9, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, np.inf])
    assert stats.iqm(values) == pytest.approx(2.5)
    assert stats.iqm(np.array([7.0])) == 7.0


def test_bootstrap_covers_and_repeats() -> None:
    """The interval of a median of 20 values covers in about 95 % of the cases."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        low, high = stats.bootstrap(rng.normal(size=20), resamples=500)
        hits += low <= 0 <= high
    assert 0.88 <= hits / 300 <= 0.99
    values = rng.normal(size=9)
    assert stats.bootstrap(values) == stats.bootstrap(values)


def test_bootstrap_iqm_is_at_least_as_narrow_as_the_mean_with_outliers() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=28), [50.0, -60.0]])
    low, high = stats.bootstrap(values, stats.iqm)
    wide = stats.bootstrap(values, lambda drawn: drawn.mean(axis=0))
    assert high - low < (wide[1] - wide[0]) / 2


def test_stratified_bootstrap_resamples_within_tasks() -> None:
    """Two constant tasks give no width; pooled resamples would."""
    strata = [np.zeros(10), np.ones(10)]
    assert stats.stratified_bootstrap(strata) == (0.5, 0.5)
    assert stats.stratified_bootstrap(strata, lambda all_: all_.mean(axis=0)) == (
        0.5,
        0.5,
    )


def test_stratified_bootstrap_gives_tasks_equal_weight() -> None:
    """A task with many runs counts as much as one with few."""
    rng = np.random.default_rng(0)
    few, many = rng.normal(1, 0.1, size=8), rng.normal(3, 0.1, size=400)
    low, high = stats.stratified_bootstrap([few, many])
    assert low < (few.mean() + many.mean()) / 2 < high
    assert high - low < 0.1


@pytest.mark.parametrize(
    ("won", "lost", "p"), [(4, 0, 0.125), (5, 1, 0.219), (6, 2, 0.289), (7, 3, 0.344)]
)
def test_sign_flip_is_mcnemar(won: int, lost: int, p: float) -> None:
    """The exact p values of four pairings of 13/20 and 17/20 are known."""
    ties = 20 - won - lost
    differences = np.array([1.0] * won + [-1.0] * lost + [0.0] * ties)
    assert stats.sign_flip(differences) == pytest.approx(p, abs=5e-4)


@pytest.mark.parametrize(("pairs", "p"), [(5, 0.0625), (6, 0.03125), (8, 0.0078125)])
def test_sign_flip_smallest_p(pairs: int, p: float) -> None:
    assert stats.sign_flip(np.ones(pairs)) == pytest.approx(p)


def test_sign_flip_of_zero_sums() -> None:
    assert stats.sign_flip(np.zeros(12)) == 1.0
    assert stats.sign_flip(np.array([1.0, -1.0])) == 1.0


def test_sign_flip_counts_all_patterns() -> None:
    """The p value agrees with brute force if some sizes are equal."""
    differences = np.array([0.5, -0.25, 0.5, 1.5, -0.25, 0.75, 0.5, 2.0, -1.0])
    sums = [np.dot(signs, differences) for signs in product((-1, 1), repeat=9)]
    known = np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-12)
    assert stats.sign_flip(differences) == pytest.approx(known)


def test_sign_flip_samples_if_patterns_are_too_many() -> None:
    """Forty sizes give the normal approximation's p value, each time the same."""
    differences = np.random.default_rng(0).normal(0.4, 1, size=40)
    p = stats.sign_flip(differences)
    assert p == stats.sign_flip(differences)
    spread = np.sqrt((differences**2).sum())
    z = abs(differences.sum()) / spread
    assert p == pytest.approx(2 * norm.sf(z), abs=0.01)


def test_signed_ranks_give_wilcoxon() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=14), rng.normal(0.7, 1, size=14)
    known = wilcoxon(first, second, method="exact").pvalue
    assert stats.sign_flip(stats.signed_ranks(first, second)) == pytest.approx(known)


def test_signed_ranks_of_infinities() -> None:
    """Two infinities tie; an infinity loses to a number by the largest rank."""
    first = np.array([np.inf, np.inf, 1.0, 5.0])
    second = np.array([np.inf, 1.0, 2.0, 3.0])
    assert stats.signed_ranks(first, second).tolist() == [0.0, 3.0, -1.0, 2.0]


def test_holm_by_hand() -> None:
    """Each p value is multiplied by the tests left, never falls and is at most 1."""
    adjusted = stats.holm(np.array([0.01, 0.04, 0.03, 0.9]))
    assert adjusted == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert stats.holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]


def test_holm_leaves_out_tests_not_made() -> None:
    adjusted = stats.holm(np.array([np.nan, 0.02, 0.01]))
    assert np.isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.02, 0.02])


def test_letters_of_a_chain() -> None:
    """If only A and C differ, B has the letters of both."""
    different = np.zeros((3, 3), dtype=bool)
    different[0, 2] = different[2, 0] = True
    assert stats.group_letters(different) == ["a", "a b", "b"]


def test_two_entries_share_a_letter_unless_they_differ() -> None:
    """This holds for random matrices."""
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 9):
        different = np.triu(rng.random((size, size)) < 0.5, 1)
        different = different | different.T
        letters = [set(one.split()) for one in stats.group_letters(different)]
        for one, other in product(range(size), repeat=2):
            if one != other:
                assert bool(letters[one] & letters[other]) is not bool(
                    different[one, other]
                )


def test_many_groups_have_two_letters() -> None:
    """Thirty entries that all differ have the letters a to z, then aa to ad."""
    different = ~np.eye(30, dtype=bool)
    assert stats.group_letters(different)[25:] == ["z", "aa", "ab", "ac", "ad"]


@pytest.mark.parametrize("largest", [1e308, 1.7e308])
@pytest.mark.filterwarnings("error")
def test_the_largest_floats_have_quantiles_and_means(largest: float) -> None:
    """What lies between two floats is a float, and there is no warning."""
    apart = np.array([-largest, -largest, largest, largest])
    assert stats.median(apart) == 0
    assert stats.iqm(apart) == 0
    same = np.full(6, largest)
    assert stats.median(same) == largest
    assert stats.iqm(same) == pytest.approx(largest)
    assert stats.quantile(np.array([0.0, largest]), 0.25) == pytest.approx(largest / 4)
    assert stats.iqm(np.array([1.0, np.inf, np.inf, np.inf])) == np.inf
