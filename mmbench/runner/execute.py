"""Execution of cells, one after the other in this process or on workers."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from tempfile import TemporaryDirectory

from mmbench.core.errors import ClusterError
from mmbench.core.placement import Placement
from mmbench.core.precision import check_precision
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.chain import ChainEnds
from mmbench.runner.compute import (
    can_be_remeasured,
    compute_and_store,
    read_result,
    store_as_error,
)
from mmbench.runner.divided import (
    ShardEvents,
    compute_divided,
    find_divisions,
    missing_parts,
)
from mmbench.runner.limits import Limits, Workers
from mmbench.runner.local_workers import (
    Events,
    LocalWorkers,
    bound_to_this_process,
    count_workers,
)
from mmbench.runner.lookup import (
    is_stored_by_another_process,
    satisfies,
    with_stored_metrics,
)
from mmbench.runner.relabel import relabel
from mmbench.runner.stored_runs import Division, find_candidates
from mmbench.runner.supervisor import Supervisor
from mmbench.store.folder import Store, StoredResult
from mmbench.store.stored_files import Version

POLL_SECONDS = 0.5  # between two looks for cells that another process computes


class Observer:
    """Base of classes that are notified of an execution; it ignores all events."""

    def on_plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Notify of all cells, and of those that must be computed; called once."""

    def on_warning(self, sentence: str) -> None:
        """Notify of what the user should know of the store or the workers."""

    def on_start(self, cell: Cell) -> None:
        """Notify that the computation of a cell starts."""

    def on_progress(
        self, cell: Cell, run_steps: int, recording: Recording | None = None
    ) -> None:
        """Notify of progress in a cell that has started.

        From child processes come ten notifications a second at most, unless a chunk
        begins or ends.

        Args:
            cell: the cell.
            run_steps: steps made since the last call, summed over runs.
            recording: what the current chunk of runs has recorded.
        """

    def on_end(self, cell: Cell, trajectory: Trajectory) -> None:
        """Notify that a cell has ended and is stored."""

    def on_remeasured(self, cell: Cell) -> None:
        """Notify that a stored cell has got further metrics without running again."""

    def on_taken(self, cell: Cell, runs: int) -> None:
        """Notify that runs of a cell that has started are taken from stored cells."""

    def on_stored_by_another_process(self, cell: Cell) -> None:
        """Notify that another process has computed and stored a waiting cell."""


def execute(
    cells: Sequence[Cell],
    store: Store | None,
    placement: Placement = Placement(),
    observer: Observer | None = None,
    on_result: Callable[[Cell, StoredResult], None] | None = None,
    limits: Limits = Limits(),
    workers: Workers = Workers(),
) -> list[Cell]:
    """Compute the cells that the store lacks, and write each as it ends.

    Data are fetched and the store is tried before any computation starts. A cell is
    computed again when it is stored with an error, lacks a column that is asked for,
    or has damaged files, which are quarantined. A cell that another process computes
    is left to that process and waited for. Runs that the store has in cells of other
    seeds are taken from there.

    Args:
        cells: the cells wanted.
        store: where results go; None keeps them in memory, see `on_result`.
        placement: where the games are built.
        observer: notified of what happens.
        on_result: called with each computed cell's results.
        limits: of each cell; where there are any, cells run in a child process.
        workers: the most processes that compute, or a scheduler.

    Returns:
        The cells that were computed.

    Raises:
        MmbenchError: before any computation, when data, store or device are unfit.
    """
    observer = observer or Observer()
    versions: dict[str, Version] = {}
    waiting = list(cells)
    if store:
        store.check_writable()
        is_here = not workers.scheduler
        versions = _lacking_versions(cells, store, limits, observer, is_here=is_here)
        waiting = [cell for cell in cells if cell.key in versions]
    for cell in waiting:
        if versions.get(cell.key) is None:  # others may only lack metrics
            check_precision(cell.precision, placement.device)
    for task in dict.fromkeys(cell.task for cell in waiting):
        task.prepare(placement.data_dir)
    for metric in dict.fromkeys(metric for cell in waiting for metric in cell.metrics):
        metric.prepare()
    absent = [cell for cell in waiting if versions.get(cell.key) is None]
    if store and waiting and workers.scheduler:
        _check_reachable(workers)
        observer.on_plan(cells, waiting)
        candidates = find_candidates(absent, store)
        _distribute(
            waiting,
            candidates,
            store,
            placement,
            observer,
            on_result,
            limits,
            workers,
        )
        return waiting
    divisions = {}
    if store:
        divisions = find_divisions(absent, store, placement, observer.on_warning)
    observer.on_plan(cells, waiting)
    undone = missing_parts(waiting, divisions)
    count = count_workers(undone, placement, workers.processes)
    if count == 1:
        return _compute_in_rounds(
            waiting, versions, divisions, store, placement, observer, on_result, limits
        )
    with nullcontext(store) if store else _temporary_store() as shared:
        return _compute_side_by_side(
            waiting,
            versions,
            divisions,
            shared,
            placement,
            observer,
            on_result,
            limits,
            count,
        )


@contextmanager
def _temporary_store() -> Iterator[Store]:
    """Yield a store that is removed at the end, for results that are kept in memory."""
    with TemporaryDirectory(prefix="mmbench-") as folder:
        yield Store(folder)


def _compute_side_by_side(
    waiting: Sequence[Cell],
    versions: Mapping[str, Version],
    divisions: Mapping[str, Division],
    store: Store,
    placement: Placement,
    observer: Observer,
    on_result: Callable[[Cell, StoredResult], None] | None,
    limits: Limits,
    count: int,
) -> list[Cell]:
    """Compute cells on workers of this machine; arguments as `_compute_in_rounds`.

    Cells that only this process can compute are computed here meanwhile.

    Args:
        count: the number of workers.
    """
    computed: list[Cell] = []

    def on_end(cell: Cell, result: StoredResult, trajectory: Trajectory | None) -> None:
        computed.append(cell)
        if on_result:
            on_result(cell, result)
        if trajectory:
            observer.on_end(cell, trajectory)
        else:
            observer.on_remeasured(cell)

    events = Events(
        observer.on_start,
        observer.on_progress,
        observer.on_taken,
        on_end,
        observer.on_stored_by_another_process,
        observer.on_warning,
    )
    here = bound_to_this_process(waiting)
    there = [cell for cell in waiting if cell not in here]
    if here:
        observer.on_warning(
            "Classes that are defined in this session cannot be imported by workers; "
            f"this process computes their cells, {len(here)} of {len(waiting)}."
        )
    workers = LocalWorkers(
        there, versions, divisions, store, placement, limits, count, events
    )
    with closing(workers):
        workers.start()
        computed += _compute_in_rounds(
            here, versions, divisions, store, placement, observer, on_result, limits
        )
        workers.wait()
    return computed


def _compute_in_rounds(
    waiting: Sequence[Cell],
    versions: Mapping[str, Version],
    divisions: Mapping[str, Division],
    store: Store | None,
    placement: Placement,
    observer: Observer,
    on_result: Callable[[Cell, StoredResult], None] | None,
    limits: Limits,
) -> list[Cell]:
    """Compute cells in this process; return those that no other process has stored.

    A cell that must wait for the cell it continues, or that another process computes,
    is tried again in the next round.

    Args:
        waiting: the cells to compute.
        versions: key to version of what is stored of each cell.
        divisions: key to division of each cell of which the store has some runs.
        store, placement, observer, on_result, limits: as `execute` takes them.
    """
    computed = []
    unfinished = {cell.key: cell for cell in waiting}
    ends = ChainEnds()
    with closing(Supervisor(limits)) if limits else nullcontext() as supervisor:
        while unfinished:
            count = len(unfinished)
            for key, cell in list(unfinished.items()):
                version = versions.get(key)
                if store and is_stored_by_another_process(cell, store, version):
                    del unfinished[key]
                    observer.on_stored_by_another_process(cell)
                    continue
                if cell.after is not None and cell.after.key in unfinished:
                    continue
                if store and (division := divisions.get(key)):
                    events = ShardEvents(
                        partial(observer.on_start, cell),
                        partial(observer.on_progress, cell),
                        partial(observer.on_taken, cell),
                    )
                    done = compute_divided(
                        cell, division, store, placement, events, limits, supervisor
                    )
                else:
                    done = compute_and_store(
                        cell,
                        store,
                        placement,
                        on_start=observer.on_start,
                        on_progress=partial(observer.on_progress, cell),
                        ends=ends,
                        supervisor=supervisor,
                        version=version,
                        on_warning=observer.on_warning,
                    )
                if not done:
                    continue
                del unfinished[key]
                computed.append(cell)
                if on_result:
                    on_result(cell, done.result)
                if done.trajectory:
                    observer.on_end(cell, done.trajectory)
                else:
                    observer.on_remeasured(cell)
            if len(unfinished) == count:
                time.sleep(POLL_SECONDS)
    return computed


def _lacking_versions(
    cells: Sequence[Cell],
    store: Store,
    limits: Limits,
    observer: Observer,
    *,
    is_here: bool,
) -> dict[str, Version]:
    """Find the cells that the store lacks, and quarantine those that are damaged.

    The others get the labels that are asked for. Where cells are computed here, whoever
    measures kept iterates finds out whether they are damaged: each file is read once.

    Returns:
        Key to version of what is stored of each lacking cell.
    """
    versions: dict[str, Version] = {}
    for cell in cells:
        stored = store.read(cell.key)
        if stored and satisfies(cell, store, stored, limits):
            relabel(cell, store, stored)
            continue
        if store.same_environment and cell.after and cell.after.key in versions:
            store.slot(cell.key).remove()  # it started at an end that does not count
        is_checked_later = is_here and can_be_remeasured(
            stored, with_stored_metrics(cell, stored), store
        )
        warnings = store.quarantine(stored) if stored and not is_checked_later else []
        for sentence in warnings:
            observer.on_warning(f"{sentence} It is computed again.")
        versions[cell.key] = stored.version if stored and not warnings else None
    return versions


def _check_reachable(workers: Workers) -> None:
    """Check that the scheduler answers.

    Raises:
        ClusterError: when it does not, or Dask is not installed.
    """
    # Imported here, because Dask takes a second to load, and need not be there.
    try:
        from mmbench.runner.dask_cluster import check_reachable
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise ClusterError(
            "Workers of a scheduler must have Dask, which is not installed; install "
            'mmbench with it: pip install "mmbench[cluster]".'
        ) from error
    check_reachable(workers)


def _distribute(
    waiting: Sequence[Cell],
    candidates: Mapping[str, Sequence[str]],
    store: Store,
    placement: Placement,
    observer: Observer,
    on_result: Callable[[Cell, StoredResult], None] | None,
    limits: Limits,
    workers: Workers,
) -> None:
    """Have the cells computed by workers, and notify of each that is stored."""
    # Imported here, because Dask takes a second to load.
    from mmbench.runner.dask_cluster import distribute

    def on_stored(cell: Cell) -> None:
        result = read_result(cell, store)
        if on_result:
            on_result(cell, result)
        observer.on_end(cell, Trajectory.from_frame(result.frame))

    def on_failed(cell: Cell, reason: str) -> None:
        observer.on_end(cell, store_as_error(cell, store, placement, reason))

    distribute(
        waiting,
        store,
        placement,
        workers,
        limits,
        candidates,
        on_stored,
        on_failed,
        observer.on_warning,
    )
