"""Operations on flat vectors, one for each run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Vector = Float[Tensor, "runs n"]
Joint = Float[Tensor, "runs dim"]  # x followed by y
PartX = Float[Tensor, "runs dim_x"]
PartY = Float[Tensor, "runs dim_y"]
Mask = Bool[Tensor, " runs"]

# A slice that starts at a multiple of 16 floats lies on a 64-byte boundary. Rounding in
# matrix products depends on alignment, so this makes the bits of a run independent of
# its position in the batch.
ALIGNMENT = 16


@dataclass(frozen=True)
class Layout:
    """A layout of named tensors on one flat vector, with aligned slices.

    Args:
        shapes: name to shape of each tensor, in their order on the vector.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def sizes(self) -> list[int]:
        """Number of floats in each slice, with its padding."""
        return [aligned_size(math.prod(shape)) for shape in self.shapes.values()]

    @property
    def size(self) -> int:
        """Number of floats in the whole vector, with all padding."""
        return sum(self.sizes)

    @cached_property
    def _pieces(self) -> list[tuple[str | None, tuple[int, ...], int]]:
        """The name, the shape and the size of each tensor and, nameless, of padding."""
        pieces: list[tuple[str | None, tuple[int, ...], int]] = []
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            pieces.append((name, shape, size))
            if padding := aligned_size(size) - size:
                pieces.append((None, (padding,), padding))
        return pieces

    def split(self, flat: Float[Tensor, "runs size"]) -> dict[str, Tensor]:
        """Return a view of each named tensor, with the leading `runs` axis."""
        # Each operation here is one more in every derivative. The backward of one split
        # is one concatenation, padding included; slicing would give a gradient of full
        # size for each slice. Of rows (1, size), as biases are, no view is made.
        runs, rows = flat.shape[0], flat.unsqueeze(1)
        parts = rows.split_with_sizes([size for *_, size in self._pieces], 2)
        return {
            name: part if shape == (1, size) else part.view(runs, *shape)
            for (name, shape, size), part in zip(self._pieces, parts, strict=True)
            if name is not None
        }

    def join(self, tensors: Mapping[str, Tensor]) -> Float[Tensor, " size"]:
        """Return the named tensors of one run as a flat vector, padded with zeros."""
        pieces = []
        for (name, shape), size in zip(self.shapes.items(), self.sizes, strict=True):
            padding = tensors[name].new_zeros(size - math.prod(shape))
            pieces += [tensors[name].reshape(-1), padding]
        return torch.cat(pieces)


def aligned_size(size: int) -> int:
    """Return a number of floats, rounded up to a multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def keep(on: Mask | None, new: Any, old: Any) -> Any:
    """Return the new values of some runs and the old values of the others.

    Args:
        on: mask of the runs that take the new values, shape (runs,); None means all.
        new: a tensor with leading `runs` axis, or nested tuples of such; None stays.
        old: values of the same structure and shapes.
    """
    if on is None:
        return new
    if isinstance(new, Tensor):
        return torch.where(on.view(-1, *[1] * (new.ndim - 1)), new, old)
    if isinstance(new, Sequence):
        items = [keep(on, *pair) for pair in zip(new, old, strict=True)]
        return type(new)(*items) if hasattr(new, "_fields") else tuple(items)
    return new


def take(rows: Int[Tensor, " rows"], values: Any) -> Any:
    """Return some runs of values.

    Args:
        rows: the numbers of the runs to take.
        values: a tensor with leading `runs` axis, or nested tuples of such.
    """
    if isinstance(values, Tensor):
        return values[rows]
    items = [take(rows, value) for value in values]
    return type(values)(*items) if hasattr(values, "_fields") else tuple(items)


def masked(value: Tensor, on: Mask | None) -> Tensor:
    """Return the values of some runs, and zeros for the others.

    Args:
        value: a tensor with leading `runs` axis.
        on: mask of the runs to keep; None keeps all.
    """
    return value if on is None else keep(on, value, torch.zeros_like(value))


def dot(a: Vector, b: Vector) -> Tensor:
    """Return the inner product of each run, shape (runs,)."""
    return (a * b).sum(1)


def largest(z: Vector) -> Tensor:
    """Return the largest absolute entry of each run; NaN where there is one."""
    return z.abs().amax(1)  # torch's maximum norm takes ten times as long


def is_within(z: Vector, limit: float) -> bool:
    """Return whether all entries of all runs are within a limit; NaN never is."""
    least, most = torch.aminmax(z)  # many times faster than the largest absolute value
    return float(most) <= limit and float(least) >= -limit


def is_like(value: Any, other: Tensor) -> bool:
    """Return whether a value is a tensor of the shape and the dtype of another."""
    form = other.shape, other.dtype
    return isinstance(value, Tensor) and (value.shape, value.dtype) == form


def has_form(nest: Any, other: Any) -> bool:
    """Return whether a nest has the nested tuples, shapes and dtypes of another."""
    if not isinstance(other, tuple):
        return is_like(nest, other)
    return (
        isinstance(nest, tuple)
        and len(nest) == len(other)
        and all(map(has_form, nest, other))
    )
