"""Work: one cell from its description to the store, wherever that is done."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import torch

from mmbench.core.description import canonical, digest, text
from mmbench.core.docstring import doc_of
from mmbench.core.errors import DamagedError, DescriptionError, StoreError
from mmbench.core.place import Place
from mmbench.core.status import Status
from mmbench.engine import Starts, run_cell, width_of
from mmbench.limits import Limits
from mmbench.metrics import METRICS
from mmbench.metrics.base import TrajectoryMetric
from mmbench.plan import KEEPING, Cell
from mmbench.provenance import environments, provenance, same_environment
from mmbench.remeasure import remeasure
from mmbench.store import Store, StoreSlot
from mmbench.supervise import Supervisor
from mmbench.trajectory import Recording, Trajectory, joined

Version = tuple[int, ...] | None  # as `Store.version` tells it


class Done(NamedTuple):
    """A cell's results, as they are stored."""

    frame: pd.DataFrame
    footer: dict[str, Any]
    arrays: dict[str, Any]
    iterates: dict[str, Any]


class Worked(NamedTuple):
    """What came of a cell.

    Args:
        done: its results, as they are stored.
        trajectory: of its runs; None where kept iterates gave the metrics it lacked.
    """

    done: Done
    trajectory: Trajectory | None


class End(NamedTuple):
    """Where a cell ended.

    Args:
        iterates: of its last record at least; empty where it has none.
        environments: that had a part in them, as the function of that name tells.
    """

    iterates: dict[str, Any] = {}
    environments: list[dict[str, str]] = []


class Ends:
    """Ends of cells that others go on from, where the store has them not."""

    def __init__(self) -> None:
        self._kept: dict[str, End] = {}

    def put(self, key: str, end: End) -> None:
        """Remember that of a cell."""
        self._kept[key] = end

    def get(self, key: str) -> End | None:
        """That of a cell; None where nobody put it."""
        return self._kept.get(key)


def end_of(cell: Cell, store: Store) -> End:
    """Where a stored cell ended.

    Raises:
        StoreError: when its iterates cannot be read.
    """
    footer = _answering(cell, store)
    if footer is None:
        return End()
    return End(store.iterates(cell.key), environments(footer))


def work(
    cell: Cell,
    store: Store | None,
    place: Place,
    *,
    begin: Callable[[Cell], None] | None = None,
    progress: Callable[[int, Recording | None], None] | None = None,
    ends: Ends | None = None,
    supervisor: Supervisor | None = None,
    seen: Version = None,
) -> Worked | None:
    """Compute a cell and store it, unless another process does.

    Args:
        cell: what to compute.
        store: where it goes; None keeps it in memory.
        place: where its game is built.
        begin: told when the work begins.
        progress: as `run_cell` takes it.
        ends: where last iterates are that the store does not have.
        supervisor: of a child process that computes it; None computes it here.
        seen: `store.version` of the cell when it was found to need work.

    Returns:
        What came of it; None where another process computes it or has just done so.

    Raises:
        StoreError: when it cannot be written.
    """
    with store.lease(cell.key) if store else nullcontext(True) as ours:
        if not ours or (store and done_elsewhere(cell, store, seen)):
            return None
        if begin:
            begin(cell)
        if store:  # asked here, for another command may have measured more meanwhile
            cell = with_stored_metrics(cell, store)
        return _work(cell, store, place, progress, ends, supervisor)


def _work(
    cell: Cell,
    store: Store | None,
    place: Place,
    progress: Callable[[int, Recording | None], None] | None,
    ends: Ends | None,
    supervisor: Supervisor | None,
) -> Worked:
    """Compute a cell that nobody else computes, and store it."""
    told = told_of(cell)  # first, for an outside class may raise even here
    ends = ends or Ends()
    before = _environments(cell, store, ends)
    starts = partial(_starts, cell, store, ends) if cell.after else None
    if store and (done := _remeasured(cell, store, place, starts, told)):
        store.put(cell.key, *done)
        return Worked(done, None)
    slot = store.slot(cell.key) if store else None
    if supervisor:
        trajectory = _supervised(supervisor, cell, place, progress, starts, slot)
    else:
        trajectory = run_cell(cell, place, progress, starts, slot)
    # A cell that was ended by a limit goes on from there when it may take more.
    limited = {Status.TIMEOUT, Status.MEMORY} & set(trajectory.status)
    unfinished = slot.read() if slot and limited else None
    done = Done(
        trajectory.frame(cell),
        told | outcome(trajectory) | _circumstances(place, supervisor, before),
        trajectory.arrays,
        trajectory.iterates,
    )
    if store:
        store.put(cell.key, *done)
        if slot and unfinished:
            slot.write(unfinished)
    else:
        ends.put(cell.key, End(trajectory.iterates, environments(done.footer)))
    return Worked(done, trajectory)


def _supervised(
    supervisor: Supervisor,
    cell: Cell,
    place: Place,
    progress: Callable[[int, Recording | None], None] | None,
    starts: Starts | None,
    slot: StoreSlot | None,
) -> Trajectory:
    """Compute a cell in a child process; where there is no start, it is an error."""
    try:
        given = starts() if starts else None
    except StoreError as error:
        return _failed(cell, place, f"StoreError: {error}")
    return supervisor.run(cell, place, progress, given, slot)


def _failed(cell: Cell, place: Place, reason: str) -> Trajectory:
    """A cell of which nothing is known but why."""
    recording = Recording(cell, cell.seeds)
    recording.end(Status.ERROR, reason)
    return joined(cell, [recording], width_of(cell, place))


def stored(cell: Cell, store: Store) -> Done:
    """A cell's results, from the store.

    Raises:
        StoreError: when they cannot be read.
    """
    key = cell.key
    return Done(store.frame(key), store.footer(key), store.arrays(key), {})


def give_up(cell: Cell, store: Store, place: Place, reason: str) -> Trajectory:
    """Store a cell that nobody could finish, as an error with its reason."""
    trajectory = _failed(cell, place, reason)
    footer = told_of(cell) | outcome(trajectory) | _circumstances(place, None, [])
    with store.lease(cell.key):  # a dead worker's goes with it
        store.put(cell.key, trajectory.frame(cell), footer, {}, {})
    return trajectory


def _circumstances(
    place: Place, supervisor: Supervisor | None, before: list[dict[str, str]]
) -> dict[str, Any]:
    """Who computes, after whom, and what a cell may take, as JSON values."""
    limits = supervisor.limits if supervisor else Limits()
    here = {"provenance": provenance(place.device.type)}
    return {
        **here,
        "environments": environments(here | {"environments": before}),
        "limits": limits._asdict(),
    }


def _environments(cell: Cell, store: Store | None, ends: Ends) -> list[dict[str, str]]:
    """Those that had a part in where a cell starts; none where it is the first."""
    before = cell.after
    if before is None:
        return []
    if end := ends.get(before.key):
        return end.environments
    footer = _answering(before, store) if store else None
    return environments(footer) if footer else []


def _starts(cell: Cell, store: Store | None, ends: Ends) -> torch.Tensor:
    """Where the cell before it ended, run by run, shape (runs, dim).

    Raises:
        StoreError: when that cell ended with an error and has no end.
    """
    before = cell.after
    assert before is not None
    end = ends.get(before.key) or (end_of(before, store) if store else End())
    kept = end.iterates
    if not kept:
        raise StoreError(
            f"{before.label} on {before.task} must have ended for {cell.label} to go "
            "on from there; it has no last iterates."
        )
    rows = [before.seeds.index(seed) for seed in cell.seeds]
    return torch.from_numpy(kept["z"][-1][rows])


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
    footer = _answering(cell, store)
    if footer is None or not _sound(cell, store, footer, failed=failed):
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


def _sound(
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


def _remeasured(
    cell: Cell,
    store: Store,
    place: Place,
    starts: Starts | None,
    told: dict[str, Any],
) -> Done | None:
    """The stored cell with the metrics it lacks, if its kept iterates can give them.

    None where the cell has to run: nothing sound is stored, or no iterates.
    """
    footer = _answering(cell, store)
    if footer is None or not _sound(cell, store, footer):
        return None
    if "iterates" not in footer["files"]:
        return None
    missing = tuple(
        one for one in cell.metrics if digest(one) not in footer["metrics"].values()
    )
    try:
        kept, frame = store.iterates(cell.key), store.frame(cell.key)
        more = remeasure(cell, frame, kept, missing, place, starts)
    except StoreError:
        return None
    # Columns that gave way to another metric's go with their ideals.
    names = {column.name for column in cell.columns}
    ideal = {k: v for k, v in {**footer["ideal"], **more.ideal}.items() if k in names}
    here = {"provenance": provenance(place.device.type)}
    same = {
        "ideal": ideal,
        "kept": footer["kept"],
        "environments": environments(footer, here),  # of runs and of new columns
    }
    return Done(more.frame, footer | told | same, store.arrays(cell.key), kept)


def _footer(cell: Cell, store: Store) -> dict[str, Any] | None:
    """What is stored of a cell; None where nothing is, or something damaged."""
    if cell.key not in store:
        return None
    try:
        return store.footer(cell.key)
    except DamagedError:
        return None


def _answering(cell: Cell, store: Store) -> dict[str, Any] | None:
    """What is stored of a cell, if it may answer for what is asked."""
    footer = _footer(cell, store)
    if footer is None or not store.same_environment:
        return footer
    return footer if all(map(same_environment, environments(footer))) else None


def with_stored_metrics(cell: Cell, store: Store) -> Cell:
    """The cell with the metrics and iterates that its file has and it would replace.

    A metric of other parameters that fills the same columns gives way to the one asked
    for; one from outside is not known by its words and has to be asked for again.
    """
    footer = _footer(cell, store) or {"metrics": {}}
    taken = {column.name for column in cell.columns}
    metrics = list(cell.metrics)
    for words in footer["metrics"]:
        try:
            metric = METRICS.build(words, outside=False)
        except DescriptionError:
            continue
        given = {column.name for column in metric.columns}
        needed = {metric.of} if isinstance(metric, TrajectoryMetric) else set()
        if taken.isdisjoint(given) and needed <= taken:
            metrics.append(metric)
            taken |= given
    keep = max(cell.keep, footer.get("kept", "none"), key=KEEPING.index)
    return replace(cell, metrics=tuple(metrics), keep=keep)


def told_of(cell: Cell) -> dict[str, Any]:
    """What a report needs to know of a cell, as JSON values."""
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
            text(one): dict(one.protocol) for one in cell.metrics if one.protocol
        },
        "method": _documented(cell.algorithm) | {"cost": str(cell.algorithm.cost)},
        "game": _documented(cell.task),
    }


def _documented(description: Any) -> dict[str, Any]:
    """A description's docstring and source, for the methods page."""
    source = getattr(description, "source", None)
    return {
        **doc_of(type(description))._asdict(),
        "source": str(source or ""),
        "link": getattr(source, "link", ""),
    }


def outcome(trajectory: Trajectory) -> dict[str, Any]:
    """How a cell ended, as JSON values."""
    outcomes = [str(status) for status in trajectory.status]
    return {
        "width": trajectory.width,
        "backend": trajectory.backend,
        "arrays": sorted(trajectory.arrays),
        "outcomes": {one: outcomes.count(one) for one in sorted(set(outcomes))},
        "reason": trajectory.reason,
        "ideal": trajectory.ideal,
    }
