"""Distance to the declared solution set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class Distance(IterateMetric):
    """Euclidean distance from the iterate to the nearest declared solution.

    Args:
        concept: "declared" takes the largest set the task declares; "nash" its Nash
            equilibria.
    """

    concept: Literal["declared", "nash"] = "declared"

    @property
    def needs(self) -> frozenset[Capability]:
        """What it asks of a game."""
        nash = self.concept == "nash"
        return frozenset({Capability.NASH if nash else Capability.SOLUTION})

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        if self.concept == "declared":
            return (Column("distance", "distance to the solutions", scale="log"),)
        return (
            Column("distance_nash", "distance to the Nash equilibria", scale="log"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        return {self.columns[0].name: at.game.distance(at.z, self.concept)}
