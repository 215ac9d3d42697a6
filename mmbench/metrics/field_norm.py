"""The norm of the vector field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class FieldNorm(IterateMetric):
    """Euclidean norm of the field F(z), or of a projected unit step under constraints.

        ‖z − P(z − F(z))‖

    P projects onto the constraints; without constraints the value is ‖F(z)‖. The column
    `field_norm` is 0 or above, and lower is better. It is zero at every stationary
    point, also at those that are no solution. On games with data the field is
    estimated from one minibatch for each run, the same at each record; that of a finite
    sum is the one over all its terms.
    """

    by_iterate = True

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (Column("field_norm", "norm of the field", scale="log"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        step = at.z - at.game.project(at.z - at.field)
        return {"field_norm": step.norm(dim=1)}
