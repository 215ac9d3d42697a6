"""The rule by which recomputed numbers agree with stored ones, depart or differ."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from edited_stores import small_grid

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner.comparison import Comparison, kind_of_reason, tolerance
from mmbench.runner.growth import Growth, underflow
from mmbench.runner.plan import plan
from mmbench.runner.replay import compute
from mmbench.suites.base import Suite


@pytest.fixture(scope="module")
def cell() -> Cell:
    """Return a cell of one run on which the noise below is put by hand."""
    grid = small_grid(metrics=("distance",), seeds=1)
    (cell,) = plan(Suite(name="x", grids=(grid,)))
    return cell


def compared(cell: Cell, moved: list[float], stored: list[float]) -> list[bool]:
    """Return for each departure from 1 at all records whether it is explained.

    Args:
        cell: the cell.
        moved: how far noise moves the number at the last records.
        stored: relative to it, what is stored at these.
    """
    found = compute(cell, Placement())
    values = np.ones_like(found.columns["distance"])
    disturbed = values.copy()
    disturbed[-len(moved) :, 0] += moved
    found = replace(found, columns={"distance": values})
    noisy = replace(found, columns={"distance": disturbed})
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


def test_a_zero_of_another_sign_is_not_identical(cell: Cell) -> None:
    """Neither it nor the numbers beside it count as bit-identical."""
    found = compute(cell, Placement())
    values = np.ones_like(found.columns["distance"])
    values[0] = 0.0
    found = replace(found, columns={"distance": values})
    now, then = found.frame(cell), found.frame(cell)
    then.loc[0, "distance"] = -0.0
    comparison = Comparison(cell)
    assert list(comparison.run(0, then, now, Growth(cell, found, 0, found))) == []
    assert comparison.largest > 0


def test_growth_counts_from_its_step_on(cell: Cell) -> None:
    """What grows later explains nothing before; once lost, everything is possible."""
    assert compared(cell, [0.0, 0.2], [0.5, 0.5]) == [False, True]
    assert compared(cell, [0.2, 0.0], [1.0, 0.1]) == [True]
    assert compared(cell, [np.nan, 0.0], [1.0, np.inf]) == [True]


def test_words_of_reasons_and_tiny_numbers() -> None:
    """The type of an exception stays; the square of a tiny number underflows."""
    assert kind_of_reason("ValueError: too far (torch 2)") == "ValueError"
    assert underflow("float32") ** 2 == pytest.approx(np.finfo(np.float32).tiny)


def test_rows_must_be_the_same(cell: Cell) -> None:
    """Records that are missing are a departure that nothing explains."""
    now = compute(cell, Placement()).frame(cell)
    (departure,) = Comparison(cell).run(0, now.iloc[:-1], pd.DataFrame(now))
    assert not departure.is_explained
    assert departure.column == "step"
