"""Partial: a cell at work, from its checkpoint, as far as it has come."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmbench.core.checkpoint import unpack
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import join_recordings
from mmbench.metrics.base import IterateMetric, Metric
from mmbench.runner.footer import describe_cell
from mmbench.store.folder import Store


class Partial(NamedTuple):
    """What there is of a cell, in the form in which whole cells are stored.

    Args:
        frame: its table; the status of all runs is "running".
        footer: its description, with "at_work": how far it has come.
        arrays: its sample sheets.
    """

    frame: pd.DataFrame
    footer: dict[str, Any]
    arrays: dict[str, np.ndarray]


def partial(cell: Cell, store: Store) -> Partial | None:
    """The runs of a cell's checkpoint; None where there is no checkpoint.

    Runs come in chunks, one after the other. Those of the chunks that have ended are
    told if there are any, else those of the first chunk until now, so that all runs
    have the same records.

    Args:
        cell: as it was planned.
        store: where its checkpoint may be.
    """
    content = store.slot(cell.key).read()
    saved = unpack(content) if content else None
    if not saved:
        return None
    recordings = [Recording.from_snapshot(cell, one) for one in saved["recordings"]]
    ended = [one for one in recordings if one.ended]
    at_work = next((one for one in recordings if not one.ended), None)
    parts = ended or recordings
    if not any(one.steps for one in parts):
        return None
    seeds = tuple(seed for one in parts for seed in one.seeds)
    seen = replace(cell, seeds=seeds, metrics=_recorded(cell, parts))
    width, device, version = saved["circumstances"][:3]
    trajectory = join_recordings(seen, parts, width)
    trajectory.status = [Status.RUNNING] * len(seeds)
    trajectory.stopped_at = np.full(len(seeds), trajectory.steps[-1])
    arrays = trajectory.arrays
    if not ended and "sheet" in saved["chunk"]:
        arrays = {"sheet": saved["chunk"]["sheet"]}
    footer = describe_cell(cell) | {
        "columns": [column._asdict() for column in seen.columns],
        "seeds": [seeds[0], seeds[-1]],
        "runs": len(seeds),
        "width": width,
        "arrays": sorted(arrays),
        "outcomes": {str(Status.RUNNING): len(seeds)},
        "reason": "",
        "ideal": {},
        "provenance": {"device": device, "torch": version},
        "at_work": {
            "planned": len(cell.seeds),
            "ended": sum(len(one.seeds) for one in ended),
            "runs": len(at_work.seeds) if at_work else 0,
            "step": saved["chunk"]["step"],
        },
    }
    return Partial(trajectory.frame(seen), footer, arrays)


def _recorded(cell: Cell, parts: Sequence[Recording]) -> tuple[Metric, ...]:
    """The cell's metrics that all records hold; others may have been asked for since.

    Those of whole runs are left out: these runs are not whole.
    """
    rows = [set(row) for one in parts for row in one.columns]
    names = set.intersection(*rows)
    return tuple(
        one
        for one in cell.metrics
        if isinstance(one, IterateMetric)
        and {column.name for column in one.columns} <= names
    )
