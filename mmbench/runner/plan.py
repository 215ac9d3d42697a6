"""Plans: the cells of a suite, in a stable order, each with its key."""

from collections.abc import Sequence
from dataclasses import replace

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.description import Description, text
from mmbench.core.errors import DataError, DescriptionError
from mmbench.core.made import Made
from mmbench.core.placement import Placement
from mmbench.core.run_settings import KEEPING
from mmbench.engine.cell import Cell
from mmbench.engine.declarations import check_declarations
from mmbench.metrics import METRICS
from mmbench.metrics.base import Metric
from mmbench.suites.base import Grid, Suite, split_label
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task


def plan(suite: Suite) -> tuple[Cell, ...]:
    """Return the cells of a suite: grids in order, then tasks, then algorithms.

    A cell that stands in several grids is planned once, with the metrics of all.

    Raises:
        DescriptionError: when a label or the start of a grid is not as it must be.
    """
    cells: dict[str, Cell] = {}
    for grid in suite.grids:
        for planned in _cells(grid, tuple(cells.values())):
            cell = replace(planned, track="tuned") if suite.tuned else planned
            if cell.repetition and not suite.tuned:
                raise DescriptionError(
                    "A grid must have a repetition only in a suite of winners, which "
                    f"names their record under tuned; got {cell.repetition}."
                )
            first = cells.setdefault(cell.key, cell)
            if first.label != cell.label:
                raise DescriptionError(
                    f"{cell.algorithm} on {cell.task} must have one label; got "
                    f"{first.label!r} and {cell.label!r}."
                )
            if first.repetition != cell.repetition:
                raise DescriptionError(
                    "Repetitions must have seeds of their own; those of "
                    f"{cell.label!r} on {cell.task} have the same."
                )
            if first is not cell:
                cells[cell.key] = replace(
                    first,
                    metrics=tuple(dict.fromkeys((*first.metrics, *cell.metrics))),
                    keep=max(first.keep, cell.keep, key=KEEPING.index),
                    keep_state=first.keep_state or cell.keep_state,
                )
            if cell.after and cells[cell.after.key].keep == "none":
                start = cells[cell.after.key]
                cells[start.key] = replace(start, keep="last")
    labels: dict[tuple[str, str, int], str] = {}
    for cell in cells.values():
        labelled = (text(cell.task), cell.label, cell.repetition)
        if labelled in labels:
            raise DescriptionError(
                f"Labels must be unique on a task; {cell.label!r} stands on "
                f"{labelled[0]} for {labels[labelled]} and for {cell.algorithm}; write "
                "'label = ...' before one."
            )
        labels[labelled] = text(cell.algorithm)
    return tuple(cells.values())


def _cells(grid: Grid, earlier: tuple[Cell, ...]) -> list[Cell]:
    chosen = [METRICS.coerce(one) for one in grid.metrics]
    algorithms = [parse_labelled(one) for one in grid.algorithms]
    tasks = [TASKS.coerce(one) for one in grid.tasks]
    _check_names(tasks)
    if grid.budget and grid.unit == "samples":
        for task in tasks:
            _check_data(task)
    for member in (*chosen, *(algorithm for _, algorithm in algorithms), *tasks):
        check_declarations(member)
    cells = []
    for task in tasks:
        metrics = metrics_for(task, chosen)
        for label, algorithm in algorithms:
            cells.append(
                Cell(
                    task=task,
                    algorithm=algorithm,
                    seeds=tuple(range(grid.first_seed, grid.first_seed + grid.seeds)),
                    after=_before(grid, task, earlier),
                    metrics=metrics,
                    label=label,
                    repetition=grid.repetition,
                    **grid.settings(),
                )
            )
    return cells


def _check_data(task: Task) -> None:
    """Check that a budget in samples can be spent on a task.

    Raises:
        DescriptionError: when its game has no data.
    """
    if Capability.SAMPLES in task.gives:
        return
    try:
        game = task.build(Placement())
    except DataError:  # there are data, which are not here
        return
    if not game.batch_size:
        raise DescriptionError(
            f"A budget in samples must be spent on games with data; {task} has none. "
            "Give it in gradient-equivalents."
        )


def _check_names(tasks: Sequence[Task]) -> None:
    """Check that tables can tell the tasks that calls have made by their names.

    Raises:
        DescriptionError: when two games have one name.
    """
    made = dict.fromkeys(task for task in tasks if isinstance(task, Made))
    names = [text(task) for task in made]
    for name in names:
        if names.count(name) > 1:
            raise DescriptionError(
                f"Tasks must have different names; two games are named {name}. Give "
                "one of them another by name=."
            )


def _before(grid: Grid, task: Task, earlier: tuple[Cell, ...]) -> Cell | None:
    """Return the cell that a grid continues: of the same task, if there is one."""
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


def parse_labelled(given: str | Description) -> tuple[str, Algorithm]:
    """Return label and algorithm of a description, a spec or `label = spec`."""
    label, spec = split_label(given) if isinstance(given, str) else ("", given)
    algorithm = ALGORITHMS.coerce(spec)
    return label or text(algorithm), algorithm


def metrics_for(task: Task, chosen: list[Metric]) -> tuple[Metric, ...]:
    """Return the chosen metrics, else the task's own, and its target's metric."""
    metrics = chosen or [METRICS.coerce(one) for one in task.metrics]
    given = {column.name for metric in metrics for column in metric.columns}
    if task.target and not {name for name, _ in task.target.bounds} <= given:
        metrics = [METRICS.build(task.target.metric), *metrics]
    return tuple(dict.fromkeys(metrics))
