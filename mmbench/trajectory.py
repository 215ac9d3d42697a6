"""Trajectory: the records of one cell, as typed columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mmbench.core.description import name_of, text
from mmbench.core.errors import DescriptionError
from mmbench.core.oracle import COUNTED
from mmbench.core.status import Status
from mmbench.metrics.base import IterateMetric, Metric, TrajectoryMetric
from mmbench.plan import Cell

STREAK = 3  # records in a row at which the target must hold
SHOWN = 8  # runs whose path or sheet is kept


class Recording:
    """What has been measured of the runs of one chunk, as it comes.

    Args:
        cell: which they belong to.
        seeds: one a run.
    """

    def __init__(self, cell: Cell, seeds: tuple[int, ...]) -> None:
        self.cell, self.seeds = cell, seeds
        self.steps: list[int] = []
        self.seconds: list[float] = []
        self.counts: list[Mapping[str, np.ndarray]] = []
        self.columns: list[Mapping[str, np.ndarray]] = []
        self.status = [Status.FINISHED] * len(seeds)
        self.stopped_at = np.full(len(seeds), cell.steps)
        self.reason = ""
        self.arrays: dict[str, np.ndarray] = {}
        self._streak = np.zeros(len(seeds), dtype=int)
        self._streak_from = np.zeros(len(seeds), dtype=int)

    def add(
        self,
        step: int,
        seconds: float,
        counts: Mapping[str, np.ndarray],
        columns: Mapping[str, np.ndarray],
    ) -> None:
        """One record of all runs."""
        self.steps.append(step)
        self.seconds.append(seconds)
        self.counts.append(counts)
        self.columns.append(columns)
        if self.cell.task.target:
            held = self.cell.task.target.holds(columns)
            self._streak_from = np.where(self._streak == 0, step, self._streak_from)
            self._streak = np.where(held, self._streak + 1, 0)

    def mark(self, runs: Sequence[int], status: Status, step: int) -> None:
        """Runs that have ended, and where; those of the padding do not count."""
        for run in runs:
            if run < len(self.seeds):
                self.status[run], self.stopped_at[run] = status, step

    def conclude(self) -> None:
        """Runs whose target held to the end, three records or more, converged."""
        for run, streak in enumerate(self._streak):
            if streak >= STREAK and not self.status[run].dead:
                self.status[run] = Status.CONVERGED
                self.stopped_at[run] = self._streak_from[run]

    def fail(self, error: BaseException) -> None:
        """An exception has ended all runs that had not ended before."""
        self.reason = _told(error)
        at = self.steps[-1] if self.steps else 0
        running = [run for run, one in enumerate(self.status) if one is Status.FINISHED]
        self.mark(running, Status.ERROR, at)


@dataclass
class Trajectory:
    """What the engine measured of one cell; every run has every record.

    Attributes:
        seeds: one a run.
        steps: of the records.
        counts: what each run had been charged, by name, shape (records, runs).
        seconds: training time of the run's chunk, shape (records, runs); measuring is
            not part of it.
        columns: metrics, by column, shape (records, runs).
        status: how each run ended.
        stopped_at: the step at which it did.
        reason: why, where an exception did.
        arrays: what is looked at rather than tabulated, each with a leading `runs`
            axis of the first few runs: "path" (runs, points, 2) with "path_steps"
            (points,), "sheet" (runs, count, ...).
        width: runs that were computed side by side.
    """

    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    counts: dict[str, np.ndarray]
    seconds: np.ndarray
    columns: dict[str, np.ndarray]
    status: list[Status]
    stopped_at: np.ndarray
    reason: str = ""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    width: int = 0

    def frame(self, cell: Cell) -> pd.DataFrame:
        """The tidy table: one row for each run and record, run by run."""
        records, runs = self.seconds.shape

        def per_run(values) -> np.ndarray:
            return np.repeat(np.asarray(values), records)

        def flat(values: np.ndarray) -> np.ndarray:
            return values.T.reshape(-1)

        frame = {
            "task": text(cell.task),
            "algorithm": name_of(type(cell.algorithm)),
            "label": cell.label,
            "seed": per_run(self.seeds),
            "step": np.tile(np.asarray(self.steps), runs),
            **{name: flat(self.counts[name]) for name in COUNTED},
            "cell_seconds": flat(self.seconds),
            "status": per_run([str(one) for one in self.status]),
            "stopped_at": per_run(self.stopped_at),
            "reason": per_run(
                [self.reason if one is Status.ERROR else "" for one in self.status]
            ),
            **{name: flat(values) for name, values in self.columns.items()},
        }
        return pd.DataFrame(frame)


# ---- chunks to one trajectory ----


def joined(cell: Cell, parts: Sequence[Recording], width: int) -> Trajectory:
    """The trajectory of all chunks.

    Where a chunk failed early, metrics of the records that it lacks are NaN, counts and
    seconds those of its last record.
    """
    steps = max((part.steps for part in parts), key=len) or [0]
    records = len(steps)

    def beside(of: str, name: str, blank: float | None) -> np.ndarray:
        rows = [
            _rows([one[name] for one in getattr(part, of)], part, records, blank)
            for part in parts
        ]
        return np.concatenate(rows, axis=1)

    columns = {
        column.name: beside("columns", column.name, np.nan)
        for metric in cell.metrics
        if isinstance(metric, IterateMetric)
        for column in metric.columns
    }
    trajectory = Trajectory(
        seeds=cell.seeds,
        steps=tuple(steps),
        counts={name: beside("counts", name, None).astype(int) for name in COUNTED},
        seconds=np.concatenate(
            [_rows(part.seconds, part, records, None) for part in parts], axis=1
        ),
        columns=columns,
        status=[status for part in parts for status in part.status],
        stopped_at=np.concatenate([part.stopped_at for part in parts]),
        reason=next((part.reason for part in parts if part.reason), ""),
        arrays=_arrays(parts),
        width=width,
    )
    for metric in cell.metrics:
        if isinstance(metric, TrajectoryMetric):
            _summarise(metric, trajectory)
    return trajectory


def _rows(
    values: Sequence[Any], part: Recording, records: int, blank: float | None
) -> np.ndarray:
    """A chunk's values, shape (records, runs), filled up with the blank or the last."""
    runs = len(part.seeds)
    rows = [np.broadcast_to(one, runs) for one in values]
    if blank is None:
        filling = rows[-1] if rows else np.zeros(runs)
    else:
        filling = np.full(runs, blank)
    return np.stack(rows + [filling] * (records - len(rows)))


def _arrays(parts: Sequence[Recording]) -> dict[str, np.ndarray]:
    """Arrays of the first few runs of all chunks that came to their end."""
    ended = [part.arrays for part in parts if part.arrays]
    return {
        name: array
        if name == "path_steps"  # the same for all runs
        else np.concatenate([one[name] for one in ended])[:SHOWN]
        for name, array in (ended[0] if ended else {}).items()
    }


def _summarise(metric: TrajectoryMetric, trajectory: Trajectory) -> None:
    """Add a metric of whole runs; if it raises, the cell's runs end with an error."""
    runs = len(trajectory.seeds)
    try:
        given = metric.summarise(trajectory.steps, trajectory.columns[metric.of])
        for column in metric.columns:
            check_shape(metric, column.name, np.shape(given[column.name]), runs)
    except Exception as error:
        trajectory.reason = _told(error)
        trajectory.status = [
            one if one.dead else Status.ERROR for one in trajectory.status
        ]
        given = {column.name: np.full(runs, np.nan) for column in metric.columns}
    for column in metric.columns:
        repeated = np.tile(given[column.name], (len(trajectory.steps), 1))
        trajectory.columns[column.name] = repeated


def check_shape(metric: Metric, column: str, shape: Sequence[int], runs: int) -> None:
    """Raise unless a metric gave one number for each run.

    Raises:
        DescriptionError: naming the metric and the column.
    """
    if tuple(shape) != (runs,):
        raise DescriptionError(
            f"{metric} must give one number for each of {runs} runs as {column}; got "
            f"shape {tuple(shape)}."
        )


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
