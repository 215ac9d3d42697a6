"""Mutations of the structure of stored files, sealed as mmbench seals its own.

Others are of checkpoints, with their digest, and of suites.
"""

import json
import random
import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mmbench.core.checkpoint import pack, unpack
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


def _footer(content: bytes) -> bytes:
    return pq.read_metadata(pa.BufferReader(content)).metadata[FOOTER]


def change_table(content: bytes, chance: random.Random) -> bytes:
    """Return a sealed table with another structure and its footer."""
    table = pq.read_table(pa.BufferReader(content))
    footer = _footer(content).decode()
    name = chance.choice(table.column_names)
    return sealed(chance.choice(TABLE_CHANGES)(table, name, chance), footer)


def change_footer(content: bytes, chance: random.Random) -> bytes:
    """Return a sealed table with a footer of another structure."""
    table = pq.read_table(pa.BufferReader(content))
    document = json.loads(_footer(content))
    odd = ("[" * 100_000, "", "null", "NaN", "7", '{"a": 1, "a": 2}', "\ufeff{}", "[1")
    if chance.random() < 0.03:
        return sealed(table, chance.choice(odd))
    return sealed(table, to_text(mutate(document, chance)))


_TENSOR_CHANGES: tuple[Callable[[Any], Any], ...] = (
    lambda leaf: leaf[:0],
    lambda leaf: leaf[1:],
    lambda leaf: leaf[None],
    lambda leaf: leaf.reshape(-1),
    lambda leaf: leaf * -1,
    lambda leaf: leaf * 0,
    lambda leaf: leaf + 1,
    lambda leaf: leaf * 0 + 2**31,
    lambda leaf: leaf * 0 + 2**62,
    lambda leaf: leaf * float("nan"),
    lambda leaf: leaf >= 0,
    lambda leaf: torch.cat((torch.as_tensor(leaf),) * 2),
    *(
        lambda leaf, kind=kind: torch.as_tensor(leaf).to(kind)
        for kind in (torch.float64, torch.float16, torch.bfloat16, torch.int8)
    ),
)


def change_checkpoint(content: bytes, chance: random.Random) -> bytes:
    """Return a checkpoint of another structure, or with other numbers in a tensor."""
    saved = unpack(content)
    if chance.random() < 0.6:
        return pack(mutate(saved, chance))
    paths = []
    for path in paths_in(saved):
        leaf = saved
        for name in path:
            leaf = leaf[name]
        if isinstance(leaf, torch.Tensor | np.ndarray):
            paths.append((path, leaf))
    (*way, last), leaf = chance.choice(paths)
    holder = saved
    for name in way:
        holder = holder[name]
    try:
        holder[last] = chance.choice(_TENSOR_CHANGES)(leaf)
    except (RuntimeError, IndexError, TypeError, OverflowError, ZeroDivisionError):
        holder[last] = torch.zeros(2, 3)
    return pack(saved)


def change_suite(content: bytes, chance: random.Random) -> bytes:
    """Return a suite of another structure, in TOML."""
    document = mutate(tomllib.loads(content.decode()), chance)
    if not isinstance(document, dict):
        document = {"grid": document}
    lines = [f"{json.dumps(name)} = {_toml(value)}" for name, value in document.items()]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _toml(value: Any) -> str:
    """Return a value in TOML; null, which it does not have, as `json` writes it."""
    if isinstance(value, dict):
        entries = (f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items())
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)  # as TOML has inf and nan
    return "[" * 10_000 if value == DEEP else json.dumps(value)


def write_changed(path: Path, content: bytes) -> None:
    """Replace a file, so that whoever has read it notices."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
