"""Step-size maps: each pair of step sizes gives the run that a cell would make."""

import numpy as np
import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.compiled import block
from mmbench.engine.run_cell import run_cell
from mmbench.engine.step_size_map import step_map
from mmbench.metrics import METRICS
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS

EAGER = Placement(dtype=torch.float64)
AT_X, AT_Y = (0.05, 0.3, 4.0), (0.1, 9.0)


@pytest.mark.parametrize(
    "words", ["gda", "alternating_gda", "omd[direction=adam]", "cgd", "unrolled[k=2]"]
)
def test_each_pair_is_a_run(words: str) -> None:
    """Status, step and distance are those of a cell with these step sizes."""
    found = step_map("quadratic", words, AT_X, AT_Y, steps=60, seed=3, placement=EAGER)
    assert found.shape == (6, 5)
    for row in found.itertuples():
        sizes = f"step_size=({row.step_size_x},{row.step_size_y})"
        name = f"{words.rstrip(']')}{',' if '[' in words else '['}{sizes}]"
        task = TASKS.build("quadratic")
        cell = Cell(
            task=task,
            algorithm=ALGORITHMS.build(name),
            seeds=(3,),
            steps=60,
            records=1,
            dtype="float64",
            metrics=metrics_for(task, [METRICS.build("distance")]),
        )
        run = run_cell(cell, EAGER)
        if run.status[0].is_failure:
            assert (row.status, row.stopped_at) == (run.status[0], run.stopped_at[0])
        else:
            assert (row.status, row.stopped_at) == ("finished", 60)
        distance = run.columns["distance"]
        expected = distance[-1, 0] / distance[0, 0]
        assert row.distance == pytest.approx(expected, rel=1e-9)


def test_pairs_fill_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """More pairs than are computed side by side give the same rows."""
    at = np.geomspace(0.01, 20, 5)
    whole = step_map("bilinear", "extragradient", at, at, steps=30, placement=EAGER)
    monkeypatch.setattr("mmbench.engine.step_size_map.WIDTH", 7)
    parts = step_map("bilinear", "extragradient", at, at, steps=30, placement=EAGER)
    assert whole.equals(parts)
    assert set(whole.status) >= {"finished", "diverged"}


@pytest.mark.parametrize("looped", [False, True])
def test_compiled_maps_are_the_same(
    looped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop and a graph give the same map, with the step sizes as inputs."""
    block.clear_blocks()
    monkeypatch.setattr(block, "compile_graph", lambda graph, examples: graph)
    monkeypatch.setattr(block, "GRAPH_STEPS", 3)
    if not looped:
        monkeypatch.setenv("CC", "no-such-compiler")
    placement = EAGER._replace(compiled=True)
    given = ("quadratic", "past_extragradient", AT_X, AT_Y)
    eager = step_map(*given, steps=50, placement=EAGER)
    assert eager.equals(step_map(*given, steps=50, placement=placement))
    block.clear_blocks()


def test_games_without_solutions_are_refused() -> None:
    """A game without a known solution has no distance, and is refused."""
    task = "four_gaussians[hidden=4,noise=2,batch=8]"
    with pytest.raises(MisfitError, match="knows its solutions"):
        step_map(task, "gda", AT_X, AT_Y)


@pytest.mark.parametrize(
    ("at_x", "steps", "named"),
    [((), 5, "Step sizes of x"), ((0.1, -1), 5, "Step sizes of x"), ((1,), 0, "steps")],
)
def test_bad_sizes_are_refused(at_x: tuple, steps: int, named: str) -> None:
    """Bad arguments are refused before any work."""
    with pytest.raises(DescriptionError, match=named):
        step_map("bilinear", "gda", at_x, AT_Y, steps=steps, placement=EAGER)
