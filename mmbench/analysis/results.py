"""Stored results as one tidy table, and functions that answer questions about it."""

import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa

from mmbench.algorithms import ALGORITHMS
from mmbench.analysis.cell_tables import CellTables
from mmbench.analysis.parameters import (
    in_words,
    parameters_of,
    spread,
    tell_apart,
    to_json,
)
from mmbench.core.columns import LEADING, RESERVED, TRAILING
from mmbench.core.cost import amount
from mmbench.core.errors import (
    DamagedError,
    DescriptionError,
    MmbenchError,
    StoreError,
    check_keywords,
)
from mmbench.core.spec import INSTANCE, name_of_family
from mmbench.core.status import Status
from mmbench.metrics import METRICS
from mmbench.store.folder import Store, StoredResult
from mmbench.store.schema import TEXT, TEXTS, to_frame
from mmbench.store.stored_files import StoredFiles
from mmbench.store.table_index import FEWEST_CELLS, Block, Files, TableIndex
from mmbench.store.tuning_record import TuningRecord
from mmbench.tasks import TASKS

if TYPE_CHECKING:
    from mmbench.engine.cell import Cell

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
        store: the store that holds the arrays of finished cells; None where there is
            none.
        unfinished: key to arrays of each cell that is known from its checkpoint only.
        wanted: number of cells asked for; those that are not here are missing.
        damaged: one sentence for each cell that was left out because it is damaged.
        in_memory: key to arrays of finished cells that no store holds.
        tuning: the record of tuning whose winners these are; None where they are none,
            or it is not known.
        curves: the curves of the primary metric, with the columns of
            `mmbench.analysis.plot.curves.PUBLISHED`, of published results, whose table
            has two records of a run; None where the table has all records.
    """

    frame: pd.DataFrame
    footers: dict[str, Footer]
    store: Store | None
    unfinished: Mapping[str, Mapping[str, np.ndarray]] = {}
    wanted: int = 0
    damaged: tuple[str, ...] = ()
    in_memory: Mapping[str, Mapping[str, np.ndarray]] = {}
    tuning: TuningRecord | None = None
    curves: pd.DataFrame | None = None

    def arrays(self, key: str) -> Mapping[str, np.ndarray]:
        """Return the paths and sample sheets of a cell; none if they are damaged."""
        if key in self.unfinished:
            return self.unfinished[key]
        if not self.store:
            return self.in_memory.get(key, {})
        try:
            return self.store.arrays(key)
        except DamagedError:
            return {}

    @property
    def place(self) -> str:
        """Where the results lie, in words."""
        return f"the store {self.store.folder}" if self.store else "memory"

    @property
    def missing(self) -> int:
        """The number of cells that were asked for and have no results at all."""
        return max(0, self.wanted - len(self.footers))

    @property
    def finished(self) -> "Results":
        """These results without the unfinished cells."""
        if not self.unfinished:
            return self
        return self.without(self.unfinished)._replace(unfinished={})

    def without(self, keys: Container[str]) -> "Results":
        """Return these results without some cells."""
        footers = {key: one for key, one in self.footers.items() if key not in keys}
        frame = self.frame[self.frame["key"].isin(footers)].reset_index(drop=True)
        return self._replace(frame=frame, footers=footers)


def collected(computed: Mapping[str, StoredResult]) -> Results:
    """Return the results of cells in memory; a column that a cell lacks holds NaN.

    Args:
        computed: key to table, footer and arrays.
    """
    tables = CellTables()
    for key, result in computed.items():
        footer = result.footer
        tables.add(key, _to_arrow(result.frame), footer["label"], _parameters(footer))
    footers = {key: result.footer for key, result in computed.items()}
    arrays = {key: result.arrays for key, result in computed.items()}
    return Results(_to_frame(tables.whole()), footers, None, in_memory=arrays)


def _to_frame(table: pa.Table) -> pd.DataFrame:
    if not table.num_columns:
        return pd.DataFrame(columns=[*LEADING, *TRAILING])
    return to_frame(table)


def _to_arrow(frame: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    for name in TEXTS:
        texts = table[name].cast(TEXT).dictionary_encode()
        table = table.set_column(table.column_names.index(name), name, texts)
    return table


def _parameters(footer: Footer) -> str:
    return to_json(parameters_of(footer))


class Gathered:
    """Stored cells as they were read, before they become a data frame.

    Args:
        store: the store to read.
        with_footers: whether footers are kept, which take more memory than the tables.

    Attributes:
        tables: the cells' tables.
        order: their keys, in the order asked for.
        footers: key to description and provenance, where they are kept.
        unfinished: key to arrays of each cell that is known from its checkpoint only.
        wanted: number of cells asked for; 0 where that was all.
        damaged: one sentence for each cell that was left out because it is damaged.
    """

    def __init__(self, store: Store, *, with_footers: bool = True) -> None:
        self.store, self._with_footers = store, with_footers
        self.tables = CellTables()
        self.order: list[str] = []
        self.footers: dict[str, Footer] = {}
        self.unfinished: dict[str, Mapping[str, np.ndarray]] = {}
        self.wanted = 0
        self.damaged: list[str] = []
        self._values: dict[str, Any] = {}
        self._specs: dict[str, tuple[str, ...]] = {}  # key to task and algorithm
        self._shared_specs: dict[tuple[str, ...], tuple[str, ...]] = {}

    @property
    def missing(self) -> int:
        """The number of cells that were asked for and have no results at all."""
        return max(0, self.wanted - len(self.order))

    def pieces(self) -> Iterator[pa.Table]:
        """Yield the rows of the tidy table, many at a time; texts are dictionaries.

        They can be asked for once.
        """
        return self.tables.pieces(self.order)

    def results(self) -> Results:
        """Return the results; the tables of this object are given up."""
        footers = {key: self.footers[key] for key in self.order}
        return Results(
            _to_frame(self.tables.whole(self.order)),
            footers,
            self.store,
            self.unfinished,
            self.wanted,
            tuple(self.damaged),
        )

    def read_all(self) -> "Gathered":
        """Read all cells, in the order of the registries; each file is read once.

        Where no footers are kept, a large store's index of tables is used and renewed.
        """
        keys = dict.fromkeys(self.store)
        if self._with_footers or len(keys) < FEWEST_CELLS:
            for found in self._read((key, None) for key in keys):
                self._add(*found)
        else:
            index = TableIndex(self.store, self._add_block)
            for files in index.take_unchanged(keys):
                self._read_for_index(index, files, files)
            self._read_for_index(index, keys, {})
            index.close()
        ranks = {specs: _sort_key(*specs) for specs in self._shared_specs}
        self.order.sort(key=lambda key: (ranks[self._specs[key]], key))
        self._specs.clear()
        return self

    def index_some(self, keys: Sequence[str]) -> None:
        """Add cells that were stored just now to the index of tables, in whole blocks.

        Args:
            keys: of as many cells as blocks have, or a multiple of it.
        """
        index = TableIndex(self.store, self._add_block)
        self._read_for_index(index, keys, {})
        index.append()

    def _read_for_index(
        self, index: TableIndex, keys: Iterable[str], files: Files
    ) -> None:
        """Read cells, and add those with short tables to the index.

        Args:
            index: which hands them to `_add_block`.
            keys: of the cells.
            files: those of their files that were read.
        """
        for key, found in self._read(((key, None) for key in keys), files):
            if found is None:
                continue
            footer = found.footer
            texts = (
                *(footer["task"], footer["algorithm"]),
                *(found.label, _parameters(footer)),
            )
            if not index.add(key, found.content, found.table, texts):
                self._add(key, found)

    def _add_block(self, block: Block) -> None:
        cells = []
        for one in block.entries:
            task, algorithm, label, parameters = one.texts
            self._note(one.key, task, algorithm)
            cells.append((one.key, one.rows, one.columns, label, parameters))
        self.tables.add_joined(block.table, cells)

    def read_some(self, cells: Sequence[tuple[str, str]]) -> "Gathered":
        """Read some cells, by key and label; the label replaces the stored one.

        Raises:
            StoreError: if one is missing.
        """
        for key, label in cells:
            if key not in self.store:
                raise StoreError(
                    f"The store {self.store.folder} must hold cell {key} ({label}); it "
                    "does not. Run the suite into this store first."
                )
        for found in self._read(cells):
            self._add(*found)
        return self

    def read_planned(self, cells: "Sequence[Cell]") -> "Gathered":
        """Read planned cells: finished ones whole, others up to their last checkpoint.

        Raises:
            StoreError: if the store does not exist.
        """
        # torch, which results of stored cells do not need
        from mmbench.runner.in_progress import read_unfinished

        stored = set(self.store)
        self.wanted = len(cells)
        reading = self._read((one.key, one.label) for one in cells if one.key in stored)
        for cell in cells:
            key = cell.key
            if key in stored:
                self._add(*next(reading))
            elif begun := read_unfinished(cell, self.store):
                frame, footer, self.unfinished[key] = begun
                self._add(key, _ReadCell(_to_arrow(frame), footer, footer["label"]))
        return self

    def _read(
        self, cells: Iterable[tuple[str, str | None]], files: Files | None = None
    ) -> Iterator[tuple[str, "_ReadCell | None"]]:
        """Yield each key with what was read; with None where the cell is damaged.

        Args:
            cells: key and label of each; None keeps the stored label.
            files: those of their tables' files that were read already.
        """
        for key, label in cells:
            try:
                if files and key in files:
                    stored = StoredFiles(self.store.table(key), *files[key])
                else:
                    stored = self.store.require(key)
                table, footer = stored.table, stored.footer
            except DamagedError as error:
                self.damaged.append(str(error))
                yield key, None
                continue
            if table["task"].unique().to_pylist() != [footer["task"]]:
                self.damaged.append(
                    f"{self.store.table(key)} must be a table of {footer['task']}, as "
                    "its footer says; it has rows of another task."
                )
                yield key, None
                continue
            shown = footer["label"] if label is None else label
            yield key, _ReadCell(table, footer, shown, stored.content)

    def _add(self, key: str, found: "_ReadCell | None") -> None:
        if found is None:
            return
        table, footer, label, _ = found
        self._note(key, footer["task"], footer["algorithm"])
        self.tables.add(key, table, label, _parameters(footer))
        if self._with_footers:
            self.footers[key] = self._share_values(footer) | {"label": label}

    def _note(self, key: str, *specs: str) -> None:
        self._specs[key] = self._shared_specs.setdefault(specs, specs)
        self.order.append(key)

    def _share_values(self, footer: Footer) -> Footer:
        """Return a footer whose equal values are shared with those of other cells."""
        return {
            name: self._values.setdefault(repr(value), value)
            for name, value in footer.items()
        }


class _ReadCell(NamedTuple):
    """A cell that was read, with the label that it gets.

    Args:
        table: its table.
        footer: its footer.
        label: the label.
        content: the bytes of its table's file; none of an unfinished cell.
    """

    table: pa.Table
    footer: Footer
    label: str
    content: bytes = b""


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
    gathered = Gathered(store)
    if cells is None:
        return gathered.read_all().results()
    return gathered.read_some(list(cells)).results()


def gather_planned(store: Store, cells: "Sequence[Cell]") -> Results:
    """Read planned cells: finished ones whole, others up to their last checkpoint.

    Args:
        store: the store to read.
        cells: the wanted cells, in order.

    Raises:
        StoreError: if the store does not exist.
    """
    return Gathered(store).read_planned(cells).results()


def _sort_key(task: str, algorithm: str) -> tuple[int, str, int, str]:
    """Return what cells are sorted by: the order of the registries, then the specs.

    Tasks and algorithms that are in no registry come last.
    """
    return (
        _registry_index(list(TASKS), task),
        task,
        _registry_index(list(ALGORITHMS), algorithm),
        algorithm,
    )


def _registry_index(names: list[str], spec: str) -> int:
    name = spec.partition("[")[0]
    return names.index(name) if name in names else len(names)


# ---- tables that know where they come from ----

ORIGIN = "mmbench"  # name of the origin in `DataFrame.attrs`
NEEDED = (*(name for name in LEADING if name != "algorithm"), "key")


class Origin(dict[str, Any]):
    """What a table does not hold of its results: footers, and where the arrays are.

    Tables that are made of a table share its origin. All of it is JSON, so that it is
    written with a table into Parquet, but the arrays of cells that no store holds.
    """

    arrays: Mapping[str, Mapping[str, np.ndarray]] = {}

    def __deepcopy__(self, memo: Any) -> "Origin":
        """Return the same origin; pandas copies it with every table."""
        return self

    def __repr__(self) -> str:
        return f"<origin of {len(self['footers'])} cells>"


def with_origin(results: Results) -> pd.DataFrame:
    """Return the table of results, which tells `results_of` what they are."""
    folder = None if results.store is None else str(results.store.folder.absolute())
    origin = Origin(store=folder, footers=results.footers)
    origin.arrays = results.in_memory
    results.frame.attrs[ORIGIN] = origin
    return results.frame


def results_of(given: "pd.DataFrame | Results | Path | str") -> Results:
    """Return results that a user gives: as a table, or as the folder of a store.

    Of a table without origin, such as one read from CSV, the targets and the columns
    are those of the built-in tasks and metrics.

    Args:
        given: results, the table of `mmbench.run` or `mmbench.load` or a part of it
            with whole runs, or the folder of a store.

    Raises:
        StoreError: when the store does not exist or has no cell.
        DescriptionError: when the table lacks columns or rows.
    """
    if isinstance(given, Results):
        return with_families(given)
    if not isinstance(given, pd.DataFrame):
        results = gather(Store(given))
        if results.frame.empty:
            raise StoreError(f"The store {given} must have results; it has none.")
        return with_unique_names(results)
    if missing := [name for name in NEEDED if name not in given]:
        raise DescriptionError(
            "The results must be a table of mmbench.run or mmbench.load; this one "
            f"lacks {', '.join(missing)}."
        )
    if given.empty:
        raise DescriptionError("The results must have at least one row; got none.")
    frame = given.assign(_cell=pd.factorize(given["key"])[0])
    frame = frame.sort_values(["_cell", "seed", "step"], kind="stable")
    frame = frame.drop(columns="_cell").reset_index(drop=True)
    for key, rows in frame.groupby("key", sort=False):
        records = rows.groupby("seed")["step"].size()
        if (records != records.iloc[0]).any() or rows.duplicated(
            ["seed", "step"]
        ).any():
            raise DescriptionError(
                "The results must have the same records of all runs of a cell, once "
                f"each; those of {rows['label'].iloc[0]} on {rows['task'].iloc[0]} "
                f"(cell {key}) differ in number or repeat."
            )
    origin = given.attrs.get(ORIGIN, {})
    footers = origin.get("footers", {})
    described = {
        str(key): (footers.get(key) or _describe(rows))
        | {name: rows[name].iloc[0] for name in ("task", "label")}
        for key, rows in frame.groupby("key", sort=False)
    }
    store = Store(origin["store"]) if origin.get("store") else None
    arrays = getattr(origin, "arrays", {})
    return with_unique_names(Results(frame, described, store, in_memory=arrays))


def _describe(rows: pd.DataFrame) -> Footer:
    """Describe a cell from its rows, as far as built-in tasks and metrics allow."""
    try:
        target = str(TASKS.build(rows["task"].iloc[0], external=False).target or "")
    except MmbenchError:  # the task is an external class
        has_target = (rows["status"] == Status.CONVERGED).any()
        target = "the task’s target" if has_target else ""
    known = _built_in_columns()
    metrics = rows.drop(columns=[*RESERVED], errors="ignore").select_dtypes("number")
    numbers = [str(name) for name in metrics if metrics[name].notna().any()]
    columns = [
        known.get(name)
        or Column(name=name, title=name, better="neither", scale="linear")
        for name in numbers
    ]
    steps = rows["step"].to_numpy()
    cell: dict[str, Any] = {"steps": int(steps.max())}
    cell["records"] = len(np.unique(steps)) - 1
    if "parameters" in rows:
        cell["algorithm"] = json.loads(rows["parameters"].iloc[0])
    return {"columns": columns, "target": target, "cell": cell}


@cache
def _built_in_columns() -> dict[str, Column]:
    """Return the columns of the built-in metrics with their default parameters."""
    columns = [column for name in METRICS for column in METRICS.build(name).columns]
    return {
        one.name: Column(
            name=one.name, title=one.title, better=one.better, scale=one.scale
        )
        for one in columns
    }


# What is no part of the budget of a cell, as its key has it.
_NOT_BUDGET = ("class", "version", "task", "algorithm", "seeds", "after", "inherit")


def with_unique_names(results: Results) -> Results:
    """Return results in which a task is one game, and has one cell of each label.

    Tasks of one spec with unlike descriptions, for instance of two versions, get what
    differs in their descriptions added to their names. So do labels: a label that has
    several cells on a task gets what differs in their parameters, budgets or seeds, on
    all tasks. Winners of several repetitions of a tuning keep one label. A cell is left
    out whose runs are all among those of another that differs in its seeds alone. Tasks
    of one family of instances have it in their footers.
    """
    results = _without_parts(results)
    identities = {key: _identity(footer) for key, footer in results.footers.items()}
    tasks = tell_apart(
        {key: footer["task"] for key, footer in results.footers.items()},
        {key: one["task"] for key, one in identities.items()},
        dict.fromkeys(results.footers),
    )
    within = {
        key: (tasks[key], repetition_of(footer))
        for key, footer in results.footers.items()
    }
    labels = tell_apart(
        {key: footer["label"] for key, footer in results.footers.items()},
        {
            key: {name: one[name] for name in one if name != "task"}
            for key, one in identities.items()
        },
        within,
    )
    counts = Counter((within[key], labels[key]) for key in labels)
    labels = {  # where nothing that is known differs
        key: f"{label} ({key[:6]})" if counts[within[key], label] > 1 else label
        for key, label in labels.items()
    }
    footers = {
        key: footer | {"task": tasks[key], "label": labels[key]}
        for key, footer in results.footers.items()
    }
    frame = results.frame
    for name, names in (("task", tasks), ("label", labels)):
        if any(footer[name] != names[key] for key, footer in results.footers.items()):
            frame = frame.assign(**{name: frame["key"].map(pd.Series(names))})
    return with_families(results._replace(frame=frame, footers=footers))


def _without_parts(results: Results) -> Results:
    """Return results without the cells that are a part of a cell with more seeds."""
    groups: dict[str, list[str]] = {}
    for key, footer in results.footers.items():
        alone = {
            name: one for name, one in _identity(footer).items() if name != "seeds"
        }
        alone |= {"task name": footer["task"], "label": footer["label"]}
        groups.setdefault(to_json(alone), []).append(key)
    parts = set()
    for keys in groups.values():
        if len(keys) > 1:
            seeds = {key: _seeds_of(results.footers[key]) for key in keys}
            parts |= {
                key
                for key in keys
                for other in keys
                if seeds[key] < seeds[other] and other not in results.unfinished
            }
    return results.without(parts) if parts else results


def _seeds_of(footer: Footer) -> frozenset[int]:
    return frozenset(footer["cell"].get("seeds", ()))


def with_families(results: Results) -> Results:
    """Return results whose footers have the family of a task of several instances.

    Tasks that differ in their instance alone are of one family, which has the name of
    the task without its instance.
    """
    groups: dict[str, dict[int, list[str]]] = {}
    for key, footer in results.footers.items():
        task = dict(footer["cell"].get("task", {}))
        number = task.pop(INSTANCE, None)
        if isinstance(number, int):
            family = name_of_family(footer["task"])
            alone = {**task, "target": footer["target"], "name": family}
            groups.setdefault(to_json(alone), {}).setdefault(number, []).append(key)
    families = {
        key: name_of_family(results.footers[key]["task"])
        for instances in groups.values()
        if len(instances) > 1
        for keys in instances.values()
        for key in keys
    }
    if not families:
        return results
    footers = {
        key: footer | ({"family": families[key]} if key in families else {})
        for key, footer in results.footers.items()
    }
    return results._replace(footers=footers)


def is_of(footer: Footer, task: str) -> bool:
    """Return whether a cell is of a task, or of a family."""
    return task in (footer["task"], footer.get("family"))


def rows_of(results: Results, task: str) -> pd.DataFrame:
    """Return the rows of a task, or of all instances of a family."""
    tasks = {one["task"] for one in results.footers.values() if is_of(one, task)}
    return results.frame[results.frame["task"].isin(tasks)]


def _identity(footer: Footer) -> dict[str, Any]:
    """Return what makes a cell the cell that it is, with the target of its task."""
    cell = {"dtype": "float32"} | footer["cell"]
    if cost := cell.get("budget"):  # the steps say the same again
        unit = cell.pop("unit", "gradient-equivalents")
        cell["budget"] = amount(cost, unit)
        del cell["steps"]
    return cell | {"task": cell.get("task", {}) | {"target": footer["target"]}}


def repetition_of(footer: Footer) -> int:
    """Return the number of the tuning whose winner a cell has, from 0."""
    return int(footer.get("description", {}).get("repetition", 0))


def tracks_of(results: Results) -> set[str]:
    """Return the tracks of the suites that asked for the cells last."""
    return {
        footer.get("description", {}).get("track", "default")
        for footer in results.footers.values()
    }


def require_one_track(results: Results) -> None:
    """Check that not some cells have hyperparameters of a suite, others of a tuning.

    Planned cells are those of one suite, and so of its track.

    Raises:
        StoreError: when both are there.
    """
    if len(tracks_of(results)) > 1 and not results.wanted:
        raise StoreError(
            "A comparison must be of one track, default or tuned hyperparameters; "
            f"{results.place} has cells of both. Name a suite, such as the suite.toml "
            "of a tuning."
        )


def budgets_of(results: Results, task: str) -> dict[str, list[str]]:
    """Return the budgets of a task or family, in words, with the keys of cells."""
    budgets: dict[str, list[str]] = {}
    for key, footer in results.footers.items():
        if is_of(footer, task):
            words = [
                in_words(name, value)
                for name, value in sorted(_identity(footer).items(), reverse=True)
                if name not in _NOT_BUDGET and (name, value) != ("dtype", "float32")
            ]
            # The budget of a run before how it is recorded.
            words.sort(key=lambda word: word.endswith(" records"))
            budgets.setdefault(", ".join(words), []).append(key)
    return budgets


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
        included, as JSON with sorted keys), and key. In a cell with a budget, step is
        what every run has spent, and the column steps_made the steps of the run.

    Raises:
        StoreError: if the store does not exist or a file in it is damaged.
    """
    results = gather(Store(store))
    for sentence in results.damaged:
        raise DamagedError(sentence)
    frame = spread(results.frame) if params else results.frame
    return with_origin(results._replace(frame=frame))


# ---- questions about results ----


def tasks_of(results: Results) -> list[str]:
    """List the tasks in order of first appearance."""
    return list(dict.fromkeys(results.frame["task"]))


def games_of(results: Results) -> list[str]:
    """List the families of instances, and the tasks that are of none, in order."""
    names = {
        footer["task"]: str(footer.get("family", footer["task"]))
        for footer in results.footers.values()
    }
    return list(dict.fromkeys(names[task] for task in tasks_of(results)))


def labels_of(results: Results) -> list[str]:
    """List the labels in order of first appearance."""
    return list(dict.fromkeys(results.frame["label"]))


def columns_of(results: Results, task: str) -> list[Column]:
    """List the metric columns of a task that hold at least one number, in order."""
    frame = rows_of(results, task)
    columns: dict[str, Column] = {}
    for footer in results.footers.values():
        if is_of(footer, task):
            for column in footer["columns"]:
                columns.setdefault(column["name"], column)
    known = {name for name in columns if name in frame and frame[name].notna().any()}
    return [column for name, column in columns.items() if name in known]


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


def is_count(column: Column) -> bool:
    """Check whether a column counts modes or digits, under any rule."""
    name = column["name"]
    # Columns of forgotten modes count events.
    return name.startswith(("modes", "digits")) and not name.endswith("_forgotten")


def target_of(results: Results, task: str) -> str:
    """Return the target of a task in words, such as "distance ≤ 0.001", or ""."""
    targets = (
        footer["target"] for footer in results.footers.values() if is_of(footer, task)
    )
    return next(filter(None, targets), "")


def target_in_words(results: Results, task: str) -> str:
    """Return when a run succeeds, such as "if gap is at most 0.1 (dual gap)"."""
    titles = {column["name"]: column["title"] for column in columns_of(results, task)}
    signs = {"≤": "at most", "≥": "at least"}
    bounds = []
    for bound in target_of(results, task).split(" and "):
        name, _, rest = bound.partition(" ")
        sign, _, value = rest.partition(" ")
        if sign not in signs:  # of a table that does not know its target
            return f"if it reaches {target_of(results, task)}"
        title = titles.get(name, name)
        title = title.replace(" (", ", ").replace(")", "")
        meaning = "" if title == name else f" ({title})"
        bounds.append(f"{name} is {signs[sign]} {value}{meaning}")
    return f"if {' and '.join(bounds)}"


def real_score_of(results: Results, task: str, column: str) -> float | None:
    """Return the value that real data get in a column on a task; None if unknown."""
    for footer in results.footers.values():
        if is_of(footer, task) and column in footer.get("ideal", {}):
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
