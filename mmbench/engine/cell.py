"""Cell: one task, one algorithm, all seeds: the unit of work."""

from dataclasses import dataclass, field
from functools import cached_property

from mmbench.algorithms.base import Algorithm
from mmbench.core.description import digest
from mmbench.core.errors import MisfitError
from mmbench.core.oracle_state import COUNTED
from mmbench.core.run_settings import RunSettings
from mmbench.core.schedule import schedule
from mmbench.metrics.base import Column, Metric, TrajectoryMetric
from mmbench.tasks.base import Task

# Raised when the engine changes the numbers of a trajectory.
ENGINE_VERSION = 1


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
class Cell(RunSettings):
    """One task, one algorithm, all seeds, one budget: the unit of work and of storage.

    What all its runs share besides is in `RunSettings`.

    Args:
        task: what is asked.
        algorithm: what one does.
        seeds: one a run.
        after: the cell at whose end the runs start; None asks the task.
        metrics: what is measured; columns, so no part of the key.
        label: what reports call the algorithm; no part of the key.
    """

    task: Task
    algorithm: Algorithm
    seeds: tuple[int, ...]
    after: "Cell | None" = field(default=None, metadata={"identity": "unless default"})
    metrics: tuple[Metric, ...] = field(default=(), metadata={"identity": False})
    label: str = field(default="", metadata={"identity": False})

    def check(self) -> None:
        """Raise when the task, the algorithm and the metrics do not fit each other."""
        for name, one in [
            (self.algorithm, self.algorithm.needs),
            *((metric, metric.needs) for metric in self.metrics),
        ]:
            for lacking in sorted(one - self.task.gives):
                raise MisfitError(
                    f"{name} needs {lacking}; {self.task} is not one. Remove one of "
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
                    f"among {', '.join(str(one) for one in self.metrics)}."
                )
        target = self.task.target
        if target and not {name for name, _ in target.bounds} <= set(columns):
            raise MisfitError(
                f"{self.task} needs the metric {target.metric} for its target; got "
                f"{', '.join(columns) or 'none'}."
            )
        for metric in self.metrics:
            if isinstance(metric, TrajectoryMetric) and metric.of not in columns:
                measured = [one for one in self.metrics if one is not metric]
                known = [one.name for other in measured for one in other.columns]
                raise MisfitError(
                    f"{metric} needs the column {metric.of!r}, which no chosen metric "
                    f"of {self.task} gives; known: {', '.join(known) or 'none'}."
                )

    @cached_property
    def key(self) -> str:
        """Address of the cell's results."""
        return digest((ENGINE_VERSION, self))

    @property
    def stage(self) -> int:
        """How many cells came before in a chain."""
        return self.after.stage + 1 if self.after else 0

    @property
    def schedule(self) -> tuple[int, ...]:
        """Steps at which the runs are measured."""
        return schedule(self.steps, self.records)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Metric columns, in order."""
        return tuple(one for metric in self.metrics for one in metric.columns)
