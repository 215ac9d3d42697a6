"""Shards: a cell split by runs among workers, and joined again.

A shard is the same cell with fewer seeds, cut between the chunks of runs that are
computed together, so that the split changes no number. Shards lie in a folder
`parts/<key>` of the store until all are there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmbench.core.errors import StoreError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.recording import SHOWN, Recording
from mmbench.engine.run_cell import width_of
from mmbench.engine.trajectory import Trajectory, join_recordings
from mmbench.runner.chain import ChainEnds, stored_end
from mmbench.runner.footer import describe_cell, describe_outcome
from mmbench.runner.lookup import is_stored
from mmbench.runner.provenance import environments
from mmbench.store.folder import Store
from mmbench.store.shards import remove_shards, shard_store
from mmbench.store.stored_files import StoredFiles


def split(cell: Cell, placement: Placement, max_shards: int) -> list[Cell]:
    """Split a cell into shards of whole chunks; return itself where there is but one.

    Args:
        cell: the cell to split.
        placement: which decides the width of a chunk.
        max_shards: largest number of shards.
    """
    width = width_of(cell, placement)
    chunks = -(-len(cell.seeds) // width)
    runs = width * -(-chunks // max_shards)
    if runs >= len(cell.seeds):
        return [cell]
    starts = range(0, len(cell.seeds), runs)
    return [replace(cell, seeds=cell.seeds[start : start + runs]) for start in starts]


def ends_for(cell: Cell, store: Store) -> ChainEnds:
    """Read the last iterates of the cell that a cell, or a shard of it, continues.

    Raises:
        StoreError: when they are damaged or missing.
    """
    ends = ChainEnds()
    if cell.after:
        end = stored_end(cell.after, store)
        iterates = end.read_iterates()
        ends.put(cell.after.key, end._replace(read_iterates=lambda: iterates))
    return ends


def join(cell: Cell, shards: list[Cell], store: Store) -> None:
    """Store a cell from its shards, and remove these.

    Args:
        cell: the whole cell.
        shards: as `split` gave them, all of them stored.
        store: where the cell goes.

    Raises:
        StoreError: when a shard is missing or damaged, or the cell cannot be written.
    """
    if not is_stored(cell, store):
        stored = [shard_store(store, cell.key).require(shard.key) for shard in shards]
        footers = [files.footer for files in stored]
        # Shards are joined as the chunks of one process are, failed ones included.
        trajectory = join_recordings(
            cell,
            [
                recording_of(shard, files)
                for shard, files in zip(shards, stored, strict=True)
            ],
            footers[0]["width"],
            next((one for footer in footers if (one := footer.get("ideal"))), {}),
        )
        store.put(
            cell.key,
            trajectory.frame(cell),
            footers[0]
            | describe_cell(cell)
            | describe_outcome(trajectory)
            | {"environments": environments(*footers)},
            trajectory.arrays,
            trajectory.iterates,
            join_states([files.tensors("state") for files in stored]),
        )
    remove_shards(store, cell.key)


def states_of(shard: Cell, stored: StoredFiles) -> dict[str, np.ndarray]:
    """Return the states of a shard's chunks from those of a stored cell.

    Args:
        shard: the shard, of whole chunks.
        stored: the files of a cell that has its runs.

    Raises:
        StoreError: when they are damaged.
    """
    width, seeds = stored.footer["width"], stored.footer["cell"]["seeds"]
    first = seeds.index(shard.seeds[0]) // width
    states = stored.tensors("state")
    return {
        str(i): states[str(first + i)] for i in range(-(-len(shard.seeds) // width))
    }


def join_states(states: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the states of all chunks of a cell; none where a shard lacks its own.

    Args:
        states: of each shard in order, as `Trajectory.state` has them.
    """
    if not all(states):
        return {}
    chunks = [one[str(i)] for one in states for i in range(len(one))]
    return {str(i): chunk for i, chunk in enumerate(chunks)}


def recording_of(shard: Cell, stored: StoredFiles) -> Recording:
    """Return what was recorded of the runs of a shard, as if they were a chunk.

    Args:
        shard: the shard.
        stored: the files of a cell that has its runs.

    Raises:
        StoreError: when they are damaged or not in its order.
    """
    frame, iterates = stored.frame, stored.iterates()
    seeds = list(stored.footer["cell"]["seeds"])
    found = Trajectory.from_frame(frame[frame["seed"].isin(shard.seeds)])
    if found.seeds != shard.seeds:
        raise StoreError(f"{stored.key} must have the runs of {shard}; it does not.")
    chosen = np.isin(seeds, shard.seeds)
    kept: list[tuple[int, np.ndarray]] = []
    if iterates and shard.keep != "none":
        kept = [
            (int(step), z[chosen])
            for step, z in zip(iterates["steps"], iterates["z"], strict=True)
        ]
    records = range(len(found.steps))
    saved = Recording(shard, shard.seeds).snapshot() | {
        "steps": list(found.steps),
        "seconds": list(found.seconds),
        "counts": [_record(found.counts, record) for record in records],
        "columns": [_record(found.columns, record) for record in records],
        "status": found.status,
        "stopped_at": found.stopped_at,
        "reason": found.reason,
        "arrays": _shown(shard, seeds, stored),
        "kept": kept if shard.keep == "all" else kept[-1:],
        "backend": stored.footer.get("backend", ""),
    }
    return Recording.from_snapshot(shard, saved)


def _shown(
    shard: Cell, seeds: Sequence[int], stored: StoredFiles
) -> dict[str, np.ndarray]:
    """Return the arrays of a shard's first runs, if the stored cell has these.

    Args:
        shard: the shard.
        seeds: of the stored cell.
        stored: its files.
    """
    if shard.seeds == tuple(seeds):
        return stored.arrays()
    shown, kept = shard.seeds[:SHOWN], seeds[:SHOWN]
    if not set(shown) <= set(kept):
        return {}
    rows = [kept.index(seed) for seed in shown]
    return {
        name: array if name == "path_steps" else array[rows]
        for name, array in stored.arrays().items()
    }


def _record(columns: Mapping[str, np.ndarray], record: int) -> dict[str, np.ndarray]:
    """Return one record of columns of shape (records, runs)."""
    return {name: values[record] for name, values in columns.items()}
