"""Counters in the states of methods."""

from typing import Any, NamedTuple

import torch

from mmbench.core.counters import INNER_ITERATIONS, counters, parts_with


class Counting(NamedTuple):
    """A state with a counter."""

    iterations: torch.Tensor
    base: Any = ()


def test_counters_are_found_in_nested_states() -> None:
    """At any depth, in tuples and named tuples; other states have none."""
    one, two = torch.tensor([1, 2]), torch.tensor([3, 4])
    state = Counting(one, (torch.zeros(2), Counting(two)))
    assert sum(counters(state, INNER_ITERATIONS)).tolist() == [4, 6]
    assert [part.iterations for part in parts_with(state, "iterations")] == [one, two]
    assert counters((torch.zeros(2), ()), INNER_ITERATIONS) == []
    assert list(parts_with(state, "rejected")) == []
