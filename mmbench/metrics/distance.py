"""The distance to the solutions that a task declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.metrics.base import Column, IterateMetric, Point

Concept = Literal["declared", "nash", "minimax", "stationary"]
CAPABILITY_OF: dict[Concept, Capability] = {
    "declared": Capability.SOLUTION,
    "nash": Capability.NASH,
    "minimax": Capability.MINIMAX,
    "stationary": Capability.STATIONARY,
}
POINTS = {
    "nash": "the Nash equilibria",
    "minimax": "local minimax points",
    "stationary": "stationary points",
}


@final
@dataclass(frozen=True, kw_only=True)
class Distance(IterateMetric):
    """Euclidean distance from the iterate to the nearest solution.

    The column is named `distance`, or `distance_nash` and so on for other concepts than
    the declared one. It is 0 or above, in units of z, and lower is better; the distance
    to stationary points only describes.

    Args:
        concept: "declared" for the solutions that the task declares; "nash" for its
            Nash equilibria, local ones included; "minimax" for its local minimax
            points; "stationary" for all points where the field is zero.
    """

    by_iterate = True

    concept: Concept = "declared"

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that the game must have."""
        return frozenset({CAPABILITY_OF[self.concept]})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        if self.concept == "declared":
            return (Column("distance", "distance to the solutions", scale="log"),)
        name, title = f"distance_{self.concept}", f"distance to {POINTS[self.concept]}"
        if self.concept == "stationary":
            return (Column(name, title, better="neither", scale="log"),)
        return (Column(name, title, scale="log"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        return {self.columns[0].name: at.game.distance(at.z, self.concept)}
