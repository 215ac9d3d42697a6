"""Lookup of cells in the store: whether what is stored answers for what is asked."""

from dataclasses import replace
from typing import Any, TypeGuard

from mmbench.core.description import digest
from mmbench.core.errors import DescriptionError
from mmbench.core.run_settings import KEEPING
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.metrics import METRICS
from mmbench.metrics.base import TrajectoryMetric
from mmbench.runner.limits import Limits
from mmbench.runner.provenance import environments, same_environment
from mmbench.store.folder import Store
from mmbench.store.stored_files import StoredFiles, Version


def is_stored(
    cell: Cell, store: Store, limits: Limits = Limits(), *, failed: bool = False
) -> bool:
    """Return whether the store answers for a cell; see `answers`."""
    return satisfies(cell, store, store.read(cell.key), limits, failed=failed)


def satisfies(
    cell: Cell,
    store: Store,
    stored: StoredFiles | None,
    limits: Limits = Limits(),
    *,
    failed: bool = False,
) -> bool:
    """Return whether a cell is stored without error and with all metrics asked for.

    Three kinds of cells count as absent, are computed again and replaced: those with
    damaged files; those that a limit ended which is now higher or gone; and, if the
    store demands the same environment, those that another version of mmbench or torch
    took part in.

    Args:
        cell: the cell asked for.
        store: where it may be.
        stored: what was read of it there.
        limits: what the cell may take now.
        failed: whether a cell that ended with an error counts as stored.
    """
    if not is_usable(stored, store):
        return False
    footer = stored.footer
    if not is_complete(cell, footer, failed=failed):
        return False
    if _may_take_more(footer, limits) and not failed:
        return False
    measured = set(footer["metrics"].values())
    return {digest(metric) for metric in cell.metrics} <= measured and not stored.faults


def is_stored_by_another_process(cell: Cell, store: Store, version: Version) -> bool:
    """Return whether another process has stored a cell, be it with an error.

    Args:
        cell: the cell asked for.
        store: where it may be.
        version: the stored cell's version when this process found it lacking.
    """
    return store.version(cell.key) != version and is_stored(cell, store, failed=True)


def is_usable(stored: StoredFiles | None, store: Store) -> TypeGuard[StoredFiles]:
    """Return whether a table is stored undamaged and in the environment asked for."""
    if stored is None or not stored.is_readable:
        return False
    return not store.same_environment or all(
        map(same_environment, environments(stored.footer))
    )


def is_complete(cell: Cell, footer: dict[str, Any], *, failed: bool = False) -> bool:
    """Return whether a stored cell ended without error and kept what is asked for.

    Args:
        cell: the cell asked for.
        footer: the stored cell's footer.
        failed: whether a cell that ended with an error is complete.
    """
    if Status.ERROR in footer["outcomes"]:
        return failed
    kept = footer.get("kept", "none")
    if KEEPING.index(kept) < KEEPING.index(cell.keep):
        return False
    is_limited = not {Status.TIMEOUT, Status.MEMORY}.isdisjoint(footer["outcomes"])
    files = footer["files"]
    has_iterates = ("iterates" in files) == (kept != "none")
    has_state = "state" in files or not cell.keep_state
    return (has_iterates and has_state) or is_limited


def _may_take_more(footer: dict[str, Any], limits: Limits) -> bool:
    """Return whether a limit ended the cell that is higher now, or gone."""
    before = footer.get("limits", {})
    for status, name in ((Status.TIMEOUT, "timeout"), (Status.MEMORY, "memory")):
        allowed, allowed_before = getattr(limits, name), before.get(name)
        is_higher = (
            allowed is None or allowed_before is None or allowed > allowed_before
        )
        if status in footer["outcomes"] and is_higher:
            return True
    return False


def with_stored_metrics(cell: Cell, stored: StoredFiles | None) -> Cell:
    """Return the cell with the metrics and iterates of the file that it will replace.

    A stored metric gives way to one asked for that fills the same columns with other
    parameters. An external metric cannot be built from its spec alone, so it has to be
    asked for again.
    """
    if stored is None or not stored.is_readable:
        return cell
    footer = stored.footer
    columns = {column.name for column in cell.columns}
    metrics = list(cell.metrics)
    for spec in footer["metrics"]:
        try:
            metric = METRICS.build(spec, external=False)
        except DescriptionError:
            continue
        added = {column.name for column in metric.columns}
        needed = {metric.of} if isinstance(metric, TrajectoryMetric) else set()
        if columns.isdisjoint(added) and needed <= columns:
            metrics.append(metric)
            columns |= added
    keep = max(cell.keep, footer.get("kept", "none"), key=KEEPING.index)
    keep_state = cell.keep_state or "state" in footer["files"]
    return replace(cell, metrics=tuple(metrics), keep=keep, keep_state=keep_state)
