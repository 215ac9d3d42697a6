"""Supervision of cells in a child process, which is ended when it passes a limit."""

import contextlib
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import torch

from mmbench.core.errors import ClusterError, CodeError
from mmbench.core.placement import Placement
from mmbench.core.serialization import to_json
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import width_of
from mmbench.engine.trajectory import Trajectory, join_recordings
from mmbench.runner import child_process, guarded_process
from mmbench.runner.limits import Limits
from mmbench.store.folder import CheckpointFile

POLL_SECONDS = 0.1  # between two looks at the clock and at the memory
REPORT_SECONDS = 0.1  # between two reports of the progress of a chunk
STARTUP_TIMEOUT_SECONDS = 120.0  # that a child may take to load
_BLOCK_BYTES = 2**20  # read or written at once


class _Child:
    """A process that computes cells; no call but `close` takes longer than a poll.

    Args:
        is_prepared: as `Supervisor` takes it.
    """

    def __init__(self, *, is_prepared: bool) -> None:
        self.process = guarded_process.FORK_SERVER.fork(prepared=is_prepared)
        self._pipes = self.process.stdin, self.process.stdout
        self._unsent = bytearray()
        self._received = child_process.MessageBuffer()
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    def send(self, message: Any) -> None:
        """Have a message sent by the calls of `receive` that follow."""
        self._unsent += child_process.encode(message)

    def receive(self) -> Any:
        """Send what can be sent; return the next message, None if none has come.

        Raises:
            EOFError: when the process has ended or closed its pipes.
            MessageError: when it wrote something else than messages.
        """
        if (message := self._received.take()) is not None:
            return message
        requests, answers = self._pipes
        readable, writable, _ = select.select(
            [answers], [requests] if self._unsent else [], [], POLL_SECONDS
        )
        if readable:
            block = os.read(answers.fileno(), _BLOCK_BYTES)
            if not block:
                raise EOFError
            self._received.add(block)
        elif self.process.poll() is not None:  # a fork of it may hold the pipe
            raise EOFError
        elif writable:
            try:
                sent = os.write(requests.fileno(), self._unsent[:_BLOCK_BYTES])
            except BrokenPipeError:
                raise EOFError from None
            del self._unsent[:sent]
        return self._received.take()

    def exit_code(self) -> int | None:
        """Return the exit code of a process that closed its pipe; None if it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(guarded_process.END_TIMEOUT_SECONDS)
        return None

    def memory(self) -> int:
        """Return the bytes of memory that the process and its descendants hold."""
        return self.process.memory()

    def close(self) -> None:
        """End the process, with all processes that it may have started."""
        self.process.close()


class _Reports:
    """Reports of progress, of which those that follow each other closely are joined.

    Args:
        progress: called with what is reported, as `run_cell` takes it.
    """

    def __init__(self, progress: Callable[[int, Recording | None], None]) -> None:
        self._progress = progress
        self._run_steps, self._is_held = 0, False
        self._recording: Recording | None = None
        self._made_at = -math.inf

    def add(self, run_steps: int, recording: Recording | None) -> None:
        """Hold a report of a chunk that goes on for a short time; make others now."""
        before, self._recording = self._recording, recording
        going = recording if recording and not recording.ended else None
        if not (going and before and going.seeds == before.seeds):
            self._make(before)
        self._run_steps += run_steps
        self._is_held = True
        if going:
            self.make_if_due()
        else:
            self.end()

    def make_if_due(self) -> None:
        """Make the report that is held, if the last one is old enough."""
        if time.monotonic() - self._made_at >= REPORT_SECONDS:
            self.end()

    def end(self) -> None:
        """Make the report that is held."""
        self._make(self._recording)

    def _make(self, recording: Recording | None) -> None:
        if self._is_held:
            self._progress(self._run_steps, recording)
            self._run_steps, self._is_held = 0, False
            self._made_at = time.monotonic()


class CancelledError(Exception):
    """The computation of a cell was cancelled by another thread."""


class Supervisor:
    """A child process that computes cells, started again whenever it has ended.

    Args:
        limits: limits of each cell.
        attempts: how many children a cell may end before it is given up; each goes on
            from the last checkpoint.
        is_prepared: whether each child has all that compiled steps of networks need,
            before it has a cell.
    """

    def __init__(
        self, limits: Limits, attempts: int = 1, *, is_prepared: bool = False
    ) -> None:
        self.limits = limits
        self._is_prepared = is_prepared
        self._attempts = attempts
        self._child: _Child | None = None
        self._server: contextlib.ExitStack | None = None  # while it is held
        self._is_cancelled = False

    def cancel(self) -> None:
        """Make `run` raise `CancelledError`; for other threads than that of `run`."""
        self._is_cancelled = True

    def close(self) -> None:
        """End the child, with all processes that it may have started.

        Until then the fork server is held, so that it loads torch once for all children
        that follow each other.
        """
        self._end_child()
        if self._server is not None:
            self._server.close()
            self._server = None

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
            progress: as `run_cell` takes it; reports may be joined.
            starts: where the runs start, shape (runs, dim), if not where the task says.
            slot: its checkpoint.

        Raises:
            CancelledError: when it was cancelled; nothing is left but the checkpoint.
        """
        request = child_process.make_request(
            to_json(cell), placement, starts, slot.path if slot else None
        )
        attempts = self._attempts
        child = self._ready_child()
        started = time.monotonic()
        recordings: dict[int, Recording] = {}
        reports = _Reports(progress or (lambda *_: None))
        child.send(request)
        while True:
            if self._is_cancelled:
                self._end_child()
                raise CancelledError
            if passed := self._passed_limit(child, started):
                self._end_child()
                reports.end()
                return _ended_early(cell, placement, recordings, *passed)
            try:
                answer = child.receive()
            except (EOFError, child_process.MessageError) as error:
                reason = _reason(child, error)
                self._end_child()
                attempts -= 1
                if attempts:
                    child = self._ready_child()
                    child.send(request)
                    continue
                reports.end()
                return _ended_early(cell, placement, recordings, Status.ERROR, reason)
            if answer is None:
                reports.make_if_due()
                continue
            if "code_error" in answer:
                raise CodeError(answer["code_error"])
            if "trajectory" in answer:
                reports.end()
                return Trajectory.from_snapshot(answer["trajectory"])
            recording = None
            if news := answer["news"]:
                before = recordings.get(news["seeds"][0])
                recording = Recording.from_news(cell, news, before)
                recordings[recording.seeds[0]] = recording
            reports.add(answer["run_steps"], recording)

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _ready_child(self) -> _Child:
        """Return a child that waits for a request; start one if necessary.

        Raises:
            ClusterError: when it does not load in time.
        """
        if self._child is not None and self._child.process.poll() is not None:
            self._end_child()
        if self._child is None:
            if self._server is None:
                self._server = contextlib.ExitStack()
                self._server.enter_context(guarded_process.FORK_SERVER)
            self._child = _Child(is_prepared=self._is_prepared)
            deadline = time.monotonic() + STARTUP_TIMEOUT_SECONDS
            # One that ended is returned: the cell that it is started for tells how.
            with contextlib.suppress(EOFError, child_process.MessageError):
                while self._child.receive() is None:
                    if time.monotonic() > deadline:
                        self.close()
                        raise ClusterError(
                            "The process that computes cells must load mmbench in "
                            f"{STARTUP_TIMEOUT_SECONDS:g} s; it did not. Run the same "
                            "command again."
                        )
        return self._child

    def _passed_limit(self, child: _Child, started: float) -> tuple[Status, str] | None:
        """Return status and reason of a limit that has been passed, if one has."""
        timeout, memory = self.limits
        if timeout is not None and time.monotonic() - started > timeout:
            return Status.TIMEOUT, f"The cell took longer than {timeout:g} s."
        if memory is not None and child.memory() > memory:
            # The reason has the limit only: the same command must give the same table.
            limit = f"{memory / 2**20:.0f} MiB"
            return Status.MEMORY, f"The cell's process held more than {limit}."
        return None


def _reason(child: _Child, error: Exception) -> str:
    """Return why a cell ended whose process ended, or answers no more."""
    if isinstance(error, child_process.MessageError):
        return "The cell's process wrote into the pipe of its answers."
    code = child.exit_code()
    if code is None:
        return "The cell's process closed the pipe of its answers."
    how = f"exit code {code}"
    if code < 0:
        names = {one.value: one.name for one in signal.Signals}
        how = f"signal {names.get(-code, -code)}"
    return f"The cell's process ended with {how}."


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
    width = width_of(cell, placement)
    for first in range(0, len(cell.seeds), width):
        seeds = cell.seeds[first : first + width]
        chunk = recordings.get(seeds[0]) or Recording(cell, seeds)
        if chunk.steps and chunk.steps[-1] == cell.steps:
            chunk.conclude()
        else:
            chunk.end(status, reason)
        chunks.append(chunk)
    return join_recordings(cell, chunks, width)
