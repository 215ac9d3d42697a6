"""Records of chunks to one trajectory, and a trajectory to a tidy table."""

import numpy as np
import pytest

from mmbench.core.oracle_state import COUNTED
from mmbench.core.status import Status
from mmbench.engine.cell import LEADING, Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import Trajectory, joined
from mmbench.metrics.base import IterateMetric
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite


def cell_of(seeds: int = 3, steps: int = 40, records: int = 4) -> Cell:
    """A cell on the bilinear game: its target is a distance of at most 1e-3."""
    grid = Grid(
        tasks=("bilinear",),
        algorithms=("A label = gda",),
        metrics=("distance", "worst"),
        seeds=seeds,
        steps=steps,
        records=records,
    )
    (cell,) = plan(Suite(name="test", grids=(grid,)))
    return cell


def recorded(cell: Cell, distances: list[list[float]], first: int = 0) -> Recording:
    """A recording of these distances, one row a record, ten steps apart."""
    runs = len(distances[0])
    recording = Recording(cell, cell.seeds[first : first + runs])
    for i, row in enumerate(distances):
        counts = {name: np.full(runs, 10 * i + first) for name in COUNTED}
        columns = {"distance": np.array(row)}
        for metric in cell.metrics:
            if isinstance(metric, IterateMetric):
                assert {one.name for one in metric.columns} == set(columns)
        recording.add(10 * i, float(i), counts, columns)
    return recording


NEAR, FAR = 1e-4, 1.0


@pytest.mark.parametrize(
    ("distances", "status", "at"),
    [
        ([FAR, FAR, NEAR, NEAR, NEAR], "converged", 20),
        ([FAR, NEAR, NEAR, NEAR, NEAR], "converged", 10),
        ([NEAR] * 5, "converged", 0),
        ([FAR, FAR, FAR, NEAR, NEAR], "finished", 40),
        ([NEAR, NEAR, NEAR, NEAR, FAR], "finished", 40),
        ([NEAR, NEAR, FAR, NEAR, NEAR], "finished", 40),
        ([NEAR, FAR, NEAR, NEAR, NEAR], "converged", 20),
        ([FAR, 1e-3, 1e-3, 1e-3, 1e-3], "converged", 10),
        ([FAR, NEAR, NEAR, np.nan, NEAR], "finished", 40),
    ],
)
def test_streaks(distances: list[float], status: str, at: int) -> None:
    """The target must hold at the last three records; its first is the date."""
    recording = recorded(cell_of(1), [[one] for one in distances])
    recording.conclude()
    assert recording.status == [status]
    assert recording.stopped_at.tolist() == [at]


def test_the_dead_do_not_converge() -> None:
    """A run that broke down within the target stays broken down; a stopped one may."""
    recording = recorded(cell_of(3), [[NEAR] * 3] * 5)
    recording.mark([0], Status.DIVERGED, 7)
    recording.mark([1], Status.STOPPED, 8)
    recording.conclude()
    assert recording.status == ["diverged", "converged", "converged"]
    assert recording.stopped_at.tolist() == [7, 0, 0]


def test_padding_is_not_marked() -> None:
    """Rows beyond the runs are the padding's."""
    recording = recorded(cell_of(2), [[FAR, FAR]])
    recording.mark([1, 2, 127], Status.NONFINITE, 3)
    assert recording.status == ["finished", "nonfinite"]


def test_failure_spares_the_dead() -> None:
    """An exception ends who was alive, at the last record, and is told."""
    recording = recorded(cell_of(3), [[FAR] * 3] * 3)
    recording.mark([0], Status.DIVERGED, 7)
    recording.fail(ValueError("why"))
    assert recording.status == ["diverged", "error", "error"]
    assert recording.stopped_at.tolist() == [7, 20, 20]
    assert recording.reason == "ValueError: why"


def pieces() -> tuple[Cell, Trajectory]:
    """Two chunks, the second of which failed after two of five records."""
    cell = cell_of(3)
    whole = recorded(cell, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 1.0]])
    broken = recorded(cell, [[1.5], [2.5]], first=2)
    whole.conclude()
    broken.fail(RuntimeError("no"))
    return cell, joined(cell, [whole, broken], width=2)


def test_chunks_are_joined() -> None:
    """Lacking metrics are NaN; counts and seconds are those of the last record."""
    _, trajectory = pieces()
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
    cell, trajectory = pieces()
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
    cell, trajectory = pieces()
    frame = trajectory.frame(cell)
    assert set(frame.reason[frame.seed == 2]) == {"RuntimeError: no"}
    assert set(frame.reason[frame.seed != 2]) == {""}
