"""Recordings joined to one trajectory, and a trajectory as a tidy table."""

import numpy as np
from recordings import bilinear_cell, recording_of

from mmbench.core.columns import LEADING
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory, join_recordings


def joined_chunks() -> tuple[Cell, Trajectory]:
    """Two chunks, the second of which failed after two of five records."""
    cell = bilinear_cell(3)
    whole = recording_of(
        cell, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 1.0]]
    )
    broken = recording_of(cell, [[1.5], [2.5]], first=2)
    whole.conclude()
    broken.fail(RuntimeError("no"))
    return cell, join_recordings(cell, [whole, broken], width=2)


def test_chunks_are_joined() -> None:
    """Lacking metrics are NaN; counts and seconds are those of the last record."""
    _, trajectory = joined_chunks()
    assert trajectory.steps == (0, 10, 20, 30, 40)
    assert trajectory.seeds == (0, 1, 2)
    distance = trajectory.columns["distance"]
    assert distance[:, 0].tolist() == [1, 3, 5, 7, 9]
    np.testing.assert_array_equal(distance[:, 2], [1.5, 2.5, *[np.nan] * 3])
    assert trajectory.counts["grad_x"][:, 2].tolist() == [2, 12, 12, 12, 12]
    assert trajectory.seconds[:, 2].tolist() == [0, 1, 1, 1, 1]
    worst = trajectory.columns["distance_worst"]
    np.testing.assert_array_equal(worst[-1], [9, 1, np.nan])
    assert trajectory.status == ["finished", "finished", "error"]


def test_table_is_tidy() -> None:
    """One row for each run and record, run by run, in declared columns."""
    cell, trajectory = joined_chunks()
    frame = trajectory.frame(cell)
    assert tuple(frame.columns) == (*LEADING, "distance", "distance_worst")
    assert len(frame) == 15
    assert frame.seed.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert frame.step.tolist() == [0, 10, 20, 30, 40] * 3
    assert frame.distance[frame.seed == 1].tolist() == [2, 4, 6, 8, 1]
    assert set(frame.label) == {"A label"}
    assert set(frame.algorithm) == {"gda"}
    assert frame.status[frame.seed == 2].tolist() == ["error"] * 5


def test_reasons_stand_where_they_belong() -> None:
    """Only runs that an exception ended have a reason."""
    cell, trajectory = joined_chunks()
    frame = trajectory.frame(cell)
    assert set(frame.reason[frame.seed == 2]) == {"RuntimeError: no"}
    assert set(frame.reason[frame.seed != 2]) == {""}
