"""Cells at work: what their checkpoints show, and that it counts for nothing."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from mmbench.analysis.leaderboard import boards
from mmbench.analysis.results import gather, gather_planned, load
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.execute import execute
from mmbench.runner.in_progress import read_unfinished
from mmbench.runner.plan import plan
from mmbench.store.folder import CheckpointFile, Store
from mmbench.suites.base import Grid, Suite

GAME = "four_gaussians[hidden=4,noise=2,batch=8]"  # 16 runs side by side


class Killed(BaseException):
    """The process ends here."""


def cells(*algorithms: str, seeds: int = 3, metrics: tuple = ()) -> tuple[Cell, ...]:
    """Short cells of a game with sample sheets."""
    grid = Grid(
        tasks=(GAME,),
        algorithms=algorithms or ("gda",),
        seeds=seeds,
        steps=12,
        records=6,
        metrics=metrics,
    )
    return plan(Suite(name="test", grids=(grid,)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def kill(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Computes a cell whose process ends after so many checkpoints."""

    def kill(cell: Cell, after: int) -> None:
        written = 0
        write = CheckpointFile.write

        def dying(slot: CheckpointFile, content: bytes) -> None:
            nonlocal written
            write(slot, content)
            written += 1
            if written == after:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setenv("MMBENCH_CHECKPOINT", "0")
            patch.setattr(CheckpointFile, "write", dying)
            with pytest.raises(Killed):
                execute([cell], store)

    return kill


def test_a_cell_at_work_shows_its_first_records(store: Store, kill) -> None:
    """The same numbers as those of the whole cell, up to where it has come."""
    (cell,) = cells()
    kill(cell, 8)  # between steps 6 and 7, for the first is before step 0
    found = read_unfinished(cell, store)
    assert found
    whole = run_cell(cell).frame(cell)
    steps = sorted({*found.frame["step"]})
    assert steps == [step for step in cell.schedule if step < 8]
    assert len(steps) < len(cell.schedule)
    expected = whole[whole["step"].isin(steps)].reset_index(drop=True)
    measured = [column["name"] for column in found.footer["columns"]]
    assert "modes" in measured
    for name in ("seed", "step", "grad_x", *measured):
        np.testing.assert_array_equal(found.frame[name], expected[name])
    assert {*found.frame["status"]} == {"running"}
    assert {*found.frame["stopped_at"]} == {steps[-1]}
    assert found.footer["provenance"] == {
        "device": "cpu",
        "mmbench": version("mmbench"),
        "torch": torch.__version__,
    }
    assert found.footer["at_work"] == {
        "planned": 3,
        "ended": 0,
        "runs": 3,
        "step": 7,
    }


def test_the_sheet_of_a_cell_at_work_is_of_where_it_stands(store: Store, kill) -> None:
    """That which a cell of as many steps would have ended with."""
    (cell,) = cells()
    kill(cell, 13)  # at the last step, before its record
    found = read_unfinished(cell, store)
    assert found
    whole = run_cell(cell)
    np.testing.assert_array_equal(found.arrays["sheet"], whole.arrays["sheet"])


def test_of_several_chunks_those_are_shown_that_have_ended(store: Store, kill) -> None:
    """So that all runs have the same records."""
    (cell,) = cells(seeds=20)
    kill(cell, 13 + 5)
    found = read_unfinished(cell, store)
    assert found
    assert sorted({*found.frame["seed"]}) == list(range(16))
    assert sorted({*found.frame["step"]}) == list(cell.schedule)
    assert {*found.frame["status"]} == {"running"}
    assert (found.footer["at_work"]["ended"], found.footer["at_work"]["runs"]) == (
        16,
        4,
    )
    assert found.arrays["sheet"].shape[0] == 8  # as many as a store keeps


def test_metrics_that_were_not_measured_are_left_out(store: Store, kill) -> None:
    """The same cell asked for with another column, and one of whole runs."""
    (cell,) = cells(metrics=("mode_coverage",))
    kill(cell, 8)
    (more,) = cells(metrics=("mode_coverage", "field_norm", "worst[of=modes]"))
    assert more.key == cell.key
    found = read_unfinished(more, store)
    assert found
    assert "modes" in found.frame
    assert not {"field_norm", "worst_modes"} & {*found.frame}


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint" * 9])
def test_nothing_comes_of_no_checkpoint(store: Store, content: bytes | None) -> None:
    """None at all, an empty file, and one that is something else."""
    (cell,) = cells()
    store.check_writable()
    if content is not None:
        store.slot(cell.key).write(content)
    assert read_unfinished(cell, store) is None


def test_cells_are_gathered_with_those_at_work(store: Store, kill) -> None:
    """Stored, at work and missing ones are distinguished."""
    one, two, three = cells("gda", "omd", "extragradient")
    execute([one], store)
    kill(two, 8)
    found = gather_planned(store, [one, two, three])
    assert list(found.footers) == [one.key, two.key]
    assert list(found.unfinished) == [two.key]
    assert (found.wanted, found.missing) == (3, 1)
    assert found.arrays(one.key)["sheet"].shape == found.arrays(two.key)["sheet"].shape
    assert list(found.finished.footers) == [one.key]
    assert {*found.finished.frame["label"]} == {"gda"}
    assert {*load(store.folder)["label"]} == {"gda"}
    assert gather(store).finished.footers == gather(store).footers


def test_cells_at_work_have_no_place(store: Store, kill) -> None:
    """They neither win nor lose, and a task with no others has no board."""
    one, two = cells("gda", "omd")
    kill(two, 8)
    assert boards(gather_planned(store, [one, two])) == ([], {})
    execute([one], store)
    _, by_task = boards(gather_planned(store, [one, two]))
    (board,) = by_task.values()
    assert list(board.table["label"]) == ["gda"]


def test_a_stored_cell_is_no_longer_at_work(store: Store, kill) -> None:
    """The same command goes on from the checkpoint and takes it away."""
    (cell,) = cells()
    kill(cell, 8)
    execute([cell], store)
    assert read_unfinished(cell, store) is None
    found = gather_planned(store, [cell])
    assert not found.unfinished
    assert Status.RUNNING not in {*found.frame["status"]}
