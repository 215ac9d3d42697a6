"""Supervision of cells in a child process, which is ended when it passes a limit."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import torch

from mmbench.core.errors import CodeError
from mmbench.core.placement import Placement
from mmbench.core.serialization import to_json
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import width_of
from mmbench.engine.trajectory import Trajectory, join_recordings
from mmbench.runner import child_process
from mmbench.runner.limits import Limits
from mmbench.store.folder import CheckpointFile

POLL_SECONDS = 0.1  # between two looks at the clock and at the memory
STARTUP_TIMEOUT_SECONDS = 120.0  # that a child may take to load


class Supervisor:
    """A child process that computes cells, started again whenever it has ended.

    Args:
        limits: limits of each cell.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._child: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the child, with all processes that it may have started."""
        if self._child is not None:
            _kill(self._child)
            self._child = None

    def run(
        self,
        cell: Cell,
        placement: Placement = Placement(),
        progress: Callable[[int, Recording | None], None] | None = None,
        starts: torch.Tensor | None = None,
        slot: CheckpointFile | None = None,
    ) -> Trajectory:
        """Compute a cell; what was recorded before a limit was passed is kept.

        Args:
            cell: the cell to compute.
            placement: where it is computed.
            progress: as `run_cell` takes it.
            starts: where the runs start, shape (runs, dim), if not where the task says.
            slot: its checkpoint.
        """
        process = self._ready_child()
        assert process.stdin is not None
        assert process.stdout is not None
        started = time.monotonic()
        recordings: dict[int, Recording] = {}
        try:
            child_process.send(
                process.stdin,
                child_process.make_request(
                    to_json(cell), placement, starts, slot.path if slot else None
                ),
            )
        except OSError:
            return _ended_early(cell, placement, recordings, *self._reap(process))
        while True:
            if passed := self._passed_limit(process, started):
                self.close()
                return _ended_early(cell, placement, recordings, *passed)
            if not _has_answer(process):
                continue
            answer = child_process.receive(process.stdout)
            if answer is None:
                return _ended_early(cell, placement, recordings, *self._reap(process))
            if "code_error" in answer:
                raise CodeError(answer["code_error"])
            if "trajectory" in answer:
                return Trajectory.from_snapshot(answer["trajectory"])
            if answer["recording"]:
                recording = Recording.from_snapshot(cell, answer["recording"])
                recordings[recording.seeds[0]] = recording
            if progress:
                last = recording if answer["recording"] else None
                progress(answer["run_steps"], last)

    def _ready_child(self) -> "subprocess.Popen[bytes]":
        """Return a child that waits for a request; start one if necessary."""
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "mmbench.runner.child_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # `select` does not see what a buffer has read
                start_new_session=True,  # so that all that it starts ends with it
            )
            assert self._child.stdout is not None
            deadline = time.monotonic() + STARTUP_TIMEOUT_SECONDS
            while not _has_answer(self._child) and time.monotonic() < deadline:
                pass
            child_process.receive(self._child.stdout)
        return self._child

    def _passed_limit(
        self, process: "subprocess.Popen[bytes]", started: float
    ) -> tuple[Status, str] | None:
        """Return status and reason of a limit that has been passed, if one has."""
        timeout, memory = self.limits
        if timeout is not None and time.monotonic() - started > timeout:
            return Status.TIMEOUT, f"The cell took longer than {timeout:g} s."
        if memory is not None and _memory_of(process) > memory:
            # The reason has the limit only: the same command must give the same table.
            limit = f"{memory / 2**20:.0f} MiB"
            return Status.MEMORY, f"The cell's process held more than {limit}."
        return None

    def _reap(self, process: "subprocess.Popen[bytes]") -> tuple[Status, str]:
        """Return status and reason of a child that has ended by itself."""
        code = process.wait()
        self.close()
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {signal.Signals(-code).name}"
        return Status.ERROR, f"The cell's process ended with {how}."


def _ended_early(
    cell: Cell,
    placement: Placement,
    recordings: dict[int, Recording],
    status: Status,
    reason: str,
) -> Trajectory:
    """Return what was recorded of a cell that ended early, and why it did.

    Args:
        cell: the cell.
        placement: where it was computed.
        recordings: first seed to recording of each chunk.
        status: of the chunks that had not ended.
        reason: why they had not.
    """
    chunks = []
    first_chunk = recordings.get(cell.seeds[0])  # narrower after a lack of memory
    width = len(first_chunk.seeds) if first_chunk else width_of(cell, placement)
    for first in range(0, len(cell.seeds), width):
        seeds = cell.seeds[first : first + width]
        chunk = recordings.get(seeds[0]) or Recording(cell, seeds)
        if chunk.steps and chunk.steps[-1] == cell.steps:
            chunk.conclude()
        else:
            chunk.end(status, reason)
        chunks.append(chunk)
    return join_recordings(cell, chunks, width)


def _has_answer(process: "subprocess.Popen[bytes]") -> bool:
    """Return whether an answer, or the end of all answers, comes within a poll."""
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], POLL_SECONDS)[0])


def _memory_of(process: "subprocess.Popen[bytes]") -> int:
    """Return the bytes of memory that a process and its descendants hold."""
    try:
        root = psutil.Process(process.pid)
        family = [root, *root.children(recursive=True)]
        return sum(member.memory_info().rss for member in family)
    except psutil.NoSuchProcess:
        return 0


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # it had unwritten content
            if pipe:
                pipe.close()
