"""Stored results as one tidy table, and functions that answer questions about it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa

from mmbench.algorithms import ALGORITHMS
from mmbench.analysis.parameters import parameters_of, spread, to_json
from mmbench.core.errors import DamagedError, StoreError, check_keywords
from mmbench.engine.cell import LEADING, TRAILING, Cell
from mmbench.runner.in_progress import read_unfinished
from mmbench.store.folder import Store, StoredResult
from mmbench.tasks import TASKS

TABLES_PER_BLOCK = 500  # small tables that are concatenated at once

Footer = dict[str, Any]  # the description and provenance of a cell


class Column(TypedDict):
    """The description of a metric's column in a footer; see `mmbench.metrics.base`."""

    name: str
    title: str
    better: Literal["lower", "higher", "neither"]
    scale: Literal["linear", "log"]


class Results(NamedTuple):
    """The results of cells, for tables and reports.

    Args:
        frame: one row for each cell, run and record, cells in the order asked for.
        footers: key to description and provenance.
        store: the store that holds the arrays of finished cells.
        unfinished: key to arrays of each cell that is known from its checkpoint only.
        wanted: number of cells asked for; those that are not here are missing.
        damaged: one sentence for each cell that was left out because it is damaged.
    """

    frame: pd.DataFrame
    footers: dict[str, Footer]
    store: Store
    unfinished: Mapping[str, Mapping[str, np.ndarray]] = {}
    wanted: int = 0
    damaged: tuple[str, ...] = ()

    def arrays(self, key: str) -> Mapping[str, np.ndarray]:
        """Return the paths and sample sheets of a cell; none if they are damaged."""
        if key in self.unfinished:
            return self.unfinished[key]
        try:
            return self.store.arrays(key)
        except DamagedError:
            return {}

    @property
    def missing(self) -> int:
        """The number of cells that were asked for and have no results at all."""
        return max(0, self.wanted - len(self.footers))

    @property
    def finished(self) -> "Results":
        """These results without the unfinished cells."""
        if not self.unfinished:
            return self
        footers = {
            key: footer
            for key, footer in self.footers.items()
            if key not in self.unfinished
        }
        frame = self.frame[self.frame["key"].isin(footers)].reset_index(drop=True)
        return self._replace(frame=frame, footers=footers, unfinished={})


def tidy(results: Mapping[str, StoredResult]) -> pd.DataFrame:
    """Concatenate the tables of cells; a column that a cell lacks holds NaN.

    Args:
        results: key to table and footer; parameters and keys become the last columns.
    """
    footers = {key: result.footer for key, result in results.items()}
    tables = ((key, _to_arrow(result.frame)) for key, result in results.items())
    return _concatenate(tables, footers)


def _concatenate(
    tables: Iterable[tuple[str, pa.Table]],
    footers: Mapping[str, Footer],
    order_keys: Callable[[], Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Concatenate Arrow tables, in a tenth of the time that pandas takes.

    Args:
        tables: pairs of key and table.
        footers: key to footer; it is read once all tables are read.
        order_keys: returns the keys in the order of the result; it is called once all
            tables are read. None leaves the tables in the order in which they come.
    """
    blocks: list[pa.Table] = []
    block: list[pa.Table] = []
    rows: dict[str, int] = {}
    columns: dict[str, tuple[str, ...]] = {}
    for key, table in tables:
        rows[key], columns[key] = table.num_rows, tuple(table.column_names)
        block.append(_set_column(table, "key", key).replace_schema_metadata())
        if len(block) == TABLES_PER_BLOCK:
            blocks.append(_concatenate_arrow(block))
            block = []
    if block:
        blocks.append(_concatenate_arrow(block))
    if not blocks:
        return pd.DataFrame(columns=[*LEADING, *TRAILING])
    whole = _concatenate_arrow(blocks)
    keys: Sequence[str] = list(rows)
    if order_keys:
        keys = order_keys()
        first = dict(zip(rows, np.cumsum([0, *rows.values()]), strict=False))
        indices = [np.arange(first[key], first[key] + rows[key]) for key in keys]
        whole = whole.take(pa.array(np.concatenate(indices)))
    # Many cells have the same columns: each set of columns is looked at once.
    column_sets = dict.fromkeys(columns[key] for key in keys)
    names = dict.fromkeys(name for column_set in column_sets for name in column_set)
    metrics = [name for name in names if name not in (*LEADING, *TRAILING)]
    frame = whole.select([*LEADING, *metrics, "key"]).to_pandas()
    texts = {key: to_json(parameters_of(footers[key])) for key in keys}
    parameters = frame["key"].map(texts).astype(frame["key"].dtype)
    frame.insert(len(frame.columns) - 1, "parameters", parameters)
    return frame


def _concatenate_arrow(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _to_arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def _set_column(table: pa.Table, name: str, value: str) -> pa.Table:
    """Return a table with the same text in all rows of a new or existing column."""
    column = pa.repeat(value, table.num_rows)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def gather(store: Store, cells: Iterable[tuple[str, str]] | None = None) -> Results:
    """Read stored cells; damaged ones are left out and listed in `Results.damaged`.

    Args:
        store: the store to read.
        cells: (key, label) of each wanted cell, in order; the label replaces the
            stored one. None means all cells of the store, in the order of the
            registries.

    Raises:
        StoreError: if a wanted cell is missing.
    """
    if cells is None:
        return _gather_all(store)
    reader, cells = _CellReader(store), list(cells)
    for key, label in cells:
        if key not in store:
            raise StoreError(
                f"The store {store.folder} must hold cell {key} ({label}); it does "
                "not. Run the suite into this store first."
            )
    tables = (
        (key, table)
        for key, label in cells
        if (table := reader.read(key, label)) is not None
    )
    frame = _concatenate(tables, reader.footers)
    return Results(frame, reader.footers, store, damaged=tuple(reader.damaged))


def _gather_all(store: Store) -> Results:
    """Read all cells, in the order of the registries; each file is read once."""
    reader, order = _CellReader(store), list[str]()

    def order_keys() -> list[str]:
        footers = reader.footers
        order.extend(sorted(footers, key=lambda key: (*_sort_key(footers[key]), key)))
        return order

    frame = _concatenate(
        ((key, table) for key in store if (table := reader.read(key)) is not None),
        reader.footers,
        order_keys,
    )
    footers = {key: reader.footers[key] for key in order}
    return Results(frame, footers, store, damaged=tuple(reader.damaged))


def gather_planned(store: Store, cells: Sequence[Cell]) -> Results:
    """Read planned cells: finished ones whole, others up to their last checkpoint.

    Args:
        store: the store to read.
        cells: the wanted cells, in order.

    Raises:
        StoreError: if the store does not exist.
    """
    stored, reader, unfinished = set(store), _CellReader(store), {}

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for cell in cells:
            key = cell.key
            if key in stored:
                table = reader.read(key, cell.label)
                if table is not None:
                    yield key, table
            elif found := read_unfinished(cell, store):
                frame, reader.footers[key], unfinished[key] = found
                yield key, _to_arrow(frame)

    frame, wanted = _concatenate(tables(), reader.footers), len(cells)
    damaged = tuple(reader.damaged)
    return Results(frame, reader.footers, store, unfinished, wanted, damaged)


class _CellReader:
    """A reader of cells that collects their footers and the damage it meets.

    Attributes:
        footers: key to description and provenance.
        damaged: one sentence for each damaged cell.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.footers: dict[str, Footer] = {}
        self.damaged: list[str] = []
        self._values: dict[str, Any] = {}

    def read(self, key: str, label: str | None = None) -> pa.Table | None:
        """Read a cell's table; None if it is damaged.

        Args:
            key: the cell's key.
            label: replaces the stored label; None keeps it.
        """
        try:
            stored = self.store.require(key)
            table, footer = stored.table, stored.footer
        except DamagedError as error:
            self.damaged.append(str(error))
            return None
        if table["task"].unique().to_pylist() != [footer["task"]]:
            self.damaged.append(
                f"{self.store.table(key)} must be a table of {footer['task']}, as its "
                "footer says; it has rows of another task."
            )
            return None
        label = footer["label"] if label is None else label
        self.footers[key] = self._share_values(footer) | {"label": label}
        return _set_column(table, "label", label)

    def _share_values(self, footer: Footer) -> Footer:
        """Return a footer whose equal values are shared with those of other cells."""
        return {
            name: self._values.setdefault(repr(value), value)
            for name, value in footer.items()
        }


def _sort_key(footer: Footer) -> tuple[int, str, int, str]:
    """Return what cells are sorted by: the order of the registries, then the specs.

    Tasks and algorithms that are in no registry come last.
    """
    task, algorithm = footer["task"], footer["algorithm"]
    return (
        _registry_index(list(TASKS), task),
        task,
        _registry_index(list(ALGORITHMS), algorithm),
        algorithm,
    )


def _registry_index(names: list[str], spec: str) -> int:
    name = spec.partition("[")[0]
    return names.index(name) if name in names else len(names)


@check_keywords
def load(store: Path | str, *, params: bool = False) -> pd.DataFrame:
    """Load everything in a store as one tidy table.

    Args:
        store: the folder.
        params: whether "parameters" gives way to one column for each parameter. The
            parameter `k` becomes `param_k`. A nested description fills `param_k` with
            its name and `param_k.<field>` with its fields; a sequence is text such as
            "(0.1,0.2)". A row whose algorithm lacks the parameter holds NaN.

    Returns:
        One row for each cell, seed and recorded step: task, algorithm, label, seed,
        step, grad_x, grad_y, hvps, values, samples, cell_seconds, status, stopped_at,
        reason, the metric columns, parameters (those of the algorithm, defaults
        included, as JSON with sorted keys), and key.

    Raises:
        StoreError: if the store does not exist or a file in it is damaged.
    """
    results = gather(Store(store))
    for sentence in results.damaged:
        raise DamagedError(sentence)
    return spread(results.frame) if params else results.frame


# ---- questions about results ----


def tasks_of(results: Results) -> list[str]:
    """List the tasks in order of first appearance."""
    return list(dict.fromkeys(results.frame["task"]))


def labels_of(results: Results) -> list[str]:
    """List the labels in order of first appearance."""
    return list(dict.fromkeys(results.frame["label"]))


def columns_of(results: Results, task: str) -> list[Column]:
    """List the metric columns of a task that hold at least one number, in order."""
    frame = results.frame[results.frame["task"] == task]
    columns: dict[str, Column] = {}
    for footer in results.footers.values():
        if footer["task"] == task:
            for column in footer["columns"]:
                name = column["name"]
                if name in frame and frame[name].notna().any():
                    columns.setdefault(name, column)
    return list(columns.values())


def primary_column(results: Results, task: str) -> Column | None:
    """Return the first column of a task in which lower or higher values are better.

    It says how good an iterate is. A task with a target lists the target's columns
    first, so this is then one of them.
    """
    return next(
        (
            column
            for column in columns_of(results, task)
            if column["better"] != "neither"
        ),
        None,
    )


def target_of(results: Results, task: str) -> str:
    """Return the target of a task in words, such as "distance ≤ 0.001", or ""."""
    targets = (
        footer["target"]
        for footer in results.footers.values()
        if footer["task"] == task
    )
    return next(filter(None, targets), "")


def real_score_of(results: Results, task: str, column: str) -> float | None:
    """Return the value that real data get in a column on a task; None if unknown."""
    for footer in results.footers.values():
        if footer["task"] == task and column in footer.get("ideal", {}):
            return footer["ideal"][column]
    return None


def describe_starts(results: Results, task: str) -> dict[str, str]:
    """Describe where the runs of a task start that continue those of another cell.

    Returns:
        Label to a predicate, such as "starts where “GDA” ended".
    """
    starts: dict[str, str] = {}
    for footer in results.footers.values():
        previous = footer["cell"].get("after")
        if footer["task"] == task and previous:
            inherited = footer["cell"].get("inherit", "both")
            what = f" its {inherited}" if inherited in ("x", "y") else ""
            where = f"where “{_label_of(results, previous)}” ended"
            starts[footer["label"]] = f"starts{what} {where}"
    return starts


def _label_of(results: Results, cell: dict[str, Any]) -> str:
    """Return the label of a cell, or a description if it is not in the results."""
    for footer in results.footers.values():
        if footer["cell"] == cell:
            return footer["label"]
    name = cell["algorithm"]["class"].rpartition(":")[2].partition("@")[0]
    return f"{name}, {cell['steps']} steps"
