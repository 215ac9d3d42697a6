"""Cluster: cells on Dask workers, on this machine or elsewhere.

Only descriptions of cells travel out, as JSON, and keys come back. Workers write what
they compute into the store themselves, so nothing is lost with the scheduler or with
the process that asked.
"""

import asyncio
import concurrent.futures
import json
import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NamedTuple

import dask
import torch
from dask.distributed import (
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    as_completed,
    get_worker,
)

from mmbench.core.errors import ClusterError, MmbenchError
from mmbench.core.placement import Placement
from mmbench.core.printable import printable
from mmbench.core.serialization import from_json, to_json
from mmbench.engine.cell import Cell
from mmbench.runner.chain import ChainEnds
from mmbench.runner.compute import compute_and_store
from mmbench.runner.limits import Limits, Workers
from mmbench.runner.lookup import done_elsewhere, is_stored
from mmbench.runner.shards import ends_for, join, split
from mmbench.runner.supervisor import Supervisor
from mmbench.store.folder import Store
from mmbench.store.shards import parts_store

# A cell that ends its worker so often is given up.
_LIVES = 4
_PATIENCE = 30  # seconds that a scheduler may take to answer
# A task costs Dask and the start of a game some hundredths of a second.
_WORTH = 1.0  # seconds of work that a task should hold
_STEP = 5e-4  # seconds of a step of a small game, whatever its width
_GLANCE = 0.5  # seconds between two looks at a cell that another command computes
_BLINK = 0.05  # seconds between two looks for tasks that have ended
_MOST = 32  # cells of a task
_PLENTY = 4  # cells a worker with which nothing need be split
# What waiting for a task raises when the scheduler is gone.
_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)
_GONE = (*_CANCELLED, OSError, TimeoutError)
# Threads of a worker would share its child process and torch's settings.
_ALONE = threading.Lock()


def distribute(
    cells: Sequence[Cell],
    store: Store,
    placement: Placement,
    workers: Workers,
    limits: Limits,
    ended: Callable[[Cell], None],
    failed: Callable[[Cell, str], None],
) -> None:
    """Have cells computed and stored by workers, those after others in their order.

    Args:
        cells: what to compute; a cell comes after the one it goes on from.
        store: a folder that all workers can write.
        placement: where games are built; on GPUs, each worker takes one.
        workers: who computes.
        limits: of each cell.
        ended: told of each cell that is stored.
        failed: told of each cell that no worker could finish, and why.

    Raises:
        ClusterError: when there is no scheduler, or it is lost.
    """
    task = WorkerSettings(
        str(store.folder.resolve()),
        store.same_environment,
        str(placement.device),
        None if placement.data_dir is None else str(placement.data_dir.resolve()),
        placement.compiled,
        tuple(limits),
    )
    with _client(workers, placement) as client:
        hands = max(1, len(client.nthreads()))
        most = hands if len(cells) < _PLENTY * hands else 1
        waiting = {cell.key: cell for cell in cells}

        def submit(
            bundle: Sequence[Cell], before: Sequence[Future], most: int
        ) -> Future:
            try:
                return _submit(client, task, placement, bundle, before, most)
            except Exception as error:
                if client.status == "running":
                    raise
                raise _lost(workers, len(waiting)) from error

        def each(tasks: Iterable[Future]) -> Iterator[Future]:
            return _each(client, tasks, workers, waiting)

        def settle(bundle: Sequence[Cell], future: Future, *, last: bool) -> None:
            """Tell what became of cells; those that may be tried again still wait."""
            faults, reason = _outcome(future, workers, waiting)
            for cell in bundle:
                wrong = reason or faults.get(cell.key, "")
                wrong = "" if wrong and is_stored(cell, store, limits) else wrong
                if wrong and reason and not last:
                    continue
                del waiting[cell.key]
                if wrong:
                    failed(cell, wrong)
                else:
                    ended(cell)

        futures: dict[str, Future] = {}
        tasks: dict[Future, list[Cell]] = {}
        for bundle in bundles(cells):
            afters = [cell.after.key for cell in bundle if cell.after]
            before = [futures[key] for key in afters if key in futures]
            future = submit(bundle, before, most)
            tasks[future] = bundle
            futures |= {cell.key: future for cell in bundle}
        for future in each(tasks):
            settle(tasks[future], future, last=False)
        # A task that died may have died of one of its cells, of the cell before it or
        # of another task on its worker. Alone, a cell is itself to blame.
        for cell in list(waiting.values()):
            for future in each([submit([cell], [], hands)]):
                settle([cell], future, last=True)


def _submit(
    client: Client,
    task: "WorkerSettings",
    placement: Placement,
    bundle: Sequence[Cell],
    before: Sequence[Future],
    most: int,
) -> Future:
    """Have a task computed, a cell that is alone in it in so many parts at most.

    Args:
        client: of the scheduler.
        task: where and how.
        placement: which decides how a cell is split.
        bundle: cells of the task.
        before: tasks that have to end first.
        most: parts.
    """

    def submit(function: Callable, *asked: Any) -> Future:
        return client.submit(
            function,
            task,
            *asked,
            key=f"mmbench-{bundle[0].key}-{uuid.uuid4().hex[:8]}",
            pure=False,
            resources={"GPU": 1} if placement.device.type == "cuda" else {},
        )

    pieces = split(bundle[0], placement, most) if not bundle[1:] else []
    if not pieces[1:]:
        return submit(compute, [to_json(cell) for cell in bundle], *before)
    whole, parts = to_json(bundle[0]), [to_json(one) for one in pieces]
    done = [submit(compute_part, whole, document, *before) for document in parts]
    return submit(join_parts, whole, parts, done)


def check_reachable(workers: Workers) -> None:
    """Find out whether there is a scheduler, where there is to be one already.

    Raises:
        ClusterError: when there is none.
    """
    if workers.scheduler:
        with _client(workers, Placement()):
            pass


class WorkerSettings(NamedTuple):
    """What every worker needs to know, in plain values."""

    folder: str
    same_environment: bool
    device: str
    data_dir: str | None
    compiled: bool
    limits: tuple[float | None, int | None]

    @property
    def store(self) -> Store:
        """Where cells go."""
        return Store(self.folder, same_environment=self.same_environment)


def compute(task: WorkerSettings, documents: Sequence[str], *_: Any) -> dict[str, str]:
    """Compute cells on a worker and store them; those that are there are left alone.

    Args:
        task: where and how.
        documents: cells as they are sent.

    Returns:
        Key to what is wrong, of those that could not be stored.
    """
    store, faults = task.store, {}
    for document in documents:
        cell = from_json(document)
        try:
            _compute(task, cell, store, ChainEnds())
        except MmbenchError as error:
            faults[cell.key] = str(error)
    return faults


def compute_part(
    task: WorkerSettings, whole: str, document: str, *_: Any
) -> dict[str, str]:
    """Compute a part of a cell on a worker, and store it beside the cells."""
    cell, part, store = from_json(whole), from_json(document), task.store
    if is_stored(cell, store, Limits(*task.limits)):  # by another command
        return {}
    try:
        _compute(task, part, parts_store(store, cell.key), ends_for(part, store))
    except MmbenchError as error:
        return {part.key: str(error)}
    return {}


def join_parts(
    task: WorkerSettings,
    document: str,
    parts: Sequence[str],
    faults: Sequence[dict[str, str]],
) -> dict[str, str]:
    """Put a cell together from its parts, on a worker."""
    cell = from_json(document)
    for fault in faults:
        for sentence in fault.values():
            return {cell.key: sentence}
    try:
        join(cell, [from_json(one) for one in parts], task.store)
    except MmbenchError as error:
        return {cell.key: str(error)}
    return {}


def _compute(task: WorkerSettings, cell: Cell, store: Store, ends: ChainEnds) -> None:
    """Compute a cell or a part of one, unless it is there or another command has it."""
    limits = Limits(*task.limits)
    placement = Placement(
        device=_own_device(task.device),
        data_dir=None if task.data_dir is None else Path(task.data_dir),
        compiled=task.compiled,
    )
    with _ALONE:
        if is_stored(cell, store, limits):
            return
        seen = store.version(cell.key)
        while not compute_and_store(
            cell,
            store,
            placement,
            ends=ends,
            supervisor=_supervisor(limits) if limits else None,
            seen=seen,
        ):
            if done_elsewhere(cell, store, seen):
                return
            time.sleep(_GLANCE)


@lru_cache(maxsize=1)
def _supervisor(limits: Limits) -> Supervisor:
    """One child process a worker, which ends with it."""
    return Supervisor(limits)


def _own_device(name: str) -> torch.device:
    """The worker's GPU, by its number among the workers, or the CPU."""
    if not name.startswith("cuda"):
        return torch.device(name)
    number, count = get_worker().name, torch.cuda.device_count()
    return torch.device("cuda", number % count if isinstance(number, int) else 0)


def bundles(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells in tasks: small ones together, as they come, so that a task is worth it."""
    tasks: list[list[Cell]] = []
    held = 0.0
    for cell in cells:
        cost = cell.steps * -(-len(cell.seeds) // cell.task.width) * _STEP
        chained = cell.after is not None or cell.keep != "none"
        fits = tasks and held + cost <= _WORTH and len(tasks[-1]) < _MOST
        if fits and not chained:
            tasks[-1].append(cell)
            held += cost
        else:
            tasks.append([cell])
            held = _WORTH if chained else cost
    return tasks


def _each(
    client: Client, tasks: Iterable[Future], workers: Workers, waiting: Sized
) -> Iterator[Future]:
    """Tasks as they end.

    Raises:
        ClusterError: when the scheduler is lost.
    """
    queue = as_completed(tasks, loop=client.loop)
    while not queue.is_empty():
        if queue.has_ready():
            yield next(queue)
        elif client.status == "closed":  # what was sent while it was lost never ends
            raise _lost(workers, len(waiting))
        else:
            time.sleep(_BLINK)


def _outcome(
    future: Future, workers: Workers, waiting: Sized
) -> tuple[dict[str, str], str]:
    """Key to what is wrong, of a task's cells; and why it died itself, if it did.

    Raises:
        ClusterError: when the scheduler is lost.
    """
    try:
        if future.status == "finished":
            return future.result(), ""
        error = future.exception()  # of an outside class, or of its import
    except _GONE as gone:
        raise _lost(workers, len(waiting)) from gone
    if isinstance(error, _CANCELLED):
        raise _lost(workers, len(waiting)) from error
    if isinstance(error, KilledWorker):
        return {}, f"Its worker died {_LIVES} times."
    return {}, printable(f"{type(error).__name__}: {error}")


@contextmanager
def _client(workers: Workers, placement: Placement) -> Iterator[Client]:
    """A client of the scheduler, and the local cluster if there is to be one."""
    for name in ("distributed", "distributed.client"):  # which has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": _LIVES - 1,
        "distributed.comm.timeouts.connect": f"{_PATIENCE}s",
    }
    with dask.config.set(settings):
        if workers.scheduler:
            with _elsewhere(workers) as client:
                yield client
            return
        with ExitStack() as stack:
            with _deaf():
                cluster = LocalCluster(
                    n_workers=workers.processes,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # any free port: others may run
                    silence_logs=logging.CRITICAL,
                    memory_limit=0,
                    resources={"GPU": 1} if placement.device.type == "cuda" else None,
                    env={"OMP_NUM_THREADS": "1"},
                )
                stack.enter_context(cluster)
            yield stack.enter_context(Client(cluster, set_as_default=False))


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes begun by threads begun here do not hear Ctrl-C, which is for this one.

    A thread or process inherits which signals are held back.
    """
    resource_tracker.ensure_running()  # or it would be begun here, and let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _elsewhere(workers: Workers) -> Iterator[Client]:
    """A client of a scheduler that is there already."""
    address = _address(workers.scheduler)
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise _unreachable(workers.scheduler, error) from None
    try:
        yield client
    finally:
        client.close(timeout=5)


def _address(scheduler: str) -> str:
    """An address, or what the file says that a scheduler writes when it starts.

    Raises:
        ClusterError: when the file is not there in time, or says nothing.
    """
    file = Path(scheduler)
    end = time.monotonic() + _PATIENCE
    while file.suffix == ".json" or file.is_file():
        try:
            return str(json.loads(file.read_bytes())["address"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            if time.monotonic() > end:
                raise _unreachable(scheduler, error) from None
            time.sleep(_GLANCE)
    return scheduler


def _unreachable(scheduler: str, error: Exception) -> ClusterError:
    return ClusterError(
        "--scheduler must be the address of a running Dask scheduler, or its file; "
        f"{scheduler!r} gave {type(error).__name__}: {error}."
    )


def _lost(workers: Workers, missing: int) -> ClusterError:
    whose = f"at {workers.scheduler}" if workers.scheduler else "of the local workers"
    return ClusterError(
        f"The scheduler {whose} must stay reachable; it was lost with {missing} cells "
        "to go. What was computed is stored: run the same command again."
    )
