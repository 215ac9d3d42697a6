"""Loops of steps, made turn by turn or by something else, which carries the charges."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch

from mmbench.core.errors import DescriptionError
from mmbench.core.repetition import (
    Loops,
    charging,
    grow,
    making_loops,
    repeat,
    unless_all,
)


class Halving(NamedTuple):
    """Numbers that are halved until they are below one."""

    on: torch.Tensor
    x: torch.Tensor


class Sum(NamedTuple):
    """A sum of all numbers on the way."""

    total: torch.Tensor


START = torch.tensor([0.0, 3.0, 20.0])
TURNS = [0, 2, 5]  # for each number
TOTALS = [0.0, 5.25, 39.375]


@pytest.fixture
def charged() -> SimpleNamespace:
    """What counts charges."""
    names = {"values": 0, "samples": 7}
    return SimpleNamespace(charges=names, run_charges={}, alive=START > -1)


def halve(charged: Any, name: str = "values") -> Any:
    """Return a turn that halves, and charges it."""

    def turn(at: Halving) -> Halving:
        if name == "to all":
            charged.charges["values"] += 1
        else:
            counted = charged.run_charges.get(name, torch.zeros(3, dtype=torch.int32))
            charged.run_charges[name] = counted + at.on.int()
        x = torch.where(at.on, at.x / 2, at.x)
        return Halving(x >= 1, x)

    return turn


def add(charged: Any) -> Any:
    """Return a turn that keeps all numbers."""
    turn = halve(charged)
    return lambda at: (*turn(Halving(*at[:2])), *at[1:])


def sum_up(at: tuple) -> Sum:
    """Return the sum of the numbers that are kept, but for those that were repeated."""
    _, last, *others = at
    masks = [before > after for before, after in zip(others, at[1:], strict=False)]
    parts = [part * mask for part, mask in zip(others, masks, strict=True)]
    return Sum(sum(parts, last * (START > 0)))


def repeat_by_hand(
    turn: Any, begun: Any, limit: int, is_always_checked: bool
) -> list[torch.Tensor]:
    """Make all turns, on the list of all that is carried."""
    assert not is_always_checked
    for _ in range(limit):
        begun = turn(begun)
    return begun


def grow_by_hand(turn: Any, at: Any, finish: Any, limit: int) -> list[torch.Tensor]:
    """Make all turns, and finish after each."""
    for _ in range(limit):
        at = turn(at)
        made = finish(at)
    return made


BY_HAND = Loops(repeat_by_hand, grow_by_hand)


@pytest.mark.parametrize("loops", [None, BY_HAND])
def test_a_loop_ends_and_charges_alike_whatever_makes_it(
    charged: SimpleNamespace, loops: Loops | None
) -> None:
    """Results and charges; those from before the loop go on, and no others come."""
    charged.run_charges = {"values": torch.full((3,), 2, dtype=torch.int32)}
    begun = Halving(START >= 1, START)
    with charging(charged), making_loops(loops):
        end = repeat(halve(charged), begun, 9)
        assert end.x.tolist() == [0.0, 0.75, 0.625]
        made = grow(add(charged), begun, sum_up, 9, is_checked=True)
    assert made.total.tolist() == TOTALS
    assert charged.run_charges.keys() == {"values"}
    assert charged.run_charges["values"].tolist() == [2 + 2 * one for one in TURNS]
    assert charged.charges == {"values": 0, "samples": 7}


def test_what_is_never_checked_is_made_turn_by_turn(charged: SimpleNamespace) -> None:
    """Whatever makes loops; and without a turn nothing is made."""
    begun = Halving(START >= 1, START)
    with charging(charged), making_loops(Loops(lambda *_: [], lambda *_: [])):
        assert repeat(halve(charged), begun, 0) is begun
        made = grow(add(charged), begun, sum_up, 9, is_checked=False)
    assert made.total.tolist() == TOTALS


def test_a_mask_of_all_runs_is_left_out_where_it_is_seen(
    charged: SimpleNamespace,
) -> None:
    """A mask stays where it does not hold all runs, and while a step is traced."""
    every, some = torch.tensor([True, True]), torch.tensor([True, False])
    assert unless_all(every) is None
    assert unless_all(some) is some
    with charging(charged):
        assert unless_all(every) is every


def test_a_loop_must_not_charge_all_runs(charged: SimpleNamespace) -> None:
    """The number of its turns would be charged to runs that need fewer."""
    begun = Halving(START >= 1, START)
    turn = halve(charged, "to all")
    with charging(charged), making_loops(BY_HAND):
        with pytest.raises(DescriptionError, match="charged by a mask of runs"):
            repeat(turn, begun, 9)
        with pytest.raises(DescriptionError, match="charged by a mask of runs"):
            grow(turn, begun, lambda at: at, 9, is_checked=True)
