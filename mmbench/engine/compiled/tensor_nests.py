"""Tensors nested in tuples, named tuples, lists and dicts."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor


def list_tensors(nest: Any) -> list[Tensor]:
    """Return the tensors of a nest in order; None holds no tensor."""
    if isinstance(nest, Tensor):
        return [nest]
    members = nest.values() if isinstance(nest, dict) else nest or ()
    return [tensor for member in members for tensor in list_tensors(member)]


def replace_tensors(nest: Any, tensors: Sequence[Tensor]) -> Any:
    """Return a nest of the same structure that holds the given tensors, in order."""
    return _fill(nest, iter(tensors))


def _fill(nest: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(nest, Tensor):
        return next(tensors)
    if nest is None:
        return None
    if isinstance(nest, dict):
        return {name: _fill(member, tensors) for name, member in nest.items()}
    members = [_fill(member, tensors) for member in nest]
    return type(nest)(*members) if hasattr(nest, "_fields") else type(nest)(members)
