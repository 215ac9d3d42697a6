"""The estimated time left, and the speed of a cell."""

from typing import NamedTuple

import pytest
from long_cells import cells_of_images

from mmbench.cli._time_left import Forecast, Work, abbreviate, format_clock
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite


class WorkSoFar(NamedTuple):
    """A cell in progress, of which the time is given."""

    cell: Cell
    share: float
    elapsed: float
    resumed: float = 0.0


def test_work_from_a_checkpoint_is_not_taken_for_speed() -> None:
    """Steps before a checkpoint count as done, and not for the speed."""
    (cell,) = cells_of_images()[1:]
    work = Work(cell)
    work._since -= 10.0
    work.advance(3 * 50_000, None)
    assert work.speed == "0 it/s"
    work.advance(3 * 100, Recording(cell, cell.seeds))
    assert work.speed == "10 it/s"
    assert (work.share, work.resumed) == (pytest.approx(0.501), 0.5)
    forecast = Forecast()
    forecast.learn(cell, 10.0, 0.5)  # half of it took ten seconds
    begun = WorkSoFar(cell, 0.5, 0.0, resumed=0.5)
    assert forecast.left([begun], [cell]) == (10 + 20, True)
    assert forecast.left([begun, begun], [cell]) == ((10 + 10 + 20) / 2, True)


def test_the_forecast_prices_each_task_by_itself() -> None:
    def cells(task: str, *algorithms: str) -> tuple[Cell, ...]:
        grid = Grid(tasks=(task,), algorithms=algorithms, seeds=2, steps=10)
        return plan(Suite(name="x", grids=(grid,)))

    quick, twice = cells("bilinear", "gda", "extragradient")  # 2 and 4 gradients
    (slow,) = cells("dirac_gan", "gda")
    forecast = Forecast()
    assert forecast.left([WorkSoFar(quick, 0.01, 5.0)], [twice]) == (0.0, False)
    assert forecast.left([WorkSoFar(quick, 0.5, 1.0)], [twice]) == (1.0 + 4.0, True)
    forecast.learn(quick, 2.0)
    begun = WorkSoFar(twice, 0.0, 0.0)
    assert forecast.left([begun], []) == (4.0, True)
    assert forecast.left([begun], [slow]) == (4.0 + 2.0, False)
    forecast.learn(slow, 100.0)
    assert forecast.left([begun], [slow]) == (4.0 + 100.0, True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.4, "0"), (950, "950"), (1234, "1.2k"), (56_000, "56k"), (3.4e6, "3.4M")],
)
def test_speeds_are_short(value: float, shown: str) -> None:
    assert abbreviate(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(5, "0:05"), (59.6, "1:00"), (3725, "1:02:05")]
)
def test_time_left_reads_like_a_clock(value: float, shown: str) -> None:
    assert format_clock(value) == shown
