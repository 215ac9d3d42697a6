"""Cells that start where other cells ended."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_cells import FAILING, NET, QUICK, chained_cells, continuing_grid

from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite


def iterates_of(planned: tuple[Cell, ...], store: Store | None) -> list[np.ndarray]:
    """Iterates of each cell, from a store or in memory."""
    found: dict[str, Any] = {}
    execute(
        planned,
        store,
        on_result=lambda cell, done: found.update({cell.key: done.iterates}),
    )
    return [found[cell.key]["z"] for cell in planned]


def test_a_chained_run_starts_where_the_other_ended(store: Store) -> None:
    """Bit for bit and seed by seed, whichever seeds go on."""
    start, rest, some = iterates_of(
        chained_cells(continuing_grid(), continuing_grid("cgd", first_seed=1, seeds=2)),
        store,
    )
    np.testing.assert_array_equal(rest[0], start[-1])
    np.testing.assert_array_equal(some[0], start[-1, 1:])
    assert (rest[-1] != rest[0]).any()


@pytest.mark.parametrize("player", ["x", "y"])
def test_one_player_may_start_anew(store: Store, player: Any) -> None:
    """The one inherited stands where it ended, the other where its seed begins."""
    cells = chained_cells(continuing_grid(inherit=player), keep="all")
    start, rest = iterates_of(cells, store)
    split = cells[0].task.build(Placement()).dim_x
    assert split < start.shape[2]
    x, y = rest[0][:, :split], rest[0][:, split:]
    before_x, before_y = (
        start[-1 if player == "x" else 0],
        start[0 if player == "x" else -1],
    )
    np.testing.assert_array_equal(x, before_x[:, :split])
    np.testing.assert_array_equal(y, before_y[:, split:])


@pytest.mark.parametrize(("task", "same"), [(NET, False), ("bilinear", True)])
def test_a_chained_run_sees_other_minibatches(
    store: Store, task: str, same: bool
) -> None:
    """From where it had begun anyway, a run takes other steps; without data the same.

    The cell before moves by less than the last bit.
    """
    metrics = () if same else QUICK
    still = Grid(
        tasks=(task,),
        algorithms=("still = gda[step_size=1e-300]",),
        metrics=metrics,
        seeds=3,
        steps=2,
    )
    rest = continuing_grid("gda[step_size=0.2]", task, after="still", metrics=metrics)
    plain = Grid(
        tasks=(task,),
        algorithms=("plain = gda[step_size=0.2]",),
        metrics=metrics,
        seeds=3,
        steps=4,
        records=4,
        keep="all",
    )
    planned = plan(Suite(name="test", grids=(still, rest, plain)))
    _, chained, direct = iterates_of(planned, store)
    np.testing.assert_array_equal(chained[0], direct[0])
    assert np.array_equal(chained[1], direct[1]) is same


def test_branches_of_a_chain_are_paired(store: Store) -> None:
    """Two methods that go on from one end see the same minibatches."""
    _, one, other = iterates_of(
        chained_cells(continuing_grid("gda"), continuing_grid("omd")), store
    )
    # The first step of OMD is GDA's.
    np.testing.assert_array_equal(one[1], other[1])
    assert (one[2] != other[2]).any()


def test_chains_are_the_same_in_memory_and_in_pieces(
    store: Store, tmp_path: Path
) -> None:
    """Whether ends are stored, held, or found from an earlier day."""
    planned = chained_cells(continuing_grid(), continuing_grid("cgd"))
    stored, held = iterates_of(planned, store), iterates_of(planned, None)
    other = Store(tmp_path / "other")
    execute(planned[:1], other)
    later = iterates_of(planned[1:], other)
    for one, another in zip(stored, held, strict=True):
        np.testing.assert_array_equal(one, another)
    for one, another in zip(stored[1:], later, strict=True):
        np.testing.assert_array_equal(one, another)
    assert execute(planned, store) == []


def test_an_end_that_is_missing_is_computed_first(store: Store) -> None:
    """A cell stored before anybody went on from it runs again, and keeps its end."""
    (alone,) = chained_cells()
    execute([alone], store)
    assert not store.iterates(alone.key)
    done = execute(chained_cells(continuing_grid()), store)
    assert [cell.label for cell in done] == ["first", "omd"]
    assert store.iterates(alone.key)["steps"].tolist() == [6]


def test_nobody_goes_on_from_an_error(store: Store, tmp_path: Path) -> None:
    """The cells after it end with an error that says so, stored or not."""
    path = tmp_path / "failing.py"
    path.write_text(FAILING, "utf-8")
    bad = Grid(
        tasks=(NET,), algorithms=(f"bad = {path}:Failing",), metrics=QUICK, seeds=3
    )
    planned = plan(
        Suite(
            name="test",
            grids=(
                bad,
                continuing_grid(after="bad"),
                continuing_grid("third = gda", after="omd"),
            ),
        )
    )
    for where in (store, None):
        frames: dict[str, Any] = {}
        execute(
            planned,
            where,
            on_result=lambda cell, done, frames=frames: frames.update(
                {cell.label: done.frame}
            ),
        )
        (reason,) = set(frames["bad"]["reason"])
        assert reason.startswith("ZeroDivisionError in ")
        assert reason.endswith(": three")
        for label, before in (("omd", "bad"), ("third", "omd")):
            assert set(frames[label]["status"]) == {"error"}
            (reason,) = set(frames[label]["reason"])
            assert reason == (
                f"StoreError: {before} on {NET} must have ended for {label} to go on "
                "from there; it has no last iterates."
            )


def test_players_of_another_length_are_refused(store: Store) -> None:
    """A start from a game of another size is an error in a sentence."""
    game = "four_gaussians[hidden=5,noise=2,batch=8]"
    planned = chained_cells(continuing_grid(task=game))
    execute(planned, store)
    (reason,) = set(store.frame(planned[1].key)["reason"])
    assert "must go on from a game of" in reason
