"""The norm of each player's gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class GradientNorms(IterateMetric):
    """Euclidean norm of the gradient of each player's loss in its own variables.

    The columns `gradient_x` and `gradient_y`, each 0 or above, only describe: where one
    is small and the other is not, one player has stopped learning. Their squares add up
    to that of `field_norm` in games without constraints, from the same minibatch.
    """

    by_iterate = True

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (
            Column("gradient_x", "gradient norm of x", "neither", "log"),
            Column("gradient_y", "gradient norm of y", "neither", "log"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        of_x, of_y = at.field.split((at.game.dim_x, at.game.dim_y), dim=1)
        return {"gradient_x": of_x.norm(dim=1), "gradient_y": of_y.norm(dim=1)}
