"""A reverse pass of torch, without the checks of `torch.autograd.grad`."""

from types import NoneType

import torch
from torch import Tensor
from torch.autograd import Variable


def reverse_pass(
    output: Tensor,
    inputs: tuple[Tensor, ...],
    weights: Tensor,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """Return the gradients of a weighted sum; zeros for inputs that it ignores.

    It gives the bits of `torch.autograd.grad`, whose checks in Python take half of the
    time of a small step, and which loads sympy, a quarter of a second.

    Args:
        output: what is differentiated; it depends on some tensor with gradients.
        inputs: tensors of its graph.
        weights: weight of each entry of the output, of its shape.
        retain_graph: whether the graph is kept for further passes.
        create_graph: whether the gradients have a graph of their own; it keeps the
            graph as well.

    Raises:
        RuntimeError: when the weights have another shape than the output.
    """
    if weights.shape != output.shape or weights.dtype != output.dtype:
        # Torch converts the weights, or says what is wrong.
        return torch.autograd.grad(
            output,
            inputs,
            weights,
            retain_graph=retain_graph or create_graph,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    found = Variable._execution_engine.run_backward(  # noqa: SLF001  # no public name
        (output,),
        (weights,),
        retain_graph or create_graph,
        create_graph,
        inputs,
        allow_unreachable=True,
        accumulate_grad=False,
    )
    if NoneType not in map(type, found):
        return found
    return tuple(
        torch.zeros_like(at, requires_grad=create_graph) if one is None else one
        for one, at in zip(found, inputs, strict=True)
    )
