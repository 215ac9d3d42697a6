"""Recording: what is measured of the runs of one chunk."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mmbench.core.errors import DescriptionError
from mmbench.core.printable import printable
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.metrics.base import Metric

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
        self.kept: list[tuple[int, np.ndarray]] = []
        self.ended = False
        self.backend = ""
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

    def keep(self, step: int, z: Tensor) -> None:
        """The iterates at that step, for whoever goes on from them or measures more."""
        self.kept.append((step, z.cpu().numpy().copy()))

    def snapshot(self) -> dict[str, Any]:
        """All of it but the cell, for a checkpoint."""
        return {
            "seeds": self.seeds,
            "steps": self.steps,
            "seconds": self.seconds,
            "counts": self.counts,
            "columns": self.columns,
            "status": [str(one) for one in self.status],
            "stopped_at": self.stopped_at,
            "reason": self.reason,
            "arrays": self.arrays,
            "kept": self.kept,
            "streak": self._streak,
            "streak_from": self._streak_from,
            "ended": self.ended,
            "backend": self.backend,
        }

    @classmethod
    def restored(cls, cell: Cell, saved: dict[str, Any]) -> "Recording":
        """The recording that a snapshot was made of."""
        recording = cls(cell, tuple(saved["seeds"]))
        for name in ("steps", "seconds", "counts", "columns"):
            setattr(recording, name, saved[name])
        for name in ("reason", "arrays", "backend"):
            setattr(recording, name, saved[name])
        recording.status = [Status(one) for one in saved["status"]]
        recording.stopped_at = saved["stopped_at"]
        recording.kept = [(step, z) for step, z in saved["kept"]]
        recording._streak = saved["streak"]
        recording._streak_from = saved["streak_from"]
        recording.ended = saved["ended"]
        return recording

    def mark(self, runs: Sequence[int], status: Status, step: int) -> None:
        """Runs that have ended, and where; those of the padding do not count."""
        for run in runs:
            if run < len(self.seeds):
                self.status[run], self.stopped_at[run] = status, step

    def conclude(self) -> None:
        """Runs whose target held to the end, three records or more, converged."""
        for run, streak in enumerate(self._streak):
            if streak >= STREAK and not self.status[run].is_failure:
                self.status[run] = Status.CONVERGED
                self.stopped_at[run] = self._streak_from[run]

    def fail(self, error: BaseException) -> None:
        """An exception has ended all runs that had not ended before."""
        self.end(Status.ERROR, describe_error(error))

    def end(self, status: Status, reason: str) -> None:
        """Something from outside has ended all runs that had not ended before."""
        self.reason = reason
        at = self.steps[-1] if self.steps else 0
        running = [run for run, one in enumerate(self.status) if one is Status.FINISHED]
        self.mark(running, status, at)


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


def describe_error(error: BaseException) -> str:
    """Type and message of an exception, as text that a terminal may show."""
    return printable(f"{type(error).__name__}: {error}")
