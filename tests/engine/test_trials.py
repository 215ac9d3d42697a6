"""Trials: runs of a cell with other hyperparameters, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pytest
import torch
from scripted_runs import SMALL, make_cell
from spec_variants import slow

from mmbench.algorithms.base import Algorithm
from mmbench.core.cost import Cost, spent
from mmbench.core.domains import StepSize
from mmbench.core.oracle import Oracle
from mmbench.core.placement import Placement
from mmbench.core.priors import values_at
from mmbench.core.source import Source
from mmbench.engine import trials as module
from mmbench.engine.budget_chunk import BudgetChunk
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trials import Tried, run_trials
from mmbench.testing.tools import PLACEMENT

POINTS = ((0.1, 0.5, 0.1), (0.5, 0.2, 0.9), (0.9, 0.6, 0.1), (0.4, 0.4, 0.4))

# Methods of each kind: multiplied by their step sizes, or computing with them; with
# one step size, with wrappers, with further hyperparameters, with inner solvers.
METHODS = (
    *("gda", "gda[direction=adam]", "omd", "extragradient", "cgd", "acgd"),
    *("unrolled", "accept_reject", "consensus", "alone", "proximal_point"),
    *("lookahead[base=extragradient]", "scheduled[base=cgd]", "averaged[base=omd]"),
)


def trial_cell(task: str, algorithm: Any, **options: Any) -> Cell:
    """Return a cell with a budget."""
    given = {"budget": 60, "steps": 60, "records": 5, "seeds": (10, 11)} | options
    return make_cell(task, algorithm, **given)


def trials_of(cell: Cell, points: Sequence[Sequence[float]] = POINTS) -> list[dict]:
    """Return the hyperparameters of a cell's method at some points."""
    return [values_at(cell.algorithm.search_space, point) for point in points]


def trials_run(
    cell: Cell, trials: Sequence[dict], placement: Placement
) -> pd.DataFrame:
    """Return how the runs of the trials of one cell have ended."""
    (found,) = run_trials([Tried(cell, trials)], placement)
    return found


def alone(cell: Cell, trials: Sequence[dict]) -> pd.DataFrame:
    """Return what `run_trials` does, from a cell for each trial."""
    frames = []
    for number, trial in enumerate(trials):
        method = cell.algorithm.with_hyperparameters(trial)
        ended = run_cell(replace(cell, algorithm=method), PLACEMENT)
        counts = {name: values[-1] for name, values in ended.counts.items()}
        frame = {
            "trial": number,
            "seed": ended.seeds,
            "status": [str(status) for status in ended.status],
            "stopped_at": ended.stopped_at,
            "cost": spent(counts, cell.unit),
        }
        frame |= {name: values[-1] for name, values in ended.columns.items()}
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("task", ["bilinear", SMALL])
@pytest.mark.parametrize("algorithm", [*METHODS[:7], *slow(METHODS[7:])])
def test_trials_are_the_runs_of_their_own_cells(task: str, algorithm: str) -> None:
    cell = trial_cell(task, algorithm)
    trials = trials_of(cell)
    found, expected = trials_run(cell, trials, PLACEMENT), alone(cell, trials)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("algorithm", ["gda", "gda[direction=adam]", "extragradient"])
def test_bits_are_the_same_where_steps_are_multiplied(algorithm: str) -> None:
    cell = trial_cell(SMALL, algorithm, dtype="float32")
    trials = trials_of(cell)
    pd.testing.assert_frame_equal(
        trials_run(cell, trials, PLACEMENT), alone(cell, trials), check_exact=True
    )


def test_compiled_steps_give_the_same_trials() -> None:
    compiled = PLACEMENT._replace(compiled=True)
    for task, algorithm in (("bilinear", "extragradient"), (SMALL, "gda")):
        cell = trial_cell(task, algorithm)
        trials = trials_of(cell)
        expected = trials_run(cell, trials, PLACEMENT)
        found = trials_run(cell, trials, compiled)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9)


@pytest.mark.parametrize("algorithm", ["gda", "unrolled", "curvature_eg"])
def test_cells_of_other_seeds_are_computed_side_by_side(algorithm: str) -> None:
    """Each has the ends that it has alone, whatever the seeds and trials of both."""
    cell = trial_cell("bilinear", algorithm)
    others = replace(cell, seeds=(30, 31, 32))
    batch = [Tried(cell, trials_of(cell)), Tried(others, trials_of(cell, POINTS[1:3]))]
    found = run_trials(batch, PLACEMENT)
    for one, ends in zip(batch, found, strict=True):
        pd.testing.assert_frame_equal(ends, trials_run(*one, PLACEMENT))


def test_trials_fill_chunks_of_any_width() -> None:
    cell = trial_cell("bilinear", "cgd")
    trials = trials_of(cell)
    expected = trials_run(cell, trials, PLACEMENT)
    found = trials_run(cell, trials, PLACEMENT._replace(width=3))
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    ("algorithm", "batches"),
    [("gda", 1), ("alone", 1), ("unrolled", 2), ("curvature_eg", 0)],
)
def test_trials_of_equal_other_values_are_one_batch(
    algorithm: str, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials 0 and 2 have one k; the others, alone, are cells."""
    made = []

    def chunk(*arguments: Any, **options: Any) -> Any:
        made.append(arguments)
        return BudgetChunk(*arguments, **options)

    monkeypatch.setattr(module, "BudgetChunk", chunk)
    cell = trial_cell("bilinear", algorithm)
    points = [*POINTS, (0.5, 0.5, 0.9)]
    assert len(trials_run(cell, trials_of(cell, points), PLACEMENT)) == 10
    assert len(made) == batches


@dataclass(frozen=True, kw_only=True)
class Fragile(Algorithm):
    """GDA that raises where a step size is above 1."""

    step_size: StepSize = 0.1

    source = Source(authors="Nobody", year=2026, title="An error")

    @property
    def cost(self) -> Cost:
        """Return the cost of one step."""
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle: Oracle, z: torch.Tensor, state: Any) -> Any:
        """Make a step."""
        size: Any = self.step_size
        if any(bool((torch.as_tensor(one) > 1).any()) for one in size):
            raise ValueError("too large")
        return z - oracle.scale(size, oracle.field(z)), state


def test_an_exception_ends_the_runs_of_its_own_trial() -> None:
    cell = trial_cell("bilinear", Fragile())
    found = trials_run(cell, trials_of(cell), PLACEMENT)
    assert (
        found["status"].tolist()
        == [*["finished"] * 4, *["error"] * 2] + ["finished"] * 2
    )
    expected = trials_run(trial_cell("bilinear", "gda"), trials_of(cell), PLACEMENT)
    sound = found["status"] == "finished"
    pd.testing.assert_frame_equal(found[sound], expected[sound], rtol=1e-12)
    # The trials of another cell, computed beside it, are not ended either.
    other = Tried(replace(cell, seeds=(12,)), trials_of(cell)[:2])
    both = run_trials([Tried(cell, trials_of(cell)), other], PLACEMENT)
    pd.testing.assert_frame_equal(both[0], found)
    assert both[1]["status"].tolist() == ["finished"] * 2


def test_where_the_target_was_reached_is_known() -> None:
    cell = trial_cell(
        "bilinear", "extragradient", budget=900, steps=900, records=40, metrics=()
    )
    found = trials_run(cell, [{"step_size_x": 0.5, "step_size_y": 0.5}], PLACEMENT)
    assert set(found["status"]) == {"converged"}
    assert (found["stopped_at"] < found["cost"]).all()
    assert (found["distance"] <= 1e-3).all()
