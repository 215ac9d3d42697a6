"""Levels of cost, reached by all runs together or by each at a step of its own."""

import math

import pytest
import torch
from torch import Tensor

from mmbench.engine.cost_levels import CostLevels

LEVELS = (0, 1, 4, 10)


def at(*numbers: float) -> tuple[Tensor]:
    """Return what runs are, one number for each."""
    return (torch.tensor(numbers),)


def costs(*numbers: float) -> Tensor:
    """Return what runs have spent."""
    return torch.tensor(numbers, dtype=torch.float64)


def found(levels: list) -> list[tuple[int, list[float]]]:
    """Return levels with the numbers of the runs there."""
    return [(level, values.tolist()) for level, (values,) in levels]


def test_runs_that_spend_the_same_reach_levels_together() -> None:
    levels = CostLevels(LEVELS, 2)
    assert (levels.last, levels.next) == (0, 0)
    assert found(levels.reach_together(0, at(5, 6))) == [(0, [5, 6])]
    assert found(levels.reach_together(0.5, at(7, 8))) == []
    assert found(levels.reach_together(4.5, at(1, 2))) == [(1, [1, 2]), (4, [1, 2])]
    assert (levels.last, levels.next) == (4, 10)
    assert found(levels.reach_together(10, at(3, 4))) == [(10, [3, 4])]
    assert (levels.last, levels.next) == (10, None)


def test_each_run_is_taken_where_it_reaches_a_level_first() -> None:
    levels = CostLevels(LEVELS, 2)
    levels.reach_together(0, at(0, 0))
    assert found(levels.reach(costs(2, 0.5), at(1, 1))) == []
    assert found(levels.reach(costs(5, 3), at(2, 2))) == [(1, [1, 2])]
    assert found(levels.reach(costs(8, 12), at(3, 3))) == [(4, [2, 3])]
    assert found(levels.reach(costs(11, math.inf), at(4, 4))) == [(10, [4, 3])]


def test_a_run_that_goes_on_no_more_stays_as_it_was() -> None:
    levels = CostLevels(LEVELS, 2)
    levels.reach_together(0, at(0, 0))
    assert found(levels.reach(costs(2, math.inf), at(1, 9))) == [(1, [1, 9])]
    assert found(levels.reach(costs(20, math.inf), at(2, 9))) == [
        (4, [2, 9]),
        (10, [2, 9]),
    ]


def test_a_run_that_ended_is_not_kept_for_the_levels_ahead() -> None:
    """It stays as it is, so nothing is collected until another run gets there."""
    levels = CostLevels(range(1000), 3)
    levels.reach_together(0, at(0, 0, 0))
    levels.reach(costs(2, 1, math.inf), at(1, 1, 9))
    assert len(levels.snapshot()["collected"]) == 1
    last = levels.reach(costs(math.inf, math.inf, math.inf), at(2, 2, 9))
    assert len(last) == 998
    assert found(last[:2]) == [(2, [1, 2, 9]), (3, [2, 2, 9])]


def test_a_common_cost_does_not_forget_what_was_collected() -> None:
    levels = CostLevels(LEVELS, 2)
    levels.reach_together(0, at(0, 0))
    levels.reach(costs(2, 0), at(1, 1))
    assert found(levels.reach_together(math.inf, at(2, 2))) == [
        (1, [1, 2]),
        (4, [2, 2]),
        (10, [2, 2]),
    ]


def test_a_snapshot_goes_on() -> None:
    levels, other = CostLevels(LEVELS, 2), CostLevels(LEVELS, 2)
    levels.reach_together(0, at(0, 0))
    levels.reach(costs(5, 2), at(1, 1))
    other.restore(levels.snapshot(), at(8, 8))
    for one in (levels, other):
        assert found(one.reach(costs(5, 4), at(2, 2))) == [(4, [1, 2])]


@pytest.mark.parametrize(
    "edit",
    [
        {"done": 3},
        {"reached": []},
        {"reached": [torch.tensor([3, 3])]},
        {"reached": [torch.tensor([3, 2, 2])]},
        {"collected": []},
        {"collected": [[torch.zeros(3)]]},
    ],
)
def test_a_snapshot_of_other_runs_is_refused(edit: dict) -> None:
    levels = CostLevels(LEVELS, 2)
    levels.reach_together(0, at(0, 0))
    levels.reach(costs(5, 2), at(1, 1))
    with pytest.raises(ValueError, match="of these runs and levels"):
        CostLevels(LEVELS, 2).restore(levels.snapshot() | edit, at(8, 8))


def test_large_costs_are_not_rounded() -> None:
    """Float32 would round them up to a level."""
    levels = CostLevels([2**24 + 1, 2**25], 2)
    levels.reach(costs(2**24 + 1, 3), at(1, 1))
    assert found(levels.reach_together(2**24, at(2, 2))) == []
