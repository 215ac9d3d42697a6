"""Fresh seeds: forged distributions are found, and honest ones are not refuted."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from edited_stores import small_grid

from mmbench.core.columns import COUNTED
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.fresh_seeds import LEVEL, FreshSeeds, compare
from mmbench.runner.plan import plan
from mmbench.suites.base import Suite

STEPS = tuple(range(0, 45, 5))
SHOWN = 8  # runs in one trajectory


@pytest.fixture(scope="module")
def cell() -> Cell:
    """Return a cell with a metric, a summary of it, and kept iterates."""
    metrics = ("distance", "worst[of=distance]", "losses")
    grid = small_grid(metrics=metrics, seeds=8, keep="all")
    (cell,) = plan(Suite(name="x", grids=(grid,)))
    return cell


def drawn(draw: int, runs: int = SHOWN) -> Trajectory:
    """Return runs whose numbers are independent and normal."""
    random = np.random.default_rng(draw)
    shape = len(STEPS), runs
    columns = {name: random.normal(size=shape) for name in ("distance", "loss_x")}
    columns["loss_y"] = -columns["loss_x"]
    worst = columns["distance"].max(axis=0)
    columns["distance_worst"] = np.tile(worst, (len(STEPS), 1))
    charges = np.tile(np.array(STEPS)[:, None], (1, runs))
    return Trajectory(
        seeds=tuple(range(runs)),
        steps=STEPS,
        counts={name: charges.copy() for name in COUNTED},
        seconds=random.random(shape),
        columns=columns,
        status=[Status.FINISHED] * runs,
        stopped_at=np.full(runs, 40),
        arrays={
            "path": random.normal(size=(runs, 20, 2)),
            "path_steps": np.arange(20),
        },
        iterates={"z": random.normal(size=(*shape, 3)), "steps": np.array(STEPS)},
    )


def judged(cell: Cell, stored: Trajectory) -> FreshSeeds:
    """Compare runs with 32 fresh ones."""
    return compare(cell, stored, [drawn(draw) for draw in range(100, 104)], draw=0)


def test_honest_runs_agree(cell: Cell) -> None:
    """In ten samples, p is spread as of a test, and far from the level."""
    found = [judged(cell, drawn(draw)) for draw in range(10)]
    assert all(one.agree and one.p > 10 * LEVEL for one in found)
    assert {(one.stored, one.fresh) for one in found} == {(8, 32)}
    assert "8 stored and 32 fresh runs agree in distribution" in str(found[0])


def put(name: str, record: int, value: float) -> Callable[[Trajectory], None]:
    """Return a change of a column at one record of all runs."""

    def change(runs: Trajectory) -> None:
        runs.columns[name][record] = value + 1e-6 * np.arange(len(runs.seeds))

    return change


def end_as_diverged(runs: Trajectory) -> None:
    """Let all runs end otherwise, at the last step."""
    runs.status[:] = [Status.DIVERGED] * len(runs.seeds)


FORGED: dict[str, tuple[Callable[[Trajectory], None], str]] = {
    "a value beyond all": (put("distance", 3, -9.0), "distance at step 15"),
    "the same value in all": (put("loss_x", 7, 0.01), "loss_x at step 35"),
    "no number": (put("loss_y", 5, np.nan), "loss_y at step 25"),
    "charges": (lambda runs: runs.counts["hvps"].__setitem__(2, 0), "hvps at step 10"),
    "status": (end_as_diverged, "status diverged"),
    "an early end": (lambda runs: runs.stopped_at.fill(2), "stopped_at"),
    "iterates": (lambda runs: runs.iterates["z"].__setitem__(4, 0), "of z at step 20"),
    "a path": (lambda runs: runs.arrays["path"].__setitem__(np.s_[:, 9], 7), "of path"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_other_seeds_never_give_is_found(what: str, cell: Cell) -> None:
    """Whatever it is and wherever it stands, its name and step are told."""
    change, where = FORGED[what]
    stored = drawn(0)
    change(stored)
    found = judged(cell, stored)
    assert found.differ
    assert not found.agree
    assert where in found.where
    assert f"differ in {found.where}, p = " in str(found)


def test_half_of_the_ends_are_enough(cell: Cell) -> None:
    """Eight of sixteen runs that break down, while none of 32 does, are no chance."""
    stored = drawn(0, 16)
    stored.status[::2] = [Status.NONFINITE] * 8
    stored.arrays = {
        name: values[:SHOWN] if name == "path" else values
        for name, values in stored.arrays.items()
    }
    assert judged(cell, stored).where == "status nonfinite"
    assert judged(cell, stored).differ


def test_too_few_runs_tell_nothing(cell: Cell) -> None:
    """Two runs that are beyond all others may be so by chance."""
    stored = drawn(0, 2)
    put("distance", 3, -9.0)(stored)
    found = judged(cell, stored)
    assert (found.can_tell, found.differ, found.agree) == (False, False, False)
    assert str(found) == "2 stored and 32 fresh runs are too few, or too alike, to tell"
    assert found.untested == ("path", "path_steps")


def test_columns_that_were_measured_later_are_named(cell: Cell) -> None:
    """Only their last record is compared."""
    cell, stored = replace(cell, keep="last"), drawn(0)
    stored.columns["loss_x"][:-1] = np.nan
    found = judged(cell, stored)
    assert found.untested == ("loss_x",)
    assert found.agree
    put("loss_x", -1, 9.0)(stored)
    assert judged(cell, stored).where == "loss_x at step 40"


def test_runs_that_are_the_same_for_all_seeds_tell_nothing(cell: Cell) -> None:
    """Eight equal runs are one sample: of another machine, all may be beyond."""

    def equal(value: float) -> Trajectory:
        runs = drawn(0)
        runs.columns = {name: np.full((9, 8), value) for name in runs.columns}
        runs.iterates = {}
        runs.arrays = {}
        return runs

    found = compare(cell, equal(2.0), [equal(1.0) for _ in range(4)], draw=0)
    assert (found.can_tell, found.differ, found.agree) == (False, False, False)
