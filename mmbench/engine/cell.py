"""The cell, the unit of work: one task, one algorithm, all seeds."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mmbench.algorithms.base import Algorithm
from mmbench.core.description import Description, digest
from mmbench.core.domains import Count
from mmbench.core.errors import MisfitError
from mmbench.core.oracle_state import COUNTED
from mmbench.core.schedule import schedule
from mmbench.metrics.base import Column, Metric, TrajectoryMetric
from mmbench.tasks.base import Task

# Increased when the engine changes the numbers of a trajectory.
ENGINE_VERSION = 1

# For a field that was added later: it is part of a key only where it is used.
OPTIONAL = {"identity": "unless default"}

# Values of `Cell.keep`; each keeps at least what the one before it keeps.
KEEPING = ("none", "last", "all")

# Columns of the tidy table before and after the metrics.
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
RESERVED = (*LEADING, "key")


@dataclass(frozen=True, kw_only=True)
class Cell(Description):
    """One task, one algorithm, all seeds, one budget: the unit of work and of storage.

    Args:
        task: the task, which builds the game.
        algorithm: the method.
        seeds: one for each run.
        steps: steps of each run.
        records: evenly spaced records of each run.
        dtype: dtype of all floats.
        precision: precision of products within a step: that of the dtype, or of float32
            with 19 bits ("tf32", on GPUs that have it) or 16 ("bf16").
        after: the cell at whose end the runs start; None asks the task.
        inherit: the player that starts there; the other starts as the task says.
        keep: iterates kept next to the table: of the last record, or of all.
        metrics: what is measured; no part of the key.
        label: name of the algorithm in reports; no part of the key.
    """

    task: Task
    algorithm: Algorithm
    seeds: tuple[int, ...]
    steps: Count
    records: Count = 40
    dtype: Literal["float32", "float64"] = "float32"
    precision: Literal["exact", "tf32", "bf16"] = field(
        default="exact", metadata=OPTIONAL
    )
    after: "Cell | None" = field(default=None, metadata=OPTIONAL)
    inherit: Literal["both", "x", "y"] = field(default="both", metadata=OPTIONAL)
    keep: Literal["none", "last", "all"] = field(
        default="none", metadata={"identity": False}
    )
    metrics: tuple[Metric, ...] = field(default=(), metadata={"identity": False})
    label: str = field(default="", metadata={"identity": False})

    def check(self) -> None:
        """Raise when the task, the algorithm and the metrics do not fit each other."""
        members: tuple[Algorithm | Metric, ...] = (self.algorithm, *self.metrics)
        for member in members:
            for lacking in sorted(member.needs - self.task.gives):
                raise MisfitError(
                    f"{member} needs {lacking}; {self.task} is not one. Remove one of "
                    "them from this grid."
                )
        if self.precision != "exact" and self.dtype != "float32":
            raise MisfitError(
                f"precision must be exact with {self.dtype}; got {self.precision!r}, "
                "which rounds products of float32."
            )
        columns = [column.name for column in self.columns]
        for name in columns:
            if columns.count(name) > 1 or name in RESERVED:
                raise MisfitError(
                    f"Columns must have different names; {name!r} is filled twice "
                    f"among {', '.join(map(str, self.metrics))}."
                )
        target = self.task.target
        if target and not {name for name, _ in target.bounds} <= set(columns):
            raise MisfitError(
                f"{self.task} needs the metric {target.metric} for its target; got "
                f"{', '.join(columns) or 'none'}."
            )
        for metric in self.metrics:
            if isinstance(metric, TrajectoryMetric) and metric.of not in columns:
                own = {column.name for column in metric.columns}
                known = [name for name in columns if name not in own]
                raise MisfitError(
                    f"{metric} needs the column {metric.of!r}, which no chosen metric "
                    f"of {self.task} gives; known: {', '.join(known) or 'none'}."
                )

    @cached_property
    def key(self) -> str:
        """The address of the cell's results in a store."""
        return digest((ENGINE_VERSION, self))

    @property
    def stage(self) -> int:
        """The number of cells before this one in a chain."""
        return self.after.stage + 1 if self.after else 0

    @property
    def schedule(self) -> tuple[int, ...]:
        """Steps at which the runs are measured."""
        return schedule(self.steps, self.records)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the metrics, in order."""
        return tuple(column for metric in self.metrics for column in metric.columns)
