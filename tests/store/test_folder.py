"""Stores: whole files or none, files that belong together, and their paths."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import ARRAYS, FOOTER, FRAME, ITERATES, KEY, OTHER, PLAIN

from mmbench.core.errors import DamagedError, StoreError
from mmbench.store import stored_files
from mmbench.store.folder import Store
from mmbench.store.parquet import SCHEMA, encode_table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with one cell."""
    made = Store(tmp_path / "deep" / "store")
    made.put(KEY, FRAME, FOOTER, ARRAYS, ITERATES)
    return made


def names(store: Store) -> list[str]:
    """Return the names of a store's files, sorted."""
    return sorted(path.name for path in store.folder.iterdir())


@pytest.mark.parametrize("folder", ["", " "])
def test_a_store_without_a_name_is_refused(folder: str) -> None:
    """It would be the working directory."""
    with pytest.raises(StoreError, match="A store must be a folder; got"):
        Store(folder)


def test_round_trip(store: Store) -> None:
    """What was put is what is there, NaN included."""
    pd.testing.assert_frame_equal(store.frame(KEY), FRAME)
    footer = store.footer(KEY)
    assert footer.items() >= {**FOOTER, "schema": SCHEMA, "key": KEY}.items()
    for found, given in (
        (store.arrays(KEY), ARRAYS),
        (store.iterates(KEY), ITERATES),
    ):
        assert set(found) == set(given)
        for name, array in given.items():
            np.testing.assert_array_equal(found[name], array)
    assert KEY in store
    assert OTHER not in store
    assert list(store) == [KEY]
    assert store.faults(KEY) == []


def test_what_a_footer_has_of_its_own_file_is_replaced(store: Store) -> None:
    """A footer that was read and is put again gets its own schema, key and files."""
    store.put(OTHER, FRAME, store.footer(KEY) | {"schema": 1}, {})
    assert store.footer(OTHER) == store.footer(KEY) | {"key": OTHER, "files": {}}


def test_tables_are_plain_parquet(store: Store) -> None:
    """pandas reads a table without mmbench."""
    pd.testing.assert_frame_equal(pd.read_parquet(store.table(KEY)), FRAME)


def test_files_are_named_by_their_content(store: Store) -> None:
    """Key, digest and kind; the digest is that of the bytes, and the footer has it."""
    assert [name.split(".")[0] for name in names(store)] == [KEY] * 3
    for kind, path in store.companions(KEY).items():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        ending = {"arrays": "", "iterates": "iterates."}[kind]
        assert path.name == f"{KEY}.{digest[:16]}.{ending}safetensors"
        assert store.footer(KEY)["files"][kind] == digest


def test_arrays_that_are_not_contiguous(store: Store) -> None:
    """Slices and transposes are stored as they look."""
    turned = np.arange(6.0).reshape(2, 3).T
    store.put(OTHER, FRAME, FOOTER, {"turned": turned, "every": np.arange(10)[::2]})
    np.testing.assert_array_equal(store.arrays(OTHER)["turned"], turned)
    np.testing.assert_array_equal(store.arrays(OTHER)["every"], [0, 2, 4, 6, 8])


def test_cells_without_arrays(store: Store) -> None:
    """A cell without arrays has no file of arrays."""
    store.put(PLAIN, FRAME, FOOTER, {})
    assert store.arrays(PLAIN) == store.iterates(PLAIN) == {}
    assert [name for name in names(store) if name.startswith(PLAIN)] == [
        f"{PLAIN}.parquet"
    ]


def test_a_cell_is_replaced_whole(store: Store) -> None:
    """A second put replaces table, footer and arrays; nothing of before is left."""
    other = {"path": ARRAYS["path"] + 1}
    store.put(KEY, FRAME.assign(x=2.0), FOOTER | {"task": "other"}, other)
    assert store.frame(KEY).x.tolist() == [2.0, 2.0]
    assert store.footer(KEY)["task"] == "other"
    np.testing.assert_array_equal(store.arrays(KEY)["path"], other["path"])
    assert store.iterates(KEY) == {}
    assert len(names(store)) == 2


def test_a_cell_put_twice_stays(store: Store) -> None:
    """The same content again is no older one, and is not removed as such."""
    before = names(store)
    store.put(KEY, FRAME, FOOTER, ARRAYS, ITERATES)
    assert names(store) == before
    assert store.faults(KEY) == []


def test_versions_change_with_every_write(store: Store) -> None:
    """Whoever remembers the version finds out that somebody wrote."""
    before = store.version(KEY)
    assert before == store.version(KEY)
    store.put(KEY, FRAME, FOOTER, ARRAYS, ITERATES)
    assert store.version(KEY) != before
    assert store.version(OTHER) is None


@pytest.mark.parametrize("read", ["arrays", "faults"])
def test_a_cell_replaced_while_it_is_read_is_read_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """A reader that comes between a table and its arrays takes the new ones."""
    new = {"path": ARRAYS["path"] + 1}

    def replace_after_reading(path: Path) -> tuple[bytes, stored_files.Version]:
        found = read_bytes(path)
        monkeypatch.undo()
        store.put(KEY, FRAME, FOOTER, new)
        return found

    read_bytes = stored_files.read_bytes
    monkeypatch.setattr(stored_files, "read_bytes", replace_after_reading)
    if read == "faults":
        assert store.faults(KEY) == []
    else:
        np.testing.assert_array_equal(store.arrays(KEY)["path"], new["path"])


def test_removing_leaves_the_others(store: Store) -> None:
    """All files of a cell go, its checkpoint included."""
    store.put(OTHER, FRAME, FOOTER, ARRAYS)
    store.slot(KEY).write(b"unfinished")
    store.remove(KEY)
    assert KEY not in store
    assert {name.split(".")[0] for name in names(store)} == {OTHER}


def test_a_stored_cell_has_no_checkpoint(store: Store) -> None:
    """What is finished needs none."""
    store.slot(OTHER).write(b"unfinished")
    assert store.slot(OTHER).read() == b"unfinished"
    store.put(OTHER, FRAME, FOOTER, {})
    assert store.slot(OTHER).read() is None


# ---- interruptions ----


def test_a_failed_write_leaves_the_old_cell(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fails at the last moment, the old files stay, and no remains."""
    before = names(store)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        store.put(KEY, FRAME.assign(x=2.0), FOOTER, {})
    monkeypatch.undo()
    pd.testing.assert_frame_equal(store.frame(KEY), FRAME)
    assert names(store) == before


def test_an_interrupted_write_leaves_no_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle: the key is absent and nothing temporary is left."""
    store = Store(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put(KEY, FRAME, FOOTER, ARRAYS)
    monkeypatch.undo()
    assert KEY not in store
    assert list(tmp_path.iterdir()) == []


def test_a_put_that_ends_before_the_table_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New arrays in the same folder as the old table are not read with it."""
    replace, targets = os.replace, []

    def once(source: str, target: Path) -> None:
        targets.append(Path(target).suffix)
        if targets[-1] == ".parquet":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", once)
    with pytest.raises(KeyboardInterrupt):
        store.put(KEY, FRAME.assign(x=2.0), FOOTER, {"path": ARRAYS["path"] + 1})
    monkeypatch.undo()
    assert targets == [".safetensors", ".parquet"]
    np.testing.assert_array_equal(store.arrays(KEY)["path"], ARRAYS["path"])
    assert store.faults(KEY) == []


def test_files_and_folder_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is forced out before it gets its name, and the name after that."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def forced(number: int) -> None:
        kind = "folder" if Path(f"/proc/self/fd/{number}").is_dir() else "file"
        done.append(kind)
        fsync(number)

    def named(source: str, target: Path) -> None:
        done.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", forced)
    monkeypatch.setattr(os, "replace", named)
    Store(tmp_path).put(KEY, FRAME, FOOTER, ARRAYS)
    assert done == ["file", "name", "folder"] * 2


# ---- what is refused ----


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "a/b", "", ".", "É" * 24, f"{KEY}.x", KEY.upper()]
)
def test_no_path_leaves_the_store(store: Store, key: str) -> None:
    """Only digests make names of files."""
    assert key not in store
    for reach in (
        lambda: store.put(key, FRAME, FOOTER, {}),
        lambda: store.frame(key),
        lambda: store.remove(key),
    ):
        with pytest.raises(StoreError, match="A key must have 24 digits"):
            reach()
    assert len(names(store)) == 3


@pytest.mark.parametrize(
    "files",
    [
        {"arrays": "../../../secret"},
        {"others": "0" * 64},
        {"arrays": 7},
        ["arrays"],
        None,
    ],
)
def test_a_table_names_no_file_but_its_own(store: Store, files: object) -> None:
    """A forged footer reads no file of another folder."""
    forged = encode_table(FRAME, FOOTER | {"key": OTHER, "files": files})
    store.table(OTHER).write_bytes(forged)
    for read in (store.arrays, store.companions):
        with pytest.raises(DamagedError, match="schema of a footer: files"):
            read(OTHER)
    assert store.faults(OTHER) != []


def test_odd_labels_reach_no_name_and_break_no_digest(tmp_path: Path) -> None:
    """Labels may hold anything, even what looks like a digest."""
    label = "../x\n<b>\0 ö mmbench:sha256:" + "0" * 64
    frame = FRAME.assign(label=label)
    store = Store(tmp_path)
    store.put(KEY, frame, FOOTER | {"label": label, label: 1}, {})
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.parquet"]
    assert store.footer(KEY)["label"] == label
    assert set(store.frame(KEY).label) == {label}
    assert store.faults(KEY) == []


def test_other_schemas_are_refused(store: Store) -> None:
    """A later version's file is not read as if it were this one's."""
    later = encode_table(FRAME, FOOTER | {"key": OTHER, "files": {}})
    table = pq.read_table(pa.BufferReader(later))
    written = pq.read_metadata(pa.BufferReader(later)).metadata[b"mmbench"]
    footer = written.replace(f'"schema": {SCHEMA}'.encode(), b'"schema": 99')
    metadata = {b"mmbench": footer}  # and no digest that this version knows
    pq.write_table(table.replace_schema_metadata(metadata), store.table(OTHER))
    with pytest.raises(StoreError) as caught:
        store.footer(OTHER)
    message = f"must have schema {SCHEMA}; got 99, of another mmbench version"
    assert message in str(caught.value)
    assert not isinstance(caught.value, DamagedError)


def test_missing_cells_and_folders(store: Store, tmp_path: Path) -> None:
    """A key or folder that is not there is an error in a sentence."""
    with pytest.raises(StoreError, match=f"must hold cell {OTHER}; it does not"):
        store.frame(OTHER)
    assert store.faults(OTHER) == []
    assert store.read(OTHER) is None
    with pytest.raises(StoreError, match="there is none at"):
        list(Store(tmp_path / "no"))


def test_unwritable_places_are_found_before_work(tmp_path: Path) -> None:
    """A file where the folder should be, and a folder below a file."""
    (tmp_path / "file").write_text("x", "utf-8")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="must be a folder that can be written"):
            Store(place).check_writable()
    with pytest.raises(StoreError, match="must be writable"):
        Store(tmp_path / "file").put(KEY, FRAME, FOOTER, {})


def test_trying_leaves_nothing(tmp_path: Path) -> None:
    """The trial write is gone afterwards."""
    Store(tmp_path / "new").check_writable()
    assert list((tmp_path / "new").iterdir()) == []
