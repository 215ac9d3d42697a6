"""The rows of many short tables in one file, the index of tables.

To open a short table takes far longer than to read and hash its file. So what was read
of it once is kept beside the digest of its bytes. Whoever reads the index reads and
hashes each table's file all the same, and opens those of which the index does not have
the bytes: neither damage nor a change passes unseen.

A command that computes many cells adds them to the index as they end. The index is a
cache: where it is lacking, damaged or of another version, it is written anew. It holds
blocks of many cells, each with a digest of its own bytes, and belongs to no cell.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from typing import Annotated, NamedTuple, TypedDict

import pyarrow as pa

from mmbench.core.files import atomic_writer, open_file
from mmbench.core.json_schema import Count, Range, find_misfit, parse_json
from mmbench.store.folder import Store
from mmbench.store.parquet import SCHEMA, SHORT_ROWS, intact_digest
from mmbench.store.schema import is_decoded
from mmbench.store.stored_files import Version, read_bytes

TABLES = "index.tables"  # its name in the folder of the store
FEWEST_CELLS = 1000  # fewer are read at once, and their folder stays as it is
BLOCK_CELLS = 500
_FORMAT = "1"  # raised when entries come to mean something else, or are made otherwise
_HEADER = b"mmbench"  # metadata key of the entries
_DIGITS = 64  # of a SHA-256 in hexadecimal
_LENGTH_BYTES = 8
_Positive = Annotated[int, Range(1)]

Texts = tuple[str, str, str, str]  # task, algorithm, label and parameters of a cell
Files = dict[str, tuple[bytes, Version]]  # key to what `read_bytes` returned


class Entry(NamedTuple):
    """What was read of one table.

    Args:
        key: the cell's key.
        digest: of the bytes of its file, as `intact_digest` returns it.
        rows: number of its rows.
        columns: their names.
        texts: what is kept of its footer.
    """

    key: str
    digest: str
    rows: int
    columns: tuple[str, ...]
    texts: Texts


class Block(NamedTuple):
    """Tables that were joined.

    Args:
        entries: one for each table.
        table: their rows, as `join` returns them.
    """

    entries: Sequence[Entry]
    table: pa.Table


class _Fields(TypedDict):
    """The entries of a block as they are written, a list for each field."""

    version: list[str]
    names: list[list[str]]  # sets of columns
    key: list[str]
    digest: list[str]
    rows: list[_Positive]
    columns: list[Count]  # of each cell, its place in `names`
    texts: list[Texts]


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables, one table after the other.

    Columns have one chunk; one that a table lacks holds nulls there.

    Args:
        tables: as `mmbench.store.schema.decode` returns them, or joined ones.
    """
    joined = pa.concat_tables(tables, promote_options="permissive")
    return joined.unify_dictionaries().combine_chunks()


class TableIndex:
    """The index of a store, from which the next one is made.

    Args:
        store: the store.
        on_block: called with each block of cells that the next index holds.
    """

    def __init__(self, store: Store, on_block: Callable[[Block], None]) -> None:
        self._store, self._on_block = store, on_block
        self._whole: list[bytes] = []  # encoded, which takes little memory
        self._small: list[Block] = []
        self._entries: list[Entry] = []  # of the block that grows
        self._tables: list[pa.Table] = []
        self._is_changed = False

    def take_unchanged(self, keys: dict[str, None]) -> Iterator[Files]:
        """Take over the blocks of which no file has changed; yield those of the others.

        A file that is not there or cannot be read has changed.

        Args:
            keys: of the store's cells; those whose files were read are taken out.
        """
        for content in _read(self._store):
            if not (block := _decode(content)):
                self._is_changed = True
                continue
            files: Files = {}
            for entry in block.entries:
                if entry.key in keys:
                    with contextlib.suppress(OSError):
                        files[entry.key] = read_bytes(self._store.table(entry.key))
                        del keys[entry.key]
            if all(
                entry.key in files
                and intact_digest(files[entry.key][0]) == entry.digest
                for entry in block.entries
            ):
                self._take(block, content)
            else:
                self._is_changed = True
                yield files

    def add(self, key: str, content: bytes, table: pa.Table, texts: Texts) -> bool:
        """Add a cell unless its table is too long; return whether it was added.

        Args:
            key: the cell's key.
            content: the bytes of its table's file.
            table: the table in them, as `mmbench.store.schema.decode` returns it.
            texts: what is kept of its footer.
        """
        if len(table) > SHORT_ROWS:
            return False
        columns = tuple(table.column_names)
        self._entries.append(
            Entry(key, intact_digest(content), len(table), columns, texts)
        )
        self._tables.append(table)
        self._is_changed = True
        if len(self._entries) == BLOCK_CELLS:
            self._close_block()
        return True

    def close(self) -> None:
        """End the last block, and write the index if it has changed.

        It is not written where the folder cannot be. Another process may write, too.
        """
        self._close_block()
        if self._is_changed:
            # So that at most one block is small, however often cells are added.
            together = [_encode(_joined(self._small))] if self._small else []
            with contextlib.suppress(OSError):
                _write(self._store, [*self._whole, *together])

    def append(self) -> None:
        """Add the whole blocks to the index as it is, of which nothing is read.

        Nothing is added where the folder cannot be written. What another process writes
        meanwhile, or a block that was not written to its end, costs time alone.
        """
        with (
            contextlib.suppress(OSError),
            (self._store.folder / TABLES).open("ab") as file,
        ):
            file.write(b"".join(map(_framed, self._whole)))

    def _close_block(self) -> None:
        if self._entries:
            self._take(Block(self._entries, join(self._tables)))
            self._entries, self._tables = [], []

    def _take(self, block: Block, content: bytes = b"") -> None:
        if len(block.entries) < BLOCK_CELLS:
            self._small.append(block)
        else:
            self._whole.append(content or _encode(block))
        self._on_block(block)


# ---- the file ----


def _read(store: Store) -> Iterator[bytes]:
    """Yield the blocks of the index, up to the first that is not as written."""
    with contextlib.suppress(OSError), open_file(store.folder / TABLES) as file:
        size = os.fstat(file.fileno()).st_size
        while digest := file.read(_DIGITS):
            length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
            content = file.read(min(length, size))  # a damaged length may be any
            if _digest(content) != digest:
                return
            yield content


def _write(store: Store, blocks: Iterable[bytes]) -> None:
    with atomic_writer(store.folder / TABLES) as file:
        for content in blocks:
            file.write(_framed(content))


def _framed(content: bytes) -> bytes:
    """Return a block with its digest and its length, by which `_read` finds its end."""
    length = len(content).to_bytes(_LENGTH_BYTES, "big")
    return _digest(content) + length + content


def _joined(blocks: Sequence[Block]) -> Block:
    entries = [entry for block in blocks for entry in block.entries]
    return Block(entries, join([block.table for block in blocks]))


def _encode(block: Block) -> bytes:
    names: dict[tuple[str, ...], int] = {}
    entries = block.entries
    places = [names.setdefault(one.columns, len(names)) for one in entries]
    fields: _Fields = {
        "version": _version(),
        "names": list(map(list, names)),
        "key": [one.key for one in entries],
        "digest": [one.digest for one in entries],
        "rows": [one.rows for one in entries],
        "columns": places,
        "texts": [one.texts for one in entries],
    }
    table = block.table.replace_schema_metadata({_HEADER: json.dumps(fields)})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _decode(content: bytes) -> Block | None:
    """Return a block from its bytes; None where they are no block of this version."""
    try:
        options = pa.ipc.IpcReadOptions(use_threads=False)
        table = pa.ipc.open_stream(content, options=options).read_all()
        fields = parse_json((table.schema.metadata or {})[_HEADER])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    if find_misfit(fields, _Fields) or fields["version"] != _version():
        return None
    columns = [tuple(one) for one in fields["names"]]
    lists = [fields[name] for name in ("key", "digest", "rows", "columns", "texts")]
    if (
        not fields["key"]
        or {len(one) for one in lists} != {len(set(fields["key"]))}
        or sum(fields["rows"]) != len(table)
        or max(fields["columns"]) >= len(columns)
        or not is_decoded(table.schema, columns)
    ):
        return None
    entries = [
        Entry(key, digest, rows, columns[place], tuple(texts))
        for key, digest, rows, place, texts in zip(*lists, strict=True)
    ]
    return Block(entries, table.replace_schema_metadata().combine_chunks())


@cache
def _version() -> list[str]:
    """Return which code checked the tables of a block and made its entries."""
    return [version("mmbench"), str(SCHEMA), _FORMAT]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
