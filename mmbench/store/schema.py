"""The schema of a cell's files: what a table, its footer and its tensors must hold.

It is checked whenever a file is read. A file that does not fit is damaged, as one with
a flipped byte is, so that whoever reads a footer or a table finds the types that stand
here. Whether the numbers are those of the cell is not known here.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import prod
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypedDict,
    TypeVar,
)

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmbench.core.columns import COUNTED
from mmbench.core.json_schema import Count, Range, find_misfit, parse_json
from mmbench.core.run_settings import Keep
from mmbench.core.schedule import MAX_ROWS, most_records, schedule
from mmbench.core.status import Status

if TYPE_CHECKING:  # it takes long to import
    import pandas as pd

Positive = Annotated[int, Range(1, 2**63 - 1)]
Sha256 = Annotated[str, re.compile(r"[0-9a-f]{64}")]

# ---- the footer ----

Described = TypedDict("Described", {"class": str})


class DescribedCell(TypedDict):
    """A cell as JSON values."""

    task: Described
    algorithm: Described
    seeds: list[Count]
    steps: Positive
    records: NotRequired[Positive]
    inherit: NotRequired[str]
    precision: NotRequired[str]
    after: "NotRequired[DescribedCell | None]"


class Column(TypedDict):
    """A column that a metric fills; see `mmbench.metrics.base`."""

    name: str
    title: str
    better: Literal["lower", "higher", "neither"]
    scale: Literal["linear", "log"]


class Documentation(TypedDict):
    """The docstring and the source of a task or an algorithm."""

    summary: str
    rule: str
    text: str
    sections: dict[str, str]
    arguments: dict[str, str]
    source: str
    link: str


class MethodDocumentation(Documentation):
    """The documentation of an algorithm, with the cost of a step."""

    cost: str


class Limits(TypedDict):
    """What the cell was allowed to take."""

    timeout: NotRequired[float | None]
    memory: NotRequired[float | None]


class Footer(TypedDict):
    """What the footer of a table must hold; it may hold more."""

    schema: int
    key: str
    files: "Files"
    cell: DescribedCell
    description: NotRequired[DescribedCell]
    task: str
    algorithm: str
    label: str
    metrics: dict[str, str]
    columns: list[Column]
    target: str
    seeds: tuple[Count, Count]
    runs: Positive
    steps: Positive
    dtype: Literal["float32", "float64"]
    kept: NotRequired[Keep]
    protocols: NotRequired[dict[str, dict[str, str | float]]]
    method: MethodDocumentation
    game: Documentation
    width: Positive
    backend: NotRequired[str]
    arrays: NotRequired[list[str]]
    outcomes: dict[str, Positive]
    reason: str
    ideal: NotRequired[dict[str, float]]
    provenance: dict[str, str | float]
    environments: NotRequired[list[dict[str, str]]]
    limits: NotRequired[Limits]


class Files(TypedDict):
    """SHA-256 of the companion files."""

    arrays: NotRequired[Sha256]
    iterates: NotRequired[Sha256]
    state: NotRequired[Sha256]


def misfit_of_footer(footer: Any) -> str:
    """Return where a footer does not fit its schema, in words; empty where it does."""
    if found := find_misfit(footer, Footer):
        return found
    for name in ("cell", "description"):
        if found := _misfit_of_classes(footer.get(name)):
            return f"{name}{found}"
    if unknown := sorted(set(footer["files"]) - set(Files.__annotations__)):
        return f"files must be arrays, iterates or state; got {unknown[0]!r}"
    if unknown := sorted(set(footer["outcomes"]) - _ENDINGS):
        return f"outcomes must be of known statuses; got {unknown[0]!r}"
    cell, runs, seeds = footer["cell"], footer["runs"], footer["seeds"]
    if [*cell["seeds"][:1], *cell["seeds"][-1:]] != seeds or len(cell["seeds"]) != runs:
        return f"cell.seeds must be those of {runs} runs from seeds to seeds"
    if sum(footer["outcomes"].values()) != runs:
        return f"outcomes must be those of {runs} runs"
    names = [column["name"] for column in footer["columns"]]
    if len(set(names)) < len(names):
        return "columns must have different names"
    return ""


_ENDINGS = set(Status) - {Status.RUNNING}
_PLAIN = frozenset({str, int, float, bool})


def _misfit_of_classes(value: Any) -> str:
    """Return which description nested in a value names its class by no text."""
    if isinstance(value, list):
        if _PLAIN.issuperset(map(type, value)):
            return ""
        entries: Any = enumerate(value)
        shown = "[{}]"
    elif isinstance(value, dict):
        if not isinstance(value.get("class", ""), str):
            return ".class must be text"
        entries, shown = value.items(), ".{}"
    else:
        return ""
    for name, entry in entries:
        if isinstance(entry, list | dict) and (found := _misfit_of_classes(entry)):
            return shown.format(name) + found
    return ""


# ---- the table ----

TEXTS = ("task", "algorithm", "label", "status", "reason")
_WHOLE = ("seed", "step", *COUNTED, "stopped_at")
_SECONDS = "cell_seconds"
_NOT_METRICS = (*TEXTS, *_WHOLE, _SECONDS)
TEXT, _FLOAT64 = pa.string(), pa.float64()  # TEXT is that of dictionaries
_MAX_VALUES = 64 * MAX_ROWS  # of a table: few bytes may unpack to many equal numbers
_WHOLE_RUNS = {Status.FINISHED, Status.CONVERGED}  # which have all records
_MAX_TEXT_BYTES = 2**30  # of a column of texts, decoded
_RECENT_SCHEMAS = 16  # of which it is known how they fit


def misfit_of_columns(file: pq.ParquetFile, footer: Mapping[str, Any]) -> str:
    """Return where a table cannot be the one of its footer, in words, or nothing.

    Nothing of the table is decoded but its metadata.

    Args:
        file: the table.
        footer: a footer that fits its schema.
    """
    schema = file.schema_arrow
    if found := _misfit_of_types(schema):
        return found
    rows, runs = file.metadata.num_rows, footer["runs"]
    steps = footer["cell"]["steps"]
    records = rows // runs
    planned = footer["cell"].get("records", steps)
    if rows % runs or not 1 <= records <= most_records(steps, planned):
        return f"it must have one row for each of {runs} runs and record; it has {rows}"
    if rows > MAX_ROWS:
        return f"it must have at most {MAX_ROWS} rows; it has {rows}"
    if rows * len(schema) > _MAX_VALUES:
        return f"it must have fewer than {len(schema)} columns of {rows} rows"
    if "records" in footer["cell"] and runs * min(steps, planned) > MAX_ROWS:
        return f"it must be of a cell of at most {MAX_ROWS} rows"
    return ""


T = TypeVar("T")


def _once_a_schema(function: Callable[[pa.Schema], T]) -> Callable[[pa.Schema], T]:
    """Let a function remember its answers for a few schemas; files have few.

    To compare schemas takes a hundredth of the time that their hash takes.
    """
    recent: deque[tuple[pa.Schema, T]] = deque(maxlen=_RECENT_SCHEMAS)

    @wraps(function)
    def answer(schema: pa.Schema) -> T:
        for known, found in tuple(recent):
            if known.equals(schema):
                return found
        found = function(schema)
        recent.appendleft((schema.remove_metadata(), found))
        return found

    return answer


@_once_a_schema
def _misfit_of_types(schema: pa.Schema) -> str:
    """Return which column lacks or has another type, in words, or nothing."""
    names, types = schema.names, schema.types
    if len(set(names)) < len(names):
        return "its columns must have different names"
    for name in (*TEXTS, *_WHOLE, _SECONDS):
        if name not in names:
            return f"it must have the column {name}"
    for name, kind in zip(names, types, strict=True):
        if not _kind_of(name)(kind):
            return f"its column {name} must not be of {kind}"
    return ""


def _kind_of(name: str) -> Callable[[pa.DataType], bool]:
    """Return what tells whether a type fits a column."""
    if name in TEXTS:
        return _is_text
    if name in _WHOLE:
        return pa.types.is_int64
    if name == _SECONDS:
        return pa.types.is_float64
    return _is_number


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_number(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
    )


def open_table(content: bytes) -> pq.ParquetFile:
    """Return a table to be read, of which nothing but the metadata is decoded.

    Raises:
        OSError, pa.ArrowException: when it cannot be read.
    """
    buffer = pa.BufferReader(content)
    try:
        # Dictionaries keep a long text that stands in all rows from being copied to
        # each.
        return pq.ParquetFile(buffer, read_dictionary=TEXTS)
    except KeyError:  # it lacks one of them, which `misfit_of_columns` names
        return pq.ParquetFile(buffer)


def decode(file: pq.ParquetFile) -> pa.Table:
    """Read a table whose columns fit, without the metadata that its writer added.

    Args:
        file: the table, as `open_table` returns it.

    Returns:
        Columns of one chunk each. Texts are dictionaries; metrics are of float64.

    Raises:
        ValueError: when a column of texts would take more memory than it may.
        OSError, pa.ArrowException: when the table cannot be read.
    """
    # A table is small: starting threads costs more than they save.
    table = file.read(use_threads=False).replace_schema_metadata()
    batches = table.to_batches()
    if len(batches) != 1:
        table = table.unify_dictionaries().combine_chunks()
        batches = table.to_batches()
    for name in TEXTS:
        column = batches[0].column(name)
        dictionary = column.dictionary
        # What all entries take is quick to tell; the longest is seldom asked for.
        if dictionary.nbytes * len(table) > _MAX_TEXT_BYTES:
            longest = pc.max(pc.binary_length(dictionary)).as_py()
            if longest * len(table) > _MAX_TEXT_BYTES:
                raise ValueError(f"its column {name} must hold short texts")
        if dictionary.type != TEXT:
            texts = pa.DictionaryArray.from_arrays(
                column.indices, dictionary.cast(TEXT)
            )
            table = table.set_column(table.column_names.index(name), name, texts)
    for at in _metrics_to_cast(table.schema):
        values = table.column(at).cast(_FLOAT64, safe=False)
        table = table.set_column(at, table.column_names[at], values)
    return table


@_once_a_schema
def _metrics_to_cast(schema: pa.Schema) -> list[int]:
    """Return the metrics of other types; one of a whole run may count, or answer."""
    return [
        at
        for at, (name, kind) in enumerate(zip(schema.names, schema.types, strict=True))
        if name not in _NOT_METRICS and kind != _FLOAT64
    ]


def is_decoded(schema: pa.Schema, names: Sequence[Sequence[str]]) -> bool:
    """Return whether a table can be the joined tables that `decode` returned.

    Args:
        schema: its schema.
        names: the columns of each of them.
    """
    types = dict(zip(schema.names, schema.types, strict=True))
    text = pa.dictionary(pa.int32(), TEXT)
    expected = dict.fromkeys(TEXTS, text) | dict.fromkeys(_WHOLE, pa.int64())
    return (
        len(types) == len(schema)
        and all(set(_NOT_METRICS) <= set(one) <= set(types) for one in names)
        and all(kind == expected.get(name, _FLOAT64) for name, kind in types.items())
    )


def to_frame(table: pa.Table) -> "pd.DataFrame":
    """Return a table with dictionaries of texts as a data frame with texts."""
    names, types = table.schema.names, table.schema.types
    for at, (name, kind) in enumerate(zip(names, types, strict=True)):
        if pa.types.is_dictionary(kind):
            texts = table.column(at).cast(pa.large_string())
            table = table.set_column(at, name, texts)
    return table.to_pandas()


def misfit_of_rows(table: pa.Table, footer: Mapping[str, Any]) -> str:
    """Return where the rows of a table are not those of a cell, in words, or nothing.

    Args:
        table: as `decode` returns it.
        footer: its footer.
    """
    (batch,) = table.to_batches()
    columns = {name: batch.column(name) for name in _NOT_METRICS}
    for name, column in columns.items():
        if column.null_count:
            return f"its column {name} must have no gap"
    # Faster than `to_numpy`, which loads pandas.
    numbers = {name: np.from_dlpack(columns[name]) for name in (*_WHOLE, _SECONDS)}
    shape = footer["runs"], -1
    seeds, steps = numbers["seed"].reshape(shape), numbers["step"].reshape(shape)
    if (
        (seeds != seeds[:, :1]).any()
        or len(set(seeds[:, 0].tolist())) < len(seeds)
        or (steps != steps[:1]).any()
        or (steps[0, 1:] <= steps[0, :-1]).any()
    ):
        return "its table has not one row for each run and record"
    lowest = np.stack([numbers[name] for name in _WHOLE]).min(axis=1).tolist()
    lowest.append(numbers[_SECONDS].min())
    for name, least in zip(numbers, lowest, strict=True):
        if not least >= 0:  # nor is NaN
            return f"its column {name} must hold no number below 0"
    statuses = set(columns["status"].unique().to_pylist())
    if unknown := sorted(statuses - _ENDINGS):
        return f"its column status must hold statuses; got {unknown[0]!r}"
    if numbers["stopped_at"].max() > footer["cell"]["steps"]:
        return "its column stopped_at must hold steps of the cell"
    return _misfit_of_records(steps[0].tolist(), statuses, footer)


def _misfit_of_records(
    steps: list[int], statuses: set[str], footer: Mapping[str, Any]
) -> str:
    """Return where records are not those of a cell's plan, in words, or nothing.

    Records may lack at the end, of a cell that failed or that a limit ended.

    Args:
        steps: of the records.
        statuses: of the runs.
        footer: of the table.
    """
    if "records" not in footer["cell"]:
        return ""
    planned = list(schedule(footer["cell"]["steps"], footer["cell"]["records"]))
    if steps != planned[: len(steps)]:
        return "its records must be at the steps that its footer plans"
    is_whole = len(steps) == len(planned)
    if not is_whole and (not footer["reason"] or statuses & _WHOLE_RUNS):
        return f"it must have {len(planned)} records; it has {len(steps)}"
    return ""


# ---- the tensors ----

_FLOATS = ("F16", "F32", "F64")
_DTYPES = {"float32": "F32", "float64": "F64"}  # of iterates, by the cell's dtype
# Types that numpy has, with their bytes.
_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "U16": 2,
    "I16": 2,
    "U32": 4,
    "I32": 4,
    "U64": 8,
    "I64": 8,
    "F16": 2,
    "F32": 4,
    "F64": 8,
}
MAX_HEADER_BYTES = 2**20


class _Tensor(TypedDict):
    """An entry in the header of a file of tensors."""

    dtype: Annotated[str, re.compile("|".join(_BYTES))]
    shape: list[Count]
    data_offsets: tuple[Count, Count]


def misfit_of_tensors(
    head: bytes, size: int, kind: str, footer: Mapping[str, Any]
) -> str:
    """Return where a file of tensors does not fit its cell, in words, or nothing.

    Args:
        head: its first `MAX_HEADER_BYTES` at least, or all of it.
        size: bytes of the file.
        kind: of companion file.
        footer: of the cell's table.
    """
    length = int.from_bytes(head[:8], "little")
    if size < 8 or length > len(head) - 8:
        return "its header must be as long as it says"
    try:
        header = parse_json(head[8 : 8 + length])
    except ValueError as error:
        return f"its header must be JSON; {error}"
    if not isinstance(header, dict):
        return "its header must be a JSON object"
    header.pop("__metadata__", None)
    if found := find_misfit(header, dict[str, _Tensor]):
        return found
    end = 0
    for name, tensor in sorted(
        header.items(), key=lambda item: item[1]["data_offsets"]
    ):
        first, last = tensor["data_offsets"]
        if (
            first != end
            or last - first != prod(tensor["shape"]) * _BYTES[tensor["dtype"]]
        ):
            return f"its tensor {name} must have the bytes of its shape"
        end = last
    if size != 8 + length + end:
        return "its header must tell its size"
    shapes = {name: (one["dtype"], one["shape"]) for name, one in header.items()}
    if found := _CHECKS[kind](shapes, footer):
        return found
    for name in {"steps", "path_steps"} & set(header):
        first, last = (8 + length + at for at in header[name]["data_offsets"])
        # Whole numbers of eight bytes stand before the others.
        if last > len(head) or not _are_steps(head[first:last], name, footer):
            return f'its "{name}" must be those of the cell'
    return ""


Shapes = Mapping[str, tuple[str, list[int]]]


def _are_steps(content: bytes, name: str, footer: Mapping[str, Any]) -> bool:
    """Return whether bytes are the steps of iterates or of a path of a cell."""
    steps = np.frombuffer(content, "<i8")
    if name == "steps" and "records" in footer["cell"]:
        last = footer["cell"]["steps"]
        planned = schedule(last, footer["cell"]["records"])
        return steps.tolist() in ([last], list(planned[: len(steps)]))
    return bool(
        steps[0] >= 0
        and (np.diff(steps) > 0).all()
        and steps[-1] <= footer["cell"]["steps"]
    )


def _misfit_of_iterates(shapes: Shapes, footer: Mapping[str, Any]) -> str:
    if set(shapes) != {"z", "steps"}:
        return 'it must hold the tensors "z" and "steps"'
    (kind, shape), (steps_kind, steps_shape) = shapes["z"], shapes["steps"]
    cell = footer["cell"]
    steps = cell["steps"]
    kept, planned = footer.get("kept", "all"), cell.get("records", steps)
    most = 1 if kept == "last" else most_records(steps, planned)
    if steps_kind != "I64" or len(steps_shape) != 1 or not 1 <= steps_shape[0] <= most:
        return 'its "steps" must be a list of steps'
    if len(shape) != 3 or shape[:2] != [*steps_shape, footer["runs"]] or not shape[2]:
        return 'its "z" must have the shape (steps, runs, dim)'
    if kind != _DTYPES[footer["dtype"]]:
        return f'its "z" must hold {footer["dtype"]}; it holds {kind}'
    return ""


def _misfit_of_arrays(shapes: Shapes, footer: Mapping[str, Any]) -> str:
    if sorted(shapes) != sorted(footer.get("arrays", shapes)):
        return "it must hold the arrays that its footer names"
    path, steps, sheet = map(shapes.get, ("path", "path_steps", "sheet"))
    if steps and (
        steps[0] != "I64"
        or len(steps[1]) != 1
        or not 1 <= steps[1][0] <= footer["cell"]["steps"] + 1
    ):
        return 'its "path_steps" must be a list of steps'
    if path and not (
        path[0] in _FLOATS
        and len(path[1]) == 3
        and 1 <= path[1][0] <= footer["runs"]
        and path[1][1] >= 1
        and path[1][2] == 2
    ):
        return 'its "path" must have the shape (runs, points, 2)'
    if path and steps and path[1][1:2] != steps[1]:
        return 'its "path" must have a point for each of its "path_steps"'
    if sheet and not (
        sheet[0] in (*_FLOATS, "U8")
        and len(sheet[1]) >= 3
        and 1 <= sheet[1][0] <= footer["runs"]
        and all(sheet[1])
    ):
        return 'its "sheet" must have the shape (runs, count, ...)'
    return ""


def _misfit_of_state(shapes: Shapes, footer: Mapping[str, Any]) -> str:
    """Return where packed chunks are not those of a cell, in words, or nothing.

    What is in them is checked by whoever goes on from them.
    """
    chunks = -(-footer["runs"] // footer["width"])
    if set(shapes) != set(map(str, range(chunks))):
        return f"it must hold the states of {chunks} chunks"
    if any(kind != "U8" or len(shape) != 1 for kind, shape in shapes.values()):
        return "its tensors must be lists of bytes"
    return ""


_CHECKS = {
    "arrays": _misfit_of_arrays,
    "iterates": _misfit_of_iterates,
    "state": _misfit_of_state,
}
