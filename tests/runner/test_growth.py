"""Growth: how far rounding may have moved a run, from runs with noise made by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from edited_stores import small_grid

from mmbench.core.placement import Placement
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics.base import Point
from mmbench.runner.growth import (
    ENTRIES,
    WATCHED,
    Growth,
    WatchedEntries,
    differ_by_underflow,
    smallest_subnormal,
    watched,
)
from mmbench.runner.plan import plan
from mmbench.runner.replay import compute
from mmbench.suites.base import Suite
from mmbench.tasks import TASKS

EPSILON = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def cell() -> Cell:
    """Return a cell of one run."""
    grid = small_grid(metrics=("distance",), seeds=1, keep="all")
    (cell,) = plan(Suite(name="x", grids=(grid,)))
    return cell


@pytest.fixture(scope="module")
def found(cell: Cell) -> Trajectory:
    """Return the cell, computed."""
    return compute(watched(cell), Placement())


def noisy(found: Trajectory, **columns: Any) -> Trajectory:
    """Return two runs with noise, as found but for deviations of some columns."""
    values = {name: np.repeat(column, 2, 1) for name, column in found.columns.items()}
    for name, deviations in columns.items():
        values[name] = values[name] + np.asarray(deviations).reshape(-1, 1) * [1, -0.5]
    return replace(
        found,
        columns=values,
        counts={name: np.repeat(one, 2, 1) for name, one in found.counts.items()},
        status=found.status * 2,
        stopped_at=np.repeat(found.stopped_at, 2),
        iterates=found.iterates | {"z": np.repeat(found.iterates["z"], 2, 1)},
    )


def at_record(found: Trajectory, record: int, value: float) -> np.ndarray:
    """Return a deviation at one record."""
    deviations = np.zeros(len(found.steps))
    deviations[record] = value
    return deviations


def test_a_number_may_move_eight_times_as_far_as_noise(
    cell: Cell, found: Trajectory
) -> None:
    """The farther of two runs counts, and 16 roundings of the number are free."""
    growth = Growth(cell, found, 0, noisy(found, distance=at_record(found, 3, 1e-3)))
    free = 16 * EPSILON * found.columns["distance"][:, 0]
    expected = 8 * at_record(found, 3, 1e-3) + free
    assert growth.allowed("distance") == pytest.approx(expected)
    assert (growth.lost_at, growth.lost_after) == (np.inf, np.inf)
    assert growth.is_counted("distance")


@pytest.mark.parametrize(("share", "is_lost"), [(0.11, True), (0.09, False)])
def test_a_run_is_lost_by_a_tenth_of_its_way(
    share: float, is_lost: bool, cell: Cell, found: Trajectory
) -> None:
    """Of the way that its iterate had gone by then, the start being far or near."""
    z = found.iterates["z"][:, 0].astype(float)
    way = np.maximum.accumulate(np.linalg.norm(z - z[0], axis=1))
    moved = at_record(found, 4, share * way[4])
    for start in (0.0, 50.0):
        entry = {ENTRIES[0]: found.columns[ENTRIES[0]] + start}
        moved_away = replace(found, columns=found.columns | entry)
        noise = noisy(moved_away, **{ENTRIES[0]: moved})
        growth = Growth(cell, moved_away, 0, noise)
        assert growth.lost_at == (found.steps[4] if is_lost else np.inf)
        assert growth.lost_after == (found.steps[3] if is_lost else np.inf)
        unlimited = np.isinf(growth.allowed("distance"))
        assert (unlimited == (np.array(found.steps) >= growth.lost_at)).all()


def test_a_run_that_stays_is_not_lost_by_roundings(
    cell: Cell, found: Trajectory
) -> None:
    """Where the way is zero, noise must exceed a thousand roundings."""
    still = {name: np.repeat(found.columns[name][:1], 8, 0) for name in found.columns}
    still = {name: values[: len(found.steps)] for name, values in still.items()}
    steps = found.steps[:8]
    short = replace(found, columns=still, steps=steps)
    size = float(np.linalg.norm([still[name][0, 0] for name in ENTRIES]))
    for roundings, is_lost in ((900, False), (1100, True)):
        moved = np.zeros(len(steps))
        moved[2] = roundings * EPSILON * size
        noise = noisy(short, **{ENTRIES[0]: moved})
        lost_at = Growth(cell, short, 0, noise).lost_at
        assert lost_at == (steps[2] if is_lost else np.inf)


def test_charges_may_move_as_in_runs_with_noise(cell: Cell, found: Trajectory) -> None:
    """By twice as many steps, and not at all where they never do."""
    disturbed = noisy(found)
    counts = disturbed.counts["grad_x"].copy()
    counts[4:, 1] += 1  # from the step of the fifth record on
    disturbed.counts = disturbed.counts | {"grad_x": counts}
    growth = Growth(cell, found, 0, disturbed)
    allowed = growth.allowed_charges("grad_x", other_end=False)
    by_then = np.array(found.steps) * 2 >= found.steps[4]
    assert (allowed == np.where(by_then, 8, 0)).all()
    assert not growth.allowed_charges("hvps", other_end=False).any()


def test_ends_are_those_of_runs_with_noise(cell: Cell, found: Trajectory) -> None:
    """Their statuses, and eight times their largest distance in steps."""
    disturbed = replace(
        noisy(found),
        status=[Status.FINISHED, Status.DIVERGED],
        stopped_at=np.array([20, 17]),
    )
    growth = Growth(cell, found, 0, disturbed)
    assert growth.statuses == {Status.FINISHED, Status.DIVERGED}
    assert growth.stopped_at == 24


def test_iterates_may_move_as_their_largest_entry(
    cell: Cell, found: Trajectory
) -> None:
    """At each kept step, eight times as far as with noise."""
    disturbed = noisy(found)
    z = disturbed.iterates["z"].copy()
    z[2, 1, 0] += 0.25
    disturbed.iterates = disturbed.iterates | {"z": z}
    allowed = Growth(cell, found, 0, disturbed).allowed_of_array("z", found.steps)
    size = np.abs(found.iterates["z"][:, 0]).max(axis=1)
    expected = 16 * EPSILON * size
    expected[2] += 2
    assert allowed == pytest.approx(expected, rel=1e-5)


def test_squares_of_tiny_numbers_are_some_subnormal_numbers_apart() -> None:
    """Numbers, too; those whose squares are normal agree by their size alone."""
    assert smallest_subnormal("float32") == np.nextafter(np.float32(0), np.float32(1))
    assert smallest_subnormal("float64") == np.nextafter(0.0, 1.0)
    a = np.array([0.0, 0.0, 1e-20, 1e-20, 0.0, 1.0, np.nan])
    b = np.array([1e-22, 2e-22, 1.0001e-20, 1.01e-20, 1e-44, 1 + 1e-15, 0.0])
    near = differ_by_underflow(a, b, "float32").tolist()
    assert near == [True, False, True, False, True, False, False]


@pytest.mark.parametrize("dim", [1, 32, 50, 200])
def test_entries_are_spread_over_the_iterate(dim: int) -> None:
    """All of a small one, else evenly spaced ones; the rest are zeros."""
    game = TASKS.build(f"bilinear[dim={dim}]").build(Placement())
    z = torch.arange(1.0, 2 * dim + 1).repeat(2, 1)
    columns = WatchedEntries().measure(Point(game, z, (0, 1)))
    assert tuple(columns) == ENTRIES
    values = torch.stack(list(columns.values()), 1)[1]
    interval = -(-2 * dim // WATCHED)
    assert values[values > 0].tolist() == z[1, ::interval].tolist()
    assert len(values) == WATCHED
