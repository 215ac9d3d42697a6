"""The store: whole files or none, damaged ones named, footers kept."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmbench.core.errors import StoreError
from mmbench.store import SCHEMA, Store

FRAME = pd.DataFrame({"seed": [0, 1], "x": [1.5, np.nan], "label": ["a", "a"]})
FOOTER = {"task": "bilinear", "outcomes": {"finished": 2}, "ö": "é"}
ARRAYS = {"path": np.arange(6.0).reshape(1, 3, 2), "path_steps": np.arange(3)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one cell."""
    made = Store(tmp_path / "deep" / "store")
    made.put("abc", FRAME, FOOTER, ARRAYS)
    return made


def test_round_trip(store: Store) -> None:
    """What was put is what is there, NaN included."""
    pd.testing.assert_frame_equal(store.frame("abc"), FRAME)
    assert store.footer("abc") == {"schema": SCHEMA, **FOOTER}
    arrays = store.arrays("abc")
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert "abc" in store
    assert "abd" not in store
    assert list(store) == ["abc"]


def test_arrays_that_are_not_contiguous(store: Store) -> None:
    """Slices and transposes are stored as they look."""
    turned = np.arange(6.0).reshape(2, 3).T
    store.put("t", FRAME, FOOTER, {"turned": turned, "every": np.arange(10)[::2]})
    np.testing.assert_array_equal(store.arrays("t")["turned"], turned)
    np.testing.assert_array_equal(store.arrays("t")["every"], [0, 2, 4, 6, 8])


def test_cells_without_arrays(store: Store) -> None:
    """No arrays, no file."""
    store.put("plain", FRAME, FOOTER, {})
    assert store.arrays("plain") == {}
    assert not (store.folder / "plain.safetensors").exists()


def test_a_cell_is_replaced_whole(store: Store) -> None:
    """A second put replaces table and footer; nothing temporary is left."""
    store.put("abc", FRAME.assign(x=2.0), FOOTER | {"task": "other"}, ARRAYS)
    assert store.frame("abc").x.tolist() == [2.0, 2.0]
    assert store.footer("abc")["task"] == "other"
    names = sorted(path.name for path in store.folder.iterdir())
    assert names == ["abc.parquet", "abc.safetensors"]


def test_a_failed_write_leaves_the_old_cell(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fails at the last moment, the old file stays, and no remains."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        store.put("abc", FRAME.assign(x=2.0), FOOTER, {})
    monkeypatch.undo()
    pd.testing.assert_frame_equal(store.frame("abc"), FRAME)
    assert not list(store.folder.glob("*.part"))


def test_an_interrupted_write_leaves_no_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle: the key is absent and nothing temporary is left."""
    store = Store(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put("abc", FRAME, FOOTER, ARRAYS)
    monkeypatch.undo()
    assert "abc" not in store
    assert list(tmp_path.iterdir()) == []


def test_tables_never_lack_their_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays are written before the table that stands for the cell."""
    order: list[str] = []
    replace = os.replace

    def watched(source: str, target: Path) -> None:
        order.append(Path(target).suffix)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    Store(tmp_path).put("abc", FRAME, FOOTER, ARRAYS)
    assert order == [".safetensors", ".parquet"]


# ---- damage ----


def damage(path: Path, how: str) -> None:
    """Make a file one that cannot be read."""
    content = path.read_bytes()
    new = {
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "garbage": b"not what it was" * 40,
    }
    path.write_bytes(new[how])


@pytest.mark.parametrize("how", ["empty", "truncated", "garbage"])
@pytest.mark.parametrize("read", ["frame", "footer"])
def test_damaged_tables_are_named(store: Store, how: str, read: str) -> None:
    """The sentence names the file and what to do about it."""
    damage(store.folder / "abc.parquet", how)
    with pytest.raises(StoreError) as caught:
        getattr(store, read)("abc")
    said = str(caught.value)
    assert str(store.folder / "abc.parquet") in said
    assert "Delete it and run again." in said
    assert "\n" not in said


@pytest.mark.parametrize("how", ["empty", "truncated", "garbage"])
def test_damaged_arrays_are_named(store: Store, how: str) -> None:
    """The file that is broken is the one that is named."""
    damage(store.folder / "abc.safetensors", how)
    with pytest.raises(StoreError) as caught:
        store.arrays("abc")
    assert str(store.folder / "abc.safetensors") in str(caught.value)


def test_foreign_tables_are_refused(store: Store) -> None:
    """A Parquet file that mmbench did not write has no footer."""
    pq.write_table(pa.table({"a": [1]}), store.folder / "foreign.parquet")
    with pytest.raises(StoreError, match=r"foreign\.parquet must be a cell"):
        store.footer("foreign")


def test_other_schemas_are_refused(store: Store) -> None:
    """A later version's file is not read as if it were this one's."""
    table = pa.table({"a": [1]}).replace_schema_metadata(
        {b"mmbench": b'{"schema": 99}'}
    )
    pq.write_table(table, store.folder / "later.parquet")
    with pytest.raises(StoreError, match="must have schema 2; got 99"):
        store.footer("later")


def test_missing_cells_and_folders(store: Store, tmp_path: Path) -> None:
    """A key or folder that is not there is an error in a sentence."""
    with pytest.raises(StoreError, match="nothing"):
        store.frame("nothing")
    with pytest.raises(StoreError, match="there is none at"):
        list(Store(tmp_path / "no"))


def test_unwritable_places_are_found_before_work(tmp_path: Path) -> None:
    """A file where the folder should be, and a folder below a file."""
    (tmp_path / "file").write_text("x", "utf-8")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="must be a folder that can be written"):
            Store(place).check_writable()
    with pytest.raises(StoreError, match="must be writable"):
        Store(tmp_path / "file").put("abc", FRAME, FOOTER, {})


def test_trying_leaves_nothing(tmp_path: Path) -> None:
    """The trial write is gone afterwards."""
    Store(tmp_path / "new").check_writable()
    assert list((tmp_path / "new").iterdir()) == []
