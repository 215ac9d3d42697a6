"""Cells that go on from the states of cells with fewer steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_cells import NET, QUICK, CountingObserver, small_cells
from stores import assert_same_cells

from mmbench.core.checkpoint import pack, unpack
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.saved_cell import unpack_cell
from mmbench.runner import continuation, divided, local_workers
from mmbench.runner.continuation import checkpoint_after
from mmbench.runner.execute import execute
from mmbench.runner.limits import Workers
from mmbench.runner.plan import plan
from mmbench.runner.replay import Verdict, replay
from mmbench.store.archive import export, merge, take
from mmbench.store.folder import Store
from mmbench.store.integrity import check
from mmbench.store.shards import shards_folder
from mmbench.suites.base import Grid, Suite

FEW, MORE = 12, 24  # steps; with four records each, step 4 is in the longer table alone


class Listener(CountingObserver):
    """An observer that also keeps the warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def on_warning(self, sentence: str) -> None:
        """Keep a sentence."""
        self.warnings.append(sentence)


def cell_of(task: str, algorithm: str, steps: int, **options: Any) -> Cell:
    """Plan one small cell."""
    metrics = QUICK if task == NET else ()
    given = {"metrics": metrics, "steps": steps, "records": 4} | options
    (cell,) = small_cells(algorithm, tasks=(task,), **given)
    return cell


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def alone(tmp_path: Path) -> Store:
    """An empty store, for cells that are computed at once."""
    return Store(tmp_path / "alone")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the steps that chunks make in this process."""
    made: list[int] = []
    make = Chunk._make_step

    def make_step(chunk: Chunk) -> None:
        made.append(chunk.step)
        make(chunk)

    monkeypatch.setattr(Chunk, "_make_step", make_step)
    return made


def warnings_of(cells: Sequence[Cell], store: Store, **options: Any) -> list[str]:
    """Return what is told when cells are computed into a store."""
    observer = Listener()
    execute(cells, store, observer=observer, **options)
    return observer.warnings


# ---- equal bits ----


@pytest.mark.parametrize("task", ["bilinear", NET])
@pytest.mark.parametrize(
    "algorithm", ["gda", "gda[direction=adam]", "acgd", "accept_reject"]
)
def test_a_cell_that_goes_on_has_the_bits_of_one_run(
    store: Store, alone: Store, steps: list[int], task: str, algorithm: str
) -> None:
    """And makes the further steps alone, as a replay confirms."""
    before = cell_of(task, algorithm, FEW, keep_state=True)
    cell = cell_of(task, algorithm, MORE)
    execute([before], store)
    plain = cell_of(task, algorithm, FEW)
    execute([plain], alone)
    np.testing.assert_array_equal(
        store.frame(before.key).drop(columns="cell_seconds"),
        alone.frame(plain.key).drop(columns="cell_seconds"),
    )
    steps.clear()
    assert warnings_of([cell], store) == []
    assert steps == list(range(FEW, MORE))
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])
    assert check(store) == []
    assert replay(store, store.require(cell.key)).verdict is Verdict.IDENTICAL
