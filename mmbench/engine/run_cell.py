"""The entry of the engine: from one cell to one trajectory, chunk by chunk."""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from mmbench.core.checkpoint import pack
from mmbench.core.checkpoint_slot import CheckpointSlot
from mmbench.core.code_guard import CodeGuard
from mmbench.core.description import digest, made_anew
from mmbench.core.errors import CodeError
from mmbench.core.game import Game
from mmbench.core.malloc import keep_freed_memory
from mmbench.core.placement import Placement
from mmbench.core.precision import (
    check_precision,
    deterministic_kernels,
    float32_products,
)
from mmbench.core.status import Status
from mmbench.engine.budget_chunk import BudgetChunk
from mmbench.engine.cell import ENGINE_VERSION, Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.compiled.block import clear_blocks
from mmbench.engine.progress import Progress
from mmbench.engine.recording import Recording
from mmbench.engine.rounding_noise import RoundingNoise
from mmbench.engine.saved_cell import unpack_cell
from mmbench.engine.trajectory import Trajectory, join_recordings

# Returns where the runs of a cell start, at the end of another cell: (runs, dim).
Starts = Callable[[], Tensor]


def run_cell(
    cell: Cell,
    placement: Placement = Placement(),
    progress: Progress | None = None,
    starts: Starts | None = None,
    slot: CheckpointSlot | None = None,
    noise: RoundingNoise | None = None,
) -> Trajectory:
    """Compute a cell.

    An exception of the task, the algorithm or a metric ends the cell, not the program:
    what was recorded until then is kept, with status "error" and the reason.

    Args:
        cell: the cell to compute.
        placement: where it is computed; the dtype is the cell's.
        progress: called now and then with the run-steps made since, and with what has
            been recorded of the chunk in work.
        starts: returns where the runs start, shape (runs, dim), if that is the end of
            another cell.
        slot: the place of checkpoints. The cell goes on from a checkpoint if it was
            begun with the same width, device, torch and metrics.
        noise: errors that are made at every step; steps are not compiled then.

    Raises:
        CodeError: when external code has changed meanwhile, or loaded other code.
        DeviceError: when the device has not the cell's precision.
    """
    given, cell = cell, made_anew(cell)
    guard = CodeGuard(cell, lambda: cell.key == given.key)
    placement = placement._replace(dtype=getattr(torch, cell.dtype))
    check_precision(cell.precision, placement.device)
    width = width_of(cell, placement)
    with arithmetic(placement.device):
        while True:
            unfinished = _UnfinishedCell(cell, placement, width, slot, guard)
            try:
                trajectory = _run_chunks(unfinished, progress or _ignore, starts, noise)
                guard.check()
            except CodeError:
                if slot:
                    slot.remove()
                raise
            except _UnusableCheckpointError:  # the cell starts anew
                if slot:
                    slot.remove()
            else:
                return trajectory


def width_of(cell: Cell, placement: Placement) -> int:
    """Return how many runs of a cell are computed side by side, by choice or rule."""
    if placement.width:
        return placement.width
    return cell.task.gpu_width if placement.device.type == "cuda" else cell.task.width


class _UnusableCheckpointError(Exception):
    """A checkpoint does not fit the cell that it is of."""


class _UnfinishedCell:
    """A cell in work: its recordings so far, and its checkpoint.

    Args:
        cell: the cell.
        placement: where it is computed.
        width: runs computed side by side.
        slot: the place of its checkpoint; None keeps no checkpoint.
        guard: checks external code before a checkpoint is written.

    Attributes:
        recordings: of all chunks begun, in order.
    """

    def __init__(
        self,
        cell: Cell,
        placement: Placement,
        width: int,
        slot: CheckpointSlot | None,
        guard: CodeGuard,
    ) -> None:
        self.cell, self.placement, self.width = cell, placement, width
        self.recordings: list[Recording] = []
        self._slot, self._guard = slot, guard
        self._saved_chunk: dict[str, Any] | None = None
        if not slot:
            return
        self._circumstances = circumstances(cell, placement, width)
        saved = unpack_cell(cell, slot.read())
        if saved and saved["circumstances"] == self._circumstances:
            self.recordings = [
                Recording.from_snapshot(cell, recording)
                for recording in saved["recordings"]
            ]
            self._saved_chunk = saved["chunk"]

    def compute(self, chunk: Chunk, progress: Progress) -> None:
        """Compute a chunk, from the checkpoint if there is one, and save it on the way.

        A checkpoint holds one unfinished chunk: the first one that is computed.
        """
        if self._saved_chunk:
            try:
                chunk.restore(self._saved_chunk)
            except Exception as error:  # it fits its schema, but not this game
                raise _UnusableCheckpointError from error
            self._saved_chunk = None
        if self._slot:
            save = partial(self._save, self._slot, chunk)
            chunk.compute(progress, save, self._slot.interval_seconds)
        else:
            chunk.compute(progress)

    def _save(self, slot: CheckpointSlot, chunk: Chunk) -> None:
        self._guard.check()
        recordings = [recording.snapshot() for recording in self.recordings]
        saved = {
            "circumstances": self._circumstances,
            "recordings": recordings,
            "chunk": chunk.snapshot(),
        }
        slot.write(pack(saved))


def circumstances(cell: Cell, placement: Placement, width: int) -> list[Any]:
    """Return what must be equal for a cell to go on from a checkpoint, as JSON values.

    What is recorded is part of it: all records must have the same columns.
    """
    cuda = placement.device.type == "cuda"
    device = torch.cuda.get_device_name(placement.device) if cuda else "cpu"
    versions = [_own_version(), ENGINE_VERSION, torch.__version__]
    recorded = [cell.keep, *map(digest, cell.metrics)]
    backends = {False: [], True: ["compiled"], None: ["compiled by rule"]}
    compiled = backends[placement.compiled]
    return [width, device, *versions, *recorded, *compiled]


@cache  # it is read from files
def _own_version() -> str:
    return version("mmbench")


def _run_chunks(
    unfinished: _UnfinishedCell,
    progress: Progress,
    starts: Starts | None,
    noise: RoundingNoise | None,
) -> Trajectory:
    cell, placement, width = unfinished.cell, unfinished.placement, unfinished.width
    recordings = unfinished.recordings
    real_scores: dict[str, float] = {}
    too_wide = ""
    for number, first in enumerate(range(0, len(cell.seeds), width)):
        if number == len(recordings):
            recordings.append(Recording(cell, cell.seeds[first : first + width]))
        recording = recordings[number]
        if recording.ended:
            progress(cell.steps * len(recording.seeds), recording)
            continue
        is_too_wide = bool(too_wide)
        try:
            if not is_too_wide:
                chunk_starts = starts()[first : first + width] if starts else None
                game = _compute_chunk(
                    unfinished, recording, progress, chunk_starts, noise
                )
                real_scores = real_scores or _real_scores(cell, game)
        except torch.OutOfMemoryError:
            is_too_wide = True
        except (CodeError, _UnusableCheckpointError):
            raise
        except (Exception, SystemExit) as error:  # an external class may raise both
            recording.fail(error)
        if is_too_wide:
            too_wide = too_wide or _too_wide(cell, placement, width)
            recording.end(Status.MEMORY, too_wide)
        recording.close()
    return join_recordings(cell, recordings, width, real_scores)


def _compute_chunk(
    unfinished: _UnfinishedCell,
    recording: Recording,
    progress: Progress,
    starts: Tensor | None,
    noise: RoundingNoise | None,
) -> Game:
    """Compute a chunk and return its game; nothing else of it stays in memory."""
    cell, placement, width = unfinished.cell, unfinished.placement, unfinished.width
    make = BudgetChunk if cell.budget else Chunk
    chunk = make(cell, placement, width, recording, starts, noise)
    unfinished.compute(chunk, progress)
    return chunk.game


def _too_wide(cell: Cell, placement: Placement, width: int) -> str:
    """Return that a width needs more memory than there is, and which one does not.

    Narrower chunks round otherwise, so that none is taken in silence.
    """
    fitting = width // 2
    while fitting and not _fits(cell, placement, fitting):
        fitting //= 2
    who = f"The {width} runs of {cell.task} that are computed side by side"
    instead = (
        f"A width of {fitting} fits: choose --width {fitting} or width={fitting}."
        if fitting
        else "Not even one run fits: choose a smaller game or another device."
    )
    return f"{who} must fit in the memory of {placement.device}; they do not. {instead}"


def _fits(cell: Cell, placement: Placement, width: int) -> bool:
    """Return whether a step of so many runs, and its record, fit in the memory."""
    clear_blocks()
    gc.collect()
    if placement.device.type == "cuda":
        torch.cuda.empty_cache()
        # Captured steps need more memory than others.
        placement = placement._replace(compiled=placement.compiled is not False)
    probe = replace(cell, steps=1, seeds=cell.seeds[:1], after=None)
    recording = Recording(probe, probe.seeds)
    try:
        Chunk(probe, placement, width, recording, None).compute(_ignore)
    except torch.OutOfMemoryError:
        return False
    return True


def _real_scores(cell: Cell, game: Game) -> dict[str, float]:
    """Return the scores of real data, by column."""
    scores: dict[str, float] = {}
    for metric in cell.metrics:
        found = metric.real_score(game)
        scores |= {name: float(value) for name, value in found.items()}
    return scores


def _check_hooks() -> None:
    """Check that no hooks on saved tensors are on, which change all gradients."""
    try:
        with torch.autograd.graph.disable_saved_tensors_hooks("hooks are on"):
            pass
    except RuntimeError as error:
        raise CodeError(
            "No hooks of torch on saved tensors may be on when a cell begins, for they "
            "change its gradients; a session or external code has left some. Leave the "
            "block that sets them, or start Python again."
        ) from error


def _ignore(run_steps: int, recording: Recording | None) -> None:
    """Ignore a report of progress."""


@contextmanager
def arithmetic(device: torch.device = Placement().device) -> Iterator[None]:
    """Compute as a process that has just started does, within a block.

    Bits depend on the number of threads; gradients, products and new tensors on
    settings of torch that a session or external code may have changed. On a GPU,
    kernels are deterministic.

    Args:
        device: device of the tensors.

    Raises:
        CodeError: when hooks on saved tensors are on, which cannot be set aside.
    """
    keep_freed_memory()
    _check_hooks()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    flushes = not bool(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(False)
    try:
        with ExitStack() as stack:
            for context in (torch.inference_mode(False), torch.enable_grad()):
                stack.enter_context(context)
            for kind in filter(torch.is_autocast_enabled, ("cpu", "cuda")):
                stack.enter_context(torch.autocast(kind, enabled=False))
            if torch.get_default_device().type != "cpu":
                stack.enter_context(torch.device("cpu"))
            stack.enter_context(float32_products("highest"))
            stack.enter_context(deterministic_kernels(device))
            yield
    finally:
        torch.set_flush_denormal(flushes)
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
