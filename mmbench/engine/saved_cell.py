"""The schema of a cell's checkpoint: what was saved, checked before it is used."""

from itertools import chain
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
from torch import Tensor

from mmbench.core.checkpoint import unpack
from mmbench.core.json_schema import Count, Range, find_misfit
from mmbench.core.oracle_state import COUNTED
from mmbench.engine.cell import Cell

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


class SavedRecording(TypedDict):
    """A recording, as `Recording.snapshot` returns it."""

    seeds: list[Count]
    steps: list[Count]
    seconds: list[float]
    counts: list[dict[str, np.ndarray]]
    columns: list[dict[str, np.ndarray]]
    status: list[StatusName]
    stopped_at: np.ndarray
    reason: str
    arrays: dict[str, np.ndarray]
    kept: list[tuple[Count, np.ndarray]]
    streak: np.ndarray
    streak_from: np.ndarray
    ended: bool
    backend: str


class SavedChunk(TypedDict):
    """A chunk, as `Chunk.snapshot` returns it; `Chunk.restore` checks the rest."""

    z: Tensor
    step: Count
    seconds: float
    sheet: NotRequired[np.ndarray]


class SavedCell(TypedDict):
    """An unfinished cell, as `run_cell` saves it."""

    circumstances: list[Any]
    recordings: list[SavedRecording]
    chunk: SavedChunk


Circumstances = tuple[Annotated[int, Range(1, 2**31)], str, str]


def unpack_cell(cell: Cell, content: bytes | None) -> dict[str, Any] | None:
    """Return what a checkpoint saved of a cell; None where it saved no such thing.

    Args:
        cell: the cell.
        content: the checkpoint; None where there is none.
    """
    saved = unpack(content) if content else None
    if saved is None or find_misfit(saved, SavedCell):
        return None
    if find_misfit(saved["circumstances"][:3], Circumstances):
        return None
    seeds = list(chain.from_iterable(one["seeds"] for one in saved["recordings"]))
    if not seeds or seeds != list(cell.seeds[: len(seeds)]):
        return None
    fit = all(_is_consistent(recording, cell) for recording in saved["recordings"])
    return dict(saved) if fit else None


def _is_consistent(saved: SavedRecording, cell: Cell) -> bool:
    """Return whether all parts of a recording are of the same runs and records."""
    shape, records = (len(saved["seeds"]),), len(saved["steps"])
    names = set(saved["columns"][0]) if saved["columns"] else set()
    lists = (saved["seconds"], saved["counts"], saved["columns"])
    rows = [*saved["counts"], *saved["columns"]]
    per_run = [saved["stopped_at"], saved["streak"], saved["streak_from"]]
    return (
        saved["steps"] == list(cell.schedule[:records])
        and all(len(one) == records for one in lists)
        and len(saved["status"]) == shape[0] > 0
        and all(set(row) == set(COUNTED) for row in saved["counts"])
        and all(set(row) == names for row in saved["columns"])
        and all(value.shape == shape for row in rows for value in row.values())
        and all(value.shape == shape for value in per_run)
        and all(z.ndim == 2 and len(z) == shape[0] for _, z in saved["kept"])
    )
