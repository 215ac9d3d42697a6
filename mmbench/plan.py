"""Plan: suite to cells, in a stable order, each with its key."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.core.budget import schedule
from mmbench.core.checks import Count
from mmbench.core.description import Description, digest, text
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.oracle import COUNTED
from mmbench.metrics import METRICS
from mmbench.metrics.base import Column, Metric, TrajectoryMetric
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task

# Raised when the engine changes the numbers of a trajectory.
ENGINE_VERSION = 1

# A field that was added later and is part of a key only where it is used.
OPTIONAL = {"identity": "unless default"}

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
        task: what is asked.
        algorithm: what one does.
        seeds: one a run.
        steps: of each run.
        records: evenly spaced ones of each run.
        dtype: of all floats.
        precision: of products within a step: as the dtype says, or on float32 with
            19 bits ("tf32", on GPUs that have it) or 16 ("bf16").
        after: the cell at whose end the runs start; None asks the task.
        inherit: which player starts there; the other starts as the task says.
        keep: iterates kept beside the table: of the last record, or of all.
        metrics: what is measured; columns, so no part of the key.
        label: what reports call the algorithm; no part of the key.
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


def plan(suite: Suite) -> tuple[Cell, ...]:
    """Cells of a suite: grids in order, within them tasks, then algorithms.

    A cell that stands in several grids is planned once, with the metrics of all.

    Raises:
        DescriptionError: one sentence about the first fault found.
    """
    cells: dict[str, Cell] = {}
    for grid in suite.grids:
        for cell in _cells(grid, tuple(cells.values())):
            first = cells.setdefault(cell.key, cell)
            if first.label != cell.label:
                raise DescriptionError(
                    f"{cell.algorithm} on {cell.task} must have one label; got "
                    f"{first.label!r} and {cell.label!r}."
                )
            cells[cell.key] = replace(
                first,
                metrics=tuple(dict.fromkeys((*first.metrics, *cell.metrics))),
                keep=max(first.keep, cell.keep, key=KEEPING.index),
            )
            if cell.after and cells[cell.after.key].keep == "none":
                start = cells[cell.after.key]
                cells[start.key] = replace(start, keep="last")
    labels: dict[tuple[str, str], str] = {}
    for cell in cells.values():
        place = (text(cell.task), cell.label)
        if place in labels:
            raise DescriptionError(
                f"Labels must be unique on a task; {cell.label!r} stands on "
                f"{place[0]} for {labels[place]} and for {cell.algorithm}; write "
                "'label = ...' before one."
            )
        labels[place] = text(cell.algorithm)
    return tuple(cells.values())


def _cells(grid: Grid, earlier: tuple[Cell, ...]) -> list[Cell]:
    chosen = [METRICS.described(one) for one in grid.metrics]
    algorithms = [labelled(one) for one in grid.algorithms]
    cells = []
    for task in [TASKS.described(one) for one in grid.tasks]:
        metrics = measured(task, chosen)
        for label, algorithm in algorithms:
            cells.append(
                Cell(
                    task=task,
                    algorithm=algorithm,
                    seeds=tuple(range(grid.first_seed, grid.first_seed + grid.seeds)),
                    steps=grid.steps,
                    records=grid.records,
                    dtype=grid.dtype,
                    precision=grid.precision,
                    after=_before(grid, task, earlier),
                    inherit=grid.inherit,
                    keep=grid.keep,
                    metrics=metrics,
                    label=label,
                )
            )
    return cells


def _before(grid: Grid, task: Task, earlier: tuple[Cell, ...]) -> Cell | None:
    """The cell that the grid goes on from: of the same task, if there is one."""
    if not grid.after:
        return None
    named = [cell for cell in earlier if cell.label == grid.after]
    chosen = [cell for cell in named if cell.task == task] or named
    if len(chosen) != 1:
        known = ", ".join(dict.fromkeys(cell.label for cell in earlier))
        raise DescriptionError(
            f"Grid.after must be the label of one cell of an earlier grid; got "
            f"{grid.after!r}, which names {len(chosen)}; known: {known or 'none'}."
        )
    (start,) = chosen
    last = grid.first_seed + grid.seeds - 1
    if grid.first_seed not in start.seeds or last not in start.seeds:
        raise DescriptionError(
            f"A grid after {grid.after!r} must have seeds of it, {start.seeds[0]} to "
            f"{start.seeds[-1]}; got {grid.first_seed} to {last}."
        )
    return start


def labelled(given: str | Description) -> tuple[str, Algorithm]:
    """Label and algorithm of a description, of `words` or of `label = words`."""
    label, equals, words = "", "", given
    if isinstance(given, str):
        label, equals, rest = given.partition(" = ")
        if "[" in label:  # gda[step_size = 0.1] has no label
            equals = ""
        words = rest if equals else given
    algorithm = ALGORITHMS.described(words)
    if equals and not label.strip():
        raise DescriptionError(f"A label must not be empty; got {given!r}.")
    return (label.strip() if equals else text(algorithm)), algorithm


def measured(task: Task, chosen: list[Metric]) -> tuple[Metric, ...]:
    """The metrics of a task: those chosen, else its own, and those of its target."""
    metrics = chosen or [METRICS.build(words) for words in task.metrics]
    given = {column.name for metric in metrics for column in metric.columns}
    if task.target and not {name for name, _ in task.target.bounds} <= given:
        metrics = [METRICS.build(task.target.metric), *metrics]
    return tuple(dict.fromkeys(metrics))
