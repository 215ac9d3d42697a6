"""Computation of cells in shards, of which the store may have some already."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.compute import ComputeResult, compute_and_store, read_result
from mmbench.runner.limits import Limits
from mmbench.runner.lookup import is_stored, satisfies
from mmbench.runner.shards import ends_for, join
from mmbench.runner.stored_runs import (
    Division,
    Shard,
    begin,
    divide,
    find_candidates,
    take_runs,
)
from mmbench.runner.supervisor import Supervisor
from mmbench.store.folder import Store
from mmbench.store.shards import shard_store


class ShardEvents(NamedTuple):
    """What is called while a shard is computed.

    Args:
        on_start: when it begins.
        on_progress: as `run_cell` takes it.
        on_taken: with the number of runs that are taken from a stored cell.
    """

    on_start: Callable[[], None]
    on_progress: Callable[[int, Recording | None], None]
    on_taken: Callable[[int], None]


def find_divisions(
    cells: Iterable[Cell],
    store: Store,
    placement: Placement,
    on_anew: Callable[[str], None] = lambda _: None,
) -> dict[str, Division]:
    """Find the cells of which the store has runs, or the beginning of runs.

    Args:
        cells: cells that are not stored.
        store: the store.
        placement: where the missing runs are computed.
        on_anew: as `divide` takes it.

    Returns:
        Key to division of each such cell.
    """
    cells = list(cells)
    candidates = find_candidates(cells, store)
    divisions = {
        cell.key: divide(cell, candidates[cell.key], store, placement, on_anew)
        for cell in cells
        if cell.key in candidates
    }
    return {key: division for key, division in divisions.items() if division}


def missing_parts(
    cells: Iterable[Cell], divisions: Mapping[str, Division]
) -> list[Cell]:
    """Return what has to be computed of some cells: themselves, or parts of them."""
    return [
        part
        for cell in cells
        for part in (divisions[cell.key].missing if cell.key in divisions else [cell])
    ]


def compute_divided(
    cell: Cell,
    division: Division,
    store: Store,
    placement: Placement,
    events: ShardEvents,
    limits: Limits = Limits(),
    supervisor: Supervisor | None = None,
) -> ComputeResult | None:
    """Compute the missing runs of a cell and store it with those that are stored.

    Args:
        cell: a cell that is not stored.
        division: its division.
        store: where it goes.
        placement: where its game is built.
        events: what is called meanwhile.
        limits: of each shard.
        supervisor: as `compute_and_store` takes it.

    Returns:
        The outcome; None where another process computes the cell or has just stored it.

    Raises:
        StoreError: when it cannot be written.
    """
    with store.lease(cell.key) as is_ours:
        if not is_ours or is_stored(cell, store, failed=True):
            return None
        events.on_start()
        events = events._replace(on_start=lambda: None)
        placement = placement._replace(compiled=division.compiled)
        for shard in division.shards:
            is_done = compute_shard(
                shard, cell, store, placement, events, limits, supervisor
            )
            if not is_done:
                return None
        join(cell, [shard.cell for shard in division.shards], store)
    return joined_result(cell, store)


def compute_shard(
    shard: Shard,
    whole: Cell,
    store: Store,
    placement: Placement,
    events: ShardEvents,
    limits: Limits = Limits(),
    supervisor: Supervisor | None = None,
) -> bool:
    """Compute a shard and store it among those of its cell, unless it is there.

    Args:
        shard: the shard.
        whole: the cell that it is a part of.
        store: the store of whole cells.
        placement, events, limits, supervisor: as `compute_divided` takes them.

    Returns:
        Whether it is stored; not where another process computes it.
    """
    cell, parts = shard.cell, shard_store(store, whole.key)
    stored = parts.read(cell.key)
    is_taken = shard.is_stored and not stored and take_runs(shard, store, parts)
    if is_taken:
        stored = parts.read(cell.key)
    is_there = bool(stored) and satisfies(cell, parts, stored, limits)
    if is_taken or is_there:
        events.on_start()
        if shard.is_stored:
            events.on_taken(len(cell.seeds))
        events.on_progress(len(cell.seeds) * cell.steps, None)
    if is_there:
        return True
    if shard.step and not stored:
        begin(shard, store, parts, placement)
    done = compute_and_store(
        cell,
        parts,
        placement,
        on_start=lambda _: events.on_start(),
        on_progress=events.on_progress,
        ends=ends_for(cell, store),
        supervisor=supervisor,
        version=stored.version if stored else None,
    )
    return done is not None


def joined_result(cell: Cell, store: Store) -> ComputeResult:
    """Return the outcome of a cell that was joined from shards.

    Raises:
        StoreError: when it cannot be read.
    """
    result = read_result(cell, store)
    trajectory = Trajectory.from_frame(result.frame)
    backend = str(result.footer.get("backend", ""))
    return ComputeResult(result, replace(trajectory, backend=backend))
