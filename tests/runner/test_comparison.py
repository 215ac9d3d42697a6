"""The rule by which recomputed numbers agree with stored ones, depart or differ."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from edited_stores import small_grid

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.comparison import Comparison, kind_of_reason
from mmbench.runner.growth import ENTRIES, Growth, tolerance, underflow, watched
from mmbench.runner.plan import plan
from mmbench.runner.replay import compute
from mmbench.suites.base import Suite


@pytest.fixture(scope="module")
def cell() -> Cell:
    """Return a cell of one run on which the noise below is put by hand."""
    grid = small_grid(metrics=("distance",), seeds=1)
    (cell,) = plan(Suite(name="x", grids=(grid,)))
    return cell


def compared(
    cell: Cell, moved: list[float], stored: list[float], lost: Sequence[float] = (0.0,)
) -> list[bool]:
    """Return for each departure from 1 at all records whether it is explained.

    Args:
        cell: the cell.
        moved: how far noise moves the number at the last records.
        stored: relative to it, what is stored at these.
        lost: how far noise moves an entry of the iterate at the last records.
    """
    found = compute(watched(cell), Placement())
    values = np.ones_like(found.columns["distance"])
    disturbed = values.copy()
    disturbed[-len(moved) :, 0] += moved
    found = replace(found, columns=found.columns | {"distance": values})
    entry = found.columns[ENTRIES[0]].copy()
    entry[-len(lost) :, 0] += lost
    columns = {"distance": disturbed, ENTRIES[0]: entry}
    noisy = replace(found, columns=found.columns | columns)
    now, then = found.frame(cell), found.frame(cell)
    then.loc[then.index[-len(stored) :], "distance"] *= stored
    growth = Growth(cell, found, 0, noisy)
    departures = Comparison(cell).run(0, then, now, growth)
    return [departure.is_explained for departure in departures]


def test_the_rule_of_agreement(cell: Cell) -> None:
    """Within a thousand roundings and what noise explains: no departure."""
    t = tolerance("float32")
    assert t == pytest.approx(1.2e-4, rel=0.01)
    assert compared(cell, [t], [1 + 0.9 * t]) == []
    assert compared(cell, [t], [1 + 1.2 * t]) == [True]  # as rounding does
    assert compared(cell, [0.0], [1 + 0.9 * t]) == [False]  # nothing explains it
    assert compared(cell, [t], [1 + 9 * t]) == [False]
    assert compared(cell, [t], [float("nan")]) == [False]
    assert compared(cell, [t], [float("inf")]) == [False]


def beginning_with_zero(cell: Cell) -> Trajectory:
    """Return a run with the distances 0, 1, 1, ..."""
    found = compute(watched(cell), Placement())
    values = np.ones_like(found.columns["distance"])
    values[0] = 0.0
    return replace(found, columns=found.columns | {"distance": values})


def test_a_zero_of_another_sign_is_not_identical(cell: Cell) -> None:
    """Neither it nor the numbers beside it count as bit-identical."""
    found = beginning_with_zero(cell)
    now, then = found.frame(cell), found.frame(cell)
    then.loc[0, "distance"] = -0.0
    comparison = Comparison(cell)
    assert list(comparison.run(0, then, now, Growth(cell, found, 0, found))) == []
    assert comparison.largest > 0


def test_growth_counts_from_its_step_on(cell: Cell) -> None:
    """What grows later explains nothing before; once lost, everything is possible."""
    assert compared(cell, [0.0, 0.2], [0.5, 0.5]) == [False, True]
    assert compared(cell, [0.2, 0.0], [1.0, 0.1], lost=[1.0, 0.0]) == [True]
    assert compared(cell, [0.0], [np.inf], lost=[np.nan, 0.0]) == [True]


def test_a_run_is_lost_where_its_iterate_is(cell: Cell) -> None:
    """Noise in all columns explains no other numbers while the iterate is known."""
    assert compared(cell, [0.2, 0.0], [1.0, 0.1]) == [False]
    assert compared(cell, [0.2], [100.0]) == [False]
    assert compared(cell, [0.2], [100.0], lost=[0.001]) == [False]


def test_an_end_before_the_run_is_lost_must_be_one_that_noise_makes(cell: Cell) -> None:
    """Another status or step is explained at ends that come later."""
    found = compute(watched(cell), Placement())
    entry = found.columns[ENTRIES[0]].copy()
    entry[-2:] += 1
    noisy = replace(found, columns=found.columns | {ENTRIES[0]: entry})
    growth = Growth(cell, found, 0, noisy)
    assert (growth.lost_after, growth.lost_at) == tuple(cell.schedule[-3:-1])

    def explained(status: str, stopped_at: int) -> set[bool]:
        now = found.frame(cell)
        then = now.assign(status=status, stopped_at=stopped_at)
        departures = Comparison(cell).run(0, then, now, growth)
        return {departure.is_explained for departure in departures}

    assert explained("diverged", cell.schedule[-2]) == {True}
    assert explained("diverged", cell.schedule[-3]) == {False}
    assert explained("converged", 2) == {True}  # which the last records decide
    assert explained("error", 20) == {False}


def test_words_of_reasons_and_tiny_numbers() -> None:
    """The type of an exception stays; the square of a tiny number underflows."""
    assert kind_of_reason("ValueError: too far (torch 2)") == "ValueError"
    assert underflow("float32") ** 2 == pytest.approx(np.finfo(np.float32).tiny)


@pytest.mark.parametrize(
    ("found", "stored", "expected"),
    [
        (1e-20, 1e-20 * (1 + 1e-4), []),  # as the square of 1e-20 is rounded
        (1e-20, 9e-20, [False]),
        (1e-20, 1.01e-20, [False]),
        (1e-20, 0.0, [True]),  # as a processor without subnormal numbers has it
        (0.0, 9e-20, [False]),
        (0.0, 1e-22, []),
        (1e-18, 0.0, [False]),
    ],
)
def test_tiny_numbers_agree_as_far_as_squares_underflow(
    found: float, stored: float, expected: list[bool], cell: Cell
) -> None:
    """A normal number is held to its own size; no share of such numbers is printed."""
    again = compute(watched(cell), Placement())
    values = np.full_like(again.columns["distance"], found)
    again = replace(again, columns=again.columns | {"distance": values})
    now = again.frame(cell)
    comparison = Comparison(cell)
    growth = Growth(cell, again, 0, again)
    departures = comparison.run(0, now.assign(distance=stored), now, growth)
    assert [departure.is_explained for departure in departures] == expected
    assert comparison.largest < tolerance("float32")
    assert (comparison.largest > 0) is not bool(expected)


def test_a_zero_of_another_sign_hides_no_other_number(cell: Cell) -> None:
    """The largest difference is that of the numbers beside it."""
    found = beginning_with_zero(cell)
    now, then = found.frame(cell), found.frame(cell)
    then["distance"] = np.where(now["distance"] == 0, -0.0, 1 + 3e-7)
    comparison = Comparison(cell)
    assert list(comparison.run(0, then, now, Growth(cell, found, 0, found))) == []
    assert comparison.largest == pytest.approx(3e-7, rel=1e-3)


@pytest.mark.parametrize("name", ["z", "path"])
def test_arrays_enter_the_largest_difference(name: str, cell: Cell) -> None:
    """Iterates and paths that are roundings apart are not identical."""
    cell = replace(cell, keep="all")
    found = compute(watched(cell), Placement())
    now = found.arrays | found.iterates
    then = now | {name: now[name] * np.float32(1 + 3e-7)}
    comparison = Comparison(cell)
    growth = Growth(cell, found, 0, found)
    assert list(comparison.arrays(0, 0, then, now, cell.steps, growth)) == []
    assert comparison.largest == pytest.approx(3e-7, rel=0.5)


def test_rows_must_be_the_same(cell: Cell) -> None:
    """Records that are missing are a departure that nothing explains."""
    now = compute(cell, Placement()).frame(cell)
    (departure,) = Comparison(cell).run(0, now.iloc[:-1], pd.DataFrame(now))
    assert not departure.is_explained
    assert departure.column == "step"
