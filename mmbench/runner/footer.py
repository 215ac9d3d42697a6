"""Footers of stored files: a cell and its outcome as JSON values."""

from collections.abc import Sequence
from typing import Any

from mmbench.core.code_files import is_of_mmbench
from mmbench.core.description import canonical, digest, reference_of, text
from mmbench.core.docstrings import doc_of
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics.base import Metric


def describe_cell(cell: Cell) -> dict[str, Any]:
    """Return what a report needs to know of a cell, as JSON values."""
    metrics = _by_name(cell.metrics)
    return {
        "key": cell.key,
        "cell": canonical(cell),
        "description": canonical(cell, whole=True),
        "task": text(cell.task),
        "algorithm": text(cell.algorithm),
        "label": cell.label,
        "metrics": {name: digest(metric) for name, metric in metrics.items()},
        "columns": [column._asdict() for column in cell.columns],
        "target": str(cell.task.target or ""),
        "seeds": [cell.seeds[0], cell.seeds[-1]],
        "runs": len(cell.seeds),
        "steps": cell.steps,
        "dtype": cell.dtype,
        "kept": cell.keep,
        "protocols": {
            name: dict(metric.protocol)
            for name, metric in metrics.items()
            if metric.protocol
        },
        "method": _documentation(cell.algorithm) | {"cost": str(cell.algorithm.cost)},
        "game": _documentation(cell.task),
    }


def _by_name(metrics: Sequence[Metric]) -> dict[str, Metric]:
    """Return metrics by their specs; those of external classes have their files in it.

    Two external classes may have one name, in files of one name, and then the name of
    a metric has its digest too.
    """
    named: dict[str, Metric] = {}
    for metric in metrics:
        file, _, _ = reference_of(type(metric)).partition(":")
        spec = text(metric)
        name = spec if is_of_mmbench(type(metric)) else f"{file}:{spec}"
        named[f"{name}@{digest(metric)}" if name in named else name] = metric
    return named


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
