"""Flat vectors: aligned layout, splitting, and keeping what stopped runs had."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Vector = Float[Tensor, "runs n"]
Joint = Float[Tensor, "runs dim"]  # x followed by y
PartX = Float[Tensor, "runs dim_x"]
PartY = Float[Tensor, "runs dim_y"]
Mask = Bool[Tensor, "runs"]

# A slice that starts at a multiple of 16 floats lies on a 64-byte boundary; matrix
# products round by alignment, so this makes a run's bits independent of its position
# among the runs.
ALIGNMENT = 16


@dataclass(frozen=True)
class Layout:
    """Named tensors laid out on one flat vector, each slice aligned.

    Args:
        shapes: name to shape, in order.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def sizes(self) -> list[int]:
        """Floats of each slice, its padding included."""
        return [aligned(math.prod(shape)) for shape in self.shapes.values()]

    @property
    def size(self) -> int:
        """Floats of the whole vector, padding included."""
        return sum(self.sizes)

    def split(self, flat: Float[Tensor, "runs size"]) -> dict[str, Tensor]:
        """Views of each named tensor, with the leading `runs` axis."""
        # One split, whose backward is one concatenation; slices would each give a
        # gradient of full size.
        slices = flat.split(self.sizes, dim=1)
        return {
            name: part[:, : math.prod(shape)].unflatten(1, shape)
            for (name, shape), part in zip(self.shapes.items(), slices, strict=True)
        }

    def join(self, tensors: Mapping[str, Tensor]) -> Float[Tensor, "size"]:
        """One run's named tensors as a flat vector, padded with zeros."""
        parts = []
        for (name, shape), size in zip(self.shapes.items(), self.sizes, strict=True):
            padding = tensors[name].new_zeros(size - math.prod(shape))
            parts += [tensors[name].reshape(-1), padding]
        return torch.cat(parts)


def aligned(size: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def keep(on: Mask, new: Any, old: Any) -> Any:
    """New values where `on`, old ones elsewhere, run by run.

    Args:
        on: which runs take the new values.
        new: a tensor with leading `runs` axis, or tuples of such, nested; None stays.
        old: the same shape of thing.
    """
    if isinstance(new, Tensor):
        return torch.where(on.view(-1, *[1] * (new.ndim - 1)), new, old)
    if isinstance(new, Sequence):
        parts = [keep(on, one, other) for one, other in zip(new, old, strict=True)]
        return type(new)(*parts) if hasattr(new, "_fields") else tuple(parts)
    return new


def masked(value: Tensor, on: Mask | None) -> Tensor:
    """Return the values of the runs where `on`, and zeros elsewhere.

    Args:
        value: a tensor with leading `runs` axis.
        on: the runs to keep; None keeps all.
    """
    return value if on is None else keep(on, value, torch.zeros_like(value))


def dot(a: Vector, b: Vector) -> Tensor:
    """Inner product of each run, shape (runs,)."""
    return (a * b).sum(1)


def largest(z: Vector) -> Tensor:
    """Largest absolute entry of each run, shape (runs,); NaN where there is one."""
    return z.abs().amax(1)  # torch's maximum norm takes ten times as long
