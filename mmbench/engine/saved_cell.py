"""The schema of a cell's checkpoint: what was saved, checked before it is used.

A checkpoint that is not of its cell counts as damaged, and the cell starts anew: its
chunks must be the cell's, in order, all but the last one ended, and each must have the
records that there are up to the step at which it stands. What depends on the game is
checked by `Chunk.restore`.
"""

from bisect import bisect_left
from itertools import pairwise
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.checkpoint import unpack
from mmbench.core.columns import COUNTED
from mmbench.core.description import digest
from mmbench.core.json_schema import Count, Range, find_misfit
from mmbench.core.run_settings import Keep
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.plane_path import path_steps
from mmbench.engine.recording import SHEET_DTYPES, SHOWN
from mmbench.metrics.base import IterateMetric

StatusName = Literal[
    "finished",
    "converged",
    "stopped",
    "diverged",
    "nonfinite",
    "timeout",
    "out of memory",
    "error",
]
Seconds = Annotated[float, Range(0, 1e12)]


class SavedRecord(TypedDict):
    """A record at a step between those of the schedule."""

    step: Count
    seconds: Seconds
    counts: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]


class SavedRecording(TypedDict):
    """A recording, as `Recording.snapshot` returns it."""

    seeds: list[Count]
    steps: list[Count]
    seconds: list[Seconds]
    counts: list[dict[str, np.ndarray]]
    columns: list[dict[str, np.ndarray]]
    status: list[StatusName]
    stopped_at: np.ndarray
    reason: str
    arrays: dict[str, np.ndarray]
    kept: list[tuple[Count, np.ndarray]]
    between: list[SavedRecord]
    last_state: np.ndarray
    ended: bool
    backend: str


class SavedChunk(TypedDict):
    """A chunk, as `Chunk.snapshot` returns it; `Chunk.restore` checks the rest."""

    z: Tensor
    step: Count
    seconds: Seconds
    sheet: NotRequired[np.ndarray]


class SavedCell(TypedDict):
    """An unfinished cell, as `run_cell` saves it."""

    circumstances: list[Any]
    recordings: list[SavedRecording]
    chunk: SavedChunk


# Width, device, versions of mmbench, of the engine and of torch, and what is kept; the
# digests of what is measured follow.
Circumstances = tuple[Annotated[int, Range(1, 2**31)], str, str, int, str, Keep]
_FIXED = 6  # their number


def unpack_cell(cell: Cell, content: bytes | None) -> dict[str, Any] | None:
    """Return what a checkpoint saved of a cell; None where it saved no such thing.

    Args:
        cell: the cell.
        content: the checkpoint; None where there is none.
    """
    saved = unpack(content) if content else None
    if saved is None or find_misfit(saved, SavedCell):
        return None
    circumstances, recordings = saved["circumstances"], saved["recordings"]
    fixed, measured = circumstances[:_FIXED], circumstances[_FIXED:]
    if find_misfit(fixed, Circumstances) or find_misfit(measured, list[str]):
        return None
    width = circumstances[0]
    chunks = [
        list(cell.seeds[first : first + width])
        for first in range(0, len(cell.seeds), width)
    ]
    seeds = [recording["seeds"] for recording in recordings]
    if not seeds or seeds != chunks[: len(seeds)]:
        return None
    return dict(saved) if _is_of_cell(saved, cell) else None


def _is_of_cell(saved: SavedCell, cell: Cell) -> bool:
    """Return whether the parts of a checkpoint are of one cell and fit each other."""
    *before, current = saved["recordings"]
    chunk, keep = saved["chunk"], saved["circumstances"][_FIXED - 1]
    z, step, sheet = chunk["z"], chunk["step"], chunk.get("sheet")
    runs = len(current["seeds"])
    if z.ndim != 2 or step > cell.steps or current["ended"] or current["arrays"]:
        return False
    if sheet is not None and not _is_sheet(sheet, runs):
        return False
    measured = saved["circumstances"][_FIXED:]
    names = {
        column.name
        for metric in cell.metrics
        if isinstance(metric, IterateMetric) and digest(metric) in measured
        for column in metric.columns
    }
    records = bisect_left(cell.schedule, step)
    going = {Status.FINISHED, Status.STOPPED, Status.DIVERGED, Status.NONFINITE}
    arrays = [one["arrays"] for one in before if one["arrays"]]
    return (
        all(
            _is_consistent(one, cell, names, keep, z.shape[1])
            for one in saved["recordings"]
        )
        and len(current["steps"]) == records
        and len(current["between"]) == bisect_left(cell.between, step)
        and not current["reason"]
        and set(current["status"]) <= going
        and chunk["seconds"] >= max(current["seconds"], default=0)
        and all(map(_has_ended, before, [cell] * len(before)))
        # They are joined.
        and all(map(_are_alike, arrays, arrays[1:]))
    )


def _is_consistent(
    saved: SavedRecording, cell: Cell, names: set[str], keep: Keep, dim: int
) -> bool:
    """Return whether all parts of a recording are of the same runs and records.

    Args:
        saved: the recording.
        cell: the cell.
        names: columns that its records must have.
        keep: iterates that were kept.
        dim: variables of the game.
    """
    runs, records = len(saved["seeds"]), len(saved["steps"])
    lists = (saved["seconds"], saved["counts"], saved["columns"])
    between = [record["step"] for record in saved["between"]]
    counts, columns = (
        saved[name] + [record[name] for record in saved["between"]]
        for name in ("counts", "columns")
    )
    if (
        saved["steps"] != list(cell.schedule[:records])
        or between != list(cell.between[: len(between)])
        or any(len(one) != records for one in lists)
        or len(saved["status"]) != runs
        or any(set(row) != set(COUNTED) for row in counts)
        or any(not names <= set(row) for row in columns)
        or any(set(row) != set(columns[0]) for row in columns)
    ):
        return False
    whole = [value for row in counts for value in row.values()]
    whole.append(saved["stopped_at"])
    measured = [value for row in columns for value in row.values()]
    if not all(_is_like(value, np.int64, (runs,)) for value in whole) or not all(
        _is_like(value, np.float64, (runs,)) for value in measured
    ):
        return False
    stopped_at, is_going = saved["stopped_at"], _are(saved["status"], Status.FINISHED)
    ranges = [
        *((value, np.iinfo(np.int64).max) for value in whole),
        (stopped_at, cell.steps),
    ]
    return (
        all(((value >= 0) & (value <= most)).all() for value, most in ranges)
        and not (stopped_at[is_going] < cell.steps).any()
        and all(before <= after for before, after in pairwise(saved["seconds"]))
        and all(
            (before[name] <= after[name]).all()
            for before, after in pairwise(saved["counts"])
            for name in COUNTED
        )
        and _are_kept(saved, cell, keep, dim)
    )


def _are_kept(saved: SavedRecording, cell: Cell, keep: Keep, dim: int) -> bool:
    """Return whether the iterates of a recording are those that were to be kept."""
    steps, records = [step for step, _ in saved["kept"]], len(saved["steps"])
    expected: list[list[int]] = [[]]
    if keep == "all":
        expected = [list(cell.schedule[:records])]
        if saved["reason"]:  # a metric that raises does so after they were kept
            expected.append(list(cell.schedule[: records + 1]))
    elif keep == "last" and saved["ended"]:
        expected = [[cell.steps], []] if saved["reason"] else [[cell.steps]]
    shape = len(saved["seeds"]), dim
    return steps in expected and all(
        _is_like(z, cell.dtype, shape) for _, z in saved["kept"]
    )


def _has_ended(saved: SavedRecording, cell: Cell) -> bool:
    """Return whether a recording is that of a chunk that came to its end, or failed."""
    runs, arrays = len(saved["seeds"]), saved["arrays"]
    if not saved["ended"]:
        return False
    if len(saved["steps"]) < len(cell.schedule):
        good = {Status.FINISHED, Status.CONVERGED}
        return bool(saved["reason"]) and not (good & set(saved["status"]) or arrays)
    if saved["reason"] and not arrays:
        return True
    if len(saved["between"]) < len(cell.between) or (
        bool(saved["last_state"].size) is not cell.keep_state
    ):
        return False
    is_plane = Capability.PLANE in cell.task.gives
    names = {"path", "path_steps"} if is_plane else set()
    if set(arrays) - {"sheet"} != names:
        return False
    if "sheet" in arrays and not _is_sheet(arrays["sheet"], runs):
        return False
    steps = path_steps(cell.steps)
    return not is_plane or (
        _is_like(arrays["path_steps"], np.int64, (len(steps),))
        and arrays["path_steps"].tolist() == list(steps)
        and _is_like(arrays["path"], np.float32, (min(runs, SHOWN), len(steps), 2))
    )


def _are_alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Return whether arrays of two chunks can be joined along their runs."""
    return set(one) == set(other) and all(
        (one[name].dtype, one[name].shape[1:])
        == (other[name].dtype, other[name].shape[1:])
        for name in one
    )


def _are(status: list[StatusName], wanted: Status) -> np.ndarray:
    return np.array([one == wanted for one in status])


def _is_sheet(sheet: np.ndarray, runs: int) -> bool:
    """Return whether an array is a sample sheet of the first few of some runs."""
    is_whole = sheet.ndim >= 3 and sheet.size > 0 and len(sheet) == min(runs, SHOWN)
    return is_whole and str(sheet.dtype) in SHEET_DTYPES


def _is_like(values: np.ndarray, dtype: Any, shape: tuple[int, ...]) -> bool:
    return values.dtype == np.dtype(dtype) and values.shape == shape
