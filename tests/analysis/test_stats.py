"""Tests of intervals and p values against known numbers."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, binomtest, multinomial, norm

from mmbench.analysis import stats


@pytest.mark.parametrize(
    ("successes", "runs", "low", "high"),
    [
        (13, 20, 0.408, 0.846),
        (68, 100, 0.579, 0.770),
        (10, 10, 0.692, 1.0),
        (100, 100, 0.964, 1.0),
        (0, 10, 0.0, 0.308),
    ],
)
def test_ends_of_a_proportion(
    successes: int, runs: int, low: float, high: float
) -> None:
    """The intervals of some proportions are known."""
    ends = stats.proportion_interval(successes, runs)
    assert [float(end) for end in ends] == pytest.approx([low, high], abs=1e-3)


def test_a_proportion_agrees_with_scipy_on_arrays() -> None:
    """Arrays are elementwise; the ends are exact if no run or every run succeeds."""
    runs = np.array([8, 8, 8, 30, 1])
    successes = np.array([0, 5, 8, 29, 1])
    low, high = stats.proportion_interval(successes, runs)
    for at, (k, n) in enumerate(zip(successes, runs, strict=True)):
        known = binomtest(int(k), int(n)).proportion_ci(method="exact")
        assert low[at] == pytest.approx(known.low, abs=1e-12)
        assert high[at] == pytest.approx(known.high, abs=1e-12)
    assert low[0] == 0.0
    assert high[2] == 1.0


def wilson(k: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's intervals, which do not cover."""
    z = norm.ppf(0.975)
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    return centre - half, centre + half


@pytest.mark.parametrize("runs", [2, 8, 32, 100])
def test_a_proportion_is_covered(runs: int) -> None:
    """Exactly, in at least 95 % of the cases; Wilson's interval is short of it."""
    k, shares = np.arange(runs + 1), np.linspace(0.001, 0.999, 333)[:, None]
    law = binom.pmf(k, runs, shares)

    def least(low: np.ndarray, high: np.ndarray) -> float:
        return float((law * ((low <= shares) & (shares <= high))).sum(axis=1).min())

    assert least(*stats.proportion_interval(k, runs)) >= 0.95
    assert least(*wilson(k, runs)) < 0.92


@pytest.mark.parametrize("runs", [2, 8, 16])
def test_the_mean_of_two_proportions_is_covered(runs: int) -> None:
    """Exactly, for equal and for unequal tasks."""
    k = np.stack(np.meshgrid(*[np.arange(runs + 1)] * 2), -1).reshape(-1, 2)
    low, high = stats.mean_proportion_interval(k, np.full(2, runs))
    for truth in product((0.0, 0.01, 0.1, 0.35, 0.5, 0.72, 0.9, 0.99, 1.0), repeat=2):
        law = binom.pmf(k, runs, truth).prod(axis=1)
        covers = (low <= np.mean(truth)) & (np.mean(truth) <= high)
        assert law[covers].sum() >= 0.94


def test_the_mean_of_tasks_near_one_is_covered() -> None:
    """Exactly for ten tasks of eight runs, at p = 0.99, without the rare outcomes."""
    misses = np.arange(9)  # of which at most one is in a task
    successes = 8 - (np.arange(10) < misses[:, None])
    low, high = stats.mean_proportion_interval(successes, np.full(10, 8))
    law = binom.pmf(misses, 80, 0.01)
    assert law[(low <= 0.99) & (high >= 0.99)].sum() >= 0.95


def test_the_mean_of_one_task_is_that_of_a_proportion() -> None:
    """Several tasks give a narrower interval, known ones a narrower still."""
    known = stats.proportion_interval(5, 8)
    found = stats.mean_proportion_interval(np.array([5]), np.array([8]))
    known = tuple(map(float, known))
    assert tuple(map(float, found)) == pytest.approx(known)
    values = np.repeat([1.0, 0.0], [5, 3])
    assert stats.mean_interval([values]) == pytest.approx(known)
    low, high = stats.mean_interval([values, values])
    assert known[0] < low < high < known[1]
    halved = stats.include_known((low, high), 2, [1.0, 0.0])
    assert halved == pytest.approx((low / 2 + 0.25, high / 2 + 0.25))


def test_unequal_tasks_give_a_narrower_interval() -> None:
    """Five tasks that always and five that never succeed leave little in doubt."""
    apart = stats.mean_proportion_interval(np.repeat([100, 0], 5), np.full(10, 100))
    alike = stats.mean_proportion_interval(np.full(10, 50), np.full(10, 100))
    assert apart[1] - apart[0] < (alike[1] - alike[0]) / 3
    assert apart[0] < 0.5 < apart[1]


@pytest.mark.parametrize("runs", [2, 8, 16])
def test_a_paired_difference_is_covered(runs: int) -> None:
    """Exactly, at any share of pairs that one of the two wins alone."""
    won, lost = (at.ravel() for at in np.indices((runs + 1, runs + 1)))
    won, lost = won[won + lost <= runs], lost[won + lost <= runs]
    counts = np.stack([won, lost, runs - won - lost], -1)
    ends = np.array(
        [stats.difference_interval([np.repeat([1.0, -1.0, 0.0], n)]) for n in counts]
    )
    for p, q in product((0.0, 0.03, 0.1, 0.26, 0.4, 0.55, 0.9), repeat=2):
        if p + q <= 1:
            law = multinomial.pmf(counts, runs, [p, q, abs(1 - p - q)])
            covers = (ends[:, 0] <= p - q) & (p - q <= ends[:, 1])
            assert law[covers].sum() >= 0.94


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


@pytest.mark.parametrize("runs", [6, 8, 20, 31])
@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_quantile_is_covered(runs: int, share: float) -> None:
    """Exactly: the number of runs below it is binomial, at both ends."""
    ordered = np.arange(runs, dtype=float)
    low, high = stats.quantile_interval(ordered, share)
    below = np.arange(runs + 1)  # runs below the quantile, which is between two
    covers = (low < below - 0.5) & (below - 0.5 < high)
    assert binom.pmf(below, runs, share)[covers].sum() >= 0.95
    first = low if np.isfinite(low) else -1  # the next run is too far in
    assert binom.cdf(first, runs, share) <= 0.025 < binom.cdf(first + 1, runs, share)


def test_the_ends_of_a_quantile_may_be_infinite() -> None:
    """Five runs are too few for a median; an infinite value is one of the runs."""
    low, high = stats.quantile_interval(np.arange(5.0))
    assert (low, high) == (-np.inf, np.inf)
    values = np.stack([np.arange(6.0), [0, 1, 2, np.inf, np.inf, np.inf]], -1)
    low, high = stats.quantile_interval(values)
    assert low.tolist() == [0, 0]
    assert high.tolist() == [5, np.inf]


def test_the_iqm_interval_resamples_within_tasks() -> None:
    """Constant tasks give no width, and one outlier is cut off."""
    constant = np.tile([0.0, 1.0], (10, 1))
    assert stats.iqm_interval(constant) == (0.5, 0.5)
    scores = np.random.default_rng(0).normal(size=(16, 2))
    low, high = stats.iqm_interval(scores)
    assert low < stats.iqm(scores.ravel()) < high
    assert stats.iqm_interval(scores) == (low, high)
    scores[0] = 1e6
    assert stats.iqm_interval(scores)[1] < 10
    assert stats.iqm_interval(scores[:1]) == (-np.inf, np.inf)


def test_the_iqm_is_covered() -> None:
    """In at least 94 % of 400 samples of 8 runs, up to three standard errors."""
    scores = np.random.default_rng(1).normal(size=(400, 8, 1))
    ends = [stats.iqm_interval(one, resamples=500) for one in scores]
    assert sum(low <= 0 <= high for low, high in ends) >= 0.905 * 400


def test_optimality_gap_by_hand() -> None:
    """Scores above the target count as it; the interval is that of a bounded mean."""
    scores = np.array([[0.0, 3.0], [1.0, 2.0]])
    assert stats.optimality_gap(scores, 2.0) == pytest.approx(0.75)
    low, high = stats.optimality_gap_interval(np.repeat(scores, 8, axis=0), 2.0)
    assert 0 < low < 0.75 < high < 2


def test_numbers_are_those_of_rliable() -> None:
    """The table was made by rliable 1.2.0, see `benchmarks/rliable_numbers.py`."""
    known = json.loads(Path(__file__).with_name("rliable.json").read_text("utf-8"))
    x, y = np.array(known["x"]), np.array(known["y"])
    share, low, high = stats.score_profile(x, np.array(known["thresholds"]))
    found = {
        "aggregate_iqm": stats.iqm(x.ravel()),
        "aggregate_mean": x.mean(),
        "aggregate_median": stats.median(x.mean(axis=0)),
        "aggregate_optimality_gap": stats.optimality_gap(x, known["target"]),
        "probability_of_improvement": stats.probability_of_improvement(
            list(x.T), list(y.T)
        ),
        "performance_profile": share,
    }
    for name, value in found.items():
        assert value == pytest.approx(known[name], abs=1e-12), name
    assert (low <= share).all()
    assert (share <= high).all()


def test_probability_of_improvement_by_hand() -> None:
    """Ties count half, tasks have equal weight, and a sure win has some width."""
    first = [np.array([1.0, 2.0, 2.0]), np.array([5.0])]
    second = [np.array([2.0, 0.0]), np.array([1.0, 2.0, 3.0])]
    assert stats.probability_of_improvement(first, second) == pytest.approx(
        (4 / 6 + 1) / 2
    )
    sure = [np.ones(8)], [np.zeros(8)]
    low, high = stats.improvement_interval(*sure)
    assert (low, high) == pytest.approx(
        [float(end) for end in stats.proportion_interval(8, 8)]
    )
    infinite = [np.full(3, -np.inf)], [np.full(3, -np.inf)]
    assert stats.probability_of_improvement(*infinite) == 0.5


def test_an_improvement_is_covered() -> None:
    """Exactly, for scores of which many are equal."""
    runs, scores = 8, np.arange(8)
    k = np.arange(runs + 1)
    ends = {
        (i, j): stats.improvement_interval([(scores < i) + 0.0], [(scores < j) + 0.0])
        for i, j in product(k, repeat=2)
    }
    for p, q in product((0.02, 0.3, 0.5, 0.98), repeat=2):
        law = np.outer(binom.pmf(k, runs, p), binom.pmf(k, runs, q))
        truth = (1 + p - q) / 2
        covered = sum(
            law[at] for at, (low, high) in ends.items() if low <= truth <= high
        )
        assert covered >= 0.94


def test_profiles_by_hand() -> None:
    """A run reaches its target within a budget that is its cost; none does at inf."""
    costs = np.array([[10.0, np.inf], [20.0, 40.0]])
    share, low, high = stats.data_profile(costs, np.array([5.0, 10.0, 20.0, 1e9]))
    assert share.tolist() == [0, 0.25, 0.5, 0.75]
    assert (low <= share).all()
    assert (share <= high).all()
    above = stats.score_profile(-costs, np.array([-20.0]))[0]
    assert above.tolist() == [0.25]  # 20 itself is not above
    entries = np.array([[10.0, np.inf, 7.0], [5.0, np.inf, 70.0]])
    shares = stats.performance_profile(entries, np.array([1.0, 2.0, 10.0]))
    assert shares == pytest.approx(np.array([[1, 2, 2], [1, 1, 2]]) / 3)


def test_the_share_reached_is_a_proportion_without_censoring() -> None:
    """Runs that are followed to the budget, or never reach it, are not censored."""
    costs = np.array([1.0, 2.0, 2.0, 9.0, 9.0, np.inf])
    reached = np.array([True, True, True, False, False, False])
    share, low, high = stats.share_reached(costs, reached, np.array([0.5, 1, 2, 9]))
    counts = np.array([0, 1, 3, 3])
    known = stats.proportion_interval(counts, 6)
    assert share == pytest.approx(counts / 6)
    assert low == pytest.approx(known[0])
    assert high == pytest.approx(known[1])


def test_the_share_reached_with_censoring_by_hand() -> None:
    """A run that ends at 2 leaves two at risk, of which one reaches its target."""
    costs, reached = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 1, 0], bool)
    share, low, high = stats.share_reached(costs, reached, np.array([2.5, 3.0, 5.0]))
    assert share == pytest.approx([0.25, 0.625, 0.625])
    assert (low < share).all()
    assert (share < high).all()
    assert high[2] == 1


def test_the_share_reached_is_covered() -> None:
    """In at least 94 % of 600 samples of 8 runs, up to three standard errors.

    An interval from the variance alone misses where no run has reached its target.
    """
    rng = np.random.default_rng(0)
    shares = np.array([0.05, 0.3, 0.7])
    found = np.zeros(3)
    for _ in range(600):
        costs, ended = rng.exponential(size=8), rng.uniform(0, 3, size=8)
        _, low, high = stats.share_reached(
            np.minimum(costs, ended), costs <= ended, -np.log(1 - shares)
        )
        found += (low <= shares) & (shares <= high)
    assert (found >= (0.94 - 3 * 0.01) * 600).all()


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
