"""Traces of steps as graphs, and what cannot be traced."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

# Operations whose result, or its shape, depends on the numbers that they are given.
DEPENDENT = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}


class DependentError(Exception):
    """What a step does next depends on a number of a run."""

    def __init__(self) -> None:
        super().__init__("what a step does next depends on a number of a run")


def trace(
    step: Callable[..., Any], examples: Sequence[Any], **options: Any
) -> GraphModule:
    """Return the graph of a step.

    Args:
        step: function of tensors, or of nested tuples of them.
        examples: arguments for which it is traced.
        options: those of torch's `make_fx`.

    Raises:
        DependentError: when the graph would hold for these numbers alone.
    """
    try:
        graph = make_fx(step, **options)(*examples)
    except Exception as error:
        if "_local_scalar_dense" in str(error):
            raise DependentError from error
        raise
    # Before dead code goes: of a choice by the number of rows, the rows may be dead.
    if any(_is_dependent(node) for node in graph.graph.nodes):
        raise DependentError
    graph.graph.eliminate_dead_code()
    return graph


def _is_dependent(node: Node) -> bool:
    """Return whether the shape of a node's result depends on numbers."""
    if not DEPENDENT & set(getattr(node.target, "tags", ())):
        return False
    if node.target is not torch.ops.aten.index.Tensor:
        return True
    # By whole numbers the shape is that of the indices; by a mask it is not.
    indices = node.args[1]
    assert isinstance(indices, Sequence)
    masks = (torch.bool, torch.uint8)
    return any(
        isinstance(one, Node) and one.meta["val"].dtype in masks for one in indices
    )
