"""Workers on this machine: cells computed side by side, each in a child process.

A worker is a thread of this process that waits for a child, which computes. This
process stores what its children return, and calls observers in the calling thread
alone. The longest cells come first, and those that would be computed alone at the end
are split by runs. A worker takes cells of one game after the other where it can, for it
has compiled loops of that game.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any, NamedTuple, NoReturn

import torch
from joblib import cpu_count

from mmbench.core.code_files import is_of_mmbench
from mmbench.core.description import nested
from mmbench.core.made import Made, variable_of
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import ways_worth_their_time
from mmbench.engine.expected_time import expected_seconds
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import width_of
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.compute import compute_and_store
from mmbench.runner.divided import (
    ShardEvents,
    compute_shard,
    joined_result,
    missing_parts,
)
from mmbench.runner.limits import Limits
from mmbench.runner.lookup import is_stored_by_another_process
from mmbench.runner.shards import ends_for, join, split
from mmbench.runner.stored_runs import Division, Shard
from mmbench.runner.supervisor import CancelledError, Supervisor
from mmbench.store.folder import Store, StoredResult
from mmbench.store.stored_files import Version
from mmbench.tasks.base import Task

# How many child processes a cell may end before it is stored as an error.
ATTEMPTS = 3
POLL_SECONDS = 0.5  # between two looks for cells that another process computes
# The process that workers are forked from loads torch, which takes about this long.
START_SECONDS = 2.0
AHEAD = 50  # jobs of one length, among which a worker looks for one of its game


def count_workers(cells: Sequence[Cell], placement: Placement, most: int) -> int:
    """Return how many workers are worth their start.

    Args:
        cells: the cells to compute.
        placement: where; a GPU has one worker.
        most: the most workers; 0 for one on each core, or GPU, that may be used.
    """
    if placement.device.type == "cuda":
        most = min(most or sys.maxsize, torch.cuda.device_count())
    elif not most:
        most = cpu_count()
    seconds = [_seconds_of(cell, placement) for cell in cells]
    chunks = sum(-(-len(cell.seeds) // width_of(cell, placement)) for cell in cells)
    worth = int(sum(seconds) / START_SECONDS)
    return max(1, min(most, chunks, worth))


class _Job(NamedTuple):
    """A cell, or a shard of one, that a worker computes at once.

    Args:
        cell: what is computed.
        whole: the cell that it is, or is a shard of.
        seconds: about how long it takes.
        source, step: of a shard, which stored cell has its runs, as `Shard` has them.
    """

    cell: Cell
    whole: Cell
    seconds: float
    source: str = ""
    step: int = 0

    @property
    def is_shard(self) -> bool:
        """Whether it is a part of a cell."""
        return self.cell is not self.whole


class _Schedule:
    """The jobs that no worker has begun, the longest first, for several threads.

    Args:
        jobs: all jobs.
    """

    def __init__(self, jobs: Sequence[_Job]) -> None:
        self._waiting = list(jobs)
        self._unfinished = Counter(job.whole.key for job in jobs)
        self._begun: set[str] = set()
        self._tasks: set[Task] = set()  # of the jobs that were taken
        self._not_before: dict[str, float] = {}  # of jobs that were given back
        self._changed = threading.Condition()

    def take(self, last: _Job | None = None) -> _Job | None:
        """Wait for a job that can be computed, and return it; None when none is left.

        A cell that continues another one waits for its end.

        Args:
            last: what the same worker took before.
        """
        with self._changed:
            while self._waiting:
                if job := self._next(last):
                    self._waiting.remove(job)
                    self._tasks.add(job.cell.task)
                    return job
                self._changed.wait(POLL_SECONDS)
            return None

    def _next(self, last: _Job | None = None) -> _Job | None:
        """Return a job that can be computed now; None where none can.

        Of those that are as long as the first, one of the last job's game, else one of
        a game that no worker has begun.
        """
        best = None
        for job in islice(filter(self._is_ready, self._waiting), AHEAD):
            if best and job.seconds != best.seconds:
                break
            if last and job.cell.task == last.cell.task:
                return job
            is_begun = best is not None and best.cell.task in self._tasks
            if not best or (is_begun and job.cell.task not in self._tasks):
                best = job
        return best

    def _is_ready(self, job: _Job) -> bool:
        """Return whether a job can be computed now."""
        now, after = time.monotonic(), job.whole.after
        is_blocked = after is not None and self._unfinished[after.key]
        return not is_blocked and self._not_before.get(job.cell.key, now) <= now

    def begin(self, job: _Job) -> bool:
        """Return whether a job is the first of its cell that begins."""
        with self._changed:
            is_first = job.whole.key not in self._begun
            self._begun.add(job.whole.key)
            return is_first

    def give_back(self, job: _Job) -> None:
        """Let a job wait that another process computes."""
        with self._changed:
            self._waiting.append(job)
            self._not_before[job.cell.key] = time.monotonic() + POLL_SECONDS

    def finish(self, job: _Job) -> bool:
        """Return whether a job was the last of its cell, which then must be ended."""
        with self._changed:
            is_last = self._unfinished[job.whole.key] == 1
            if not is_last:
                self._unfinished[job.whole.key] -= 1
            return is_last

    def end(self, cell: Cell) -> None:
        """Let cells begin that continue this one, which is stored now."""
        with self._changed:
            self._unfinished[cell.key] = 0
            self._changed.notify_all()

    def stop(self) -> None:
        """Have no further job taken."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()


class Events(NamedTuple):
    """What is called in the calling thread while workers compute.

    Args:
        on_start: with a cell that begins.
        on_progress: with a cell, its run-steps made and what it has recorded.
        on_taken: with a cell and the number of its runs that stored cells have.
        on_end: with a cell that is stored, its result and its runs; no runs where only
            metrics were measured.
        on_stored_by_another_process: with a cell that this process did not compute.
        on_warning: with a sentence for each damaged file.
    """

    on_start: Callable[[Cell], None]
    on_progress: Callable[[Cell, int, Recording | None], None]
    on_taken: Callable[[Cell, int], None]
    on_end: Callable[[Cell, StoredResult, Trajectory | None], None]
    on_stored_by_another_process: Callable[[Cell], None]
    on_warning: Callable[[str], None]


class LocalWorkers:
    """Workers that compute cells and store them.

    Args:
        cells: the cells; one comes after the one that it continues.
        versions: key to version of what is stored of each cell.
        divisions: key to division of each cell of which the store has some runs.
        store: where cells go.
        placement: where games are built; on GPUs, each worker takes one.
        limits: of each cell, or shard of a cell.
        count: the number of workers.
        events: what is called meanwhile.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        versions: Mapping[str, Version],
        divisions: Mapping[str, Division],
        store: Store,
        placement: Placement,
        limits: Limits,
        count: int,
        events: Events,
    ) -> None:
        self._store, self._placement, self._limits = store, placement, limits
        self._versions, self._events = versions, events
        self._divisions = divisions
        self._shards = _split(cells, divisions, placement, count)
        jobs = [
            _Job(
                shard.cell,
                cell,
                _seconds_of(shard.cell, placement),
                shard.source,
                shard.step,
            )
            for cell in cells
            for shard in self._shards[cell.key]
        ]
        # What is stored takes no time, unless it is found to be damaged.
        jobs.sort(key=lambda job: (not job.source or job.step > 0, -job.seconds))
        self._schedule = _Schedule(jobs)
        self._queue: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        is_prepared = any(_may_be_arrays(cell, placement) for cell in cells)
        self._supervisors = [
            Supervisor(limits, ATTEMPTS, is_prepared=is_prepared) for _ in range(count)
        ]
        self._threads = [
            threading.Thread(target=self._work, args=pair, daemon=True)
            for pair in enumerate(self._supervisors)
        ]

    def start(self) -> None:
        """Start the workers."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the workers and their children, whatever they are at."""
        self._schedule.stop()
        for supervisor in self._supervisors:
            supervisor.cancel()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def wait(self) -> None:
        """Call events until all cells are stored.

        Raises:
            BaseException: what a worker has raised.
        """
        working = len(self._threads)
        while working:
            event = self._queue.get()
            if event:
                event()
            else:
                working -= 1

    # ---- in the threads of the workers ----

    def _work(self, number: int, supervisor: Supervisor) -> None:
        placement = self._placement
        if placement.device.type == "cuda":
            placement = placement._replace(device=torch.device("cuda", number))
        try:
            job = None
            while (job := self._schedule.take(job)) is not None:
                self._compute(job, supervisor, placement)
        except CancelledError:
            pass
        except BaseException as error:
            self._queue.put(partial(_raise, error))
        finally:
            supervisor.close()
            self._queue.put(None)

    def _compute(self, job: _Job, supervisor: Supervisor, placement: Placement) -> None:
        """Compute a job and store it; join the shards of a cell after its last one."""
        cell, whole, events = job.cell, job.whole, self._events
        version = self._versions.get(whole.key)
        if is_stored_by_another_process(whole, self._store, version):
            if self._schedule.finish(job):
                self._schedule.end(whole)
                self._notify(events.on_stored_by_another_process, whole)
            return
        on_progress = partial(self._notify, events.on_progress, whole)

        def on_start() -> None:
            if self._schedule.begin(job):
                self._notify(events.on_start, whole)

        if job.is_shard:
            if division := self._divisions.get(whole.key):
                placement = placement._replace(compiled=division.compiled)
            on_taken = partial(self._notify, events.on_taken, whole)
            is_done = compute_shard(
                Shard(cell, job.source, job.step),
                whole,
                self._store,
                placement,
                ShardEvents(on_start, on_progress, on_taken),
                self._limits,
                supervisor,
            )
            if not is_done:
                self._schedule.give_back(job)
            elif self._schedule.finish(job):
                shards = [shard.cell for shard in self._shards[whole.key]]
                join(whole, shards, self._store)
                self._schedule.end(whole)
                self._notify(events.on_end, whole, *joined_result(whole, self._store))
            return
        done = compute_and_store(
            cell,
            self._store,
            placement,
            on_start=lambda _: on_start(),
            on_progress=on_progress,
            ends=ends_for(cell, self._store),
            supervisor=supervisor,
            version=version,
            on_warning=partial(self._notify, events.on_warning),
        )
        if done:
            self._schedule.end(whole)
            self._notify(events.on_end, whole, *done)
        else:
            self._schedule.give_back(job)

    def _notify(self, event: Callable[..., None], *arguments: Any) -> None:
        """Have an event called in the thread that waits."""
        self._queue.put(partial(event, *arguments))


def _split(
    cells: Sequence[Cell],
    divisions: Mapping[str, Division],
    placement: Placement,
    count: int,
) -> dict[str, list[Shard]]:
    """Return the shards of each cell by key; a cell itself where it is not split.

    A cell, or a part of one, is split where it takes more than half of what each worker
    has to do.
    """
    undone = missing_parts(cells, divisions)
    share = sum(_seconds_of(part, placement) for part in undone) / (2 * count)

    def parts(cell: Cell) -> list[Shard]:
        most = max(1, round(_seconds_of(cell, placement) / share))
        return [Shard(part) for part in split(cell, placement, most)]

    shards = {}
    for cell in cells:
        division = divisions.get(cell.key)
        shards[cell.key] = (
            parts(cell)
            if division is None
            else [
                part
                for shard in division.shards
                for part in ([shard] if shard.source else parts(shard.cell))
            ]
        )
    return shards


def _seconds_of(cell: Cell, placement: Placement) -> float:
    return expected_seconds(cell, width_of(cell, placement))


def _may_be_arrays(cell: Cell, placement: Placement) -> bool:
    """Return whether the steps of a cell may be compiled as loops over arrays."""
    if placement.device.type == "cuda":
        return False
    if placement.compiled is not None:
        return placement.compiled
    return ways_worth_their_time(
        cell, width_of(cell, placement), placement.device
    ).arrays


def _raise(error: BaseException) -> NoReturn:
    raise error


def bound_to_this_process(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that no other process can compute, with those they continue.

    A worker cannot import a class of the main module, whose import would run a script
    again, nor one that its module does not have under its name.
    """
    found: dict[str, Cell] = {}
    for cell in cells:
        if any(_is_bound(type(member)) for member in nested(cell)):
            link: Cell | None = cell
            while link is not None:
                found[link.key] = link
                link = link.after
    return [cell for cell in cells if cell.key in found]


def _is_bound(cls: type) -> bool:
    """Return whether other processes cannot import a class."""
    if is_of_mmbench(cls):
        return False
    if cls.__module__ == "__main__":
        return True
    if issubclass(cls, Made):
        return not variable_of(cls)
    return getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is not cls
