"""Damage: whatever happens to the bytes of a stored cell, it is found and not read."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import (
    ARRAYS,
    FOOTER,
    FRAME,
    ITERATES,
    KEY,
    OTHER,
    footer_of,
    tidy_frame,
)

from mmbench.core.errors import DamagedError
from mmbench.store.folder import Store

LARGE = tidy_frame(2, 60, loss=np.random.default_rng(0).normal(size=120))
LARGE_FOOTER = footer_of(2, steps=100)


def put(folder: Path) -> Store:
    """A store with two cells."""
    store = Store(folder)
    store.put(KEY, LARGE, LARGE_FOOTER, ARRAYS, ITERATES)
    store.put(OTHER, FRAME, FOOTER, {"path": ARRAYS["path"] + 1}, ITERATES)
    return store


# ---- where a byte may stand ----


def table_places(content: bytes) -> dict[str, range]:
    """Ranges of positions in a table, by what stands there."""
    end = len(content)
    length = int.from_bytes(content[-8:-4], "little")
    columns = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    pages = [
        columns.column(i).dictionary_page_offset or columns.column(i).data_page_offset
        for i in range(columns.num_columns)
    ]
    document = content.rfind(b'"schema": ')
    mark = content.rfind(b"mmbench:sha256:")
    arrow = content.rfind(b"ARROW:schema")
    assert 0 < document < mark < arrow < end - 8
    return {
        "first magic": range(4),
        "page headers": range(pages[0], pages[0] + 20),
        "a later page header": range(pages[2], pages[2] + 20),
        "data": range(pages[-1] + 40, end - 8 - length),
        "footer": range(end - 8 - length, end - 8),
        "description": range(document - 60, document + 12),
        "digest's mark": range(mark, mark + 15),
        "digest": range(mark + 15, mark + 79),
        "Arrow's schema": range(arrow, end - 8),
        "footer's length": range(end - 8, end - 4),
        "last magic": range(end - 4, end),
    }


def array_places(content: bytes) -> dict[str, range]:
    """Ranges of positions in a file of arrays."""
    length = 8 + int.from_bytes(content[:8], "little")
    return {
        "header's length": range(8),
        "header": range(8, length),
        "data": range(length, len(content)),
    }


def flip(content: bytes, at: int, rng: random.Random) -> bytes:
    """One bit is another one."""
    return replaced(content, at, bytes([content[at] ^ 1 << rng.randrange(8)]))


def zeros(content: bytes, at: int, rng: random.Random) -> bytes:
    """A stretch was never written."""
    return replaced(content, at, bytes(rng.randrange(1, 64)))


def noise(content: bytes, at: int, rng: random.Random) -> bytes:
    """A stretch is something else."""
    return replaced(content, at, rng.randbytes(rng.randrange(1, 64)))


def cut(content: bytes, at: int, rng: random.Random) -> bytes:
    """Bytes are missing."""
    return content[:at] + content[at + rng.randrange(1, 9) :]


def insert(content: bytes, at: int, rng: random.Random) -> bytes:
    """Bytes were slipped in."""
    return content[:at] + rng.randbytes(rng.randrange(1, 9)) + content[at:]


def twice(content: bytes, at: int, rng: random.Random) -> bytes:
    """A stretch stands there twice."""
    return content[: at + 8] + content[at:]


def short(content: bytes, at: int, rng: random.Random) -> bytes:
    """The end is missing."""
    return content[:at]


def replaced(content: bytes, at: int, by: bytes) -> bytes:
    """The content with other bytes in a place, as long as it was."""
    return (content[:at] + by + content[at + len(by) :])[: len(content)]


CHANGES = (flip, zeros, noise, cut, insert, twice, short)
TABLE = (
    "first magic",
    "page headers",
    "a later page header",
    "data",
    "footer",
    "description",
    "digest's mark",
    "digest",
    "Arrow's schema",
    "footer's length",
    "last magic",
)
COMPANION = ("header's length", "header", "data")
TRIES = 3  # of each change in each place: 231 in tables and 126 in companion files


def assert_found(store: Store, read: Callable[[str], Any]) -> None:
    """Damage is reported, and damaged files are not read."""
    assert store.faults(KEY) != []
    with pytest.raises(DamagedError) as caught:
        read(KEY)
    message = str(caught.value)
    assert message.startswith(str(store.folder / KEY))
    assert "\n" not in message


@pytest.mark.parametrize("place", TABLE)
def test_every_change_of_a_table_is_found(tmp_path: Path, place: str) -> None:
    """In whatever part of the file it is; neither table nor footer is read."""
    store = put(tmp_path)
    path, rng = store.table(KEY), random.Random(place)
    content = path.read_bytes()
    for change in CHANGES * TRIES:
        at = rng.choice(table_places(content)[place])
        changed = change(content, at, rng)
        if changed == content:  # zeros where there were some
            changed = flip(content, at, rng)
        path.write_bytes(changed)
        for read in (store.frame, store.footer, store.arrays):
            assert_found(store, read)
    path.write_bytes(content)
    assert store.faults(KEY) == []


@pytest.mark.parametrize("place", COMPANION)
@pytest.mark.parametrize("kind", ["arrays", "iterates"])
def test_every_change_of_a_companion_is_found(
    tmp_path: Path, kind: str, place: str
) -> None:
    """Arrays and iterates are read whole and right or not at all."""
    store = put(tmp_path)
    path, rng = store.companions(KEY)[kind], random.Random(kind + place)
    content = path.read_bytes()
    for change in CHANGES * TRIES:
        at = rng.choice(array_places(content)[place])
        changed = change(content, at, rng)
        if changed == content:
            changed = flip(content, at, rng)
        path.write_bytes(changed)
        assert_found(store, getattr(store, kind))
    path.unlink()
    assert_found(store, getattr(store, kind))


def test_bits_all_over_a_table_count(tmp_path: Path) -> None:
    """Every seventh byte of a small table, whatever stands there."""
    store = put(tmp_path)
    path = store.table(OTHER)
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(flip(content, at, random.Random(at)))
        with pytest.raises(DamagedError):
            store.footer(OTHER)


# ---- files that are whole, in the wrong place ----


@pytest.mark.parametrize("what", ["empty", "text", "parquet", "footer", "zeros"])
def test_foreign_tables_are_found(tmp_path: Path, what: str) -> None:
    """What mmbench did not write is not read, even if it looks alike."""
    store = put(tmp_path)
    path = store.table(KEY)
    output = {b"mmbench": json.dumps({"schema": 3, "key": KEY, "files": {}}).encode()}
    table = pa.Table.from_pandas(FRAME)
    contents = {
        "empty": b"",
        "text": b"not what it was" * 40,
        "zeros": bytes(len(path.read_bytes())),
    }
    if what == "parquet":
        pq.write_table(table, path)
    elif what == "footer":
        pq.write_table(table.replace_schema_metadata(output), path)
    else:
        path.write_bytes(contents[what])
    assert_found(store, store.frame)


def test_swapped_files_are_found(tmp_path: Path) -> None:
    """Two cells' tables, or arrays, that changed their places."""
    store = put(tmp_path)
    shutil.copy(store.table(OTHER), store.table(KEY))
    assert_found(store, store.frame)
    store = put(tmp_path)
    one, other = (store.companions(key)["arrays"] for key in (KEY, OTHER))
    shutil.copy(other, one)
    assert_found(store, store.arrays)
    store = put(tmp_path)
    companions = store.companions(KEY)
    shutil.copy(companions["iterates"], companions["arrays"])
    assert_found(store, store.arrays)


def test_an_older_table_gets_no_newer_arrays(tmp_path: Path) -> None:
    """A table that came back, as from a backup, finds its own arrays or none."""
    store = put(tmp_path)
    before = store.table(KEY).read_bytes()
    store.put(KEY, LARGE, LARGE_FOOTER, {"path": ARRAYS["path"] * 2}, ITERATES)
    store.table(KEY).write_bytes(before)
    assert_found(store, store.arrays)
