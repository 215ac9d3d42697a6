"""The test of a pair of entries, on one task and over tasks.

All runs of the pair are ranked together, from the best to the worst, and ties share the
mean of their ranks. The differences of the ranks are paired by seed. If both entries
were the same method, each difference could as well have the other sign: the two-sided
p value is the share of all patterns of signs for which the sum of the differences is at
least as far from zero as it is.

Everything is computed in whole numbers: twice a mean of ranks is one.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, comb, gcd, lcm, ldexp, log2
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.special import ndtr
from scipy.stats import rankdata

LEVEL = 0.05  # at which two entries are apart as a pair
# Fewer units are not flipped: their p value is at least 2 ** (1 - units), and the runs
# of both entries, taken as unpaired, can reach smaller ones.
MIN_UNITS = 8
SIGN_FLIP, RANK_SUM = "sign flip", "rank sum"
NO_TEST = ""  # in the place of their names where none can be made

# The p value is exact within this factor of a threshold, as far as the work allows.
FAR = 100.0
NEAR = 1.2  # of a smooth sum's saddlepoint approximation, which is wrong by less
SMOOTH = 12  # number of differences of one size that those of a smooth sum count as
MAX_ADDITIONS = 3_000_000  # of one convolution, some milliseconds
HALVINGS = 1000  # of a number of subsets that leave it a normal float
MIDDLE = 0.01  # square of the normal score below which p is near 1
STEPS = 30  # of Newton's method at most, from the tilt of a normal distribution
CLOSE = 1e-7  # share of the sum within which Newton's method ends
MAX_DENOMINATOR = 10**6
COUNTED = 16  # differences whose signs are all counted, a few milliseconds
MAX_RANK_SUM = 64  # runs of both entries whose rank sums are counted exactly
DRAWS = 4000  # pairs of entries that are simulated for a power
MOST_SIMULATED = 256  # seeds of them, on all tasks


class Comparison(NamedTuple):
    """What the test says of an entry and others, one number for each of the others.

    Args:
        p: the two-sided p values, shape (others,); NaN where no test can be made.
        ahead: 1 where the entry has the better ranks, -1 where the other has, 0 where
            neither has, shape (others,).
        improvement: share of all pairs of one run of each, of the paired seeds, in
            which the run of the entry is the better one; ties count half; shape
            (others,). It is a mean over tasks, where there are several.
        pairs: number of seeds that both entries have, summed over tasks.
        test: "sign flip", "rank sum", or "" where none can be made.
    """

    p: np.ndarray
    ahead: np.ndarray
    improvement: np.ndarray
    pairs: int
    test: str


# ---- ranks ----


def order_of_runs(
    dead: Bool[np.ndarray, " runs"],
    cost: Float[np.ndarray, " runs"] | None,
    metric: Float[np.ndarray, " runs"],
) -> Integer[np.ndarray, " runs"]:
    """Order runs from the best to the worst.

    First come the runs that reached the target, by their cost to it, then those that
    missed it, by their metric, then the dead ones, all tied. Without a target, all that
    are not dead are ordered by their metric.

    Args:
        dead: whether a run ended in failure.
        cost: cost to the target, infinite for a run that missed it; None where the task
            declares no target.
        metric: last value of the primary metric, lower ones better; NaN is the worst.

    Returns:
        The place of each run in the order, from 0; ties have the same.
    """
    reached = np.zeros(len(dead), bool) if cost is None else np.isfinite(cost) & ~dead
    kind = np.where(dead, 2, np.where(reached, 0, 1))
    value = np.where(reached, 0.0 if cost is None else cost, metric)
    value = np.where(dead | np.isnan(value), np.inf, value)
    lost = np.isnan(metric) & (kind == 1)  # after an infinite value
    keys = np.stack([kind, value, lost], axis=1)
    _, order = np.unique(keys, axis=0, return_inverse=True)
    return order.reshape(-1).astype(np.int64)


def rank_differences(
    first: Integer[np.ndarray, "*entries seeds"],
    second: Integer[np.ndarray, "*entries seeds"],
) -> Integer[np.ndarray, "*entries seeds"]:
    """Compute twice the differences of ranks of runs that are paired by seed.

    Args:
        first: the order of the first entry's runs, as `order_of_runs` gives it.
        second: that of the second entry's, the same seed at the same place.
    """
    seeds = first.shape[-1]
    bits = (2 * seeds).bit_length()
    runs = np.arange(2 * seeds)
    # Sorting is fastest for numbers, which hold the order and the run.
    both = np.concatenate([first, second], axis=-1).astype(np.int64)
    both = np.sort(both << bits | runs, axis=-1)
    order, at = both >> bits, both & ((1 << bits) - 1)
    is_new = order[..., 1:] != order[..., :-1]
    # The first and the last place of each group of ties; their sum is twice its mean.
    start, end = np.zeros_like(at), np.full_like(at, 2 * seeds - 1)
    start[..., 1:] = np.where(is_new, runs[1:], 0)
    end[..., :-1] = np.where(is_new, runs[:-1], 2 * seeds - 1)
    np.maximum.accumulate(start, axis=-1, out=start)
    end = np.minimum.accumulate(end[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty_like(at)
    np.put_along_axis(ranks, at, start + end, axis=-1)
    return ranks[..., :seeds] - ranks[..., seeds:]


def sums_of_units(
    differences: Integer[np.ndarray, "tests seeds"], unit: Integer[np.ndarray, " seeds"]
) -> Integer[np.ndarray, "tests units"]:
    """Add the differences within each unit, which is what has one sign.

    Args:
        differences: for each test one for each seed.
        unit: what each seed belongs to, for instance its held-out instance.
    """
    _, at = np.unique(unit, return_inverse=True)
    sums = np.zeros((len(differences), at.max(initial=-1) + 1), np.int64)
    np.add.at(sums.T, at, differences.T)
    return sums


# ---- p values ----


def sign_flip(
    differences: Integer[np.ndarray, "tests units"], thresholds: Sequence[float] = ()
) -> Float[np.ndarray, " tests"]:
    """Compute two-sided p values of sums under random signs of their terms.

    Without thresholds all are exact. With them,

    - a p value that is below a hundredth of the least threshold or above a hundred
      times the greatest one by the normal approximation is the normal one. By
      Hoeffding's inequality an exact p value is at most 100 times a normal one, so that
      no verdict depends on it;
    - the others are exact, but that where the differences count as 12 of one size or
      more, (sum of squares)^2 / (sum of fourth powers), they are exact within a factor
      of 1.2 of a threshold, and elsewhere Lugannani and Rice's saddlepoint
      approximation for a lattice, which is then within 5 %, and 1 % for 50 or more.

    Sums whose convolution would take more than three million additions are exact by
    counting all signs of their largest terms, if these are at most 16. Otherwise, as of
    many tasks, the saddlepoint approximation takes the place of the exact value.

    Args:
        differences: whole numbers, for each test one for each unit.
        thresholds: levels to which the p values will be compared.

    Returns:
        One p value for each test; 1 where all differences are 0.
    """
    squares = differences.astype(float) ** 2
    variances, fourths = squares.sum(axis=1), (squares**2).sum(axis=1)
    moved = variances > 0
    p = np.ones(len(differences))
    sums = np.abs(differences.sum(axis=1))
    p[moved] = 2 * ndtr(-sums[moved] / np.sqrt(variances[moved]))
    exact = moved
    if thresholds:
        wanted = moved & (p >= min(thresholds) / FAR) & (p <= max(thresholds) * FAR)
        is_smooth = wanted & (variances**2 >= SMOOTH * fourths)
        p[is_smooth] = _saddlepoint(differences[is_smooth])
        exact = wanted & (~is_smooth | _within(p, thresholds, NEAR))
    for at in np.flatnonzero(exact):
        p[at] = _exact(differences[at])
    return np.minimum(p, 1.0)


def _within(
    p: np.ndarray, thresholds: Sequence[float], factor: float
) -> Bool[np.ndarray, " tests"]:
    """Return which p values are within a factor of a threshold."""
    inside = np.zeros(len(p), bool)
    for threshold in thresholds:
        inside |= (p >= threshold / factor) & (p <= threshold * factor)
    return inside


def _exact(differences: Integer[np.ndarray, " units"]) -> float:
    """Return a p value by convolution, or by approximation if that is too much work.

    A sum of signed differences is at least as far from zero as s if the differences
    with the other sign sum to at most c = (sum of sizes - s) / 2. The number of subsets
    for each sum up to c is found by adding one difference after the other. All terms
    are positive, so that small probabilities keep their digits.
    """
    sizes = np.abs(differences[differences != 0])
    common = gcd(*sizes.tolist())
    sizes = np.sort(sizes) // common
    sum_ = abs(int(differences.sum())) // common
    highest = (int(sizes.sum()) - sum_) // 2
    ends = np.minimum(np.cumsum(sizes), highest) + 1
    if ends.sum() > MAX_ADDITIONS or len(sizes) > 2 * HALVINGS:
        p = _by_parts(sizes, sum_)
        return float(_saddlepoint(differences[None])[0]) if p is None else p
    halved = min(len(sizes), HALVINGS)  # at once, and the others at the end
    share = np.zeros(highest + 1)
    share[0] = 2.0**-halved
    for size, end in zip(sizes.tolist(), ends.tolist(), strict=True):
        if size < end:
            share[size:end] += share[: end - size].copy()
    return ldexp(2 * float(share.sum()), halved - len(sizes))


def _by_parts(sizes: Integer[np.ndarray, " units"], sum_: int) -> float | None:
    """Return a p value by all signs of the largest differences and the sum of the rest.

    The sum of the rest has its exact distribution, by convolution or, of at most 16
    terms, by all signs.

    Args:
        sizes: of the differences, more than 0, the smallest first.
        sum_: the sum of the differences, at least 0.

    Returns:
        The p value; None where more than 16 differences are large.
    """
    additions = np.cumsum(np.cumsum(sizes))
    small = min(int(np.searchsorted(additions, MAX_ADDITIONS)), HALVINGS)
    if len(sizes) - small > COUNTED:
        if len(sizes) > 2 * COUNTED:
            return None
        small = len(sizes) // 2
    rest, large = sizes[:small], sizes[small:]
    needed = sum_ - _signed_sums(large)  # of the rest
    if small <= COUNTED:
        sums = np.sort(_signed_sums(rest))
        tail = 1 - np.searchsorted(sums, needed) / len(sums)
        return 2 * float(tail.mean())
    total = int(rest.sum())
    # The share of the patterns of signs in which negative terms sum to each number.
    share = np.zeros(total + 1)
    share[0] = 1.0
    for size, end in zip(rest.tolist(), np.cumsum(rest).tolist(), strict=True):
        share[: end + 1] /= 2
        share[size : end + 1] += share[: end + 1 - size].copy()
    below = np.append(np.cumsum(share), 0.0)  # and 0 for sums that cannot be
    at = np.clip((total - needed) // 2, -1, total)
    return 2 * float(below[at].mean())


def _signed_sums(sizes: Integer[np.ndarray, " units"]) -> Integer[np.ndarray, " _"]:
    """Return the sums of some numbers with all patterns of signs."""
    sums = np.zeros(1, np.int64)
    for size in sizes.tolist():
        sums = np.concatenate([sums - size, sums + size])
    return sums


def _saddlepoint(
    differences: Integer[np.ndarray, "tests units"],
) -> Float[np.ndarray, " tests"]:
    """Return Lugannani and Rice's approximation of p values, corrected for a lattice.

    Source: Lugannani and Rice 1980; the lattice: Daniels 1987.
    """
    sums = np.abs(differences.sum(axis=1)).astype(float)
    sizes = np.abs(differences).astype(float)
    squares = (sizes**2).sum(axis=1)
    p = 2 * ndtr(-sums / np.sqrt(squares))
    # Near the middle both terms grow without bound, and the normal one is right. If all
    # differences have one sign, there is no saddlepoint, and p is known.
    total = sizes.sum(axis=1)
    all_one = sums >= total
    p[all_one] = np.exp2(1.0 - np.count_nonzero(differences[all_one], axis=1))
    middle = (sums**2 < MIDDLE * squares) | all_one
    sums, sizes, squares = sums[~middle], sizes[~middle], squares[~middle]
    tilt = sums / squares
    going = np.arange(len(tilt))
    for _ in range(STEPS):
        # The mean is concave in the tilt, so that steps from below stay below. Each
        # test ends by itself, so that its p value depends on no other.
        scaled = sizes[going] * tilt[going, None]
        excess = sums[going] - (sizes[going] * np.tanh(scaled)).sum(axis=1)
        tilt[going] += excess / (sizes[going] ** 2 * _sech_squared(scaled)).sum(axis=1)
        going = going[np.abs(excess) > CLOSE * sums[going]]
        if not len(going):
            break
    scaled = sizes * tilt[:, None]
    variance = (sizes**2 * _sech_squared(scaled)).sum(axis=1)
    log_mean = (scaled + np.log1p(np.exp(-2 * scaled)) - np.log(2)).sum(axis=1)
    signed_root = np.sqrt(2 * (tilt * sums - log_mean))
    gaps = 2.0 * np.gcd.reduce(differences[~middle], axis=1)
    slope = -np.expm1(-gaps * tilt) / gaps * np.sqrt(variance)
    density = np.exp(-(signed_root**2) / 2) / np.sqrt(2 * np.pi)
    p[~middle] = 2 * (ndtr(-signed_root) + density * (1 / slope - 1 / signed_root))
    return p


def _sech_squared(values: np.ndarray) -> np.ndarray:
    """Return 1 / cosh² of positive values, also of those whose cosh is no float."""
    decay = np.exp(-2 * values)
    return 4 * decay / (1 + decay) ** 2


def rank_sum(
    first: Integer[np.ndarray, " first"], second: Integer[np.ndarray, " second"]
) -> float:
    """Compute the two-sided p value of the rank sum of runs that are not paired.

    Ties share the mean of their ranks. Up to 64 runs in all, the p value is the share
    of all ways to divide them for which the rank sum is at least as far from its mean;
    beyond, it is the normal approximation's, with the variance of the ranks that there
    are and no correction for continuity.

    Args:
        first: the order of the first entry's runs, at least one.
        second: that of the second entry's, at least one.
    """
    count = len(first)
    ranks = np.rint(2 * rankdata(np.concatenate([first, second]))).astype(np.int64)
    runs = len(ranks)
    mean = count * (runs + 1)  # of twice the rank sum
    distance = abs(int(ranks[:count].sum()) - mean)
    if distance == 0:
        return 1.0
    if runs > MAX_RANK_SUM:
        squares = float(((ranks - (runs + 1)) ** 2).sum())
        variance = squares * count * (runs - count) / (runs * (runs - 1))
        return float(2 * ndtr(-distance / np.sqrt(variance)))
    # ways[k, s]: number of sets of k runs whose twice rank sum is s.
    ways = np.zeros((count + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in ranks.tolist():
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    sums = np.arange(ways.shape[1])
    far = np.abs(sums - mean) >= distance
    return float(min(1.0, ways[count, far].sum() / comb(runs, count)))


# ---- pairs of entries ----


def compare(
    entry: Integer[np.ndarray, " runs"],
    others: Integer[np.ndarray, "others _"],
    seeds: Integer[np.ndarray, " runs"],
    other_seeds: Integer[np.ndarray, " _"],
    *,
    unit: Integer[np.ndarray, " pairs"] | None = None,
    thresholds: Sequence[float] = (),
) -> Comparison:
    """Compare an entry on one task with others, each of which forms a pair with it.

    Where at least eight seeds have runs of both entries, these are paired; where fewer
    do, all runs of both are taken as unpaired, by their rank sum.

    Args:
        entry: the order of the entry's runs, as `order_of_runs` gives it.
        others: those of the other entries.
        seeds: the seed of each run of the entry, all different.
        other_seeds: the seed of each run of the others, all different.
        unit: what has one sign, for instance the held-out instance of each seed that
            both entries have, in the order of the seeds; None takes each seed by
            itself. With fewer than eight units there is no test.
        thresholds: see `sign_flip`.

    Returns:
        The comparison. There is no test where the smallest p value of the rank sum of
        so many runs is above 0.05.
    """
    common, here, there = np.intersect1d(seeds, other_seeds, return_indices=True)
    pairs = len(common)
    if pairs >= MIN_UNITS:
        differences = rank_differences(
            np.broadcast_to(entry[here], (len(others), pairs)), others[:, there]
        )
        improvement = 0.5 - differences.mean(axis=1) / (4 * pairs)
        ahead = -np.sign(differences.sum(axis=1))
        if unit is not None:
            differences = sums_of_units(differences, unit)
        if differences.shape[1] < MIN_UNITS:
            p = np.full(len(others), np.nan)
            return Comparison(p, ahead, improvement, pairs, NO_TEST)
        p = sign_flip(differences, thresholds)
        return Comparison(p, ahead, improvement, pairs, SIGN_FLIP)
    count, other_count = len(seeds), len(other_seeds)
    entries = np.broadcast_to(entry, (len(others), count))
    ranks = rankdata(np.concatenate([entries, others], axis=1), axis=1)
    gaps = ranks[:, :count].mean(axis=1) - ranks[:, count:].mean(axis=1)
    improvement = 0.5 - gaps / (count + other_count)
    ahead = -np.sign(gaps).astype(int)
    if unit is not None or smallest_rank_sum(count, other_count) > LEVEL:
        p = np.full(len(others), np.nan)
        return Comparison(p, ahead, improvement, pairs, NO_TEST)
    p = np.array([rank_sum(entry, other) for other in others])
    return Comparison(p, ahead, improvement, pairs, RANK_SUM)


def over_tasks(
    differences: Sequence[Integer[np.ndarray, "others _"]],
    pairs: Sequence[int],
    thresholds: Sequence[float] = (),
) -> Comparison:
    """Compare an entry with others over several tasks.

    The rank differences of a task are divided by its number of pairs, and summed over
    tasks; each difference of each task has a sign of its own. They become whole numbers
    by their least common denominator. Where the numbers are too large for exact sums,
    the p value is the saddlepoint approximation's; see `sign_flip`.

    Args:
        differences: of each task, twice the rank differences, one for each pair of
            runs, or their sums within units.
        pairs: number of pairs of runs on each task, at least 1.
        thresholds: see `sign_flip`.
    """
    # Larger numbers could overflow in sums; the differences are then rounded.
    denominator = min(lcm(*pairs), MAX_DENOMINATOR)
    whole = np.concatenate(
        [
            np.rint(one * (denominator / count)).astype(np.int64)
            for one, count in zip(differences, pairs, strict=True)
        ],
        axis=1,
    )
    gaps = [
        one.sum(axis=1) / (4 * count**2)
        for one, count in zip(differences, pairs, strict=True)
    ]
    ahead, improvement = -np.sign(whole.sum(axis=1)), 0.5 - np.mean(gaps, axis=0)
    if whole.shape[1] < MIN_UNITS:
        p = np.full(len(whole), np.nan)
        return Comparison(p, ahead, improvement, sum(pairs), NO_TEST)
    p = sign_flip(whole, thresholds)
    return Comparison(p, ahead, improvement, sum(pairs), SIGN_FLIP)


# ---- how much a test can tell ----


def smallest_rank_sum(first: int, second: int) -> float:
    """Return the smallest p value of the rank sum of so many runs of two entries."""
    return 2 / comb(first + second, first)


def least_runs(threshold: float) -> int:
    """Return the fewest seeds with which a pair can reach a p value: 2 ** (1 - n)."""
    return max(MIN_UNITS, ceil(1 - log2(threshold)))


@lru_cache(maxsize=256)
def power(
    seeds: tuple[int, ...], gain: float, thresholds: tuple[float, ...] = (LEVEL,)
) -> tuple[float, ...]:
    """Compute how often the better one of two entries is found to be better.

    On each task the better entry reaches the target in a share (1 + gain) / 2 of its
    runs, the other one in a share (1 - gain) / 2. Runs of the same outcome do not
    differ but by chance, in their cost to the target or in their metric.

    Args:
        seeds: number of seeds on each task; more than 256 in all count as 256, so that
            the power is a lower bound.
        gain: difference of success, from 0 to 1.
        thresholds: levels of the p value.

    Returns:
        For each threshold a share of 4,000 simulated pairs; its standard error is at
        most 0.8 points.
    """
    if (total := sum(seeds)) > MOST_SIMULATED:
        seeds = tuple(max(1, MOST_SIMULATED * one // total) for one in seeds)
    rng = np.random.default_rng(0)
    shares = np.array([1 + gain, 1 - gain])[:, None, None] / 2
    differences = []
    for runs in seeds:
        reached = rng.random((2, DRAWS, runs)) < shares
        first, second = np.where(reached, 0.0, 1.0) + rng.random(reached.shape)
        order = np.argsort(np.argsort(np.concatenate([first, second], axis=1)))
        differences.append(rank_differences(order[:, :runs], order[:, runs:]))
    if len(seeds) > 1 or seeds[0] >= MIN_UNITS:
        made = over_tasks(differences, seeds, thresholds)
        p, is_better = made.p, made.ahead > 0
    else:
        # Without ties the p value depends on the rank sum alone.
        (runs,) = seeds
        p, sums = np.full(DRAWS, np.nan), order[:, :runs].sum(axis=1)
        if smallest_rank_sum(runs, runs) <= LEVEL:
            _, at, back = np.unique(sums, return_index=True, return_inverse=True)
            found = [rank_sum(order[one, :runs], order[one, runs:]) for one in at]
            p = np.array(found)[back]
        is_better = differences[0].sum(axis=1) < 0
    with np.errstate(invalid="ignore"):
        return tuple(float(np.mean(is_better & (p <= one))) for one in thresholds)
