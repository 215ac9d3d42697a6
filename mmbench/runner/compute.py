"""Computation of one cell, from its description to the store, wherever it is done."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple, TypeGuard

from mmbench.algorithms.base import Algorithm
from mmbench.core.description import digest
from mmbench.core.errors import StoreError
from mmbench.core.placement import Placement
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import Starts, run_cell, width_of
from mmbench.engine.trajectory import Trajectory, join_recordings
from mmbench.metrics.base import Metric, TrajectoryMetric
from mmbench.runner.chain import ChainEnd, ChainEnds, end_before, starting_iterates
from mmbench.runner.footer import describe_cell, describe_outcome
from mmbench.runner.limits import Limits
from mmbench.runner.lookup import (
    is_complete,
    is_stored,
    is_usable,
    satisfies,
    with_stored_metrics,
)
from mmbench.runner.provenance import environments, provenance
from mmbench.runner.remeasure import remeasure
from mmbench.runner.supervisor import Supervisor
from mmbench.store.folder import CheckpointFile, Store, StoredResult
from mmbench.store.stored_files import StoredFiles, Version


class ComputeResult(NamedTuple):
    """The outcome of computing a cell.

    Args:
        result: what was stored.
        trajectory: its runs; None where kept iterates gave the metrics it lacked.
    """

    result: StoredResult
    trajectory: Trajectory | None


def compute_and_store(
    cell: Cell,
    store: Store | None,
    placement: Placement,
    *,
    on_start: Callable[[Cell], None] | None = None,
    on_progress: Callable[[int, Recording | None], None] | None = None,
    ends: ChainEnds | None = None,
    supervisor: Supervisor | None = None,
    version: Version = None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> ComputeResult | None:
    """Compute a cell and store it, unless another process does.

    Kept iterates that prove damaged are quarantined, and the cell is computed again.

    Args:
        cell: the cell to compute.
        store: where it goes; None keeps it in memory.
        placement: where its game is built.
        on_start: called when the computation starts.
        on_progress: as `run_cell` takes it.
        ends: ends of cells that the store does not have.
        supervisor: computes the cell in a child process; None computes it here.
        version: the stored cell's version when it was found lacking.
        on_warning: called with a sentence for each damaged file.

    Returns:
        The outcome; None where another process computes the cell or has just stored it.

    Raises:
        StoreError: when it cannot be written.
    """
    with store.lease(cell.key) if store else nullcontext(True) as is_ours:
        if not is_ours:
            return None
        # Read under the lease, for another process may have stored or measured more.
        stored = store.read(cell.key) if store else None
        is_new = stored is not None and stored.version != version
        if store and is_new and satisfies(cell, store, stored, failed=True):
            return None
        if on_start:
            on_start(cell)
        return _compute(
            with_stored_metrics(cell, stored),
            store,
            stored,
            placement,
            on_progress,
            ends,
            supervisor,
            on_warning,
        )


def _compute(
    cell: Cell,
    store: Store | None,
    stored: StoredFiles | None,
    placement: Placement,
    on_progress: Callable[[int, Recording | None], None] | None,
    ends: ChainEnds | None,
    supervisor: Supervisor | None,
    on_warning: Callable[[str], None],
) -> ComputeResult | None:
    """Compute a cell that no other process computes, and store it.

    Args:
        stored: what is stored of the cell.
        cell, store, placement, on_progress, ends, supervisor, on_warning: as
            `compute_and_store` takes them.

    Returns:
        The outcome; None where another process has stored the cell meanwhile.
    """
    description = describe_cell(cell)  # first, for an external class may raise here
    ends = ends or ChainEnds()
    end = end_before(cell, store, ends)
    starts = partial(starting_iterates, cell, end) if cell.after else None
    if store and can_be_remeasured(stored, cell, store):
        result = _remeasured_result(cell, stored, placement, starts, description)
        if result and _was_overtaken(cell, store, stored):
            return None
        if result:
            store.put(cell.key, *result, previous=stored)
            return ComputeResult(result, None)
        for sentence in store.quarantine(stored):
            on_warning(f"{sentence} It is computed again.")
    slot = store.slot(cell.key) if store else None
    if supervisor:
        trajectory = _run_supervised(
            supervisor, cell, placement, on_progress, starts, slot
        )
    else:
        trajectory = run_cell(cell, placement, on_progress, starts, slot)
    if store and _was_overtaken(cell, store, stored):
        store.slot(cell.key).remove()
        return None
    # A cell that was ended by a limit continues from there when it may take more.
    is_limited = {Status.TIMEOUT, Status.MEMORY} & set(trajectory.status)
    checkpoint = slot.read() if slot and is_limited else None
    result = StoredResult(
        trajectory.columns_of_table(cell),
        description
        | describe_outcome(trajectory)
        | _circumstances(placement, supervisor, end.environments),
        trajectory.arrays,
        trajectory.iterates,
        trajectory.state,
    )
    if store:
        store.put(cell.key, *result, previous=stored)
        if slot and checkpoint:
            slot.write(checkpoint)
    else:
        iterates = trajectory.iterates
        ends.put(cell.key, ChainEnd(environments(result.footer), lambda: iterates))
    return ComputeResult(result, trajectory)


def _was_overtaken(cell: Cell, store: Store, stored: StoredFiles | None) -> bool:
    """Return whether another process has since stored the cell without error.

    A process that was stopped for longer than a lease lasts leaves that as it is.
    """
    version = stored.version if stored else None
    return store.version(cell.key) != version and is_stored(cell, store)


def _run_supervised(
    supervisor: Supervisor,
    cell: Cell,
    placement: Placement,
    on_progress: Callable[[int, Recording | None], None] | None,
    starts: Starts | None,
    slot: CheckpointFile | None,
) -> Trajectory:
    """Compute a cell in a child process; without a start, it ends with an error."""
    try:
        given = starts() if starts else None
    except StoreError as error:
        return _failed(cell, placement, f"StoreError: {error}")
    return supervisor.run(cell, placement, on_progress, given, slot)


def _failed(cell: Cell, placement: Placement, reason: str) -> Trajectory:
    """Return the trajectory of a cell that has no record, only a reason."""
    recording = Recording(cell, cell.seeds)
    recording.end(Status.ERROR, reason)
    return join_recordings(cell, [recording], width_of(cell, placement))


def read_result(cell: Cell, store: Store) -> StoredResult:
    """Read a cell's results from the store, without iterates.

    Raises:
        StoreError: when they cannot be read.
    """
    stored = store.require(cell.key)
    return StoredResult(stored.frame, stored.footer, stored.arrays(), {})


def store_as_error(
    cell: Cell, store: Store, placement: Placement, reason: str
) -> Trajectory:
    """Store a cell that no worker could finish, as an error with its reason."""
    trajectory = _failed(cell, placement, reason)
    footer = (
        describe_cell(cell)
        | describe_outcome(trajectory)
        | _circumstances(placement, None, [])
    )
    with store.lease(cell.key):  # this removes the lease of a dead worker
        store.put(cell.key, trajectory.columns_of_table(cell), footer, {}, {})
    return trajectory


def _circumstances(
    placement: Placement, supervisor: Supervisor | None, before: list[dict[str, str]]
) -> dict[str, Any]:
    """Return provenance, environments and limits of a computation, as JSON values.

    Args:
        placement: where the cell is computed.
        supervisor: which may have limits.
        before: environments of the cell that this one continues.
    """
    limits = supervisor.limits if supervisor else Limits()
    here = {"provenance": provenance(str(placement.device))}
    return {
        **here,
        "environments": environments(here | {"environments": before}),
        "limits": limits._asdict(),
    }


def _missing_metrics(cell: Cell, footer: dict[str, Any]) -> tuple[Metric, ...]:
    """Return the metrics that a stored cell lacks.

    A metric of whole runs is among them where the column that it summarises is.
    """
    measured = footer["metrics"].values()
    missing = tuple(metric for metric in cell.metrics if digest(metric) not in measured)
    changed = _columns_of(missing)
    return tuple(
        metric
        for metric in cell.metrics
        if metric in missing
        or (isinstance(metric, TrajectoryMetric) and metric.of in changed)
    )


def _columns_of(metrics: Iterable[Metric]) -> set[str]:
    """Return the names of the columns that metrics fill."""
    return {column.name for metric in metrics for column in metric.columns}


def can_be_remeasured(
    stored: StoredFiles | None, cell: Cell, store: Store
) -> TypeGuard[StoredFiles]:
    """Return whether kept iterates can give a stored cell the metrics that it lacks.

    Not where it lacks none, is incomplete, has no iterates, was judged by a column of a
    metric that it lacks, its method gives another result than its iterates, or a metric
    reads the method's state. Whether the files of its iterates are whole is not known.

    Args:
        stored: what was read of the cell.
        cell: the cell, with the stored metrics that it keeps.
        store: where it is.
    """
    if not is_usable(stored, store):
        return False
    footer, answer = stored.footer, type(cell.algorithm).answer
    if not is_complete(cell, footer) or "iterates" not in footer["files"]:
        return False
    missing = _missing_metrics(cell, footer)
    target, changed = cell.task.target, _columns_of(missing)
    is_judged_by = target and {name for name, _ in target.bounds} & changed
    reads_state = any(metric.reads_state for metric in missing)
    return bool(missing) and not (
        is_judged_by or reads_state or answer is not Algorithm.answer
    )


def _remeasured_result(
    cell: Cell,
    stored: StoredFiles,
    placement: Placement,
    starts: Starts | None,
    description: dict[str, Any],
) -> StoredResult | None:
    """Return a stored cell with the metrics it lacks, from its kept iterates.

    None where a file is damaged, or the cell that it continues is.
    """
    footer = stored.footer
    missing = _missing_metrics(cell, footer)
    changed = _columns_of(missing)
    try:
        iterates, arrays = stored.iterates(), stored.arrays()
        state = stored.tensors("state")
        more = remeasure(cell, stored.frame, iterates, missing, placement, starts)
    except StoreError:
        return None
    # The real scores of columns that gave way to another metric's go with them.
    names = {column.name for column in cell.columns}
    real_scores = {
        name: score
        for name, score in footer.get("ideal", {}).items()
        if name not in changed
    } | more.real_scores
    here = {"provenance": provenance(str(placement.device))}
    kept = {
        "ideal": {name: score for name, score in real_scores.items() if name in names},
        "kept": footer.get("kept", "none"),
        "environments": environments(footer, here),  # of runs and of new columns
    }
    footer = footer | description | kept
    return StoredResult(more.frame, footer, arrays, iterates, state)
