"""Footers of stored files: a cell and its outcome as JSON values."""

from typing import Any

from mmbench.core.description import canonical, digest, text
from mmbench.core.docstrings import doc_of
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory


def describe_cell(cell: Cell) -> dict[str, Any]:
    """Return what a report needs to know of a cell, as JSON values."""
    return {
        "key": cell.key,
        "cell": canonical(cell),
        "description": canonical(cell, whole=True),
        "task": text(cell.task),
        "algorithm": text(cell.algorithm),
        "label": cell.label,
        "metrics": {text(metric): digest(metric) for metric in cell.metrics},
        "columns": [column._asdict() for column in cell.columns],
        "target": str(cell.task.target or ""),
        "seeds": [cell.seeds[0], cell.seeds[-1]],
        "runs": len(cell.seeds),
        "steps": cell.steps,
        "dtype": cell.dtype,
        "kept": cell.keep,
        "protocols": {
            text(metric): dict(metric.protocol)
            for metric in cell.metrics
            if metric.protocol
        },
        "method": _documentation(cell.algorithm) | {"cost": str(cell.algorithm.cost)},
        "game": _documentation(cell.task),
    }


def _documentation(description: Any) -> dict[str, Any]:
    """Return a description's docstring and source, for the methods page."""
    source = getattr(description, "source", None)
    return {
        **doc_of(type(description))._asdict(),
        "source": str(source or ""),
        "link": getattr(source, "link", ""),
    }


def describe_outcome(trajectory: Trajectory) -> dict[str, Any]:
    """Return how a cell ended, as JSON values."""
    outcomes = [str(status) for status in trajectory.status]
    return {
        "width": trajectory.width,
        "backend": trajectory.backend,
        "arrays": sorted(trajectory.arrays),
        "outcomes": {name: outcomes.count(name) for name in sorted(set(outcomes))},
        "reason": trajectory.reason,
        "ideal": trajectory.real_scores,
    }
