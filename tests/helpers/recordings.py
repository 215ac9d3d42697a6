"""Recordings of given distances, for tests of what is made of them."""

import numpy as np

from mmbench.core.columns import COUNTED
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.metrics.base import IterateMetric
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite


def bilinear_cell(seeds: int = 3, steps: int = 40, records: int = 4) -> Cell:
    """Return a cell on the bilinear game; its target is a distance of at most 1e-3."""
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


def recording_of(cell: Cell, distances: list[list[float]], first: int = 0) -> Recording:
    """Return a recording of distances, one row a record, ten steps apart."""
    runs = len(distances[0])
    recording = Recording(cell, cell.seeds[first : first + runs])
    for i, row in enumerate(distances):
        counts = {name: np.full(runs, 10 * i + first) for name in COUNTED}
        columns = {"distance": np.array(row)}
        for metric in cell.metrics:
            if isinstance(metric, IterateMetric):
                assert {column.name for column in metric.columns} == set(columns)
        recording.add(10 * i, float(i), counts, columns)
    return recording
