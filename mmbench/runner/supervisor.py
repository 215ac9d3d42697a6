"""Supervise: cells in a child process, ended when they take too long or too much."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import torch

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

_GLANCE = 0.1  # seconds between two looks at the clock and at the memory
_BEGIN = 120.0  # seconds that a child may take to load


class Supervisor:
    """A child process for one cell after the other; a new one after each that ended.

    Args:
        limits: of each cell.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._child: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the child, with all processes that it may have begun."""
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
            cell: what to compute.
            placement: where.
            progress: as `run_cell` takes it.
            starts: where the runs start, (runs, dim), if not where the task says.
            slot: of its checkpoint.
        """
        process = self._ready()
        begun = time.monotonic()
        recordings: dict[int, Recording] = {}
        assert process.stdin is not None
        try:
            child_process.send(
                process.stdin,
                child_process.task(
                    to_json(cell), placement, starts, slot and slot.path
                ),
            )
        except OSError:
            return self._ended(cell, placement, recordings, *self._fate(process))
        while True:
            if fault := self._overrun(process, begun):
                self.close()
                return self._ended(cell, placement, recordings, *fault)
            if not _speaks(process):
                continue
            answer = child_process.receive(process.stdout)  # type: ignore[arg-type]  # a pipe
            if answer is None:
                return self._ended(cell, placement, recordings, *self._fate(process))
            if "trajectory" in answer:
                return Trajectory.from_snapshot(answer["trajectory"])
            if answer["recording"]:
                recording = Recording.from_snapshot(cell, answer["recording"])
                recordings[recording.seeds[0]] = recording
            if progress:
                last = recording if answer["recording"] else None
                progress(answer["run_steps"], last)

    def _ready(self) -> "subprocess.Popen[bytes]":
        """A child that waits for a task."""
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "mmbench.runner.child_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # or what a buffer has read would hide from `select`
                start_new_session=True,  # so that all it begins ends with it
            )
            begun = time.monotonic()
            while not _speaks(self._child) and time.monotonic() - begun < _BEGIN:
                pass
            child_process.receive(self._child.stdout)  # type: ignore[arg-type]  # a pipe
        return self._child

    def _overrun(
        self, process: "subprocess.Popen[bytes]", begun: float
    ) -> tuple[Status, str] | None:
        """The limit that has been passed, if one has."""
        timeout, memory = self.limits
        if timeout is not None and time.monotonic() - begun > timeout:
            return Status.TIMEOUT, f"The cell took longer than {timeout:g} s."
        if memory is not None and _held(process) > memory:
            # Not how much: the same command must give the same table.
            held = f"{memory / 2**20:.0f} MiB"
            return Status.MEMORY, f"The cell's process held more than {held}."
        return None

    def _fate(self, process: "subprocess.Popen[bytes]") -> tuple[Status, str]:
        """How a child ended that was not asked to."""
        code = process.wait()
        self.close()
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {signal.Signals(-code).name}"
        return Status.ERROR, f"The cell's process ended with {how}."

    def _ended(
        self,
        cell: Cell,
        placement: Placement,
        recordings: dict[int, Recording],
        status: Status,
        reason: str,
    ) -> Trajectory:
        """What is known of a cell whose process has ended."""
        parts = []
        first_chunk = recordings.get(cell.seeds[0])  # narrower after a lack of memory
        width = len(first_chunk.seeds) if first_chunk else width_of(cell, placement)
        for first in range(0, len(cell.seeds), width):
            seeds = cell.seeds[first : first + width]
            part = recordings.get(seeds[0]) or Recording(cell, seeds)
            if part.steps and part.steps[-1] == cell.steps:
                part.conclude()
            else:
                part.end(status, reason)
            parts.append(part)
        return join_recordings(cell, parts, width)


def _speaks(process: "subprocess.Popen[bytes]") -> bool:
    """Whether an answer, or the end of all answers, comes within a glance."""
    return bool(select.select([process.stdout], [], [], _GLANCE)[0])


def _held(process: "subprocess.Popen[bytes]") -> int:
    """Bytes of memory that a process and those that it began hold."""
    try:
        root = psutil.Process(process.pid)
        family = [root, *root.children(recursive=True)]
        return sum(one.memory_info().rss for one in family)
    except psutil.NoSuchProcess:
        return 0


def _kill(process: "subprocess.Popen[Any]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # something was still to be written to it
            if pipe:
                pipe.close()
