"""Traces hold what a step computes from its arguments, and refuse what depends."""

import pytest
import torch
from torch import Tensor
from torch.export import default_decompositions

from mmbench.engine.compiled.traces import DependentError, trace

X, Y = torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([[0.5], [0.25]])
CONSTANT = torch.tensor([2.0, 3.0])


def gradient(x: Tensor, y: Tensor) -> list[Tensor]:
    """Return a gradient, within which torch asks for operations of its own."""
    at = x.detach().requires_grad_()
    loss = (torch.nn.functional.softplus(at) * y).sum()
    return list(torch.autograd.grad(loss, at))


STEPS = {
    "numbers": lambda x, y: [x * y + 1, x.sum(1)],
    "an argument as it is": lambda x, y: [y, x],
    "a constant": lambda x, _: [x * CONSTANT],
    "written in place": lambda x, _: [x.clone().mul_(2).add_(x)],
    "several results": lambda x, _: list(x.split(1, dim=1)),
    "one of several results": lambda x, _: [x.max(dim=1).values],
    "new tensors": lambda x, _: [torch.zeros_like(x) + torch.ones(2)],
    "a gradient": gradient,
    "whole numbers as indices": lambda x, _: [x[torch.tensor([1, 0])]],
}


@pytest.mark.parametrize("decompositions", [None, default_decompositions()])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_graph_computes_what_the_step_does(step, decompositions) -> None:
    graph = trace(step, (X, Y), decompositions)
    other = X - 0.7, Y + 1
    for found, expected in zip(graph(*other), step(*other), strict=True):
        assert torch.equal(found, expected)


def test_what_constants_give_is_a_constant() -> None:
    graph = trace(lambda x, y: [x * (CONSTANT * CONSTANT + 1)], (X, Y))
    operations = [node for node in graph.graph.nodes if node.op == "call_function"]
    assert [node.target for node in operations] == [torch.ops.aten.mul.Tensor]


def test_nodes_know_their_shape_and_take_no_memory() -> None:
    graph = trace(lambda x, y: [x.double() @ x.double().T], (X, Y))
    made = [node.meta["val"] for node in graph.graph.nodes if node.op != "output"]
    assert made[-1].shape == (2, 2)
    assert made[-1].dtype == torch.float64
    assert all(one.device.type == "meta" for one in made)


def test_arguments_are_left_as_they_are() -> None:
    given = X.clone()
    trace(lambda x, _: [x.add_(1)], (given, Y))
    assert torch.equal(given, X)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, _: [x if x.sum() > 0 else -x],
        lambda x, _: [x * x[0, 0].item()],
        lambda x, _: [x[x > 0]],
        lambda x, _: [x.nonzero()],
    ],
)
def test_what_depends_on_numbers_is_refused(step) -> None:
    with pytest.raises(DependentError, match="depends on a number"):
        trace(step, (X, Y))


def test_a_constant_may_decide() -> None:
    graph = trace(lambda x, _: [x if CONSTANT.sum() > 0 else -x], (X, Y))
    assert torch.equal(graph(X, Y)[0], X)
