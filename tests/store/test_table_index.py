"""The index of tables: it saves opening short tables, and hides nothing."""

import hashlib
import os
import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from stores import FOOTER, FRAME, KEY, OTHER, PLAIN, footer_of, tidy_frame

from mmbench.analysis.export import to_csv
from mmbench.analysis.results import Gathered
from mmbench.store import archive, stored_files, table_index
from mmbench.store.folder import Store
from mmbench.store.integrity import check
from mmbench.store.schema import to_frame
from mmbench.store.stored_files import StoredFiles
from mmbench.store.table_index import TABLES

LONG = "a" * 24  # of a table that is too long for the index


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store that is taken for a large one, of cells with several columns."""
    monkeypatch.setattr("mmbench.analysis.results.FEWEST_CELLS", 2)
    monkeypatch.setattr(table_index, "BLOCK_CELLS", 2)
    made = Store(tmp_path / "store")
    made.put(KEY, FRAME, FOOTER, {})
    frame = tidy_frame(2, 1, y=[True, False], label="c")
    made.put(OTHER, frame, FOOTER | {"label": "c"}, {})
    frame = tidy_frame(2, 1, x=[-0.0, 1e-20], algorithm="omd", reason=["", "ü"])
    made.put(PLAIN, frame, FOOTER | {"algorithm": "omd"}, {})
    made.put(LONG, tidy_frame(101, 1, z=np.arange(101) / 7), footer_of(101), {})
    return made


def table_of(store: Store) -> tuple[pd.DataFrame, bytes, list[str]]:
    """Return all rows as a frame and as CSV, and what was damaged."""
    pieces = pa.concat_tables(
        (gathered := Gathered(store, with_footers=False).read_all()).pieces(),
        promote_options="permissive",
    )
    return to_frame(pieces), to_csv(pieces), gathered.damaged


def check_table(store: Store, monkeypatch: pytest.MonkeyPatch, times: int = 2) -> None:
    """Check that the table is what reading all files gives, time after time."""
    with monkeypatch.context() as patch:
        patch.setattr("mmbench.analysis.results.FEWEST_CELLS", 1000)
        frame, content, damaged = table_of(store)
    for _ in range(times):
        found = table_of(store)
        pd.testing.assert_frame_equal(found[0], frame, check_exact=True)
        assert found[1:] == (content, damaged)


def keys_of_blocks(store: Store) -> list[list[str]]:
    """Return the keys of the cells of each block of the index."""
    blocks = map(table_index._decode, table_index._read(store))
    return [[entry.key for entry in block.entries] for block in blocks if block]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the keys of the tables that are opened."""
    keys: list[str] = []
    real = StoredFiles.__init__

    def remember(self: StoredFiles, path: Path, *args: object, **more: str) -> None:
        keys.append(path.stem)
        real(self, path, *args, **more)

    monkeypatch.setattr(StoredFiles, "__init__", remember)
    return keys


def test_short_tables_are_opened_once(
    store: Store, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time every file is read once; the table is that of the files."""
    cold = table_of(store)
    assert sorted(opened) == sorted(store)
    reads: list[str] = []

    def remember(path: Path) -> tuple[bytes, stored_files.Version]:
        reads.append(path.stem)
        return real(path)

    real = stored_files.read_bytes
    for module in (stored_files, table_index):
        monkeypatch.setattr(module, "read_bytes", remember)
    opened.clear()
    before = stored_files.version_of(store.folder / TABLES)
    warm = table_of(store)
    assert opened == [LONG]
    assert sorted(reads) == sorted(store)
    assert stored_files.version_of(store.folder / TABLES) == before
    pd.testing.assert_frame_equal(warm[0], cold[0], check_exact=True)
    assert warm[1:] == cold[1:]
    check_table(store, monkeypatch)


def test_cells_are_added_as_they_are_stored(
    store: Store, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whole blocks, after those that are there; the first reading opens the rest."""
    Gathered(store, with_footers=False).index_some([KEY, OTHER])
    assert keys_of_blocks(store) == [[KEY, OTHER]]
    Gathered(store, with_footers=False).index_some([PLAIN])
    assert keys_of_blocks(store) == [[KEY, OTHER]]
    opened.clear()
    table_of(store)
    assert sorted(opened) == sorted((PLAIN, LONG))
    check_table(store, monkeypatch)


def test_a_block_that_was_not_written_to_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out, with those that were added after it."""
    Gathered(store, with_footers=False).index_some([KEY, OTHER])
    content = (store.folder / TABLES).read_bytes()
    (store.folder / TABLES).write_bytes(content[:-9])
    Gathered(store, with_footers=False).index_some([OTHER, PLAIN])
    check_table(store, monkeypatch)
    assert sorted(chain(*keys_of_blocks(store))) == sorted((KEY, OTHER, PLAIN))


def test_a_folder_that_cannot_be_written_has_no_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    Gathered(store, with_footers=False).index_some([KEY, OTHER])
    assert not (store.folder / TABLES).exists()


def test_a_new_cell_opens_one_table(
    store: Store, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It joins the block of the last few cells; whole blocks stay as they are."""
    table_of(store)
    for label in "012":
        key = f"b{label:0<23}"
        store.put(key, FRAME, FOOTER | {"label": label}, {})
        opened.clear()
        table_of(store)
        assert opened == [LONG, key]
    assert list(map(len, keys_of_blocks(store))) == [2, 2, 2]
    check_table(store, monkeypatch)


def test_damage_that_keeps_size_and_time_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flipped byte in place, after which the time of modification is restored."""
    table_of(store)
    path = store.table(KEY)
    before, content = path.stat(), bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    frame, _, (sentence,) = table_of(store)
    assert "its bytes have another digest" in sentence
    assert KEY not in set(frame["key"])
    check_table(store, monkeypatch)


def test_changes_of_cells_are_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is replaced, removed, unreadable or under the key of another."""
    table_of(store)
    store.put(OTHER, FRAME, FOOTER | {"label": "d"}, {})
    assert "d" in set(table_of(store)[0]["label"])
    check_table(store, monkeypatch)
    store.remove(PLAIN)
    check_table(store, monkeypatch)
    shutil.copy(store.table(KEY), store.table(OTHER))
    assert f"it holds {KEY}" in table_of(store)[2][0]
    check_table(store, monkeypatch)
    store.table(OTHER).unlink()
    store.table(OTHER).mkdir()
    check_table(store, monkeypatch)


def sealed(content: bytes) -> bytes:
    """Return bytes as a block of the index with its digest."""
    digest = hashlib.sha256(content).hexdigest().encode()
    return digest + len(content).to_bytes(8, "big") + content


@pytest.mark.parametrize(
    "edit",
    [
        lambda _: b"",
        lambda _: b"\xff" * 100,
        lambda _: sealed(b""),
        lambda _: sealed(b"[" * 1000),
        lambda content: content[:-1],
        lambda content: content[:64] + b"\xff" * 8 + content[72:],
        lambda content: content + content,
        lambda content: content.replace(b'"c"', b'"d"'),
        lambda content: sealed(content[72:].replace(b'"mmbench', b'"mmbenc_')),
        lambda content: sealed(content[72:].replace(b'"rows": [2', b'"rows": [3')),
        lambda content: sealed(
            content[72:].replace(b'"columns": [0', b'"columns": [9')
        ),
        lambda content: sealed(content[72:].replace(b'["task"', b'["tusk"')),
        lambda content: sealed(content[72:].replace(OTHER.encode(), KEY.encode())),
    ],
)
def test_a_damaged_old_or_foreign_index_is_made_again(
    store: Store, edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is shown, and the next time it is whole again."""
    table_of(store)
    path = store.folder / TABLES
    whole = path.read_bytes()
    path.write_bytes(edited := edit(whole))
    assert edited != whole
    check_table(store, monkeypatch, times=1)
    assert sorted(chain(*keys_of_blocks(store))) == sorted([KEY, OTHER, PLAIN])


def test_an_index_of_another_version_is_not_believed(
    store: Store, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another version found of a table, this one may not."""
    table_of(store)
    opened.clear()
    monkeypatch.setattr(table_index, "_version", lambda: ["0", "3", "1"])
    table_of(store)
    assert sorted(opened) == sorted(store)


def test_the_index_is_part_of_no_cell(store: Store, tmp_path: Path) -> None:
    """Neither archives nor checks know of it."""
    archive.export(store, list(store), tmp_path / "a.zip")
    table_of(store)
    archive.export(store, list(store), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert check(store) == []


def test_a_folder_that_cannot_be_written_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a small store, which gets no index."""

    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(table_index, "atomic_writer", refuse)
    check_table(store, monkeypatch)
    assert not (store.folder / TABLES).exists()
    monkeypatch.undo()
    table_of(store)
    assert not (store.folder / TABLES).exists()
