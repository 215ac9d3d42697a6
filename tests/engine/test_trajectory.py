"""Recordings joined to one trajectory, and a trajectory as a tidy table."""

import numpy as np
from recordings import bilinear_cell, recording_of

from mmbench.core.columns import COUNTED, LEADING
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording, Records
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


def test_common_charges_are_those_of_every_run() -> None:
    """Charges that all runs share stand at each of them, beside those of each run."""
    cell = bilinear_cell(3)
    shared, apart = Recording(cell, (0, 1)), Recording(cell, (2,))
    counts = {name: np.array([[3], [6]]) for name in COUNTED}
    columns = {"distance": np.ones((2, 2))}
    shared.add_records([0, 10], [0.0, 1.0], Records(2, counts, columns))
    each = {name: np.array([7, 8]) for name in COUNTED}
    shared.add(20, 2.0, each, {"distance": np.ones(2)})
    for step in (0, 10, 20):
        counts = {name: np.array([step]) for name in COUNTED}
        apart.add(step, 3.0, counts, {"distance": np.ones(1)})
    trajectory = join_recordings(cell, [shared, apart], width=2)
    assert trajectory.counts["grad_y"].tolist() == [[3, 3, 0], [6, 6, 10], [7, 8, 20]]
    assert trajectory.counts["grad_y"].dtype == int
    assert trajectory.seconds.tolist() == [[0, 0, 3], [1, 1, 3], [2, 2, 3]]
