"""Engine: one cell to one trajectory, chunk by chunk."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from mmbench.core.checkpoint import CheckpointSlot, pack, unpack
from mmbench.core.description import digest
from mmbench.core.game import Game
from mmbench.core.malloc import keep_freed_memory
from mmbench.core.placement import Placement
from mmbench.core.precision import float32_products
from mmbench.core.status import Status
from mmbench.engine.cell import ENGINE_VERSION, Cell
from mmbench.engine.chunk import Chunk, Progress
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import Trajectory, joined

# Gives the first iterates of a cell's runs, where another cell's end is their start.
Starts = Callable[[], Tensor]


def run_cell(
    cell: Cell,
    placement: Placement = Placement(),
    progress: Progress | None = None,
    starts: Starts | None = None,
    slot: CheckpointSlot | None = None,
) -> Trajectory:
    """Compute a cell.

    An exception of the task, the algorithm or a metric ends the cell, not the program:
    what was recorded until then is kept, with status "error" and the reason.

    Args:
        cell: what to compute.
        placement: where; its dtype is the cell's.
        progress: told how many run-steps have been made, now and then, and what has
            been recorded of the chunk at work.
        starts: gives (runs, dim), where the cell goes on from another one's end.
        slot: where the unfinished cell is kept now and then, and goes on from; it goes
            on only with the width, device, torch and metrics that it was begun with.
    """
    placement = placement._replace(dtype=getattr(torch, cell.dtype))
    width = width_of(cell, placement)
    with arithmetic():
        while True:
            unfinished = _Unfinished(cell, placement, width, slot)
            try:
                return _run_cell(unfinished, progress or _silent, starts)
            except torch.OutOfMemoryError:  # the GPU's: fewer runs side by side
                width //= 2


def width_of(cell: Cell, placement: Placement) -> int:
    """Runs of a cell computed side by side, by rule."""
    return cell.task.gpu_width if placement.device.type == "cuda" else cell.task.width


class _Unfinished:
    """What is done of a cell, kept in a slot if there is one."""

    def __init__(
        self, cell: Cell, placement: Placement, width: int, slot: CheckpointSlot | None
    ) -> None:
        self.cell, self.placement, self.width, self.slot = cell, placement, width, slot
        # What is recorded counts too: all records must have the same columns.
        recorded = [cell.keep, *map(digest, cell.metrics)]
        cuda = placement.device.type == "cuda"
        device = torch.cuda.get_device_name(placement.device) if cuda else "cpu"
        versions = [version("mmbench"), ENGINE_VERSION, torch.__version__]
        compiled = ["compiled"] if placement.compiled else []
        self.circumstances = [width, device, *versions, *recorded, *compiled]
        self.recordings: list[Recording] = []
        self.waiting: dict[str, Any] | None = None
        content = slot.read() if slot else None
        saved = unpack(content) if content else None
        if saved and saved.get("circumstances") == self.circumstances:
            self.recordings = [
                Recording.restored(cell, one) for one in saved["recordings"]
            ]
            self.waiting = saved["chunk"]

    def save(self, chunk: Chunk) -> None:
        """Keep everything, the chunk at work included."""
        if self.slot:
            self.slot.write(
                pack(
                    {
                        "circumstances": self.circumstances,
                        "recordings": [one.snapshot() for one in self.recordings],
                        "chunk": chunk.snapshot(),
                    }
                )
            )


def _run_cell(
    unfinished: _Unfinished, progress: Progress, starts: Starts | None
) -> Trajectory:
    cell, placement, width = unfinished.cell, unfinished.placement, unfinished.width
    recordings = unfinished.recordings
    ideal: dict[str, float] = {}
    for first in range(0, len(cell.seeds), width):
        number = first // width
        if number == len(recordings):
            recordings.append(Recording(cell, cell.seeds[first : first + width]))
        recording = recordings[number]
        if recording.ended:
            progress(cell.steps * len(recording.seeds), recording)
            continue
        try:
            given = starts()[first : first + width] if starts else None
            chunk = Chunk(cell, placement, width, recording, given)
            if unfinished.waiting:
                chunk.restore(unfinished.waiting)
                unfinished.waiting = None
            slot = unfinished.slot
            chunk.every = slot.interval_seconds if slot else math.inf
            chunk.compute(progress, partial(unfinished.save, chunk) if slot else None)
            ideal = ideal or _ideal(cell, chunk.game)
        except torch.OutOfMemoryError as error:
            if width > 1:
                raise
            recording.end(Status.MEMORY, str(error))
        except (Exception, SystemExit) as error:  # an outside class may raise both
            recording.fail(error)
        recording.ended = True
    return joined(cell, recordings, width, ideal)


def _ideal(cell: Cell, game: Game) -> dict[str, float]:
    """What real data get, by column."""
    ideal: dict[str, float] = {}
    for metric in cell.metrics:
        ideal |= metric.real_score(game)
    return ideal


def _silent(run_steps: int, recording: Recording | None) -> None:
    """Progress that nobody watches."""


@contextmanager
def arithmetic() -> Iterator[None]:
    """One intra-op thread, for a run's bits depend on it, and no hidden rounding."""
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with float32_products("highest"):
            yield
    finally:
        torch.set_num_threads(threads)
