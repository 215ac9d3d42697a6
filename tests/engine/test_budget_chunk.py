"""Cells with a budget: their runs go on until their cost reaches it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from memory_slots import Killed, MemorySlot
from scripted_runs import SMALL, Scripted, make_cell, trajectory_of

from mmbench.algorithms.base import Algorithm
from mmbench.core.columns import COUNTED
from mmbench.core.cost import Cost, spent
from mmbench.core.errors import DescriptionError
from mmbench.core.source import Source
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite
from mmbench.testing.tools import PLACEMENT, require_equal_runs

COMPILED = PLACEMENT._replace(compiled=True)

# Methods whose steps cost the same in all runs, and methods whose steps do not.
ALIKE = ("gda[step_size=0.1]", "extragradient[step_size=0.1]", "unrolled[k=2]")
APART = (
    "cgd[step_size=0.5,tolerance=0.3]",
    "acgd[step_size=0.01,tolerance=0.1]",
    "accept_reject[k=2]",
)


def budget_cell(task: str, algorithm: Any, budget: int = 90, **options: Any) -> Cell:
    """Return a cell with a budget, in gradient-equivalents."""
    given = {"budget": budget, "steps": budget, "records": 5} | options
    return make_cell(task, algorithm, **given)


def costs_of(trajectory: Trajectory) -> np.ndarray:
    """Return what has been spent, shape (records, runs)."""
    return spent(trajectory.counts, "gradient-equivalents")


@pytest.mark.parametrize("task", ["bilinear", SMALL])
@pytest.mark.parametrize("algorithm", [*ALIKE, *APART])
def test_runs_are_recorded_where_they_reach_a_cost(task: str, algorithm: str) -> None:
    """Every record is that of the first step at which the run has spent so much."""
    by_cost = run_cell(budget_cell(task, algorithm), PLACEMENT)
    by_step = trajectory_of(task, algorithm, steps=50, records=50)
    costs = costs_of(by_step)
    assert by_cost.steps == budget_cell(task, algorithm).schedule
    for record, level in enumerate(by_cost.steps):
        for run in range(3):
            step = int(np.argmax(costs[:, run] >= level))
            assert by_cost.columns["steps_made"][record, run] == step
            for name in by_step.columns:
                found = by_cost.columns[name][record, run]
                assert found == by_step.columns[name][step, run]
            for name in COUNTED:
                assert (
                    by_cost.counts[name][record, run] == by_step.counts[name][step, run]
                )
    assert set(by_cost.status) == {Status.FINISHED}
    assert (by_cost.stopped_at == 90).all()


def test_steps_differ_between_runs_where_their_costs_do() -> None:
    cell = budget_cell(SMALL, "acgd[step_size=0.01,tolerance=0.001]", 300)
    steps = run_cell(cell, PLACEMENT).columns["steps_made"]
    assert np.ptp(steps[-1]) > 0


@pytest.mark.parametrize("algorithm", [ALIKE[0], *APART])
def test_no_run_depends_on_what_others_spend(algorithm: str) -> None:
    cell = budget_cell(SMALL, algorithm)
    alone = run_cell(replace(cell, seeds=(2,)), PLACEMENT)
    require_equal_runs(run_cell(cell, PLACEMENT), alone, (2,), "alone")


def test_a_run_ends_where_its_budget_is_spent() -> None:
    """It makes no step more, however long others go on."""
    cell = budget_cell(SMALL, "acgd[step_size=0.01,tolerance=0.001]", 300)
    last = run_cell(replace(cell, keep="last"), PLACEMENT).iterates["z"][-1]
    at_budget = run_cell(replace(cell, keep="all"), PLACEMENT).iterates["z"][-1]
    assert np.array_equal(last, at_budget)


@pytest.mark.parametrize("task", ["bilinear", SMALL])
@pytest.mark.parametrize("algorithm", [ALIKE[1], *APART[:2]])
def test_a_killed_cell_goes_on(task: str, algorithm: str) -> None:
    cell = budget_cell(task, algorithm)
    at_once = run_cell(cell, PLACEMENT)
    for write in (1, 3, 6):
        slot = MemorySlot(raises_at=write)
        with pytest.raises(Killed):
            run_cell(cell, PLACEMENT, slot=slot)
        written = slot.written
        resumed = run_cell(cell, PLACEMENT, slot=slot)
        require_equal_runs(at_once, resumed, cell.seeds, f"killed at {write}")
        for name, values in at_once.arrays.items():
            assert np.array_equal(values, resumed.arrays[name])
        fresh = MemorySlot()
        run_cell(cell, PLACEMENT, slot=fresh)
        assert slot.written - written < fresh.written or write == 1


@pytest.mark.parametrize("algorithm", [ALIKE[0], ALIKE[1], APART[0]])
def test_compiled_steps_lead_to_the_same_costs(algorithm: str) -> None:
    task = SMALL if algorithm == APART[0] else "bilinear"
    cell = budget_cell(task, algorithm, metrics=())
    eager, compiled = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert compiled.backend == "compiled"
    assert np.array_equal(costs_of(eager), costs_of(compiled))
    for name, values in eager.columns.items():
        assert np.allclose(values, compiled.columns[name], rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize("what", ["nan", "inf", "stop"])
def test_a_run_that_ends_has_spent_what_it_had(what: str) -> None:
    cell = budget_cell("bilinear", Scripted(what=what, at=4, watched=True), 20)
    trajectory = run_cell(cell, PLACEMENT)
    assert trajectory.status[0] is Status.FINISHED
    assert trajectory.status[1] is not Status.FINISHED
    assert trajectory.stopped_at.tolist() == [20, 5, 20]
    assert trajectory.columns["steps_made"][-1].tolist() == [20, 5, 20]


def test_a_budget_may_be_spent_when_all_runs_have_ended() -> None:
    """Where all runs diverge, their records repeat up to the budget."""
    cell = budget_cell("quadratic", "gda[step_size=0.9]", 2000)
    trajectory = run_cell(cell, PLACEMENT)
    assert set(trajectory.status) == {Status.DIVERGED}
    assert trajectory.steps == cell.schedule
    assert (trajectory.stopped_at == costs_of(trajectory)[-1]).all()


def test_the_path_is_that_at_equal_costs() -> None:
    cell = budget_cell("bilinear", ALIKE[1], 40, metrics=())
    by_cost, by_step = run_cell(cell, PLACEMENT), trajectory_of("bilinear", ALIKE[1])
    assert by_cost.arrays["path_steps"].tolist() == list(range(41))
    for cost in range(41):
        step = -(-cost // 4)
        found, expected = by_cost.arrays["path"], by_step.arrays["path"]
        assert np.array_equal(found[:, cost], expected[:, step])


@pytest.mark.parametrize("algorithm", [ALIKE[0], APART[0]])
def test_progress_is_reported_at_records_alone(algorithm: str) -> None:
    """Not at each point of a path, for every report is a message of a worker."""
    cell = budget_cell("bilinear", algorithm, 400)
    reports: list[int] = []
    run_cell(cell, PLACEMENT, lambda run_steps, _: reports.append(run_steps))
    assert len(reports) <= len(cell.schedule) + 1
    assert sum(reports) == 400 * len(cell.seeds)


def test_a_budget_of_samples() -> None:
    cell = budget_cell(SMALL, ALIKE[1], 100, unit="samples")
    trajectory = run_cell(cell, PLACEMENT)
    per_step = trajectory.counts["samples"][-1] / trajectory.columns["steps_made"][-1]
    assert (trajectory.counts["samples"][-1] >= 100).all()
    assert (trajectory.counts["samples"][-1] < 100 + per_step).all()


class Free(Algorithm):
    """A method that asks for nothing."""

    source = Source(authors="Nobody", year=2026, title="A gift")

    @property
    def cost(self) -> Cost:
        """Return the cost of one step."""
        return Cost()

    def step(self, oracle: Any, z: torch.Tensor, state: Any) -> Any:
        """Move."""
        return z + 1e-3, state


def test_a_method_must_spend_its_budget() -> None:
    cell = budget_cell("bilinear", Free(), 1000)
    trajectory = run_cell(cell, PLACEMENT)
    assert set(trajectory.status) == {Status.ERROR}
    assert "must spend" in trajectory.reason
    assert "in 100 steps" in trajectory.reason  # long before twice the budget


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 10, "keep_state": True}, "keep_state must be false"),
        ({"unit": "samples"}, "unit must be left out"),
        ({"budget": -1}, "budget must be"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict, message: str) -> None:
    with pytest.raises(DescriptionError, match=message):
        plan(
            Suite(
                name="test",
                grids=(Grid(tasks=("bilinear",), algorithms=("gda",), **options),),
            )
        )


def test_a_cell_has_steps_or_a_budget() -> None:
    with pytest.raises(DescriptionError, match="steps must be left out"):
        make_cell("bilinear", "gda", steps=5, budget=10)
