"""Cells, read back from their footers."""

from pathlib import Path
from typing import Any

import pytest
from edited_stores import (
    rewrite,
    small_grid,
    store_of,
    with_description,
    with_footer,
)
from own_algorithms import own_algorithm

from mmbench.core.errors import DamagedError, DescriptionError, StoreError
from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.runner.replay import Verdict, replay
from mmbench.runner.stored_cell import key_of, stored_cell
from mmbench.store.folder import Store
from mmbench.suites.base import Suite


@pytest.fixture
def one(tmp_path: Path) -> tuple[Store, Cell]:
    """A store with one cell that has a metric of every kind."""
    metrics = ("distance", "worst[of=distance]", "losses")
    store, (cell,) = store_of(tmp_path, small_grid(metrics=metrics, keep="last"))
    return store, cell


def test_files_without_descriptions_are_read(tmp_path: Path) -> None:
    """The cell is made from the specs of its metrics and the metrics of its task."""
    store, (cell,) = store_of(
        tmp_path, small_grid(metrics=("distance", "losses"), keep="last")
    )

    def older(footer: dict[str, Any]) -> None:
        del footer["description"]

    rewrite(store, cell.key, footer=older)
    assert stored_cell(store.require(cell.key)) == cell
    assert replay(store, store.require(cell.key)).verdict is Verdict.IDENTICAL


def test_no_code_is_chosen_by_a_file(tmp_path: Path) -> None:
    """Specs of metrics in a footer name no external class."""
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'done')!r}, 'w')")
    store, (cell,) = store_of(tmp_path, small_grid())

    def evils(footer: dict[str, Any]) -> None:
        footer["metrics"][f"{evil}:Metric"] = "0"
        del footer["description"]

    rewrite(store, cell.key, footer=evils)
    with pytest.raises(DescriptionError, match="Unknown metric"):
        replay(store, store.require(cell.key))
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("value", [None, 3, [], {}, {"class": "os:system"}, "cell"])
def test_files_that_describe_nothing(value: Any, one: tuple[Store, Cell]) -> None:
    """A footer without a description is damaged."""
    store, cell = one
    rewrite(store, cell.key, footer=with_footer(description=value))
    with pytest.raises(DamagedError, match="schema of a footer: description must"):
        replay(store, store.require(cell.key))


@pytest.mark.parametrize("reference", ["os:system", "mmbench.tasks.bilinear:None"])
def test_files_that_describe_no_cell(reference: str, one: tuple[Store, Cell]) -> None:
    """A description that names no class of cells is refused in a sentence."""
    store, cell = one
    rewrite(store, cell.key, footer=with_description(**{"class": reference}))
    with pytest.raises(DescriptionError):
        replay(store, store.require(cell.key))


def test_keys_by_their_beginning(tmp_path: Path) -> None:
    """A key may be given by the first characters that only it has."""
    store, cells = store_of(tmp_path, small_grid(), small_grid(algorithm="omd"))
    for cell in cells:
        assert key_of(store, cell.key[:6]) == key_of(store, cell.key) == cell.key
    for beginning in ("", "x", "../store"):
        with pytest.raises(StoreError, match="must be the beginning of one key"):
            key_of(store, beginning)


def test_classes_of_one_file_name_are_told_apart_by_their_code(tmp_path: Path) -> None:
    """A store with two classes `mine.py:Mine` can be read whole."""
    store, specs = Store(tmp_path / "s"), []
    for folder, step in (("a", "0.1"), ("b", "0.3")):
        (tmp_path / folder).mkdir()
        source = own_algorithm(f"return z - {step} * oracle.field(z), state")
        (tmp_path / folder / "mine.py").write_text(source)
        specs.append(f"{tmp_path / folder / 'mine.py'}:Mine")
    planned = [
        cell
        for spec in specs
        for cell in plan(Suite(name="one", grids=(small_grid(algorithm=spec),)))
    ]
    execute(planned, store)
    for cell in planned:
        for given in (specs, specs[::-1]):
            assert stored_cell(store.require(cell.key), given).key == cell.key
