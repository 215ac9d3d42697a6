"""Costs: their price in gradient-equivalents, and how they read in tables."""

import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.cost import Cost, gradient_equivalents


def test_cost_in_gradient_equivalents() -> None:
    """A gradient counts 1, a Hessian product 2, a value 1/2."""
    cost = Cost(grad_x=1, grad_y=6, hvps=2, values=1)
    assert cost.gradient_equivalents == 11.5
    assert gradient_equivalents(1, 6, 2, 1) == 11.5
    counted = gradient_equivalents(*torch.tensor([[1, 2], [6, 6], [2, 0], [1, 0]]))
    assert counted.tolist() == [11.5, 8.0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("gda", "1 ∇x + 1 ∇y"),
        ("extragradient", "2 ∇x + 2 ∇y"),
        (
            "cgd",
            "1 ∇x + 1 ∇y + 2 HVP + 2 HVP per inner iteration; in general-sum games "
            "2 ∇x + 2 ∇y + 2 HVP + 2 HVP per inner iteration",
        ),
        ("accept_reject[k=3]", "1 ∇x + 3 ∇y + 1 value"),
        ("accept_reject_search", "1 ∇y + 1 ∇y per inner iteration + 1 value"),
    ],
)
def test_costs_list_only_what_is_used(spec: str, expected: str) -> None:
    """The text of a cost leaves out calls that the step does not make."""
    assert str(ALGORITHMS.build(spec).cost) == expected


def test_games_that_are_not_zero_sum_may_have_a_cost_of_their_own() -> None:
    """The cost within them is told beside that within zero-sum games."""
    cost = Cost(grad_x=1, hvps=2, general_sum=Cost(grad_x=2, hvps=4))
    assert cost.within(zero_sum=True) is cost
    assert cost.within(zero_sum=False) == Cost(grad_x=2, hvps=4)
    assert Cost(grad_x=1).within(zero_sum=False) == Cost(grad_x=1)
    assert str(cost) == "1 ∇x + 2 HVP; in general-sum games 2 ∇x + 4 HVP"
