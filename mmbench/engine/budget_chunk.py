"""A chunk whose runs go on until their cost reaches a budget.

All runs make their steps together, so that no run depends on what others spend. Where
they spend the same, they reach every level of cost together; where a solver stops
earlier in some runs, each run is recorded at the step at which it reaches the level.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.checkpoint import restore_structure
from mmbench.core.columns import COUNTED
from mmbench.core.cost import spent
from mmbench.core.errors import DescriptionError
from mmbench.core.user_code import defined_at
from mmbench.core.vectors import Joint, has_form
from mmbench.engine.cell import STEPS_MADE
from mmbench.engine.chunk import Chunk
from mmbench.engine.compiled.block import Block, BlockResult
from mmbench.engine.cost_levels import CostLevels
from mmbench.engine.plane_path import path_steps
from mmbench.engine.progress import ProgressReporter

MOST_STEPS = 2  # that a run may make on average for each unit of its budget
FREE_STEPS = 100  # that a run may make before it has spent anything


class RunsAt(NamedTuple):
    """What a record needs of the runs.

    Args:
        z: their iterates.
        state: state of the algorithm.
        counts: what each has been charged, in the order of `COUNTED`, (runs, 5).
        steps: the last step of each that is known; with a budget, the steps made.
    """

    z: Joint
    state: Any
    counts: Int[Tensor, "runs _"]
    steps: Int[Tensor, " runs"]


class BudgetChunk(Chunk):
    """A batch of runs of a cell with a budget; its records are at levels of cost."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        cell = self._cell
        self._recorded = frozenset(cell.schedule)
        is_plane = Capability.PLANE in cell.task.gives
        drawn = path_steps(cell.budget) if is_plane else ()
        self._levels = CostLevels(sorted({*cell.schedule, *drawn}), len(self.seeds))
        self._steps_made = torch.zeros_like(self._last_step)
        self._has_spent_any = False  # is looked at late

    @property
    def _place(self) -> int:
        """The greatest level that all runs have reached."""
        return self._levels.last

    # ---- checkpoints ----

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "step": self._levels.next,
            "made": self.step,
            "steps_made": self._steps_made,
            "levels": self._levels.snapshot(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from a snapshot.

        Raises:
            Exception: of any type, when it is not a snapshot of these runs.
        """
        made = restore_structure(self._steps_made, saved["steps_made"])
        if type(saved["made"]) is not int or not has_form(made, self._steps_made):
            raise ValueError("a snapshot must be of these runs")
        self._levels.restore(saved["levels"], self._now())
        if self._levels.next != saved["step"]:
            raise ValueError("a snapshot must be of these runs")
        super().restore(saved)
        self.step, self._steps_made = self._steps_made_by(saved), made

    def _steps_made_by(self, saved: dict[str, Any]) -> int:
        return int(saved["made"])

    # ---- costs ----

    def _common_cost(self) -> float | None:
        """Return what every run that goes on has spent; None if they differ."""
        counts = self._oracle_state.common_counts
        return None if counts is None else spent(counts, self._cell.unit)

    def _costs(self) -> Tensor:
        """Return what each run has spent, shape (runs,)."""
        return spent(self._oracle_state.counts, self._cell.unit).double()

    def _have_spent(self) -> list[bool]:
        return (self._costs() >= self._cell.budget).tolist()

    def _end(self, run: int, _step: int) -> int:
        """Return what a run had spent when it ended, at most the budget."""
        return min(math.ceil(float(self._costs()[run])), self._cell.budget)

    # ---- steps ----

    def _advance(self) -> None:
        """Make one step, or the compiled steps that fit before the next level."""
        if not self._any_alive:
            return
        if self.step >= FREE_STEPS and not self._has_spent_any:
            self._has_spent_any = bool(self._costs().max() > 0)
        is_free = self.step >= FREE_STEPS and not self._has_spent_any
        if is_free or self.step >= MOST_STEPS * self._cell.budget:
            algorithm = self._cell.algorithm
            where = defined_at(type(algorithm), "step")
            raise DescriptionError(
                f"{algorithm}.step{where} must spend at least half a unit of its "
                f"budget of {self._cell.unit} on average; on {self._cell.task} it has "
                f"not spent {self._cell.budget} in {self.step} steps."
            )
        if self._block:
            self._make_block(self._block, self._steps_to_make(self._block))
        else:
            going = self._oracle_state.alive
            self._make_step()
            self._steps_made = self._steps_made + going

    def _steps_to_make(self, block: Block) -> int:
        """Return how many compiled steps lead to the next level, but not beyond it."""
        each, cost = block.step_charges, self._common_cost()
        following, price = self._levels.next, 0.0
        if each is not None and cost is not None:
            price = spent(each, self._cell.unit)
        if following is None or cost is None or not price:
            return 1
        return min(block.length, math.ceil((following - cost) / price))

    def _make_block(self, block: Block, count: int) -> BlockResult:
        result = super()._make_block(block, count)
        self._steps_made = self._steps_made + result.runs.steps_made
        return result

    def _add_path(self, first: int, path: Tensor | None) -> None:
        """Add nothing: the path is that at levels of cost."""

    # ---- records ----

    def _now(self) -> RunsAt:
        """Return what a record needs of the runs as they are."""
        counts = torch.stack(tuple(self._oracle_state.counts.values()), dim=1)
        return RunsAt(self.z, self.state, counts, self._steps_made)

    def _record_what_is_due(self, reporter: ProgressReporter) -> None:
        """Make the records of all levels that all runs have reached."""
        following = self._levels.next
        if following is None:
            return
        cost = self._common_cost()
        if not self._any_alive:
            cost = math.inf
        if cost is not None and cost < following:
            return
        if cost is not None:
            found = self._levels.reach_together(cost, self._now())
            if cost >= self._cell.budget:
                self._any_alive = False
        else:
            found = self._reach_apart()
        if not found:
            return
        self._clock.stop()
        is_recorded = False
        for level, at in found:
            self._path.add(level, at.z)
            if level in self._recorded:
                self._record_level(level, at)
                is_recorded = True
        if is_recorded:  # not for each point of a path
            reporter.report(self._place)
        self._clock.start()

    def _reach_apart(self) -> list[tuple[int, RunsAt]]:
        """Return the levels that all runs have reached, and end those at the budget."""
        costs, state = self._costs(), self._oracle_state
        goes_on = state.alive & (costs < self._cell.budget)
        found = self._levels.reach(costs.masked_fill(~goes_on, math.inf), self._now())
        self._look()  # or runs whose budget is spent would seem to have broken down
        state.end_runs(goes_on)
        self._going = goes_on.tolist()
        self._any_alive = any(self._going)
        self._all_alive = self._looks_each_step and all(self._going)
        return found

    def _record_level(self, level: int, at: RunsAt) -> None:
        """Record what the runs were when they reached a level of cost."""
        self._look()
        self._keep_iterates(level, at.z)
        columns = self._measure(at.z, at.state)
        steps, counts = (one[: self._batch.runs].cpu() for one in (at.steps, at.counts))
        columns[STEPS_MADE.name] = steps.double().numpy()
        counted = dict(zip(COUNTED, counts.T.contiguous().numpy(), strict=True))
        self._add_record(level, self._clock.seconds, counted, columns)
