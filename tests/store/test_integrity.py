"""Checks of a store find what is damaged or left over, and leave the rest alone."""

import json
import os
import time
from pathlib import Path

import pytest
from stores import ARRAYS, FOOTER, FRAME, ITERATES, KEY, OTHER, PLAIN

from mmbench.core.checkpoint import pack
from mmbench.core.errors import StoreError
from mmbench.store.folder import Store
from mmbench.store.integrity import check, repair
from mmbench.store.lease import STALE_SECONDS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with two cells in good order."""
    made = Store(tmp_path / "store")
    made.put(KEY, FRAME, FOOTER, ARRAYS, ITERATES)
    made.put(OTHER, FRAME, FOOTER, {})
    return made


def old(path: Path, content: bytes = b"x") -> Path:
    """Write a file that no process has touched for long."""
    path.write_bytes(content)
    then = time.time() - 2 * STALE_SECONDS
    os.utime(path, (then, then))
    return path


def lease(store: Store, key: str) -> Path:
    """Write a lease of a process on another machine, touched just now."""
    path = store.folder / f"{key}.lease"
    path.write_text(json.dumps({"host": "other", "pid": 1, "token": "a"}))
    return path


def kinds(store: Store) -> dict[str, str]:
    """Return the kinds of the findings by the name of the file."""
    return {one.path.name: one.kind for one in check(store)}


def test_good_order(store: Store) -> None:
    """A store in good order has no findings."""
    assert check(store) == []


def test_damage_is_found_and_quarantined(store: Store) -> None:
    """Damaged files are renamed, with the companions of a damaged table."""
    store.put(PLAIN, FRAME, FOOTER, ARRAYS)
    for path in (store.table(KEY), store.companions(PLAIN)["arrays"]):
        path.write_bytes(path.read_bytes()[:-1])
    findings = check(store)
    assert kinds(store) == {f"{KEY}.parquet": "damaged", f"{PLAIN}.parquet": "damaged"}
    assert all(str(store.folder) in one.sentence for one in findings)
    repair(store, findings)
    assert list(store) == [OTHER]
    assert set(kinds(store).values()) == {"quarantined"}
    assert len(kinds(store)) == 5  # two tables, and three companions
    repair(store, check(store))
    assert len(kinds(store)) == 5


def test_what_dead_processes_left_is_deleted(store: Store) -> None:
    """Unfinished writes, arrays of no table, old checkpoints and leases."""
    folder = store.folder
    left = [
        old(folder / f"{KEY}.parquet.{'a' * 32}.part"),
        old(folder / f"{KEY}.{'0' * 16}.safetensors"),
        old(folder / f"{PLAIN}.{'0' * 16}.iterates.safetensors"),
        old(folder / f"{KEY}.checkpoint", pack({"step": 1})),
        old(folder / f"{PLAIN}.checkpoint", b"not whole"),
        old(folder / f"{PLAIN}.lease", b"{}"),
    ]
    assert kinds(store) == {path.name: "stray" for path in left}
    repair(store, check(store))
    assert check(store) == []
    assert list(store) == sorted([KEY, OTHER])


def test_the_checkpoint_of_a_damaged_cell_is_kept(store: Store) -> None:
    """It is computed again from there."""
    table = store.table(KEY)
    table.write_bytes(table.read_bytes()[:-1])
    checkpoint = old(store.folder / f"{KEY}.checkpoint", pack({"step": 1}))
    assert kinds(store) == {table.name: "damaged", checkpoint.name: "in progress"}
    repair(store, check(store))
    assert checkpoint.exists()
    assert not table.exists()


def test_what_is_in_use_is_left_alone(store: Store) -> None:
    """Work in progress, checkpoints to go on from, and what is not of mmbench."""
    folder = store.folder
    lease(store, PLAIN)
    for name in (
        f"{PLAIN}.parquet.{'a' * 32}.part",
        f"{PLAIN}.{'0' * 16}.safetensors",
        f"{PLAIN}.checkpoint",
        f"{KEY}.{'0' * 16}.safetensors",
        "notes.txt",
        "results.parquet",
    ):
        (folder / name).write_bytes(b"x")
    old(folder / f"{'ab' * 12}.checkpoint", pack({"step": 1}))
    (folder / "parts").mkdir()
    before = sorted(folder.iterdir())
    findings = check(store)
    assert {one.kind for one in findings} == {"in progress", "foreign"}
    assert {one.path.name for one in findings if one.kind == "foreign"} == {
        "notes.txt",
        "results.parquet",
    }
    sentences = {one.path.name: one.sentence for one in findings}
    assert sentences[f"{PLAIN}.lease"] == "process 1 on other computes the cell"
    assert "go on from" in sentences[f"{'ab' * 12}.checkpoint"]
    repair(store, findings)
    assert sorted(folder.iterdir()) == before


def test_there_must_be_a_store(tmp_path: Path) -> None:
    """A sentence, not an empty answer."""
    with pytest.raises(StoreError, match="there is none at"):
        check(Store(tmp_path / "no"))
