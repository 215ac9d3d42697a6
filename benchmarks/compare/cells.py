"""The arms of mmbench: whole cells, and bare steps."""

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.compare.measuring import Row, cpu_seconds, format_time, median
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite

EAGER, COMPILED = Placement(), Placement(compiled=True)


def cell_of(
    task: str,
    algorithm: str,
    *,
    runs: int,
    steps: int,
    records: int = 40,
    metrics: tuple[str, ...] = (),
) -> Cell:
    """Return the cell of one algorithm on one task."""
    grid = Grid(
        tasks=(task,),
        algorithms=(algorithm,),
        seeds=runs,
        steps=steps,
        records=records,
        metrics=metrics,
    )
    (cell,) = plan(Suite(name="speed", grids=(grid,)))
    return cell


class Whole:
    """An arm that computes a whole cell, from its starts to its last record.

    Args:
        cell: what is computed.
        placement: where, and whether compiled.
        width: runs side by side; None takes the task's.

    Attributes:
        backend: what computed it.
    """

    def __init__(
        self, cell: Cell, placement: Placement, width: int | None = None
    ) -> None:
        self._cell, self._place = cell, placement._replace(width=width)
        self._elapsed: list[float] = []

    def _compute(self) -> None:
        trajectory = run_cell(self._cell, self._place)
        if trajectory.reason:
            raise RuntimeError(trajectory.reason)
        self.backend = trajectory.backend

    def __call__(self) -> float:
        """Run the cell and return CPU seconds for each step of a run."""
        begun = time.perf_counter()
        seconds = cpu_seconds(self._compute)
        self._elapsed.append(time.perf_counter() - begun)
        return seconds / len(self._cell.seeds) / self._cell.steps

    @property
    def compiling(self) -> float:
        """Return by how many seconds the first call took longer than the others."""
        first, *later = self._elapsed
        return max(0.0, first - median(later))

    def row(self, row: Row) -> Row:
        """Return the row with the time of compiling, or why nothing was compiled."""
        if self.backend != "compiled":
            return row._replace(values=(), notes=f"not measured: {self.backend}")
        notes = f"compiled once in {format_time(self.compiling)}"
        return row._replace(notes=f"{row.notes}; {notes}" if row.notes else notes)


def bare_steps(
    cell: Cell, runs: int, steps: int, oracle_kind: Callable[..., Oracle] = Oracle
) -> Callable[[], float]:
    """Return an arm that makes steps of some runs side by side, without a harness.

    Args:
        cell: gives task and algorithm.
        runs: side by side.
        steps: of a round.
        oracle_kind: what the algorithm asks.
    """
    game = cell.task.build(Placement())
    seeds = tuple(range(runs))
    starts = [cell.task.start(game, generator(one, "start")) for one in seeds]
    z = torch.stack(starts)
    oracle_state = OracleState(game, seeds, memory=game.memory(z))
    oracle = oracle_kind(oracle_state)
    state: Any = cell.algorithm.init(oracle, z)

    def steps_of_a_round() -> None:
        nonlocal z, state
        for _ in range(steps):
            oracle.resample()
            z, state = cell.algorithm.step(oracle, z, state)
            oracle_state.advance(z)

    return lambda: cpu_seconds(steps_of_a_round) / runs / steps
