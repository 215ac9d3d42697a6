"""Parts: where a cell is cut, and what becomes of the pieces."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_cells import chained_cells, continuing_grid
from stores import assert_same_cells

from mmbench.core.errors import DamagedError, StoreError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner.compute import compute_and_store
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.runner.shards import ends_for, join, split
from mmbench.store.folder import Store
from mmbench.store.integrity import check, repair
from mmbench.store.shards import remove_shards, shard_store, shards_folder
from mmbench.suites.base import Grid, Suite

NET = "four_gaussians[hidden=4,noise=2,batch=8]"
WIDTH = 16  # runs of that task side by side


def cells(seeds: int = 40, **options: Any) -> tuple[Cell, ...]:
    """A cell and one that goes on from it."""
    small = {"steps": 6, "records": 3, "seeds": seeds}
    small |= {"metrics": ("sliced_wasserstein[samples=20]",)}
    first = Grid(tasks=(NET,), algorithms=("first = gda",), **small | options)
    rest = Grid(tasks=(NET,), algorithms=("omd",), after="first", **small | options)
    return plan(Suite(name="test", grids=(first, rest)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


def in_parts(cell: Cell, store: Store, most: int = 2) -> list[Cell]:
    """Its parts, computed."""
    parts = split(cell, Placement(), most)
    for part in parts:
        compute_and_store(
            part, shard_store(store, cell.key), Placement(), ends=ends_for(part, store)
        )
    return parts


@pytest.mark.parametrize(
    ("seeds", "most", "runs"),
    [
        (40, 1, [40]),
        (40, 2, [32, 8]),
        (40, 3, [16, 16, 8]),
        (40, 9, [16, 16, 8]),
        (16, 4, [16]),
        (3, 4, [3]),
        (80, 3, [32, 32, 16]),
    ],
)
def test_cuts_are_where_chunks_end(seeds: int, most: int, runs: list[int]) -> None:
    """Every seed once, in order, and no chunk is cut."""
    (cell, _) = cells(seeds)
    assert cell.task.width == WIDTH
    parts = split(cell, Placement(), most)
    assert [len(one.seeds) for one in parts] == runs
    assert [seed for one in parts for seed in one.seeds] == list(cell.seeds)
    assert {replace(one, seeds=cell.seeds) for one in parts} == {cell}


@pytest.mark.parametrize("keep", ["last", "all"])
def test_parts_make_the_whole(store: Store, tmp_path: Path, keep: Any) -> None:
    """Tables, arrays, iterates and footers, for a chain; and nothing is left."""
    planned, whole = cells(keep=keep), Store(tmp_path / "whole")
    execute(planned, whole)
    for cell in planned:
        join(cell, in_parts(cell, store, 3), store)
    assert_same_cells(store, whole, [cell.key for cell in planned])
    assert not shards_folder(store).exists()
    assert execute(planned, store) == []


def test_a_part_that_is_missing_or_damaged_is_told(store: Store) -> None:
    """And nothing is stored of the cell."""
    cell, _ = cells()
    parts = in_parts(cell, store)
    table = shard_store(store, cell.key).table(parts[1].key)
    content = table.read_bytes()
    table.write_bytes(content[:-1])
    with pytest.raises(DamagedError):
        join(cell, parts, store)
    table.unlink()
    with pytest.raises(StoreError, match=parts[1].key):
        join(cell, parts, store)
    assert cell.key not in store
    table.write_bytes(content)
    join(cell, parts, store)
    assert cell.key in store


def test_parts_of_a_stored_cell_are_left_over(store: Store) -> None:
    """Shards that a dead command left are reported, and deleted on request."""
    cell, rest = cells()
    join(cell, in_parts(cell, store), store)
    in_parts(cell, store, 3)
    in_parts(rest, store, 3)
    findings = [one for one in check(store) if one.kind == "stray"]
    assert [one.path.name for one in findings] == [cell.key]
    repair(store, findings)
    assert [one.name for one in shards_folder(store).iterdir()] == [rest.key]
    join(rest, in_parts(rest, store, 3), store)
    assert check(store) == []


def test_a_cell_stored_meanwhile_is_not_replaced(store: Store) -> None:
    """Only its parts go."""
    cell, _ = cells()
    parts = in_parts(cell, store)
    execute([cell], store)
    version = store.version(cell.key)
    join(cell, parts, store)
    assert store.version(cell.key) == version
    assert not shards_folder(store).exists()
    remove_shards(store, cell.key)  # of which there are none


def test_missing_iterates_are_refused(store: Store) -> None:
    """A missing file of kept iterates is refused in a sentence."""
    first, rest = chained_cells(continuing_grid())
    execute([first], store)
    store.companions(first.key)["iterates"].unlink()
    with pytest.raises(StoreError, match="it is missing"):
        ends_for(rest, store)
