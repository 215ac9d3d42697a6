"""Columns: a traced graph with both players of a game of the plane kept apart.

A compiler makes one loop over the runs of operations on columns. Where x and y lie
beside each other in z it cannot, and writes every intermediate result to memory. What
is computed stays the same, entry by entry.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter

aten = torch.ops.aten

# Operations on each entry by itself.
ENTRYWISE = {
    aten.abs.default,
    aten.add.Tensor,
    aten.addcdiv.default,
    aten.addcmul.default,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.clone.default,
    aten.detach.default,
    aten.div.Tensor,
    aten.lerp.Scalar,
    aten.mul.Tensor,
    aten.neg.default,
    aten.pow.Tensor_Scalar,
    aten.sqrt.default,
    aten.sub.Tensor,
    aten.where.self,
    aten.zeros_like.default,
}


class Columns(NamedTuple):
    """A tensor of two columns, shape (rows, 1) each."""

    x: Tensor
    y: Tensor


class Apart(Interpreter):
    """Computes a graph with tensors of shape (rows, 2) as columns, where it can."""

    def call_function(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """One operation; on columns if all of it can be, else on whole tensors."""
        found = _special(target, args, kwargs)
        if found is not None:
            return found
        joined = _mapped(_whole, args), _mapped(_whole, kwargs)
        return super().call_function(target, *joined)

    def output(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """What is given back, whole."""
        return super().output(target, _mapped(_whole, args), kwargs)


def apart(graph: GraphModule) -> Callable[..., Any]:
    """The graph as a function, to be traced once more."""
    return Apart(graph).run


def _special(target: Any, args: tuple, kwargs: dict) -> Any:
    """The operation on columns; None where it has to be done on whole tensors."""
    first = args[0] if args else None
    if target is aten.cat.default and args[1:] == (1,):
        parts = first
        if len(parts) == 2 and all(_is_column(one) for one in parts):
            return Columns(*parts)
    if target is aten.slice.Tensor and _is_pair(first) and len(args) == 4:
        _, dim, start, end = args
        if dim == 1 and (start, end) == (0, 1):
            return _columns(first).x
        if dim == 1 and start == 1 and end > 1:
            return _columns(first).y
    if not any(isinstance(one, Columns) for one in args):
        return None
    if target is aten.linalg_vector_norm.default and args[1:] == (torch.inf, [1]):
        return torch.maximum(first.x.abs(), first.y.abs())[:, 0]
    if target is aten.sum.dim_IntList and args[1:] == ([1],):
        return (first.x + first.y)[:, 0]
    if target in ENTRYWISE and all(_fits(one) for one in args):
        sides = [[_side(one, side) for one in args] for side in (0, 1)]
        return Columns(*(target(*side, **kwargs) for side in sides))
    return None


def _is_pair(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 2 and value.shape[1] == 2
    return isinstance(value, Columns)


def _is_column(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 2 and value.shape[1] == 1


def _fits(value: Any) -> bool:
    """Whether a value has a side for x and one for y."""
    if isinstance(value, Tensor):
        return value.ndim == 0 or _is_pair(value) or _is_column(value)
    return True


def _columns(value: Tensor | Columns) -> Columns:
    return value if isinstance(value, Columns) else Columns(value[:, :1], value[:, 1:])


def _side(value: Any, side: int) -> Any:
    return _columns(value)[side] if _is_pair(value) else value


def _whole(value: Any) -> Any:
    return torch.cat(value, dim=1) if isinstance(value, Columns) else value


def _mapped(function: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, Columns):
        return function(nest)
    if isinstance(nest, tuple | list):
        return type(nest)([_mapped(function, one) for one in nest])
    if isinstance(nest, dict):
        return {name: _mapped(function, one) for name, one in nest.items()}
    return nest
