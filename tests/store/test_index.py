"""The index of a store: it saves reading tables, and hides nothing."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest
from stores import ARRAYS, FOOTER, FRAME, KEY, OTHER, PLAIN

from mmbench.store import archive
from mmbench.store.folder import Store
from mmbench.store.index import INDEX, list_cells
from mmbench.store.integrity import check
from mmbench.store.stored_files import StoredFiles


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store of three cells that is taken for a large and settled one."""
    monkeypatch.setattr("mmbench.store.index._LEAST_CELLS", 3)
    monkeypatch.setattr("mmbench.store.index._SETTLED_SECONDS", -1.0)
    made = Store(tmp_path / "store")
    made.put(KEY, FRAME, FOOTER, ARRAYS)
    made.put(OTHER, FRAME, FOOTER | {"task": "bilinear[dim=2]"}, {})
    made.put(PLAIN, FRAME, FOOTER | {"label": "b"}, {})
    return made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the keys of the tables that are read."""
    keys: list[str] = []
    real = StoredFiles.read.__func__

    def remember(cls: type[StoredFiles], path: Path) -> StoredFiles | None:
        keys.append(path.stem)
        return real(cls, path)

    monkeypatch.setattr(StoredFiles, "read", classmethod(remember))
    return keys


def test_a_listing_reads_what_is_new(store: Store, read: list[str]) -> None:
    """The second reads nothing, and lists the same."""
    cold = list_cells(store)
    assert sorted(read) == sorted([KEY, OTHER, PLAIN])
    read.clear()
    assert list_cells(store) == cold
    assert read == []
    store.put(OTHER, FRAME, FOOTER | {"label": "c"}, {})
    read.clear()
    listed = {one.key: one for one in list_cells(store)[0]}
    assert read == [OTHER]
    assert listed[OTHER].footer["label"] == "c"
    assert listed[KEY].footer == {
        "task": "bilinear",
        "label": "a",
        "runs": 2,
        "steps": 5,
        "outcomes": {"finished": 2},
    }
    store.remove(OTHER)
    assert [one.key for one in list_cells(store)[0]] == [PLAIN, KEY]


def test_damage_that_keeps_size_and_time_is_listed(store: Store) -> None:
    """A flipped byte in place, after which the time of modification is restored."""
    list_cells(store)
    path = store.table(KEY)
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    for _ in range(2):  # what is damaged is never remembered
        listed = {one.key: one.footer for one in list_cells(store)[0]}
        assert listed[KEY] is None
        assert listed[OTHER]


def test_a_file_put_in_the_place_of_another_is_read(store: Store) -> None:
    """Renamed over it with its size and time, or behind a link in its place."""
    list_cells(store)
    path, other = store.table(KEY), store.table(OTHER)
    status = path.stat()
    content = path.read_bytes()
    (store.folder / "new").write_bytes(content[:-1] + b"x")
    os.utime(store.folder / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (store.folder / "new").replace(path)
    other.rename(store.folder / "moved")
    other.symlink_to("moved")
    assert list_cells(store)[0][2].footer
    (store.folder / "moved").write_bytes(b"x")
    assert [bool(one.footer) for one in list_cells(store)[0]] == [True, False, False]


def _sealed(document: bytes) -> bytes:
    return hashlib.sha256(document).hexdigest().encode() + b"\n" + document


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        b"[" * 100_000,
        _sealed(b"[" * 100_000),
        _sealed(b'{"format": 0, "cells": {}}'),
        _sealed(json.dumps({"format": 1, "cells": {KEY: "x"}}).encode()),
        _sealed(
            json.dumps(
                {"format": 1, "cells": {KEY: [[1] * 5, "t", "l", 1, 1, {"x": "y"}]}}
            ).encode()
        ),
    ],
)
def test_a_damaged_old_or_foreign_index_is_made_again(
    store: Store, read: list[str], content: bytes
) -> None:
    """So is one of another store, whose files have other inodes."""
    cold = list_cells(store)
    whole = (store.folder / INDEX).read_bytes()
    (store.folder / INDEX).write_bytes(content)
    read.clear()
    assert list_cells(store) == cold
    assert len(read) == 3
    assert (store.folder / INDEX).read_bytes() == whole


def test_an_index_with_a_changed_entry_is_not_believed(store: Store) -> None:
    """Its digest is that of other bytes."""
    cold = list_cells(store)
    path = store.folder / INDEX
    path.write_bytes(path.read_bytes().replace(b"bilinear", b"bilinfar"))
    assert list_cells(store) == cold


def test_the_index_of_another_folder_is_not_believed(
    store: Store, tmp_path: Path, read: list[str]
) -> None:
    """Copies of the same files are other files."""
    list_cells(store)
    copy = Store(tmp_path / "copy")
    copy.folder.mkdir()
    for path in store.folder.iterdir():
        (copy.folder / path.name).write_bytes(path.read_bytes())
    read.clear()
    list_cells(copy)
    assert len(read) == 3


def test_files_that_were_just_written_are_not_remembered(
    store: Store, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another write may come within the resolution of the file system's clock."""
    monkeypatch.setattr("mmbench.store.index._SETTLED_SECONDS", 1000.0)
    list_cells(store)
    read.clear()
    list_cells(store)
    assert len(read) == 3
    assert not (store.folder / INDEX).exists()


def test_small_stores_have_no_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmbench.store.index._LEAST_CELLS", 4)
    list_cells(store)
    assert not (store.folder / INDEX).exists()


def test_the_index_is_part_of_no_cell(store: Store, tmp_path: Path) -> None:
    """Neither archives nor checks know of it."""
    keys, total = list(store), list_cells(store)[1]
    archive.export(store, keys, tmp_path / "a.zip")
    assert (store.folder / INDEX).exists()
    assert list(store) == keys
    assert check(store) == []
    (store.folder / INDEX).unlink()
    archive.export(store, keys, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert list_cells(store)[1] == total


def test_a_folder_that_cannot_be_written_is_listed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("mmbench.store.index.write_atomically", refuse)
    assert len(list_cells(store)[0]) == 3
    assert not (store.folder / INDEX).exists()


def test_several_may_list_at_once(store: Store, read: list[str]) -> None:
    """Each writes the whole index, and the last one stays."""
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(list_cells(store)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read.clear()
    assert found == [list_cells(store)] * 8
    assert read == []
    assert check(store) == []
