"""Statistics: intervals and paired tests, arrays in, arrays out.

Resampling is seeded, so the same numbers always give the same intervals. A value of
plus or minus infinity is allowed everywhere: it stands for a run that has no value and
counts as the worst.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binom, norm, rankdata

RESAMPLES = 2000
CONFIDENCE = 0.95
# Below this many pairs no outcome could be significant after a correction: five pairs
# reach p = 0.0625 at best, eight 0.0078.
FEWEST_PAIRS = 8
# Sign patterns that are counted out; beyond, patterns are drawn.
EXACT, DRAWN = 200_000, 20_000

Statistic = Callable[[np.ndarray], np.ndarray]


def wilson(
    successes: np.ndarray | float, runs: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a proportion, at 95 %.

    Args:
        successes: how many runs did.
        runs: out of how many, at least 1.

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
    """Interval of the mean of several tasks' proportions, at 95 %.

    Wilson's intervals of the tasks, their distances from the estimates added in
    quadrature. Of one task it is Wilson's own. A bootstrap would have no width where
    every run succeeds.

    Args:
        successes: for each task.
        runs: for each task.

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
    """Quantile by linear interpolation, which infinities pass through unharmed.

    Args:
        values: no NaN.
        share: from 0 to 1.
        axis: over which it is taken.
    """
    ordered = np.sort(values, axis=axis)
    at = share * (ordered.shape[axis] - 1)
    below = ordered.take(int(np.floor(at)), axis=axis)
    above = ordered.take(int(np.ceil(at)), axis=axis)
    with np.errstate(invalid="ignore"):
        between = below + (at - np.floor(at)) * (above - below)
    return np.where(below == above, below, between)


def median(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Median over an axis."""
    return quantile(values, 0.5, axis)


def iqm(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Interquartile mean: of the middle half, a quarter cut off at either end."""
    ordered = np.sort(values, axis=axis)
    cut = ordered.shape[axis] // 4
    middle = range(cut, ordered.shape[axis] - cut)
    with np.errstate(invalid="ignore"):
        return np.asarray(ordered.take(middle, axis=axis).mean(axis=axis))


def bootstrap(
    values: Float[np.ndarray, "runs"],
    statistic: Statistic = median,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile-bootstrap interval of a statistic of runs, at 95 %.

    Args:
        values: one a run, no NaN.
        statistic: takes the values of all resamples, shape (runs, resamples), to one
            number each.
        resamples: how many.

    Returns:
        Lower and upper end.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(values), size=(len(values), resamples))
    return _ends(statistic(np.asarray(values, float)[drawn]))


def stratified_bootstrap(
    strata: Sequence[Float[np.ndarray, " _"]],  # of any length each
    statistic: Statistic | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile-bootstrap interval over tasks, at 95 %: runs are drawn within tasks.

    Args:
        strata: the values of each task's runs, no NaN.
        statistic: takes the values of all tasks together, shape (runs, resamples), to
            one number each; None takes the mean over tasks of the tasks' means.
        resamples: how many.

    Returns:
        Lower and upper end.
    """
    rng = np.random.default_rng(0)
    drawn = []
    for values in strata:
        size = (len(values), resamples)
        drawn.append(np.asarray(values, float)[rng.integers(0, len(values), size=size)])
    if statistic:
        return _ends(statistic(np.concatenate(drawn)))
    return _ends(np.mean([one.mean(axis=0) for one in drawn], axis=0))


def _ends(statistics: np.ndarray) -> tuple[float, float]:
    """Middle 95 % of the resampled statistics."""
    tail = (1 - CONFIDENCE) / 2
    ends = quantile(statistics, tail), quantile(statistics, 1 - tail)
    return float(ends[0]), float(ends[1])


def sign_flip(differences: Float[np.ndarray, "pairs"]) -> float:
    """Two-sided p value of a paired permutation test.

    If both of a pair were alike, its difference could as well have had the other sign.
    Of all patterns of signs: the share whose sum is at least as far from zero. For
    differences of 0, 1 and -1 this is McNemar's exact test; for signed ranks,
    Wilcoxon's.

    Args:
        differences: one a pair, finite.

    Returns:
        Exact where patterns can be counted, else from 20 000 seeded ones.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    reached = abs(differences.sum()) * (1 - 1e-9)  # sums of floats are not exact
    if not len(sizes):
        return 1.0
    if np.prod(counts + 1.0) <= EXACT:
        # Differences of one size are alike: only how many are positive matters.
        sums, chances = np.zeros(1), np.ones(1)
        for size, count in zip(sizes, counts, strict=True):
            positive = np.arange(count + 1)
            sums = np.add.outer(sums, size * (2 * positive - count)).ravel()
            weights = binom.pmf(positive, count, 0.5)
            chances = np.multiply.outer(chances, weights).ravel()
        return float(min(1.0, chances[np.abs(sums) >= reached].sum()))
    moving = differences[differences != 0]
    rng = np.random.default_rng(0)
    signs = 2 * rng.integers(0, 2, size=(DRAWN, len(moving)), dtype=np.int8) - 1
    as_far = (np.abs(signs @ moving) >= reached).sum()
    return float((as_far + 1) / (DRAWN + 1))


def signed_ranks(
    first: Float[np.ndarray, "pairs"], second: Float[np.ndarray, "pairs"]
) -> Float[np.ndarray, "pairs"]:
    """Ranks of the sizes of the differences first - second, with their signs.

    Free of the values' scale; two infinities of one sign are alike.
    """
    with np.errstate(invalid="ignore"):
        apart = np.where(first == second, 0.0, first - second)
    ranks = np.zeros(len(apart))
    moving = apart != 0
    ranks[moving] = rankdata(np.abs(apart[moving])) * np.sign(apart[moving])
    return ranks


def holm(p: Float[np.ndarray, "tests"]) -> Float[np.ndarray, "tests"]:
    """Holm's adjusted p values; NaN marks a test that was not made and stays NaN."""
    p = np.asarray(p, float)
    adjusted = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def groups(apart: Bool[np.ndarray, "entries entries"]) -> list[str]:
    """Letters of each entry; two entries share a letter unless they are apart.

    Each letter is a largest set of entries of which no two are apart.

    Args:
        apart: symmetric, for entries in order of their rank.
    """
    entries = len(apart)
    near = [
        {other for other in range(entries) if other != one and not apart[one, other]}
        for one in range(entries)
    ]
    cliques: list[list[int]] = []

    def extend(clique: set[int], candidates: set[int], excluded: set[int]) -> None:
        # Bron and Kerbosch 1973, with a pivot.
        if not candidates and not excluded:
            cliques.append(sorted(clique))
            return
        pivot = max(
            sorted(candidates | excluded), key=lambda one: len(near[one] & candidates)
        )
        for one in sorted(candidates - near[pivot]):
            extend(clique | {one}, candidates & near[one], excluded & near[one])
            candidates = candidates - {one}
            excluded = excluded | {one}

    extend(set(), set(range(entries)), set())
    cliques.sort()
    return [
        " ".join(_letter(index) for index, one in enumerate(cliques) if entry in one)
        for entry in range(entries)
    ]


def _letter(index: int) -> str:
    """a to z, then aa, ab, ..."""
    prefix, last = divmod(index, 26)
    return (_letter(prefix - 1) if prefix else "") + chr(ord("a") + last)
