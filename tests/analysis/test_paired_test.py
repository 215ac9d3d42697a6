"""Tests of the test of a pair: against enumeration, SciPy and numbers by hand."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu, rankdata, wilcoxon

from mmbench.analysis import paired_test
from mmbench.analysis.paired_test import (
    compare,
    least_runs,
    order_of_runs,
    over_tasks,
    power,
    rank_differences,
    rank_sum,
    sign_flip,
    sums_of_units,
)

LEVELS = (0.05, 0.05 / 2016)
NAN, INF = np.nan, np.inf


def enumerated(differences: np.ndarray) -> float:
    """Return the share of all patterns of signs at least as far from zero."""
    patterns = np.array(list(product((-1, 1), repeat=len(differences))))
    return float(np.mean(np.abs(patterns @ differences) >= abs(differences.sum())))


def shifted(rng: np.random.Generator, runs: int, shift: float) -> np.ndarray:
    """Return rank differences of two entries, one of which is better by a shift."""
    values = rng.normal(size=(2, runs)) + np.array([[0], [shift]])
    order = rankdata(values).astype(int).reshape(2, runs)
    return rank_differences(*order)


# ---- the order of runs ----


def test_dead_runs_are_worst_and_tied_then_misses_then_successes() -> None:
    """A dead run's last value does not matter, be it the best of all."""
    dead = np.array([False, False, False, True, True, False, False])
    cost = np.array([30.0, 20.0, INF, INF, INF, INF, 20.0])
    metric = np.array([5.0, 9.0, 0.1, 0.0, 7.0, NAN, 1.0])
    assert order_of_runs(dead, cost, metric).tolist() == [1, 0, 2, 4, 4, 3, 0]


def test_without_a_target_the_metric_orders_what_is_not_dead() -> None:
    dead = np.array([True, False, False, False, False])
    metric = np.array([0.0, 2.0, NAN, INF, -1.0])
    assert order_of_runs(dead, None, metric).tolist() == [4, 1, 3, 2, 0]


def test_rank_differences_are_those_of_scipy() -> None:
    """Ties share the mean of their ranks; twice that is a whole number."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 9, size=(2, 5, 12))
    made = rank_differences(first, second)
    for row, (one, other) in enumerate(zip(first, second, strict=True)):
        ranks = rankdata(np.concatenate([one, other]))
        assert made[row].tolist() == (2 * (ranks[:12] - ranks[12:])).tolist()


# ---- exact p values ----


@pytest.mark.parametrize("pairs", [1, 2, 7, 11])
def test_sign_flip_counts_all_patterns(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    differences = rng.integers(-6, 7, size=(20, pairs))
    known = [enumerated(one) for one in differences]
    np.testing.assert_allclose(sign_flip(differences), known, rtol=1e-12)
    np.testing.assert_allclose(sign_flip(differences, LEVELS), known, rtol=1e-12)


@pytest.mark.parametrize(("won", "lost"), [(4, 0), (6, 2), (40, 17), (700, 500)])
def test_sign_flip_of_equal_sizes_is_mcnemar(won: int, lost: int) -> None:
    differences = np.array([[2] * won + [-2] * lost + [0] * 5])
    known = binomtest(won, won + lost).pvalue
    assert sign_flip(differences)[0] == pytest.approx(known, rel=1e-9)


def test_sign_flip_of_signed_ranks_is_wilcoxon() -> None:
    values = np.random.default_rng(0).normal(size=40) + 0.5
    signed = (rankdata(np.abs(values)) * np.sign(values)).astype(int)
    known = wilcoxon(values, method="exact").pvalue
    assert sign_flip(signed[None])[0] == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("pairs", [8, 64, 300, 1500])
def test_small_probabilities_keep_their_digits(pairs: int) -> None:
    """All pairs won but one of size 1: the only patterns are known."""
    differences = np.full((1, pairs), 3)
    assert sign_flip(differences)[0] == pytest.approx(2.0 ** (1 - pairs), rel=1e-9)
    differences[0, 0] = -1
    assert sign_flip(differences)[0] == pytest.approx(2.0 ** (2 - pairs), rel=1e-9)


def test_no_difference_and_a_sum_of_zero_are_no_evidence() -> None:
    assert sign_flip(np.array([[0] * 12, [5, -5] * 6])).tolist() == [1.0, 1.0]
    assert sign_flip(np.array([[0] * 40, [5, -5] * 20]), LEVELS).tolist() == [1.0, 1.0]


# ---- approximations ----


@pytest.mark.parametrize("runs", [32, 64, 150])
def test_p_values_near_a_threshold_are_exact(runs: int) -> None:
    """Elsewhere they are within 5 %, and far below all thresholds on their side."""
    rng = np.random.default_rng(runs)
    shifts = rng.random(150) * 10 / np.sqrt(runs)
    differences = np.stack([shifted(rng, runs, shift) for shift in shifts])
    exact, made = sign_flip(differences), sign_flip(differences, LEVELS)
    is_near = np.zeros(len(exact), bool)
    for level in LEVELS:
        is_near |= (exact > level / 1.1) & (exact < level * 1.1)
    np.testing.assert_allclose(made[is_near], exact[is_near], rtol=1e-12)
    is_far = exact < LEVELS[1] / paired_test.FAR
    np.testing.assert_allclose(made[~is_far], exact[~is_far], rtol=0.05)
    assert is_near.any()
    assert is_far.any()
    for level in LEVELS:
        assert ((made <= level) == (exact <= level)).all()


def test_verdicts_are_exact_for_sizes_of_any_kind() -> None:
    """A few differences are much larger than the others, or most are zero."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        differences = shifted(rng, 40, rng.random() * 2)
        kinds = [differences.copy(), np.sign(differences), np.sign(differences)]
        kinds[0][:2] *= 50
        kinds[1][:20] = 0
        kinds[2][:3] *= 40
        for one in kinds:
            exact, made = sign_flip(one[None])[0], sign_flip(one[None], LEVELS)[0]
            assert [made <= level for level in LEVELS] == [
                exact <= level for level in LEVELS
            ]


def distributed(differences: np.ndarray) -> float:
    """Return the p value by the distribution of the sum, one number after the other."""
    shares = {0: 1.0}
    for size in differences.tolist():
        moved: dict[int, float] = {}
        for sum_, share in shares.items():
            for other in (sum_ - size, sum_ + size):
                moved[other] = moved.get(other, 0.0) + share / 2
        shares = moved
    least = abs(int(differences.sum()))
    return sum(share for sum_, share in shares.items() if abs(sum_) >= least)


@pytest.mark.parametrize("large", [1, 3, 8, 14])
@pytest.mark.parametrize("small", [0, 5, 14, 40])
@pytest.mark.parametrize("ratio", [1, 10**6])
def test_few_large_differences_among_small_ones_are_exact(
    large: int, small: int, ratio: int
) -> None:
    """Their sum is far from normal, and too long to be convolved as a whole."""
    rng = np.random.default_rng(large)
    for _ in range(3):
        sizes = [ratio * rng.integers(900, 1100, large), rng.integers(1, 4, small)]
        # Some of many large ones are equal, so that `distributed` has fewer sums.
        if large > 3:
            sizes[0] = np.repeat(sizes[0][:3], -(-large // 3))[:large]
        signs = rng.choice([-1, 1], large + small, p=[0.2, 0.8])
        differences = (np.concatenate(sizes) * signs).astype(np.int64)
        (p,) = sign_flip(differences[None])
        assert p == pytest.approx(distributed(differences), rel=1e-9)


def test_thirty_two_large_differences_are_exact() -> None:
    rng = np.random.default_rng(0)
    for count in (9, 17, 32):
        sizes = 10**6 + 10**4 * rng.integers(0, 3, count)
        differences = sizes * rng.choice([-1, 1], count, p=[0.3, 0.7])
        (p,) = sign_flip((differences + 0)[None])
        scaled = differences // 10**4  # a common divisor changes nothing
        assert p == pytest.approx(distributed(scaled), rel=1e-9)
        shifted = differences + np.sign(differences) * rng.integers(0, 3, count)
        (p,) = sign_flip(shifted[None])
        if count < 20:
            assert p == pytest.approx(distributed(shifted), rel=1e-9)


def test_the_saddlepoint_of_very_unlike_sizes_does_not_overflow() -> None:
    """Warnings are errors here."""
    sizes = np.concatenate([np.ones(600), np.full(40, 10**6)]).astype(np.int64)
    differences = sizes * np.where(np.arange(640) % 10 < 9, 1, -1)
    (p,) = sign_flip(differences[None])
    (of_large,) = sign_flip(np.sign(differences[600:])[None])
    # Where the large ones tie, the small ones decide: between both tails.
    beyond = np.sign(differences[600:]).sum() + 2
    (further,) = sign_flip(np.append(np.ones(38), -np.ones(2)).astype(np.int64)[None])
    assert beyond == 34
    assert further < p < 1.2 * of_large


def test_a_normal_p_value_is_at_most_100_times_too_small() -> None:
    """Hoeffding's bound over the normal tail, for all scores that floats can tell."""
    scores = np.linspace(1.1, 37, 400)
    hoeffding = 2 * np.exp(-(scores**2) / 2)
    normal = 2 * paired_test.ndtr(-scores)
    assert (hoeffding / normal <= paired_test.FAR).all()


# ---- rank sums ----


@pytest.mark.parametrize(("first", "second"), [(3, 5), (6, 4), (1, 7)])
def test_rank_sums_count_all_divisions(first: int, second: int) -> None:
    rng = np.random.default_rng(first)
    for _ in range(10):
        values = rng.integers(0, 6, size=first + second)
        ranks = rankdata(values)
        mean = first * (len(ranks) + 1) / 2
        found = abs(ranks[:first].sum() - mean)
        sums = np.array([sum(one) for one in combinations(ranks, first)])
        known = np.mean(np.abs(sums - mean) >= found - 1e-9)
        assert rank_sum(values[:first], values[first:]) == pytest.approx(known)


def test_rank_sums_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    order = rng.permutation(30) + np.repeat([0, 9], [12, 18]) + np.linspace(0, 0.5, 30)
    order = rankdata(order).astype(int)
    known = mannwhitneyu(order[:12], order[12:], method="exact").pvalue
    assert rank_sum(order[:12], order[12:]) == pytest.approx(known)
    many = rng.integers(0, 20, size=100)
    known = mannwhitneyu(
        many[:40], many[40:], use_continuity=False, method="asymptotic"
    ).pvalue
    assert rank_sum(many[:40], many[40:]) == pytest.approx(known)


# ---- a pair ----


def test_eight_common_seeds_are_paired_and_fewer_are_not() -> None:
    """With seven, all runs of both count; with too few in all there is no test."""
    seeds, low, high = np.arange(20), np.arange(20), np.arange(20) + 20
    made = compare(low, high[None], seeds, seeds + 12)
    assert (made.pairs, made.test) == (8, "sign flip")
    assert made.p == pytest.approx(2 / 2**8)
    assert (made.ahead, made.improvement) == (1, 1)
    made = compare(high, low[None], seeds, seeds + 13)
    assert (made.pairs, made.test) == (7, "rank sum")
    assert made.p == rank_sum(high, low)
    assert (made.ahead, made.improvement) == (-1, 0)
    made = compare(low[:3], high[None, :3], seeds[:3], seeds[:3])
    assert (made.pairs, made.test) == (3, "")
    assert np.isnan(made.p)
    made = compare(low[:4], high[None, :4], seeds[:4], seeds[:4])
    assert made.p == pytest.approx(2 / 70)


def test_the_seed_pairs_the_runs_in_whatever_order_they_are() -> None:
    rng = np.random.default_rng(0)
    entry, other = rng.permutation(40)[:20], rng.permutation(40)[:20]
    seeds, mixed = np.arange(20), rng.permutation(20)
    known = compare(entry, other[None], seeds, seeds)
    assert compare(entry[mixed], other[None], seeds[mixed], seeds) == known


def test_improvement_is_the_share_of_pairs_of_runs() -> None:
    """Ties count half, with and without common seeds."""
    rng = np.random.default_rng(0)
    entry, others = rng.integers(0, 9, size=12), rng.integers(0, 9, size=(5, 12))
    below = (entry[:, None] < others[:, None, :]).mean(axis=(1, 2))
    tied = (entry[:, None] == others[:, None, :]).mean(axis=(1, 2))
    for offset in (0, 9):
        seeds = np.arange(12)
        made = compare(entry, others, seeds, seeds + offset)
        np.testing.assert_allclose(made.improvement, below + tied / 2)
        assert made.ahead.tolist() == np.sign(made.improvement - 0.5).tolist()


def test_others_are_compared_each_by_itself() -> None:
    """What else is compared changes nothing."""
    rng = np.random.default_rng(0)
    entry, others = rng.permutation(200)[:40], rng.integers(0, 300, size=(30, 40))
    seeds = np.arange(40)
    together = compare(entry, others, seeds, seeds, thresholds=LEVELS)
    for at in range(30):
        alone = compare(entry, others[[at]], seeds, seeds, thresholds=LEVELS)
        assert alone.p[0] == together.p[at]


def test_held_out_instances_are_flipped_and_not_their_seeds() -> None:
    """Ten seeds on each of eight instances are eight observations."""
    rng = np.random.default_rng(0)
    differences = rng.integers(-9, 12, size=(2, 80))
    unit = np.repeat(np.arange(8), 10)
    sums = differences.reshape(2, 8, 10).sum(axis=2)
    assert sums_of_units(differences, unit).tolist() == sums.tolist()
    seeds, low, high = np.arange(80), np.arange(80), np.arange(80)[None] + 80
    made = compare(low, high, seeds, seeds, unit=unit)
    assert made.p == pytest.approx(2 / 2**8)
    assert compare(low, high, seeds, seeds).p < 1e-9
    seven = compare(low, high, seeds, seeds, unit=unit % 7)
    assert (seven.pairs, seven.test) == (80, "")


def test_instances_that_differ_are_no_evidence() -> None:
    """The sign of a method's advantage varies with the instance, not with the seed."""
    seeds = np.arange(200)
    unit = np.repeat(np.arange(20), 10)
    rejected = [0, 0]
    for trial in range(200):
        rng = np.random.default_rng(trial)
        advantage = np.repeat(rng.normal(size=20), 10)
        values = rng.normal(size=(2, 200)) + np.stack([advantage, 0 * advantage])
        entry, other = rankdata(values).astype(int).reshape(2, 200)
        for at, units in enumerate((unit, None)):
            made = compare(
                entry, other[None], seeds, seeds, unit=units, thresholds=(0.05,)
            )
            rejected[at] += int(made.p[0] <= 0.05)
    assert rejected[0] <= 20  # 10 are expected; 20 has a probability below 0.2 %
    assert rejected[1] > 60


# ---- over tasks ----


def test_one_task_is_the_test_on_it() -> None:
    rng = np.random.default_rng(0)
    entry, others = rng.permutation(90)[:14], rng.integers(0, 90, size=(5, 14))
    known = compare(entry, others, np.arange(14), np.arange(14))
    differences = rank_differences(np.broadcast_to(entry, (5, 14)), others)
    made = over_tasks([differences], [14])
    for one, other in zip(made, known, strict=True):
        np.testing.assert_array_equal(one, other)


def test_differences_of_tasks_are_divided_by_their_pairs() -> None:
    """All signs of all tasks are flipped, each by itself."""
    rng = np.random.default_rng(0)
    differences = [rng.integers(-9, 12, size=(4, pairs)) for pairs in (3, 4, 5)]
    p = over_tasks(differences, (3, 4, 5)).p
    for row in range(4):
        parts = [60 * one[row] // one.shape[1] for one in differences]
        assert p[row] == pytest.approx(enumerated(np.concatenate(parts)), rel=1e-12)
    assert over_tasks([one[:, :2] for one in differences], (2, 2, 2)).test == ""


def test_large_denominators_are_approximated() -> None:
    """The p values are those of random signs, within their error."""
    rng = np.random.default_rng(0)
    counts = (61, 64, 67)
    differences = [
        np.stack([shifted(rng, count, 0.3) for _ in range(4)]) for count in counts
    ]
    p = over_tasks(differences, counts, LEVELS).p
    whole = np.concatenate([one / one.shape[1] for one in differences], axis=1)
    signs = rng.choice([-1.0, 1.0], size=(40_000, whole.shape[1]))
    drawn = np.abs(signs @ whole.T) >= np.abs(whole.sum(axis=1))
    error = 4 * np.sqrt(p * (1 - p) / len(signs))
    assert (np.abs(drawn.mean(axis=0) - p) <= error).all()


# ---- power ----


def test_least_runs() -> None:
    """One seed fewer could not reach the level if each pair were won."""
    assert least_runs(0.05) == 8
    for threshold in (0.05 / 2016, 1e-7):
        needed = least_runs(threshold)
        assert 2.0 ** (1 - needed) <= threshold < 2.0 ** (2 - needed)


def test_power_of_no_gain_and_of_all() -> None:
    """By chance either entry is found to be better; with too few seeds none is."""
    low, high = power((32,), 0.0, LEVELS)
    assert low == pytest.approx(0.025, abs=0.008)
    assert high < 0.002
    assert power((17,), 1.0, LEVELS) == (1.0, 1.0)
    assert power((16,), 1.0, LEVELS) == (1.0, 0.0)
    assert power((3,), 1.0, LEVELS) == (0.0, 0.0)


def test_power_grows_with_runs_and_gain() -> None:
    values = [
        [power((runs,), gain)[0] for gain in (0.1, 0.2, 0.4)] for runs in (8, 20, 40)
    ]
    assert (np.diff(values, axis=0) > 0).all()
    assert (np.diff(values, axis=1) > 0).all()


def test_power_over_tasks() -> None:
    """Two tasks tell more than one, and less than one of as many seeds in all.

    A difference of ranks is the smaller the fewer seeds are ranked with it.
    """
    one, both, large = (power(seeds, 0.4, LEVELS) for seeds in ((8,), (8, 8), (16,)))
    assert one[0] < both[0]
    assert both[0] == pytest.approx(large[0], abs=0.05)
    assert power((1, 1), 1.0, LEVELS) == (0.0, 0.0)
    assert power((3, 5), 1.0) == (1.0,)
    assert power((1000, 1000), 0.1) == power((128, 128), 0.1)


def test_a_p_value_between_two_far_thresholds_is_exact() -> None:
    """Normal tails decide nothing, however far apart the thresholds are."""
    differences = np.array([[32] * 12 + [1] * 32])
    found = sign_flip(differences, (0.05, 4e-7))
    assert found == pytest.approx(sign_flip(differences), rel=0.06)
