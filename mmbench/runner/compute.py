"""Work: one cell from its description to the store, wherever that is done."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from mmbench.core.description import digest
from mmbench.core.errors import StoreError
from mmbench.core.placement import Placement
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import Starts, run_cell, width_of
from mmbench.engine.trajectory import Trajectory, join_recordings
from mmbench.runner.chain import (
    ChainEnd,
    ChainEnds,
    environments_before,
    starting_iterates,
)
from mmbench.runner.footer import describe_cell, describe_outcome
from mmbench.runner.limits import Limits
from mmbench.runner.lookup import (
    Version,
    answering_footer,
    done_elsewhere,
    is_sound,
    with_stored_metrics,
)
from mmbench.runner.provenance import environments, provenance
from mmbench.runner.remeasure import remeasure
from mmbench.runner.supervisor import Supervisor
from mmbench.store.folder import CheckpointFile, Store


class StoredResult(NamedTuple):
    """A cell's results, as they are stored."""

    frame: pd.DataFrame
    footer: dict[str, Any]
    arrays: dict[str, Any]
    iterates: dict[str, Any]


class ComputeResult(NamedTuple):
    """What came of a cell.

    Args:
        done: its results, as they are stored.
        trajectory: of its runs; None where kept iterates gave the metrics it lacked.
    """

    done: StoredResult
    trajectory: Trajectory | None


def compute_and_store(
    cell: Cell,
    store: Store | None,
    placement: Placement,
    *,
    begin: Callable[[Cell], None] | None = None,
    progress: Callable[[int, Recording | None], None] | None = None,
    ends: ChainEnds | None = None,
    supervisor: Supervisor | None = None,
    seen: Version = None,
) -> ComputeResult | None:
    """Compute a cell and store it, unless another process does.

    Args:
        cell: what to compute.
        store: where it goes; None keeps it in memory.
        placement: where its game is built.
        begin: told when the work begins.
        progress: as `run_cell` takes it.
        ends: where last iterates are that the store does not have.
        supervisor: of a child process that computes it; None computes it here.
        seen: `store.version` of the cell when it was found to need work.

    Returns:
        What came of it; None where another process computes it or has just done so.

    Raises:
        StoreError: when it cannot be written.
    """
    with store.lease(cell.key) if store else nullcontext(True) as ours:
        if not ours or (store and done_elsewhere(cell, store, seen)):
            return None
        if begin:
            begin(cell)
        if store:  # asked here, for another command may have measured more meanwhile
            cell = with_stored_metrics(cell, store)
        return _compute(cell, store, placement, progress, ends, supervisor)


def _compute(
    cell: Cell,
    store: Store | None,
    placement: Placement,
    progress: Callable[[int, Recording | None], None] | None,
    ends: ChainEnds | None,
    supervisor: Supervisor | None,
) -> ComputeResult:
    """Compute a cell that nobody else computes, and store it."""
    told = describe_cell(cell)  # first, for an outside class may raise even here
    ends = ends or ChainEnds()
    before = environments_before(cell, store, ends)
    starts = partial(starting_iterates, cell, store, ends) if cell.after else None
    if store and (done := _remeasured(cell, store, placement, starts, told)):
        store.put(cell.key, *done)
        return ComputeResult(done, None)
    slot = store.slot(cell.key) if store else None
    if supervisor:
        trajectory = _supervised(supervisor, cell, placement, progress, starts, slot)
    else:
        trajectory = run_cell(cell, placement, progress, starts, slot)
    # A cell that was ended by a limit goes on from there when it may take more.
    limited = {Status.TIMEOUT, Status.MEMORY} & set(trajectory.status)
    unfinished = slot.read() if slot and limited else None
    done = StoredResult(
        trajectory.frame(cell),
        told
        | describe_outcome(trajectory)
        | _circumstances(placement, supervisor, before),
        trajectory.arrays,
        trajectory.iterates,
    )
    if store:
        store.put(cell.key, *done)
        if slot and unfinished:
            slot.write(unfinished)
    else:
        ends.put(cell.key, ChainEnd(trajectory.iterates, environments(done.footer)))
    return ComputeResult(done, trajectory)


def _supervised(
    supervisor: Supervisor,
    cell: Cell,
    placement: Placement,
    progress: Callable[[int, Recording | None], None] | None,
    starts: Starts | None,
    slot: CheckpointFile | None,
) -> Trajectory:
    """Compute a cell in a child process; where there is no start, it is an error."""
    try:
        given = starts() if starts else None
    except StoreError as error:
        return _failed(cell, placement, f"StoreError: {error}")
    return supervisor.run(cell, placement, progress, given, slot)


def _failed(cell: Cell, placement: Placement, reason: str) -> Trajectory:
    """A cell of which nothing is known but why."""
    recording = Recording(cell, cell.seeds)
    recording.end(Status.ERROR, reason)
    return join_recordings(cell, [recording], width_of(cell, placement))


def stored(cell: Cell, store: Store) -> StoredResult:
    """A cell's results, from the store.

    Raises:
        StoreError: when they cannot be read.
    """
    key = cell.key
    return StoredResult(store.frame(key), store.footer(key), store.arrays(key), {})


def give_up(cell: Cell, store: Store, placement: Placement, reason: str) -> Trajectory:
    """Store a cell that nobody could finish, as an error with its reason."""
    trajectory = _failed(cell, placement, reason)
    footer = (
        describe_cell(cell)
        | describe_outcome(trajectory)
        | _circumstances(placement, None, [])
    )
    with store.lease(cell.key):  # a dead worker's goes with it
        store.put(cell.key, trajectory.frame(cell), footer, {}, {})
    return trajectory


def _circumstances(
    placement: Placement, supervisor: Supervisor | None, before: list[dict[str, str]]
) -> dict[str, Any]:
    """Who computes, after whom, and what a cell may take, as JSON values."""
    limits = supervisor.limits if supervisor else Limits()
    here = {"provenance": provenance(placement.device.type)}
    return {
        **here,
        "environments": environments(here | {"environments": before}),
        "limits": limits._asdict(),
    }


def _remeasured(
    cell: Cell,
    store: Store,
    placement: Placement,
    starts: Starts | None,
    told: dict[str, Any],
) -> StoredResult | None:
    """The stored cell with the metrics it lacks, if its kept iterates can give them.

    None where the cell has to run: nothing sound is stored, or no iterates.
    """
    footer = answering_footer(cell, store)
    if footer is None or not is_sound(cell, store, footer):
        return None
    if "iterates" not in footer["files"]:
        return None
    missing = tuple(
        one for one in cell.metrics if digest(one) not in footer["metrics"].values()
    )
    try:
        kept, frame = store.iterates(cell.key), store.frame(cell.key)
        more = remeasure(cell, frame, kept, missing, placement, starts)
    except StoreError:
        return None
    # Columns that gave way to another metric's go with their ideals.
    names = {column.name for column in cell.columns}
    ideal = {k: v for k, v in {**footer["ideal"], **more.ideal}.items() if k in names}
    here = {"provenance": provenance(placement.device.type)}
    same = {
        "ideal": ideal,
        "kept": footer["kept"],
        "environments": environments(footer, here),  # of runs and of new columns
    }
    return StoredResult(more.frame, footer | told | same, store.arrays(cell.key), kept)
