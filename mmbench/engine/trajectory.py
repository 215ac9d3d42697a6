"""Trajectory: the records of one cell, as typed columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mmbench.core.description import name_of, text
from mmbench.core.oracle_state import COUNTED
from mmbench.core.status import Status
from mmbench.engine.cell import LEADING, Cell
from mmbench.engine.recording import SHOWN, Recording, check_shape, describe_error
from mmbench.metrics.base import IterateMetric, TrajectoryMetric


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
        iterates: "z" (kept, runs, dim) and the "steps" (kept,) at which they stood;
            empty where none were to be kept or a chunk failed.
        ideal: what real data get, by column.
        backend: what computed it: "eager", "compiled", or why it was not compiled.
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
    iterates: dict[str, np.ndarray] = field(default_factory=dict)
    ideal: dict[str, float] = field(default_factory=dict)
    backend: str = ""

    def snapshot(self) -> dict[str, Any]:
        """All of it, to be sent."""
        return vars(self) | {"status": [str(one) for one in self.status]}

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Trajectory":
        """The trajectory that a snapshot was made of."""
        same = {name: tuple(saved[name]) for name in ("seeds", "steps")}
        return cls(**{**saved, **same, "status": [Status(s) for s in saved["status"]]})

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Trajectory":
        """The trajectory that a cell's table was made of, without arrays."""
        seeds, steps = (tuple(frame[name].unique()) for name in ("seed", "step"))
        last = frame.groupby("seed", sort=False).tail(1)

        def matrix(name: str) -> np.ndarray:
            return frame[name].to_numpy().reshape(len(seeds), len(steps)).T

        metrics = [one for one in frame if one not in LEADING]
        return cls(
            seeds=tuple(int(seed) for seed in seeds),
            steps=tuple(int(step) for step in steps),
            counts={name: matrix(name) for name in COUNTED},
            seconds=matrix("cell_seconds"),
            columns={name: matrix(name) for name in metrics},
            status=[Status(one) for one in last["status"]],
            stopped_at=last["stopped_at"].to_numpy(),
            reason=next((one for one in last["reason"] if one), ""),
        )

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
                [
                    self.reason if one in Status.cell_failures() else ""
                    for one in self.status
                ]
            ),
            **{name: flat(values) for name, values in self.columns.items()},
        }
        return pd.DataFrame(frame)


# ---- chunks to one trajectory ----


def joined(
    cell: Cell,
    parts: Sequence[Recording],
    width: int,
    ideal: dict[str, float] | None = None,
) -> Trajectory:
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
        iterates=_iterates(parts),
        ideal=ideal or {},
        backend=parts[0].backend,
    )
    for metric in cell.metrics:
        if isinstance(metric, TrajectoryMetric):
            _summarise(metric, trajectory)
    return trajectory


def _rows(
    values: Sequence[Any], part: Recording, records: int, blank: float | None
) -> np.ndarray:
    """A chunk's values, shape (records, runs), filled up with the blank or the last."""
    rows = np.zeros((records, len(part.seeds)))
    for number, one in enumerate(values):
        rows[number] = one
    if len(values) < records and (values or blank is not None):
        rows[len(values) :] = values[-1] if blank is None else blank
    return rows


def _arrays(parts: Sequence[Recording]) -> dict[str, np.ndarray]:
    """Arrays of the first few runs of all chunks that came to their end."""
    ended = [part.arrays for part in parts if part.arrays]
    return {
        name: array
        if name == "path_steps"  # the same for all runs
        else np.concatenate([one[name] for one in ended])[:SHOWN]
        for name, array in (ended[0] if ended else {}).items()
    }


def _iterates(parts: Sequence[Recording]) -> dict[str, np.ndarray]:
    """Kept iterates of all chunks, if all have the same."""
    steps = [[step for step, _ in part.kept] for part in parts]
    if not steps[0] or steps.count(steps[0]) < len(steps):
        return {}
    beside = [
        np.concatenate([part.kept[i][1] for part in parts])
        for i in range(len(steps[0]))
    ]
    return {"z": np.stack(beside), "steps": np.array(steps[0])}


def _summarise(metric: TrajectoryMetric, trajectory: Trajectory) -> None:
    """Add a metric of whole runs; if it raises, the cell's runs end with an error."""
    runs = len(trajectory.seeds)
    try:
        given = metric.summarise(trajectory.steps, trajectory.columns[metric.of])
        for column in metric.columns:
            check_shape(metric, column.name, np.shape(given[column.name]), runs)
    except Exception as error:
        trajectory.reason = describe_error(error)
        trajectory.status = [
            one if one.is_failure else Status.ERROR for one in trajectory.status
        ]
        given = {column.name: np.full(runs, np.nan) for column in metric.columns}
    for column in metric.columns:
        repeated = np.tile(given[column.name], (len(trajectory.steps), 1))
        trajectory.columns[column.name] = repeated
