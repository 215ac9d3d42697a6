"""Execute: cells to results, in this process, one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from mmbench.core.description import canonical, digest, text
from mmbench.core.docstring import doc_of
from mmbench.core.errors import DescriptionError, StoreError
from mmbench.core.place import Place
from mmbench.core.status import Status
from mmbench.engine import run_cell
from mmbench.metrics import METRICS
from mmbench.metrics.base import TrajectoryMetric
from mmbench.plan import Cell
from mmbench.provenance import provenance
from mmbench.store import Store
from mmbench.trajectory import Trajectory


class Watcher:
    """What wants to know how the work goes; the default does not."""

    def plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Called once: all cells, and those that must be computed."""

    def begin(self, cell: Cell) -> None:
        """A cell begins."""

    def advance(self, run_steps: int) -> None:
        """So many more steps of runs have been made."""

    def end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""


class Done(NamedTuple):
    """A cell's results, as they are stored."""

    frame: pd.DataFrame
    footer: dict[str, Any]
    arrays: dict[str, Any]


def execute(
    cells: Sequence[Cell],
    store: Store | None,
    place: Place = Place(),
    watcher: Watcher | None = None,
    fresh: Callable[[Cell, Done], None] | None = None,
) -> list[Cell]:
    """Compute the cells that the store lacks, and write each as it ends.

    Data are fetched and the store is tried before any work starts. A cell that is
    stored with an error, or without a column that is now asked for, is computed again.

    Args:
        cells: what is wanted.
        store: where results go; None keeps them in memory only, through `fresh`.
        place: where the games are built.
        watcher: told how the work goes.
        fresh: given each computed cell's results.

    Returns:
        The cells that were computed.

    Raises:
        MmbenchError: before any work, when data, store or device are not as they must.
    """
    watcher = watcher or Watcher()
    if store:
        store.check_writable()
    waiting = [
        _with_stored_metrics(cell, store) if store else cell
        for cell in cells
        if not (store and is_stored(cell, store))
    ]
    for task in dict.fromkeys(cell.task for cell in waiting):
        task.prepare(place.data_dir)
    watcher.plan(cells, waiting)
    for cell in waiting:
        watcher.begin(cell)
        told = _told(cell)  # first, for an outside class may raise even here
        trajectory = run_cell(cell, place, watcher.advance)
        footer = told | _ended(trajectory, place)
        done = Done(trajectory.frame(cell), footer, trajectory.arrays)
        if store:
            store.put(cell.key, *done)
        if fresh:
            fresh(cell, done)
        watcher.end(cell, trajectory)
    return waiting


def is_stored(cell: Cell, store: Store) -> bool:
    """Whether the store has the cell, without error and with all metrics asked for.

    A file that cannot be read counts as absent: the cell is computed again and replaces
    it.
    """
    footer = _footer(cell, store)
    if footer is None or Status.ERROR in footer["outcomes"]:
        return False
    try:
        if sorted(store.arrays(cell.key)) != footer["arrays"]:
            return False
    except StoreError:
        return False
    return {digest(one) for one in cell.metrics} <= set(footer["metrics"].values())


def _footer(cell: Cell, store: Store) -> dict[str, Any] | None:
    """What is stored of a cell; None where nothing can be read."""
    if cell.key not in store:
        return None
    try:
        return store.footer(cell.key)
    except StoreError:
        return None


def _with_stored_metrics(cell: Cell, store: Store) -> Cell:
    """The cell with the metrics that its file has and that it would replace.

    A metric of other parameters that fills the same columns gives way to the one asked
    for; one from outside is not known by its words and has to be asked for again.
    """
    footer = _footer(cell, store) or {"metrics": {}}
    taken = {column.name for column in cell.columns}
    metrics = list(cell.metrics)
    for words in footer["metrics"]:
        try:
            metric = METRICS.build(words)
        except DescriptionError:
            continue
        given = {column.name for column in metric.columns}
        needed = {metric.of} if isinstance(metric, TrajectoryMetric) else set()
        if taken.isdisjoint(given) and needed <= taken:
            metrics.append(metric)
            taken |= given
    return replace(cell, metrics=tuple(metrics))


def _told(cell: Cell) -> dict[str, Any]:
    """What a report needs to know of a cell, as JSON values."""
    return {
        "key": cell.key,
        "cell": canonical(cell),
        "task": text(cell.task),
        "algorithm": text(cell.algorithm),
        "label": cell.label,
        "metrics": {text(metric): digest(metric) for metric in cell.metrics},
        "columns": [column._asdict() for column in cell.columns],
        "target": str(cell.task.target or ""),
        "seeds": [cell.seeds[0], cell.seeds[-1]],
        "runs": len(cell.seeds),
        "steps": cell.steps,
        "dtype": cell.dtype,
        "method": _documented(cell.algorithm) | {"cost": str(cell.algorithm.cost)},
        "game": _documented(cell.task),
    }


def _documented(description: Any) -> dict[str, Any]:
    """A description's docstring and source, for the methods page."""
    source = getattr(description, "source", None)
    return {
        **doc_of(type(description))._asdict(),
        "source": str(source or ""),
        "link": getattr(source, "link", ""),
    }


def _ended(trajectory: Trajectory, place: Place) -> dict[str, Any]:
    """How a cell ended, and who computed it, as JSON values."""
    outcomes = [str(status) for status in trajectory.status]
    return {
        "width": trajectory.width,
        "arrays": sorted(trajectory.arrays),
        "outcomes": {one: outcomes.count(one) for one in sorted(set(outcomes))},
        "reason": trajectory.reason,
        "provenance": provenance(place.device.type),
    }
