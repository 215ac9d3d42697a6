"""Further metrics of a stored cell from its kept iterates, without running it again.

Where iterates of every record were kept, the new columns are whole; where only the last
ones were, the records before hold NaN.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from mmbench.core.code_guard import CodeGuard
from mmbench.core.description import made_anew
from mmbench.core.errors import DamagedError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.recording import summarise
from mmbench.engine.run_batch import RunBatch
from mmbench.engine.run_cell import Starts, arithmetic, width_of
from mmbench.metrics.base import Metric, TrajectoryMetric

if TYPE_CHECKING:  # it takes long to import
    import pandas as pd


class RemeasuredTable(NamedTuple):
    """A cell's table with further columns, and the scores of real data in them."""

    frame: "pd.DataFrame"
    real_scores: dict[str, float]


def remeasure(
    cell: Cell,
    frame: "pd.DataFrame",
    kept: dict[str, np.ndarray],
    missing: tuple[Metric, ...],
    placement: Placement,
    starts: Starts | None,
) -> RemeasuredTable:
    """Add the columns of some metrics to a cell's table.

    Args:
        cell: the cell.
        frame: its table.
        kept: iterates "z", shape (kept, runs, dim), and their "steps".
        missing: the metrics to add.
        placement: where games are built.
        starts: as `run_cell` takes it.

    Raises:
        DamagedError: when the iterates are not those of the table and the game.
    """
    given, cell = cell, made_anew(cell)
    missing = made_anew(missing)
    guard = CodeGuard((cell, missing), lambda: cell.key == given.key)
    placement = placement._replace(dtype=getattr(torch, cell.dtype))
    rows, real_scores = _measure(cell, kept, missing, placement, starts)
    frame = frame.copy()
    steps = sorted(set(frame["step"]))
    shape = (len(cell.seeds), len(steps))
    for name, values in rows.items():  # (kept, runs) to (runs, records), run by run
        whole = np.full(shape, np.nan)
        whole[:, [steps.index(step) for step in kept["steps"]]] = values.T
        frame[name] = whole.reshape(-1)
    for metric in missing:
        if isinstance(metric, TrajectoryMetric):
            values = frame[metric.of].to_numpy().reshape(shape).T
            for name, found in summarise(metric, steps, values).items():
                frame[name] = np.repeat(found, len(steps))
    guard.check()
    return RemeasuredTable(frame, real_scores)


def _check_iterates(
    cell: Cell, kept: dict[str, np.ndarray], placement: Placement
) -> None:
    """Check that iterates are of the records and the game of a cell.

    Raises:
        DamagedError: when they are not.
    """
    z, steps = kept.get("z"), [int(step) for step in kept.get("steps", ())]
    expected = list(cell.schedule) if cell.keep == "all" else [cell.steps]
    dim = cell.task.build(placement).dim
    shape = (len(expected), len(cell.seeds), dim)
    if z is None or steps != expected or z.shape != shape or z.dtype != cell.dtype:
        raise DamagedError(
            f"The iterates of {cell.key} must be those of its records, of shape "
            f"{shape}; they are not."
        )


def _measure(
    cell: Cell,
    kept: dict[str, np.ndarray],
    missing: tuple[Metric, ...],
    placement: Placement,
    starts: Starts | None,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Measure the metrics of iterates; return columns (kept, runs) and real scores."""
    _check_iterates(cell, kept, placement)
    width, chunks = width_of(cell, placement), []
    real_scores: dict[str, float] = {}
    z = torch.from_numpy(kept["z"])
    with arithmetic(placement.device):
        for first in range(0, len(cell.seeds), width):
            chosen = slice(first, first + width)
            given = starts()[chosen] if starts else None
            batch = RunBatch(cell, placement, cell.seeds[chosen], width, given)
            real_scores = real_scores or {
                name: value
                for metric in missing
                for name, value in metric.real_score(batch.game).items()
            }
            chunks.append(
                [batch.measure(batch.pad(record[chosen]), missing) for record in z]
            )
    names: list[Any] = list(chunks[0][0])
    columns = {
        name: np.stack(
            [
                np.concatenate([measured[i][name] for measured in chunks])
                for i in range(len(z))
            ]
        )
        for name in names
    }
    return columns, real_scores
