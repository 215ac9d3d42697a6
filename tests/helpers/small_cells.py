"""Small planned cells, chains of them, and an observer that counts."""

from typing import Any

from mmbench.engine.cell import Cell
from mmbench.runner.execute import Observer
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite


def small_cells(
    *algorithms: str, tasks: tuple = ("bilinear",), **options: Any
) -> tuple[Cell, ...]:
    """Plan small cells."""
    grid = Grid(
        tasks=tasks,
        algorithms=algorithms or ("gda", "omd"),
        **{"seeds": 3, "steps": 10, "records": 5} | options,
    )
    return plan(Suite(name="test", grids=(grid,)))


class CountingObserver(Observer):
    """An observer that counts steps and keeps the labels of cells."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.run_steps = 0
        self.planned = (0, 0)

    def on_plan(self, cells: Any, waiting: Any) -> None:
        """Count all cells and the cells to compute."""
        self.planned = len(cells), len(waiting)

    def on_start(self, cell: Cell) -> None:
        """Keep the label of a cell that begins."""
        self.begun.append(cell.label)

    def on_progress(self, cell: Cell, run_steps: int, recording: Any = None) -> None:
        """Add the steps that were made."""
        self.run_steps += run_steps

    def on_end(self, cell: Cell, trajectory: Any) -> None:
        """Keep the label of a cell that has ended."""
        self.ended.append(cell.label)


FAILING = '''
"""An algorithm that fails."""
from dataclasses import dataclass
import mmbench


@dataclass(frozen=True, kw_only=True)
class Failing(mmbench.Algorithm):
    """Fails at its third step."""

    source = mmbench.Source(authors="Nobody", year=2026, title="A failure")

    @property
    def cost(self):
        return mmbench.Cost()

    def step(self, oracle, z, state):
        raise ZeroDivisionError("three")
'''


NET = "four_gaussians[hidden=4,noise=2,batch=8]"
QUICK = ("sliced_wasserstein[samples=20]",)


def chained_cells(*then: Grid, task: str = NET, **first: Any) -> tuple[Cell, ...]:
    """Plan six steps of GDA under the label "first", and grids that continue it."""
    options = {"metrics": QUICK, "seeds": 3, "steps": 6, "records": 3} | first
    start = Grid(tasks=(task,), algorithms=("first = gda",), **options)
    return plan(Suite(name="test", grids=(start, *then)))


def continuing_grid(algorithm: str = "omd", task: str = NET, **options: Any) -> Grid:
    """Return a grid that continues "first" for four steps and keeps all iterates."""
    return Grid(
        tasks=(task,),
        algorithms=(algorithm,),
        **{
            "after": "first",
            "metrics": QUICK,
            "seeds": 3,
            "steps": 4,
            "records": 4,
            "keep": "all",
        }
        | options,
    )
