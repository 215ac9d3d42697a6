"""Norm of the vector field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class FieldNorm(IterateMetric):
    """Euclidean norm of F(z); where z is constrained, of the projected unit step.

        ‖z − P(z − F(z))‖

    Zero at every stationary point, wanted or not. On games with data it is taken on one
    minibatch a run, the same at each record.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (Column("field_norm", "norm of the field", scale="log"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        step = at.z - at.game.project(at.z - at.field)
        return {"field_norm": step.norm(dim=1)}
