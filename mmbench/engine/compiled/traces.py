"""Traces of steps as graphs, and what cannot be traced."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

# Operations whose result, or its shape, depends on the numbers that they are given.
DEPENDENT = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}

aten = torch.ops.aten


class DependentError(Exception):
    """What a step does next depends on a number of a run."""

    def __init__(self) -> None:
        super().__init__("what a step does next depends on a number of a run")


class Watch(TorchDispatchMode):
    """A mode that sees the operations that torch is asked for."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return that no compiler sees them; to load one takes a second."""
        return False


class _TracedGraph(GraphModule):
    """A graph whose Python code is written when it is first called.

    Loops in C are made from its nodes alone, and to write the code takes as long as to
    trace it.
    """

    def recompile(self) -> Any:
        """Do nothing until the graph is called."""

    def forward(self, *arguments: Tensor) -> Any:
        """Write the code, which replaces this method, and compute the graph."""
        super().recompile()
        return self(*arguments)


class _Tracer(Watch):
    """Notes the operations that torch is asked for as the nodes of a graph.

    Every node has its result in `meta["val"]`, as a tensor without numbers. Tensors
    that are not computed from the step's arguments are constants of the graph, as is
    what is computed from constants alone.

    Args:
        decompositions: what replaces operations by simpler ones.
    """

    def __init__(self, decompositions: Mapping[Any, Callable]) -> None:
        super().__init__()
        self.graph = Graph()
        self.constants: dict[str, Tensor] = {}
        self._decompositions = decompositions
        self._nodes = WeakTensorKeyDictionary()

    def argument(self, tensor: Tensor) -> None:
        """Make a tensor the next argument of the graph."""
        node = self.graph.placeholder(f"argument_{len(self._nodes)}")
        self._note(node, tensor)

    def finish(self, results: Sequence[Tensor]) -> GraphModule:
        """Return the graph that gives these results."""
        self.graph.output([self._node_of(result) for result in results])
        return _TracedGraph(self.constants, self.graph)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """Compute an operation, and note it."""
        kwargs = kwargs or {}
        given = _tensors_in((args, kwargs))
        is_new = not given and func is not aten.lift_fresh.default
        if not is_new and not any(tensor in self._nodes for tensor in given):
            return func(*args, **kwargs)
        if is_dependent(func, args):
            raise DependentError
        with self:  # within it, the simpler operations are noted
            is_listed = func in self._decompositions
            simpler = self._decompositions[func] if is_listed else func.decompose
            result = simpler(*args, **kwargs)
        if result is not NotImplemented:
            return result
        noted = map_aggregate((args, kwargs), self._node_of)
        node = self.graph.call_function(func, *noted)
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            self._note(node, result)
            return result
        node.meta["val"] = [_without_numbers(one) for one in result]
        for number, one in enumerate(result):
            if one is not None:
                part = self.graph.call_function(operator.getitem, (node, number))
                self._note(part, one)
        return result

    def _node_of(self, tensor: Any) -> Any:
        """Return the node that gives a tensor; anything else as it is."""
        if not isinstance(tensor, Tensor):
            return tensor
        if tensor not in self._nodes:
            name = f"constant_{len(self.constants)}"
            self.constants[name] = tensor
            self._note(self.graph.get_attr(name), tensor)
        return self._nodes[tensor]

    def _note(self, node: Node, tensor: Tensor) -> None:
        node.meta["val"] = _without_numbers(tensor)
        self._nodes[tensor] = node


def trace(
    step: Callable[..., Sequence[Tensor]],
    examples: Sequence[Tensor],
    decompositions: Mapping[Any, Callable] | None = None,
) -> GraphModule:
    """Return the graph of a step.

    Args:
        step: function of tensors.
        examples: arguments for which it is traced.
        decompositions: what replaces operations by simpler ones, if anything does.

    Raises:
        DependentError: when the graph would hold for these numbers alone.
    """
    tracer = _Tracer({} if decompositions is None else decompositions)
    arguments = [example.detach().clone() for example in examples]
    for tensor in arguments:
        tracer.argument(tensor)
    with tracer:
        results = step(*arguments)
    graph = tracer.finish(results)
    graph.graph.eliminate_dead_code()
    return graph


def _without_numbers(tensor: Tensor | None) -> Tensor | None:
    """Return a tensor of the same shape, strides and dtype that takes no memory."""
    if tensor is None:
        return None
    return torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
    )


def _tensors_in(arguments: Any) -> list[Tensor]:
    """Return the tensors among the arguments of an operation."""
    found: list[Any] = []
    map_aggregate(arguments, found.append)
    return [one for one in found if isinstance(one, Tensor)]


def is_dependent(func: Any, args: tuple) -> bool:
    """Return whether the result of an operation, or its shape, depends on numbers."""
    if not DEPENDENT & set(func.tags):
        return False
    return func is not aten.index.Tensor or has_mask(args[1])


def has_mask(indices: Sequence[Tensor | None]) -> bool:
    """Return whether one of some indices is a mask, which chooses by its numbers.

    By whole numbers the shape of what is chosen is that of the indices.
    """
    masks = (torch.bool, torch.uint8)
    return any(one is not None and one.dtype in masks for one in indices)
