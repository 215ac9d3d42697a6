"""Short cells, and an algorithm that ends one of its runs in a chosen way."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.core.cost import Cost
from mmbench.core.source import Source
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, IterateEntries

SMALL = "four_gaussians[hidden=6,noise=3,batch=8]"


def make_cell(
    task: Any, algorithm: Any, seeds: int | tuple = 3, **options: Any
) -> Cell:
    """Return a cell from specs or descriptions that measures its iterates."""
    task = TASKS.coerce(task)
    seeds = tuple(range(seeds)) if isinstance(seeds, int) else seeds
    options = {"steps": 20, "records": 20, "dtype": "float64"} | options
    metrics = options.pop("metrics", (IterateEntries(),))
    return Cell(
        task=task,
        algorithm=ALGORITHMS.coerce(algorithm),
        seeds=seeds,
        metrics=metrics_for(task, list(metrics)),
        **options,
    )


def trajectory_of(*of: Any, **options: Any) -> Trajectory:
    """Run a cell of `make_cell` and return its trajectory."""
    return run_cell(make_cell(*of, **options), PLACEMENT)


class Clock(NamedTuple):
    """A state that counts the steps of each run."""

    time: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Scripted(Algorithm):
    """An algorithm that moves by 1 a step, until an event in one run at one step.

    Args:
        what: the event.
        at: step of the event, from 0.
        run: row of the event.
        watched: whether `done` gives an answer at every step.
    """

    what: str = "nothing"
    at: int = 4
    run: int = 1
    watched: bool = False

    source = Source(authors="Nobody", year=2026, title="A script")

    @property
    def cost(self) -> Cost:
        """Return the cost of one step."""
        return Cost(grad_x=1)

    def init(self, oracle: Any, z: torch.Tensor) -> Clock:
        """Return the first state."""
        return Clock(torch.zeros(len(z), dtype=torch.int64))

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """Move, and cause the event at its step."""
        oracle.grad_x(z)
        now = bool((state.time.max() == self.at).item())
        moved = z + 1
        if now and self.what == "raise":
            raise RuntimeError("something of mine")
        values = {"nan": torch.nan, "inf": torch.inf, "far": 1e7, "edge": 1e6}
        if now and self.what in values:
            moved[self.run, 0] = values[self.what]
        return moved, Clock(state.time + 1)

    def done(self, state: Clock) -> torch.Tensor | None:
        """Return which runs have stopped by themselves."""
        if self.what != "stop" and not self.watched:
            return None
        rows = torch.arange(len(state.time)) == self.run
        rows = rows & torch.tensor(self.what == "stop")
        return rows & (state.time > self.at)
