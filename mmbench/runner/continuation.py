"""More steps of runs whose state at the end of fewer steps was kept.

The state of a chunk is all that its next steps depend on, with its records. From it, a
checkpoint of a cell with more steps is made, which is the one that this cell itself
would have written after as many steps.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypedDict

import numpy as np

from mmbench.core.capability import Capability
from mmbench.core.checkpoint import pack, unpack
from mmbench.core.description import digest
from mmbench.core.errors import StoreError
from mmbench.core.json_schema import Count, find_misfit
from mmbench.core.placement import Placement
from mmbench.core.schedule import powers_between, schedule
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import ways_worth_their_time
from mmbench.engine.plane_path import path_steps
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import circumstances, width_of
from mmbench.engine.saved_cell import SavedRecording, StatusName, unpack_cell
from mmbench.engine.trajectory import COMPILED
from mmbench.metrics.base import IterateMetric
from mmbench.store.stored_files import StoredFiles


def is_compiled(footer: Mapping[str, Any]) -> bool:
    """Return whether the steps of a stored cell were compiled."""
    return footer.get("backend") in COMPILED


def why_not_continued(
    cell: Cell, stored: StoredFiles, width: int, placement: Placement
) -> str:
    """Return why a cell cannot go on from the state of a stored cell; "" if it can.

    Args:
        cell: the cell with more steps.
        stored: a cell with fewer steps and its state, otherwise computed as it.
        width: runs computed side by side.
        placement: where the cell is computed.
    """
    if faults := stored.faults:
        return faults[0].rstrip(".")
    footer = stored.footer
    steps, records = footer["cell"]["steps"], footer["cell"]["records"]
    before = [step for step in cell.schedule if step < steps]
    planned = set(schedule(steps, records))
    measured = footer["metrics"].values()
    if any(digest(metric) not in measured for metric in cell.metrics):
        return "it lacks a metric that is asked for"
    if not planned.union(powers_between(steps, records)).issuperset(before):
        return (
            f"it was not measured at all steps of {cell.records} records of "
            f"{cell.steps:,} steps, as it was for {records} of a multiple of "
            f"{steps:,} steps"
        )
    kept = planned if footer.get("kept") == "all" else {steps}
    if cell.keep == "all" and not kept.issuperset(before):
        return "it lacks iterates of records that are asked for"
    intervals = [path_steps(one).step for one in (steps, cell.steps)]
    if Capability.PLANE in cell.task.gives and intervals[1] % intervals[0]:
        return "points of its path are not those of the longer path"
    fewer = replace(cell, steps=steps, records=records)
    if (
        placement.compiled is None
        and not is_compiled(footer)
        and ways_worth_their_time(fewer, width, placement.device)
        != ways_worth_their_time(cell, width, placement.device)
    ):
        return (
            "it was not compiled, and more steps may be by rule; choose --compiled or "
            "--no-compiled for both"
        )
    return ""


class _Path(TypedDict):
    """A path, as `PlanePath.snapshot` returns it."""

    steps: list[int]
    points: list[Any]


class _LastChunk(TypedDict):
    """The parts of a chunk that are changed here; `Chunk.restore` checks the rest."""

    step: Count
    path: _Path


class _SavedState(TypedDict):
    """The state of a chunk at its end, as `Recording.keep_state` packs it."""

    chunk: _LastChunk
    status: list[StatusName]
    stopped_at: np.ndarray


def checkpoint_after(cell: Cell, packed: bytes, placement: Placement) -> bytes:
    """Return the checkpoint of one chunk from its state after fewer steps.

    Args:
        cell: the cell with more steps, of the runs of the chunk.
        packed: the packed state.
        placement: where the cell is computed.

    Raises:
        StoreError: when it is not the state of these runs.
    """
    saved, state = unpack(packed), None
    if saved is not None and not find_misfit(saved, SavedRecording):
        state = unpack(saved["last_state"].tobytes())
    if state is not None and not find_misfit(state, _SavedState):
        with suppress(KeyError, IndexError, ValueError):
            chunk = state["chunk"]
            path = _thinned(chunk["path"], path_steps(cell.steps), chunk["step"])
            saved = {
                "circumstances": circumstances(
                    cell, placement, width_of(cell, placement)
                ),
                "recordings": [_recording_of(cell, saved, state).snapshot()],
                "chunk": chunk | {"path": path},
            }
            content = pack(saved)
            if unpack_cell(cell, content):
                return content
    raise StoreError(f"The state must be that of runs of {cell.label}; it is not.")


def _recording_of(cell: Cell, saved: Mapping[str, Any], state: Any) -> Recording:
    """Return what a cell with more steps would have recorded before the last step.

    The record at this step itself is made by whoever goes on.

    Raises:
        KeyError, IndexError, ValueError: when the parts do not fit each other.
    """
    names = "seconds", "counts", "columns"
    rows = zip(*(saved[name] for name in ("steps", *names)), strict=True)
    records = {step: values for step, *values in rows}
    records |= {one["step"]: [one[name] for name in names] for one in saved["between"]}
    measured = [
        column.name
        for metric in cell.metrics
        if isinstance(metric, IterateMetric)
        for column in metric.columns
    ]
    recording = Recording(cell, cell.seeds)
    for step in sorted((*cell.schedule, *cell.between)):
        if step < state["chunk"]["step"]:
            add = recording.add_between if step in cell.between else recording.add
            seconds, counts, columns = records[step]
            add(step, seconds, counts, {name: columns[name] for name in measured})
    if cell.keep == "all":
        kept = dict(saved["kept"])
        recording.kept = [(step, kept[step]) for step in recording.steps]
    recording.status = [Status(one) for one in state["status"]]
    going = np.array([one is Status.FINISHED for one in recording.status])
    recording.stopped_at = np.where(going, cell.steps, state["stopped_at"])
    recording.backend = saved["backend"]
    return recording


def _thinned(path: Any, steps: range, last: int) -> dict[str, list[Any]]:
    """Return the points of a path at some steps before the last one."""
    pairs = zip(path["steps"], path["points"], strict=True)
    chosen = [(step, point) for step, point in pairs if step in steps and step < last]
    return {
        "steps": [step for step, _ in chosen],
        "points": [point for _, point in chosen],
    }
