"""Confidence intervals and paired tests of arrays.

Resampling is seeded, so the same numbers always give the same intervals. Values of plus
or minus infinity are allowed everywhere: they stand for a run that has no value, which
counts as the worst.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binom, norm, rankdata

RESAMPLES = 2000
CONFIDENCE = 0.95
# With fewer pairs no outcome could be significant after a correction: five pairs reach
# p = 0.0625 at best, eight 0.0078.
MIN_PAIRS = 8
# Up to this number, all patterns of signs are enumerated; beyond it, some are sampled.
MAX_ENUMERATED_PATTERNS = 200_000
SAMPLED_PATTERNS = 20_000

Statistic = Callable[[np.ndarray], np.ndarray]


def wilson(
    successes: np.ndarray | float, runs: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute Wilson's score interval of a proportion, at 95 %.

    Args:
        successes: number of successful runs.
        runs: number of all runs, at least 1.

    Returns:
        Lower and upper end.
    """
    z = norm.ppf((1 + CONFIDENCE) / 2)
    k, n = np.asarray(successes, float), np.asarray(runs, float)
    share = k / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # Exactly 0 and 1 at the ends, where rounding would miss them.
    return (
        np.where(k == 0, 0.0, centre - half),
        np.where(k == n, 1.0, centre + half),
    )


def wilson_mean(successes: np.ndarray, runs: np.ndarray) -> tuple[float, float]:
    """Compute an interval of the mean of several tasks' proportions, at 95 %.

    The distances of the tasks' Wilson intervals from their estimates are combined in
    quadrature. For one task the result is Wilson's interval. A bootstrap would have no
    width where every run succeeds.

    Args:
        successes: number of successful runs of each task, shape (tasks,).
        runs: number of all runs of each task, at least 1, shape (tasks,).

    Returns:
        Lower and upper end.

    Source: Newcombe 1998; Zou and Donner 2008.
    """
    share = np.asarray(successes, float) / np.asarray(runs, float)
    low, high = wilson(successes, runs)
    below = np.sqrt(np.sum((share - low) ** 2)) / len(share)
    above = np.sqrt(np.sum((high - share) ** 2)) / len(share)
    return float(share.mean() - below), float(share.mean() + above)


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


def bootstrap(
    values: Float[np.ndarray, " runs"],
    statistic: Statistic = median,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Compute a percentile-bootstrap interval of a statistic of runs, at 95 %.

    Args:
        values: one value for each run, without NaN.
        statistic: maps the values of all resamples, shape (runs, resamples), to one
            number for each resample.
        resamples: number of resamples.

    Returns:
        Lower and upper end.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(values), size=(len(values), resamples))
    return _percentile_interval(statistic(np.asarray(values, float)[drawn]))


def stratified_bootstrap(
    strata: Sequence[Float[np.ndarray, " _"]],  # of any length each
    statistic: Statistic | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Compute a percentile-bootstrap interval over tasks, at 95 %.

    Runs are resampled within their tasks.

    Args:
        strata: the values of each task's runs, without NaN.
        statistic: maps the values of all tasks together, shape (runs, resamples), to
            one number for each resample; None takes the mean over tasks of the tasks'
            means.
        resamples: number of resamples.

    Returns:
        Lower and upper end.
    """
    rng = np.random.default_rng(0)
    drawn = []
    for values in strata:
        size = (len(values), resamples)
        drawn.append(np.asarray(values, float)[rng.integers(0, len(values), size=size)])
    if statistic:
        return _percentile_interval(statistic(np.concatenate(drawn)))
    means = [values.mean(axis=0) for values in drawn]
    return _percentile_interval(np.mean(means, axis=0))


def _percentile_interval(statistics: np.ndarray) -> tuple[float, float]:
    """Return the ends of the middle 95 % of resampled statistics."""
    tail = (1 - CONFIDENCE) / 2
    return float(quantile(statistics, tail)), float(quantile(statistics, 1 - tail))


def sign_flip(differences: Float[np.ndarray, " pairs"]) -> float:
    """Compute the two-sided p value of a paired permutation test.

    If both members of a pair came from the same distribution, their difference could as
    well have had the other sign. The p value is the share of all patterns of signs for
    which the sum of the differences is at least as far from zero. For differences of 0,
    1 and -1 this is McNemar's exact test; for signed ranks it is Wilcoxon's.

    Args:
        differences: one finite difference for each pair.

    Returns:
        The exact p value if all patterns can be enumerated, otherwise an estimate from
        20 000 seeded patterns.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    observed = abs(differences.sum()) * (1 - 1e-9)  # sums of floats are not exact
    if not len(sizes):
        return 1.0
    if np.prod(counts + 1.0) <= MAX_ENUMERATED_PATTERNS:
        # Of the differences of one size, only the number of positive ones matters.
        sums, probabilities = np.zeros(1), np.ones(1)
        for size, count in zip(sizes, counts, strict=True):
            positive = np.arange(count + 1)
            sums = np.add.outer(sums, size * (2 * positive - count)).ravel()
            weights = binom.pmf(positive, count, 0.5)
            probabilities = np.multiply.outer(probabilities, weights).ravel()
        return float(min(1.0, probabilities[np.abs(sums) >= observed].sum()))
    nonzero = differences[differences != 0]
    rng = np.random.default_rng(0)
    size = (SAMPLED_PATTERNS, len(nonzero))
    signs = 2 * rng.integers(0, 2, size=size, dtype=np.int8) - 1
    as_extreme = (np.abs(signs @ nonzero) >= observed).sum()
    return float((as_extreme + 1) / (SAMPLED_PATTERNS + 1))


def signed_ranks(
    first: Float[np.ndarray, " pairs"], second: Float[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    """Rank the sizes of the differences first - second, and give the ranks their signs.

    The result does not depend on the scale of the values. Two infinities of the same
    sign count as equal.
    """
    with np.errstate(invalid="ignore"):
        differences = np.where(first == second, 0.0, first - second)
    ranks = np.zeros(len(differences))
    nonzero = differences != 0
    sizes, signs = np.abs(differences[nonzero]), np.sign(differences[nonzero])
    ranks[nonzero] = rankdata(sizes) * signs
    return ranks


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Adjust p values by Holm's method; NaN marks a test not made and stays NaN."""
    p = np.asarray(p, float)
    adjusted = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def group_letters(different: Bool[np.ndarray, "entries entries"]) -> list[str]:
    """Give each entry letters, such that two entries share one unless they differ.

    Each letter stands for a largest set of entries of which no two differ. This is the
    compact letter display of multiple comparisons.

    Args:
        different: symmetric matrix, whether two entries differ; entries are in order of
            their rank.

    Returns:
        The letters of each entry, separated by spaces.

    Source: Bron and Kerbosch 1973, with a pivot.
    """
    entries = range(len(different))
    neighbours = [
        {other for other in entries if other != entry and not different[entry, other]}
        for entry in entries
    ]
    cliques: list[list[int]] = []

    def extend(clique: set[int], candidates: set[int], excluded: set[int]) -> None:
        if not candidates and not excluded:
            cliques.append(sorted(clique))
            return
        pivot = max(
            sorted(candidates | excluded),
            key=lambda entry: len(neighbours[entry] & candidates),
        )
        for entry in sorted(candidates - neighbours[pivot]):
            near = neighbours[entry]
            extend(clique | {entry}, candidates & near, excluded & near)
            candidates = candidates - {entry}
            excluded = excluded | {entry}

    extend(set(), set(entries), set())
    cliques.sort()
    return [
        " ".join(
            _letter(index) for index, clique in enumerate(cliques) if entry in clique
        )
        for entry in entries
    ]


def _letter(index: int) -> str:
    """Return the letter of an index: a to z, then aa, ab, ..."""
    prefix, last = divmod(index, 26)
    return (_letter(prefix - 1) if prefix else "") + chr(ord("a") + last)
