"""Frame: cells of a store to one tidy table, and what is in it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import DamagedError, StoreError
from mmbench.engine.cell import LEADING, Cell
from mmbench.runner.in_progress import read_unfinished
from mmbench.store.folder import Store
from mmbench.tasks import TASKS

_BLOCK = 500  # small tables that are joined at once


class Results(NamedTuple):
    """Cells as they are stored, for tables and reports.

    Args:
        frame: one row for each cell, run and record, cells in the order asked for.
        footers: key to description and provenance.
        store: where the arrays of stored cells are.
        at_work: key to arrays of each cell that is not stored yet.
        wanted: cells that were asked for; those that are not here are missing.
        damaged: a sentence for each cell that was left out because it is damaged.
    """

    frame: pd.DataFrame
    footers: dict[str, dict[str, Any]]
    store: Store
    at_work: Mapping[str, Mapping[str, np.ndarray]] = {}
    wanted: int = 0
    damaged: tuple[str, ...] = ()

    def arrays(self, key: str) -> Mapping[str, np.ndarray]:
        """Paths and sample sheets of a cell; none where they are damaged."""
        if key in self.at_work:
            return self.at_work[key]
        try:
            return self.store.arrays(key)
        except DamagedError:
            return {}

    @property
    def missing(self) -> int:
        """Cells that were asked for and are neither stored nor at work."""
        return max(0, self.wanted - len(self.footers))

    @property
    def ended(self) -> "Results":
        """Without the cells at work."""
        if not self.at_work:
            return self
        footers = {
            key: footer
            for key, footer in self.footers.items()
            if key not in self.at_work
        }
        frame = self.frame[self.frame["key"].isin(footers)].reset_index(drop=True)
        return self._replace(frame=frame, footers=footers, at_work={})


def tidy(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One table of all cells; columns a cell lacks hold NaN.

    Args:
        frames: key to table; the keys become the last column.
    """
    return _together((key, _table(frame)) for key, frame in frames.items())


def _together(
    tables: Iterable[tuple[str, pa.Table]],
    ordered: Callable[[], Sequence[str]] | None = None,
) -> pd.DataFrame:
    """The same of Arrow tables, a tenth of the time of pandas' for small ones.

    Args:
        tables: key to table.
        ordered: gives the keys in their order, once all tables are read; None leaves
            the tables as they come.
    """
    whole: list[pa.Table] = []
    block: list[pa.Table] = []
    rows: dict[str, int] = {}
    columns: dict[str, tuple[str, ...]] = {}
    for key, table in tables:
        rows[key], columns[key] = table.num_rows, tuple(table.column_names)
        block.append(_with(table, "key", key).replace_schema_metadata())
        if len(block) == _BLOCK:
            whole.append(_joined(block))
            block = []
    if block:
        whole.append(_joined(block))
    if not whole:
        return pd.DataFrame(columns=[*LEADING, "key"])
    together = _joined(whole)
    order = list(rows)
    if ordered:
        order = list(ordered())
        first = dict(zip(rows, np.cumsum([0, *rows.values()]), strict=False))
        taken = [np.arange(first[key], first[key] + rows[key]) for key in order]
        together = together.take(pa.array(np.concatenate(taken)))
    kinds = dict.fromkeys(columns[key] for key in order)
    names = dict.fromkeys(name for kind in kinds for name in kind)
    metrics = [name for name in names if name not in (*LEADING, "key")]
    return together.select([*LEADING, *metrics, "key"]).to_pandas()


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def _with(table: pa.Table, name: str, value: str) -> pa.Table:
    """A table with one text in all rows of a column, which it may have already."""
    column = pa.repeat(value, table.num_rows)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def gather(store: Store, cells: Iterable[tuple[str, str]] | None = None) -> Results:
    """Stored cells; damaged ones are left out and told.

    Args:
        store: where they are.
        cells: (key, label) of those wanted, in order; the label replaces the stored
            one. None means all that are there, in the order of the registries.

    Raises:
        StoreError: when a wanted cell is missing.
    """
    if cells is None:
        return _gather_all(store)
    reading, cells = _Reading(store), list(cells)
    for key, label in cells:
        if key not in store:
            raise StoreError(
                f"The store {store.folder} must hold cell {key} ({label}); it does "
                "not. Run the suite into this store first."
            )
    frame = _together(
        (key, table)
        for key, label in cells
        if (table := reading.table(key, label)) is not None
    )
    return Results(frame, reading.footers, store, damaged=tuple(reading.damaged))


def _gather_all(store: Store) -> Results:
    """All that is there, in the order of the registries; each file is read once."""
    reading, order = _Reading(store), list[str]()

    def ordered() -> list[str]:
        told = reading.footers
        order.extend(sorted(told, key=lambda key: (*_place(told[key]), key)))
        return order

    frame = _together(
        ((key, table) for key in store if (table := reading.table(key)) is not None),
        ordered,
    )
    footers = {key: reading.footers[key] for key in order}
    return Results(frame, footers, store, damaged=tuple(reading.damaged))


def gather_planned(store: Store, cells: Sequence[Cell]) -> Results:
    """What there is of some cells: those stored whole, those at work until now.

    Args:
        store: where they are.
        cells: those wanted, in order.

    Raises:
        StoreError: when there is no such store.
    """
    there, reading, at_work = set(store), _Reading(store), {}

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for cell in cells:
            key = cell.key
            if key in there:
                table = reading.table(key, cell.label)
                if table is not None:
                    yield key, table
            elif found := read_unfinished(cell, store):
                frame, reading.footers[key], at_work[key] = found
                yield key, _table(frame)

    frame, wanted = _together(tables()), len(cells)
    damaged = tuple(reading.damaged)
    return Results(frame, reading.footers, store, at_work, wanted, damaged)


class _Reading:
    """Cells as they are read, one after the other.

    Attributes:
        footers: key to description and provenance.
        damaged: a sentence for each cell that is.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.footers: dict[str, dict[str, Any]] = {}
        self.damaged: list[str] = []
        self._parts: dict[str, Any] = {}

    def table(self, key: str, label: str | None = None) -> pa.Table | None:
        """A cell's table under a label, or its own; None where it is damaged."""
        try:
            stored = self.store.require(key)
            table, footer = stored.table, stored.footer
        except DamagedError as error:
            self.damaged.append(str(error))
            return None
        label = footer["label"] if label is None else label
        self.footers[key] = self._sharing(footer) | {"label": label}
        return _with(table, "label", label)

    def _sharing(self, footer: dict[str, Any]) -> dict[str, Any]:
        """A footer that holds once in memory what many cells say alike."""
        return {
            name: self._parts.setdefault(repr(part), part)
            for name, part in footer.items()
        }


def _place(footer: dict[str, Any]) -> tuple[int, str, int, str]:
    """Where a cell stands among others: outsiders last, then by its words."""
    place: list[Any] = []
    for registry, words in ((TASKS, footer["task"]), (ALGORITHMS, footer["algorithm"])):
        names, name = list(registry), words.partition("[")[0]
        place += [names.index(name) if name in names else len(names), words]
    return tuple(place)


def load(store: Path | str) -> pd.DataFrame:
    """The tidy table of everything in a store.

    Args:
        store: the folder.

    Returns:
        One row for each cell, seed and recorded step: task, algorithm, label, seed,
        step, grad_x, grad_y, hvps, values, samples, cell_seconds, status, stopped_at,
        reason, the metric columns, and key.

    Raises:
        StoreError: when there is no such store or a file in it is damaged.
    """
    results = gather(Store(store))
    for sentence in results.damaged:
        raise DamagedError(sentence)
    return results.frame


# ---- what is in results ----


def ideal_of(results: Results, task: str, column: str) -> float | None:
    """What real data get in a column on a task; None where that has no meaning."""
    for footer in results.footers.values():
        if footer["task"] == task and column in footer.get("ideal", {}):
            return footer["ideal"][column]
    return None


def starts_of(results: Results, task: str) -> dict[str, str]:
    """Labels of a task whose runs start at another cell's end, and where, in words."""
    told = {}
    for footer in results.footers.values():
        before = footer["cell"].get("after")
        if footer["task"] == task and before:
            who = {"x": "x starts", "y": "y starts"}.get(
                footer["cell"].get("inherit", "both"), "starts"
            )
            told[footer["label"]] = f"{who} at the end of “{_named(results, before)}”"
    return told


def _named(results: Results, cell: dict[str, Any]) -> str:
    """The label of a cell that another one goes on from."""
    for footer in results.footers.values():
        if footer["cell"] == cell:
            return footer["label"]
    name = cell["algorithm"]["class"].rpartition(":")[2].partition("@")[0]
    return f"{name}, {cell['steps']} steps"


def tasks_of(results: Results) -> list[str]:
    """Tasks in order of first appearance."""
    return list(dict.fromkeys(results.frame["task"]))


def labels_of(results: Results) -> list[str]:
    """Labels in order of first appearance."""
    return list(dict.fromkeys(results.frame["label"]))


def columns_of(results: Results, task: str) -> list[dict[str, Any]]:
    """Metric columns of a task that hold at least one number, in order."""
    frame = results.frame[results.frame["task"] == task]
    told = {}
    for footer in results.footers.values():
        if footer["task"] == task:
            for column in footer["columns"]:
                name = column["name"]
                if name in frame and frame[name].notna().any():
                    told.setdefault(name, column)
    return list(told.values())


def primary(results: Results, task: str) -> dict[str, Any] | None:
    """The column that says how good an iterate is: the first one with a direction.

    The columns of a target come first, so where there is one it is among them.
    """
    return next(
        (one for one in columns_of(results, task) if one["better"] != "neither"), None
    )


def target_of(results: Results, task: str) -> str:
    """What counts as reached on a task, in words; empty where nothing is declared."""
    targets = [one["target"] for one in results.footers.values() if one["task"] == task]
    return next((one for one in targets if one), "")
