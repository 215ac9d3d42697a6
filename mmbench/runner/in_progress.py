"""Unfinished cells: what their checkpoints have of them until now."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.saved_cell import unpack_cell
from mmbench.engine.trajectory import join_recordings
from mmbench.metrics.base import IterateMetric, Metric
from mmbench.runner.footer import describe_cell
from mmbench.store.folder import Store, StoredResult


class UnfinishedResult(NamedTuple):
    """What there is of an unfinished cell, in the form in which cells are stored.

    Args:
        frame: its table; the status of all runs is "running".
        footer: its description, and the cell's progress under "at_work".
        arrays: its sample sheets.
    """

    frame: pd.DataFrame
    footer: dict[str, Any]
    arrays: dict[str, np.ndarray]


def read_unfinished(cell: Cell, store: Store) -> UnfinishedResult | None:
    """Return the runs of a cell's checkpoint; None where there is no checkpoint.

    Runs come in chunks, one after the other. Where some chunks have ended, their runs
    are returned, else those of the first chunk until now, so that all runs have the
    same records.

    Args:
        cell: as it was planned.
        store: where its checkpoint may be.
    """
    saved = unpack_cell(cell, store.slot(cell.key).read())
    if not saved:
        return None
    recordings = [Recording.from_snapshot(cell, chunk) for chunk in saved["recordings"]]
    ended = [recording for recording in recordings if recording.ended]
    current = next((chunk for chunk in recordings if not chunk.ended), None)
    shown = ended or recordings
    if not any(recording.steps for recording in shown):
        return None
    seeds = tuple(seed for recording in shown for seed in recording.seeds)
    shown_cell = replace(cell, seeds=seeds, metrics=_recorded_metrics(cell, shown))
    width, device, mmbench, _, torch = saved["circumstances"][:5]
    joined = join_recordings(shown_cell, shown, width)
    trajectory = replace(
        joined,
        status=[Status.RUNNING] * len(seeds),
        stopped_at=np.full(len(seeds), joined.steps[-1]),
    )
    arrays = trajectory.arrays
    if not ended and "sheet" in saved["chunk"]:
        arrays = {"sheet": saved["chunk"]["sheet"]}
    footer = describe_cell(cell) | {
        "columns": [column._asdict() for column in shown_cell.columns],
        "seeds": [seeds[0], seeds[-1]],
        "runs": len(seeds),
        "width": width,
        "arrays": sorted(arrays),
        "outcomes": {str(Status.RUNNING): len(seeds)},
        "reason": "",
        "ideal": {},
        "provenance": {"device": device, "mmbench": mmbench, "torch": torch},
        "at_work": {
            "planned": len(cell.seeds),
            "ended": sum(len(recording.seeds) for recording in ended),
            "runs": len(current.seeds) if current else 0,
            "step": saved["chunk"]["step"],
        },
    }
    return UnfinishedResult(trajectory.frame(shown_cell), footer, arrays)


def result_so_far(cell: Cell, recording: Recording) -> StoredResult:
    """Return what a chunk in progress has recorded, in the form of a stored cell.

    Args:
        cell: the cell in progress.
        recording: what has been recorded of its current chunk, one record at least.
    """
    metrics = _recorded_metrics(cell, [recording])
    shown = replace(cell, seeds=recording.seeds, metrics=metrics)
    runs = len(recording.seeds)
    joined = join_recordings(shown, [recording], runs)
    trajectory = replace(
        joined,
        status=[Status.RUNNING] * runs,
        stopped_at=np.full(runs, joined.steps[-1]),
    )
    columns = [column._asdict() for column in shown.columns]
    footer = describe_cell(cell) | {"columns": columns, "ideal": {}}
    return StoredResult(trajectory.frame(shown), footer, {}, {})


def _recorded_metrics(
    cell: Cell, recordings: Sequence[Recording]
) -> tuple[Metric, ...]:
    """Return the cell's metrics that all records hold.

    Others may have been asked for since. Metrics of whole runs are left out, because
    these runs are not whole.
    """
    parts = [part for recording in recordings for part in recording.records]
    names = set.intersection(*(set(part.columns) for part in parts))
    return tuple(
        metric
        for metric in cell.metrics
        if isinstance(metric, IterateMetric)
        and {column.name for column in metric.columns} <= names
    )
