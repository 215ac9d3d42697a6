"""Fresh seeds: whether stored runs are distributed as runs of other seeds are.

Where rounding has grown to the size of the numbers, no computation elsewhere can
confirm a run. What remains is that its numbers look like those of the same cell with
other seeds. Each number that a run has, such as a metric at one record, splits all runs
in two at every value: those up to it and those beyond. If seeds do not matter, the
share of stored runs among these is that of all runs but for chance. The statistic is
the largest standardised difference of shares, over all numbers of a family and all
values; numbers are also split by how far they are from the middle. Numbers that
rounding may part (`Growth`) count as equal. It is compared with
those of random partitions of the same runs into stored and fresh ones, which makes a
permutation test that is exact, however numbers depend on each other.

There are three families: metrics, charges and kept iterates; how and when runs ended;
paths and sheets, which only the first few runs have. Together they find a difference by
chance in one of a thousand honest cells (Bonferroni). Eight stored runs of which all
are beyond the fresh ones are found, six among many records mostly not; forged numbers
that are distributed as true ones are never found. Where all seeds give the same run,
nothing can be told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.recording import SHOWN
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics.base import TrajectoryMetric
from mmbench.runner.growth import Growth
from mmbench.runner.replay import compute, random_number
from mmbench.store.stored_files import StoredFiles

LEVEL = 0.001  # of all tests of one cell together
FEWEST = 32  # fresh runs; as many as are stored where these are more
SPLITS = 32  # of the runs by one number, at the most
_RANGE = 10**6  # of the first fresh seed, beyond the stored ones
_BLOCK = 1000  # partitions at a time
_BLOCKS = (4, 20)  # least, most
_ENOUGH = 20  # partitions that exceed the statistic, after which no more are drawn


class Family(NamedTuple):
    """A test of one family of numbers.

    Args:
        p: p-value.
        where: the number that is most different.
        can_tell: whether two samples without overlap would have been told apart.
    """

    p: float
    where: str
    can_tell: bool


class FreshSeeds(NamedTuple):
    """The comparison of stored runs with runs of fresh seeds.

    Args:
        stored: number of stored runs.
        fresh: number of fresh runs.
        p: smallest p-value, times the number of tests.
        where: the number and step that it is of.
        can_tell: whether this many runs could have shown a difference at all.
        untested: what these runs are too few for, or is not in their records.
    """

    stored: int
    fresh: int
    p: float
    where: str
    can_tell: bool
    untested: tuple[str, ...] = ()

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
            return f"{runs} are too few, or too alike, to tell"
        return f"{runs} agree in distribution, p = {min(self.p, 1):.2g} at the least"


def compare_with_fresh_seeds(
    cell: Cell,
    stored: StoredFiles,
    placement: Placement,
    draw: int,
    growth: Growth | None = None,
) -> FreshSeeds:
    """Compute as many runs with other seeds, and compare the distributions.

    Args:
        cell: the cell that the file describes.
        stored: the cell's files.
        placement: where the runs are computed.
        draw: number by which the seeds are chosen.
        growth: how far rounding may have moved a run; None where it moves none.

    Raises:
        MmbenchError: when the cell cannot be computed here.
    """
    count = max(len(cell.seeds), FEWEST)
    first = max(cell.seeds) + 1 + random_number(cell.key, draw) % _RANGE
    seeds = tuple(range(first, first + count))
    # A trajectory shows some runs only, and all of them are to be shown.
    fresh = [
        compute(replace(cell, seeds=seeds[at : at + SHOWN]), placement)
        for at in range(0, count, SHOWN)
    ]
    then = Trajectory.from_frame(stored.frame)
    then.arrays, then.iterates = stored.arrays(), stored.iterates()
    return compare(cell, then, fresh, random_number(cell.key, draw), growth)


def compare(
    cell: Cell,
    then: Trajectory,
    fresh: list[Trajectory],
    draw: int,
    growth: Growth | None = None,
) -> FreshSeeds:
    """Compare stored runs with fresh ones.

    Args:
        cell: the cell of both.
        then: the stored runs.
        fresh: fresh runs, in several trajectories.
        draw: seed of the partitions.
        growth: as `compare_with_fresh_seeds` takes it.
    """
    families = []
    is_random = False
    untested = [name for name in cell_columns(cell) if _is_late(cell, then, name)]
    for numbers_of in (_measured, _endings, _shown):
        stored = dict(numbers_of(cell, then))
        others = [dict(numbers_of(cell, one)) for one in fresh]
        both = {
            name: (values, _joined(name, others)) for name, values in stored.items()
        }
        if not both:
            continue
        is_random = is_random or any(len(set(new)) > 1 for _, new in both.values())
        parted = _parted(cell, growth, then) if growth else {}
        family = _test(both, parted, np.random.default_rng(draw))
        families.append(family)
        if numbers_of is _shown and not family.can_tell:
            untested += sorted(then.arrays)
    smallest = min(families)
    return FreshSeeds(
        stored=len(then.seeds),
        fresh=sum(len(one.seeds) for one in fresh),
        p=smallest.p * len(families) if is_random else 1.0,
        where=smallest.where,
        can_tell=families[0].can_tell and is_random,
        untested=tuple(untested),
    )


def cell_columns(cell: Cell) -> dict[str, str]:
    """Return the columns of a cell's metrics, and those of which they are made."""
    return {
        column.name: metric.of if isinstance(metric, TrajectoryMetric) else ""
        for metric in cell.metrics
        for column in metric.columns
    }


# ---- the numbers of runs, by name: shape (runs,) ----


def _measured(cell: Cell, runs: Trajectory) -> Iterator[tuple[str, np.ndarray]]:
    """Yield metrics and charges at each record, and the size of kept iterates."""
    for name, of in cell_columns(cell).items():
        if of and not _is_late(cell, runs, of):
            yield name, runs.columns[name][-1]
        elif not of:
            late = len(runs.steps) - 1 if _is_late(cell, runs, name) else 0
            yield from _by_step(name, runs.columns[name][late:], runs.steps[late:])
    for name, counted in runs.counts.items():
        yield from _by_step(name, counted, runs.steps)
    if runs.iterates:
        kept: list[int] = runs.iterates["steps"].tolist()
        for name, sizes in _sizes(runs.iterates["z"]).items():
            yield from _by_step(f"the {name} of z", sizes, kept)


def _endings(_: Cell, runs: Trajectory) -> Iterator[tuple[str, np.ndarray]]:
    """Yield how and when runs ended."""
    for status in dict.fromkeys(runs.status):
        yield f"status {status}", np.array([one == status for one in runs.status])
    yield "stopped_at", runs.stopped_at


def _shown(_: Cell, runs: Trajectory) -> Iterator[tuple[str, np.ndarray]]:
    """Yield points of paths and the size of sample sheets."""
    for name, values in runs.arrays.items():
        if name == "path":  # (runs, points, 2)
            for number, axis in enumerate("xy"):
                points = values[:, :, number].T
                steps: list[int] = runs.arrays["path_steps"].tolist()
                yield from _by_step(f"{axis} of path", points, steps)
        elif not name.endswith("steps"):
            for size, sizes in _sizes(values[None]).items():
                yield f"the {size} of {name}", sizes[0]


def _parted(cell: Cell, growth: Growth, runs: Trajectory) -> dict[str, float]:
    """Return how far rounding may part a number of two results, by its name.

    Numbers are left out that are lost, since the runs may have any value there.
    """
    steps = runs.steps
    limits: dict[str, float] = {}

    def add(name: str, at: Sequence[int], allowed: np.ndarray) -> None:
        for step, limit in zip(at, allowed, strict=True):
            limits[f"{name} at step {step}"] = float(limit)

    for name, of in cell_columns(cell).items():
        allowed = growth.allowed(name)
        add(name, steps, allowed)
        if of:
            limits[name] = float(allowed[-1])
    for name in runs.counts:
        add(name, steps, growth.allowed_charges(name, other_end=True))
    limits["stopped_at"] = growth.stopped_at if np.isinf(growth.lost_at) else np.inf
    if runs.iterates:
        kept: list[int] = runs.iterates["steps"].tolist()
        allowed = growth.allowed_of_array("z", kept)
        add("the norm of z", kept, allowed * np.sqrt(runs.iterates["z"].shape[2]))
        add("the mean of z", kept, allowed)
    for name, values in runs.arrays.items():
        if name == "path":
            points: list[int] = runs.arrays["path_steps"].tolist()
            for axis in "xy":
                add(f"{axis} of path", points, growth.allowed_of_array(name, points))
        elif not name.endswith("steps"):
            (limit,) = growth.allowed_of_array(name, [cell.steps])
            limits[f"the norm of {name}"] = limit * np.sqrt(values[0].size)
            limits[f"the mean of {name}"] = limit
    return {name: limit for name, limit in limits.items() if np.isfinite(limit)}


def _by_step(
    name: str, values: np.ndarray, steps: Sequence[int]
) -> Iterator[tuple[str, np.ndarray]]:
    for at, step in enumerate(steps):
        yield f"{name} at step {step}", values[at]


def _sizes(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return norms and means of entries, shape (records, runs)."""
    flat = values.reshape(*values.shape[:2], -1).astype(float)
    return {"norm": np.linalg.norm(flat, axis=2), "mean": flat.mean(axis=2)}


def _is_late(cell: Cell, runs: Trajectory, name: str) -> bool:
    """Return whether a column was measured later, from the last iterates alone."""
    before = runs.columns[name][:-1].astype(float)
    return cell.keep == "last" and len(before) > 0 and bool(np.isnan(before).all())


def _joined(name: str, others: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Return a number of all fresh runs; NaN where a run does not have it."""
    runs = [len(next(iter(one.values()))) for one in others]
    missing = 0.0 if name.startswith("status ") else np.nan
    return np.concatenate(
        [
            one.get(name, np.full(count, missing))
            for one, count in zip(others, runs, strict=True)
        ]
    )


# ---- the test ----


def _test(
    numbers: Mapping[str, tuple[np.ndarray, np.ndarray]],
    parted: Mapping[str, float],
    random: np.random.Generator,
) -> Family:
    """Test whether two samples of runs are of one distribution.

    Args:
        numbers: by name, those of the stored and of the fresh runs.
        parted: by name, how far apart numbers are equal.
        random: draws the partitions.
    """
    stored, fresh = (len(sample) for sample in next(iter(numbers.values())))
    runs = stored + fresh
    splits: list[np.ndarray] = []
    names: list[str] = []
    for name, samples in numbers.items():
        found = list(_splits(np.concatenate(samples), parted.get(name, 0.0)))
        splits += found
        names += [name] * len(found)
    if not splits:  # all runs are the same
        splits, names = [np.zeros(runs, dtype=bool)], [next(iter(numbers))]
    table, first = np.unique(np.array(splits), axis=0, return_index=True)
    share = np.clip(table.mean(axis=1), 1 / runs, 1 - 1 / runs)
    deviation = np.sqrt(share * (1 - share) * (1 / stored + 1 / fresh))
    scaled = (table / deviation[:, None]).T.astype(np.float32)
    label = np.repeat([1 / stored, -1 / fresh], [stored, fresh]).astype(np.float32)
    observed = np.abs(label @ scaled)
    # Rounding in sums of up to `runs` numbers must not tell equal statistics apart.
    statistic = float(observed.max()) * (1 - 1e-5)
    largest = np.sqrt(runs) * (1 - 1e-5)  # of samples without overlap
    drawn = beyond = apart = 0
    for block in range(_BLOCKS[1]):
        labels = random.permuted(np.tile(label, (_BLOCK, 1)), axis=1)
        statistics = _largest(labels, scaled)
        drawn += _BLOCK
        beyond += int((statistics >= statistic).sum())
        apart += int((statistics >= largest).sum())
        if block + 1 >= _BLOCKS[0] and beyond >= _ENOUGH:
            break
    return Family(
        (beyond + 1) / (drawn + 1),
        names[int(first[int(observed.argmax())])],
        3 * (apart + 1) / (drawn + 1) < LEVEL,
    )


def _splits(values: np.ndarray, parted: float) -> Iterator[np.ndarray]:
    """Yield masks of the runs whose number is small, and of those near the middle.

    Args:
        values: one number for each run; NaN counts as the largest.
        parted: how far apart two numbers are that are equal.
    """
    numbers = np.where(np.isnan(values.astype(float)), np.inf, values).astype(float)
    order = np.argsort(numbers, kind="stable")
    with np.errstate(invalid="ignore"):
        is_next = np.diff(numbers[order]) > parted  # not so from infinity on
    group = np.empty(len(values))
    group[order] = np.concatenate([[0], np.cumsum(is_next)])
    ranks = stats.rankdata(group)
    for ordered in (ranks, np.abs(ranks - ranks.mean())):
        limits = np.unique(ordered)[:-1]
        chosen = np.linspace(0, len(limits) - 1, min(len(limits), SPLITS)).astype(int)
        for limit in limits[chosen]:
            yield ordered <= limit


def _largest(labels: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """Return the largest statistic of each partition; splits are taken in parts."""
    parts = range(0, scaled.shape[1], 10_000)
    largest: np.ndarray = np.max(
        [np.abs(labels @ scaled[:, at : at + 10_000]).max(axis=1) for at in parts],
        axis=0,
    )
    return largest
