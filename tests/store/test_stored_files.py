"""Stored files are read once, however much is asked of them."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from mmbench.core.files import open_file, read_file
from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.runner.lookup import is_stored
from mmbench.runner.plan import plan
from mmbench.store import stored_files
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite


def cell(*metrics: str) -> Cell:
    """Return a short cell with arrays and iterates."""
    grid = Grid(
        tasks=("bilinear",),
        algorithms=("gda",),
        metrics=metrics,
        seeds=2,
        steps=6,
        records=3,
        keep="all",
    )
    (planned,) = plan(Suite(name="test", grids=(grid,)))
    return planned


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with the cell and one metric."""
    made = Store(tmp_path / "store")
    execute([cell("distance")], made)
    return made


@pytest.fixture
def reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file is read from now on, tables and companions."""
    counts: Counter[str] = Counter()
    read_bytes = stored_files.read_bytes
    read_companion = {"open_file": open_file, "read_file": read_file}

    def count_table(path: Path) -> tuple[bytes, stored_files.Version]:
        found = read_bytes(path)
        counts["table"] += 1
        return found

    def count_companion(name: str, path: Path) -> object:
        if path.suffix == ".safetensors":
            counts["arrays" if "iterates" not in path.name else "iterates"] += 1
        return read_companion[name](path)

    monkeypatch.setattr(stored_files, "read_bytes", count_table)
    for name in read_companion:
        monkeypatch.setattr(stored_files, name, partial(count_companion, name))
    return counts


def test_a_lookup_reads_each_file_once(store: Store, reads: Counter[str]) -> None:
    """The table, and the companions to check their digests."""
    assert is_stored(cell("distance"), store)
    assert reads == {"table": 1, "arrays": 1, "iterates": 1}
    reads.clear()
    assert execute([cell("distance")], store) == []
    assert reads == {"table": 1, "arrays": 1, "iterates": 1}


def test_one_more_metric_reads_each_companion_once(
    store: Store, reads: Counter[str]
) -> None:
    """Under the lease; the table is read to look the cell up as well."""
    assert len(execute([cell("distance", "gap")], store)) == 1
    assert reads == {"table": 2, "arrays": 1, "iterates": 1}


def test_companions_are_hashed_at_most_once_per_read(
    store: Store, reads: Counter[str]
) -> None:
    """The faults of files whose tensors were read need no second look."""
    stored = store.require(cell().key)
    assert reads == {"table": 1}
    assert set(stored.iterates()) == {"z", "steps"}
    assert stored.arrays()
    assert stored.faults == []
    assert stored.frame["step"].max() == 6
    assert reads == {"table": 1, "arrays": 1, "iterates": 1}


def test_a_cell_that_is_not_stored_is_not_read(
    store: Store, reads: Counter[str]
) -> None:
    """Nor does a cell of another key cause a read of this one."""
    store.remove(cell().key)
    reads.clear()
    assert not is_stored(cell("distance"), store)
    assert reads == {}
