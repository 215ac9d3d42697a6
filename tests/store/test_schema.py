"""What does not fit the schema of a cell's files is damaged, and is named."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from misfits import sealed
from stores import ARRAYS, FOOTER, FRAME, ITERATES, KEY, OTHER, tidy_frame

from mmbench.core.errors import DamagedError, StoreError
from mmbench.store.folder import Store
from mmbench.store.parquet import encode_table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with one cell."""
    made = Store(tmp_path / "store")
    made.put(KEY, FRAME, FOOTER, ARRAYS, ITERATES)
    return made


def assert_damaged(store: Store, message: str) -> None:
    """Check that a cell is damaged, for every way to ask for its numbers."""
    assert message in store.faults(KEY)[0]
    with pytest.raises(DamagedError):
        _ = store.require(KEY).table


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"outcomes": 7}, "outcomes must be a JSON object; got 7"),
        ({"columns": "x"}, "columns must be a list; got 'x'"),
        ({"kept": 5}, "kept must be one of none, last, all; got 5"),
        ({"runs": 0}, "runs must be from 1"),
        ({"runs": 10**30}, "runs must be from 1"),
        ({"seeds": [-1, 0]}, "seeds[0] must be from 0"),
        ({"seeds": [0, 5]}, "cell.seeds must be those"),
        ({"outcomes": {"finished": 1}}, "outcomes must be those of 2 runs"),
        ({"outcomes": {"won": 2}}, "outcomes must be of known statuses; got 'won'"),
        ({"files": {"arrays": "x"}}, "files.arrays must be as"),
        ({"limits": {"timeout": "x"}}, "limits.timeout must be a number"),
        ({"method": {}}, "method must have the entry arguments"),
        ({"width": 0}, "width must be"),
    ],
)
def test_footers_that_do_not_fit(
    store: Store, entries: dict[str, Any], message: str
) -> None:
    """Types, ranges, counts and names of each entry."""
    footer = FOOTER | {"key": KEY, "files": {}} | entries
    store.table(KEY).write_bytes(encode_table(FRAME, footer))
    assert_damaged(store, message)


@pytest.mark.parametrize(
    "document",
    ["[" * 100_000 + "]" * 100_000, f'{{"schema": 3, "key": "{KEY}", "files": {{}}}}'],
)
def test_documents_that_are_no_footer(store: Store, document: str) -> None:
    """One that nests very deep, and one that has nothing but what the store needs."""
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    store.table(KEY).write_bytes(sealed(table, document))
    assert_damaged(store, "must")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="seed"), "have the column seed"),
        (lambda frame: frame.assign(seed="0"), "seed must not be of"),
        (lambda frame: frame.assign(x="0"), "x must not be of"),
        (lambda frame: frame.assign(step=-1), "step must hold no number below 0"),
        (lambda frame: frame.assign(seed=0), "one row for each run and record"),
        (lambda frame: frame.assign(status="won"), "must hold statuses; got 'won'"),
        (lambda frame: frame.assign(cell_seconds=np.nan), "must have no gap"),
        (lambda frame: frame.iloc[:1], "one row for each of 2 runs and record"),
        (lambda frame: frame.iloc[:0], "one row for each of 2 runs and record"),
    ],
)
def test_tables_that_do_not_fit(
    store: Store, change: Callable[[Any], Any], message: str
) -> None:
    """Names, types, counts and ranges of the columns."""
    store.put(KEY, change(FRAME), FOOTER, {})
    assert_damaged(store, message)


def test_values_are_counted_before_they_are_decoded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many equal columns take a small file, too."""
    monkeypatch.setattr("mmbench.store.schema._MAX_VALUES", 2 * (FRAME.shape[1] + 1))
    wide = FRAME.assign(y=0.0)
    store.put(KEY, wide, FOOTER, {})
    assert store.faults(KEY) == []
    store.put(KEY, wide.assign(another=0.0), FOOTER, {})
    assert_damaged(store, "fewer than 17 columns of 2 rows")


PLANNED = FOOTER | {"cell": FOOTER["cell"] | {"records": 5}}  # steps 0 to 5


@pytest.mark.parametrize(
    ("records", "entries", "columns", "message"),
    [
        (2, {}, {}, "must have 6 records; it has 2"),
        (2, {"reason": "it broke"}, {}, "must have 6 records; it has 2"),
        (2, {}, {"status": "diverged"}, "must have 6 records; it has 2"),
        (6, {}, {"step": np.tile(np.arange(6) + 1, 2)}, "at the steps that its footer"),
        (6, {}, {"step": np.tile(np.arange(6) * 1000, 2)}, "at the steps that its"),
        (1, {}, {"step": 5}, "at the steps that its footer plans"),
        (6, {}, {"stopped_at": 6}, "stopped_at must hold steps of the cell"),
        (6, {}, {"status": "running"}, "must hold statuses; got 'running'"),
        (6, {"outcomes": {"running": 2}}, {}, "of known statuses; got 'running'"),
        (
            6,
            {"cell": FOOTER["cell"] | {"records": 2**60, "steps": 2**60}},
            {},
            "a cell of at most 10000000 rows",
        ),
    ],
)
def test_records_must_be_those_that_are_planned(
    store: Store, records: int, entries: dict, columns: dict, message: str
) -> None:
    """A finished cell has all of them, whoever sealed its table."""
    store.put(KEY, tidy_frame(2, 6), PLANNED, {})
    assert store.faults(KEY) == []
    store.put(KEY, tidy_frame(2, records, **columns), PLANNED | entries, {})
    assert_damaged(store, message)


def test_a_cell_that_failed_has_the_records_until_then(store: Store) -> None:
    """Those that a limit or an error left out are not missed."""
    frame = tidy_frame(2, 3, status="timeout", reason="too long")
    outcome = {"reason": "too long", "outcomes": {"timeout": 2}}
    store.put(KEY, frame, PLANNED | outcome, {})
    assert store.faults(KEY) == []


def test_rows_are_counted_before_they_are_decoded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many equal rows take a small file; the footer says how many there may be."""
    row = pa.Table.from_pandas(tidy_frame(1, 1), preserve_index=False)
    many = row.take(pa.array(np.zeros(10**5, dtype=np.int64)))
    footer = store.require(KEY).footer
    document = encode_table(FRAME, footer | {"files": {}})
    text = pq.ParquetFile(pa.BufferReader(document)).metadata.metadata
    store.table(KEY).write_bytes(sealed(many, text[b"mmbench"].decode()))

    def fail(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("mmbench.store.stored_files.decode", fail)
    assert "it has 100000" in store.faults(KEY)[0]


Z = {"z": np.zeros((2, 2, 2), np.float32), "steps": np.array([0, 5])}


@pytest.mark.parametrize(
    ("arrays", "iterates", "message"),
    [
        ({"path": np.zeros((2, 3))}, {}, '"path" must have the shape'),
        ({"path": np.zeros((1, 3, 2)), "path_steps": np.arange(4)}, {}, "a point for"),
        ({"sheet": np.zeros(3)}, {}, '"sheet" must have the shape'),
        ({}, {"z": np.zeros((2, 2, 2))}, 'the tensors "z" and "steps"'),
        ({}, {"z": np.zeros((2, 3, 2)), "steps": np.arange(2)}, '"z" must have'),
        ({}, {"z": np.zeros((2, 2, 2)), "steps": np.zeros(2)}, '"steps" must be'),
        ({}, Z | {"z": np.zeros((2, 2, 0), np.float32)}, '"z" must have the shape'),
        ({}, Z | {"z": np.zeros((2, 2, 2))}, '"z" must hold float32; it holds F64'),
        ({}, Z | {"steps": np.array([0, -5])}, '"steps" must be those of the cell'),
        ({}, Z | {"steps": np.array([0, 2**62])}, '"steps" must be those of the cell'),
        ({}, Z | {"steps": np.array([5, 5])}, '"steps" must be those of the cell'),
        ({"path": np.zeros((2, 0, 2))}, {}, '"path" must have the shape'),
        ({"path": np.zeros((0, 3, 2))}, {}, '"path" must have the shape'),
        ({"path": np.zeros((3, 3, 2))}, {}, '"path" must have the shape'),
        ({"path_steps": np.zeros(0, np.int64)}, {}, '"path_steps" must be a list'),
        ({"path_steps": np.arange(7)}, {}, '"path_steps" must be a list'),
        (
            {"path_steps": np.array([0, 7])},
            {},
            '"path_steps" must be those of the cell',
        ),
        ({"path_steps": -np.arange(3)}, {}, '"path_steps" must be those of the cell'),
        ({"sheet": np.zeros((3, 4, 2))}, {}, '"sheet" must have the shape'),
        ({"sheet": np.zeros((1, 0, 2))}, {}, '"sheet" must have the shape'),
    ],
)
def test_tensors_that_do_not_fit(
    store: Store, arrays: dict, iterates: dict, message: str
) -> None:
    """Names, types and shapes, though the digest is right."""
    store.put(KEY, FRAME, FOOTER, arrays, iterates)
    assert message in store.faults(KEY)[0]
    with pytest.raises(DamagedError):
        store.arrays(KEY) if arrays else store.iterates(KEY)


@pytest.mark.parametrize(
    ("kept", "steps", "fits"),
    [
        ("all", [0, 1, 2, 3, 4, 5], True),
        ("all", [0, 1, 2], True),  # of a cell that failed
        ("all", [1, 2, 3], False),
        ("last", [5], True),
        ("last", [4], False),
        ("last", [0, 5], False),
    ],
)
def test_iterates_are_of_the_steps_that_are_planned(
    store: Store, kept: str, steps: list[int], fits: bool
) -> None:
    """All records from the first on, or the last one."""
    z = np.zeros((len(steps), 2, 2), np.float32)
    iterates = {"z": z, "steps": np.array(steps)}
    store.put(KEY, tidy_frame(2, 6), PLANNED | {"kept": kept}, {}, iterates)
    assert (store.faults(KEY) == []) is fits


@pytest.mark.parametrize("what", ["folder", "pipe", "loop"])
def test_what_is_no_file_is_damaged(store: Store, what: str) -> None:
    """It is named and set aside, and no verb waits for it."""
    path = store.table(KEY)
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name)
    (fault,) = store.faults(KEY)
    assert "must be a file that can be read" in fault
    stored = store.require(KEY)
    assert store.quarantine(stored) or what == "loop"


def test_a_file_that_may_not_be_read_is_damaged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared store may hold files of others."""
    real = os.open

    def refuse(path: Any, *rest: Any, **named: Any) -> int:
        if str(path).endswith(".parquet"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    assert "PermissionError: Permission denied" in store.faults(KEY)[0]


@pytest.mark.parametrize("name", ["parquet", "iterates.safetensors"])
def test_a_failed_write_leaves_no_companion(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What a full disk took of a cell goes, and its checkpoint stays."""
    replace = os.replace
    store.slot(OTHER).write(b"unfinished")

    def fail(source: Any, target: Any) -> None:
        if str(target).endswith(name):
            raise OSError(28, "No space left on device")
        replace(source, target)

    before = sorted(store.folder.iterdir())
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        store.put(OTHER, FRAME, FOOTER, ARRAYS, ITERATES)
    assert sorted(store.folder.iterdir()) == before
