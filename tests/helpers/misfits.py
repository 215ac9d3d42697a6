"""Mutations of the structure of stored files, sealed as mmbench seals its own."""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmbench.store.parquet import FOOTER, embed_digest

HUGE = 10**400
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 2**63, 2**31, HUGE, -HUGE, 0.5, -0.0),
    *(float("nan"), float("inf"), 1e308, "", "x", "\0", "\ud800", "x" * 10**5, "é"),
    *([], {}, [[]], {"": {}}, {"class": 7}, {"class": "os:system"}, [None], [0, "1"]),
    *([{"name": 1}], {"timeout": "x"}, {"finished": -1}, ["sheet"], "[" * 40),
)
DEEP = "deep value of a mutation"


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values within JSON values."""
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value[:3])
    for name, entry in pairs:
        yield (*path, name)
        yield from paths_in(entry, (*path, name))


def mutate(document: Any, chance: random.Random) -> Any:
    """Return JSON values with one or two entries replaced, removed, added or moved."""
    changed = deepcopy(document)
    for _ in range(chance.choice((1, 1, 2))):
        paths = list(paths_in(changed))
        if not paths:
            return chance.choice(VALUES)
        # Entries near the root as often as the many that lie deep.
        depth = chance.randint(1, max(map(len, paths)))
        *way, name = chance.choice([one for one in paths if len(one) <= depth])
        holder = changed
        for step in way:
            holder = holder[step]
        match chance.randrange(5):
            case 0:
                del holder[name]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(("another", "class", "", "\ud800"))] = holder[name]
            case 2:
                other = chance.choice(paths)
                found = document
                try:
                    for step in other:
                        found = found[step]
                except (LookupError, TypeError):
                    found = None
                holder[name] = deepcopy(found)
            case 3 if chance.random() < 0.1:
                holder[name] = DEEP
            case _:
                holder[name] = deepcopy(chance.choice(VALUES))
    return changed


def to_text(document: Any) -> str:
    """Return JSON values as a document, in which one value may nest very deep."""
    text = json.dumps(document)
    return text.replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000)


def sealed(table: pa.Table, footer: str) -> bytes:
    """Return a table with a footer as mmbench writes it, whatever they hold."""
    metadata = {FOOTER: footer.encode(), b"seal": b"mmbench:sha256:" + b"0" * 64}
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata((table.schema.metadata or {}) | metadata)
    pq.write_table(table, sink, compression="zstd")
    return embed_digest(sink.getvalue().to_pybytes())


def _replaced(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


Change = Callable[[pa.Table, str, random.Random], pa.Table]


def _cast(kind: pa.DataType) -> Change:
    def change(table: pa.Table, name: str, chance: random.Random) -> pa.Table:
        try:
            return _replaced(table, name, table[name].cast(kind))
        except (pa.ArrowException, ValueError):
            return _replaced(table, name, pa.nulls(len(table), kind))

    return change


def _filled(values: Callable[[int], pa.Array]) -> Change:
    def change(table: pa.Table, name: str, chance: random.Random) -> pa.Table:
        return _replaced(table, name, values(len(table)))

    return change


def _with_metadata(value: bytes) -> Change:
    def change(table: pa.Table, name: str, chance: random.Random) -> pa.Table:
        return table.replace_schema_metadata({b"pandas": value})

    return change


TABLE_CHANGES: tuple[Change, ...] = (
    *map(_cast, (pa.int8(), pa.uint64(), pa.float32(), pa.bool_(), pa.null())),
    *map(_cast, (pa.binary(), pa.date32(), pa.decimal128(38, 3), pa.string())),
    *map(_cast, (pa.timestamp("ns", "UTC"), pa.duration("s"), pa.list_(pa.int64()))),
    _cast(pa.struct([("a", pa.int64())])),
    _cast(pa.dictionary(pa.int32(), pa.string())),
    _filled(lambda rows: pa.repeat(-1, rows)),
    _filled(lambda rows: pa.repeat(2**62, rows)),
    _filled(lambda rows: pa.repeat(float("inf"), rows)),
    _filled(lambda rows: pa.repeat("x" * 1000, rows)),
    _filled(lambda rows: pa.repeat("", rows)),
    _filled(lambda rows: pa.array(range(rows))),
    _filled(lambda rows: pa.array([None] + [0] * (rows - 1))),
    lambda table, name, chance: table.drop_columns([name]),
    lambda table, name, chance: table.append_column(name, table[name]),
    lambda table, name, chance: table.append_column("", table[name]),
    lambda table, name, chance: table.append_column("\0=x", table[name]),
    lambda table, name, chance: table.slice(0, 0),
    lambda table, name, chance: table.slice(1),
    lambda table, name, chance: pa.concat_tables([table, table]),
    lambda table, name, chance: table.take(
        pa.array(chance.sample(range(len(table)), len(table)))
    ),
    lambda table, name, chance: table.select([]),
    lambda table, name, chance: table.rename_columns(["x"] * table.num_columns),
    *map(_with_metadata, (b"", b"{}", b"[", b'{"index_columns": ["seed"]}')),
    _with_metadata(b'{"index_columns": [7], "columns": 3, "column_indexes": []}'),
    _with_metadata(b"[" * 100_000),
)


def change_table(content: bytes, chance: random.Random) -> bytes:
    """Return a sealed table with another structure and its footer."""
    table = pq.read_table(pa.BufferReader(content))
    footer = table.schema.metadata[FOOTER].decode()
    name = chance.choice(table.column_names)
    return sealed(chance.choice(TABLE_CHANGES)(table, name, chance), footer)


def change_footer(content: bytes, chance: random.Random) -> bytes:
    """Return a sealed table with a footer of another structure."""
    table = pq.read_table(pa.BufferReader(content))
    document = json.loads(table.schema.metadata[FOOTER])
    odd = ("[" * 100_000, "", "null", "NaN", "7", '{"a": 1, "a": 2}', "\ufeff{}", "[1")
    if chance.random() < 0.03:
        return sealed(table, chance.choice(odd))
    return sealed(table, to_text(mutate(document, chance)))


def write_changed(path: Path, content: bytes) -> None:
    """Replace a file, so that whoever has read it notices."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
