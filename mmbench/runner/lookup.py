"""Lookup: whether the store answers for a cell."""

from dataclasses import replace
from typing import Any

from mmbench.core.description import digest
from mmbench.core.errors import DamagedError, DescriptionError
from mmbench.core.run_settings import KEEPING
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.metrics import METRICS
from mmbench.metrics.base import TrajectoryMetric
from mmbench.runner.limits import Limits
from mmbench.runner.provenance import environments, same_environment
from mmbench.store.folder import Store

Version = tuple[int, ...] | None  # as `Store.version` tells it


def is_stored(
    cell: Cell, store: Store, limits: Limits = Limits(), *, failed: bool = False
) -> bool:
    """Whether the store has the cell, without error and with all metrics asked for.

    A damaged file counts as absent: the cell is computed again and replaces it. So does
    a cell that was ended by a limit, if it may now take more, and one in which other
    versions had a part, if the store is asked for the same environment.

    Args:
        cell: what is asked for.
        store: where it may be.
        limits: what the cell may take now.
        failed: whether one that ended with an error will do.
    """
    footer = answering_footer(cell, store)
    if footer is None or not is_sound(cell, store, footer, failed=failed):
        return False
    if _may_take_more(footer, limits) and not failed:
        return False
    return {digest(one) for one in cell.metrics} <= set(footer["metrics"].values())


def _may_take_more(footer: dict[str, Any], limits: Limits) -> bool:
    """Whether a limit ended the cell that is now higher, or none."""
    before = footer.get("limits", {})
    for status, name in ((Status.TIMEOUT, "timeout"), (Status.MEMORY, "memory")):
        allowed, then = getattr(limits, name), before.get(name)
        higher = allowed is None or then is None or allowed > then
        if status in footer["outcomes"] and higher:
            return True
    return False


def done_elsewhere(cell: Cell, store: Store, seen: Version) -> bool:
    """Whether another process has stored what is asked for, an error included.

    Args:
        cell: what is asked for.
        store: where it may be.
        seen: `store.version` of the cell when it was found to need work.
    """
    return store.version(cell.key) != seen and is_stored(cell, store, failed=True)


def is_sound(
    cell: Cell, store: Store, footer: dict[str, Any], *, failed: bool = False
) -> bool:
    """Whether what is stored has all its files undamaged and ended without error."""
    if Status.ERROR in footer["outcomes"]:
        return failed
    kept = footer.get("kept", "none")
    if KEEPING.index(kept) < KEEPING.index(cell.keep):
        return False
    limited = not {Status.TIMEOUT, Status.MEMORY}.isdisjoint(footer["outcomes"])
    whole = (kept != "none") == ("iterates" in footer["files"])
    return (whole or limited) and not store.faults(cell.key)


def stored_footer(cell: Cell, store: Store) -> dict[str, Any] | None:
    """What is stored of a cell; None where nothing is, or something damaged."""
    if cell.key not in store:
        return None
    try:
        return store.footer(cell.key)
    except DamagedError:
        return None


def answering_footer(cell: Cell, store: Store) -> dict[str, Any] | None:
    """What is stored of a cell, if it may answer for what is asked."""
    footer = stored_footer(cell, store)
    if footer is None or not store.same_environment:
        return footer
    return footer if all(map(same_environment, environments(footer))) else None


def with_stored_metrics(cell: Cell, store: Store) -> Cell:
    """The cell with the metrics and iterates that its file has and it would replace.

    A metric of other parameters that fills the same columns gives way to the one asked
    for; one from outside is not known by its words and has to be asked for again.
    """
    footer = stored_footer(cell, store) or {"metrics": {}}
    taken = {column.name for column in cell.columns}
    metrics = list(cell.metrics)
    for words in footer["metrics"]:
        try:
            metric = METRICS.build(words, external=False)
        except DescriptionError:
            continue
        given = {column.name for column in metric.columns}
        needed = {metric.of} if isinstance(metric, TrajectoryMetric) else set()
        if taken.isdisjoint(given) and needed <= taken:
            metrics.append(metric)
            taken |= given
    keep = max(cell.keep, footer.get("kept", "none"), key=KEEPING.index)
    return replace(cell, metrics=tuple(metrics), keep=keep)
