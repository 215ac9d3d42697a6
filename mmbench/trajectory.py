"""Trajectory: the records of one cell, as typed columns."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mmbench.core.description import name_of, text
from mmbench.core.oracle import COUNTED
from mmbench.core.status import Status
from mmbench.plan import Cell

# Columns of the tidy table before the metrics.
LEADING = (
    "task",
    "algorithm",
    "label",
    "seed",
    "step",
    *COUNTED,
    "cell_seconds",
    "status",
    "stopped_at",
    "reason",
)


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
            "reason": self.reason,
            **{name: flat(values) for name, values in self.columns.items()},
        }
        return pd.DataFrame(frame)
