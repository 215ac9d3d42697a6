"""Computation of cells on the workers of a Dask scheduler, on whatever machines.

Only descriptions of cells are sent, as JSON, and keys come back. Workers write what
they compute into the store themselves, so nothing is lost with the scheduler or with
the process that asked.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import dask
import torch
from dask.distributed import (
    Client,
    Future,
    KilledWorker,
    as_completed,
    get_worker,
)
from distributed.core import rpc

from mmbench.core.errors import ClusterError, CodeError, MmbenchError
from mmbench.core.files import read_file
from mmbench.core.json_schema import parse_json
from mmbench.core.placement import Placement
from mmbench.core.printable import printable
from mmbench.core.serialization import from_json, to_json
from mmbench.engine.cell import Cell
from mmbench.engine.expected_time import expected_seconds
from mmbench.runner.chain import ChainEnds
from mmbench.runner.compute import compute_and_store
from mmbench.runner.divided import ShardEvents, compute_divided
from mmbench.runner.limits import NO_WORKERS_SECONDS, Limits, Workers
from mmbench.runner.lookup import is_stored, is_stored_by_another_process, satisfies
from mmbench.runner.shards import ends_for, join, split
from mmbench.runner.stored_runs import Division, Shard, divide, take_runs
from mmbench.runner.supervisor import Supervisor
from mmbench.store.folder import Store
from mmbench.store.shards import shard_store

MAX_WORKER_DEATHS = 4  # a cell that ends as many workers is stored as an error
WORKER_DIED = f"Its worker died {MAX_WORKER_DEATHS} times."
CONNECT_TIMEOUT_SECONDS = 30  # time for a scheduler to answer
# A Dask task and the start of a game take some hundredths of a second.
MIN_SECONDS_PER_TASK = 1.0  # computation in a Dask task, where there is enough
MAX_CELLS_PER_TASK = 32
MIN_CELLS_PER_WORKER = 4  # with fewer, cells are split among the workers
ANSWER_TIMEOUT_SECONDS = 10  # time for a scheduler to answer a question
POLL_SECONDS = 0.5  # interval of checks for a cell that another command computes
CANARY_SECONDS = 3.0  # that workers must live while they compute nothing
TASK_POLL_SECONDS = 0.05  # interval of checks for Dask tasks that have ended
# What waiting for a Dask task raises when the scheduler is gone.
CANCELLED_ERRORS = (asyncio.CancelledError, concurrent.futures.CancelledError)
LOST_ERRORS = (*CANCELLED_ERRORS, OSError, TimeoutError)
# Threads of a worker share its child process and torch's settings.
_one_cell_at_a_time = threading.Lock()


def distribute(
    cells: Sequence[Cell],
    store: Store,
    placement: Placement,
    workers: Workers,
    limits: Limits,
    candidates: Mapping[str, Sequence[str]],
    on_stored: Callable[[Cell], None],
    on_failed: Callable[[Cell, str], None],
    on_warning: Callable[[str], None],
) -> None:
    """Have cells computed and stored by workers, each after the one it continues.

    Args:
        cells: the cells to compute; a cell comes after the one it continues.
        store: a folder that all workers can write.
        placement: where games are built; on GPUs, each worker takes one.
        workers: the workers.
        limits: of each cell.
        candidates: stored cells that may have runs of a cell, by its key, as
            `find_candidates` returns them.
        on_stored: called with each cell that is stored.
        on_failed: called with each cell that no worker could finish, and why.
        on_warning: called with what the user should know while waiting.

    Raises:
        ClusterError: when there is no scheduler, it or all its workers are lost, no
            worker comes, or workers die whatever they compute.
    """
    settings = WorkerSettings(
        str(store.folder.resolve()),
        store.same_environment,
        str(placement.device),
        None if placement.data_dir is None else str(placement.data_dir.resolve()),
        placement.compiled,
        placement.width,
        limits,
    )
    with _client(workers) as client:
        absence = _WorkerAbsence(client)
        if not absence.n_workers:
            on_warning(
                f"The scheduler at {workers.scheduler} has no workers; they are "
                f"awaited for {NO_WORKERS_SECONDS} s."
            )
        while not absence.n_workers:
            absence.check(workers, len(cells))
            time.sleep(TASK_POLL_SECONDS)
        n_workers = absence.n_workers
        are_few = len(cells) < MIN_CELLS_PER_WORKER * n_workers
        max_shards = n_workers if are_few else 1
        waiting = {cell.key: cell for cell in cells}

        def submit(
            bundle: Sequence[Cell], before: Sequence[Future], max_shards: int
        ) -> Future:
            own = {one.key: candidates.get(one.key, ()) for one in bundle}
            chosen = settings._replace(candidates=own)
            try:
                return _submit(client, chosen, placement, bundle, before, max_shards)
            except Exception as error:
                if client.status == "running":
                    raise
                raise _lost(workers, len(waiting)) from error

        has_lived: list[bool] = []  # not empty once a worker has

        def settle(bundle: Sequence[Cell], future: Future, *, is_last: bool) -> None:
            """Notify of the outcome of cells, except those that are tried once more."""
            faults, death = _outcome(future, workers, waiting)
            if death == WORKER_DIED and not has_lived:
                _check_lives(client, absence, workers, waiting)
            has_lived.append(True)
            for cell in bundle:
                fault = death or faults.get(cell.key, "")
                if fault and is_stored(cell, store, limits):
                    fault = ""
                if fault and death and not is_last:
                    continue
                del waiting[cell.key]
                if fault:
                    on_failed(cell, fault)
                else:
                    on_stored(cell)

        future_of: dict[str, Future] = {}
        bundle_of: dict[Future, list[Cell]] = {}
        for bundle in bundles(cells):
            previous = [cell.after.key for cell in bundle if cell.after]
            before = [future_of[key] for key in previous if key in future_of]
            future = submit(bundle, before, max_shards)
            bundle_of[future] = bundle
            future_of |= {cell.key: future for cell in bundle}
        for future in _as_completed(client, bundle_of, absence, workers, waiting):
            settle(bundle_of[future], future, is_last=False)
        # A Dask task that died may have died of one of its cells, of the previous cell
        # or of another Dask task on its worker. A cell that dies alone is the cause.
        for cell in list(waiting.values()):
            alone = [submit([cell], [], n_workers)]
            for future in _as_completed(client, alone, absence, workers, waiting):
                settle([cell], future, is_last=True)


def _submit(
    client: Client,
    settings: "WorkerSettings",
    placement: Placement,
    bundle: Sequence[Cell],
    before: Sequence[Future],
    max_shards: int,
) -> Future:
    """Submit a Dask task, and several where a single cell is split into shards.

    Args:
        client: the scheduler's client.
        settings: where and how workers compute.
        placement: which decides how a cell is split.
        bundle: the cells of the Dask task.
        before: Dask tasks that have to end first.
        max_shards: largest number of shards of a single cell.
    """

    def submit(function: Callable, *arguments: Any) -> Future:
        return client.submit(
            function,
            settings,
            *arguments,
            key=f"mmbench-{bundle[0].key}-{uuid.uuid4().hex[:8]}",
            pure=False,
            resources={"GPU": 1} if placement.device.type == "cuda" else {},
        )

    shards = split(bundle[0], placement, max_shards) if len(bundle) == 1 else []
    if len(shards) < 2:
        return submit(compute, [to_json(cell) for cell in bundle], *before)
    whole, documents = to_json(bundle[0]), [to_json(shard) for shard in shards]
    computed = [submit(compute_shard, whole, shard, *before) for shard in documents]
    return submit(join_shards, whole, documents, computed)


def check_reachable(workers: Workers) -> None:
    """Check that the scheduler, where one is given, can be reached.

    Raises:
        ClusterError: when it cannot.
    """
    with _client(workers):
        pass


class WorkerSettings(NamedTuple):
    """Where and how a worker computes, in plain values."""

    folder: str
    same_environment: bool
    device: str
    data_dir: str | None
    compiled: bool | None
    width: int | None
    limits: Limits
    candidates: Mapping[str, Sequence[str]] = {}

    @property
    def placement(self) -> Placement:
        """Where the worker computes."""
        return Placement(
            device=_own_device(self.device),
            data_dir=None if self.data_dir is None else Path(self.data_dir),
            compiled=self.compiled,
            width=self.width,
        )

    @property
    def store(self) -> Store:
        """The store that cells are written to."""
        return Store(self.folder, same_environment=self.same_environment)


def compute(
    settings: WorkerSettings, documents: Sequence[str], *_: Any
) -> dict[str, str]:
    """Compute cells on a worker and store them, unless they are stored already.

    Args:
        settings: where and how.
        documents: the cells, as `to_json` serialises them.

    Returns:
        Key to what is wrong, of the cells that could not be stored.
    """
    store, faults = settings.store, {}
    for document in documents:
        cell = from_json(document)
        try:
            _compute(settings, cell, store, ChainEnds())
        except CodeError:  # ends the command: nothing is stored, not even an error
            raise
        except MmbenchError as error:
            faults[cell.key] = str(error)
    return faults


def compute_shard(
    settings: WorkerSettings, whole: str, document: str, *_: Any
) -> dict[str, str]:
    """Compute a shard of a cell on a worker; arguments and result as for `compute`."""
    cell, shard, store = from_json(whole), from_json(document), settings.store
    if is_stored(cell, store, settings.limits):  # by another command
        return {}
    try:
        parts = shard_store(store, cell.key)
        if division := _divide(settings, cell):
            settings = settings._replace(compiled=division.compiled)
            if parts.read(shard.key) is None:
                for one in division.shards:
                    if one.is_stored and set(shard.seeds) <= set(one.cell.seeds):
                        take_runs(Shard(shard, one.source), store, parts)
        _compute(settings, shard, parts, ends_for(shard, store))
    except CodeError:
        raise
    except MmbenchError as error:
        return {shard.key: str(error)}
    return {}


def join_shards(
    settings: WorkerSettings,
    document: str,
    shards: Sequence[str],
    faults: Sequence[dict[str, str]],
) -> dict[str, str]:
    """Join the shards of a cell on a worker; arguments and result as for `compute`."""
    cell = from_json(document)
    for fault in faults:
        for sentence in fault.values():
            return {cell.key: sentence}
    try:
        join(cell, [from_json(shard) for shard in shards], settings.store)
    except MmbenchError as error:
        return {cell.key: str(error)}
    return {}


def _compute(
    settings: WorkerSettings, cell: Cell, store: Store, ends: ChainEnds
) -> None:
    """Compute a cell or a shard, unless it is stored or another command computes it."""
    limits, placement = settings.limits, settings.placement
    with _one_cell_at_a_time:
        supervisor = _supervisor(limits) if limits else None
        stored = store.read(cell.key)
        if satisfies(cell, store, stored, limits):
            return
        version = stored.version if stored else None
        division = None if stored else _divide(settings, cell)
        while not (
            compute_divided(
                cell, division, store, placement, _NO_EVENTS, limits, supervisor
            )
            if division
            else compute_and_store(
                cell,
                store,
                placement,
                ends=ends,
                supervisor=supervisor,
                version=version,
            )
        ):
            if is_stored_by_another_process(cell, store, version):
                return
            time.sleep(POLL_SECONDS)


def _divide(settings: WorkerSettings, cell: Cell) -> Division | None:
    """Return the division of a cell of which the store may have runs, if it has."""
    candidates = settings.candidates.get(cell.key, ())
    return divide(cell, candidates, settings.store, settings.placement)


_NO_EVENTS = ShardEvents(lambda: None, lambda _, __: None, lambda _: None)


@lru_cache(maxsize=1)
def _supervisor(limits: Limits) -> Supervisor:
    """Return the one child process of a worker, which ends with it."""
    return Supervisor(limits)


def _own_device(name: str) -> torch.device:
    """Return the worker's GPU, by its number among the workers, or the CPU."""
    if not name.startswith("cuda"):
        return torch.device(name)
    number, count = get_worker().name, torch.cuda.device_count()
    return torch.device("cuda", number % count if isinstance(number, int) else 0)


def bundles(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Divide cells, in their order, into Dask tasks that are worth their overhead.

    Cells that continue others, or that others may continue, stay alone.
    """
    tasks: list[list[Cell]] = []
    seconds = 0.0  # of the last Dask task
    for cell in cells:
        cost = expected_seconds(cell, cell.task.width)
        is_chained = cell.after is not None or cell.keep != "none"
        is_short = seconds + cost <= MIN_SECONDS_PER_TASK
        if (
            tasks
            and is_short
            and not is_chained
            and len(tasks[-1]) < MAX_CELLS_PER_TASK
        ):
            tasks[-1].append(cell)
            seconds += cost
        else:
            tasks.append([cell])
            seconds = MIN_SECONDS_PER_TASK if is_chained else cost
    return tasks


def _as_completed(
    client: Client,
    tasks: Iterable[Future],
    absence: "_WorkerAbsence",
    workers: Workers,
    waiting: Sized,
) -> Iterator[Future]:
    """Yield Dask tasks as they end.

    Raises:
        ClusterError: when the scheduler is lost, or all workers are and stay so.
    """
    queue = as_completed(tasks, loop=client.loop)
    while not queue.is_empty():
        if queue.has_ready():
            yield next(queue)
        elif client.status == "closed":  # tasks sent while it was lost never end
            raise _lost(workers, len(waiting))
        else:
            absence.check(workers, len(waiting))
            time.sleep(TASK_POLL_SECONDS)


def _check_lives(
    client: Client, absence: "_WorkerAbsence", workers: Workers, waiting: Sized
) -> None:
    """Check that a worker lives while it computes nothing.

    Raises:
        ClusterError: when it dies; then the cells are not the cause.
    """
    canary = client.submit(time.sleep, CANARY_SECONDS, pure=False, priority=1)
    list(_as_completed(client, [canary], absence, workers, waiting))
    if canary.status != "finished":
        fault = "must have workers that live; they die while they compute nothing,"
        raise _lost(workers, len(waiting), fault)


class _WorkerAbsence:
    """The time that a scheduler has been without workers, or has not answered.

    Dask restarts a worker that dies, but not one that dies while it starts.

    Args:
        client: the scheduler's client.

    Attributes:
        n_workers: the number of workers at the last answer.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last_seen = self._last_answer = time.monotonic()
        self._last_asked = -POLL_SECONDS
        self.n_workers = 0
        self._ask()

    def check(self, workers: Workers, missing: int) -> None:
        """Ask the scheduler for its workers, unless it was asked just now.

        Args:
            workers: the workers, for the message.
            missing: number of cells to go, for the message.

        Raises:
            ClusterError: when there has been no worker, or no answer, for too long.
        """
        if time.monotonic() - self._last_asked >= POLL_SECONDS:
            self._ask()
        now = time.monotonic()
        if now - self._last_answer > NO_WORKERS_SECONDS:
            fault = f"must answer; it did not for {NO_WORKERS_SECONDS} s"
            raise _lost(workers, missing, fault)
        if self._last_answer - self._last_seen > NO_WORKERS_SECONDS:
            fault = f"must have workers; it had none for {NO_WORKERS_SECONDS} s"
            raise _lost(workers, missing, fault)
        if self._client.status == "closed":
            raise _lost(workers, missing)

    def _ask(self) -> None:
        if self._client.status == "running":
            with contextlib.suppress(*LOST_ERRORS):
                ask = self._client.scheduler.ncores  # type: ignore[union-attr]
                answer = self._client.sync(ask, callback_timeout=ANSWER_TIMEOUT_SECONDS)
                self.n_workers = len(answer)
                self._last_answer = time.monotonic()
                if self.n_workers:
                    self._last_seen = self._last_answer
        self._last_asked = time.monotonic()


def _outcome(
    future: Future, workers: Workers, waiting: Sized
) -> tuple[dict[str, str], str]:
    """Return key to fault of a Dask task's cells, and why it died itself, if it did.

    Raises:
        ClusterError: when the scheduler is lost.
    """
    try:
        if future.status == "finished":
            return future.result(timeout=NO_WORKERS_SECONDS), ""
        # Of an external class, or of its import.
        error = future.exception(timeout=NO_WORKERS_SECONDS)
    except LOST_ERRORS as lost:
        raise _lost(workers, len(waiting)) from lost
    if isinstance(error, CodeError):
        raise error
    if isinstance(error, CANCELLED_ERRORS):
        raise _lost(workers, len(waiting)) from error
    if isinstance(error, KilledWorker):
        return {}, WORKER_DIED
    return {}, printable(f"{type(error).__name__}: {error}")


@contextmanager
def _client(workers: Workers) -> Iterator[Client]:
    """Connect to the scheduler for the time of a context."""
    for name in ("distributed", "distributed.client"):  # each has its own level
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": MAX_WORKER_DEATHS - 1,
        "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_SECONDS}s",
    }
    with dask.config.set(settings), _existing_scheduler(workers) as client:
        yield client


@contextmanager
def _existing_scheduler(workers: Workers) -> Iterator[Client]:
    """Connect to a scheduler that is running, for the time of a context."""
    address = _address(workers.scheduler)
    try:
        with concurrent.futures.ThreadPoolExecutor(
            1
        ) as thread:  # notebooks have a loop
            kind = thread.submit(asyncio.run, _kind_of(address)).result()
    except TimeoutError:
        silence = TimeoutError(f"no answer of Dask in {CONNECT_TIMEOUT_SECONDS} s")
        raise _unreachable(workers.scheduler, silence) from None
    except Exception as error:  # whatever another protocol causes
        raise _unreachable(workers.scheduler, error) from None
    if kind != "Scheduler":
        raise _unreachable(workers.scheduler, ValueError(f"a Dask {kind}"))
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise _unreachable(workers.scheduler, error) from None
    try:
        yield client
    finally:
        client.close(timeout=5)


async def _kind_of(address: str) -> str:
    """Return what a process of Dask says that it is, such as "Scheduler"."""
    async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS), rpc(address) as server:
        return str((await server.identity())["type"])


_MAX_BYTES = 2**20  # of a scheduler's file


def _address(scheduler: str) -> str:
    """Return an address, given as it is or in the file that a scheduler writes.

    Raises:
        ClusterError: when the file is not there in time, or has no address.
    """
    file = Path(scheduler)
    deadline = time.monotonic() + CONNECT_TIMEOUT_SECONDS
    while file.suffix == ".json" or file.is_file():
        try:
            return str(parse_json(read_file(file, _MAX_BYTES))["address"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            if time.monotonic() > deadline:
                raise _unreachable(scheduler, error) from None
            time.sleep(POLL_SECONDS)
    return scheduler


def _unreachable(scheduler: str, error: Exception) -> ClusterError:
    return ClusterError(
        "--scheduler must be the address of a running Dask scheduler, or its file; "
        f"{scheduler!r} gave {type(error).__name__}: {error}."
    )


def _lost(
    workers: Workers, missing: int, fault: str = "must stay reachable; it was lost"
) -> ClusterError:
    return ClusterError(
        f"The scheduler at {workers.scheduler} {fault} with {missing} cells to go. "
        "What was computed is stored: run the same command again."
    )
