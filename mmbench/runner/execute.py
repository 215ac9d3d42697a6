"""Execute: cells to results, one after the other in this process or on workers."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.chain import ChainEnds
from mmbench.runner.compute import StoredResult, compute_and_store, give_up, stored
from mmbench.runner.limits import Limits, Workers
from mmbench.runner.lookup import done_elsewhere, is_stored
from mmbench.runner.supervisor import Supervisor
from mmbench.store.folder import Store

_GLANCE = 0.5  # seconds between two looks for cells that another process computes


class Observer:
    """What wants to know how the work goes; the default does not."""

    def plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Called once: all cells, and those that must be computed."""

    def warn(self, sentence: str) -> None:
        """Something about the store that its owner should know."""

    def stored_elsewhere(self, cell: Cell) -> None:
        """A waiting cell has been computed and stored by another process."""

    def begin(self, cell: Cell) -> None:
        """A cell begins."""

    def advance(self, run_steps: int, recording: Recording | None = None) -> None:
        """So many more steps of runs have been made; a chunk has recorded this."""

    def remeasured(self, cell: Cell) -> None:
        """A stored cell has got further metrics without running again."""

    def end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""


def execute(
    cells: Sequence[Cell],
    store: Store | None,
    placement: Placement = Placement(),
    observer: Observer | None = None,
    fresh: Callable[[Cell, StoredResult], None] | None = None,
    limits: Limits = Limits(),
    workers: Workers = Workers(),
) -> list[Cell]:
    """Compute the cells that the store lacks, and write each as it ends.

    Data are fetched and the store is tried before any work starts. A cell that is
    stored with an error, or without a column that is now asked for, is computed again,
    and so is one whose files are damaged, which are set aside. A cell that another
    process computes is left to it, and waited for.

    Args:
        cells: what is wanted.
        store: where results go; None keeps them in memory only, through `fresh`.
        placement: where the games are built.
        observer: notified how the work goes.
        fresh: given each computed cell's results.
        limits: of each cell; where there are any, cells run in a child process.
        workers: who computes, if not this process.

    Returns:
        The cells that were computed.

    Raises:
        MmbenchError: before any work, when data, store or device are not as they must.
    """
    observer = observer or Observer()
    if store:
        store.check_writable()
    waiting = list(_lacking(cells, store, limits, observer)) if store else list(cells)
    seen = {cell.key: store.version(cell.key) for cell in waiting} if store else {}
    for task in dict.fromkeys(cell.task for cell in waiting):
        task.prepare(placement.data_dir)
    for metric in dict.fromkeys(one for cell in waiting for one in cell.metrics):
        metric.prepare()
    shared = bool(workers and store and waiting)
    if shared:
        _check_reachable(workers)
    observer.plan(cells, waiting)
    if shared:
        _distributed(waiting, store, placement, observer, fresh, limits, workers)
        return waiting
    ends = ChainEnds()
    computed, queue, passed = [], deque(waiting), 0
    with closing(Supervisor(limits)) if limits else nullcontext() as supervisor:
        while queue:
            cell = queue.popleft()
            version = seen.get(cell.key)
            if store and done_elsewhere(cell, store, version):
                observer.stored_elsewhere(cell)
                continue
            ready = not cell.after or cell.after.key not in {one.key for one in queue}
            worked = ready and compute_and_store(
                cell,
                store,
                placement,
                begin=observer.begin,
                progress=observer.advance,
                ends=ends,
                supervisor=supervisor,
                seen=version,
            )
            if not worked:
                queue.append(cell)
                passed += 1
                if passed >= len(queue):  # all that is left is in others' hands
                    time.sleep(_GLANCE)
                    passed = 0
                continue
            computed.append(cell)
            passed = 0
            if fresh:
                fresh(cell, worked.done)
            if worked.trajectory:
                observer.end(cell, worked.trajectory)
            else:
                observer.remeasured(cell)
    return computed


def _lacking(
    cells: Sequence[Cell], store: Store, limits: Limits, observer: Observer
) -> Iterator[Cell]:
    """Cells that the store lacks, with all that they must have; damage is set aside."""
    lacking: set[str] = set()
    for cell in cells:
        if not is_stored(cell, store, limits):
            lacking.add(cell.key)
            if store.same_environment and cell.after and cell.after.key in lacking:
                store.slot(cell.key).remove()  # it began at an end that does not count
            yield cell
            for sentence in store.quarantine(cell.key):
                observer.warn(f"{sentence} It is computed again.")


def _check_reachable(workers: Workers) -> None:
    # Inside, because Dask takes a second to load.
    from mmbench.runner.dask_cluster import check_reachable

    check_reachable(workers)


def _distributed(
    waiting: Sequence[Cell],
    store: Store,
    placement: Placement,
    observer: Observer,
    fresh: Callable[[Cell, StoredResult], None] | None,
    limits: Limits,
    workers: Workers,
) -> None:
    """Have the cells computed by workers, and tell of each that is stored."""
    # Inside, because Dask takes a second to load.
    from mmbench.runner.dask_cluster import distribute

    def ended(cell: Cell) -> None:
        done = stored(cell, store)
        if fresh:
            fresh(cell, done)
        observer.end(cell, Trajectory.from_frame(done.frame))

    def failed(cell: Cell, reason: str) -> None:
        observer.end(cell, give_up(cell, store, placement, reason))

    distribute(waiting, store, placement, workers, limits, ended, failed)
