"""The tests check types and shapes of every call of mmbench, also of later ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import typechecker
from jaxtyping import Float
from torch import Tensor

from mmbench.core.vectors import dot

Rows = Float[Tensor, "rows dim"]


def give(value: Any, rows: Rows) -> Rows:
    """Return a value, whatever it is."""
    return value


def total(values: list[float]) -> int:
    """Return how many values there are."""
    return len(values)


def pair(one: Any, other: Any) -> tuple[str, int]:
    """Return two values, whatever they are."""
    return one, other


def check(function: Callable) -> Callable:
    """Return a function whose calls are checked as those of mmbench are."""
    return typechecker.checked(function, typechecker=typechecker.typechecker)


def test_functions_of_mmbench_are_checked() -> None:
    """A call that fits is no reason to let another pass."""
    ones = torch.ones(2, 3)
    for _ in range(2):
        assert dot(ones, ones).tolist() == [3, 3]
        with pytest.raises(Exception, match="Type-check error"):
            dot(ones, torch.ones(2))


@pytest.mark.parametrize(
    "wrong", [torch.ones(3, 3), torch.ones(2), torch.ones(2, 3).int(), None]
)
def test_results_are_checked_after_right_ones(wrong: Any) -> None:
    """The arguments look the same each time; what is right stays right."""
    calls: list[Any] = []

    def answer(rows: Rows) -> Rows:
        calls.append(rows)
        return wrong if len(calls) in {3, 6} else rows

    checked, ones = check(answer), torch.ones(2, 3)
    for number in range(1, 8):
        if number in {3, 6}:
            with pytest.raises(Exception, match="return value of .*answer"):
                checked(ones)
        else:
            assert checked(ones) is ones
    assert len(calls) == 7


def test_a_checked_function_is_called_once() -> None:
    """Checks make no call of their own, nor do those of nested calls."""
    calls = []

    def fall(depth: int) -> float:
        calls.append(depth)
        return float(depth) if depth == 0 else fall_checked(depth - 1)

    fall_checked = check(fall)
    for _ in range(3):
        assert fall_checked(3) == 0
    assert calls == [3, 2, 1, 0] * 3


def test_items_are_checked_each_time() -> None:
    """One item of a list is drawn and checked; the parts of a pair are all checked."""
    counted, paired = check(total), check(pair)
    for _ in range(3):
        assert counted([1.0]) == 1
        assert paired("a", 1) == ("a", 1)
    with pytest.raises(Exception, match="Type-check error"):
        counted(["1"])
    for _ in range(2):
        with pytest.raises(Exception, match="Type-check error"):
            paired("a", "b")


def test_shapes_of_arguments_and_results_belong_together() -> None:
    """A result fits its own arguments, not those of another call."""
    checked = check(give)
    for size in (2, 3, 2):
        assert len(checked(torch.ones(size, 3), torch.ones(size, 3))) == size
    with pytest.raises(Exception, match="return value"):
        checked(torch.ones(2, 3), torch.ones(3, 3))
