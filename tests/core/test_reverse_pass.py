"""Reverse passes give what `torch.autograd.grad` gives."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mmbench.core.reverse_pass import reverse_pass

RUNS = 5


def _leaves(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(RUNS, 3, generator=generator, dtype=dtype).requires_grad_()
        for _ in range(3)
    )


def _payoff(x: Tensor, y: Tensor) -> Tensor:
    return (x.sin() * y + x * x * x).sum(1)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gives_the_bits_of_torch(dtype: torch.dtype, create_graph: bool) -> None:
    x, y, ignored = _leaves(dtype)
    weights = torch.arange(RUNS, dtype=dtype)
    at = (x, y, ignored)
    found = reverse_pass(_payoff(x, y), at, weights, create_graph=create_graph)
    expected = torch.autograd.grad(
        _payoff(x, y),
        at,
        weights,
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
        assert one.requires_grad == other.requires_grad == create_graph


def test_a_second_pass_through_the_gradient() -> None:
    x, y, ignored = _leaves()
    ones = torch.ones(RUNS)
    (slope,) = reverse_pass(_payoff(x, y), (x,), ones, create_graph=True)
    v = torch.full((RUNS, 3), 2.0)
    for _ in range(2):  # the graph is kept
        at_y, none = reverse_pass(slope, (y, ignored), v, retain_graph=True)
        assert torch.equal(at_y, 2 * x.detach().cos())
        assert torch.equal(none, torch.zeros(RUNS, 3))


def test_a_graph_that_is_not_kept_is_gone() -> None:
    x, y, _ = _leaves()
    payoff = _payoff(x, y)
    reverse_pass(payoff, (x,), torch.ones(RUNS), retain_graph=True)
    reverse_pass(payoff, (x,), torch.ones(RUNS))
    with pytest.raises(RuntimeError, match="second time"):
        reverse_pass(payoff, (x,), torch.ones(RUNS))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda payoff: payoff.mean(), id="no run"),
        pytest.param(lambda payoff: payoff[:, None], id="a column"),
        pytest.param(lambda payoff: payoff * 1j, id="complex"),
    ],
)
def test_weights_must_be_those_of_the_output(
    changed: Callable[[Tensor], Tensor],
) -> None:
    x, y, _ = _leaves()
    with pytest.raises(RuntimeError, match="shape|dtype"):
        reverse_pass(changed(_payoff(x, y)), (x,), torch.ones(RUNS))


def test_weights_are_converted() -> None:
    x, y, _ = _leaves()
    weights = torch.arange(RUNS, dtype=torch.float64)
    (found,) = reverse_pass(_payoff(x, y), (x,), weights)
    (expected,) = reverse_pass(_payoff(x, y), (x,), weights.float())
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
