"""What replaces torch's operations by simpler ones in the trace of a step."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.export import default_decompositions

aten = torch.ops.aten


@cache  # torch takes long to list them
def decompositions() -> dict[Any, Callable]:
    """Return the decomposition of each operation that has one: torch's own.

    Those of `OWN` are the same; torch's load its compiler, which takes half a second.
    Splits become slices, for which torch has none.
    """
    listed: Any = default_decompositions()  # torch declares two types for it
    splits = {aten.split_with_sizes.default: _split_with_sizes}
    return dict(listed.items()) | OWN | splits


def _addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return x + value * a * b


def _lerp(start: Tensor, end: Tensor, weight: float) -> Tensor:
    at = start.new_full((), weight)
    is_nearer_to_end = at.abs() >= 0.5
    factor = torch.where(is_nearer_to_end, at - 1, at)
    base = torch.where(is_nearer_to_end, end, start)
    return factor * (end - start) + base


def _softplus(x: Tensor, beta: float | None = None, threshold: float = 20) -> Tensor:
    scaled = x if beta is None else x * beta
    value = scaled.exp().log1p()
    value = value if beta is None else value / beta
    return torch.where(scaled > threshold, x, value)


def _split_with_sizes(x: Tensor, sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    parts, begin = [], 0
    for size in sizes:
        parts.append(aten.slice.Tensor(x, dim, begin, begin + size))
        begin += size
    return parts


OWN = {
    aten.addcmul.default: _addcmul,
    aten.lerp.Scalar: _lerp,
    aten.softplus.default: _softplus,
}
