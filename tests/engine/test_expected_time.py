"""The time that a cell is expected to take, and what is decided by it."""

import pytest
import torch
from small_cells import small_cells

from mmbench.core.placement import Placement
from mmbench.engine import chunk
from mmbench.engine.cell import Cell
from mmbench.engine.expected_time import expected_seconds, expected_seconds_of_chunk
from mmbench.engine.run_cell import run_cell
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import TASKS


def cell_of(algorithm: str, task: str = "bilinear", **options: int) -> Cell:
    """Return a cell of few runs."""
    small = {"seeds": 3, "steps": 1000} | options
    grid = Grid(tasks=(task,), algorithms=(algorithm,), **small)
    return plan(Suite(name="test", grids=(grid,)))[0]


def test_time_follows_steps_costs_and_chunks() -> None:
    """Of the description alone; a chunk takes as long whatever other runs there are."""
    gda, longer = cell_of("gda"), cell_of("gda", steps=5000)
    assert expected_seconds(longer, 128) == pytest.approx(
        5 * expected_seconds(gda, 128)
    )
    extragradient = cell_of("extragradient")
    assert expected_seconds(extragradient, 128) == 2 * expected_seconds(gda, 128)
    many = cell_of("gda", seeds=300)
    assert expected_seconds(many, 128) == 3 * expected_seconds(gda, 128)
    assert expected_seconds_of_chunk(many, 128) == expected_seconds_of_chunk(gda, 128)
    assert expected_seconds(gda, 1) > expected_seconds(gda, 16) > 0


@pytest.mark.parametrize(
    ("algorithm", "loop_seconds", "backend"),
    [
        ("gda", 1e9, "eager"),
        ("gda", 0.0, "compiled"),
        # Its two kinds of steps take turns, of which there is no loop but a graph.
        ("acgd", 0.0, "eager"),
    ],
)
def test_steps_are_compiled_where_that_saves_time(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, loop_seconds: float, backend: str
) -> None:
    """By rule, unless it is asked for or refused."""
    monkeypatch.setattr(chunk, "LOOP_SECONDS", loop_seconds)
    cell = cell_of(algorithm, "quadratic", steps=10)
    assert run_cell(cell, Placement(compiled=None)).backend == backend
    assert run_cell(cell, Placement(compiled=False)).backend == "eager"


@pytest.mark.parametrize(("task", "enough"), [("four_gaussians", 200), ("mnist01", 50)])
def test_compiling_takes_no_longer_than_the_cell(task: str, enough: int) -> None:
    """A trace computes what it traces, which takes long where networks are large."""
    for steps, is_worth in ((enough // 2, False), (enough, True)):
        cell = cell_of("gda", task, steps=steps)
        width = TASKS.build(task).width
        ways = chunk.ways_worth_their_time(cell, width, torch.device("cpu"))
        assert ways.arrays == is_worth


def test_the_rule_leaves_short_cells_as_they_are() -> None:
    """Those of all tests and examples, whose stored bits stay."""
    for cell in small_cells():
        assert run_cell(cell, Placement(compiled=None)).backend == "eager"


def test_only_games_that_may_be_loops_are_traced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By rule, networks and runs one after the other stay as they are."""
    monkeypatch.setattr(chunk, "LOOP_SECONDS", 0.0)
    monkeypatch.setattr(chunk, "compile_block", lambda *_, **__: pytest.fail("traced"))
    net = cell_of("gda", "four_gaussians[hidden=4,noise=2,batch=8]", steps=2)
    assert run_cell(net, Placement(compiled=None)).backend == "eager"
