"""Fresh seeds: whether stored runs are distributed as runs of other seeds are.

Where rounding has grown to the size of the numbers, no computation elsewhere can
confirm a run. What remains is that its numbers look like those of the same cell with
other seeds. Two samples are compared by the test of Kolmogorov and Smirnov: each metric
at four records, and each count and the last step at the end. Together the tests find a
difference by chance in one of a thousand honest cells (Bonferroni). With few runs they
are blind to small changes: with 8 stored runs and 16 fresh ones, a shift by less than
about two standard deviations passes.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.replay import compute, random_number
from mmbench.store.stored_files import StoredFiles

LEVEL = 0.001  # of all tests of one cell together
FEWEST = 16  # fresh runs; as many as are stored where these are more
QUARTERS = 4  # records at which metrics are compared
_RANGE = 10**6  # of the first fresh seed, beyond the stored ones


class FreshSeeds(NamedTuple):
    """The comparison of stored runs with runs of fresh seeds.

    Args:
        stored: number of stored runs.
        fresh: number of fresh runs.
        p: smallest p-value, times the number of tests.
        where: the column and step that it is of.
        can_tell: whether this many runs could have shown a difference at all.
    """

    stored: int
    fresh: int
    p: float
    where: str
    can_tell: bool

    @property
    def agree(self) -> bool:
        """Whether the two samples could have shown a difference, and show none."""
        return self.can_tell and not self.differ

    @property
    def differ(self) -> bool:
        """Whether the two samples are of different distributions."""
        return self.p < LEVEL

    def __str__(self) -> str:
        runs = f"{self.stored} stored and {self.fresh} fresh runs"
        if self.differ:
            return f"{runs} differ in {self.where}, p = {self.p:.1g}"
        if not self.can_tell:
            return f"{runs} are too few to tell"
        return f"{runs} agree in distribution, p = {min(self.p, 1):.2g} at the least"


def compare_with_fresh_seeds(
    cell: Cell, stored: StoredFiles, placement: Placement, draw: int
) -> FreshSeeds:
    """Compute as many runs with other seeds, and compare the distributions.

    Args:
        cell: the cell that the file describes.
        stored: the cell's files.
        placement: where the runs are computed.
        draw: number by which the seeds are chosen.

    Raises:
        MmbenchError: when the cell cannot be computed here.
    """
    count = max(len(cell.seeds), FEWEST)
    first = max(cell.seeds) + 1 + random_number(cell.key, draw) % _RANGE
    fresh = compute(replace(cell, seeds=tuple(range(first, first + count))), placement)
    then = Trajectory.from_frame(stored.frame)
    p_values = list(_p_values(then, fresh))
    smallest, where = min(p_values, default=(1.0, ""))
    tests = max(len(p_values), 1)
    possible = 2 / math.comb(len(cell.seeds) + count, count)
    return FreshSeeds(
        len(cell.seeds), count, smallest * tests, where, possible * tests < LEVEL
    )


def _p_values(then: Trajectory, now: Trajectory) -> Iterator[tuple[float, str]]:
    """Yield the p-value of each column at each of its records that are compared."""
    last = min(len(then.steps), len(now.steps)) - 1
    records = sorted({last * quarter // QUARTERS for quarter in range(1, QUARTERS + 1)})
    for name in now.columns:
        for at in records:
            pair = then.columns[name][at], now.columns[name][at]
            yield _p_value(*pair), f"{name} at step {now.steps[at]}"
    for name in now.counts:
        yield _p_value(then.counts[name][last], now.counts[name][last]), name
    yield _p_value(then.stopped_at, now.stopped_at), "stopped_at"


def _p_value(a: np.ndarray, b: np.ndarray) -> float:
    """Return the p-value of a two-sample test; NaN counts as the largest number."""
    both = np.concatenate([a, b]).astype(float)
    ranks = stats.rankdata(np.where(np.isnan(both), np.inf, both))
    return float(stats.ks_2samp(ranks[: len(a)], ranks[len(a) :]).pvalue)
