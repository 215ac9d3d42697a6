"""The distance to the solutions that a task declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class Distance(IterateMetric):
    """Euclidean distance from the iterate to the nearest solution.

    The column is named `distance`, or `distance_nash` for Nash equilibria. It is 0 or
    above, in units of z, and lower is better.

    Args:
        concept: "declared" for the largest set of solutions that the task declares;
            "nash" for its Nash equilibria.
    """

    concept: Literal["declared", "nash"] = "declared"

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that the game must have."""
        nash = self.concept == "nash"
        return frozenset({Capability.NASH if nash else Capability.SOLUTION})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        if self.concept == "declared":
            return (Column("distance", "distance to the solutions", scale="log"),)
        return (
            Column("distance_nash", "distance to the Nash equilibria", scale="log"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        return {self.columns[0].name: at.game.distance(at.z, self.concept)}
