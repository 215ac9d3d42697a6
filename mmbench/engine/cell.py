"""The cell, the unit of work: one task, one algorithm, all seeds."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.capability import Capability
from mmbench.core.columns import RESERVED
from mmbench.core.description import digest
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.run_settings import RunSettings
from mmbench.core.schedule import MAX_ROWS, powers_between, schedule
from mmbench.metrics.base import Column, Metric, TrajectoryMetric
from mmbench.tasks.base import Task

# Increased when the engine changes the numbers of a trajectory.
ENGINE_VERSION = 1

Track = Literal["default", "tuned"]

# In a cell with a budget, the steps of the table are costs.
STEPS_MADE = Column("steps_made", "steps made", "neither")


@dataclass(frozen=True, kw_only=True)
class Cell(RunSettings):
    """One task, one algorithm, all seeds, one budget: the unit of work and of storage.

    The remaining settings are those of `RunSettings`.

    Args:
        task: the task, which builds the game.
        algorithm: the method.
        seeds: one for each run.
        after: the cell at whose end the runs start; None asks the task.
        metrics: what is measured; no part of the key.
        label: name of the algorithm in reports; no part of the key.
        track: whether its hyperparameters are those of its suite, or winners of a
            tuning, which never share a table; no part of the key.
        repetition: number of the tuning whose winners they are; no part of the key.
    """

    task: Task
    algorithm: Algorithm
    seeds: tuple[int, ...]
    after: "Cell | None" = field(default=None, metadata={"identity": "unless default"})
    metrics: tuple[Metric, ...] = field(default=(), metadata={"identity": False})
    label: str = field(default="", metadata={"identity": False})
    track: Track = field(default="default", metadata={"identity": False})
    repetition: int = field(default=0, metadata={"identity": False})

    def check(self) -> None:
        """Raise when the task, the algorithm and the metrics do not fit each other.

        Nor may the table have more rows than can be held in memory.
        """
        self._check_budget()
        self._check_rows()
        members: tuple[Algorithm | Metric, ...] = (self.algorithm, *self.metrics)
        gives, task = self.task.gives, str(self.task)  # made anew at each look
        for member in members:
            for lacking in sorted(needs_of(member) - gives):
                raise MisfitError(
                    f"{member} needs {lacking}; {self.task} is not one. Remove one of "
                    "them from this grid."
                )
        for metric in self.metrics:
            metric.check_images(task, self.task.real_images)
        if self.precision != "exact" and self.dtype != "float32":
            raise MisfitError(
                f"precision must be exact with {self.dtype}; got {self.precision!r}, "
                "which rounds products of float32."
            )
        if self.precision != "exact" and Capability.PLANE in gives:
            raise MisfitError(
                f"precision must be exact on {self.task}, a game of two numbers, which "
                f"has no products of matrices to round; got {self.precision!r}."
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
                f"{self.task} needs the metric {target.metric} for its target, on "
                f"{', '.join(name for name, _ in target.bounds)}; got the columns "
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

    def _check_budget(self) -> None:
        """Raise when the settings do not fit a budget."""
        if self.budget and self.steps != self.budget:
            raise DescriptionError(
                f"steps must be left out where a budget is given; got {self.steps} "
                f"steps and a budget of {self.budget}."
            )
        if self.budget and self.keep_state:
            raise DescriptionError(
                "keep_state must be false where a budget is given, since no cell goes "
                "on from it; got true."
            )
        if self.unit != "gradient-equivalents" and not self.budget:
            raise DescriptionError(
                f"unit must be left out without a budget; got {self.unit!r}."
            )

    def _check_rows(self) -> None:
        """Raise when the table would have too many rows.

        The schedule is made only where it has not too many records by itself.
        """
        runs, records = len(self.seeds), min(self.steps, self.records) + 1
        if runs * records <= MAX_ROWS:
            records = len(self.schedule)
        if runs * records > MAX_ROWS:
            raise DescriptionError(
                f"A cell must have at most {MAX_ROWS:,} rows, one for each run and "
                f"record; got {runs:,} runs of {records:,} records. Choose fewer seeds "
                "or records, or several grids with a first_seed each."
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
        """Steps, or with a budget the costs, at which the runs are measured."""
        return schedule(self.steps, self.records)

    @property
    def between(self) -> tuple[int, ...]:
        """Further steps at which the runs are measured, for cells with more steps."""
        return powers_between(self.steps, self.records) if self.keep_state else ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the metrics, in order, and with a budget the steps made."""
        measured = [column for metric in self.metrics for column in metric.columns]
        return (*measured, STEPS_MADE) if self.budget else tuple(measured)
