"""Parts: a cell split by runs, and put together again.

A part is the same cell with fewer seeds, cut where the chunks of runs computed side by
side are cut, so that the split changes no number. Parts lie in a folder `parts/<key>`
of the store until all are there.
"""

from dataclasses import replace

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import width_of
from mmbench.engine.trajectory import Trajectory, join_recordings
from mmbench.runner.chain import ChainEnds, end_of
from mmbench.runner.footer import describe_cell, describe_outcome
from mmbench.runner.lookup import is_stored
from mmbench.runner.provenance import environments
from mmbench.store.folder import Store
from mmbench.store.shards import parts_store, remove_parts


def split(cell: Cell, placement: Placement, most: int) -> list[Cell]:
    """A cell in parts of whole chunks; itself where there is but one.

    Args:
        cell: to be split.
        placement: which decides the width of a chunk.
        most: parts.
    """
    width = width_of(cell, placement)
    chunks = -(-len(cell.seeds) // width)
    runs = width * -(-chunks // most)
    starts = range(0, len(cell.seeds), runs)
    return [replace(cell, seeds=cell.seeds[one : one + runs]) for one in starts]


def ends_for(cell: Cell, store: Store) -> ChainEnds:
    """Last iterates of the cell that another one, or a part of it, goes on from."""
    ends = ChainEnds()
    if cell.after:
        ends.put(cell.after.key, end_of(cell.after, store))
    return ends


def join(cell: Cell, parts: list[Cell], store: Store) -> None:
    """Store a cell from its parts, and remove these.

    Args:
        cell: the whole.
        parts: as `split` gave them, all of them stored.
        store: where the cell goes.

    Raises:
        StoreError: when a part is missing or damaged, or the cell cannot be written.
    """
    if not is_stored(cell, store):
        kept = parts_store(store, cell.key)
        footers = [kept.footer(one.key) for one in parts]
        # As chunks of one process are, those included that did not come to their end.
        trajectory = join_recordings(
            cell,
            [_recording(one, kept) for one in parts],
            footers[0]["width"],
            next((one["ideal"] for one in footers if one["ideal"]), {}),
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
        )
    remove_parts(store, cell.key)


def _recording(part: Cell, kept: Store) -> Recording:
    """What was recorded of a part, as if it were a chunk."""
    found, iterates = (
        Trajectory.from_frame(kept.frame(part.key)),
        kept.iterates(part.key),
    )
    recording = Recording(part, part.seeds)
    recording.backend = kept.footer(part.key).get("backend", "")
    recording.status, recording.stopped_at = found.status, found.stopped_at
    recording.reason, recording.arrays = found.reason, kept.arrays(part.key)
    for i, step in enumerate(found.steps):
        counts = {name: values[i] for name, values in found.counts.items()}
        columns = {name: values[i] for name, values in found.columns.items()}
        recording.steps.append(step)
        recording.seconds.append(found.seconds[i])
        recording.counts.append(counts)
        recording.columns.append(columns)
    if iterates and part.keep != "none":
        kept_at = [int(step) for step in iterates["steps"]]
        every = list(zip(kept_at, iterates["z"], strict=True))
        recording.kept = every if part.keep == "all" else every[-1:]
    return recording
