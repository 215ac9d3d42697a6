"""Statistics and confidence intervals of arrays.

All intervals are at 95 %, or at the error that is given, and pointwise. Their coverage,
found by enumeration or simulation (`benchmarks/coverage.py`), is at least 94 % at every
truth of a grid, except where a docstring says otherwise. The truths are those of runs
with fresh seeds on the same tasks. Values of plus or minus infinity are allowed
everywhere: they stand for a run that has no value, which counts as the worst.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import betaincinv
from scipy.stats import binom, norm
from scipy.stats import t as student

RESAMPLES = 2000
CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
# So many zeros, and as many ones, are added to the runs of a task before their variance
# is estimated.
PSEUDO_RUNS = 2
TINY = np.finfo(float).tiny

Interval = tuple[np.ndarray, np.ndarray]  # lower and upper ends


# ---- shares and bounded means ----


def proportion_interval(
    successes: np.ndarray | float,
    runs: np.ndarray | float,
    error: float = 1 - CONFIDENCE,
) -> Interval:
    """Compute Clopper and Pearson's interval of a proportion.

    Its coverage is at least 95 % at every proportion and number of runs.

    Args:
        successes: number of successful runs; need not be whole.
        runs: number of all runs, at least 1; need not be whole.
        error: one less the nominal coverage.

    Returns:
        Lower and upper ends.

    Source: Clopper and Pearson 1934.
    """
    k, n = np.asarray(successes, float), np.asarray(runs, float)
    missed = np.maximum(n - k, 0.0)
    tail = error / 2
    low = np.where(k > 0, betaincinv(np.maximum(k, TINY), missed + 1, tail), 0.0)
    high = np.where(
        missed > 0, betaincinv(k + 1, np.maximum(missed, TINY), 1 - tail), 1.0
    )
    return low, high


def mean_proportion_interval(successes: np.ndarray, runs: np.ndarray) -> Interval:
    """Compute an interval of the mean over tasks of proportions.

    It is the interval of `mean_interval` for values 0 and 1. For one task it is
    `proportion_interval`.

    Args:
        successes: number of successful runs of each task, shape (..., tasks).
        runs: number of all runs of each task, at least 1, shape (tasks,).

    Returns:
        Lower and upper ends, shape (...).
    """
    share = np.asarray(successes, float) / runs
    return interval_of_moments(share, share, float(np.min(runs)))


def mean_interval(
    strata: Sequence[Float[np.ndarray, " _"]], error: float = 1 - CONFIDENCE
) -> tuple[float, float]:
    """Compute an interval of the mean over tasks of the tasks' means.

    The values are from 0 to 1. The mean of n such values has at most the variance of a
    proportion of n runs; Clopper and Pearson's interval is computed at the number of
    runs with which a proportion would have the variance that is estimated. The estimate
    adds two values 0 and two values 1 to each task, so that it is not 0 where all runs
    agree. Tasks with more runs than another count as if they had as few as that one.

    Args:
        strata: the values of each task's runs, from 0 to 1.
        error: one less the nominal coverage.

    Returns:
        Lower and upper end.

    Source: Korn and Graubard 1998; Agresti and Coull 1998.
    """
    runs = np.array([len(values) for values in strata])
    joined, starts = np.concatenate(strata), np.cumsum(runs) - runs
    first = np.add.reduceat(joined, starts) / runs
    second = np.add.reduceat(joined**2, starts) / runs
    low, high = interval_of_moments(first, second, float(runs.min()), error)
    return float(low), float(high)


def difference_interval(
    strata: Sequence[Float[np.ndarray, " _"]], error: float = 1 - CONFIDENCE
) -> tuple[float, float]:
    """Compute an interval of the mean over tasks of paired differences in success.

    Args:
        strata: the differences of each task's pairs of runs, from -1 to 1.
        error: one less the nominal coverage.

    Returns:
        Lower and upper end, those of `mean_interval` stretched from -1 to 1.
    """
    low, high = mean_interval([(1 + values) / 2 for values in strata], error)
    return 2 * low - 1, 2 * high - 1


def include_known(
    interval: tuple[float, float], tasks: int, known: Sequence[float]
) -> tuple[float, float]:
    """Return the interval of a mean over tasks of which some are known without error.

    Args:
        interval: the interval of the mean over the other tasks.
        tasks: the number of the other tasks.
        known: the means of the tasks that are known, as those where no run can differ
            from another.

    Returns:
        Lower and upper end.
    """
    low, high = (
        (tasks * float(end) + sum(known)) / (tasks + len(known)) for end in interval
    )
    return low, high


def interval_of_moments(
    first: np.ndarray, second: np.ndarray, runs: float, error: float = 1 - CONFIDENCE
) -> Interval:
    """Compute the intervals of `mean_interval` for many sets of tasks at once.

    Args:
        first: the mean of each task's values from 0 to 1, shape (..., tasks).
        second: the mean of their squares, shape (..., tasks).
        runs: the number of runs of the task that has the fewest.
        error: one less the nominal coverage.

    Returns:
        Lower and upper ends, shape (...).
    """
    tasks = first.shape[-1]
    added = runs + 2 * PSEUDO_RUNS
    means = (runs * first + PSEUDO_RUNS) / added
    variances = (runs * second + PSEUDO_RUNS) / added - means**2
    variance = variances.sum(axis=-1) / tasks**2 / runs
    share = np.asarray(first.mean(axis=-1))
    effective = np.maximum(tasks * runs, share * (1 - share) / variance)
    return proportion_interval(share * effective, effective, error)


# ---- quantiles and trimmed means ----


def quantile(values: np.ndarray, share: float, axis: int = 0) -> np.ndarray:
    """Compute a quantile by linear interpolation between values that may be infinite.

    Args:
        values: values without NaN.
        share: the quantile's level, from 0 to 1.
        axis: the axis over which the quantile is taken.
    """
    ordered = np.sort(values, axis=axis)
    position = share * (ordered.shape[axis] - 1)
    below = ordered.take(int(np.floor(position)), axis=axis)
    above = ordered.take(int(np.ceil(position)), axis=axis)
    weight = position - np.floor(position)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = above - below
        between = below + weight * difference
        # Of two numbers, the difference may be too large for one.
        apart = (1 - weight) * below + weight * above
    is_apart = np.isfinite(below) & np.isfinite(above) & np.isinf(difference)
    return np.where(below == above, below, np.where(is_apart, apart, between))


def median(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Compute the median over an axis."""
    return quantile(values, 0.5, axis)


def quantile_interval(
    values: np.ndarray, share: float = 0.5, axis: int = 0
) -> Interval:
    """Compute an interval of a quantile from the order statistics of runs.

    Its coverage is at least 95 % for every distribution. An end is infinite where no
    run is far enough out: the interval of a median is finite from 6 runs on. Of costs
    to a target, runs that did not reach it within the budget are infinite.

    Args:
        values: values without NaN.
        share: the quantile's level, from 0 to 1.
        axis: the axis of the runs.

    Returns:
        Lower and upper ends, without that axis.

    Source: Thompson 1936.
    """
    ordered = np.sort(values, axis=axis)
    runs = ordered.shape[axis]
    # The number of runs below the quantile is binomial.
    below = int(np.searchsorted(binom.cdf(np.arange(runs), runs, share), TAIL, "right"))
    above = int(
        np.searchsorted(binom.cdf(np.arange(runs), runs, 1 - share), TAIL, "right")
    )
    infinite = np.full_like(ordered.take(0, axis=axis), np.inf, dtype=float)
    low = ordered.take(below - 1, axis=axis) if below else -infinite
    high = ordered.take(runs - above, axis=axis) if above else infinite
    return np.asarray(low), np.asarray(high)


# ---- aggregates over tasks ----


def iqm(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Compute the mean of the middle half: a quarter is cut off at either end."""
    ordered = np.sort(values, axis=axis)
    cut = ordered.shape[axis] // 4
    middle = range(cut, ordered.shape[axis] - cut)
    kept = ordered.take(middle, axis=axis)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.asarray(kept.mean(axis=axis))
        # Their sum may be beyond the largest float, the mean is not.
        apart = np.isfinite(kept).all(axis=axis) & ~np.isfinite(mean)
        return np.where(apart, (kept / len(middle)).sum(axis=axis), mean)


def iqm_interval(
    scores: Float[np.ndarray, "runs tasks"], resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Compute a stratified bootstrap interval of the interquartile mean of all runs.

    Runs are resampled within their tasks. The percentiles are those that give the mean
    of normal runs Student's interval: a bootstrap's own are too narrow for few runs.

    Below 16 runs of a task the coverage may be short of 94 %: with 8 runs the least was
    93 %, with 5 it was 92 % for continuous scores and 82 % for scores 0 and 1 of one
    task.

    Args:
        scores: scores without NaN.
        resamples: number of resamples.

    Returns:
        Lower and upper end, infinite for one run.

    Source: Agarwal et al. 2021; Hesterberg 2015.
    """
    runs, tasks = scores.shape
    if runs == 1:
        return -np.inf, np.inf
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, runs, size=(resamples, runs, tasks))
    resampled = scores[drawn, np.arange(tasks)].reshape(resamples, -1)
    widened = student.ppf(TAIL, tasks * (runs - 1)) * np.sqrt(runs / (runs - 1))
    tail = norm.cdf(widened)
    found = iqm(resampled, axis=1)
    return float(quantile(found, tail)), float(quantile(found, 1 - tail))


def optimality_gap(scores: np.ndarray, target: float = 1.0) -> float:
    """Compute by how much scores miss a target on average, those above counting as it.

    Args:
        scores: scores of which higher is better, of any shape.
        target: the score that suffices.
    """
    return float(target - np.mean(np.minimum(scores, target)))


def optimality_gap_interval(
    scores: Float[np.ndarray, "runs tasks"], target: float = 1.0
) -> tuple[float, float]:
    """Compute the interval of an optimality gap by `mean_interval`.

    Args:
        scores: scores of which higher is better, at least 0.
        target: the score that suffices, more than 0.

    Returns:
        Lower and upper end.
    """
    low, high = mean_interval(list(1 - np.minimum(scores, target).T / target))
    return target * low, target * high


def probability_of_improvement(
    first: Sequence[Float[np.ndarray, " _"]], second: Sequence[Float[np.ndarray, " _"]]
) -> float:
    """Compute the mean over tasks of the probability that first is above second.

    Two equal scores count half.

    Args:
        first: the scores of each task's runs, higher is better.
        second: the other's, for the same tasks.
    """
    return float(_improvements(first, second).mean())


def improvement_interval(
    first: Sequence[Float[np.ndarray, " _"]], second: Sequence[Float[np.ndarray, " _"]]
) -> tuple[float, float]:
    """Compute an interval of the probability of improvement.

    The share of all pairs of a task that first wins has at most the variance of a
    proportion of as many runs as the one with fewer has; the interval is that of
    `mean_proportion_interval` for such proportions.

    Args:
        first: the scores of each task's runs, higher is better.
        second: the other's, for the same tasks.

    Returns:
        Lower and upper end.

    Source of the variance: van Dantzig 1951.
    """
    runs = np.array([min(map(len, pair)) for pair in zip(first, second, strict=True)])
    low, high = mean_proportion_interval(_improvements(first, second) * runs, runs)
    return float(low), float(high)


def _improvements(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the share of pairs that first wins on each task."""
    shares = []
    for ours, theirs in zip(first, second, strict=True):
        ordered = np.sort(theirs)
        below = np.searchsorted(ordered, ours, "left")
        not_above = np.searchsorted(ordered, ours, "right")
        shares.append((below + not_above).mean() / 2 / len(ordered))
    return np.array(shares)


# ---- profiles and costs to a target ----


def score_profile(
    scores: Float[np.ndarray, "runs tasks"], thresholds: Float[np.ndarray, " points"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the share of runs whose score is above each threshold.

    Args:
        scores: scores without NaN.
        thresholds: scores to be exceeded.

    Returns:
        Shares, their means over tasks having equal weight, and the lower and upper ends
        of their `mean_proportion_interval`.
    """
    above = (scores > np.asarray(thresholds)[:, None, None]).sum(axis=1)
    runs = np.full(scores.shape[1], len(scores))
    return above.mean(axis=-1) / len(scores), *mean_proportion_interval(above, runs)


def data_profile(
    costs: Float[np.ndarray, "runs tasks"], budgets: Float[np.ndarray, " points"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the share of runs that reach their target within each budget.

    Args:
        costs: the cost at which each run reached its target, infinite if it did not.
        budgets: costs, none above what the runs that did not reach their target spent.

    Returns:
        Shares, lower and upper ends as those of `score_profile`.
    """
    return score_profile(
        -np.asarray(costs), np.nextafter(-np.asarray(budgets), -np.inf)
    )


def performance_profile(
    costs: Float[np.ndarray, "entries tasks"], ratios: Float[np.ndarray, " points"]
) -> Float[np.ndarray, "entries points"]:
    """Compute the share of tasks that each entry solves at ratios of the least cost.

    The least cost of a task is that of its best entry, so the shares of an entry depend
    on the others. There is no interval: the tasks are no sample.

    Args:
        costs: a positive cost to the target, infinite if it was not reached.
        ratios: ratios to the least cost, at least 1.

    Source: Dolan and More 2002.
    """
    least = costs.min(axis=0)
    # What nobody solves is infinitely far from the best.
    relative = np.where(
        np.isinf(costs), np.inf, costs / np.where(np.isinf(least), 1, least)
    )
    return (relative[:, :, None] <= ratios).mean(axis=1)


def share_reached(
    costs: Float[np.ndarray, " runs"],
    reached: Bool[np.ndarray, " runs"],
    budgets: Float[np.ndarray, " points"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate by Kaplan-Meier the share of runs that reach their target in budgets.

    A run that ended before a budget without its target is censored: it might have
    reached it. A run that cannot reach it any more, as one that diverged, costs
    infinity. Where no run was censored before a budget, the interval is
    `proportion_interval`; otherwise it is the beta product interval. Beyond the last
    run the share stays, and its upper end is 1.

    Args:
        costs: the cost to the target, or what the run spent without reaching it.
        reached: whether the run reached its target.
        budgets: costs at which the share is estimated.

    Returns:
        Shares, lower and upper ends.

    Source: Kaplan and Meier 1958; Fay, Brittain and Proschan 2013, with their moments.
    """
    order = np.lexsort(
        (~reached, costs)
    )  # of equal costs, those that reached come first
    costs, reached = np.asarray(costs, float)[order], reached[order]
    at_risk = np.arange(len(costs), 0, -1)[reached]
    within = np.searchsorted(costs[reached], budgets, "right")
    left = len(costs) - within - np.searchsorted(costs[~reached], budgets, "left")
    # Between two runs nothing changes, and quantiles take long.
    (within, left), at = np.unique([within, left], axis=1, return_inverse=True)
    product = np.concatenate([[1.0], np.cumprod(1 - 1 / at_risk)])[within]
    # The share that is missed is between two products of beta variables, of which each
    # run at risk that reached its target adds one.
    means = np.concatenate([[1.0], np.cumprod(at_risk / (at_risk + 1))])[within]
    squares = np.concatenate([[1.0], np.cumprod(at_risk / (at_risk + 2))])[within]
    most = _beta_quantile(means, squares, 1 - TAIL)
    least = _beta_quantile(means * left / (left + 1), squares * left / (left + 2), TAIL)
    at = at.ravel()  # of one more axis in some versions of numpy
    return 1 - product[at], 1 - most[at], 1 - least[at]


def _beta_quantile(means: np.ndarray, squares: np.ndarray, level: float) -> np.ndarray:
    """Return quantiles of the beta variables with these means and mean squares."""
    variance = squares - means**2
    varies = variance > 0
    size = (means - squares) / np.where(varies, variance, 1.0)
    a, b = np.maximum(means * size, TINY), np.maximum((1 - means) * size, TINY)
    return np.where(varies, betaincinv(a, b, level), means)


# ---- tests ----
